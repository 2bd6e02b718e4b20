/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening the store: at start, and as long as it cannot be opened again and again.
 *
 * What passes (locked, a full or a read-only disk, an I/O error, a directory that is not there yet) does not end the daemon, for
 * starting it over and over would not help, and the service manager would give up one day: it comes up without a store, every call is
 * refused with the reason, and nothing is asked of PID 1. What does not mend itself (damaged, newer, not a file) ends it. */

#include "daemon/manager.h"

#include "base/crash-point.h"
#include "base/log.h"
#include "base/parse.h"
#include "daemon/queue-write.h"

#include <sys/stat.h>
#include <unistd.h>

#define OPEN_RETRY (1 * USEC_PER_SEC)

/* A store that ends with the boot is not put back. */
void manager_raise_starts(Manager *m) {
        int r;

        if (!m->store || m->storage == STORAGE_VOLATILE)
                return;
        r = store_starts_raise(m->store, &m->api->restored);
        if (r < 0)
                log_warning_errno(r, "Failed to count this start or stop, ignoring: %s", store_error(m->store));
}

static int folder_error(int error, const char *folder, char **ret_error) {
        if (asprintf(ret_error, "%s: %s", folder, strerror(-error)) < 0)
                *ret_error = NULL;
        return error;
}

/* The store of Storage=volatile goes with the runtime directory, which others may enter: it has a folder of its own. */
static int store_path(Manager *m, char **ret, char **ret_error) {
        _cleanup_free_ char *folder = NULL;
        int r;

        if (m->storage == STORAGE_VOLATILE)
                r = asprintf(&folder, "%s/store", m->run_path);
        else
                r = asprintf(&folder, "%s", m->state_path);
        if (r < 0) {
                folder = NULL;
                return log_oom();
        }
        r = mkdir_p(folder, 0700);
        if (r < 0)
                return folder_error(r, folder, ret_error);
        return asprintf(ret, "%s/jobmill.db", folder) < 0 ? log_oom() : 0;
}

static int make_directories(Manager *m, char **ret_error) {
        _cleanup_free_ char *attempts = NULL;
        int r;

        if (asprintf(&attempts, "%s/attempt", m->run_path) < 0)
                return log_oom();
        r = mkdir_p(m->run_path, 0711);
        if (r >= 0)
                r = mkdir_p(attempts, 0711);
        return r < 0 ? folder_error(r, attempts, ret_error) : 0;
}

const char *manager_store_advice(int error) {
        switch (error) {
        case -EUCLEAN:
                return ". If it is only rows that do not fit, jobmilld --repair mends them; else put a backup in its place, or move it away, with"
                       " what stands beside it (-wal), to begin with an empty one. Then start jobmilld again.";
        case -EPROTONOSUPPORT:
                return ". Install the newer jobmill again.";
        default:
                return "";
        }
}

bool manager_store_is_unusable(int error) {
        return error == -EUCLEAN || error == -EPROTONOSUPPORT || error == -EISDIR;
}

static int open_store(Manager *m, char **ret_error) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = make_directories(m, ret_error);
        if (r >= 0)
                r = store_path(m, &path, ret_error);
        if (r >= 0)
                r = store_open(path, &m->store, ret_error);
        if (r < 0)
                return r;
        CRASH_POINT("store-opened");
        manager_recover_queues(m);
        r = manager_load_model(m);
        if (r < 0) {
                if (asprintf(ret_error, "%s: %s", path, store_error(m->store)) < 0)
                        *ret_error = NULL;
                m->store = store_close(m->store);
        }
        return r;
}

/* The sandbox that the service manager made for us shows a file system that was read-only by then as read-only for ever. Only
 * a new one helps: so when it becomes writable, and was not before, we end, and are started again. 1: it is time. */
static int view_is_stale(Manager *m) {
        _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
        bool read_only = false, super_read_only = false;
        char line[4096], where[1024], how[512];
        size_t longest = 0;

        while (f && fgets(line, sizeof(line), f)) {
                const char *super = strstr(line, " - "), *below;
                size_t n;

                if (!super || sscanf(line, "%*s %*s %*s %*s %1023s %511s", where, how) != 2)
                        continue;
                n = streq(where, "/") ? 0 : strlen(where);
                below = m->state_path + n;
                if (strncmp(m->state_path, where, n) != 0 || (*below && *below != '/') || n < longest)
                        continue;
                super = strrchr(super, ' ') + 1; /* its last field */
                longest = n;
                read_only = strncmp(how, "ro", 2) == 0;
                super_read_only = strncmp(super, "ro", 2) == 0;
        }
        if (super_read_only)
                m->was_read_only = true;
        return m->was_read_only && read_only && !super_read_only;
}

/* It is told once, and again when it is another reason. */
static int wait_for_store(Manager *m, int error, const char *text) {
        const char *why = text ?: strerror(-error);
        int r;

        log_full_errno(streq_ptr(m->api->store_missing, why) ? LOG_DEBUG : LOG_ERR, error,
                       "The store cannot be opened, trying again until it can: %s", why);
        m->api->store_error = error;
        r = free_and_strdup(&m->api->store_missing, why);
        if (r < 0)
                return r;
        if (m->storage == STORAGE_PERSISTENT && error == -EROFS && view_is_stale(m))
                return log_error_errno(error, "The file system can be written to again, starting again to see it so.");
        m->open_next = usec_add(m->now.monotonic, OPEN_RETRY);
        (void) sd_event_source_set_time(m->storage_timer, m->open_next);
        return sd_event_source_set_enabled(m->storage_timer, SD_EVENT_ONESHOT);
}

static int store_opened(Manager *m) {
        int r;

        if (m->api->store_missing)
                log_notice("The store can be opened now.");
        m->api->store_missing = mfree(m->api->store_missing);
        manager_raise_starts(m);
        manager_make_ballast(m);
        if (m->api->storage_full) {
                (void) sd_event_source_set_time_relative(m->storage_timer, USEC_PER_SEC);
                (void) sd_event_source_set_enabled(m->storage_timer, SD_EVENT_ONESHOT);
        }
        if (m->api->restored)
                log_error("The store is older than its last use: an old copy was put back, or it was lost. Nothing is started, since jobs "
                          "could be run twice. Look at what is queued, then: jobmill check --accept");
        /* Its next id is another one now. */
        r = m->api->restored ? manager_load_model(m) : 0;
        CRASH_POINT("model-loaded");
        m->units->credentials_path = store_credentials_path(m->store);
        units_connect(m->units);
        return r;
}

int manager_open_store(Manager *m) {
        _cleanup_free_ char *error = NULL;
        int r;

        if (m->now.monotonic < m->open_next)
                return 0;
        r = open_store(m, &error);
        if (r >= 0)
                r = store_opened(m);
        else if (manager_store_is_unusable(r))
                return log_error_errno(r, "Failed to open the store: %s%s", error ?: strerror(-r), manager_store_advice(r));
        else
                r = wait_for_store(m, r, error);
        return r;
}

/* ---- without a daemon ---- */

static int print_finding(void *userdata, const StoreFinding *f) {
        bool *left = userdata;

        if (f->job > 0)
                printf("job %" PRIu64 ": ", f->job);
        printf("%s: %s [%s]\n", f->kind, string_is_clean(f->text) ? f->text : "its name cannot be told",
               f->mended ? f->mend : "left as it is");
        *left = *left || !f->mended;
        return 0;
}

int manager_repair_store(Manager *m) {
        _cleanup_free_ char *path = NULL, *error = NULL;
        bool left = false;
        int r;

        r = store_path(m, &path, &error);
        if (r >= 0 && access(path, F_OK) < 0)
                r = folder_error(-errno, path, &error);
        if (r >= 0)
                r = store_open(path, &m->store, &error);
        if (r < 0)
                return log_error_errno(r, "Failed to open the store: %s", error ?: strerror(-r));
        r = manager_read_clocks(m);
        if (r >= 0)
                r = store_repair(m->store, m->now.realtime, print_finding, &left);
        if (r < 0)
                return log_error_errno(r, "Failed to repair the store, nothing was changed: %s", store_error(m->store));
        return left ? -ENOTEMPTY : 0;
}
