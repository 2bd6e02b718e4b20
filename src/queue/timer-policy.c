/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may be said of a schedule, in SetSchedule and in [Schedule]: one table of keys. When a calendar event is systemd knows, and is asked. */

#include "base/parse.h"
#include "base/string-table.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "queue/model.h"

#include <ctype.h>

static const char *const overlap_table[] = {
        [OVERLAP_SKIP] = "skip",
        [OVERLAP_QUEUE] = "queue",
        [OVERLAP_REPLACE] = "replace",
};
DEFINE_STRING_TABLE_LOOKUP(overlap, Overlap);

void timer_policy_done(TimerPolicy *p) {
        p->calendar = strv_free(p->calendar);
        p->job = mfree(p->job);
}

int timer_policy_copy(const TimerPolicy *p, TimerPolicy *ret) {
        TimerPolicy n = *p;

        n.calendar = strv_copy(p->calendar);
        n.job = p->job ? strdup(p->job) : NULL;
        if (!n.calendar || (p->job && !n.job)) {
                timer_policy_done(&n);
                return -ENOMEM;
        }
        *ret = n;
        return 0;
}

/* "0.5", which would be more often than once in TIMER_EVERY_MIN; not "1..5". */
static bool has_fraction(const char *value) {
        for (const char *dot = strchr(value, '.'); dot; dot = strchr(dot + 1, '.'))
                if (dot > value && isdigit((unsigned char) dot[-1]) && dot[1] != '.')
                        return true;
        return false;
}

/* What it means systemd says; here it becomes a unit property. */
static int assign_calendar(TimerPolicy *p, const char *value) {
        if (isempty(value)) {
                p->calendar = strv_free(p->calendar);
                return 0;
        }
        if (strlen(value) > TIMER_CALENDAR_MAX || !string_is_clean(value) || has_fraction(value) || strv_length(p->calendar) >= TIMER_CALENDARS_MAX)
                return -EINVAL;
        return strv_extend(&p->calendar, value);
}

static int assign_every(TimerPolicy *p, const char *value) {
        usec_t t = USEC_INFINITY;
        int r = isempty(value) ? 0 : parse_span(value, &t);

        if (r < 0 || t < TIMER_EVERY_MIN || (!isempty(value) && t == USEC_INFINITY))
                return -EINVAL;
        p->every = t;
        return 0;
}

static int assign_span(usec_t *to, const char *value, usec_t fallback, usec_t min) {
        usec_t t = fallback;
        int r = isempty(value) ? 0 : parse_span(value, &t);

        if (r < 0 || t == USEC_INFINITY || t < min)
                return -EINVAL;
        *to = t;
        return 0;
}

static int assign_delay(TimerPolicy *p, const char *value) {
        return assign_span(&p->random_delay, value, 0, 0);
}

static int assign_accuracy(TimerPolicy *p, const char *value) {
        return assign_span(&p->accuracy, value, TIMER_ACCURACY_DEFAULT, 1);
}

static int assign_persistent(TimerPolicy *p, const char *value) {
        int r = isempty(value) ? 0 : parse_boolean(value);

        if (r < 0)
                return r;
        p->persistent = r;
        return 0;
}

static int assign_overlap(TimerPolicy *p, const char *value) {
        Overlap o = isempty(value) ? OVERLAP_SKIP : overlap_from_string(value);

        if (o < 0)
                return -EINVAL;
        p->overlap = o;
        return 0;
}

static const struct {
        const char *key;
        int (*assign)(TimerPolicy *p, const char *value);
        const char *allowed;
} timer_keys[] = {
        { "OnCalendar", assign_calendar, "a calendar event of systemd without fractions of a second, at most 256 bytes, and 32 of them" },
        { "OnUnitActiveSec", assign_every, "a time span of at least 1s" },
        { "Persistent", assign_persistent, "a boolean" },
        { "RandomizedDelaySec", assign_delay, "a time span" },
        { "AccuracySec", assign_accuracy, "a time span of at least 1us" },
        { "Overlap", assign_overlap, "skip, queue or replace" },
};

int timer_policy_assign(TimerPolicy *p, const char *key, const char *value, char **ret_error) {
        char word[SPEC_QUOTE_MAX], quoted[SPEC_QUOTE_MAX];

        FOREACH_ELEMENT(k, timer_keys)
                if (streq(k->key, key)) {
                        int r = k->assign(p, value);
                        if (r == -ENOMEM || r >= 0)
                                return r;
                        return spec_error(ret_error, EINVAL, "%s=: '%s' is not allowed (%s)", key,
                                          spec_quote(quoted, value, strlen(value)), k->allowed);
                }
        return spec_error(ret_error, EINVAL, "%s=: unknown key", spec_quote(word, key, strlen(key)));
}

int timer_policy_check(const TimerPolicy *p, char **ret_error) {
        if (strv_length(p->calendar) == 0 && p->every == USEC_INFINITY)
                return spec_error(ret_error, EINVAL, "OnCalendar= or OnUnitActiveSec= is needed: when is it to be?");
        if (strv_length(p->calendar) > 0 && p->every != USEC_INFINITY)
                return spec_error(ret_error, EINVAL, "OnCalendar= and OnUnitActiveSec= cannot be combined");
        return 0;
}

static uint64_t mix(uint64_t h, const char *s, size_t n) {
        for (size_t i = 0; i < n; i++)
                h = (h ^ (uint8_t) s[i]) * UINT64_C(0x100000001b3);
        return h;
}

uint64_t timer_policy_digest(const TimerPolicy *p) {
        uint64_t h = UINT64_C(0xcbf29ce484222325);
        usec_t spans[] = { p->every, p->random_delay, p->accuracy };

        STRV_FOREACH(c, p->calendar)
                h = mix(h, *c, strlen(*c) + 1);
        return mix(h, (const char *) spans, sizeof(spans));
}

uint64_t timer_digest(const Timer *t) {
        return mix(timer_policy_digest(&t->policy), (const char *) &t->set, sizeof(t->set)) ?: 1;
}

bool timer_policy_equal(const TimerPolicy *a, const TimerPolicy *b) {
        return timer_policy_digest(a) == timer_policy_digest(b) && a->persistent == b->persistent && a->overlap == b->overlap && streq_ptr(a->job, b->job);
}
