/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The start counter: whether an old copy of the store was put back.
 *
 * A number is kept in the store and in the file "starts" beside it, and is raised at each start and at each stop in order: in the
 * store first, and when that is durable in the file. So a crash in between leaves the store ahead, never the file. A file that is
 * ahead means that the store has forgotten what it once knew: jobs that were run since may be run once more. Then nothing is to be
 * started until somebody has looked; that is remembered in the store, for both are even again from here on. */

#include "base/crash-point.h"
#include "base/parse.h"
#include "store/store-internal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define STARTS "starts"
#define STARTS_NEW "starts.new"
#define META_STARTS "starts"
#define STARTS_MAX (UINT64_MAX / 2) /* more is no number of ours */

static int starts_parse(const char *text, uint64_t *ret) {
        return parse_u64(text, ret) < 0 || *ret > STARTS_MAX ? -EINVAL : 0;
}

static uint64_t starts_of_store(Store *s) {
        _cleanup_free_ char *value = NULL;
        uint64_t n;

        return store_get_meta(s, META_STARTS, &value) < 0 || starts_parse(value, &n) < 0 ? 0 : n;
}

/* 0: there is none, or it holds something else. */
static uint64_t starts_of_file(int folder_fd) {
        _cleanup_close_ int fd = openat(folder_fd, STARTS, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        char text[32];
        ssize_t k = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        uint64_t n;

        if (k <= 0)
                return 0;
        text[k] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return starts_parse(text, &n) < 0 ? 0 : n;
}

static int starts_write_file(Store *s, int folder_fd, const char *text) {
        _cleanup_close_ int fd = openat(folder_fd, STARTS_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

        CRASH_POINT("starts-file-before");
        if (fd < 0 || dprintf(fd, "%s\n", text) < 0 || fsync(fd) < 0)
                return store_set_error(s, -errno, "Cannot write the file " STARTS ": %s", strerror(errno));
        CRASH_POINT("starts-file-written");
        if (renameat(folder_fd, STARTS_NEW, folder_fd, STARTS) < 0 || fsync(folder_fd) < 0)
                return store_set_error(s, -errno, "Cannot put the file " STARTS " in its place: %s", strerror(errno));
        CRASH_POINT("starts-file-renamed");
        return 0;
}

static int starts_write(Store *s, int folder_fd, uint64_t n, bool restored) {
        char text[32];
        int r;

        CRASH_POINT("starts-before");
        (void) snprintf(text, sizeof(text), "%" PRIu64, n);
        r = store_begin(s, false);
        if (r < 0)
                return r;
        r = store_meta_write(s, META_STARTS, text);
        if (r >= 0)
                r = store_meta_write(s, STORE_META_RESTORED, restored ? "yes" : NULL);
        if (r >= 0)
                r = store_commit(s);
        if (r < 0) {
                store_rollback(s);
                return r;
        }
        return starts_write_file(s, folder_fd, text);
}

static int starts_raise(Store *s, bool accept, bool *ret_restored) {
        _cleanup_close_ int folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_free_ char *flag = NULL;
        uint64_t in_store, in_file;

        if (folder_fd < 0)
                return store_set_error(s, -errno, "Cannot open %s: %s", s->folder, strerror(errno));
        in_store = starts_of_store(s);
        in_file = starts_of_file(folder_fd);
        *ret_restored = !accept && (in_file > in_store || store_get_meta(s, STORE_META_RESTORED, &flag) >= 0);
        return starts_write(s, folder_fd, MAX(in_store, in_file) + 1, *ret_restored);
}

int store_starts_raise(Store *s, bool *ret_restored) {
        *ret_restored = false;
        return s->folder ? starts_raise(s, false, ret_restored) : 0;
}

int store_starts_accept(Store *s) {
        bool restored;

        return s->folder ? starts_raise(s, true, &restored) : 0;
}

bool store_starts_is_kept(Store *s) {
        _cleanup_close_ int folder_fd = s->folder ? open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        return !s->folder || folder_fd < 0 || starts_of_file(folder_fd) > 0;
}
