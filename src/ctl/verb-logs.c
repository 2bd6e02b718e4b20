/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* logs: what a job wrote, straight from this machine's journal. Lines are matched by the unit and the
 * invocation id of each attempt, which journald itself records; never by JOBMILL_… fields, which anybody can
 * write. Of a job that ended at once the unit may be gone before journald asks for its invocation id: such lines
 * have none, and count from the attempt's beginning on. systemd's own lines about the unit carry other fields and
 * stay out. */

#include "api/protocol.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include <systemd/sd-journal.h>

#define POLL_USEC (500 * USEC_PER_MSEC)
/* Its last lines may reach the journal after systemd saw the end of the job. */
#define GRACE_USEC (500 * USEC_PER_MSEC)

typedef struct Log {
        sd_bus *bus;
        sd_journal *journal;
        uint64_t id;
        char **matched; /* invocation ids */
        usec_t begun;   /* realtime: the oldest attempt */
        usec_t ended;   /* realtime: the newest attempt; 0: none has */
        bool done;
        bool printed;
} Log;

static void log_done(Log *l) {
        sd_journal_close(l->journal);
        sd_bus_flush_close_unref(l->bus);
        strv_free(l->matched);
}

/* Another attempt: its unit, OR what was matched before. line_is_ours() looks further. */
static int match_attempt(Log *l, const JobInfo *a) {
        char field[512];
        int r;

        if (!a->unit || !a->invocation_id || strv_contains(l->matched, a->invocation_id))
                return 0;
        r = sd_journal_add_disjunction(l->journal);
        if (r < 0)
                return r;
        snprintf(field, sizeof(field), "%s=%s", arg_user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT", a->unit);
        r = sd_journal_add_match(l->journal, field, 0);
        if (r < 0)
                return r;
        if (a->created_usec != UINT64_MAX)
                l->begun = MIN(l->begun, a->created_usec);
        return strv_extend(&l->matched, a->invocation_id);
}

static bool line_is_ours(Log *l) {
        static const char field[] = "_SYSTEMD_INVOCATION_ID=";
        const char *data;
        uint64_t t;
        size_t n;

        if (sd_journal_get_data(l->journal, "_SYSTEMD_INVOCATION_ID", (const void **) &data, &n) < 0)
                return sd_journal_get_realtime_usec(l->journal, &t) >= 0 && t >= l->begun;
        n -= strlen(field);
        STRV_FOREACH(i, l->matched)
                if (strlen(*i) == n && memcmp(*i, data + strlen(field), n) == 0)
                        return true;
        return false;
}

static int match_known_attempts(Log *l) {
        JobInfo *attempts;
        size_t n;
        int r;

        r = job_attempts_get(l->bus, l->id, &attempts, &n);
        if (r < 0)
                return r;
        for (size_t i = 0; i < n && r >= 0; i++) {
                r = match_attempt(l, attempts + i);
                if (attempts[i].finished_usec != USEC_INFINITY)
                        l->ended = MAX(l->ended, attempts[i].finished_usec);
        }
        job_info_array_free(attempts, n);
        return r < 0 ? ctl_error(r, "Cannot search the journal: %m") : 0;
}

/* Where the job stands now, without waiting. While the daemon is away nothing changes. */
static int look(Log *l) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        _cleanup_(job_info_done) JobInfo a = JOB_INFO_INIT;
        const char *state;
        int r;

        if (!l->bus) {
                r = bus_open_quietly(&l->bus);
                if (r < 0)
                        return 0;
        }
        r = bus_new_call(l->bus, &call, "WaitJob");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "tt", l->id, UINT64_C(0));
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, false);
        if (r >= 0)
                r = sd_bus_call(l->bus, call, 0, &e, &reply);
        if (r < 0 && bus_error_is_transient(&e, r)) {
                l->bus = sd_bus_close_unref(l->bus);
                return 0;
        }
        if (r < 0)
                return ctl_error(r, "job %" PRIu64 ": %s", l->id, bus_error_text(&e, r));
        r = sd_bus_message_read(reply, "ss", &state, NULL);
        if (r >= 0)
                r = job_info_read(reply, &a);
        if (r >= 0)
                r = match_attempt(l, &a);
        if (r < 0)
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        l->done = streq(state, "done");
        return 0;
}

static int print_line(const char *text, size_t n) {
        if (isatty(STDOUT_FILENO)) {
                _cleanup_free_ char *safe = escape_controls(text, n);

                if (!safe)
                        return ctl_oom();
                puts(safe);
        } else {
                fwrite(text, 1, n, stdout);
                putchar('\n');
        }
        return 0;
}

/* All lines that are there by now. */
static int print_lines(Log *l) {
        int r;

        /* Without a match everything in the journal would be ours. */
        if (!l->matched)
                return 0;
        while ((r = sd_journal_next(l->journal)) > 0) {
                const char *data;
                size_t n;

                if (!line_is_ours(l))
                        continue;
                r = sd_journal_get_data(l->journal, "MESSAGE", (const void **) &data, &n);
                if (r == -ENOENT || r == -EBADMSG)
                        continue;
                if (r >= 0)
                        r = print_line(data + strlen("MESSAGE="), n - strlen("MESSAGE="));
                if (r < 0)
                        break;
                l->printed = true;
        }
        (void) output_flush();
        return r < 0 ? ctl_error(r, "Cannot read the journal: %m") : 0;
}

/* Asked for right after the end: let the last lines arrive. */
static void give_grace(Log *l) {
        usec_t now = now_usec(CLOCK_REALTIME);

        if (l->ended == 0 || now < l->ended || now - l->ended >= GRACE_USEC)
                return;
        (void) usleep(GRACE_USEC - (now - l->ended));
        (void) sd_journal_wait(l->journal, 0); /* files that are new */
}

static int skip_to_last_lines(Log *l) {
        int r;

        if (arg_lines == UINT32_MAX || !l->matched)
                return 0;
        r = sd_journal_seek_tail(l->journal);
        if (r >= 0) /* one more: the first step forward goes to the first line wanted */
                r = sd_journal_previous_skip(l->journal, (uint64_t) arg_lines + 1);
        if (r >= 0 && (uint64_t) r < (uint64_t) arg_lines + 1)
                r = sd_journal_seek_head(l->journal);
        return r < 0 ? ctl_error(r, "Cannot read the journal: %m") : 0;
}

static int follow(Log *l) {
        usec_t looked = 0, until = USEC_INFINITY;
        int r;

        for (;;) {
                usec_t now = now_usec(CLOCK_MONOTONIC);

                if (!l->done && now - looked >= POLL_USEC) {
                        looked = now;
                        r = look(l);
                        if (r < 0)
                                return r;
                        if (l->done)
                                until = usec_add(now, GRACE_USEC);
                }
                r = print_lines(l);
                if (r < 0)
                        return r;
                if (now >= until)
                        return 0;
                r = sd_journal_wait(l->journal, POLL_USEC / 4);
                if (r < 0 && r != -EINTR)
                        return ctl_error(r, "Cannot wait for the journal: %m");
        }
}

int verb_logs(int argc, char **argv) {
        _cleanup_(log_done) Log l = { .begun = UINT64_MAX };
        int r;

        if (bus_is_elsewhere())
                return ctl_error(-EOPNOTSUPP,
                                 "logs: only from this machine's journal; run jobmill logs there");
        if (arg_json != JSON_OFF)
                return ctl_error(-EOPNOTSUPP, "logs: no JSON; try journalctl -o json JOBMILL_JOB_ID=%s",
                                 argv[0]);
        r = bus_open(&l.bus);
        if (r >= 0)
                r = job_id_resolve(l.bus, argv[0], &l.id);
        if (r < 0)
                return r;
        r = sd_journal_open(&l.journal, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return ctl_error(r, "Cannot open the journal: %m");
        (void) sd_journal_set_data_threshold(l.journal, 0);
        r = match_known_attempts(&l);
        give_grace(&l);
        if (r >= 0)
                r = skip_to_last_lines(&l);
        if (r >= 0)
                r = arg_follow ? follow(&l) : print_lines(&l);
        if (r < 0)
                return r;
        if (!l.printed && arg_legend && !arg_quiet)
                fprintf(stderr, "%s\n",
                        l.matched ? "It wrote no line that you may read." : "It has not been started.");
        return 0;
}
