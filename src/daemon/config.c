/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Queue files. One table of keys; [Slice] and [Service] go through the table of unit properties. Files are root's, so they may
 * set privileged properties, but none of ours. Errors name file, line, section and key. */

#include "daemon/config.h"

#include "base/conf-file.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"

#include <stdarg.h>

typedef struct QueueFile {
        QueuePolicy policy;
        bool paused;
} QueueFile;

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

static int parse_words(const char *value, void *data) {
        char ***l = data;
        char **words;
        int r = 0;

        if (isempty(value)) {
                *l = strv_free(*l);
                return 0;
        }
        words = strv_split(value, " \t");
        if (!words)
                return -ENOMEM;
        STRV_FOREACH(w, words) {
                if (!string_is_clean(*w))
                        r = -EINVAL;
                if (r >= 0)
                        r = strv_extend(l, *w);
        }
        strv_free(words);
        return r;
}

static int parse_optional_span(const char *value, void *data) {
        usec_t *t = data, v;
        int r;

        if (isempty(value)) {
                *t = USEC_INFINITY;
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

static const struct {
        const char *key;
        int (*parse)(const char *value, void *data);
        size_t offset;
        const char *allowed;
} queue_keys[] = {
        { "Slots", parse_slots, offsetof(QueueFile, policy.slots), "1…65536, or a percentage of the CPUs" },
        { "SlotVariable", parse_variable, offsetof(QueueFile, policy.slot_variable),
          "[A-Z_][A-Z0-9_]*, not LD_*, PATH, HOME, JOBMILL_*" },
        { "AllowUsers", parse_words, offsetof(QueueFile, policy.allow_users), "user names, uids, or *" },
        { "AllowGroups", parse_words, offsetof(QueueFile, policy.allow_groups), "group names or gids" },
        { "TimeoutSec", parse_optional_span, offsetof(QueueFile, policy.timeout_usec), "a time span" },
        { "StopTimeoutSec", parse_optional_span, offsetof(QueueFile, policy.stop_timeout_usec), "a time span" },
        { "Override", parse_words, offsetof(QueueFile, policy.overridable), "names of unit properties" },
        { "Paused", parse_flag, offsetof(QueueFile, paused), "a boolean" },
};

static int assign_queue(QueueFile *q, const char *file, unsigned line, const char *key, const char *value, ConfError *error) {
        FOREACH_ELEMENT(k, queue_keys)
                if (streq(k->key, key)) {
                        int r = k->parse(value, (uint8_t *) q + k->offset);
                        if (r == -ENOMEM)
                                return r;
                        return r < 0 ? conf_error_set(error, file, line, "[Queue] %s=: '%s' is not allowed (%s)", key, value,
                                                      k->allowed) : 0;
                }
        return conf_error_set(error, file, line, "[Queue] %s=: unknown key", key);
}

static int assign_property(UnitPropertyList *l, UnitPropertyFlags kind, const char *file, unsigned line, const char *section,
                           const char *key, const char *value, ConfError *error) {
        _cleanup_free_ char *assignment = NULL, *text = NULL;
        int r;

        if (asprintf(&assignment, "%s=%s", key, value) < 0)
                return -ENOMEM;
        r = unit_property_parse_assignment(assignment, true, kind, l, &text);
        if (r == -ENOMEM)
                return r;
        return r < 0 ? conf_error_set(error, file, line, "[%s] %s", section, text) : 0;
}

static int assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                  ConfError *error) {
        QueueFile *q = userdata;

        if (streq(section, "Queue"))
                return assign_queue(q, file, line, key, value, error);
        if (streq(section, "Slice"))
                return assign_property(&q->policy.slice, UNIT_PROPERTY_SLICE, file, line, section, key, value, error);
        if (streq(section, "Service"))
                return assign_property(&q->policy.service, UNIT_PROPERTY_SERVICE, file, line, section, key, value, error);
        return conf_error_set(error, file, line, "[%s]: unknown section", section);
}

static void queue_set_policy(Queue *q, QueuePolicy *policy) {
        queue_policy_done(&q->policy);
        q->policy = *policy;
        queue_policy_init(policy);
        q->configured = true;
        q->broken = false;
}

static int complain(char **ret_error, const char *format, ...) _printf_(2, 3);
static int complain(char **ret_error, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0) {
                text = NULL;
                return -ENOMEM;
        }
        log_error("%s", text);
        if (!*ret_error)
                *ret_error = TAKE_PTR(text);
        return 0;
}

static int load_queue(Model *m, Model *old, char **directories, const char *name, char **ret_error) {
        _cleanup_free_ char *file = NULL;
        _cleanup_(conf_error_done) ConfError error = {};
        QueueFile f = {};
        Queue *q, *before;
        int r;

        if (!queue_name_is_valid(name))
                return complain(ret_error, "queues/%s.queue: not the name of a queue ([a-z0-9_]+ joined by '-', at most %u)",
                                name, QUEUE_NAME_MAX);
        r = model_queue_add(m, name, &q);
        if (r < 0)
                return r;
        q->seen = true;
        if (asprintf(&file, "queues/%s.queue", name) < 0)
                return -ENOMEM;

        queue_policy_init(&f.policy);
        r = conf_parse_object(directories, file, assign, &f, &error);
        if (r == -ENOMEM)
                return r;
        if (r == 0) {
                if (q->is_new && f.paused)
                        model_queue_pause(m, q, true);
                queue_set_policy(q, &f.policy);
                return 0;
        }
        queue_policy_done(&f.policy);
        if (r == 1) {
                q->seen = false; /* it vanished while we looked */
                return 0;
        }
        before = old ? model_queue(old, name) : NULL;
        if (before && before->configured) {
                queue_set_policy(q, &before->policy);
                before->configured = false; /* what it would now say of its cap is not true */
                before->broken = true;
        }
        q->broken = !q->configured;
        return complain(ret_error, "%s:%u: %s; %s", error.file ?: file, error.line, error.message ?: strerror(-r),
                        q->configured ? "the queue keeps what it had" : "jobs of this queue and of those below it wait until it is mended");
}

/* Policies hold for whole subtrees: what was too wide for an old cap may fit, and whose the slot numbers are may be another. */
static int policies_changed(Model *m) {
        Queue *q, *t;
        int r;

        HASH_ITER(hh, m->queues, q, t)
                queue_window_clear(q);
        for (Attempt *a = m->attempts; a; a = a->hh.next) {
                r = queue_own_slots(a);
                if (r < 0)
                        return r;
        }
        return 0;
}

int config_load_queues(Model *m, Model *old, char **directories, char **ret_error) {
        _cleanup_strv_free_ char **names = NULL;
        Queue *q, *t;
        int r;

        *ret_error = NULL;
        r = conf_list_names(directories, "queues", ".queue", &names);
        if (r < 0)
                return r;
        HASH_ITER(hh, m->queues, q, t)
                q->seen = false;
        STRV_FOREACH(name, names) {
                r = load_queue(m, old, directories, *name, ret_error);
                if (r < 0)
                        return r;
        }
        /* Gone: nobody knows its cap any more, so nothing of it starts. As an ancestor it is uncapped. */
        HASH_ITER(hh, m->queues, q, t) {
                if (q->seen)
                        continue;
                if (q->configured)
                        log_info("Queue %s has no file any more; its jobs wait.", q->name);
                queue_policy_done(&q->policy);
                q->configured = q->broken = false;
        }
        return policies_changed(m);
}

int config_directories(bool user, char ***ret) {
        const char *path = getenv("JOBMILL_CONFIG_PATH"), *home = getenv("XDG_CONFIG_HOME"), *run = getenv("XDG_RUNTIME_DIR");
        _cleanup_strv_free_ char **l = NULL;
        int r;

        if (path) {
                *ret = strv_split(path, ":");
                return *ret ? 0 : -ENOMEM;
        }
        if (user) {
                r = !isempty(home) ? strv_extendf(&l, "%s/jobmill", home) :
                                     strv_extendf(&l, "%s/.config/jobmill", strempty(getenv("HOME")));
                if (r >= 0 && !isempty(run))
                        r = strv_extendf(&l, "%s/jobmill", run);
        } else {
                r = strv_extend(&l, "/etc/jobmill");
                if (r >= 0)
                        r = strv_extend(&l, "/run/jobmill");
        }
        if (r >= 0)
                r = strv_extend(&l, "/usr/lib/jobmill");
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}
