/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The environment of a job.
 *
 * It travels in a file that only root and PID 1 can read, since everybody can read the Environment= of a
 * unit. What systemd makes of such a file, inside double quotes: a backslash in front of " \ ` $ is dropped,
 * in front of a line feed both are dropped, in front of anything else it stays; every other byte stands for
 * itself, line feeds too. So four characters are escaped, and every value of valid UTF-8
 * arrives as it was. */

#include "queue/environment.h"

#include "base/strv.h"

/* Never taken from the submitter: what says whose session, service or job a process is, and the four
 * variables that the service manager sets to the owner's. A '*' at the end: all that begin so. */
static const char *const stripped[] = {
        "JOBMILL_*",         "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_*",
        "WATCHDOG_*",        "MAINPID",       "MANAGERPID",    "SYSTEMD_*",      "CREDENTIALS_DIRECTORY",
        "XDG_SESSION_*",     "HOME",          "USER",          "LOGNAME",        "SHELL",
        "MEMORY_PRESSURE_*",
};

static bool is_stripped(const char *name, size_t n) {
        FOREACH_ELEMENT(s, stripped) {
                size_t l = strlen(*s);

                if ((*s)[l - 1] == '*' ? n >= l - 1 && memcmp(name, *s, l - 1) == 0 :
                                         n == l && memcmp(name, *s, l) == 0)
                        return true;
        }
        return false;
}

typedef struct Variable {
        const char *text;
        size_t n_name;
        size_t index;
} Variable;

/* By name, of equal names the last first. */
static int variable_compare(const void *x, const void *y) {
        const Variable *a = x, *b = y;
        int r = memcmp(a->text, b->text, MIN(a->n_name, b->n_name));

        if (r != 0)
                return r;
        if (a->n_name != b->n_name)
                return a->n_name < b->n_name ? -1 : 1;
        return a->index > b->index ? -1 : a->index < b->index ? 1 : 0;
}

char **spec_environment_strip(char *const *environment) {
        size_t n = strv_length(environment), n_variables = 0, n_copy = 0;
        _cleanup_free_ Variable *variables = new0(Variable, n);
        _cleanup_free_ const char **keep = new0(const char *, n); /* by index */
        _cleanup_strv_free_ char **copy = new0(char *, n + 1);

        if (!variables || !keep || !copy)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                const char *e = strchr(environment[i], '=');

                if (e && e > environment[i] && !is_stripped(environment[i], e - environment[i]))
                        variables[n_variables++] = (Variable){ environment[i], e - environment[i], i };
        }
        /* Sorted, since a list of a million bytes may come from anybody and this runs in the daemon. */
        qsort(variables, n_variables, sizeof(Variable), variable_compare);
        for (size_t i = 0; i < n_variables; i++) {
                const Variable *v = variables + i;

                if (i == 0 || v->n_name != v[-1].n_name || memcmp(v->text, v[-1].text, v->n_name) != 0)
                        keep[v->index] = v->text;
        }
        for (size_t i = 0; i < n; i++)
                if (keep[i] && !(copy[n_copy++] = strdup(keep[i])))
                        return NULL;
        return TAKE_PTR(copy);
}

char *environment_file_format(char *const *environment, size_t *ret_size) {
        size_t size = 1;
        char *text, *p;

        STRV_FOREACH(i, environment)
                size += 2 * strlen(*i) + strlen("\"\"\n");
        p = text = malloc(size);
        if (!text)
                return NULL;
        STRV_FOREACH(i, environment) {
                const char *v = strchr(*i, '=');

                if (!v)
                        continue;
                p = mempcpy(p, *i, v + 1 - *i);
                *p++ = '"';
                for (v++; *v; v++) {
                        if (*v == '"' || *v == '\\' || *v == '`' || *v == '$')
                                *p++ = '\\';
                        *p++ = *v;
                }
                p = mempcpy(p, "\"\n", 2);
        }
        *p = 0;
        if (ret_size)
                *ret_size = p - text;
        return text;
}
