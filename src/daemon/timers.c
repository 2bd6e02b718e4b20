/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules, as far as they are the daemon's: those of job files, and the question about OnCalendar= between api/ and unit/. */

#include "daemon/manager.h"

#include "api/timer.h"
#include "base/log.h"
#include "queue/spec-json.h"

#include <unistd.h>

/* One of the type, with the payload that its file says. */
static int make_job(const JobType *type, char **ret) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();

        if (!s || free_and_strdup(&s->type, type->name) < 0)
                return -ENOMEM;
        if (type->schedule_payload) {
                s->payload_size = strlen(type->schedule_payload);
                s->payload = (uint8_t *) strdup(type->schedule_payload);
                s->has_payload = true;
                if (!s->payload)
                        return -ENOMEM;
        }
        return spec_to_json(s, 0, ret);
}

/* What has not changed is not recorded again. */
static int set_timer(Manager *m, Model *model, const JobType *type, TimerPolicy *p) {
        Timer *t = model_timer(model, type->name);
        uint32_t owner = m->user ? getuid() : 0;
        int r;

        if (t && !t->of_file && t->owner == owner) {
                t->hides_file = true;
                log_warning("[Schedule] of job type %s is not used: a schedule of that name was set.", type->name);
                return 0;
        }
        if (t && !t->of_file) { /* a package's name is not for users to take */
                log_warning("Schedule %s of user %" PRIu32 " is removed: there is one of a job type of that name.", t->name, t->owner);
                model_timer_remove(model, t);
                t = NULL;
        }
        if (!t || !timer_policy_equal(&t->policy, p)) {
                r = model_timer_set(model, type->name, p, owner, m->user ? NULL : "root", /* of_file = */ true, &m->now);
                if (r < 0)
                        return r;
                t = model_timer(model, type->name);
        }
        t->seen = true;
        model_timer_configure(model, t, true);
        return 0;
}

static int find_timer(Manager *m, Model *model, const JobType *type) {
        TimerPolicy p;
        int r;

        r = timer_policy_copy(&type->schedule, &p);
        if (r < 0)
                return r;
        r = make_job(type, &p.job);
        if (r >= 0)
                r = set_timer(m, model, type, &p);
        timer_policy_done(&p);
        return r;
}

int manager_find_timers(Manager *m, Model *model) {
        Timer *t, *n;
        int r;

        model->timers.files_wanted = false;
        for (t = model->timers.all; t; t = t->hh.next)
                t->seen = t->hides_file = false;
        for (const JobType *type = m->types.all; type; type = type->hh.next) {
                r = type->configured && type->scheduled ? find_timer(m, model, type) : 0;
                if (r < 0)
                        return r;
        }
        HASH_ITER(hh, model->timers.all, t, n) {
                const JobType *type = job_types_find(&m->types, t->name);

                if (!t->of_file || t->removed || t->seen)
                        continue;
                if (type && !type->configured) /* its file is bad: what came of it is kept until that is mended */
                        model_timer_configure(model, t, false);
                else
                        model_timer_remove(model, t);
        }
        return 0;
}

static void on_calendar(void *userdata, uint64_t number, bool invalid, const char *error) {
        Manager *m = userdata;

        if (m->api)
                api_calendar_checked(m->api, number, invalid, error);
}

int manager_check_calendar(void *userdata, const char *calendar, uint64_t number) {
        Manager *m = userdata;

        return units_check_calendar(m->units, calendar, number, on_calendar, m);
}
