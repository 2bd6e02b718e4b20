/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What users have stored: the sum of each is that of his rows, whatever is written, changed and taken away, and the same after it was opened anew; what
 * a request is counted for is what is stored of it then. */

#include "store-util.h"
#include "store-script.h"

#include <unistd.h>

#define _cleanup_store_ _cleanup_(store_closep)

static uint64_t room(Store *s, uint32_t owner) {
        script_check(s->db); /* each sum is that of the rows */
        return store_room(s, owner);
}

static void payload(JobSpec *spec, size_t size) {
        spec->has_payload = true;
        spec->payload_size = size;
        spec->payload = calloc(1, size ?: 1);
        assert_non_null(spec->payload);
}

static uint64_t wanted(const JobSpec *spec) {
        uint64_t n = 0;

        assert_int_equal(store_room_of_spec(spec, &n), 0);
        return n + store_room_of_jobs(spec, MAX(spec->array, 1U)) + store_room_of_environment(spec->environment);
}

static void purge(Store *s, Model *m, uint64_t id) {
        Job *j = fetch(s, m, id);

        if (j->state != JOB_DONE) {
                assert_int_equal(model_cancel(m, j, NULL, &now), 0);
                record(s, m);
        }
        assert_int_equal(model_purge(m, fetch(s, m, id)), 0);
        record(s, m);
}

/* Words that JSON writes longer than they are, a payload that is no text, an environment, jobs that it comes after. */
static JobSpec *large(uint64_t after) {
        JobSpec *spec = make_spec("größe \"\\\n\x01 🐦");

        payload(spec, 100000);
        assert_int_equal(strv_extend(&spec->environment, "ÄÖ=ü"), 0);
        spec->after = new0(After, after > 0 ? 1 : 0);
        spec->n_after = after > 0;
        if (after > 0)
                spec->after[0] = (After) { .id = after, .condition = AFTER_END };
        return spec;
}

static void test_jobs(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        JobSpec *spec = make_spec("true");
        uint64_t first, second, n = wanted(spec);

        assert_int_equal(room(s, 1000), 0);
        first = submit(m, add_queue(m, "q"), spec);
        assert_int_equal(store_room(s, 1000), 0);
        record(s, m);
        assert_int_equal(room(s, 1000), n);
        spec = large(first);
        n += wanted(spec);
        second = submit(m, add_queue(m, "q"), spec);
        record(s, m);
        assert_int_equal(room(s, 1000), n);
        assert_int_equal(room(s, 0), 0);

        /* The same environment again, of him, and of another user: who is the one is not the other. */
        spec = large(0);
        n += wanted(spec) - store_room_of_environment(spec->environment);
        (void) submit(m, add_queue(m, "q"), spec);
        spec = large(0);
        Job *j;
        assert_int_equal(model_submit(m, add_queue(m, "q"), spec, 1001, "bob", &now, &j, NULL), 0);
        uint64_t bobs = wanted(spec), bob = j->id;
        record(s, m);
        assert_int_equal(room(s, 1000), n);
        assert_int_equal(room(s, 1001), bobs);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 2);

        purge(s, m, bob);
        assert_int_equal(room(s, 1001), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM room"), 1);
        assert_int_equal(room(s, 1000), n);
        purge(s, m, first);
        purge(s, m, second);
        purge(s, m, second + 1);
        assert_int_equal(room(s, 1000), 0);
        assert_int_equal(number(s, "SELECT count(*) FROM room"), 0);
}

static void end(Store *s, Model *m, uint64_t id, const char *text) {
        Job *j = start(s, m, id);
        Outcome o = OUTCOME_INIT;

        record(s, m);
        o.result = JOB_EXIT_CODE;
        o.exit_status = 3;
        o.reason = strdup(text);
        o.verdict = strdup(text);
        o.io_stdout = strdup(text);
        o.io_stderr = strdup(text);
        model_attempt_started(m, j->live, invocation, 1, 1);
        model_attempt_ended(m, j->live, &o, &now);
        record(s, m);
}

static void test_attempts(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        uint64_t id = submit(m, add_queue(m, "q"), make_spec("true")), before, n;
        Attempt *a;

        model_queue(m, "q")->policy.slots = 1;
        record(s, m);
        before = room(s, 1000);
        end(s, m, id, "größer");
        n = room(s, 1000) - before;
        assert_true(n >= 4 * strlen("größer") + STORE_ROOM_OF_ATTEMPT && n < 2 * STORE_ROOM_OF_ATTEMPT);

        /* Loaded, and written again. */
        assert_int_equal(store_load_attempt(s, id, 1, &a), 0);
        assert_int_equal(a->room, n);
        model_attempt_gone(m, attempt_find(m, id, 1));
        a->phase = ATTEMPT_ENDED;
        assert_int_equal(model_attempt_add(m, a, NULL, model_queue(m, "q")), 0);
        assert_int_equal(free_and_strdup(&a->outcome.reason, "größer und länger"), 0);
        model_attempt_changed(m, a);
        record(s, m);
        n += strlen(" und länger");
        assert_int_equal(room(s, 1000), before + n);
        assert_int_equal(model_retry(m, fetch(s, m, id), 1, 0, &now), 0);
        record(s, m);
        model_attempt_gone(m, attempt_find(m, id, 1));
        end(s, m, id, "größer");
        assert_int_equal(room(s, 1000), before + 2 * n - strlen(" und länger"));
        purge(s, m, id);
        assert_int_equal(room(s, 1000), 0);
}

static void test_edited(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *changes = make_spec("a longer one than that"), *spec = make_spec("true");
        uint64_t id, n, array;
        StoredSpec had;

        id = submit(m, add_queue(m, "q"), make_spec("true"));
        record(s, m);
        n = room(s, 1000);
        payload(changes, 5000);
        assert_int_equal(strv_extend(&changes->environment, "A=1"), 0);
        edit(s, m, id, changes, bit("payload") | bit("argv") | bit("environment"));
        assert_int_equal(room(s, 1000), n - wanted(spec) + wanted(changes));
        assert_int_equal(store_stored_spec(s, fetch(s, m, id), &had), 0);
        assert_true(had.own && had.payload == 5000);
        changes->payload_size = 0;
        edit(s, m, id, changes, bit("payload"));
        assert_int_equal(room(s, 1000), n - wanted(spec) + wanted(changes));
        purge(s, m, id);
        assert_int_equal(room(s, 1000), 0);

        /* Those of an array have one spec, until one of them is another. */
        JobSpec *l = large(0);
        l->array = 3;
        n = wanted(l);
        array = submit(m, add_queue(m, "q"), l);
        record(s, m);
        assert_int_equal(room(s, 1000), n);
        assert_int_equal(store_stored_spec(s, fetch(s, m, array), &had), 0);
        assert_true(!had.own && had.payload == 100000);
        edit(s, m, array, changes, bit("argv"));
        assert_in_range(room(s, 1000), n + 100000, n + 100000 + 1000);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(room(s, 1000) > 0);
                purge(s, m, array + i);
        }
        assert_int_equal(room(s, 1000), 0);
}

/* What is expected counts from the request to the commit, whatever becomes of that. */
static void test_expected(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *again = NULL;
        uint64_t n;

        assert_int_equal(store_room_expect(s, 1000, 700), 0);
        assert_int_equal(store_room_expect(s, 1000, -100), 0);
        assert_int_equal(store_room(s, 1000), 600);
        assert_int_equal(store_room(s, 1001), 0);
        (void) submit(m, add_queue(m, "q"), make_spec("true"));
        record(s, m);
        n = room(s, 1000);
        assert_true(n < 600);
        assert_int_equal(store_room_expect(s, 1000, 700), 0);
        assert_int_equal(store_room_expect(s, 1001, 1), 0);

        /* Receipts that are forgotten meanwhile are another commit. */
        usec_t oldest;
        assert_int_equal(store_expire_receipts(s, 1, 2, 10, &oldest), 0);
        assert_int_equal(store_room(s, 1000), n + 700);

        /* It fails: there is such a job. */
        (void) submit(m, add_queue(m, "q"), make_spec("true"));
        assert_int_equal(store_exec(s, "INSERT INTO job_spec VALUES (2, '{}', NULL)"), 0);
        assert_int_equal(store_record(s, m), -EEXIST);
        assert_int_equal(store_exec(s, "DELETE FROM job_spec WHERE job = 2"), 0);
        assert_int_equal(room(s, 1000), n);
        assert_int_equal(store_room(s, 1001), 0);
        again = load(s);
        (void) submit(again, add_queue(again, "q"), make_spec("true"));
        record(s, again);
        assert_int_equal(room(s, 1000), 2 * n);
}

static Receipt *make_receipt(uint64_t first, usec_t created) {
        Receipt *r = receipt_new(1000, "größe");

        assert_non_null(r);
        r->ids = new0(uint64_t, 2);
        r->ids[0] = 1;
        r->ids[1] = 1000;
        r->n_jobs = 2;
        r->first_id = first;
        r->created_usec = created;
        return r;
}

static void test_others(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        TimerPolicy p = TIMER_POLICY_INIT;
        _cleanup_free_ char *error = NULL;
        uint64_t id = submit(m, add_queue(m, "q"), make_spec("true")), n;
        usec_t oldest;

        record(s, m);
        n = room(s, 1000);
        model_receipt_add(m, make_receipt(id, 5));
        model_queue_changed(m, model_queue(m, "q"));
        record(s, m);
        assert_int_equal(room(s, 1000), n + 128 + strlen("größe1 1000"));
        assert_int_equal(store_expire_receipts(s, 6, 7, 10, &oldest), 0);
        assert_int_equal(room(s, 1000), n);

        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "daily", &error), 0);
        assert_int_equal(timer_policy_assign(&p, "OnCalendar", "*-*-* 02:30", &error), 0);
        p.job = strdup("{\"argv\":[\"größer\"]}");
        assert_int_equal(model_timer_set(m, "t", &p, 1001, "bob", false, &now), 0);
        record(s, m);
        n = room(s, 1001);
        assert_int_equal(n, 512 + strlen("daily\n*-*-* 02:30{\"argv\":[\"größer\"]}"));
        model_timer_pause(m, model_timer(m, "t"), true, &now);
        record(s, m);
        assert_int_equal(room(s, 1001), n);
        model_timer_remove(m, model_timer(m, "t"));
        record(s, m);
        assert_int_equal(room(s, 1001), 0);
        timer_policy_done(&p);
}

/* It is in the file, and a sum that is wrong there does harm to nobody. */
static void test_opened_anew(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        Store *s = NULL;
        Model *m = model_new();
        uint64_t id, n;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        id = submit(m, add_queue(m, "q"), large(0));
        record(s, m);
        n = room(s, 1000);
        model_free(m);
        store_close(s);

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        model_free(load(s));
        assert_int_equal(room(s, 1000), n);
        assert_int_equal(store_exec(s, "UPDATE room SET bytes = 7"), 0);
        store_close(s);
        assert_int_equal(store_open(d.file, &s, NULL), 0);
        m = load(s);
        assert_int_equal(store_room(s, 1000), 7);
        purge(s, m, id);
        assert_int_equal(room(s, 1000), 0);
        model_free(m);
        store_close(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_jobs),     cmocka_unit_test(test_attempts), cmocka_unit_test(test_edited),
                cmocka_unit_test(test_expected), cmocka_unit_test(test_others),   cmocka_unit_test(test_opened_anew),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
