// Stands before the C library in a process under test: moves its time of day, and fills the disk
// under one folder.
//
// FAULT_CONTROL names the file of a struct fault_control, FAULT_FOLDER the folder. Only what reads
// the time of day is moved: CLOCK_MONOTONIC goes on, as it does when an administrator sets the
// clock.
#define _GNU_SOURCE
#include "fault_shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static struct fault_control *control;
static const char *folder;
static size_t folder_length;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULT_CONTROL");
    if (!path) {
        return;
    }
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (file < 0) {
        perror(path);
        _exit(125);
    }
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) {
        perror(path);
        _exit(125);
    }
    folder = getenv("FAULT_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
    control = mapped;
}

// The function of the C library behind one of ours.
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// MARK: Time

static int64_t offset_of(clockid_t clock) {
    if (!control || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) {
        return 0;
    }
    int64_t offset = atomic_load_explicit(&control->clock_offset, memory_order_relaxed);
    if (offset != 0) {
        atomic_fetch_add_explicit(&control->shifted_reads, 1, memory_order_relaxed);
    }
    return offset;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*next)(clockid_t, struct timespec *);
    if (!next) {
        next = NEXT(clock_gettime);
    }
    int status = next(clock, time);
    int64_t offset = status == 0 ? offset_of(clock) : 0;
    if (offset != 0) {
        int64_t nanoseconds = time->tv_nsec + offset % 1000000000;
        time->tv_sec += offset / 1000000000;
        if (nanoseconds < 0) {
            nanoseconds += 1000000000;
            time->tv_sec -= 1;
        } else if (nanoseconds >= 1000000000) {
            nanoseconds -= 1000000000;
            time->tv_sec += 1;
        }
        time->tv_nsec = nanoseconds;
    }
    return status;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return status;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) {
        *result = now.tv_sec;
    }
    return now.tv_sec;
}

// MARK: Disk

static bool is_full(void) {
    return control && folder && atomic_load_explicit(&control->is_disk_full, memory_order_relaxed);
}

static bool refuses(const char *path) {
    if (strncmp(path, folder, folder_length) != 0) {
        return false;
    }
    atomic_fetch_add_explicit(&control->refused_writes, 1, memory_order_relaxed);
    errno = ENOSPC;
    return true;
}

static bool refuses_path(const char *path) { return is_full() && refuses(path); }

static bool refuses_file(int file) {
    if (!is_full()) {
        return false;
    }
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) {
        return false;
    }
    path[length] = 0;
    return refuses(path);
}

ssize_t write(int file, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    if (!next) {
        next = NEXT(write);
    }
    return refuses_file(file) ? -1 : next(file, bytes, count);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    static ssize_t (*next)(int, const struct iovec *, int);
    if (!next) {
        next = NEXT(writev);
    }
    return refuses_file(file) ? -1 : next(file, parts, count);
}

int mkdir(const char *path, mode_t mode) {
    static int (*next)(const char *, mode_t);
    if (!next) {
        next = NEXT(mkdir);
    }
    return refuses_path(path) ? -1 : next(path, mode);
}

// Defines an open() of the name, which has a mode where it makes a file.
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        static int (*next)(const char *, int, ...);                                                \
        if (!next) {                                                                               \
            next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name);                       \
        }                                                                                          \
        mode_t mode = 0;                                                                           \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                       \
            va_list rest;                                                                          \
            va_start(rest, flags);                                                                 \
            mode = va_arg(rest, mode_t);                                                           \
            va_end(rest);                                                                          \
        }                                                                                          \
        return (flags & O_CREAT) && refuses_path(path) ? -1 : next(path, flags, mode);             \
    }

OPEN(open)
OPEN(open64)
