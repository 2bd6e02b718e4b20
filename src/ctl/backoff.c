/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ctl/backoff.h"

#include "base/parse.h"
#include "base/time-util.h"

static int parse_part(const char *s, size_t n, usec_t *ret) {
        char buf[SPAN_MAX];

        if (n == 0 || n >= sizeof(buf))
                return -EINVAL;
        snprintf(buf, sizeof(buf), "%.*s", (int) n, s);
        return parse_span(buf, ret) < 0 || *ret > (usec_t) INT64_MAX ? -EINVAL : 0;
}

static int parse_jitter(const char *s, double *ret) {
        char buf[16];
        size_t n = strlen(s);
        double d;

        if (n < 2 || n > sizeof(buf) || s[n - 1] != '%')
                return -EINVAL;
        snprintf(buf, sizeof(buf), "%.*s", (int) n - 1, s);
        if (parse_double(buf, &d) < 0 || !(d >= 0 && d <= 100))
                return -EINVAL;
        *ret = d / 100;
        return 0;
}

/* "10s..1h" */
static int parse_range(const char *s, size_t n, Backoff *b) {
        const char *dots = memmem(s, n, "..", 2);
        int r;

        r = parse_part(s, dots ? (size_t) (dots - s) : n, &b->base);
        if (r < 0 || !dots)
                return r;
        if (b->mode == BACKOFF_FIXED)
                return -EINVAL;
        b->mode = BACKOFF_EXPONENTIAL;
        r = parse_part(dots + 2, s + n - dots - 2, &b->max);
        return r < 0 || b->max < b->base ? -EINVAL : 0;
}

int backoff_parse(const char *value, Backoff *ret) {
        Backoff b = BACKOFF_NONE;
        const char *tilde = strchrnul(value, '~'), *p = value;
        size_t mode = strcspn(value, ":~");
        int r;

        b.given = true;
        if (strncmp(value, "exponential", MAX(mode, (size_t) 11)) == 0)
                b.mode = BACKOFF_EXPONENTIAL;
        else if (strncmp(value, "fixed", MAX(mode, (size_t) 5)) == 0)
                b.mode = BACKOFF_FIXED;
        if (b.mode != BACKOFF_UNSET)
                p = value + mode + (value[mode] == ':');
        if (p < tilde || b.mode == BACKOFF_UNSET || value[mode] == ':') {
                r = parse_range(p, tilde - p, &b);
                if (r < 0)
                        return r;
        }
        if (*tilde) {
                r = parse_jitter(tilde + 1, &b.jitter);
                if (r < 0)
                        return r;
        }
        if (b.mode == BACKOFF_UNSET)
                b.mode = BACKOFF_FIXED;
        *ret = b;
        return 0;
}

char *backoff_to_text(char buf[static BACKOFF_TEXT_MAX], const Backoff *b) {
        bool has_base = b->base != USEC_INFINITY, has_max = b->max != USEC_INFINITY;
        char base[SPAN_MAX], max[SPAN_MAX], jitter[16] = "";

        if (has_base)
                format_span(base, sizeof(base), b->base, 1);
        if (has_max)
                format_span(max, sizeof(max), b->max, 1);
        if (b->jitter >= 0)
                snprintf(jitter, sizeof(jitter), "~%g%%", b->jitter * 100);
        snprintf(buf, BACKOFF_TEXT_MAX, "%s%s%s%s%s%s",
                 b->mode == BACKOFF_EXPONENTIAL               ? "exponential"
                 : !has_base && (b->mode == BACKOFF_FIXED || *jitter) ? "fixed"
                                                              : "",
                 b->mode == BACKOFF_EXPONENTIAL && has_base ? ":" : "", has_base ? base : "",
                 b->mode == BACKOFF_EXPONENTIAL && has_max ? ".." : "", b->mode == BACKOFF_EXPONENTIAL && has_max ? max : "", jitter);
        return buf;
}

void backoff_to_spec(const Backoff *b, JobSpec *s) {
        if (!b->given)
                return;
        s->backoff = b->mode;
        s->backoff_base_usec = b->base;
        s->backoff_max_usec = b->max;
        s->backoff_jitter = b->jitter;
}
