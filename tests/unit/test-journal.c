/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the journal proves of a unit that is gone, above all that a start may be asked for again (promise 5: an attempt starts at most
 * once). The journal is a made-up one: what is used of sd-journal is defined here and so comes before the library's. */

#include "unit/journal.h"

#include "base/strv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <systemd/sd-journal.h>

#include <cmocka.h>

#define UNIT "jobmill-job-7-1.service"
#define ID "0102030405060708090a0b0c0d0e0f10"
#define OTHER_ID "f102030405060708090a0b0c0d0e0f10"
#define PROCESS_EXIT "MESSAGE_ID=98e322203f7a4ed290d09fe03c09fe15"
#define STOPPED "MESSAGE_ID=9d1aaa27d60140bd96365438aad20286"
#define START_FAILED "MESSAGE_ID=be02cf6855d2428ba40df7e9d022f03d"

static const sd_id128_t invocation = SD_ID128_MAKE(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
static const sd_id128_t mark = SD_ID128_MAKE(aa, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
#define MARK "JOBMILL_MARK=aa02030405060708090a0b0c0d0e0f10"

/* ---- the journal ---- */

typedef struct Line {
        usec_t time;
        const char *fields[8];
} Line;

struct sd_journal {
        char **matches;
        const Line *at;
};

static const Line *lines; /* the last one has no fields; NULL: there is no journal */
static char own_pid[32], user_unit[64];

int sd_journal_open(sd_journal **ret, int flags) {
        if (!lines)
                return -ENOENT;
        *ret = new0(sd_journal, 1);
        return *ret ? 0 : -ENOMEM;
}

void sd_journal_close(sd_journal *j) {
        if (j)
                strv_free(j->matches);
        free(j);
}

int sd_journal_add_match(sd_journal *j, const void *data, size_t size) {
        return strv_extend(&j->matches, data);
}

void sd_journal_flush_matches(sd_journal *j) {
        strv_free(j->matches);
        j->matches = NULL;
}

int sd_journal_seek_head(sd_journal *j) {
        j->at = NULL;
        return 0;
}

static bool line_has(const Line *l, const char *match) {
        for (const char *const *f = l->fields; *f; f++)
                if (streq(*f, match))
                        return true;
        return false;
}

int sd_journal_next(sd_journal *j) {
        const Line *l = j->at ? j->at + 1 : lines;

        for (; l->fields[0]; l++) {
                bool all = true;
                STRV_FOREACH(m, j->matches)
                        all = all && line_has(l, *m);
                if (all) {
                        j->at = l;
                        return 1;
                }
        }
        return 0;
}

int sd_journal_get_data(sd_journal *j, const char *field, const void **data, size_t *size) {
        for (const char *const *f = j->at->fields; *f; f++)
                if (startswith(*f, field) && (*f)[strlen(field)] == '=') {
                        *data = *f;
                        *size = strlen(*f);
                        return 0;
                }
        return -ENOENT;
}

int sd_journal_get_realtime_usec(sd_journal *j, uint64_t *ret) {
        *ret = j->at->time;
        return 0;
}

/* ---- was it ever there ---- */

#define SINCE 100
#define BOOT { 50, { "_PID=1", "MESSAGE=hello" } }
#define MARKED { 200, { own_pid, MARK } }

static void test_seen(void **state) {
        const struct {
                const char *what;
                Line lines[6];
                JournalAnswer without_mark, with_mark;
        } rows[] = {
                { "nothing of it, and our mark", { BOOT, MARKED }, JOURNAL_BEHIND, JOURNAL_SILENT },
                { "our mark is not there yet", { BOOT }, JOURNAL_BEHIND, JOURNAL_BEHIND },
                { "the mark of somebody else", { BOOT, { 200, { "_PID=77", MARK } } }, JOURNAL_BEHIND, JOURNAL_BEHIND },
                { "it begins too late", { { 150, { "_PID=1", "MESSAGE=hello" } }, MARKED }, JOURNAL_UNKNOWN, JOURNAL_UNKNOWN },
                { "older lines are not the manager's", { { 50, { "_PID=77", "MESSAGE=hello" } }, MARKED }, JOURNAL_UNKNOWN, JOURNAL_UNKNOWN },
                { "it is empty", {}, JOURNAL_UNKNOWN, JOURNAL_UNKNOWN },
                { "it was started", { BOOT, { 120, { "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=" ID } }, MARKED }, JOURNAL_SEEN, JOURNAL_SEEN },
                { "it was started, says one who is not the manager",
                  { BOOT, { 120, { "_PID=77", "UNIT=" UNIT, "INVOCATION_ID=" ID } }, MARKED }, JOURNAL_BEHIND, JOURNAL_SILENT },
                { "another one was started", { BOOT, { 120, { "_PID=1", "UNIT=jobmill-job-8-1.service", "INVOCATION_ID=" ID } }, MARKED },
                  JOURNAL_BEHIND, JOURNAL_SILENT },
                { "it failed before it was started", { BOOT, { 120, { "_PID=1", "UNIT=" UNIT } },
                  { 121, { "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=" } }, MARKED }, JOURNAL_BEHIND, JOURNAL_SILENT },
                { "a line that cannot be read", { BOOT, { 120, { "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=zz" } }, MARKED },
                  JOURNAL_UNKNOWN, JOURNAL_UNKNOWN },
        };
        sd_id128_t id;

        FOREACH_ELEMENT(i, rows) {
                lines = i->lines;
                JournalAnswer a = journal_unit_seen(false, UNIT, SINCE, SD_ID128_NULL, &id),
                              b = journal_unit_seen(false, UNIT, SINCE, mark, &id);
                if (a != i->without_mark || b != i->with_mark)
                        fail_msg("%s: %i and %i", i->what, a, b);
                if (a == JOURNAL_SEEN)
                        assert_true(sd_id128_equal(id, invocation));
        }
        lines = NULL;
        assert_int_equal(journal_unit_seen(false, UNIT, SINCE, mark, &id), JOURNAL_UNKNOWN);
}

static void test_seen_by_a_user(void **state) {
        const Line silent[] = { { 50, { user_unit, "MESSAGE=hello" } }, { 120, { "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=" ID } }, MARKED, {} };
        const Line seen[] = { { 50, { user_unit, "MESSAGE=hello" } }, { 120, { user_unit, "USER_UNIT=" UNIT, "USER_INVOCATION_ID=" ID } }, {} };
        sd_id128_t id;

        lines = silent;
        assert_int_equal(journal_unit_seen(true, UNIT, SINCE, mark, &id), JOURNAL_SILENT);
        lines = seen;
        assert_int_equal(journal_unit_seen(true, UNIT, SINCE, mark, &id), JOURNAL_SEEN);
        assert_true(sd_id128_equal(id, invocation));
}

/* ---- how it ended ---- */

#define OURS "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=" ID

static void test_outcome(void **state) {
        const struct {
                const char *what;
                Line lines[4];
                JournalAnswer answer;
                JobResult result;
                int32_t exit_status, exit_signal;
        } rows[] = {
                { "it exited", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=exited", "EXIT_STATUS=0" } } }, JOURNAL_SEEN, JOB_SUCCESS, 0, 0 },
                { "with a status", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=exited", "EXIT_STATUS=203" } } }, JOURNAL_SEEN, JOB_EXIT_CODE, 203, 0 },
                { "it was never executed", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=exited", "EXIT_STATUS=203" } },
                                             { 301, { OURS, START_FAILED } } }, JOURNAL_SEEN, JOB_EXEC, 203, 0 },
                { "a signal killed it", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=killed", "EXIT_STATUS=9" } } }, JOURNAL_SEEN, JOB_SIGNAL, -1, 9 },
                { "by name", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=killed", "EXIT_STATUS=TERM" } } }, JOURNAL_SEEN, JOB_SIGNAL, -1, 15 },
                { "it dumped core", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=dumped", "EXIT_STATUS=11" } } }, JOURNAL_SEEN, JOB_CORE_DUMP, -1, 11 },
                { "it was stopped", { { 300, { OURS, STOPPED } } }, JOURNAL_SEEN, JOB_CANCELLED, -1, 0 },
                { "an exit counts for more", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=exited", "EXIT_STATUS=3" } }, { 300, { OURS, STOPPED } } },
                  JOURNAL_SEEN, JOB_EXIT_CODE, 3, 0 },
                { "nothing is told", { { 300, { OURS, "MESSAGE=?" } } }, JOURNAL_SILENT, JOB_RESULT_NONE, -1, 0 },
                { "another invocation's", { { 300, { "_PID=1", "UNIT=" UNIT, "INVOCATION_ID=" OTHER_ID, STOPPED } } }, JOURNAL_SILENT, JOB_RESULT_NONE, -1, 0 },
                { "says one who is not the manager",
                  { { 300, { "_PID=77", "UNIT=" UNIT, "INVOCATION_ID=" ID, PROCESS_EXIT, "EXIT_CODE=exited", "EXIT_STATUS=0" } } },
                  JOURNAL_SILENT, JOB_RESULT_NONE, -1, 0 },
                { "nonsense", { { 300, { OURS, PROCESS_EXIT, "EXIT_CODE=killed", "EXIT_STATUS=nonsense" } } }, JOURNAL_SILENT, JOB_RESULT_NONE, -1, 0 },
        };

        FOREACH_ELEMENT(i, rows) {
                Outcome o = OUTCOME_INIT;

                lines = i->lines;
                JournalAnswer a = journal_unit_outcome(false, UNIT, invocation, &o);
                if (a != i->answer || (a == JOURNAL_SEEN && (o.result != i->result || o.exit_status != i->exit_status ||
                                                             o.exit_signal != i->exit_signal)))
                        fail_msg("%s: answer %i, %s, status %i, signal %i", i->what, a, job_result_to_string(o.result), o.exit_status,
                                 o.exit_signal);
                if (a == JOURNAL_SEEN && o.result != JOB_CANCELLED)
                        assert_true(o.finished_usec == 300);
                outcome_done(&o);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_seen),
                cmocka_unit_test(test_seen_by_a_user),
                cmocka_unit_test(test_outcome),
        };

        snprintf(own_pid, sizeof(own_pid), "_PID=%i", (int) getpid());
        snprintf(user_unit, sizeof(user_unit), "_SYSTEMD_UNIT=user@%u.service", (unsigned) getuid());
        return cmocka_run_group_tests(tests, NULL, NULL);
}
