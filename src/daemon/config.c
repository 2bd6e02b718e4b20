/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading the configuration: which files there are, and how the queue files become policies of the model's queues. What may
 * stand in them is in queue-file.c and settings.c. */

#include "daemon/config.h"

#include "base/conf-file.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/strv.h"
#include "daemon/queue-file.h"
#include "queue/callback.h"

#include <stdarg.h>

static void queue_set_policy(Model *m, Queue *q, QueuePolicy *policy) {
        q->policy_changed = q->policy_changed || !strv_equal(q->policy.settings, policy->settings) ||
                            !strv_equal(q->policy.files, policy->files);
        q->cap_changed = q->cap_changed || q->policy.slots != policy->slots;
        queue_policy_done(&q->policy);
        q->policy = *policy;
        retention_look_again(m, q);
        queue_policy_init(policy);
        q->configured = true;
        q->broken = false;
}

int config_complain(char **ret_error, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        if (!text)
                return -ENOMEM;
        log_error("%s", text);
        if (!*ret_error)
                *ret_error = TAKE_PTR(text);
        return 0;
}

/* FILE:LINE, or FILE alone where it is about all of it. */
int config_place(const ConfError *e, const char *file, char **ret) {
        if (e->line > 0 ? asprintf(ret, "%s:%u", e->file ?: file, e->line) < 0 : !(*ret = strdup(e->file ?: file)))
                return -ENOMEM;
        return 0;
}

int config_load_settings(Settings *s, char **directories, const char *otherwise, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};
        _cleanup_strv_free_ char **files = NULL;
        _cleanup_free_ char *where = NULL;
        Settings read;
        int r;

        *ret_error = NULL;
        settings_init(&read);
        r = conf_files_for(directories, "jobmill.conf", &files); /* where the main file is masked the drop-ins still count */
        for (char **i = files; r >= 0 && i && *i; i++) {
                r = conf_parse_file(*i, settings_assign, &read, &error);
                if (r == -ENOENT) /* gone meanwhile */
                        r = 0;
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                if (config_place(&error, "jobmill.conf", &where) < 0)
                        return -ENOMEM;
                return config_complain(ret_error, "%s: %s; %s", where, error.message ?: strerror(-r), otherwise);
        }
        *s = read;
        return 0;
}

/* What was good in the model that is being left. */
static void take_over(Model *m, Queue *q, Queue *before) {
        if (!before || !before->configured)
                return;
        queue_set_policy(m, q, &before->policy);
        before->configured = false; /* what it would now say of its cap is not true */
        before->broken = true;
}

static int load_queue(Model *m, Model *old, char **directories, const char *name, char **ret_error) {
        _cleanup_free_ char *file = NULL;
        _cleanup_(conf_error_done) ConfError error = {};
        QueueFile f;
        _cleanup_free_ char *where = NULL;
        Queue *q;
        int r;

        if (!queue_name_is_valid(name))
                return config_complain(ret_error, "queues/%s.queue: not the name of a queue ([a-z0-9_]+ joined by '-', at most %u)",
                                name, QUEUE_NAME_MAX);
        r = model_queue_add(m, name, &q);
        if (r < 0)
                return r;
        q->seen = true;
        if (asprintf(&file, "queues/%s.queue", name) < 0)
                return -ENOMEM;

        queue_file_init(&f, directories);
        r = conf_parse_object(directories, file, queue_file_assign, &f, &f.policy.files, &error);
        if (r == 0 && strv_length(f.policy.files) > 0)
                r = queue_file_check(&f, f.policy.files, &error);
        if (r == -ENOMEM) {
                queue_policy_done(&f.policy);
                return r;
        }
        if (r == 0) {
                if (q->is_new && f.paused)
                        model_queue_pause(m, q, true);
                queue_file_complete(&f, m->timeout_default, m->stop_timeout_default);
                queue_set_policy(m, q, &f.policy);
                return 0;
        }
        queue_policy_done(&f.policy);
        if (r == 1) {
                q->seen = false; /* it vanished while we looked */
                return 0;
        }
        take_over(m, q, old ? model_queue(old, name) : NULL);
        q->broken = !q->configured;
        if (config_place(&error, file, &where) < 0)
                return -ENOMEM;
        return config_complain(ret_error, "%s: %s; %s", where, error.message ?: strerror(-r),
                        q->configured ? "the queue keeps what it had" : "jobs of this queue and of those below it wait until it is mended");
}

/* Policies hold for whole subtrees: what was too wide for an old cap may fit, and whose the slot numbers are may be another. Where no
 * cap is another one the windows stay, as there may be ten thousand. */
static int policies_changed(Model *m) {
        Queue *q, *t;
        int r;

        m->schedule.stale = true;
        HASH_ITER(hh, m->queues, q, t) {
                const Queue *p = q;

                while (p && !p->cap_changed)
                        p = p->parent;
                if (p)
                        queue_window_clear(q);
        }
        HASH_ITER(hh, m->queues, q, t)
                q->cap_changed = false;
        for (Attempt *a = m->attempts; a; a = a->hh.next) {
                r = queue_own_slots(a);
                if (r < 0)
                        return r;
        }
        return admission_configure(m);
}

/* Nobody knows its cap any more, so nothing of it starts. As an ancestor it is uncapped. */
static void queue_is_gone(Model *m, Queue *q) {
        if (q->configured)
                log_info("Queue %s has no file any more; its jobs wait.", q->name);
        q->policy_changed = q->policy_changed || queue_has_file(q);
        q->cap_changed = q->cap_changed || q->policy.slots != UINT32_MAX;
        queue_policy_done(&q->policy);
        q->policy.stop_timeout_usec = m->stop_timeout_default;
        q->configured = q->broken = false;
}

int config_load_queue(Model *m, char **directories, const char *name, char **ret_error) {
        Queue *q;
        int r;

        *ret_error = NULL;
        r = load_queue(m, NULL, directories, name, ret_error);
        if (r < 0)
                return r;
        q = model_queue(m, name);
        if (q && !q->seen)
                queue_is_gone(m, q);
        return policies_changed(m);
}

/* The directories cannot be listed. What is not known may be a cap, so nothing is taken back and nothing is taken. */
static int keep_queues(Model *m, Model *old, int error, char **ret_error) {
        Queue *q, *t, *kept, *all = old ? old->queues : NULL;
        int r;

        HASH_ITER(hh, all, q, t)
                if (q->configured) {
                        r = model_queue_add(m, q->name, &kept);
                        if (r < 0)
                                return r;
                        take_over(m, kept, q);
                }
        return config_complain(ret_error, "The directories of queues cannot be read: %s; all queues keep what they had",
                        strerror(-error));
}

const char *config_vain_key(Model *m, const Queue *q, const char **ret_missing) {
        const JobSpec *d = q->policy.defaults;

        *ret_missing = CALLBACK_QUEUE;
        if (d && d->callback_url && !queue_has_file(model_queue(m, CALLBACK_QUEUE)))
                return "CallbackURL=";
        *ret_missing = TRIGGER_QUEUE;
        if (d && (d->on_success || d->on_failure) && !queue_has_file(model_queue(m, TRIGGER_QUEUE)))
                return d->on_success ? "OnSuccess=" : "OnFailure=";
        return NULL;
}

static void warn_of_vain_keys(Model *m) {
        const char *key, *missing;

        for (const Queue *q = m->queues; q; q = q->hh.next)
                if (q->configured && (key = config_vain_key(m, q, &missing)))
                        log_warning("Queue %s: %s has no effect, as there is no queue %s.", q->name, key, missing);
}

int config_load_queues(Model *m, Model *old, char **directories, char **ret_error) {
        _cleanup_strv_free_ char **names = NULL;
        Queue *q, *t;
        int r;

        *ret_error = NULL;
        r = conf_list_names(directories, "queues", ".queue", &names);
        if (r < 0)
                return r == -ENOMEM ? r : keep_queues(m, old, r, ret_error);
        HASH_ITER(hh, m->queues, q, t)
                q->seen = false;
        STRV_FOREACH(name, names) {
                r = load_queue(m, old, directories, *name, ret_error);
                if (r < 0)
                        return r;
        }
        HASH_ITER(hh, m->queues, q, t)
                if (!q->seen)
                        queue_is_gone(m, q);
        warn_of_vain_keys(m);
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
