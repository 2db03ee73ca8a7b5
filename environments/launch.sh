#!/bin/sh
# launch ENV@LABEL PROG [ARG...]
#
# Runs PROG of the environment generation that ENV@LABEL points at now. The label
# is resolved once: whoever started keeps the same packages after the label moved on.
# The shared lock on the generation's lease goes through exec to PROG and to nobody
# else we know of; while it is held the generation is not removed.
#
# Exit codes of our own: 64 wrong use, 69 no such generation, 127 no such program.
set -fu

die() {
	code=$1
	shift
	printf 'launch: %s\n' "$*" >&2
	exit "$code"
}

[ "$#" -ge 2 ] || die 64 'use: launch ENV@LABEL PROG [ARG...]'
ref=$1 prog=$2
shift 2
root=${CONJURED_ENV:-/opt/conjured/env}

case $ref in
*@*) env=${ref%%@*} label=${ref#*@} ;;
*) die 64 "use: launch ENV@LABEL PROG [ARG...]; $ref has no @" ;;
esac
for part in "$env" "$label"; do
	case $part in
	'' | .* | -* | */* | *@*) die 64 "$ref is not a name of the form ENV@LABEL" ;;
	esac
done
case $prog in
'' | . | .. | */*) die 64 "the program $prog must be a name without a slash" ;;
esac

# A label may move, and an unlabelled generation may be removed, between two of our
# lines: then look again. Somebody who keeps the lease locked for himself costs us a
# second, not the start: such a generation cannot be removed either.
tries=0
while :; do
	gen=$(readlink -f "$root/label/$env/$label" 2>/dev/null) || gen=
	if [ -n "$gen" ] && [ -f "$gen/ok" ] && [ -r "$gen/lease" ]; then
		exec 9<"$gen/lease"
		flock -s -w 1 9 || :
		[ -f "$gen/ok" ] && break
		exec 9<&-
	fi
	tries=$((tries + 1))
	[ "$tries" -lt 3 ] || die 69 "$ref: no finished packages here ($root/label/$env/$label). The class may still be preparing them: wait until it says it is ready, then try again."
done
[ -x "$gen/bin/$prog" ] && [ ! -d "$gen/bin/$prog" ] ||
	die 127 "$ref has no program $prog ($gen/bin/$prog)"

# The bin directories of other generations leave PATH: a kernel of today must not find
# yesterday's scripts through the server that started it.
base=${gen%/gen/*}
clean=
rest=${PATH:-/usr/local/bin:/usr/bin:/bin}:
while [ -n "$rest" ]; do
	dir=${rest%%:*} rest=${rest#*:}
	case $dir in
	'' | "$base"/gen/* | "$root"/gen/*) ;;
	*) clean=$clean:$dir ;;
	esac
done

# What says where we are is said of this generation alone: a conda prefix has its
# records in conda-meta, everything else is a virtual environment.
unset PYTHONHOME VIRTUAL_ENV CONDA_PREFIX CONDA_DEFAULT_ENV
if [ -d "$gen/conda-meta" ]; then
	export CONDA_PREFIX="$gen" CONDA_DEFAULT_ENV="$env"
else
	export VIRTUAL_ENV="$gen"
fi
export PATH="$gen/bin$clean" PYTHONNOUSERSITE=1

# From here on variables may come and go that have the names of ours.
case ${CONJURED_VARIABLES:-} in
*/../*) old= ;;
"$base"/gen/*/variables.txt | "$root"/gen/*/variables.txt) old=$CONJURED_VARIABLES ;;
*) old= ;;
esac
unset CONJURED_VARIABLES
set -- "$gen" "$clean" "$gen/bin/$prog" "$@"

# What the generation set that started this one goes, and what was there before is back.
conjured_nl='
'
if [ -n "$old" ]; then
	while IFS= read -r conjured_line; do
		case $conjured_line in
		-* | PATH=*) ;;
		*=*) unset -v "${conjured_line%%=*}" ;;
		esac
	done <"$old"
	IFS=$conjured_nl
	for conjured_line in $(/usr/bin/env); do
		case $conjured_line in
		CONJURED_WAS_[A-Za-z_]*=*)
			unset -v "${conjured_line%%=*}"
			export "${conjured_line#CONJURED_WAS_}"
			;;
		esac
	done
	unset IFS
fi

# Names and values were checked when the file was written.
if [ -f "$1/variables.txt" ]; then
	export CONJURED_VARIABLES="$1/variables.txt"
	conjured_names=' '
	while IFS= read -r conjured_line; do
		conjured_line=${conjured_line%%=*}
		conjured_names="$conjured_names${conjured_line#-} "
	done <"$CONJURED_VARIABLES"
	IFS=$conjured_nl
	for conjured_line in $(/usr/bin/env); do
		case $conjured_names in
		*" ${conjured_line%%=*} "*)
			case $conjured_line in
			PATH=*) ;;
			*=*) export "CONJURED_WAS_$conjured_line" ;;
			esac
			;;
		esac
	done
	unset IFS
	while IFS= read -r conjured_line; do
		case $conjured_line in
		PATH=*) PATH=$1/bin:${conjured_line#PATH=}$2 ;;
		-*) unset -v "${conjured_line#-}" ;;
		*) export "$conjured_line" ;;
		esac
	done <"$CONJURED_VARIABLES"
fi
shift 2
exec "$@"
