/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job's lines through the daemon (OpenLog): for owners to whom journald gives no access, and from a container. It sends them in
 * the Journal Export Format through a pipe. That ends with the daemon: whoever follows opens it again, and passes over what he
 * has seen, by its cursor. */

#include "api/protocol.h"
#include "base/time-util.h"
#include "ctl/log.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

#include <fcntl.h>
#include <poll.h>

typedef struct Stream {
        Log *log;
        int fd;
        char *buf;
        size_t n, capacity;
        LogEntry entry;
        char *cursor;       /* of the last line that was seen */
        uint64_t realtime;  /* of that */
        bool passing_over;  /* up to that */
        struct {
                uint32_t attempt;
                uint64_t at;
        } spool[2];         /* the last lines that were seen of standard output and standard error */
        LogEntry *last;     /* with -n: a ring of the last lines */
        size_t n_last, last_at;
} Stream;

static void stream_done(Stream *s) {
        safe_close(s->fd);
        free(s->buf);
        free(s->cursor);
        log_entry_done(&s->entry);
        for (size_t i = 0; i < s->n_last; i++)
                log_entry_done(s->last + i);
        free(s->last);
}

/* ---- opening ---- */

/* -ENOENT: there is no such job (any more); -EAGAIN: the daemon is away. Else it is said. */
static int stream_open(Stream *s, const char *what, bool again) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        Log *l = s->log;
        int r, fd;

        if (!l->bus && bus_open_quietly(&l->bus) < 0)
                return -EAGAIN;
        r = bus_new_call(l->bus, &call, "OpenLog");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "ts", l->id, what);
        if (r >= 0 && again)
                r = sd_bus_message_set_auto_start(call, false);
        if (r < 0)
                return ctl_error(r, "Cannot create a message: %m");
        r = bus_send(l->bus, call, &reply, &e);
        if (r < 0 && again && bus_error_is_transient(&e, r)) {
                l->bus = sd_bus_close_unref(l->bus);
                return -EAGAIN;
        }
        if (r < 0 && again && sd_bus_error_has_name(&e, JOBMILL_ERROR_NO_SUCH_JOB))
                return -ENOENT;
        if (r < 0)
                return ctl_error(r == -ENOENT || r == -EAGAIN ? -EIO : r, "job %" PRIu64 ": %s", l->id, bus_error_text(&e, r));
        r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0) {
                safe_close(s->fd);
                s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = s->fd < 0 ? -errno : 0;
        }
        if (r < 0)
                return ctl_error(r == -ENOENT || r == -EAGAIN ? -EIO : r, "Cannot read the daemon's answer: %m");
        s->n = 0;
        return 0;
}

/* ---- lines ---- */

static int keep_last(Stream *s) {
        LogEntry *p;

        if (arg_lines == 0 || !log_wants(&s->entry))
                return 0;
        if (s->n_last < arg_lines) {
                p = realloc(s->last, (s->n_last + 1) * sizeof(LogEntry));
                if (!p)
                        return -ENOMEM;
                s->last = p;
                s->last[s->n_last++] = (LogEntry){};
                s->last_at = s->n_last - 1;
        } else
                s->last_at = (s->last_at + 1) % s->n_last;

        LogEntry t = s->last[s->last_at];
        s->last[s->last_at] = s->entry;
        s->entry = t;
        return 0;
}

static int show_last(Stream *s) {
        int r = 0;

        for (size_t i = 1; i <= s->n_last && r >= 0; i++)
                r = log_show(s->log, s->last + (s->last_at + i) % s->n_last);
        return r;
}

/* Of a line of a spool: the two streams of a job come side by side, each in its order. */
static bool pass_over_spool(Stream *s, const char *cursor, size_t n) {
        _cleanup_free_ char *text = strndup(cursor, n);
        uint32_t attempt;
        uint64_t at;
        int i;

        if (!text || sscanf(text, "spool:%" SCNu32 ":%d:%" SCNu64, &attempt, &i, &at) != 3 || i < 1 || i > 2)
                return false;
        i--;
        if (attempt < s->spool[i].attempt || (attempt == s->spool[i].attempt && at <= s->spool[i].at))
                return true;
        s->spool[i].attempt = attempt;
        s->spool[i].at = at;
        return false;
}

/* Was this line seen before the stream was opened again? */
static bool pass_over(Stream *s) {
        size_t n;
        const char *cursor = log_entry_get(&s->entry, "__CURSOR", &n);
        uint64_t t = log_entry_get_u64(&s->entry, "__REALTIME_TIMESTAMP");

        if (cursor && n > strlen("spool:") && startswith(cursor, "spool:"))
                return pass_over_spool(s, cursor, n);
        if (!s->passing_over)
                return false;
        if (cursor && strlen(s->cursor) == n && memcmp(s->cursor, cursor, n) == 0) {
                s->passing_over = false;
                return true;
        }
        /* It may be gone by now. */
        if (t != UINT64_MAX && t > s->realtime)
                s->passing_over = false;
        return s->passing_over;
}

static int take_line(Stream *s, bool only_last) {
        size_t n;
        const char *cursor;

        if (pass_over(s))
                return 0;
        cursor = log_entry_get(&s->entry, "__CURSOR", &n);
        if (cursor) {
                free(s->cursor);
                s->cursor = strndup(cursor, n);
                if (!s->cursor)
                        return -ENOMEM;
                s->realtime = log_entry_get_u64(&s->entry, "__REALTIME_TIMESTAMP");
        }
        return only_last ? keep_last(s) : log_show(s->log, &s->entry);
}

/* What is in the buffer, as far as it is whole. */
static int take_lines(Stream *s, bool only_last) {
        size_t at = 0;

        for (;;) {
                ssize_t l = log_entry_parse(&s->entry, s->buf + at, s->n - at);
                int r;

                if (l < 0)
                        return ctl_error(l, "Cannot read the daemon's stream: %m");
                if (l == 0)
                        break;
                at += l;
                r = take_line(s, only_last);
                if (r < 0)
                        return r == -ENOMEM ? ctl_oom() : r;
        }
        memmove(s->buf, s->buf + at, s->n - at);
        s->n -= at;
        return output_flush();
}

/* 0: it has ended. */
static int fill(Stream *s) {
        struct pollfd fds[] = { { .fd = s->fd, .events = POLLIN }, { .fd = STDOUT_FILENO } };
        ssize_t n;

        if (s->n == s->capacity) {
                size_t capacity = MAX(s->capacity * 2, (size_t) 65536);
                char *buf = realloc(s->buf, capacity);
                if (!buf)
                        return ctl_oom();
                s->buf = buf;
                s->capacity = capacity;
        }
        if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                return ctl_error(-errno, "Cannot wait: %m");
        if (log_output_is_closed())
                return 0;
        n = read(s->fd, s->buf + s->n, s->capacity - s->n);
        if (n < 0)
                return errno == EINTR ? 1 : ctl_error(-errno, "Cannot read the daemon's stream: %m");
        s->n += n;
        return n > 0;
}

static int copy(Stream *s, bool only_last) {
        int r;

        while ((r = fill(s)) > 0) {
                r = take_lines(s, only_last);
                if (r < 0)
                        return r;
        }
        return r;
}

/* ---- all of it ---- */

/* From the last line that was seen to the job's end, over restarts of the daemon. */
static int follow(Stream *s) {
        int r;

        for (bool again = false;; again = true) {
                s->passing_over = s->cursor;
                r = stream_open(s, "journal-follow", again);
                if (r == -ENOENT)
                        return 0; /* purged */
                if (r >= 0)
                        r = copy(s, false);
                if ((r < 0 && r != -EAGAIN) || log_output_is_closed())
                        return r;
                if (r >= 0) {
                        r = log_look(s->log);
                        if (r < 0 || (s->log->done && s->log->bus))
                                return r;
                }
                (void) usleep(LOG_POLL_USEC / 2);
        }
}

int log_from_daemon(Log *log) {
        _cleanup_(stream_done) Stream s = { .log = log, .fd = -EBADF };
        int r = 0;

        if (arg_lines != UINT32_MAX || !arg_follow) {
                r = stream_open(&s, "journal", false);
                if (r >= 0)
                        r = copy(&s, arg_lines != UINT32_MAX);
                if (r >= 0)
                        r = show_last(&s);
                if (r >= 0)
                        r = output_flush();
        }
        return r < 0 || !arg_follow ? r : follow(&s);
}
