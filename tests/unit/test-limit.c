/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Limits of a job in a pool, in a folder that stands for its control group: what is written, and which failures are none. */

#include "runner/limit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

static char path[] = "/tmp/test-limit-XXXXXX";
static Cgroups groups;

static const char *const attributes[] = { "pids.max", "cpu.max", "memory.max" };

static int set_up(void **state) {
        assert_non_null(mkdtemp(path));
        groups.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(mkdirat(groups.root, "job", 0755), 0);
        return 0;
}

static int clean_up(void **state) {
        char name[64];

        FOREACH_ELEMENT(a, attributes) {
                (void) snprintf(name, sizeof(name), "job/%s", *a);
                (void) unlinkat(groups.root, name, 0);
                (void) unlinkat(groups.root, name, AT_REMOVEDIR);
        }
        assert_int_equal(unlinkat(groups.root, "job", AT_REMOVEDIR), 0);
        safe_close(groups.root);
        return rmdir(path);
}

static void make(const char *attribute) {
        char name[64];

        (void) snprintf(name, sizeof(name), "job/%s", attribute);
        safe_close(openat(groups.root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
}

static void expect(const char *attribute, const char *text) {
        char name[64], buf[64] = "";
        int fd;

        (void) snprintf(name, sizeof(name), "job/%s", attribute);
        fd = openat(groups.root, name, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0 && read(fd, buf, sizeof(buf) - 1) >= 0);
        safe_close(fd);
        assert_string_equal(buf, text);
}

static void test_limits(void **state) {
        const Limit l[] = { { "MemoryMax", 1 << 20 }, { "TasksMax", INT64_MAX }, { "CPUQuotaPerSecUSec", INT64_MAX } };

        /* Without controllers there is none of these files. */
        assert_int_equal(limits_apply_cgroup(l, 3, &groups, "job"), 0);
        FOREACH_ELEMENT(a, attributes)
                make(*a);
        assert_int_equal(limits_apply_cgroup(l, 3, &groups, "job"), 0);
        expect("memory.max", "1048576");
        expect("pids.max", "max"); /* the kernel takes no more than there can be processes */
        expect("cpu.max", "6553600000 100000");

        make("pids.max");
        assert_int_equal(limits_apply_cgroup((const Limit[]) { { "TasksMax", 20 } }, 1, &groups, "job"), 0);
        expect("pids.max", "20");
}

/* A limit that could not be set is not passed over. */
static void test_failure(void **state) {
        assert_int_equal(unlinkat(groups.root, "job/pids.max", 0), 0);
        assert_int_equal(mkdirat(groups.root, "job/pids.max", 0755), 0);
        assert_int_equal(limits_apply_cgroup((const Limit[]) { { "TasksMax", 20 } }, 1, &groups, "job"), -EISDIR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_failure),
        };

        return cmocka_run_group_tests(tests, set_up, clean_up);
}
