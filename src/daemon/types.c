/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Job types from their files: at start and with each reload. What a type needs is looked for at the same time; what units it needs the
 * service manager is asked, and says later. */

#include "daemon/config.h"
#include "daemon/manager.h"
#include "daemon/type-file.h"

#include "base/conf-file.h"
#include "base/log.h"
#include "base/strv.h"
#include "queue/spec-check.h"
#include "unit/unit-names.h"

/* Takes t over, in place of its namesake. */
static void put_type(JobTypes *l, JobType *t) {
        JobType *before = job_types_find(l, t->name);

        if (before) {
                t->missing_units = TAKE_PTR(before->missing_units); /* until it is known anew */
                HASH_DEL(l->all, before);
                job_type_free(before);
        }
        HASH_ADD_KEYPTR(hh, l->all, t->name, strlen(t->name), t);
}

/* It is listed with what is wrong, unless there is one that was good. */
static int put_bad(JobTypes *l, const char *name, const ConfError *error, const char *file, int r, char **ret_error) {
        _cleanup_(job_type_freep) JobType *bad = NULL;
        JobType *before = job_types_find(l, name);
        bool keeps = before && before->configured;
        _cleanup_free_ char *where = NULL, *text = NULL;

        if (config_place(error, file, &where) < 0 || asprintf(&text, "%s: %s", where, error->message ?: strerror(-r)) < 0)
                return -ENOMEM;
        if (keeps)
                before->seen = true;
        else {
                bad = job_type_new(name);
                if (!bad)
                        return -ENOMEM;
                bad->seen = true;
                bad->fault = strdup(text);
                if (!bad->fault)
                        return -ENOMEM;
                put_type(l, TAKE_PTR(bad));
        }
        return config_complain(ret_error, "%s; %s", text, keeps ? "the job type stays what it was" : "no job of this type can be submitted");
}

static int load_type(JobTypes *l, char **directories, const char *name, char **ret_error) {
        _cleanup_(conf_error_done) ConfError error = {};
        _cleanup_(job_type_freep) JobType *t = NULL;
        _cleanup_free_ char *file = NULL;
        int r;

        if (!type_name_is_valid(name))
                return config_complain(ret_error, "jobs/%s.job: not the name of a job type ([a-z0-9_-], at most %u)", name, SPEC_TYPE_MAX);
        t = job_type_new(name);
        if (!t || asprintf(&file, "jobs/%s.job", name) < 0)
                return -ENOMEM;
        r = conf_parse_object(directories, file, type_file_assign, t, &t->files, &error);
        if (r == 0)
                r = type_file_check(t, &error);
        if (r == 1 || r == -ENOMEM) /* it vanished while we looked */
                return r == 1 ? 0 : r;
        if (r < 0)
                return put_bad(l, name, &error, file, r, ret_error);
        t->configured = t->seen = true;
        put_type(l, TAKE_PTR(t));
        return 0;
}

static int find_missing(Manager *m) {
        JobType *t, *next;
        int r;

        HASH_ITER(hh, m->types.all, t, next) {
                if (!t->seen) {
                        HASH_DEL(m->types.all, t);
                        job_type_free(t);
                        continue;
                }
                r = t->configured ? type_find_missing(t, m->user) : 0;
                if (r < 0)
                        return r;
                if (t->configured && t->fault)
                        log_warning("Job type %s cannot be used: %s", t->name, t->fault);
                if (!t->units)
                        t->missing_units = mfree(t->missing_units);
        }
        return 0;
}

int manager_load_types(Manager *m, char **ret_error) {
        _cleanup_strv_free_ char **names = NULL;
        int r;

        r = conf_list_names(m->config_directories, "jobs", ".job", &names);
        if (r < 0)
                return r == -ENOMEM ? r : config_complain(ret_error, "The directories of job types cannot be read: %s; all types stay what they were",
                                                          strerror(-r));
        for (JobType *t = m->types.all; t; t = t->hh.next)
                t->seen = false;
        STRV_FOREACH(name, names) {
                r = load_type(&m->types, m->config_directories, *name, ret_error);
                if (r < 0)
                        return r;
        }
        m->types_look = true;
        return find_missing(m);
}

/* ---- units ---- */

static int note_missing(JobType *t, char *const *missing) {
        char *text = NULL;

        STRV_FOREACH(u, t->units)
                if (!text && strv_contains(missing, *u) && asprintf(&text, "unit %s is not there", *u) < 0)
                        return -ENOMEM;
        if (text && !streq_ptr(text, t->missing_units))
                log_warning("Job type %s cannot be used: %s", t->name, text);
        free(t->missing_units);
        t->missing_units = text;
        return 0;
}

static void on_missing(void *userdata, char *const *missing) {
        Manager *m = userdata;

        for (JobType *t = m->types.all; t; t = t->hh.next)
                if (note_missing(t, missing) < 0)
                        (void) log_oom();
}

int manager_look_types(Manager *m) {
        _cleanup_strv_free_ char **names = NULL;
        int r = 0;

        m->types_look = false;
        for (const JobType *t = m->types.all; t; t = t->hh.next)
                STRV_FOREACH(u, t->units)
                        if (r >= 0 && !strv_contains(names, *u))
                                r = strv_extend(&names, *u);
        return r < 0 || !names ? r : units_find_missing(m->units, names, on_missing, m);
}
