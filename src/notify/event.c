/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Structured journal records about jobs. UNIT= and INVOCATION_ID= make "journalctl -u UNIT" show them beside the job's own
 * lines. Nothing is read back from these: anybody may write such fields. */

#include "notify/event.h"

#include "base/log.h"

#define FIELDS_MAX 10
#define FIELD_SIZE (64U + QUEUE_NAME_MAX) /* a key and the longest value: names of units are not longer than that */

/* There may be two for each of thousands of jobs a second: no field but the message has memory of its own. */
typedef struct Record {
        char *message;
        const char *fields[FIELDS_MAX + 1];
        size_t n;
        char text[FIELDS_MAX][FIELD_SIZE];
} Record;

static void add_text(Record *r, const char *key, const char *value) {
        char *text = r->text[r->n], *p = stpcpy(text, key);
        size_t n = MIN(strlen(value), FIELD_SIZE - 1 - (size_t) (p - text));

        *(char *) mempcpy(p, value, n) = 0;
        r->fields[r->n++] = text;
}

static void add_number(Record *r, const char *key, uint64_t value) {
        char *text = r->text[r->n];

        *append_u64(stpcpy(text, key), value) = 0;
        r->fields[r->n++] = text;
}

static char *describe(const Change *c) {
        const char *result = job_result_to_string(c->result);
        char name[SPEC_NAME_MAX + 8] = "", *message;
        int n;

        if (c->name)
                snprintf(name, sizeof(name), " (%s)", c->name);
        if (c->retried_after != JOB_RESULT_NONE)
                n = asprintf(&message, "MESSAGE=Job %" PRIu64 "%s: attempt %" PRIu32 " of %" PRIu32 " ended (%s), it is tried again.",
                             c->id, name, c->attempt, c->max_attempts, job_result_to_string(c->retried_after));
        else if (c->state == JOB_RUNNING && c->worker > 0)
                n = asprintf(&message, "MESSAGE=Job %" PRIu64 "%s started in worker %" PRIu64 ".", c->id, name, c->worker);
        else if (c->state == JOB_RUNNING)
                n = asprintf(&message, "MESSAGE=Job %" PRIu64 "%s started as %s.", c->id, name, c->unit);
        else if (c->result == JOB_LOST)
                n = asprintf(&message, "MESSAGE=Job %" PRIu64 "%s was lost: %s.", c->id, name, strempty(c->reason));
        else
                n = asprintf(&message, "MESSAGE=Job %" PRIu64 "%s finished: %s%s%s.", c->id, name, result, c->reason ? ", " : "",
                             strempty(c->reason));
        return n < 0 ? NULL : message;
}

static void add_fields(Record *r, const Change *c, bool user) {
        char id[SD_ID128_STRING_MAX];

        add_number(r, "JOBMILL_JOB_ID=", c->id);
        add_number(r, "JOBMILL_ATTEMPT=", c->attempt);
        add_text(r, "JOBMILL_QUEUE=", c->queue->name);
        add_text(r, "JOBMILL_RESULT=", job_result_to_string(c->retried_after != JOB_RESULT_NONE ? c->retried_after : c->result));
        if (c->started_usec != USEC_INFINITY && c->state != JOB_RUNNING)
                add_number(r, "JOBMILL_STARTED_USEC=", c->started_usec);
        if (c->worker > 0)
                add_number(r, "JOBMILL_WORKER=", c->worker);
        if (c->unit[0])
                add_text(r, user ? "USER_UNIT=" : "UNIT=", c->unit);
        if (!sd_id128_is_null(c->invocation_id))
                add_text(r, user ? "USER_INVOCATION_ID=" : "INVOCATION_ID=", sd_id128_to_string(c->invocation_id, id));
}

void event_log(const Change *c, bool user) {
        Record record;
        int level;

        if (!c->state_changed || (c->state != JOB_RUNNING && c->state != JOB_DONE && c->retried_after == JOB_RESULT_NONE))
                return;
        /* Of those in workers and pools the end tells of the start. */
        level = c->result == JOB_LOST ? LOG_WARNING : c->state == JOB_RUNNING && c->worker > 0 && c->retried_after == JOB_RESULT_NONE ? LOG_DEBUG :
                                                                                                                   LOG_INFO;
        if (level > log_get_level())
                return;
        record.message = describe(c);
        if (!record.message) {
                log_oom();
                return;
        }
        record.n = 0;
        record.fields[record.n++] = record.message;
        record.fields[record.n++] = c->retried_after != JOB_RESULT_NONE ? "MESSAGE_ID=" MESSAGE_JOB_TRIED_AGAIN :
                                    c->state == JOB_RUNNING ? "MESSAGE_ID=" MESSAGE_JOB_STARTED :
                                    c->result == JOB_LOST   ? "MESSAGE_ID=" MESSAGE_JOB_LOST :
                                                              "MESSAGE_ID=" MESSAGE_JOB_FINISHED;
        add_fields(&record, c, user);
        record.fields[record.n] = NULL;
        log_struct(level, record.fields);
        free(record.message);
}
