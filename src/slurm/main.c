/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill-slurm: one thread, one loop. See slurm.h. Told to end it ends at once: what it has asked for goes on in Slurm, and whoever is started next
 * looks what became of it. */

#include "slurm/slurm.h"

#include "base/log.h"
#include "base/time-util.h"

#include <getopt.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#define ADAPTER "slurm"

static void who(JsonWriter *j, void *userdata) {
        char text[96];

        (void) snprintf(text, sizeof(text), ",\"name\":\"" ADAPTER "\",\"adapter\":\"" ADAPTER "\",\"durable\":true,\"slots\":%u", SLURM_SLOTS);
        json_write_raw(j, text, strlen(text));
}

static void ordered(json_object *o, void *userdata) {
        json_object *order;
        Slurm *s = userdata;

        if ((order = link_get(o, "assign")))
                task_assign(s, order);
        else if ((order = link_get(o, "cancel")))
                task_cancel(s, order);
        else if ((order = link_get(o, "kill")))
                task_signal(s, order);
        tasks_turn(s);
}

static void registered(void *userdata) {
        (void) sd_notify(false, "READY=1");
}

static int refused(const char *error, const char *message, void *userdata) {
        bool is_passing = startswith(error, "Storage") || streq(error, "NoSuchWorker") || streq(error, "NotUnique");

        log_full_errno(is_passing ? LOG_DEBUG : LOG_ERR, 0, "jobmilld does not take this adapter: %s: %s", error, message);
        return is_passing ? 0 : -EPERM;
}

/* What is to be done by the clock is done by one: a second is soon enough. */
static int on_timer(sd_event_source *source, uint64_t when, void *userdata) {
        Slurm *s = userdata;

        tasks_turn(s);
        (void) sd_event_source_set_time_relative(source, SLURM_POLL / 5);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int set_up(Slurm *s, const char *path) {
        const LinkHandler handler = { .who = who, .ordered = ordered, .registered = registered, .refused = refused, .userdata = s };
        sigset_t mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        r = sd_event_new(&s->event);
        if (r >= 0)
                r = sd_event_add_signal(s->event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(s->event, NULL, SIGINT, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, 0, 0, on_timer, s);
        return r < 0 ? r : link_new(s->event, path, &handler, &s->link);
}

static int run(const char *path, usec_t missing) {
        Slurm s = { .missing_usec = missing };
        int r;

        TAILQ_INIT(&s.commands);
        r = set_up(&s, path);
        if (r >= 0)
                r = sd_event_loop(s.event);
        if (r < 0)
                log_error_errno(r, "Failed: %m");
        tasks_free(&s);
        link_free(s.link);
        sd_event_source_unref(s.timer);
        sd_event_unref(s.event);
        return r;
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
                                                 { "socket", required_argument, NULL, 's' }, { "missing", required_argument, NULL, 'm' }, {} };
        const char *path = "/run/jobmill/org.jobmill";
        usec_t missing = SLURM_MISSING_DEFAULT;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        puts("jobmill-slurm [--socket=PATH] [--missing=SPAN]\n\nHands the jobs of queues with Executor=slurm on to Slurm. See jobmill-slurm(8).\n\n"
                             "  -h --help          Show this\n     --version       Show the version\n     --socket=PATH   Where jobmilld listens\n"
                             "     --missing=SPAN  A job that Slurm does not know for so long is lost (5min)");
                        return EXIT_SUCCESS;
                case 'V':
                        puts("jobmill-slurm " JOBMILL_VERSION);
                        return EXIT_SUCCESS;
                case 's':
                        path = optarg;
                        break;
                case 'm':
                        if (parse_span(optarg, &missing) < 0) {
                                fprintf(stderr, "jobmill-slurm: --missing=%s: not a time span\n", optarg);
                                return EXIT_FAILURE;
                        }
                        break;
                default:
                        return EXIT_FAILURE;
                }
        log_setup();
        return run(path, missing) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
