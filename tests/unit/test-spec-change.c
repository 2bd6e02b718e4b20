/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changes of specs: copies are whole, what is not named stays, and each kind of field is changed in its way. */

#include "base/strv.h"
#include "queue/spec-change.h"
#include "queue/spec-json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define _cleanup_spec_ _cleanup_(spec_freep)

static JobSpec *from_json(const char *text) {
        JobSpec *s = NULL;
        char *error = NULL;

        if (spec_from_json(text, strlen(text), &s, &error) < 0)
                fail_msg("%s", error);
        return s;
}

static void assert_spec(const JobSpec *s, const char *expect) {
        _cleanup_spec_ JobSpec *e = from_json(expect);
        _cleanup_free_ char *a = NULL, *b = NULL;

        assert_int_equal(spec_to_json(s, 0, &a), 0);
        assert_int_equal(spec_to_json(e, 0, &b), 0);
        assert_string_equal(a, b);
}

static uint64_t bits(const char *names) {
        _cleanup_strv_free_ char **l = strv_split(names, " ");
        uint64_t set = 0;

        STRV_FOREACH(i, l)
                set |= spec_field_bit(spec_field_find(*i));
        return set;
}

static const char full[] = "{\"name\":\"n\",\"argv\":[\"a\",\"b\"],\"cwd\":\"/\",\"umask\":18,\"environment\":[\"A=1\"],"
                           "\"payload\":\"p\",\"tags\":{\"a\":\"1\",\"b\":\"\",\"c\":\"3\"},\"priority\":-3,\"slots\":4,\"hold\":true,"
                           "\"not_before_usec\":5,\"timeout_usec\":6000,\"stop_timeout_usec\":7000,\"uid\":8,"
                           "\"properties\":[\"MemoryMax=1G\",\"ReadOnlyPaths=/a\",\"ReadOnlyPaths=/b\",\"Nice=3\"]}";

static void test_copy(void **state) {
        _cleanup_spec_ JobSpec *s = from_json(full), *copy = NULL, *some = NULL, *none = NULL;

        assert_int_equal(spec_copy(s, UINT64_MAX, &copy), 0);
        assert_spec(copy, full);
        assert_int_equal(spec_copy(s, bits("argv priority payload"), &some), 0);
        assert_spec(some, "{\"argv\":[\"a\",\"b\"],\"priority\":-3,\"payload\":\"p\"}");
        assert_int_equal(spec_copy(some, bits("environment tags cwd"), &none), 0);
        assert_spec(none, "{}");
}

static void changed(const char *changes, const char *fields, const char *expect) {
        _cleanup_spec_ JobSpec *s = from_json("{\"argv\":[\"a\"],\"name\":\"n\",\"priority\":3,\"payload\":\"p\",\"timeout_usec\":5000,"
                                              "\"tags\":{\"a\":\"1\",\"b\":\"\"},\"properties\":[\"Nice=1\",\"PathX=/a\",\"PathX=/b\"]}"),
                               *c = from_json(changes);
        _cleanup_free_ char *text = NULL, *error = NULL;

        assert_int_equal(spec_change(s, c, bits(fields), &error), 0);
        assert_int_equal(spec_to_json(s, 0, &text), 0);
        if (!strstr(text, expect))
                fail_msg("%s is not in %s", expect, text);
}

static void test_change(void **state) {
        changed("{\"priority\":9}", "", "\"priority\":3");
        changed("{\"priority\":9}", "priority", "\"priority\":9");
        changed("{\"name\":\"m\"}", "name", "\"name\":\"m\"");
        changed("{\"argv\":[\"x\",\"y\"]}", "argv", "\"argv\":[\"x\",\"y\"]");
        changed("{\"payload\":\"\"}", "payload", "\"payload\":\"\"");
        changed("{\"tags\":{\"b\":\"2\",\"c\":\"3\"}}", "tags", "\"tags\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}");
        changed("{\"tags\":{\"a\":\"\"}}", "tags", "\"tags\":{\"b\":\"\"}");
        changed("{\"properties\":[\"Nice=2\"]}", "properties", "[\"PathX=/a\",\"PathX=/b\",\"Nice=2\"]");
        changed("{\"properties\":[\"PathX=/c\",\"PathX=/d\"]}", "properties", "[\"Nice=1\",\"PathX=/c\",\"PathX=/d\"]");
        changed("{\"properties\":[\"PathX=\",\"PathX=/d\"]}", "properties", "[\"Nice=1\",\"PathX=/d\"]");
        changed("{\"properties\":[\"PathX=\"]}", "properties", "[\"Nice=1\"]");
        changed("{\"properties\":[\"Path=x=\"]}", "properties", "\"Path=x=\"");
}

/* What is empty is removed. */
static void test_remove(void **state) {
        _cleanup_spec_ JobSpec *s = from_json("{\"argv\":[\"a\"],\"name\":\"n\",\"cwd\":\"/\",\"timeout_usec\":5000,\"environment\":[\"A=1\"],"
                                              "\"tags\":{\"a\":\"1\"},\"properties\":[\"Nice=1\"]}"),
                               *c = from_json("{\"name\":\"\",\"tags\":{\"a\":\"\"},\"properties\":[\"Nice=\"]}");
        char *error = NULL;

        assert_int_equal(spec_change(s, c, bits("name cwd timeout_usec environment tags properties"), &error), 0);
        assert_spec(s, "{\"argv\":[\"a\"]}");
        assert_null(s->name);
        assert_null(s->cwd);
}

static void test_too_many(void **state) {
        _cleanup_spec_ JobSpec *s = from_json("{}"), *c = from_json("{}");
        _cleanup_free_ char *error = NULL;

        for (unsigned i = 0; i < SPEC_TAGS_MAX; i++) {
                assert_int_equal(strv_extendf(&s->tags, "k%u", i), 0);
                assert_int_equal(strv_extend(&s->tags, "v"), 0);
        }
        assert_int_equal(strv_extend(&c->tags, "one-more"), 0);
        assert_int_equal(strv_extend(&c->tags, "v"), 0);
        assert_int_equal(spec_change(s, c, bits("tags"), &error), -E2BIG);
        assert_non_null(strstr(error, "'tags'"));
}

/* A time and a span: one takes the place of the other, both at once is a mistake. */
static void test_time_and_span(void **state) {
        _cleanup_spec_ JobSpec *s = from_json("{\"not_before_usec\":5}"), *span = from_json("{\"delay_usec\":7}"),
                               *both = from_json("{\"argv\":[\"a\"],\"not_before_usec\":5,\"delay_usec\":7}");
        _cleanup_free_ char *error = NULL, *again = NULL;

        assert_int_equal(spec_change(s, span, bits("delay_usec"), NULL), 0);
        assert_true(s->not_before_usec == USEC_INFINITY && s->delay_usec == 7);
        assert_int_equal(spec_change(s, both, bits("not_before_usec delay_usec"), &error), -EINVAL);
        assert_non_null(strstr(error, "exclude each other"));
        assert_int_equal(spec_validate(both, &again), -EINVAL);
        assert_non_null(strstr(again, "exclude each other"));
}

/* What a job says itself stands; what it takes from its queue goes with that. */
static void test_inherit(void **state) {
        _cleanup_spec_ JobSpec *queue = from_json("{\"backoff_base_usec\":10,\"backoff_max_usec\":20}"), *base = from_json("{\"backoff_base_usec\":30}"),
                               *max = from_json("{\"backoff_max_usec\":5}"), *none = from_json("{}");

        assert_int_equal(spec_inherit(base, queue), 0);
        assert_true(base->backoff_base_usec == 30 && base->backoff_max_usec == 30);
        assert_int_equal(spec_inherit(max, queue), 0);
        assert_true(max->backoff_base_usec == 5 && max->backoff_max_usec == 5);
        assert_int_equal(spec_inherit(none, queue), 0);
        assert_true(none->backoff_base_usec == 10 && none->backoff_max_usec == 20);
}

static void test_sets(void **state) {
        _cleanup_free_ char *text = spec_fields_to_string(bits("tags argv"));

        assert_string_equal(text, "argv, tags");
        assert_true(spec_fields_of_job() == bits("name priority slots not_before_usec delay_usec timeout_usec stop_timeout_usec stdout verify "
                                                 "max_attempts deadline_usec keep_usec unique_key unique_scope array_max_running"));
        assert_true(spec_fields_with(SPEC_EDIT_LIVE) == bits("tags timeout_usec stop_timeout_usec max_attempts backoff backoff_base_usec "
                                                             "backoff_max_usec backoff_jitter retry_on requeue_lost memory_growth "
                                                             "keep_usec"));
        assert_true(spec_fields_with(SPEC_EDIT_ALWAYS) == bits("tags"));
        /* Whatever decides what is run, or how, is of the owner. */
        assert_true((spec_fields_with(SPEC_OF_OWNER) & bits("argv cwd umask environment payload properties")) ==
                    bits("argv cwd umask environment payload properties"));
        assert_false(spec_fields_with(SPEC_EDIT_QUEUED) & bits("hold uid"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_copy),   cmocka_unit_test(test_change), cmocka_unit_test(test_remove),
                cmocka_unit_test(test_too_many), cmocka_unit_test(test_sets),
                cmocka_unit_test(test_time_and_span), cmocka_unit_test(test_inherit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
