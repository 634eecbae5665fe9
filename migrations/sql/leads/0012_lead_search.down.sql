--postgres{
DROP INDEX lead_search;
ALTER TABLE lead DROP COLUMN search_key;
--}
--sqlite{
DROP TRIGGER lead_search_delete;
DROP TRIGGER lead_search_update;
DROP TRIGGER lead_search_insert;
DROP TABLE lead_search;
--}
