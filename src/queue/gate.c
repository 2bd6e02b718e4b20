/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The units of GateUnit= (admission.h). There may be as many as queues, and signals come of all units: so which are at a path, and which are to be
 * looked at, is kept; and of one that was seen only its own queues are judged. */

#include "queue/gate.h"

#include "queue/model.h"

#include <stdarg.h>

/* ---- what policies ask for ---- */

static void forget_path(Model *m, Gate *g) {
        GatePath *p = TAKE_PTR(g->path);

        if (!p)
                return;
        TAILQ_REMOVE(&p->gates, g, path_entry);
        if (!TAILQ_EMPTY(&p->gates))
                return;
        HASH_DEL(m->gate_paths, p);
        free(p->path);
        free(p);
}

static void gate_free(Model *m, Gate *g) {
        gate_look(m, g, false);
        forget_path(m, g);
        HASH_DEL(m->gates, g);
        free(g->unit);
        free(g->state);
        free(g);
}

static int gate_get(Model *m, const char *unit, Gate **ret) {
        Gate *g;

        HASH_FIND_STR(m->gates, unit, g);
        if (!g) {
                g = new0(Gate, 1);
                if (!g || !(g->unit = strdup(unit))) {
                        free(g);
                        return -ENOMEM;
                }
                TAILQ_INIT(&g->queues);
                HASH_ADD_KEYPTR(hh, m->gates, g->unit, strlen(g->unit), g);
                gate_look(m, g, true);
        }
        *ret = g;
        return 0;
}

void gates_begin(Model *m) {
        for (Gate *g = m->gates; g; g = g->hh.next)
                TAILQ_INIT(&g->queues);
}

int gate_want(Model *m, Queue *q) {
        int r;

        q->gate = NULL;
        if (!q->policy.gate_unit)
                return 0;
        r = gate_get(m, q->policy.gate_unit, &q->gate);
        if (r >= 0)
                TAILQ_INSERT_TAIL(&q->gate->queues, q, gate_entry);
        return r;
}

void gates_end(Model *m) {
        Gate *g, *t;

        HASH_ITER(hh, m->gates, g, t)
                if (TAILQ_EMPTY(&g->queues))
                        gate_free(m, g);
}

void gates_done(Model *m) {
        Gate *g, *t;

        HASH_ITER(hh, m->gates, g, t)
                gate_free(m, g);
}

/* ---- which is meant ---- */

void gate_look(Model *m, Gate *g, bool look) {
        if (g->look == look)
                return;
        g->look = look;
        if (look)
                TAILQ_INSERT_TAIL(&m->gate_looks, g, look_entry);
        else
                TAILQ_REMOVE(&m->gate_looks, g, look_entry);
}

GatePath *gate_path(const Model *m, const char *path) {
        GatePath *p;

        HASH_FIND_STR(m->gate_paths, path, p);
        return p;
}

int gate_set_path(Model *m, Gate *g, const char *path) {
        GatePath *p = gate_path(m, path);

        if (p && p == g->path)
                return 0;
        if (!p) {
                p = new0(GatePath, 1);
                if (!p || !(p->path = strdup(path))) {
                        free(p);
                        return -ENOMEM;
                }
                TAILQ_INIT(&p->gates);
                HASH_ADD_KEYPTR(hh, m->gate_paths, p->path, strlen(p->path), p);
        }
        forget_path(m, g);
        TAILQ_INSERT_TAIL(&p->gates, g, path_entry);
        g->path = p;
        return 0;
}

/* ---- what was seen ---- */

static int gate_say(Gate *g, const char *format, ...) _printf_(2, 3);
static int gate_say(Gate *g, const char *format, ...) {
        va_list ap;

        free(g->state);
        va_start(ap, format);
        g->state = vformat(format, ap);
        va_end(ap);
        return g->state ? 0 : -ENOMEM;
}

static void judge_queues(Model *m, Gate *g) {
        Queue *q;

        TAILQ_FOREACH(q, &g->queues, gate_entry)
                heap_set_time(&m->judged, &q->judged, 0);
}

void admission_gate_seen(Model *m, Gate *g, const char *load, const char *active) {
        judge_queues(m, g);
        g->open = streq(active, "active") || streq(active, "reloading") || streq(active, "refreshing");
        if (g->open || !load || streq(load, "loaded"))
                (void) gate_say(g, "is %s", active);
        else if (streq(load, "not-found"))
                (void) gate_say(g, "does not exist");
        else if (streq(load, "masked"))
                (void) gate_say(g, "is masked");
        else
                (void) gate_say(g, "cannot be loaded (%s)", load);
}

void admission_gate_failed(Model *m, Gate *g, const char *error) {
        judge_queues(m, g);
        g->open = false;
        (void) gate_say(g, "cannot be looked at: %s", error);
}

void admission_gates_forget(Model *m) {
        Gate *g, *t;

        m->judge_all = true;
        HASH_ITER(hh, m->gates, g, t) {
                g->open = g->looking = g->again = false;
                gate_look(m, g, true);
                g->state = mfree(g->state);
        }
}
