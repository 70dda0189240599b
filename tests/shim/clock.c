/* A wall clock that a test moves while the vault runs: preloaded under its processes (development only).
 *
 * COUNTERSIGN_TEST_CLOCK names a file with one number, 8 bytes, little-endian: microseconds that are
 * added to the wall clock. It is mapped once, before main, so that nothing is opened later. What else
 * the system measures time by is left alone.
 *
 * COUNTERSIGN_TEST_BOOT names a file that is read in place of the machine's boot id: after another
 * boot, as far as that can be pretended.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);
typedef int (*open_fn)(const char *, int, ...);

static clock_gettime_fn real_clock_gettime;
static open_fn real_open;
static const volatile int64_t *offset_us;

__attribute__((constructor)) static void start(void) {
    real_clock_gettime = (clock_gettime_fn)dlsym(RTLD_NEXT, "clock_gettime");
    real_open = (open_fn)dlsym(RTLD_NEXT, "open64");
    const char *path = getenv("COUNTERSIGN_TEST_CLOCK");
    if (path == NULL) return;
    int fd = real_open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof *offset_us, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map != MAP_FAILED) offset_us = map;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (real_clock_gettime == NULL) start();
    int result = real_clock_gettime(clock, now);
    if (result != 0 || offset_us == NULL) return result;
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return result;
    int64_t offset = *offset_us;
    int64_t us = (int64_t)now->tv_nsec / 1000 + offset % 1000000;
    now->tv_sec += offset / 1000000;
    if (us < 0) {
        us += 1000000;
        now->tv_sec--;
    } else if (us >= 1000000) {
        us -= 1000000;
        now->tv_sec++;
    }
    now->tv_nsec = us * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec at;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &at) != 0) return -1;
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec at;
    if (clock_gettime(CLOCK_REALTIME, &at) != 0) return -1;
    if (now != NULL) *now = at.tv_sec;
    return at.tv_sec;
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int);
    va_end(rest);
    if (real_open == NULL) start();
    const char *boot = getenv("COUNTERSIGN_TEST_BOOT");
    if (boot != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot;
    return real_open(path, flags, mode);
}
