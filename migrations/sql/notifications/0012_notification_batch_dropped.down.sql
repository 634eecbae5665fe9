ALTER TABLE notification ADD COLUMN batch_id {uuid};
CREATE UNIQUE INDEX notification_batch ON notification (batch_id) WHERE batch_id IS NOT NULL;
