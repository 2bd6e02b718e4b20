/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill-webhook: one thread, one loop. It is started when the first callback waits (WorkerUnit= of the queue), and ends when there was none
 * for IdleSec=. Told to end it takes no more, and says what became of those that are under way. */

#include "webhook/webhook.h"

#include "base/log.h"
#include "base/time-util.h"

#include <getopt.h>
#include <signal.h>
#include <sys/signalfd.h>

#define KEYS_PREFIX "webhook-keys_" /* as LoadCredential=webhook-keys:FOLDER names them */

/* When it is to say that it takes nothing more; or when it ends, where nobody is there to be told. */
static usec_t drain_due(const Webhook *w) {
        const Link *l = &w->link;

        if (l->drain_sent)
                return USEC_INFINITY;
        if (link_is_idle(w))
                return MAX(w->told ? 0 : usec_add(w->idle_since, w->policy.idle_usec), l->drain_next);
        return w->told && l->registered && !l->drained ? l->drain_next : USEC_INFINITY;
}

static int wait_for_something(Webhook *w, int signals) {
        struct curl_waitfd fds[3] = { { .fd = signals, .events = CURL_WAIT_POLLIN } };
        usec_t now = now_usec(CLOCK_MONOTONIC), next = MIN(link_next(w), drain_due(w)), left = next > now ? next - now : 0;
        unsigned n = 1;

        if (w->link.orders >= 0) {
                fds[n++] = (struct curl_waitfd) { .fd = w->link.orders, .events = CURL_WAIT_POLLIN };
                fds[n++] = (struct curl_waitfd) { .fd = w->link.reports, .events = CURL_WAIT_POLLIN };
        }
        return curl_multi_poll(w->multi, fds, n, (int) MIN(left / USEC_PER_MSEC + (left > 0), (usec_t) 60000), NULL) == CURLM_OK ? 0 : -EIO;
}

static int loop(Webhook *w, int signals) {
        w->idle_since = now_usec(CLOCK_MONOTONIC);
        while (!w->ended) {
                struct signalfd_siginfo si;
                int r;

                link_turn(w, now_usec(CLOCK_MONOTONIC));
                deliveries_perform(w);
                link_turn(w, now_usec(CLOCK_MONOTONIC));
                if (now_usec(CLOCK_MONOTONIC) >= drain_due(w))
                        link_drain(w);
                if (w->ended)
                        break;
                r = wait_for_something(w, signals);
                if (r < 0)
                        return log_error_errno(r, "libcurl cannot wait: %m");
                if (read(signals, &si, sizeof(si)) == sizeof(si))
                        w->told = true;
        }
        return w->result;
}

static void forget(struct Deliveries *l) {
        Delivery *d;

        while ((d = TAILQ_FIRST(l))) {
                TAILQ_REMOVE(l, d, entry);
                delivery_free(d);
        }
}

static int set_up(Webhook *w, const char *keys, int *ret_signals) {
        const char *credentials = getenv("CREDENTIALS_DIRECTORY");
        sigset_t mask;
        int r;

        r = policy_read(&w->policy, w->user);
        if (r >= 0 && keys)
                r = keys_read(&w->keys, keys, "");
        else if (r >= 0 && credentials)
                r = keys_read(&w->keys, credentials, KEYS_PREFIX);
        if (r < 0)
                return r;
        if (w->keys.n == 0)
                log_warning("There is no key, so no callback can be signed: jobmill-webhook(8), KEYS");
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || (*ret_signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
                return log_error_errno(errno, "Failed to set up: %m");
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(w->multi = curl_multi_init()) || !w->link.tokener)
                return log_oom();
        return 0;
}

static int run(bool user, const char *keys) {
        Webhook w = { .user = user };
        _cleanup_close_ int signals = -EBADF;
        int r;

        TAILQ_INIT(&w.under_way);
        TAILQ_INIT(&w.to_report);
        TAILQ_INIT(&w.reported);
        link_init(&w);
        r = set_up(&w, keys, &signals);
        if (r >= 0)
                r = loop(&w, signals);
        link_done(&w);
        for (Delivery *d = TAILQ_FIRST(&w.under_way); d; d = TAILQ_NEXT(d, entry))
                (void) curl_multi_remove_handle(w.multi, d->easy);
        forget(&w.under_way);
        forget(&w.to_report);
        if (w.multi)
                (void) curl_multi_cleanup(w.multi);
        curl_global_cleanup();
        keys_done(&w.keys);
        policy_done(&w.policy);
        return r;
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
                                                 { "user", no_argument, NULL, 'u' }, { "keys", required_argument, NULL, 'k' }, {} };
        const char *keys = NULL;
        bool user = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        puts("jobmill-webhook [--user] [--keys FOLDER]\n\nSends the callbacks of jobs. See jobmill-webhook(8).\n\n"
                             "  -h --help         Show this\n     --version      Show the version\n     --user         Serve your own jobmilld\n"
                             "     --keys FOLDER  Read the keys from there, not from the credentials of the service");
                        return EXIT_SUCCESS;
                case 'V':
                        puts("jobmill-webhook " JOBMILL_VERSION);
                        return EXIT_SUCCESS;
                case 'u':
                        user = true;
                        break;
                case 'k':
                        keys = optarg;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        log_setup();
        return run(user, keys) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
