/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A clock that tests can set, for one process: LD_PRELOAD this, with JOBMILL_FAKE_CLOCK= naming a file of two 64-bit numbers, ns:
 * how far the wall clock is ahead of the machine's, and how long the machine has slept besides (CLOCK_BOOTTIME goes on then,
 * CLOCK_MONOTONIC does not). Timers of the kernel follow as they do when the machine's own clock is set or wakes up: an
 * absolute one may be over at once, and one with TFD_TIMER_CANCEL_ON_SET becomes readable. (Its read() then says 1 and not
 * ECANCELED.)
 *
 * A thread looks at the file; so the process sees a step a few ms after it was made, and in between has the old time. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FDS 1024
#define NS 1000000000LL

typedef struct Offsets {
        int64_t wall, sleep;
} Offsets;

static struct {
        clockid_t clock; /* 0 (REALTIME), BOOTTIME, …; -1: none of ours */
        int flags;
        struct itimerspec wanted; /* as the process has set it, all zero: off */
} timers[FDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const volatile Offsets *shared;
static Offsets seen;

static int64_t offset_of(clockid_t clock) {
        switch (clock) {
        case CLOCK_REALTIME:
        case CLOCK_REALTIME_COARSE:
        case CLOCK_REALTIME_ALARM:
                return __atomic_load_n(&seen.wall, __ATOMIC_SEQ_CST);
        case CLOCK_BOOTTIME:
        case CLOCK_BOOTTIME_ALARM:
                return __atomic_load_n(&seen.sleep, __ATOMIC_SEQ_CST);
        default:
                return 0;
        }
}

static struct timespec moved(struct timespec t, int64_t ns) {
        int64_t rest = t.tv_nsec + ns % NS;

        t.tv_sec += ns / NS + (rest >= NS) - (rest < 0);
        t.tv_nsec = rest >= NS ? rest - NS : rest < 0 ? rest + NS : rest;
        return t;
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int r = syscall(SYS_clock_gettime, clock, ret);

        if (r == 0)
                *ret = moved(*ret, offset_of(clock));
        return r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone) {
        struct timespec t;

        if (clock_gettime(CLOCK_REALTIME, &t) < 0)
                return -1;
        *ret = (struct timeval) { .tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000 };
        return 0;
}

time_t time(time_t *ret) {
        struct timespec t;

        if (clock_gettime(CLOCK_REALTIME, &t) < 0)
                return -1;
        if (ret)
                *ret = t.tv_sec;
        return t.tv_sec;
}

/* ---- timers ---- */

int timerfd_create(clockid_t clock, int flags) {
        int fd = syscall(SYS_timerfd_create, clock, flags);

        if (fd >= 0 && fd < FDS) {
                pthread_mutex_lock(&lock);
                timers[fd].clock = clock;
                timers[fd].wanted = (struct itimerspec) {};
                timers[fd].flags = 0;
                pthread_mutex_unlock(&lock);
        }
        return fd;
}

static int arm(int fd, struct itimerspec *old) {
        struct itimerspec t = timers[fd].wanted;

        if ((t.it_value.tv_sec || t.it_value.tv_nsec) && (timers[fd].flags & TFD_TIMER_ABSTIME) && t.it_value.tv_sec < INT32_MAX * 4LL) {
                t.it_value = moved(t.it_value, -offset_of(timers[fd].clock));
                if (t.it_value.tv_sec < 0 || (t.it_value.tv_sec == 0 && t.it_value.tv_nsec == 0))
                        t.it_value = (struct timespec) { .tv_nsec = 1 };
        }
        return syscall(SYS_timerfd_settime, fd, timers[fd].flags, &t, old);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old) {
        int r;

        if (fd < 0 || fd >= FDS)
                return syscall(SYS_timerfd_settime, fd, flags, new, old);
        pthread_mutex_lock(&lock);
        timers[fd].flags = flags;
        timers[fd].wanted = *new;
        r = arm(fd, old);
        pthread_mutex_unlock(&lock);
        return r;
}

static void step(void) {
        bool set = seen.wall != shared->wall || seen.sleep != shared->sleep;

        if (!set)
                return;
        pthread_mutex_lock(&lock);
        __atomic_store_n(&seen.wall, shared->wall, __ATOMIC_SEQ_CST);
        __atomic_store_n(&seen.sleep, shared->sleep, __ATOMIC_SEQ_CST);
        for (int fd = 0; fd < FDS; fd++) {
                const struct itimerspec now = { .it_value.tv_nsec = 1 };

                if (!timers[fd].wanted.it_value.tv_sec && !timers[fd].wanted.it_value.tv_nsec)
                        continue;
                if (timers[fd].flags & TFD_TIMER_CANCEL_ON_SET)
                        (void) syscall(SYS_timerfd_settime, fd, 0, &now, NULL);
                else
                        (void) arm(fd, NULL); /* of a descriptor that is something else by now: it fails */
        }
        pthread_mutex_unlock(&lock);
}

static void *watch(void *unused) {
        for (;;) {
                step();
                usleep(2000);
        }
        return NULL;
}

__attribute__((constructor)) static void begin(void) {
        const char *path = getenv("JOBMILL_FAKE_CLOCK");
        pthread_t thread;
        sigset_t all, old;
        int fd;

        if (!path)
                return;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (shared = mmap(NULL, sizeof(Offsets), PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED) {
                perror(path);
                _exit(1);
        }
        close(fd);
        seen = *shared;
        /* Signals are for the others. */
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        if (pthread_create(&thread, NULL, watch, NULL) != 0)
                _exit(1);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
}
