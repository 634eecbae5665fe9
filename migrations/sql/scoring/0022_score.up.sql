-- From here on this is a narrow table of scores alone, whose rows are written often. The sum of points that halve as
-- time passes is `decayed_sum` as of `as_of` (microseconds since 1970); `rank` orders leads by it at any time, and is
-- below every other where the sum is nothing. `touched` counts what happened to the lead's interactions.
CREATE TABLE lead_summary (
    lead_id integer PRIMARY KEY,
    summary {text} NOT NULL,
    -- How often the lead had been touched when it was written; before the first time for those of unknown age
    touched integer NOT NULL,
    -- Who wrote it: a model's name, or the built-in rules
    written_by {text} NOT NULL,
    written_at {time} NOT NULL
);
INSERT INTO lead_summary (lead_id, summary, touched, written_by, written_at)
SELECT lead_id, summary, -1, 'unknown', coalesce(score_calculated_at, {now}) FROM lead_score WHERE summary IS NOT NULL;
DELETE FROM lead_score WHERE activity_score IS NULL;
-- The column `summary` stays for the version before, which may still run; the next release drops it
ALTER TABLE lead_score ADD COLUMN decayed_sum double precision NOT NULL DEFAULT 0 CHECK (decayed_sum >= 0);
ALTER TABLE lead_score ADD COLUMN as_of bigint NOT NULL DEFAULT 0;
ALTER TABLE lead_score ADD COLUMN drift double precision NOT NULL DEFAULT 0;
ALTER TABLE lead_score ADD COLUMN rank double precision NOT NULL DEFAULT -1e9;
ALTER TABLE lead_score ADD COLUMN touched integer NOT NULL DEFAULT 0;
ALTER TABLE lead_score ADD COLUMN fit integer NOT NULL DEFAULT 0 CHECK (fit BETWEEN 0 AND 100);
ALTER TABLE lead_score ADD COLUMN closed boolean NOT NULL DEFAULT false;
ALTER TABLE lead_score ADD COLUMN version integer NOT NULL DEFAULT 0;
ALTER TABLE lead_score ADD COLUMN previous_score integer;
-- Whatever calculated those that are there, it was not a model of ours
ALTER TABLE lead_score ADD COLUMN model_version {text} NOT NULL DEFAULT '0';
--postgres{
-- Room for new versions of rows beside the old ones, so that indexes need not be touched
ALTER TABLE lead_score SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
--}
CREATE INDEX lead_score_rank ON lead_score (rank DESC, lead_id);
CREATE INDEX lead_score_open_rank ON lead_score (rank DESC, lead_id) WHERE NOT closed;
-- The leads of a chunk, without looking at their rows
CREATE INDEX lead_view_there ON lead_view (id) WHERE removed_at IS NULL;
