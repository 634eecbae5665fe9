-- Events that were applied, so that none is applied twice
CREATE TABLE inbox (
    event_id {uuid} PRIMARY KEY,
    kind {text} NOT NULL,
    applied_at {time} NOT NULL
);
CREATE INDEX inbox_applied_at ON inbox (applied_at);
-- Events that could not be applied, with the reason
CREATE TABLE parked_event (
    event_id {uuid} PRIMARY KEY,
    kind {text} NOT NULL,
    subject {text} NOT NULL,
    envelope text NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    parked_at {time} NOT NULL,
    replay_at {time}
);
-- Which log of events the service knows, and how far it has read it
CREATE TABLE bus_cursor (
    name {text} PRIMARY KEY,
    log {text} NOT NULL,
    position bigint NOT NULL
);
