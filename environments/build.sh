# Runs inside the system image with the environment mount writable. Executes no code
# of any package: uv unpacks wheels, finish.py compiles them without importing any.
#
#   sh -c SCRIPT build MODE PYTHON UV WORK GENERATION PREVIOUS [UV-OPTION...]
#
# MODE is resolve, build, or both. Exit codes: 10 no manifest, 11 no interpreter,
# 12 not installed, 13 not compiled, 20 the manifest is the one in previous.txt.
set -eu
umask 022
mode=$1 python=$2 uv=$3 work=$4 gen=$5 prev=$6
shift 6
say() { printf 'conjured: %s\n' "$*"; }

"$python" -I -S -c 'import sys, os; print("conjured: python %d.%d linux-%s" % (*sys.version_info[:2], os.uname().machine))' || exit 11

if [ "$mode" != build ]; then
	say step resolve
	cd "$work"
	"$uv" pip compile --python "$python" --no-build --no-sources --generate-hashes \
		--no-header --no-annotate --quiet "$@" \
		-c constraints.txt -o lock.txt core.txt in.txt || exit 10
	[ "$mode" = both ] || exit 0
	if [ -f previous.txt ] && cmp -s previous.txt lock.txt; then exit 20; fi
fi

say step install
cd "$work"
"$uv" venv --quiet --no-project --allow-existing --python "$python" "$gen" || exit 11
"$uv" pip sync --python "$gen/bin/python" --require-hashes --no-build --no-sources \
	--link-mode hardlink "$@" lock.txt || exit 12

say step compile
"$python" -I -S "$work/finish.py" "$gen" "$prev" || exit 13
say step built
