/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Callbacks of what happened in this turn, behind all that the turn decides: they are recorded with it (queue/callback.h). */

#include "daemon/manager.h"

#include "base/crash-point.h"
#include "base/log.h"

/* NULL in *ret: it cannot be read, now and ever. */
static int read_spec(Manager *m, const Job *j, JobSpec **loaded, const JobSpec **ret) {
        int r;

        *ret = j->edited ?: j->spec;
        if (*ret)
                return 0;
        r = store_read_spec(m->store, j, loaded);
        *ret = *loaded;
        if (r != -EUCLEAN && r != -ENOENT)
                return r;
        log_error_errno(r, "Nobody is told of job %" PRIu64 ": its spec cannot be read: %s", j->id, store_error(m->store));
        return 0;
}

int manager_make_callbacks(Manager *m) {
        Job *j;
        int r;

        TAILQ_FOREACH(j, &m->model->changed, changed_entry) {
                _cleanup_(spec_freep) JobSpec *loaded = NULL;
                const JobSpec *spec;

                if (!job_has_callbacks(j))
                        continue;
                r = read_spec(m, j, &loaded, &spec);
                if (r >= 0 && spec)
                        r = model_make_callbacks(m->model, j, spec, m->user, &m->now);
                if (r < 0)
                        return r;
                CRASH_POINT("callback-made");
        }
        return 0;
}
