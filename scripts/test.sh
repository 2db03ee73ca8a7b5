#!/bin/sh
# test.sh NEEDS: all tests, with the parts named in NEEDS promised (comma separated).
# It starts a Docker Engine where none answers, and stops the one that it started.
set -eu
cd "$(dirname "$0")/.."
export CONJURED_TEST_NEEDS="$1,core-image"
# One way of building for the program, its tests and the linters: everything is compiled once.
export CGO_ENABLED=0

scripts/docker.sh start
trap 'scripts/docker.sh stop' EXIT INT TERM
scripts/check.sh

# The class from end to end comes first: its sealed image is what the hub's own tests run in.
go test -timeout 25m ./cmd/conjured
export CONJURED_TEST_IMAGE=conjured-test/class:latest
# The other packages share one engine and two cores: a few at a time.
go test -timeout 20m -p 2 $(go list ./... | grep -v /cmd/)
