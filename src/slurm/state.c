/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See state.h. */

#include "slurm/state.h"

#include <json-c/json.h>
#include <sys/wait.h>

static json_object *get(json_object *o, const char *key) {
        json_object *v = NULL;

        return json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &v) ? v : NULL;
}

/* A text, or the first of a list of them. */
static const char *get_text(json_object *o, const char *key) {
        json_object *v = get(o, key);

        if (json_object_is_type(v, json_type_array))
                v = json_object_array_get_idx(v, 0);
        return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : "";
}

/* A number, or {"set": …, "infinite": …, "number": …}; 0: none. */
static uint64_t get_number(json_object *o, const char *key) {
        json_object *v = get(o, key);

        if (json_object_is_type(v, json_type_object))
                v = json_object_get_boolean(get(v, "set")) && !json_object_get_boolean(get(v, "infinite")) ? get(v, "number") : NULL;
        if (!json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
                return 0;
        return json_object_get_uint64(v);
}

/* The status of wait(2), or its parts. */
static void read_exit(json_object *o, SlurmJob *j) {
        json_object *v = get(o, "exit_code");
        uint64_t status = get_number(o, "exit_code");

        if (get(v, "return_code")) {
                j->exit_status = (int) (get_number(v, "return_code") & 0xff);
                j->exit_signal = (int) (get_number(get(v, "signal"), get(get(v, "signal"), "id") ? "id" : "signal_id") & 0x7f);
        } else if (WIFSIGNALED((int) status))
                j->exit_signal = WTERMSIG((int) status);
        else
                j->exit_status = WEXITSTATUS((int) status);
}

static void take(char *to, size_t size, const char *text) {
        (void) snprintf(to, size, "%s", text);
        for (char *p = to; *p; p++)
                if ((unsigned char) *p < ' ' || (unsigned char) *p >= 127)
                        *p = '?';
}

static bool is_one_of(const char *state, const char *words) {
        size_t n = strlen(state);
        const char *p = words;

        while ((p = strstr(p, state))) {
                if (p[-1] == ' ' && p[n] == ' ')
                        return true;
                p += n;
        }
        return false;
}

static void read_state(SlurmJob *j) {
        static const char *const started[] = { "JobLaunchFailure", "BadConstraints", "JobHoldMaxRequeue", "InvalidAccount", "InvalidQOS", "launch_failure_limit_exceeded_requeued_held" };

        if (is_one_of(j->state, " PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD CONFIGURING ")) {
                j->phase = SLURM_PENDING;
                return;
        }
        if (!is_one_of(j->state, " COMPLETED FAILED TIMEOUT DEADLINE OUT_OF_MEMORY NODE_FAIL BOOT_FAIL CANCELLED REVOKED PREEMPTED ")) {
                j->phase = SLURM_RUNNING; /* or on its way out: nothing else is free of its end */
                return;
        }
        j->phase = SLURM_ENDED;
        j->end = is_one_of(j->state, " TIMEOUT DEADLINE ")           ? SLURM_END_TIMEOUT
                 : streq(j->state, "OUT_OF_MEMORY")                  ? SLURM_END_OOM
                 : is_one_of(j->state, " NODE_FAIL BOOT_FAIL ")      ? SLURM_END_LOST
                 : is_one_of(j->state, " CANCELLED REVOKED ")        ? SLURM_END_CANCELLED
                 : streq(j->state, "PREEMPTED")                      ? SLURM_END_PREEMPTED
                                                                     : SLURM_END_STATUS;
        FOREACH_ELEMENT(i, started)
                if (j->end == SLURM_END_STATUS && streq(j->state, "FAILED") && strcasecmp(j->reason, *i) == 0)
                        j->end = SLURM_END_NOT_STARTED;
        /* It cannot have failed without. */
        if (streq(j->state, "FAILED") && j->exit_status == 0 && j->exit_signal == 0)
                j->exit_status = 1;
}

/* Of several what is not over yet: only then nothing of it is left on its nodes. */
static const char *get_state(json_object *o) {
        json_object *v = get(o, "job_state");

        for (size_t i = 0; json_object_is_type(v, json_type_array) && i < json_object_array_length(v); i++)
                if (streq(strempty(json_object_get_string(json_object_array_get_idx(v, i))), "COMPLETING"))
                        return "COMPLETING";
        return get_text(o, "job_state");
}

int slurm_job_read(json_object *o, SlurmJob *ret, const char **ret_name) {
        *ret = (SlurmJob) {};
        *ret_name = get_text(o, "name");
        ret->id = get_number(o, "job_id");
        take(ret->state, sizeof(ret->state), get_state(o));
        if (ret->id == 0 || !*ret->state)
                return -EBADMSG;
        take(ret->reason, sizeof(ret->reason), get_text(o, "state_reason"));
        take(ret->nodes, sizeof(ret->nodes), get_text(o, "nodes"));
        read_exit(o, ret);
        read_state(ret);
        ret->started = ret->phase == SLURM_PENDING ? 0 : MIN(get_number(o, "start_time"), USEC_INFINITY / USEC_PER_SEC / 2) * USEC_PER_SEC;
        ret->finished = ret->phase == SLURM_ENDED ? MIN(get_number(o, "end_time"), USEC_INFINITY / USEC_PER_SEC / 2) * USEC_PER_SEC : 0;
        return 0;
}

json_object *slurm_jobs(json_object *o, const char **ret_error) {
        json_object *errors = get(o, "errors"), *jobs = get(o, "jobs");

        *ret_error = NULL;
        if (json_object_is_type(errors, json_type_array) && json_object_array_length(errors) > 0) {
                json_object *e = json_object_array_get_idx(errors, 0);

                *ret_error = *get_text(e, "description") ? get_text(e, "description") : *get_text(e, "error") ? get_text(e, "error") : "it has not answered";
                return NULL;
        }
        if (json_object_is_type(jobs, json_type_array))
                return jobs;
        *ret_error = "it does not answer in JSON";
        return NULL;
}
