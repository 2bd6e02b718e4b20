/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A JSON list with an object for each job. A verdict is JSON already, and goes in as it is, byte by byte: its numbers stay what they
 * are, and it costs no more memory than its text. */

#include "queue/inputs.h"

#include "base/json-writer.h"

struct InputsWriter {
        JsonWriter json;
        size_t verdicts;
};

InputsWriter *inputs_new(void) {
        InputsWriter *w = new0(InputsWriter, 1);

        if (w)
                json_open(&w->json, '[');
        return w;
}

InputsWriter *inputs_free(InputsWriter *w) {
        if (!w)
                return NULL;
        json_writer_done(&w->json);
        return mfree(w);
}

static void write_string(JsonWriter *w, const char *key, const char *s) {
        json_write_key(w, key);
        if (s)
                json_write_string(w, s);
        else
                JSON_WRITE_LITERAL(w, "null");
}

static void write_integer(JsonWriter *w, const char *key, int64_t v, bool known) {
        json_write_key(w, key);
        if (known)
                json_write_integer(w, v);
        else
                JSON_WRITE_LITERAL(w, "null");
}

static void write_success(JsonWriter *w, int success) {
        json_write_key(w, "success");
        if (success >= 0)
                json_write_bool(w, success);
        else
                JSON_WRITE_LITERAL(w, "null");
}

static void write_verdict(InputsWriter *w, const char *verdict) {
        size_t size = strlen(verdict);

        if (size > INPUTS_VERDICTS_MAX - w->verdicts) {
                json_write_key(&w->json, "verdict_omitted");
                json_write_bool(&w->json, true);
                return;
        }
        w->verdicts += size;
        json_write_key(&w->json, "verdict");
        json_write_raw(&w->json, verdict, size);
}

int inputs_add(InputsWriter *w, const Input *in) {
        JsonWriter *j = &w->json;

        json_open(j, '{');
        json_write_key(j, "id");
        json_write_integer(j, (int64_t) in->id);
        write_string(j, "name", in->name);
        write_string(j, "result", in->result != JOB_RESULT_NONE ? job_result_to_string(in->result) : NULL);
        write_integer(j, "exit_status", in->exit_status, in->exit_status >= 0);
        write_integer(j, "exit_signal", in->exit_signal, in->exit_signal > 0);
        write_success(j, in->success);
        if (in->verdict)
                write_verdict(w, in->verdict);
        else
                write_string(j, "verdict", NULL);
        json_close(j, '}');
        return j->failed ? -ENOMEM : 0;
}

char *inputs_to_json(InputsWriter *w) {
        json_close(&w->json, ']');
        JSON_WRITE_LITERAL(&w->json, "\0");
        return w->json.failed ? NULL : strdup(w->json.text);
}
