/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See sequences.h. */

#include "sequences.h"

#include "base/parse.h"
#include "base/strv.h"

#include <sys/mman.h>
#include <sys/wait.h>

#define EVENTS_MAX 512U
#define NOT_ALL 3 /* status: something never happened */

uint64_t draw(uint64_t *dice) {
        uint64_t z = (*dice += UINT64_C(0x9e3779b97f4a7c15));

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static const char *from_environment(const Sequences *s, const char *name) {
        char key[64];

        snprintf(key, sizeof(key), "%s_%s", s->prefix, name);
        return getenv(key);
}

static uint64_t number(const Sequences *s, const char *name, uint64_t otherwise) {
        const char *text = from_environment(s, name);
        uint64_t v;

        return text && parse_u64(text, &v) >= 0 ? v : otherwise;
}

static unsigned make_events(const Sequences *s, uint64_t seed, uint64_t i, Event ret[EVENTS_MAX]) {
        uint64_t dice = seed * UINT64_C(0x2545f4914f6cdd1d) + i;
        unsigned sum = 0, n;

        for (unsigned k = 0; k < s->n_kinds; k++)
                sum += s->weights[k];
        n = s->events_min + (unsigned) (draw(&dice) % (s->events_max - s->events_min + 1));
        for (unsigned k = 0; k < n; k++) {
                unsigned lot = (unsigned) (draw(&dice) % sum), kind = 0;

                while (lot >= s->weights[kind])
                        lot -= s->weights[kind++];
                ret[k] = (Event) { kind, draw(&dice) };
        }
        return n;
}

/* ---- failures ---- */

static bool fails(const Sequences *s, uint64_t seed, uint64_t i, const Event *events, const bool *left_out, unsigned n, bool verbose) {
        pid_t pid;
        int status;

        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                if (!verbose && (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)))
                        _exit(2);
                s->run(seed, i, events, left_out, n, verbose);
                fflush(stdout);
                _exit(0);
        }
        (void) waitpid(pid, &status, 0);
        return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void show_failure(const Sequences *s, uint64_t seed, uint64_t i) {
        Event events[EVENTS_MAX];
        bool left_out[EVENTS_MAX] = {};
        unsigned n = make_events(s, seed, i, events);

        for (bool again = true; again;) {
                again = false;
                for (unsigned k = n; k-- > 0;) {
                        if (left_out[k])
                                continue;
                        left_out[k] = true;
                        if (fails(s, seed, i, events, left_out, n, false))
                                again = true;
                        else
                                left_out[k] = false;
                }
        }
        printf("Sequence %" PRIu64 " of seed %" PRIu64 " fails; what is needed for that: %s_REPLAY=%" PRIu64 "/%" PRIu64 "/", i, seed, s->prefix,
               seed, i);
        for (unsigned k = 0, shown = 0; k < n; k++)
                if (!left_out[k])
                        printf("%s%u", shown++ > 0 ? "," : "", k);
        printf("\n");
        (void) fails(s, seed, i, events, left_out, n, true);
}

static int replay(const Sequences *s, const char *text) {
        _cleanup_strv_free_ char **parts = strv_split(text, "/"), **kept = NULL;
        Event events[EVENTS_MAX];
        bool left_out[EVENTS_MAX];
        uint64_t seed, i, k;
        unsigned n;

        if (strv_length(parts) < 2 || parse_u64(parts[0], &seed) < 0 || parse_u64(parts[1], &i) < 0)
                return EXIT_FAILURE;
        n = make_events(s, seed, i, events);
        memset(left_out, strv_length(parts) > 2, sizeof(left_out));
        if (strv_length(parts) > 2)
                kept = strv_split(parts[2], ",");
        STRV_FOREACH(p, kept)
                if (parse_u64(*p, &k) >= 0 && k < n)
                        left_out[k] = false;
        return fails(s, seed, i, events, left_out, n, true) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- all of them ---- */

static void run_all(const Sequences *s, uint64_t seed, uint64_t n, uint64_t *progress) {
        Event events[EVENTS_MAX];

        for (*progress = 0; *progress < n; ++*progress)
                s->run(seed, *progress, events, NULL, make_events(s, seed, *progress, events), false);
        exit(s->done(seed, n, from_environment(s, "COUNTS")) ? EXIT_SUCCESS : NOT_ALL);
}

int sequences_run(const Sequences *s) {
        const char *text = from_environment(s, "REPLAY");
        uint64_t seed = number(s, "SEED", 1), n = number(s, "SEQUENCES", s->n);
        uint64_t *progress; /* shared with the child */
        pid_t pid;
        int status;

        assert(s->events_max <= EVENTS_MAX);
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (text)
                return replay(s, text);
        progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (progress == MAP_FAILED)
                return EXIT_FAILURE;
        pid = fork();
        if (pid == 0)
                run_all(s, seed, n, progress);
        if (pid < 0 || waitpid(pid, &status, 0) < 0)
                return EXIT_FAILURE;
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
                return EXIT_SUCCESS;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != NOT_ALL)
                show_failure(s, seed, *progress);
        return EXIT_FAILURE;
}
