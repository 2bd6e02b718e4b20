/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* submit --script: the text of a file as it is now becomes the job, as with at and sbatch; what happens to
 * the file later does not matter. The text travels as the job's payload, which is a file in memory on its
 * standard input. A line of shell hands that to the interpreter as /dev/fd/3 and gives the script an empty
 * standard input, so that nothing in the script (ssh, ffmpeg, read) eats the script itself. This serves
 * every interpreter that takes the name of a file, has no limit of one word's length, and keeps the text out
 * of ps.
 *
 * Lines "#JOBMILL OPTION…" in the comment at the top are options of submit; the command line goes before
 * them. */

#include "base/parse.h"
#include "base/strv.h"
#include "ctl/output.h"
#include "ctl/submit.h"
#include "queue/spec-words.h"

#define RUN_SCRIPT "exec \"$@\" 3<&0 </dev/null"
#define SCRIPT_PATH "/dev/fd/3"
#define DIRECTIVE "#JOBMILL"

void script_done(Script *s) {
        free(s->text);
        free(s->name);
        strv_free(s->interpreter);
}

/* ---- the text ---- */

static size_t line_length(const char *p, const char *end) {
        const char *e = memchr(p, '\n', end - p);

        return (e ?: end) - p;
}

int script_check(const char *text, size_t size, const char **ret_why) {
        size_t first = line_length(text, text + size);

        if (strspn(text, " \t\r\n") == size)
                *ret_why = "is empty";
        else if (memchr(text, 0, size))
                *ret_why = "is not text: it has NUL bytes (to run a program: jobmill submit -- PROGRAM)";
        else if (first > 0 && text[first - 1] == '\r')
                *ret_why = "has the line ends of DOS, which interpreters do not understand";
        else
                return 0;
        return -EINVAL;
}

/* As the kernel does it: the interpreter, and all that follows is one argument. */
int script_interpreter(const char *text, size_t size, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *line = NULL;
        char *p, *e;

        if (size < 2 || memcmp(text, "#!", 2) != 0)
                return strv_extend(ret, "/bin/sh");
        line = strndup(text + 2, line_length(text + 2, text + size));
        if (!line)
                return -ENOMEM;
        for (e = line + strlen(line); e > line && strchr(" \t", e[-1]); e--)
                ;
        *e = 0;
        p = line + strspn(line, " \t");
        if (!*p)
                return -EINVAL;
        e = p + strcspn(p, " \t");
        if (strv_extendf(&l, "%.*s", (int) (e - p), p) < 0)
                return -ENOMEM;
        e += strspn(e, " \t");
        if (*e && strv_extend(&l, e) < 0)
                return -ENOMEM;
        STRV_FOREACH (w, l)
                if (!string_is_clean(*w))
                        return -EINVAL;
        *ret = TAKE_PTR(l);
        return 0;
}

/* ---- options in the script ---- */

/* The options of one line. */
static int read_directive(const char *where, const char *line, size_t n) {
        _cleanup_strv_free_ char **words = NULL, **rest = NULL;
        int r, argc;

        r = spec_split_words(line, n, '#', &rest);
        if (r == -EINVAL)
                return ctl_error(r, "%s: a quote is not closed", where);
        if (r < 0 || strv_extend(&words, "jobmill") < 0)
                return ctl_oom();
        STRV_FOREACH (w, rest)
                if (strv_extend(&words, *w) < 0)
                        return ctl_oom();
        argc = (int) strv_length(words);
        r = options_parse(where, OPTIONS_SUBMIT, true, argc, words);
        if (r < 0)
                return r;
        if (r < argc)
                return ctl_error(-EINVAL, "%s: '%s' is not an option", where, words[r]);
        if (arg_submit.script || arg_submit.file || arg_submit.payload)
                return ctl_error(-EINVAL, "%s: --script, --file and --payload have no meaning in a script",
                                 where);
        return 0;
}

static int read_directives(const char *path, const char *text, size_t size) {
        const char *p = text, *end = text + size;
        unsigned number = 1;
        int r;

        options_reset_submit();
        for (; p < end; number++) {
                size_t n = line_length(p, end);
                const char *options = n >= strlen(DIRECTIVE) ? startswith(p, DIRECTIVE) : NULL;
                char where[SPEC_QUOTE_MAX + 16], q[SPEC_QUOTE_MAX];

                if (*p != '#' && strspn(p, " \t\r") < n)
                        break;
                snprintf(where, sizeof(where), "%s:%u",
                         streq(path, "-") ? "script" : spec_quote(q, path, strlen(path)), number);
                if (options && (options == p + n || strchr(" \t\r", *options))) {
                        r = read_directive(where, options, p + n - options);
                        if (r < 0)
                                return r;
                }
                p += MIN(n + 1, (size_t) (end - p));
        }
        return options_parse_again();
}

static char *script_name(const char *path) {
        const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

        if (streq(path, "-") || !*base || strlen(base) > SPEC_NAME_MAX || !string_is_clean(base))
                base = "script";
        return strdup(base);
}

int script_read(const char *path, Script *ret) {
        _cleanup_free_ char *copy = strdup(path); /* the options are read anew */
        char q[SPEC_QUOTE_MAX];
        const char *why;
        int r;

        if (!copy)
                return ctl_oom();
        if (streq(path, "-") && isatty(STDIN_FILENO))
                ctl_warning("type the script; ^D on a line of its own ends it");
        r = submit_read_file("--script", path, &ret->text, &ret->size);
        if (r < 0)
                return r;
        r = script_check(ret->text, ret->size, &why);
        if (r < 0)
                return ctl_error(r, "submit: --script: %s %s", spec_quote(q, path, strlen(path)), why);
        r = script_interpreter(ret->text, ret->size, &ret->interpreter);
        if (r == -EINVAL)
                return ctl_error(r, "submit: --script: %s: its first line names no interpreter",
                                 spec_quote(q, path, strlen(path)));
        if (r < 0 || !(ret->name = script_name(path)))
                return ctl_oom();
        return read_directives(copy, ret->text, ret->size);
}

static int join_words(const Script *s, char *const *arguments, char ***ret) {
        const char *const head[] = { "/bin/sh", "-c", RUN_SCRIPT, s->name, NULL }, *const file[] = {
                SCRIPT_PATH, NULL
        };
        char *const *const parts[] = { (char *const *) head, s->interpreter, (char *const *) file,
                                       arguments };
        _cleanup_strv_free_ char **argv = NULL;
        size_t n = 0;

        FOREACH_ELEMENT (l, parts)
                n += strv_length(*l);
        argv = new0(char *, n + 1);
        if (!argv)
                return -ENOMEM;
        n = 0;
        FOREACH_ELEMENT (l, parts)
                STRV_FOREACH (w, *l)
                        if (!(argv[n++] = strdup(*w)))
                                return -ENOMEM;
        *ret = TAKE_PTR(argv);
        return 0;
}

int script_into_spec(Script *s, char *const *arguments, JobSpec *spec) {
        JobSpec probe = *spec;
        int r;

        probe.argv = s->interpreter;
        r = submit_check_command("submit: --script", &probe);
        if (r != 0)
                return r;
        if (!spec->name && free_and_strdup(&spec->name, s->name) < 0)
                return ctl_oom();
        if (join_words(s, arguments, &spec->argv) < 0)
                return ctl_oom();
        spec->payload = (uint8_t *) TAKE_PTR(s->text);
        spec->payload_size = s->size;
        spec->has_payload = true;
        return 0;
}
