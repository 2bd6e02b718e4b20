/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The units of runners: one for each queue and owner, in the queue's slice, as the owner, with its control group delegated to it. They are asked
 * for when a job waits for one, and end by themselves. Where its main process dies the manager kills what is left in such a unit at once
 * (KillMode=mixed); memory that runs out in one of its jobs is that job's own affair (OOMPolicy=continue). */

#include "unit/pool.h"

#include "base/bus-util.h"
#include "base/crash-point.h"
#include "base/log.h"
#include "unit/cgroup.h"

#define STOP_TELL (1 * USEC_PER_SEC)

/* By name: the model may be another when the answer comes. Freed with its slot. */
typedef struct RunnerStart {
        Units *units;
        char unit[POOL_UNIT_MAX];
} RunnerStart;

static void start_free(void *userdata) {
        RunnerStart *s = userdata;

        s->units->runners_in_flight--;
        free(s);
}

static int on_runner_started(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const RunnerStart *s = userdata;
        Units *u = s->units;
        Pool *p = u->model ? pool_find(u->model, s->unit) : NULL;
        Now now;

        CRASH_POINT("runner-answered");
        if (!e || !p)
                return 0;
        units_now(u, &now);
        /* The one before has not quite gone, or was asked for by a daemon that was killed. */
        if (sd_bus_error_has_name(e, SYSTEMD_NAME ".UnitExists")) {
                pool_refused(u->model, p, NULL, &now);
                return 0;
        }
        if (!streq_ptr(p->trouble, e->message))
                log_warning("The manager did not start %s, trying again: %s", s->unit, strempty(e->message));
        pool_refused(u->model, p, strempty(e->message), &now);
        return 0;
}

/* Not ExecStartEx, which systemd 252 cannot read again (job-command.c): here is nothing that it would expand. */
static int append_command(sd_bus_message *m, const Pool *p, const RunnerCommand *c) {
        char socket[320], queue[96], exec[320], idle[48], max[48];
        int r;

        (void) snprintf(socket, sizeof(socket), "--socket=%s", c->socket);
        (void) snprintf(queue, sizeof(queue), "--queue=%s", p->queue);
        (void) snprintf(exec, sizeof(exec), "--helper=%s", c->exec);
        (void) snprintf(idle, sizeof(idle), "--idle=%" PRIu64, MIN(c->idle, (usec_t) INT64_MAX));
        (void) snprintf(max, sizeof(max), "--max=%" PRIu64, MIN(c->max, (usec_t) INT64_MAX));
        r = bus_open_value(m, 'r', "ExecStart", "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sasb)", 1, c->runner, 6, c->runner, socket, queue, exec, idle, max, 0);
        return bus_close_value(m, r);
}

static int append_owner(sd_bus_message *m, const Units *u, const Pool *p) {
        char uid[16];
        int r;

        if (u->user)
                return 0;
        (void) snprintf(uid, sizeof(uid), "%" PRIu32, p->owner);
        r = sd_bus_message_append(m, "(sv)", "User", "s", p->owner_name ?: uid);
        return r < 0 || p->owner_name ? r : sd_bus_message_append(m, "(sv)", "Group", "s", uid);
}

static int append_unit(sd_bus_message *m, const Units *u, const Pool *p, const Queue *q, const RunnerCommand *c) {
        usec_t stop = q->policy.stop_timeout_usec != USEC_INFINITY ? q->policy.stop_timeout_usec : u->model->stop_timeout_default;
        const UnitValue *privileges = unit_property_list_find(&q->policy.service, "NoNewPrivileges");
        char description[256];
        int r;

        (void) snprintf(description, sizeof(description), "jobmill runner of queue %s for user %s", p->queue, p->owner_name ?: "without a name");
        if (u->user)
                (void) snprintf(description, sizeof(description), "jobmill runner of queue %s", p->queue);
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "Description", "s", description,
                                  "Slice", "s", q->slice,
                                  "Type", "s", "exec",
                                  "Restart", "s", "no",
                                  "KillMode", "s", "mixed",
                                  "TimeoutStopUSec", "t", usec_add(stop, STOP_TELL), /* of its jobs */
                                  "OOMPolicy", "s", "continue",
                                  "Delegate", "b", 1,
                                  "IgnoreOnIsolate", "b", 1,
                                  "IgnoreSIGPIPE", "b", 0,
                                  "CollectMode", "s", "inactive-or-failed");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)",
                                          "After", "as", 1, "jobmilld.service",
                                          "StartLimitIntervalUSec", "t", UINT64_C(0),
                                          "CPUAccounting", "b", 1,
                                          "MemoryAccounting", "b", 1,
                                          "IOAccounting", "b", 1,
                                          "TasksAccounting", "b", 1);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", "TasksMax", "t", UINT64_MAX);
        if (r >= 0 && privileges && privileges->b)
                r = sd_bus_message_append(m, "(sv)", "NoNewPrivileges", "b", 1);
        if (r >= 0)
                r = append_owner(m, u, p);
        return r < 0 ? r : append_command(m, p, c);
}

static int ask(Units *u, const Pool *p, const Queue *q, const RunnerCommand *c) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ RunnerStart *s = new0(RunnerStart, 1);
        sd_bus_slot *slot;
        int r;

        if (!s)
                return -ENOMEM;
        s->units = u;
        memcpy(s->unit, p->unit, sizeof(s->unit));
        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", p->unit, "fail");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = append_unit(m, u, p, q, c);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sa(sv))", 0);
        if (r < 0)
                return r;
        CRASH_POINT("runner-before");
        r = sd_bus_call_async(u->bus, &slot, m, on_runner_started, s, 0);
        CRASH_POINT("runner-after");
        if (r < 0)
                return r;
        (void) sd_bus_slot_set_destroy_callback(slot, start_free);
        TAKE_PTR(s);
        u->runners_in_flight++;
        (void) sd_bus_slot_set_floating(slot, true);
        sd_bus_slot_unref(slot);
        return 0;
}

void units_start_runners(Units *u, const RunnerCommand *c) {
        Pool *p, *t;

        if (!u->bus || !u->synced || u->stopping)
                return;
        HASH_ITER(hh, u->model->pools, p, t) {
                const Queue *q = model_queue(u->model, p->queue);
                int r;

                if (!p->wanted || u->runners_in_flight >= UNITS_RUNNERS_IN_FLIGHT)
                        continue;
                p->wanted = false;
                r = q ? ask(u, p, q, c) : 0;
                if (r < 0)
                        log_warning_errno(r, "Failed to ask for %s, trying again: %m", p->unit);
        }
}

bool units_task_is_populated(const Units *u, const Attempt *a) {
        char group[POOL_UNIT_MAX + ATTEMPT_UNIT_MAX];
        _cleanup_free_ char *path = NULL;

        if (!a->queue)
                return false;
        if (!u->cgroup_root) /* nobody knows yet */
                return true;
        pool_unit_name(a->queue->name, a->owner, group);
        (void) snprintf(group + strlen(group), ATTEMPT_UNIT_MAX, "/jobmill-job-%" PRIu64 "-%" PRIu32, a->job_id, a->number);
        path = cgroup_unit_path(u->cgroup_root, a->queue->slice, group);
        return !path || cgroup_is_populated(path);
}
