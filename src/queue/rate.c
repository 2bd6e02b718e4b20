/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See rate.h. A start counts as of a time that is never before it: so what is counted in a window is never less than what started
 * in it, and the promise needs no more than that. */

#include "queue/rate.h"

#include "base/parse.h"
#include "base/time-util.h"

int rate_limit_parse(const char *s, RateLimit *ret) {
        const char *slash = strchr(s, '/');
        _cleanup_free_ char *number = slash ? strndup(s, slash - s) : NULL;
        RateLimit l;
        int r;

        if (!slash)
                return -EINVAL;
        if (!number)
                return -ENOMEM;
        r = parse_u32(number, &l.n);
        if (r >= 0)
                r = parse_span(slash + 1, &l.span);
        if (r < 0)
                return r;
        if (l.n < 1 || l.n > RATE_MAX || l.span < USEC_PER_MSEC || l.span > 366 * 24 * 3600 * USEC_PER_SEC)
                return -ERANGE;
        *ret = l;
        return 0;
}

/* How exactly it is counted. */
static usec_t grain(const RateLimit *l) {
        return l->n <= RATE_EXACT ? 1 : MAX(l->span / RATE_EXACT, UINT64_C(1));
}

static usec_t rounded_up(usec_t t, usec_t grain) {
        usec_t rest = t % grain;

        return rest == 0 ? t : usec_add(t, grain - rest);
}

static void drop_first(RateWindow *w) {
        memmove(w->starts, w->starts + 1, --w->n * sizeof(w->starts[0]));
}

usec_t rate_next(RateWindow *w, const RateLimit *l, usec_t now) {
        usec_t latest = rounded_up(now, grain(l));
        uint64_t count = 0;
        size_t i;

        for (i = 0; i < w->n; i++) {
                w->starts[i].at = MIN(w->starts[i].at, latest);
                count += w->starts[i].n;
        }
        /* So many as are too many must have left the window. N may have been lowered since. */
        for (i = 0; i < w->n && (count >= l->n || usec_add(w->starts[i].at, l->span) <= now); i++)
                count -= w->starts[i].n;
        return i == 0 ? now : MAX(now, usec_add(w->starts[i - 1].at, l->span));
}

void rate_started(RateWindow *w, const RateLimit *l, usec_t now) {
        usec_t at = rounded_up(now, grain(l));

        /* The clock of the wall is never behind the last of them by much; their order is what counts. */
        if (w->n > 0 && w->starts[w->n - 1].at >= at) {
                w->starts[w->n - 1].n++;
                return;
        }
        /* What lies too far back is kept as long as there is room: the span may be made longer. Where there is none although they
         * count (N was greater, or the span shorter), the oldest count as of a later time. */
        if (w->n == RATE_ENTRIES) {
                if (usec_add(w->starts[0].at, l->span) > now)
                        w->starts[1].n += w->starts[0].n;
                drop_first(w);
        }
        w->starts[w->n].at = at;
        w->starts[w->n++].n = 1;
}

void rate_moved(RateWindow *w, int64_t step) {
        for (size_t i = 0; i < w->n; i++)
                w->starts[i].at = step < 0 ? usec_sub(w->starts[i].at, -(uint64_t) step) : usec_add(w->starts[i].at, step);
}

char *rate_to_string(const RateWindow *w) {
        _cleanup_free_ char *s = malloc(w->n * 32 + 1);
        size_t k = 0;

        if (!s)
                return NULL;
        *s = '\0';
        for (size_t i = 0; i < w->n; i++) {
                k += sprintf(s + k, "%s%" PRIu64, i > 0 ? " " : "", w->starts[i].at);
                if (w->starts[i].n != 1)
                        k += sprintf(s + k, ":%" PRIu32, w->starts[i].n);
        }
        return TAKE_PTR(s);
}

int rate_from_string(const char *s, int64_t moved, RateWindow *ret) {
        RateWindow w = {};

        while (*s) {
                unsigned long long at, n = 1;
                char *end;

                if (w.n == RATE_ENTRIES || *s < '0' || *s > '9')
                        return -EINVAL;
                errno = 0;
                at = strtoull(s, &end, 10);
                if (*end == ':' && end[1] >= '0' && end[1] <= '9')
                        n = strtoull(end + 1, &end, 10);
                if (errno != 0 || n < 1 || n > UINT32_MAX || (*end != '\0' && *end != ' '))
                        return -EINVAL;
                w.starts[w.n].at = at;
                w.starts[w.n++].n = n;
                s = end + (*end == ' ');
        }
        rate_moved(&w, moved);
        *ret = w;
        return 0;
}
