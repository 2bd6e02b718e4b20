/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Credentials beside the store: there, and durable, before the job is; for root only; gone with the job, and where nobody needs them. What is
 * used for that of the C library is defined here and so comes before it. */

#include "store-util.h"

#include "queue/spec-credential.h"
#include "queue/spec-json.h"

#include <dirent.h>
#include <ftw.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define SECRET "a secret of the test"

static char folder[64], did[4096]; /* paths below it that were synced, in order */
static bool fail_sync;

static void note(int fd) {
        char link[64], path[512];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n <= 0)
                return;
        path[n] = 0;
        if (startswith(path, folder) && strlen(did) + n + 2 < sizeof(did)) {
                strcat(did, path + strlen(folder));
                strcat(did, " ");
        }
}

int fsync(int fd) {
        note(fd);
        if (fail_sync) {
                errno = EIO;
                return -1;
        }
        return syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
        note(fd);
        return syscall(SYS_fdatasync, fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static int set_up(void **state) {
        strcpy(folder, "/tmp/jobmill-test-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state) {
        return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static Store *open_here(void) {
        char path[128];
        Store *s = NULL;

        snprintf(path, sizeof(path), "%s/jobmill.db", folder);
        assert_int_equal(store_open(path, &s, NULL), 0);
        return s;
}

static JobSpec *spec_with(const char *name, const char *secret) {
        JobSpec *spec = make_spec("true");

        assert_int_equal(spec_add_credential(spec, name, secret, strlen(secret), NULL), 0);
        return spec;
}

static char *path_of(char path[static 256], uint64_t id, const char *name) {
        snprintf(path, 256, "%s/credentials/%" PRIu64 "%s%s", folder, id, name ? "/" : "", strempty(name));
        return path;
}

static bool is_there(uint64_t id) {
        char path[256];

        return access(path_of(path, id, NULL), F_OK) >= 0;
}

static void assert_mode(const char *path, mode_t mode) {
        struct stat st;

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, mode);
}

/* ---- the tests ---- */

static void test_before_the_job(void **state) {
        _cleanup_(store_closep) Store *s = open_here();
        _cleanup_model_ Model *m = load(s);
        const char *file, *vault, *all, *log;
        char path[256], text[64] = "", *slash;
        uint64_t id;
        FILE *f;

        (void) umask(0);
        record(s, m);
        did[0] = 0;
        id = submit(m, add_queue(m, "q"), spec_with("token", SECRET));
        record(s, m);
        file = strstr(did, "/credentials/1/token ");
        vault = strstr(did, "/credentials/1 ");
        all = strstr(did, "/credentials ");
        log = strstr(did, "/jobmill.db-wal ");
        if (!file || !vault || !all || !log || !(file < vault && vault < all && all < log))
                fail_msg("synced: %s", did);

        assert_mode(path_of(path, id, "token"), 0600);
        f = fopen(path, "r");
        assert_non_null(fgets(text, sizeof(text), f));
        assert_string_equal(text, SECRET);
        fclose(f);
        for (int i = 0; i < 2; i++) {
                slash = strrchr(path, '/');
                *slash = 0;
                assert_mode(path, 0700);
        }
        assert_int_equal(store_credentials_room(s, 1000), 4096);
        assert_int_equal(store_credentials_room(s, 1001), 0);
}

/* The database has the names, and nothing else has more. */
static void test_names_alone(void **state) {
        _cleanup_(store_closep) Store *s = open_here();
        _cleanup_model_ Model *m = load(s);
        _cleanup_(spec_freep) JobSpec *spec = spec_with("token", SECRET), *read = NULL;
        _cleanup_free_ char *text = NULL, *stored = NULL;
        uint64_t id;

        assert_int_equal(spec_to_json(spec, 0, &text), 0);
        assert_null(strstr(text, SECRET));
        assert_int_equal(receipt_digest(0, "q", spec), ({
                _cleanup_(spec_freep) JobSpec *other = spec_with("token", "another");
                receipt_digest(0, "q", other);
        }));
        id = submit(m, add_queue(m, "q"), spec_with("token", SECRET));
        record(s, m);
        assert_int_equal(store_query_text(s, "SELECT group_concat(spec) FROM job_spec", &stored), 0);
        assert_non_null(strstr(stored, "\"credentials\":[\"token\"]"));
        assert_null(strstr(stored, SECRET));
        assert_int_equal(load_spec(s, id, &read), 0);
        assert_string_equal(read->credentials[0], "token");
        assert_null(read->secrets);
}

static void test_gone_with_the_job(void **state) {
        _cleanup_(store_closep) Store *s = open_here();
        _cleanup_model_ Model *m = load(s);
        Queue *q = add_queue(m, "q");
        uint64_t id = submit(m, q, spec_with("token", SECRET)), array, stays = submit(m, q, spec_with("token", SECRET));
        JobSpec *spec = spec_with("token", SECRET);

        spec->array = 3;
        array = submit(m, q, spec);
        record(s, m);
        assert_true(is_there(id) && is_there(array) && is_there(stays) && !is_there(array + 1));
        assert_int_equal(store_credentials_room(s, 1000), 3 * 4096);

        assert_int_equal(model_cancel(m, fetch(s, m, id), NULL, &now), 0);
        record(s, m);
        assert_true(!is_there(id) && is_there(stays));
        for (uint64_t i = 0; i < 3; i++) {
                assert_true(is_there(array));
                assert_int_equal(model_cancel(m, fetch(s, m, array + (i + 1) % 3), NULL, &now), 0);
                record(s, m);
        }
        assert_true(!is_there(array) && is_there(stays));
        assert_int_equal(store_credentials_room(s, 1000), 4096);
        /* One that ends in the turn in which it comes never had any. */
        id = submit(m, q, spec_with("token", SECRET));
        model_fail(m, model_job(m, id), JOB_DEPENDENCY, NULL, &now);
        record(s, m);
        assert_false(is_there(id));
}

/* A commit that failed, and a daemon that was killed: what follows is a load. */
static void test_swept(void **state) {
        Store *s = open_here();
        Model *m = load(s);
        uint64_t id = submit(m, add_queue(m, "q"), spec_with("token", SECRET)), lost;
        JobSpec *spec = spec_with("token", SECRET);
        char path[256];

        spec->array = 2;
        (void) submit(m, add_queue(m, "q"), spec);
        record(s, m);
        assert_int_equal(model_cancel(m, fetch(s, m, id + 1), NULL, &now), 0); /* the array's first */
        record(s, m);
        lost = submit(m, add_queue(m, "q"), spec_with("token", SECRET));
        fail_sync = true;
        assert_int_equal(store_record(s, m), -EIO);
        fail_sync = false;
        assert_true(is_there(lost));
        model_free(m);
        m = load(s);
        assert_true(!is_there(lost) && is_there(id) && is_there(id + 1));
        assert_int_equal(store_credentials_room(s, 1000), 2 * 4096);
        model_free(m);
        store_close(s);

        assert_int_equal(mkdir(path_of(path, 4711, NULL), 0700), 0);
        fclose(fopen(path_of(path, 4711, "token"), "w"));
        s = open_here();
        m = load(s);
        assert_true(!is_there(4711) && is_there(id) && is_there(id + 1));
        model_free(m);
        store_close(s);
}

static void test_memory(void **state) {
        _cleanup_(store_closep) Store *s = open_memory();
        _cleanup_model_ Model *m = load(s);

        (void) submit(m, add_queue(m, "q"), spec_with("token", SECRET));
        assert_int_equal(store_record(s, m), -EOPNOTSUPP);
}

static void test_what_may_be(void **state) {
        static const char *const bad[] = { "", ".", "..", "a/b", "a:b", "a b", "ä", "a\n" };
        _cleanup_(spec_freep) JobSpec *s = make_spec("true");
        _cleanup_free_ char *error = NULL, *large = calloc(1, CREDENTIALS_SIZE_MAX);
        char name[CREDENTIAL_NAME_MAX + 2];

        FOREACH_ELEMENT(b, bad)
                assert_int_equal(spec_add_credential(s, *b, SECRET, 1, &error), -EINVAL);
        memset(name, 'x', sizeof(name));
        name[CREDENTIAL_NAME_MAX + 1] = 0;
        assert_int_equal(spec_add_credential(s, name, SECRET, 1, &error), -EINVAL);
        name[CREDENTIAL_NAME_MAX] = 0;
        assert_int_equal(spec_add_credential(s, name, SECRET, 1, &error), 0);
        assert_int_equal(spec_add_credential(s, name, SECRET, 1, &error), -EINVAL);
        assert_int_equal(spec_add_credential(s, "large", large, CREDENTIALS_SIZE_MAX - 256 - 4, &error), -E2BIG);
        assert_int_equal(spec_add_credential(s, "large", large, CREDENTIALS_SIZE_MAX - 256 - 5, &error), 0);
        assert_int_equal(spec_add_credential(s, "x", large, 0, &error), -E2BIG);
        assert_int_equal(spec_credentials_room(s), 4096 + CREDENTIALS_SIZE_MAX);
        spec_forget_secrets(s);
        assert_int_equal(spec_credentials_room(s), 0);
        assert_int_equal(strv_length(s->credentials), 2);
        /* One that its type has is not the caller's to replace. */
        assert_int_equal(strv_extend(&s->type_rules, "Credential=/etc/credstore/large"), 0);
        assert_int_equal(spec_validate(s, &error), -EINVAL);
        assert_string_equal(error, "'credentials': 'large' is one that the job's type has itself");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_before_the_job, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_names_alone, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_gone_with_the_job, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_swept, set_up, tear_down),
                cmocka_unit_test(test_memory),
                cmocka_unit_test(test_what_may_be),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
