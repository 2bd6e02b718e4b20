/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.jobmill1.Job: any job there is, by a fallback vtable; the enumerator lists the live ones. The row is read from the store
 * when an object is looked for, and kept until the next look or the end of the turn. Only what every local user may know. */

#include "api/api.h"

#include "base/parse.h"
#include "base/strv.h"

void api_forget_row(Api *a) {
        if (a->has_row)
                job_row_done(&a->row);
        a->has_row = false;
}

int api_job_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error) {
        const char *number = startswith(path, JOBMILL_JOB_PATH_PREFIX "/");
        Api *a = userdata;
        uint64_t id;
        int r;

        if (!a->store || !number || number[0] < '1' || number[0] > '9' || parse_u64(number, &id) < 0 || id > INT64_MAX)
                return 0;
        if (!a->has_row || a->row.job->id != id) {
                api_forget_row(a);
                a->row = (JobRow) {};
                r = history_get(a->store, id, false, &a->row);
                if (r == -ENOENT)
                        return 0;
                if (r < 0)
                        return api_error_store(a, error, r);
                a->has_row = true;
        }
        *ret = &a->row;
        return 1;
}

int api_job_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error) {
        _cleanup_strv_free_ char **l = NULL;
        Api *a = userdata;
        Attempt *at, *t;
        int r;

        if (!a->store)
                return 0;
        HASH_ITER(hh, a->model->attempts, at, t)
                if (at->job && !at->is_new) {
                        r = strv_extendf(&l, JOBMILL_JOB_PATH_PREFIX "/%" PRIu64, at->job_id);
                        if (r < 0)
                                return r;
                }
        *ret = TAKE_PTR(l);
        return 0;
}

/* One table for all numbers: where they lie. */
static const struct {
        const char *property;
        char type;
        bool of_attempt;
        size_t offset;
} numbers[] = {
        { "Id", 't', false, offsetof(Job, id) },
        { "Owner", 'u', false, offsetof(Job, owner) },
        { "Attempt", 'u', false, offsetof(Job, attempt) },
        { "MaxAttempts", 'u', false, offsetof(Job, max_attempts) },
        { "Priority", 'i', false, offsetof(Job, priority) },
        { "Slots", 'u', false, offsetof(Job, slots) },
        { "SubmittedUSec", 't', false, offsetof(Job, submitted_usec) },
        { "NotBeforeUSec", 't', false, offsetof(Job, not_before_usec) },
        { "StartedUSec", 't', false, offsetof(Job, started_usec) },
        { "FinishedUSec", 't', false, offsetof(Job, finished_usec) },
        { "WaitUSec", 't', false, offsetof(Job, wait_usec) },
        { "TimeoutUSec", 't', false, offsetof(Job, timeout_usec) },
        { "ExitStatus", 'i', true, offsetof(Attempt, outcome.exit_status) },
        { "ExitSignal", 'i', true, offsetof(Attempt, outcome.exit_signal) },
        { "RuntimeUSec", 't', true, offsetof(Attempt, outcome.runtime_usec) },
        { "CPUUSec", 't', true, offsetof(Attempt, outcome.cpu_usec) },
        { "MemoryPeak", 't', true, offsetof(Attempt, outcome.memory_peak) },
        { "IOReadBytes", 't', true, offsetof(Attempt, outcome.io_read_bytes) },
        { "IOWriteBytes", 't', true, offsetof(Attempt, outcome.io_write_bytes) },
        { "TasksPeak", 't', true, offsetof(Attempt, outcome.tasks_peak) },
};

/* What an attempt that is not there would say. */
static const Attempt no_attempt = {
        .outcome = { .exit_status = -1,
                     .runtime_usec = USEC_INFINITY,
                     .cpu_usec = UINT64_MAX,
                     .memory_peak = UINT64_MAX,
                     .io_read_bytes = UINT64_MAX,
                     .io_write_bytes = UINT64_MAX,
                     .tasks_peak = UINT64_MAX },
};

static int property_get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const JobRow *row = userdata;

        FOREACH_ELEMENT(n, numbers)
                if (streq(n->property, property)) {
                        const void *base = n->of_attempt ? (const void *) (row->attempt ?: &no_attempt) : row->job;
                        return sd_bus_message_append_basic(reply, n->type, (const uint8_t *) base + n->offset);
                }
        return -EINVAL;
}

static int property_get_string(sd_bus *bus, const char *path, const char *interface, const char *property,
                               sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const JobRow *row = userdata;
        char id[SD_ID128_STRING_MAX] = "";
        const char *s = "";

        if (streq(property, "Queue"))
                s = row->job->queue_name;
        else if (streq(property, "State"))
                s = job_state_to_string(row->job->state);
        else if (streq(property, "Result"))
                s = job_result_to_string(row->job->result);
        else if (row->attempt && streq(property, "Unit"))
                s = attempt_has_unit(row->attempt) ? row->attempt->unit : "";
        else if (row->attempt && streq(property, "InvocationId") && !sd_id128_is_null(row->attempt->invocation_id))
                s = sd_id128_to_string(row->attempt->invocation_id, id);
        return sd_bus_message_append(reply, "s", s);
}

static int property_get_flag(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const JobRow *row = userdata;

        const Attempt *a = row->attempt ?: &no_attempt;
        bool b;

        if (streq(property, "Dead"))
                b = row->job->dead;
        else if (streq(property, "Frozen"))
                b = row->job->state == JOB_RUNNING && a->freezer == FREEZER_FROZEN;
        else
                b = a->outcome.memory_peak_sampled;
        return sd_bus_message_append(reply, "b", (int) b);
}

#define NUMBER(name, type) SD_BUS_PROPERTY(name, type, property_get_number, 0, 0)
#define STRING(name) SD_BUS_PROPERTY(name, "s", property_get_string, 0, 0)
#define FLAG(name) SD_BUS_PROPERTY(name, "b", property_get_flag, 0, 0)

const sd_bus_vtable api_job_vtable[] = {
        SD_BUS_VTABLE_START(0),
        NUMBER("Id", "t"),
        STRING("Queue"),
        NUMBER("Owner", "u"),
        STRING("State"),
        STRING("Result"),
        NUMBER("Attempt", "u"),
        NUMBER("MaxAttempts", "u"),
        NUMBER("Priority", "i"),
        NUMBER("Slots", "u"),
        STRING("Unit"),
        STRING("InvocationId"),
        NUMBER("ExitStatus", "i"),
        NUMBER("ExitSignal", "i"),
        FLAG("Dead"),
        FLAG("Frozen"),
        NUMBER("SubmittedUSec", "t"),
        NUMBER("NotBeforeUSec", "t"),
        NUMBER("StartedUSec", "t"),
        NUMBER("FinishedUSec", "t"),
        NUMBER("WaitUSec", "t"),
        NUMBER("RuntimeUSec", "t"),
        NUMBER("TimeoutUSec", "t"),
        NUMBER("CPUUSec", "t"),
        NUMBER("MemoryPeak", "t"),
        FLAG("MemoryPeakSampled"),
        NUMBER("IOReadBytes", "t"),
        NUMBER("IOWriteBytes", "t"),
        NUMBER("TasksPeak", "t"),
        SD_BUS_VTABLE_END,
};
