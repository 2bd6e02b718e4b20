/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The places of queue files on the disk, and removing all files of a queue. They are renamed first, so that either all of them
 * are gone or none. A removal that a crash interrupted is brought to its end at the next start: half of the files may be a queue
 * without its cap. */

#include "daemon/queue-write.h"

#include "base/conf-file.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "queue/spec.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

/* What the disk said. */
int queue_refuse_errno(char **ret_error, int r, const char *what, const char *path) {
        if (r == -ENOMEM)
                return r;
        if (r == -ELOOP || r == -ENOTDIR)
                return spec_error(ret_error, -EIO, "Cannot %s %s: a symbolic link, or no directory, is in the way", what, path);
        return spec_error(ret_error, r == -EDQUOT || r == -ENOSPC ? -ENOSPC : -EIO, "Cannot %s %s: %s", what, path, strerror(-r));
}

int mkdir_p(const char *path, mode_t mode) {
        _cleanup_free_ char *copy = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = strchr(copy + 1, '/'); p; p = strchr(p + 1, '/')) {
                *p = 0;
                if (mkdir(copy, 0755) < 0 && errno != EEXIST)
                        return -errno;
                *p = '/';
        }
        return mkdir(copy, mode) < 0 && errno != EEXIST ? -errno : 0;
}

/* A directory below another one, made where there is none. Everybody may read it, whatever our umask is. */
int directory_open_below(int parent, const char *name, bool make) {
        _cleanup_close_ int fd = -EBADF;
        bool made = false;

        if (make) {
                made = mkdirat(parent, name, 0755) >= 0;
                if (!made && errno != EEXIST)
                        return -errno;
        }
        fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || (made && (fchmod(fd, 0755) < 0 || fsync(parent) < 0)))
                return -errno;
        return TAKE_FD(fd);
}

int queue_directory_open(const char *root, bool make) {
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (make) {
                r = mkdir_p(root, 0755);
                if (r < 0)
                        return r;
        }
        fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : directory_open_below(fd, "queues", make);
}

/* Hidden, main file and drop-ins are none any more, and can still be brought back. */
typedef struct Removal {
        int fd; /* of a directory "queues"; -EBADF: there is none */
        char *names[2], *hidden[2];
        bool moved[2];
} Removal;

static void removal_done(Removal *x) {
        for (size_t i = 0; i < 2; i++) {
                free(x->names[i]);
                free(x->hidden[i]);
        }
        x->fd = safe_close(x->fd);
}

/* Also what is not in it: it is not ours, or already gone. */
void remove_below(int parent, const char *name) {
        _cleanup_close_ int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct dirent *de;
        DIR *dir;

        if (fd < 0) {
                (void) unlinkat(parent, name, 0);
                return;
        }
        dir = fdopendir(fd);
        if (!dir)
                return;
        TAKE_FD(fd);
        while ((de = readdir(dir)))
                if (!streq(de->d_name, ".") && !streq(de->d_name, ".."))
                        (void) unlinkat(dirfd(dir), de->d_name, 0);
        closedir(dir);
        CRASH_POINT("queue-folder-emptied");
        (void) unlinkat(parent, name, AT_REMOVEDIR);
}

static int removal_name(Removal *x, const char *name) {
        for (size_t i = 0; i < 2; i++)
                if (asprintf(x->names + i, "%s.queue%s", name, i == 0 ? "" : ".d") < 0 ||
                    asprintf(x->hidden + i, ".%s.removed", x->names[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int removal_begin(Removal *x, const char *root, const char *name) {
        int r;

        *x = (Removal) { .fd = queue_directory_open(root, false) };
        if (x->fd < 0)
                return x->fd == -ENOENT ? 0 : x->fd;
        r = removal_name(x, name);
        if (r < 0)
                return r;
        for (size_t i = 0; i < 2; i++) {
                remove_below(x->fd, x->hidden[i]); /* of one that was interrupted */
                CRASH_POINT("queue-hide");
                x->moved[i] = renameat(x->fd, x->names[i], x->fd, x->hidden[i]) >= 0;
                if (!x->moved[i] && errno != ENOENT)
                        return -errno;
        }
        return fsync(x->fd) < 0 ? -errno : 0;
}

static void removal_end(Removal *x, bool success) {
        for (size_t i = 0; x->fd >= 0 && i < 2; i++)
                if (x->moved[i] && success)
                        remove_below(x->fd, x->hidden[i]);
                else if (x->moved[i])
                        (void) renameat(x->fd, x->hidden[i], x->fd, x->names[i]);
        removal_done(x);
}

/* Files in other places than the two that are ours to write. */
static int check_removable(const QueuePlaces *p, const char *name, char **ret_error) {
        _cleanup_strv_free_ char **others = NULL, **files = NULL;
        _cleanup_free_ char *object = NULL;
        int r;

        if (asprintf(&object, "queues/%s.queue", name) < 0)
                return object = NULL, -ENOMEM;
        STRV_FOREACH(d, p->directories)
                if (d != p->directories && !streq_ptr(*d, p->runtime)) {
                        r = strv_extend(&others, *d);
                        if (r < 0)
                                return r;
                }
        r = others ? conf_files_for(others, object, &files) : 0;
        if (r < 0)
                return queue_refuse_errno(ret_error, r, "read the files of", object);
        if (strv_length(files) == 0)
                return 0;
        return spec_error(ret_error, -EPERM, "Queue '%s' is part of what is installed (%s). To do without it, mask it: ln -s /dev/null %s/%s",
                      name, *files, *p->directories, object);
}

int queue_file_remove(const QueuePlaces *p, const char *name, char **ret_error) {
        const char *roots[] = { *p->directories, p->runtime };
        Removal removals[2] = { { .fd = -EBADF }, { .fd = -EBADF } };
        bool any = false;
        int r;

        r = check_removable(p, name, ret_error);
        if (r < 0)
                return r;
        for (size_t i = 0; r >= 0 && i < 2; i++) {
                if (!roots[i])
                        continue;
                r = removal_begin(removals + i, roots[i], name);
                any = any || removals[i].moved[0] || removals[i].moved[1];
                if (r < 0)
                        r = queue_refuse_errno(ret_error, r, "remove files of the queue from", roots[i]);
        }
        CRASH_POINT("queue-hidden");
        for (size_t i = 0; i < 2; i++)
                removal_end(removals + i, r >= 0);
        CRASH_POINT("queue-removed");
        if (r >= 0 && !any)
                return spec_error(ret_error, -ENOENT, "Queue '%s' has no file", name);
        return r;
}

/* ---- after a crash ---- */

char *queue_of_hidden(const char *file) {
        const char *end = endswith(file, ".queue.removed") ?: endswith(file, ".queue.d.removed");
        _cleanup_free_ char *name = file[0] == '.' && end ? strndup(file + 1, end - file - 1) : NULL;

        return name && queue_name_is_valid(name) ? TAKE_PTR(name) : NULL;
}

/* Drops what was never put in its place, and finds the queues that were being removed. */
static int recover_root(const char *root, char ***names) {
        _cleanup_close_ int fd = queue_directory_open(root, false);
        struct dirent *de;
        DIR *dir;
        int r = 0;

        dir = fd < 0 ? NULL : fdopendir(fd);
        if (!dir)
                return 0;
        TAKE_FD(fd);
        (void) unlinkat(dirfd(dir), QUEUE_TEMPORARY, 0);
        while (r >= 0 && (de = readdir(dir))) {
                _cleanup_free_ char *name = queue_of_hidden(de->d_name);

                if (name)
                        r = strv_contains(*names, name) ? 0 : strv_extend(names, name);
                else if (endswith(de->d_name, ".queue.d")) {
                        _cleanup_close_ int folder = directory_open_below(dirfd(dir), de->d_name, false);

                        if (folder >= 0)
                                (void) unlinkat(folder, QUEUE_TEMPORARY, 0);
                }
        }
        closedir(dir);
        return r;
}

/* Unless somebody has made it anew meanwhile. */
static void recover_removal(const char *const roots[], size_t n, const char *name) {
        Removal removals[2] = { { .fd = -EBADF }, { .fd = -EBADF } };
        bool again = false, hidden = true;

        for (size_t i = 0; i < n && hidden; i++) {
                hidden = removal_name(removals + i, name) >= 0;
                removals[i].fd = queue_directory_open(roots[i], false);
                again = again || (hidden && removals[i].fd >= 0 && faccessat(removals[i].fd, removals[i].names[0], F_OK, 0) >= 0);
        }
        for (size_t i = 0; i < n; i++) {
                if (hidden && !again && removals[i].fd >= 0)
                        remove_below(removals[i].fd, removals[i].names[1]);
                for (size_t k = 0; k < 2 && hidden && removals[i].fd >= 0; k++)
                        remove_below(removals[i].fd, removals[i].hidden[k]);
                removal_done(removals + i);
        }
        log_notice("The removal of queue %s was interrupted, and is done now.", name);
}

void queue_files_recover(const QueuePlaces *p) {
        const char *roots[] = { *p->directories, p->runtime };
        size_t n = p->runtime ? 2 : 1;
        _cleanup_strv_free_ char **names = NULL;

        for (size_t i = 0; i < n; i++)
                if (recover_root(roots[i], &names) < 0)
                        log_oom();
        STRV_FOREACH(name, names)
                recover_removal(roots, n, *name);
}
