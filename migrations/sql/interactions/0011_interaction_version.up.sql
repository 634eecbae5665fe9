-- Grows by one with each change; those that are there already begin with the first
ALTER TABLE interaction ADD COLUMN version integer NOT NULL DEFAULT 1;
