/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which events make a callback, and what it is. */

#include "model-util.h"

#include "queue/spec-change.h"
#include "queue/spec-check.h"

#define FOREACH_STRING(i, ...) for (const char *const *_p = (const char *const[]) { __VA_ARGS__, NULL }, *i; (i = *_p); _p++)

static Job *told_of(Model *m, Queue *q, const char *events, uint32_t attempts) {
        JobSpec *s = make_spec(1, 0);

        s->callback_url = strdup("https://h/");
        s->callback_events = strv_split(events, " ");
        s->max_attempts = attempts;
        return submit_spec(m, q, s);
}

/* What came of what happened since the last time, by its events, which must be recorded by then. */
static void expect(Model *m, Job *about, const char *events) {
        _cleanup_strv_free_ char **made = NULL;
        _cleanup_free_ char *all = NULL, *id = NULL;

        assert_true(asprintf(&id, "%" PRIu64, about->id) > 0);
        if (job_has_callbacks(about))
                assert_int_equal(model_make_callbacks(m, about, about->spec, false, &now), 0);
        assert_false(job_has_callbacks(about));
        for (Job *j = m->jobs; j; j = j->hh.next) {
                if (j->callback_of != about->id)
                        continue;
                assert_string_equal(j->queue_name, CALLBACK_QUEUE);
                assert_true(j->owner == about->owner && streq(j->owner_name, about->owner_name) && j->is_new && j->state == JOB_READY);
                assert_true(j->callbacks == 0 && !j->spec->callback_url);
                assert_int_equal(strv_length(j->spec->argv), 4);
                assert_string_equal(j->spec->argv[1], callback_event_to_string(j->callback_event));
                assert_string_equal(j->spec->argv[2], id);
                assert_string_equal(j->spec->argv[3], about->spec->callback_url);
                assert_int_equal(strv_extend(&made, callback_event_to_string(j->callback_event)), 0);
                j->callback_of = 0;
        }
        all = strv_join(made, " ");
        assert_string_equal(strempty(all), events);
}

static void test_success(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 9);
        Job *j = told_of(m, q, "started success failure dead", 1), *k = told_of(m, q, "", 1), *l = submit(m, q, 1, 0);

        expect(m, j, "");
        run(m, j), run(m, k), run(m, l);
        expect(m, j, "started");
        expect(m, k, "");
        end(m, j->live, JOB_SUCCESS), end(m, k->live, JOB_SUCCESS), end(m, l->live, JOB_SUCCESS);
        expect(m, j, "success");
        expect(m, k, "success");
        expect(m, l, "");
        assert_int_equal(model_retry(m, k, 1, 0, &now), 0);
        run(m, k);
        end(m, k->live, JOB_EXIT_CODE);
        expect(m, k, "dead");
}

static void test_failure(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 9);
        Job *j = told_of(m, q, "failure dead", 2), *k = told_of(m, q, "success failure", 1), *l = told_of(m, q, "started", 1);

        run(m, j);
        end(m, j->live, JOB_TIMEOUT);
        expect(m, j, "failure");
        assert_int_equal(j->state, JOB_WAITING);
        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        expect(m, j, "failure dead");
        assert_int_equal(model_cancel(m, k, NULL, &now), 0); /* without an attempt */
        expect(m, k, "failure");
        start(m, l);
        end(m, l->live, JOB_EXEC); /* it never ran */
        expect(m, l, "");
}

/* What limits submissions does not limit them; of them, whatever the queue's file says, and in their queue, nothing is told. */
static void test_own_queue(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 9), *c = make_queue(m, CALLBACK_QUEUE, 1);
        Job *j = told_of(m, q, "success", 1), *inside = told_of(m, c, "started success", 1), *callback;

        c->policy.defaults = make_spec(1, 0);
        c->policy.defaults->max_attempts = 7;
        c->policy.defaults->on_failure = strv_split("again.service", " ");
        c->policy.defaults->callback_url = strdup("https://again/");
        c->policy.timeout_usec = 5 * SEC;
        c->policy.queued_max = 0;
        model_queue_drain(m, c, true);
        run(m, j), run(m, inside);
        end(m, inside->live, JOB_SUCCESS);
        expect(m, inside, "");
        end(m, j->live, JOB_SUCCESS);
        assert_int_equal(model_make_callbacks(m, j, j->spec, false, &now), 0);
        callback = model_job(m, m->next_id - 1);
        assert_true(callback->callback_of == j->id && callback->max_attempts == 7 && callback->timeout_usec == 5 * SEC);
        assert_false(callback->spec->callback_url);
        model_recorded(m);
        assert_int_equal(c->count[JOB_READY], 1);
}

/* The last so many jobs, by what they start. */
static void started(Model *m, unsigned n, const char *expected) {
        _cleanup_free_ char *all = strdup("");

        for (uint64_t id = m->next_id - n; id < m->next_id; id++) {
                _cleanup_free_ char *words = strv_join(model_job(m, id)->spec->argv, " ");
                char *more;

                assert_string_equal(model_job(m, id)->queue_name, TRIGGER_QUEUE);
                assert_true(asprintf(&more, "%s%s;", all, words) >= 0);
                free(all);
                all = more;
        }
        assert_string_equal(all, expected);
}

/* Once, when it is done, whatever it took. */
static void test_units(void **state) {
        _cleanup_model_ Model *m = make_model();
        Queue *q = make_queue(m, "q", 9);
        JobSpec *s = make_spec(1, 0);
        uint64_t before;
        Job *j;

        s->on_success = strv_split("a.service b@.service", " ");
        s->on_failure = strv_split("c@x.target", " ");
        s->max_attempts = 2;
        j = submit_spec(m, q, s);
        run(m, j);
        end(m, j->live, JOB_EXIT_CODE);
        before = m->next_id;
        assert_false(job_has_callbacks(j)); /* another attempt follows */
        assert_int_equal(model_cancel(m, j, NULL, &now), 0);
        assert_true(job_has_callbacks(j));
        assert_int_equal(model_make_callbacks(m, j, j->spec, false, &now), 0);
        assert_int_equal(m->next_id, before + 1);
        started(m, 1, "systemctl --no-block start c@x.target;");
        assert_true(model_job(m, before)->owner == 0 && model_job(m, before)->callbacks == 0 && model_job(m, before)->callback_of == 0);
        assert_int_equal(model_retry(m, j, 1, 0, &now), 0);
        run(m, j);
        end(m, j->live, JOB_SUCCESS);
        assert_int_equal(model_make_callbacks(m, j, j->spec, true, &now), 0);
        assert_int_equal(m->next_id, before + 3);
        started(m, 2, "systemctl --user --no-block start a.service;systemctl --user --no-block start b@1.service;");
        assert_int_equal(model_job(m, before + 1)->owner, j->owner);
}

static void units(const char *text, int expected) {
        const SpecField *f = spec_field_find("on_failure");
        _cleanup_(spec_freep) JobSpec *s = make_spec(1, 0);

        s->on_failure = strv_split(text, " ");
        assert_int_equal(spec_check_units(f, s, NULL), expected);
}

static void test_unit_names(void **state) {
        char longest[SPEC_UNIT_MAX + 2];

        FOREACH_STRING(i, "a.service", "a@.service", "a@b.target", "a-b\\x2d.c:_.timer")
                units(i, 0);
        FOREACH_STRING(i, "a", ".service", "a.exe", "@.service", "@a.service", "-M.service", "a/b.service", "a;b.service", "a%i.service", "a@.b@.service")
                units(i, -EINVAL);
        memset(longest, 'a', sizeof(longest));
        (void) strcpy(longest + SPEC_UNIT_MAX - 8, ".service");
        units(longest, 0);
        (void) strcpy(longest + SPEC_UNIT_MAX - 7, ".service");
        units(longest, -EINVAL);
        (void) strcpy(longest + SPEC_UNIT_MAX - 20 - 9, "@.service"); /* the id has room */
        units(longest, 0);
        (void) strcpy(longest + SPEC_UNIT_MAX - 20 - 8, "@.service");
        units(longest, -EINVAL);
}

static void url(const char *text, int expected) {
        const SpecField *f = spec_field_find("callback_url");
        _cleanup_(spec_freep) JobSpec *s = make_spec(1, 0);

        assert_int_equal(spec_set_string(s, f, text, NULL), 0);
        assert_int_equal(spec_check_callback_url(f, s, NULL), expected);
}

static void test_url(void **state) {
        char longest[CALLBACK_URL_MAX + 2] = "https://h/";

        url("https://h", 0);
        url("http://user:password@[::1]:8080/a%20b?c=d&e#f", 0);
        FOREACH_STRING(i, "", "h", "https:", "https://", "https:///a", "https://?", "HTTPS://h", "ftp://h", "file:///etc/passwd", "https://h/ ", "https://h/\n",
                       "https://h/\x7f", "https://h/ü", "https://h\\a", "https://h/\"", "https://h/<", "https://@h", "https://:80")
                url(i, -EINVAL);
        memset(longest + 10, 'a', CALLBACK_URL_MAX - 10);
        url(longest, 0);
        longest[CALLBACK_URL_MAX] = 'a';
        url(longest, -E2BIG);
}

/* Who has a URL of his own has none of another's events. */
static void test_inherited(void **state) {
        _cleanup_(spec_freep) JobSpec *defaults = make_spec(1, 0), *all = make_spec(1, 0), *own = make_spec(1, 0), *own_events = make_spec(1, 0);

        defaults->callback_url = strdup("https://d/");
        defaults->callback_events = strv_split("started", " ");
        own->callback_url = strdup("https://o/");
        own_events->callback_events = strv_split("dead failure", " ");
        assert_true(spec_inherit(all, defaults) >= 0 && spec_inherit(own, defaults) >= 0 && spec_inherit(own_events, defaults) >= 0);
        assert_true(streq(all->callback_url, "https://d/") && callback_events(all) == 1U << CALLBACK_STARTED);
        assert_true(streq(own->callback_url, "https://o/") && callback_events(own) == CALLBACK_EVENTS_DEFAULT);
        assert_true(streq(own_events->callback_url, "https://d/") && callback_events(own_events) == (1U << CALLBACK_DEAD | 1U << CALLBACK_FAILURE));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_success), cmocka_unit_test(test_failure),   cmocka_unit_test(test_own_queue),
                cmocka_unit_test(test_url),     cmocka_unit_test(test_inherited), cmocka_unit_test(test_units),    cmocka_unit_test(test_unit_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
