DELETE FROM counter WHERE name = 'fill score.updated';
DROP TABLE score_view;
DROP INDEX task_suggestion_kind;
DROP INDEX task_open;
DROP INDEX task_suggested;
DROP INDEX task_undecided;
ALTER TABLE task DROP COLUMN suggested_from;
