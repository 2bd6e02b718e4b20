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

/* For this user to read; PID 1 reads what is root's. */
static int write_file(const char *path, uint32_t owner, const char *text, size_t size) {
        _cleanup_close_ int fd = -EBADF;
        int r = 0;

        (void) unlink(path);
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
        if (fd < 0)
                return -errno;
        CRASH_POINT("environment-empty");
        if (owner != geteuid() && fchown(fd, owner, (gid_t) -1) < 0)
                r = -errno;
        while (r >= 0 && size > 0) {
                ssize_t n = write(fd, text, size);
                if (n < 0)
                        r = -errno;
                else {
                        text += n;
                        size -= n;
                }
        }
        if (r < 0)
                (void) unlink(path);
        return r;
}

static int write_environment(const char *path, const JobSpec *s) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        int r;

        text = environment_file_format(s->environment, &size);
        if (!text)
                return -ENOMEM;
        CRASH_POINT("environment-before");
        r = write_file(path, geteuid(), text, size);
        CRASH_POINT("environment-after");
        return r;
}

char *attempt_inputs_path(const char *run_path, const Attempt *a) {
        return attempt_path(run_path, a, "/inputs.json");
}

static int make_directory(const char *run_path, const Attempt *a) {
        _cleanup_free_ char *directory = attempt_path(run_path, a, "");

        if (!directory)
                return -ENOMEM;
        return mkdir(directory, 0711) < 0 && errno != EEXIST ? -errno : 0;
}

int attempt_inputs_write(const char *run_path, const Attempt *a) {
        _cleanup_free_ char *inputs = attempt_inputs_path(run_path, a);
        int r;

        if (!a->inputs)
                return 0;
        r = inputs ? make_directory(run_path, a) : -ENOMEM;
        if (r >= 0)
                r = write_file(inputs, a->job->owner, a->inputs, strlen(a->inputs));
        CRASH_POINT("inputs-after");
        return r;
}

int attempt_files_write(const char *run_path, const Attempt *a, const JobSpec *s, char **ret_env_file) {
        _cleanup_free_ char *path = attempt_path(run_path, a, "/env");
        int r;

        *ret_env_file = NULL;
        r = path ? attempt_inputs_write(run_path, a) : -ENOMEM;
        if (r < 0 || !s->environment || !s->environment[0])
                return r;
        r = make_directory(run_path, a);
        if (r < 0)
                return r;
        r = write_environment(path, s);
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
        _cleanup_free_ char *directory = attempt_path(run_path, a, ""), *inputs = NULL;

        /* Mostly it is empty by now, or was never made. */
        if (!directory || rmdir(directory) >= 0 || errno == ENOENT)
                return;
        inputs = attempt_inputs_path(run_path, a);
        attempt_files_started(run_path, a);
        if (inputs)
                (void) unlink(inputs);
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
