/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The body of a callback is the record of the job that it is about, as `jobmill show --json` prints it (docs/json.md), read within the commit
 * that leaves it so: what becomes of the job later, or of its record, does not change what is told. Every key is there; what is not
 * known is null. The first one is "event". Of what
 * is larger than CallbackBodyMax= the parts that make it so are left out: a callback must not fail because of what a job is. */

#include "api/callback.h"

#include "api/dict.h"

#include <json-c/json.h>

#define DEPTH_MAX 64 /* a verdict, 32 deep, is itself in something */

/* tests/bus/test_callback.py compares it with what the tool prints. */
static const char *const keys[] = {
        "id", "name", "queue", "type", "type_version", "type_rules", "owner", "state", "result", "reason", "attempt", "max_attempts", "backoff",
        "backoff_base_usec", "backoff_max_usec", "backoff_jitter", "retry_on", "requeue_lost", "memory_growth", "callback_url",
        "callback_events", "on_success", "on_failure", "credentials", "priority", "slots", "slot_numbers", "argv", "cwd", "umask", "properties",
        "output_file", "error_file", "stdout",
        "verify", "unit", "invocation_id", "executor", "worker", "engine", "causes", "exit_status", "exit_signal", "verdict", "success", "io", "progress",
        "status", "submitted_usec", "not_before_usec", "deadline_usec", "started_usec", "finished_usec", "wait_usec", "runtime_usec",
        "timeout_usec", "stop_timeout_usec", "freezable", "keep_usec", "cpu_usec", "memory_peak", "memory_peak_sampled", "io_read_bytes",
        "io_write_bytes", "tasks_peak", "tags", "after", "flow", "flow_states", "array", "array_index", "array_size", "array_max_running",
        "array_states", "unique_key", "unique_scope", "unique_until_usec", "dead", "frozen",
};

static json_object *parse(const JsonWriter *w) {
        json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
        json_object *o = t ? json_tokener_parse_ex(t, w->text, (int) json_writer_size(w)) : NULL;

        if (t)
                json_tokener_free(t);
        return o;
}

/* As much as its owner likes of each; the others are bounded, and far below the least CallbackBodyMax= together. */
static const char *const large_keys[] = { "argv", "properties", "tags", "verdict", "io", "after", "type_rules", "status", "reason", "flow_states", "engine" };

/* Where libjson-c does not take what our own reader of verdicts took: without it no commit would ever succeed again. */
static json_object *new_least(uint64_t id) {
        json_object *o = json_object_new_object();

        if (o)
                json_object_object_add(o, "id", json_object_new_uint64(id));
        return o;
}

/* record: an object as text, which stays as it is, numbers with all their digits; unless it is too large. */
static int compose(const JsonWriter *record, uint64_t id, const char *event, uint64_t max, JsonWriter *w) {
        json_object *known = parse(record);
        bool truncated = !known || json_writer_size(record) > max;
        const char *text = record->text;
        size_t size = json_writer_size(record);

        known = known ?: new_least(id);
        if (!known)
                return -ENOMEM;
        if (truncated) {
                FOREACH_ELEMENT(k, large_keys)
                        json_object_object_del(known, *k);
                text = json_object_to_json_string_length(known, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &size);
                if (!text) {
                        json_object_put(known);
                        return -ENOMEM;
                }
        }
        json_open(w, '{');
        json_write_key(w, "event");
        json_write_string(w, event);
        json_write_key(w, "truncated");
        json_write_bool(w, truncated);
        JSON_WRITE_LITERAL(w, ",");
        json_write_raw(w, text + 1, size - 2); /* there is at least its id */
        FOREACH_ELEMENT(k, keys)
                if (!json_object_object_get_ex(known, *k, NULL)) {
                        json_write_key(w, *k);
                        JSON_WRITE_LITERAL(w, "null");
                }
        json_close(w, '}');
        json_object_put(known);
        return w->failed ? -ENOMEM : 0;
}

int api_callback_body(void *userdata, const Job *callback, char **ret, size_t *ret_size) {
        _cleanup_(job_row_done) JobRow row = {};
        Api *a = userdata;
        Reply reply = {};
        JsonWriter w = {};
        int r;

        r = history_get(a->store, callback->callback_of, true, &row);
        if (r >= 0)
                r = dict_append_job(&reply, NULL, a, &row, true, NULL);
        if (r >= 0)
                r = compose(&reply.json, row.job->id, callback_event_to_string(callback->callback_event), a->limits.callback_body_max, &w);
        reply_done(&reply);
        if (r < 0) {
                json_writer_done(&w);
                return r;
        }
        *ret_size = json_writer_size(&w);
        *ret = w.text;
        return 0;
}
