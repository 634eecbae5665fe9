CREATE TABLE notification (
    id {uuid} PRIMARY KEY,
    type varchar(24) NOT NULL
        CHECK (type IN ('LEAD_CREATED', 'TASK_COMPLETED', 'SCORE_UPDATED', 'COMMENT_ADDED')),
    title {text} NOT NULL,
    message {text} NOT NULL,
    is_read boolean NOT NULL,
    related_lead_id integer,
    sequence integer NOT NULL CHECK (sequence > 0),
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
CREATE UNIQUE INDEX notification_sequence ON notification (sequence);
-- The two lists there are: all and the unread ones, newest first. The condition must be the one of
-- the query, to the letter.
CREATE INDEX notification_newest ON notification (created_at, id);
CREATE INDEX notification_unread ON notification (created_at, id) WHERE NOT is_read;
-- When a lead is removed, its notifications forget it
CREATE INDEX notification_lead ON notification (related_lead_id) WHERE related_lead_id IS NOT NULL;
