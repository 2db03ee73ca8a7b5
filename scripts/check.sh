#!/bin/sh
# check.sh: everything about the source that needs no engine: format, vet, linters,
# and the Python files' types. Linters are pinned in tools/go.mod and tools/python.txt.
set -eu
cd "$(dirname "$0")/.."
py=$PWD/.cache/py/bin

ugly=$(git ls-files -z '*.go' | xargs -0 go tool -modfile=tools/go.mod gofumpt -l)
[ -z "$ugly" ] || { printf 'gofumpt would change:\n%s\n' "$ugly" >&2; exit 1; }
go vet ./...
go tool -modfile=tools/go.mod staticcheck ./...
# A receive that only waits for a goroutine's end is no call whose error is dropped.
dropped=$(go tool -modfile=tools/go.mod errcheck -ignoretests -exclude tools/errcheck.txt ./... | grep -v '<-' || true)
[ -z "$dropped" ] || { printf 'errors dropped:\n%s\n' "$dropped" >&2; exit 1; }

# From its own folder, where pyproject.toml says what the tests may do.
cd hub/python
"$py/ruff" check --quiet .
"$py/ruff" format --check --quiet .
"$py/mypy" conjured_hub conjured_server
"$py/ruff" check --quiet --isolated --select E,F,W,B --line-length 130 ../../environments/build ../../environments/verify.py ../../environments/activate.py ../../layers/image ../../internal/condatest
"$py/mypy" ../../environments/build/*.py
"$py/mypy" ../../environments/verify.py
"$py/mypy" ../../environments/activate.py
"$py/mypy" ../../internal/condatest/pack.py
"$py/python" -m pytest -q -p no:cacheprovider
