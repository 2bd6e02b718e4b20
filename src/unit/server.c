/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Units that hold the processes which jobs are given to (queue/server.h): the manager is asked to start them, and to make them before where they
 * are of runners. Mode "fail": one that somebody is stopping is not started against him. */

#include "unit/pool.h"

#include "base/crash-point.h"
#include "base/log.h"

typedef struct ServerStart {
        Units *units;
        char *unit;               /* by name: the model may be another when the answer comes */
        sd_bus_slot *slot;
        TAILQ_ENTRY(ServerStart) entry;
} ServerStart;

static void start_free(ServerStart *t) {
        TAILQ_REMOVE(&t->units->server_starts, t, entry);
        sd_bus_slot_unref(t->slot);
        free(t->unit);
        free(t);
}

static void asked(Units *u, Server *s, const char *error) {
        if (error && !streq_ptr(s->error, error))
                log_warning("Failed to start %s, for whose worker jobs wait, trying again: %s", s->unit, error);
        server_asked(u->model, s, error);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        ServerStart *t = userdata;
        Units *u = t->units;
        Server *s = u->model ? server_find(u->model, t->unit) : NULL;
        Now now;

        CRASH_POINT("server-answered");
        start_free(t);
        if (!s || !s->asking)
                return 0;
        /* Of a runner: the one before has not quite gone, or was asked for by a daemon that was killed. */
        if (sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitExists")) {
                units_now(u, &now);
                server_is_in_the_way(u->model, s, &now);
        } else
                asked(u, s, e ? strempty(e->message) : NULL);
        return 0;
}

static int start(Units *u, const Server *s, const RunnerCommand *c) {
        ServerStart *t = new0(ServerStart, 1);
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (!t)
                return -ENOMEM;
        t->units = u;
        TAILQ_INSERT_TAIL(&u->server_starts, t, entry);
        t->unit = strdup(s->unit);
        r = t->unit ? units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, s->queue ? "StartTransientUnit" : "StartUnit") : -ENOMEM;
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", s->unit, "fail");
        if (r >= 0 && s->queue)
                r = runner_unit_append(m, u, s, c);
        CRASH_POINT("server-before");
        if (r >= 0)
                r = sd_bus_call_async(u->bus, &t->slot, m, on_started, t, 0);
        CRASH_POINT("server-after");
        if (r < 0)
                start_free(t);
        return r;
}

void units_start_servers(Units *u, const RunnerCommand *c) {
        unsigned in_flight = 0;
        const ServerStart *t;
        Server *s;

        if (!u->bus || !u->synced || u->stopping)
                return;
        TAILQ_FOREACH(t, &u->server_starts, entry)
                in_flight++;
        while (in_flight < UNITS_SERVERS_IN_FLIGHT && (s = TAILQ_FIRST(&u->model->servers_wanted))) {
                int r;

                server_take(u->model, s);
                if (s->queue && !c->socket) {
                        asked(u, s, "jobmilld was started without its socket (jobmilld.socket)");
                        continue;
                }
                log_info("Starting %s: a job waits for its worker.", s->unit);
                r = start(u, s, c);
                s->asking = r >= 0;
                in_flight += r >= 0;
                if (r < 0)
                        asked(u, s, strerror(-r));
        }
}

void units_forget_servers(Units *u) {
        ServerStart *t;

        while ((t = TAILQ_FIRST(&u->server_starts)))
                start_free(t);
        if (u->model)
                servers_forget_asked(u->model);
}
