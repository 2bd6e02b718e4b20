/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A JSON list with an object for each job. A verdict is JSON already, and goes in as it is, byte by byte: its numbers stay what they
 * are, and it costs no more memory than its text. */

#include "queue/inputs.h"

#include <json-c/json.h>

struct InputsWriter {
        FILE *f;
        char *text; /* f's */
        size_t size, verdicts;
        bool any;
};

InputsWriter *inputs_new(void) {
        InputsWriter *w = new0(InputsWriter, 1);

        if (!w)
                return NULL;
        w->f = open_memstream(&w->text, &w->size);
        return w->f ? w : inputs_free(w);
}

InputsWriter *inputs_free(InputsWriter *w) {
        if (!w)
                return NULL;
        if (w->f)
                (void) fclose(w->f);
        free(w->text);
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

/* The last of an object's keys, and its end. */
static int write_verdict(InputsWriter *w, const Input *in) {
        size_t size = in->verdict ? strlen(in->verdict) : 0;

        if (size > INPUTS_VERDICTS_MAX - w->verdicts)
                return fputs(",\"verdict_omitted\":true}", w->f);
        w->verdicts += size;
        return fprintf(w->f, ",\"verdict\":%s}", in->verdict ?: "null");
}

static int write_object(InputsWriter *w, json_object *o, const Input *in) {
        const char *text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        if (!text)
                return -ENOMEM;
        if (fprintf(w->f, "%c%.*s", w->any ? ',' : '[', (int) strlen(text) - 1, text) < 0 || write_verdict(w, in) < 0)
                return -ENOMEM;
        w->any = true;
        return 0;
}

int inputs_add(InputsWriter *w, const Input *in) {
        json_object *o = json_object_new_object();
        bool exited = in->exit_status >= 0, killed = in->exit_signal > 0, ended = in->result != JOB_RESULT_NONE,
             told = in->success >= 0;
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
                r = add(o, "success", told ? json_object_new_boolean(in->success) : NULL, told);
        if (r >= 0)
                r = write_object(w, o, in);
        json_object_put(o);
        return r;
}

char *inputs_to_json(InputsWriter *w) {
        if (fputs(w->any ? "]" : "[]", w->f) < 0 || fflush(w->f) != 0)
                return NULL;
        return strdup(w->text);
}
