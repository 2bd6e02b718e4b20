/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What CheckIntegrity says of units and files: leftovers of attempts that nobody knows, and what is not ours. */

#include "daemon/manager.h"

#include "base/parse.h"

#include <dirent.h>

static const char *const state_files[] = { "jobmill.db",  "jobmill.db-wal", "jobmill.db-shm", "jobmill.db-journal", "jobmill.lock",
                                           "starts",      "starts.new",     "ballast",        "backup.new",
                                           "backup.new-wal", "backup.new-journal" };

static bool is_state_file(const char *name) {
        FOREACH_ELEMENT(i, state_files)
                if (streq(*i, name))
                        return true;
        return false;
}

static int check_state(Manager *m, store_finding_t found, void *userdata) {
        DIR *d = opendir(m->state_path);
        int r = 0;

        for (struct dirent *e; d && r >= 0 && (e = readdir(d));) {
                _cleanup_free_ char *text = NULL;

                if (e->d_name[0] == '.' || is_state_file(e->d_name))
                        continue;
                if (asprintf(&text, "%s/%s: is not of jobmill", m->state_path, e->d_name) < 0) {
                        text = NULL;
                        r = -ENOMEM;
                } else
                        r = found(userdata, "foreign-file", 0, text);
        }
        if (d)
                (void) closedir(d);
        return r;
}

/* "12-1" is of jobmill-job-12-1.service. */
static bool attempt_is_known(const Model *m, const char *folder) {
        char unit[300];
        Attempt *a;

        (void) snprintf(unit, sizeof(unit), "jobmill-job-%s.service", folder);
        HASH_FIND_STR(m->attempts, unit, a);
        return a;
}

static int check_attempts(Manager *m, store_finding_t found, void *userdata) {
        _cleanup_free_ char *folder = NULL;
        DIR *d;
        int r = 0;

        if (asprintf(&folder, "%s/attempt", m->run_path) < 0) {
                folder = NULL;
                return -ENOMEM;
        }
        d = opendir(folder);
        for (struct dirent *e; d && r >= 0 && (e = readdir(d));) {
                _cleanup_free_ char *text = NULL;

                if (e->d_name[0] == '.' || attempt_is_known(m->model, e->d_name))
                        continue;
                if (asprintf(&text, "%s/%s: left over, no attempt that runs has it", folder, e->d_name) < 0) {
                        text = NULL;
                        r = -ENOMEM;
                } else
                        r = found(userdata, "leftover-folder", 0, text);
        }
        if (d)
                (void) closedir(d);
        return r;
}

static int check_strays(Manager *m, store_finding_t found, void *userdata) {
        int r = 0;

        for (Attempt *a = m->model->attempts; r >= 0 && a; a = a->hh.next) {
                _cleanup_free_ char *text = NULL;

                if (a->phase != ATTEMPT_STRAY)
                        continue;
                if (asprintf(&text, "%s: runs, and the store knows nothing of it; it keeps its slots until it ends", a->unit) < 0) {
                        text = NULL;
                        r = -ENOMEM;
                } else
                        r = found(userdata, "unit-without-job", a->job_id, text);
        }
        return r;
}

int manager_check(void *userdata, store_finding_t found, void *found_userdata) {
        Manager *m = userdata;
        int r;

        r = check_strays(m, found, found_userdata);
        if (r >= 0)
                r = check_attempts(m, found, found_userdata);
        return r < 0 || m->storage == STORAGE_VOLATILE ? r : check_state(m, found, found_userdata);
}
