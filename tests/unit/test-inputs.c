/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/inputs.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONE .exit_status = -1, .success = -1

static void add(InputsWriter *w, Input in) {
        assert_int_equal(inputs_add(w, &in), 0);
}

static void test_json(void **state) {
        _cleanup_(inputs_freep) InputsWriter *w = inputs_new();
        _cleanup_free_ char *text = NULL;

        add(w, (Input) { .id = 7, .name = "ü \"x\"/y", .result = JOB_EXIT_CODE, .exit_status = 3, .success = 0,
                         .verdict = "{\"success\": false,\n \"list\": [1, {\"a\": 12345678901234567890123}], \"url\": \"a/b\"}" });
        add(w, (Input) { .id = UINT64_C(1) << 53, .result = JOB_SIGNAL, .exit_signal = 9, NONE });
        add(w, (Input) { .id = 9, NONE }); /* purged */
        text = inputs_to_json(w);
        assert_string_equal(text, "[{\"id\":7,\"name\":\"ü \\\"x\\\"/y\",\"result\":\"exit-code\",\"exit_status\":3,\"exit_signal\":null,\"success\":false,"
                                  "\"verdict\":{\"success\": false,\n \"list\": [1, {\"a\": 12345678901234567890123}], \"url\": \"a/b\"}},"
                                  "{\"id\":9007199254740992,\"name\":null,\"result\":\"signal\",\"exit_status\":null,\"exit_signal\":9,\"success\":null,"
                                  "\"verdict\":null},"
                                  "{\"id\":9,\"name\":null,\"result\":null,\"exit_status\":null,\"exit_signal\":null,\"success\":null,\"verdict\":null}]");
}

/* As many small values as go into a verdict, each of which would be an object of its own. */
static void test_costs_its_text(void **state) {
        _cleanup_(inputs_freep) InputsWriter *w = inputs_new();
        _cleanup_free_ char *small = NULL, *text = NULL;
        size_t n = 63 * 1024, before;

        small = malloc(n + 1);
        memset(small, 0, n + 1);
        memcpy(small, "{\"l\":[{}", 8);
        for (size_t i = 8; i + 5 <= n; i += 3)
                memcpy(small + i, ",{}", 3);
        strcat(small, "]}");
        before = mallinfo2().uordblks + mallinfo2().hblkhd;
        for (uint64_t id = 1; id <= 60; id++)
                add(w, (Input) { .id = id, .result = JOB_SUCCESS, .verdict = small, NONE });
        text = inputs_to_json(w);
        assert_non_null(strstr(text, small));
        assert_non_null(strstr(text, "\"id\":60,\"name\":null,\"result\":\"success\",\"exit_status\":null,\"exit_signal\":null,"
                                     "\"success\":null,\"verdict_omitted\":true}]"));
        assert_true(strlen(text) < INPUTS_VERDICTS_MAX + 60 * 200);
        assert_true(mallinfo2().uordblks + mallinfo2().hblkhd - before < 8 * INPUTS_VERDICTS_MAX);
}

static void test_no_more_than_that(void **state) {
        _cleanup_(inputs_freep) InputsWriter *w = inputs_new();
        _cleanup_free_ char *large = malloc(INPUTS_VERDICTS_MAX), *text = NULL;

        memset(large, ' ', INPUTS_VERDICTS_MAX);
        memcpy(large, "{}", 2);
        large[INPUTS_VERDICTS_MAX - 1] = 0;
        add(w, (Input) { .id = 1, .result = JOB_SUCCESS, .verdict = large, NONE });
        add(w, (Input) { .id = 2, .result = JOB_SUCCESS, .verdict = "{}", .success = 1, .exit_status = 0 });
        add(w, (Input) { .id = 3, .result = JOB_SUCCESS, NONE });
        text = inputs_to_json(w);
        assert_non_null(strstr(text, "\"id\":1,\"name\":null,\"result\":\"success\",\"exit_status\":null,\"exit_signal\":null,\"success\":null,\"verdict\":{} "));
        assert_non_null(strstr(text, "\"id\":2,\"name\":null,\"result\":\"success\",\"exit_status\":0,\"exit_signal\":null,\"success\":true,"
                                     "\"verdict_omitted\":true}"));
        assert_non_null(strstr(text, "\"id\":3,\"name\":null,\"result\":\"success\",\"exit_status\":null,\"exit_signal\":null,\"success\":null,"
                                     "\"verdict\":null}"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_costs_its_text),
                cmocka_unit_test(test_no_more_than_that),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
