/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "exporter/http.h"

#include <microhttpd.h>
#include <sys/epoll.h>
#include <sys/queue.h>

#define CONNECTIONS_MAX 512U
#define IDLE_SEC 5U /* also half a request */
#define LOOK_MSEC 250U /* while there are connections */
#define MEMORY_MAX (16U * 1024U)
#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct Request {
        struct MHD_Connection *connection;
        bool health;   /* not the metrics */
        bool suspended, answered;
        unsigned status;
        struct MHD_Response *response; /* once there is one */
        TAILQ_ENTRY(Request) entry;
} Request;

struct Http {
        struct MHD_Daemon *daemon;
        sd_event_source *io, *timer;
        TAILQ_HEAD(, Request) waiting;
        void (*ask)(void *userdata);
        void *userdata;
        bool asking; /* within ask() */
        bool idle;   /* no connections, when it was last looked */
        uint64_t scrapes, failures;
};

/* ---- answers ---- */

static enum MHD_Result send_text(struct MHD_Connection *c, unsigned status, const char *text) {
        struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (char *) text, MHD_RESPMEM_MUST_COPY);
        enum MHD_Result result;

        if (!r)
                return MHD_NO;
        (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "text/plain; charset=utf-8");
        if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
                (void) MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
        result = MHD_queue_response(c, status, r);
        MHD_destroy_response(r);
        return result;
}

static struct MHD_Response *make_response(char *text) {
        struct MHD_Response *r = text ? MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE) : NULL;

        if (!r) {
                free(text);
                return NULL;
        }
        (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, TEXT_TYPE);
        (void) MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
        return r;
}

static struct MHD_Response *metrics_response(const Http *h, const char *metrics) {
        char *text;

        if (asprintf(&text,
                     "%s# HELP jobmill_up 1: jobmilld answered.\n# TYPE jobmill_up gauge\njobmill_up %d\n"
                     "# HELP jobmill_exporter_scrapes_total Answers to requests for metrics.\n# TYPE jobmill_exporter_scrapes_total counter\n"
                     "jobmill_exporter_scrapes_total %" PRIu64 "\n"
                     "# HELP jobmill_exporter_failures_total Times that jobmilld did not answer, or with an error.\n"
                     "# TYPE jobmill_exporter_failures_total counter\njobmill_exporter_failures_total %" PRIu64 "\n",
                     strempty(metrics), metrics != NULL, h->scrapes, h->failures) < 0)
                return NULL;
        return make_response(text);
}

static struct MHD_Response *health_response(const char *error) {
        char *text;

        if (asprintf(&text, "%s%s\n", error ? "jobmilld does not answer: " : "ok", strempty(error)) < 0)
                return NULL;
        return make_response(text);
}

/* NULL: out of memory, and the connection is closed. */
static struct MHD_Response *share(struct MHD_Response *r, Request *q) {
        q->response = r;
        q->answered = true;
        return r;
}

void http_answer(Http *h, const char *metrics, const char *error) {
        Request *q;

        h->failures += !metrics;
        while ((q = TAILQ_FIRST(&h->waiting))) {
                TAILQ_REMOVE(&h->waiting, q, entry);
                h->scrapes += !q->health;
                q->status = q->health && !metrics ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_OK;
                (void) share(q->health ? health_response(metrics ? NULL : error) : metrics_response(h, metrics), q);
                if (q->suspended)
                        MHD_resume_connection(q->connection);
                q->suspended = false;
        }
        if (h->asking)
                return;
        (void) sd_event_source_set_time_relative(h->timer, 0); /* what was resumed goes on now */
        (void) sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

/* ---- requests ---- */

static enum MHD_Result finish(Request *q) {
        enum MHD_Result result = MHD_NO;

        if (q->response) {
                result = MHD_queue_response(q->connection, q->status, q->response);
                MHD_destroy_response(q->response);
                q->response = NULL;
        }
        return result;
}

static enum MHD_Result begin(Http *h, struct MHD_Connection *c, bool health, void **state) {
        Request *q = new0(Request, 1);

        if (!q)
                return MHD_NO;
        *q = (Request) { .connection = c, .health = health };
        *state = q;
        TAILQ_INSERT_TAIL(&h->waiting, q, entry);
        h->asking = true;
        h->ask(h->userdata);
        h->asking = false;
        if (q->answered)
                return finish(q);
        q->suspended = true;
        MHD_suspend_connection(c);
        return MHD_YES;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **state) {
        Http *h = userdata;
        Request *q = *state;

        if (q)
                return q->answered ? finish(q) : MHD_YES;
        if (!streq(method, MHD_HTTP_METHOD_GET) && !streq(method, MHD_HTTP_METHOD_HEAD))
                return send_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        if (streq(url, "/metrics") || streq(url, "/healthz"))
                return begin(h, c, streq(url, "/healthz"), state);
        return streq(url, "/") ? send_text(c, MHD_HTTP_OK, "jobmill: /metrics /healthz\n") : send_text(c, MHD_HTTP_NOT_FOUND, "no such page\n");
}

static void on_completed(void *userdata, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code) {
        Http *h = userdata;
        Request *q = *state;

        if (!q)
                return;
        if (!q->answered)
                TAILQ_REMOVE(&h->waiting, q, entry);
        if (q->response)
                MHD_destroy_response(q->response);
        free(q);
        *state = NULL;
}

/* ---- the loop ---- */

static void arm(Http *h) {
        const union MHD_DaemonInfo *n = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        MHD_UNSIGNED_LONG_LONG ms = LOOK_MSEC;

        bool was_idle = h->idle;

        h->idle = n && n->num_connections == 0;
        /* It had as many connections as it takes, and has dropped them: with the next run only it listens again. */
        if (MHD_get_timeout(h->daemon, &ms) != MHD_YES && h->idle && was_idle) {
                (void) sd_event_source_set_enabled(h->timer, SD_EVENT_OFF);
                return;
        }
        (void) sd_event_source_set_time_relative(h->timer, MIN((usec_t) ms, (usec_t) LOOK_MSEC) * USEC_PER_MSEC);
        (void) sd_event_source_set_enabled(h->timer, SD_EVENT_ONESHOT);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Http *h = userdata;

        (void) MHD_run(h->daemon);
        arm(h);
        return 0;
}

static int on_timer(sd_event_source *s, uint64_t t, void *userdata) {
        return on_io(s, -1, 0, userdata);
}

int http_new(sd_event *event, int fd, void (*ask)(void *userdata), void *userdata, Http **ret) {
        const union MHD_DaemonInfo *info;
        const char *idle = getenv("JOBMILL_EXPORTER_IDLE_SEC"); /* for tests */
        Http *h = new0(Http, 1);
        int r;

        if (!h)
                return -ENOMEM;
        h->ask = ask;
        h->userdata = userdata;
        TAILQ_INIT(&h->waiting);
        h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
                                     MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                     idle ? (unsigned) atoi(idle) : IDLE_SEC,
                                     MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) MEMORY_MAX, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h,
                                     MHD_OPTION_END);
        info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
        r = info ? sd_event_add_io(event, &h->io, info->listen_fd, EPOLLIN, on_io, h) : -EIO;
        if (r >= 0)
                r = sd_event_add_time_relative(event, &h->timer, CLOCK_MONOTONIC, 0, 0, on_timer, h);
        if (r < 0) {
                http_free(h);
                return r;
        }
        *ret = h;
        return 0;
}

Http *http_free(Http *h) {
        if (!h)
                return NULL;
        if (h->daemon) {
                http_answer(h, NULL, "the exporter is stopping");
                MHD_stop_daemon(h->daemon);
        }
        sd_event_source_unref(h->io);
        sd_event_source_unref(h->timer);
        return mfree(h);
}
