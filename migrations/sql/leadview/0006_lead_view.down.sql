DROP TABLE lead_view;
