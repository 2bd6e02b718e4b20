/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of what a job wrote. The verdict is the one that a slow finder finds that tries each line; the tails are text, and their end is
 * the end of what there is. */

#include "fuzz.h"

#include "base/strv.h"
#include "queue/json-scan.h"
#include "queue/verdict.h"

#include <json-c/json.h>

#define SLOW_MAX 4096U /* the slow finder's time grows with the square */

static bool is_space(char c) {
        return c == ' ' || (c >= '\t' && c <= '\r');
}

static unsigned depth_of(const char *s, size_t n) {
        unsigned depth = 0, deepest = 0;
        bool string = false;

        for (size_t i = 0; i < n; i++)
                if (string && s[i] == '\\')
                        i++;
                else if (s[i] == '"')
                        string = !string;
                else if (!string && (s[i] == '{' || s[i] == '['))
                        deepest = MAX(deepest, ++depth);
                else if (!string && (s[i] == '}' || s[i] == ']'))
                        depth--;
        return deepest;
}

static bool slow_find(const char *data, size_t n, bool line_start, size_t *ret_at, size_t *ret_size) {
        while (n > 0 && is_space(data[n - 1]))
                n--;
        for (size_t i = 0; i < n; i++)
                if (data[i] == '{' && (i == 0 ? line_start : data[i - 1] == '\n') && json_is_valid(data + i, n - i) &&
                    depth_of(data + i, n - i) <= JSON_SCAN_DEPTH_MAX) {
                        *ret_at = i;
                        *ret_size = n - i;
                        return true;
                }
        return false;
}

/* As json-c reads it. It ends a name at a NUL. */
static void check_success(const char *text, size_t size, int success) {
        struct json_tokener *t = json_tokener_new_ex(JSON_SCAN_DEPTH_MAX + 1);
        struct json_object *o = json_tokener_parse_ex(t, text, (int) size), *v;
        int is = -1;

        check(o);
        if (json_object_object_get_ex(o, "success", &v) && json_object_is_type(v, json_type_boolean))
                is = json_object_get_boolean(v);
        if (!memmem(text, size, "\\u0000", 6))
                check(success == is);
        json_object_put(o);
        json_tokener_free(t);
}

static void find(const char *data, size_t n, bool line_start) {
        size_t at = 0, size = 0;
        Verdict v;

        if (!verdict_find(data, n, line_start, &v)) {
                check(n > SLOW_MAX || !slow_find(data, n, line_start, &at, &size));
                return;
        }
        check(v.size >= 2 && v.at + v.size <= n && v.success >= -1 && v.success <= 1);
        check(json_is_valid(data + v.at, v.size) && depth_of(data + v.at, v.size) <= JSON_SCAN_DEPTH_MAX);
        check_success(data + v.at, v.size, v.success);
        if (n <= SLOW_MAX)
                check(slow_find(data, n, line_start, &at, &size) && v.at == at && v.size == size);
}

static void tail(const char *data, size_t n, size_t max) {
        _cleanup_free_ char *text = verdict_tail(data, n, max);
        size_t l;

        check(text && utf8_is_valid(text, strlen(text)));
        l = strlen(text);
        check(l <= 3 * MIN(n, max));
        if (!utf8_is_valid(data, n) || memchr(data, 0, n))
                return;
        check(l <= n && memcmp(data + n - l, text, l) == 0);
        check(l + 3 >= MIN(n, max));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const size_t tails[] = { 0, 1, 2, 3, 4, 7, 16, 100, SIZE_MAX };
        _cleanup_free_ char *copy = memcpy(malloc(size ?: 1), data, size); /* without a NUL */

        find(copy, size, true);
        find(copy, size, false);
        FOREACH_ELEMENT(max, tails)
                tail(copy, size, *max);
        return 0;
}
