/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The two connections to the daemon (docs/workers.md): one on which orders come, one on which reports go, many before the first is answered.
 * Where one of them breaks both are made again, the runner says who it is by its token, and what was not answered is said again. Only when the
 * daemon does not know the token any more is that the end. */

#include "runner/runner.h"

#include "base/json-writer.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define READ_SIZE (64U * 1024U)
#define CONNECT_AGAIN (100 * USEC_PER_MSEC)
#define REPORT_AGAIN (100 * USEC_PER_MSEC)
#define INTERFACE "org.jobmill."
#define DEPTH_MAX 64 /* what users may nest, 32 deep, is itself in something */

/* ---- reading JSON ---- */

json_object *json_get(json_object *o, const char *key) {
        json_object *v = NULL;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

const char *json_get_text(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

uint64_t json_get_number(json_object *o, const char *key) {
        json_object *v = json_get(o, key);

        return json_object_is_type(v, json_type_int) ? json_object_get_uint64(v) : 0;
}

/* ---- channels ---- */

static void channel_close(Channel *c) {
        c->io = sd_event_source_disable_unref(c->io);
        c->fd = safe_close(c->fd);
        buffer_done(&c->in);
        buffer_done(&c->out);
}

static bool is_registered(const Runner *r) {
        return r->reports.fd >= 0 && r->registered;
}

/* What was said and not answered is to be said again. */
static void disconnect(Runner *r) {
        r->registered = false;
        channel_close(&r->orders);
        channel_close(&r->reports);
        if (r->drain_sent)
                TAILQ_REMOVE(&r->reported, &r->drain, entry);
        r->drain_sent = false;
        TAILQ_CONCAT(&r->reported, &r->to_report, entry);
        TAILQ_CONCAT(&r->to_report, &r->reported, entry);
        (void) sd_event_source_set_time_relative(r->connect_timer, CONNECT_AGAIN);
        (void) sd_event_source_set_enabled(r->connect_timer, SD_EVENT_ONESHOT);
}

/* -errno: it is broken */
static int channel_flush(Channel *c) {
        while (buffer_length(&c->out) > 0) {
                ssize_t n = send(c->fd, c->out.data + c->out.start, buffer_length(&c->out), MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n >= 0)
                        buffer_take(&c->out, (size_t) n);
                else if (errno == EAGAIN)
                        break;
                else if (errno != EINTR)
                        return -errno;
        }
        return sd_event_source_set_io_events(c->io, EPOLLIN | (buffer_length(&c->out) > 0 ? EPOLLOUT : 0));
}

/* 0: nothing is there; -EPIPE: nobody is any more */
static int channel_receive(Channel *c) {
        ssize_t n;

        if (buffer_reserve(&c->in, READ_SIZE) < 0)
                return -ENOMEM;
        n = recv(c->fd, c->in.data + c->in.end, READ_SIZE, MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -EPIPE;
        c->in.end += (size_t) n;
        return 0;
}

static int say(Channel *c, JsonWriter *w) {
        int r;

        JSON_WRITE_LITERAL(w, "\0");
        r = w->failed ? -ENOMEM : buffer_append(&c->out, w->text, json_writer_size(w));
        json_writer_done(w);
        return r;
}

static void begin(JsonWriter *w, const Runner *r, const char *method) {
        *w = (JsonWriter) {};
        json_open(w, '{');
        json_write_key(w, "method");
        json_write_string(w, method);
        json_write_key(w, "parameters");
        json_open(w, '{');
        if (r->token[0]) {
                json_write_key(w, "token");
                json_write_string(w, r->token);
        }
}

static void write_number(JsonWriter *w, const char *key, uint64_t v) {
        if (v > INT64_MAX) /* not known */
                return;
        json_write_key(w, key);
        json_write_integer(w, (int64_t) v);
}

/* ---- reports ---- */

static void write_status(JsonWriter *w, const Task *t) {
        if (WIFEXITED(t->status))
                write_number(w, "exit_status", (uint64_t) WEXITSTATUS(t->status));
        else if (WIFSIGNALED(t->status))
                write_number(w, "exit_signal", (uint64_t) WTERMSIG(t->status));
}

static const char *result_of(const Task *t) {
        return t->result                     ? t->result
               : !WIFSIGNALED(t->status)     ? NULL /* the exit status says it */
               : WCOREDUMP(t->status)        ? "core-dump"
                                             : "signal";
}

static void write_text(JsonWriter *w, const char *key, const char *value) {
        if (!value)
                return;
        json_write_key(w, key);
        json_write_string(w, value);
}

static void write_outcome(JsonWriter *w, const Task *t) {
        if (t->was_process)
                write_status(w, t);
        write_text(w, "result", result_of(t));
        write_text(w, "error", t->error);
        write_number(w, "cpu_usec", t->usage.cpu_usec);
        write_number(w, "memory_peak", t->usage.memory_peak);
        write_number(w, "tasks_peak", t->usage.tasks_peak);
        write_number(w, "io_read_bytes", t->usage.io_read_bytes);
        write_number(w, "io_write_bytes", t->usage.io_write_bytes);
}

static int write_report(Runner *r, const Task *t) {
        JsonWriter w;

        begin(&w, r, INTERFACE "Complete");
        write_number(&w, "id", t->id);
        write_number(&w, "attempt", t->attempt);
        if (t->refused)
                write_text(&w, "result", "exec");
        else
                write_outcome(&w, t);
        json_close(&w, '}');
        json_close(&w, '}');
        return say(&r->reports, &w);
}

static void write_reports(Runner *r) {
        Task *t;

        while (is_registered(r) && (t = TAILQ_FIRST(&r->to_report))) {
                if (write_report(r, t) < 0)
                        return; /* memory ran out; with the next one */
                TAILQ_REMOVE(&r->to_report, t, entry);
                TAILQ_INSERT_TAIL(&r->reported, t, entry);
        }
}

void link_report(Runner *r, Task *t) {
        TAILQ_INSERT_TAIL(&r->to_report, t, entry);
        if (sd_event_source_get_enabled(r->report_timer, NULL) == 0)
                write_reports(r);
}

void link_drain(Runner *r) {
        JsonWriter w;

        if (!is_registered(r) || r->drain_sent)
                return;
        begin(&w, r, INTERFACE "Drain");
        json_write_key(&w, "idle");
        json_write_bool(&w, !r->told);
        json_close(&w, '}');
        json_close(&w, '}');
        if (say(&r->reports, &w) < 0)
                return;
        r->drain_sent = true;
        r->drain_if_idle = !r->told;
        TAILQ_INSERT_TAIL(&r->reported, &r->drain, entry);
}

void link_flush(Runner *r) {
        if (is_registered(r) && (channel_flush(&r->reports) < 0 || channel_flush(&r->orders) < 0))
                disconnect(r);
}

static int on_report_again(sd_event_source *s, uint64_t usec, void *userdata) {
        Runner *r = userdata;

        write_reports(r);
        link_flush(r);
        return 0;
}

/* It is over when that is recorded, or the daemon knows nothing of it. What cannot be recorded now is said again; of what is refused the least is,
 * as it would be given again for ever. */
static void report_answered(Runner *r, Task *t, const char *error) {
        if (!error || streq(error, INTERFACE "AttemptFinished") || streq(error, INTERFACE "NoSuchAttempt")) {
                task_reported(r, t);
                return;
        }
        if (!startswith(error, INTERFACE "Storage")) {
                fprintf(stderr, "The end of job %" PRIu64 " was refused: %s\n", t->id, error);
                t->refused = true;
        }
        TAILQ_INSERT_TAIL(&r->to_report, t, entry);
        (void) sd_event_source_set_time_relative(r->report_timer, REPORT_AGAIN);
        (void) sd_event_source_set_enabled(r->report_timer, SD_EVENT_ONESHOT);
}

/* One that was not told to end goes on when something is on its way: it would hold up its user for as long as that runs. */
static void drain_answered(Runner *r, json_object *answer) {
        uint64_t n = json_get_number(json_get(answer, "parameters"), "attempts");

        r->drain_sent = false;
        if (json_get(answer, "error"))
                return;
        r->drained = n == 0;
        r->accepted = r->drained || !r->drain_if_idle;
        r->ending = r->accepted || r->told;
        if (r->ending)
                runner_look_idle(r);
        else
                runner_stay(r);
}

static void answered(Runner *r, json_object *answer) {
        Task *t = TAILQ_FIRST(&r->reported);

        if (!t)
                return;
        TAILQ_REMOVE(&r->reported, t, entry);
        if (t == &r->drain)
                drain_answered(r, answer);
        else
                report_answered(r, t, json_get_text(answer, "error"));
}

/* ---- orders ---- */

static void registered(Runner *r, json_object *o) {
        const char *token = json_get_text(o, "token");

        if (token && strlen(token) == 32)
                memcpy(r->token, token, 33);
        r->registered = true;
        runner_look_idle(r);
        write_reports(r);
}

static void ordered(Runner *r, json_object *message) {
        const char *error = json_get_text(message, "error");
        json_object *o = json_get(message, "parameters"), *order;

        if (error) {
                fprintf(stderr, "The daemon does not want this runner: %s %s\n", error, strempty(json_get_text(o, "message")));
                runner_exit(r, EXIT_FAILURE);
        } else if ((order = json_get(o, "assign"))) {
                if (task_order(r, order) < 0)
                        disconnect(r); /* and it comes again */
        } else if ((order = json_get(o, "cancel")) || (order = json_get(o, "kill")))
                task_signal(r, order);
        else if (json_get(o, "drain"))
                runner_drain(r);
        else if (!r->registered)
                registered(r, o);
}

static int on_channel(Runner *r, Channel *c, uint32_t revents, void (*heard)(Runner *r, json_object *message)) {
        const char *text;
        size_t size;
        int k = 0;

        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                k = channel_receive(c);
        while (c->fd >= 0 && (text = buffer_message(&c->in, &size))) {
                json_object *message;

                json_tokener_reset(r->tokener);
                message = json_tokener_parse_ex(r->tokener, text, (int) size);
                buffer_take(&c->in, size + 1);
                if (message)
                        heard(r, message);
                else {
                        fprintf(stderr, "A message cannot be read: %s\n", json_tokener_error_desc(json_tokener_get_error(r->tokener)));
                        k = -EBADMSG;
                        break;
                }
                json_object_put(message);
        }
        if (k < 0)
                disconnect(r);
        else
                link_flush(r);
        return 0;
}

static int on_orders(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Runner *r = userdata;

        return on_channel(r, &r->orders, revents, ordered);
}

static int on_reports(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Runner *r = userdata;

        return on_channel(r, &r->reports, revents, answered);
}

/* ---- connecting ---- */

static int channel_open(Runner *r, Channel *c, sd_event_io_handler_t handler) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        if (strlen(r->socket) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        strcpy(a.sun_path, r->socket);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *) &a, sizeof(a)) < 0)
                return -errno;
        return sd_event_add_io(r->event, &c->io, c->fd, EPOLLIN, handler, r);
}

static int write_registration(Runner *r) {
        JsonWriter w;

        begin(&w, r, INTERFACE "Register");
        write_number(&w, "protocol", 1);
        if (!r->token[0]) {
                json_write_key(&w, "queues");
                json_write_strv(&w, (char *[]) { (char *) r->queue, NULL });
                write_number(&w, "slots", r->slots);
                json_write_key(&w, "name");
                json_write_string(&w, "jobmill-runner");
        }
        json_close(&w, '}');
        json_write_key(&w, "more");
        json_write_bool(&w, true);
        json_close(&w, '}');
        return say(&r->orders, &w);
}

/* Whatever is wrong passes, as when the daemon is restarted; a runner that has nothing ends after a while (main.c). */
static int on_connect(sd_event_source *s, uint64_t usec, void *userdata) {
        Runner *r = userdata;
        int k;

        k = channel_open(r, &r->orders, on_orders);
        if (k >= 0)
                k = channel_open(r, &r->reports, on_reports);
        if (k >= 0)
                k = write_registration(r);
        if (k >= 0)
                k = channel_flush(&r->orders);
        if (k < 0)
                disconnect(r);
        return 0;
}

int link_new(Runner *r) {
        int k;

        r->orders.fd = r->reports.fd = -EBADF;
        TAILQ_INIT(&r->to_report);
        TAILQ_INIT(&r->reported);
        r->tokener = json_tokener_new_ex(DEPTH_MAX);
        if (!r->tokener)
                return -ENOMEM;
        k = sd_event_add_time(r->event, &r->connect_timer, CLOCK_MONOTONIC, 0, 0, on_connect, r);
        if (k >= 0)
                k = sd_event_add_time(r->event, &r->report_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_report_again, r);
        return k < 0 ? k : sd_event_source_set_enabled(r->report_timer, SD_EVENT_OFF);
}

void link_done(Runner *r) {
        channel_close(&r->orders);
        channel_close(&r->reports);
        sd_event_source_disable_unref(r->connect_timer);
        sd_event_source_disable_unref(r->report_timer);
        if (r->tokener)
                json_tokener_free(r->tokener);
}
