DROP INDEX task_priority_rank;
