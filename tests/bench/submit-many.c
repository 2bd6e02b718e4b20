/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit-many [--hold] [--environment=N] [--wait] QUEUE JOBS: submits JOBS jobs of /bin/true by SubmitMany, 10,000 a call, two
 * calls on their way so that filling a message and taking it overlap. With --wait also until they are done and
 * their units released: until no more are open than there were before.
 *
 * Prints the seconds from the first call to the last answer (or to the last release). */

#include "base/macro.h"

#include <getopt.h>
#include <systemd/sd-bus.h>
#include <time.h>

#define BATCH 10000U
#define IN_FLIGHT 2U
#define CALL_TIMEOUT UINT64_C(120000000)
#define POLL_NSEC 3000000
#define ENVIRONMENT_MAX 64U

typedef struct Submitter {
        sd_bus *bus;
        const char *queue;
        bool hold, wait;
        unsigned n_environment;
        char *environment[ENVIRONMENT_MAX + 1];
        uint64_t n, sent, answered, last_id;
        uint64_t before; /* were open before, in queues that stand still */
        unsigned in_flight;
        bool failed;
} Submitter;

static int fail(Submitter *s, int r, const char *text) {
        fprintf(stderr, "submit-many: %s\n", text ?: strerror(-r));
        s->failed = true;
        return r;
}

/* A usual environment: some 40 bytes a variable. */
static int make_environment(Submitter *s) {
        for (unsigned i = 0; i < s->n_environment; i++)
                if (asprintf(s->environment + i, "BENCH_VARIABLE_%u=/usr/share/some/where/%u", i, i) < 0)
                        return -ENOMEM;
        return 0;
}

static int call_manager(Submitter *s, sd_bus_message **ret, const char *member) {
        return sd_bus_message_new_method_call(s->bus, ret, "org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager", member);
}

static int append_environment(Submitter *s, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', "environment");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(m, s->environment);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        return r;
}

static int append_job(Submitter *s, sd_bus_message *m) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = sd_bus_message_append(m, "{sv}{sv}{sv}",
                                          "queue", "s", s->queue,
                                          "name", "s", "bench",
                                          "argv", "as", 1, "/bin/true");
        if (r >= 0 && s->hold)
                r = sd_bus_message_append(m, "{sv}", "hold", "b", 1);
        if (r >= 0 && s->n_environment > 0)
                r = append_environment(s, m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int on_submitted(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Submitter *s = userdata;
        const uint64_t *ids;
        size_t size;
        int r;

        s->in_flight--;
        if (e)
                return fail(s, -EIO, e->message);
        r = sd_bus_message_read_array(m, 't', (const void **) &ids, &size);
        if (r < 0 || size == 0)
                return fail(s, r, NULL);
        s->answered += size / sizeof(*ids);
        s->last_id = ids[size / sizeof(*ids) - 1];
        return 0;
}

static int send_batch(Submitter *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        uint64_t n = MIN(s->n - s->sent, (uint64_t) BATCH);
        int r;

        r = call_manager(s, &m, "SubmitMany");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "a{sv}");
        for (uint64_t i = 0; r >= 0 && i < n; i++)
                r = append_job(s, m);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_call_async(s->bus, NULL, m, on_submitted, s, CALL_TIMEOUT);
        if (r < 0)
                return r;
        s->sent += n;
        s->in_flight++;
        return 0;
}

static int submit_all(Submitter *s) {
        int r;

        while (!s->failed && s->answered < s->n) {
                if (s->in_flight < IN_FLIGHT && s->sent < s->n) {
                        r = send_batch(s);
                        if (r < 0)
                                return r;
                }
                r = sd_bus_process(s->bus, NULL);
                if (r == 0 && (s->in_flight >= IN_FLIGHT || s->sent >= s->n))
                        r = sd_bus_wait(s->bus, UINT64_MAX);
                if (r < 0 && r != -EINTR)
                        return r;
        }
        return s->failed ? -EIO : 0;
}

/* ---- until all are done and released ---- */

/* The last one of a queue is among the last that end: until then the daemon is not disturbed by questions. */
static int wait_last(Submitter *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = call_manager(s, &m, "WaitJob");
        if (r >= 0)
                r = sd_bus_message_append(m, "tt", s->last_id, UINT64_MAX);
        return r < 0 ? r : sd_bus_call(s->bus, m, CALL_TIMEOUT, NULL, NULL);
}

/* How many are not yet done, or hold a slot. */
static int count_open(Submitter *s, uint64_t *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *const names[] = { "ready", "starting", "running", "stopping", "attempts" };
        int r;

        *ret = 0;
        r = sd_bus_call_method(s->bus, "org.jobmill1", "/org/jobmill1", "org.jobmill1.Manager", "GetStatistics", NULL, &m, NULL);
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *key;
                uint64_t t = 0;
                uint32_t u = 0;
                bool wanted = false;

                r = sd_bus_message_read_basic(m, 's', &key);
                if (r < 0)
                        return r;
                FOREACH_ELEMENT(name, names)
                        wanted = wanted || streq(*name, key);
                r = !wanted ? sd_bus_message_skip(m, "v") :
                    streq(key, "attempts") ? sd_bus_message_read(m, "v", "u", &u) : sd_bus_message_read(m, "v", "t", &t);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                *ret += t + u;
        }
        return r;
}

static int wait_released(Submitter *s) {
        uint64_t n;
        int r;

        r = wait_last(s);
        while (r >= 0 && (r = count_open(s, &n)) >= 0 && n > s->before)
                (void) nanosleep(&(struct timespec) { .tv_nsec = POLL_NSEC }, NULL);
        return r;
}

/* ---- the whole ---- */

static double seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

static int parse_argv(Submitter *s, int argc, char *argv[]) {
        static const struct option options[] = {
                { "hold", no_argument, NULL, 'h' },
                { "environment", required_argument, NULL, 'e' },
                { "wait", no_argument, NULL, 'w' },
                {},
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                if (c == 'h')
                        s->hold = true;
                else if (c == 'e')
                        s->n_environment = strtoul(optarg, NULL, 10);
                else if (c == 'w')
                        s->wait = true;
                else
                        return -EINVAL;
        if (argc - optind != 2 || s->n_environment > ENVIRONMENT_MAX)
                return -EINVAL;
        s->queue = argv[optind];
        s->n = strtoull(argv[optind + 1], NULL, 10);
        return s->n > 0 ? 0 : -EINVAL;
}

int main(int argc, char *argv[]) {
        Submitter s = {};
        double begin;
        int r;

        if (parse_argv(&s, argc, argv) < 0) {
                fprintf(stderr, "usage: submit-many [--hold] [--environment=N] [--wait] QUEUE JOBS\n");
                return 2;
        }
        r = make_environment(&s);
        if (r >= 0)
                r = sd_bus_open_system(&s.bus);
        if (r >= 0 && s.wait)
                r = count_open(&s, &s.before);
        begin = seconds();
        if (r >= 0)
                r = submit_all(&s);
        if (r >= 0 && s.wait)
                r = wait_released(&s);
        if (r < 0 && !s.failed)
                (void) fail(&s, r, NULL);
        if (!s.failed)
                printf("%.6f\n", seconds() - begin);
        sd_bus_flush_close_unref(s.bus);
        for (unsigned i = 0; i < s.n_environment; i++)
                free(s.environment[i]);
        return s.failed;
}
