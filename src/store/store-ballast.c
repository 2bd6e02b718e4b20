/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ballast: a file beside the store that does nothing but take up room. When the disk is full it is given up, so that what became
 * of running jobs can still be recorded; when there is room it is made again. */

#include "base/crash-point.h"
#include "store/store-internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int ballast_open(Store *s, int flags) {
        _cleanup_free_ char *path = NULL;
        int fd;

        if (asprintf(&path, "%s/ballast", s->folder) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0600);
        return fd < 0 ? -errno : fd;
}

/* The file stays, empty: its room is free when this returns, also where a file system frees that of deleted files later. */
static bool ballast_empty(int fd) {
        bool given;

        CRASH_POINT("ballast-give");
        given = ftruncate(fd, 0) >= 0 && fsync(fd) >= 0;
        CRASH_POINT("ballast-given");
        return given;
}

static bool ballast_is_whole(int fd) {
        struct stat st;

        return fstat(fd, &st) >= 0 && S_ISREG(st.st_mode) && st.st_size == STORE_BALLAST_SIZE &&
               st.st_blocks * 512 >= STORE_BALLAST_SIZE;
}

bool store_ballast_is_kept(Store *s) {
        _cleanup_close_ int fd = s->folder ? ballast_open(s, 0) : -EBADF;

        return !s->folder || (fd >= 0 && ballast_is_whole(fd));
}

int store_ballast_make(Store *s) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (!s->folder)
                return 0;
        fd = ballast_open(s, O_CREAT);
        if (fd < 0)
                return store_set_error(s, fd, "Cannot make the file ballast: %s", strerror(-fd));
        if (ballast_is_whole(fd))
                return 0;
        CRASH_POINT("ballast-make");
        r = posix_fallocate(fd, 0, STORE_BALLAST_ROOM);
        CRASH_POINT("ballast-made");
        if (r == 0)
                return ftruncate(fd, STORE_BALLAST_SIZE) < 0 || fsync(fd) < 0 ? -errno : 0;
        (void) ballast_empty(fd); /* not half of it */
        return store_set_error(s, -r, "Cannot make the file ballast: %s", strerror(r));
}

bool store_ballast_give(Store *s) {
        _cleanup_close_ int fd = s->folder ? ballast_open(s, 0) : -EBADF;
        struct stat st;

        return fd >= 0 && fstat(fd, &st) >= 0 && st.st_blocks > 0 && ballast_empty(fd);
}
