DELETE FROM counter WHERE name = 'notification.sequence';
DROP INDEX notification_batch;
ALTER TABLE notification DROP COLUMN batch_id;
