#!/bin/sh
# check.sh: everything about the source that needs no engine: format, vet, linters,
# and the Python files' types. Linters are pinned in tools/go.mod and tools/python.txt.
set -eu
cd "$(dirname "$0")/.."
py=.cache/py/bin

ugly=$(git ls-files -z '*.go' | xargs -0 go tool -modfile=tools/go.mod gofumpt -l)
[ -z "$ugly" ] || { printf 'gofumpt would change:\n%s\n' "$ugly" >&2; exit 1; }
go vet ./...
go tool -modfile=tools/go.mod staticcheck ./...
go tool -modfile=tools/go.mod errcheck -ignoretests -exclude tools/errcheck.txt ./...

$py/ruff check --quiet hub/python
$py/ruff format --check --quiet hub/python
$py/mypy --config-file hub/python/pyproject.toml hub/python/conjured_hub
