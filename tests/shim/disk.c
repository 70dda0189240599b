/* A disk that fails on demand, for tests: preloaded under the vault's core (development only).
 *
 * COUNTERSIGN_TEST_DISK says how the log's segments behave; other files are left alone.
 *   volatile      writes reach the file only when it is synced: killing the process is a power cut
 *   lying         as volatile, but a sync does nothing and says that it did: what the tests must notice
 *   sync-fails:N  the N-th sync of a segment fails with EIO, and all later ones
 *   full:N        the N-th write to a segment fails with ENOSPC, and all later ones
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off64_t);
typedef int (*sync_fn)(int);

struct held {
    struct held *next;
    int fd;
    off64_t offset;
    size_t length;
    char bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct held *first, **last = &first;
static long writes, syncs;

static int is_segment(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "/audit/seg-") != NULL;
}

/* The number behind NAME in the mode, or 0 if the mode is another. */
static long nth(const char *name) {
    const char *mode = getenv("COUNTERSIGN_TEST_DISK");
    size_t length = strlen(name);
    if (mode == NULL || strncmp(mode, name, length) != 0) return 0;
    return mode[length] == ':' ? atol(mode + length + 1) : 1;
}

static pwrite_fn real_pwrite(void) {
    static pwrite_fn found;
    if (!found) found = (pwrite_fn)dlsym(RTLD_NEXT, "pwrite64");
    return found;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    if (!is_segment(fd)) return real_pwrite()(fd, bytes, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t result;
    writes++;
    if (nth("full") && writes >= nth("full")) {
        errno = ENOSPC;
        result = -1;
    } else if (nth("volatile") || nth("lying")) {
        struct held *held = malloc(sizeof *held + length);
        held->next = NULL;
        held->fd = fd;
        held->offset = offset;
        held->length = length;
        memcpy(held->bytes, bytes, length);
        *last = held;
        last = &held->next;
        result = (ssize_t)length;
    } else {
        result = real_pwrite()(fd, bytes, length, offset);
    }
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

static int sync_segment(int fd, sync_fn real) {
    pthread_mutex_lock(&lock);
    int result = 0;
    syncs++;
    if (nth("sync-fails") && syncs >= nth("sync-fails")) {
        errno = EIO;
        result = -1;
    } else if (!nth("lying")) {
        struct held **at = &first;
        while (*at != NULL && result == 0) {
            struct held *held = *at;
            if (held->fd != fd) {
                at = &held->next;
                continue;
            }
            if (real_pwrite()(fd, held->bytes, held->length, held->offset) != (ssize_t)held->length)
                result = -1;
            *at = held->next;
            free(held);
        }
        for (last = &first; *last != NULL; last = &(*last)->next) {}
        if (result == 0) result = real(fd);
    }
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
    return result;
}

int fdatasync(int fd) {
    sync_fn real = (sync_fn)dlsym(RTLD_NEXT, "fdatasync");
    return is_segment(fd) ? sync_segment(fd, real) : real(fd);
}

int fsync(int fd) {
    sync_fn real = (sync_fn)dlsym(RTLD_NEXT, "fsync");
    return is_segment(fd) ? sync_segment(fd, real) : real(fd);
}
