/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the daemon in the box takes for libsystemd: messages on their way to the manager, and back. Here it is held that nothing is
 * asked of the manager that is not stored, and nothing twice. */

#include "unit/scope.h"
#include "box-bus.h"

#include "base/strv.h"

#include <stdarg.h>
#include <systemd/sd-daemon.h>

struct sd_bus_slot {
        FakeCall *call;
};
struct sd_event_source {
        sd_event_time_handler_t handler;
        void *userdata;
        bool *armed;
};

static struct sd_event_source sources[2];
static sd_bus_message_handler_t on_signal[4], on_disconnected;
static sd_bus_slot slots[CALLS_MAX];
static sd_bus_message pool[256];
static unsigned n_pool;
Units *subject;

/* ---- sd-event, sd-daemon, sd-id128 ---- */

int sd_event_now(sd_event *e, clockid_t clock, uint64_t *ret) {
        *ret = clock == CLOCK_REALTIME ? box.now.realtime : clock == CLOCK_BOOTTIME ? box.now.even : box.now.monotonic;
        return 0;
}
sd_event *sd_event_ref(sd_event *e) {
        return e;
}
sd_event *sd_event_unref(sd_event *e) {
        return NULL;
}
int sd_event_add_time_relative(sd_event *e, sd_event_source **s, clockid_t clock, uint64_t usec, uint64_t accuracy,
                               sd_event_time_handler_t callback, void *userdata) {
        struct sd_event_source *x = sources + !!sources[0].handler;

        *x = (struct sd_event_source) { callback, userdata, x == sources ? &box.reconnect_armed : &box.tick_armed };
        *s = x;
        return 0;
}
/* The drain: messages come one by one here, so there is never more to take in. */
int sd_event_add_defer(sd_event *e, sd_event_source **s, sd_event_handler_t callback, void *userdata) {
        *s = NULL;
        return 0;
}
int sd_event_source_set_priority(sd_event_source *s, int64_t priority) {
        return 0;
}
int sd_event_source_set_enabled(sd_event_source *s, int m) {
        if (s)
                *s->armed = m != SD_EVENT_OFF;
        return 0;
}
int sd_event_source_get_enabled(sd_event_source *s, int *ret) {
        return *s->armed;
}
int sd_event_source_set_time(sd_event_source *s, uint64_t usec) {
        return 0;
}
int sd_event_source_set_time_relative(sd_event_source *s, uint64_t usec) {
        return 0;
}
sd_event_source *sd_event_source_disable_unref(sd_event_source *s) {
        return NULL;
}
int sd_notify(int unset_environment, const char *state) {
        return 0;
}
int sd_id128_randomize(sd_id128_t *ret) {
        *ret = (sd_id128_t) { .qwords = { ++box.tokens, 1 } };
        return 0;
}
int sd_id128_get_boot(sd_id128_t *ret) {
        *ret = (sd_id128_t) { .qwords = { box.boot, 2 } };
        return 0;
}

/* ---- messages ---- */

sd_bus_message *message(void) {
        sd_bus_message *m = pool + n_pool++ % ELEMENTSOF(pool);

        *m = (sd_bus_message) {};
        return m;
}

int sd_bus_message_new_method_call(sd_bus *bus, sd_bus_message **ret, const char *destination, const char *path,
                                   const char *interface, const char *member) {
        *ret = message();
        (*ret)->member = member;
        (*ret)->path = path;
        if (!streq(path, SYSTEMD_PATH))
                snprintf((*ret)->unit, sizeof((*ret)->unit), "%s", path);
        return 0;
}
int sd_bus_message_set_auto_start(sd_bus_message *m, int b) {
        return 0;
}
sd_bus_message *sd_bus_message_unref(sd_bus_message *m) {
        return NULL;
}
int sd_bus_message_appendv(sd_bus_message *m, const char *types, va_list ap) {
        for (const char *t = types; *t == 's' || *t == 'i'; t++)
                if (*t == 'i')
                        m->call.sig = va_arg(ap, int);
                else {
                        const char *s = va_arg(ap, const char *);
                        if (startswith(s, "jobmill-job-"))
                                snprintf(m->unit, sizeof(m->unit), "%s", s);
                }
        return 0;
}
int sd_bus_message_append(sd_bus_message *m, const char *types, ...) {
        va_list ap;

        va_start(ap, types);
        (void) sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        return 0;
}
int sd_bus_message_open_container(sd_bus_message *m, char type, const char *contents) {
        return 0;
}
int sd_bus_message_close_container(sd_bus_message *m) {
        return 0;
}
int sd_bus_path_encode(const char *prefix, const char *external, char **ret) {
        *ret = strdup(external);
        return 0;
}
int sd_bus_path_decode(const char *path, const char *prefix, char **ret) {
        *ret = strdup(path + strlen(UNIT_PREFIX));
        return 1;
}
const char *sd_bus_message_get_path(sd_bus_message *m) {
        return m->path;
}
int sd_bus_message_is_method_error(sd_bus_message *m, const char *name) {
        return !!m->error;
}
const sd_bus_error *sd_bus_message_get_error(sd_bus_message *m) {
        return m->error;
}
int sd_bus_error_has_name(const sd_bus_error *e, const char *name) {
        return e && streq(e->name, name);
}

/* The manager's own properties: only two that matter. */
int sd_bus_message_enter_container(sd_bus_message *m, char type, const char *contents) {
        return type == 'e' ? m->fields++ < 2 : 1;
}
int sd_bus_message_exit_container(sd_bus_message *m) {
        return 0;
}
int sd_bus_message_peek_type(sd_bus_message *m, char *type, const char **contents) {
        *contents = "";
        return 1;
}
int sd_bus_message_skip(sd_bus_message *m, const char *types) {
        return 0;
}
int sd_bus_message_read_basic(sd_bus_message *m, char type, void *p) {
        *(const char **) p = m->path ? SYSTEMD_UNIT : m->fields == 1 ? "UserspaceTimestampMonotonic" : "SystemState";
        return 1;
}
int sd_bus_message_read(sd_bus_message *m, const char *types, ...) {
        const char **name, **active, **sub, **unit_job;
        va_list ap;
        int r = 1;

        va_start(ap, types);
        if (streq(types, "v")) {
                if (m->fields == 1) {
                        (void) va_arg(ap, const char *);
                        *va_arg(ap, uint64_t *) = box.epoch;
                } else {
                        (void) va_arg(ap, const char *);
                        *va_arg(ap, const char **) = box.system_stops ? "stopping" : "running";
                }
        } else if (streq(types, "b"))
                *va_arg(ap, int *) = m->cursor;
        else if (streq(types, "s"))
                *va_arg(ap, const char **) = m->unit;
        else if (streq(types, "sss")) {
                *va_arg(ap, const char **) = "org.freedesktop.systemd1";
                *va_arg(ap, const char **) = ":1.1";
                *va_arg(ap, const char **) = ":1.2";
        } else if (m->of_gate) { /* its row */
                const char **load;

                (void) va_arg(ap, void *), (void) va_arg(ap, void *);
                load = va_arg(ap, const char **);
                active = va_arg(ap, const char **);
                (void) va_arg(ap, void *), (void) va_arg(ap, void *);
                *va_arg(ap, const char **) = GATE_PATH;
                *load = "loaded";
                *active = box.gate_active ? "active" : "inactive";
        } else { /* a row of the list of units */
                while (m->cursor < NJ * NA && !box.units[m->cursor / NA][m->cursor % NA].there)
                        m->cursor++;
                r = m->cursor < NJ * NA;
                if (r > 0) {
                        const Unit *u = &box.units[m->cursor / NA][m->cursor % NA];

                        name = va_arg(ap, const char **);
                        (void) va_arg(ap, void *), (void) va_arg(ap, void *);
                        active = va_arg(ap, const char **);
                        sub = va_arg(ap, const char **);
                        (void) va_arg(ap, void *), (void) va_arg(ap, void *), (void) va_arg(ap, void *);
                        unit_job = va_arg(ap, const char **);
                        *unit_job = u->is == LEAVING ? "stop" : "";
                        snprintf(m->unit, sizeof(m->unit), "jobmill-job-%u-%u.service", m->cursor / NA, m->cursor % NA);
                        *name = m->unit;
                        *active = u->is == PENDING ? "activating" : u->is == LEAVING ? "deactivating" :
                                  u->is == OVER && u->end != END_SUCCESS ? "failed" : "active";
                        *sub = u->is == OVER && u->end == END_SUCCESS ? "exited" : "running";
                        m->cursor++;
                }
        }
        va_end(ap);
        return r;
}

/* ---- calls on their way ---- */

/* Promise 1 and 5: what is asked for is stored, and a start is asked for only where there never was one. */
static void check_call(const FakeCall *c) {
        const AttemptRow *row = &box.attempts[c->id][c->number];
        const Row *job = box.rows + c->id;
        bool newest = job->there && job->attempt == c->number, ended = !row->there || row->result != JOB_RESULT_NONE;

        switch (c->what) {
        case CALL_START:
                if (!newest || ended || job->state != JOB_STARTING || !sd_id128_equal(row->token, c->token))
                        naive_fail("a start of %u-%u that is not stored", c->id, c->number);
                if (box.units[c->id][c->number].starts > 0)
                        naive_fail("a second start of %u-%u", c->id, c->number);
                break;
        case CALL_KILL:
                if (!ended && job->state != JOB_STOPPING && !(box.user_signals & UINT64_C(1) << c->id))
                        naive_fail("a signal for %u-%u, which nobody wanted", c->id, c->number);
                break;
        case CALL_STOP:
        case CALL_RESET:
                if (!ended && (job->state != JOB_STOPPING || c->what == CALL_RESET))
                        naive_fail("%u-%u is released before its outcome is stored", c->id, c->number);
                break;
        case CALL_FREEZE:
                if (!ended && (!newest || row->freezer != FREEZER_FREEZING))
                        naive_fail("%u-%u is frozen before that is stored", c->id, c->number);
                break;
        default:
                break;
        }
}

static const struct { const char *member; int what; } members[] = {
        { "GetAll", CALL_LOOK }, { "ListUnitsByPatterns", CALL_LIST }, { "StartTransientUnit", CALL_START },
        { "ListUnitsByNames", CALL_GATE }, { "KillUnit", CALL_KILL }, { "StopUnit", CALL_STOP }, { "ResetFailedUnit", CALL_RESET },
        { "FreezeUnit", CALL_FREEZE }, { "ThawUnit", CALL_THAW },
};

int sd_bus_call_async(sd_bus *bus, sd_bus_slot **slot, sd_bus_message *m, sd_bus_message_handler_t callback, void *userdata,
                      uint64_t usec) {
        FakeCall *c;

        if (slot)
                *slot = NULL;
        for (size_t i = 0; i < ELEMENTSOF(members); i++)
                if (streq(m->member, members[i].member))
                        m->call.what = members[i].what;
        if (m->call.what == CALL_LOOK && streq(m->path, SYSTEMD_PATH))
                m->call.what = CALL_MANAGER;
        if (m->call.what == CALL_NONE)
                return 0; /* Subscribe */
        if (box.n_calls >= CALLS_MAX)
                naive_fail("the manager is asked for too much");
        c = box.calls + box.n_calls++;
        *c = m->call;
        if (c->what == CALL_MANAGER)
                c->serial = ++box.naive.manager_asked;
        c->callback = callback;
        c->userdata = userdata;
        if (*m->unit)
                (void) find_unit(m->unit, &c->id, &c->number);
        check_call(c);
        say("    asked: %s %u-%u %i\n", m->member, c->id, c->number, c->sig);
        if (c->what == CALL_START) {
                NaiveAttempt *a = &box.naive.attempts[c->id][c->number];
                a->asked = a->in_flight = true;
                a->stuck = false;
        }
        if (c->what == CALL_STOP) /* a start is called off */
                box.naive.attempts[c->id][c->number].in_flight = true;
        if (slot) {
                c->slot = slots;
                while (c->slot->call)
                        c->slot++;
                c->slot->call = c;
                *slot = c->slot;
        }
        return 0;
}
int sd_bus_send(sd_bus *bus, sd_bus_message *m, uint64_t *cookie) {
        return sd_bus_call_async(bus, NULL, m, NULL, NULL, 0);
}
sd_bus_slot *sd_bus_slot_unref(sd_bus_slot *s) {
        if (s && s->call) {
                s->call->slot = NULL;
                s->call = NULL;
        }
        return NULL;
}

FakeCall take_call(unsigned i) {
        FakeCall c = box.calls[i];

        box.n_calls--;
        memmove(box.calls + i, box.calls + i + 1, (box.n_calls - i) * sizeof(FakeCall));
        for (; i < box.n_calls; i++)
                if (box.calls[i].slot)
                        box.calls[i].slot->call = box.calls + i;
        return c;
}

void answer(const FakeCall *c, const char *error) {
        const sd_bus_error e = { .name = error, .message = "by lot" };
        sd_bus_message *m = message();

        m->source = &box.units[c->id][c->number];
        m->error = error ? &e : NULL;
        m->of_gate = c->what == CALL_GATE;
        if (!c->slot) /* nobody waits any more */
                return;
        if (c->what == CALL_STOP)
                box.naive.attempts[c->id][c->number].in_flight = false;
        c->slot->call = NULL;
        say("    answer: %i %u-%u %s\n", c->what, c->id, c->number, error ?: "");
        (void) c->callback(m, c->userdata, NULL);
        if (m->error == &e)
                m->error = NULL;
}

void keep_silent_call(const FakeCall *c) {
        memmove(box.calls + 1, box.calls, box.n_calls * sizeof(FakeCall));
        box.n_calls++;
        box.calls[0] = *c;
        for (unsigned k = 0; k < box.n_calls; k++)
                if (box.calls[k].slot)
                        box.calls[k].slot->call = box.calls + k;
}

bool box_deliver(void) {
        bool any_call = false;

        for (unsigned i = 0; i < box.n_calls;) {
                FakeCall c;

                if (box.calls[i].silent) {
                        i++;
                        continue;
                }
                any_call = true;
                c = take_call(i);
                manager_does(&c);
                if (c.silent && c.slot) /* kept until it is given up */
                        keep_silent_call(&c);
                i = 0;
        }
        return any_call;
}

/* For this answer; or it is one to a model that is no more. */
bool gate_waits(const FakeCall *c) {
        const Gate *g = NULL;

        HASH_FIND_STR(box.m.model->gates, "gate.service", g);
        return c->slot && g && g->looking;
}

static void fail_call(unsigned i, const char *error) {
        FakeCall c = take_call(i);

        if (c.what == CALL_START && c.slot)
                naive_start_answered(&box.naive, c.id, c.number, START_SILENT);
        if (c.what == CALL_GATE && gate_waits(&c))
                box.naive.gate_open = false;
        answer(&c, error);
}

void box_time_out_calls(void) {
        for (unsigned i = 0; i < box.n_calls;)
                if (box.calls[i].silent) {
                        fail_call(i, SD_BUS_ERROR_NO_REPLY);
                        i = 0;
                } else
                        i++;
}

/* The connection is closed: what was sent may have been heard. Nobody gets the answers. */
void box_drop_calls(void) {
        while (box.n_calls > 0) {
                FakeCall c = take_call(0);

                if (c.slot)
                        c.slot->call = NULL;
                c.slot = NULL;
                if (!c.silent && c.what >= CALL_START && chance(50))
                        manager_does(&c);
        }
}

void send_signal_message(int which, sd_bus_message *m) {
        (void) on_signal[which](m, subject, NULL);
}

/* ---- the connection ---- */

int sd_bus_open_user_with_description(sd_bus **ret, const char *description) {
        *ret = (sd_bus *) &box;
        return 0;
}
int sd_bus_open_system_with_description(sd_bus **ret, const char *description) {
        return sd_bus_open_user_with_description(ret, description);
}
/* The real one would write into what is no bus. */
int sd_bus_set_method_call_timeout(sd_bus *bus, uint64_t usec) {
        return 0;
}
int sd_bus_attach_event(sd_bus *bus, sd_event *e, int priority) {
        return 0;
}
int sd_bus_match_signal_async(sd_bus *bus, sd_bus_slot **slot, const char *sender, const char *path, const char *interface,
                              const char *member, sd_bus_message_handler_t callback, sd_bus_message_handler_t install,
                              void *userdata) {
        on_disconnected = callback;
        return 0;
}
int sd_bus_add_match_async(sd_bus *bus, sd_bus_slot **slot, const char *match, sd_bus_message_handler_t callback,
                           sd_bus_message_handler_t install, void *userdata) {
        on_signal[strstr(match, "PropertiesChanged") ? 0 : strstr(match, "UnitRemoved") ? 1 : strstr(match, "Reloading") ? 2 : 3] =
                        callback;
        return 0;
}
int sd_bus_add_filter(sd_bus *bus, sd_bus_slot **slot, sd_bus_message_handler_t callback, void *userdata) {
        return 0;
}
sd_bus *sd_bus_close_unref(sd_bus *bus) {
        return NULL;
}

void box_tick(void) {
        if (!box.tick_armed)
                return;
        box.tick_armed = false;
        (void) sources[1].handler(sources + 1, 0, sources[1].userdata);
}

void box_disconnect(void) {
        if (!subject->bus)
                return;
        box_drop_calls();
        for (unsigned i = 0; i < NJ * NA; i++)
                box.naive.attempts[i / NA][i % NA].in_flight = false;
        box.naive.gate_open = false;
        (void) on_disconnected(NULL, subject, NULL);
}

void box_reconnect(void) {
        if (subject->bus || !box.reconnect_armed)
                return;
        box.reconnect_armed = false;
        box.naive.checked = box.naive.mismatch = false;
        (void) sources[0].handler(sources, 0, sources[0].userdata);
}

/* daemon-reload: all units are removed and made again. */
void box_reloading(void) {
        sd_bus_message *m = message();

        if (!subject->bus)
                return;
        m->cursor = 1;
        (void) on_signal[ON_RELOADING](m, subject, NULL);
        for (unsigned i = 0; i < NJ * NA; i++)
                if (box.units[i / NA][i % NA].there)
                        signal_removed(i / NA, i % NA);
        m = message();
        box.naive.checked = box.naive.mismatch = false;
        (void) on_signal[ON_RELOADING](m, subject, NULL);
}

/* A user's manager is started anew: what it had is gone, and so is what was asked of it. */
void box_new_manager(void) {
        box.epoch++;
        for (unsigned i = 0; i < NJ * NA; i++) {
                Unit *u = &box.units[i / NA][i % NA];
                /* for a moment, where the daemon may know of them */
                u->populated = u->populated && box.naive.attempts[i / NA][i % NA].there && chance(20);
                u->there = u->frozen = false;
        }
        if (!subject->bus)
                return;
        while (box.n_calls > 0)
                fail_call(0, SD_BUS_ERROR_NO_REPLY);
        box.naive.gate_open = false;
        (void) on_signal[ON_OWNER](message(), subject, NULL);
}

void box_shutdown(bool stopping) {
        sd_bus_message *m = message();

        box.system_stops = stopping;
        if (!subject->bus)
                return;
        m->path = SYSTEMD_UNIT_PREFIX "/shutdown_2etarget";
        m->subject_is_shutdown = true;
        box.naive.shutting_down = stopping;
        (void) on_signal[ON_CHANGED](m, subject, NULL);
        m->path = NULL;
}

/* The unit that queues wait for. Its signal says so where its path is known. */
void box_gate(bool active) {
        static const Unit on = { .is = ACTIVE }, off = { .is = OVER, .end = END_STATUS };
        Gate *g = NULL;
        sd_bus_message *m;

        if (active == box.gate_active)
                return;
        box.gate_active = active;
        if (box.deaf || !subject->bus)
                return;
        HASH_FIND_STR(box.m.model->gates, "gate.service", g);
        m = message();
        m->path = GATE_PATH;
        m->source = active ? &on : &off;
        if (g && g->path)
                box.naive.gate_open = active;
        (void) on_signal[ON_CHANGED](m, subject, NULL);
        m->path = NULL;
}

void box_bus_begin(void) {
        memset(sources, 0, sizeof(sources));
        memset(slots, 0, sizeof(slots));
        box.n_calls = 0;
        box.naive.checked = box.naive.shutting_down = box.naive.mismatch = false;
        box.naive.epoch = 0;
        if (units_new((sd_event *) &box, true, "/", "/", &box.m.units) < 0)
                naive_fail("no memory");
        subject = box.m.units;
}

void box_bus_end(void) {
        box.m.units = units_free(box.m.units);
        subject = NULL;
}

/* ---- nobody is in the foreground ---- */

bool scope_is_own(const Attempt *a) {
        return true;
}

bool scope_may_go(const Units *u, const Attempt *a) {
        return true;
}

void scope_kill_process(const Units *u, const Attempt *a) {
}

int scope_unit_append(sd_bus_message *m, const Units *u, Attempt *a, char **ret_error) {
        return -EOPNOTSUPP;
}

bool scope_apply(Units *u, Attempt *a, const UnitState *s, UnitVerdict verdict, const Now *now) {
        return false;
}

void scope_tick(Units *u, Attempt *a) {
}

void units_scope_usage(const Units *u, const Attempt *a, Outcome *o) {
}
