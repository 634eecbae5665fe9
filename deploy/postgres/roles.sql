-- A role and a schema for each service, and nothing for anybody else. May be run again, and then sets the passwords
-- to what they are to be. It runs as a superuser, with the passwords in the environment:
--
--   ACCOUNTS_DB_PASSWORD=... LEADS_DB_PASSWORD=... psql -X -d leadgraph -f deploy/postgres/roles.sql

\set ON_ERROR_STOP on

\getenv accounts_password ACCOUNTS_DB_PASSWORD
\getenv leads_password LEADS_DB_PASSWORD
\getenv interactions_password INTERACTIONS_DB_PASSWORD
\getenv tasks_password TASKS_DB_PASSWORD
\getenv scoring_password SCORING_DB_PASSWORD
\getenv notifications_password NOTIFICATIONS_DB_PASSWORD
-- In containers, where it has one
\getenv superuser_password POSTGRES_PASSWORD

BEGIN;

REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
-- Search for parts of words, in leads
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;

SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['accounts', 'leads', 'interactions', 'tasks', 'scoring', 'notifications']) AS service (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE accounts PASSWORD :'accounts_password';
ALTER ROLE leads PASSWORD :'leads_password';
ALTER ROLE interactions PASSWORD :'interactions_password';
ALTER ROLE tasks PASSWORD :'tasks_password';
ALTER ROLE scoring PASSWORD :'scoring_password';
ALTER ROLE notifications PASSWORD :'notifications_password';
\if :{?superuser_password}
ALTER ROLE CURRENT_USER PASSWORD :'superuser_password';
\endif

GRANT CONNECT ON DATABASE :"DBNAME" TO accounts, leads, interactions, tasks, scoring, notifications;

CREATE SCHEMA IF NOT EXISTS accounts AUTHORIZATION accounts;
CREATE SCHEMA IF NOT EXISTS leads AUTHORIZATION leads;
CREATE SCHEMA IF NOT EXISTS interactions AUTHORIZATION interactions;
CREATE SCHEMA IF NOT EXISTS tasks AUTHORIZATION tasks;
CREATE SCHEMA IF NOT EXISTS scoring AUTHORIZATION scoring;
CREATE SCHEMA IF NOT EXISTS notifications AUTHORIZATION notifications;

COMMIT;
