/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the store does where something is wrong: rows that do not fit are told, what cannot be recorded leaves nothing behind, and what was
 * recorded outlives a kill. */

#include "store-util.h"

#include <signal.h>
#include <sys/wait.h>

#define _cleanup_store_ _cleanup_(store_closep)

static void test_load_damaged(void **state) {
        static const char *const damages[] = {
                "DELETE FROM attempt",
                "UPDATE attempt SET slot_numbers = 'x'",
                "UPDATE attempt SET slot_numbers = '0,1'",
                "UPDATE attempt SET token = x'00'",
                "UPDATE attempt SET invocation_id = x'00'",
                "UPDATE attempt SET result = 'strange'",
                "UPDATE job SET intent = 'strange'",
                "UPDATE job SET queue = 'NOT A NAME'",
                "INSERT INTO queue VALUES ('NOT A NAME', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
        };

        FOREACH_ELEMENT(i, damages) {
                _cleanup_store_ Store *s = open_memory();
                _cleanup_model_ Model *m = model_new(), *l = model_new();

                (void) start(s, m, submit(m, add_queue(m, "q"), make_spec("true")));
                record(s, m);
                assert_int_equal(store_exec(s, *i), 0);
                assert_int_equal(store_load(s, l), -EUCLEAN);
                assert_true(*store_error(s));
        }
}

static void test_spec_damaged(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new();
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        _cleanup_(job_freep) Job *j = NULL;
        uint64_t id = submit(m, add_queue(m, "q"), make_spec("true"));

        record(s, m);
        assert_int_equal(store_exec(s, "UPDATE job_spec SET spec = '{'"), 0);
        assert_int_equal(load_spec(s, id, &spec), -EUCLEAN);
        assert_int_equal(store_exec(s, "DELETE FROM job_spec"), 0);
        assert_int_equal(load_spec(s, id, &spec), -EUCLEAN);
        assert_int_equal(store_exec(s, "UPDATE job SET state = 'strange'"), 0);
        assert_int_equal(store_load_job(s, id, &j), -EUCLEAN);
}

static void test_full(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *m = model_new(), *l = NULL;
        char sql[64];
        JobSpec *spec;
        uint64_t id;

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        (void) submit_with(m, "A=1");
        record(s, m);
        (void) snprintf(sql, sizeof(sql), "PRAGMA max_page_count = %" PRIi64, number(s, "PRAGMA page_count") + 2);
        assert_int_equal(store_exec(s, sql), 0);

        (void) submit_with(m, "B=1");
        spec = make_spec("cat");
        spec->has_payload = true;
        spec->payload_size = 100000;
        spec->payload = calloc(1, spec->payload_size);
        id = submit(m, model_queue(m, "q"), spec);
        assert_int_equal(store_record(s, m), -ENOSPC);
        assert_non_null(strstr(store_error(s), "full"));

        /* Nothing of it is there, and the model was not touched. */
        assert_true(sqlite3_get_autocommit(s->db));
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 1);
        assert_int_equal(number(s, "SELECT count(*) FROM environment"), 1);
        assert_int_equal(number(s, "SELECT ready FROM queue"), 1);
        assert_int_equal(number(s, "SELECT value FROM meta WHERE key = 'next_id'"), 2);
        assert_true(model_job(m, id)->is_new);
        assert_true(model_job(m, id)->changed);
        assert_int_equal(s->environment.id, 0);

        /* The same once more, when there is room. */
        assert_int_equal(store_exec(s, "PRAGMA max_page_count = 100000"), 0);
        record(s, m);
        assert_environment(s, 2, "B=1");
        l = load(s);
        assert_int_equal(model_queue(l, "q")->count[JOB_READY], 3);
        assert_int_equal(l->next_id, 4);
}

static void test_record_refused(void **state) {
        _cleanup_store_ Store *s = open_memory();
        _cleanup_model_ Model *m = model_new(), *other = model_new();
        uint64_t id = submit(m, add_queue(m, "q"), make_spec("true"));

        record(s, m);
        assert_int_equal(submit(other, add_queue(other, "q"), make_spec("true")), id);
        assert_int_equal(store_record(s, other), -EEXIST);
        assert_non_null(strstr(store_error(s), "UNIQUE"));

        /* An update of what is not there. */
        model_job(other, id)->is_new = false;
        assert_int_equal(store_exec(s, "DELETE FROM job"), 0);
        assert_int_equal(store_record(s, other), -EUCLEAN);
        assert_true(sqlite3_get_autocommit(s->db));

        /* A new job without a spec; a counter below zero. */
        model_job(other, id)->is_new = true;
        model_job(other, id)->spec = spec_free(model_job(other, id)->spec);
        assert_int_equal(store_record(s, other), -EINVAL);
        model_job(other, id)->spec = make_spec("true");
        assert_int_equal(store_exec(s, "DELETE FROM job_spec"), 0);
        model_queue(other, "q")->count[JOB_HELD] = UINT64_MAX;
        assert_int_equal(store_record(s, other), -EEXIST);
        assert_int_equal(number(s, "SELECT count(*) FROM job"), 0);
        model_queue(other, "q")->count[JOB_HELD] = 0;
        record(s, other);
}

/* Killed without a word: what was recorded is there, what was not is not. */
static void test_crash(void **state) {
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_store_ Store *s = NULL;
        _cleanup_model_ Model *l = NULL;
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                Model *m = model_new();

                if (store_open(d.file, &s, NULL) < 0)
                        _exit(1);
                (void) submit_with(m, "A=1");
                record(s, m);
                (void) start(s, m, 1);
                record(s, m);
                if (store_begin(s, false) < 0 || store_exec(s, "DELETE FROM job; DELETE FROM queue") < 0)
                        _exit(2);
                (void) kill(getpid(), SIGKILL);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));

        assert_int_equal(store_open(d.file, &s, NULL), 0);
        l = load(s);
        assert_int_equal(l->next_id, 2);
        assert_int_equal(model_job(l, 1)->state, JOB_STARTING);
        assert_int_equal(model_queue(l, "q")->count[JOB_STARTING], 1);
        assert_environment(s, 1, "A=1");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_load_damaged),
                cmocka_unit_test(test_spec_damaged),
                cmocka_unit_test(test_full),
                cmocka_unit_test(test_record_refused),
                cmocka_unit_test(test_crash),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
