CREATE TABLE interaction (
    id {serial},
    type varchar(16) NOT NULL CHECK (type IN ('CALL', 'EMAIL', 'MEETING')),
    date {time} NOT NULL,
    notes {text},
    lead_id integer NOT NULL,
    created_at {time} NOT NULL
);
-- Newest first, of everything and under each lead
CREATE INDEX interaction_date ON interaction (date, id);
CREATE INDEX interaction_lead ON interaction (lead_id, date, id);
