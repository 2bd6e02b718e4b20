/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Structured journal records about jobs. UNIT= and INVOCATION_ID= make "journalctl -u UNIT" show them beside the job's own
 * lines. Nothing is read back from these: anybody may write such fields. */

#include "notify/event.h"

#include "base/log.h"
#include "base/strv.h"

static int describe(const Change *c, char ***ret) {
        const char *result = job_result_to_string(c->result);
        char name[SPEC_NAME_MAX + 8] = "";

        if (c->name)
                snprintf(name, sizeof(name), " (%s)", c->name);
        if (c->retried_after != JOB_RESULT_NONE)
                return strv_extendf(ret, "MESSAGE=Job %" PRIu64 "%s: attempt %" PRIu32 " of %" PRIu32 " ended (%s), it is tried again.",
                                    c->id, name, c->attempt, c->max_attempts, job_result_to_string(c->retried_after));
        if (c->state == JOB_RUNNING && c->worker > 0)
                return strv_extendf(ret, "MESSAGE=Job %" PRIu64 "%s started in worker %" PRIu64 ".", c->id, name, c->worker);
        if (c->state == JOB_RUNNING)
                return strv_extendf(ret, "MESSAGE=Job %" PRIu64 "%s started as %s.", c->id, name, c->unit);
        if (c->result == JOB_LOST)
                return strv_extendf(ret, "MESSAGE=Job %" PRIu64 "%s was lost: %s.", c->id, name, strempty(c->reason));
        return strv_extendf(ret, "MESSAGE=Job %" PRIu64 "%s finished: %s%s%s.", c->id, name, result, c->reason ? ", " : "",
                            strempty(c->reason));
}

static int add_fields(const Change *c, bool user, char ***l) {
        int r;

        r = strv_extendf(l, "JOBMILL_JOB_ID=%" PRIu64, c->id);
        if (r >= 0)
                r = strv_extendf(l, "JOBMILL_ATTEMPT=%" PRIu32, c->attempt);
        if (r >= 0)
                r = strv_extendf(l, "JOBMILL_QUEUE=%s", c->queue->name);
        if (r >= 0)
                r = strv_extendf(l, "JOBMILL_RESULT=%s",
                                 job_result_to_string(c->retried_after != JOB_RESULT_NONE ? c->retried_after : c->result));
        if (r >= 0 && c->unit[0])
                r = strv_extendf(l, user ? "USER_UNIT=%s" : "UNIT=%s", c->unit);
        if (r >= 0 && !sd_id128_is_null(c->invocation_id))
                r = strv_extendf(l, user ? "USER_INVOCATION_ID=" SD_ID128_FORMAT_STR : "INVOCATION_ID=" SD_ID128_FORMAT_STR,
                                 SD_ID128_FORMAT_VAL(c->invocation_id));
        return r;
}

void event_log(const Change *c, bool user) {
        _cleanup_strv_free_ char **l = NULL;
        const char *id;
        int r;

        if (!c->state_changed || (c->state != JOB_RUNNING && c->state != JOB_DONE && c->retried_after == JOB_RESULT_NONE))
                return;
        id = c->retried_after != JOB_RESULT_NONE ? "MESSAGE_ID=" MESSAGE_JOB_TRIED_AGAIN :
             c->state == JOB_RUNNING ? "MESSAGE_ID=" MESSAGE_JOB_STARTED :
             c->result == JOB_LOST   ? "MESSAGE_ID=" MESSAGE_JOB_LOST :
                                       "MESSAGE_ID=" MESSAGE_JOB_FINISHED;
        r = strv_extend(&l, id);
        if (r >= 0)
                r = describe(c, &l);
        if (r >= 0)
                r = add_fields(c, user, &l);
        if (r < 0) {
                log_oom();
                return;
        }
        log_struct(c->result == JOB_LOST ? LOG_WARNING : LOG_INFO, (const char *const *) l);
}
