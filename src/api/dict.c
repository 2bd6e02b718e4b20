/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs and attempts as a{sv}: the keys of design.md, section 10. What is not known is not there. Of a foreign job only what every
 * local user may know. */

#include "api/dict.h"

#include "base/bus-util.h"
#include "base/strv.h"

#include <stdarg.h>

int dict_append(sd_bus_message *m, const char *key, const char *type, ...) {
        va_list ap;
        int r;

        r = bus_open_value(m, 'e', key, type);
        if (r < 0)
                return r;
        va_start(ap, type);
        r = sd_bus_message_appendv(m, type, ap);
        va_end(ap);
        return bus_close_value(m, r);
}

static int append_u32s(sd_bus_message *m, const char *key, const uint32_t *numbers, size_t n) {
        int r;

        r = bus_open_value(m, 'e', key, "au");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'u', numbers, n * sizeof(uint32_t));
        return bus_close_value(m, r);
}

static int append_pairs(sd_bus_message *m, const char *key, char *const *pairs) {
        int r;

        r = bus_open_value(m, 'e', key, "a{ss}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        STRV_FOREACH_PAIR(k, v, pairs)
                if (r >= 0)
                        r = sd_bus_message_append(m, "{ss}", *k, *v);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* One row of the list of keys: appended where wanted and known. */
#define WANTED(key) (strv_length(fields) == 0 || strv_contains(fields, key))
#define APPEND(key, type, known, value)                                                                      \
        do {                                                                                                 \
                if ((known) && WANTED(key)) {                                                                \
                        r = dict_append(m, key, type, value);                                                \
                        if (r < 0)                                                                           \
                                return r;                                                                    \
                }                                                                                            \
        } while (false)
#define APPEND_USEC(key, value) APPEND(key, "t", (value) != USEC_INFINITY, value)

static int append_usage(sd_bus_message *m, const Outcome *o, char *const *fields) {
        int r;

        APPEND("exit_status", "i", o->exit_status >= 0, o->exit_status);
        APPEND("exit_signal", "i", o->exit_signal > 0, o->exit_signal);
        APPEND_USEC("runtime_usec", o->runtime_usec);
        APPEND_USEC("cpu_usec", o->cpu_usec);
        APPEND_USEC("memory_peak", o->memory_peak);
        APPEND("memory_peak_sampled", "b", o->memory_peak != UINT64_MAX, (int) o->memory_peak_sampled);
        APPEND_USEC("io_read_bytes", o->io_read_bytes);
        APPEND_USEC("io_write_bytes", o->io_write_bytes);
        APPEND_USEC("tasks_peak", o->tasks_peak);
        return 0;
}

/* What it said of itself, and the ends of what it wrote. */
static int append_verdict(sd_bus_message *m, const Outcome *o, char *const *fields) {
        int r;

        APPEND("verdict", "s", o->verdict, o->verdict);
        APPEND("success", "b", o->success >= 0, (int) o->success);
        if (!(o->io_stdout || o->io_stderr) || !WANTED("io"))
                return 0;
        r = bus_open_value(m, 'e', "io", "a{ss}");
        if (r >= 0)
                r = sd_bus_message_append(m, "a{ss}", 2, "stdout", strempty(o->io_stdout), "stderr", strempty(o->io_stderr));
        return bus_close_value(m, r);
}

size_t dict_verdict_size(const Attempt *a) {
        const Outcome *o = &a->outcome;

        return strlen(strempty(o->verdict)) + strlen(strempty(o->io_stdout)) + strlen(strempty(o->io_stderr));
}

static int append_lease(sd_bus_message *m, const Attempt *a, char *const *fields) {
        char id[SD_ID128_STRING_MAX];
        int r;

        APPEND("unit", "s", true, a->unit);
        APPEND("invocation_id", "s", !sd_id128_is_null(a->invocation_id), sd_id128_to_string(a->invocation_id, id));
        if (a->slot_numbers && WANTED("slot_numbers"))
                return append_u32s(m, "slot_numbers", a->slot_numbers, a->slots);
        return 0;
}

int dict_append_attempt(sd_bus_message *m, const Attempt *a, bool is_private, bool with_verdict) {
        char *const *fields = NULL;
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        APPEND("attempt", "u", true, a->number);
        r = append_lease(m, a, NULL);
        if (r < 0)
                return r;
        APPEND("result", "s", a->outcome.result != JOB_RESULT_NONE, job_result_to_string(a->outcome.result));
        APPEND("reason", "s", is_private && a->outcome.reason, a->outcome.reason);
        APPEND_USEC("created_usec", a->created_usec);
        APPEND_USEC("started_usec", a->outcome.started_usec);
        APPEND_USEC("finished_usec", a->outcome.finished_usec);
        APPEND("frozen_usec", "t", a->frozen_usec > 0, a->frozen_usec);
        APPEND_USEC("memory_max", a->outcome.memory_max);
        r = append_usage(m, &a->outcome, NULL);
        if (r >= 0 && is_private && with_verdict)
                r = append_verdict(m, &a->outcome, NULL);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

typedef struct Edges {
        sd_bus_message *message;
        size_t n;
} Edges;

static int append_edge(void *userdata, const Edge *e) {
        Edges *l = userdata;
        int r = 0;

        if (l->n++ == 0) {
                r = bus_open_value(l->message, 'e', "after", "a(ts)");
                if (r >= 0)
                        r = sd_bus_message_open_container(l->message, 'a', "(ts)");
        }
        if (r >= 0)
                r = sd_bus_message_append(l->message, "(ts)", e->before, after_word(e->condition, e->otherwise));
        return MIN(r, 0);
}

/* What it waits for, or came after: rows of their own, of which most jobs have none. */
static int append_after(sd_bus_message *m, const Api *a, JobRow *row) {
        Edges l = { .message = m };
        int r;

        r = store_edges(a->store, row->job->id, append_edge, &l);
        row->n_after = l.n;
        if (r < 0 || l.n == 0)
                return r;
        return bus_close_value(m, sd_bus_message_close_container(m));
}

/* NULL: it does not wait for other jobs. */
static int waits_for_jobs(const Api *a, const Job *j, char **ret) {
        uint64_t ids[EDGE_WAITS_SHOWN], n = 0;
        int r;

        *ret = NULL;
        if (j->state != JOB_WAITING || j->blockers == 0)
                return 0;
        r = store_open_edges(a->store, j->id, ids, ELEMENTSOF(ids), &n);
        if (r < 0 || n == 0)
                return r;
        *ret = edge_waits(ids, MAX(n, (uint64_t) j->blockers - j->array_waits)); /* which are all that are open */
        return *ret ? 0 : -ENOMEM;
}

static int append_states(sd_bus_message *m, const char *key, const uint64_t count[static _JOB_STATE_MAX], uint64_t dead) {
        int r;

        r = bus_open_value(m, 'e', key, "a{su}");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{su}");
        for (JobState i = 0; i < _JOB_STATE_MAX && r >= 0; i++)
                if (count[i] > 0)
                        r = sd_bus_message_append(m, "{su}", job_state_to_string(i), (uint32_t) count[i]);
        if (r >= 0 && dead > 0)
                r = sd_bus_message_append(m, "{su}", "dead", (uint32_t) dead);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

static int append_flow_states(sd_bus_message *m, const Api *a, uint64_t flow) {
        uint64_t count[_JOB_STATE_MAX], dead;
        int r;

        r = store_flow_states(a->store, flow, count, &dead);
        return r < 0 ? r : append_states(m, "flow_states", count, dead);
}

static bool row_is_frozen(const JobRow *row) {
        return row->job->state == JOB_RUNNING && row->attempt && row->attempt->freezer == FREEZER_FROZEN;
}

static int append_spec_field(sd_bus_message *m, const JobSpec *s, const SpecField *f) {
        const char *type = spec_type_signature(f->type);

        switch (f->type) {
        case SPEC_STRING:
                return dict_append(m, f->name, type, spec_field_ptr(char *, s, f));
        case SPEC_ENUM:
                return dict_append(m, f->name, type, f->words[spec_field_ptr(uint32_t, s, f)]);
        case SPEC_STRV:
                return bus_append_strv_value(m, 'e', f->name, spec_field_ptr(char **, s, f));
        case SPEC_TAGS:
                return append_pairs(m, f->name, spec_field_ptr(char **, s, f));
        case SPEC_BOOL:
                return dict_append(m, f->name, type, (int) spec_field_ptr(bool, s, f));
        case SPEC_I32:
        case SPEC_U32:
                return dict_append(m, f->name, type, spec_field_ptr(uint32_t, s, f));
        case SPEC_USEC:
                return dict_append(m, f->name, type, spec_field_ptr(usec_t, s, f));
        case SPEC_DOUBLE:
                return dict_append(m, f->name, type, spec_field_ptr(double, s, f));
        case SPEC_BYTES:
        case SPEC_EDGES:
                break;
        }
        assert(false); /* they are stored elsewhere */
        return -EINVAL;
}

/* All that is stored as the spec, by the names it has there; what it had by default is not told. */
static int append_spec(sd_bus_message *m, const JobSpec *s, char *const *fields) {
        const SpecField *table;
        size_t n;
        int r = 0;

        table = spec_field_table(&n);
        for (const SpecField *f = table; f < table + n && r >= 0; f++)
                if (dict_is_of_spec(f) && WANTED(f->name) && !spec_field_is_default(s, f))
                        r = append_spec_field(m, s, f);
        return r;
}

static int append_private(sd_bus_message *m, const Api *a, JobRow *row, char *const *fields) {
        const Job *j = row->job;
        _cleanup_free_ char *why = NULL;
        const char *reason = j->reason;
        const Job *live;
        int r;

        live = job_state_is_live(j->state) ? model_job(a->model, j->id) : NULL;
        APPEND("name", "s", j->name, j->name);
        if (live && live->live && live->live->status) {
                double progress;

                APPEND("status", "s", true, live->live->status);
                APPEND("progress", "d", attempt_progress(live->live->status, &progress), progress);
        }
        APPEND("stdout", "s", j->output != OUTPUT_UNSET, spec_field_find("stdout")->words[j->output]);
        APPEND("verify", "s", j->verify != VERIFY_UNSET, spec_field_find("verify")->words[j->verify]);
        if (j->state == JOB_STARTING && live && live->live)
                reason = live->live->trouble;
        if (j->state == JOB_RUNNING && row->attempt && row->attempt->freezer != FREEZER_THAWED)
                reason = freezer_to_string(row->attempt->freezer);
        if (!reason && WANTED("reason")) {
                r = waits_for_jobs(a, j, &why);
                if (r < 0)
                        return r;
                if (!why)
                        why = schedule_reason(a->model, j, model_queue(a->model, j->queue_name), &a->now);
                if (!why)
                        return -ENOMEM;
                reason = isempty(why) ? NULL : why;
        }
        APPEND("reason", "s", reason, reason);
        APPEND("flow", "t", j->flow > 0, j->flow);
        if (row->collapsed && j->flow > 0 && WANTED("flow_states")) {
                r = append_flow_states(m, a, j->flow);
                if (r < 0)
                        return r;
        }
        if (WANTED("after")) {
                r = append_after(m, a, row);
                if (r < 0)
                        return r;
        }
        APPEND("unique_key", "s", j->unique_key, j->unique_key);
        APPEND("unique_scope", "s", j->unique_key, unique_scope_to_string(j->unique_scope));
        APPEND_USEC("unique_until_usec", j->unique_until_usec);
        APPEND_USEC("stop_timeout_usec", j->stop_timeout_usec);
        APPEND_USEC("keep_usec", j->keep_usec);
        return row->spec ? append_spec(m, row->spec, fields) : 0;
}

static int append_public(sd_bus_message *m, const JobRow *row, char *const *fields) {
        const Job *j = row->job;
        int r;

        APPEND("id", "t", true, j->id);
        APPEND("queue", "s", true, j->queue_name);
        APPEND("owner", "u", true, j->owner);
        APPEND("owner_name", "s", j->owner_name, j->owner_name);
        APPEND("state", "s", true, job_state_to_string(j->state));
        APPEND("result", "s", j->result != JOB_RESULT_NONE, job_result_to_string(j->result));
        APPEND("attempt", "u", true, j->attempt);
        APPEND("max_attempts", "u", true, j->max_attempts);
        APPEND("priority", "i", true, j->priority);
        APPEND("slots", "u", true, j->slots);
        APPEND("dead", "b", true, (int) j->dead);
        APPEND("frozen", "b", row_is_frozen(row), true);
        APPEND("array", "t", j->array > 0, j->array);
        APPEND("array_index", "u", j->array > 0, j->array_index);
        if (j->in_array) {
                APPEND("array_size", "u", true, j->in_array->n);
                APPEND("array_max_running", "u", j->in_array->max_running > 0, j->in_array->max_running);
                r = WANTED("array_states") ? append_states(m, "array_states", j->in_array->count, j->in_array->dead) : 0;
                if (r < 0)
                        return r;
        }
        APPEND_USEC("submitted_usec", j->submitted_usec);
        APPEND_USEC("not_before_usec", j->not_before_usec);
        APPEND_USEC("deadline_usec", j->deadline_usec);
        APPEND_USEC("started_usec", j->started_usec);
        APPEND_USEC("finished_usec", j->finished_usec);
        APPEND_USEC("wait_usec", j->wait_usec);
        APPEND_USEC("timeout_usec", j->timeout_usec);
        return 0;
}

int dict_append_job(sd_bus_message *m, const Api *a, JobRow *row, bool is_private, char *const *fields) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = append_public(m, row, fields);
        if (r >= 0 && is_private)
                r = append_private(m, a, row, fields);
        /* The newest attempt says nothing of a job that waits to be tried again. */
        if (r >= 0 && row->attempt && (job_state_is_live(row->job->state) || row->job->state == JOB_DONE)) {
                r = append_lease(m, row->attempt, fields);
                if (r >= 0)
                        r = append_usage(m, &row->attempt->outcome, fields);
                if (r >= 0 && is_private)
                        r = append_verdict(m, &row->attempt->outcome, fields);
        }
        return r < 0 ? r : sd_bus_message_close_container(m);
}
