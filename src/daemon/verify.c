/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checking configuration files without a daemon: the same tables and the same reader as the daemon's, but all that is wrong is
 * told, not just the first thing. What is hidden by a namesake in a higher directory, or masked, is not looked at. */

#include "daemon/verify.h"

#include "base/conf-file.h"
#include "base/parse.h"
#include "base/strv.h"
#include "daemon/adapter-file.h"
#include "daemon/config.h"
#include "daemon/queue-file.h"
#include "daemon/type-file.h"
#include "queue/callback.h"
#include "queue/model.h"
#include "queue/spec-check.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BAD_TYPE_NAME "not the name of a job type ([a-z0-9_-], at most 64)"
#define BAD_ADAPTER_NAME "not the name of an adapter ([a-z][a-z0-9]*, at most 32, and no executor's)"
#define BAD_NAME "not the name of a queue ([a-z0-9_]+ joined by '-', at most 64)"

typedef struct Verify {
        FILE *out;
        int faults;
        char **directories;
        bool user;     /* a user's own instance */
        Model *queues; /* those that are good, for what only shows between them */
} Verify;

/* A file may be anybody's: what it holds must not reach the terminal as it is. */
static void print(Verify *v, const char *format, ...) _printf_(2, 3);
static void print(Verify *v, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = vformat(format, ap);
        va_end(ap);
        if (!text)
                return;
        if (!string_is_clean(text))
                for (char *p = text; *p; p++)
                        if ((unsigned char) *p < ' ' || (unsigned char) *p >= 127)
                                *p = '?';
        fprintf(v->out, "%s\n", text);
}

static void fault(Verify *v, const char *file, const char *text) {
        v->faults++;
        print(v, "%s: %s", file, text);
}

static void on_fault(ConfError *e) {
        Verify *v = e->userdata;

        if (e->line == 0) {
                fault(v, e->file, e->message);
                return;
        }
        v->faults++;
        print(v, "%s:%u: %s", e->file, e->line, e->message);
}

/* ---- objects ---- */

static int read_files(Verify *v, char *const *files, conf_assign_t assign, void *userdata) {
        STRV_FOREACH(f, files) {
                _cleanup_(conf_error_done) ConfError error = { .tell = on_fault, .userdata = v };
                int r = conf_parse_file(*f, assign, userdata, &error);

                if (r == -ENOMEM)
                        return r;
                if (r == -ENOENT)
                        fault(v, *f, strerror(ENOENT));
        }
        return 0;
}

static int check_settings(Verify *v, char *const *files) {
        Settings s;

        settings_init(&s);
        return read_files(v, files, settings_assign, &s);
}

/* whole: these are all files that there are of it. */
static int check_queue(Verify *v, const char *name, char *const *files, bool whole) {
        _cleanup_(conf_error_done) ConfError error = { .tell = on_fault, .userdata = v };
        QueueFile q;
        Queue *in_model;
        int r, before = v->faults;

        queue_file_init(&q, v->directories);
        r = read_files(v, files, queue_file_assign, &q);
        if (r >= 0 && whole)
                r = queue_file_check(&q, files, &error);
        if (r >= 0 && whole && v->faults == before) {
                if (!v->user && !q.policy.allow_users && !q.policy.allow_groups && !callback_queue_is(name))
                        print(v, "%s: note: no AllowUsers= and no AllowGroups=: only root and queue managers may submit", files[0]);
                r = model_queue_add(v->queues, name, &in_model);
                if (r >= 0) {
                        in_model->configured = true;
                        in_model->policy.slots = q.policy.slots;
                        in_model->policy.defaults = TAKE_PTR(q.policy.defaults);
                }
        }
        queue_policy_done(&q.policy);
        return r;
}

/* Only systemd knows: its tool is asked, as there may be no manager. 1, 0; negative: it is not there. */
static int is_calendar(const char *text) {
        const char *const argv[] = { "systemd-analyze", "calendar", "--", text, NULL };
        posix_spawn_file_actions_t actions;
        int status = 0, r;
        pid_t pid;

        r = posix_spawn_file_actions_init(&actions);
        for (int fd = STDOUT_FILENO; r == 0 && fd <= STDERR_FILENO; fd++)
                r = posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
        if (r == 0)
                r = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *) argv, environ);
        (void) posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                return -r;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_calendars(Verify *v, const char *file, char *const *calendars) {
        STRV_FOREACH(c, calendars) {
                _cleanup_free_ char *text = NULL;
                int r = is_calendar(*c);

                if (r < 0) {
                        print(v, "%s: note: OnCalendar= was not looked at: systemd-analyze: %s", file, strerror(-r));
                        return;
                }
                if (r == 0 && asprintf(&text, "[Schedule] OnCalendar=: '%s' is not allowed (see systemd-analyze calendar)", *c) >= 0)
                        fault(v, file, text);
        }
}

/* What it needs may be elsewhere, or come later: no fault. */
static int check_type(Verify *v, const char *name, char *const *files, bool whole) {
        _cleanup_(conf_error_done) ConfError error = { .tell = on_fault, .userdata = v };
        _cleanup_(job_type_freep) JobType *t = job_type_new(name);
        int r, before = v->faults;

        if (!t)
                return -ENOMEM;
        r = read_files(v, files, type_file_assign, t);
        t->files = strv_copy(files);
        if (!t->files)
                return -ENOMEM;
        if (r >= 0 && whole && v->faults == before)
                r = type_file_check(t, &error);
        if (r >= 0 && whole && v->faults == before) {
                r = type_find_missing(t, false);
                if (r >= 0 && t->fault)
                        print(v, "%s: note: %s", files[0], t->fault);
        }
        if (r >= 0 && v->faults == before)
                check_calendars(v, files[strv_length(files) - 1], t->schedule.calendar);
        return r;
}

static int check_adapter(Verify *v, const char *name, char *const *files, bool whole) {
        AdapterFile a = {};
        int r = read_files(v, files, adapter_file_assign, &a);

        adapter_file_done(&a);
        return r;
}

/* ---- all of the instance ---- */

/* Names that are not looked at although somebody put them there. */
static void look_around(Verify *v, const char *directory, const char *suffix, const char *or_suffix) {
        DIR *d = opendir(directory);
        struct dirent *de;
        struct stat st;

        if (!d) {
                if (errno != ENOENT && errno != ENOTDIR)
                        fault(v, directory, strerror(errno));
                return;
        }
        while ((de = readdir(d))) {
                _cleanup_free_ char *path = NULL;

                if (de->d_name[0] == '.' || asprintf(&path, "%s/%s", directory, de->d_name) < 0)
                        continue;
                if (or_suffix && endswith(de->d_name, or_suffix))
                        look_around(v, path, ".conf", NULL);
                else if (!endswith(de->d_name, suffix))
                        print(v, "%s: note: not read, its name does not end in %s", path, suffix);
                else if (stat(path, &st) < 0 && errno == ENOENT)
                        print(v, "%s: note: a link that leads nowhere, not read", path);
        }
        closedir(d);
}

typedef struct Kind {
        const char *folder, *suffix, *bad_name;
        bool (*name_is_valid)(const char *name);
        int (*check)(Verify *v, const char *name, char *const *files, bool whole);
} Kind;

static const Kind kinds[] = {
        { "queues", ".queue", BAD_NAME, queue_name_is_valid, check_queue },
        { "jobs", ".job", BAD_TYPE_NAME, type_name_is_valid, check_type },
        { "adapters", ".adapter", BAD_ADAPTER_NAME, adapter_name_is_valid, check_adapter },
};

static int check_object(Verify *v, const Kind *k, const char *name) {
        _cleanup_strv_free_ char **files = NULL;
        _cleanup_free_ char *file = NULL;
        int r;

        if (asprintf(&file, "%s/%s%s", k->folder, name, k->suffix) < 0)
                return -ENOMEM;
        r = conf_files_for(v->directories, file, &files);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                fault(v, file, strerror(-r));
        if (r != 0 || !files)
                return 0;
        if (!k->name_is_valid(name))
                fault(v, files[0], k->bad_name);
        return k->check(v, name, files, k->name_is_valid(name));
}

static int check_objects(Verify *v, const Kind *k) {
        _cleanup_strv_free_ char **names = NULL;
        int r;

        r = conf_list_names(v->directories, k->folder, k->suffix, &names);
        if (r < 0 && r != -ENOMEM) /* a directory, which was told above */
                return 0;
        for (char **n = names; r >= 0 && n && *n; n++)
                r = check_object(v, k, *n);
        return r;
}

static void check_tree(Verify *v) {
        const char *key, *missing;
        Queue *q, *t;

        HASH_ITER(hh, v->queues->queues, q, t) {
                if ((key = config_vain_key(v->queues, q, &missing)))
                        print(v, "queues/%s.queue: note: %s has no effect, as there is no queue %s", q->name, key, missing);
                if (q->parent && q->policy.slots != UINT32_MAX && queue_too_small(q->parent, q->policy.slots))
                        print(v, "queues/%s.queue: note: Slots=%" PRIu32 ", but queue %s above it has %" PRIu32, q->name,
                              q->policy.slots, queue_too_small(q->parent, q->policy.slots)->name,
                              queue_too_small(q->parent, q->policy.slots)->policy.slots);
        }
}

static int check_instance(Verify *v) {
        _cleanup_strv_free_ char **files = NULL;
        int r;

        STRV_FOREACH(d, v->directories) {
                _cleanup_free_ char *dropins = NULL;

                FOREACH_ELEMENT(k, kinds) {
                        _cleanup_free_ char *folder = NULL, *of_dropins = NULL;

                        if (asprintf(&folder, "%s/%s", *d, k->folder) < 0 || asprintf(&of_dropins, "%s.d", k->suffix) < 0)
                                return -ENOMEM;
                        look_around(v, folder, k->suffix, of_dropins);
                }
                if (asprintf(&dropins, "%s/jobmill.conf.d", *d) < 0)
                        return -ENOMEM;
                look_around(v, dropins, ".conf", NULL);
        }
        r = conf_files_for(v->directories, "jobmill.conf", &files);
        if (r >= 0)
                r = check_settings(v, files);
        else if (r != -ENOMEM) {
                fault(v, "jobmill.conf", strerror(-r));
                r = 0;
        }
        FOREACH_ELEMENT(k, kinds)
                if (r >= 0)
                        r = check_objects(v, k);
        if (r >= 0)
                check_tree(v);
        return r;
}

/* ---- one file, wherever it is ---- */

/* The last component, and the one before it; a link as the last one is not followed, its own name counts. */
static int split(const char *path, char **ret_parent, char **ret_name) {
        const char *slash = strrchr(path, '/');
        _cleanup_free_ char *folder = slash ? strndup(path, slash - path + 1) : strdup("."), *real = NULL;

        if (!folder)
                return -ENOMEM;
        real = realpath(folder, NULL);
        if (!real)
                return -errno;
        *ret_parent = strdup(strrchr(real, '/') + 1);
        *ret_name = strdup(slash ? slash + 1 : path);
        return *ret_parent && *ret_name ? 0 : -ENOMEM;
}

/* Is it one of these, or a drop-in of one? Then *ret is its name. */
static int name_of_kind(const Kind *k, const char *parent, const char *file, char **ret) {
        const char *end = endswith(file, k->suffix), *name = file;
        char folder[16];

        snprintf(folder, sizeof(folder), "%s.d", k->suffix);
        if (!end && endswith(file, ".conf")) {
                name = parent;
                end = endswith(parent, folder);
        }
        if (!end)
                return 0;
        *ret = strndup(name, end - name);
        return *ret ? 1 : -ENOMEM;
}

static int check_file(Verify *v, char *path) {
        _cleanup_free_ char *parent = NULL, *file = NULL, *name = NULL;
        char *files[] = { path, NULL };
        int r;

        r = split(path, &parent, &file);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                fault(v, path, strerror(-r));
                return 0;
        }
        if (streq(file, "jobmill.conf") || (streq(parent, "jobmill.conf.d") && endswith(file, ".conf")))
                return check_settings(v, files);
        FOREACH_ELEMENT(k, kinds) {
                r = name_of_kind(k, parent, file, &name);
                if (r < 0)
                        return r;
                if (r == 0)
                        continue;
                if (!k->name_is_valid(name))
                        fault(v, path, k->bad_name);
                return k->check(v, name, files, k->name_is_valid(name) && endswith(file, k->suffix));
        }
        fault(v, path, "not a name that is read: jobmill.conf, jobmill.conf.d/*.conf, NAME.queue, NAME.queue.d/*.conf, NAME.job, NAME.job.d/*.conf, NAME.adapter, NAME.adapter.d/*.conf are");
        return 0;
}

int verify(bool user, char *const *files, FILE *out) {
        Verify v = { .out = out, .user = user, .queues = model_new() };
        int r = v.queues ? config_directories(user, &v.directories) : -ENOMEM;

        if (r >= 0 && files[0])
                STRV_FOREACH(f, files)
                        r = r < 0 ? r : check_file(&v, *f);
        else if (r >= 0)
                r = check_instance(&v);
        strv_free(v.directories);
        model_free(v.queues);
        return r < 0 ? r : v.faults;
}
