/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a job is given of those that it came after. Whatever these have written, it is JSON, and each verdict is in it as it was. The
 * input: jobs with a NUL between them, of each a line with its name, then its standard output. */

#include "fuzz.h"

#include "queue/inputs.h"
#include "queue/verdict.h"

#include <json-c/json.h>

#define INPUTS_MAX 64U

typedef struct Seen {
        char *name, *verdict;
        Input input;
} Seen;

static bool read_input(const char *data, size_t n, size_t i, Seen *ret) {
        const char *line = memchr(data, '\n', n);
        size_t l = line ? (size_t) (line - data) : n;
        Verdict v;

        *ret = (Seen) { .name = strndup(data, l) };
        if (!string_is_clean(ret->name)) {
                ret->name = mfree(ret->name);
                return false;
        }
        ret->input = (Input) {
                .id = i + 1, .name = *ret->name ? ret->name : NULL, .result = (JobResult) (n % _JOB_RESULT_MAX),
                .exit_status = (int32_t) (n % 5) - 1, .exit_signal = (int32_t) (n % 3), .success = -1,
        };
        if (line && verdict_find(line + 1, n - l - 1, true, &v)) {
                ret->verdict = strndup(line + 1 + v.at, v.size);
                ret->input.verdict = ret->verdict;
                ret->input.success = v.success;
        }
        return true;
}

static void check_object(struct json_object *o, const Seen *s, const char *text) {
        struct json_object *v;

        check(json_object_object_get_ex(o, "id", &v) && json_object_get_uint64(v) == s->input.id);
        check(json_object_object_get_ex(o, "name", &v));
        check(streq_ptr(v ? json_object_get_string(v) : NULL, s->input.name));
        check(json_object_object_get_ex(o, "result", &v) && !v == (s->input.result == JOB_RESULT_NONE));
        check(json_object_object_get_ex(o, "success", &v) && !v == (s->input.success < 0));
        check(json_object_object_get_ex(o, "verdict", &v) && !v == !s->verdict);
        check(!s->verdict || strstr(text, s->verdict));
}

static void check_text(const char *text, const Seen *seen, size_t n) {
        struct json_object *l = json_tokener_parse(text);

        check_json(text);
        check(json_object_is_type(l, json_type_array) && json_object_array_length(l) == n);
        for (size_t i = 0; i < n; i++)
                check_object(json_object_array_get_idx(l, i), seen + i, text);
        json_object_put(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(inputs_freep) InputsWriter *w = inputs_new();
        _cleanup_free_ char *copy = copy_text(data, size), *text = NULL;
        Seen seen[INPUTS_MAX];
        size_t n = 0;

        if (size > INPUTS_VERDICTS_MAX)
                return 0;
        for (const char *p = copy, *end = copy + size; p < end && n < INPUTS_MAX;) {
                const char *next = memchr(p, 0, end - p);

                next = next ?: end;
                if (read_input(p, next - p, n, seen + n))
                        check(inputs_add(w, &seen[n++].input) >= 0);
                p = next + 1;
        }
        text = inputs_to_json(w);
        check(text);
        check_text(text, seen, n);
        for (size_t i = 0; i < n; i++) {
                free(seen[i].name);
                free(seen[i].verdict);
        }
        return 0;
}
