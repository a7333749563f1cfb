#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: kernel.sh NAME
#
# Bring $BUILD/kernel/NAME up to date: a small x86-64 kernel for the tests' guest,
# our driver its module, from the patched source and the configuration fragments
# configs/guest.config and configs/NAME.config.

set -eu

die()
{
	echo "error: $*" >&2
	exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
[ $# -eq 1 ] && [ "$1" != guest ] && [ -e "$here/configs/$1.config" ] ||
	die "usage: kernel.sh NAME, for one of configs/NAME.config"
mkdir -p "${BUILD:-$root/build}/kernel"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD
name=$1
out=$BUILD/kernel/$name
log=$out.log
PATH=$PATH:/usr/sbin:/sbin	# depmod's place
unset MAKEFLAGS MFLAGS MAKELEVEL	# of a make that may have started us

kmake()
{
	nice make -C "$BUILD/linux" ARCH=x86_64 O="$out" -j"$(nproc)" \
		${ccache:+"CC=ccache gcc"} "$@"
}

# Kconfig drops what depends on something that is off without a word.
check_config()
{
	grep '^CONFIG' "$out/fragment" | while read -r line; do
		grep -qxF "$line" "$out/.config" ||
			die "configs/: $line does not come to pass: name what it depends on"
	done
}

# Joined by &&: "set -e" is without effect where the caller tests the result.
build()
{
	mkdir -p "$out" &&
	cat "$here/configs/guest.config" "$here/configs/$name.config" >"$out/fragment" &&
	kmake KCONFIG_ALLCONFIG="$out/fragment" allnoconfig &&
	check_config &&
	kmake bzImage modules &&
	kmake INSTALL_MOD_PATH="$out/install" modules_install
}

ccache=$(command -v ccache || true)
# Two at once would spoil each other's.
exec 9>"$out.lock"
flock 9
sh "$here/tree.sh"
[ -e "$out/vmlinux" ] || echo "building kernel $name (some minutes the first time)"
if ! build >"$log" 2>&1; then
	tail -n 40 "$log"
	die "kernel $name does not build: see above, all of it is in $log"
fi
echo "kernel $name: $(cat "$out/include/config/kernel.release")"
