ALTER TABLE job ADD COLUMN traceparent {text};
