#!/bin/sh
# seed.sh STATE CUSTOM: on a first start, make the tree of the built-in base while the
# program is being compiled. layers takes it in place of running debootstrap itself.
# It is only quicker: whatever fails here is done again there, with words for people.
set -eu

images=$1/images suite=trixie
[ -d "$images" ] || [ -e "$2/base.Dockerfile" ] && exit 0
PATH=$PATH:/usr/sbin:/sbin
umask 077
mkdir -p "$images"
tree=$images/tmp-seed
mirror=$(sed -n 's/^URIs: *\([^ ]*\/debian\) *$/\1/p; s/^deb  *\(\[[^]]*\]  *\)\{0,1\}\([^ ]*\/debian\) .*/\2/p' \
	/etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
umask 022
if LC_ALL=C unshare -m debootstrap --variant=minbase "$suite" "$tree" "${mirror:-http://deb.debian.org/debian}" >/dev/null 2>&1; then
	mv "$tree" "$images/seed-$suite"
else
	rm -rf --one-file-system "$tree"
fi
