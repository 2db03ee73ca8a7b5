#!/bin/sh
# test.sh NEEDS: all tests, with the parts named in NEEDS promised (comma separated).
# It starts a Docker Engine where none answers, and stops the one that it started.
set -eu
cd "$(dirname "$0")/.."
needs=$1

scripts/docker.sh start
trap 'scripts/docker.sh stop' EXIT INT TERM
make --no-print-directory check
export CONJURED_TEST_NEEDS="$needs"
# The packages' tests share one engine and two cores: a few at a time.
go test -timeout 20m -p 2 ./...
