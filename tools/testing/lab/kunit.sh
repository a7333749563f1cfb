#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: kunit.sh um|x86_64 [JSON-FILE]
#        kunit.sh um-of SOURCE BUILD-DIRECTORY KUNITCONFIG
#
# Run our KUnit suites with the kernel's own kunit.py: under User Mode Linux, or in
# the kernel that looks for mistakes meanwhile, in QEMU.  um-of takes any source, and
# leaves it as it is: the check of the series runs each of its steps so.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD
source=$BUILD/linux
config=$root/drivers/virtio/balloon/tests/.kunitconfig
json=${2:+--json=$2}

# A WARN fails the run, as KUnit alone takes no notice of one.
kunit()
{
	command=$1
	shift
	cd "$source"
	exec "${PYTHON:-/usr/bin/python3}" tools/testing/kunit/kunit.py "$command" \
		--kunitconfig="$config" --kernel_args=panic_on_warn=1 $json "$@"
}

kunit_um()
{
	kunit run --arch=um --build_dir="$1" --jobs="$(nproc)" \
		--kernel_args=time-travel=inf-cpu
}

# In both the clock jumps to the next timer instead of being waited for, so that a
# host which never answers costs no time; and there is one CPU, on which a task runs
# until it sleeps, so that a test may look at what others would change meanwhile.
# The limit is for a kernel that hangs: all cases take a tenth of it, more beside guests.
case "${1-}" in
um)
	sh "$here/tree.sh"
	kunit_um "$BUILD/kunit"
	;;
um-of)
	source=$2
	config=$4
	json=
	kunit_um "$3"
	;;
x86_64)
	sh "$here/kernel.sh" kunit
	kunit exec --arch=x86_64 --build_dir="$BUILD/kernel/kunit" --timeout=3600 \
		--kernel_args="preempt=none panic=-1" \
		--qemu_args="-accel tcg,thread=single -icount shift=1,sleep=off"
	;;
*)
	echo "usage: kunit.sh um|x86_64 [JSON-FILE]" >&2
	echo "       kunit.sh um-of SOURCE BUILD-DIRECTORY KUNITCONFIG" >&2
	exit 2
	;;
esac
