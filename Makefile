# SPDX-License-Identifier: GPL-2.0
#
# The project's front door.  `make help` says what there is.  The kernel's own
# build reads Kbuild, not this file.

LAB := tools/testing/lab

# Everything that is made lies here.
BUILD ?= build
ifeq ($(strip $(BUILD)),)
# Empty would mean the source tree itself.
override BUILD := build
endif

# Debian's interpreter: the one that has Debian's python3-* packages.
PYTHON ?= /usr/bin/python3

# Expanded when used: the kernel may only just have been installed.
KERNEL ?= $(shell ls /lib/modules 2>/dev/null | grep -E '^6\.12\..*cloud-amd64$$' | sort -V | tail -n 1)
KDIR ?= /lib/modules/$(KERNEL)/build

# No byte code beside the sources.
export PYTHONDONTWRITEBYTECODE := 1
export BUILD KERNEL KDIR MEM TARGETS DEVICE PEER K S ROUNDS SEED TRANSPORT QEMU MINUTES SANITIZER LONG

.PHONY: help run bench bench-restraint soak guest check check-style check-kunit check-guest check-long kernel \
	series series-check modules modules_install clean

help:
	@echo 'make run              boot a Debian kernel in QEMU and drive the balloon, live'
	@echo '    MEM=4G            the guest'\''s memory'
	@echo '    TARGETS="1G 3G 4G" sizes to go to, in order; or a quarter, three and all of it'
	@echo '    KERNEL=release    another installed kernel (as under /lib/modules)'
	@echo '    DEVICE=a=b,c=d    further properties of QEMU'\''s virtio-balloon-pci'
	@echo '    PEER=stock        the kernel'\''s own module in place of ours'
	@echo 'make check            all tests; ends in "N passed, N failed"'
	@echo 'make check-style      checkpatch --strict, sparse and W=1 on every C file, and the'
	@echo '                      floors of the driver: its includes and calls go down only'
	@echo 'make check-kunit      the KUnit suites, under User Mode Linux'
	@echo 'make check-guest      the tests in a real guest'
	@echo '    K=expression      only the tests that pytest -k selects'
	@echo '    TRANSPORT=name    with the balloon on another of virtio'\''s transports: modern,'
	@echo '                      transitional, legacy, packed, no-ring-features, intx,'
	@echo '                      mmio, mmio-legacy'
	@echo '    SEED=number       the random targets of an earlier run'
	@echo '    KERNEL=debug      in the kernel of the series that looks for mistakes meanwhile;'
	@echo '                      or another installed kernel'
	@echo '    PEER=stock        those that are about the kernel'\''s own driver, too, with it'
	@echo '    LONG=1            with the tests that make check-long runs'
	@echo 'make check-long       the guest tests that make check leaves out: minutes of a silent host,'
	@echo '                      further transports and fault rates, and what needs a newer QEMU,'
	@echo '                      if there is one; K= as above'
	@echo 'make kernel           that kernel, below $(BUILD)/kernel/; or KERNEL=kcsan'
	@echo 'make series           patches to mail, below $(BUILD)/series/'
	@echo 'make series-check     each of them applies, builds and is clean; some minutes'
	@echo 'make bench            our module beside the kernel'\''s own: how long, how often, how much'
	@echo '    S=name            one scenario; they are named where that is unknown'
	@echo '    ROUNDS=5          how often; the tables have medians'
	@echo '    KERNEL=release    in the guests, for both benches'
	@echo 'make bench-restraint  a target that the guest cannot afford, with our module and'
	@echo '                      with the kernel'\''s own: tables and a picture'
	@echo '    S=name            one scenario; they are named where that is unknown'
	@echo '    ROUNDS=1          how often; the tables have the medians'
	@echo 'make soak             everything that can happen to a balloon, at the same time'
	@echo '    MINUTES=10        for so long'
	@echo '    SANITIZER=kasan   in a kernel that looks for misuse of memory, or kcsan: for races'
	@echo '    SEED=number       the random choices of an earlier one'
	@echo 'make guest            a shell in the guest, with the monitor open to you; MEM=, KERNEL=,'
	@echo '                      DEVICE= and PEER= as for make run'
	@echo 'make modules          build $(BUILD)/modules/virtio_balloon.ko'
	@echo '    KDIR=directory    against another kernel'\''s headers'
	@echo 'make modules_install  install it under updates/, where modprobe prefers it'
	@echo '    DESTDIR=directory below another root'
	@echo 'make clean            remove $(BUILD)/'
	@echo
	@echo 'BUILD=, QEMU= and PYTHON= say where all is made, and with which programs.'

run:
	@sh $(LAB)/prepare.sh run
	@$(PYTHON) $(LAB)/run.py

bench:
	@sh $(LAB)/prepare.sh check
	@PYTHONPATH=$(LAB) $(PYTHON) -m bench

bench-restraint:
	@sh $(LAB)/prepare.sh bench
	@PYTHONPATH=$(LAB) $(PYTHON) -m bench.restraint

soak:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/soak.py

guest:
	@sh $(LAB)/prepare.sh run
	@$(PYTHON) $(LAB)/shell.py

check:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/check.py kernel+compile+series guest+kunit-debug+guest-debug

check-style:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/check.py style

check-kunit:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/check.py kunit

check-guest:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/check.py guest

check-long:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) $(LAB)/check.py long

kernel:
	@sh $(LAB)/prepare.sh check
	@sh $(LAB)/kernel.sh $(or $(filter kcsan,$(KERNEL)),debug)

series:
	@sh $(LAB)/prepare.sh check
	@$(PYTHON) tools/series/series.py

series-check:
	@sh $(LAB)/prepare.sh series
	@$(PYTHON) tools/series/check.py

modules:
	@sh $(LAB)/modules.sh $(BUILD)/modules "$(KDIR)"

modules_install: modules
	@sh $(LAB)/modules_install.sh $(BUILD)/modules "$(KDIR)" "$(DESTDIR)"

clean:
	rm -rf $(BUILD)
