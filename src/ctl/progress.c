/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A progress line. On a narrow terminal the bar goes first, then the rate: the count stays. */

#include "ctl/progress.h"
#include "base/time-util.h"
#include "ctl/ctl.h"
#include "ctl/text.h"
#include <sys/ioctl.h>

#define DRAW_USEC (100 * USEC_PER_MSEC)
#define BAR_MIN 8U
#define BAR_MAX 40U
#define WIDTH_DEFAULT 80U

Progress progress_new(const char *what, uint64_t size) {
        return (Progress){
                .what = what,
                .size = size,
                .started = now_usec(CLOCK_MONOTONIC),
                .enabled = !arg_quiet && isatty(STDERR_FILENO),
        };
}

static char *format_bar(unsigned percent, unsigned width, bool utf8, char *buf, size_t n) {
        char *p = buf, *end = buf + n;

        for (unsigned i = 0; i < width && end - p > 4; i++) {
                bool full = i < width * percent / 100;

                p += snprintf(p, end - p, "%s", utf8 ? full ? "━" : "─" : full ? "#" : ".");
        }
        return buf;
}

char *progress_format(const Progress *p, usec_t now, unsigned width, bool utf8, char *buf, size_t n) {
        char count[64] = "", percent[16] = "", rate[32] = "", bar[4 * BAR_MAX] = "";
        usec_t t = usec_sub(now, p->started);
        unsigned used, part = p->size > 0 ? (unsigned) (MIN(p->done, p->size) * 100 / p->size) : 0;

        used = snprintf(count, sizeof(count), "%" PRIu64 " %s", p->count, p->what);
        if (p->size > 0 && used + 5 <= width)
                used += snprintf(percent, sizeof(percent), " %3u%%", part);
        if (t >= USEC_PER_SEC / 2 && p->count > 0) {
                unsigned l = snprintf(rate, sizeof(rate), " %" PRIu64 "/s", (uint64_t) (p->count * 1e6 / t));

                if (used + l <= width)
                        used += l;
                else
                        rate[0] = 0;
        }
        if (p->size > 0 && used + 1 + BAR_MIN <= width) {
                bar[0] = ' ';
                format_bar(part, MIN(width - used - 1, BAR_MAX), utf8, bar + 1, sizeof(bar) - 1);
        }
        if (used > width) /* nothing fits: of ASCII the beginning */
                count[width] = 0;
        snprintf(buf, n, "%s%s%s%s", count, percent, bar, rate);
        return buf;
}

static unsigned terminal_width(void) {
        struct winsize size = {};

        return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) >= 0 && size.ws_col > 0 ? size.ws_col : WIDTH_DEFAULT;
}

void progress_update(Progress *p, uint64_t count, uint64_t done) {
        usec_t now;
        char line[512];

        p->count = count;
        p->done = done;
        if (!p->enabled)
                return;
        now = now_usec(CLOCK_MONOTONIC);
        if (now < p->drawn + DRAW_USEC && p->visible)
                return;
        p->drawn = now;
        p->visible = true;
        /* The last column stays free: some terminals would go on in the next line. */
        progress_format(p, now, terminal_width() - 1, text_is_utf8(), line,
                        sizeof(line));
        fprintf(stderr, "\r%s\033[K", line);
        fflush(stderr);
}

void progress_clear(Progress *p) {
        if (!p->visible)
                return;
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->visible = false;
}
