/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A spec that was taken, whoever read it: on all ways out and in again it stays the same. */

#include "fuzz.h"

#include "api/spec-bus.h"
#include "ctl/submit.h"
#include "queue/spec-credential.h"
#include "queue/spec-json.h"

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

void check_same_spec(const JobSpec *a, const JobSpec *b) {
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
                check_same_spec(s, again);
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
        check_same_spec(s, again);
        for (size_t i = 0; s->secrets && s->credentials[i]; i++)
                check(s->secrets[i]->size == again->secrets[i]->size && memcmp(s->secrets[i]->data, again->secrets[i]->data, s->secrets[i]->size) == 0);
}

void there_and_back(JobSpec *s) {
        _cleanup_free_ char *error = NULL;

        over_json(s, 0);
        over_json(s, SPEC_JSON_STORED);
        if (spec_validate(s, &error) < 0)
                check_names_field(error);
        else
                over_bus(s);
}
