#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: newer_qemu.sh
#
# Unpack the QEMU of Debian's backports below $BUILD/qemu, and print the program's
# path.  apt gets its own directory for that: neither its sources nor any installed
# package change.  The mirror is the one that this machine's apt uses already.

set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "${BUILD:-$root/build}"
BUILD=$(cd "${BUILD:-$root/build}" && pwd)
PACKAGES="qemu-system-x86 qemu-system-data qemu-system-common seabios"
program=$BUILD/qemu/usr/bin/qemu-system-x86_64

die()
{
	echo "error: $*" >&2
	exit 1
}

private_apt()
{
	"$@" -q -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" \
		-o APT::Sandbox::User=root
}

[ -x "$program" ] && { echo "$program"; exit 0; }

codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT)' |
	 awk -v name="$codename" '$2 == name && $3 == "main" { print $1; exit }')
[ -n "$mirror" ] || die "apt knows no mirror of $codename: add one, or set QEMU="

apt=$(mktemp -d "$BUILD/qemu-apt.XXXXXX")
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/root"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
	"$mirror $codename-backports main" >"$apt/sources.list"
private_apt apt-get update >&2 || die "$codename-backports cannot be had: see above"
# $PACKAGES is several words.
(cd "$apt/cache/archives" && private_apt apt-get download $PACKAGES >&2) ||
	die "no newer QEMU: see above"
for package in "$apt"/cache/archives/*.deb; do
	dpkg-deb -x "$package" "$apt/root"
done
rm -rf "$BUILD/qemu"
mv "$apt/root" "$BUILD/qemu"
missing=$(ldd "$program" | grep 'not found' || true)
[ -z "$missing" ] || die "$program lacks libraries: $missing"
echo "$program"
