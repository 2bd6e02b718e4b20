/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The folder is root's (0711), so nobody can put anything in the way of a name; only the runner of a pool opens its jobs' files by it, a job
 * its streams as /dev/stdout. But the files are their owner's, who can do to them whatever he likes: so their size is no promise (he may truncate,
 * write anywhere, allocate), and no open() of them may wait, as for a lease of his: O_NONBLOCK. */

#include "unit/spool.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "queue/verdict.h"
#include "unit/attempt-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define BLOCK 4096U /* a part of a page cannot be given back */

static const char *const stream_names[_SPOOL_STREAM_MAX] = { "stdout", "stderr" };

static char *spool_folder(const char *run_path) {
        char *p;

        return asprintf(&p, "%s/spool", run_path) < 0 ? NULL : p;
}

static char *spool_path(const char *run_path, uint64_t job, uint32_t attempt, SpoolStream stream) {
        char *p;

        return asprintf(&p, "%s/spool/%" PRIu64 "-%" PRIu32 ".%s", run_path, job, attempt, stream_names[stream]) < 0 ? NULL : p;
}

/* ---- making them ---- */

int spool_prepare(const char *run_path) {
        _cleanup_free_ char *path = spool_folder(run_path);

        if (!path)
                return -ENOMEM;
        return mkdir(path, 0711) < 0 && errno != EEXIST ? -errno : 0;
}

bool spool_is_mounted(const char *run_path) {
        _cleanup_free_ char *path = spool_folder(run_path);
        struct stat spool, run;

        return path && stat(path, &spool) >= 0 && stat(run_path, &run) >= 0 && spool.st_dev != run.st_dev;
}

bool spool_available(const char *run_path, uint64_t *ret) {
        _cleanup_free_ char *path = spool_folder(run_path);
        struct statvfs st;

        if (!path || !spool_is_mounted(run_path) || statvfs(path, &st) < 0)
                return false;
        *ret = (uint64_t) st.f_bavail * st.f_frsize;
        return true;
}

bool spool_is_half_full(const char *run_path) {
        _cleanup_free_ char *path = spool_folder(run_path);
        struct statvfs st;

        return path && spool_is_mounted(run_path) && statvfs(path, &st) >= 0 && st.f_bavail <= st.f_blocks / 2;
}

static int open_one(const char *path, uint32_t owner) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

        if (fd < 0)
                return -errno;
        CRASH_POINT("spool-made");
        if (owner != UINT32_MAX && fchown(fd, owner, (gid_t) -1) < 0)
                return -errno;
        if (fcntl(fd, F_SETFL, O_APPEND) < 0) /* the job gets it as a shell would give it */
                return -errno;
        return TAKE_FD(fd);
}

int spool_open(const char *run_path, const Attempt *a, uint32_t owner, int ret[static _SPOOL_STREAM_MAX]) {
        int r;

        r = spool_prepare(run_path);
        for (SpoolStream i = 0; i < _SPOOL_STREAM_MAX; i++) {
                _cleanup_free_ char *path = r < 0 ? NULL : spool_path(run_path, a->job_id, a->number, i);

                r = r < 0 ? r : path ? open_one(path, owner) : -ENOMEM;
                ret[i] = r < 0 ? -EBADF : r;
        }
        if (r >= 0)
                return 0;
        for (SpoolStream i = 0; i < _SPOOL_STREAM_MAX; i++)
                ret[i] = safe_close(ret[i]);
        return r;
}

/* ---- reading them ---- */

int spool_open_stream(const char *run_path, uint64_t job, uint32_t attempt, SpoolStream stream) {
        _cleanup_free_ char *path = spool_path(run_path, job, attempt, stream);
        int fd;

        if (!path)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

typedef struct Tail {
        char *data;
        size_t n;
        bool whole; /* from the stream's begin on */
} Tail;

static void tail_done(Tail *t) {
        free(t->data);
}

/* At most max bytes from the end. */
static int read_tail(const char *run_path, const Attempt *a, SpoolStream stream, size_t max, Tail *ret) {
        _cleanup_close_ int fd = spool_open_stream(run_path, a->job_id, a->number, stream);
        _cleanup_free_ char *data = NULL;
        struct stat st;
        size_t n = 0;

        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        max = MIN(max, (size_t) st.st_size);
        data = malloc(max + 1);
        if (!data)
                return -ENOMEM;
        while (n < max) {
                ssize_t l = pread(fd, data + n, max - n, st.st_size - max + n);
                if (l < 0)
                        return -errno;
                if (l == 0) /* truncated meanwhile */
                        break;
                n += l;
        }
        data[n] = 0; /* for who reads it as a string, to its end */
        *ret = (Tail) { TAKE_PTR(data), n, (size_t) st.st_size == max };
        return 0;
}

static int take_stdout(const Tail *t, size_t tail_max, Outcome *o) {
        size_t from = t->n > VERDICT_MAX ? t->n - VERDICT_MAX : 0;
        Verdict v = { .at = t->n - from, .success = -1 };

        /* The byte before tells whether the first one begins a line. */
        if (verdict_find(t->data + from, t->n - from, from == 0 ? t->whole : t->data[from - 1] == '\n', &v)) {
                o->verdict = strndup(t->data + from + v.at, v.size);
                if (!o->verdict)
                        return -ENOMEM;
        }
        o->success = v.success;
        o->io_stdout = verdict_tail(t->data, from + v.at, tail_max);
        return o->io_stdout ? 0 : -ENOMEM;
}

int spool_capture(const char *run_path, const Attempt *a, size_t tail_max, Outcome *o) {
        _cleanup_(tail_done) Tail out = {}, err = {};
        int r;

        r = read_tail(run_path, a, SPOOL_STDOUT, VERDICT_MAX + 1 + tail_max, &out);
        if (r >= 0)
                r = take_stdout(&out, tail_max, o);
        if (r >= 0)
                r = read_tail(run_path, a, SPOOL_STDERR, tail_max, &err);
        if (r < 0)
                return r;
        o->io_stderr = verdict_tail(err.data, err.n, tail_max);
        return o->io_stderr ? 0 : -ENOMEM;
}

/* ---- keeping them small ---- */

static off_t head_of(const struct stat *st, uint64_t max) {
        return (uint64_t) st->st_size > max ? (st->st_size - (off_t) max) / BLOCK * BLOCK : 0;
}

/* What was written since a moment ago, while we were at it, is given back the next time: it does not count as held. */
static int trim_one(const char *path, uint64_t max, uint64_t *ret_held) {
        _cleanup_close_ int fd = -EBADF;
        struct stat st;
        uint64_t more;
        off_t head;

        if (stat(path, &st) < 0)
                return -errno;
        *ret_held = (uint64_t) st.st_blocks * 512;
        head = head_of(&st, max);
        if (*ret_held <= max + BLOCK || head == 0)
                return 0;
        fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        CRASH_POINT("spool-trim");
        if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, head) < 0 || fstat(fd, &st) < 0)
                return -errno;
        more = head_of(&st, max) > head ? head_of(&st, max) - head : 0;
        *ret_held = (uint64_t) st.st_blocks * 512;
        *ret_held -= MIN(more, *ret_held);
        return 0;
}

int spool_trim(const char *run_path, const Attempt *a, uint64_t max, uint64_t ret_held[static _SPOOL_STREAM_MAX]) {
        int r = 0;

        for (SpoolStream i = 0; i < _SPOOL_STREAM_MAX; i++) {
                _cleanup_free_ char *path = spool_path(run_path, a->job_id, a->number, i);
                int k;

                ret_held[i] = 0;
                k = path ? trim_one(path, max, &ret_held[i]) : -ENOMEM;
                r = r < 0 ? r : k;
        }
        return r;
}

/* ---- removing them ---- */

void spool_remove(const char *run_path, const Attempt *a) {
        for (SpoolStream i = 0; i < _SPOOL_STREAM_MAX; i++) {
                _cleanup_free_ char *path = spool_path(run_path, a->job_id, a->number, i);

                if (path)
                        (void) unlink(path);
        }
        CRASH_POINT("spool-removed");
}

Attempt *spool_attempt(const Model *m, const char *file) {
        char attempt[32];

        (void) snprintf(attempt, sizeof(attempt), "%.*s", (int) strcspn(file, "."), file);
        return attempt_of_folder(m, attempt);
}

void spool_sweep(const char *run_path, const Model *m) {
        _cleanup_free_ char *path = spool_folder(run_path);
        DIR *d = path ? opendir(path) : NULL;

        if (!d) {
                if (errno != ENOENT)
                        log_warning_errno(-errno, "Failed to look into %s, ignoring: %m", strempty(path));
                return;
        }
        for (struct dirent *e; (e = readdir(d));)
                if (e->d_name[0] != '.' && !spool_attempt(m, e->d_name))
                        (void) unlinkat(dirfd(d), e->d_name, 0);
        (void) closedir(d);
}
