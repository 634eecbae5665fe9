#!/bin/sh
# Run by the container of PostgreSQL, once, when its volume is empty
set -eu
psql --no-psqlrc --quiet --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" --file /leadgraph/roles.sql
