/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command of a job's unit: what is executed, where it is looked for, and jobmill-exec in front of it where its streams go
 * to files. */

#include "unit/units.h"

#include "base/bus-util.h"
#include "base/parse.h"
#include "base/strv.h"
#include "unit/job-unit.h"

/* What systemd calls the executable: a path with a '/' is relative to the job's directory, a plain word is looked up by
 * ExecSearchPath=, which is the submitter's PATH. */
static char *executable_path(const JobSpec *s) {
        char *p;

        if (s->argv[0][0] == '/' || !strchr(s->argv[0], '/'))
                return strdup(s->argv[0]);
        return asprintf(&p, "%s/%s", s->cwd ?: "/", s->argv[0]) < 0 ? NULL : p;
}

/* systemd writes these into the unit's file as they are and reads that again when it is reloaded. There a line feed would begin a
 * line of its own, with any setting, and a backslash at the end swallow the next one: the user's environment may hold both, the
 * unit's properties must not. */
static bool is_searched(const char *directory) {
        return directory[0] == '/' && string_is_clean(directory) && !strchr(directory, '\\') && !strstr(directory, "/../") &&
               !endswith(directory, "/..");
}

static int append_search_path(sd_bus_message *m, const JobSpec *s) {
        _cleanup_strv_free_ char **l = NULL;
        const char *path = strv_env_get(s->environment, "PATH");
        size_t n = 0;

        if (!path || strchr(s->argv[0], '/'))
                return 0;
        l = strv_split(path, ":");
        if (!l)
                return -ENOMEM;
        for (char **p = l; *p; p++)
                if (is_searched(*p))
                        l[n++] = *p;
                else
                        free(*p);
        l[n] = NULL;
        return n > 0 ? bus_append_strv_value(m, 'r', "ExecSearchPath", l) : 0;
}

/* ---- jobmill-exec ---- */

/* option=FILE, with %j and %% replaced; other % are refused at submit (queue/spec.c). */
static char *file_option(const char *option, const char *file, uint64_t job) {
        char number[24], *s, *p;
        size_t n = strlen(option) + 1, l;

        l = snprintf(number, sizeof(number), "%" PRIu64, job);
        for (const char *f = file; *f; f++)
                n += *f == '%' ? l : 1;
        s = malloc(n);
        if (!s)
                return NULL;
        p = stpcpy(s, option);
        for (const char *f = file; *f; f++)
                if (*f != '%')
                        *p++ = *f;
                else if (*++f == 'j')
                        p = mempcpy(p, number, l);
                else
                        *p++ = '%';
        *p = 0;
        return s;
}

static int add_file_option(char ***l, const char *option, const char *file, uint64_t job) {
        char *s;

        if (!file)
                return 0;
        s = file_option(option, file, job);
        return s ? strv_consume(l, s) : -ENOMEM;
}

bool job_has_helper(const JobSpec *s) {
        return s->output_file || s->error_file;
}

/* Only the first attempt empties the files: what an earlier one wrote is what somebody will want to read. */
int job_helper_options(const Attempt *a, char ***ret) {
        _cleanup_strv_free_ char **l = new0(char *, 1);
        const JobSpec *s = a->job->spec;
        int r = l ? 0 : -ENOMEM;

        if (r >= 0)
                r = add_file_option(&l, "--output=", s->output_file, a->job_id);
        if (r >= 0)
                r = add_file_option(&l, "--error=", s->error_file, a->job_id);
        if (r >= 0 && a->number > 1)
                r = strv_extend(&l, "--append");
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

/* Before those of the command. */
static int append_helper(sd_bus_message *m, const Units *u, const Attempt *a) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        r = job_helper_options(a, &l);
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', u->exec_path);
        STRV_FOREACH(i, l)
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', *i);
        return r < 0 ? r : sd_bus_message_append_basic(m, 's', "--");
}

static int append_words(sd_bus_message *m, const Units *u, const Attempt *a, bool helped) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "s");
        if (r >= 0 && helped)
                r = append_helper(m, u, a);
        STRV_FOREACH(w, a->job->spec->argv)
                if (r >= 0)
                        r = sd_bus_message_append_basic(m, 's', *w);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

/* ExecStartEx with "no-env-expand", or systemd would replace '$' in the words.
 *
 * Never ExecStart with the dollars doubled. systemd 252 writes what it got into the unit's file and, at daemon-reload and
 * daemon-reexec, reads that again: '$' and ';' then come back with a backslash, so that a start which was still queued would
 * run *another command*. ExecStartEx it cannot read again at all: the unit becomes a "bad-setting", a running job runs on, and a
 * queued start fails, which is seen in the journal and asked for again. */
int job_command_append(sd_bus_message *m, const Units *u, const Attempt *a) {
        const JobSpec *s = a->job->spec;
        bool helped = job_has_helper(s);
        _cleanup_free_ char *path = helped ? strdup(u->exec_path) : executable_path(s);
        int r;

        if (!path)
                return -ENOMEM;
        r = bus_open_value(m, 'r', "ExecStartEx", "a(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "(sasas)");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'r', "sasas");
        if (r >= 0)
                r = sd_bus_message_append_basic(m, 's', path);
        if (r >= 0)
                r = append_words(m, u, a, helped);
        if (r >= 0)
                r = sd_bus_message_append(m, "as", 1, "no-env-expand");
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_close_container(m);
        r = bus_close_value(m, r);
        return r < 0 ? r : append_search_path(m, s);
}
