-- Substring search: trigrams on both databases. The full name and the e-mail stand on lines of
-- their own, so that nothing matches across them.
--postgres{
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
ALTER TABLE lead ADD COLUMN search_key text COLLATE "C" NOT NULL
    GENERATED ALWAYS AS (first_name_key || ' ' || last_name_key || chr(10) || email_key) STORED;
CREATE INDEX lead_search ON lead USING gin (search_key public.gin_trgm_ops);
--}
--sqlite{
CREATE VIRTUAL TABLE lead_search USING fts5 (search_key, tokenize = 'trigram case_sensitive 1', detail = 'full');
INSERT INTO lead_search (rowid, search_key)
    SELECT id, first_name_key || ' ' || last_name_key || char(10) || email_key FROM lead;
CREATE TRIGGER lead_search_insert AFTER INSERT ON lead BEGIN
    INSERT INTO lead_search (rowid, search_key)
        VALUES (new.id, new.first_name_key || ' ' || new.last_name_key || char(10) || new.email_key);
END;
CREATE TRIGGER lead_search_update AFTER UPDATE OF first_name_key, last_name_key, email_key ON lead BEGIN
    UPDATE lead_search SET search_key = new.first_name_key || ' ' || new.last_name_key || char(10) || new.email_key
        WHERE rowid = new.id;
END;
CREATE TRIGGER lead_search_delete AFTER DELETE ON lead BEGIN
    DELETE FROM lead_search WHERE rowid = old.id;
END;
--}
