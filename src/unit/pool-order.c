/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a unit would give to a job, as a runner is told it: {environment, limits, helper, stdout, stderr}. All that depends on rights, files and
 * slots is decided here; the runner only does it. It has no rights but its owner's, so the spools are made for it, as the owner's. */

#include "unit/pool.h"

#include "base/json-writer.h"
#include "base/strv.h"
#include "unit/attempt-files.h"
#include "unit/job-unit.h"
#include "unit/spool.h"

static int64_t value_number(const UnitValue *v) {
        switch (v->type) {
        case UNIT_VALUE_BOOL:
                return v->b;
        case UNIT_VALUE_U32:
                return v->u32;
        case UNIT_VALUE_I32:
                return v->i32;
        default:
                return (int64_t) v->u64; /* bit for bit */
        }
}

static int write_limits(JsonWriter *w, const Units *u, Attempt *a, char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};
        const UnitValue *max;
        bool tasks;
        int r;

        r = job_properties(u, a, &l, ret_error);
        if (r >= 0)
                r = pool_check_properties(&l, ret_error); /* the queue had another executor when it was submitted */
        /* The unit of all of them has none, so that they do not share it. */
        tasks = u->tasks_max > 0 && u->tasks_max != UINT64_MAX && !unit_property_list_find(&l, "TasksMax") && !unit_property_list_find(&l, "TasksMaxScale");
        if (r < 0 || (l.n_values == 0 && !tasks))
                return r;
        max = unit_property_list_find(&l, "MemoryMax");
        a->outcome.memory_max = max ? max->u64 : UINT64_MAX;
        json_write_key(w, "limits");
        json_open(w, '{');
        for (size_t i = 0; i < l.n_values; i++) {
                json_write_key(w, l.values[i].name);
                json_write_integer(w, value_number(l.values + i));
        }
        if (tasks) {
                json_write_key(w, "TasksMax");
                json_write_integer(w, (int64_t) u->tasks_max);
        }
        json_close(w, '}');
        return 0;
}

static void write_path(JsonWriter *w, const Units *u, const Attempt *a, const char *stream) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/spool/%" PRIu64 "-%" PRIu32 ".%s", u->run_path, a->job_id, a->number, stream) < 0) {
                path = NULL;
                w->failed = true;
                return;
        }
        json_write_key(w, stream);
        json_write_string(w, path);
}

/* What is in them stays, where the order is given once more. */
static int write_spool(JsonWriter *w, Units *u, const Attempt *a) {
        int fds[_SPOOL_STREAM_MAX], r;

        r = spool_open(u->run_path, a, u->user ? UINT32_MAX : a->job->owner, fds);
        if (r < 0)
                return r;
        for (SpoolStream i = 0; i < _SPOOL_STREAM_MAX; i++)
                safe_close(fds[i]);
        write_path(w, u, a, "stdout");
        write_path(w, u, a, "stderr");
        return units_watch_spools(u);
}

static int write_words(JsonWriter *w, const char *key, char **l) {
        json_write_key(w, key);
        json_write_strv(w, l);
        strv_free(l);
        return 0;
}

static int write_order(JsonWriter *w, Units *u, Attempt *a, char **ret_error) {
        char **l = NULL;
        int r;

        json_open(w, '{');
        r = job_environment(u, a, &l);
        if (r >= 0)
                r = write_words(w, "environment", l);
        if (r >= 0)
                r = write_limits(w, u, a, ret_error);
        if (r >= 0 && job_has_helper(a->job->spec)) {
                r = job_helper_options(a, &l);
                if (r >= 0)
                        r = write_words(w, "helper", l);
        }
        if (r >= 0)
                r = attempt_inputs_write(u->run_path, a);
        if (r >= 0 && attempt_has_spool(a))
                r = write_spool(w, u, a);
        json_close(w, '}');
        return r < 0 ? r : w->failed ? -ENOMEM : 0;
}

int pool_order_format(Units *u, Attempt *a, char **ret, char **ret_error) {
        JsonWriter w = {};
        int r;

        *ret_error = NULL;
        a->has_files = a->inputs || attempt_has_spool(a);
        r = write_order(&w, u, a, ret_error);
        if (r >= 0)
                json_write_raw(&w, "", 1);
        if (r >= 0 && w.failed)
                r = -ENOMEM;
        if (r >= 0)
                *ret = TAKE_PTR(w.text);
        json_writer_done(&w);
        return r;
}
