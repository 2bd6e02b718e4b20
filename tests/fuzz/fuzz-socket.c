/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What programs say over the socket, to all of the daemon (daemon.h): submitters, workers, runners, and who runs something in the foreground;
 * while commits fail, processes are killed, and the daemon is. A line is something that happens:
 *
 *     0…7 MESSAGE   that connection says so; it is made where there is none
 *     a…h BYTES     the same without an end
 *     -N            it is closed; *N: it is not read from now on, or is again
 *     !P            process P is killed; E: jobs in units end; F: the next commit fails; D: the daemon is killed and started again; ~: a turn
 *
 * In a message $T is the token that it was given as a worker, $J and $N the job and the attempt that somebody was given last. Connections 0 and 5
 * are of one process, and so are 1 and 6, 2 and 7. What must hold: each call has exactly one answer, in order, which is JSON, and whose error is one
 * that the interface knows and not a fault of ours; and what daemon_check() looks at. */

#include "daemon.h"

#include <json-c/json.h>
#include <sys/socket.h>

#define N_CONNECTIONS 8U
#define LINES_MAX 64U
#define PENDING_MAX 256U

static const char interface[] =
#include <org.jobmill.varlink.inc>
        ;

typedef struct Called {
        char method[32];
        bool more;
} Called;

typedef struct Line {
        int fd;          /* -1: it is not there */
        bool deaf;       /* nothing is read */
        bool broken;     /* it was told that it said no message */
        bool begun;      /* a message has begun */
        char *in;        /* said, and no message yet */
        size_t n_in;
        char *out;       /* heard, and no message yet */
        size_t n_out;
        Called pending[PENDING_MAX];
        unsigned n_pending;
} Line;

static const unsigned peer_of[N_CONNECTIONS] = { PEER_MANY, PEER_SERVICE, PEER_RUNNER, PEER_ROOT, PEER_OTHER, PEER_MANY, PEER_SERVICE, PEER_RUNNER };
static Line lines[N_CONNECTIONS];
static char tokens[_PEER_MAX][33];
static uint64_t last_job, last_attempt;

static void line_close(Line *l) {
        safe_close(l->fd);
        free(l->in);
        free(l->out);
        *l = (Line) { .fd = -EBADF };
}

/* ---- what is heard ---- */

static json_object *get(json_object *o, const char *key, enum json_type type) {
        json_object *v = NULL;

        return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type) ? v : NULL;
}

static void check_error(const char *name, json_object *parameters) {
        const char *own = startswith(name, JOBMILL_VARLINK_INTERFACE ".");
        _cleanup_free_ char *declared = NULL;
        json_object *message;

        if (!own) {
                check(streq(name, VARLINK_ERROR_INTERFACE_NOT_FOUND) || streq(name, VARLINK_ERROR_METHOD_NOT_FOUND) ||
                      streq(name, VARLINK_ERROR_INVALID_PARAMETER) || streq(name, VARLINK_ERROR_EXPECTED_MORE));
                return;
        }
        check(asprintf(&declared, "error %s (", own) > 0);
        message = get(parameters, "message", json_type_string);
        if (!strstr(interface, declared) || streq(own, "Failed"))
                fprintf(stderr, "%s: %s\n", name, message ? json_object_get_string(message) : "");
        check(strstr(interface, declared) && !streq(own, "Failed") && message);
        check_message(json_object_get_string(message));
}

/* What it may use later. */
static void keep(unsigned i, json_object *parameters) {
        json_object *token = get(parameters, "token", json_type_string), *order = get(parameters, "assign", json_type_object) ?: get(parameters, "go", json_type_object), *v;

        if (token && json_object_get_string_len(token) == 32)
                memcpy(tokens[peer_of[i]], json_object_get_string(token), 33);
        if ((v = get(parameters, "id", json_type_int)) || (order && (v = get(order, "id", json_type_int))))
                last_job = json_object_get_uint64(v);
        if (order && (v = get(order, "attempt", json_type_int)))
                last_attempt = json_object_get_uint64(v);
}

static void hear_message(unsigned i, const char *text) {
        Line *l = lines + i;
        json_object *o, *parameters, *error;
        bool goes_on;

        check_json(text);
        o = json_tokener_parse(text);
        parameters = get(o, "parameters", json_type_object);
        error = get(o, "error", json_type_string);
        goes_on = get(o, "continues", json_type_boolean);
        check(parameters && json_object_object_length(o) == 1 + !!error + goes_on && !(error && goes_on));
        check(!l->broken); /* that was the last word */
        if (error) {
                const char *name = json_object_get_string(error);

                check_error(name, parameters);
                l->broken = streq(name, JOBMILL_VARLINK_INTERFACE ".InvalidMessage");
        } else
                keep(i, parameters);
        if (l->n_pending == 0)
                check(l->broken || (error && l->begun)); /* what has only begun may be too much */
        else if (goes_on)
                check(l->pending[0].more);
        else
                memmove(l->pending, l->pending + 1, --l->n_pending * sizeof(Called));
        json_object_put(o);
}

static void hear(unsigned i) {
        static char buf[256U * 1024U];
        Line *l = lines + i;
        ssize_t n;
        char *end;

        while (l->fd >= 0 && !l->deaf && (n = recv(l->fd, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
                if (n < 0) {
                        check(errno == EAGAIN || errno == ECONNRESET); /* closed, while something of ours was not read */
                        if (errno == ECONNRESET)
                                line_close(l);
                        return;
                }
                l->out = realloc(l->out, l->n_out + (size_t) n);
                check(l->out);
                memcpy(l->out + l->n_out, buf, (size_t) n);
                l->n_out += (size_t) n;
                while ((end = memchr(l->out, 0, l->n_out))) {
                        size_t size = (size_t) (end - l->out) + 1;

                        hear_message(i, l->out);
                        memmove(l->out, l->out + size, l->n_out - size);
                        l->n_out -= size;
                }
        }
        if (l->fd >= 0 && !l->deaf) { /* closed: only who said something wrong is left */
                check(l->n_out == 0);
                line_close(l);
        }
}

static void run(void) {
        for (unsigned round = 0; round < 100; round++) {
                size_t heard = 0;

                daemon_run();
                for (unsigned i = 0; i < N_CONNECTIONS; i++) {
                        unsigned before = lines[i].n_pending;

                        hear(i);
                        heard += before != lines[i].n_pending;
                }
                if (heard == 0)
                        return;
        }
        check(false);
}

/* ---- what is said ---- */

static void called(Line *l, const char *text) {
        json_object *o = json_tokener_parse(text);
        json_object *method = get(o, "method", json_type_string), *oneway = get(o, "oneway", json_type_boolean), *more = get(o, "more", json_type_boolean);
        const char *name = method ? json_object_get_string(method) : "";

        if (!oneway || !json_object_get_boolean(oneway)) {
                check(l->n_pending < PENDING_MAX);
                l->pending[l->n_pending] = (Called) { .more = more && json_object_get_boolean(more) };
                (void) snprintf(l->pending[l->n_pending++].method, sizeof(l->pending[0].method), "%s", strrchr(name, '.') ? strrchr(name, '.') + 1 : name);
        }
        json_object_put(o);
}

static void say(unsigned i, const char *text, size_t size) {
        Line *l = lines + i;
        char *end;

        if (l->fd < 0)
                l->fd = daemon_connect(peer_of[i]);
        if (l->n_pending + 16 > PENDING_MAX || size == 0)
                return;
        if (send(l->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t) size) /* it is closed, or not read from */
                return;
        l->in = realloc(l->in, l->n_in + size);
        check(l->in);
        memcpy(l->in + l->n_in, text, size);
        l->n_in += size;
        while ((end = memchr(l->in, 0, l->n_in))) {
                size_t n = (size_t) (end - l->in) + 1;

                called(l, l->in);
                memmove(l->in, l->in + n, l->n_in - n);
                l->n_in -= n;
        }
        l->begun = l->n_in > 0;
}

/* $T, $J, $N */
static char *fill_in(unsigned i, const char *text, size_t size, size_t *ret_size) {
        char *out = NULL;
        FILE *f = open_memstream(&out, ret_size);

        check(f);
        for (const char *p = text, *end = text + size; p < end; p++)
                if (*p != '$' || p + 1 == end)
                        fputc(*p, f);
                else if (*++p == 'T')
                        fputs(tokens[peer_of[i]], f);
                else if (*p == 'J')
                        fprintf(f, "%" PRIu64, last_job);
                else if (*p == 'N')
                        fprintf(f, "%" PRIu64, last_attempt);
                else
                        fputc(*p, f);
        fclose(f);
        return out;
}

static void say_line(unsigned i, const char *text, size_t size, bool whole) {
        size_t n;
        _cleanup_free_ char *filled = fill_in(i, text, size, &n);

        say(i, filled, n + whole); /* with its NUL */
}

static void kill_peer(unsigned p) {
        daemon_kill(p);
        for (unsigned i = 0; i < N_CONNECTIONS; i++)
                if (peer_of[i] == p)
                        line_close(lines + i);
}

static void happens(const char *text, size_t size) {
        unsigned n = size > 1 ? (unsigned) text[1] - '0' : N_CONNECTIONS;

        if (text[0] >= '0' && text[0] < '0' + (int) N_CONNECTIONS)
                say_line((unsigned) (text[0] - '0'), text + 1, size - 1, true);
        else if (text[0] >= 'a' && text[0] < 'a' + (int) N_CONNECTIONS)
                say_line((unsigned) (text[0] - 'a'), text + 1, size - 1, false);
        else if (text[0] == '-' && n < N_CONNECTIONS)
                line_close(lines + n);
        else if (text[0] == '*' && n < N_CONNECTIONS)
                lines[n].deaf = !lines[n].deaf;
        else if (text[0] == '!' && n < _PEER_MAX)
                kill_peer(n);
        else if (text[0] == 'E')
                daemon_end_jobs();
        else if (text[0] == 'F')
                daemon_commit_fails = true;
        else if (text[0] == 'D') {
                for (unsigned i = 0; i < N_CONNECTIONS; i++)
                        line_close(lines + i);
                daemon_again();
        } else if (text[0] == '~')
                run();
        /* Killed by the daemon. */
        for (unsigned i = 0; i < N_CONNECTIONS; i++)
                if (lines[i].fd >= 0 && daemon_is_gone(peer_of[i]))
                        line_close(lines + i);
}

/* Nothing is left unanswered, but what goes on until something happens. */
static void check_answered(void) {
        static const char *const go_on[] = { "Wait", "Register", "Run", "Events" };

        for (unsigned i = 0; i < N_CONNECTIONS; i++) {
                const Line *l = lines + i;
                bool good = l->fd < 0 || l->n_pending == 0;

                FOREACH_ELEMENT(m, go_on)
                        good = good || streq(l->pending[0].method, *m);
                if (!good)
                        fprintf(stderr, "connection %u: %s is not answered\n", i, l->pending[0].method);
                check(good);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *) data, *end = text + size;

        FOREACH_ELEMENT(l, lines)
                *l = (Line) { .fd = -EBADF };
        memset(tokens, '0', sizeof(tokens));
        FOREACH_ELEMENT(t, tokens)
                (*t)[32] = 0;
        last_job = last_attempt = 1;
        daemon_begin();
        for (unsigned i = 0; i < LINES_MAX && text < end; i++) {
                const char *stop = memchr(text, '\n', (size_t) (end - text)) ?: end;

                if (stop > text) {
                        happens(text, (size_t) (stop - text));
                        run();
                }
                text = MIN(stop + 1, end);
        }
        FOREACH_ELEMENT(l, lines)
                l->deaf = false;
        run();
        check_answered();
        FOREACH_ELEMENT(l, lines)
                line_close(l);
        run();
        daemon_check();
        daemon_end();
        return 0;
}
