#!/bin/sh
# deps.sh [test]: install what is missing on a Debian machine, and nothing else.
# It is idempotent, and quick when everything is there.
#   run:  Docker Engine, debootstrap (a base image without a registry), git
#   test: also Chromium (browser stories) and Python (checks of our Python files)
set -eu

want="docker.io:dockerd debootstrap:debootstrap iptables:iptables git:git ca-certificates:update-ca-certificates"
[ "${1:-run}" = test ] && want="$want chromium:chromium python3:python3 python3-venv:/usr/share/doc/python3-venv gcc:gcc libc6-dev:/usr/include/stdlib.h"

missing=""
for pair in $want; do
	package=${pair%%:*} proof=${pair#*:}
	case $proof in
	/*) [ -e "$proof" ] || missing="$missing $package" ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$proof" >/dev/null 2>&1 || missing="$missing $package" ;;
	esac
done
# Debian 13 keeps the client in a package of its own; in Debian 12 it is part of docker.io.
if ! command -v docker >/dev/null 2>&1 && apt-cache show docker-cli >/dev/null 2>&1; then
	missing="$missing docker-cli"
fi
[ -z "$missing" ] && exit 0

sudo=""
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || {
		echo "These Debian packages are missing:$missing" >&2
		echo "Installing them needs root: run make as root, or install sudo." >&2
		exit 1
	}
	sudo=sudo
fi
command -v apt-get >/dev/null 2>&1 || {
	echo "These Debian packages are missing:$missing" >&2
	echo "This machine has no apt-get: install their counterparts by hand, then run make again." >&2
	exit 1
}
echo "Installing$missing (once)..."
# The packages' own start-up scripts must not start services here: scripts/docker.sh does.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # the list is ours and has to be split
$sudo env DEBIAN_FRONTEND=noninteractive sh -c '
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh $missing >"$log" 2>&1 || {
	tail -n 20 "$log" >&2
	echo "apt-get could not install:$missing" >&2
	exit 1
}
