/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A unit as text: the properties that StartTransientUnit would get, in the words of a unit file that asks for the same. It is
 * made from the very message, so that it cannot differ from what is asked for. Only properties that job-unit.c and the table of
 * queue/unit-property.c know come along: a type that neither has is a bug, and said to be one. */

#include "unit/units.h"

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"

#include <stdarg.h>
#include <sys/mount.h>

typedef struct Line {
        char *name, *value;
        bool of_unit; /* [Unit], else [Service] */
} Line;

typedef struct Text {
        Line *lines;
        size_t n;
} Text;

static void text_done(Text *t) {
        for (size_t i = 0; i < t->n; i++) {
                free(t->lines[i].name);
                free(t->lines[i].value);
        }
        free(t->lines);
}

static int add_line(Text *t, const char *name, const char *value) {
        static const char *const of_unit[] = { "Description", "After", "IgnoreOnIsolate", "StartLimitIntervalSec",
                                               "StartLimitBurst" };
        Line *l = reallocarray(t->lines, t->n + 1, sizeof(Line));

        if (!l)
                return -ENOMEM;
        t->lines = l;
        l += t->n++;
        *l = (Line) { .name = strdup(name), .value = strdup(value) };
        FOREACH_ELEMENT(u, of_unit)
                l->of_unit = l->of_unit || streq(*u, name);
        return l->name && l->value ? 0 : -ENOMEM;
}

static int add_linef(Text *t, const char *name, const char *format, ...) _printf_(3, 4);
static int add_linef(Text *t, const char *name, const char *format, ...) {
        _cleanup_free_ char *value = NULL;
        va_list ap;

        va_start(ap, format);
        value = vformat(format, ap);
        va_end(ap);
        if (!value)
                return -ENOMEM;
        return add_line(t, name, value);
}

/* ---- words ---- */

/* '%' begins a specifier everywhere. Where settings are split into words, others must be told apart by quotes. */
static void put_plain(FILE *f, const char *s) {
        for (; *s; s++) {
                if (*s == '%')
                        fputc('%', f);
                fputc(*s, f);
        }
}

static void put_word(FILE *f, const char *s) {
        static const char bare[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./=:,@+-~";

        if (*s && !s[strspn(s, bare)]) {
                fputs(s, f);
                return;
        }
        fputc('"', f);
        for (; *s; s++)
                switch (*s) {
                case '"':
                case '\\':
                        fprintf(f, "\\%c", *s);
                        break;
                case '%':
                        fputs("%%", f);
                        break;
                case '\n':
                        fputs("\\n", f);
                        break;
                case '\t':
                        fputs("\\t", f);
                        break;
                default:
                        if ((uint8_t) *s < 0x20 || *s == 0x7f)
                                fprintf(f, "\\x%02x", (unsigned) *s);
                        else
                                fputc(*s, f);
                }
        fputc('"', f);
}

static int add_words(Text *t, const char *name, char *const *words, const char *before, bool quoted, char separator) {
        _cleanup_free_ char *value = NULL;
        size_t size;
        FILE *f = open_memstream(&value, &size);

        if (!f)
                return -ENOMEM;
        fputs(before, f);
        STRV_FOREACH(w, words) {
                if (w != words)
                        fputc(separator, f);
                if (quoted)
                        put_word(f, *w);
                else
                        put_plain(f, *w);
        }
        if (fclose(f) != 0)
                return -ENOMEM;
        return add_line(t, name, value);
}

static int add_string(Text *t, const char *name, const char *s) {
        return add_words(t, name, (char *[]) { (char *) s, NULL }, "", false, ' ');
}

/* sd_bus_message_read_strv() in a time that does not grow with the square of their number (systemd before 253). */
static int read_words(sd_bus_message *m, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n = 0, capacity = 0;
        const char *s;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read_basic(m, 's', &s)) > 0) {
                if (n + 2 > capacity) {
                        char **t = reallocarray(l, capacity = 2 * capacity + 8, sizeof(char *));

                        if (!t)
                                return -ENOMEM;
                        l = t;
                }
                l[n + 1] = NULL;
                if (!(l[n++] = strdup(s)))
                        return -ENOMEM;
        }
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

/* ---- values ---- */

static int add_span(Text *t, const char *name, size_t n_name, usec_t value) {
        char buf[SPAN_MAX], setting[64];

        snprintf(setting, sizeof(setting), "%.*sSec", (int) n_name, name);
        return add_line(t, setting, format_span(buf, sizeof(buf), value, 1));
}

static int add_u64(Text *t, const char *name, uint64_t value) {
        _cleanup_free_ char *words = NULL;
        const char *end = endswith(name, "USec");
        int r;

        if (streq(name, "CPUWeight") && value == 0)
                return add_line(t, name, "idle");
        if (streq(name, "CPUQuotaPerSecUSec"))
                return value == UINT64_MAX ? add_line(t, "CPUQuota", "") :
                                             add_linef(t, "CPUQuota", "%" PRIu64 "%%", value / (USEC_PER_SEC / 100));
        if (end)
                return add_span(t, name, end - name, value);
        r = unit_property_mask_to_string(name, value, &words);
        if (r < 0)
                return r;
        if (words)
                return add_line(t, name, words);
        return value == UINT64_MAX ? add_line(t, name, "infinity") : add_linef(t, name, "%" PRIu64, value);
}

static int add_u32(Text *t, const char *name, uint32_t value) {
        const char *scale = endswith(name, "Scale");
        uint64_t permyriad;
        char setting[64];

        if (streq(name, "UMask"))
                return add_linef(t, name, "%04" PRIo32, value);
        if (!scale)
                return add_linef(t, name, "%" PRIu32, value);
        snprintf(setting, sizeof(setting), "%.*s", (int) (scale - name), name);
        permyriad = ((uint64_t) value * 10000 + UINT32_MAX / 2) / UINT32_MAX;
        return add_linef(t, setting, "%" PRIu64 ".%02" PRIu64 "%%", permyriad / 100, permyriad % 100);
}

static int add_i32(Text *t, const char *name, int32_t value) {
        const char *signal = streq(name, "KillSignal") ? signal_to_string(value) : NULL;

        return signal ? add_linef(t, name, "SIG%s", signal) : add_linef(t, name, "%" PRIi32, value);
}

static int add_strv(Text *t, const char *name, char *const *l) {
        return add_words(t, name, l, "", !streq(name, "ExecSearchPath"), streq(name, "ExecSearchPath") ? ':' : ' ');
}

static int read_strv(sd_bus_message *m, const char *name, Text *t) {
        _cleanup_strv_free_ char **l = NULL;
        int r = read_words(m, &l);

        return r < 0 ? r : add_strv(t, name, l);
}

/* A set of processors. */
static int read_bytes(sd_bus_message *m, const char *name, Text *t) {
        _cleanup_strv_free_ char **l = NULL;
        const uint8_t *set;
        const void *p;
        size_t n;
        int r;

        r = sd_bus_message_read_array(m, 'y', &p, &n);
        if (r < 0)
                return r;
        set = p;
        for (size_t i = 0; i < 8 * n; i++)
                if (set[i / 8] & 1U << i % 8) {
                        r = strv_extendf(&l, "%zu", i);
                        if (r < 0)
                                return r;
                }
        return add_strv(t, name, l);
}

static int read_filter(sd_bus_message *m, const char *name, Text *t) {
        _cleanup_strv_free_ char **l = NULL;
        int allow, r;

        r = sd_bus_message_enter_container(m, 'r', "bas");
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 'b', &allow);
        if (r >= 0)
                r = read_words(m, &l);
        if (r >= 0)
                r = sd_bus_message_exit_container(m);
        return r < 0 ? r : add_words(t, name, l, allow ? "" : "~", true, ' ');
}

static int read_pairs(sd_bus_message *m, const char *name, Text *t) {
        const char *path, *word;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(ss)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ss)", &path, &word)) > 0)
                r = add_words(t, name, (char *[]) { (char *) path, (char *) (*word ? word : NULL), NULL }, "", true, ' ');
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_path_limits(sd_bus_message *m, const char *name, Text *t) {
        const char *path;
        uint64_t number;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(st)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(st)", &path, &number)) > 0) {
                char text[24] = "infinity";

                if (number != UINT64_MAX)
                        snprintf(text, sizeof(text), "%" PRIu64, number);
                r = add_words(t, name, (char *[]) { (char *) path, text, NULL }, "", true, ' ');
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_binds(sd_bus_message *m, const char *name, Text *t) {
        const char *source, *destination;
        int missing, r;
        uint64_t flags;

        r = sd_bus_message_enter_container(m, 'a', "(ssbt)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(ssbt)", &source, &destination, &missing, &flags)) > 0) {
                _cleanup_free_ char *bind = NULL;

                if (asprintf(&bind, "%s%s:%s:%s", missing ? "-" : "", source, destination, flags & MS_REC ? "rbind" : "norbind") < 0) {
                        bind = NULL;
                        return -ENOMEM;
                }
                r = add_words(t, name, (char *[]) { bind, NULL }, "", true, ' ');
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* ---- those of job-unit.c ---- */

/* ':' is no-env-expand, '@' says that argv[0] is another than the path. */
static int read_command(sd_bus_message *m, Text *t) {
        _cleanup_strv_free_ char **argv = NULL, **flags = NULL;
        _cleanup_free_ char *value = NULL, *first = NULL;
        const char *path;
        size_t size;
        FILE *f;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sasas)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'r', "sasas");
        if (r >= 0)
                r = sd_bus_message_read_basic(m, 's', &path);
        if (r >= 0)
                r = read_words(m, &argv);
        if (r >= 0)
                r = read_words(m, &flags);
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = sd_bus_message_exit_container(m);
        if (r < 0)
                return r;
        if (asprintf(&first, "%s%s%s", strv_contains(flags, "no-env-expand") ? ":" : "",
                     streq_ptr(argv[0], path) ? "" : "@", path) < 0) {
                first = NULL;
                return -ENOMEM;
        }
        f = open_memstream(&value, &size);
        if (!f)
                return -ENOMEM;
        put_word(f, first);
        STRV_FOREACH(w, streq_ptr(argv[0], path) ? argv + 1 : argv) {
                fputc(' ', f);
                put_word(f, *w);
        }
        return fclose(f) != 0 ? -ENOMEM : add_line(t, "ExecStart", value);
}

static int read_environment_files(sd_bus_message *m, Text *t) {
        const char *path;
        int optional, r;

        r = sd_bus_message_enter_container(m, 'a', "(sb)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sb)", &path, &optional)) > 0)
                r = add_words(t, "EnvironmentFile", (char *[]) { (char *) path, NULL }, optional ? "-" : "", false, ' ');
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_journal_fields(sd_bus_message *m, const char *name, Text *t) {
        const void *p;
        size_t n;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "ay");
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                _cleanup_free_ char *field = NULL;

                r = sd_bus_message_read_array(m, 'y', &p, &n);
                if (r < 0)
                        break;
                field = new0(char, n + 1);
                if (field) /* bytes without an end */
                        memcpy(field, p, n);
                r = field ? add_words(t, name, (char *[]) { field, NULL }, "", true, ' ') : -ENOMEM;
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* ---- a property ---- */

static int read_basic(sd_bus_message *m, const char *name, char type, Text *t) {
        union {
                const char *s;
                int b;
                int32_t i32;
                uint32_t u32;
                uint64_t u64;
        } v;
        int r;

        r = sd_bus_message_read_basic(m, type, &v);
        if (r < 0)
                return r;
        switch (type) {
        case 's':
                return add_string(t, name, v.s);
        case 'b':
                return add_line(t, name, v.b ? "yes" : "no");
        case 'i':
                return add_i32(t, name, v.i32);
        case 'u':
                return add_u32(t, name, v.u32);
        default:
                return add_u64(t, name, v.u64);
        }
}

static int read_value(sd_bus_message *m, const char *name, const char *type, Text *t) {
        if (streq(name, "ExecStartEx"))
                return read_command(m, t);
        if (streq(name, "EnvironmentFiles"))
                return read_environment_files(m, t);
        if (!type[1] && strchr("sbiut", type[0]))
                return read_basic(m, name, type[0], t);
        if (streq(type, "as"))
                return read_strv(m, name, t);
        if (streq(type, "ay"))
                return read_bytes(m, name, t);
        if (streq(type, "aay"))
                return read_journal_fields(m, name, t);
        if (streq(type, "(bas)"))
                return read_filter(m, name, t);
        if (streq(type, "a(ss)"))
                return read_pairs(m, name, t);
        if (streq(type, "a(st)"))
                return read_path_limits(m, name, t);
        if (streq(type, "a(ssbt)"))
                return read_binds(m, name, t);
        return -EPROTOTYPE;
}

static int read_properties(sd_bus_message *m, Text *t) {
        const char *name, *type;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "(sv)");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "sv")) > 0) {
                r = sd_bus_message_read_basic(m, 's', &name);
                if (r >= 0)
                        r = sd_bus_message_peek_type(m, NULL, &type);
                if (r >= 0)
                        r = sd_bus_message_enter_container(m, 'v', type);
                if (r >= 0)
                        r = read_value(m, name, type, t);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

/* LimitNOFILESoft is not a setting: LimitNOFILE=SOFT:HARD. */
static int join_limits(Text *t) {
        for (size_t i = 0; i < t->n; i++) {
                Line *soft = t->lines + i;
                const char *end = startswith(soft->name, "Limit") ? endswith(soft->name, "Soft") : NULL;

                for (size_t k = 0; end && k < t->n; k++) {
                        Line *hard = t->lines + k;
                        char *value;

                        if (strlen(hard->name) != (size_t) (end - soft->name) ||
                            strncmp(hard->name, soft->name, end - soft->name) != 0)
                                continue;
                        if (asprintf(&value, "%s:%s", soft->value, hard->value) < 0)
                                return -ENOMEM;
                        free(hard->value);
                        hard->value = value;
                        soft->name[0] = 0; /* not printed */
                        break;
                }
        }
        return 0;
}

static void put_section(FILE *f, const Text *t, bool of_unit) {
        fputs(of_unit ? "[Unit]\n" : "\n[Service]\n", f);
        for (size_t i = 0; i < t->n; i++)
                if (t->lines[i].name[0] && t->lines[i].of_unit == of_unit)
                        fprintf(f, "%s=%s\n", t->lines[i].name, t->lines[i].value);
}

/* The array of properties that m stands at. */
int unit_text_format(sd_bus_message *m, const char *comment, char **ret) {
        _cleanup_free_ char *text = NULL;
        _cleanup_(text_done) Text t = {};
        size_t size;
        FILE *f;
        int r;

        r = read_properties(m, &t);
        if (r >= 0)
                r = join_limits(&t);
        if (r < 0)
                return r;
        f = open_memstream(&text, &size);
        if (!f)
                return -ENOMEM;
        fprintf(f, "%s\n", comment);
        put_section(f, &t, true);
        put_section(f, &t, false);
        if (fclose(f) != 0)
                return -ENOMEM;
        *ret = TAKE_PTR(text);
        return 0;
}
