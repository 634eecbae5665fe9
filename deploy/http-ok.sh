#!/usr/bin/env bash
# Succeeds when a GET is answered with 200: http-ok.sh HOST PORT PATH. For containers with neither curl nor wget
set -euo pipefail
exec 3<>"/dev/tcp/$1/$2"
printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$3" "$1" >&3
read -r _ status _ <&3
[ "$status" = 200 ]
