-- What the interactions service told of each interaction; times in microseconds since 1970, so that both databases
-- calculate with them alike. One that was removed belongs to no lead any more
CREATE TABLE interaction_view (
    id integer PRIMARY KEY,
    version integer NOT NULL,
    lead_id integer,
    kind varchar(16) NOT NULL,
    at bigint NOT NULL,
    notes {text},
    CHECK (lead_id IS NOT NULL OR notes IS NULL)
);
-- The newest of each kind with a lead, and all that a score is made of, without looking at the rows
CREATE INDEX interaction_view_lead ON interaction_view (lead_id, kind, at, id);
-- What was told before nobody tells again: a database that is in use already asks the owners, see `rebuild/fill.rs`
INSERT INTO counter (name, value) SELECT 'fill interaction.updated', 1
WHERE EXISTS (SELECT 1 FROM bus_cursor) OR EXISTS (SELECT 1 FROM lead_view) OR EXISTS (SELECT 1 FROM audit_log);
