#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: kernel.sh NAME
#
# Bring $BUILD/kernel/NAME up to date: a small kernel for the tests' guest, from the
# patched source and the fragments of configs/ that make up NAME. Our driver is a
# module in all but one, which is for KUnit.

set -eu

die()
{
	echo "error: $*" >&2
	exit 1
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
case "${1-}" in
debug)	fragments="guest debug kasan" alike=kunit ;;
kunit)	fragments="guest debug kasan kunit" alike=debug ;;
kcsan)	fragments="guest debug kcsan" alike=none ;;
bench)	fragments="guest bench" alike=none ;;
*)	die "usage: kernel.sh debug|kunit|kcsan|bench" ;;
esac
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

# A later fragment may say otherwise than an earlier one. Nothing else may: Kconfig
# drops what depends on something that is off without a word.
check_config()
{
	tac "$out/fragment" | grep '^CONFIG' | sort -u -s -t= -k1,1 |
	sed 's/^\(.*\)=n$/# \1 is not set/' | while read -r line; do
		grep -qxF "$line" "$out/.config" ||
			die "configs/: $line does not come to pass: name what it depends on"
	done
}

# Most objects of a kernel that differs by a few options are what they would be here.
# objtool would be made again, though, and all objects after it: its makefiles keep
# in mind in which directory it was made.
start_from_alike()
{
	[ ! -e "$out/vmlinux" ] && [ -e "$BUILD/kernel/$alike/vmlinux" ] || return 0
	rm -rf "$out" &&
	cp -a "$BUILD/kernel/$alike" "$out" &&
	find "$out/tools" -name '.*.cmd' \
		-exec sed -i "s|$BUILD/kernel/$alike/|$out/|g" {} +
}

# Joined by &&: "set -e" is without effect where the caller tests the result.
build()
{
	start_from_alike &&
	mkdir -p "$out" &&
	for fragment in $fragments; do
		cat "$here/configs/$fragment.config"
	done >"$out/fragment" &&
	kmake KCONFIG_ALLCONFIG="$out/fragment" allnoconfig &&
	check_config &&
	kmake bzImage modules &&
	kmake INSTALL_MOD_PATH="$out/install" modules_install
}

ccache=$(command -v ccache || true)
# Two at once would spoil each other's, or each do what the other does.
exec 9>"$BUILD/kernel.lock"
flock 9
sh "$here/tree.sh"
[ -e "$out/vmlinux" ] || echo "building kernel $name (some minutes the first time)"
if ! build >"$log" 2>&1; then
	tail -n 40 "$log"
	die "kernel $name does not build: see above, all of it is in $log"
fi
echo "kernel $name: $(cat "$out/include/config/kernel.release")"
