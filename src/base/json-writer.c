/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON as text: specs are written with each submit, and answers with each call, so nothing is built first. */

#include "base/json-writer.h"

#include "base/strv.h"

/* Room for n bytes more; NULL: out of memory. */
static char *reserve(JsonWriter *w, size_t n) {
        if (!w->failed && (size_t) (w->end - w->p) < n) {
                size_t used = w->p - w->text, size = MAX(2 * (used + n), (size_t) 512);
                char *t = realloc(w->text, size);

                if (t)
                        *w = (JsonWriter) { .text = t, .p = t + used, .end = t + size };
                else
                        w->failed = true;
        }
        return w->failed ? NULL : w->p;
}

void json_writer_done(JsonWriter *w) {
        free(w->text);
        *w = (JsonWriter) {};
}

void json_write_raw(JsonWriter *w, const char *s, size_t n) {
        char *p = reserve(w, n);

        if (p)
                w->p = mempcpy(p, s, n);
}

static bool begins_value(char before) {
        return before == '{' || before == '[' || before == ':' || before == 0; /* 0: of the one before */
}

/* Between two values. */
static void separate(JsonWriter *w) {
        if (w->p > w->text && !begins_value(w->p[-1]))
                JSON_WRITE_LITERAL(w, ",");
}

void json_open(JsonWriter *w, char brace) {
        separate(w);
        json_write_raw(w, &brace, 1);
}

void json_close(JsonWriter *w, char brace) {
        json_write_raw(w, &brace, 1);
}

/* behind: what follows it; 0: nothing. */
static void write_text(JsonWriter *w, const char *s, size_t n, char behind) {
        static const char escapes[32] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };
        char *p;

        p = reserve(w, 6 * n + 4);
        if (!p)
                return;
        if (p > w->text && !begins_value(p[-1]))
                *p++ = ',';
        *p++ = '"';
        for (const char *e = s + n; s < e; s++) {
                uint8_t c = *s;

                if (c >= 0x20) {
                        if (c == '"' || c == '\\')
                                *p++ = '\\';
                        *p++ = c;
                } else if (escapes[c]) {
                        *p++ = '\\';
                        *p++ = escapes[c];
                } else {
                        p = mempcpy(p, "\\u00", 4);
                        *p++ = '0' + (c >> 4);
                        *p++ = "0123456789abcdef"[c & 15];
                }
        }
        *p++ = '"';
        if (behind)
                *p++ = behind;
        w->p = p;
}

void json_write_key(JsonWriter *w, const char *key) {
        if (!key)
                return;
        write_text(w, key, strlen(key), ':');
}

void json_write_string(JsonWriter *w, const char *s) {
        write_text(w, s, strlen(s), 0);
}

void json_write_text(JsonWriter *w, const char *s, size_t n) {
        write_text(w, s, n, 0);
}

void json_write_strv(JsonWriter *w, char *const *l) {
        json_open(w, '[');
        STRV_FOREACH(i, l)
                json_write_string(w, *i);
        json_close(w, ']');
}

void json_write_pairs(JsonWriter *w, char *const *l) {
        json_open(w, '{');
        STRV_FOREACH_PAIR(k, v, l) {
                json_write_key(w, *k);
                json_write_string(w, *v);
        }
        json_close(w, '}');
}

void json_write_integer(JsonWriter *w, int64_t v) {
        uint64_t left = v < 0 ? -(uint64_t) v : (uint64_t) v;
        char digits[DIGITS_MAX + 1], *p = digits;

        if (v < 0)
                *p++ = '-';
        p = append_u64(p, left);
        separate(w);
        json_write_raw(w, digits, p - digits);
}

void json_write_bool(JsonWriter *w, bool v) {
        separate(w);
        json_write_raw(w, v ? "true" : "false", v ? 4 : 5);
}

void json_write_double(JsonWriter *w, double v) {
        char *p;
        int n;

        separate(w);
        p = reserve(w, 40);
        if (!p)
                return;
        n = snprintf(p, 40, "%.15g", v);
        if (strtod(p, NULL) != v)
                n = snprintf(p, 40, "%.17g", v);
        for (char *c = strchr(p, ','); c; c = strchr(c, ','))
                *c = '.';
        w->p += n;
}

void json_write_base64(JsonWriter *w, const uint8_t *data, size_t size) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        char *p;

        separate(w);
        p = reserve(w, (size + 2) / 3 * 4 + 2);
        if (!p)
                return;
        *p++ = '"';
        for (size_t i = 0; i < size; i += 3) {
                size_t left = size - i;
                uint32_t word = data[i] << 16 | (left > 1 ? data[i + 1] << 8 : 0) | (left > 2 ? data[i + 2] : 0);

                *p++ = alphabet[word >> 18];
                *p++ = alphabet[word >> 12 & 63];
                *p++ = left > 1 ? alphabet[word >> 6 & 63] : '=';
                *p++ = left > 2 ? alphabet[word & 63] : '=';
        }
        *p++ = '"';
        w->p = p;
}

size_t json_cost(const char *text, size_t size) {
        size_t cost = size;

        for (const char *p = text, *end = text + size; p < end; p++)
                switch (*p) {
                case '"':
                        for (p++; p < end && *p != '"'; p++)
                                p += *p == '\\';
                        break;
                case '{':
                        cost += 800;
                        break;
                case '[':
                        cost += 400;
                        break;
                case ':':
                        cost += 256;
                        break;
                case ',':
                        cost += 128;
                }
        return cost;
}
