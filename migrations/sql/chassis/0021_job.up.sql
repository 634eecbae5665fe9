-- Work in the background. The row is made in the transaction of the change that asks for it
CREATE TABLE job (
    id {uuid} PRIMARY KEY,
    kind {text} NOT NULL,
    key {text},
    payload text NOT NULL,
    actor {text} NOT NULL,
    request_id {text} NOT NULL,
    status {text} NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED')),
    -- How often it was begun since it last got further
    attempts integer NOT NULL,
    done bigint NOT NULL,
    failed bigint NOT NULL,
    total bigint,
    position text,
    error text,
    created_at {time} NOT NULL,
    started_at {time},
    finished_at {time},
    -- Who does it, and until when nobody else may
    worker {uuid},
    lease_until {time}
);
-- Of one kind and key, one waits or runs
CREATE UNIQUE INDEX job_key ON job (kind, key) WHERE status IN ('QUEUED', 'RUNNING');
-- What is to be done is looked for all the time, and is little
CREATE INDEX job_active ON job (kind, created_at, id) WHERE status IN ('QUEUED', 'RUNNING');
CREATE INDEX job_kind ON job (kind, created_at, id);
CREATE INDEX job_finished_at ON job (finished_at) WHERE finished_at IS NOT NULL;
