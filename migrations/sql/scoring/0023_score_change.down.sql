DROP TABLE score_change;
