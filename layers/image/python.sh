#!/bin/sh
# python.sh: print the Python the class is made with: Debian's own, else one that the
# base image brings (conda's, say). 3.11 is the oldest that the locks are made for.
set -eu
for python in /usr/bin/python3 "$(command -v python3 || true)" /opt/conda/bin/python3 /usr/local/bin/python3; do
	if [ -x "$python" ] && "$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
		echo "$python"
		exit 0
	fi
done
echo "conjured: base-python-too-old $(python3 -V 2>&1 || echo none)" >&2
exit 1
