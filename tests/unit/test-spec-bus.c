/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages are built on one end of a socket pair whose other end never speaks: sd-bus wants a bus that was
 * started for each message, but needs no peer to seal one and read it again. */

#include "api/spec-bus.h"
#include "base/strv.h"
#include "queue/spec-credential.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static sd_bus *bus;
static int peer = -EBADF;

static int setup(void **state) {
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -1;
        peer = fds[1];
        return sd_bus_new(&bus) < 0 || sd_bus_set_fd(bus, fds[0], fds[0]) < 0 || sd_bus_start(bus) < 0 ? -1
                                                                                                       : 0;
}

static int teardown(void **state) {
        bus = sd_bus_close_unref(bus);
        peer = safe_close(peer);
        return 0;
}

static sd_bus_message *message_new(void) {
        sd_bus_message *m;

        assert_int_equal(sd_bus_message_new_method_call(bus, &m, NULL, "/x", NULL, "X"), 0);
        return m;
}

/* Seal, and read from the beginning. */
static int read_message(sd_bus_message *m, JobSpec *s, char **ret_queue, char **ret_error) {
        assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
        assert_true(sd_bus_message_rewind(m, true) >= 0);
        uint64_t given;

        return spec_read_bus(m, s, &given, ret_queue, ret_error);
}

static void refused_message(sd_bus_message *message, bool queue, int r, const char *said) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message;
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *error = NULL;
        char *name = NULL;
        int k;

        k = read_message(m, s, queue ? &name : NULL, &error);
        if (k != r || !error || !strstr(error, said))
                fail_msg("%d, %s; wanted: %s", k, error ?: "no message", said);
        assert_null(name);
}

#define REFUSED(queue, r, said, ...)                                                                        \
        ({                                                                                                  \
                sd_bus_message *_m = message_new();                                                         \
                assert_true(sd_bus_message_append(_m, "a{sv}", __VA_ARGS__) >= 0);                          \
                refused_message(_m, queue, r, said);                                                        \
        })

/* One entry whose value is bytes; sd_bus_message_append() has no letter for arrays of them. */
static void append_bytes(sd_bus_message *m, const char *key, const void *data, size_t size) {
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", key) >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', "ay") >= 0);
        assert_true(sd_bus_message_append_array(m, 'y', data, size) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
}

static void test_all_keys(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *queue = NULL, *error = NULL;
        const SpecField *f;
        const char *after;
        size_t n;

        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        append_bytes(m, "payload", "a\0b", 3);
        assert_true(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "name", "s", "n", "argv",
                                          "as", 3, "/bin/echo", "", "ü", "cwd", "s", "/tmp", "umask", "u",
                                          022u, "environment", "as", 1, "A=1", "tags", "a{ss}", 2, "k", "v",
                                          "l", "w", "queue", "s", "gpu", "priority", "i", -5) >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "slots", "u", 3u, "hold", "b",
                                          true, "not_before_usec", "t", UINT64_C(1), "timeout_usec", "t",
                                          UINT64_C(2000), "stop_timeout_usec", "t", UINT64_C(3000), "uid",
                                          "u", 1000u, "properties", "as", 1, "Nice=1") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}", "output_file", "s", "out", "error_file", "s", "err",
                                          "freezable", "b", true, "request_id", "s", "r", "type", "s", "t-1", "delay_usec", "t",
                                          UINT64_C(4)) >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "stdout", "s", "spool", "verify", "s", "verdict",
                                          "max_attempts", "u", 4u, "backoff", "s", "fixed", "backoff_base_usec", "t", UINT64_C(5),
                                          "backoff_max_usec", "t", UINT64_C(6), "backoff_jitter", "d", 0.25, "retry_on", "as", 1,
                                          "signal") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "requeue_lost", "b", true,
                                          "memory_growth", "d", 1.5, "deadline_usec", "t", UINT64_C(7), "keep_usec", "t",
                                          UINT64_C(8), "after", "a(ts)", 2, UINT64_C(9), "end", UINT64_C(3), "failure:continue",
                                          "unique_key", "s", "u", "unique_policy", "s", "replace", "unique_scope", "s", "live",
                                          "array", "u", 10u, "array_max_running", "u", 2u) >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}", "callback_url", "s", "https://h/", "callback_events", "as", 2, "dead", "started") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}{sv}", "on_success", "as", 1, "a.service", "on_failure", "as", 1, "b.service") >= 0);
        assert_true(sd_bus_message_append(m, "{sv}", "credentials", "a{say}", 2, "b", 2, 0, 255, "a", 0) >= 0);
        assert_true(sd_bus_message_close_container(m) >= 0);
        assert_true(sd_bus_message_append(m, "s", "after") >= 0);

        assert_int_equal(read_message(m, s, &queue, &error), 0);
        assert_null(error);
        assert_string_equal(queue, "gpu");
        assert_string_equal(s->name, "n");
        assert_int_equal(strv_length(s->argv), 3);
        assert_string_equal(s->argv[2], "ü");
        assert_string_equal(s->cwd, "/tmp");
        assert_int_equal(s->umask, 022);
        assert_string_equal(s->environment[0], "A=1");
        assert_true(s->has_payload && s->payload_size == 3 && memcmp(s->payload, "a\0b", 3) == 0);
        assert_int_equal(strv_length(s->tags), 4);
        assert_string_equal(s->tags[3], "w");
        assert_int_equal(s->priority, -5);
        assert_int_equal(s->slots, 3);
        assert_true(s->hold);
        assert_int_equal(s->not_before_usec, 1);
        assert_int_equal(s->delay_usec, 4);
        assert_int_equal(s->timeout_usec, 2000);
        assert_int_equal(s->stop_timeout_usec, 3000);
        assert_int_equal(s->uid, 1000);
        assert_string_equal(s->properties[0], "Nice=1");
        assert_string_equal(s->output_file, "out");
        assert_string_equal(s->error_file, "err");
        assert_true(s->freezable);
        assert_string_equal(s->request_id, "r");
        assert_int_equal(s->output, OUTPUT_SPOOL);
        assert_int_equal(s->verify, VERIFY_VERDICT);
        assert_int_equal(s->backoff, BACKOFF_FIXED);
        assert_true(s->backoff_jitter == 0.25 && s->memory_growth == 1.5);
        assert_string_equal(s->retry_on[0], "signal");
        assert_int_equal(s->n_after, 2);
        assert_true(s->after[0].id == 3 && s->after[0].condition == AFTER_FAILURE && s->after[1].id == 9); /* sorted */
        assert_int_equal(s->unique_policy, UNIQUE_REPLACE);
        assert_int_equal(s->array_max_running, 2);
        assert_string_equal(s->callback_url, "https://h/");
        assert_string_equal(s->callback_events[1], "started");
        assert_string_equal(s->on_success[0], "a.service");
        assert_string_equal(s->on_failure[0], "b.service");
        assert_string_equal(s->credentials[0], "b");
        assert_string_equal(s->credentials[1], "a");
        assert_true(s->secrets[0]->size == 2 && memcmp(s->secrets[0]->data, "\0\377", 2) == 0 && s->secrets[1]->size == 0);
        f = spec_field_table(&n);
        for (size_t i = 0; i < n; i++)
                assert_true(spec_field_is_default(s, f + i) == (bool) (f[i].flags & SPEC_OURS));
        /* the message stands behind the dictionary */
        assert_true(sd_bus_message_read(m, "s", &after) > 0);
        assert_string_equal(after, "after");
}

static void test_empty(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new(), *k = message_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new(), *t = spec_new();
        char *queue = NULL;

        assert_true(sd_bus_message_append(m, "a{sv}", 0) >= 0);
        assert_int_equal(read_message(m, s, &queue, NULL), 0);
        assert_null(queue);

        assert_true(sd_bus_message_open_container(k, 'a', "{sv}") >= 0);
        append_bytes(k, "payload", NULL, 0);
        assert_true(sd_bus_message_append(k, "{sv}{sv}{sv}{sv}", "argv", "as", 0, "tags", "a{ss}", 0,
                                          "timeout_usec", "t", UINT64_MAX, "not_before_usec", "s",
                                          "infinity") >= 0);
        assert_true(sd_bus_message_close_container(k) >= 0);
        assert_int_equal(read_message(k, t, NULL, NULL), 0);
        assert_true(t->has_payload && t->payload_size == 0);
        assert_true(!t->argv && !t->tags && t->timeout_usec == USEC_INFINITY &&
                    t->not_before_usec == USEC_INFINITY);
}

static void test_array_of_dictionaries(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new();
        size_t n = 0;

        assert_true(sd_bus_message_append(m, "aa{sv}", 3, 2, "queue", "s", "q0", "name", "s", "n0", 1,
                                          "name", "s", "n1", 0) >= 0);
        assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
        assert_true(sd_bus_message_rewind(m, true) >= 0);
        assert_true(sd_bus_message_enter_container(m, 'a', "a{sv}") > 0);
        while (sd_bus_message_at_end(m, false) == 0) {
                _cleanup_(spec_freep) JobSpec *s = spec_new();
                _cleanup_free_ char *queue = NULL;
                uint64_t given;

                assert_int_equal(spec_read_bus(m, s, &given, &queue, NULL), 0);
                assert_true(n == 0 ? streq(queue, "q0") : !queue);
                assert_true((given != 0) == (n < 2));
                assert_true(n == 2 ? !s->name : s->name[1] == (char) ('0' + n));
                n++;
        }
        assert_int_equal(n, 3);
}

static void test_refused(void **state) {
        REFUSED(true, -EINVAL, "unknown key 'type_rules'", 1, "type_rules", "as", 1, "Override=Nice");
        REFUSED(true, -EINVAL, "unknown key 'type_version'", 1, "type_version", "s", "1");
        REFUSED(true, -EINVAL, "unknown key 'nmae'", 2, "name", "s", "x", "nmae", "s", "x");
        REFUSED(false, -EINVAL, "unknown key 'queue'", 1, "queue", "s", "x");
        REFUSED(true, -EINVAL, "'timeout_usec' has type s, wanted is t, or \"infinity\"", 1, "timeout_usec", "s", "1");
        REFUSED(true, -EINVAL, "'timeout_usec' has type u, wanted is t", 1, "timeout_usec", "u", 1u);
        REFUSED(true, -EINVAL, "'priority' has type s, wanted is i", 1, "priority", "s", "infinity");
        REFUSED(true, -EINVAL, "'queue' has type u, wanted is s", 1, "queue", "u", 1u);
        REFUSED(true, -EINVAL, "'queue' is given twice", 2, "queue", "s", "x", "queue", "s", "x");
        REFUSED(true, -EINVAL, "'name' is given twice", 2, "name", "s", "x", "name", "s", "y");
        REFUSED(true, -EINVAL, "'priority' has type s, wanted is i", 1, "priority", "s", "1");
        REFUSED(true, -EINVAL, "'priority' has type u, wanted is i", 1, "priority", "u", 1u);
        REFUSED(true, -EINVAL, "'argv' has type s, wanted is as", 1, "argv", "s", "x");
        REFUSED(true, -EINVAL, "'argv' has type ao, wanted is as", 1, "argv", "ao", 1, "/");
        REFUSED(true, -EINVAL, "'tags' has type a{sv}, wanted is a{ss}", 1, "tags", "a{sv}", 1, "x", "s",
                "x");
        REFUSED(true, -EINVAL, "'payload' has type s, wanted is ay", 1, "payload", "s", "x");
        REFUSED(true, -EINVAL, "'credentials' has type a{ss}, wanted is a{say}", 1, "credentials", "a{ss}", 1, "a", "x");
        REFUSED(true, -EINVAL, "'credentials': '../a' is not the name of a credential", 1, "credentials", "a{say}", 1, "../a", 1, 1);
        REFUSED(true, -EINVAL, "'credentials': 'a' is given twice", 1, "credentials", "a{say}", 2, "a", 1, 1, "a", 1, 1);
        REFUSED(true, -EINVAL, "'name' has type v, wanted is s", 1, "name", "v", "s", "x");
        REFUSED(true, -ERANGE, "'priority' must be -1000 to 1000, not 1001", 1, "priority", "i", 1001);
        REFUSED(true, -ERANGE, "'uid'", 1, "uid", "u", UINT32_MAX);
        REFUSED(true, -ERANGE, "'timeout_usec' must be at least", 1, "timeout_usec", "t", UINT64_C(0));
        REFUSED(true, -ERANGE, "'not_before_usec' is out of range", 1, "not_before_usec", "t",
                UINT64_MAX - 1);
}

static void test_argv_twice(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *error = NULL;

        assert_int_equal(strv_extend(&s->argv, "/bin/true"), 0);
        assert_true(sd_bus_message_append(m, "a{sv}", 1, "argv", "as", 1, "/bin/false") >= 0);
        assert_int_equal(read_message(m, s, NULL, &error), -EINVAL);
        assert_string_equal(error, "'argv' is given twice");
        assert_string_equal(s->argv[0], "/bin/true");
}

static void test_not_a_dictionary(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();

        assert_true(sd_bus_message_append(m, "s", "x") >= 0);
        assert_true(read_message(m, s, NULL, NULL) < 0);
}

/* A list is bounded while it is read. */
static void test_too_many(void **state) {
        sd_bus_message *m = message_new();

        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", "tags") >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', "a{ss}") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "{ss}") >= 0);
        for (size_t i = 0; i <= SPEC_TAGS_MAX; i++)
                assert_true(sd_bus_message_append(m, "{ss}", "k", "v") >= 0);
        for (size_t i = 0; i < 4; i++)
                assert_true(sd_bus_message_close_container(m) >= 0);
        refused_message(m, true, -E2BIG, "'tags' has more than 64 entries");
}

static void test_many_words(void **state) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = message_new();
        _cleanup_(spec_freep) JobSpec *s = spec_new();

        assert_true(sd_bus_message_open_container(m, 'a', "{sv}") >= 0);
        assert_true(sd_bus_message_open_container(m, 'e', "sv") >= 0);
        assert_true(sd_bus_message_append(m, "s", "argv") >= 0);
        assert_true(sd_bus_message_open_container(m, 'v', "as") >= 0);
        assert_true(sd_bus_message_open_container(m, 'a', "s") >= 0);
        for (size_t i = 0; i < SPEC_ARGS_MAX; i++)
                assert_true(sd_bus_message_append(m, "s", "x") >= 0);
        for (size_t i = 0; i < 4; i++)
                assert_true(sd_bus_message_close_container(m) >= 0);
        assert_int_equal(read_message(m, s, NULL, NULL), 0);
        assert_int_equal(strv_length(s->argv), SPEC_ARGS_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_keys),
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_array_of_dictionaries),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_argv_twice),
                cmocka_unit_test(test_not_a_dictionary),
                cmocka_unit_test(test_too_many),
                cmocka_unit_test(test_many_words),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
