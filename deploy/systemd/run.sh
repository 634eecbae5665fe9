#!/bin/sh
# leadgraph-run PROGRAM [ARGUMENT..]: a program of Leadgraph as systemd would start it, which is as the user leadgraph and
# with the variables of /etc/leadgraph: leadgraph-run leadgraph events status, leadgraph-run accounts keys rotate
#
# A program with a folder in its name is that one; else it is the current release's. It runs as root.
set -eu
if [ $# = 0 ]; then
    echo "usage: leadgraph-run PROGRAM [ARGUMENT..], such as: leadgraph-run leadgraph events status" >&2
    exit 2
fi
case $1 in
*/*) program=$1 ;;
*) program=/opt/leadgraph/current/bin/$1 ;;
esac
name=$(basename "$1")
shift
# systemd reads the files itself: their syntax is not quite the shell's
set -- "$program" "$@"
case $name in
leadgraph) files="accounts leads interactions tasks scoring notifications" ;;
*) files=$name ;;
esac
for file in $files; do
    set -- "--property=EnvironmentFile=/etc/leadgraph/$file.env" "$@"
done
exec systemd-run --quiet --collect --pipe --wait --uid=leadgraph --gid=leadgraph --property=UMask=0077 \
    --property=EnvironmentFile=/etc/leadgraph/leadgraph.env "$@"
