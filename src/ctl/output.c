/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages, tables, JSON, and what people read. Nothing that others wrote (commands, tags, log lines)
 * reaches a terminal with control characters in it: tables are made safe by text_safe(), the rest by that or by
 * escape_controls(). */

#include "ctl/output.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/terminal.h"
#include "ctl/text.h"
#include <stdarg.h>

static void print_plain(FILE *f, const char *format, va_list ap) {
        _cleanup_free_ char *text = vformat(format, ap), *plain = NULL;

        plain = text ? text_plain(text) : NULL;
        fputs(plain ?: "Out of memory.", f);
}

void help_printf(const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        print_plain(stdout, format, ap);
        va_end(ap);
}

static char **messages_into;

void ctl_messages_into(char **where) {
        messages_into = where;
}

static void message(const char *format, va_list ap) {
        int saved = errno;

        if (messages_into) {
                free(*messages_into);
                *messages_into = vformat(format, ap);
                return;
        }
        if (fflush(stdout) != 0)
                output_check();
        fputs("jobmill: ", stderr);
        errno = saved;
        print_plain(stderr, format, ap);
        fputc('\n', stderr);
}

int ctl_error(int error, const char *format, ...) {
        va_list ap;

        errno = abs(error);
        va_start(ap, format);
        message(format, ap);
        va_end(ap);
        return -abs(error);
}

void ctl_warning(const char *format, ...) {
        va_list ap;

        if (arg_quiet)
                return;
        va_start(ap, format);
        message(format, ap);
        va_end(ap);
}

bool colors_wanted(void) {
        static int cached = -1;

        if (cached < 0) {
                const char *e = getenv("SYSTEMD_COLORS");
                int b = e ? parse_boolean(e) : -EINVAL;

                if (b >= 0)
                        cached = b;
                else if (e && (streq(e, "16") || streq(e, "256") || streq(e, "24bit")))
                        cached = true;
                else
                        cached = !getenv("NO_COLOR") && terminal_is_output() &&
                                 !streq(getenv("TERM") ?: "dumb", "dumb");
        }
        return cached;
}

const char *color(const char *sequence) {
        return sequence && colors_wanted() ? sequence : "";
}

static int json_write(struct json_object *o) {
        const char *text = json_object_to_json_string_ext(
                        o, JSON_C_TO_STRING_NOSLASHESCAPE |
                                           (arg_json == JSON_PRETTY ? JSON_C_TO_STRING_PRETTY |
                                                                                      JSON_C_TO_STRING_SPACED
                                                                    : JSON_C_TO_STRING_PLAIN));

        if (text && fputs(text, stdout) < 0)
                output_check();
        json_object_put(o);
        return text ? 0 : ctl_oom();
}

int json_print(struct json_object *o) {
        int r = json_write(o);

        if (r >= 0)
                putchar('\n');
        return r;
}

int json_array_add(JsonArray *a, struct json_object *o) {
        fputs(a->n++ == 0 ? "[" : ",", stdout);
        if (arg_json == JSON_PRETTY)
                putchar('\n');
        return json_write(o);
}

void json_array_end(JsonArray *a) {
        if (a->n == 0)
                putchar('[');
        else if (arg_json == JSON_PRETTY)
                putchar('\n');
        puts("]");
}

char *human_span(char *buf, size_t n, usec_t span) {
        if (span == USEC_INFINITY)
                snprintf(buf, n, "-");
        else if (span < 60 * USEC_PER_SEC)
                snprintf(buf, n, "%.*fs", span < 10 * USEC_PER_SEC ? 2 : 1, (double) span / USEC_PER_SEC);
        else
                format_span(buf, n, span, span < 3600 * USEC_PER_SEC ? USEC_PER_SEC : 60 * USEC_PER_SEC);
        return buf;
}

char *human_size(char *buf, size_t n, uint64_t bytes) {
        static const char units[] = { 'B', 'K', 'M', 'G', 'T', 'P', 'E' };
        double v = bytes;
        size_t i = 0;

        if (bytes == UINT64_MAX) {
                snprintf(buf, n, "-");
                return buf;
        }
        for (; v >= 1024 && i + 1 < ELEMENTSOF(units); i++)
                v /= 1024;
        snprintf(buf, n, "%.*f%c", i == 0 || v >= 100 ? 0 : 1, v, units[i]);
        return buf;
}

char *human_ago(char *buf, size_t n, usec_t t, usec_t now) {
        char span[SPAN_MAX];
        usec_t d = t > now ? t - now : now - t;

        if (t == USEC_INFINITY) {
                snprintf(buf, n, "-");
                return buf;
        }
        format_span(span, sizeof(span), d,
                    d < 3600 * USEC_PER_SEC        ? USEC_PER_SEC
                    : d < 24 * 3600 * USEC_PER_SEC ? 60 * USEC_PER_SEC
                                                   : 3600 * USEC_PER_SEC);
        if (d < USEC_PER_SEC)
                snprintf(buf, n, "now");
        else
                snprintf(buf, n, t > now ? "in %s" : "%s ago", span);
        return buf;
}

/* Bytes of the character at s if it is whole and no control character, else 0. */
static size_t printable_length(const char *s, size_t left) {
        unsigned char c = *s;
        size_t l = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (l > left || !utf8_is_valid(s, l) || c < 0x20 || c == 0x7f)
                return 0;
        return c == 0xc2 && (unsigned char) s[1] < 0xa0 ? 0 : l;
}

char *escape_controls(const char *s, size_t n) {
        char *buf = malloc(n * 4 + 1), *p = buf;

        if (!buf)
                return NULL;
        while (n > 0) {
                size_t l = *s == '\t' ? 1 : printable_length(s, n);

                if (l > 0)
                        p = (char *) memcpy(p, s, l) + l;
                else {
                        l = 1;
                        p += sprintf(p, "\\x%02x", (unsigned char) *s);
                }
                s += l;
                n -= l;
        }
        *p = 0;
        return buf;
}

static char *quote_word(const char *word) {
        static const char plain[] =
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%^";
        char *buf = malloc(strlen(word) * 4 + 3), *p = buf;

        if (!buf)
                return NULL;
        if (*word && strspn(word, plain) == strlen(word))
                return strcpy(buf, word);
        *p++ = '\'';
        for (; *word; word++)
                p = *word == '\'' ? stpcpy(p, "'\\''") : ((*p = *word), p + 1);
        strcpy(p, "'");
        return buf;
}

char *quote_words(char *const *words) {
        _cleanup_strv_free_ char **l = NULL;

        STRV_FOREACH(w, words) {
                char *q = quote_word(*w);

                if (!q || strv_consume(&l, q) < 0)
                        return NULL;
        }
        return strv_join(l, " ");
}
