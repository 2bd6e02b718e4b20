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

bool callback_queue_is(const char *queue) {
        return streq_ptr(queue, CALLBACK_QUEUE);
}

bool job_has_callbacks(const Job *j) {
        return (j->happened & j->callbacks) && !callback_queue_is(j->queue_name);
}

/* What a worker of the queue is told. The record is put into it when that is written (store/store-record.c). */
static int describe(JobSpec *s, const Job *about, CallbackEvent event, const char *url) {
        const char *word = callback_event_to_string(event);
        char id[32], name[SPEC_NAME_MAX + 1];

        (void) snprintf(id, sizeof(id), "%" PRIu64, about->id);
        (void) snprintf(name, sizeof(name), "%s of job %" PRIu64, word, about->id);
        s->argv = strv_copy((char *const[]) { (char *) CALLBACK_COMMAND, (char *) word, id, (char *) url, NULL });
        s->tags = strv_copy((char *const[]) { (char *) "event", (char *) word, (char *) "job", id, NULL });
        s->name = strdup(name);
        return s->argv && s->tags && s->name ? 0 : -ENOMEM;
}

/* As if its owner had submitted it, whatever limits hold for that: it must not be lost. */
static int make(Model *m, Queue *q, const Job *about, CallbackEvent event, const char *url, const Now *now) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        Job *j;
        int r;

        r = s ? describe(s, about, event, url) : -ENOMEM;
        if (r >= 0 && q->policy.defaults)
                r = spec_inherit(s, q->policy.defaults);
        if (r < 0)
                return r;
        s->callback_url = mfree(s->callback_url); /* none about callbacks */
        s->output = OUTPUT_JOURNAL;
        s->verify = VERIFY_EXIT;
        s->timeout_usec = q->policy.timeout_usec;
        r = model_submit_own(m, q, s, about->owner, about->owner_name, now, &j);
        if (r < 0)
                return r;
        TAKE_PTR(s);
        j->callback_of = about->id;
        j->callback_event = event;
        return 0;
}

int model_make_callbacks(Model *m, Job *j, const JobSpec *spec, const Now *now) {
        uint32_t events = j->happened & j->callbacks;
        Queue *q;
        int r;

        r = model_queue_add(m, CALLBACK_QUEUE, &q);
        for (CallbackEvent e = 0; e < _CALLBACK_EVENT_MAX && r >= 0; e++)
                if (events & 1U << e)
                        r = make(m, q, j, e, strempty(spec->callback_url), now);
        j->happened = 0;
        return r;
}
