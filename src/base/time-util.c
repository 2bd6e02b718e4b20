/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Spans and time stamps as systemd.time(7) writes them. Reads everything that systemd 252 reads, except other
 * time zones than the local one and UTC, and what it prints; days that do not exist are refused. */

#include "base/time-util.h"
#include "base/parse.h"
#include "base/strv.h"

#include <strings.h>

#define WHITESPACE " \t\n\r"
#define SEC USEC_PER_SEC

static const char *const weekdays[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday" };

/* The first FORMAT_UNITS are for output too, so they go down in size. */
#define FORMAT_UNITS 9
static const struct {
        const char *name;
        usec_t usec;
} units[] = {
        { "y", 31557600 * SEC },     { "month", 2629800 * SEC },  { "w", 604800 * SEC },
        { "d", 86400 * SEC },        { "h", 3600 * SEC },         { "min", 60 * SEC },
        { "s", SEC },                { "ms", USEC_PER_MSEC },     { "us", 1 },
        { "years", 31557600 * SEC }, { "year", 31557600 * SEC },  { "months", 2629800 * SEC },
        { "M", 2629800 * SEC },      { "weeks", 604800 * SEC },   { "week", 604800 * SEC },
        { "days", 86400 * SEC },     { "day", 86400 * SEC },      { "hours", 3600 * SEC },
        { "hour", 3600 * SEC },      { "hr", 3600 * SEC },        { "minutes", 60 * SEC },
        { "minute", 60 * SEC },      { "m", 60 * SEC },           { "seconds", SEC },
        { "second", SEC },           { "sec", SEC },              { "msec", USEC_PER_MSEC },
        { "usec", 1 },               { "\xc2\xb5s", 1 } /* µs */, { "\xce\xbcs", 1 } /* the Greek letter */,
};

usec_t now_usec(clockid_t clock) {
        struct timespec ts;

        assert(clock_gettime(clock, &ts) == 0);
        return (usec_t) ts.tv_sec * USEC_PER_SEC + (usec_t) ts.tv_nsec / NSEC_PER_USEC;
}

int parse_span_full(const char *s, usec_t default_unit, usec_t *ret) {
        unsigned __int128 sum = 0;
        const char *p;
        int r;

        if (!s || !*(s += strspn(s, WHITESPACE)))
                return -EINVAL;
        if ((p = startswith(s, "infinity")) && !p[strspn(p, WHITESPACE)]) {
                *ret = USEC_INFINITY;
                return 0;
        }
        for (; *s; s += strspn(s, WHITESPACE)) {
                usec_t whole, fraction, unit;
                size_t n;

                r = parse_decimal(&s, 9, &whole, &fraction);
                if (r < 0)
                        return r;
                s += strspn(s, WHITESPACE);
                n = strcspn(s, "0123456789." WHITESPACE);
                unit = n > 0 ? 0 : default_unit;
                FOREACH_ELEMENT(u, units)
                        if (n > 0 && strlen(u->name) == n && strncmp(s, u->name, n) == 0)
                                unit = u->usec;
                s += n;
                if (unit == 0 || (n == 0 && *s == '.'))
                        return -EINVAL;
                sum += (unsigned __int128) whole * unit + (unsigned __int128) fraction * unit / 1000000000;
                if (sum >= USEC_INFINITY)
                        return -ERANGE;
        }
        *ret = (usec_t) sum;
        return 0;
}

int parse_span(const char *s, usec_t *ret) {
        return parse_span_full(s, USEC_PER_SEC, ret);
}

/* "+2h", "-1d", "2h ago", "2h left", "@1790000000". -ENXIO: not of these forms. */
static int parse_relative(char **words, usec_t now, usec_t *ret) {
        char *last = words[strv_length(words) - 1], sign = words[0][0];
        bool behind = streq(last, "ago") || streq(last, "left");
        _cleanup_free_ char *span = NULL;
        usec_t d;
        int r;

        if (!behind && (sign == '\0' || !strchr("+-@", sign)))
                return -ENXIO;
        if (behind) {
                sign = last[0] == 'a' ? '-' : '+';
                last[0] = '\0';
        }
        span = strv_join(words, " ");
        if (!span)
                return -ENOMEM;
        r = parse_span(span + !behind, &d);
        if (r < 0)
                return r;
        if (d == USEC_INFINITY || (sign == '-' && d > now))
                return -ERANGE;
        *ret = sign == '@' ? d : sign == '-' ? now - d : usec_add(now, d);
        return 0;
}

/* ret_mday: the day that was written, 0 for a word. */
static bool parse_date(const char *s, struct tm *tm, int *ret_mday) {
        static const char *const days[] = { "yesterday", "today", "tomorrow" };
        struct tm date = *tm;
        const char *end;

        for (int i = 0; i < (int) ELEMENTSOF(days); i++)
                if (streq(s, days[i])) {
                        tm->tm_mday += i - 1;
                        return true;
                }
        end = strptime(s, "%y-%m-%d", &date);
        if (!end || *end)
                end = strptime(s, "%Y-%m-%d", &date);
        if (!end || *end)
                return false;
        *tm = date;
        *ret_mday = date.tm_mday;
        return true;
}

static bool parse_time(const char *s, struct tm *tm, usec_t *ret_usec) {
        const char *end = strptime(s, "%H:%M:%S", tm);
        uint64_t whole;

        if (!end) {
                end = strptime(s, "%H:%M", tm);
                tm->tm_sec = 0;
        } else if (*end == '.' && parse_decimal(&end, 6, &whole, ret_usec) < 0)
                return false;
        return end && !*end;
}

int parse_timestamp(const char *s, usec_t now, usec_t *ret) {
        _cleanup_strv_free_ char **words = strv_split(s, WHITESPACE);
        char **w = words, **last = words + MAX(strv_length(words), (size_t) 1) - 1;
        int r, mday = 0, weekday = -1, dst = -1;
        usec_t fraction = 0;
        struct tm tm;
        bool utc, dated;
        time_t t = (time_t) (now / USEC_PER_SEC);

        if (!words)
                return -ENOMEM;
        if (!*w)
                return -EINVAL;
        if (streq(*w, "now") && w == last) {
                *ret = now;
                return 0;
        }
        r = parse_relative(words, now, ret);
        if (r != -ENXIO)
                return r;

        tzset();
        utc = streq(*last, "UTC");
        for (int i = 0; i < 2 && !utc; i++)
                if (streq(*last, tzname[i]))
                        dst = i;
        if (utc || dst >= 0)
                *last = mfree(*last);
        if (!(utc ? gmtime_r(&t, &tm) : localtime_r(&t, &tm)))
                return -ERANGE;
        for (int i = 0; *w && i < (int) ELEMENTSOF(weekdays); i++)
                if (strncasecmp(*w, weekdays[i], strlen(*w) == 3 ? 3 : strlen(weekdays[i]) + 1) == 0)
                        weekday = i;
        w += weekday >= 0;
        dated = *w && parse_date(*w, &tm, &mday);
        w += dated;
        if (*w ? !parse_time(*w, &tm, &fraction) || w[1] : !dated)
                return -EINVAL;
        if (!*w)
                tm.tm_hour = tm.tm_min = tm.tm_sec = 0;

        tm.tm_isdst = utc ? 0 : dst;
        t = utc ? timegm(&tm) : mktime(&tm);
        if (t < 0)
                return -ERANGE;
        if ((mday > 0 && tm.tm_mday != mday) || (weekday >= 0 && tm.tm_wday != weekday))
                return -EINVAL;
        *ret = (usec_t) t * USEC_PER_SEC + fraction;
        return 0;
}

char *format_span(char *buf, size_t n, usec_t t, usec_t accuracy) {
        size_t l = 0, i = 0;

        (void) snprintf(buf, n, "%s", t == USEC_INFINITY ? "infinity" : "0");
        /* What is smaller than the accuracy as a whole is shown by its largest unit. */
        for (; i < FORMAT_UNITS && t != USEC_INFINITY && l < n && (l == 0 || t >= accuracy); t %= units[i++].usec) {
                const char *format = l > 0 ? " %" PRIu64 "%s" : "%" PRIu64 "%s";

                if (t >= units[i].usec)
                        l += (size_t) snprintf(buf + l, n - l, format, t / units[i].usec, units[i].name);
        }
        return buf;
}

char *format_timestamp(char *buf, size_t n, usec_t t) {
        time_t sec = (time_t) (t / USEC_PER_SEC);
        char text[TIMESTAMP_MAX];
        struct tm tm;

        if (t == USEC_INFINITY || !localtime_r(&sec, &tm) || !strftime(text, sizeof(text), "%F %T %Z", &tm))
                (void) snprintf(buf, n, "n/a");
        else /* always in English, so that parse_timestamp() reads it */
                (void) snprintf(buf, n, "%.3s %s", weekdays[tm.tm_wday], text);
        return buf;
}
