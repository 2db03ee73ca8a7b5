#!/bin/sh
# docker.sh start|stop: see that a Docker Engine answers.
# Where systemd (or anything else) supervises Docker it is asked to; where nothing
# does, dockerd is started here, its pid is kept, and `stop` ends that one only.
set -eu

run=/run/conjured-docker
pidfile=$run/dockerd.pid
log=$run/dockerd.log
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo

answers() { $sudo docker version >/dev/null 2>&1; }

# keep has containers outlive Docker, so that an update of it ends no lesson. A file
# that somebody wrote is left as it is; `conjured doctor` says what is missing in it.
keep() {
	[ -e /etc/docker/daemon.json ] && return
	$sudo mkdir -p /etc/docker
	echo '{"live-restore": true}' | $sudo tee /etc/docker/daemon.json >/dev/null
	$sudo systemctl reload docker 2>/dev/null || true # not started yet
}

start() {
	if [ -d /run/systemd/system ]; then
		keep
	fi
	answers && return
	launch || mend
}

# launch starts Docker once and waits until it answers. One that does not is ended.
launch() {
	if [ -d /run/systemd/system ]; then
		$sudo systemctl start docker || true
	else
		echo "Starting Docker (nothing supervises it on this machine)..."
		$sudo mkdir -p $run
		$sudo sh -c "PATH=\$PATH:/usr/sbin:/sbin; setsid nohup dockerd --live-restore ${DOCKER_DATA:+--data-root $DOCKER_DATA} >$log 2>&1 & echo \$! >$pidfile"
	fi
	for _ in $(seq 60); do
		answers && return
		[ ! -e $pidfile ] || $sudo kill -0 "$(cat $pidfile)" 2>/dev/null || break
		sleep 0.5
	done
	echo "Docker does not answer on /var/run/docker.sock. The end of $log:" >&2
	$sudo tail -n 15 $log >&2 || true
	stop
	return 1
}

# mend has the product's own repair put aside what keeps Docker from starting.
mend() {
	here=$(cd "$(dirname "$0")" && pwd)
	conjured=$here/../bin/conjured
	if [ ! -x "$conjured" ]; then
		conjured=$(mktemp)
		trap 'rm -f "$conjured"' EXIT
		(cd "$here/.." && CGO_ENABLED=0 go build -o "$conjured" ./cmd/conjured)
	fi
	echo "Mending Docker's store (conjured doctor --repair)..."
	if [ -d /run/systemd/system ]; then
		$sudo "$conjured" doctor --repair
	else
		$sudo env DOCKER_DATA="${DOCKER_DATA:-}" "$conjured" doctor --repair --docker-data "${DOCKER_DATA:-}" --docker-start "$here/docker.sh" --docker-start launch
	fi
}

# stop ends the one that was started here, and waits until it is gone.
stop() {
	[ -f $pidfile ] || return 0
	pid=$(cat $pidfile)
	$sudo kill "$pid" 2>/dev/null || true
	for _ in $(seq 100); do
		$sudo kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	$sudo rm -f $pidfile
}

case ${1:-} in
start | stop | launch) "$1" ;;
*)
	echo "docker.sh start|stop" >&2
	exit 2
	;;
esac
