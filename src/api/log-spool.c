/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* OpenLog of a job whose output goes to a spool: the same stream of entries as from the journal, a line of output each, of what is
 * recorded of the attempts that have ended, and of the files of the one that writes now. A spool knows no times, so an entry has the one
 * at which it was read. __CURSOR is "spool:ATTEMPT:STREAM:OFFSET", STREAM being 1 for standard output and 2 for standard error;
 * of one attempt and stream it only grows, also from what was read of the file to what is recorded of it.
 *
 * This is in the child of log-stream.c. Files can be unlinked while they are read here, and lose their heads (SpoolMax=). */

#include "api/log-child.h"

#include "base/time-util.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#define LINE_SIZE ((size_t) 64 * 1024) /* a longer one goes in pieces */
#define FOLLOW_MSEC 200
#define RECORDED (UINT64_C(1) << 62) /* offsets of what is recorded: behind all of the file */

typedef struct Reader {
        int fd;
        uint64_t at; /* offset of the first byte of line in the stream */
        char *line;
        size_t n;
} Reader;

static void emit(const LogTask *t, FILE *f, uint32_t number, bool of_stderr, uint64_t at, const char *line, size_t n) {
        _cleanup_free_ char *field = malloc(n + sizeof("MESSAGE="));

        if (!field)
                return;
        memcpy(mempcpy(field, "MESSAGE=", strlen("MESSAGE=")), line, n);
        fprintf(f, "__CURSOR=spool:%" PRIu32 ":%i:%" PRIu64 "\n__REALTIME_TIMESTAMP=%" PRIu64 "\n__JOBMILL_ATTEMPT=%" PRIu32 "\n",
                number, of_stderr ? 2 : 1, at, now_usec(CLOCK_REALTIME), number);
        fprintf(f, "%s=jobmill-job-%" PRIu64 "-%" PRIu32 ".service\nSYSLOG_IDENTIFIER=%s\n",
                t->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", t->job, number, of_stderr ? "stderr" : "stdout");
        log_export_field(f, field, n + strlen("MESSAGE="));
        fputc('\n', f);
}

static void emit_text(const LogTask *t, FILE *f, const LogText *l) {
        uint64_t at = RECORDED;

        for (const char *p = l->text, *end; *p; p = *end ? end + 1 : end) {
                end = strchrnul(p, '\n');
                emit(t, f, l->number, l->of_stderr, at, p, end - p);
                at += end + 1 - p;
        }
}

/* What is whole of the buffer; all: the rest too. */
static void emit_lines(const LogTask *t, FILE *f, uint32_t number, bool of_stderr, Reader *r, bool all) {
        size_t done = 0;

        while (done < r->n) {
                const char *p = r->line + done, *end = memchr(p, '\n', r->n - done);

                if (!end && !all && (done > 0 || r->n < LINE_SIZE))
                        break;
                emit(t, f, number, of_stderr, r->at + done, p, end ? (size_t) (end - p) : r->n - done);
                done = end ? (size_t) (end + 1 - r->line) : r->n;
        }
        memmove(r->line, r->line + done, r->n - done);
        r->n -= done;
        r->at += done;
}

/* All that is there by now. */
static int copy(const LogTask *t, FILE *f, uint32_t number, bool of_stderr, Reader *r) {
        while (r->fd >= 0) {
                off_t data = lseek(r->fd, (off_t) (r->at + r->n), SEEK_DATA);
                ssize_t n;

                if (data < 0) {
                        if (errno != ENXIO)
                                return -errno;
                        return 0; /* there is nothing behind */
                }
                if ((uint64_t) data > r->at + r->n) { /* the head has gone */
                        r->at = (uint64_t) data;
                        r->n = 0;
                }
                n = pread(r->fd, r->line + r->n, LINE_SIZE - r->n, data);
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return 0;
                r->n += (size_t) n;
                emit_lines(t, f, number, of_stderr, r, false);
                if (ferror(f))
                        return -EPIPE;
        }
        return 0;
}

static int copy_both(const LogTask *t, FILE *f, Reader *readers, bool all) {
        int r = 0;

        for (unsigned i = 0; i < 2 && r >= 0; i++) {
                r = copy(t, f, t->live, i == 1, readers + i);
                if (r >= 0 && all)
                        emit_lines(t, f, t->live, i == 1, readers + i, true);
        }
        return r < 0 ? r : fflush(f) == 0 ? 0 : -errno;
}

static void open_both(LogTask *t, Reader *readers, uint32_t number) {
        t->live = number;
        for (unsigned i = 0; i < 2; i++) {
                safe_close(readers[i].fd);
                readers[i].fd = number > 0 ? t->open_spool(t->open_userdata, t->job, number, i == 1) : -EBADF;
                readers[i].at = readers[i].n = 0;
        }
}

/* 1: it is done. */
static int hear(LogTask *t, FILE *f, Reader *readers) {
        LogMessage m;
        ssize_t n;
        int r;

        n = recv(t->control_fd, &m, sizeof(m), MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n != sizeof(m))
                return -ECONNRESET; /* the daemon has gone */
        if (m.done)
                return 1;
        if (m.attempt.number < t->live || (m.attempt.number == t->live && readers[0].fd >= 0))
                return 0;
        r = copy_both(t, f, readers, true);
        open_both(t, readers, m.attempt.number);
        return r;
}

static int follow(LogTask *t, FILE *f, Reader *readers) {
        for (bool done = false; !done;) {
                struct pollfd fds[] = { { .fd = t->control_fd, .events = POLLIN }, { .fd = fileno(f) } };
                int r;

                r = copy_both(t, f, readers, false);
                if (r >= 0 && poll(fds, ELEMENTSOF(fds), FOLLOW_MSEC) < 0 && errno != EINTR)
                        r = -errno;
                if (r >= 0 && fds[1].revents) /* its other end is closed */
                        r = -EPIPE;
                if (r >= 0 && fds[0].revents)
                        r = hear(t, f, readers);
                if (r < 0)
                        return r;
                done = r > 0;
        }
        return 0;
}

int log_spool_run(LogTask *t, int fd) {
        Reader readers[2] = { { .fd = -EBADF }, { .fd = -EBADF } };
        FILE *f;
        int r = 0;

        f = fdopen(fd, "w");
        if (!f)
                return -errno;
        for (unsigned i = 0; i < 2; i++) {
                readers[i].line = malloc(LINE_SIZE);
                if (!readers[i].line)
                        r = -ENOMEM;
        }
        for (size_t i = 0; i < t->n_texts; i++)
                emit_text(t, f, t->texts + i);
        if (r >= 0) {
                open_both(t, readers, t->live);
                if (t->follow)
                        r = follow(t, f, readers);
        }
        if (r >= 0)
                r = copy_both(t, f, readers, true);
        for (unsigned i = 0; i < 2; i++) {
                safe_close(readers[i].fd);
                free(readers[i].line);
        }
        return fclose(f) != 0 && r >= 0 ? -errno : r;
}
