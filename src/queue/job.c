/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs, attempts and outcomes as objects: their words, their making and freeing. What they may become is model.c's. */

#include "queue/array.h"

#include "base/parse.h"
#include "base/string-table.h"
#include "base/strv.h"

#include <signal.h>

static const char *const job_state_table[_JOB_STATE_MAX] = {
        [JOB_HELD] = "held",         [JOB_WAITING] = "waiting",   [JOB_READY] = "ready", [JOB_STARTING] = "starting",
        [JOB_RUNNING] = "running",   [JOB_STOPPING] = "stopping", [JOB_DONE] = "done",
};
DEFINE_STRING_TABLE_LOOKUP(job_state, JobState);

static const char *const job_result_table[_JOB_RESULT_MAX] = {
        [JOB_RESULT_NONE] = "",
        [JOB_SUCCESS] = "success",
        [JOB_EXIT_CODE] = "exit-code",
        [JOB_SIGNAL] = "signal",
        [JOB_CORE_DUMP] = "core-dump",
        [JOB_TIMEOUT] = "timeout",
        [JOB_WATCHDOG] = "watchdog",
        [JOB_OOM_KILL] = "oom-kill",
        [JOB_VERDICT] = "verdict",
        [JOB_UNVERIFIED] = "unverified",
        [JOB_EXEC] = "exec",
        [JOB_CANCELLED] = "cancelled",
        [JOB_DEPENDENCY] = "dependency",
        [JOB_EXPIRED] = "expired",
        [JOB_LOST] = "lost",
};
DEFINE_STRING_TABLE_LOOKUP(job_result, JobResult);

void outcome_done(Outcome *o) {
        o->reason = mfree(o->reason);
        o->verdict = mfree(o->verdict);
        o->io_stdout = mfree(o->io_stdout);
        o->io_stderr = mfree(o->io_stderr);
}

Job *job_new(void) {
        Job *j = new0(Job, 1);
        if (!j)
                return NULL;

        j->slots = 1;
        j->max_attempts = 1;
        j->submitted_usec = j->not_before_usec = j->ready_usec = j->started_usec = j->finished_usec = j->wait_usec =
                        j->timeout_usec = j->stop_timeout_usec = j->deadline_usec = j->keep_usec = j->ended_usec = j->unique_until_usec =
                                        USEC_INFINITY;
        j->told_state = _JOB_STATE_INVALID;
        return j;
}

Job *job_free(Job *j) {
        if (!j)
                return NULL;

        free(j->queue_name);
        free(j->owner_name);
        free(j->name);
        free(j->type);
        free(j->type_version);
        free(j->reason);
        free(j->unique_key);
        if (j->owns_array)
                array_free(j->in_array);
        spec_free(j->spec);
        spec_free(j->edited);
        return mfree(j);
}

int job_to_spec(const Job *j, JobSpec *spec) {
        if (free_and_strdup(&spec->name, j->name) < 0 || free_and_strdup(&spec->unique_key, j->unique_key) < 0 ||
            free_and_strdup(&spec->type, j->type) < 0 || free_and_strdup(&spec->type_version, j->type_version) < 0)
                return -ENOMEM;
        spec->priority = j->priority;
        spec->slots = j->slots;
        spec->not_before_usec = j->not_before_usec;
        spec->timeout_usec = j->timeout_usec;
        spec->stop_timeout_usec = j->stop_timeout_usec;
        spec->output = j->output;
        spec->verify = j->verify;
        spec->max_attempts = j->max_attempts;
        spec->deadline_usec = j->deadline_usec;
        spec->keep_usec = j->keep_usec;
        spec->array = j->in_array ? j->in_array->n : 0;
        spec->array_max_running = j->in_array ? j->in_array->max_running : 0;
        return 0;
}

/* By it attempts are found, several times in the life of each. */
void attempt_unit_name(uint64_t job, uint32_t number, bool scope, char ret[static ATTEMPT_UNIT_MAX]) {
        char *p = append_u64(stpcpy(ret, "jobmill-job-"), job);

        *p++ = '-';
        (void) strcpy(append_u64(p, number), scope ? ".scope" : ".service");
}

Attempt *attempt_new(uint64_t job_id, uint32_t number) {
        _cleanup_(attempt_freep) Attempt *a = new0(Attempt, 1);
        char unit[ATTEMPT_UNIT_MAX];

        if (!a)
                return NULL;
        a->outcome = OUTCOME_INIT;
        a->job_id = job_id;
        a->number = number;
        a->started_monotonic = a->deadline = a->kill_deadline = a->due.when = a->freezer_usec = USEC_INFINITY;
        a->kill_signal = SIGTERM;
        a->owner = UINT32_MAX;
        attempt_unit_name(job_id, number, /* scope = */ false, unit);
        a->unit = strdup(unit);
        return a->unit ? TAKE_PTR(a) : NULL;
}

int attempt_be_scope(Attempt *a) {
        char unit[ATTEMPT_UNIT_MAX];

        attempt_unit_name(a->job_id, a->number, /* scope = */ true, unit);
        if (free_and_strdup(&a->unit, unit) < 0)
                return -ENOMEM;
        a->executor = EXECUTOR_SCOPE;
        return 0;
}

Attempt *attempt_free(Attempt *a) {
        if (!a)
                return NULL;

        free(a->slot_numbers);
        free(a->unit);
        free(a->status);
        free(a->trouble);
        free(a->left_in);
        free(a->inputs);
        free(a->engine);
        outcome_done(&a->outcome);
        return mfree(a);
}

bool attempt_progress(const char *status, double *ret) {
        uint64_t whole, millionths;

        if (parse_decimal(&status, 6, &whole, &millionths) < 0 || *status != '%' || whole > 100 || (whole == 100 && millionths > 0))
                return false;
        *ret = (double) whole + (double) millionths / 1e6;
        return true;
}

bool attempt_unit_name_parse(const char *unit, uint64_t *ret_job, uint32_t *ret_number) {
        const char *p = startswith(unit, "jobmill-job-"), *end = endswith(unit, ".service") ?: endswith(unit, ".scope");

        if (!p || !end || end < p || end - p > 31)
                return false;

        char buf[32], *dash;
        memcpy(buf, p, end - p);
        buf[end - p] = 0;
        dash = strchr(buf, '-');
        if (!dash)
                return false;
        *dash = 0;
        /* Only as we write them: no leading zeros or signs. */
        return buf[0] >= '1' && buf[0] <= '9' && dash[1] >= '1' && dash[1] <= '9' && parse_u64(buf, ret_job) >= 0 &&
               parse_u32(dash + 1, ret_number) >= 0 && *ret_job <= INT64_MAX;
}

char *attempt_slot_numbers_to_string(const Attempt *a) {
        char *buf = malloc(a->slots * 11 + 1), *p = buf;
        if (!buf)
                return NULL;

        for (uint32_t i = 0; a->slot_numbers && i < a->slots; i++) {
                if (i > 0)
                        *p++ = ',';
                p = append_u64(p, a->slot_numbers[i]);
        }
        *p = 0;
        return buf;
}

int attempt_slot_numbers_from_string(const char *s, uint32_t **ret, uint32_t *ret_n) {
        _cleanup_free_ uint32_t *numbers = NULL;
        _cleanup_strv_free_ char **words = strv_split(s, ",");
        uint32_t n = 0;
        int r;

        if (!words)
                return -ENOMEM;
        numbers = new0(uint32_t, strv_length(words));
        if (!numbers)
                return -ENOMEM;
        STRV_FOREACH(w, words) {
                r = parse_u32(*w, numbers + n);
                if (r < 0)
                        return r;
                if (numbers[n] >= SLOT_NUMBERS_MAX)
                        return -ERANGE;
                n++;
        }
        *ret = TAKE_PTR(numbers);
        *ret_n = n;
        return 0;
}
