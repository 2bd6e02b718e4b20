/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The units of runners: one for each queue and owner, in the queue's slice, as the owner, with its control group delegated to it. They are made
 * when a job waits for one (server.c), and end by themselves. Where its main process dies the manager kills what is left in such a unit at once
 * (KillMode=mixed); memory that runs out in one of its jobs is that job's own affair (OOMPolicy=continue). */

#include "unit/pool.h"

#include "base/bus-util.h"
#include "base/parse.h"
#include "unit/cgroup.h"
#include "unit/job-unit.h"

#define STOP_TELL (1 * USEC_PER_SEC)

/* Not ExecStartEx, which systemd 252 cannot read again (job-command.c): here is nothing that it would expand. */
static int append_command(sd_bus_message *m, const Server *s, const RunnerCommand *c) {
        char socket[320], queue[96], exec[320], idle[48], max[48];
        int r;

        (void) snprintf(socket, sizeof(socket), "--socket=%s", c->socket);
        (void) snprintf(queue, sizeof(queue), "--queue=%s", s->queue);
        (void) snprintf(exec, sizeof(exec), "--helper=%s", c->exec);
        (void) snprintf(idle, sizeof(idle), "--idle=%" PRIu64, MIN(c->idle, (usec_t) INT64_MAX));
        (void) snprintf(max, sizeof(max), "--max=%" PRIu64, MIN(c->max, (usec_t) INT64_MAX));
        r = bus_open_value(m, 'r', "ExecStart", "a(sasb)");
        if (r >= 0)
                r = sd_bus_message_append(m, "a(sasb)", 1, c->runner, 6, c->runner, socket, queue, exec, idle, max, 0);
        return bus_close_value(m, r);
}

static int append_owner(sd_bus_message *m, const Units *u, const Server *s) {
        char uid[16];
        int r;

        if (u->user)
                return 0;
        (void) snprintf(uid, sizeof(uid), "%" PRIu32, s->owner);
        r = sd_bus_message_append(m, "(sv)", "User", "s", s->owner_name ?: uid);
        return r < 0 || s->owner_name ? r : sd_bus_message_append(m, "(sv)", "Group", "s", uid);
}

static int append_unit(sd_bus_message *m, const Units *u, const Server *s, const Queue *q, const RunnerCommand *c) {
        usec_t stop = q->policy.stop_timeout_usec != USEC_INFINITY ? q->policy.stop_timeout_usec : u->model->stop_timeout_default;
        const UnitValue *privileges = unit_property_list_find(&q->policy.service, "NoNewPrivileges");
        char description[256];
        int r;

        (void) snprintf(description, sizeof(description), "jobmill runner of queue %s for user %s", s->queue, s->owner_name ?: "without a name");
        if (u->user)
                (void) snprintf(description, sizeof(description), "jobmill runner of queue %s", s->queue);
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
                r = sd_bus_message_append(m, "(sv)(sv)",
                                          "After", "as", 1, "jobmilld.service",
                                          "StartLimitIntervalUSec", "t", UINT64_C(0));
        if (r >= 0)
                r = units_append_accounting(m, u);
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", "TasksMax", "t", UINT64_MAX);
        if (r >= 0 && privileges && privileges->b)
                r = sd_bus_message_append(m, "(sv)", "NoNewPrivileges", "b", 1);
        if (r >= 0)
                r = append_owner(m, u, s);
        return r < 0 ? r : append_command(m, s, c);
}

int runner_unit_append(sd_bus_message *m, const Units *u, const Server *s, const RunnerCommand *c) {
        const Queue *q = model_queue(u->model, s->queue);
        int r;

        r = q ? sd_bus_message_open_container(m, 'a', "(sv)") : -ENOENT;
        if (r >= 0)
                r = append_unit(m, u, s, q, c);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
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

/* ---- what is there ---- */

typedef struct Search {
        task_found_t found;
        void *userdata;
        const char *queue; /* whose runner is looked at; NULL: none yet */
        uint32_t owner;
} Search;

static void look_below(const Search *s, const char *path);

/* "jobmill-pool-QUEUE-UID.service" */
static void look_at_runner(const Search *s, const char *path, const char *unit) {
        _cleanup_free_ char *queue = strdup(unit + strlen(POOL_UNIT_PREFIX));
        Search below = *s;
        char *dash;

        if (!queue || !endswith(queue, ".service"))
                return;
        queue[strlen(queue) - strlen(".service")] = 0;
        dash = strrchr(queue, '-');
        if (!dash)
                return;
        *dash = 0;
        below.queue = queue;
        if (parse_u32(dash + 1, &below.owner) >= 0)
                look_below(&below, path);
}

static void look_at(const Search *s, const char *path, const char *name) {
        char unit[ATTEMPT_UNIT_MAX];
        uint32_t number;
        uint64_t job;

        if (s->queue) {
                (void) snprintf(unit, sizeof(unit), "%s.service", name);
                if (attempt_unit_name_parse(unit, &job, &number) && cgroup_is_populated(path))
                        s->found(s->userdata, s->queue, s->owner, job, number);
        } else if (startswith(name, POOL_UNIT_PREFIX))
                look_at_runner(s, path, name);
        else if (endswith(name, ".slice"))
                look_below(s, path);
}

static void look_below(const Search *s, const char *path) {
        DIR *d = cgroup_open(path);
        const struct dirent *e;

        while (d && (e = readdir(d))) {
                _cleanup_free_ char *child = NULL;

                if (e->d_type != DT_DIR || !startswith(e->d_name, "jobmill"))
                        continue;
                if (asprintf(&child, "%s/%s", path, e->d_name) < 0)
                        child = NULL;
                else
                        look_at(s, child, e->d_name);
        }
        if (d)
                (void) closedir(d);
}

void units_find_tasks(const Units *u, task_found_t found, void *userdata) {
        const Search s = { .found = found, .userdata = userdata };

        if (u->cgroup_root)
                look_below(&s, u->cgroup_root);
}
