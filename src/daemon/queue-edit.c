/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetQueue() and RemoveQueue(): the edits that api/ has read, checked and authorized, done in the turn. First the file, which is
 * the truth and on disk when its function returns; then the policy in force, read again from the files, as a reload would; then
 * the slice; then, with the commit, the answer. A new cap therefore holds for all that is decided after the answer. */

#include "daemon/manager.h"

#include "base/crash-point.h"
#include "base/parse.h"
#include "base/strv.h"
#include "daemon/config.h"
#include "daemon/queue-write.h"
#include "unit/backstop.h"

/* The policy as the files have it now. */
static int load_again(Manager *m, const char *name, char **ret_error) {
        Queue *q;
        int r;

        r = config_load_queue(m->model, m->config_directories, name, ret_error);
        if (r < 0)
                return r;
        q = model_queue(m->model, name);
        if (q && m->slices_set) {
                manager_want_slice(m, q);
                manager_tell_slices(m);
                units_set_backstops(m->units);
        }
        return *ret_error ? -EBADMSG : 0;
}

static bool paused_is_set(const QueueEdit *e) {
        for (const QueueSetting *s = e->settings; s < e->settings + e->n_settings; s++)
                if (streq(s->section, "Queue") && streq(s->key, "Paused"))
                        return strv_length(s->values) > 0 && parse_boolean(*s->values) > 0;
        return false;
}

/* Of files there may be more: root wrote them. */
static bool are_too_many(const Manager *m) {
        uint64_t n = 0;
        Queue *q, *t;

        HASH_ITER(hh, m->model->queues, q, t)
                n += queue_has_file(q);
        return n >= m->settings.queues_max;
}

static int set_queue(Manager *m, const QueuePlaces *p, const QueueEdit *e, char **ret_error) {
        Queue *q = model_queue(m->model, e->name);
        bool is_new = !queue_has_file(q);
        int r;

        if (is_new && are_too_many(m))
                return spec_error(ret_error, EXFULL, "There are %" PRIu64 " queues already, or more (QueuesMax=)", m->settings.queues_max);
        r = queue_file_set(p, e, ret_error);
        if (r == -EINVAL || r == -EBADMSG || r == -ENOMEM)
                return r;
        /* Also when the disk failed at the very end: what is in force shall be what is there. */
        if (r < 0) {
                _cleanup_free_ char *ignored = NULL;
                (void) load_again(m, e->name, &ignored);
                return r;
        }
        r = load_again(m, e->name, ret_error);
        q = model_queue(m->model, e->name);
        if (r >= 0 && q && is_new && paused_is_set(e)) /* the row of an ancestor, or of a queue of that name once, may be there */
                model_queue_pause(m->model, q, true);
        return r;
}

/* Jobs that are not done, in a queue and in those below it: its cap holds for all of them. */
static uint64_t count_below(const Model *m, const Queue *top) {
        uint64_t n = 0;
        Queue *q, *t;

        HASH_ITER(hh, m->queues, q, t) {
                const Queue *p = q;

                while (p && p != top)
                        p = p->parent;
                for (JobState s = 0; p && s < _JOB_STATE_MAX; s++)
                        n += s == JOB_DONE ? 0 : q->count[s];
        }
        return n;
}

static int remove_queue(Manager *m, const QueuePlaces *p, const QueueEdit *e, char **ret_error) {
        Queue *q = model_queue(m->model, e->name);
        uint64_t n;
        int r;

        if (!q)
                return spec_error(ret_error, -ENOENT, "There is no queue '%s'", e->name);
        n = count_below(m->model, q);
        if (n > 0)
                return spec_error(ret_error, -ENOTEMPTY,
                                    "Queue '%s', with those below it, has %" PRIu64 " %s not done; wait for, move or cancel %s",
                                    e->name, n, n == 1 ? "job that is" : "jobs that are", n == 1 ? "it" : "them");
        r = queue_file_remove(p, e->name, ret_error);
        if (r == -ENOENT && (q->paused || q->draining) && !manager_queue_has_files(m, q))
                *ret_error = mfree(*ret_error); /* a crash came behind the files: the rest is to be done */
        else if (r < 0)
                return r;
        r = load_again(m, e->name, ret_error);
        model_queue_pause(m->model, q, false);
        model_queue_drain(m->model, q, false);
        return r;
}

void manager_tell_policies(Manager *m) {
        Queue *q, *t;

        HASH_ITER(hh, m->model->queues, q, t)
                if (q->policy_changed) {
                        q->policy_changed = q->told = false;
                        model_queue_changed(m->model, q);
                }
}

static QueuePlaces queue_places(const Manager *m) {
        /* /run/jobmill, or the user's; not where $JOBMILL_CONFIG_PATH has no such place. */
        bool runtime = strv_contains(m->config_directories, m->run_path) && !streq(*m->config_directories, m->run_path);

        return (QueuePlaces) { m->config_directories, runtime ? m->run_path : NULL };
}

void manager_recover_queues(Manager *m) {
        QueuePlaces p = queue_places(m);

        queue_files_recover(&p);
}

void manager_edit_queues(Manager *m) {
        QueuePlaces p = queue_places(m);
        const QueueEdit *e;
        bool any = false;

        while ((e = api_next_edit(m->api))) {
                _cleanup_free_ char *error = NULL;
                int r;

                r = e->remove ? remove_queue(m, &p, e, &error) : set_queue(m, &p, e, &error);
                CRASH_POINT("queue-edited");
                api_edit_done(m->api, r, error);
                CRASH_POINT("queue-edit-answered");
                any = true;
        }
        if (any) /* not in each turn: it looks at all queues */
                manager_tell_policies(m);
}
