-- Statuses sort as the pipeline goes, not by the alphabet. The expression must be the one of the
-- query, to the letter.
CREATE INDEX lead_status_rank ON lead ((CASE status WHEN 'NEW' THEN 0 WHEN 'CONTACTED' THEN 1 WHEN 'QUALIFIED' THEN 2 WHEN 'WON' THEN 3 ELSE 4 END), id);
