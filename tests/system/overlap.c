/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* overlap FILE MILLISECONDS: a job that takes that long and tells when it ran.
 *
 * Appends one line "BEGIN END PID" to FILE, CLOCK_MONOTONIC in nanoseconds, in a single write() so that lines of jobs that
 * end together do not mix. How many intervals overlap at most is how many jobs ran at once. */

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int main(int argc, char *argv[]) {
        int64_t begin = now();
        char line[128];
        int fd, n, ms;

        if (argc != 3)
                return 2;
        fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
                return 3;
        ms = atoi(argv[2]);
        nanosleep(&(struct timespec) { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
        n = snprintf(line, sizeof line, "%" PRId64 " %" PRId64 " %d\n", begin, now(), (int) getpid());
        return write(fd, line, n) == n ? 0 : 4;
}
