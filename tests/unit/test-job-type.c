/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From a type and a request to a job: what wins, what is refused, and which rules the job keeps. */

#include "base/strv.h"
#include "queue/job-type.h"
#include "queue/spec-change.h"
#include "queue/type-rules.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t bit(const char *field) {
        return spec_field_bit(spec_field_find(field));
}

static JobType *type_new(void) {
        JobType *t = job_type_new("t");

        assert_non_null(t);
        t->command = strv_split("/bin/echo a", " ");
        return t;
}

static void add_property(JobType *t, const char *assignment) {
        assert_int_equal(unit_property_parse_assignment(assignment, true, UNIT_PROPERTY_SERVICE, &t->service, NULL), 0);
        assert_int_equal(strv_extend(&t->properties, assignment), 0);
}

static void test_what_wins(void **state) {
        _cleanup_(job_type_freep) JobType *t = type_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();

        t->version = strdup("1");
        t->defaults->priority = 7;
        t->defaults->slots = 3;
        t->defaults->environment = strv_split("A=1 B=1", " ");
        t->fields = bit("priority") | bit("slots") | bit("environment");
        s->argv = strv_split("b c", " ");
        s->environment = strv_split("B=2", " ");
        /* The priority is given, though it is the default one. */
        assert_int_equal(job_type_apply(t, s, bit("argv") | bit("priority") | bit("environment"), false, NULL), 0);
        assert_int_equal(s->priority, 0);
        assert_int_equal(s->slots, 3);
        assert_string_equal(s->type_version, "1");
        assert_true(strv_equal(s->argv, (char *[]) { (char *) "/bin/echo", (char *) "a", (char *) "b", (char *) "c", NULL }));
        assert_true(strv_equal(s->environment, (char *[]) { (char *) "A=1", (char *) "B=2", NULL }));
        assert_int_equal(strv_length(s->type_rules), 0);
}

static void test_accept(void **state) {
        _cleanup_(job_type_freep) JobType *t = type_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *text = NULL, *error = NULL;

        assert_int_equal(job_type_check(t, NULL), 0);
        add_property(t, "MemoryMax=1G");
        assert_false(job_type_is_privileged(t));
        add_property(t, "User=daemon");
        assert_true(job_type_is_privileged(t));
        assert_int_equal(job_type_check(t, &error), -EINVAL);
        assert_non_null(strstr(error, "AllowUsers="));
        assert_int_equal(strv_extend(&t->allow_users, "alice"), 0);
        assert_int_equal(job_type_check(t, NULL), 0);

        assert_int_equal(job_type_apply(t, s, bit("cwd"), false, &text), -EPERM);
        assert_non_null(strstr(text, "'cwd': of jobs of type 't' callers give only: type, payload, tags, request_id"));
        assert_int_equal(job_type_apply(t, s, bit("tags"), true, NULL), -EPERM); /* another queue */
        assert_int_equal(strv_extend(&t->accept, "queue"), 0);
        assert_int_equal(job_type_apply(t, s, bit("tags") | bit("type"), true, NULL), 0);
        assert_true(type_rules_accept(s->type_rules, "queue") && type_rules_accept(s->type_rules, "payload"));
        assert_false(type_rules_accept(s->type_rules, "cwd"));
        assert_true(type_rules_accept(NULL, "cwd"));
}

static uint64_t memory_of(const PropertyBase *b) {
        return unit_property_list_find(b->service, "MemoryMax")->u64;
}

static void test_properties(void **state) {
        char *rules[] = { (char *) "Service.MemoryMax=1G", (char *) "Override=Nice", NULL };
        char *overridable[] = { (char *) "MemoryMax", (char *) "CPUQuota", NULL };
        _cleanup_(unit_property_list_done) UnitPropertyList queue = {};
        _cleanup_(property_base_done) PropertyBase with = {}, without = {};

        assert_int_equal(unit_property_parse_assignment("MemoryMax=4G", true, UNIT_PROPERTY_SERVICE, &queue, NULL), 0);
        assert_int_equal(property_base_init(&without, NULL, &queue, overridable, NULL), 0);
        assert_true(without.service == &queue && without.overridable == overridable);
        assert_int_equal(property_base_init(&with, rules, &queue, overridable, NULL), 0);
        assert_int_equal(memory_of(&with), UINT64_C(1) << 30);
        /* What the type sets the queue does not open. */
        assert_true(strv_equal((char **) with.overridable, (char *[]) { (char *) "CPUQuota", (char *) "Nice", NULL }));
}

static int payload(const char *text, char **ret_error) {
        char *rules[] = { (char *) "PayloadRequired=text:string", (char *) "PayloadOptional=n:integer", NULL };
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        size_t size = strlen(text);
        uint8_t *data = malloc(MAX(size, (size_t) 1)); /* no zero at the end */

        assert_non_null(data);
        memcpy(data, text, size);
        assert_int_equal(spec_set_bytes(s, spec_field_find("payload"), data, size, NULL), 0);
        return type_rules_check_payload(rules, s, ret_error);
}

static void test_payload(void **state) {
        static const struct {
                const char *text, *error;
        } bad[] = {
                { "{}", "'text' is missing" },         { "{\"text\": 1}", "'text' must be a string" },
                { "[\"text\"]", "not a JSON object" }, { "{\"text\": \"\", \"n\": 1e3}", "'n' must be an integer" },
                { "", "not a JSON object" },           { "{\"text\": \"\"}}", "not a JSON object" },
                { "{\"n\":12", "not a JSON object" },
        };

        assert_int_equal(payload(" {\"text\": \"\", \"n\": -1} ", NULL), 0);
        assert_int_equal(payload("{\"text\": 1, \"\\u0074ext\": \"the last one counts\"}", NULL), 0);
        FOREACH_ELEMENT(b, bad) {
                _cleanup_free_ char *error = NULL;

                assert_int_equal(payload(b->text, &error), -EINVAL);
                assert_non_null(strstr(error, b->error));
        }
        assert_true(payload_key_is_valid("a") && payload_key_is_valid("a-b.c:boolean"));
        assert_false(payload_key_is_valid("") || payload_key_is_valid(":string") || payload_key_is_valid("a:text") || payload_key_is_valid("a b"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_wins),
                cmocka_unit_test(test_accept),
                cmocka_unit_test(test_properties),
                cmocka_unit_test(test_payload),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
