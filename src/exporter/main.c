/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill-exporter: /metrics and /healthz over HTTP, for Prometheus and for whoever watches. It knows nothing but one call, which
 * everybody may make: GetMetrics(). So it needs no right, and what is behind its port is never the daemon.
 *
 * One thread, one loop. A request is put aside until the daemon has answered, for at most TIMEOUT; all that come meanwhile
 * get the same answer, so that a slow daemon is asked once and nobody waits behind anybody. It is never started by being asked. */

#include "api/protocol.h"
#include "base/log.h"
#include "exporter/http.h"

#include <getopt.h>
#include <signal.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#define TIMEOUT (5 * USEC_PER_SEC)

typedef struct Exporter {
        sd_event *event;
        Http *http;
        bool user;
        sd_bus *bus;
        sd_bus_slot *slot; /* of the call that is under way */
} Exporter;

static void answer(Exporter *x, const char *metrics, const char *error) {
        x->slot = sd_bus_slot_unref(x->slot);
        http_answer(x->http, metrics, error);
}

static void drop_bus(Exporter *x) {
        x->slot = sd_bus_slot_unref(x->slot);
        if (x->bus)
                (void) sd_bus_detach_event(x->bus);
        x->bus = sd_bus_close_unref(x->bus);
}

static int on_metrics(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Exporter *x = userdata;
        const char *text;
        int r;

        if (e) {
                bool gone = sd_bus_error_has_name(e, SD_BUS_ERROR_NO_REPLY) && sd_bus_is_open(x->bus) <= 0;

                answer(x, NULL, strempty(e->message));
                if (gone)
                        drop_bus(x);
                return 0;
        }
        r = sd_bus_message_read_basic(m, 's', &text);
        answer(x, r < 0 ? NULL : text, r < 0 ? "its answer cannot be read" : NULL);
        return 0;
}

static int connect_bus(Exporter *x) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        int r;

        if (x->bus && sd_bus_is_open(x->bus) > 0)
                return 0;
        drop_bus(x);
        r = x->user ? sd_bus_open_user(&bus) : sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, x->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        x->bus = TAKE_PTR(bus);
        return 0;
}

/* Somebody waits for an answer; the same for all that come until then. */
static void ask(void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        const char *msec = getenv("JOBMILL_EXPORTER_TIMEOUT_MSEC"); /* for tests */
        Exporter *x = userdata;
        char text[128];
        int r;

        if (x->slot)
                return;
        r = connect_bus(x);
        if (r >= 0)
                r = sd_bus_message_new_method_call(x->bus, &m, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "GetMetrics");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(m, false);
        if (r >= 0)
                r = sd_bus_call_async(x->bus, &x->slot, m, on_metrics, x, msec ? (usec_t) atoi(msec) * USEC_PER_MSEC : TIMEOUT);
        if (r < 0) {
                snprintf(text, sizeof(text), "the bus cannot be reached: %s", strerror(-r));
                answer(x, NULL, text);
        }
}

static int listen_fd(void) {
        int n = sd_listen_fds(true);

        if (n < 0)
                return log_error_errno(n, "Failed to take the socket over: %m");
        if (n != 1)
                return log_error_errno(-EINVAL, "It is started by its socket, with one address: systemctl start jobmill-exporter.socket");
        return SD_LISTEN_FDS_START;
}

static int run(bool user) {
        Exporter x = { .user = user };
        int fd, r;

        fd = listen_fd();
        if (fd < 0)
                return fd;
        r = sd_event_default(&x.event);
        if (r >= 0)
                r = sd_event_add_signal(x.event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_signal(x.event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
        if (r >= 0)
                r = http_new(x.event, fd, ask, &x, &x.http);
        if (r < 0)
                log_error_errno(r, "Failed to serve: %m");
        else {
                (void) sd_notify(false, "READY=1");
                r = sd_event_loop(x.event);
        }
        drop_bus(&x);
        http_free(x.http);
        sd_event_unref(x.event);
        return r;
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' },
                                                 { "user", no_argument, NULL, 'u' }, {} };
        bool user = false;
        int c;

        while ((c = getopt_long(argc, argv, "h", options, NULL)) >= 0)
                switch (c) {
                case 'h':
                        puts("jobmill-exporter [--user]\n\nServes /metrics and /healthz on the socket that it is started with. See jobmill-exporter(8).\n\n"
                             "  -h --help     Show this\n     --version  Show the version\n     --user     Ask your own jobmilld, on the session bus");
                        return EXIT_SUCCESS;
                case 'V':
                        puts("jobmill-exporter " JOBMILL_VERSION);
                        return EXIT_SUCCESS;
                case 'u':
                        user = true;
                        break;
                default:
                        return EXIT_FAILURE;
                }
        log_setup();
        return run(user) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
