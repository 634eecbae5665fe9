DROP INDEX lead_view_there;
DROP INDEX lead_score_open_rank;
DROP INDEX lead_score_rank;
--postgres{
ALTER TABLE lead_score RESET (fillfactor, autovacuum_vacuum_scale_factor);
--}
ALTER TABLE lead_score DROP COLUMN model_version;
ALTER TABLE lead_score DROP COLUMN previous_score;
ALTER TABLE lead_score DROP COLUMN version;
ALTER TABLE lead_score DROP COLUMN closed;
ALTER TABLE lead_score DROP COLUMN fit;
ALTER TABLE lead_score DROP COLUMN touched;
ALTER TABLE lead_score DROP COLUMN rank;
ALTER TABLE lead_score DROP COLUMN drift;
ALTER TABLE lead_score DROP COLUMN as_of;
ALTER TABLE lead_score DROP COLUMN decayed_sum;
INSERT INTO lead_score (lead_id, summary) SELECT lead_id, summary FROM lead_summary WHERE true
ON CONFLICT (lead_id) DO UPDATE SET summary = excluded.summary;
DROP TABLE lead_summary;
