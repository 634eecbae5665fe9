-- Which facts a suggestion was made from; null for what people made or changed
ALTER TABLE task ADD COLUMN suggested_from {text};
-- Of one kind, a lead has one suggestion that nobody has decided on, however many ask at once
CREATE UNIQUE INDEX task_undecided ON task (lead_id, suggestion_kind) WHERE source = 'AI_SUGGESTED' AND NOT completed;
-- What was suggested for a lead before
CREATE INDEX task_suggested ON task (lead_id, source, id) WHERE suggestion_kind IS NOT NULL;
-- What is to be done with a lead, by when it is due
CREATE INDEX task_open ON task (lead_id, due_date, id) WHERE source = 'MANUAL' AND NOT completed;
-- The statistics, without looking at the rows
CREATE INDEX task_suggestion_kind ON task (suggestion_kind, source, completed) WHERE suggestion_kind IS NOT NULL;
-- The last score of each lead that the scoring service told; the time in microseconds since 1970
CREATE TABLE score_view (
    lead_id integer PRIMARY KEY,
    version integer NOT NULL,
    score integer,
    band {text},
    at bigint NOT NULL
);
-- What was told before nobody tells again: a database that is in use already asks the owner, see `rebuild/fill.rs`
INSERT INTO counter (name, value) SELECT 'fill score.updated', 1
WHERE EXISTS (SELECT 1 FROM lead_view) OR EXISTS (SELECT 1 FROM bus_cursor);
