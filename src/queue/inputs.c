/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A JSON list with an object for each job. A verdict is JSON already, and goes in as it is. */

#include "queue/inputs.h"

#include <json-c/json.h>

struct InputsWriter {
        json_object *list;
        size_t verdicts;
};

InputsWriter *inputs_new(void) {
        InputsWriter *w = new0(InputsWriter, 1);

        if (!w)
                return NULL;
        w->list = json_object_new_array();
        return w->list ? w : inputs_free(w);
}

InputsWriter *inputs_free(InputsWriter *w) {
        if (!w)
                return NULL;
        json_object_put(w->list);
        return mfree(w);
}

/* NULL is JSON's null. */
static int add(json_object *o, const char *key, json_object *v, bool wanted) {
        if (wanted && !v)
                return -ENOMEM;
        if (json_object_object_add(o, key, v) >= 0)
                return 0;
        json_object_put(v);
        return -ENOMEM;
}

static int add_verdict(InputsWriter *w, json_object *o, const Input *in) {
        size_t size = in->verdict ? strlen(in->verdict) : 0;
        int r;

        r = add(o, "success", in->success < 0 ? NULL : json_object_new_boolean(in->success), in->success >= 0);
        if (r < 0)
                return r;
        if (size > 0 && w->verdicts + size > INPUTS_VERDICTS_MAX)
                return add(o, "verdict_omitted", json_object_new_boolean(true), true);
        w->verdicts += size;
        return add(o, "verdict", in->verdict ? json_tokener_parse(in->verdict) : NULL, false);
}

int inputs_add(InputsWriter *w, const Input *in) {
        json_object *o = json_object_new_object();
        bool exited = in->exit_status >= 0, killed = in->exit_signal > 0, ended = in->result != JOB_RESULT_NONE;
        int r;

        if (!o)
                return -ENOMEM;
        r = add(o, "id", json_object_new_uint64(in->id), true);
        if (r >= 0)
                r = add(o, "name", in->name ? json_object_new_string(in->name) : NULL, in->name);
        if (r >= 0)
                r = add(o, "result", ended ? json_object_new_string(job_result_to_string(in->result)) : NULL, ended);
        if (r >= 0)
                r = add(o, "exit_status", exited ? json_object_new_int(in->exit_status) : NULL, exited);
        if (r >= 0)
                r = add(o, "exit_signal", killed ? json_object_new_int(in->exit_signal) : NULL, killed);
        if (r >= 0)
                r = add_verdict(w, o, in);
        if (r >= 0 && json_object_array_add(w->list, o) < 0)
                r = -ENOMEM;
        if (r < 0)
                json_object_put(o);
        return r;
}

char *inputs_to_json(const InputsWriter *w) {
        const char *text = json_object_to_json_string_ext(w->list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        return text ? strdup(text) : NULL;
}
