/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backup(): a part of the copy in each turn, then a child writes it to where the caller wants it: that may be a pipe that nobody
 * reads, or a file system that hangs. */

#include "api/methods.h"

#include "api/log-child.h"
#include "api/long-calls.h"
#include "base/crash-point.h"
#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct Backup {
        Call *call;
        StoreBackup *store;
        sd_event_source *child;
};

Backup *backup_free(Backup *b) {
        if (!b)
                return NULL;

        b->call->api->n_backups--;
        store_backup_free(b->store);
        sd_event_source_disable_unref(b->child);
        return mfree(b);
}

/* ---- the child ---- */

static int write_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, p, n);

                if (k < 0 && errno == EAGAIN) {
                        (void) poll(&(struct pollfd) { .fd = fd, .events = POLLOUT }, 1, -1);
                        continue;
                }
                if (k < 0 && errno != EINTR)
                        return -errno;
                p += MAX(k, 0);
                n -= MAX(k, 0);
        }
        return 0;
}

static int copy_all(int to, int from) {
        static char buf[256 * 1024];
        ssize_t n;
        int r;

        while ((n = read(from, buf, sizeof(buf))) > 0) {
                r = write_all(to, buf, n);
                if (r < 0)
                        return r;
        }
        if (n < 0 || (fsync(to) < 0 && errno != EINVAL && errno != EROFS)) /* a pipe has nothing to sync */
                return -errno;
        return 0;
}

static void __attribute__((noreturn)) child_run(int to, int from, pid_t parent) {
        int r;

        r = child_detach("jobmilld-backup", &to, &from, parent);
        if (r >= 0)
                r = copy_all(to, from);
        child_exit(-r);
}

static int on_child(sd_event_source *source, const siginfo_t *si, void *userdata) {
        Call *c = ((Backup *) userdata)->call;

        CRASH_POINT("backup-written");
        if (si->si_code == CLD_EXITED && si->si_status == EXIT_SUCCESS) {
                (void) sd_bus_reply_method_return(c->message, NULL);
                log_info("A backup of the store was made for uid %" PRIu32 ".", c->client->uid);
        } else
                (void) sd_bus_reply_method_errorf(c->message, SD_BUS_ERROR_IO_ERROR, "Cannot write the backup: %s",
                                                  si->si_code == CLD_EXITED ? strerror(si->si_status) : "killed");
        CRASH_POINT("backup-answered");
        call_done(c);
        return 0;
}

static int backup_write(Backup *b, int to, int from) {
        pid_t parent = getpid(), pid = fork();
        int r;

        if (pid == 0)
                child_run(to, from, parent);
        if (pid < 0)
                return -errno;
        r = sd_event_add_child(b->call->api->event, &b->child, pid, WEXITED, on_child, b);
        if (r < 0) {
                (void) kill(pid, SIGKILL);
                (void) waitpid(pid, NULL, 0);
                return r;
        }
        return sd_event_source_set_child_process_own(b->child, true);
}

/* ---- the method ---- */

static int backup_begin(Call *c, sd_bus_error *error) {
        Api *a = c->api;
        int r;

        /* It holds what everybody has queued. */
        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r > 0)
                r = call_authorize(c, JOBMILL_ACTION_READ_ALL, NULL, error);
        if (r <= 0)
                return r;
        if (a->n_backups > 0)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "Another backup is being made");
        c->backup = new0(Backup, 1);
        if (!c->backup)
                return -ENOMEM;
        c->backup->call = c;
        a->n_backups++;
        r = store_backup_begin(a->store, &c->backup->store);
        return r < 0 ? api_error_store(a, error, r) : 1;
}

static int handle_backup(Call *c, sd_bus_error *error) {
        _cleanup_close_ int copy = -EBADF;
        int to, flags, r;

        r = sd_bus_message_read_basic(c->message, 'h', &to);
        if (r < 0)
                return r;
        flags = fcntl(to, F_GETFL);
        if (flags < 0 || (flags & O_PATH) || (flags & O_ACCMODE) == O_RDONLY)
                return api_error(error, SD_BUS_ERROR_INVALID_ARGS, "file: cannot be written to");
        if (!c->backup) {
                r = backup_begin(c, error);
                if (r <= 0)
                        return r;
        }
        r = store_backup_step(c->backup->store, &copy);
        if (r < 0)
                return api_error_store(c->api, error, r);
        call_again(c);
        if (r > 0)
                return 0;
        call_put_aside(c, CALL_BACKUP);
        c->backup->store = store_backup_free(c->backup->store);
        r = backup_write(c->backup, to, copy);
        CRASH_POINT("backup-forked");
        return r < 0 ? r : 0;
}
DEFINE_METHOD(backup);
