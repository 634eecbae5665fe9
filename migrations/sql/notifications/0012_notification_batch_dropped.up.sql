-- That bulk work is told once is held by a counter named after the batch
DROP INDEX notification_batch;
ALTER TABLE notification DROP COLUMN batch_id;
