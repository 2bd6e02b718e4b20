/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "base/strv.h"
#include "queue/flow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define JOBS_MAX 10000U

static Flow *from_json(const char *text) {
        _cleanup_free_ char *error = NULL;
        Flow *f = NULL;
        int r;

        r = flow_from_json(text, strlen(text), JOBS_MAX, &f, &error);
        if (r < 0)
                fail_msg("%s: %s (%d)", text, error ?: "", r);
        return f;
}

static void refused(const char *text, int r, const char *said) {
        _cleanup_free_ char *error = NULL;
        Flow *f = NULL;
        int k;

        k = flow_from_json(text, strlen(text), 4, &f, &error);
        if (k != r || f || !error || !streq(error, said))
                fail_msg("%s: %d, %s", text, k, error ?: "no message");
}

/* "b<a" b waits for a. Jobs in the order of their words. */
static char *document(const char *words) {
        _cleanup_strv_free_ char **l = strv_split(words, " ");
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        fputs("{\"jobs\":[", f);
        STRV_FOREACH(w, l) {
                _cleanup_strv_free_ char **names = strv_split(*w, "<");

                fprintf(f, "%s{\"name\":\"%s\",\"argv\":[\"true\"],\"after\":[", w == l ? "" : ",", names[0]);
                STRV_FOREACH(n, names + 1)
                        fprintf(f, "%s\"%s\"", n == names + 1 ? "" : ",", *n);
                fputs("]}", f);
        }
        fputs("]}", f);
        fclose(f);
        return text;
}

static void order(const char *words, const char *wanted) {
        _cleanup_free_ char *text = document(words), *got = NULL;
        _cleanup_(flow_freep) Flow *f = from_json(text);
        _cleanup_strv_free_ char **l = NULL;

        for (size_t i = 0; i < f->n; i++) {
                assert_int_equal(strv_extend(&l, f->jobs[i].spec->name), 0);
                for (size_t k = 0; k < f->jobs[i].n_edges; k++) {
                        assert_in_range(f->jobs[i].edges[k].before, 0, i - 1);
                        assert_string_equal(f->jobs[i].edges[k].name, f->jobs[f->jobs[i].edges[k].before].spec->name);
                }
        }
        got = strv_join(l, " ");
        assert_string_equal(got, wanted);
}

static void wrong(const char *words, int r, const char *said) {
        _cleanup_free_ char *text = document(words);

        refused(text, r, said);
}

static void test_order(void **state) {
        order("a", "a");
        order("a b<a c<b", "a b c");
        order("c<b b<a a", "a b c");
        /* What is in order stays as it is written. */
        order("b a<b x c<a<b y", "b a x c y");
        order("d<b<c b<a c<a a", "a b c d");
        order("z<y y x<z w", "y w z x");
}

static void test_wrong_names(void **state) {
        wrong("a b<x", -EINVAL, "job 'b': 'after': there is no job 'x' in this flow");
        wrong("a b a", -EINVAL, "jobs 1 and 3 have the same name 'a'");
        wrong("a b<a<a", -EINVAL, "job 'b': 'after': 'a' stands there twice");
}

static void test_cycles(void **state) {
        wrong("a<a", -ELOOP, "jobs wait for themselves: a → a");
        wrong("a<b b<a", -ELOOP, "jobs wait for themselves: a → b → a");
        wrong("a<c b<a c<b", -ELOOP, "jobs wait for themselves: a → b → c → a");
        /* What only hangs on it, before or behind, is not in the path. */
        wrong("x d<b<x b<c c<b", -ELOOP, "jobs wait for themselves: b → c → b");
}

static void test_long_cycle(void **state) {
        _cleanup_free_ char *text = NULL, *error = NULL;
        Flow *f = NULL;
        size_t size;
        FILE *s = open_memstream(&text, &size);

        fputs("{\"jobs\":[", s);
        for (unsigned i = 0; i < JOBS_MAX; i++)
                fprintf(s, "%s{\"name\":\"j%u\",\"argv\":[\"true\"],\"after\":[\"j%u\"]}", i ? "," : "", i, (i + JOBS_MAX - 1) % JOBS_MAX);
        fputs("]}", s);
        fclose(s);
        assert_int_equal(flow_from_json(text, size, JOBS_MAX, &f, &error), -ELOOP);
        assert_string_equal(error, "jobs wait for themselves: j0 → j1 → j2 → j3 → j4 → j5 → j6 → j7 → j8 → j9 → … (9990 more) → j0");
}

/* A chain written backwards, and all of it before the last one: what would be quadratic, or recurse, is seen by its time. */
static double build(unsigned n) {
        _cleanup_(flow_freep) Flow *f = NULL;
        _cleanup_free_ char *text = NULL, *error = NULL;
        struct timespec a, b;
        size_t size;
        FILE *s = open_memstream(&text, &size);

        fputs("{\"jobs\":[{\"name\":\"end\",\"argv\":[\"true\"],\"after\":[", s);
        for (unsigned i = 1; i < n; i++)
                fprintf(s, "%s\"j%u\"", i > 1 ? "," : "", i);
        fputs("]}", s);
        for (unsigned i = n - 1; i > 0; i--)
                fprintf(s, i > 1 ? ",{\"name\":\"j%u\",\"argv\":[\"true\"],\"after\":[\"j%u\"]}" : ",{\"name\":\"j%u\",\"argv\":[\"true\"]}", i, i - 1);
        fputs("]}", s);
        fclose(s);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        assert_int_equal(flow_from_json(text, size, n, &f, &error), 0);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
        assert_int_equal(f->n, n);
        for (unsigned i = 0; i < n - 1; i++)
                assert_int_equal(atoi(f->jobs[i].spec->name + 1), i + 1);
        assert_string_equal(f->jobs[n - 1].spec->name, "end");
        return (double) (b.tv_sec - a.tv_sec) + (double) (b.tv_nsec - a.tv_nsec) / 1e9;
}

static void test_ten_thousand(void **state) {
        printf("1,000 jobs: %.1f ms, 10,000: %.1f ms\n", build(1000) * 1e3, build(10000) * 1e3);
}

static void test_edges(void **state) {
        _cleanup_(flow_freep) Flow *f = from_json(
                        "{\"request_id\":\"r\",\"jobs\":[{\"name\":\"a\",\"queue\":\"gpu\",\"argv\":[\"x\"]},"
                        "{\"name\":\"b\",\"argv\":[\"x\"],\"after\":[17,{\"job\":\"a\",\"on\":\"end\",\"otherwise\":\"continue\"},"
                        "{\"job\":12,\"on\":\"failure\",\"otherwise\":\"ignore\"}]}]}");
        const FlowJob *b = f->jobs + 1;

        assert_string_equal(f->request_id, "r");
        assert_string_equal(f->jobs[0].queue, "gpu");
        assert_null(b->queue);
        assert_int_equal(b->n_edges, 1);
        assert_int_equal(b->edges[0].condition, AFTER_END);
        assert_int_equal(b->edges[0].otherwise, OTHERWISE_CONTINUE);
        assert_int_equal(b->spec->n_after, 2);
        assert_int_equal(b->spec->after[0].id, 12);
        assert_int_equal(b->spec->after[0].condition, AFTER_FAILURE);
        assert_int_equal(b->spec->after[0].otherwise, OTHERWISE_IGNORE);
        assert_int_equal(b->spec->after[1].id, 17);
        assert_int_equal(b->spec->after[1].condition, AFTER_SUCCESS);
        assert_int_equal(b->spec->after[1].otherwise, OTHERWISE_FAIL);
}

/* An edge to an array is one to each of its jobs. */
static void test_places(void **state) {
        static const char text[] = "{\"jobs\":[{\"name\":\"b\",\"argv\":[\"x\"],\"after\":[\"a\",17,\"c\"],\"array\":2},"
                                   "{\"name\":\"a\",\"argv\":[\"x\"],\"array\":3},{\"name\":\"c\",\"argv\":[\"x\"]}]}";
        const uint64_t ids[] = { 100, 40, 103 }, wanted[] = { 17, 100, 101, 102, 40 };
        _cleanup_(flow_freep) Flow *f = from_json(text), *more = from_json(text), *wide = from_json(text);
        _cleanup_free_ char *error = NULL;
        JobSpec *b = f->jobs[2].spec;

        assert_int_equal(flow_fill_specs(f, 10, &error), 0);
        assert_int_equal(b->n_after, ELEMENTSOF(wanted));
        assert_false(b->after[0].place);
        for (size_t i = 1; i < b->n_after; i++) {
                assert_true(b->after[i].place);
                assert_int_equal(flow_place_job(b->after[i].id), i < 4 ? 0 : 1);
        }
        flow_resolve_ids(b, ids);
        for (size_t i = 0; i < b->n_after; i++)
                assert_int_equal(b->after[i].id, wanted[i]);

        assert_int_equal(flow_fill_specs(more, 9, &error), -E2BIG);
        assert_string_equal(error, "after: the jobs of this flow come after others 10 times, at most 9 may be (EdgesMax=)");
        error = mfree(error);
        wide->jobs[0].spec->array = SPEC_AFTER_MAX - 1;
        assert_int_equal(flow_fill_specs(wide, UINT64_MAX, &error), -EINVAL);
        assert_string_equal(error, "job 'b': 'after': more than 10000 jobs");
}

static void test_defaults(void **state) {
        _cleanup_(flow_freep) Flow *f = from_json(
                        "{\"defaults\":{\"queue\":\"q\",\"argv\":[\"d\"],\"environment\":[\"A=1\",\"B=1\"],\"tags\":{\"k\":\"1\",\"l\":\"1\"},"
                        "\"payload\":\"p\",\"priority\":3,\"delay_usec\":5},\"jobs\":[{\"name\":\"a\"},"
                        "{\"name\":\"b\",\"queue\":\"r\",\"argv\":[\"e\"],\"environment\":[\"B=2\"],\"tags\":{\"k\":\"2\"},"
                        "\"payload_base64\":\"cQ==\",\"priority\":0,\"not_before_usec\":7}]}");
        const FlowJob *a = f->jobs, *b = f->jobs + 1;

        assert_string_equal(a->queue, "q");
        assert_string_equal(a->spec->argv[0], "d");
        assert_int_equal(a->spec->priority, 3);
        assert_int_equal(a->spec->delay_usec, 5);
        assert_memory_equal(a->spec->payload, "p", 1);
        assert_string_equal(b->queue, "r");
        assert_string_equal(b->spec->argv[0], "e");
        assert_int_equal(strv_length(b->spec->environment), 3);
        assert_string_equal(b->spec->environment[2], "B=2");
        assert_string_equal(strv_env_get(b->spec->tags, "k") ?: b->spec->tags[1], "2");
        assert_int_equal(strv_length(b->spec->tags), 4);
        assert_memory_equal(b->spec->payload, "q", 1);
        assert_int_equal(b->spec->priority, 0);
        assert_int_equal(b->spec->not_before_usec, 7);
        assert_int_equal(b->spec->delay_usec, USEC_INFINITY);
}

static void test_wrong_documents(void **state) {
        refused("{}", -EINVAL, "'jobs' is missing");
        refused("{\"jobs\":[]}", -EINVAL, "'jobs' is empty");
        refused("{\"jobs\":{}}", -EINVAL, "'jobs' must be a list of objects");
        refused("{\"jobs\":[7]}", -EINVAL, "job 1: not an object");
        refused("{\"jobs\":[{}],\"job\":1}", -EINVAL, "unknown key 'job'");
        refused("{\"jobs\":[{\"argv\":[\"x\"]}]}", -EINVAL, "job 1: 'name' is missing, by which it is known in the flow");
        refused("{\"jobs\":[{\"name\":\"a\"},{\"name\":\"b\",\"slot\":1}]}", -EINVAL, "job 'b': unknown key 'slot'");
        refused("{\"jobs\":[{\"name\":\"a\",\"request_id\":\"x\"}]}", -EINVAL, "job 'a': 'request_id' is the flow's, not a job's");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":\"b\"}]}", -EINVAL, "job 'a': 'after' must be a list");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":[0]}]}", -EINVAL,
                "job 'a': 'after' must be a list of names, ids, or objects with 'job', 'on', 'otherwise'");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":[{\"on\":\"end\"}]}]}", -EINVAL, "job 'a': 'after': 'job' is missing");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":[{\"job\":\"b\",\"on\":\"win\"}]}]}", -EINVAL,
                "job 'a': 'after': 'on' must be success, failure or end");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":[{\"job\":\"b\",\"otherwise\":3}]}]}", -EINVAL,
                "job 'a': 'after': 'otherwise' must be fail, ignore or continue");
        refused("{\"jobs\":[{\"name\":\"a\",\"after\":[{\"job\":\"b\",\"if\":3}]}]}", -EINVAL, "job 'a': unknown key 'if'");
        refused("{\"jobs\":[{\"name\":\"a\"}],\"defaults\":[]}", -EINVAL, "'defaults' must be an object");
        refused("{\"jobs\":[{\"name\":\"a\"}],\"defaults\":{\"name\":\"x\"}}", -EINVAL,
                "'defaults' can have neither 'name' nor 'after'");
        refused("{\"jobs\":[{\"name\":\"a\"}],\"request_id\":3}", -EINVAL, "'request_id' must be text");
        refused("{\"jobs\":[{\"name\":\"a\"}],\"request_id\":\"r\\u0000\"}", -EINVAL, "'request_id' must be text");
        refused("{\"jobs\":[{\"name\":\"a\"},{\"name\":\"b\",\"after\":[\"a\\u0000\"]}]}", -EINVAL,
                "job 'b': 'after' must be a list of names, ids, or objects with 'job', 'on', 'otherwise'");
        refused("{\"jobs\":[{\"name\":\"a\"},{\"name\":\"b\",\"after\":[{\"job\":\"a\",\"on\":\"end\\u0000\"}]}]}", -EINVAL,
                "job 'b': 'after': 'on' must be success, failure or end");
        refused("{\"jobs\":[{},{},{},{},{}]}", -E2BIG, "more than 4 jobs in one flow (SubmitManyMax=)");
        refused("{\"jobs\":[", -EINVAL, "JSON ends too early");
}

/* As the tool adds what its options say. */
/* TEXT, but %s is so many times piece. */
static char *repeated(const char *text, const char *piece, size_t times) {
        const char *at = strstr(text, "%s");
        char *t = malloc(strlen(text) + times * strlen(piece)), *p = mempcpy(t, text, at - text);

        for (size_t i = 0; i < times; i++)
                p = stpcpy(p, piece);
        (void) strcpy(p, at + 2);
        return t;
}

static void test_bombs(void **state) {
        static const char *const bombs[][2] = {
                { "{\"jobs\":[%s{}]}", "{}," },
                { "{\"jobs\":[%s[]]}", "[]," },
                { "{\"jobs\":[%s0]}", "0," },
                { "{\"jobs\":[%s\"\"]}", "\"\\\"\"," },
                { "{\"x\":{%s\"z\":0}}", "\"a\":{}," },
        };

        FOREACH_ELEMENT(b, bombs) {
                _cleanup_free_ char *text = repeated((*b)[0], (*b)[1], 400000);

                refused(text, -E2BIG, "more JSON values than 4 jobs need (SubmitManyMax=)");
        }
}

/* What is in a string is no value. */
static void test_long_strings(void **state) {
        _cleanup_free_ char *text = repeated("{\"jobs\":[{\"name\":\"a\",\"argv\":[\"x\"],\"payload\":\"%s\"}]}", "\\\"{[,:", 400000);
        _cleanup_(flow_freep) Flow *f = from_json(text);

        assert_int_equal(f->jobs[0].spec->payload_size, 5 * 400000);
}

static void test_copies_of_defaults(void **state) {
        _cleanup_free_ char *jobs = repeated("{\"jobs\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}],\"defaults\":{\"payload\":\"%s\"}}",
                                             "0123456789abcdef", 512 * 1024);

        refused(jobs, -E2BIG, "'defaults' are too large for 3 jobs, each of which has a copy");
}

static void test_with_defaults(void **state) {
        static const char text[] = "{\"defaults\":{\"priority\":1,\"environment\":[\"A=2\"]},\"jobs\":[{\"name\":\"a\",\"argv\":[\"x/y\"]}]}";
        _cleanup_free_ char *whole = NULL, *bare = NULL, *error = NULL;

        assert_int_equal(flow_json_complete(text, strlen(text), "{\"priority\":2,\"cwd\":\"/\",\"environment\":[\"A=1\"]}", "q", "r", &whole,
                                            &error), 0);
        assert_string_equal(whole, "{\"defaults\":{\"priority\":1,\"environment\":[\"A=1\",\"A=2\"],\"cwd\":\"/\",\"queue\":\"q\"},"
                                   "\"jobs\":[{\"name\":\"a\",\"argv\":[\"x/y\"]}],\"request_id\":\"r\"}");
        assert_int_equal(flow_json_complete("{\"jobs\":[],\"request_id\":\"s\"}", 28, "{\"cwd\":\"/\"}", NULL, "r", &bare, &error), 0);
        assert_string_equal(bare, "{\"jobs\":[],\"request_id\":\"s\",\"defaults\":{\"cwd\":\"/\"}}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_wrong_names),
                cmocka_unit_test(test_cycles),
                cmocka_unit_test(test_long_cycle),
                cmocka_unit_test(test_ten_thousand),
                cmocka_unit_test(test_edges),
                cmocka_unit_test(test_places),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_wrong_documents),
                cmocka_unit_test(test_bombs),
                cmocka_unit_test(test_long_strings),
                cmocka_unit_test(test_copies_of_defaults),
                cmocka_unit_test(test_with_defaults),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
