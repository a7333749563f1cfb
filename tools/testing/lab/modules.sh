#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: modules.sh DIRECTORY KDIR [MAKE-ARGUMENT...]
#
# Build the module in DIRECTORY, against the kernel headers in KDIR.  DIRECTORY
# becomes a mirror of the sources, made of symbolic links, so that what the
# kernel's build leaves beside each source never lands in the source tree.

set -eu

SOURCES="drivers include mm Kbuild"

die()
{
	echo "error: $*" >&2
	exit 1
}

[ $# -ge 2 ] || die "usage: modules.sh DIRECTORY KDIR [MAKE-ARGUMENT...]"
mirror=$1
kdir=$2
shift 2
[ -e "$kdir/Makefile" ] ||
	die "no kernel headers in '$kdir': apt install linux-headers-6.12-cloud-amd64, or set KDIR="
root=$(cd "$(dirname "$0")/../../.." && pwd)

# Two at once would spoil each other's.
mkdir -p "$(dirname "$mirror")"
exec 9>"$mirror.lock"
flock 9

# Objects of another kernel are no use: start again.
[ "$(cat "$mirror/.kdir" 2>/dev/null)" = "$(realpath "$kdir")" ] || rm -rf "$mirror"
mkdir -p "$mirror"
realpath "$kdir" >"$mirror/.kdir"
mirror=$(cd "$mirror" && pwd)

for source in $SOURCES; do
	cp -as --force "$root/$source" "$mirror/"
done
find "$mirror" -xtype l -delete

make -C "$kdir" M="$mirror" "$@" modules
[ -e "$mirror/virtio_balloon.ko" ] ||
	die "the build left no $mirror/virtio_balloon.ko: check Kbuild"
