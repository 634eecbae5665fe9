-- One row for each lead that has something; the lead itself belongs to another service.
CREATE TABLE lead_score (
    lead_id integer PRIMARY KEY,
    activity_score integer CHECK (activity_score BETWEEN 0 AND 100),
    summary {text}
);
