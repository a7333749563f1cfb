#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: modules_install.sh DIRECTORY KDIR [DESTDIR]
#
# Install the module that modules.sh built in DIRECTORY under updates/, where
# depmod's default search order prefers it to the kernel's own.

set -eu

directory=$1
kdir=$2
destdir=${3-}
PATH=$PATH:/usr/sbin:/sbin

die()
{
	echo "error: $*" >&2
	exit 1
}

release=$(cat "$kdir/include/config/kernel.release" 2>/dev/null) ||
	die "$kdir does not say which kernel it is for: configure that kernel first"
target=$destdir/lib/modules/$release
mkdir -p "$target/updates" 2>/dev/null && [ -w "$target/updates" ] ||
	die "$target cannot be written: run this as root, or set DESTDIR="
install -m 644 "$directory/virtio_balloon.ko" "$target/updates/"
# Below another root depmod misses the kernel's own lists, and says so.
depmod ${destdir:+-b "$destdir"} "$release"
echo "installed $target/updates/virtio_balloon.ko"
