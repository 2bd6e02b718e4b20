/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is said to the manager of timers, and read of them.
 *
 * The timer starts a service of the same name, as a timer must. That does nothing but have jobmilld started if it is not running: what is due is
 * seen in the timer. Both are made by one call, and gone when the timer is stopped. Of what a unit was made (timer_digest()) stands in its Documentation=. */

#include "unit/timer.h"

#include "base/bus-util.h"
#include "base/strv.h"
#include "unit/units.h"

#define DIGEST_PREFIX "info:jobmill/schedule/"
#define NOTHING "/bin/true"

void timer_unit_name(const char *name, const char *suffix, char ret[static TIMER_UNIT_MAX]) {
        (void) snprintf(ret, TIMER_UNIT_MAX, TIMER_UNIT_PREFIX "%s%s", name, suffix);
}

const char *timer_name_of_unit(const char *unit, char ret[static TIMER_UNIT_MAX]) {
        const char *name = startswith(unit, TIMER_UNIT_PREFIX), *end = name ? endswith(name, ".timer") : NULL;

        if (!end || end == name || strlen(unit) >= TIMER_UNIT_MAX)
                return NULL;
        (void) snprintf(ret, TIMER_UNIT_MAX, "%.*s", (int) (end - name), name);
        return ret;
}

int timer_new_look(Units *u, const Timer *t, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *path = NULL;
        char unit[TIMER_UNIT_MAX];
        int r;

        timer_unit_name(t->name, ".timer", unit);
        r = sd_bus_path_encode(SYSTEMD_UNIT_PREFIX, unit, &path);
        if (r >= 0)
                r = units_new_call(u, &m, path, "org.freedesktop.DBus.Properties", "GetAll");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", "");
        if (r >= 0)
                *ret = TAKE_PTR(m);
        return r;
}

int timer_new_stop(Units *u, const char *unit, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "replace");
        if (r >= 0)
                *ret = TAKE_PTR(m);
        return r;
}

/* ---- making one ---- */

int timer_append_calendar(sd_bus_message *m, char *const *calendar) {
        int r;

        r = bus_open_value(m, 'r', "TimersCalendar", "a(ss)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(ss)");
        STRV_FOREACH(c, calendar)
                if (r >= 0)
                        r = sd_bus_message_append(m, "(ss)", "OnCalendar", *c);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* A persistent one goes on where it was: what was left of its span is left, or nothing. */
static int append_span(sd_bus_message *m, const Timer *t, const Now *now) {
        usec_t every = t->policy.every, since = MAX(t->elapsed, t->set), first = every;
        int r;

        if (t->policy.persistent && since <= now->realtime)
                first = usec_sub(usec_add(since, every), now->realtime);
        r = bus_open_value(m, 'r', "TimersMonotonic", "a(st)");
        if (r >= 0)
                r = sd_bus_message_append(m, "a(st)", 2, "OnActiveSec", first, "OnUnitActiveSec", every);
        return bus_close_value(m, r);
}

static int append_timer(sd_bus_message *m, const Timer *t, const Now *now) {
        char description[128], digest[64];
        int r;

        (void) snprintf(description, sizeof(description), "jobmill schedule %s", t->name);
        (void) snprintf(digest, sizeof(digest), DIGEST_PREFIX "%016" PRIx64, timer_digest(t));
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)",
                                  "Description", "s", description,
                                  "Documentation", "as", 1, digest,
                                  "CollectMode", "s", "inactive-or-failed",
                                  "AccuracyUSec", "t", t->policy.accuracy,
                                  "RandomizedDelayUSec", "t", t->policy.random_delay);
        if (r < 0)
                return r;
        return t->policy.every == USEC_INFINITY ? timer_append_calendar(m, t->policy.calendar) : append_span(m, t, now);
}

static int append_service(sd_bus_message *m, const Timer *t) {
        char unit[TIMER_UNIT_MAX], description[128];
        int r;

        timer_unit_name(t->name, ".service", unit);
        (void) snprintf(description, sizeof(description), "jobmill schedule %s has elapsed", t->name);
        r = sd_bus_message_open_container(m, 'a', "(sa(sv))");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sa(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "s", unit);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)",
                                          "Description", "s", description,
                                          "Type", "s", "oneshot",
                                          "CollectMode", "s", "inactive-or-failed",
                                          "StartLimitIntervalUSec", "t", UINT64_C(0), /* one each second is not too many */
                                          "Wants", "as", 1, "jobmilld.service");
        if (r >= 0)
                r = bus_open_value(m, 'r', "ExecStart", "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sasb)", 1, NOTHING, 1, NOTHING, 0);
        r = bus_close_value(m, r);
        for (unsigned i = 0; i < 3 && r >= 0; i++) /* the service's properties, the service, the list of them */
                r = sd_bus_message_close_container(m);
        return r;
}

int timer_new_start(Units *u, const Timer *t, const Now *now, sd_bus_message **ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        char unit[TIMER_UNIT_MAX];
        int r;

        timer_unit_name(t->name, ".timer", unit);
        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_timer(m, t, now);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = append_service(m, t);
        if (r >= 0)
                *ret = TAKE_PTR(m);
        return r;
}

/* ---- reading one ---- */

static uint64_t parse_digest(const char *word) {
        const char *hex = startswith(word, DIGEST_PREFIX);

        return hex ? strtoull(hex, NULL, 16) : 0;
}

static int read_digest(sd_bus_message *m, TimerState *s) {
        const char *word;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &word)) > 0)
                s->digest = parse_digest(word) ?: s->digest;
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* 1: it was one of these; 0: of no interest. */
static int read_property(sd_bus_message *m, const char *name, TimerState *s, usec_t *monotonic) {
        const char *word;
        int r;

        if (streq(name, "Documentation"))
                r = read_digest(m, s);
        else if (streq(name, "LoadState") || streq(name, "ActiveState") || streq(name, "SubState")) {
                r = sd_bus_message_read_basic(m, 's', &word);
                if (r >= 0 && streq(name, "LoadState"))
                        s->loaded = streq(word, "loaded");
                else if (r >= 0 && streq(name, "ActiveState"))
                        s->active = streq(word, "active");
                else if (r >= 0)
                        s->running = streq(word, "running");
        } else if (streq(name, "LastTriggerUSec"))
                r = sd_bus_message_read_basic(m, 't', &s->elapsed);
        else if (streq(name, "LastTriggerUSecMonotonic"))
                r = sd_bus_message_read_basic(m, 't', &s->mark);
        else if (streq(name, "NextElapseUSecRealtime"))
                r = sd_bus_message_read_basic(m, 't', &s->next);
        else if (streq(name, "NextElapseUSecMonotonic"))
                r = sd_bus_message_read_basic(m, 't', monotonic);
        else
                return 0;
        return r < 0 ? r : 1;
}

int timer_state_read(sd_bus_message *m, const Now *now, TimerState *ret) {
        usec_t monotonic = 0;
        int r;

        *ret = (TimerState) {};
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                const char *name, *contents;

                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &contents);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'v', contents);
                if (r >= 0)
                        r = read_property(m, name, ret, &monotonic);
                if (r == 0)
                        r = sd_bus_message_skip(m, contents);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        if (ret->next == 0)
                ret->next = USEC_INFINITY;
        if (ret->next == USEC_INFINITY && monotonic > 0 && monotonic != USEC_INFINITY)
                ret->next = usec_add(now->realtime, usec_sub(monotonic, now->monotonic));
        return r;
}
