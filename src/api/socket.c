/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections of the socket. A connection is read from as long as its answers are taken, and nothing of it is under way that has to end
 * before the next call; so whoever does not read is not read from, and holds at most one message, SocketMessageMax=, and its answers.
 * All messages that are not complete yet of one user share SocketBuffersPerUserMax=, and so do all answers that are not read.
 *
 *   open      calls are read and run in their order
 *   ended     the other side sends no more: what it asked for is answered, then it is closed
 *   broken    it said something that is no message: it is told so behind all answers, then it is closed; or its call goes on elsewhere
 *   hung up   nobody is there any more: what it left is read, and what it asked to be changed is; then it is closed
 */

#include "api/socket.h"

#include "api/framing.h"
#include "api/long-calls.h"
#include "api/run.h"
#include "api/varlink.h"
#include "api/worker.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "base/time-util.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#define READ_SIZE (64U * 1024U)
#define OUTPUT_MAX (256U * 1024U)     /* more than this is not added by another call */
#define RESERVED_FDS 256U             /* of the process, for all else */
#define ACCEPT_AGAIN (1 * USEC_PER_SEC)

struct Connection {
        Client client;
        Socket *socket;
        int fd;
        Buffer in, out;
        sd_event_source *io, *run;
        unsigned n_held, n_waits;
        size_t held_size;       /* what is held takes in memory */
        bool streams;           /* it is told of events, as they come: on socket->streams */
        uint64_t events_after;  /* the last of them that it was told */
        uint64_t worker;        /* whose it is, which is told what to do; 0: of none */
        uint64_t turn_of;       /* the job for whose turn it waits; 0: for none */
        usec_t accepted;        /* boottime */
        bool ended, hung_up, broken;
        bool gone;    /* to be closed at once: memory ran out, or the socket failed */
        bool running; /* go_on() is at work, and looks at the end */
        TAILQ_ENTRY(Connection) entry, stream_entry;
};

struct Socket {
        Api *api;
        int fd;
        sd_event_source *io, *again;
        TAILQ_HEAD(, Connection) connections, streams;
        unsigned n_connections;
};

/* ---- a connection ---- */

static void set_streams(Connection *c, bool streams) {
        if (c->streams == streams)
                return;
        c->streams = streams;
        if (streams)
                TAILQ_INSERT_TAIL(&c->socket->streams, c, stream_entry);
        else
                TAILQ_REMOVE(&c->socket->streams, c, stream_entry);
}

static void drop_output(Connection *c) {
        c->client.account->output -= buffer_length(&c->out);
        buffer_done(&c->out);
}

static void drop_input(Connection *c) {
        c->client.account->input -= buffer_length(&c->in);
        buffer_done(&c->in);
}

static Connection *connection_free(Connection *c) {
        if (!c)
                return NULL;

        Held *h, *t;
        Api *a = c->socket->api;

        c->gone = true;
        call_drop_client(&c->client);
        set_streams(c, false);
        connection_serve(c, 0);
        connection_run(c, 0);
        if (c->n_held > 0)
                TAILQ_FOREACH_SAFE(h, &a->held, entry, t)
                        if (h->to.connection == c)
                                held_free(a, h);
        TAILQ_REMOVE(&c->socket->connections, c, entry);
        c->socket->n_connections--;
        sd_event_source_disable_unref(c->io);
        sd_event_source_disable_unref(c->run);
        drop_input(c);
        drop_output(c);
        c->client.account->n_connections--;
        account_put(&a->accounts, c->client.account);
        safe_close(c->fd);
        return mfree(c);
}

bool connection_holds(const Connection *c) {
        return c->n_held > 0;
}

void connection_go_on(Connection *c) {
        if (!c->gone && !c->running)
                (void) sd_event_source_set_enabled(c->run, SD_EVENT_ONESHOT);
}

void connection_hold(Connection *c, int n, size_t size) {
        c->n_held += n;
        c->held_size += n * (ssize_t) size;
        if (n < 0)
                connection_go_on(c);
}

void connection_wait(Connection *c, int n) {
        c->n_waits += n;
        if (n < 0)
                connection_go_on(c);
}

int connection_hold_final(const ReplyTo *to, Reply *reply) {
        return held_add(to->connection->client.api, to, reply, true);
}

int connection_reply(const ReplyTo *to, JsonWriter *w) {
        Connection *c = to->connection;
        int r;

        if (to->oneway)
                return 0;
        if (to->continues)
                JSON_WRITE_LITERAL(w, "},\"continues\":true}\0");
        else
                JSON_WRITE_LITERAL(w, "}}\0");
        r = w->failed ? -ENOMEM : buffer_append(&c->out, w->text, json_writer_size(w));
        if (r < 0)
                c->broken = true; /* he must not take the next answer for this one */
        else
                c->client.account->output += json_writer_size(w);
        connection_go_on(c);
        return r;
}

/* What of this user is not complete yet. */
static bool has_room(const Connection *c, size_t more) {
        return c->client.uid == 0 || buffer_length(&c->in) + more <= READ_SIZE ||
               c->client.account->input + more <= c->client.api->limits.socket_buffers_max;
}

/* Does this user leave too many answers unread? A single connection takes no calls before that. */
static bool has_unread(const Connection *c) {
        return c->client.uid != 0 && c->client.account->output > c->client.api->limits.socket_buffers_max;
}

static void refuse(Connection *c, const char *name, const char *text) {
        ReplyTo to = { .connection = c };
        sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, text);

        log_debug("Closing a connection of user %" PRIu32 ": %s", c->client.uid, text);
        c->broken = true;
        (void) reply_send_error(&to, &error);
        drop_input(c);
}

static bool is_busy(const Connection *c) {
        return c->client.n_calls > 0 || c->n_waits > 0 || c->streams || c->worker > 0 || c->turn_of > 0 || buffer_length(&c->out) + c->held_size > OUTPUT_MAX;
}

/* As many events as are taken. Who does not read them is told of the rest when he does, if it is kept still. true: there may be more. */
static bool tell_events(Connection *c) {
        ReplyTo to = { .connection = c, .continues = true };

        while (c->streams && buffer_length(&c->out) <= OUTPUT_MAX && c->client.api->store) {
                int r = events_send(c->client.api, &to, &c->events_after);

                api_taken(c->client.api);
                if (r == 0)
                        return false;
                if (r < 0)
                        set_streams(c, false);
        }
        return c->streams;
}

void connection_stream(Connection *c, uint64_t after) {
        c->events_after = after;
        set_streams(c, true);
}

void connection_serve(Connection *c, uint64_t worker) {
        uint64_t before = c->worker;

        c->worker = worker;
        if (before > 0 && worker == 0) {
                worker_connection_gone(c->client.api, before);
                connection_go_on(c);
        }
}

void connection_run(Connection *c, uint64_t job) {
        uint64_t before = c->turn_of;

        c->turn_of = job;
        if (before > 0 && job == 0) {
                run_connection_gone(c->client.api, before);
                connection_go_on(c);
        }
}

void connection_close(Connection *c) {
        c->broken = true;
        drop_input(c);
        connection_go_on(c);
}

usec_t connection_accepted(const Connection *c) {
        return c->accepted;
}

bool connection_has_room(const Connection *c) {
        return buffer_length(&c->out) + c->held_size <= OUTPUT_MAX;
}

bool connection_is_read(const Connection *c) {
        return buffer_length(&c->out) + c->held_size == 0;
}

int connection_fd(const Connection *c) {
        return c->fd;
}

void socket_tell_events(Socket *s) {
        Connection *c;

        if (s)
                TAILQ_FOREACH(c, &s->streams, stream_entry)
                        connection_go_on(c);
}

/* As many calls as there are. true: the next one has to wait. What only looks also waits for a turn that is due: it may take long, and
 * of what changes something the more come in one commit the better. */
static bool run_calls(Connection *c) {
        Api *a = c->client.api;
        _cleanup_free_ char *text = NULL;
        const char *message;
        size_t size;
        int r;

        while (!c->gone && !c->broken && (message = buffer_message(&c->in, &size))) {
                if (is_busy(c))
                        return true;
                api_taken(a);
                if (size > a->limits.socket_message_max) {
                        refuse(c, JOBMILL_ERROR_TOO_MANY, "The message is too large (SocketMessageMax=)");
                        return false;
                }
                if (has_unread(c)) {
                        refuse(c, JOBMILL_ERROR_TOO_MANY, "Answers of this user that nobody reads are too large (SocketBuffersPerUserMax=)");
                        return false;
                }
                r = varlink_receive(&c->client, message, size, c->n_held > 0 || api_is_turn_due(a), c->hung_up, &text);
                if (r == 0)
                        return true;
                if (r < 0) {
                        refuse(c, r == -E2BIG ? JOBMILL_ERROR_TOO_MANY : JOBMILL_ERROR_INVALID_MESSAGE, text ?: strerror(-r));
                        return false;
                }
                c->client.account->input -= size + 1;
                buffer_take(&c->in, size + 1);
        }
        return is_busy(c);
}

static void receive(Connection *c) {
        uint64_t max = c->client.api->limits.socket_message_max;
        ssize_t n;

        if (buffer_length(&c->in) > max)
                refuse(c, JOBMILL_ERROR_TOO_MANY, "The message is too large (SocketMessageMax=)");
        else if (!has_room(c, READ_SIZE))
                refuse(c, JOBMILL_ERROR_TOO_MANY, "Messages of this user that have only begun are too large (SocketBuffersPerUserMax=)");
        else if (buffer_reserve(&c->in, READ_SIZE) < 0)
                c->gone = true;
        if (c->broken || c->gone)
                return;
        n = recv(c->fd, c->in.data + c->in.end, READ_SIZE, MSG_DONTWAIT);
        if (n > 0) {
                c->in.end += n;
                c->client.account->input += n;
        } else if (n == 0)
                c->ended = true;
        else if (errno != EAGAIN && errno != EINTR)
                c->ended = true;
}

/* Nobody is there to read an answer. */
static void hang_up(Connection *c) {
        c->hung_up = true;
        (void) sd_event_source_set_enabled(c->io, SD_EVENT_OFF);
        wait_drop_client(&c->client);
        set_streams(c, false);
        connection_serve(c, 0);
        connection_run(c, 0);
}

static void flush(Connection *c) {
        ssize_t n;

        if (c->hung_up)
                drop_output(c);
        while (!c->gone && buffer_length(&c->out) > 0) {
                CRASH_POINT("socket-answer-before");
                n = send(c->fd, c->out.data + c->out.start, buffer_length(&c->out), MSG_DONTWAIT | MSG_NOSIGNAL);
                CRASH_POINT("socket-answer-after");
                if (n >= 0) {
                        c->client.account->output -= n;
                        buffer_take(&c->out, n);
                } else if (errno == EAGAIN)
                        return;
                else if (errno != EINTR) {
                        hang_up(c);
                        drop_output(c);
                }
        }
}

static void go_on(Connection *c) {
        bool waits, answered, more_events;
        uint32_t events;

        c->running = true;
        for (;;) {
                more_events = tell_events(c);
                waits = run_calls(c);
                flush(c);
                if (!c->hung_up || c->ended || waits || c->broken || c->gone)
                        break;
                receive(c);
        }
        c->running = false;
        if (c->worker > 0 && connection_has_room(c))
                worker_connection_has_room(c->client.api, c->worker);
        answered = buffer_length(&c->out) == 0 && c->n_held == 0 && c->n_waits == 0 && c->client.n_calls == 0 && !c->streams && c->worker == 0 && c->turn_of == 0;
        if (c->gone || (answered && (c->broken || (c->ended && !waits)))) {
                connection_free(c);
                return;
        }
        if (waits && buffer_length(&c->out) <= OUTPUT_MAX && (more_events || (!is_busy(c) && c->n_held == 0)))
                connection_go_on(c); /* room came by the flush */
        events = (waits || c->ended || c->broken ? 0 : EPOLLIN) | (buffer_length(&c->out) > 0 ? EPOLLOUT : 0);
        if (sd_event_source_set_io_events(c->io, events) < 0)
                connection_free(c);
}

static int on_run(sd_event_source *s, void *userdata) {
        go_on(userdata);
        return 0;
}

static int on_connection(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Connection *c = userdata;
        Api *a = c->client.api;
        unsigned taken = a->n_since_turn;

        if (revents & (EPOLLHUP | EPOLLERR))
                hang_up(c);
        else if (revents & EPOLLIN)
                receive(c);
        go_on(c);
        if (a->n_since_turn == taken)
                api_taken(a); /* no message, but a part of one, or the end */
        return 0;
}

/* ---- who comes ---- */

static unsigned connections_of(const Socket *s, uint32_t uid) {
        const Account *a = account_find(s->api->accounts, uid);

        return a ? a->n_connections : 0;
}

uint64_t socket_connections_max(const Api *a) {
        uint64_t max = a->limits.connections_max;
        struct rlimit rl;

        if (getrlimit(RLIMIT_NOFILE, &rl) >= 0)
                max = MIN(max, rl.rlim_cur > RESERVED_FDS ? rl.rlim_cur - RESERVED_FDS : 1);
        return max;
}

/* Why not, or NULL. */
static const char *check_limits(const Socket *s, uint32_t uid) {
        if (s->n_connections >= socket_connections_max(s->api))
                return "Too many connections (SocketConnectionsMax=)";
        if (uid != 0 && connections_of(s, uid) >= s->api->limits.connections_per_user_max)
                return "Too many connections of this user (SocketConnectionsPerUserMax=)";
        return NULL;
}

static int connection_new(Socket *s, int fd, uint32_t uid) {
        Connection *c = new0(Connection, 1);
        Account *account = c ? account_get(&s->api->accounts, uid) : NULL;
        int r;

        if (!account) {
                free(c);
                safe_close(fd);
                return -ENOMEM;
        }
        account->n_connections++;
        c->socket = s;
        c->fd = fd;
        c->accepted = now_usec(CLOCK_BOOTTIME);
        c->client = (Client) { .api = s->api, .connection = c, .uid = uid, .known = true, .account = account };
        TAILQ_INIT(&c->client.calls);
        TAILQ_INIT(&c->client.waits);
        TAILQ_INSERT_TAIL(&s->connections, c, entry);
        s->n_connections++;
        r = sd_event_add_io(s->api->event, &c->io, fd, EPOLLIN, on_connection, c);
        if (r >= 0)
                r = sd_event_add_defer(s->api->event, &c->run, on_run, c);
        if (r < 0)
                connection_free(c);
        return r;
}

/* Who it was when it connected, whatever it becomes. */
static int accept_one(Socket *s) {
        struct ucred peer;
        socklen_t size = sizeof(peer);
        const char *why;
        int fd;

        fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
        /* A user's instance is for that user. */
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || (s->api->user && peer.uid != 0 && peer.uid != getuid())) {
                safe_close(fd);
                return 1;
        }
        why = check_limits(s, peer.uid);
        if (why) {
                char text[192];
                int n = snprintf(text, sizeof(text), "{\"error\":\"" JOBMILL_VARLINK_INTERFACE ".TooMany\",\"parameters\":{\"message\":\"%s\"}}", why);

                (void) send(fd, text, n + 1, MSG_DONTWAIT | MSG_NOSIGNAL);
                safe_close(fd);
                return 1;
        }
        CRASH_POINT("socket-accepted");
        return connection_new(s, fd, peer.uid) < 0 ? 0 : 1;
}

static int on_again(sd_event_source *e, uint64_t usec, void *userdata) {
        const Socket *s = userdata;

        return sd_event_source_set_enabled(s->io, SD_EVENT_ON);
}

static int on_listen(sd_event_source *e, int fd, uint32_t revents, void *userdata) {
        Socket *s = userdata;
        int r;

        api_taken(s->api);
        r = accept_one(s);
        if (r >= 0)
                return 0;
        log_warning_errno(r, "Cannot take a connection, trying again: %m");
        (void) sd_event_source_set_enabled(s->io, SD_EVENT_OFF);
        (void) sd_event_source_set_time_relative(s->again, ACCEPT_AGAIN);
        return sd_event_source_set_enabled(s->again, SD_EVENT_ONESHOT);
}

int socket_new(Api *a, int fd, Socket **ret) {
        Socket *s = new0(Socket, 1);
        int r;

        if (!s)
                return -ENOMEM;
        s->api = a;
        s->fd = fd;
        TAILQ_INIT(&s->connections);
        TAILQ_INIT(&s->streams);
        r = fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        if (r >= 0)
                r = sd_event_add_io(a->event, &s->io, fd, EPOLLIN, on_listen, s);
        if (r >= 0)
                r = sd_event_add_time_relative(a->event, &s->again, CLOCK_MONOTONIC, ACCEPT_AGAIN, 0, on_again, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->again, SD_EVENT_OFF);
        if (r < 0) {
                socket_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

Socket *socket_free(Socket *s) {
        if (!s)
                return NULL;

        for (Connection *c; (c = TAILQ_FIRST(&s->connections));) {
                flush(c);
                connection_free(c);
        }
        sd_event_source_disable_unref(s->io);
        sd_event_source_disable_unref(s->again);
        safe_close(s->fd);
        return mfree(s);
}

unsigned socket_count(const Socket *s) {
        return s->n_connections;
}
