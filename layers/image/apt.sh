#!/bin/sh
# apt.sh core|FILE: install the core's own packages, or those that FILE lists one a
# line (name or name=version). Names come from a teacher's file: they are checked
# here as well and reach apt-get as arguments after "--", never through a shell.
# What the daemon looks for in the output: lines that start with "conjured:".
set -eu
export DEBIAN_FRONTEND=noninteractive
ca=/run/secrets/ca
conf=${TMPDIR:-/tmp}/conjured-apt.$$.conf
list=${TMPDIR:-/tmp}/conjured-apt.$$.list
trap 'rm -f "$list" "$conf"' EXIT
cat >"$conf" <<-END
	Acquire::Retries "2";
	Acquire::http::Timeout "20";
	APT::Update::Error-Mode "any";
	Dpkg::Use-Pty "0";
	Dpkg::Lock::Timeout "60";
END
[ ! -s "$ca" ] || echo "Acquire::https::CAInfo \"$ca\";" >>"$conf"
export APT_CONFIG="$conf"
here=$(dirname "$0")
# What the image has now, for the history and for having it again: see aptmanifest.py.
manifest() {
	"$(sh "$here/python.sh")" -I "$here/aptmanifest.py" "$here/apt.manifest"
}
recommends=--install-recommends
if [ "$1" = core ]; then
	recommends=--no-install-recommends
	printf '%s\n' python3 ca-certificates git wget bzip2 tini >"$list"
else
	# Comments, blanks and carriage returns go; what is left is one package a line.
	sed 's/\r$//; s/#.*//; s/^[[:space:]]*//; s/[[:space:]]*$//; /^$/d' "$1" >"$list"
fi
if [ ! -s "$list" ]; then
	exit 0
fi
if grep -nvE '^[a-z0-9][a-z0-9+.-]*(:[a-z0-9-]+)?(=[A-Za-z0-9.+:~-]+)?$' "$list"; then
	echo "conjured: apt-bad-name"
	exit 1
fi
if [ "$1" = core ] && xargs -d '\n' -a "$list" dpkg -s >/dev/null 2>&1; then
	manifest # a base that brings them all needs no network
	exit 0
fi
updated=yes
apt-get -qq update || updated=no
if ! xargs -d '\n' -a "$list" apt-get -yq "$recommends" install --; then
	[ $updated = yes ] || echo "conjured: apt-unreachable"
	exit 1
fi
manifest
