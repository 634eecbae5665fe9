-- The *_key columns hold text as it is compared (validate::fold), so that neither database needs
-- to know about case.
CREATE TABLE lead (
    id {serial},
    first_name {text} NOT NULL,
    first_name_key {text} NOT NULL,
    last_name {text} NOT NULL,
    last_name_key {text} NOT NULL,
    email {text} NOT NULL,
    email_key {text} NOT NULL,
    phone {text},
    budget bigint CHECK (budget BETWEEN 0 AND 9999999999),
    location {text},
    location_key {text},
    status varchar(16) NOT NULL CHECK (status IN ('NEW', 'CONTACTED', 'QUALIFIED', 'WON', 'LOST')),
    owner_id integer,
    version integer NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
CREATE UNIQUE INDEX lead_email ON lead (email_key);
-- One index for each order a list can have
CREATE INDEX lead_created_at ON lead (created_at, id);
CREATE INDEX lead_updated_at ON lead (updated_at, id);
CREATE INDEX lead_first_name ON lead (first_name_key, id);
CREATE INDEX lead_last_name ON lead (last_name_key, id);
CREATE INDEX lead_budget ON lead (budget, id);
CREATE INDEX lead_location ON lead (location_key, id);
-- The filters people use most, in the usual order
CREATE INDEX lead_status ON lead (status, created_at, id);
CREATE INDEX lead_owner ON lead (owner_id, created_at, id);
