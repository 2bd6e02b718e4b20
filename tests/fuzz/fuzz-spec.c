/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A spec as JSON. What is taken can be written and read again, over JSON and over the bus, and is the same then; what is refused is
 * refused by the name of its key. */

#include "fuzz.h"

#include "queue/spec-credential.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

/* One of the keys that are there. */
static void check_names_key(const char *error, const char *text, size_t size) {
        char q[SPEC_QUOTE_MAX];
        struct json_object *o;
        bool named = false;

        check_message(error);
        if (spec_parse_object(text, size, &o, NULL) < 0)
                return; /* no object at all */
        json_object_object_foreach(o, key, value) {
                (void) value;
                /* NAME_base64 is NAME in another form. */
                named = named || strstr(error, spec_quote(q, key, endswith(key, "_base64") ? strlen(key) - strlen("_base64") : strlen(key)));
        }
        check(named);
        json_object_put(o);
}

/* With "queue", as the lines of a file of jobs. */
static void as_line(const char *text, size_t size, const JobSpec *s) {
        _cleanup_(spec_freep) JobSpec *line = spec_new();
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t keys = 0;
        int r;

        r = spec_read_json(text, size, line, &queue, &keys, &error);
        /* That key is all that it takes more, and what is ours it does not take. */
        check(r < 0 ? !s || s->type_version || s->type_rules : !s == !!queue);
        if (r < 0)
                check_names_key(error, text, size);
        else if (s)
                check_same_spec(s, line);
}

/* Of what has a NUL only a payload is taken. */
static void check_nul(const char *text, size_t size, const JobSpec *s) {
        struct json_object *o;
        const char *again;

        check(spec_parse_object(text, size, &o, NULL) >= 0);
        again = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
        if (strstr(again, "\\u0000") && !strstr(again, "\\\\"))
                check(s->payload_size > 0 && memchr(s->payload, 0, s->payload_size));
        json_object_put(o);
}

/* Of a caller they are secrets by name, of the store the names: what is written has these alone. */
static void with_credentials(const char *text, size_t size) {
        _cleanup_(spec_freep) JobSpec *s = spec_new(), *stored = NULL;
        _cleanup_free_ char *queue = NULL, *error = NULL, *written = NULL;
        uint64_t keys;

        if (spec_from_json(text, size, &stored, NULL) >= 0)
                check(!stored->secrets);
        if (spec_read_json(text, size, s, &queue, &keys, &error) < 0) {
                check_names_key(error, text, size);
                return;
        }
        check(!s->credentials == !s->secrets);
        there_and_back(s);
        spec_forget_secrets(s);
        check(spec_to_json(s, 0, &written) >= 0 && spec_credentials_room(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size), *error = NULL;
        _cleanup_(spec_freep) JobSpec *s = NULL;

        if (memmem(text, size, "credentials", strlen("credentials"))) {
                with_credentials(text, size);
                return 0;
        }
        if (spec_from_json(text, size, &s, &error) < 0) {
                check(!s);
                check_names_key(error, text, size);
                as_line(text, size, NULL);
                return 0;
        }
        check(!error);
        check_nul(text, size, s);
        as_line(text, size, s);
        there_and_back(s);
        return 0;
}
