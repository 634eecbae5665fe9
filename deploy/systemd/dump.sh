#!/bin/sh
# dump.sh FOLDER: a backup in a folder of it that is named after the day. What is older than two weeks goes, once the
# new one is complete. It runs as root, and as the user postgres what asks PostgreSQL.
set -eu
umask 077
# A folder that the user postgres may be in, too
cd /
folder=$1
today=$folder/$(date +%F)
partial=$today.partial
rm -rf "$partial"
mkdir "$partial"
runuser -u postgres -- pg_dumpall --roles-only >"$partial/roles.sql"
runuser -u postgres -- pg_dump --format=custom leadgraph >"$partial/leadgraph.dump"
# All of it can be read
pg_restore --file=/dev/null "$partial/leadgraph.dump"
cp -R /etc/leadgraph "$partial/etc"
cp /var/lib/leadgraph/jwt-signing-key.pem "$partial/"
sync
rm -rf "$today"
mv "$partial" "$today"
sync "$folder"
find "$folder" -mindepth 1 -maxdepth 1 -type d -name '????-??-??' -mtime +14 -exec rm -r {} +
