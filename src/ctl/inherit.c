/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A job sees what its submitter would, except what belongs to the submitter's session: it may run when that
 * is over. The daemon strips once more what would confuse the job or systemd (design: "How a job runs"). */

#include "ctl/inherit.h"
#include "base/parse.h"
#include "base/strv.h"
#include <ctype.h>
#include <sys/stat.h>

/* A name, or the beginning of names where it ends in '*'. */
static const char *const session_variables[] = {
        "_",          "SHLVL",     "OLDPWD",   "TERM",
        "COLORTERM",  "COLUMNS",   "LINES",    "DISPLAY",
        "XAUTHORITY", "WAYLAND_*", "WINDOWID", "STY",
        "TMUX*",      "GPG_TTY",   "SSH_*",    "XDG_SESSION_*",
        "XDG_SEAT*",  "XDG_VTNR",  "SUDO_*",   "DESKTOP_STARTUP_ID",
        "BASH_FUNC_*", /* no names that can be carried, and shells of many systems export some to everybody */
};

static bool is_of_session(const char *name, size_t n) {
        FOREACH_ELEMENT(v, session_variables) {
                size_t l = strlen(*v);

                if ((*v)[l - 1] == '*' ? n >= l - 1 && memcmp(name, *v, l - 1) == 0
                                       : n == l && memcmp(name, *v, l) == 0)
                        return true;
        }
        return false;
}

static bool name_is_valid(const char *s, size_t n) {
        if (n == 0 || isdigit((unsigned char) s[0]))
                return false;
        for (size_t i = 0; i < n; i++)
                if (!isalnum((unsigned char) s[i]) && s[i] != '_')
                        return false;
        return true;
}

/* Later assignments replace earlier ones. */
static int assign(char ***l, const char *assignment) {
        size_t n = strchrnul(assignment, '=') - assignment;

        STRV_FOREACH(i, *l)
                if (strncmp(*i, assignment, n + 1) == 0)
                        return free_and_strdup(i, assignment);
        return strv_extend(l, assignment);
}

static bool is_wanted(const char *name, size_t n, char *const *names, bool keep_pwd) {
        if (!keep_pwd && n == 3 && memcmp(name, "PWD", 3) == 0)
                return false;
        if (!names)
                return !is_of_session(name, n);
        STRV_FOREACH(i, names)
                if (strlen(*i) == n && memcmp(*i, name, n) == 0)
                        return true;
        return false;
}

static int
inherit(char *const *environment, char *const *names, bool keep_pwd, char ***l, char ***left_out) {
        int r;

        STRV_FOREACH(v, environment) {
                size_t n = strchrnul(*v, '=') - *v;

                if ((*v)[n] != '=' || !is_wanted(*v, n, names, keep_pwd))
                        continue;
                if (name_is_valid(*v, n) && utf8_is_valid(*v, strlen(*v)))
                        r = strv_extend(l, *v);
                else
                        r = strv_extendf(left_out, "%.*s", (int) n, *v);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int apply_set(char *const *environment, char *const *set, char ***l, const char **ret_bad) {
        int r;

        STRV_FOREACH(s, set) {
                size_t n = strchrnul(*s, '=') - *s;
                _cleanup_free_ char *copy = NULL;
                const char *value, *assignment = *s;

                *ret_bad = *s;
                if (!name_is_valid(*s, n))
                        return -EINVAL;
                if (!(*s)[n]) {
                        value = strv_env_get(environment, *s);
                        if (!value)
                                return -ENXIO;
                        if (asprintf(&copy, "%s=%s", *s, value) < 0)
                                return -ENOMEM;
                        assignment = copy;
                }
                if (!utf8_is_valid(assignment, strlen(assignment)))
                        return -EINVAL;
                r = assign(l, assignment);
                if (r < 0)
                        return r;
        }
        return 0;
}

int inherit_environment(char *const *environment,
                        const char *mode,
                        char *const *set,
                        bool keep_pwd,
                        char ***ret,
                        char ***ret_left_out,
                        const char **ret_bad) {
        _cleanup_strv_free_ char **l = NULL, **left_out = NULL, **names = NULL;
        bool all = !mode || streq(mode, "all");
        int r = 0;

        if (!all && !streq(mode, "none")) {
                names = strv_split(mode, ",");
                if (!names)
                        return -ENOMEM;
        }
        if (all || names)
                r = inherit(environment, names, keep_pwd, &l, &left_out);
        if (r >= 0)
                r = apply_set(environment, set, &l, ret_bad);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        *ret_left_out = TAKE_PTR(left_out);
        return 0;
}

static int check_file(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        return access(path, X_OK) < 0 ? -errno : 0;
}

static int check_in(const char *directory, const char *command, const char *cwd) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s%s%s/%s", directory[0] == '/' ? "" : cwd, directory[0] == '/' ? "" : "/",
                     directory, command) < 0)
                return -ENOMEM;
        return check_file(path);
}

int command_find(const char *command, const char *cwd, const char *path) {
        int r, worst = -ENOENT;

        if (command[0] == '/')
                return check_file(command);
        if (strchr(command, '/'))
                return check_in(cwd, command, cwd);
        if (!*command)
                return -ENOENT;
        for (const char *p = path;; p++) {
                size_t n = strchrnul(p, ':') - p;
                _cleanup_free_ char *directory = n > 0 ? strndup(p, n) : strdup(".");

                if (!directory)
                        return -ENOMEM;
                r = check_in(directory, command, cwd);
                if (r >= 0)
                        return 0;
                if (r == -EACCES)
                        worst = r;
                p += n;
                if (!*p)
                        return worst;
        }
}
