/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "queue/callback.h"

#include "base/string-table.h"
#include "base/strv.h"
#include "queue/model-internal.h"
#include "queue/spec-change.h"

static const char *const callback_event_table[_CALLBACK_EVENT_MAX] = {
        [CALLBACK_STARTED] = "started",
        [CALLBACK_SUCCESS] = "success",
        [CALLBACK_FAILURE] = "failure",
        [CALLBACK_DEAD] = "dead",
};
DEFINE_STRING_TABLE_LOOKUP(callback_event, CallbackEvent);

uint32_t callback_events(const JobSpec *spec) {
        uint32_t events = 0;

        if (!spec->callback_url)
                return 0;
        STRV_FOREACH(i, spec->callback_events) {
                CallbackEvent e = callback_event_from_string(*i);

                events |= e < 0 ? 0 : 1U << e;
        }
        return events ?: CALLBACK_EVENTS_DEFAULT;
}

uint32_t callback_set(const JobSpec *spec) {
        uint32_t at_end = (spec->on_success ? 1U << CALLBACK_SUCCESS : 0) | (spec->on_failure ? 1U << CALLBACK_DEAD : 0);

        return callback_events(spec) | CALLBACK_UNITS(at_end);
}

bool callback_queue_is(const char *queue) {
        return streq_ptr(queue, CALLBACK_QUEUE) || streq_ptr(queue, TRIGGER_QUEUE);
}

bool job_has_callbacks(const Job *j) {
        uint32_t wanted = j->callbacks & (CALLBACK_UNITS(UINT32_C(1)) - 1);

        return ((j->happened & wanted) || (CALLBACK_UNITS(j->happened) & j->callbacks)) && !callback_queue_is(j->queue_name);
}

/* Who told whom of what. Takes argv over. */
static int describe(JobSpec *s, const Job *about, CallbackEvent event, char **argv) {
        const char *word = callback_event_to_string(event);
        char id[32], name[SPEC_NAME_MAX + 1];

        (void) snprintf(id, sizeof(id), "%" PRIu64, about->id);
        (void) snprintf(name, sizeof(name), "%s of job %" PRIu64, word, about->id);
        s->argv = argv;
        s->tags = strv_copy((char *const[]) { (char *) "event", (char *) word, (char *) "job", id, NULL });
        s->name = strdup(name);
        return s->argv && s->tags && s->name ? 0 : -ENOMEM;
}

/* As if somebody had submitted it, whatever limits hold for that: it must not be lost. Takes argv over. */
static int make(Model *m, Queue *q, const Job *about, CallbackEvent event, char **argv, uint32_t owner, const char *owner_name, const Now *now,
                Job **ret) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        int r;

        if (!s)
                strv_free(argv);
        r = s ? describe(s, about, event, argv) : -ENOMEM;
        if (r >= 0 && q->policy.defaults)
                r = spec_inherit(s, q->policy.defaults);
        if (r < 0)
                return r;
        s->callback_url = mfree(s->callback_url); /* none about callbacks */
        s->on_success = strv_free(s->on_success);
        s->on_failure = strv_free(s->on_failure);
        s->output = OUTPUT_JOURNAL;
        s->verify = VERIFY_EXIT;
        s->timeout_usec = q->policy.timeout_usec;
        r = model_submit_own(m, q, s, owner, owner_name, now, ret);
        if (r >= 0)
                TAKE_PTR(s);
        return r;
}

/* What a worker of the queue is told. The record is put into it when that is written (store/store-record.c). */
static int make_callback(Model *m, Queue *q, const Job *about, CallbackEvent event, const char *url, const Now *now) {
        char id[32];
        Job *j;
        int r;

        (void) snprintf(id, sizeof(id), "%" PRIu64, about->id);
        r = make(m, q, about, event,
                 strv_copy((char *const[]) { (char *) CALLBACK_COMMAND, (char *) callback_event_to_string(event), id, (char *) url, NULL }),
                 about->owner, about->owner_name, now, &j);
        if (r < 0)
                return r;
        j->callback_of = about->id;
        j->callback_event = event;
        return 0;
}

/* A template's instance is the job. */
static int make_trigger(Model *m, Queue *q, const Job *about, CallbackEvent event, const char *unit, bool user, const Now *now) {
        const char *at = strstr(unit, "@.");
        char name[SPEC_UNIT_MAX + 32];
        Job *j;

        if (at)
                (void) snprintf(name, sizeof(name), "%.*s@%" PRIu64 "%s", (int) (at - unit), unit, about->id, at + 1);
        else
                (void) snprintf(name, sizeof(name), "%s", unit);
        if (user)
                return make(m, q, about, event, strv_copy((char *const[]) { (char *) "systemctl", (char *) "--user", (char *) "--no-block",
                                                                            (char *) "start", name, NULL }),
                            about->owner, about->owner_name, now, &j);
        return make(m, q, about, event, strv_copy((char *const[]) { (char *) "systemctl", (char *) "--no-block", (char *) "start", name, NULL }),
                    0, "root", now, &j);
}

static int make_triggers(Model *m, const Job *j, CallbackEvent event, char *const *units, bool user, const Now *now) {
        Queue *q;
        int r = model_queue_add(m, TRIGGER_QUEUE, &q);

        STRV_FOREACH(u, units)
                if (r >= 0)
                        r = make_trigger(m, q, j, event, *u, user, now);
        return r;
}

int model_make_callbacks(Model *m, Job *j, const JobSpec *spec, bool user, const Now *now) {
        uint32_t told = j->happened & j->callbacks, started = CALLBACK_UNITS(j->happened) & j->callbacks;
        Queue *q;
        int r;

        r = model_queue_add(m, CALLBACK_QUEUE, &q);
        for (CallbackEvent e = 0; e < _CALLBACK_EVENT_MAX && r >= 0; e++) {
                if (told & 1U << e)
                        r = make_callback(m, q, j, e, strempty(spec->callback_url), now);
                if (r >= 0 && (started & CALLBACK_UNITS(1U << e)))
                        r = make_triggers(m, j, e, e == CALLBACK_SUCCESS ? spec->on_success : spec->on_failure, user, now);
        }
        j->happened = 0;
        return r;
}
