/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two connections to the daemon (docs/workers.md): orders come on one, reports go on the other. Where one breaks both are made again, with
 * the token that says who it was, and what was not answered is said again. It has no more than a few hundred at a time, so it looks for them. */

#include "webhook/webhook.h"

#include "base/json-writer.h"
#include "base/log.h"
#include "base/time-util.h"

#include <poll.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>

#define AGAIN (200 * USEC_PER_MSEC)
#define SEND_TIMEOUT 10 /* seconds: the daemon reads always */
#define READ_SIZE (64U * 1024U)
#define INTERFACE "org.jobmill."
#define DEPTH_MAX 64

static json_object *get(json_object *o, const char *key) {
        json_object *v = NULL;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

static const char *get_text(json_object *o, const char *key) {
        json_object *v = get(o, key);

        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

/* ---- connections ---- */

void link_init(Webhook *w) {
        w->link.orders = w->link.reports = -EBADF;
        w->link.tokener = json_tokener_new_ex(DEPTH_MAX);
}

/* What was said and not answered is to be said again. */
static void disconnect(Webhook *w) {
        Link *l = &w->link;

        l->orders = safe_close(l->orders);
        l->reports = safe_close(l->reports);
        buffer_done(&l->in_orders);
        buffer_done(&l->in_reports);
        l->registered = false;
        if (l->drain_sent)
                TAILQ_REMOVE(&w->reported, &l->drain, entry);
        l->drain_sent = false;
        TAILQ_CONCAT(&w->reported, &w->to_report, entry);
        TAILQ_CONCAT(&w->to_report, &w->reported, entry);
        l->connect_next = usec_add(now_usec(CLOCK_MONOTONIC), AGAIN);
}

void link_done(Webhook *w) {
        disconnect(w);
        if (w->link.tokener)
                json_tokener_free(w->link.tokener);
}

static int connect_one(const Webhook *w) {
        const char *run = getenv("JOBMILL_RUNTIME_PATH"), *xdg = getenv("XDG_RUNTIME_DIR");
        struct timeval t = { .tv_sec = SEND_TIMEOUT };
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;
        int n;

        if (run || !w->user)
                n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/org.jobmill", run ?: "/run/jobmill");
        else
                n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/jobmill/org.jobmill", strempty(xdg));
        if ((size_t) n >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0 || connect(fd, (struct sockaddr *) &a, sizeof(a)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int send_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

                if (k < 0 && errno != EINTR)
                        return -errno;
                p += MAX(k, 0);
                n -= (size_t) MAX(k, 0);
        }
        return 0;
}

static void begin(const Webhook *w, JsonWriter *j, const char *method) {
        *j = (JsonWriter) {};
        json_open(j, '{');
        json_write_key(j, "method");
        json_write_string(j, method);
        json_write_key(j, "parameters");
        json_open(j, '{');
        if (*w->link.token) {
                json_write_key(j, "token");
                json_write_string(j, w->link.token);
        }
}

static int say(int fd, JsonWriter *j, bool more) {
        int r;

        json_close(j, '}');
        if (more) {
                json_write_key(j, "more");
                json_write_bool(j, true);
        }
        json_close(j, '}');
        JSON_WRITE_LITERAL(j, "\0");
        r = j->failed ? -ENOMEM : send_all(fd, j->text, json_writer_size(j));
        json_writer_done(j);
        return r;
}

static int say_who(Webhook *w) {
        JsonWriter j;

        begin(w, &j, INTERFACE "Register");
        json_write_key(&j, "protocol");
        json_write_integer(&j, 1);
        if (!*w->link.token) {
                json_write_key(&j, "queues");
                json_write_strv(&j, (char *[]) { (char *) "callbacks", NULL });
                json_write_key(&j, "slots");
                json_write_integer(&j, (int64_t) w->policy.deliveries);
                json_write_key(&j, "name");
                json_write_string(&j, "jobmill-webhook");
        }
        return say(w->link.orders, &j, true);
}

static void connect_both(Webhook *w) {
        int r;

        w->link.orders = r = connect_one(w);
        if (r >= 0)
                w->link.reports = r = connect_one(w);
        if (r >= 0)
                r = say_who(w);
        if (r >= 0)
                return;
        log_debug_errno(r, "jobmilld cannot be reached: %m");
        disconnect(w);
}

/* ---- reports ---- */

static int report(Webhook *w, const Delivery *d) {
        JsonWriter j;

        begin(w, &j, INTERFACE "Complete");
        json_write_key(&j, "id");
        json_write_integer(&j, (int64_t) d->id);
        json_write_key(&j, "attempt");
        json_write_integer(&j, (int64_t) d->attempt);
        json_write_key(&j, "exit_status");
        json_write_integer(&j, d->status);
        if (d->status != 0) {
                json_write_key(&j, "error");
                json_write_string(&j, d->reason);
        }
        return say(w->link.reports, &j, false);
}

static void report_all(Webhook *w) {
        Delivery *d;

        while (w->link.registered && (d = TAILQ_FIRST(&w->to_report))) {
                if (report(w, d) < 0) {
                        disconnect(w);
                        return;
                }
                TAILQ_REMOVE(&w->to_report, d, entry);
                TAILQ_INSERT_TAIL(&w->reported, d, entry);
        }
}

bool link_is_idle(const Webhook *w) {
        return TAILQ_EMPTY(&w->under_way) && TAILQ_EMPTY(&w->to_report) && TAILQ_EMPTY(&w->reported);
}

static void tell_ready(Webhook *w) {
        if (!w->ready_told)
                (void) sd_notify(false, "READY=1");
        w->ready_told = true;
}

void link_drain(Webhook *w) {
        Link *l = &w->link;
        JsonWriter j;

        if (!l->registered) { /* nobody is there to be told; who has something to send starts it again */
                tell_ready(w); /* else this end would be a failure of its service */
                w->ended = true;
                return;
        }
        begin(w, &j, INTERFACE "Drain");
        json_write_key(&j, "idle");
        json_write_bool(&j, !w->told);
        if (say(l->reports, &j, false) < 0) {
                disconnect(w);
                return;
        }
        l->drain_sent = true;
        l->drain_if_idle = !w->told;
        TAILQ_INSERT_TAIL(&w->reported, &l->drain, entry);
}

static void drain_answered(Webhook *w, json_object *answer) {
        bool done = !get(answer, "error"); /* else it cannot be recorded now */
        Link *l = &w->link;

        l->drain_sent = false;
        l->drained = done && !l->drain_if_idle;
        w->ended = done && json_object_get_uint64(get(get(answer, "parameters"), "attempts")) == 0;
        w->idle_since = now_usec(CLOCK_MONOTONIC);
        l->drain_next = usec_add(w->idle_since, AGAIN);
}

static void answered(Webhook *w, json_object *answer) {
        Delivery *d = TAILQ_FIRST(&w->reported);
        const char *error = get_text(answer, "error");

        if (!d)
                return;
        TAILQ_REMOVE(&w->reported, d, entry);
        if (d == &w->link.drain) {
                drain_answered(w, answer);
                return;
        }
        if (error && startswith(error, INTERFACE "Storage")) { /* it cannot be recorded now */
                TAILQ_INSERT_TAIL(&w->to_report, d, entry);
                w->link.report_next = usec_add(now_usec(CLOCK_MONOTONIC), AGAIN);
                return;
        }
        if (error && !streq(error, INTERFACE "AttemptFinished") && !streq(error, INTERFACE "NoSuchAttempt"))
                log_error("What became of callback %" PRIu64 " was refused: %s %s", d->id, error, strempty(get_text(get(answer, "parameters"), "message")));
        delivery_free(d);
        if (link_is_idle(w))
                w->idle_since = now_usec(CLOCK_MONOTONIC);
}

/* ---- orders ---- */

static void registered(Webhook *w, json_object *o) {
        const char *token = get_text(o, "token");

        if (token && strlen(token) < TOKEN_SIZE)
                (void) snprintf(w->link.token, TOKEN_SIZE, "%s", token);
        w->link.registered = true;
        tell_ready(w);
}

static void ordered(Webhook *w, json_object *message) {
        const char *error = get_text(message, "error");
        json_object *o = get(message, "parameters"), *order;
        Delivery *d;

        if (error && startswith(error, INTERFACE "Storage")) { /* it cannot be recorded now */
                disconnect(w);
                return;
        }
        if (error) {
                log_error("jobmilld does not want this worker: %s %s", error, strempty(get_text(o, "message")));
                w->ended = true;
                w->result = -EPERM;
                return;
        }
        if ((order = get(o, "assign")) || (order = get(o, "cancel"))) {
                d = delivery_find(w, json_object_get_uint64(get(order, "id")), json_object_get_uint64(get(order, "attempt")));
                if (d && get(o, "cancel"))
                        delivery_cancel(w, d);
                else if (!d && get(o, "assign") && delivery_begin(w, order) < 0)
                        disconnect(w); /* and it comes again */
        } else if (get(o, "drain"))
                w->told = true;
        else if (!w->link.registered)
                registered(w, o);
}

static int receive(int fd, Buffer *b) {
        ssize_t n;

        if (buffer_reserve(b, READ_SIZE) < 0)
                return -ENOMEM;
        n = recv(fd, b->data + b->end, READ_SIZE, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        b->end += (size_t) n;
        return 0;
}

static void hear(Webhook *w, int *fd, Buffer *b, void (*heard)(Webhook *w, json_object *message)) {
        const char *text;
        size_t size;
        int r;

        if (*fd < 0)
                return;
        r = receive(*fd, b);
        while (r >= 0 && *fd >= 0 && (text = buffer_message(b, &size))) {
                json_object *message;

                json_tokener_reset(w->link.tokener);
                message = json_tokener_parse_ex(w->link.tokener, text, (int) size);
                buffer_take(b, size + 1);
                if (message)
                        heard(w, message);
                else
                        r = -EBADMSG;
                json_object_put(message);
        }
        if (r < 0)
                disconnect(w);
}

void link_turn(Webhook *w, usec_t now) {
        Link *l = &w->link;

        if (l->orders < 0 && now >= l->connect_next)
                connect_both(w);
        hear(w, &l->orders, &l->in_orders, ordered);
        hear(w, &l->reports, &l->in_reports, answered);
        if (now >= l->report_next)
                report_all(w);
}

usec_t link_next(const Webhook *w) {
        if (w->link.orders < 0)
                return w->link.connect_next;
        return TAILQ_EMPTY(&w->to_report) ? USEC_INFINITY : w->link.report_next;
}
