-- When a score was calculated was not kept before: now is the earliest time that is known to be
-- late enough. What has no score was never calculated.
ALTER TABLE lead_score ADD COLUMN score_calculated_at {time};
UPDATE lead_score SET score_calculated_at = {now} WHERE activity_score IS NOT NULL;
