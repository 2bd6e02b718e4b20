/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in queue files. One table of keys; [Slice] and [Service] go through the table of unit properties. Files are
 * root's, so they may set privileged properties, but none of ours. Errors name file, line, section and key.
 * tests/lint/check-man-keys.py reads the table and compares it with jobmill.queue(5). */

#include "daemon/queue-file.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "daemon/adapter-file.h"
#include "daemon/file-value.h"
#include "queue/pool.h"
#include "queue/spec-check.h"

#define AGEING_MAX (366 * 24 * 60 * 60 * USEC_PER_SEC) /* a thousand times that is still far from what a rank can be */
#define TIMEOUT_UNSET 0 /* no good value of any time-out */

/* "4", "50%" of the CPUs that are online (at least one), or empty: no cap. */
static int parse_slots(const char *value, void *data) {
        uint32_t *slots = data, percent;
        uint64_t n;
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        int r;

        if (isempty(value)) {
                *slots = UINT32_MAX;
                return 0;
        }
        if (endswith(value, "%")) {
                r = parse_percent_unbounded(value, &percent);
                if (r < 0)
                        return r;
                n = MAX((uint64_t) percent * MAX(cpus, 1L) / 100, UINT64_C(1));
        } else {
                r = parse_u64(value, &n);
                if (r < 0)
                        return r;
        }
        if (n < 1 || n > SPEC_SLOTS_MAX)
                return -ERANGE;
        *slots = n;
        return 0;
}

static int parse_spool_max(const char *value, void *data) {
        uint64_t *max = data, n = SPOOL_MAX_DEFAULT;
        int r = 0;

        if (!isempty(value))
                r = parse_size(value, 1024, &n);
        if (r >= 0 && (n < SPOOL_MAX_LEAST || n > SPOOL_MAX_MOST))
                r = -ERANGE;
        if (r >= 0)
                *max = n;
        return r;
}

static int parse_timeout(const char *value, void *data) {
        usec_t *t = data, v;
        int r;

        if (isempty(value)) {
                *t = TIMEOUT_UNSET;
                return 0;
        }
        r = parse_span(value, &v);
        if (r < 0)
                return r;
        if (v < USEC_PER_MSEC)
                return -ERANGE;
        *t = v;
        return 0;
}

/* A job that ignores SIGTERM must end some time. */
static int parse_stop_timeout(const char *value, void *data) {
        usec_t v = 0;
        int r;

        r = parse_timeout(value, &v);
        if (r < 0)
                return r;
        if (v == USEC_INFINITY)
                return -ERANGE;
        *(usec_t *) data = v;
        return 0;
}

/* How many jobs may be queued; empty: no limit here. */
static int parse_count(const char *value, void *data) {
        uint64_t n = UINT64_MAX;
        int r;

        r = isempty(value) || streq(value, "infinity") ? 0 : parse_u64(value, &n);
        if (r < 0)
                return r;
        *(uint64_t *) data = n;
        return 0;
}

static int parse_flag(const char *value, void *data) {
        bool *b = data;
        int r;

        r = isempty(value) ? 0 : parse_boolean(value);
        if (r < 0)
                return r;
        *b = r;
        return 0;
}

/* [A-Z_][A-Z0-9_]*, and none that changes what is executed or where. */
static int parse_variable(const char *value, void *data) {
        static const char *const taken[] = { "PATH", "HOME" };

        if (isempty(value))
                return free_and_strdup(data, NULL);
        if (strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != strlen(value) || (*value >= '0' && *value <= '9'))
                return -EINVAL;
        if (startswith(value, "LD_") || startswith(value, "JOBMILL_"))
                return -EINVAL;
        FOREACH_ELEMENT(t, taken)
                if (streq(*t, value))
                        return -EINVAL;
        return free_and_strdup(data, value);
}

static int parse_rate(const char *value, void *data) {
        RateLimit none = {};

        if (isempty(value)) {
                memcpy(data, &none, sizeof(none));
                return 0;
        }
        return rate_limit_parse(value, data);
}

static int parse_pressure(const char *value, void *data) {
        uint32_t permyriad = PRESSURE_NO_LIMIT;
        int r;

        r = isempty(value) ? 0 : parse_permyriad(value, &permyriad);
        if (r < 0)
                return r;
        if (permyriad == 0)
                return -ERANGE;
        *(uint32_t *) data = permyriad;
        return 0;
}

/* One unit, not a template. */
static int parse_unit(const char *value, void *data) {
        if (!isempty(value) && !spec_unit_name_is_valid(value, /* is_template = */ false))
                return -EINVAL;
        return free_and_strdup(data, isempty(value) ? NULL : value);
}

/* 0, empty: no ageing. */
static int parse_ageing(const char *value, void *data) {
        usec_t v = 0;
        int r;

        r = isempty(value) ? 0 : parse_span(value, &v);
        if (r < 0)
                return r;
        if (v > AGEING_MAX)
                return -ERANGE;
        *(usec_t *) data = v;
        return 0;
}

static int parse_keep(const char *value, void *data) {
        usec_t v = KEEP_DEFAULT;
        int r;

        r = isempty(value) ? 0 : parse_span(value, &v);
        if (r < 0)
                return r;
        *(usec_t *) data = v;
        return 0;
}

static int parse_keep_max(const char *value, void *data) {
        *(uint64_t *) data = KEEP_MAX_DEFAULT;
        return isempty(value) ? 0 : parse_count(value, data);
}

static int parse_fair(const char *value, void *data) {
        if (!isempty(value) && !streq(value, "user") && !streq(value, "no"))
                return -EINVAL;
        *(bool *) data = streq(value, "user");
        return 0;
}

/* One of ours, or an adapter's name (adapter-file.h). */
static int assign_executor(QueueFile *q, const char *value, ConfError *error) {
        Executor e = isempty(value) ? EXECUTOR_SERVICE : executor_from_string(value);
        AdapterFile adapter;
        int r;

        if (e == EXECUTOR_SCOPE) /* that of what runs in the foreground, in any queue */
                return -EINVAL;
        if (e < 0) {
                r = adapter_file_load(q->directories, value, &adapter, error);
                if (r < 0)
                        return r;
                adapter_file_done(&adapter);
        }
        q->policy.executor = e < 0 ? EXECUTOR_WORKER : e;
        return free_and_strdup(&q->policy.adapter, e < 0 ? value : NULL);
}

/* Privileged are those that decide whom the queue is for, let jobs go beyond what [Service] says, or reach into the environment of
 * everybody's jobs (SlotVariable=BASH_ENV would have their shells read a file named "0"). */
static const struct {
        const char *key;
        int (*parse)(const char *value, void *data);
        size_t offset;
        const char *allowed;
        const char *field; /* of the spec, in place of parse */
        bool privileged; /* a manager of queues alone may not set it */
} queue_keys[] = {
        { "Slots", parse_slots, offsetof(QueueFile, policy.slots), "1…65536, or a percentage of the CPUs" },
        { "SlotVariable", parse_variable, offsetof(QueueFile, policy.slot_variable), .privileged = true,
          .allowed = "[A-Z_][A-Z0-9_]*, not LD_*, PATH, HOME, JOBMILL_*" },
        { "AllowUsers", file_value_words, offsetof(QueueFile, policy.allow_users), .privileged = true,
          .allowed = "user names, uids, or *" },
        { "AllowGroups", file_value_words, offsetof(QueueFile, policy.allow_groups), .privileged = true,
          .allowed = "group names or gids" },
        { "TimeoutSec", parse_timeout, offsetof(QueueFile, policy.timeout_usec), "a time span of at least 1ms, or infinity" },
        { "StopTimeoutSec", parse_stop_timeout, offsetof(QueueFile, policy.stop_timeout_usec), "a time span of at least 1ms" },
        { "SpoolMax", parse_spool_max, offsetof(QueueFile, policy.spool_max), "256K…1T" },
        { "MaxQueued", parse_count, offsetof(QueueFile, policy.queued_max), "a number, or infinity" },
        { "MaxQueuedPerUser", parse_count, offsetof(QueueFile, policy.queued_per_user_max), "a number, or infinity" },
        { "RateLimit", parse_rate, offsetof(QueueFile, policy.rate), "N/SPAN, N 1…10000, SPAN at least 1ms" },
        { "CPUPressureMax", parse_pressure, offsetof(QueueFile, policy.pressure_max[PRESSURE_CPU]), "0.01%…100%" },
        { "MemoryPressureMax", parse_pressure, offsetof(QueueFile, policy.pressure_max[PRESSURE_MEMORY]), "0.01%…100%" },
        { "IOPressureMax", parse_pressure, offsetof(QueueFile, policy.pressure_max[PRESSURE_IO]), "0.01%…100%" },
        { "GateUnit", parse_unit, offsetof(QueueFile, policy.gate_unit), .privileged = true,
          .allowed = "the name of a unit, not of a template" },
        { "Executor", .privileged = true, .allowed = "service, worker, pool, or the name of an adapter" },
        { "WorkerUsers", file_value_words, offsetof(QueueFile, policy.worker_users), .privileged = true,
          .allowed = "user names or uids" },
        { "WorkerUnit", parse_unit, offsetof(QueueFile, policy.worker_unit), .privileged = true,
          .allowed = "the name of a unit, not of a template" },
        { "AgeingSec", parse_ageing, offsetof(QueueFile, policy.ageing_usec), "a time span of at most a year, or 0" },
        { "Keep", parse_keep, offsetof(QueueFile, policy.keep_usec), "a time span, or infinity" },
        { "KeepMax", parse_keep_max, offsetof(QueueFile, policy.keep_max), "a number, or infinity" },
        { "Fair", parse_fair, offsetof(QueueFile, policy.fair), "user, or no" },
        { "Backstop", parse_flag, offsetof(QueueFile, policy.backstop), "a boolean" },
        { "MaxAttempts", .field = "max_attempts", .allowed = "1…10000" },
        { "Backoff", .field = "backoff", .allowed = "fixed or exponential" },
        { "BackoffBaseSec", .field = "backoff_base_usec", .allowed = "a time span, at most BackoffMaxSec=" },
        { "BackoffMaxSec", .field = "backoff_max_usec", .allowed = "a time span, at least BackoffBaseSec=" },
        { "BackoffJitter", .field = "backoff_jitter", .allowed = "0…1" },
        { "RetryOn", .field = "retry_on", .allowed = "results that are failures" },
        { "RequeueLost", .field = "requeue_lost", .allowed = "a boolean" },
        { "MemoryGrowth", .field = "memory_growth", .allowed = "1…100" },
        { "Verify", .field = "verify", .allowed = "exit or verdict" },
        { "Stdout", .field = "stdout", .allowed = "journal or spool" },
        { "CallbackURL", .field = "callback_url", .privileged = true, .allowed = "an http or https URL" },
        { "CallbackEvents", .field = "callback_events", .allowed = "started, success, failure, dead" },
        { "OnSuccess", .field = "on_success", .privileged = true, .allowed = "names of units" },
        { "OnFailure", .field = "on_failure", .privileged = true, .allowed = "names of units" },
        { "Override", file_value_words, offsetof(QueueFile, policy.overridable), .privileged = true,
          .allowed = "names of unit properties" },
        { "Paused", parse_flag, offsetof(QueueFile, paused), "a boolean" },
};

bool queue_file_has_key(const char *key) {
        FOREACH_ELEMENT(k, queue_keys)
                if (streq(k->key, key))
                        return true;
        return false;
}

bool queue_file_is_privileged(const char *section, const char *key) {
        const UnitProperty *p;

        if (streq(section, "Slice"))
                return !(p = unit_property_find(key)) || p->class != PROPERTY_OPEN;
        FOREACH_ELEMENT(k, queue_keys)
                if (streq(section, "Queue") && streq(k->key, key))
                        return k->privileged;
        return true;
}

bool queue_file_is_list(const char *section, const char *key) {
        const UnitProperty *p;

        if (!streq(section, "Queue"))
                return (p = unit_property_find(key)) && unit_property_is_list(p);
        FOREACH_ELEMENT(k, queue_keys)
                if (streq(k->key, key))
                        return k->parse == file_value_words;
        return false;
}

static int assign_queue(QueueFile *q, const char *file, unsigned line, const char *key, const char *value, ConfError *error) {
        FOREACH_ELEMENT(k, queue_keys)
                if (streq(k->key, key)) {
                        int r = k->field   ? file_value_field(&q->policy.defaults, spec_field_find(k->field), value)
                                : k->parse ? k->parse(value, (uint8_t *) q + k->offset)
                                           : assign_executor(q, value, error);
                        if (r == -ENOMEM)
                                return r;
                        return r < 0 ? conf_error_set(error, file, line, "[Queue] %s=: '%s' is not allowed (%s)", key, value,
                                                      k->allowed) : 0;
                }
        return conf_error_set(error, file, line, "[Queue] %s=: unknown key", key);
}

/* "Slurm" is that of slurm. */
static int load_adapter_of(const QueueFile *q, const char *section, AdapterFile *ret, ConfError *error) {
        _cleanup_free_ char *name = NULL;

        if (*section < 'A' || *section > 'Z')
                return -ENOENT;
        name = strdup(section);
        if (!name)
                return -ENOMEM;
        *name += 'a' - 'A';
        return adapter_file_load(q->directories, name, ret, error);
}

/* In policy.engine, in place of what was said before. */
static int set_option(QueueFile *q, const char *section, const char *key, const char *value) {
        _cleanup_free_ char *line = NULL;
        size_t n;

        if (asprintf(&line, "%s.%s=%s", section, key, value) < 0)
                return -ENOMEM;
        n = strlen(section) + 1 + strlen(key) + 1;
        for (char **i = q->policy.engine; i && *i; i++)
                if (strncmp(*i, line, n) == 0) {
                        free(*i);
                        memmove(i, i + 1, (strv_length(i + 1) + 1) * sizeof(char *));
                        break;
                }
        return isempty(value) ? 0 : strv_consume(&q->policy.engine, TAKE_PTR(line));
}

/* What is said to an adapter it alone understands, and by what name that is said the adapter's own file knows. */
static int assign_option(QueueFile *q, const char *file, unsigned line, const char *section, const char *key, const char *value, ConfError *error) {
        AdapterFile adapter;
        bool known;
        int r;

        r = load_adapter_of(q, section, &adapter, error);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return conf_error_set(error, file, line, "[%s]: unknown section", section);
        known = strv_contains(adapter.options, key);
        adapter_file_done(&adapter);
        if (!known)
                return conf_error_set(error, file, line, "[%s] %s=: unknown key", section, key);
        if (!string_is_clean(value))
                return conf_error_set(error, file, line, "[%s] %s=: control characters and invalid UTF-8 are not allowed", section, key);
        return set_option(q, section, key, value);
}

int queue_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                      ConfError *error) {
        QueueFile *q = userdata;
        int r;

        if (streq(section, "Queue"))
                r = assign_queue(q, file, line, key, value, error);
        else if (streq(section, "Slice"))
                r = file_value_property(&q->policy.slice, UNIT_PROPERTY_SLICE, file, line, section, key, value, error);
        else if (streq(section, "Service"))
                r = file_value_property(&q->policy.service, UNIT_PROPERTY_SERVICE, file, line, section, key, value, error);
        else
                r = assign_option(q, file, line, section, key, value, error);
        return r < 0 ? r : queue_policy_note(&q->policy, section, key, value, file, queue_file_is_list(section, key));
}

void queue_file_init(QueueFile *f, char *const *directories) {
        *f = (QueueFile) { .directories = directories };
        queue_policy_init(&f->policy);
        f->policy.timeout_usec = f->policy.stop_timeout_usec = TIMEOUT_UNSET;
}

/* What its adapter is able to do, once all lines are read. */
static int take_adapter(QueueFile *f, const char *file, ConfError *error) {
        const char *name = f->policy.adapter;
        AdapterFile adapter = {};
        int r;

        STRV_FOREACH(i, f->policy.engine)
                if (!name || (**i | 0x20) != *name || strncmp(*i + 1, name + 1, strlen(name) - 1) != 0 || (*i)[strlen(name)] != '.')
                        return conf_error_set(error, file, 0, "[%.*s]: is for Executor= of this name", (int) strcspn(*i, "."), *i);
        if (!name)
                return 0;
        r = adapter_file_load(f->directories, name, &adapter, error);
        if (r < 0)
                return r == -ENOENT ? conf_error_set(error, file, 0, "[Queue] Executor=: there is no adapter %s any more", name) : r;
        f->policy.adapter_takes = TAKE_PTR(adapter.takes);
        if (!f->policy.worker_unit)
                f->policy.worker_unit = TAKE_PTR(adapter.unit);
        adapter_file_done(&adapter);
        return 0;
}

int queue_file_check(QueueFile *f, char *const *files, ConfError *error) {
        _cleanup_free_ char *text = NULL;
        const JobSpec *d = f->policy.defaults;

        int r;

        r = take_adapter(f, files[strv_length(files) - 1], error);
        if (r < 0)
                return r;
        if (f->policy.executor == EXECUTOR_POOL && pool_check_properties(&f->policy.service, &text) < 0)
                return conf_error_set(error, files[strv_length(files) - 1], 0, "[Service] %s", strempty(text));
        if (d && d->backoff_base_usec != USEC_INFINITY && d->backoff_max_usec < d->backoff_base_usec)
                return conf_error_set(error, files[strv_length(files) - 1], 0, "[Queue] BackoffMaxSec= is less than BackoffBaseSec=");
        return 0;
}

void queue_file_complete(QueueFile *f, usec_t timeout, usec_t stop_timeout) {
        /* A user whose worker is away must not be in the way of others. */
        f->policy.fair = f->policy.fair || executor_has_worker(f->policy.executor);
        if (f->policy.timeout_usec == TIMEOUT_UNSET)
                f->policy.timeout_usec = timeout;
        if (f->policy.stop_timeout_usec == TIMEOUT_UNSET)
                f->policy.stop_timeout_usec = stop_timeout;
}
