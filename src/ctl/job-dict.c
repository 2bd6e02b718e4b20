/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The keys of a job, in the order in which JSON shows them: the only list of them in the tool. Rows without
 * a signature belong to what this version of the daemon does not do; they are null, so that readers find
 * every key always. */

#include "ctl/job-dict.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

#define J DICT_IN_JOB
#define A DICT_IN_ATTEMPT
#define FIELD(name, signature, flags)                                                                       \
        { #name, signature, offsetof(JobInfo, name), flags }

static const DictField job_fields[] = {
        FIELD(id, "t", J),
        FIELD(name, "s", J),
        FIELD(queue, "s", J),
        FIELD(type, "s", J),
        FIELD(type_version, "s", J),
        FIELD(type_rules, "as", J),
        FIELD(owner, "u", J),
        FIELD(owner_name, "s", DICT_NOT_JSON),
        FIELD(state, "s", J),
        FIELD(result, "s", J | A),
        FIELD(reason, "s", J | A),
        FIELD(attempt, "u", J | A),
        FIELD(max_attempts, "u", J),
        FIELD(backoff, "s", J),
        FIELD(backoff_base_usec, "t", J),
        FIELD(backoff_max_usec, "t", J),
        FIELD(backoff_jitter, "d", J),
        FIELD(retry_on, "as", J),
        FIELD(requeue_lost, "b", J),
        FIELD(memory_growth, "d", J),
        FIELD(callback_url, "s", J),
        FIELD(callback_events, "as", J),
        FIELD(on_success, "as", J),
        FIELD(on_failure, "as", J),
        FIELD(credentials, "as", J),
        FIELD(priority, "i", J),
        FIELD(slots, "u", J),
        FIELD(slot_numbers, "au", J | A),
        FIELD(argv, "as", J),
        FIELD(cwd, "s", J),
        FIELD(umask, "u", J),
        FIELD(properties, "as", J),
        FIELD(output_file, "s", J),
        FIELD(error_file, "s", J),
        { "stdout", "s", offsetof(JobInfo, output), J },
        FIELD(verify, "s", J),
        FIELD(unit, "s", J | A),
        FIELD(invocation_id, "s", J | A),
        FIELD(executor, "s", J | A),
        FIELD(worker, "t", J | A),
        FIELD(engine, "s", J | A | DICT_IS_JSON),
        FIELD(causes, "as", J),
        FIELD(exit_status, "i", J | A | DICT_NEGATIVE_IS_NULL),
        FIELD(exit_signal, "i", J | A | DICT_ZERO_IS_NULL),
        FIELD(verdict, "s", J | A | DICT_IS_JSON),
        FIELD(success, "b", J | A),
        FIELD(io, "a{ss}", J | A),
        FIELD(progress, "d", J),
        FIELD(status, "s", J),
        FIELD(submitted_usec, "t", J),
        FIELD(not_before_usec, "t", J),
        FIELD(deadline_usec, "t", J),
        FIELD(created_usec, "t", A),
        FIELD(started_usec, "t", J | A),
        FIELD(finished_usec, "t", J | A),
        FIELD(wait_usec, "t", J),
        FIELD(runtime_usec, "t", J | A),
        FIELD(timeout_usec, "t", J),
        FIELD(stop_timeout_usec, "t", J),
        FIELD(freezable, "b", J),
        FIELD(keep_usec, "t", J),
        FIELD(cpu_usec, "t", J | A),
        FIELD(memory_peak, "t", J | A),
        FIELD(memory_peak_sampled, "b", J | A),
        FIELD(memory_max, "t", A),
        FIELD(io_read_bytes, "t", J | A),
        FIELD(io_write_bytes, "t", J | A),
        FIELD(tasks_peak, "t", J | A),
        FIELD(tags, "a{ss}", J),
        FIELD(after, "a(ts)", J),
        FIELD(flow, "t", J),
        FIELD(flow_states, "a{su}", J),
        FIELD(array, "t", J),
        FIELD(array_index, "u", J),
        FIELD(array_size, "u", J),
        FIELD(array_max_running, "u", J),
        FIELD(array_states, "a{su}", J),
        FIELD(unique_key, "s", J),
        FIELD(unique_scope, "s", J),
        FIELD(unique_until_usec, "t", J),
        FIELD(dead, "b", J),
        FIELD(frozen, "b", J),
        FIELD(frozen_usec, "t", A),
};

int job_info_keys(char ***ret) {
        int r = 0;

        FOREACH_ELEMENT(f, job_fields)
                if (f->signature && (f->flags & J) && r >= 0)
                        r = strv_extend(ret, f->key);
        return r;
}

int job_info_read(sd_bus_message *m, JobInfo *j) {
        job_info_done(j);
        *j = (JobInfo){
                .exit_status = -1,
                .submitted_usec = UINT64_MAX,
                .not_before_usec = UINT64_MAX,
                .deadline_usec = UINT64_MAX,
                .created_usec = UINT64_MAX,
                .started_usec = UINT64_MAX,
                .finished_usec = UINT64_MAX,
                .wait_usec = UINT64_MAX,
                .runtime_usec = UINT64_MAX,
                .timeout_usec = UINT64_MAX,
                .backoff_base_usec = UINT64_MAX,
                .backoff_max_usec = UINT64_MAX,
                .backoff_jitter = -1,
                .keep_usec = UINT64_MAX,
                .unique_until_usec = UINT64_MAX,
                .stop_timeout_usec = UINT64_MAX,
                .cpu_usec = UINT64_MAX,
                .memory_peak = UINT64_MAX,
                .io_read_bytes = UINT64_MAX,
                .io_write_bytes = UINT64_MAX,
                .tasks_peak = UINT64_MAX,
                .memory_max = UINT64_MAX,
                .frozen_usec = UINT64_MAX,
        };
        return dict_read(m, job_fields, ELEMENTSOF(job_fields), j);
}

void job_info_done(JobInfo *j) {
        dict_done(job_fields, ELEMENTSOF(job_fields), j);
        *j = JOB_INFO_INIT;
}

struct json_object *job_info_to_json(const JobInfo *j) {
        return dict_to_json(job_fields, ELEMENTSOF(job_fields), DICT_IN_JOB, j);
}

struct json_object *attempt_info_to_json(const JobInfo *j) {
        return dict_to_json(job_fields, ELEMENTSOF(job_fields), DICT_IN_ATTEMPT, j);
}

bool job_info_is_done(const JobInfo *j) {
        return streq_ptr(j->state, "done");
}

char *job_info_outcome(const JobInfo *j, char *buf, size_t n) {
        const char *signal = j->exit_signal > 0 ? signal_to_string(j->exit_signal) : NULL;

        /* An attempt has no state, only a result. */
        if (!j->result || (j->state && !job_info_is_done(j)))
                snprintf(buf, n, "%s%s", j->state ?: "-", j->frozen ? ", frozen" : "");
        else if (streq(j->result, "success") || streq(j->result, "cancelled") || streq(j->result, "timeout"))
                snprintf(buf, n, "%s", j->result);
        else if (signal)
                snprintf(buf, n, "%s %s", j->result, signal);
        else if (j->exit_status >= 0)
                snprintf(buf, n, "%s %" PRIi32, j->result, j->exit_status);
        else
                snprintf(buf, n, "%s", j->result);
        return buf;
}

char *job_info_states(const JobInfo *j, char buf[static JOB_STATES_MAX]) {
        size_t n = 0;

        *buf = 0;
        STRV_FOREACH_PAIR(state, count, j->array_states ?: j->flow_states)
                if (n < JOB_STATES_MAX)
                        n += snprintf(buf + n, JOB_STATES_MAX - n, "%s%s %s", n > 0 ? ", " : "", *count, *state);
        return buf;
}

const char *job_info_color(const JobInfo *j) {
        const char *word = j->state && !job_info_is_done(j) ? j->state : strempty(j->result);

        if (streq(word, "running") || streq(word, "success"))
                return COLOR_GREEN;
        if (streq(word, "starting") || streq(word, "stopping") || streq(word, "cancelled"))
                return COLOR_YELLOW;
        if (streq(word, "ready") || streq(word, "waiting"))
                return NULL;
        return streq(word, "held") ? COLOR_GREY : COLOR_RED;
}

char *job_info_title(const JobInfo *j) {
        return j->name ? strdup(j->name) : j->argv ? quote_words(j->argv) : NULL;
}

int job_exit_status(const char *result, int exit_status, int exit_signal) {
        if (streq(result, "success"))
                return EXIT_SUCCESS;
        if (streq(result, "exit-code") && exit_status > 0)
                return exit_status;
        if ((streq(result, "signal") || streq(result, "core-dump")) && exit_signal > 0)
                return 128 + exit_signal;
        if (streq(result, "timeout"))
                return EXIT_TIMED_OUT;
        if (streq(result, "exec"))
                return EXIT_NOT_STARTED;
        return EXIT_OTHER_FAILURE;
}

int job_info_get(sd_bus *bus, uint64_t id, JobInfo *ret) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char what[DECIMAL_MAX + 4];
        int r;

        snprintf(what, sizeof(what), "job %" PRIu64, id);
        r = bus_call_simple(bus, &reply, "GetJobInfo", what, "t", id);
        if (r < 0)
                return r;
        r = job_info_read(reply, ret);
        return r < 0 ? ctl_error(r, "Cannot read what the daemon says about job %" PRIu64 ": %m", id) : 0;
}

void job_info_array_free(JobInfo *jobs, size_t n) {
        for (size_t i = 0; i < n; i++)
                job_info_done(jobs + i);
        free(jobs);
}

/* The dictionaries of an open or coming aa{sv}. */
static int read_array(sd_bus_message *m, JobInfo **ret, size_t *ret_n) {
        JobInfo *l = NULL;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0) {
                JobInfo *more = reallocarray(l, n + 1, sizeof(JobInfo));

                if (!more) {
                        r = -ENOMEM;
                        break;
                }
                l = more;
                l[n] = JOB_INFO_INIT;
                r = job_info_read(m, l + n);
                if (r == 0)
                        break;
                n++;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r < 0) {
                job_info_array_free(l, n);
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        }
        *ret = l;
        *ret_n = n;
        return 0;
}

int job_attempts_get(sd_bus *bus, uint64_t id, JobInfo **ret, size_t *ret_n) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        char what[DECIMAL_MAX + 4];
        int r;

        snprintf(what, sizeof(what), "job %" PRIu64, id);
        r = bus_call_simple(bus, &reply, "ListAttempts", what, "t", id);
        return r < 0 ? r : read_array(reply, ret, ret_n);
}

int job_list_page(sd_bus *bus,
                  const Filter *filter,
                  char *const *fields,
                  const char *cursor,
                  uint32_t limit,
                  JobInfo **ret,
                  size_t *ret_n,
                  char **ret_next) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
        const char *next;
        int r;

        r = bus_new_call(bus, &call, "ListJobs");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(call, 'a', "{sv}");
        if (r >= 0)
                r = filter_append(call, filter);
        if (r >= 0)
                r = bus_append_string(call, "order", filter->order ?: "newest");
        if (r >= 0 && filter->collapse)
                r = bus_append_boolean(call, "collapse", true);
        if (r >= 0 && fields)
                r = bus_append_strv(call, "fields", fields);
        if (r >= 0)
                r = sd_bus_message_close_container(call);
        if (r >= 0)
                r = sd_bus_message_append(call, "su", cursor, limit);
        if (r < 0)
                return ctl_error(r, "This filter cannot be sent: %m");
        r = bus_call(bus, call, &reply, NULL);
        if (r < 0)
                return r;
        r = read_array(reply, ret, ret_n);
        if (r < 0)
                return r;
        r = sd_bus_message_read(reply, "s", &next);
        if (r >= 0)
                r = free_and_strdup(ret_next, isempty(next) ? NULL : next);
        if (r < 0) {
                job_info_array_free(*ret, *ret_n);
                *ret = NULL;
                *ret_n = 0;
                return ctl_error(r, "Cannot read the daemon's answer: %m");
        }
        return 0;
}
