/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetQueue's files: what is written is what is read back, whatever the value; merging, resetting and precedence; what is refused
 * leaves nothing behind; removal is of all files or none. */

#include "model-util.h"

#include "base/conf-file.h"
#include "base/parse.h"
#include "daemon/config.h"
#include "daemon/queue-file.h"
#include "daemon/queue-write.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

/* Comes before the C library's: thousands of them on a busy disk would take minutes. test-durable.c has what is synced. */
int fsync(int fd) {
        return 0;
}

typedef struct Tree {
        char path[64];
        char **directories;
        QueuePlaces places;
        Model *m;
        char *error;
} Tree;

static int setup(void **state) {
        Tree *t = new0(Tree, 1);

        assert_non_null(t);
        strcpy(t->path, "/tmp/test-queue-write-XXXXXX");
        assert_non_null(mkdtemp(t->path));
        assert_int_equal(strv_extendf(&t->directories, "%s/etc", t->path), 0);
        assert_int_equal(strv_extendf(&t->directories, "%s/run", t->path), 0);
        assert_int_equal(strv_extendf(&t->directories, "%s/usr", t->path), 0);
        t->places = (QueuePlaces) { t->directories, t->directories[1] };
        t->m = make_model();
        *state = t;
        return 0;
}

static int on_found(const char *path, const struct stat *st, int type, struct FTW *f) {
        return remove(path);
}

static int teardown(void **state) {
        Tree *t = *state;

        assert_int_equal(nftw(t->path, on_found, 16, FTW_DEPTH | FTW_PHYS), 0);
        model_free(t->m);
        strv_free(t->directories);
        free(t->error);
        free(t);
        return 0;
}

static char *path_of(Tree *t, const char *file) {
        static char path[512];

        snprintf(path, sizeof(path), "%s/%s", t->path, file);
        return path;
}

static void put(Tree *t, const char *file, const char *text) {
        char *path = path_of(t, file), *slash = strrchr(path, '/');
        FILE *f;

        *slash = 0;
        assert_int_equal(mkdir_p(path, 0755), 0);
        *slash = '/';
        f = fopen(path, "we");
        assert_non_null(f);
        fputs(text, f);
        fclose(f);
}

static bool there(Tree *t, const char *file) {
        struct stat st;

        return lstat(path_of(t, file), &st) >= 0;
}

static void holds(Tree *t, const char *file, const char *wanted) {
        char text[8192];
        int fd = open(path_of(t, file), O_RDONLY | O_CLOEXEC);
        ssize_t n;
        char *p;

        assert_true(fd >= 0);
        n = read(fd, text, sizeof(text) - 1);
        assert_true(n > 0);
        close(fd);
        text[n] = 0;
        p = strstr(text, "\n\n");
        assert_non_null(p);
        assert_string_equal(p + 2, wanted);
}

/* settings: key, value, key, …, NULL; a NULL value is none. */
static int edit(Tree *t, const char *name, bool runtime, const char *const *settings) {
        _cleanup_(queue_edit_freep) QueueEdit *e = new0(QueueEdit, 1);
        int r;

        assert_non_null(e);
        e->name = strdup(name);
        e->runtime = runtime;
        for (; *settings; settings += 2) {
                QueueSetting *s = queue_edit_add(e, settings[0]);

                assert_non_null(s);
                if (settings[1])
                        assert_int_equal(strv_extend(&s->values, settings[1]), 0);
        }
        t->error = mfree(t->error);
        r = queue_edit_check(e, &t->error);
        return r < 0 ? r : queue_file_set(&t->places, e, &t->error);
}

#define SET(t, name, runtime, ...) edit(t, name, runtime, (const char *const[]) { __VA_ARGS__, NULL, NULL })

static const char *setting(Tree *t, const char *name, const char *key) {
        _cleanup_free_ char *error = NULL;
        const char *found = NULL;
        Queue *q;

        assert_int_equal(config_load_queue(t->m, t->directories, name, &error), 0);
        if (error)
                fail_msg("%s", error);
        q = model_queue(t->m, name);
        assert_non_null(q);
        for (char **s = q->policy.settings; s && *s; s += 3)
                if (streq(*s, key))
                        found = s[1];
        return found;
}

static void test_new_queue(void **state) {
        Tree *t = *state;

        assert_int_equal(SET(t, "gpu-train", false, "Slots", "2", "MemoryMax", "1G", "Service.Nice", "5", "Queue.AllowUsers", "*"), 0);
        holds(t, "etc/queues/gpu-train.queue", "[Queue]\nSlots=2\nAllowUsers=*\n\n[Slice]\nMemoryMax=1G\n\n[Service]\nNice=5\n");
        assert_int_equal(edit(t, "plain", true, (const char *const[]) { NULL }), 0);
        holds(t, "run/queues/plain.queue", "[Queue]\n");
        assert_int_equal(config_load_queue(t->m, t->directories, "plain", &t->error), 0);
        assert_true(model_queue(t->m, "plain")->configured); /* an empty file would mask it */
        assert_int_equal(edit(t, "plain", true, (const char *const[]) { NULL }), -EINVAL);
}

static void test_merge_and_reset(void **state) {
        Tree *t = *state;

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=4\nAllowUsers=a b\n[Slice]\nMemoryMax=1G\n");
        assert_int_equal(SET(t, "q", false, "Slots", "5", "AllowUsers", "c"), 0);
        assert_int_equal(SET(t, "q", false, "MemoryMax", "", "TimeoutSec", "1h"), 0);
        assert_int_equal(SET(t, "q", false, "Slots", "6"), 0);
        holds(t, "etc/queues/q.queue.d/50-jobmill-set.conf",
              "[Queue]\nAllowUsers=\nAllowUsers=c\nTimeoutSec=1h\nSlots=6\n\n[Slice]\nMemoryMax=\n");
        assert_string_equal(setting(t, "q", "Slots"), "6");
        assert_string_equal(setting(t, "q", "AllowUsers"), "c");
        assert_null(setting(t, "q", "MemoryMax"));
        assert_string_equal(setting(t, "q", "TimeoutSec"), "1h");
}

static void test_runtime_and_persistent(void **state) {
        Tree *t = *state;

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=4\n");
        assert_int_equal(SET(t, "q", false, "Slots", "5"), 0);
        assert_int_equal(SET(t, "q", true, "Slots", "6", "TimeoutSec", "1h"), 0);
        assert_string_equal(setting(t, "q", "Slots"), "6");
        assert_int_equal(SET(t, "q", false, "Slots", "7"), 0);
        assert_string_equal(setting(t, "q", "Slots"), "7");
        holds(t, "run/queues/q.queue.d/51-jobmill-set-runtime.conf", "[Queue]\nTimeoutSec=1h\n");
        assert_int_equal(SET(t, "q", false, "TimeoutSec", "2h"), 0);
        assert_false(there(t, "run/queues/q.queue.d/51-jobmill-set-runtime.conf"));
}

static void test_in_the_way(void **state) {
        Tree *t = *state;

        put(t, "etc/queues/q.queue", "[Queue]\nSlots=4\n");
        put(t, "usr/queues/q.queue.d/90-x.conf", "\n[Queue]\nSlots=9\n");
        assert_int_equal(SET(t, "q", false, "Slots", "5"), -EBADMSG);
        assert_non_null(strstr(t->error, "90-x.conf:3"));
        assert_false(there(t, "etc/queues/q.queue.d"));
        assert_int_equal(SET(t, "q", true, "Slots", "5"), -EBADMSG);
        assert_int_equal(SET(t, "q", false, "TimeoutSec", "1h"), 0);
        put(t, "etc/queues/q.queue.d/51-jobmill-set-runtime.conf", "[Queue]\n");
        assert_int_equal(SET(t, "q", true, "StopTimeoutSec", "1h"), -EBADMSG);
        assert_non_null(strstr(t->error, "hides"));
        put(t, "etc/queues/q.queue", "");
        assert_int_equal(SET(t, "q", false, "TimeoutSec", "1h"), -EBADMSG);
        assert_non_null(strstr(t->error, "masked"));
        t->places.runtime = NULL;
        assert_int_equal(SET(t, "new", true, "Slots", "1"), -EBADMSG);
}

/* Where its own file has a namesake in a lower directory, that one is not read any more. */
static void test_namesake_below(void **state) {
        Tree *t = *state;

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=4\n");
        put(t, "usr/queues/q.queue.d/50-jobmill-set.conf", "[Queue]\nTimeoutSec=1h\n");
        assert_int_equal(SET(t, "q", false, "Slots", "5"), 0);
        assert_null(setting(t, "q", "TimeoutSec"));
        assert_string_equal(setting(t, "q", "Slots"), "5");
}

/* Any clean text, and the same comes back; what would not is refused. */
static void test_round_trip(void **state) {
        static const char *const pieces[] = { " ", "#", ";", "[", "]", "=", "%", "\"", "'", "\\", "\\\\", "a", "Z", "0", ",", "\xc3\xa9",
                                              "\xe5\x88\x97", "\xef\xbb\xbf", "$", "*", "~", "-", "_", "/", "Slots=1", "[Queue]" };
        Tree *t = *state;
        unsigned n = 0;

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=4\n");
        srand(4711);
        for (unsigned i = 0; i < 2000; i++) {
                char value[256] = "", *begin = value, *end;
                const char *found;

                for (int k = rand() % 12; k >= 0; k--)
                        strcat(value, pieces[(size_t) rand() % ELEMENTSOF(pieces)]);
                begin += strspn(begin, " ");
                for (end = strchr(begin, 0); end > begin && end[-1] == ' ';)
                        *--end = 0;
                if (SET(t, "q", i % 2, "AllowGroups", value) == -EINVAL) {
                        assert_true(end[-1] == '\\');
                        continue;
                }
                found = setting(t, "q", "AllowGroups");
                assert_string_equal(strempty(found), begin);
                n++;
        }
        assert_in_range(n, 1000, 2000);
}

static void test_long_values(void **state) {
        _cleanup_free_ char *value = malloc(QUEUE_SETTING_SIZE_MAX + 2);
        Tree *t = *state;

        memset(value, 'x', QUEUE_SETTING_SIZE_MAX + 1);
        value[QUEUE_SETTING_SIZE_MAX + 1] = 0;
        assert_int_equal(SET(t, "q", false, "AllowGroups", value), -EINVAL);
        assert_non_null(strstr(t->error, "AllowGroups"));
        value[QUEUE_SETTING_SIZE_MAX] = 0;
        assert_int_equal(SET(t, "q", false, "AllowGroups", value), 0);
        assert_string_equal(setting(t, "q", "AllowGroups"), value);
}

/* A file that grew beyond all measure is not written. */
static void test_large_file(void **state) {
        _cleanup_free_ char *text = malloc(QUEUE_FILE_SIZE_MAX + 512);
        Tree *t = *state;
        size_t n = 0;

        n += sprintf(text, "[Queue]\n");
        while (n < QUEUE_FILE_SIZE_MAX)
                n += sprintf(text + n, "AllowGroups=%0200d\n", 0); /* few and long: lists are added to one by one */
        put(t, "etc/queues/q.queue", "[Queue]\nSlots=1\n");
        put(t, "etc/queues/q.queue.d/50-jobmill-set.conf", text);
        assert_int_equal(SET(t, "q", false, "Slots", "2"), -EINVAL);
        assert_non_null(strstr(t->error, "larger"));
}

static void test_links(void **state) {
        Tree *t = *state;
        char link_path[512];

        put(t, "outside/x", "precious");
        put(t, "etc/queues/q.queue", "[Queue]\nSlots=4\n");
        strcpy(link_path, path_of(t, "etc/queues/q.queue.d"));
        assert_int_equal(symlink(path_of(t, "outside"), link_path), 0);
        assert_int_equal(SET(t, "q", false, "Slots", "5"), -EIO);
        assert_false(there(t, "outside/50-jobmill-set.conf"));
        assert_int_equal(queue_file_remove(&t->places, "q", &t->error), 0);
        assert_true(there(t, "outside/x"));
        assert_false(there(t, "etc/queues/q.queue.d") || there(t, "etc/queues/q.queue"));
}

static void test_remove(void **state) {
        Tree *t = *state;

        assert_int_equal(queue_file_remove(&t->places, "q", &t->error), -ENOENT);
        assert_int_equal(SET(t, "q", false, "Slots", "1"), 0);
        assert_int_equal(SET(t, "q", false, "Slots", "2"), 0);
        assert_int_equal(SET(t, "q", true, "Slots", "3"), 0);
        put(t, "etc/queues/.q.queue.d.removed/left.conf", "of a removal that was interrupted");
        assert_int_equal(queue_file_remove(&t->places, "q", &t->error), 0);
        for (const char *const *f = (const char *const[]) { "etc/queues/q.queue", "etc/queues/q.queue.d", "run/queues/q.queue.d",
                                                            "etc/queues/.q.queue.d.removed", "etc/queues/.q.queue.removed", NULL };
             *f; f++)
                assert_false(there(t, *f));

        put(t, "usr/queues/q.queue", "[Queue]\nSlots=4\n");
        assert_int_equal(SET(t, "q", false, "Slots", "2"), 0);
        t->error = mfree(t->error);
        assert_int_equal(queue_file_remove(&t->places, "q", &t->error), -EPERM);
        assert_non_null(strstr(t->error, "usr/queues/q.queue"));
        assert_true(there(t, "etc/queues/q.queue.d/50-jobmill-set.conf"));
}

/* What a crash may leave, in either place. */
static void test_recover(void **state) {
        Tree *t = *state;

        put(t, "etc/queues/.a.queue.removed", "[Queue]\nSlots=1\n");
        put(t, "etc/queues/a.queue.d/50-more.conf", "[Queue]\nTimeoutSec=5\n");
        put(t, "run/queues/a.queue.d/51-more.conf", "[Queue]\nTimeoutSec=6\n");
        put(t, "run/queues/.b.queue.d.removed/50-more.conf", "[Queue]\nTimeoutSec=5\n");
        put(t, "etc/queues/.c.queue.removed", "[Queue]\nSlots=1\n");
        put(t, "etc/queues/c.queue", "[Queue]\nSlots=2\n");
        put(t, "etc/queues/c.queue.d/50-more.conf", "[Queue]\nTimeoutSec=5\n");
        put(t, "etc/queues/.jobmill-set.tmp", "[Que");
        put(t, "etc/queues/c.queue.d/.jobmill-set.tmp", "[Que");
        queue_files_recover(&t->places);
        for (const char *const *f = (const char *const[]) {
                             "etc/queues/.a.queue.removed", "etc/queues/a.queue.d", "run/queues/a.queue.d", "run/queues/.b.queue.d.removed",
                             "etc/queues/.c.queue.removed", "etc/queues/.jobmill-set.tmp", "etc/queues/c.queue.d/.jobmill-set.tmp", NULL };
             *f; f++)
                assert_false(there(t, *f));
        assert_true(there(t, "etc/queues/c.queue") && there(t, "etc/queues/c.queue.d/50-more.conf"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_new_queue, setup, teardown),
                cmocka_unit_test_setup_teardown(test_merge_and_reset, setup, teardown),
                cmocka_unit_test_setup_teardown(test_runtime_and_persistent, setup, teardown),
                cmocka_unit_test_setup_teardown(test_in_the_way, setup, teardown),
                cmocka_unit_test_setup_teardown(test_namesake_below, setup, teardown),
                cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
                cmocka_unit_test_setup_teardown(test_long_values, setup, teardown),
                cmocka_unit_test_setup_teardown(test_large_file, setup, teardown),
                cmocka_unit_test_setup_teardown(test_links, setup, teardown),
                cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
                cmocka_unit_test_setup_teardown(test_recover, setup, teardown),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
