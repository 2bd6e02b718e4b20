/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Words to numbers. Strict on purpose: decimal digits without white space, so that a typing error in a unit
 * file is refused with its line instead of being read as something else. */

#include "base/parse.h"

#include <ctype.h>
#include <signal.h>
#include <strings.h>

#define CPUS_MAX 8192U
#define QUEUE_NAME_MAX 64U

int parse_boolean(const char *s) {
        static const char *const yes[] = { "1", "yes", "y", "true", "t", "on" };
        static const char *const no[] = { "0", "no", "n", "false", "f", "off" };

        if (!s)
                return -EINVAL;
        FOREACH_ELEMENT(i, yes)
                if (strcasecmp(s, *i) == 0)
                        return 1;
        FOREACH_ELEMENT(i, no)
                if (strcasecmp(s, *i) == 0)
                        return 0;
        return -EINVAL;
}

/* Reads the digits at *p, at least one, and moves *p behind them. */
static int take_digits(const char **p, unsigned base, uint64_t *ret) {
        uint64_t v = 0;
        bool over = false;
        const char *s = *p;

        for (; *s >= '0' && *s < (char) ('0' + base); s++)
                over = __builtin_mul_overflow(v, (uint64_t) base, &v) ||
                                __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v) || over;
        if (s == *p)
                return -EINVAL;
        *p = s;
        *ret = v;
        return over ? -ERANGE : 0;
}

static int parse_max(const char *s, unsigned base, uint64_t max, uint64_t *ret) {
        uint64_t v;
        int r;

        if (!s)
                return -EINVAL;
        r = take_digits(&s, base, &v);
        if (r == -EINVAL || *s)
                return -EINVAL;
        if (r < 0 || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_u64(const char *s, uint64_t *ret) {
        return parse_max(s, 10, UINT64_MAX, ret);
}

int parse_u32(const char *s, uint32_t *ret) {
        uint64_t v;
        int r = parse_max(s, 10, UINT32_MAX, &v);

        if (r >= 0)
                *ret = (uint32_t) v;
        return r;
}

static int parse_signed(const char *s, uint64_t max, int64_t *ret) {
        bool negative = s && *s == '-';
        uint64_t v;
        int r = parse_max(s ? s + negative : NULL, 10, max + negative, &v);

        if (r >= 0)
                *ret = (int64_t) (negative ? -v : v);
        return r;
}

int parse_i64(const char *s, int64_t *ret) {
        return parse_signed(s, INT64_MAX, ret);
}

int parse_i32(const char *s, int32_t *ret) {
        int64_t v;
        int r = parse_signed(s, INT32_MAX, &v);

        if (r >= 0)
                *ret = (int32_t) v;
        return r;
}

int parse_uid(const char *s, uint32_t *ret) {
        uint32_t v;
        int r = parse_u32(s, &v);

        if (r < 0)
                return r;
        if (v == UINT32_MAX || v == UINT16_MAX)
                return -EINVAL;
        *ret = v;
        return 0;
}

/* Reads up to `digits` decimals after a point, when there is one, and gives them as a number of that many
 * digits; further ones are dropped (truncate) or refused. */
static int take_fraction(const char **p, unsigned digits, bool truncate, uint64_t *ret) {
        uint64_t v = 0;
        const char *s = *p;

        if (*s == '.') {
                if (!isdigit((unsigned char) *++s))
                        return -EINVAL;
                for (; isdigit((unsigned char) *s); s++) {
                        if (digits > 0)
                                v = v * 10 + (uint64_t) (*s - '0');
                        else if (!truncate)
                                return -EINVAL;
                        digits -= digits > 0;
                }
        }
        for (; digits > 0; digits--)
                v *= 10;
        *p = s;
        *ret = v;
        return 0;
}

int parse_size(const char *s, uint64_t base, uint64_t *ret) {
        static const char units[] = "BKMGTPE";
        uint64_t v, fraction, factor = 1;
        unsigned __int128 sum;
        const char *u = units, *point;
        int r, k;

        if (!s)
                return -EINVAL;
        r = take_digits(&s, 10, &v);
        if (r == -EINVAL)
                return r;
        point = s;
        k = take_fraction(&s, 9, true, &fraction);
        if (k < 0)
                return k;
        if (*s) {
                u = strchr(units, *s++);
                if (!u || *s)
                        return -EINVAL;
        }
        if (*point == '.' && u == units) /* there is no half a byte */
                return -EINVAL;
        for (; u > units; u--)
                factor *= base;
        sum = (unsigned __int128) v * factor + (unsigned __int128) fraction * factor / 1000000000U;
        if (r < 0 || sum > UINT64_MAX)
                return -ERANGE;
        *ret = (uint64_t) sum;
        return 0;
}

int parse_permyriad(const char *s, uint32_t *ret) {
        static const struct {
                const char *sign;
                unsigned digits; /* decimals that still count */
                uint64_t factor;
        } forms[] = { { "%", 2, 100 }, { "‰", 1, 10 }, { "‱", 0, 1 } };
        uint64_t v, fraction;
        int r;

        if (!s)
                return -EINVAL;
        r = take_digits(&s, 10, &v);
        if (r == -EINVAL)
                return r;
        FOREACH_ELEMENT(f, forms) {
                const char *p = s;

                if (!endswith(s, f->sign))
                        continue;
                if (take_fraction(&p, f->digits, false, &fraction) < 0 || !streq(p, f->sign))
                        return -EINVAL;
                if (r < 0 || v > 10000 || v * f->factor + fraction > 10000)
                        return -ERANGE;
                *ret = (uint32_t) (v * f->factor + fraction);
                return 0;
        }
        return -EINVAL;
}

int parse_percent_unbounded(const char *s, uint32_t *ret) {
        uint64_t v;
        int r;

        if (!s)
                return -EINVAL;
        r = take_digits(&s, 10, &v);
        if (r == -EINVAL || !streq(s, "%"))
                return -EINVAL;
        if (r < 0 || v > UINT32_MAX)
                return -ERANGE;
        *ret = (uint32_t) v;
        return 0;
}

int parse_mode(const char *s, uint32_t *ret) {
        uint64_t v;
        int r = parse_max(s, 8, 07777, &v);

        if (r >= 0)
                *ret = (uint32_t) v;
        return r;
}

int parse_cpu_set(const char *s, uint8_t **ret, size_t *ret_size) {
        static const char separators[] = " \t\n,";
        uint8_t bits[CPUS_MAX / 8] = {}, *copy;
        uint64_t from, to, max = 0;
        int r;

        if (!s || !s[strspn(s, separators)])
                return -EINVAL;
        for (s += strspn(s, separators); *s; s += strspn(s, separators)) {
                r = take_digits(&s, 10, &from);
                if (r < 0)
                        return r;
                to = from;
                if (*s == '-') {
                        s++;
                        r = take_digits(&s, 10, &to);
                        if (r < 0)
                                return r;
                }
                if (to < from || (*s && !strchr(separators, *s)))
                        return -EINVAL;
                if (to >= CPUS_MAX)
                        return -ERANGE;
                max = MAX(max, to);
                for (uint64_t i = from; i <= to; i++)
                        bits[i / 8] |= (uint8_t) (1U << (i % 8));
        }
        copy = new0(uint8_t, max / 8 + 1);
        if (!copy)
                return -ENOMEM;
        *ret_size = max / 8 + 1;
        *ret = memcpy(copy, bits, *ret_size);
        return 0;
}

int signal_from_string(const char *s) {
        const char *p;
        uint32_t n;

        if (!s)
                return -EINVAL;
        if (parse_u32(s, &n) >= 0)
                return n > 0 && n < NSIG ? (int) n : -EINVAL;
        s = startswith(s, "SIG") ?: s;
        for (int i = 1; i < SIGRTMIN; i++)
                if (streq_ptr(sigabbrev_np(i), s))
                        return i;
        if (streq(s, "RTMIN"))
                return SIGRTMIN;
        if (streq(s, "RTMAX"))
                return SIGRTMAX;
        p = startswith(s, "RTMIN+") ?: startswith(s, "RTMAX-");
        if (!p || parse_u32(p, &n) < 0 || n > (uint32_t) (SIGRTMAX - SIGRTMIN))
                return -EINVAL;
        return p[-1] == '+' ? SIGRTMIN + (int) n : SIGRTMAX - (int) n;
}

const char *signal_to_string(int sig) {
        static char realtime[NSIG][sizeof("RTMIN+64")];

        if (sig <= 0 || sig >= NSIG)
                return NULL;
        if (sigabbrev_np(sig))
                return sigabbrev_np(sig);
        /* Those below SIGRTMIN without a name are the C library's own. */
        (void) snprintf(realtime[sig],
                        sizeof(realtime[sig]),
                        sig < SIGRTMIN ? "%u" : "RTMIN+%u",
                        (unsigned) (sig < SIGRTMIN ? sig : sig - SIGRTMIN) % NSIG);
        return realtime[sig];
}

/* Length of the UTF-8 character at s, which has n bytes, or 0 when it is none. */
static size_t utf8_character(const unsigned char *s, size_t n, uint32_t *ret) {
        static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t l = s[0] < 0x80           ? 1 :
                   (s[0] & 0xe0) == 0xc0 ? 2 :
                   (s[0] & 0xf0) == 0xe0 ? 3 :
                   (s[0] & 0xf8) == 0xf0 ? 4 :
                                           0;
        uint32_t c;

        if (l == 0 || l > n)
                return 0;
        c = l == 1 ? s[0] : s[0] & (0x7fU >> l);
        for (size_t i = 1; i < l; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (s[i] & 0x3f);
        }
        if (c < smallest[l] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
                return 0;
        *ret = c;
        return l;
}

bool utf8_is_valid(const char *s, size_t n) {
        uint32_t c;

        for (size_t l; n > 0; s += l, n -= l)
                if ((l = utf8_character((const unsigned char *) s, n, &c)) == 0)
                        return false;
        return true;
}

bool string_is_clean(const char *s) {
        uint32_t c;
        size_t n = strlen(s);

        for (size_t l; n > 0; s += l, n -= l) {
                l = utf8_character((const unsigned char *) s, n, &c);
                if (l == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0))
                        return false;
        }
        return true;
}

bool queue_name_is_valid(const char *s) {
        if (!s || strlen(s) > QUEUE_NAME_MAX)
                return false;
        for (char before = '-'; *s || before == '-'; before = *s++)
                if (*s == '-' ? before == '-' : !*s || !strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *s))
                        return false;
        return true;
}
