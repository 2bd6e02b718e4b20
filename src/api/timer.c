/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* SetSchedule and what else is done to schedules. One is its owner's, who set it first; another who may submit as him may change it. Its job is checked
 * when it is set, as if it were submitted at that moment, and each time that it is. Whether systemd understands OnCalendar= it is asked. */

#include "api/timer.h"

#include "api/methods.h"
#include "api/room.h"
#include "api/share.h"
#include "api/spec-bus.h"

#include "base/strv.h"
#include "queue/job-type.h"
#include "queue/spec-check.h"
#include "queue/spec-json.h"

#include <json-c/json.h>
#include <unistd.h>

int timer_find(Call *c, const char *name, Timer **ret, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];

        *ret = model_timer(c->api->model, name);
        return *ret ? 0 : api_error(error, JOBMILL_ERROR_NO_SUCH_SCHEDULE, "There is no schedule '%s'", spec_quote(quoted, name, strlen(name)));
}

/* 1; 0: not there yet; negative. */
static int own_timer(Call *c, Timer **ret, sd_bus_error *error) {
        const char *name;
        int r;

        r = sd_bus_message_read_basic(c->message, 's', &name);
        if (r >= 0)
                r = timer_find(c, name, ret, error);
        if (r < 0)
                return r;
        return (*ret)->owner == c->client->uid ? 1 : call_authorize(c, JOBMILL_ACTION_MANAGE_JOBS, (const char *const[]) { "schedule", name, NULL }, error);
}

/* ---- reading ---- */

static int spec_to_job(const JobSpec *s, const char *queue, char **ret) {
        _cleanup_free_ char *text = NULL;
        json_object *o = NULL;
        int r;

        r = spec_to_json(s, 0, &text);
        if (r >= 0)
                r = spec_parse_object(text, strlen(text), &o, NULL);
        if (r >= 0 && !isempty(queue))
                json_object_object_add(o, "queue", json_object_new_string(queue));
        if (r >= 0) {
                *ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
                r = *ret ? 0 : -ENOMEM;
        }
        json_object_put(o);
        return r;
}

static int read_job(Call *c, TimerPolicy *p, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL, *queue = NULL;
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        const char *type;
        uint64_t given;
        int r;

        if (!s)
                return -ENOMEM;
        r = sd_bus_message_peek_type(c->message, NULL, &type);
        if (r < 0)
                return r;
        if (!streq(type, "a{sv}"))
                return api_error(error, JOBMILL_ERROR_INVALID_SETTING, "Job: a{sv}, the keys of a job, not %s", type);
        r = sd_bus_message_enter_container(c->message, 'v', type);
        if (r >= 0)
                r = spec_read_bus(c->message, s, &given, &queue, &text);
        if (r < 0)
                return text ? api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text) : r;
        if (s->credentials)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "credentials: a schedule stores its job, which is no place for secrets; give it a job type"
                                 " with RequireCredentials=");
        p->job = mfree(p->job);
        r = spec_to_job(s, queue, &p->job);
        if (r < 0)
                return r;
        if (strlen(p->job) > c->api->limits.timer_job_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "Job: %zu bytes, at most %" PRIu64 " are allowed here (ScheduleJobMax=)",
                                 strlen(p->job), c->api->limits.timer_job_max);
        return sd_bus_message_exit_container(c->message);
}

/* What is given takes the place of what there was. */
static int read_setting(Call *c, const char *key, TimerPolicy *p, sd_bus_error *error) {
        _cleanup_strv_free_ char **values = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = call_read_setting(c, key, &values, error);
        if (r < 0)
                return r;
        r = timer_policy_assign(p, key, "", &text);
        STRV_FOREACH(v, values)
                if (r >= 0)
                        r = timer_policy_assign(p, key, *v, &text);
        return r < 0 && text ? api_error(error, JOBMILL_ERROR_INVALID_SETTING, "%s", text) : r;
}

static int read_policy(Call *c, TimerPolicy *p, sd_bus_error *error) {
        const char *key;
        unsigned n = 0;
        int r;

        r = sd_bus_message_enter_container(c->message, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(c->message, 'e', "sv")) > 0) {
                if (n++ >= QUEUE_SETTINGS_MAX)
                        return api_error(error, JOBMILL_ERROR_TOO_MANY, "More than %u settings", QUEUE_SETTINGS_MAX);
                r = sd_bus_message_read_basic(c->message, 's', &key);
                if (r >= 0)
                        r = streq(key, "Job") ? read_job(c, p, error) : read_setting(c, key, p, error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(c->message);
        }
        return r < 0 ? r : sd_bus_message_exit_container(c->message);
}

/* ---- SetSchedule ---- */

/* Of a new one, or of one that there is: who is its owner? 1; 0: not there yet; negative. */
static int check_owner(Call *c, const char *name, const Timer *t, sd_bus_error *error) {
        char number[16];
        uint64_t n;

        if (t && t->of_file)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Schedule '%s' is of the file jobs/%s.job: change it there", name, name);
        if (t && t->owner == c->client->uid)
                return 1;
        if (t) {
                /* What polkit says is said of one user; meanwhile it may have become another's. */
                if (c->submit_as != UINT32_MAX && c->submit_as != t->owner)
                        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Schedule '%s' has changed its owner meanwhile", name);
                c->submit_as = t->owner;
                (void) snprintf(number, sizeof(number), "%" PRIu32, t->owner);
                return call_authorize(c, JOBMILL_ACTION_SUBMIT_AS, (const char *const[]) { "uid", number, "schedule", name, NULL }, error);
        }
        if (c->client->uid != getuid() && job_types_find(c->api->types, name))
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "'%s' is the name of a job type, so that of a schedule of its file: take another", name);
        n = model_count_timers(c->api->model, c->client->uid);
        if (n >= c->api->limits.timers_per_user_max)
                return api_error(error, JOBMILL_ERROR_TOO_MANY, "User %" PRIu32 " has %" PRIu64 " schedules already (SchedulesPerUserMax=)",
                                 c->client->uid, n);
        return 1;
}

/* The same. */
static int check_job(Call *c, uint32_t owner, const char *job, sd_bus_error *error) {
        const User *u;
        uint32_t uid;
        int r;

        uid = timer_unknown_user(c->api, owner, job);
        if (uid != UINT32_MAX) {
                r = call_user(c, uid, &u);
                if (r <= 0)
                        return r;
        }
        return timer_check_job(c->api, owner, job, error);
}

void api_calendar_checked(Api *a, uint64_t number, bool invalid, const char *error) {
        Call *c;

        a->n_calendars_open--;
        TAILQ_FOREACH(c, &a->asking, entry)
                if (c->where == CALL_CALENDAR && c->calendar.number == number) {
                        c->calendar.known = true;
                        c->calendar.invalid = invalid;
                        c->calendar.error = error ? strdup(error) : NULL;
                        if (error && !c->calendar.error) /* no memory for it */
                                c->calendar.error = strdup("");
                        c->calendar.known = !error || c->calendar.error;
                        call_put_aside(c, CALL_AGAIN);
                        return;
                }
}

static int calendar_error(Call *c, const char *calendar, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];

        (void) spec_quote(quoted, calendar, strlen(calendar));
        if (c->calendar.invalid)
                return api_error(error, JOBMILL_ERROR_INVALID_SETTING, "OnCalendar=: '%s' is not allowed (systemd: %s)", quoted, strempty(c->calendar.error));
        return sd_bus_error_set_errnof(error, EAGAIN, "Nobody can say whether OnCalendar=%s is right: %s", quoted, strempty(c->calendar.error));
}

/* The same. One after the other, as systemd does not say which is wrong. */
static int check_calendar(Call *c, const Timer *t, const TimerPolicy *p, sd_bus_error *error) {
        const char *calendar;
        int r;

        if (t && !t->fault && strv_equal(t->policy.calendar, p->calendar))
                return 1;
        /* What the answer is about may have been changed meanwhile by somebody else. */
        if (c->calendar.known && c->calendar.n_good >= strv_length(p->calendar)) {
                c->calendar.error = mfree(c->calendar.error);
                c->calendar.n_good = 0;
                c->calendar.known = false;
        }
        if (c->calendar.known && c->calendar.error)
                return calendar_error(c, p->calendar[c->calendar.n_good], error);
        c->calendar.n_good += c->calendar.known;
        c->calendar.known = false;
        if (c->calendar.n_good >= strv_length(p->calendar))
                return 1;
        if (call_too_many_pending(c))
                return -EUSERS;
        if (!call_may_ask_calendar(c)) {
                call_put_aside(c, CALL_FOR_CALENDAR);
                return 0;
        }
        calendar = p->calendar[c->calendar.n_good];
        c->calendar.number = ++c->api->n_calendars;
        r = c->api->check_calendar(c->api->userdata, calendar, c->calendar.number);
        if (r < 0)
                return sd_bus_error_set_errnof(error, EAGAIN, "Nobody can say whether OnCalendar=%s is right: %s", calendar, strerror(-r));
        c->api->n_calendars_open++;
        call_put_aside(c, CALL_CALENDAR);
        return 0;
}

static int check_policy(const TimerPolicy *p, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = timer_policy_check(p, &text);
        if (r < 0)
                return text ? api_error(error, JOBMILL_ERROR_INVALID_SETTING, "%s", text) : r;
        return p->job ? 0 : api_error(error, JOBMILL_ERROR_INVALID_SETTING, "Job is needed: what is to be done?");
}

static int set_schedule(Call *c, const char *name, TimerPolicy *p, sd_bus_error *error) {
        Timer *t = model_timer(c->api->model, name);
        uint32_t owner = t ? t->owner : c->client->uid;
        const User *u;
        int r;

        if (!type_name_is_valid(name))
                return api_error(error, JOBMILL_ERROR_INVALID_SETTING, "Not the name of a schedule: [a-z0-9_-], at most %u", SPEC_TYPE_MAX);
        r = t ? timer_policy_copy(&t->policy, p) : 0;
        if (r >= 0)
                r = read_policy(c, p, error);
        if (r >= 0)
                r = check_policy(p, error);
        if (r >= 0)
                r = check_owner(c, name, t, error);
        if (r > 0)
                r = check_job(c, owner, p->job, error);
        if (r > 0)
                r = check_calendar(c, t, p, error);
        if (r > 0)
                r = call_user(c, owner, &u);
        if (r <= 0)
                return r;
        r = room_for_timer(c, t, owner, p, error);
        if (r < 0)
                return r;
        r = model_timer_set(c->api->model, name, p, owner, u->name, /* of_file = */ false, &c->api->now);
        return r < 0 ? r : call_hold_empty(c);
}

static int handle_set_schedule(Call *c, sd_bus_error *error) {
        TimerPolicy p = TIMER_POLICY_INIT;
        const char *name;
        int r;

        r = sd_bus_message_read_basic(c->message, 's', &name);
        if (r >= 0)
                r = set_schedule(c, name, &p, error);
        timer_policy_done(&p);
        return r;
}
DEFINE_METHOD(set_schedule);

/* ---- the others ---- */

static int handle_remove_schedule(Call *c, sd_bus_error *error) {
        Timer *t;
        int r;

        r = own_timer(c, &t, error);
        if (r <= 0)
                return r;
        if (t->of_file)
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Schedule '%s' is of the file jobs/%s.job: it can be paused, or masked there", t->name, t->name);
        model_timer_remove(c->api->model, t);
        return call_hold_empty(c);
}
DEFINE_METHOD(remove_schedule);

static int set_paused(Call *c, bool paused, sd_bus_error *error) {
        Timer *t;
        int r;

        r = own_timer(c, &t, error);
        if (r <= 0)
                return r;
        model_timer_pause(c->api->model, t, paused, &c->api->now);
        return call_hold_empty(c);
}

static int handle_pause_schedule(Call *c, sd_bus_error *error) {
        return set_paused(c, true, error);
}
DEFINE_METHOD(pause_schedule);

static int handle_resume_schedule(Call *c, sd_bus_error *error) {
        return set_paused(c, false, error);
}
DEFINE_METHOD(resume_schedule);

static int fire_now(Call *c, Timer *t, uint64_t *ret, sd_bus_error *error) {
        _cleanup_(firing_freep) Firing *f = firing_new(t->name);
        const User *u;
        uint32_t uid;
        int r;

        if (!f)
                return -ENOMEM;
        uid = t->configured ? timer_unknown_user(c->api, t->owner, t->policy.job) : UINT32_MAX;
        if (uid != UINT32_MAX) {
                r = call_user(c, uid, &u);
                if (r <= 0)
                        return r;
        }
        r = timer_submit(c->api, t, f, error);
        if (r == 0)
                return api_error(error, JOBMILL_ERROR_NOT_UNIQUE, "Schedule '%s': %s", t->name, f->note);
        if (r < 0)
                return r;
        *ret = f->job;
        f->cause = CAUSE_MANUAL;
        f->due = c->api->now.realtime;
        model_timer_fired(c->api->model, t, TAKE_PTR(f), &c->api->now);
        return 1;
}

static int handle_fire_schedule(Call *c, sd_bus_error *error) {
        uint64_t job = 0;
        Reply reply;
        Timer *t;
        int r;

        r = own_timer(c, &t, error);
        if (r > 0)
                r = fire_now(c, t, &job, error);
        if (r <= 0)
                return r;
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "id", "t", job);
        return call_hold(c, &reply, r);
}
DEFINE_METHOD(fire_schedule);
