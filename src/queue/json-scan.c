/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON, scanned. */

#include "queue/json-scan.h"

void json_scan_space(JsonScan *s) {
        while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
                s->p++;
}

static bool take(JsonScan *s, char c) {
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

static bool scan_escape(JsonScan *s) {
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

static bool scan_string(JsonScan *s) {
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

static bool scan_digits(JsonScan *s) {
        const char *begin = s->p;

        while (s->p < s->end && is_digit(*s->p))
                s->p++;
        return s->p > begin;
}

static bool scan_number(JsonScan *s) {
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

static bool scan_word(JsonScan *s, const char *word) {
        size_t n = strlen(word);

        if ((size_t) (s->end - s->p) < n || memcmp(s->p, word, n) != 0)
                return false;
        s->p += n;
        return true;
}

bool json_scan_name_is(const char *p, const char *word) {
        p++;
        for (const char *c = word; *c; c++, p++) {
                char digits[5] = {};

                if (*p == *c)
                        continue;
                if (p[0] != '\\' || p[1] != 'u' || strtoul(memcpy(digits, p + 2, 4), NULL, 16) != (unsigned char) *c)
                        return false;
                p += 5;
        }
        return *p == '"';
}

/* A member up to its value's end. */
static bool scan_member(JsonScan *s) {
        const char *name = s->p, *value;

        if (!scan_string(s))
                return false;
        json_scan_space(s);
        if (!take(s, ':'))
                return false;
        json_scan_space(s);
        value = s->p;
        if (!json_scan_value(s))
                return false;
        if (s->depth == 1 && s->member)
                s->member(s->userdata, name, value, s->p);
        return true;
}

/* Array or object. */
static bool scan_list(JsonScan *s, char close, bool members) {
        s->p++;
        if (s->depth++ == JSON_SCAN_DEPTH_MAX)
                return false;
        json_scan_space(s);
        for (bool first = true; !take(s, close); first = false) {
                if (!first && !take(s, ','))
                        return false;
                json_scan_space(s);
                if (members ? !scan_member(s) : !json_scan_value(s))
                        return false;
                json_scan_space(s);
        }
        s->depth--;
        return true;
}

bool json_scan_value(JsonScan *s) {
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
