// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the test guest
 *
 * Mounts what a small system needs, then serves the host over the first
 * virtio-serial port.  The console stays free for the kernel's own messages.
 *
 * Requests are lines, each with a number that the host chose:
 *
 *   run ID COMMAND    run COMMAND with /bin/sh, several at a time
 *   kill ID SIGNAL    send SIGNAL to everything that job ID started
 *   read ID PATH      return a file's content without starting a process, so
 *                     that it works while the guest has no page to spare
 *   write ID PATH TEXT  write TEXT to a file, likewise
 *   sync ID           answered when all earlier kernel messages were sent
 *   poweroff
 *   reboot
 *
 * Answers:
 *
 *   ready             once, at the start
 *   awake             perhaps, after a suspend
 *   out ID LENGTH     followed by LENGTH bytes of standard output and error
 *   exit ID STATUS    exit status, 128 + signal, or errno for read and write
 *   log LENGTH        followed by one record of /dev/kmsg
 *
 * Arguments, handled in their order before anything is served:
 *
 *   load=MODULE       load a kernel module
 *   resume=DEVICE     go on with what was hibernated to DEVICE, if anything was
 *   root=DEVICE       start the system on DEVICE as PID 1, and serve beside it;
 *                     this system's programs are in /opt/lab there
 *   shell             also start a shell on the console, and power the guest
 *                     off when that shell ends
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its file in debugfs is the last thing that a port gets (see open_port()). */
#define PORT_DIRECTORY	"/sys/kernel/debug/virtio-ports"
#define PORT_PATTERN	PORT_DIRECTORY "/vport*p1"
#define CONSOLE		"/dev/ttyS0"
#define MMIO_PATTERN	"/sys/bus/acpi/devices/LNRO0005:*"
#define NEW_ROOT	"/root"
#define PATH_HERE	"/sbin:/bin"
#define PATH_THERE	"/usr/sbin:/usr/bin:/opt/lab"
#define MAX_JOBS	16
#define MAX_REQUEST	8192	/* bytes of one request line */
#define MAX_PAYLOAD	16384	/* bytes of one answer; > a kmsg record */

struct job {
	long id;
	pid_t pid;		/* 0: slot is free or process was reaped */
	int output;		/* read end of its pipe, -1 after end of file */
	int status;
	bool used;
};

static struct job jobs[MAX_JOBS];
static int port = -1;
static int kmsg = -1;
static pid_t shell_pid;

/* Static: an answer must not need memory that the balloon has taken. */
static char payload[MAX_PAYLOAD];
static char request[MAX_REQUEST];
static size_t request_len;

/*
 * The kernel's log reaches the console in any case, standard error may not.
 * dprintf() does not write to the log: it asks for the position first, and the
 * log has none.
 */
static void die(const char *what)
{
	int error = errno;
	int log = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char text[256];
	int len = snprintf(text, sizeof(text), "init: %s: %s\n", what,
			   strerror(error));

	if (len >= (int)sizeof(text))
		len = sizeof(text) - 1;
	if (write(log < 0 ? STDERR_FILENO : log, text, len) < 0)
		perror("init");
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void mount_or_die(const char *type, const char *where, const char *data)
{
	mkdir(where, 0755);
	if (mount(type, where, type, 0, data) && errno != EBUSY)
		die(where);
}

static void mount_everything(void)
{
	mount_or_die("devtmpfs", "/dev", NULL);
	mount_or_die("proc", "/proc", NULL);
	mount_or_die("sysfs", "/sys", NULL);
	mount_or_die("tmpfs", "/tmp", NULL);
	/* Tests fill most of the guest's memory with checksummed data here. */
	mount_or_die("tmpfs", "/data", "size=100%");
	mount_or_die("debugfs", "/sys/kernel/debug", NULL);
	mount_or_die("tracefs", "/sys/kernel/tracing", NULL);
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

static void load_module(const char *name)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid) {
		execl("/sbin/modprobe", "modprobe", name, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		die(name);
	if (status) {
		errno = ENOEXEC;
		die(name);
	}
}

/* Where there is something to resume this does not return. */
static void resume_from(const char *device)
{
	errno = write_file("/sys/power/resume", device);
	if (errno)
		die(device);
}

static void take_along(const char *from, const char *to, unsigned long flag)
{
	mkdir(to, 0755);
	if (mount(from, to, NULL, flag, NULL))
		die(to);
}

/* Returns in a child of the system's PID 1. */
static void start_system_on(const char *device)
{
	pid_t pid;

	mkdir(NEW_ROOT, 0755);
	if (mount(device, NEW_ROOT, "ext4", 0, NULL))
		die(device);
	/* The kernel's modules, and the driver, are those of this system. */
	take_along("/lib/modules", NEW_ROOT "/usr/lib/modules", MS_BIND);
	take_along("/bin", NEW_ROOT "/opt/lab", MS_BIND);
	take_along("/dev", NEW_ROOT "/dev", MS_MOVE);
	take_along("/proc", NEW_ROOT "/proc", MS_MOVE);
	take_along("/sys", NEW_ROOT "/sys", MS_MOVE);
	if (chdir(NEW_ROOT) || mount(".", "/", NULL, MS_MOVE, NULL) ||
	    chroot(".") || chdir("/"))
		die(NEW_ROOT);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid) {
		execl("/sbin/init", "/sbin/init", NULL);
		die("/sbin/init");
	}
	setsid();
}

/* The host may have asked for a boot on one CPU (see host/accel.py). */
static void start_all_cpus(void)
{
	glob_t found;

	if (glob("/sys/devices/system/cpu/cpu[0-9]*/online", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		write_file(found.gl_pathv[i], "1");
	globfree(&found);
}

static void send_all(const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(port, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("control port");
		data += n;
		len -= n;
	}
}

/*
 * A machine without PCI has virtio devices that ACPI names, and their driver is
 * a module in most kernels: without it there is no port to wait for.
 */
static void load_virtio_mmio(void)
{
	glob_t found;

	if (glob(MMIO_PATTERN, 0, NULL, &found))
		return;
	globfree(&found);
	load_module("virtio_mmio");
}

/*
 * The port appears when the host's messages about it have been handled.  Its
 * device node is there before the driver finds the port that belongs to it:
 * until then open() says ENXIO.
 */
static int open_port(void)
{
	int watch = inotify_init1(IN_CLOEXEC);
	char events[4096];
	char node[64];
	glob_t found;
	int fd;

	if (watch < 0 ||
	    inotify_add_watch(watch, PORT_DIRECTORY, IN_CREATE) < 0)
		die("watch " PORT_DIRECTORY);
	while (glob(PORT_PATTERN, 0, NULL, &found)) {
		if (read(watch, events, sizeof(events)) < 0 && errno != EINTR)
			die("watch " PORT_DIRECTORY);
	}
	close(watch);
	snprintf(node, sizeof(node), "/dev/%s",
		 strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die(node);
	return fd;
}

static void finish_job(struct job *job)
{
	if (!job->used || job->pid || job->output >= 0)
		return;
	dprintf(port, "exit %ld %d\n", job->id, job->status);
	job->used = false;
}

static void reap_children(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == shell_pid) {
			sync();
			reboot(RB_POWER_OFF);
		}
		for (int i = 0; i < MAX_JOBS; i++) {
			struct job *job = &jobs[i];

			if (!job->used || job->pid != pid)
				continue;
			job->pid = 0;
			job->status = WIFSIGNALED(status) ?
				128 + WTERMSIG(status) : WEXITSTATUS(status);
			finish_job(job);
			break;
		}
	}
}

static void forward_output(struct job *job)
{
	ssize_t n = read(job->output, payload, sizeof(payload));

	if (n > 0) {
		dprintf(port, "out %ld %zd\n", job->id, n);
		send_all(payload, n);
		return;
	}
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	close(job->output);
	job->output = -1;
	finish_job(job);
}

static void forward_kernel_log(void)
{
	for (;;) {
		ssize_t n = read(kmsg, payload, sizeof(payload));

		if (n > 0) {
			dprintf(port, "log %zd\n", n);
			send_all(payload, n);
			continue;
		}
		/* EPIPE: records were overwritten, reading goes on after them */
		if (n < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		return;
	}
}

/* Runs in the child: undo what is special about PID 1. */
static void become_ordinary_process(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	write_file("/proc/self/oom_score_adj", "0");
	setsid();
}

static void start_job(long id, char *command)
{
	struct job *job = NULL;
	int output[2];

	for (int i = 0; i < MAX_JOBS && !job; i++)
		if (!jobs[i].used)
			job = &jobs[i];
	if (!job || pipe2(output, O_CLOEXEC)) {
		dprintf(port, "exit %ld %d\n", id, 126);
		return;
	}
	job->pid = fork();
	if (job->pid < 0) {
		close(output[0]);
		close(output[1]);
		job->pid = 0;
		dprintf(port, "exit %ld %d\n", id, 126);
		return;
	}
	if (!job->pid) {
		int null = open("/dev/null", O_RDONLY);

		become_ordinary_process();
		dup2(null, STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		dup2(output[1], STDERR_FILENO);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(output[1]);
	job->id = id;
	job->output = output[0];
	job->status = 0;
	job->used = true;
}

static void start_console_shell(void)
{
	shell_pid = fork();
	if (shell_pid)
		return;
	become_ordinary_process();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		close(fd);
	if (open(CONSOLE, O_RDWR) != STDIN_FILENO)
		_exit(1);
	ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	dup(STDIN_FILENO);
	dup(STDIN_FILENO);
	execl("/bin/sh", "-sh", NULL);
	_exit(127);
}

static void kill_job(long id, int signal)
{
	for (int i = 0; i < MAX_JOBS; i++)
		if (jobs[i].used && jobs[i].id == id && jobs[i].pid)
			kill(-jobs[i].pid, signal);
}

static void answer_file(long id, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = 0;
	ssize_t n;

	if (fd < 0) {
		dprintf(port, "exit %ld %d\n", id, errno);
		return;
	}
	while ((n = read(fd, payload, sizeof(payload))) > 0) {
		dprintf(port, "out %ld %zd\n", id, n);
		send_all(payload, n);
	}
	if (n < 0)
		err = errno;
	close(fd);
	dprintf(port, "exit %ld %d\n", id, err);
}

static void handle_request(char *line)
{
	char *verb = strsep(&line, " ");
	char *word = strsep(&line, " ");
	long id = word ? strtol(word, NULL, 10) : 0;

	if (!strcmp(verb, "run") && line) {
		start_job(id, line);
	} else if (!strcmp(verb, "kill") && line) {
		kill_job(id, atoi(line));
	} else if (!strcmp(verb, "read") && line) {
		answer_file(id, line);
	} else if (!strcmp(verb, "write") && line) {
		char *path = strsep(&line, " ");

		dprintf(port, "exit %ld %d\n", id, write_file(path, line ? line : ""));
	} else if (!strcmp(verb, "sync")) {
		forward_kernel_log();
		dprintf(port, "exit %ld 0\n", id);
	} else if (!strcmp(verb, "poweroff")) {
		sync();
		reboot(RB_POWER_OFF);
	} else if (!strcmp(verb, "reboot")) {
		sync();
		reboot(RB_AUTOBOOT);
	} else {
		errno = EINVAL;
		die("request");
	}
}

static void read_requests(void)
{
	char *start = request, *end;
	ssize_t n = read(port, request + request_len,
			 sizeof(request) - request_len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		die("control port");
	if (!n) {
		/*
		 * A suspend closed the port, and the host's word that it is
		 * open has yet to come.  Writing waits for it, reading does not.
		 */
		dprintf(port, "awake\n");
		return;
	}
	request_len += n;
	while ((end = memchr(start, '\n', request + request_len - start))) {
		*end = '\0';
		handle_request(start);
		start = end + 1;
	}
	request_len -= start - request;
	memmove(request, start, request_len);
	if (request_len == sizeof(request)) {
		errno = EMSGSIZE;
		die("request");
	}
}

static void serve(int children)
{
	struct pollfd fds[3 + MAX_JOBS];

	for (;;) {
		fds[0] = (struct pollfd){ .fd = port, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = kmsg, .events = POLLIN };
		fds[2] = (struct pollfd){ .fd = children, .events = POLLIN };
		for (int i = 0; i < MAX_JOBS; i++)
			fds[3 + i] = (struct pollfd){
				.fd = jobs[i].used ? jobs[i].output : -1,
				.events = POLLIN,
			};
		if (poll(fds, 3 + MAX_JOBS, -1) < 0) {
			if (errno == EINTR)
				continue;
			die("poll");
		}
		if (fds[1].revents)
			forward_kernel_log();
		/* Output before exit status, which reap_children() sends. */
		for (int i = 0; i < MAX_JOBS; i++)
			if (fds[3 + i].revents)
				forward_output(&jobs[i]);
		if (fds[2].revents) {
			struct signalfd_siginfo info;

			if (read(children, &info, sizeof(info)) > 0)
				reap_children();
		}
		if (fds[0].revents)
			read_requests();
	}
}

int main(int argc, char **argv)
{
	const char *path = PATH_HERE, *root = NULL;
	bool with_shell = false;
	sigset_t mask;
	int children;

	mount_everything();
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "load=", 5))
			load_module(argv[i] + 5);
		else if (!strncmp(argv[i], "resume=", 7))
			resume_from(argv[i] + 7);
		else if (!strncmp(argv[i], "root=", 5))
			root = argv[i] + 5;
		else if (!strcmp(argv[i], "shell"))
			with_shell = true;
	}
	start_all_cpus();
	load_virtio_mmio();
	if (root) {
		start_system_on(root);
		path = PATH_THERE;
	}
	setenv("PATH", path, 1);
	setenv("HOME", "/", 1);
	/* The host's only way in must live, whatever the balloon takes. */
	write_file("/proc/self/oom_score_adj", "-1000");
	mlockall(MCL_CURRENT | MCL_FUTURE);

	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	children = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children < 0)
		die("signalfd");

	port = open_port();
	dprintf(port, "ready\n");
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (with_shell)
		start_console_shell();
	serve(children);
}
