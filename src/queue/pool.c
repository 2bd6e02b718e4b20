/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See pool.h. */

#include "queue/pool.h"

#include "queue/model-internal.h"
#include "queue/reason.h"

#define POOL_AGAIN (1 * USEC_PER_SEC)
#define POOL_AGAIN_SOON (250 * USEC_PER_MSEC)

void pool_unit_name(const char *queue, uint32_t owner, char ret[static POOL_UNIT_MAX]) {
        (void) snprintf(ret, POOL_UNIT_MAX, POOL_UNIT_PREFIX "%s-%" PRIu32 ".service", queue, owner);
}

Pool *pool_find(const Model *m, const char *unit) {
        Pool *p;

        HASH_FIND_STR(m->pools, unit, p);
        return p;
}

static void pool_free(Model *m, Pool *p) {
        HASH_DEL(m->pools, p);
        free(p->owner_name);
        free(p->trouble);
        free(p);
}

void pools_free(Model *m) {
        Pool *p, *t;

        HASH_ITER(hh, m->pools, p, t)
                pool_free(m, p);
}

static bool is_registered(const Model *m, const char *unit) {
        for (const Worker *w = m->workers; w; w = w->hh.next)
                if (!w->gone && streq_ptr(w->unit, unit))
                        return true;
        return false;
}

/* One that is there and full, away for a moment, or about to end is not started again: its process tells when it is gone. */
int pool_want(Model *m, Queue *q, uint32_t owner, const char *owner_name, const Now *now) {
        char unit[POOL_UNIT_MAX];
        Pool *p;

        pool_unit_name(q->name, owner, unit);
        if (is_registered(m, unit))
                return 0;
        p = pool_find(m, unit);
        if (!p) {
                p = new0(Pool, 1);
                if (!p)
                        return -ENOMEM;
                memcpy(p->unit, unit, sizeof(unit));
                (void) snprintf(p->queue, sizeof(p->queue), "%s", q->name);
                p->owner = owner;
                HASH_ADD_STR(m->pools, unit, p);
        }
        if (p->wanted)
                return 0;
        if (now->steady >= p->again || p->again > usec_add(now->steady, POOL_START_WAIT << POOL_START_DOUBLED_MAX)) { /* the clock was set */
                p->wanted = true;
                p->again = usec_add(now->steady, POOL_START_WAIT << MIN(p->asked, POOL_START_DOUBLED_MAX));
                p->asked++;
        }
        m->next_admission = MIN(m->next_admission, p->again);
        return free_and_strdup(&p->owner_name, owner_name);
}

/* Who waits for one wants it again as soon as it may be asked for; that of which so long nobody did is not waited for. */
void pools_forget(Model *m, const Now *now) {
        Pool *p, *t;

        HASH_ITER(hh, m->pools, p, t)
                if (!p->wanted && now->steady > usec_add(p->again, POOL_START_WAIT << POOL_START_DOUBLED_MAX))
                        pool_free(m, p);
}

void pool_refused(Model *m, Pool *p, const char *error, const Now *now) {
        Queue *q = model_queue(m, p->queue);

        p->again = usec_add(now->steady, error ? POOL_AGAIN << MIN(p->asked, POOL_START_DOUBLED_MAX) : POOL_AGAIN_SOON);
        if (!error)
                p->asked = 1;
        m->next_admission = MIN(m->next_admission, p->again);
        if (!streq_ptr(p->trouble, error) && free_and_strdup(&p->trouble, error) >= 0 && q)
                queue_touch(q);
}

void pool_registered(Model *m, const char *unit) {
        Pool *p = pool_find(m, unit);

        if (p)
                pool_free(m, p);
}

int pool_reason(const Model *m, const Queue *q, uint32_t owner, char **ret) {
        char unit[POOL_UNIT_MAX];
        const Pool *p;

        pool_unit_name(q->name, owner, unit);
        p = pool_find(m, unit);
        if (p && p->trouble)
                return reason_say(ret, "its runner cannot be started, trying again: %s", p->trouble);
        if (p && p->asked > 1)
                return reason_say(ret, "its runner was started and is not heard of, trying again: journalctl -u %s", unit);
        return reason_say(ret, "its runner is being started");
}

/* ---- what it can give ---- */

int pool_check_properties(const UnitPropertyList *l, char **ret_error) {
        for (size_t i = 0; i < l->n_values; i++) {
                const UnitProperty *p = unit_property_of_value(l->values + i);

                if (p && !(p->flags & UNIT_PROPERTY_POOL))
                        return spec_error(ret_error, EPERM, "%s= cannot be set where jobs have no unit of their own (Executor=pool)", p->name);
        }
        return 0;
}

int pool_check_spec(const JobSpec *s, char **ret_error) {
        return s->freezable ? spec_error(ret_error, EPERM, "freezable: a job without a unit of its own cannot be frozen (Executor=pool)") : 0;
}
