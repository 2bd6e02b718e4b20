/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A spec as JSON. What is taken can be written and read again, over JSON and over the bus, and is the same then; what is refused is
 * refused by the name of its key. */

#include "fuzz.h"

#include "api/spec-bus.h"
#include "ctl/submit.h"
#include "queue/spec-credential.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

static void check_names_field(const char *error) {
        const SpecField *fields;
        size_t n;

        check_message(error);
        fields = spec_field_table(&n);
        for (size_t i = 0; i < n; i++)
                if (strstr(error, fields[i].name))
                        return;
        check(false);
}

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
                named = named || strstr(error, spec_quote(q, key, strlen(key)));
        }
        check(named);
        json_object_put(o);
}

static void check_same(const JobSpec *a, const JobSpec *b) {
        _cleanup_free_ char *x = NULL, *y = NULL;

        check(spec_to_json(a, 0, &x) >= 0 && spec_to_json(b, 0, &y) >= 0);
        if (!streq(x, y)) {
                fprintf(stderr, "%s\n%s\n", x, y);
                abort();
        }
}

static void over_json(const JobSpec *s, SpecJsonFlags flags) {
        _cleanup_(spec_freep) JobSpec *again = NULL;
        _cleanup_free_ char *text = NULL;

        check(spec_to_json(s, flags, &text) >= 0);
        check_json(text);
        check(spec_from_json(text, strlen(text), &again, NULL) >= 0);
        if (!(flags & SPEC_JSON_STORED))
                check_same(s, again);
}

/* As the tool sends it and the daemon takes it. */
static void over_bus(const JobSpec *s) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = bus_message_new();
        _cleanup_(spec_freep) JobSpec *again = spec_new();
        char *error = NULL;
        uint64_t given;

        check(sd_bus_message_open_container(m, 'a', "{sv}") >= 0 && request_append_spec(m, s, 0, true) >= 0 &&
              sd_bus_message_close_container(m) >= 0);
        bus_message_turn(m);
        if (spec_read_bus(m, again, &given, NULL, &error) < 0) {
                fprintf(stderr, "%s\n", error);
                abort();
        }
        check_same(s, again);
        for (size_t i = 0; s->secrets && s->credentials[i]; i++)
                check(s->secrets[i]->size == again->secrets[i]->size && memcmp(s->secrets[i]->data, again->secrets[i]->data, s->secrets[i]->size) == 0);
}

/* With "queue", as the lines of a file of jobs. */
static void as_line(const char *text, size_t size, const JobSpec *s) {
        _cleanup_(spec_freep) JobSpec *line = spec_new();
        _cleanup_free_ char *queue = NULL, *error = NULL;
        uint64_t keys = 0;
        int r;

        r = spec_read_json(text, size, line, &queue, &keys, &error);
        /* That key is all that it takes more. */
        check(r < 0 ? !s : !s == !!queue);
        if (r < 0)
                check_names_key(error, text, size);
        else if (s)
                check_same(s, line);
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

/* One that was read: all ways out and in again give the same. */
static void there_and_back(JobSpec *s) {
        _cleanup_free_ char *error = NULL;

        over_json(s, 0);
        over_json(s, SPEC_JSON_STORED);
        if (spec_validate(s, &error) < 0)
                check_names_field(error);
        else
                over_bus(s);
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
