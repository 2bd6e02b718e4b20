/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* heartbeat FILE STOP: a job that proves that nobody touches it.
 *
 * Every 50 ms, until the file STOP is there, it says so: "BEAT NUMBER" on standard output, and "NUMBER MONOTONIC_USEC" in FILE. A
 * signal is noted in FILE, "signal NUMBER", and else ignored. The first line is "begin PID", the last one "end". */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_NSEC 50000000L

static volatile sig_atomic_t caught;

static void on_signal(int sig) {
        caught = sig;
}

static int64_t now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

int main(int argc, char *argv[]) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCONT, SIGPIPE, SIGUSR1, SIGUSR2, SIGWINCH };
        FILE *f;

        if (argc != 3)
                return 2;
        f = fopen(argv[1], "ae");
        if (!f)
                return 3;
        setvbuf(f, NULL, _IOLBF, 0);
        setvbuf(stdout, NULL, _IOLBF, 0);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                (void) sigaction(signals[i], &(struct sigaction) { .sa_handler = on_signal }, NULL);
        fprintf(f, "begin %d\n", (int) getpid());
        for (int64_t n = 1; access(argv[2], F_OK) < 0; n++) {
                printf("beat %" PRId64 "\n", n);
                fprintf(f, "%" PRId64 " %" PRId64 "\n", n, now());
                for (struct timespec t = { .tv_nsec = INTERVAL_NSEC }; nanosleep(&t, &t) < 0 && errno == EINTR;)
                        fprintf(f, "signal %d\n", (int) caught);
        }
        fprintf(f, "end\n");
        return ferror(f) || ferror(stdout) || fflush(stdout) < 0 ? 4 : 0;
}
