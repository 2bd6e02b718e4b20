/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs and attempts as dictionaries, on the bus and on the socket: the keys of design.md, section 10. What is not known is not there. Of a foreign job only what every
 * local user may know. */

#include "api/dict.h"

#include "base/strv.h"

static int append_u32s(Reply *d, const char *key, const uint32_t *numbers, size_t n) {
        int r;

        r = dict_open(d, key, "au", '[');
        if (r >= 0 && d->message)
                r = sd_bus_message_append_array(d->message, 'u', numbers, n * sizeof(uint32_t));
        for (size_t i = 0; !d->message && i < n; i++)
                json_write_integer(&d->json, numbers[i]);
        return dict_close(d, ']', r);
}

/* One row of the list of keys: appended where wanted and known. */
#define WANTED(key) (strv_length(fields) == 0 || strv_contains(fields, key))
#define APPEND(key, type, known, value)                                                                      \
        do {                                                                                                 \
                if ((known) && WANTED(key)) {                                                                \
                        r = dict_append(d, key, type, value);                                                \
                        if (r < 0)                                                                           \
                                return r;                                                                    \
                }                                                                                            \
        } while (false)
#define APPEND_USEC(key, value) APPEND(key, "t", (value) != USEC_INFINITY, value)

static int append_usage(Reply *d, const Outcome *o, char *const *fields) {
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
static int append_verdict(Reply *d, const Outcome *o, char *const *fields) {
        int r;

        if (o->verdict && WANTED("verdict")) {
                r = dict_append_json(d, "verdict", o->verdict);
                if (r < 0)
                        return r;
        }
        APPEND("success", "b", o->success >= 0, (int) o->success);
        if (!(o->io_stdout || o->io_stderr) || !WANTED("io"))
                return 0;
        return dict_append_pairs(d, "io", (char *[]) { (char *) "stdout", o->io_stdout ?: (char *) "",
                                                       (char *) "stderr", o->io_stderr ?: (char *) "", NULL });
}

size_t dict_verdict_size(const Attempt *a) {
        const Outcome *o = &a->outcome;

        return strlen(strempty(o->verdict)) + strlen(strempty(o->io_stdout)) + strlen(strempty(o->io_stderr));
}

static int append_lease(Reply *d, const Attempt *a, char *const *fields) {
        char id[SD_ID128_STRING_MAX];
        int r;

        APPEND("unit", "s", attempt_has_unit(a), a->unit);
        APPEND("executor", "s", a->executor != EXECUTOR_SERVICE, executor_to_string(a->executor));
        APPEND("worker", "t", a->worker_id > 0, a->worker_id);
        if (a->engine && WANTED("engine")) {
                r = dict_append_json(d, "engine", a->engine);
                if (r < 0)
                        return r;
        }
        APPEND("invocation_id", "s", !sd_id128_is_null(a->invocation_id), sd_id128_to_string(a->invocation_id, id));
        if (a->slot_numbers && WANTED("slot_numbers"))
                return append_u32s(d, "slot_numbers", a->slot_numbers, a->slots);
        return 0;
}

static int append_attempt(Reply *d, const Attempt *a, bool is_private, bool with_verdict) {
        char *const *fields = NULL;
        int r;

        APPEND("attempt", "u", true, a->number);
        r = append_lease(d, a, NULL);
        if (r < 0)
                return r;
        APPEND("result", "s", a->outcome.result != JOB_RESULT_NONE, job_result_to_string(a->outcome.result));
        APPEND("reason", "s", is_private && a->outcome.reason, a->outcome.reason);
        APPEND_USEC("created_usec", a->created_usec);
        APPEND_USEC("started_usec", a->outcome.started_usec);
        APPEND_USEC("finished_usec", a->outcome.finished_usec);
        APPEND("frozen_usec", "t", a->frozen_usec > 0, a->frozen_usec);
        APPEND_USEC("memory_max", a->outcome.memory_max);
        r = append_usage(d, &a->outcome, NULL);
        if (r >= 0 && is_private && with_verdict)
                r = append_verdict(d, &a->outcome, NULL);
        return r;
}

int dict_append_attempt(Reply *d, const char *key, const Attempt *a, bool is_private, bool with_verdict) {
        int r;

        r = reply_open_dict(d, key);
        if (r >= 0 && a)
                r = append_attempt(d, a, is_private, with_verdict);
        return reply_close_dict(d, r);
}

typedef struct Edges {
        Reply *reply;
        size_t n;
} Edges;

static int append_edge(void *userdata, const Edge *e) {
        const char *word = after_word(e->condition, e->otherwise);
        Edges *l = userdata;
        Reply *d = l->reply;
        int r = 0;

        if (l->n++ == 0) {
                r = dict_open(d, "after", "a(ts)", '[');
                if (r >= 0 && d->message)
                        r = sd_bus_message_open_container(d->message, 'a', "(ts)");
        }
        if (r >= 0 && d->message)
                return MIN(sd_bus_message_append(d->message, "(ts)", e->before, word), 0);
        json_open(&d->json, '[');
        json_write_integer(&d->json, (int64_t) e->before);
        json_write_string(&d->json, word);
        json_close(&d->json, ']');
        return MIN(r, 0);
}

/* What it waits for, or came after: rows of their own, of which most jobs have none. */
static int append_after(Reply *d, const Api *a, JobRow *row) {
        Edges l = { .reply = d };
        int r;

        r = store_edges(a->store, row->job->id, append_edge, &l);
        row->n_after = l.n;
        if (r < 0 || l.n == 0)
                return r;
        if (d->message)
                r = sd_bus_message_close_container(d->message);
        return dict_close(d, ']', r);
}

static int append_count(Reply *d, const char *word, uint64_t n) {
        if (n == 0)
                return 0;
        return d->message ? sd_bus_message_append(d->message, "{su}", word, (uint32_t) n) : dict_append(d, word, "t", n);
}

static int append_states(Reply *d, const char *key, const uint64_t count[static _JOB_STATE_MAX], uint64_t dead) {
        int r;

        r = dict_open(d, key, "a{su}", '{');
        if (r >= 0 && d->message)
                r = sd_bus_message_open_container(d->message, 'a', "{su}");
        for (JobState i = 0; i < _JOB_STATE_MAX && r >= 0; i++)
                r = append_count(d, job_state_to_string(i), count[i]);
        if (r >= 0)
                r = append_count(d, "dead", dead);
        if (r >= 0 && d->message)
                r = sd_bus_message_close_container(d->message);
        return dict_close(d, '}', r);
}

static int append_flow_states(Reply *d, const Api *a, uint64_t flow) {
        uint64_t count[_JOB_STATE_MAX], dead;
        int r;

        r = store_flow_states(a->store, flow, count, &dead);
        return r < 0 ? r : append_states(d, "flow_states", count, dead);
}

static bool row_is_frozen(const JobRow *row) {
        return row->job->state == JOB_RUNNING && row->attempt && row->attempt->freezer == FREEZER_FROZEN;
}

static int append_spec_field(Reply *d, const JobSpec *s, const SpecField *f) {
        const char *type = spec_type_signature(f->type);

        switch (f->type) {
        case SPEC_STRING:
                return dict_append(d, f->name, type, spec_field_ptr(char *, s, f));
        case SPEC_ENUM:
                return dict_append(d, f->name, type, f->words[spec_field_ptr(uint32_t, s, f)]);
        case SPEC_STRV:
        case SPEC_CREDENTIALS:
                return dict_append_strv(d, f->name, spec_field_ptr(char **, s, f));
        case SPEC_TAGS:
                return dict_append_pairs(d, f->name, spec_field_ptr(char **, s, f));
        case SPEC_BOOL:
                return dict_append(d, f->name, type, (int) spec_field_ptr(bool, s, f));
        case SPEC_I32:
        case SPEC_U32:
                return dict_append(d, f->name, type, spec_field_ptr(uint32_t, s, f));
        case SPEC_USEC:
                return dict_append(d, f->name, type, spec_field_ptr(usec_t, s, f));
        case SPEC_DOUBLE:
                return dict_append(d, f->name, type, spec_field_ptr(double, s, f));
        case SPEC_BYTES:
        case SPEC_EDGES:
                break;
        }
        assert(false); /* they are stored elsewhere */
        return -EINVAL;
}

/* All that is stored as the spec, by the names it has there; what it had by default is not told. */
static int append_spec(Reply *d, const JobSpec *s, char *const *fields) {
        const SpecField *table;
        size_t n;
        int r = 0;

        table = spec_field_table(&n);
        for (const SpecField *f = table; f < table + n && r >= 0; f++)
                if (dict_is_of_spec(f) && WANTED(f->name) && !spec_field_is_default(s, f))
                        r = append_spec_field(d, s, f);
        return r;
}

static int append_private(Reply *d, const Api *a, JobRow *row, char *const *fields) {
        const Job *j = row->job;
        _cleanup_free_ char *why = NULL;
        const char *reason = j->reason;
        const Job *live;
        int r;

        live = job_state_is_live(j->state) ? model_job(a->model, j->id) : NULL;
        APPEND("name", "s", j->name, j->name);
        APPEND("type", "s", j->type, j->type);
        APPEND("type_version", "s", j->type_version, j->type_version);
        if (live && live->live && live->live->status) {
                double progress;

                APPEND("status", "s", true, live->live->status);
                APPEND("progress", "d", attempt_progress(live->live->status, &progress), progress);
        }
        APPEND("stdout", "s", j->output != OUTPUT_UNSET, spec_field_find("stdout")->words[j->output]);
        APPEND("verify", "s", j->verify != VERIFY_UNSET, spec_field_find("verify")->words[j->verify]);
        if (j->state == JOB_STARTING && live && live->live)
                reason = live->live->trouble;
        if (live && live->live && live->live->worker && live->live->worker->away.when != USEC_INFINITY)
                reason = "its adapter is away";
        if (j->state == JOB_RUNNING && row->attempt && row->attempt->freezer != FREEZER_THAWED)
                reason = freezer_to_string(row->attempt->freezer);
        if (!reason && WANTED("reason")) {
                r = dict_reason(a, j, &why);
                if (r < 0)
                        return r;
                reason = isempty(why) ? NULL : why;
        }
        APPEND("reason", "s", reason, reason);
        APPEND("flow", "t", j->flow > 0, j->flow);
        if (row->collapsed && j->flow > 0 && WANTED("flow_states")) {
                r = append_flow_states(d, a, j->flow);
                if (r < 0)
                        return r;
        }
        if (WANTED("after")) {
                r = append_after(d, a, row);
                if (r < 0)
                        return r;
        }
        APPEND("unique_key", "s", j->unique_key, j->unique_key);
        APPEND("unique_scope", "s", j->unique_key, unique_scope_to_string(j->unique_scope));
        APPEND_USEC("unique_until_usec", j->unique_until_usec);
        APPEND_USEC("stop_timeout_usec", j->stop_timeout_usec);
        APPEND_USEC("keep_usec", j->keep_usec);
        return row->spec ? append_spec(d, row->spec, fields) : 0;
}

#define CAUSES_MAX 100U

typedef struct Causes {
        char *words[CAUSES_MAX + 1]; /* from the end */
        size_t n;
} Causes;

static int add_cause(void *userdata, const Attempt *a) {
        Causes *l = userdata;

        if (a->outcome.result != JOB_RESULT_NONE)
                l->words[CAUSES_MAX - ++l->n] = (char *) job_result_to_string(a->outcome.result);
        return l->n == CAUSES_MAX;
}

/* How each of its attempts ended, oldest first; of very many the newest. */
static int append_causes(Reply *d, const Api *a, JobRow *row) {
        Causes l = {};
        int r;

        r = history_attempts_newest(a->store, row->job->id, add_cause, &l);
        row->n_after += l.n;
        return r < 0 || l.n == 0 ? MIN(r, 0) : dict_append_strv(d, "causes", l.words + CAUSES_MAX - l.n);
}

static int append_public(Reply *d, const JobRow *row, char *const *fields) {
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
                r = WANTED("array_states") ? append_states(d, "array_states", j->in_array->count, j->in_array->dead) : 0;
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

/* While it runs, what was seen of it so far; the store learns that at its end. */
static const Outcome *outcome_of_row(const Api *a, const JobRow *row) {
        const Job *live = job_state_is_live(row->job->state) ? model_job(a->model, row->job->id) : NULL;

        return live && live->live ? &live->live->outcome : &row->attempt->outcome;
}

int dict_append_job(Reply *d, const char *key, const Api *a, JobRow *row, bool is_private, char *const *fields) {
        int r;

        r = reply_open_dict(d, key);
        if (r >= 0)
                r = append_public(d, row, fields);
        if (r >= 0 && is_private)
                r = append_private(d, a, row, fields);
        if (r >= 0 && fields && strv_contains(fields, "causes"))
                r = append_causes(d, a, row);
        /* The newest attempt says nothing of a job that waits to be tried again. */
        if (r >= 0 && row->attempt && (job_state_is_live(row->job->state) || row->job->state == JOB_DONE)) {
                r = append_lease(d, row->attempt, fields);
                if (r >= 0)
                        r = append_usage(d, outcome_of_row(a, row), fields);
                if (r >= 0 && is_private)
                        r = append_verdict(d, &row->attempt->outcome, fields);
        }
        return reply_close_dict(d, r);
}
