// SPDX-License-Identifier: GPL-2.0
/*
 * Break a virtio device on PCI behind its driver's back
 *
 * The program writes to the registers of a modern device (virtio 1.2, 4.1.4), which
 * its driver uses at the same time.  The kernel lets it only with iomem=relaxed on
 * the command line.
 *
 * A device that meets nonsense in a ring stops, sets DEVICE_NEEDS_RESET and raises
 * a configuration interrupt.  A device that is reset says nothing at all.
 *
 * Without bus mastering QEMU's device leaves its queues alone, though it answers
 * whoever reads its registers: so a host looks whose main loop waits for a disk.
 * QEMU takes DRIVER_OK from the status meanwhile; the program sets it again.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "midmove.h"

static const char usage[] =
	"usage: breakdev DEVICE [after KIB] HOW: once MemTotal has changed by KIB, or at once\n"
	"  rings          queue 0 is where no memory is: the device breaks at once\n"
	"  index QUEUE N  the queue's available index is far from N: breaks when notified\n"
	"  reset          device_status becomes 0\n"
	"  storm SECONDS  breaks it as soon as a driver has set it up, again and again, and\n"
	"                 says at how many seconds\n"
	"  deaf           the device does not look at its queues\n"
	"  hear           ... looks at all of them again\n"
	"DEVICE is the PCI device's directory below /sys\n";

/* The last bytes below 4 GiB are the firmware's; nothing comes after them. */
#define END_OF_ROM	0xfffffff0ULL

/* The firmware's copy below 1 MiB: every program may read it. */
#define BIOS_START	0xf0000
#define BIOS_SIZE	0x10000
#define RING_BYTES	(6 + 2 * 1024)	/* of an available ring, at most */
#define FAR		0x1000		/* more than any queue's size */

static char directory[256];
static void *common;
static void *notify;
static __u32 notify_multiplier;

static int open_file(const char *name, int flags)
{
	char path[sizeof(directory) + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void *map_bar(unsigned int bar)
{
	char name[32];
	struct stat st;
	void *map;
	int fd;

	snprintf(name, sizeof(name), "resource%u", bar);
	fd = open_file(name, O_RDWR | O_SYNC);
	if (fstat(fd, &st))
		err(1, "%s", name);
	map = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		err(1, "%s: is iomem=relaxed on the command line?", name);
	close(fd);
	return map;
}

/* Virtio 1.2, 4.1.4: the structures are found through vendor capabilities. */
static void find_registers(void)
{
	__u8 config[256];
	int fd = open_file("config", O_RDONLY);

	if (pread(fd, config, sizeof(config), 0) != sizeof(config))
		err(1, "config");
	close(fd);
	for (__u8 at = config[PCI_CAPABILITY_LIST]; at; at = config[at + 1]) {
		struct virtio_pci_notify_cap cap;
		void *registers;

		if (config[at] != PCI_CAP_ID_VNDR)
			continue;
		memcpy(&cap, config + at, sizeof(cap));
		if (cap.cap.cfg_type != VIRTIO_PCI_CAP_COMMON_CFG &&
		    cap.cap.cfg_type != VIRTIO_PCI_CAP_NOTIFY_CFG)
			continue;
		registers = map_bar(cap.cap.bar) + cap.cap.offset;
		if (cap.cap.cfg_type == VIRTIO_PCI_CAP_COMMON_CFG) {
			common = registers;
		} else {
			notify = registers;
			notify_multiplier = cap.notify_off_multiplier;
		}
	}
	if (!common || !notify)
		errx(1, "%s is no modern virtio device", directory);
}

/* Each access is one instruction, and stays where it is written. */
#define read_register(type, at)		__atomic_load_n((type *)(at), __ATOMIC_RELAXED)
#define write_register(type, at, value)	__atomic_store_n((type *)(at), value, __ATOMIC_RELAXED)

static __u8 status(void)
{
	return read_register(__u8, common + VIRTIO_PCI_COMMON_STATUS);
}

static void set_status(__u8 value)
{
	write_register(__u8, common + VIRTIO_PCI_COMMON_STATUS, value);
}

static void write16(unsigned int offset, __u16 value)
{
	write_register(__u16, common + offset, value);
}

static __u16 read16(unsigned int offset)
{
	return read_register(__u16, common + offset);
}

static void write64(unsigned int offset, __u64 value)
{
	write_register(__u32, common + offset, value);
	write_register(__u32, common + offset + 4, value >> 32);
}

/* A device reads its addresses when the queue is enabled. */
static void break_rings(void)
{
	write16(VIRTIO_PCI_COMMON_Q_SELECT, 0);
	write64(VIRTIO_PCI_COMMON_Q_DESCLO, END_OF_ROM);
	write16(VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

/* An address in the firmware that, as an available ring, has an index far from @avoid. */
static __u64 find_index(__u16 avoid)
{
	static __u8 bios[BIOS_SIZE];
	int fd = open("/dev/mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, bios, sizeof(bios), BIOS_START) != sizeof(bios))
		err(1, "/dev/mem");
	close(fd);
	for (size_t at = 0; at + RING_BYTES < sizeof(bios); at += 2) {
		__u16 index, distance;

		memcpy(&index, bios + at + 2, sizeof(index));
		distance = index - avoid;
		if (distance >= FAR && distance <= 0x10000 - FAR)
			return BIOS_START + at;
	}
	errx(1, "the firmware has no number that is far from %u", avoid);
}

static void break_index(__u16 queue, __u64 ring)
{
	write16(VIRTIO_PCI_COMMON_Q_SELECT, queue);
	write64(VIRTIO_PCI_COMMON_Q_AVAILLO, ring);
	write16(VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void storm(double length)
{
	double begin = seconds();

	while (seconds() < begin + length) {
		if ((status() & (VIRTIO_CONFIG_S_DRIVER_OK |
				 VIRTIO_CONFIG_S_NEEDS_RESET)) ==
		    VIRTIO_CONFIG_S_DRIVER_OK) {
			break_rings();
			printf("%.6f\n", seconds() - begin);
			fflush(stdout);
		}
		usleep(1000);
	}
}

static void set_master(int on)
{
	int fd = open_file("config", O_RDWR);
	__u16 command;

	if (pread(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		err(1, "config");
	command = on ? command | PCI_COMMAND_MASTER : command & ~PCI_COMMAND_MASTER;
	if (pwrite(fd, &command, sizeof(command), PCI_COMMAND) != sizeof(command))
		err(1, "config");
	close(fd);
}

static void deaf(void)
{
	__u8 before = status();

	set_master(0);
	set_status(before);
}

/* What was notified meanwhile was not heard. */
static void hear(void)
{
	__u16 queues = read16(VIRTIO_PCI_COMMON_NUMQ);

	set_master(1);
	for (__u16 queue = 0; queue < queues; queue++) {
		write16(VIRTIO_PCI_COMMON_Q_SELECT, queue);
		if (!read16(VIRTIO_PCI_COMMON_Q_ENABLE))
			continue;
		write_register(__u16, notify + notify_multiplier *
			       read16(VIRTIO_PCI_COMMON_Q_NOFF), queue);
	}
}

int main(int argc, char **argv)
{
	const char *how = "";
	__u64 ring = 0;
	long kib = 0;

	if (argc > 2) {
		snprintf(directory, sizeof(directory), "%s", argv[1]);
		find_registers();
		argv += 2;
		argc -= 2;
		if (argc > 2 && !strcmp(argv[0], "after")) {
			kib = strtol(argv[1], NULL, 10);
			argv += 2;
			argc -= 2;
		}
		how = argv[0];
	}
	if (argc == 3 && !strcmp(how, "index"))
		ring = find_index(atoi(argv[2]));
	if (kib)
		await_middle(kib);

	if (argc == 1 && !strcmp(how, "rings"))
		break_rings();
	else if (argc == 3 && !strcmp(how, "index"))
		break_index(atoi(argv[1]), ring);
	else if (argc == 1 && !strcmp(how, "reset"))
		set_status(0);
	else if (argc == 2 && !strcmp(how, "storm"))
		storm(atof(argv[1]));
	else if (argc == 1 && !strcmp(how, "deaf"))
		deaf();
	else if (argc == 1 && !strcmp(how, "hear"))
		hear();
	else
		return fputs(usage, stderr), 2;
	return 0;
}
