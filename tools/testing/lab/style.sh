#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: style.sh checkpatch|compile|floors
#
# One of the style checks over every C file, or floors.py over the driver's.  What
# is said about our files goes to standard output and makes the check fail.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
export BUILD

c_files()
{
	(cd "$root" && find drivers include mm tools -name '*.[ch]' | sort)
}

# In the kernel's tree, so that checkpatch knows what it is looking at. The lab's own
# files are not in it.
checkpatch()
{
	sh "$here/tree.sh" >&2
	cd "$BUILD/linux"
	c_files | sed "s|^tools/testing/lab/|$root/&|" | xargs -P "$(nproc)" -n 8 perl scripts/checkpatch.pl --strict --terse --quiet \
		--no-summary --show-types -f
}

# The module, in a mirror of its own, and what only KUnit builds, in a tree of
# its own: from nothing, as only what is compiled is checked.
compile()
{
	rm -rf "$BUILD/style" "$BUILD/style-um"
	tests=$(cd "$root" && find mm/tests -name '*_kunit.c' | sed 's/c$/o/')
	# Joined by &&: "set -e" is without effect where the caller tests the result.
	sh "$here/modules.sh" "$BUILD/style" "$KDIR" "$@" &&
	sh "$here/tree.sh" &&
	cd "$BUILD/linux" &&
	"${PYTHON:-/usr/bin/python3}" tools/testing/kunit/kunit.py config \
		--kunitconfig="$root/drivers/virtio/balloon/tests/.kunitconfig" \
		--build_dir="$BUILD/style-um" &&
	make ARCH=um O="$BUILD/style-um" -j"$(nproc)" "$@" \
		drivers/virtio/balloon/ mm/balloon_compaction.o $tests
}

compiles_without_a_warning()
{
	if ! (compile C=2 CHECK=sparse W=1) >"$BUILD/style.log" 2>&1; then
		cat "$BUILD/style.log"
		return 1
	fi
	# Other files of the kernel are not our business.
	c_files >"$BUILD/style.files"
	findings=$(grep -E "(warning|error):" "$BUILD/style.log" |
		   grep -F -f "$BUILD/style.files" || true)
	[ -z "$findings" ] || { echo "$findings"; return 1; }
}

case "${1-}" in
checkpatch)	checkpatch ;;
compile)	compiles_without_a_warning ;;
floors)		"${PYTHON:-/usr/bin/python3}" "$here/floors.py" ;;
*)		echo "usage: style.sh checkpatch|compile|floors" >&2; exit 2 ;;
esac
