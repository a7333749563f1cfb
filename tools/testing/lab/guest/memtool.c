// SPDX-License-Identifier: GPL-2.0
/*
 * What the balloon's tests do to, and ask about, the guest's memory
 */
#include <err.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <linux/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB		(1024UL * 1024)
#define KPF_OFFLINE	23	/* include/uapi/linux/kernel-page-flags.h */

static const char usage[] =
	"usage: memtool fill FILE MIB SEED    write a pattern that SEED determines\n"
	"       memtool verify FILE MIB SEED  read it back, fail where it differs\n"
	"       memtool touch KEEP_MIB        use all memory but KEEP_MIB once, free it\n"
	"       memtool zeroes KEEP_MIB       likewise, and fail where new memory is not zero\n"
	"       memtool fragment KEEP_MIB     take all memory but KEEP_MIB, free every\n"
	"                                     other page, hold the rest until killed\n"
	"       memtool roam MIB              write to so much memory, once in order, say\n"
	"                                     \"roaming after SECONDS\", go on at random\n"
	"                                     until killed, say \"SECONDS WRITES\" of that\n"
	"                                     every second\n"
	"       memtool reread FILE START MIB\n"
	"                                     read so many MiB of it, from MiB START on, again and\n"
	"                                     again until killed; say after each pass \"PASS REFAULTS\n"
	"                                     KIB\": pages that had been in the page cache not\n"
	"                                     long before, and what all disks have read meanwhile\n"
	"       memtool pick FILE START MIB   read a page of it at random, from MiB START on, again\n"
	"                                     and again until killed; say \"SECONDS READS\" of that\n"
	"                                     every second\n"
	"       memtool probe COUNT MS        run a command COUNT times (0: until killed), MS\n"
	"                                     apart; say \"SECONDS MICROSECONDS KIB\": uptime,\n"
	"                                     how long the command took, what is available\n"
	"       memtool offline [START END]   count PG_offline pages of /proc/kpageflags,\n"
	"                                     all or those from page START up to END\n"
	"       memtool bind NODE COMMAND...  run a command whose memory comes from NODE only\n";

/* Of a file of lines "FIELD VALUE", in which FIELD stands as it is given. */
static unsigned long field_value(const char *path, const char *field)
{
	FILE *f = fopen(path, "re");
	unsigned long value = 0;
	char line[128];
	size_t len = strlen(field);

	if (!f)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, len) && line[len] == ' ')
			value = strtoul(line + len, NULL, 10);
	fclose(f);
	return value;
}

static unsigned long meminfo_kib(const char *field)
{
	return field_value("/proc/meminfo", field);
}

static unsigned long event_count(const char *field)
{
	return field_value("/proc/vmstat", field);
}

static unsigned long meminfo_mib(const char *field)
{
	return meminfo_kib(field) / 1024;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static unsigned long number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 0);

	if (*end || end == text)
		errx(2, "not numeric: %s", text);
	return value;
}

/*
 * One MiB of the pattern: xorshift64, started from seed and position so that
 * neither zeroes, nor another block's data, nor another seed's can pass for it.
 */
static void make_block(__u64 *block, unsigned long seed, unsigned long index)
{
	__u64 x = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (index + 1);

	for (size_t i = 0; i < MIB / sizeof(*block); i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		block[i] = x;
	}
}

static int fill(const char *path, unsigned long mib, unsigned long seed)
{
	static __u64 block[MIB / sizeof(__u64)];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0)
		err(1, "%s", path);
	for (unsigned long i = 0; i < mib; i++) {
		make_block(block, seed, i);
		for (size_t done = 0; done < MIB; ) {
			ssize_t n = write(fd, (char *)block + done, MIB - done);

			if (n <= 0)
				err(1, "%s: at MiB %lu of %lu", path, i, mib);
			done += n;
		}
	}
	return close(fd);
}

static int verify(const char *path, unsigned long mib, unsigned long seed)
{
	static __u64 block[MIB / sizeof(__u64)];
	int fd = open(path, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		err(1, "%s", path);
	if ((unsigned long)st.st_size != mib * MIB)
		errx(1, "%s: %lu bytes, not %lu MiB", path,
		     (unsigned long)st.st_size, mib);
	for (unsigned long i = 0; i < mib; i++) {
		const char *data = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd,
					i * MIB);

		if (data == MAP_FAILED)
			err(1, "%s", path);
		make_block(block, seed, i);
		for (size_t off = 0; off < MIB; off += 4096)
			if (memcmp(data + off, (char *)block + off, 4096))
				errx(1, "%s: page at 0x%lx is damaged", path,
				     i * MIB + off);
		munmap((void *)data, MIB);
	}
	return close(fd);
}

static char *map_anonymous(unsigned long mib)
{
	char *area = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (area == MAP_FAILED)
		err(1, "mmap of %lu MiB", mib);
	return area;
}

/*
 * Take memory a MiB at a time until only keep_mib is left.  Asking again each
 * time, not once at the start, bounds it whatever else allocates meanwhile.
 */
static unsigned long take_memory(char *area, unsigned long max_mib,
				 const char *field, unsigned long keep_mib)
{
	unsigned long taken = 0;

	while (taken < max_mib && meminfo_mib(field) > keep_mib) {
		for (size_t off = 0; off < MIB; off += 4096)
			area[taken * MIB + off] = 1;
		taken++;
	}
	return taken;
}

static int touch(unsigned long keep_mib)
{
	unsigned long max = meminfo_mib("MemTotal:");
	unsigned long taken;
	char *area = map_anonymous(max);

	taken = take_memory(area, max, "MemFree:", keep_mib);
	printf("%lu\n", taken);
	return munmap(area, max * MIB);
}

/* In small pages: the kernel may clear huge ones again, whatever it believes. */
static int zeroes(unsigned long keep_mib)
{
	static const char zero[4096];
	unsigned long max = meminfo_mib("MemTotal:");
	unsigned long taken;
	char *area = map_anonymous(max);

	if (madvise(area, max * MIB, MADV_NOHUGEPAGE))
		warn("MADV_NOHUGEPAGE");
	taken = take_memory(area, max, "MemFree:", keep_mib);
	for (size_t off = 0; off < taken * MIB; off += 4096)
		if (memcmp(area + off + 1, zero, sizeof(zero) - 1))
			errx(1, "new page at 0x%zx is not zero", off);
	printf("%lu\n", taken);
	return munmap(area, max * MIB);
}

/*
 * The page allocator hands out first what was freed last: neighbours are freed
 * far apart in time, so that whoever takes pages next finds them everywhere.
 */
#define FREE_STRIDE	(2 * 4096 * 251)	/* a bit less than 2 MiB */

static int fragment(unsigned long keep_mib)
{
	unsigned long max = meminfo_mib("MemTotal:");
	unsigned long taken;
	char *area = map_anonymous(max);

	/* A huge page would be freed half by half only on paper. */
	if (madvise(area, max * MIB, MADV_NOHUGEPAGE))
		warn("MADV_NOHUGEPAGE");
	taken = take_memory(area, max, "MemFree:", keep_mib);
	for (size_t start = 0; start < FREE_STRIDE; start += 2 * 4096)
		for (size_t off = start; off < taken * MIB; off += FREE_STRIDE)
			if (madvise(area + off, 4096, MADV_DONTNEED))
				err(1, "MADV_DONTNEED");
	printf("holding %lu MiB\n", taken / 2);
	fflush(stdout);
	for (;;)
		pause();
}

#define ROAM_LOOKS_AT_CLOCK	0x10000	/* writes between two looks */

static void roam(unsigned long mib)
{
	size_t pages = mib * MIB / 4096;
	char *area = map_anonymous(mib);
	__u64 x = 88172645463325252ULL;
	double begin = seconds(), now, said = 0;

	for (size_t page = 0; page < pages; page++)
		area[page * 4096] = 1;
	printf("roaming after %.6f\n", seconds() - begin);
	fflush(stdout);
	begin = seconds();
	for (unsigned long writes = 1;; writes++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		__atomic_fetch_add(&area[x % pages * 4096], 1, __ATOMIC_RELAXED);
		if (writes % ROAM_LOOKS_AT_CLOCK)
			continue;
		now = seconds() - begin;
		if (now - said < 1)
			continue;
		said = now;
		printf("%.6f %lu\n", now, writes);
		fflush(stdout);
	}
}

/* A page that is not in the page cache costs one request, of that page. */
static void pick(const char *path, unsigned long start, unsigned long mib)
{
	unsigned long pages = mib * (MIB / 4096), x = 88172645463325252;
	double now, begin, said = 0;
	char page[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	if (posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM))
		errx(1, "%s: no random access", path);
	begin = seconds();
	for (unsigned long reads = 1;; reads++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (pread(fd, page, sizeof(page),
			  start * MIB + x % pages * 4096) != sizeof(page))
			err(1, "%s", path);
		now = seconds() - begin;
		if (now - said < 1)
			continue;
		said = now;
		printf("%.6f %lu\n", now, reads);
		fflush(stdout);
	}
}

static void reread(const char *path, unsigned long start, unsigned long mib)
{
	static char block[MIB];
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		err(1, "%s", path);
	for (unsigned long pass = 1;; pass++) {
		unsigned long refaults =
			event_count("workingset_refault_file");
		unsigned long kib = event_count("pgpgin");

		for (unsigned long i = start; i < start + mib; i++)
			if (pread(fd, block, MIB, i * MIB) != MIB)
				err(1, "%s: MiB %lu", path, i);
		printf("%lu %lu %lu\n", pass,
		       event_count("workingset_refault_file") - refaults,
		       event_count("pgpgin") - kib);
		fflush(stdout);
	}
}

static void run_true(void)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) < 0)
		err(1, "waitpid");
	if (status)
		errx(1, "/bin/true: wait status 0x%x", status);
}

static int probe(unsigned long count, unsigned long interval_ms)
{
	for (unsigned long i = 0; !count || i < count; i++) {
		double begin = seconds();
		double took;

		run_true();
		took = seconds() - begin;
		printf("%.6f %.0f %lu\n", begin, took * 1e6,
		       meminfo_kib("MemAvailable:"));
		fflush(stdout);
		usleep(interval_ms * 1000);
	}
	return 0;
}

static int count_offline(unsigned long pfn, unsigned long end)
{
	static __u64 flags[65536];
	unsigned long count = 0;
	int fd = open("/proc/kpageflags", O_RDONLY);
	ssize_t n = 0;

	if (fd < 0)
		err(1, "/proc/kpageflags");
	while (pfn < end) {
		size_t want = sizeof(flags) / sizeof(*flags);

		if (want > end - pfn)
			want = end - pfn;
		n = pread(fd, flags, want * sizeof(*flags),
			  pfn * sizeof(*flags));
		if (n <= 0)
			break;
		for (size_t i = 0; i < n / sizeof(*flags); i++)
			count += flags[i] >> KPF_OFFLINE & 1;
		pfn += n / sizeof(*flags);
	}
	if (n < 0)
		err(1, "/proc/kpageflags");
	printf("%lu\n", count);
	return 0;
}

/* A process keeps its policy across execve(). */
static void bind_to_node(unsigned long node, char **command)
{
	unsigned long nodes = 1UL << node;

	if (node >= 8 * sizeof(nodes))
		errx(2, "node %lu: too large", node);
	/* The kernel takes one bit less than it is told. */
	if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes) + 1))
		err(1, "MPOL_BIND to node %lu", node);
	execvp(*command, command);
	err(127, "%s", *command);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 5 && !strcmp(verb, "fill"))
		return fill(argv[2], number(argv[3]), number(argv[4]));
	if (argc == 5 && !strcmp(verb, "verify"))
		return verify(argv[2], number(argv[3]), number(argv[4]));
	if (argc == 3 && !strcmp(verb, "touch"))
		return touch(number(argv[2]));
	if (argc == 3 && !strcmp(verb, "zeroes"))
		return zeroes(number(argv[2]));
	if (argc == 3 && !strcmp(verb, "fragment"))
		return fragment(number(argv[2]));
	if (argc == 3 && !strcmp(verb, "roam"))
		roam(number(argv[2]));
	if (argc == 5 && !strcmp(verb, "reread"))
		reread(argv[2], number(argv[3]), number(argv[4]));
	if (argc == 5 && !strcmp(verb, "pick"))
		pick(argv[2], number(argv[3]), number(argv[4]));
	if (argc == 4 && !strcmp(verb, "probe"))
		return probe(number(argv[2]), number(argv[3]));
	if (argc == 2 && !strcmp(verb, "offline"))
		return count_offline(0, ~0UL);
	if (argc == 4 && !strcmp(verb, "offline"))
		return count_offline(number(argv[2]), number(argv[3]));
	if (argc >= 4 && !strcmp(verb, "bind"))
		bind_to_node(number(argv[2]), argv + 3);
	fputs(usage, stderr);
	return 2;
}
