/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job's lines straight from this machine's journal, for those who may read all of it. Lines are matched by the unit and the
 * invocation id of each attempt, which journald itself records; never by JOBMILL_… fields, which anybody can write. Of a job in a pool the unit
 * is its runner's, and the name of its stream tells whose it is: so may other jobs of the same owner in that pool, and nobody else. Of a job that
 * ended at once the unit may be gone before journald asks for its invocation id: such lines have none, and count from the
 * attempt's beginning on. systemd's own lines about the unit carry other fields and stay out. Only units of the system: for a user's
 * see api/log-child.c. */

#include "base/log.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/log.h"
#include "ctl/output.h"
#include "ctl/terminal.h"

#include <systemd/sd-journal.h>

/* As in api/log-child.c. */
#define LATELY_USEC (60 * USEC_PER_SEC)
#define GRACE_USEC (500 * USEC_PER_MSEC)

typedef struct JournalLog {
        Log *log;
        sd_journal *journal;
        char **matched; /* invocation ids, and names of streams */
        bool in_pool;   /* some of them are */
        usec_t begun;   /* realtime: the oldest attempt */
        usec_t ended;   /* realtime: the newest attempt; 0: none has */
        LogEntry entry;
} JournalLog;

bool log_journal_is_readable(void) {
        sd_journal *j;
        bool yes;

        if (sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM) < 0)
                return false;
        yes = sd_journal_next(j) > 0;
        sd_journal_close(j);
        return yes;
}

static int match_in_pool(JournalLog *l, const JobInfo *a) {
        char name[64], field[128];
        int r;

        snprintf(name, sizeof(name), "jobmill-job-%" PRIu64 "-%" PRIu32, l->log->id, a->attempt);
        if (strv_contains(l->matched, name))
                return 0;
        r = sd_journal_add_disjunction(l->journal);
        snprintf(field, sizeof(field), "SYSLOG_IDENTIFIER=%s", name);
        if (r >= 0)
                r = sd_journal_add_match(l->journal, field, 0);
        snprintf(field, sizeof(field), "_UID=%" PRIu32, l->log->owner);
        if (r >= 0)
                r = sd_journal_add_match(l->journal, field, 0);
        l->in_pool = true;
        return r < 0 ? r : strv_extend(&l->matched, name);
}

/* Another attempt: its unit, OR what was matched before. line_is_ours() looks further. */
static int match_attempt(JournalLog *l, const JobInfo *a) {
        char field[512];
        int r;

        if (streq_ptr(a->executor, "pool"))
                return match_in_pool(l, a);
        if (!a->unit || !a->invocation_id || strv_contains(l->matched, a->invocation_id))
                return 0;
        r = sd_journal_add_disjunction(l->journal);
        if (r < 0)
                return r;
        snprintf(field, sizeof(field), "_SYSTEMD_UNIT=%s", a->unit);
        r = sd_journal_add_match(l->journal, field, 0);
        if (r < 0)
                return r;
        if (a->created_usec != UINT64_MAX)
                l->begun = MIN(l->begun, a->created_usec);
        return strv_extend(&l->matched, a->invocation_id);
}

static bool get_text(JournalLog *l, const char *field, char *ret, size_t size) {
        size_t skip = strlen(field) + 1, n;
        const char *data;

        if (sd_journal_get_data(l->journal, field, (const void **) &data, &n) < 0 || n - skip >= size)
                return false;
        memcpy(ret, data + skip, n - skip);
        ret[n - skip] = 0;
        return true;
}

/* Of a process that was gone by the time journald does not know the unit; its user it knows, which is matched. */
static bool is_of_runner(JournalLog *l) {
        char unit[128], end[32], name[64];

        snprintf(end, sizeof(end), "-%" PRIu32 ".service", l->log->owner);
        return (!get_text(l, "_SYSTEMD_UNIT", unit, sizeof(unit)) || (startswith(unit, "jobmill-pool-") && endswith(unit, end))) &&
               get_text(l, "SYSLOG_IDENTIFIER", name, sizeof(name)) && strv_contains(l->matched, name);
}

/* By that name alone it is nobody's. */
static bool has_our_unit(JournalLog *l) {
        char unit[128], prefix[48];

        snprintf(prefix, sizeof(prefix), "jobmill-job-%" PRIu64 "-", l->log->id);
        return get_text(l, "_SYSTEMD_UNIT", unit, sizeof(unit)) && startswith(unit, prefix);
}

static bool line_is_ours(JournalLog *l) {
        static const char field[] = "_SYSTEMD_INVOCATION_ID=";
        const char *data;
        uint64_t t;
        size_t n;

        if (l->in_pool && is_of_runner(l))
                return true;
        if (sd_journal_get_data(l->journal, "_SYSTEMD_INVOCATION_ID", (const void **) &data, &n) < 0)
                return (!l->in_pool || has_our_unit(l)) && sd_journal_get_realtime_usec(l->journal, &t) >= 0 && t >= l->begun;
        n -= strlen(field);
        STRV_FOREACH(i, l->matched)
                if (strlen(*i) == n && memcmp(*i, data + strlen(field), n) == 0)
                        return true;
        return false;
}

static int match_known_attempts(JournalLog *l) {
        JobInfo *attempts;
        size_t n;
        int r;

        r = job_attempts_get(l->log->bus, l->log->id, &attempts, &n);
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

/* Others may have come and gone since the last look. */
static int found(Log *l, const JobInfo *a) {
        JournalLog *j = l->source;

        if (!streq_ptr(a->executor, "pool") && (!a->unit || !a->invocation_id || strv_contains(j->matched, a->invocation_id)))
                return 0;
        if (a->attempt > 1 && match_known_attempts(j) >= 0)
                return 0;
        return match_attempt(j, a);
}

/* What is needed of the line where the journal stands. */
static int read_entry(JournalLog *l) {
        static const char *const few[] = { "MESSAGE", "_SYSTEMD_UNIT", NULL };
        _cleanup_free_ char *cursor = NULL;
        char text[DECIMAL_MAX];
        const void *data;
        uint64_t t;
        size_t n;
        int r = 0;

        log_entry_clear(&l->entry);
        if (l->log->format == LOG_FORMAT_CAT) {
                for (const char *const *f = few; *f && r >= 0; f++)
                        if (sd_journal_get_data(l->journal, *f, &data, &n) >= 0)
                                r = log_entry_add_assignment(&l->entry, data, n);
                return r;
        }
        r = sd_journal_get_cursor(l->journal, &cursor);
        if (r >= 0)
                r = log_entry_add(&l->entry, "__CURSOR", strlen("__CURSOR"), cursor, strlen(cursor));
        if (r >= 0)
                r = sd_journal_get_realtime_usec(l->journal, &t);
        if (r >= 0) {
                snprintf(text, sizeof(text), "%" PRIu64, t);
                r = log_entry_add(&l->entry, "__REALTIME_TIMESTAMP", strlen("__REALTIME_TIMESTAMP"), text, strlen(text));
        }
        if (r >= 0)
                r = sd_journal_get_monotonic_usec(l->journal, &t, &(sd_id128_t){});
        if (r >= 0) {
                snprintf(text, sizeof(text), "%" PRIu64, t);
                r = log_entry_add(&l->entry, "__MONOTONIC_TIMESTAMP", strlen("__MONOTONIC_TIMESTAMP"), text, strlen(text));
        }
        sd_journal_restart_data(l->journal);
        while (r >= 0 && sd_journal_enumerate_available_data(l->journal, &data, &n) > 0)
                r = log_entry_add_assignment(&l->entry, data, n);
        return r;
}

/* All lines that are there by now. */
static int print_lines(JournalLog *l) {
        int r;

        /* Without a match everything in the journal would be ours. */
        if (!l->matched)
                return 0;
        while ((r = sd_journal_next(l->journal)) > 0) {
                if (!line_is_ours(l))
                        continue;
                r = read_entry(l);
                if (r == -ENOENT || r == -EBADMSG || r == -E2BIG) /* damaged, or gone meanwhile */
                        continue;
                if (r >= 0)
                        r = log_show(l->log, &l->entry);
                if (r < 0)
                        return r == -ENOMEM ? ctl_oom() : r;
                if (ferror(stdout))
                        break;
        }
        return r < 0 ? ctl_error(r, "Cannot read the journal: %m") : output_flush();
}

/* Asked for soon after the end: let the last lines arrive. */
static void give_grace(JournalLog *l) {
        usec_t now = now_usec(CLOCK_REALTIME);

        if (l->ended == 0 || now < l->ended || now - l->ended >= LATELY_USEC)
                return;
        if (log_synchronize() < 0) {
                if (now - l->ended >= GRACE_USEC)
                        return;
                (void) usleep(GRACE_USEC - (now - l->ended));
        }
        (void) sd_journal_wait(l->journal, 0); /* files that are new */
}

/* The lines are looked at backwards, as not all that match are ours. */
static int skip_to_last_lines(JournalLog *l) {
        uint64_t n = 0;
        int r;

        if (arg_lines == UINT32_MAX || !l->matched)
                return 0;
        r = sd_journal_seek_tail(l->journal);
        while (r >= 0 && n <= arg_lines && (r = sd_journal_previous(l->journal)) > 0) {
                if (!line_is_ours(l))
                        continue;
                r = read_entry(l);
                n += r >= 0 && log_wants(&l->entry);
                r = r == -ENOMEM ? r : 0;
        }
        if (r == 0 && n <= arg_lines) /* the first step forward goes to the first line */
                r = sd_journal_seek_head(l->journal);
        return r < 0 ? ctl_error(r, "Cannot read the journal: %m") : 0;
}

static int follow(JournalLog *l) {
        usec_t looked = 0, until = USEC_INFINITY;
        int r;

        for (;;) {
                usec_t now = now_usec(CLOCK_MONOTONIC);

                /* Once more when the grace is over: it may have been tried again. */
                if (now >= until || (!l->log->done && now - looked >= LOG_POLL_USEC)) {
                        bool was_done = l->log->done;

                        looked = now;
                        r = log_look(l->log);
                        if (r < 0)
                                return r;
                        if (!l->log->done)
                                until = USEC_INFINITY;
                        else if (!was_done)
                                until = usec_add(now, log_synchronize() >= 0 ? 0 : GRACE_USEC);
                        if (until == now)
                                (void) sd_journal_wait(l->journal, 0); /* files that are new */
                }
                r = print_lines(l);
                if (r < 0 || now >= until || log_output_is_closed())
                        return r;
                r = sd_journal_wait(l->journal, LOG_POLL_USEC / 4);
                if (r < 0 && r != -EINTR)
                        return ctl_error(r, "Cannot wait for the journal: %m");
        }
}

int log_from_journal(Log *log) {
        JournalLog l = { .log = log, .begun = UINT64_MAX };
        int r;

        r = sd_journal_open(&l.journal, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return ctl_error(r, "Cannot open the journal: %m");
        (void) sd_journal_set_data_threshold(l.journal, 0);
        log->source = &l;
        log->found = found;
        r = match_known_attempts(&l);
        give_grace(&l);
        if (r >= 0)
                r = skip_to_last_lines(&l);
        if (r >= 0)
                r = arg_follow ? follow(&l) : print_lines(&l);
        log->found = NULL;
        sd_journal_close(l.journal);
        strv_free(l.matched);
        log_entry_done(&l.entry);
        return r;
}
