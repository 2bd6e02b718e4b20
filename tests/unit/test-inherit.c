/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a job takes over of its submitter's environment, and the look-up of its command. */

#include "base/strv.h"
#include "ctl/inherit.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

static const char *const environment[] = {
        "PATH=/bin",           "HOME=/root",         "PWD=/root", "TERM=xterm",
        "SSH_AUTH_SOCK=/x",    "SSHFS=kept",         "SHLVL=1",   "_=/bin/x",
        "XDG_SESSION_ID=3",    "XDG_RUNTIME_DIR=/r", "EMPTY=",    "EQUALS=a=b",
        "LINES2=kept",         "BAD-NAME=1",         "1ST=1",     "LATIN=\xe9",
        "BASH_FUNC_f%%=() {}", "LINE=one\ntwo",      "junk",      NULL,
};

/* set: words without blanks; expect and left_out: joined by ','. */
static void
check(const char *mode, const char *set, bool keep_pwd, int r, const char *expect, const char *left_out) {
        _cleanup_strv_free_ char **l = NULL, **left = NULL, **s = strv_split(set, " ");
        _cleanup_free_ char *joined = NULL, *joined_left = NULL;
        const char *bad = NULL;

        assert_int_equal(
                        inherit_environment((char *const *) environment, mode, s, keep_pwd, &l, &left, &bad),
                        r);
        if (r < 0) {
                assert_string_equal(bad, expect);
                return;
        }
        joined = strv_join(l, ",");
        joined_left = strv_join(left, ",");
        assert_string_equal(joined, expect);
        assert_string_equal(joined_left, left_out);
}

static void test_environment(void **state) {
        check(NULL, "", true, 0,
              "PATH=/bin,HOME=/root,PWD=/root,SSHFS=kept,XDG_RUNTIME_DIR=/"
              "r,EMPTY=,EQUALS=a=b,LINES2=kept,LINE=one\ntwo",
              "BAD-NAME,1ST,LATIN");
        check("none", "", true, 0, "", "");
        check("none", "A=1 PATH EMPTY A=2", true, 0, "A=2,PATH=/bin,EMPTY=", "");
        check("PATH,TERM,NOSUCH", "PATH=/x PATHS=1", true, 0, "PATH=/x,TERM=xterm,PATHS=1", "");
        check("PWD,HOME", "", false, 0, "HOME=/root", "");
        check("PWD,HOME", "", true, 0, "HOME=/root,PWD=/root", "");
        check("LATIN", "", true, 0, "", "LATIN");
}

static void test_environment_bad(void **state) {
        check("none", "NOSUCH", true, -ENXIO, "NOSUCH", NULL);
        check("none", "A=1 B-C=1", true, -EINVAL, "B-C=1", NULL);
        check("none", "=1", true, -EINVAL, "=1", NULL);
        check("none", "LATIN", true, -EINVAL, "LATIN", NULL);
        check("none", "X=\xff", true, -EINVAL, "X=\xff", NULL);
}

static void touch(const char *path, mode_t mode) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

        assert_true(fd >= 0);
}

static void test_command(void **state) {
        char directory[] = "/tmp/test-inherit.XXXXXX", *start = get_current_dir_name();
        _cleanup_free_ char *path = NULL;

        assert_non_null(mkdtemp(directory));
        assert_int_equal(chdir(directory), 0);
        assert_int_equal(mkdir("bin", 0755), 0);
        assert_int_equal(mkdir("bin/folder", 0755), 0);
        touch("bin/program", 0755);
        touch("bin/text", 0644);
        assert_true(asprintf(&path, "/nonexistent:%s/bin", directory) > 0);
        assert_int_equal(chdir("/"), 0);

        assert_int_equal(command_find("program", "/", path), 0);
        assert_int_equal(command_find("nosuch", "/", path), -ENOENT);
        assert_int_equal(command_find("text", "/", path), -EACCES);
        assert_int_equal(command_find("folder", "/", path), -ENOENT);
        assert_int_equal(command_find("", "/", path), -ENOENT);
        assert_int_equal(command_find("bin/program", directory, ""), 0);
        assert_int_equal(command_find("./bin/program", directory, ""), 0);
        assert_int_equal(command_find("bin/program", "/", path), -ENOENT);
        assert_int_equal(command_find("bin/folder", directory, path), -EISDIR);
        assert_int_equal(command_find("/bin/sh", "/nonexistent", ""), 0);
        /* Relative entries of PATH, and the empty one, mean the job's folder. */
        assert_int_equal(command_find("program", directory, "bin"), 0);
        assert_int_equal(command_find("bin", directory, ""), -ENOENT);

        assert_int_equal(chdir(directory), 0);
        unlink("bin/program");
        unlink("bin/text");
        rmdir("bin/folder");
        rmdir("bin");
        assert_int_equal(chdir(start), 0);
        rmdir(directory);
        free(start);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_environment_bad),
                cmocka_unit_test(test_command),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
