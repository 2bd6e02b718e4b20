/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spools are kept small while jobs write: each time that something is written, but at most each SPOOL_INTERVAL, what is beyond SpoolMax=
 * is given back. Where the kernel does not tell (no inotify watch is to be had) each tick looks. A job that still takes four times as
 * much is killed: it writes where nothing can be given back, or its file system cannot do that. */

#include "unit/units.h"

#include "base/log.h"
#include "unit/spool.h"

#include <sys/inotify.h>

#define SPOOL_INTERVAL (50 * USEC_PER_MSEC)

static void trim(Units *u, Attempt *a) {
        uint64_t max = a->queue->policy.spool_max, held;
        Now now;
        int r;

        r = spool_trim(u->run_path, a, max, &held);
        if (r < 0 && r != -ENOENT)
                log_debug_errno(r, "Failed to make the spool of %s smaller: %m", a->unit);
        if (held < 4 * max || a->job->state != JOB_RUNNING)
                return;
        log_notice("%s takes %" PRIu64 " MiB in the spool, killing it (SpoolMax=).", a->unit, held >> 20);
        units_now(u, &now);
        model_attempt_overflow(u->model, a, &now);
}

void units_trim_spools(Units *u) {
        Attempt *a, *t;

        if (!u->model)
                return;
        HASH_ITER(hh, u->model->attempts, a, t)
                if (a->phase == ATTEMPT_RUNNING && attempt_has_spool(a) && a->queue)
                        trim(u, a);
}

static int on_written(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

        while (read(fd, events, sizeof(events)) > 0)
                ;
        units_trim_spools(userdata);
        return 0;
}

/* The folder may be another one than before: it was mounted anew. */
int units_watch_spools(Units *u) {
        _cleanup_free_ char *path = NULL;
        int r = 0;

        if (asprintf(&path, "%s/spool", u->run_path) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        if (!u->spool_source) {
                safe_close(u->spool_fd);
                u->spool_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
                r = u->spool_fd < 0 ? -errno : sd_event_add_io(u->event, &u->spool_source, u->spool_fd, EPOLLIN, on_written, u);
                if (r >= 0)
                        r = sd_event_source_set_ratelimit(u->spool_source, SPOOL_INTERVAL, 1);
        }
        if (r >= 0 && inotify_add_watch(u->spool_fd, path, IN_MODIFY) < 0)
                r = -errno;
        if (r < 0)
                log_debug_errno(r, "Cannot watch %s, looking each second: %m", path);
        return 0;
}
