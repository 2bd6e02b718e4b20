/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From the options of submit to a spec. It carries the caller's working directory, umask and environment,
 * unless the job is for another user or another machine: there they mean nothing, and nothing is inherited.
 */

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/inherit.h"
#include "ctl/output.h"
#include "ctl/submit.h"
#include "queue/spec-credential.h"
#include "queue/spec-change.h"
#include <fcntl.h>
#include <sys/stat.h>

bool submit_inherits(uint32_t uid) {
        return uid == UINT32_MAX && !bus_is_elsewhere();
}

/* What cannot start is a status of its own for those who wait. */
static int cannot_start(int r) {
        return arg_wait ? EXIT_NOT_STARTED : r;
}

static int find_cwd(bool inherits, char **ret) {
        _cleanup_free_ char *cwd = NULL;
        const char *d = arg_submit.directory;

        if (!inherits) {
                if (d && d[0] != '/')
                        return ctl_error(-EINVAL,
                                         "submit: -C: '%s' is not allowed (an absolute path, for a job of "
                                         "another %s)",
                                         d, bus_is_elsewhere() ? "machine" : "user");
                return free_and_strdup(ret, d) < 0 ? ctl_oom() : 0;
        }
        cwd = d ? realpath(d, NULL) : get_current_dir_name();
        if (!cwd)
                return cannot_start(d ? ctl_error(-errno, "submit: -C: %s: %m", d)
                                      : ctl_error(-errno, "submit: the working directory: %m"));
        if (d) {
                struct stat st;

                if (stat(cwd, &st) < 0 || !S_ISDIR(st.st_mode))
                        return cannot_start(ctl_error(-ENOTDIR, "submit: -C: %s: %m", d));
        }
        if (!string_is_clean(cwd))
                return ctl_error(-EINVAL,
                                 "submit: the name of the working directory is not UTF-8 without control "
                                 "characters; use -C");
        *ret = TAKE_PTR(cwd);
        return 0;
}

static int find_environment(bool inherits, char ***ret) {
        static bool told;
        _cleanup_strv_free_ char **left_out = NULL;
        const char *bad = NULL;
        int r;

        r = inherit_environment(environ, inherits ? arg_submit.env : "none", arg_submit.set,
                                !arg_submit.directory, ret, &left_out, &bad);
        if (r == -ENXIO)
                return ctl_error(r, "submit: -E: %s is not set here", bad);
        if (r == -EINVAL) {
                char q[SPEC_QUOTE_MAX];

                return ctl_error(r, "submit: -E: '%s' is not allowed (NAME or NAME=VALUE, in UTF-8)",
                                 spec_quote(q, bad, strlen(bad)));
        }
        if (r < 0)
                return ctl_oom();
        if (left_out && !told) {
                _cleanup_free_ char *names = strv_join(left_out, " ");
                _cleanup_free_ char *safe = names ? escape_controls(names, strlen(names)) : NULL;

                ctl_warning("These variables cannot be carried and are left out: %s", strempty(safe));
                told = true;
        }
        return 0;
}

/* KEY=VALUE… as pairs. */
static int split_tags(char *const *assignments, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;

        STRV_FOREACH (a, assignments) {
                const char *e = strchrnul(*a, '=');

                if (strv_extendf(&l, "%.*s", (int) (e - *a), *a) < 0 || strv_extend(&l, *e ? e + 1 : e) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(l);
        return 0;
}

static int set_lists(JobSpec *s) {
        _cleanup_strv_free_ char **tags = NULL, **properties = NULL;
        int r;

        if (arg_submit.properties && !(properties = strv_copy(arg_submit.properties)))
                return ctl_oom();
        if (split_tags(arg_submit.tags, &tags) < 0)
                return ctl_oom();
        if (tags) {
                _cleanup_free_ char *error = NULL;

                r = spec_set_strv(s, spec_field_find("tags"), TAKE_PTR(tags), &error);
                if (r < 0)
                        return ctl_error(r, "submit: --tag: %s", strempty(error));
        }
        s->properties = TAKE_PTR(properties);
        if (arg_submit.retry_on && !(s->retry_on = strv_copy(arg_submit.retry_on)))
                return ctl_oom();
        if ((arg_submit.on_success && !(s->on_success = strv_copy(arg_submit.on_success))) ||
            (arg_submit.on_failure && !(s->on_failure = strv_copy(arg_submit.on_failure))))
                return ctl_oom();
        if (arg_submit.callback_events && !(s->callback_events = strv_copy(arg_submit.callback_events)))
                return ctl_oom();
        return 0;
}

/* NAME=FILE, read by who gives it. */
int submit_set_credentials(JobSpec *s) {
        STRV_FOREACH (i, arg_submit.credentials) {
                _cleanup_free_ char *name = strndup(*i, strcspn(*i, "=")), *data = NULL, *error = NULL;
                size_t size;
                int r;

                if (!name)
                        return ctl_oom();
                r = submit_read_file("--credential", *i + strlen(name) + 1, &data, &size);
                if (r < 0)
                        return r;
                r = spec_add_credential(s, name, data, size, &error);
                explicit_bzero(data, size);
                if (r < 0)
                        return ctl_error(r, "submit: --credential: %s", strempty(error));
        }
        return 0;
}

/* As they were checked by the option: "17", "17:end:ignore". */
static int set_after(JobSpec *s) {
        size_t n = strv_length(arg_submit.after), i = 0;
        _cleanup_free_ char *error = NULL;
        After *l;

        if (n == 0)
                return 0;
        l = new0(After, n);
        if (!l)
                return ctl_oom();
        STRV_FOREACH (a, arg_submit.after) {
                const char *on = strchr(*a, ':');

                l[i].id = strtoull(*a, NULL, 10);
                if (on && after_parse(on + 1, l + i) == -ENOMEM) {
                        free(l);
                        return ctl_oom();
                }
                i++;
        }
        if (spec_set_edges(s, spec_field_find("after"), l, n, &error) < 0)
                return ctl_error(-EINVAL, "submit: --after: %s", strempty(error));
        return 0;
}

static int set_strings(JobSpec *s) {
        const SubmitArgs *a = &arg_submit;

        if (free_and_strdup(&s->type, a->type) < 0 || free_and_strdup(&s->name, a->name) < 0 || free_and_strdup(&s->output_file, a->output) < 0 ||
            free_and_strdup(&s->error_file, a->error) < 0 || free_and_strdup(&s->unique_key, a->unique) < 0 ||
            free_and_strdup(&s->unique_scope, a->unique_scope) < 0 || free_and_strdup(&s->callback_url, a->callback) < 0)
                return ctl_oom();
        if (a->unique_policy && spec_set_string(s, spec_field_find("unique_policy"), a->unique_policy, NULL) < 0)
                return ctl_oom();
        if (a->verify)
                (void) spec_set_string(s, spec_field_find("verify"), a->verify, NULL);
        if (a->to)
                (void) spec_set_string(s, spec_field_find("stdout"), a->to, NULL);
        return 0;
}

static void set_numbers(JobSpec *s) {
        const SubmitArgs *a = &arg_submit;

        if (a->priority != INT32_MIN)
                s->priority = a->priority;
        if (a->slots != UINT32_MAX)
                s->slots = a->slots;
        s->hold = a->hold;
        s->max_attempts = a->attempts;
        backoff_to_spec(&a->backoff, s);
        s->requeue_lost = a->requeue_lost;
        s->memory_growth = a->memory_growth;
        s->freezable = a->freezable;
        s->not_before_usec = a->at;
        s->delay_usec = a->in;
        s->deadline_usec = a->deadline;
        s->array = a->array.n;
        s->array_max_running = a->array.max_running;
        s->timeout_usec = a->timeout;
        s->stop_timeout_usec = a->stop_timeout;
        s->keep_usec = a->keep;
}

uint64_t submit_given(void) {
        uint64_t given = 0;

        if (arg_submit.priority != INT32_MIN)
                given |= spec_field_bit(spec_field_find("priority"));
        if (arg_submit.slots != UINT32_MAX)
                given |= spec_field_bit(spec_field_find("slots"));
        return given;
}

static mode_t current_umask(void) {
        mode_t mask = umask(0);

        (void) umask(mask);
        return mask;
}

int submit_new_spec(uint32_t uid, bool typed, JobSpec **ret) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        bool inherits = submit_inherits(uid);
        int r = 0;

        if (!s)
                return ctl_oom();
        if (inherits && !typed)
                s->umask = current_umask();
        s->uid = uid;
        set_numbers(s);
        if (!typed || arg_submit.directory)
                r = find_cwd(inherits, &s->cwd);
        if (r == 0 && (!typed || arg_submit.env || arg_submit.set))
                r = find_environment(inherits && (!typed || arg_submit.env), &s->environment);
        if (r == 0)
                r = set_strings(s);
        if (r == 0)
                r = set_lists(s);
        if (r == 0)
                r = set_after(s);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

int submit_new_run_spec(JobSpec **ret) {
        _cleanup_(spec_freep) JobSpec *s = spec_new();
        _cleanup_free_ char *cwd = get_current_dir_name();
        int r;

        if (!s)
                return ctl_oom();
        set_numbers(s);
        if (cwd && string_is_clean(cwd)) /* for people */
                s->cwd = TAKE_PTR(cwd);
        r = set_strings(s);
        if (r == 0)
                r = set_lists(s);
        if (r == 0)
                r = set_after(s);
        if (r == 0)
                *ret = TAKE_PTR(s);
        return r;
}

bool submit_has_array;

int submit_validate(const char *where, const JobSpec *s) {
        _cleanup_free_ char *error = NULL;
        int r;

        submit_has_array = submit_has_array || s->array > 0;
        r = spec_validate(s, &error);
        if (r == -ENOMEM)
                return ctl_oom();
        return r < 0 ? ctl_error(r, "%s: %s", where, strempty(error)) : 0;
}

int submit_check_command(const char *where, const JobSpec *s) {
        const char *path = strv_env_get(s->environment, "PATH"), *command;
        char q[SPEC_QUOTE_MAX];
        int r;

        if (s->type) /* has it */
                return 0;
        command = s->argv[0];

        /* The daemon knows better what others see. */
        if (!submit_inherits(s->uid) || !s->cwd || (!path && !strchr(command, '/')))
                return 0;
        r = command_find(command, s->cwd, path);
        if (r >= 0)
                return 0;
        return cannot_start(ctl_error(r, "%s: %s: %s", where, spec_quote(q, command, strlen(command)),
                                      r == -ENOENT && !strchr(command, '/') ? "command not found"
                                                                            : strerror(-r)));
}

int submit_read_file(const char *option, const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *buf = NULL;
        size_t n = 0, size = 0;

        fd = streq(path, "-") ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return ctl_error(-errno, "submit: %s: %s: %m", option, path);
        for (;;) {
                ssize_t k;

                if (n == size) {
                        char *more = realloc(buf, size = MAX(size * 2, (size_t) 65536));

                        if (!more)
                                return ctl_oom();
                        buf = more;
                }
                k = read(fd, buf + n, size - n);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return ctl_error(-errno, "submit: %s: %s: %m", option, path);
                if (k == 0)
                        break;
                n += k;
                if (n > SPEC_PAYLOAD_MAX)
                        return ctl_error(-EFBIG, "submit: %s: %s: more than %u MiB", option, path,
                                         SPEC_PAYLOAD_MAX >> 20);
        }
        buf[n] = 0; /* there is room: the last read() had some */
        *ret = TAKE_PTR(buf);
        *ret_size = n;
        return 0;
}
