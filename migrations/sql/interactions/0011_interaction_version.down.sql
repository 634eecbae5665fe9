ALTER TABLE interaction DROP COLUMN version;
