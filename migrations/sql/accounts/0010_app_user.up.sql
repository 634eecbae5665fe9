-- Not "user": that word is reserved in Postgres. email_key holds the e-mail as it is compared
-- (validate::fold), so that neither database needs to know about case.
CREATE TABLE app_user (
    id {serial},
    email {text} NOT NULL,
    email_key {text} NOT NULL,
    name {text},
    role varchar(16) NOT NULL CHECK (role IN ('SALES_REP', 'MANAGER', 'ADMIN')),
    active boolean NOT NULL,
    password_hash {text} NOT NULL,
    version integer NOT NULL,
    created_at {time} NOT NULL,
    updated_at {time} NOT NULL
);
CREATE UNIQUE INDEX app_user_email ON app_user (email_key);
