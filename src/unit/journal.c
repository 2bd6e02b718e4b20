/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Asking the journal about a unit that is gone. Used at resync only, for the few attempts whose unit is not there. */

#include "unit/journal.h"

#include "base/parse.h"

#include <stdarg.h>
#include <systemd/sd-journal.h>

/* systemd's own, sd-messages.h (systemd.journal-fields(7)). */
#define MESSAGE_UNIT_PROCESS_EXIT "98e322203f7a4ed290d09fe03c09fe15"
#define MESSAGE_UNIT_STOPPED "9d1aaa27d60140bd96365438aad20286"
#define MESSAGE_UNIT_START_FAILED "be02cf6855d2428ba40df7e9d022f03d"

static sd_journal *journal_close(sd_journal *j) {
        sd_journal_close(j);
        return NULL;
}
DEFINE_TRIVIAL_CLEANUP_FUNC(sd_journal *, journal_close);

static int journal_add_match(sd_journal *j, const char *format, ...) _printf_(2, 3);
static int journal_add_match(sd_journal *j, const char *format, ...) {
        _cleanup_free_ char *s = NULL;
        va_list ap;

        va_start(ap, format);
        s = vformat(format, ap);
        va_end(ap);
        if (!s)
                return -ENOMEM;
        return sd_journal_add_match(j, s, 0);
}

static int journal_open_unit(bool user, const char *unit, sd_journal **ret) {
        _cleanup_(journal_closep) sd_journal *j = NULL;
        int r;

        r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);
        if (r < 0)
                return r;
        if (user) {
                r = journal_add_match(j, "_SYSTEMD_UNIT=user@%u.service", (unsigned) getuid());
                if (r >= 0)
                        r = journal_add_match(j, "USER_UNIT=%s", unit);
        } else {
                r = journal_add_match(j, "_PID=1");
                if (r >= 0)
                        r = journal_add_match(j, "UNIT=%s", unit);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

static int journal_get(sd_journal *j, const char *field, char *buf, size_t size) {
        const void *data;
        size_t n, skip = strlen(field) + 1;
        int r;

        r = sd_journal_get_data(j, field, &data, &n);
        if (r < 0)
                return r;
        if (n < skip || n - skip >= size)
                return -EINVAL;
        memcpy(buf, (const char *) data + skip, n - skip);
        buf[n - skip] = 0;
        return 0;
}

void journal_write_mark(sd_id128_t mark, const char *unit) {
        (void) sd_journal_send("MESSAGE=%s is not there; looking whether it ever was.", unit, "PRIORITY=6",
                               "JOBMILL_MARK=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(mark), NULL);
}

JournalAnswer journal_unit_seen(bool user, const char *unit, usec_t since, sd_id128_t mark, sd_id128_t *ret_invocation_id) {
        _cleanup_(journal_closep) sd_journal *j = NULL;
        char id[SD_ID128_STRING_MAX];
        uint64_t from;
        int r;

        if (journal_open_unit(user, unit, &j) < 0)
                return JOURNAL_UNKNOWN;

        /* Unit names are never used twice, so any line is about this attempt. A unit gets its invocation id when it is
         * started; lines without one, or with an empty one, are of a start that failed before that, as one does that a reload
         * came upon. */
        while (sd_journal_next(j) > 0) {
                r = journal_get(j, user ? "USER_INVOCATION_ID" : "INVOCATION_ID", id, sizeof(id));
                if (r == -ENOENT || (r >= 0 && isempty(id)))
                        continue;
                if (r < 0 || sd_id128_from_string(id, ret_invocation_id) < 0)
                        return JOURNAL_UNKNOWN;
                return JOURNAL_SEEN;
        }

        sd_journal_flush_matches(j);
        if ((user ? journal_add_match(j, "_SYSTEMD_UNIT=user@%u.service", (unsigned) getuid()) :
                    journal_add_match(j, "_PID=1")) < 0)
                return JOURNAL_UNKNOWN;
        if (sd_journal_seek_head(j) < 0 || sd_journal_next(j) <= 0 || sd_journal_get_realtime_usec(j, &from) < 0)
                return JOURNAL_UNKNOWN;
        if (from > since)
                return JOURNAL_UNKNOWN;
        if (sd_id128_is_null(mark))
                return JOURNAL_BEHIND;
        sd_journal_flush_matches(j);
        if (journal_add_match(j, "_PID=%u", (unsigned) getpid()) < 0 ||
            journal_add_match(j, "JOBMILL_MARK=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(mark)) < 0 ||
            sd_journal_seek_head(j) < 0)
                return JOURNAL_UNKNOWN;
        r = sd_journal_next(j);
        return r < 0 ? JOURNAL_UNKNOWN : r > 0 ? JOURNAL_SILENT : JOURNAL_BEHIND;
}

/* EXIT_CODE=exited|killed|dumped EXIT_STATUS=number (a signal may stand as its name in newer versions). */
static bool journal_read_exit(sd_journal *j, Outcome *ret) {
        char code[16], status[32];
        int32_t n;

        if (journal_get(j, "EXIT_CODE", code, sizeof(code)) < 0 ||
            journal_get(j, "EXIT_STATUS", status, sizeof(status)) < 0)
                return false;
        if (streq(code, "exited")) {
                if (parse_i32(status, &n) < 0)
                        return false;
                ret->result = n == 0 ? JOB_SUCCESS : JOB_EXIT_CODE;
                ret->exit_status = n;
                return true;
        }
        n = signal_from_string(status);
        if (n <= 0)
                return false;
        ret->result = streq(code, "dumped") ? JOB_CORE_DUMP : JOB_SIGNAL;
        ret->exit_signal = n;
        return true;
}

/* 200 to 243 and never active: systemd could not execute it (systemd.exec(5)). */
JournalAnswer journal_unit_outcome(bool user, const char *unit, sd_id128_t invocation_id, Outcome *ret) {
        _cleanup_(journal_closep) sd_journal *j = NULL;
        bool stopped = false, exited = false;
        char id[40];

        if (journal_open_unit(user, unit, &j) < 0 ||
            journal_add_match(j, user ? "USER_INVOCATION_ID=" SD_ID128_FORMAT_STR : "INVOCATION_ID=" SD_ID128_FORMAT_STR,
                              SD_ID128_FORMAT_VAL(invocation_id)) < 0)
                return JOURNAL_UNKNOWN;

        while (sd_journal_next(j) > 0) {
                if (journal_get(j, "MESSAGE_ID", id, sizeof(id)) < 0)
                        continue;
                if (streq(id, MESSAGE_UNIT_STOPPED))
                        stopped = true;
                else if (streq(id, MESSAGE_UNIT_PROCESS_EXIT) && journal_read_exit(j, ret)) {
                        uint64_t t;
                        if (sd_journal_get_realtime_usec(j, &t) >= 0)
                                ret->finished_usec = t;
                        exited = true;
                } else if (streq(id, MESSAGE_UNIT_START_FAILED) && exited && ret->exit_status >= 200 && ret->exit_status <= 243)
                        ret->result = JOB_EXEC;
        }
        if (exited)
                return JOURNAL_SEEN;
        if (!stopped)
                return JOURNAL_SILENT;
        ret->result = JOB_CANCELLED;
        return free_and_strdup(&ret->reason, "stopped outside jobmill") < 0 ? JOURNAL_UNKNOWN : JOURNAL_SEEN;
}
