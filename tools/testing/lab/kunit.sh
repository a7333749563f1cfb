#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: kunit.sh um|x86_64 [JSON-FILE]
#
# Run our KUnit suites with the kernel's own kunit.py: under User Mode Linux, or in
# the kernel that looks for mistakes meanwhile, in QEMU.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD
arch=${1-}
json=${2:+--json=$2}

# A WARN fails the run, as KUnit alone takes no notice of one.
kunit()
{
	command=$1
	shift
	cd "$BUILD/linux"
	exec "${PYTHON:-/usr/bin/python3}" tools/testing/kunit/kunit.py "$command" \
		--kunitconfig="$root/drivers/virtio/balloon/tests/.kunitconfig" \
		--arch="$arch" --kernel_args=panic_on_warn=1 $json "$@"
}

# In both the clock jumps to the next timer instead of being waited for, so that a
# host which never answers costs no time; and there is one CPU, on which a task runs
# until it sleeps, so that a test may look at what others would change meanwhile.
# The limit is for a kernel that hangs: all cases take a tenth of it, more beside guests.
case "$arch" in
um)
	sh "$here/tree.sh"
	kunit run --build_dir="$BUILD/kunit" --jobs="$(nproc)" \
		--kernel_args=time-travel=inf-cpu
	;;
x86_64)
	sh "$here/kernel.sh" kunit
	kunit exec --build_dir="$BUILD/kernel/kunit" --timeout=3600 \
		--kernel_args="preempt=none panic=-1" \
		--qemu_args="-accel tcg,thread=single -icount shift=1,sleep=off"
	;;
*)
	echo "usage: kunit.sh um|x86_64 [JSON-FILE]" >&2
	exit 2
	;;
esac
