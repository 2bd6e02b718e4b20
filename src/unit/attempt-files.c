/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of an attempt on the run-time tmpfs. Names are made of numbers only, the directory is root's (0711), so there is
 * nothing in the way that somebody else could have put there. */

#include "unit/attempt-files.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "queue/environment.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

static char *attempt_path(const char *run_path, const Attempt *a, const char *file) {
        char *p;

        return asprintf(&p, "%s/attempt/%" PRIu64 "-%" PRIu32 "%s", run_path, a->job_id, a->number, file) < 0 ? NULL : p;
}

static int write_file(const char *path, const char *text, size_t size) {
        _cleanup_close_ int fd = -EBADF;

        (void) unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
        if (fd < 0)
                return -errno;
        CRASH_POINT("environment-empty");
        while (size > 0) {
                ssize_t n = write(fd, text, size);
                if (n < 0) {
                        int r = -errno;
                        (void) unlink(path);
                        return r;
                }
                text += n;
                size -= n;
        }
        return 0;
}

int attempt_files_write(const char *run_path, const Attempt *a, const JobSpec *s, char **ret_env_file) {
        _cleanup_free_ char *directory = attempt_path(run_path, a, ""), *path = attempt_path(run_path, a, "/env"),
                            *text = NULL;
        size_t size;
        int r;

        if (!directory || !path)
                return -ENOMEM;
        *ret_env_file = NULL;
        if (!s->environment || !s->environment[0])
                return 0;
        text = environment_file_format(s->environment, &size);
        if (!text)
                return -ENOMEM;
        if (mkdir(directory, 0711) < 0 && errno != EEXIST)
                return -errno;
        CRASH_POINT("environment-before");
        r = write_file(path, text, size);
        CRASH_POINT("environment-after");
        if (r < 0)
                return r;
        *ret_env_file = TAKE_PTR(path);
        return 0;
}

void attempt_files_started(const char *run_path, const Attempt *a) {
        _cleanup_free_ char *path = attempt_path(run_path, a, "/env");

        if (path && unlink(path) >= 0)
                CRASH_POINT("environment-removed");
}

void attempt_files_remove(const char *run_path, const Attempt *a) {
        _cleanup_free_ char *directory = attempt_path(run_path, a, "");

        attempt_files_started(run_path, a);
        if (directory)
                (void) rmdir(directory);
}

static void remove_directory(int parent, const char *name) {
        _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

        if (!d)
                return;
        (void) TAKE_FD(fd);
        for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] != '.')
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        (void) closedir(d);
        CRASH_POINT("leftover-emptied");
        (void) unlinkat(parent, name, AT_REMOVEDIR);
}

Attempt *attempt_of_folder(const Model *m, const char *folder) {
        char unit[300];
        Attempt *a;

        (void) snprintf(unit, sizeof(unit), "jobmill-job-%s.service", folder);
        HASH_FIND_STR(m->attempts, unit, a);
        return a;
}

void attempt_files_sweep(const char *run_path, const Model *m) {
        _cleanup_free_ char *path = NULL;
        DIR *d;

        if (asprintf(&path, "%s/attempt", run_path) < 0)
                return;
        d = opendir(path);
        if (!d) {
                log_warning_errno(-errno, "Failed to look into %s, ignoring: %m", path);
                return;
        }
        for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] != '.' && strlen(e->d_name) < 32 && !attempt_of_folder(m, e->d_name))
                        remove_directory(dirfd(d), e->d_name);
        (void) closedir(d);
}
