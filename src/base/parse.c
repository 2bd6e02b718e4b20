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
        static const char *const words[] = { "0",     "1",    "no", "yes", "n",   "y",
                                             "false", "true", "f",  "t",   "off", "on" };

        for (int i = 0; s && i < (int) ELEMENTSOF(words); i++)
                if (strcasecmp(s, words[i]) == 0)
                        return i % 2;
        return -EINVAL;
}

/* Reads the digits at *p, at least one, and moves *p behind them. */
static int take_digits(const char **p, unsigned base, uint64_t *ret) {
        const char *s = *p;
        bool over = false;
        uint64_t v = 0;

        for (; *s >= '0' && *s < (char) ('0' + base); s++)
                over = over || __builtin_mul_overflow(v, (uint64_t) base, &v) ||
                                __builtin_add_overflow(v, (uint64_t) (*s - '0'), &v);
        if (s == *p || over)
                return over ? -ERANGE : -EINVAL;
        *p = s;
        *ret = v;
        return 0;
}

static int parse_max(const char *s, unsigned base, uint64_t max, uint64_t *ret) {
        uint64_t v;
        int r = s ? take_digits(&s, base, &v) : -EINVAL;

        if (r < 0)
                return r;
        if (*s || v > max)
                return *s ? -EINVAL : -ERANGE;
        *ret = v;
        return 0;
}

static int parse_max32(const char *s, unsigned base, uint32_t max, uint32_t *ret) {
        uint64_t v;
        int r = parse_max(s, base, max, &v);

        if (r >= 0)
                *ret = (uint32_t) v;
        return r;
}

int parse_u64(const char *s, uint64_t *ret) {
        return parse_max(s, 10, UINT64_MAX, ret);
}

int parse_u32(const char *s, uint32_t *ret) {
        return parse_max32(s, 10, UINT32_MAX, ret);
}

int parse_mode(const char *s, uint32_t *ret) {
        return parse_max32(s, 8, 07777, ret);
}

int parse_uid(const char *s, uint32_t *ret) {
        uint32_t v;
        int r = parse_u32(s, &v);

        if (r < 0 || v == UINT32_MAX || v == UINT16_MAX)
                return r < 0 ? r : -EINVAL;
        *ret = v;
        return 0;
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

int parse_decimal(const char **s, unsigned decimals, uint64_t *ret_whole, uint64_t *ret_fraction) {
        uint64_t fraction = 0;
        const char *p = *s;
        bool point;
        int r;

        *ret_whole = 0;
        r = *p == '.' ? 0 : take_digits(&p, 10, ret_whole);
        if (r < 0)
                return r;
        point = *p == '.';
        if (point && (decimals == 0 || !isdigit((unsigned char) *++p)))
                return -EINVAL;
        for (; decimals > 0; decimals--)
                fraction = 10 * fraction + (point && isdigit((unsigned char) *p) ? (uint64_t) *p++ - '0' : 0);
        if (point && isdigit((unsigned char) *p))
                return -EINVAL;
        *s = p;
        *ret_fraction = fraction;
        return 0;
}

int parse_double(const char *s, double *ret) {
        char *end;

        if (strspn(s, "0123456789.") != strlen(s) || isempty(s))
                return -EINVAL;
        errno = 0;
        *ret = strtod(s, &end);
        return errno > 0 ? -errno : *end ? -EINVAL : 0;
}

int parse_size(const char *s, uint64_t base, uint64_t *ret) {
        uint64_t whole, fraction, factor = 1;
        static const char units[] = "BKMGTPE";
        unsigned __int128 sum;
        const char *u;
        int r = s ? parse_decimal(&s, 9, &whole, &fraction) : -EINVAL;

        if (r < 0)
                return r;
        u = *s ? strchr(units, *s) : units;
        if (!u || (*s && s[1]) || (u == units && fraction > 0)) /* there is no half a byte */
                return -EINVAL;
        for (; u > units; u--)
                factor *= base;
        sum = (unsigned __int128) whole * factor + (unsigned __int128) fraction * factor / 1000000000;
        if (sum > UINT64_MAX)
                return -ERANGE;
        *ret = (uint64_t) sum;
        return 0;
}

static int parse_percent(const char *s, unsigned decimals, uint64_t factor, uint64_t max, uint32_t *ret) {
        uint64_t whole, fraction;
        int r = s ? parse_decimal(&s, decimals, &whole, &fraction) : -EINVAL;

        if (r < 0)
                return r;
        if (!streq(s, "%"))
                return -EINVAL;
        if (whole > max || whole * factor + fraction > max)
                return -ERANGE;
        *ret = (uint32_t) (whole * factor + fraction);
        return 0;
}

int parse_permyriad(const char *s, uint32_t *ret) {
        return parse_percent(s, 2, 100, 10000, ret);
}

int parse_percent_unbounded(const char *s, uint32_t *ret) {
        return parse_percent(s, 0, 1, UINT32_MAX, ret);
}

int parse_cpu_set(const char *s, uint8_t **ret, size_t *ret_size) {
        static const char separators[] = " \t\n,";
        uint8_t bits[CPUS_MAX / 8] = {};
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
        *ret_size = max / 8 + 1;
        *ret = malloc(*ret_size);
        if (!*ret)
                return -ENOMEM;
        memcpy(*ret, bits, *ret_size);
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
        (void) snprintf(realtime[sig], sizeof(realtime[sig]), sig < SIGRTMIN ? "%i" : "RTMIN+%i",
                        sig < SIGRTMIN ? sig : sig - SIGRTMIN);
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

static bool utf8_check(const char *s, size_t n, bool clean) {
        uint32_t c;

        for (size_t l; n > 0; s += l, n -= l) {
                l = utf8_character((const unsigned char *) s, n, &c);
                if (l == 0 || (clean && (c < 0x20 || (c >= 0x7f && c < 0xa0))))
                        return false;
        }
        return true;
}

size_t utf8_character_length(const char *s, size_t n) {
        uint32_t c;

        return utf8_character((const unsigned char *) s, n, &c);
}

bool utf8_is_valid(const char *s, size_t n) {
        return utf8_check(s, n, false);
}

bool string_is_clean(const char *s) {
        return utf8_check(s, strlen(s), true);
}

bool queue_name_is_valid(const char *s) {
        if (!s || strlen(s) > QUEUE_NAME_MAX)
                return false;
        for (char before = '-'; *s || before == '-'; before = *s++)
                if (*s == '-' ? before == '-' : !*s || !strchr("abcdefghijklmnopqrstuvwxyz0123456789_", *s))
                        return false;
        return true;
}
