/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A quota that is used up is a full disk, not an I/O error. A program of its own, for the system's calls are replaced before the first
 * store is opened. */

#include "store-util.h"

static bool used_up;
static ssize_t (*system_pwrite)(int fd, const void *p, size_t n, off_t at);

static ssize_t failing_pwrite(int fd, const void *p, size_t n, off_t at) {
        if (!used_up)
                return system_pwrite(fd, p, n, at);
        errno = EDQUOT;
        return -1;
}

static void test_quota(void **state) {
        static const char *const names[] = { "pwrite64", "pwrite" };
        _cleanup_directory_ Directory d = make_directory();
        _cleanup_(store_closep) Store *s = NULL;
        sqlite3_vfs *v = sqlite3_vfs_find("unix");

        for (size_t i = 0; !system_pwrite && i < ELEMENTSOF(names); i++) {
                system_pwrite = (ssize_t(*)(int, const void *, size_t, off_t)) (void *) v->xGetSystemCall(v, names[i]);
                if (system_pwrite)
                        assert_int_equal(v->xSetSystemCall(v, names[i], (sqlite3_syscall_ptr) (void *) failing_pwrite), SQLITE_OK);
        }
        assert_non_null(system_pwrite);
        assert_int_equal(store_open(d.file, &s, NULL), 0);
        assert_int_equal(store_set_meta(s, "key", "one"), 0);
        used_up = true;
        assert_int_equal(store_set_meta(s, "key", "two"), -ENOSPC);
        used_up = false;
        assert_int_equal(store_set_meta(s, "key", "three"), 0);
        s = store_close(s);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_quota),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
