-- Bulk work is told once, by whichever of its events comes first
ALTER TABLE notification ADD COLUMN batch_id {uuid};
CREATE UNIQUE INDEX notification_batch ON notification (batch_id) WHERE batch_id IS NOT NULL;
-- The next sequence follows the last one that was given. The row is there from the beginning, since
-- whoever makes a notification locks it
INSERT INTO counter (name, value)
SELECT 'notification.sequence', coalesce(max(sequence), 0) FROM notification;
