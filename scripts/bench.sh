#!/bin/sh
# bench.sh: measure a class beside stock JupyterHub, into doc/benchmarks.md.
# Where no Docker Engine answers, one is started with an empty data directory, so that
# the first start is from nothing.
set -eu
cd "$(dirname "$0")/.."
peer=$PWD/.cache/bench

command -v npm >/dev/null 2>&1 || apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null
if [ ! -x "$peer/venv/bin/jupyterhub" ]; then
	echo "Installing stock JupyterHub to measure against (once)..."
	mkdir -p "$peer"
	python3 -m venv "$peer/venv"
	"$peer/venv/bin/pip" install --quiet --disable-pip-version-check jupyterhub jupyterlab notebook ipykernel
fi
[ -d "$peer/node_modules/configurable-http-proxy" ] || npm install --silent --no-fund --no-audit --prefix "$peer" configurable-http-proxy
# nginx and caddy are only unpacked: installed they would start by themselves.
for program in nginx caddy; do
	[ -e "$peer/$program.deb" ] || (cd "$peer" && apt-get download -qq "$program" 2>/dev/null && mv "$program"_*.deb "$program.deb" &&
		dpkg -x "$program.deb" root) || echo "$program is not to be had here and not measured."
done
ln -sf "$PWD/bin/conjured" "$peer/configurable-http-proxy"

engine=""
if docker version >/dev/null 2>&1; then
	engine=", an engine with whatever it had built before"
else
	DOCKER_DATA=$(mktemp -d /var/tmp/conjured-bench-XXXXXX)
	export DOCKER_DATA
	trap 'scripts/docker.sh stop; sleep 2; rm -rf "$DOCKER_DATA"' EXIT INT TERM
	scripts/docker.sh start
	engine=", an engine with nothing in it"
fi
CONJURED_BENCH=$PWD/doc/benchmarks.md CONJURED_BENCH_PEER=$peer CONJURED_BENCH_ENGINE=$engine CONJURED_TEST_NEEDS=docker,root,debootstrap \
	go test ./cmd/conjured -run '^TestMeasure$' -count=1 -timeout 40m -v
CONJURED_BENCH_ENVIRONMENTS=$peer/environments.md CONJURED_TEST_NEEDS=docker,root,debootstrap \
	go test ./cmd/conjured -run '^TestMeasureEnvironments$' -count=1 -timeout 40m -v
cat "$peer/environments.md" >>doc/benchmarks.md
CONJURED_BENCH_DOOR=$peer/door.md CONJURED_BENCH_PEER=$peer go test ./gateway -run '^TestMeasureDoor$' -count=1 -timeout 20m -v
cat "$peer/door.md" >>doc/benchmarks.md
go test ./gateway ./users ./custom ./environments -run '^$' -bench . -benchtime 1s | tee .cache/bench/packages.txt
