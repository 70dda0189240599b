/* Attacker's code inside a process of the vault, for tests: preloaded (development only), it waits in a
 * function that the process calls anyway, and from that thread tries one thing that its sandbox must
 * refuse.
 *
 * COUNTERSIGN_TEST_ATTACK_IN      which process: core, egress, exporter or front
 * COUNTERSIGN_TEST_ATTACK_ORDER   a file: one line "NAME PID PATH PORT" says what to try; empty until then
 * COUNTERSIGN_TEST_ATTACK_RESULT  a file: "try NAME" before it, "got RESULT ERRNO" after it
 *
 * Both files are opened before the process is confined. Built with -DCONTROL it is a program of its own
 * that takes the four words as arguments and tries the same without a sandbox.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct order {
    char name[64];
    int pid;
    char path[1024];
    int port;
};

static int result_fd = -1;

static void say(const char *text, size_t length) {
    ssize_t written = write(result_fd, text, length);
    (void)written;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static struct sockaddr_un named(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static long open_and_read(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    char byte;
    long count = read(fd, &byte, 1);
    close(fd);
    return count;
}

/* Puts what is in PATH.new into PATH. */
static long overwrite(const char *path) {
    char other[1100], text[16384];
    snprintf(other, sizeof other, "%s.new", path);
    int from = open(other, O_RDONLY);
    ssize_t length = from < 0 ? -1 : read(from, text, sizeof text);
    if (length < 0) return -1;
    int to = open(path, O_WRONLY | O_TRUNC);
    if (to < 0) return -1;
    long written = write(to, text, (size_t)length);
    close(from);
    close(to);
    return written == length ? 0 : -1;
}

static long memory(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

static long read_other(int pid) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)&result_fd, 1};
    long count = syscall(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0);
    /* The other one has nothing at that address: it was allowed to look. */
    return count < 0 && errno == EFAULT ? 0 : count;
}

static long trace(int pid) {
    long traced = ptrace(PTRACE_ATTACH, pid, NULL, NULL);
    if (traced == 0) {
        waitpid(pid, NULL, __WALL);
        ptrace(PTRACE_DETACH, pid, NULL, NULL);
    }
    return traced;
}

static long run(void) {
    char *arguments[] = {"echo", "executed", NULL}, *environment[] = {NULL};
    return execve("/bin/echo", arguments, environment);
}

static long connect_unix(const char *path) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_un address = named(path);
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static long connect_tcp(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in address = loopback(port);
    return connect(fd, (struct sockaddr *)&address, sizeof address);
}

static int listening(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) return -1;
    return listen(fd, 1) < 0 ? -1 : fd;
}

/* On a socket that is there, without socket() and connect(). */
static long connect_by_fast_open(int port) {
    for (int fd = 3; fd < 1024; fd++) {
        int is_listening = 0;
        socklen_t length = sizeof is_listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) < 0 || !is_listening)
            continue;
        struct sockaddr_in address = loopback(port);
        if (shutdown(fd, SHUT_RDWR) < 0) return -1;
        long sent = sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
        return sent < 0 && errno == EINPROGRESS ? 0 : sent;
    }
    errno = ENOENT;
    return -1;
}

static long fast_open_new(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    struct sockaddr_in address = loopback(port);
    return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
}

static long listening_unbound(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1 : listen(fd, 1);
}

static long fork_once(void) {
    pid_t child = fork();
    if (child == 0) _exit(0);
    if (child > 0) waitpid(child, NULL, 0);
    return child < 0 ? -1 : 0;
}

static long send_datagram(const char *path) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) < 0) return -1;
    struct sockaddr_un address = named(path);
    return sendto(ends[0], "x", 1, 0, (struct sockaddr *)&address, sizeof address);
}

static void *nothing(void *unused) { return unused; }

static long start_thread(void) {
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, nothing, NULL);
    if (failed) {
        errno = failed;
        return -1;
    }
    return pthread_join(thread, NULL);
}

static long executable_memory(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : 0;
}

static long made_executable(void) {
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return page == MAP_FAILED ? -1 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static long ring(void) {
    char parameters[256] = {0};
    return syscall(SYS_io_uring_setup, 1, parameters);
}

/* What is tried; -1 with errno if it is refused. */
static long attempt(const struct order *order) {
    const char *name = order->name;
#define IS(text) (strcmp(name, text) == 0)
    if (IS("open")) return open_and_read(order->path);
    if (IS("overwrite")) return overwrite(order->path);
    if (IS("create")) return open(order->path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (IS("stat")) return access(order->path, F_OK);
    if (IS("execute")) return run();
    if (IS("fork")) return fork_once();
    if (IS("thread")) return start_thread();
    if (IS("trace")) return trace(order->pid);
    if (IS("memory")) return memory(order->pid);
    if (IS("read-other")) return read_other(order->pid);
    if (IS("kill")) return kill(order->pid, SIGKILL);
    if (IS("kill-thread")) return syscall(SYS_tgkill, order->pid, order->pid, SIGKILL);
    if (IS("own-signals")) return fcntl(result_fd, F_SETOWN, order->pid);
    if (IS("socket-inet")) return socket(AF_INET, SOCK_STREAM, 0);
    if (IS("socket-unix")) return socket(AF_UNIX, SOCK_STREAM, 0);
    if (IS("socket-netlink")) return socket(AF_NETLINK, SOCK_RAW, 0);
    if (IS("connect-unix")) return connect_unix(order->path);
    if (IS("connect-tcp")) return connect_tcp(order->port);
    if (IS("fast-open")) return connect_by_fast_open(order->port);
    if (IS("fast-open-new")) return fast_open_new(order->port);
    if (IS("listen")) return listening();
    if (IS("listen-unbound")) return listening_unbound();
    if (IS("datagram")) return send_datagram(order->path);
    if (IS("executable-memory")) return executable_memory();
    if (IS("made-executable")) return made_executable();
    if (IS("dumpable")) return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (IS("ring")) return ring();
    errno = ENOTSUP;
    return -1;
}

static void carry_out(const struct order *order) {
    char line[128];
    say(line, (size_t)snprintf(line, sizeof line, "try %s\n", order->name));
    errno = 0;
    long result = attempt(order);
    say(line, (size_t)snprintf(line, sizeof line, "got %ld %d\n", result, result < 0 ? errno : 0));
}

#ifdef CONTROL

int main(int count, char **words) {
    if (count != 5) return 2;
    struct order order = {.pid = atoi(words[2]), .port = atoi(words[4])};
    strncpy(order.name, words[1], sizeof order.name - 1);
    strncpy(order.path, words[3], sizeof order.path - 1);
    result_fd = 1;
    /* What the front has and a plain process has not: somebody who listens. */
    if (strcmp(order.name, "fast-open") == 0) listening();
    carry_out(&order);
    return 0;
}

#else

static int order_fd = -1, done;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Once: reads the order if it is there by now. Only what every process may do: seek and read. */
static void look(void) {
    if (order_fd < 0 || pthread_mutex_trylock(&lock) != 0) return;
    char text[1200];
    ssize_t length = -1;
    if (!done && lseek(order_fd, 0, SEEK_SET) == 0) length = read(order_fd, text, sizeof text - 1);
    if (length > 0 && text[length - 1] == '\n') {
        done = 1;
        text[length] = 0;
        struct order order = {0};
        if (sscanf(text, "%63s %d %1023s %d", order.name, &order.pid, order.path, &order.port) == 4)
            carry_out(&order);
    }
    pthread_mutex_unlock(&lock);
}

/* The process is told by the word that the supervisor gives it: "__front". */
__attribute__((constructor)) static void begin(int count, char **words) {
    const char *wanted = getenv("COUNTERSIGN_TEST_ATTACK_IN");
    if (wanted == NULL || count < 2 || strncmp(words[1], "__", 2) != 0 || strcmp(words[1] + 2, wanted) != 0)
        return;
    result_fd = open(getenv("COUNTERSIGN_TEST_ATTACK_RESULT"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    order_fd = open(getenv("COUNTERSIGN_TEST_ATTACK_ORDER"), O_RDONLY | O_CLOEXEC);
}

/* Front, egress and exporter wait here, */
int epoll_wait(int fd, struct epoll_event *events, int count, int timeout) {
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real) real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    look();
    return real(fd, events, count, timeout);
}

/* and the core writes its log here. */
int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    look();
    return real(fd);
}

#endif
