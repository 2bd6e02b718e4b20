/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See link.h. */

#include "slurm/link.h"

#include "base/log.h"
#include "base/time-util.h"

#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>

#define INTERFACE "org.jobmill."
#define AGAIN (200 * USEC_PER_MSEC)
#define SEND_TIMEOUT 10 /* seconds: the daemon reads always */
#define READ_SIZE (64U * 1024U)
#define DEPTH_MAX 64

typedef struct Report Report;
struct Report {
        const char *method;
        JsonWriter parameters;
        link_answered_t answered; /* NULL: nobody wants to know */
        void *userdata;
        TAILQ_ENTRY(Report) entry;
};
TAILQ_HEAD(Reports, Report);

typedef struct Channel {
        int fd;
        sd_event_source *io;
        Buffer in;
} Channel;

struct Link {
        sd_event *event;
        char *path;
        LinkHandler handler;
        Channel orders, reports;
        char token[TOKEN_SIZE]; /* of this worker; "": it has none */
        bool registered;        /* on these connections */
        struct Reports waiting, said;
        sd_event_source *again;
        json_tokener *tokener;
};

json_object *link_get(json_object *o, const char *key) {
        json_object *v = NULL;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

const char *link_get_text(json_object *o, const char *key) {
        json_object *v = link_get(o, key);

        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

uint64_t link_get_number(json_object *o, const char *key) {
        json_object *v = link_get(o, key);

        return json_object_is_type(v, json_type_int) ? json_object_get_uint64(v) : 0;
}

/* ---- connections ---- */

static void channel_close(Channel *c) {
        c->io = sd_event_source_disable_unref(c->io);
        c->fd = safe_close(c->fd);
        buffer_done(&c->in);
}

static void disconnect(Link *l) {
        channel_close(&l->orders);
        channel_close(&l->reports);
        l->registered = false;
        TAILQ_CONCAT(&l->said, &l->waiting, entry);
        TAILQ_CONCAT(&l->waiting, &l->said, entry);
        (void) sd_event_source_set_time_relative(l->again, AGAIN);
        (void) sd_event_source_set_enabled(l->again, SD_EVENT_ONESHOT);
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

/* write: what stands behind the token. */
static int say(const Link *l, int fd, const char *method, bool more, const char *text, size_t size) {
        JsonWriter j = {};
        int r;

        JSON_WRITE_LITERAL(&j, "{\"method\":\"" INTERFACE);
        json_write_raw(&j, method, strlen(method));
        JSON_WRITE_LITERAL(&j, "\",\"parameters\":{");
        if (*l->token) {
                JSON_WRITE_LITERAL(&j, "\"token\":\"");
                json_write_raw(&j, l->token, strlen(l->token));
                JSON_WRITE_LITERAL(&j, "\"");
        }
        if (*l->token && size > 0)
                JSON_WRITE_LITERAL(&j, ",");
        json_write_raw(&j, text, size);
        JSON_WRITE_LITERAL(&j, "}");
        if (more)
                JSON_WRITE_LITERAL(&j, ",\"more\":true");
        JSON_WRITE_LITERAL(&j, "}\0");
        r = j.failed ? -ENOMEM : send_all(fd, j.text, json_writer_size(&j));
        json_writer_done(&j);
        return r;
}

static int say_who(Link *l) {
        JsonWriter j = {};
        int r;

        JSON_WRITE_LITERAL(&j, "\"protocol\":1");
        if (!*l->token)
                l->handler.who(&j, l->handler.userdata);
        r = j.failed ? -ENOMEM : say(l, l->orders.fd, "Register", true, j.text, json_writer_size(&j));
        json_writer_done(&j);
        return r;
}

static void say_reports(Link *l) {
        Report *p;

        while (l->registered && (p = TAILQ_FIRST(&l->waiting))) {
                if (say(l, l->reports.fd, p->method, false, p->parameters.text, json_writer_size(&p->parameters)) < 0) {
                        disconnect(l);
                        return;
                }
                TAILQ_REMOVE(&l->waiting, p, entry);
                TAILQ_INSERT_TAIL(&l->said, p, entry);
        }
}

static void report_free(struct Reports *list, Report *p) {
        TAILQ_REMOVE(list, p, entry);
        json_writer_done(&p->parameters);
        free(p);
}

/* ---- what is heard ---- */

static void heard_order(Link *l, json_object *message) {
        json_object *o = link_get(message, "parameters");
        const char *error = link_get_text(message, "error"), *token = link_get_text(o, "token");
        int r;

        if (error && startswith(error, INTERFACE "NoSuchWorker")) /* it was given up, or another process of its name has its place */
                *l->token = 0;
        if (error) {
                r = l->handler.refused(startswith(error, INTERFACE) ?: error, strempty(link_get_text(o, "message")), l->handler.userdata);
                disconnect(l);
                if (r < 0)
                        (void) sd_event_exit(l->event, r);
                return;
        }
        if (!token) {
                l->handler.ordered(o, l->handler.userdata);
                return;
        }
        if (strlen(token) < TOKEN_SIZE)
                (void) snprintf(l->token, TOKEN_SIZE, "%s", token);
        l->registered = true;
        l->handler.registered(l->handler.userdata);
        say_reports(l);
}

static void heard_answer(Link *l, json_object *message) {
        Report *p = TAILQ_FIRST(&l->said);
        const char *error = link_get_text(message, "error"), *name = error ? startswith(error, INTERFACE) ?: error : NULL;
        link_answered_t answered;
        void *userdata;

        if (!p)
                return;
        if (name && (startswith(name, "Storage") || streq(name, "NoSuchWorker"))) { /* once more, soon, and by the name that it has then */
                disconnect(l);
                return;
        }
        answered = p->answered;
        userdata = p->userdata;
        report_free(&l->said, p);
        if (answered)
                answered(userdata, name);
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

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Link *l = userdata;
        Channel *c = fd == l->orders.fd ? &l->orders : &l->reports;
        const char *text;
        size_t size;
        int r;

        r = receive(fd, &c->in);
        while (r >= 0 && c->fd == fd && (text = buffer_message(&c->in, &size))) {
                json_object *message;

                json_tokener_reset(l->tokener);
                message = json_tokener_parse_ex(l->tokener, text, (int) size);
                buffer_take(&c->in, size + 1);
                if (!message)
                        r = -EBADMSG;
                else if (c == &l->orders)
                        heard_order(l, message);
                else
                        heard_answer(l, message);
                json_object_put(message);
        }
        if (r < 0 && c->fd == fd)
                disconnect(l);
        return 0;
}

static int channel_open(Link *l, Channel *c) {
        struct timeval t = { .tv_sec = SEND_TIMEOUT };
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        if (strlen(l->path) >= sizeof(a.sun_path))
                return -ENAMETOOLONG;
        strcpy(a.sun_path, l->path);
        c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) < 0 || connect(c->fd, (struct sockaddr *) &a, sizeof(a)) < 0)
                return -errno;
        return sd_event_add_io(l->event, &c->io, c->fd, EPOLLIN, on_io, l);
}

static int on_again(sd_event_source *source, uint64_t when, void *userdata) {
        Link *l = userdata;
        int r;

        r = channel_open(l, &l->orders);
        if (r >= 0)
                r = channel_open(l, &l->reports);
        if (r >= 0)
                r = say_who(l);
        if (r < 0) {
                log_debug_errno(r, "jobmilld cannot be reached: %m");
                disconnect(l);
        }
        return 0;
}

/* ---- */

int link_new(sd_event *event, const char *path, const LinkHandler *handler, Link **ret) {
        Link *l = new0(Link, 1);
        int r;

        if (!l)
                return -ENOMEM;
        l->event = event;
        l->handler = *handler;
        l->orders.fd = l->reports.fd = -EBADF;
        TAILQ_INIT(&l->waiting);
        TAILQ_INIT(&l->said);
        l->path = strdup(path);
        l->tokener = json_tokener_new_ex(DEPTH_MAX);
        r = l->path && l->tokener ? sd_event_add_time_relative(event, &l->again, CLOCK_MONOTONIC, 0, 0, on_again, l) : -ENOMEM;
        if (r < 0) {
                link_free(l);
                return r;
        }
        *ret = l;
        return 0;
}

Link *link_free(Link *l) {
        Report *p;

        if (!l)
                return NULL;
        channel_close(&l->orders);
        channel_close(&l->reports);
        TAILQ_CONCAT(&l->waiting, &l->said, entry);
        while ((p = TAILQ_FIRST(&l->waiting)))
                report_free(&l->waiting, p);
        sd_event_source_disable_unref(l->again);
        if (l->tokener)
                json_tokener_free(l->tokener);
        free(l->path);
        free(l);
        return NULL;
}

int link_call(Link *l, const char *method, JsonWriter *parameters, link_answered_t answered, void *userdata) {
        Report *p = parameters->failed ? NULL : new0(Report, 1);

        if (!p) {
                json_writer_done(parameters);
                return -ENOMEM;
        }
        p->method = method;
        p->parameters = *parameters;
        p->answered = answered;
        p->userdata = userdata;
        *parameters = (JsonWriter) {};
        TAILQ_INSERT_TAIL(&l->waiting, p, entry);
        say_reports(l);
        return 0;
}

void link_forget(Link *l, const void *userdata) {
        Report *p, *t;

        TAILQ_FOREACH_SAFE(p, &l->waiting, entry, t)
                if (p->userdata == userdata)
                        report_free(&l->waiting, p);
        TAILQ_FOREACH(p, &l->said, entry) /* whose answers come in order */
                if (p->userdata == userdata)
                        p->answered = NULL;
}
