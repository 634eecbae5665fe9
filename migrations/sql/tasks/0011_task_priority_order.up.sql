-- Priorities sort by weight, not by the alphabet. The expression must be the one of the query, to
-- the letter.
CREATE INDEX task_priority_rank ON task ((CASE priority WHEN 'LOW' THEN 0 WHEN 'MEDIUM' THEN 1 WHEN 'HIGH' THEN 2 END), id);
