/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CheckIntegrity and Repair: what they say of units and files, leftovers of attempts that nobody knows and what is not ours; and the order in
 * which a repair goes. It comes at the end of a turn, when nothing waits to be recorded: first the files, then the store, in one
 * transaction, and then the model is loaded again from it and compared with the units, as after a failed commit. What runs is never
 * touched, and what is not ours never removed. */

#include "daemon/manager.h"

#include "api/long-calls.h"
#include "base/log.h"
#include "base/strv.h"
#include "daemon/queue-write.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Look {
        Manager *manager;
        store_finding_t found;
        void *userdata;
        bool mend;
} Look;

static int tell(const Look *l, const char *kind, const char *mend, bool mended, const char *format, ...) _printf_(5, 6);
static int tell(const Look *l, const char *kind, const char *mend, bool mended, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        if (!text)
                return -ENOMEM;
        return l->found(l->userdata, &(StoreFinding) { .kind = kind, .text = text, .mend = mend, .mended = mended });
}

typedef int (*entry_t)(const Look *l, int fd, const char *folder, const char *name);

/* A folder that is not there has nothing in it. */
static int each_entry(const Look *l, const char *folder, entry_t entry) {
        DIR *d = opendir(folder);
        int r = 0;

        for (struct dirent *e; d && r >= 0 && (e = readdir(d));)
                if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
                        r = entry(l, dirfd(d), folder, e->d_name);
        if (d)
                (void) closedir(d);
        return r;
}

static bool is_gone(int fd, const char *name) {
        struct stat st;

        return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT;
}

static int leftover(const Look *l, int fd, const char *folder, const char *name, const char *kind, const char *why) {
        if (l->mend)
                remove_below(fd, name);
        return tell(l, kind, "it is removed", l->mend && is_gone(fd, name), "%s/%s: %s", folder, name, why);
}

/* ---- beside the store ---- */

static bool is_of(const char *name, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (streq(name, names[i]))
                        return true;
        return false;
}

static int check_state_file(const Look *l, int fd, const char *folder, const char *name) {
        static const char *const ours[] = { "jobmill.db", "jobmill.db-wal", "jobmill.db-shm", "jobmill.db-journal", "jobmill.lock",
                                            "starts",     "ballast",        "credentials", "lost+found" };
        static const char *const drafts[] = { "starts.new", "backup.new", "backup.new-wal", "backup.new-journal" };

        if (name[0] == '.' || is_of(name, ours, ELEMENTSOF(ours)))
                return 0;
        if (!is_of(name, drafts, ELEMENTSOF(drafts)))
                return tell(l, "foreign-file", NULL, false, "%s/%s: is not of jobmill", folder, name);
        if (startswith(name, "backup") && l->manager->api->n_backups > 0)
                return 0;
        return leftover(l, fd, folder, name, "leftover-file", "left over, nobody writes it");
}

static int check_state(const Look *l) {
        Manager *m = l->manager;
        int r = 0;

        if (m->storage == STORAGE_VOLATILE)
                return 0;
        if (!store_starts_is_kept(m->store)) {
                if (l->mend)
                        manager_raise_starts(m);
                r = tell(l, "starts", "it is written again", l->mend && store_starts_is_kept(m->store),
                         "%s/starts: says nothing, so an old copy that is put back would not be noticed", m->state_path);
        }
        if (r >= 0 && !m->api->storage_full && !store_ballast_is_kept(m->store)) {
                if (l->mend)
                        manager_make_ballast(m);
                r = tell(l, "ballast", "it is made again", l->mend && store_ballast_is_kept(m->store),
                         "%s/ballast: not as large as it should be, so there is nothing to give up when the disk is full", m->state_path);
        }
        return r < 0 ? r : each_entry(l, m->state_path, check_state_file);
}

/* ---- of attempts ---- */

static int check_attempt_folder(const Look *l, int fd, const char *folder, const char *name) {
        /* As long as not all units are known it may be of one that runs. */
        if (name[0] == '.' || !l->manager->units->synced || attempt_of_folder(l->manager->model, name))
                return 0;
        return leftover(l, fd, folder, name, "leftover-folder", "left over, no attempt that runs has it");
}

static int check_attempts(const Look *l) {
        _cleanup_free_ char *folder = NULL;

        if (asprintf(&folder, "%s/attempt", l->manager->run_path) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        return each_entry(l, folder, check_attempt_folder);
}

static int check_spool_file(const Look *l, int fd, const char *folder, const char *name) {
        if (name[0] == '.' || !l->manager->units->synced || spool_attempt(l->manager->model, name))
                return 0;
        return leftover(l, fd, folder, name, "leftover-file", "left over, no attempt that runs writes to it");
}

static int check_spools(const Look *l) {
        _cleanup_free_ char *folder = NULL;

        if (asprintf(&folder, "%s/spool", l->manager->run_path) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        return each_entry(l, folder, check_spool_file);
}

static int check_strays(const Look *l) {
        int r = 0;

        for (Attempt *a = l->manager->model->attempts; r >= 0 && a; a = a->hh.next) {
                _cleanup_free_ char *text = NULL;

                if (a->phase != ATTEMPT_STRAY)
                        continue;
                if (asprintf(&text, "%s: runs, and the store knows nothing of it; it keeps its slots until it ends", a->unit) < 0) {
                        text = NULL;
                        r = -ENOMEM;
                } else
                        r = l->found(l->userdata, &(StoreFinding) { .kind = "unit-without-job", .job = a->job_id, .text = text });
        }
        return r;
}

/* ---- queues ---- */

bool manager_queue_has_files(const Manager *manager, const Queue *q) {
        const Model *m = manager->model;

        for (const Queue *c = m->queues; c; c = c->hh.next)
                for (const Queue *p = c; queue_has_file(c) && p; p = p->parent)
                        if (p == q)
                                return true;
        return false;
}

/* Paused once, and its file is gone: whoever makes the file again would wonder. But it may have been meant so. */
static int check_queues(const Look *l) {
        const Model *m = l->manager->model;
        int r = 0;

        for (const Queue *q = m->queues; r >= 0 && q; q = q->hh.next) {
                uint64_t n = 0;

                for (JobState i = 0; i < _JOB_STATE_MAX; i++)
                        n += q->count[i];
                if (n == 0 && (q->paused || q->draining) && !manager_queue_has_files(l->manager, q))
                        r = tell(l, "queue-without-file", NULL, false, "queue %s: %s, and has neither a file nor jobs", q->name,
                                 q->paused ? "is paused" : "drains");
        }
        return r;
}

/* What was being written, or taken away, when the daemon was killed. */
static int check_queue_file(const Look *l, int fd, const char *folder, const char *name) {
        _cleanup_free_ char *below = NULL, *hidden = NULL;

        hidden = queue_of_hidden(name);
        if (hidden || streq(name, QUEUE_TEMPORARY))
                return leftover(l, fd, folder, name, "leftover-file", "left over, nobody writes it");
        if (!endswith(name, ".queue.d"))
                return 0;
        if (asprintf(&below, "%s/%s", folder, name) < 0) {
                below = NULL;
                return -ENOMEM;
        }
        return each_entry(l, below, check_queue_file);
}

static int check_queue_files(const Look *l) {
        int r = 0;

        STRV_FOREACH(d, l->manager->config_directories) {
                _cleanup_free_ char *folder = NULL;

                if (asprintf(&folder, "%s/queues", *d) < 0) {
                        folder = NULL;
                        return -ENOMEM;
                }
                r = each_entry(l, folder, check_queue_file);
                if (r < 0)
                        return r;
        }
        return r;
}

/* ---- all of it ---- */

static int check_all(const Look *l) {
        static int (*const checks[])(const Look *l) = { check_strays, check_attempts, check_spools, check_queues, check_queue_files, check_state };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(checks); i++)
                r = checks[i](l);
        return r;
}

int manager_check(void *userdata, store_finding_t found, void *found_userdata) {
        return check_all(&(Look) { .manager = userdata, .found = found, .userdata = found_userdata });
}

static int repair(Manager *m, Call *c) {
        Look l = { .manager = m, .mend = true };
        int r, loaded = 0;

        l.found = api_repair_found(c, &l.userdata);
        r = check_all(&l); /* first, as long as the model knows all units */
        if (r >= 0)
                r = store_repair(m->store, m->now.realtime, l.found, l.userdata);
        if (r < 0)
                log_error_errno(r, "Failed to repair the store, nothing was changed in it: %s", store_error(m->store));
        if (r > 0) {
                log_notice("The store was repaired.");
                loaded = manager_load_model(m);
                if (loaded >= 0)
                        units_resync(m->units, true);
                else
                        log_error_errno(loaded, "Failed to load the store again: %s", store_error(m->store));
        }
        api_repair_done(c, r, store_error(m->store));
        return r == -EUCLEAN ? r : loaded;
}

int manager_repair(Manager *m) {
        Call *c;
        int r = 0;

        while (r >= 0 && !m->storage_failed && (c = api_next_repair(m->api)))
                r = repair(m, c);
        return r;
}
