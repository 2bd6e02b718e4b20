/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Backstop=: beside our own count the manager itself holds a queue's cap, from systemd 258 on: it refuses a unit above
 * ConcurrencyHardMax= of the slice, whoever asks for it. That is set by a drop-in below /run, as it cannot be set otherwise once the
 * slice is there, and counts slices inside and units that have ended but are not released yet: so it is set higher than the cap, by
 * the queues below and by some head-room. It never decides what we start; a start that it refuses was none (launcher.c).
 *
 * A file beside our sockets says that drop-ins were written and the manager was not reloaded since: so it is, whoever crashed when. */

#include "unit/backstop.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "base/parse.h"
#include "unit/units.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#define BACKSTOP_SINCE 258U
#define HEAD_ROOM 32U
#define DROP_IN "50-jobmill-backstop.conf"
#define NO_BACKSTOP UINT32_MAX
#define RELOAD_WANTED "reload-wanted"

static char *units_folder(const Units *u) {
        const char *path = getenv("JOBMILL_UNIT_PATH"), *run = getenv("XDG_RUNTIME_DIR");
        char *s;

        if (path || !u->user)
                return strdup(path ?: "/run/systemd/system");
        return asprintf(&s, "%s/systemd/user", strempty(run)) < 0 ? NULL : s;
}

void backstops_count(Model *m) {
        Queue *o;

        for (o = m->queues; o; o = o->hh.next)
                o->slices_below = 0;
        for (o = m->queues; o; o = o->hh.next) {
                uint64_t n = o->configured;

                for (Queue *p = o->parent; p && n > 0; p = p->parent) {
                        p->slices_below += n;
                        n += !p->configured;
                }
        }
}

uint32_t backstop_of(const Queue *q) {
        uint64_t n = (uint64_t) q->policy.slots + HEAD_ROOM + q->slices_below;

        if (!q->configured || !q->policy.backstop || q->policy.slots == UINT32_MAX)
                return NO_BACKSTOP;
        return (uint32_t) MIN(n, (uint64_t) NO_BACKSTOP - 1);
}

/* Is it what the file says already? */
static bool is_written(const char *path, const char *text) {
        char buf[256] = "";
        FILE *f = fopen(path, "re");
        size_t n;

        if (!f)
                return false;
        n = fread(buf, 1, sizeof(buf) - 1, f);
        fclose(f);
        return n == strlen(text) && streq(buf, text);
}

static int write_file(const char *path, const char *temporary, const char *text) {
        FILE *f;
        int r = 0;

        f = fopen(temporary, "we");
        if (!f)
                return -errno;
        (void) fchmod(fileno(f), 0644);
        if (fputs(text, f) < 0)
                r = -EIO;
        if (fclose(f) != 0 && r >= 0)
                r = -errno;
        CRASH_POINT("backstop-written");
        if (r >= 0 && rename(temporary, path) < 0)
                r = -errno;
        if (r < 0)
                (void) unlink(temporary);
        return r;
}

/* Before the first change: from now on the manager has to be reloaded. */
static int want_reload(const Units *u) {
        _cleanup_free_ char *path = NULL;
        int fd;

        if (asprintf(&path, "%s/" RELOAD_WANTED, u->run_path) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        CRASH_POINT("backstop-before");
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        (void) close(fd);
        CRASH_POINT("backstop-wanted");
        return 0;
}

static bool is_reload_wanted(const Units *u, bool forget) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/" RELOAD_WANTED, u->run_path) < 0) {
                path = NULL;
                return false;
        }
        return forget ? unlink(path) == 0 : access(path, F_OK) == 0;
}

/* Also what a crash has left of it. */
static int remove_one(const Units *u, const char *directory, const char *path, const char *temporary) {
        int r = 0;

        (void) unlink(temporary);
        if (access(path, F_OK) >= 0) {
                r = want_reload(u);
                if (r < 0)
                        return r;
                r = unlink(path) < 0 ? -errno : 0;
                CRASH_POINT("backstop-removed");
        }
        (void) rmdir(directory);
        return r;
}

static int set_one(const Units *u, const char *folder, const char *slice, uint32_t max) {
        _cleanup_free_ char *directory = NULL, *path = NULL, *temporary = NULL, *text = NULL;
        int r;

        if (asprintf(&directory, "%s/%s.d", folder, slice) < 0 || asprintf(&path, "%s/" DROP_IN, directory) < 0 ||
            asprintf(&temporary, "%s.new", path) < 0 ||
            asprintf(&text, "# Backstop=yes of a queue of jobmill, written by jobmilld\n[Slice]\nConcurrencyHardMax=%" PRIu32 "\n",
                     max) < 0)
                return -ENOMEM;
        if (max == NO_BACKSTOP)
                return remove_one(u, directory, path, temporary);
        if (is_written(path, text)) {
                (void) unlink(temporary); /* what a crash has left */
                return 0;
        }
        r = want_reload(u);
        if (r < 0)
                return r;
        if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || (mkdir(directory, 0755) < 0 && errno != EEXIST))
                return -errno;
        r = write_file(path, temporary, text);
        CRASH_POINT("backstop-set");
        return r;
}

/* Of queues that have none any more, or are no more themselves: their drop-ins are looked for by name. The first error; the others go all the same. */
static int remove_stale(const Units *u, const char *folder) {
        DIR *d = opendir(folder);
        struct dirent *de;
        int r = 0, k;

        if (!d)
                return errno == ENOENT ? 0 : -errno;
        while ((de = readdir(d))) {
                const char *end = endswith(de->d_name, ".d");
                _cleanup_free_ char *slice = end ? strndup(de->d_name, end - de->d_name) : NULL,
                                    *name = slice ? queue_name_from_slice(slice) : NULL;
                const Queue *q = NULL;

                if (!name)
                        continue;
                HASH_FIND_STR(u->model->queues, name, q);
                if (q && backstop_of(q) != NO_BACKSTOP)
                        continue;
                k = set_one(u, folder, slice, NO_BACKSTOP);
                r = r < 0 ? r : k;
        }
        closedir(d);
        return r;
}

static int on_reloaded(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Units *u = userdata;

        CRASH_POINT("backstop-reloaded");
        u->reload_slot = sd_bus_slot_unref(u->reload_slot);
        if (!e) {
                (void) is_reload_wanted(u, true);
                return 0;
        }
        log_warning("The manager was not reloaded, so ConcurrencyHardMax= of slices is what it was: %s", strempty(e->message));
        if (units_error_is_silence(e) || units_error_may_pass(e)) {
                u->slices_failed = true;
                units_arm_tick(u, UNITS_TICK);
        }
        return 0;
}

/* The answer to one that was asked for before says nothing of what was written since: only that to the last one counts. */
static void reload(Units *u) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        u->reload_slot = sd_bus_slot_unref(u->reload_slot);
        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "Reload");
        CRASH_POINT("backstop-reload-before");
        if (r >= 0)
                r = sd_bus_call_async(u->bus, &u->reload_slot, m, on_reloaded, u, 0);
        CRASH_POINT("backstop-reload-after");
        if (r < 0)
                log_warning_errno(r, "Failed to have the manager reloaded, ignoring: %m");
}

void units_set_backstops(Units *u) {
        _cleanup_free_ char *folder = NULL;
        int r;

        if (!u->bus || u->version_number < BACKSTOP_SINCE)
                return;
        backstops_count(u->model);
        folder = units_folder(u);
        r = folder ? remove_stale(u, folder) : -ENOMEM;
        for (const Queue *q = u->model->queues; r >= 0 && q; q = q->hh.next) {
                uint32_t max = backstop_of(q);

                if (max != NO_BACKSTOP)
                        r = set_one(u, folder, q->slice, max);
        }
        if (r < 0)
                log_warning_errno(r, "Failed to write the drop-ins of slices for Backstop=, ignoring: %m");
        if (is_reload_wanted(u, false))
                reload(u);
}
