/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the scripts in completion/ ask: `jobmill __complete -- WORD…`, the words of the line up to the
 * cursor, the last one as far as it is typed. All is read from the tables of verbs and options, so a new row
 * is completed without any further ado. The answer:
 *
 *     words                     the candidates below are all
 *     files|directories|hosts TAB BEFORE    … and the shell's own, with BEFORE in front of each
 *     command TAB N             the shell is to complete word N (0 is "jobmill") and what follows as a line
 * of its own CANDIDATE TAB DESCRIPTION each a whole word
 *
 * It must never start the daemon, ask for a password, say anything or take long: a time limit ends it. */

#include "ctl/complete.h"
#include "base/strv.h"
#include "ctl/options.h"
#include "ctl/output.h"
#include <signal.h>
#include <sys/wait.h>

#define LIMIT_SEC 1U
#define LIMIT_ELSEWHERE_SEC 4U /* ssh has to get there */
#define POSITIONS_MAX 8U

typedef struct Line {
        const Verb *verbs;
        size_t n_verbs;
        const Verb *verb;
        const char *group;     /* "queue": a second word is to come */
        const Option *pending; /* waits for its value */
        bool only_words;       /* behind "--" */
        bool script;           /* the words are a script's arguments, not a command */
        int command;           /* index of the first word of a command; -1: none */
        char **words;          /* behind the verb */
        int n_words;
} Line;

/* A word of a verb's arguments: "ID…". */
typedef struct Position {
        const char *text;
        int length;
        bool repeats;
} Position;

static unsigned mask(const Line *l) {
        return OPTIONS_GLOBAL | (l->verb ? l->verb->options : 0);
}

static const Option *find_option(const Line *l, const char *name, size_t length, char letter) {
        size_t n;
        const Option *table = options_table(&n);

        for (const Option *o = table; o < table + n; o++)
                if ((o->verbs & mask(l)) &&
                    (letter ? o->letter == letter
                            : o->name && strlen(o->name) == length && strncmp(o->name, name, length) == 0))
                        return o;
        return NULL;
}

/* Which daemon is meant matters; the rest is not ours to judge. */
static void apply(const Option *o, const char *value) {
        if (o->verbs & OPTIONS_GLOBAL)
                (void) o->parse(value, o->target);
}

/* The option whose value ends this word, or is still to come: then *ret_value is NULL. */
static const Option *read_option(const Line *l, const char *word, const char **ret_value, bool do_apply) {
        const Option *o = NULL;

        *ret_value = NULL;
        if (startswith(word, "--")) {
                size_t n = strcspn(word + 2, "=");

                o = find_option(l, word + 2, n, 0);
                if (o && o->argument && word[2 + n])
                        *ret_value = word + 2 + n + 1;
        } else
                for (const char *p = word + 1; *p; p++) {
                        o = find_option(l, NULL, 0, *p);
                        if (!o)
                                return NULL;
                        if (o->argument) {
                                *ret_value = p[1] ? p + 1 : NULL;
                                break;
                        }
                        if (do_apply)
                                apply(o, NULL);
                }
        if (o && do_apply && (!o->argument || *ret_value))
                apply(o, *ret_value);
        return o && o->argument ? o : NULL;
}

static bool is_group(const Line *l, const char *word) {
        size_t n = strlen(word);

        for (const Verb *v = l->verbs; v < l->verbs + l->n_verbs; v++)
                if (strncmp(v->name, word, n) == 0 && v->name[n] == ' ')
                        return true;
        return false;
}

static const Verb *find_verb(const Line *l, const char *group, const char *word) {
        for (const Verb *v = l->verbs; v < l->verbs + l->n_verbs; v++) {
                const char *rest = group ? startswith(v->name, group) : v->name;

                if (rest && (!group || *rest++ == ' ') && streq(rest, word))
                        return v;
        }
        return NULL;
}

/* A word that is no option. -ENOENT: nothing sensible can follow. */
static int read_word(Line *l, char *word, int index) {
        if (!l->verb && !l->group && is_group(l, word)) {
                l->group = word;
                return 0;
        }
        if (!l->verb) {
                l->verb = find_verb(l, l->group, word);
                return l->verb ? 0 : -ENOENT;
        }
        if (l->n_words == 0 && l->verb->stops_at_word) {
                l->command = index;
                l->only_words = true;
        }
        l->n_words++;
        return strv_extend(&l->words, word);
}

static int read_words(Line *l, int argc, char **argv) {
        const char *value;
        int r;

        for (int i = 0; i < argc && (l->command < 0 || l->script); i++) {
                if (l->pending) {
                        apply(l->pending, argv[i]);
                        l->pending = NULL;
                } else if (!l->only_words && argv[i][0] == '-' && argv[i][1]) {
                        if (streq(argv[i], "--")) {
                                l->only_words = l->verb;
                                if (l->verb && strstr(strempty(l->verb->arguments), "[-- COMMAND"))
                                        l->command = i + 1;
                                continue;
                        }
                        l->pending = read_option(l, argv[i], &value, true);
                        l->script = l->script || (l->pending && streq_ptr(l->pending->name, "script"));
                        if (value)
                                l->pending = NULL;
                } else {
                        r = read_word(l, argv[i], i);
                        if (r < 0)
                                return r;
                }
        }
        return 0;
}

static void complete_options(Completion *c, unsigned which) {
        size_t n;
        const Option *table = options_table(&n);

        for (const Option *o = table; o < table + n; o++) {
                char text[64];

                if (!(o->verbs & which) || !o->help)
                        continue;
                if (o->name)
                        snprintf(text, sizeof(text), "--%s", o->name);
                else
                        snprintf(text, sizeof(text), "-%c", o->letter);
                complete_candidate(c, text, o->help);
        }
}

/* "queue": "list, show, …". */
static void complete_group(const Line *l, Completion *c, const char *group) {
        _cleanup_free_ char *description = NULL;
        size_t size;
        FILE *f = open_memstream(&description, &size);

        if (!f)
                return;
        for (const Verb *v = l->verbs; v < l->verbs + l->n_verbs; v++) {
                const char *rest = startswith(v->name, group);

                if (v->help && rest && *rest == ' ')
                        fprintf(f, "%s%s", ftell(f) > 0 ? ", " : "", rest + 1);
        }
        if (fclose(f) == 0)
                complete_candidate(c, group, description);
}

static void complete_verbs(const Line *l, Completion *c) {
        for (const Verb *v = l->verbs; v < l->verbs + l->n_verbs; v++) {
                const char *space = strchr(v->name, ' '), *rest;
                _cleanup_free_ char *first = NULL;

                if (!v->help)
                        continue;
                if (!l->group && space)
                        first = strndup(v->name, space - v->name);
                if (first)
                        complete_group(l, c, first);
                else if (!l->group)
                        complete_candidate(c, v->name, v->help);
                else if (space && (rest = startswith(v->name, l->group)) && *rest == ' ')
                        complete_candidate(c, rest + 1, v->help);
        }
}

/* "[OPTION…] [--] COMMAND [ARGUMENT…]": what may stand where, without options. */
static size_t read_positions(const char *text, Position positions[static POSITIONS_MAX]) {
        bool in_option = false;
        size_t n = 0;

        while (*text && n < POSITIONS_MAX) {
                const char *p = text + (*text == '[');
                int length = strcspn(p, " ]");
                bool closed = p[length] == ']';

                if (*text == '[' && *p == '-')
                        in_option = true;
                if (!in_option && length > 0 && strncmp(p, "OPTION", strlen("OPTION")) != 0)
                        positions[n++] = (Position){
                                .text = p,
                                .length = length,
                                .repeats = length > 3 && memcmp(p + length - 3, "…", 3) == 0,
                        };
                if (closed)
                        in_option = false;
                text = p + length + closed;
                text += strspn(text, " ");
        }
        return n;
}

static void complete_word(const Line *l, Completion *c) {
        Position positions[POSITIONS_MAX];
        size_t n = read_positions(strempty(l->verb->arguments), positions), first, i = l->n_words;

        for (first = 0; first < n && first < i && !positions[first].repeats;)
                first++;
        if (n == 1 && strncmp(positions[0].text, "VERB", strlen("VERB")) == 0) {
                Line help = { .verbs = l->verbs,
                              .n_verbs = l->n_verbs,
                              .group = i > 0 ? l->words[0] : NULL };

                puts("words");
                complete_verbs(&help, c);
        } else if (n == 1 && strncmp(positions[0].text, "FILTER", strlen("FILTER")) == 0) {
                puts("words");
                complete_options(c, l->verb->options);
        } else if (first < n)
                complete_value(c, positions[first].text, positions[first].length);
        /* "ID…|FILTER… QUEUE": behind the first one it may be either, and a filter may stand among the
         * options. */
        if (first + 1 < n &&
            (first < i || memmem(positions[first].text, positions[first].length, "FILTER", 6)))
                complete_value(c, positions[first + 1].text, positions[first + 1].length);
}

static void complete_last(const Line *l, Completion *c, int index, const char *word) {
        bool dash = !l->pending && !l->only_words && word[0] == '-';
        const Option *o = l->pending;
        const char *value = word;

        if (dash) {
                o = read_option(l, word, &value, false);
                if (!value) {
                        puts("words");
                        complete_options(c, mask(l));
                        return;
                }
        }
        c->before_length = value - word;
        c->word = value;
        if (o)
                complete_value(c, o->argument, strlen(o->argument));
        else if (!l->verb) {
                puts("words");
                complete_verbs(l, c);
        } else if (l->script)
                puts("files\t");
        else if (l->verb->stops_at_word && l->n_words == 0)
                printf("command\t%d\n", index + 1);
        else
                complete_word(l, c);
}

/* ssh must not ask for a password or whether a host is known, neither here nor in a window. */
static void leave_terminal(void) {
        pid_t pid;

        (void) setenv("SSH_ASKPASS_REQUIRE", "never", 1);
        if (setsid() >= 0)
                return;
        fflush(stdout);
        pid = fork(); /* a leader of a process group has to stay one */
        if (pid == 0)
                (void) setsid();
        else if (pid > 0) {
                (void) waitpid(pid, NULL, 0);
                _exit(EXIT_SUCCESS);
        }
}

static void on_limit(int sig) {
        _exit(EXIT_SUCCESS);
}

int complete_line(const Verb *verbs, size_t n_verbs, int argc, char **argv) {
        Line l = { .verbs = verbs, .n_verbs = n_verbs, .command = -1 };
        Completion c = {};
        int r;

        if (argc > 0 && streq(argv[0], "--")) {
                argc--;
                argv++;
        }
        if (argc < 1)
                return ctl_error(-EINVAL, "__complete: which words?");
        arg_ask_password = false;
        r = read_words(&l, argc - 1, argv);
        if (bus_is_elsewhere())
                leave_terminal();
        (void) signal(SIGALRM, on_limit);
        (void) alarm(bus_is_elsewhere() ? LIMIT_ELSEWHERE_SEC : LIMIT_SEC);

        c.verb = l.verb ? l.verb->name : NULL;
        c.word = c.before = argv[argc - 1];
        c.taken = l.words;
        if (l.command >= 0 && !l.script)
                printf("command\t%d\n", l.command + 1);
        else if (r == 0)
                complete_last(&l, &c, argc - 1, argv[argc - 1]);
        strv_free(l.words);
        strv_free(c.told);
        if (c.unknown)
                return ctl_error(-EINVAL,
                                 "'%.*s' stands in the table of verbs or options, but not in "
                                 "complete-value.c",
                                 c.unknown_length, c.unknown);
        return 0;
}
