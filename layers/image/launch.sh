#!/bin/sh
# launch ENV@LABEL PROG ARGS...: run PROG from the generation that LABEL names now.
# The label is resolved once and a shared lock is held on that generation for as
# long as PROG runs, so a new generation never changes what a running kernel sees
# and the old one is not removed under it.
set -eu
spec=$1 prog=$2
shift 2
root=${CONJURED_ENV:-/opt/conjured/env}
gen=$(readlink -f "$root/label/${spec%@*}/${spec#*@}")
if [ ! -x "$gen/bin/$prog" ]; then
	echo "launch: $spec has no $prog" >&2
	exit 127
fi
export VIRTUAL_ENV="$gen" PATH="$gen/bin:$PATH" PYTHONNOUSERSITE=1
# A sealed image has no lease file; nothing is ever removed from it.
[ ! -r "$gen/lease" ] || exec 9<"$gen/lease"
[ ! -r "$gen/lease" ] || flock --shared --nonblock 9
exec "$gen/bin/$prog" "$@"
