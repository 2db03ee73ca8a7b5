#!/bin/sh
# /conda.sh CMD ARGS...         runs conda, from the PATH or from /opt/conda
# /conda.sh path_exec X ARGS... runs X with the class's programs first on the PATH
# Kept for images and srv files written for Conjuring. Where there is no conda the
# class's own environment takes its place in the second form.
set -eu
conda=$(command -v conda || true)
[ -n "$conda" ] || [ ! -x /opt/conda/bin/conda ] || conda=/opt/conda/bin/conda
if [ $# -gt 1 ] && [ "$1" = path_exec ]; then
	shift
	if [ -n "$conda" ]; then
		PATH="$("$conda" info --base)/bin:$PATH"
	else
		PATH=/opt/conjured/hub/bin:$PATH
		for dir in /opt/conjured/lab/bin /opt/conjured/env/label/base/current/bin; do
			[ ! -d "$dir" ] || PATH="$dir:$PATH"
		done
	fi
	export PATH
	exec "$@"
fi
if [ -z "$conda" ]; then
	echo "conda.sh: there is no conda in this image; packages come from requirements.txt" >&2
	exit 127
fi
exec "$conda" "$@"
