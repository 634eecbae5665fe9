DROP TABLE lead_score;
