/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Executor=pool, between the model, the manager and the workers (docs/pool.md): what a runner is made of, and told, what is left when its
 * attempt is over. */

#include "daemon/manager.h"

#include "base/log.h"
#include "unit/attempt-files.h"
#include "unit/cgroup.h"
#include "unit/pool.h"
#include "unit/spool.h"

#include <sys/socket.h>
#include <sys/un.h>

#define LEFT_OVER_LOOK (50 * USEC_PER_MSEC) /* twice as long each time */
#define LEFT_OVER_LOOK_MAX USEC_PER_SEC

void manager_find_socket(Manager *m, int fd) {
        struct sockaddr_un a = {};
        socklen_t size = sizeof(a) - 1;

        if (getsockname(fd, (struct sockaddr *) &a, &size) >= 0 && a.sun_path[0] == '/')
                (void) free_and_strdup(&m->socket_path, a.sun_path);
}

void manager_want_server(Manager *m, const Queue *q, uint32_t owner) {
        const User *u = m->user || owner == 0 ? NULL : user_db_get(m->users, owner);

        server_want(m->model, q, owner, m->user ? NULL : owner == 0 ? "root" : u ? u->name : NULL, &m->now);
}

void manager_start_servers(Manager *m) {
        const RunnerCommand c = {
                .runner = getenv("JOBMILL_RUNNER_PATH") ?: JOBMILL_RUNNER_PATH,
                .exec = m->units->exec_path,
                .socket = m->socket_path,
                .idle = m->settings.pool_idle_usec,
                .max = m->settings.pool_max_usec,
        };

        servers_forget(m->model, &m->now);
        units_start_servers(m->units, &c);
}

int manager_order(Manager *m, Attempt *a, char **ret) {
        _cleanup_free_ char *error = NULL;
        Outcome o = OUTCOME_INIT;
        int r;

        if (a->executor != EXECUTOR_POOL)
                return 0;
        r = pool_order_format(m->units, a, ret, &error);
        if (!error)
                return r;
        o.result = JOB_EXEC;
        o.reason = TAKE_PTR(error);
        model_attempt_ended(m->model, a, &o, &m->now);
        return -ECANCELED;
}

/* Of one whose runner, or worker, died the manager kills what it left: that takes slots as long as it lives. There may be thousands, so what was left
 * at a look is looked at again when it is time, not in each turn. */
void manager_begin_left_overs(Manager *m) {
        m->left_over_due = m->now.monotonic >= m->left_over_look;
        m->left_overs = false;
}

bool manager_is_left_over(Manager *m, Attempt *a) {
        if (!a->left_over || m->left_over_due)
                a->left_over = a->executor == EXECUTOR_POOL ? units_task_is_populated(m->units, a) : a->left_in && cgroup_is_populated(a->left_in);
        m->left_overs = m->left_overs || a->left_over;
        return a->left_over;
}

static void adopt_left_over(void *userdata, const char *queue, uint32_t owner, uint64_t job, uint32_t number) {
        Manager *m = userdata;
        Attempt *a = NULL;
        Queue *q;

        if (attempt_find(m->model, job, number) || store_load_attempt(m->store, job, number, &a) < 0)
                return;
        a->owner = owner;
        a->phase = ATTEMPT_ENDED;
        a->has_files = true;
        if (a->executor != EXECUTOR_POOL || model_queue_add(m->model, queue, &q) < 0 || model_attempt_add(m->model, a, NULL, q) < 0) {
                attempt_free(a);
                return;
        }
        log_info("Processes of job %" PRIu64 ", which has ended, are left; they keep its slots.", job);
        model_attempt_act(m->model, a);
}

/* The record is older than its end: who died between the two knows of it only from the control group. What no record knows, its owner has made. */
void manager_adopt_left_overs(Manager *m) {
        units_find_tasks(m->units, adopt_left_over, m);
}

void manager_end_left_overs(Manager *m) {
        if (!m->left_overs) {
                m->left_over_look = USEC_INFINITY;
                m->left_over_wait = LEFT_OVER_LOOK;
        } else if (m->left_over_due || m->left_over_look == USEC_INFINITY) {
                m->left_over_wait = MAX(m->left_over_wait, LEFT_OVER_LOOK);
                m->left_over_look = usec_add(m->now.monotonic, m->left_over_wait);
                m->left_over_wait = MIN(2 * m->left_over_wait, LEFT_OVER_LOOK_MAX);
        }
}

void manager_remove_files(Manager *m, const Attempt *a) {
        if (!a->has_files)
                return;
        attempt_files_remove(m->run_path, a);
        spool_remove(m->run_path, a);
}

void manager_capture_spool(void *userdata, const Attempt *a, Outcome *o) {
        const Manager *m = userdata;

        units_capture_spool(m->units, a, o);
}
