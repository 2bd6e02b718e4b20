/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Finding the verdict. The bytes are a job's: anything may be in there. So they are scanned here, by the letter of RFC 8259 and without
 * building anything, instead of being given to a parser that forgives.
 *
 * Candidates are tried from the first line on, because the longest is wanted. That is linear: a candidate that is an object, but not
 * the last thing, is passed over as a whole, since what is in it does not reach the end either; and one that is no object ends where it breaks
 * the grammar, which, with strings that hold no line feed, only white space, whole values and at most VERDICT_DEPTH_MAX open
 * brackets can put off. */

#include "queue/verdict.h"

#include "base/parse.h"

typedef struct Scan {
        const char *p, *end;
        unsigned depth;
        int success; /* of the outermost object: its member "success" */
} Scan;

static bool scan_value(Scan *s);

static void skip_space(Scan *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool take(Scan *s, char c) {
        if (s->p == s->end || *s->p != c)
                return false;
        s->p++;
        return true;
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(Scan *s) {
        if (s->p == s->end)
                return false;
        if (*s->p != 'u')
                return *s->p != 0 && strchr("\"\\/bfnrt", *s->p++);
        if (s->end - s->p < 5)
                return false;
        for (unsigned i = 1; i <= 4; i++)
                if (!is_hex(s->p[i]))
                        return false;
        s->p += 5;
        return true;
}

static bool scan_string(Scan *s) {
        if (!take(s, '"'))
                return false;
        while (s->p < s->end) {
                unsigned char c = *s->p++;

                if (c == '"')
                        return true;
                if (c < 0x20 || (c == '\\' && !scan_escape(s)))
                        return false;
        }
        return false;
}

static bool scan_digits(Scan *s) {
        const char *begin = s->p;

        while (s->p < s->end && is_digit(*s->p))
                s->p++;
        return s->p > begin;
}

static bool scan_number(Scan *s) {
        (void) take(s, '-');
        if (!take(s, '0') && !scan_digits(s))
                return false;
        if (take(s, '.') && !scan_digits(s))
                return false;
        if (take(s, 'e') || take(s, 'E')) {
                if (!take(s, '+'))
                        (void) take(s, '-');
                return scan_digits(s);
        }
        return true;
}

static bool scan_word(Scan *s, const char *word) {
        size_t n = strlen(word);

        if ((size_t) (s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return false;
        s->p += n;
        return true;
}

/* Is the string that begins there "success"? It may be written with escapes, as "\u0073uccess". */
static bool string_is_success(const char *p) {
        p++;
        for (const char *c = "success"; *c; c++, p++) {
                char digits[5] = {};

                if (*p == *c)
                        continue;
                if (p[0] != '\\' || p[1] != 'u' || strtoul(memcpy(digits, p + 2, 4), NULL, 16) != (unsigned char) *c)
                        return false;
                p += 5;
        }
        return *p == '"';
}

/* A member up to its value's end. Of a name that comes twice the last one counts, as most parsers have it. */
static bool scan_member(Scan *s) {
        const char *name = s->p, *value;

        if (!scan_string(s))
                return false;
        skip_space(s);
        if (!take(s, ':'))
                return false;
        skip_space(s);
        value = s->p;
        if (!scan_value(s))
                return false;
        if (s->depth == 1 && string_is_success(name))
                s->success = *value == 't' ? 1 : *value == 'f' ? 0 : -1;
        return true;
}

/* Array or object. */
static bool scan_list(Scan *s, char close, bool members) {
        s->p++;
        if (s->depth++ == VERDICT_DEPTH_MAX)
                return false;
        skip_space(s);
        for (bool first = true; !take(s, close); first = false) {
                if (!first && !take(s, ','))
                        return false;
                skip_space(s);
                if (members ? !scan_member(s) : !scan_value(s))
                        return false;
                skip_space(s);
        }
        s->depth--;
        return true;
}

static bool scan_value(Scan *s) {
        if (s->p == s->end)
                return false;
        switch (*s->p) {
        case '{':
                return scan_list(s, '}', true);
        case '[':
                return scan_list(s, ']', false);
        case '"':
                return scan_string(s);
        case 't':
                return scan_word(s, "true");
        case 'f':
                return scan_word(s, "false");
        case 'n':
                return scan_word(s, "null");
        default:
                return scan_number(s);
        }
}

bool verdict_find(const char *data, size_t n, bool line_start, Verdict *ret) {
        const char *line = data, *end;

        while (n > 0 && (data[n - 1] == ' ' || (data[n - 1] >= '\t' && data[n - 1] <= '\r')))
                n--;
        end = data + n;
        if (n == 0 || end[-1] != '}')
                return false;
        if (!line_start)
                line = memchr(data, '\n', n) ? (const char *) memchr(data, '\n', n) + 1 : end;
        while (line < end) {
                Scan s = { .p = line, .end = end, .success = -1 };
                const char *next = line;

                if (*line == '{' && scan_value(&s)) {
                        if (s.p == end && utf8_is_valid(line, end - line)) {
                                *ret = (Verdict) { line - data, end - line, s.success };
                                return true;
                        }
                        next = s.p == end ? line : s.p;
                }
                next = memchr(next, '\n', end - next);
                line = next ? next + 1 : end;
        }
        return false;
}

char *verdict_tail(const char *data, size_t n, size_t max) {
        static const char replacement[] = "\xef\xbf\xbd";
        char *text, *p;
        size_t l;

        if (n > max) {
                data += n - max;
                n = max;
                /* Not the rest of a character whose begin is cut off. */
                for (unsigned i = 0; i < 3 && n > 0 && ((unsigned char) *data & 0xc0) == 0x80; i++, n--)
                        data++;
        }
        text = p = malloc(n * strlen(replacement) + 1);
        if (!text)
                return NULL;
        for (; n > 0; data += l, n -= l) {
                l = *data ? utf8_character_length(data, n) : 0;
                p = l > 0 ? mempcpy(p, data, l) : stpcpy(p, replacement);
                l = MAX(l, (size_t) 1);
        }
        *p = 0;
        p = realloc(text, p - text + 1);
        return p ?: text;
}

void verdict_judge(Outcome *o, VerifyMode mode) {
        if (o->result == JOB_SUCCESS && o->success == 0)
                o->result = JOB_VERDICT;
        else if (o->result == JOB_SUCCESS && mode == VERIFY_VERDICT && o->success != 1) {
                o->result = JOB_UNVERIFIED;
                if (!o->reason)
                        o->reason = strdup(o->verdict ? "\"success\" of its verdict is neither true nor false" : "it wrote no verdict");
        }
        switch (o->result) {
        case JOB_SUCCESS:
                o->success = 1;
                break;
        case JOB_EXIT_CODE:
        case JOB_VERDICT:
        case JOB_UNVERIFIED:
                o->success = 0;
                break;
        default:
                o->success = -1;
        }
}

int verdict_resolve(JobSpec *s, OutputMode said, const JobSpec *queue, const JobSpec *daemon, char **ret_error) {
        s->verify = s->verify ?: (queue ? queue->verify : VERIFY_UNSET) ?: daemon->verify ?: VERIFY_EXIT;
        s->output = s->output ?: (queue ? queue->output : OUTPUT_UNSET) ?: daemon->output ?: OUTPUT_JOURNAL;
        if (s->verify == VERIFY_VERDICT) {
                if (said == OUTPUT_JOURNAL)
                        return spec_error(ret_error, EINVAL, "stdout: it is 'spool' where verify is 'verdict'");
                if (s->output_file)
                        return spec_error(ret_error, EINVAL, "output_file: standard output is needed where verify is 'verdict'");
                s->output = OUTPUT_SPOOL;
        } else if (s->output == OUTPUT_SPOOL && s->output_file) {
                if (said == OUTPUT_SPOOL)
                        return spec_error(ret_error, EINVAL, "output_file: not together with stdout 'spool'");
                s->output = OUTPUT_JOURNAL;
        }
        return 0;
}
