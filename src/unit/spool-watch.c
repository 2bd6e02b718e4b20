/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spools are kept small while jobs write: each time that something is written, but at most each SPOOL_INTERVAL, what is beyond SpoolMax=
 * of those who wrote is given back. Each tick looks at all, since the kernel does not tell of everything. A job that still takes four times as
 * much is killed: it writes where nothing can be given back, or its file system cannot do that. Where all of them together fill more than
 * half of the tmpfs, the owners who hold more than their share of that half give back what is beyond (spool-share.c); where they fill three
 * quarters even so, those who hold most are killed. */

#include "unit/units.h"

#include "base/log.h"
#include "unit/spool-share.h"

#include <sys/inotify.h>

#define SPOOL_INTERVAL (50 * USEC_PER_MSEC)
#define WRITTEN_MAX 64U /* when more jobs than these have written, all are looked at */

/* Once: one that does not die of it is looked at again each time. */
static void overflow(Units *u, SpoolUse *use, const char *why) {
        Now now;

        units_now(u, &now);
        if (model_attempt_overflow(u->model, use->attempt, &now))
                log_notice("%s takes %" PRIu64 " KiB in the spool, killing it (%s).", use->attempt->unit, spool_held(use, 1) >> 10, why);
}

static void trim(Units *u, SpoolUse *use, uint64_t max) {
        int r = spool_trim(u->run_path, use->attempt, max, use->held);

        if (r < 0 && r != -ENOENT)
                log_debug_errno(r, "Failed to make the spool of %s smaller: %m", use->attempt->unit);
}

/* What is killed gives back what it holds in a moment, so it does not count any more. */
static void share(Units *u, SpoolUse *uses, size_t n) {
        uint64_t room;
        SpoolUse *use;

        if (!spool_available(u->run_path, &room))
                return;
        room += spool_held(uses, n);
        if (spool_held(uses, n) <= room / 2 || spool_share(uses, n, room / 2) < 0)
                return;
        for (use = uses; use < uses + n; use++)
                if (use->keep < use->attempt->queue->policy.spool_max)
                        trim(u, use, use->keep);
        while ((use = spool_greediest(uses, n, room / 4 * 3))) {
                overflow(u, use, "more than the share of its owner");
                memset(use->held, 0, sizeof(use->held));
        }
}

/* Before anything is given back: what is full for less than SPOOL_INTERVAL may be missed. */
static bool look_whether_full(Units *u) {
        uint64_t available;
        Now now;

        if (!spool_available(u->run_path, &available) || available > 0)
                return false;
        units_now(u, &now);
        u->spool_full = now.monotonic;
        return true;
}

bool units_spool_was_full(Units *u, const Attempt *a) {
        return look_whether_full(u) || (u->spool_full > 0 && u->spool_full >= a->started_monotonic);
}

static bool is_written(const Attempt *a) {
        return a->phase == ATTEMPT_RUNNING && a->executor != EXECUTOR_WORKER && attempt_has_spool(a) && a->queue;
}

static void trim_attempt(Units *u, Attempt *a, SpoolUse *ret) {
        *ret = (SpoolUse) { .attempt = a, .owner = a->owner };
        trim(u, ret, a->queue->policy.spool_max);
        if (spool_held(ret, 1) >= 4 * a->queue->policy.spool_max)
                overflow(u, ret, "SpoolMax=");
}

void units_trim_spools(Units *u) {
        _cleanup_free_ SpoolUse *uses = NULL;
        Attempt *a, *t;
        size_t n = 0;

        if (!u->model)
                return;
        HASH_ITER(hh, u->model->attempts, a, t)
                n += is_written(a);
        if (n == 0 || !(uses = new0(SpoolUse, n))) /* the next tick tries again */
                return;
        (void) look_whether_full(u);
        n = 0;
        HASH_ITER(hh, u->model->attempts, a, t) {
                if (is_written(a))
                        trim_attempt(u, a, uses + n++);
        }
        share(u, uses, n);
}

/* Who has written since the last time; too many: everybody may have. */
typedef struct Written {
        Attempt *attempts[WRITTEN_MAX];
        size_t n;
        bool too_many;
} Written;

static void add_written(Units *u, const struct inotify_event *e, Written *w) {
        Attempt *a = e->len > 0 && u->model ? spool_attempt(u->model, e->name) : NULL;

        w->too_many = w->too_many || (e->mask & IN_Q_OVERFLOW);
        if (!a || !is_written(a))
                return;
        for (size_t i = 0; i < w->n; i++)
                if (w->attempts[i] == a)
                        return;
        if (w->n == WRITTEN_MAX)
                w->too_many = true;
        else
                w->attempts[w->n++] = a;
}

static int on_written(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        Units *u = userdata;
        Written w = {};
        ssize_t n;

        while ((n = read(fd, events, sizeof(events))) > 0)
                for (char *p = events; p < events + n && !w.too_many; p += sizeof(struct inotify_event) + ((struct inotify_event *) p)->len)
                        add_written(u, (const struct inotify_event *) p, &w);
        /* Whose share it is only a look at all of them tells. */
        if (w.too_many || spool_is_half_full(u->run_path)) {
                units_trim_spools(u);
                return 0;
        }
        for (size_t i = 0; i < w.n; i++) {
                SpoolUse use;

                trim_attempt(u, w.attempts[i], &use);
        }
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
