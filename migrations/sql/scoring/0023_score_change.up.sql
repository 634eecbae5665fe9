-- Each change of a stored score, and what it came from. The ids of one lead's changes follow their order
CREATE TABLE score_change (
    id {bigserial},
    lead_id integer NOT NULL,
    activity_score integer NOT NULL CHECK (activity_score BETWEEN 0 AND 100),
    previous integer,
    band varchar(2) NOT NULL,
    -- A type of event, or what somebody asked for
    cause varchar(32) NOT NULL,
    -- The event's id, or the run's
    cause_id {uuid},
    interaction_id integer,
    at {time} NOT NULL,
    model_version {text} NOT NULL
);
CREATE INDEX score_change_lead ON score_change (lead_id, id);
