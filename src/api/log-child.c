/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading the journal of a job's attempts. Lines are matched by the unit and the invocation id of each attempt, which
 * journald itself records, never by JOBMILL_… fields, which anybody can write. Of a job that ended at once the unit may be gone
 * before journald asks for its invocation id: such lines have none, and count from the job's beginning on.
 *
 * Writing blocks: a reader that is slow holds up nobody but this child. */

#include "api/log-child.h"

#include "base/parse.h"
#include "base/time-util.h"

#include <endian.h>
#include <poll.h>
#include <sys/socket.h>

/* Its last lines may reach the journal after systemd saw the end of the job. */
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

int log_export_entry(sd_journal *j, FILE *f) {
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
        sd_journal_restart_data(j);
        while ((r = sd_journal_enumerate_available_data(j, &data, &n)) > 0)
                log_export_field(f, data, n);
        fputc('\n', f);
        return r;
}

/* ---- which lines ---- */

static int match_attempt(sd_journal *j, const LogTask *t, const LogAttempt *a) {
        char match[96];
        int r;

        r = sd_journal_add_disjunction(j);
        snprintf(match, sizeof(match), "%s=%s", t->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", a->unit);
        if (r >= 0)
                r = sd_journal_add_match(j, match, 0);
        /* Another user's manager may have units of the same names. */
        snprintf(match, sizeof(match), "_SYSTEMD_OWNER_UID=%" PRIu32, t->uid);
        if (r >= 0 && t->user)
                r = sd_journal_add_match(j, match, 0);
        return r;
}

static const LogAttempt *find_attempt(const LogTask *t, sd_id128_t invocation_id) {
        for (size_t i = 0; i < t->n; i++)
                if (sd_id128_equal(t->attempts[i].invocation_id, invocation_id))
                        return t->attempts + i;
        return NULL;
}

static bool line_is_ours(sd_journal *j, const LogTask *t) {
        static const char field[] = "_SYSTEMD_INVOCATION_ID=";
        char id[SD_ID128_STRING_MAX];
        sd_id128_t invocation_id;
        const char *data;
        uint64_t time;
        size_t n;

        if (sd_journal_get_data(j, "_SYSTEMD_INVOCATION_ID", (const void **) &data, &n) < 0)
                return sd_journal_get_realtime_usec(j, &time) >= 0 && time >= t->begun;
        n -= strlen(field);
        if (n >= sizeof(id))
                return false;
        memcpy(id, data + strlen(field), n);
        id[n] = 0;
        return sd_id128_from_string(id, &invocation_id) >= 0 && find_attempt(t, invocation_id);
}

/* ---- the child ---- */

static int copy_lines(sd_journal *j, const LogTask *t, FILE *f) {
        int r = 0;

        /* Without a match everything in the journal would be ours. */
        while (t->n > 0 && (r = sd_journal_next(j)) > 0) {
                if (!line_is_ours(j, t))
                        continue;
                r = log_export_entry(j, f);
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

        if (find_attempt(t, a->invocation_id))
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
                                until = usec_add(now_usec(CLOCK_MONOTONIC), GRACE_USEC);
                }
                r = sd_journal_process(j);
                if (r < 0)
                        return r;
        }
}

/* Asked for right after the end: let the last lines arrive. */
static void give_grace(sd_journal *j, const LogTask *t) {
        usec_t now = now_usec(CLOCK_REALTIME);

        if (t->ended == USEC_INFINITY || now < t->ended || now - t->ended >= GRACE_USEC)
                return;
        (void) usleep(GRACE_USEC - (now - t->ended));
        (void) sd_journal_process(j); /* files that are new */
}

int log_child_run(LogTask *t, int fd) {
        sd_journal *j = NULL;
        FILE *f;
        int r;

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
                r = t->follow ? follow(j, t, f) : copy_lines(j, t, f);
        }
        sd_journal_close(j);
        return fclose(f) != 0 && r >= 0 ? -errno : r;
}
