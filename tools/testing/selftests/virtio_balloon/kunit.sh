#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: kunit.sh [JSON-FILE]
#
# Run our KUnit suites under User Mode Linux, with the kernel's own kunit.py.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD

sh "$here/tree.sh"
cd "$BUILD/linux"
# The clock jumps to the next timer instead of being waited for, so that a host
# which never answers costs no time; and a WARN fails the run, as KUnit alone
# takes no notice of one.
exec "${PYTHON:-/usr/bin/python3}" tools/testing/kunit/kunit.py run \
	--kunitconfig="$root/drivers/virtio/balloon/tests/.kunitconfig" \
	--build_dir="$BUILD/kunit" --jobs="$(nproc)" \
	--kernel_args=time-travel=inf-cpu --kernel_args=panic_on_warn=1 \
	${1:+--json="$1"}
