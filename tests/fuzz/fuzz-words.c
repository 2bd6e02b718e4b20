/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One word, as it stands in an option, a queue file or a spec: spans and points of time, sizes, rates, back-off, names. What is read can be
 * said again and means the same; what one place takes the other takes, too. */

#include "fuzz.h"

#include "base/strv.h"
#include "base/time-util.h"
#include "ctl/backoff.h"
#include "queue/attempt.h"
#include "queue/rate.h"
#include "queue/unique.h"

#include <math.h>

#define NOW (UINT64_C(1790000000) * USEC_PER_SEC)

static void times(const char *s) {
        char buf[SPAN_MAX], stamp[TIMESTAMP_MAX];
        usec_t t, again;

        if (parse_span(s, &t) >= 0) {
                format_span(buf, sizeof(buf), t, 1);
                check(parse_span(buf, &again) >= 0 && again == t);
                /* What is cut off is less than what it is cut to. */
                format_span(buf, sizeof(buf), t, USEC_PER_SEC);
                check(parse_span(buf, &again) >= 0 && again <= t && (t == USEC_INFINITY || t < USEC_PER_SEC || t - again < USEC_PER_SEC));
        }
        if (parse_timestamp(s, NOW, &t) >= 0 && t < UINT64_C(253402300800) * USEC_PER_SEC) { /* the year 10000 */
                format_timestamp(stamp, sizeof(stamp), t);
                check(parse_timestamp(stamp, NOW, &again) >= 0 && again == t - t % USEC_PER_SEC);
        }
}

static void numbers(const char *s) {
        uint64_t whole, size;
        _cleanup_free_ char *text = NULL;
        uint32_t n;
        int64_t i;
        double d;

        if (parse_u64(s, &whole) >= 0) {
                check(parse_size(s, 1024, &size) >= 0 && size == whole);
                check(asprintf(&text, "%" PRIu64, whole) > 0 && streq(text, s + MIN(strspn(s, "0"), strlen(s) - 1)));
                check(whole > INT64_MAX || (parse_i64(s, &i) >= 0 && i == (int64_t) whole));
        }
        if (parse_permyriad(s, &n) >= 0)
                check(n <= 10000);
        if (parse_mode(s, &n) >= 0)
                check(n <= 07777);
        if (parse_uid(s, &n) >= 0)
                check(n != UINT32_MAX && n != UINT16_MAX);
        if (parse_double(s, &d) >= 0)
                check(d >= 0 && isfinite(d));
        if (signal_from_string(s) > 0)
                check(signal_from_string(signal_to_string(signal_from_string(s))) == signal_from_string(s));
}

static void cpus(const char *s) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *text = NULL;
        _cleanup_free_ uint8_t *set = NULL, *again = NULL;
        size_t n, m;

        if (parse_cpu_set(s, &set, &n) < 0)
                return;
        check(n >= 1 && set[n - 1] != 0);
        for (size_t i = 0; i < 8 * n; i++)
                if (set[i / 8] & 1U << i % 8)
                        check(strv_extendf(&l, "%zu", i) >= 0);
        text = strv_join(l, ",");
        check(parse_cpu_set(text, &again, &m) >= 0 && m == n && memcmp(set, again, n) == 0);
}

/* Of the spec and of the rule. */
static void unique(const char *s) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        UniqueScope scope;
        usec_t span;

        spec->argv = strv_split("true", " ");
        spec->unique_key = strdup("k");
        spec->unique_scope = strdup(s);
        check((spec_validate(spec, NULL) >= 0) == (unique_scope_parse(s, &scope, &span) >= 0));
        free(spec->unique_key);
        spec->unique_key = strdup(s);
        free_and_strdup(&spec->unique_scope, NULL);
        if (spec_validate(spec, NULL) >= 0)
                check(string_is_clean(s) && strlen(s) >= 1 && strlen(s) <= SPEC_UNIQUE_KEY_MAX);
}

static void rates(const char *s) {
        _cleanup_free_ char *text = NULL, *again = NULL;
        RateWindow w = {}, v;
        RateLimit l;

        if (rate_limit_parse(s, &l) >= 0) {
                check(l.n >= 1 && l.n <= RATE_MAX && l.span >= USEC_PER_MSEC);
                for (usec_t now = NOW, next; w.n < 3 && now < NOW + 4 * l.span; now = next + l.span / 3) {
                        next = rate_next(&w, &l, now);
                        check(next >= now && next <= now + l.span + l.span / RATE_EXACT + 1);
                        rate_started(&w, &l, next);
                }
        } else if (rate_from_string(s, 0, &w) < 0)
                return;
        text = rate_to_string(&w);
        check(text && rate_from_string(text, 0, &v) >= 0);
        again = rate_to_string(&v);
        check(streq(text, again));
}

static void backoff(const char *s) {
        _cleanup_(spec_freep) JobSpec *spec = spec_new();
        Backoff b;

        if (backoff_parse(s, &b) < 0)
                return;
        check(b.given && (b.mode == BACKOFF_FIXED || b.mode == BACKOFF_EXPONENTIAL));
        check(b.max == USEC_INFINITY || b.base <= b.max);
        check(b.jitter < 0 || b.jitter <= 1);
        backoff_to_spec(&b, spec);
        spec->argv = strv_split("true", " ");
        check(spec_validate(spec, NULL) >= 0);
}

static void names(const char *s) {
        _cleanup_free_ uint32_t *slots = NULL;
        _cleanup_free_ char *text = NULL;
        uint32_t number, n;
        uint64_t job;
        double d;

        if (queue_name_is_valid(s))
                check(*s && strlen(s) <= 64 && *s != '-' && s[strlen(s) - 1] != '-' && !strstr(s, "--") && string_is_clean(s));
        if (attempt_unit_name_parse(s, &job, &number)) {
                Attempt *a = attempt_new(job, number);

                check(streq(a->unit, s));
                attempt_free(a);
        }
        if (attempt_progress(s, &d))
                check(d >= 0 && d <= 100);
        if (attempt_slot_numbers_from_string(s, &slots, &n) >= 0 && n > 0) {
                Attempt *a = attempt_new(1, 1);

                a->slot_numbers = TAKE_PTR(slots);
                a->slots = n;
                text = attempt_slot_numbers_to_string(a);
                check(text && attempt_slot_numbers_from_string(text, &slots, &number) >= 0 && number == n);
                check(memcmp(slots, a->slot_numbers, n * sizeof(uint32_t)) == 0);
                attempt_free(a);
        }
        check(job_state_from_string(s) < 0 || streq(job_state_to_string(job_state_from_string(s)), s));
        check(job_result_from_string(s) < 0 || streq(job_result_to_string(job_result_from_string(s)), s));
        check(after_condition_from_string(s) < 0 || streq(after_condition_to_string(after_condition_from_string(s)), s));
        check(after_otherwise_from_string(s) < 0 || streq(after_otherwise_to_string(after_otherwise_from_string(s)), s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *s = copy_text(data, size);

        setenv("TZ", "UTC", 1);
        /* A file of seeds ends with a line feed, a word does not. */
        if (size > 0 && s[size - 1] == '\n')
                s[size - 1] = 0;
        times(s);
        numbers(s);
        cpus(s);
        unique(s);
        rates(s);
        backoff(s);
        names(s);
        return 0;
}
