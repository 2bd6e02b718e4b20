/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The digest of a request: another content is another digest, another order of keys is not. */

#include "base/strv.h"
#include "queue/model.h"
#include "queue/spec-json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static uint64_t digest(uint64_t before, const char *queue, const char *json) {
        _cleanup_(spec_freep) JobSpec *s = NULL;
        _cleanup_free_ char *error = NULL;

        if (spec_from_json(json, strlen(json), &s, &error) < 0)
                fail_msg("%s: %s", json, error);
        return receipt_digest(before, queue, s);
}

static void test_differs(void **state) {
        static const char *const specs[] = {
                "{}",
                "{\"argv\":[\"a\"]}",
                "{\"argv\":[\"b\"]}",
                "{\"argv\":[\"a\",\"\"]}",
                "{\"argv\":[\"a\",\"b\"]}",
                "{\"argv\":[\"ab\"]}",
                "{\"argv\":[\"b\",\"a\"]}",
                "{\"argv\":[\"12345678\"]}",
                "{\"argv\":[\"123456781\"]}",
                "{\"argv\":[\"12345678\",\"1\"]}",
                "{\"environment\":[\"a\"]}",
                "{\"cwd\":\"a\"}",
                "{\"name\":\"a\"}",
                "{\"payload\":\"a\"}",
                "{\"payload\":\"\"}",
                "{\"tags\":{\"a\":\"b\"}}",
                "{\"tags\":{\"b\":\"a\"}}",
                "{\"tags\":{\"a\":\"b\",\"c\":\"d\"}}",
                "{\"tags\":{\"a\":\"d\",\"c\":\"b\"}}",
                "{\"priority\":1}",
                "{\"priority\":-1}",
                "{\"slots\":2}",
                "{\"umask\":0}",
                "{\"hold\":true}",
                "{\"freezable\":true}",
                "{\"not_before_usec\":0}",
                "{\"timeout_usec\":2000}",
                "{\"uid\":0}",
                "{\"output_file\":\"a\"}",
                "{\"error_file\":\"a\"}",
        };
        uint64_t seen[ELEMENTSOF(specs) * 2];
        size_t n = 0;

        FOREACH_ELEMENT(s, specs) {
                seen[n++] = digest(0, "q", *s);
                seen[n++] = digest(0, "r", *s);
        }
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < i; k++)
                        assert_true(seen[i] != seen[k]);
        /* The order of jobs counts. */
        assert_true(digest(seen[0], "q", specs[1]) != digest(seen[2], "q", specs[0]));
        assert_true(digest(seen[0], "q", specs[0]) != seen[0]);
}

static void test_same(void **state) {
        assert_true(digest(7, "q", "{\"name\":\"n\",\"cwd\":\"/\",\"tags\":{\"a\":\"b\",\"c\":\"d\"}}") ==
                    digest(7, "q", "{\"tags\":{\"c\":\"d\",\"a\":\"b\"},\"cwd\":\"/\",\"name\":\"n\"}"));
        assert_true(digest(7, "q", "{\"slots\":1,\"hold\":false,\"argv\":[]}") == digest(7, "q", "{}"));
        assert_true(digest(7, "q", "{\"request_id\":\"x\"}") == digest(7, "q", "{}"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_differs),
                cmocka_unit_test(test_same),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
