ALTER TABLE lead_score DROP COLUMN score_calculated_at;
