DROP INDEX lead_status_rank;
