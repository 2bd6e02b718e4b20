/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* backup: jobmilld writes into a file that this makes, which gets its name when it is whole. */

#include "ctl/ctl.h"
#include "ctl/output.h"

#include <fcntl.h>
#include <unistd.h>

static int call_backup(int fd, const char *name) {
        _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        _cleanup_(sd_bus_error_free) sd_bus_error e = SD_BUS_ERROR_NULL;
        int r;

        r = bus_open(&bus);
        if (r >= 0)
                r = bus_new_call(bus, &call, "Backup");
        if (r < 0)
                return r;
        r = sd_bus_message_append(call, "h", fd);
        if (r < 0)
                return ctl_error(r, "Cannot create a message: %m");
        r = bus_send_within(bus, call, USEC_INFINITY, NULL, &e);
        return r < 0 ? ctl_error(r, "backup: %s: %s", name, bus_error_text(&e, r)) : 0;
}

static int sync_folder(const char *path) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = slash ? strndup(path, MAX(slash - path, (ptrdiff_t) 1)) : strdup(".");
        _cleanup_close_ int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -EBADF;

        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int backup_to_file(const char *path) {
        _cleanup_free_ char *temporary = NULL;
        _cleanup_close_ int fd = -EBADF;
        int r;

        if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
                temporary = NULL;
                return ctl_oom();
        }
        fd = mkostemp(temporary, O_CLOEXEC); /* 0600 */
        if (fd < 0)
                return ctl_error(-errno, "backup: %s: %m", path);
        r = call_backup(fd, path);
        if (r >= 0 && (rename(temporary, path) < 0 || sync_folder(path) < 0))
                r = ctl_error(-errno, "backup: %s: %m", path);
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

int verb_backup(int argc, char **argv) {
        if (arg_host)
                return ctl_error(-EOPNOTSUPP, "backup: not with -H, but: ssh %s jobmill backup -", arg_host);
        if (!streq(*argv, "-"))
                return backup_to_file(*argv);
        if (isatty(STDOUT_FILENO))
                return ctl_error(-EINVAL, "backup: standard output is a terminal");
        return call_backup(STDOUT_FILENO, "-");
}
