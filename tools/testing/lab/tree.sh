#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: tree.sh
#
# Bring $BUILD/linux up to date: the kernel's source as Debian ships it, and in it
# what the series of tools/series/ makes of it.  Only what changed is touched, so
# that the next build is a small one.

set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD PYTHONDONTWRITEBYTECODE=1

# Two at once would spoil each other's.
exec 8>"$BUILD/linux.lock"
flock 8
exec "${PYTHON:-/usr/bin/python3}" "$root/tools/series/series.py" tree "$BUILD/linux"
