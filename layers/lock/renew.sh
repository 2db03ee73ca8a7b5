#!/bin/sh
# renew.sh: make hub.txt, lab.txt, rattler.txt and uv.txt anew from their .in files (`make lock`).
# The versions we name stay; what they depend on moves to the newest that fits.
# Needs uv on the PATH, or in $UV.
set -eu
cd "$(dirname "$0")"
uv=${UV:-uv}
for set in hub lab rattler uv; do
	# 3.11 is Debian 12's Python: one lock for it and everything newer.
	"$uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-annotate --custom-compile-command "make lock" -o "$set.txt" "$set.in"
done
