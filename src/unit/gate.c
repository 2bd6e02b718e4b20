/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The units of GateUnit=: a queue starts jobs while its unit is active. Each one is looked at when a policy names it first, and with
 * each full look (so on a new connection, of a new manager, after its reload); between two of these its signals tell. One
 * that is not active may be dropped by the manager at any time, and comes back when it is started: signals of its path come all
 * the same, since we are subscribed to all. What is not known yet, or cannot be looked at, is shut. */

#include "unit/units.h"
#include "unit/unit-read.h"

#include "base/crash-point.h"
#include "base/log.h"

typedef struct GateLook {
        Units *units;
        char *unit;               /* by name: the model, and the gate in it, may be another when the answer comes */
        sd_bus_slot *slot;
        TAILQ_ENTRY(GateLook) entry;
} GateLook;

static Gate *find_gate(Units *u, const char *unit) {
        Gate *g = NULL;

        if (u->model)
                HASH_FIND_STR(u->model->gates, unit, g);
        return g;
}

static void look_free(GateLook *l) {
        TAILQ_REMOVE(&l->units->gate_looks, l, entry);
        sd_bus_slot_unref(l->slot);
        free(l->unit);
        free(l);
}

static void failed(Units *u, Gate *g, const sd_bus_error *e, int error) {
        const char *text = e ? strempty(e->message) : strerror(-error);

        admission_gate_failed(u->model, g, text);
        log_warning("Failed to look at %s, which a queue waits for, trying again: %s", g->unit, text);
        g->again = true;
        units_arm_tick(u, UNITS_TICK);
}

/* One row of a list of units. */
static int read_row(Units *u, sd_bus_message *m, Gate *g) {
        const char *load, *active, *path;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ssssssouso)");
        if (r >= 0)
                r = sd_bus_message_read(m, "(ssssssouso)", NULL, NULL, &load, &active, NULL, NULL, &path, NULL, NULL, NULL);
        if (r <= 0)
                return r < 0 ? r : -ENXIO;
        r = gate_set_path(u->model, g, path);
        if (r < 0)
                return r;
        admission_gate_seen(u->model, g, load, active);
        return 0;
}

static int on_looked(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        GateLook *l = userdata;
        Units *u = l->units;
        Gate *g = find_gate(u, l->unit);
        int r;

        CRASH_POINT("gate-answered");
        look_free(l);
        if (!g || !g->looking)
                return 0;
        g->looking = false;
        if (sd_bus_message_is_method_error(m, NULL)) {
                failed(u, g, sd_bus_message_get_error(m), 0);
                return 0;
        }
        r = read_row(u, m, g);
        if (r < 0)
                failed(u, g, NULL, r);
        log_debug("Gate %s %s", g->unit, strempty(g->state));
        return 0;
}

static int look(Units *u, Gate *g) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        GateLook *l;
        int r;

        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames");
        if (r >= 0)
                r = sd_bus_message_append(m, "as", 1, g->unit);
        if (r < 0)
                return r;
        l = new0(GateLook, 1);
        if (!l)
                return -ENOMEM;
        l->units = u;
        TAILQ_INSERT_TAIL(&u->gate_looks, l, entry);
        l->unit = strdup(g->unit);
        CRASH_POINT("gate-before");
        r = l->unit ? sd_bus_call_async(u->bus, &l->slot, m, on_looked, l, 0) : -ENOMEM;
        CRASH_POINT("gate-after");
        if (r < 0)
                look_free(l);
        return r;
}

void units_look_gates(Units *u) {
        unsigned in_flight = 0;
        const GateLook *l;
        Gate *g, *t;

        if (!u->bus)
                return;
        TAILQ_FOREACH(l, &u->gate_looks, entry)
                in_flight++;
        TAILQ_FOREACH_SAFE(g, &u->model->gate_looks, look_entry, t) {
                int r;

                if (in_flight >= UNITS_GATES_IN_FLIGHT)
                        break;
                if (g->looking)
                        continue;
                gate_look(u->model, g, false);
                r = look(u, g);
                g->looking = r >= 0;
                in_flight += r >= 0;
                if (r < 0)
                        failed(u, g, NULL, r);
        }
}

void units_want_gates(Units *u) {
        Gate *g, *t;

        HASH_ITER(hh, u->model->gates, g, t)
                gate_look(u->model, g, true);
}

void units_tick_gates(Units *u) {
        Gate *g, *t;

        HASH_ITER(hh, u->model->gates, g, t) {
                if (g->again)
                        gate_look(u->model, g, true);
                g->again = false;
        }
}

void units_heed_gate(Units *u, sd_bus_message *m) {
        const GatePath *p = u->model ? gate_path(u->model, sd_bus_message_get_path(m)) : NULL;
        const char *interface;
        UnitState s;
        Gate *g;

        if (!p || sd_bus_message_read_basic(m, 's', &interface) < 0 || !streq(interface, SYSTEMD_UNIT))
                return;
        unit_state_init(&s);
        if (unit_state_read_signal(m, true, &s) >= 0)
                TAILQ_FOREACH(g, &p->gates, path_entry) {
                        admission_gate_seen(u->model, g, NULL, unit_active_state_to_string(s.active));
                        if (g->looking) /* the answer may be of before */
                                gate_look(u->model, g, true);
                        log_debug("Gate %s %s", g->unit, strempty(g->state));
                }
        unit_state_done(&s);
}

void units_forget_gates(Units *u) {
        GateLook *l;

        while ((l = TAILQ_FIRST(&u->gate_looks)))
                look_free(l);
        if (u->model)
                admission_gates_forget(u->model);
}
