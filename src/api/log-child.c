/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading the journal of a job's attempts. Lines are matched by the unit and the invocation id of each attempt, which
 * journald itself records, never by JOBMILL_… fields, which anybody can write. Of a job that ended at once the unit may be gone
 * before journald asks for its invocation id: such lines have none, and count from the job's beginning on.
 *
 * Of what units of a user's manager write journald knows no more than the process that wrote it, and nothing if that was gone
 * before it looked; as most short-lived ones are. But it gives each connection a number, _STREAM_ID=: all lines of one on which a
 * line of ours came are ours.
 *
 * Writing blocks: a reader that is slow holds up nobody but this child. */

#include "api/log-child.h"

#include "base/log.h"
#include "base/parse.h"
#include "base/time-util.h"

#include <endian.h>
#include <poll.h>
#include <sys/socket.h>

/* Its last lines may reach the journal after systemd saw the end of the job, and much later where journald is busy: one that has ended so lately
 * has them waited for. Where journald cannot be asked for them they get a while. */
#define LATELY_USEC (60 * USEC_PER_SEC)
#define GRACE_USEC (500 * USEC_PER_MSEC)

/* ---- the format ---- */

/* As journalctl does: what a line cannot hold goes as bytes with their number in front. */
void log_export_field(FILE *f, const void *data, size_t n) {
        const char *p = data, *equals = memchr(p, '=', n);
        bool text = utf8_is_valid(p, n);
        uint64_t size;

        if (!equals)
                return;
        for (const char *c = equals + 1; text && c < p + n; c++)
                text = ((unsigned char) *c >= ' ' && *c != 0x7f) || *c == '\t';
        if (text)
                fwrite(p, 1, n, f);
        else {
                fwrite(p, 1, equals - p, f);
                fputc('\n', f);
                size = htole64(p + n - equals - 1);
                fwrite(&size, 1, sizeof(size), f);
                fwrite(equals + 1, 1, p + n - equals - 1, f);
        }
        fputc('\n', f);
}

int log_export_entry(sd_journal *j, uint32_t attempt, FILE *f) {
        _cleanup_free_ char *cursor = NULL;
        uint64_t realtime, monotonic;
        sd_id128_t boot_id;
        const void *data;
        size_t n;
        int r;

        r = sd_journal_get_cursor(j, &cursor);
        if (r >= 0)
                r = sd_journal_get_realtime_usec(j, &realtime);
        if (r >= 0)
                r = sd_journal_get_monotonic_usec(j, &monotonic, &boot_id);
        if (r < 0)
                return r;
        fprintf(f, "__CURSOR=%s\n__REALTIME_TIMESTAMP=%" PRIu64 "\n__MONOTONIC_TIMESTAMP=%" PRIu64 "\n", cursor, realtime,
                monotonic);
        if (attempt > 0)
                fprintf(f, "__JOBMILL_ATTEMPT=%" PRIu32 "\n", attempt);
        sd_journal_restart_data(j);
        while ((r = sd_journal_enumerate_available_data(j, &data, &n)) > 0)
                log_export_field(f, data, n);
        fputc('\n', f);
        return r;
}

/* ---- which lines ---- */

static int match_in_pool(sd_journal *j, const LogTask *t, const LogAttempt *a) {
        char match[96];
        int r;

        snprintf(match, sizeof(match), "SYSLOG_IDENTIFIER=%s", a->unit);
        r = sd_journal_add_match(j, match, 0);
        snprintf(match, sizeof(match), "_UID=%" PRIu32, t->owner);
        return r < 0 ? r : sd_journal_add_match(j, match, 0);
}

static int match_attempt(sd_journal *j, const LogTask *t, const LogAttempt *a) {
        char match[96];
        int r;

        r = sd_journal_add_disjunction(j);
        if (r >= 0 && a->in_pool)
                return match_in_pool(j, t, a);
        snprintf(match, sizeof(match), "%s=%s", t->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", a->unit);
        if (r >= 0)
                r = sd_journal_add_match(j, match, 0);
        /* Another user's manager may have units of the same names. */
        snprintf(match, sizeof(match), "_SYSTEMD_OWNER_UID=%" PRIu32, t->uid);
        if (r >= 0 && t->user)
                r = sd_journal_add_match(j, match, 0);
        return r;
}

static int match_stream(sd_journal *j, sd_id128_t id) {
        char match[48];
        int r;

        r = sd_journal_add_disjunction(j);
        snprintf(match, sizeof(match), "_STREAM_ID=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(id));
        return r < 0 ? r : sd_journal_add_match(j, match, 0);
}

static const LogAttempt *find_attempt(const LogTask *t, sd_id128_t invocation_id) {
        for (size_t i = 0; i < t->n; i++)
                if (!t->attempts[i].in_pool && sd_id128_equal(t->attempts[i].invocation_id, invocation_id))
                        return t->attempts + i;
        return NULL;
}

static int get_id(sd_journal *j, const char *field, sd_id128_t *ret) {
        char id[SD_ID128_STRING_MAX];
        const char *data;
        size_t n;
        int r;

        r = sd_journal_get_data(j, field, (const void **) &data, &n);
        if (r < 0)
                return r;
        n -= strlen(field) + 1;
        if (n >= sizeof(id))
                return -EINVAL;
        memcpy(id, data + strlen(field) + 1, n);
        id[n] = 0;
        return sd_id128_from_string(id, ret);
}

static const LogConnection *find_connection(const LogTask *t, sd_id128_t id) {
        for (size_t i = 0; i < t->n_connections; i++)
                if (sd_id128_equal(t->connections[i].id, id))
                        return t->connections + i;
        return NULL;
}

static uint32_t attempt_of_unit(sd_journal *j, const LogTask *t) {
        const char *field = t->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", *data;
        size_t skip = strlen(field) + 1, n;

        if (sd_journal_get_data(j, field, (const void **) &data, &n) < 0)
                return 0;
        for (size_t i = 0; i < t->n; i++)
                if (strlen(t->attempts[i].unit) == n - skip && memcmp(t->attempts[i].unit, data + skip, n - skip) == 0)
                        return t->attempts[i].number;
        return 0;
}

static bool get_text(sd_journal *j, const char *field, char *ret, size_t size) {
        size_t skip = strlen(field) + 1, n;
        const char *data;

        if (sd_journal_get_data(j, field, (const void **) &data, &n) < 0 || n - skip >= size)
                return false;
        memcpy(ret, data + skip, n - skip);
        ret[n - skip] = 0;
        return true;
}

/* Of a process that was gone by the time journald does not know the unit; its user it knows, which is matched. */
static bool is_of_runner(sd_journal *j, const LogTask *t) {
        char unit[128], end[32];

        snprintf(end, sizeof(end), "-%" PRIu32 ".service", t->owner);
        return !get_text(j, t->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", unit, sizeof(unit)) ||
               (startswith(unit, "jobmill-pool-") && endswith(unit, end));
}

static const LogAttempt *find_in_pool(sd_journal *j, const LogTask *t) {
        char name[56];

        if (get_text(j, "SYSLOG_IDENTIFIER", name, sizeof(name)) && is_of_runner(j, t))
                for (size_t i = 0; i < t->n; i++)
                        if (t->attempts[i].in_pool && streq(t->attempts[i].unit, name))
                                return t->attempts + i;
        return NULL;
}

static bool has_pool(const LogTask *t) {
        for (size_t i = 0; i < t->n; i++)
                if (t->attempts[i].in_pool)
                        return true;
        return false;
}

/* ret: of which attempt; 0: nobody knows. */
static bool line_is_ours(sd_journal *j, const LogTask *t, uint32_t *ret) {
        bool pool = has_pool(t);
        const LogConnection *c;
        const LogAttempt *a;
        sd_id128_t id;
        uint64_t time;

        if (pool && (a = find_in_pool(j, t))) {
                *ret = a->number;
                return true;
        }
        if (get_id(j, "_SYSTEMD_INVOCATION_ID", &id) >= 0) {
                a = find_attempt(t, id);
                *ret = a ? a->number : 0;
                return a;
        }
        *ret = attempt_of_unit(j, t);
        if (*ret == 0 && get_id(j, "_STREAM_ID", &id) >= 0 && (c = find_connection(t, id)))
                *ret = c->number;
        if (*ret == 0 && pool) /* somebody used the name */
                return false;
        return sd_journal_get_realtime_usec(j, &time) >= 0 && time >= t->begun;
}

/* Of a line that is ours. */
static int note_connection(sd_journal *j, LogTask *t, uint32_t number) {
        LogConnection *l;
        sd_id128_t id;

        if (!t->user || number == 0 || get_id(j, "_STREAM_ID", &id) < 0 || find_connection(t, id))
                return 0;
        l = realloc(t->connections, (t->n_connections + 1) * sizeof(LogConnection));
        if (!l)
                return -ENOMEM;
        t->connections = l;
        t->connections[t->n_connections++] = (LogConnection) { id, number };
        return match_stream(j, id);
}

/* Those that are known by now; their first lines may lie before the one that told. */
static int find_connections(sd_journal *j, LogTask *t) {
        uint32_t number;
        int r;

        if (!t->user || t->n == 0)
                return 0;
        while ((r = sd_journal_next(j)) > 0)
                if (line_is_ours(j, t, &number)) {
                        r = note_connection(j, t, number);
                        if (r < 0)
                                break;
                }
        return r < 0 ? r : sd_journal_seek_head(j);
}

/* ---- the child ---- */

static int copy_lines(sd_journal *j, LogTask *t, FILE *f) {
        uint32_t number;
        int r = 0;

        /* Without a match everything in the journal would be ours. */
        while (t->n > 0 && (r = sd_journal_next(j)) > 0) {
                if (!line_is_ours(j, t, &number))
                        continue;
                r = note_connection(j, t, number);
                if (r < 0)
                        return r;
                r = log_export_entry(j, number, f);
                if (r == -EBADMSG || r == -E2BIG || r == -ENOENT) /* a file that is damaged, or gone */
                        continue;
                if (r < 0)
                        return r;
                if (ferror(f))
                        return -EPIPE;
        }
        return r < 0 ? r : fflush(f) == 0 ? 0 : -errno;
}

static int add_attempt(sd_journal *j, LogTask *t, const LogAttempt *a) {
        LogAttempt *l;

        if (!a->in_pool && find_attempt(t, a->invocation_id))
                return 0;
        for (size_t i = 0; i < t->n; i++)
                if (a->in_pool && streq(t->attempts[i].unit, a->unit))
                        return 0;
        l = realloc(t->attempts, (t->n + 1) * sizeof(LogAttempt));
        if (!l)
                return -ENOMEM;
        t->attempts = l;
        t->attempts[t->n++] = *a;
        return match_attempt(j, t, a);
}

/* 1: there is no more to come. */
static int hear(sd_journal *j, LogTask *t) {
        LogMessage m;
        ssize_t n;

        n = recv(t->control_fd, &m, sizeof(m), MSG_DONTWAIT);
        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n != sizeof(m))
                return -ECONNRESET; /* the daemon has gone */
        return m.done ? 1 : add_attempt(j, t, &m.attempt);
}

static int timeout_msec(sd_journal *j, usec_t until) {
        usec_t now = now_usec(CLOCK_MONOTONIC), t = USEC_INFINITY;

        if (sd_journal_get_timeout(j, &t) < 0)
                t = USEC_INFINITY;
        t = MIN(t, until);
        return t == USEC_INFINITY ? -1 : (int) MIN((usec_sub(t, now) + USEC_PER_MSEC - 1) / USEC_PER_MSEC, (usec_t) INT32_MAX);
}

static int follow(sd_journal *j, LogTask *t, FILE *f) {
        usec_t until = USEC_INFINITY;
        int r;

        for (;;) {
                struct pollfd fds[] = {
                        { .fd = sd_journal_get_fd(j), .events = POLLIN },
                        { .fd = until == USEC_INFINITY ? t->control_fd : -EBADF, .events = POLLIN },
                        { .fd = fileno(f) }, /* its other end is closed */
                };

                r = copy_lines(j, t, f);
                if (r < 0 || now_usec(CLOCK_MONOTONIC) >= until)
                        return r;
                if (poll(fds, ELEMENTSOF(fds), timeout_msec(j, until)) < 0 && errno != EINTR)
                        return -errno;
                if (fds[2].revents)
                        return -EPIPE;
                if (fds[1].revents) {
                        r = hear(j, t);
                        if (r < 0)
                                return r;
                        if (r > 0)
                                until = usec_add(now_usec(CLOCK_MONOTONIC), log_synchronize() >= 0 ? 0 : GRACE_USEC);
                }
                r = sd_journal_process(j);
                if (r < 0)
                        return r;
        }
}

/* Asked for soon after the end: let the last lines arrive. */
static void give_grace(sd_journal *j, const LogTask *t) {
        usec_t now = now_usec(CLOCK_REALTIME);

        if (t->ended == USEC_INFINITY || now < t->ended || now - t->ended >= LATELY_USEC)
                return;
        if (log_synchronize() < 0) {
                if (now - t->ended >= GRACE_USEC)
                        return;
                (void) usleep(GRACE_USEC - (now - t->ended));
        }
        (void) sd_journal_process(j); /* files that are new */
}

int log_child_run(LogTask *t, int fd) {
        sd_journal *j = NULL;
        FILE *f;
        int r;

        if (t->spool)
                return log_spool_run(t, fd);
        f = fdopen(fd, "w");
        if (!f)
                return -errno;
        r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
        if (r >= 0)
                r = sd_journal_set_data_threshold(j, 0);
        if (r >= 0)
                r = sd_journal_get_fd(j); /* watches from here on */
        for (size_t i = 0; i < t->n && r >= 0; i++)
                r = match_attempt(j, t, t->attempts + i);
        if (r >= 0) {
                give_grace(j, t);
                r = find_connections(j, t);
        }
        if (r >= 0) {
                r = t->follow ? follow(j, t, f) : copy_lines(j, t, f);
        }
        sd_journal_close(j);
        return fclose(f) != 0 && r >= 0 ? -errno : r;
}
