#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: tree.sh
#
# Bring $BUILD/linux up to date: the kernel's source as Debian ships it, with
# this repository's files over it and the diffs of tools/series/ in it.  Only
# what changed is touched, so that the next build is a small one.

set -eu

OVERLAY="drivers include mm Documentation tools/testing"
SOURCE=/usr/src/linux-source-6.12.tar.xz

die()
{
	echo "error: $*" >&2
	exit 1
}

root=$(cd "$(dirname "$0")/../../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
build=$(cd "${BUILD:-$root/build}" && pwd)
linux=$build/linux
replaced=$build/linux-replaced	# kernel files that ours took the place of
manifest=$build/linux-overlay	# list of our files that are in the tree
applied=$build/linux-series	# the diffs that are in the tree

unpack()
{
	[ ! -e "$linux/.unpacked" ] || return 0
	[ -e "$SOURCE" ] || die "$SOURCE is missing: apt install linux-source-6.12"
	echo "unpacking $SOURCE (a minute or two)"
	rm -rf "$linux" "$replaced" "$manifest" "$applied"
	mkdir "$linux"
	tar -xf "$SOURCE" -C "$linux" --strip-components=1 ||
		die "$SOURCE does not unpack: is there room for it in $build?"
	touch "$linux/.unpacked"
}

series()
{
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$1/series" 2>/dev/null || true
}

# Do the diffs in the tree differ from those of the repository?
series_changed()
{
	[ -d "$applied" ] || return 0
	[ "$(series "$applied")" = "$(series "$root/tools/series")" ] || return 0
	for diff in $(series "$applied"); do
		cmp -s "$applied/$diff" "$root/tools/series/$diff" || return 0
	done
	return 1
}

# Where a diff does not apply, nothing of it is: the next call goes on from there.
patch_tree()
{
	series_changed || return 0
	mkdir -p "$applied"
	for diff in $(series "$applied" | tac); do
		patch -d "$linux" -p1 -R -s -f --no-backup-if-mismatch <"$applied/$diff" ||
			die "$diff does not come off again: remove $linux"
		sed -i '$d' "$applied/series"
	done
	: >"$applied/series"
	for diff in $(series "$root/tools/series"); do
		patch -d "$linux" -p1 -s -f --dry-run <"$root/tools/series/$diff" ||
			die "tools/series/$diff does not apply to the kernel's source: rebase it"
		patch -d "$linux" -p1 -s -f --no-backup-if-mismatch \
			<"$root/tools/series/$diff"
		cp "$root/tools/series/$diff" "$applied/"
		echo "$diff" >>"$applied/series"
	done
}

copy_file()
{
	cmp -s "$root/$1" "$linux/$1" && return 0
	if [ -e "$linux/$1" ] && ! grep -qxF "$1" "$manifest"; then
		mkdir -p "$replaced/$(dirname "$1")"
		cp -p "$linux/$1" "$replaced/$1"
	fi
	mkdir -p "$linux/$(dirname "$1")"
	cp "$root/$1" "$linux/$1"
}

# Our file is gone: what it had replaced returns.
drop_file()
{
	if [ -e "$replaced/$1" ]; then
		mv "$replaced/$1" "$linux/$1"
	else
		rm -f "$linux/$1"
	fi
}

lay_over()
{
	touch "$manifest"
	(cd "$root" && find $OVERLAY -type f ! -path '*/__pycache__/*' 2>/dev/null) |
		sort >"$manifest.new"
	sort "$manifest" | comm -23 - "$manifest.new" | while read -r file; do
		drop_file "$file"
	done
	while read -r file; do
		copy_file "$file"
	done <"$manifest.new"
	mv "$manifest.new" "$manifest"
}

unpack
# Both may concern one file: the diffs belong to the kernel's, so they go first.
patch_tree
lay_over
