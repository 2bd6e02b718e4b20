/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules and what came of them. When whose elapses all may know; what it submits, and why it did not, its owner and who may read all. */

#include "api/methods.h"
#include "api/read-json.h"
#include "api/share.h"
#include "api/timer.h"

#include "base/strv.h"

#define FIRINGS_MAX 1000U
#define TEXTS_MAX (4U * 1024U * 1024U) /* bytes of jobs and calendars in one list; as much as a message can take by far */

static int append_text(Reply *d, const char *key, const char *value, int r) {
        return r < 0 || !value ? r : dict_append(d, key, "s", value);
}

static int append_number(Reply *d, const char *key, uint64_t value, uint64_t none, int r) {
        return r < 0 || value == none ? r : dict_append(d, key, "t", value);
}

/* texts: NULL, or what is left for them; those that are too long for it are not told. */
static bool take_texts(const TimerPolicy *p, size_t *texts) {
        size_t n = strlen(strempty(p->job));

        STRV_FOREACH(c, p->calendar)
                n += strlen(*c);
        if (texts && n > *texts)
                return false;
        if (texts)
                *texts -= n;
        return true;
}

static int append_policy(Reply *d, const TimerPolicy *p, bool is_private, size_t *texts, int r) {
        bool told = take_texts(p, texts);

        if (r >= 0 && told && strv_length(p->calendar) > 0)
                r = dict_append_strv(d, "calendar", p->calendar);
        r = append_number(d, "every_usec", p->every, USEC_INFINITY, r);
        r = append_number(d, "randomized_delay_usec", p->random_delay, USEC_INFINITY, r);
        r = append_number(d, "accuracy_usec", p->accuracy, USEC_INFINITY, r);
        if (r >= 0)
                r = dict_append(d, "persistent", "b", (int) p->persistent);
        r = append_text(d, "overlap", overlap_to_string(p->overlap), r);
        return r < 0 || !told || !is_private || !p->job ? r : dict_append_json(d, "job", p->job);
}

static int append_timer(Reply *d, const char *name, const Timer *t, bool is_private, size_t *texts) {
        char unit[128], file[96];
        int r;

        (void) snprintf(unit, sizeof(unit), "jobmill-schedule-%s.timer", t->name);
        (void) snprintf(file, sizeof(file), "jobs/%s.job", t->name);
        r = reply_open_dict(d, name);
        r = append_text(d, "name", t->name, r);
        if (r >= 0)
                r = dict_append(d, "owner", "u", t->owner);
        r = append_text(d, "file", t->of_file ? file : NULL, r);
        r = append_text(d, "hides", t->hides_file ? file : NULL, r);
        r = append_text(d, "unit", unit, r);
        if (r >= 0)
                r = dict_append(d, "paused", "b", (int) t->paused);
        r = append_text(d, "reason", t->configured ? t->fault : "its file is bad", r);
        r = append_number(d, "next_usec", t->paused ? USEC_INFINITY : t->next, USEC_INFINITY, r);
        r = append_number(d, "elapsed_usec", t->elapsed, 0, r);
        r = append_number(d, "last_job", t->last_job, 0, r);
        r = append_number(d, "firings", t->n_firings, UINT64_MAX, r);
        if (t->configured)
                r = append_policy(d, &t->policy, is_private, texts, r);
        return reply_close_dict(d, r);
}

static int compare_timers(const void *a, const void *b) {
        return strcmp((*(Timer *const *) a)->name, (*(Timer *const *) b)->name);
}

/* Those that are not removed, by name. */
static int sort_timers(const Model *m, const Timer ***ret, size_t *ret_n) {
        const Timer **l = new0(const Timer *, HASH_COUNT(m->timers.all) + 1);
        size_t n = 0;

        if (!l)
                return -ENOMEM;
        for (const Timer *t = m->timers.all; t; t = t->hh.next)
                if (!t->removed)
                        l[n++] = t;
        qsort(l, n, sizeof(Timer *), compare_timers);
        *ret = l;
        *ret_n = n;
        return 0;
}

int handle_list_schedules(Call *c, sd_bus_error *error) {
        _cleanup_free_ const Timer **l = NULL;
        size_t texts = TEXTS_MAX;
        bool reads_all;
        Reply reply;
        size_t n;
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &reads_all);
        if (r <= 0)
                return r;
        r = sort_timers(c->api->model, &l, &n);
        if (r < 0)
                return r;
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_open_array(&reply, "schedules", "a{sv}");
        for (size_t i = 0; i < n && r >= 0; i++)
                r = append_timer(&reply, NULL, l[i], reads_all || l[i]->owner == c->client->uid, &texts);
        if (r >= 0)
                r = reply_close_array(&reply);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(list_schedules);

int handle_get_schedule(Call *c, sd_bus_error *error) {
        bool reads_all;
        const char *name;
        Reply reply;
        Timer *t;
        int r;

        r = c->message ? sd_bus_message_read_basic(c->message, 's', &name) : read_json_string(c->parameters, "schedule", NULL, &name, error);
        if (r >= 0)
                r = timer_find(c, name, &t, error);
        if (r >= 0)
                r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &reads_all);
        if (r <= 0)
                return r;
        r = call_reply(c, &reply);
        if (r >= 0)
                r = append_timer(&reply, "schedule", t, reads_all || t->owner == c->client->uid, NULL);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(get_schedule);

/* ---- what came of one ---- */

typedef struct Firings {
        Reply reply;
        bool is_private;
} Firings;

static int append_firing(void *userdata, const Firing *f) {
        Firings *l = userdata;
        Reply *d = &l->reply;
        int r;

        r = reply_open_dict(d, NULL);
        r = append_number(d, "number", f->number, 0, r);
        r = append_text(d, "cause", cause_to_string(f->cause), r);
        r = append_number(d, "due_usec", f->due, USEC_INFINITY, r);
        r = append_number(d, "fired_usec", f->fired, USEC_INFINITY, r);
        r = append_number(d, "job", f->job, 0, r);
        r = append_text(d, "reason", l->is_private ? f->note : NULL, r);
        return reply_close_dict(d, r);
}

static int read_firings(Call *c, const char **ret_name, uint64_t *ret_limit, sd_bus_error *error) {
        uint64_t none = 0;
        uint32_t limit;
        int r;

        if (!c->message) {
                r = read_json_string(c->parameters, "schedule", NULL, ret_name, error);
                return r < 0 ? r : read_json_u64(c->parameters, "limit", &none, ret_limit, error);
        }
        r = sd_bus_message_read(c->message, "su", ret_name, &limit);
        *ret_limit = limit;
        return r;
}

int handle_list_firings(Call *c, sd_bus_error *error) {
        Firings l = {};
        uint64_t limit;
        const char *name;
        Timer *t;
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = read_firings(c, &name, &limit, error);
        if (r >= 0)
                r = timer_find(c, name, &t, error);
        if (r < 0)
                return r;
        r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &l.is_private);
        if (r <= 0)
                return r;
        l.is_private = l.is_private || t->owner == c->client->uid;
        r = call_reply(c, &l.reply);
        if (r >= 0)
                r = reply_open_array(&l.reply, "firings", "a{sv}");
        if (r >= 0)
                r = store_list_firings(c->api->store, t->name, limit == 0 || limit > FIRINGS_MAX ? FIRINGS_MAX : limit, append_firing, &l);
        if (r >= 0)
                r = reply_close_array(&l.reply);
        return call_send(c, &l.reply, r);
}
DEFINE_METHOD(list_firings);
