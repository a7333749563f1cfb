#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# usage: prepare.sh run|check|bench|series
#
# See that this machine can do the job and install the Debian packages that it
# lacks.  This is the one place that knows which those are.  Runs on a machine
# with nothing but git and make, hence plain sh.

set -eu

# The module, and the guest it runs in.
RUN_PACKAGES="
	gcc libc6-dev make
	linux-headers-6.12-cloud-amd64 linux-image-6.12-cloud-amd64
	busybox-static kmod qemu-system-x86 util-linux
	python3 python3-matplotlib python3-rich
"

# The kernel's source, to build KUnit's User Mode Linux and a kernel for the guest
# from; the checkers.
CHECK_PACKAGES="
	$RUN_PACKAGES
	bc bison flex libelf-dev linux-source-6.12 patch perl xz-utils
	python3-pytest python3-pytest-xdist sparse
"

# A Debian system for the guest, with the programs that bench-restraint runs.
BENCH_PACKAGES="
	$CHECK_PACKAGES
	genext2fs mmdebstrap
"

# Another kernel's compiler, for another user of what the series renames; the
# documents.
SERIES_PACKAGES="
	$CHECK_PACKAGES
	gcc-powerpc64le-linux-gnu python3-sphinx
"

# MiB that have to be free under build/.
RUN_SPACE=200
CHECK_SPACE=4096
BENCH_SPACE=6144
SERIES_SPACE=6144

die()
{
	echo "error: $*" >&2
	exit 1
}

check_machine()
{
	machine=$(uname -m)
	[ "$machine" = x86_64 ] ||
		die "this machine is $machine: the guest needs an x86-64 host," \
		    "only 'make modules' works here"
	command -v apt-get >/dev/null ||
		die "this is no Debian system:" \
		    "make run and make check need Debian's kernel packages"
}

check_space()
{
	mkdir -p "$BUILD" 2>/dev/null ||
		die "$BUILD cannot be created: check who owns $(dirname "$BUILD")"
	[ -e "$BUILD/$2/.unpacked" ] && needed=$RUN_SPACE || needed=$1
	free=$(df -Pm "$BUILD" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$needed" ] ||
		die "only $free MiB are free for $BUILD, $needed are needed:" \
		    "make room, or set BUILD= to a directory elsewhere"
}

missing_packages()
{
	for package in $1; do
		state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$state" = installed ] || echo "$package"
	done
}

# Print the command that runs as root, empty where we are, or fail.
as_root()
{
	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null || return 1
	# With a terminal sudo can ask for the password.
	sudo -n true 2>/dev/null || [ -t 0 ] || return 1
	echo sudo
}

install_packages()
{
	missing=$(missing_packages "$1" | tr '\n' ' ')
	missing=${missing% }
	[ -n "$missing" ] || return 0
	echo "Debian packages that are missing: $missing"
	prefix=$(as_root) ||
		die "they need root to install, type: apt install $missing"
	$prefix apt-get update -q ||
		die "apt-get update failed: see above, or install $missing by other means"
	$prefix env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $missing ||
		die "apt-get could not install $missing: see above"
}

BUILD=${BUILD:-build}
tree=linux	# once it is unpacked, not much more is needed
case "${1-}" in
run)	packages=$RUN_PACKAGES space=$RUN_SPACE ;;
check)	packages=$CHECK_PACKAGES space=$CHECK_SPACE ;;
bench)	packages=$BENCH_PACKAGES space=$BENCH_SPACE ;;
series)	packages=$SERIES_PACKAGES space=$SERIES_SPACE tree=series-tree ;;
*)	die "usage: prepare.sh run|check|bench|series" ;;
esac
check_machine
check_space "$space" "$tree"
install_packages "$packages"
