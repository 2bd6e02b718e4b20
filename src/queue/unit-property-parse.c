/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parsers of unit properties: one for each kind of value, told by its argument (unit-property-internal.h) what this
 * property allows. They follow systemd's own reading of unit files; what differs is stricter: words are separated by
 * spaces, may be quoted with " or ', and know no backslash; paths know no "..".
 *
 * PID 1 writes most values into the unit's file. A line break in a value would add lines to it and a backslash at the
 * end would swallow the next one, so neither gets through: control characters are refused by the caller, backslashes
 * by the parsers of free text. */

#include "queue/unit-property-internal.h"

#include <limits.h>
#include <sys/mount.h>

#include "base/parse.h"
#include "base/strv.h"
#include "base/time-util.h"

/* Makes v the one value of p, in place of all that p had before, and takes over what v owns, except on error. */
static int set_value(UnitPropertyList *l, const UnitProperty *p, UnitValue v) {
        UnitValue *to;

        unit_property_list_remove(l, p->dbus_name);
        if (p->aux_name)
                unit_property_list_remove(l, p->aux_name);
        to = unit_property_list_add(l, v.name, v.type);
        if (!to)
                return -ENOMEM;
        *to = v;
        return 0;
}

static int set_u64(UnitPropertyList *l, const UnitProperty *p, uint64_t n) {
        return set_value(l, p, (UnitValue) { .name = p->dbus_name, .type = UNIT_VALUE_U64, .u64 = n });
}

static int set_i32(UnitPropertyList *l, const UnitProperty *p, int32_t n) {
        return set_value(l, p, (UnitValue) { .name = p->dbus_name, .type = UNIT_VALUE_I32, .i32 = n });
}

static int set_string(UnitPropertyList *l, const UnitProperty *p, const char *s) {
        _cleanup_free_ char *copy = strdup(s);
        int r;

        if (!copy)
                return -ENOMEM;
        r = set_value(l, p, (UnitValue) { .name = p->dbus_name, .type = UNIT_VALUE_STRING, .s = copy });
        if (r >= 0)
                copy = NULL;
        return r;
}

/* Adds words to the list that p already has, or starts it. */
static int add_words(UnitPropertyList *l, const UnitProperty *p, char *const *words) {
        UnitValue *v = (UnitValue *) unit_property_list_find(l, p->dbus_name);
        int r;

        if (!v)
                v = unit_property_list_add(l, p->dbus_name, p->type);
        if (!v)
                return -ENOMEM;
        STRV_FOREACH(w, words) {
                r = strv_extend(&v->strv, *w);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Takes the words s (two for BINDS, one for PATH_LIMITS) and their number. */
static int add_numbered(UnitPropertyList *l, const UnitProperty *p, char *const *words, uint64_t number) {
        UnitValue *v = (UnitValue *) unit_property_list_find(l, p->dbus_name);
        size_t n = v ? strv_length(v->strv) / strv_length(words) : 0;
        uint64_t *numbers;
        int r;

        if (p->type == UNIT_VALUE_PATH_LIMITS)
                for (size_t i = 0; i < n; i++)
                        if (streq(v->strv[i], words[0])) {
                                v->numbers[i] = number;
                                return 0;
                        }

        r = add_words(l, p, words);
        if (r < 0)
                return r;
        v = (UnitValue *) unit_property_list_find(l, p->dbus_name);
        numbers = reallocarray(v->numbers, n + 1, sizeof(uint64_t));
        if (!numbers)
                return -ENOMEM;
        numbers[n] = number;
        v->numbers = numbers;
        return 0;
}

static int split_words(const char *s, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        _cleanup_free_ char *word = new0(char, strlen(s) + 1);
        int r;

        if (!word)
                return -ENOMEM;
        for (;;) {
                size_t n = 0;
                char quote = 0;

                s += strspn(s, " ");
                if (!*s)
                        break;
                for (; *s && (quote || *s != ' '); s++) {
                        if (*s == '\\')
                                return -EINVAL;
                        if (quote ? *s == quote : *s == '"' || *s == '\'')
                                quote = quote ? 0 : *s;
                        else
                                word[n++] = *s;
                }
                if (quote || n == 0)
                        return -EINVAL;
                word[n] = 0;
                r = strv_extend(&l, word);
                if (r < 0)
                        return r;
        }
        if (strv_length(l) == 0)
                return -EINVAL;
        *ret = TAKE_PTR(l);
        return 0;
}

/* An absolute path without "." and "..", repeated or trailing slashes taken out. A '-' in front ("may be missing")
 * stays where it is allowed. */
static int clean_path(const char *s, bool allow_minus, char **ret) {
        _cleanup_free_ char *path = NULL;
        size_t n = 0;

        if (strlen(s) >= PATH_MAX)
                return -ERANGE;
        if (strpbrk(s, "\\%")) /* systemd's specifiers are not known here and must not look as if they were */
                return -EINVAL;
        path = new0(char, strlen(s) + 2);
        if (!path)
                return -ENOMEM;
        if (allow_minus && *s == '-')
                path[n++] = *s++;
        if (*s != '/')
                return -EINVAL;
        for (;;) {
                size_t k;

                s += strspn(s, "/");
                k = strcspn(s, "/");
                if (k == 0)
                        break;
                if (s[0] == '.' && (k == 1 || (k == 2 && s[1] == '.')))
                        return -EINVAL;
                path[n++] = '/';
                memcpy(path + n, s, k);
                n += k;
                s += k;
        }
        if (n == 0 || (n == 1 && *path == '-'))
                path[n++] = '/';
        path[n] = 0;
        *ret = TAKE_PTR(path);
        return 0;
}

static int parse_size_or_infinity(const char *s, uint64_t base, uint64_t *ret) {
        if (streq(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        return parse_size(s, base, ret);
}

int property_parse_boolean(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        int b = parse_boolean(value);

        if (b < 0)
                return b;
        return set_value(l, p, (UnitValue) { .name = p->dbus_name, .type = UNIT_VALUE_BOOL, .b = b });
}

int property_parse_number(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const PropertyRange *range = p->argument;
        int64_t n = 0;
        int r;

        if (!range->zero || !streq(value, range->zero)) {
                r = parse_i64(value, &n);
                if (r < 0)
                        return r;
                if (n < range->min || n > range->max)
                        return -ERANGE;
        }
        return p->type == UNIT_VALUE_I32 ? set_i32(l, p, (int32_t) n) : set_u64(l, p, (uint64_t) n);
}

int property_parse_amount(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const PropertyAmount *amount = p->argument;
        uint64_t n;
        int r;

        if (endswith(value, "%")) {
                uint32_t permyriad;

                r = parse_permyriad(value, &permyriad);
                if (r < 0)
                        return r;
                if (permyriad < amount->min)
                        return -ERANGE;
                n = ((uint64_t) permyriad * UINT32_MAX + 5000) / 10000; /* UINT32_MAX stands for 100 % */
                return set_value(l, p, (UnitValue) { .name = p->aux_name, .type = UNIT_VALUE_U32, .u32 = (uint32_t) n });
        }

        if (amount->count && !streq(value, "infinity"))
                r = parse_u64(value, &n);
        else
                r = parse_size_or_infinity(value, 1024, &n);
        if (r < 0)
                return r;
        if (n < amount->min)
                return -ERANGE;
        return set_u64(l, p, n);
}

int property_parse_quota(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        uint32_t percent;
        int r;

        r = parse_percent_unbounded(value, &percent);
        if (r < 0)
                return r;
        if (percent == 0)
                return -ERANGE;
        return set_u64(l, p, percent * (USEC_PER_SEC / 100));
}

int property_parse_span(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const PropertyRange *range = p->argument;
        usec_t t;
        int r;

        r = parse_span(value, &t);
        if (r < 0)
                return r;
        if (range && (t < (usec_t) range->min || t > (usec_t) range->max))
                return -ERANGE;
        return set_u64(l, p, t);
}

static int parse_rlimit(PropertyUnit unit, const char *s, uint64_t *ret) {
        int32_t nice;
        usec_t t;
        int r;

        if (streq(s, "infinity")) {
                *ret = UINT64_MAX;
                return 0;
        }
        switch (unit) {
        case PROPERTY_UNIT_SIZE:
                return parse_size(s, 1024, ret);
        case PROPERTY_UNIT_SECONDS:
                r = parse_span(s, &t);
                if (r >= 0) /* rounded up: half a second must not become none */
                        *ret = t == USEC_INFINITY ? UINT64_MAX : t / USEC_PER_SEC + (t % USEC_PER_SEC > 0);
                return r;
        case PROPERTY_UNIT_USEC:
                return parse_span_full(s, 1, ret);
        case PROPERTY_UNIT_NICE: /* "+10" and "-5" are nice levels, "15" is the kernel's number (20 - level) */
                if (*s != '+' && *s != '-') {
                        r = parse_u64(s, ret);
                        return r < 0 ? r : *ret > 40 ? -ERANGE : 0;
                }
                r = parse_i32(*s == '+' ? s + 1 : s, &nice);
                if (r < 0)
                        return r;
                if (nice < -20 || nice > 19)
                        return -ERANGE;
                *ret = (uint64_t) (20 - nice);
                return 0;
        case PROPERTY_UNIT_COUNT:
        default:
                return parse_u64(s, ret);
        }
}

int property_parse_rlimit(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const PropertyUnit *unit = p->argument;
        _cleanup_free_ char *soft = strdup(value);
        uint64_t soft_limit, hard_limit;
        UnitValue *v;
        char *hard;
        int r;

        if (!soft)
                return -ENOMEM;
        hard = strchr(soft, ':');
        if (hard)
                *hard++ = 0;
        r = parse_rlimit(*unit, soft, &soft_limit);
        if (r < 0)
                return r;
        r = parse_rlimit(*unit, hard ?: soft, &hard_limit);
        if (r < 0)
                return r;
        if (soft_limit > hard_limit)
                return -EINVAL;

        r = set_u64(l, p, hard_limit);
        if (r < 0)
                return r;
        v = unit_property_list_add(l, p->aux_name, UNIT_VALUE_U64);
        if (!v)
                return -ENOMEM;
        v->u64 = soft_limit;
        return 0;
}

int property_parse_mode(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        uint32_t mode;
        int r;

        r = parse_mode(value, &mode);
        if (r < 0)
                return r;
        return set_value(l, p, (UnitValue) { .name = p->dbus_name, .type = UNIT_VALUE_U32, .u32 = mode });
}

int property_parse_signal(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        int sig = signal_from_string(value);

        return sig < 0 ? sig : set_i32(l, p, sig);
}

int property_parse_cpu_set(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        UnitValue *v = (UnitValue *) unit_property_list_find(l, p->dbus_name);
        _cleanup_free_ uint8_t *set = NULL;
        size_t n;
        int r;

        r = parse_cpu_set(value, &set, &n);
        if (r < 0)
                return r;
        if (!v)
                v = unit_property_list_add(l, p->dbus_name, UNIT_VALUE_BYTES);
        if (!v)
                return -ENOMEM;
        if (v->bytes.size > n) { /* one line adds to another: the shorter set goes into the longer one */
                for (size_t i = 0; i < n; i++)
                        v->bytes.data[i] |= set[i];
                return 0;
        }
        for (size_t i = 0; i < v->bytes.size; i++)
                set[i] |= v->bytes.data[i];
        free(v->bytes.data);
        v->bytes.data = TAKE_PTR(set);
        v->bytes.size = n;
        return 0;
}

int property_parse_keyword(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        int b = parse_boolean(value);

        for (const char *const *w = p->argument; *w; w++)
                if (streq(*w, value) || (b > 0 && streq(*w, "yes")) || (b == 0 && streq(*w, "no")))
                        return set_string(l, p, *w);
        return -EINVAL;
}

int property_parse_choice(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        for (const PropertyWord *w = p->argument; w->word; w++)
                if (streq(w->word, value))
                        return set_i32(l, p, (int32_t) w->value);
        return -EINVAL;
}

/* As in unit files: further lines add their words to the mask, those with '~' take theirs out. */
int property_parse_mask(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const UnitValue *old = unit_property_list_find(l, p->dbus_name);
        const PropertyMask *mask = p->argument;
        _cleanup_strv_free_ char **words = NULL;
        bool invert = *value == '~';
        uint64_t m = 0;
        int r;

        r = mask->boolean ? parse_boolean(value) : -EINVAL;
        if (r >= 0)
                return set_u64(l, p, r ? 0 : mask->all);

        r = split_words(value + invert, &words);
        if (r < 0)
                return r;
        STRV_FOREACH(i, words) {
                const PropertyWord *w = mask->words;

                while (w->word && !streq(w->word, *i))
                        w++;
                if (!w->word)
                        return -EINVAL;
                m |= w->value;
        }
        if (invert)
                m = (old ? old->u64 : mask->all) & ~m;
        else if (old && old->u64 != mask->all)
                m |= old->u64;
        return set_u64(l, p, m);
}

static bool word_is_valid(const PropertyWordRule *rule, const char *s) {
        s = startswith(s, rule->prefix);
        return !isempty(s) && !s[strspn(s, rule->characters)];
}

int property_parse_name(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        return word_is_valid(p->argument, value) ? set_string(l, p, value) : -EINVAL;
}

static int parse_valid_words(const UnitProperty *p, const char *value, char ***ret) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = split_words(value, &words);
        if (r < 0)
                return r;
        STRV_FOREACH(w, words)
                if (!word_is_valid(p->argument, *w))
                        return -EINVAL;
        *ret = TAKE_PTR(words);
        return 0;
}

int property_parse_names(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = parse_valid_words(p, value, &words);
        return r < 0 ? r : add_words(l, p, words);
}

int property_parse_filter(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_strv_free_ char **words = NULL;
        bool deny = *value == '~';
        UnitValue *v = NULL;
        int r;

        r = parse_valid_words(p, value + deny, &words);
        if (r < 0)
                return r;

        for (size_t i = 0; i < l->n_values; i++)
                if (streq(l->values[i].name, p->dbus_name))
                        v = l->values + i;
        if (!v || v->allow_list == deny) {
                v = unit_property_list_add(l, p->dbus_name, UNIT_VALUE_FILTER);
                if (!v)
                        return -ENOMEM;
                v->allow_list = !deny;
        }
        STRV_FOREACH(w, words) {
                r = strv_extend(&v->strv, *w);
                if (r < 0)
                        return r;
        }
        return 0;
}

int property_parse_path(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_free_ char *path = NULL;
        int r;

        r = clean_path(value, false, &path);
        return r < 0 ? r : set_string(l, p, path);
}

int property_parse_paths(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = split_words(value, &words);
        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                char *path;

                r = clean_path(*w, true, &path);
                if (r < 0)
                        return r;
                free(*w);
                *w = path;
        }
        return add_words(l, p, words);
}

int property_parse_path_number(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        const PropertyRange *range = p->argument;
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *path = NULL;
        uint64_t n;
        int r;

        r = split_words(value, &words);
        if (r < 0)
                return r;
        if (strv_length(words) != 2)
                return -EINVAL;
        /* PID 1 writes this path without quotes into the unit's file. */
        if (strpbrk(words[0], " \"'"))
                return -EINVAL;
        r = clean_path(words[0], false, &path);
        if (r < 0)
                return r;
        r = range ? parse_u64(words[1], &n) : parse_size_or_infinity(words[1], 1000, &n);
        if (r < 0)
                return r;
        if (range ? n < (uint64_t) range->min || n > (uint64_t) range->max : n == 0)
                return -ERANGE;
        return add_numbered(l, p, (char *[]) { path, NULL }, n);
}

int property_parse_device(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_strv_free_ char **words = NULL;
        const char *access;
        int r;

        r = split_words(value, &words);
        if (r < 0)
                return r;
        access = strv_length(words) > 1 ? words[1] : "";
        if (strv_length(words) > 2 || access[strspn(access, "rwm")])
                return -EINVAL;
        /* PID 1 writes it without quotes into the unit's file, and takes '%' for a specifier there. */
        if (strpbrk(words[0], " \"'%"))
                return -EINVAL;
        if (!startswith(words[0], "/dev/") && !startswith(words[0], "block-") && !startswith(words[0], "char-"))
                return -EINVAL;
        return add_words(l, p, (char *[]) { words[0], (char *) access, NULL });
}

/* SOURCE[:DESTINATION[:rbind|norbind]], a '-' before SOURCE stays there. Cuts s. */
static int parse_bind(const UnitProperty *p, char *s, UnitPropertyList *l) {
        _cleanup_free_ char *source = NULL, *destination = NULL;
        char *to = strchr(s, ':'), *mode = NULL;
        int r;

        if (to) {
                *to++ = 0;
                mode = strchr(to, ':');
                if (mode)
                        *mode++ = 0;
        }
        if (mode && !streq(mode, "rbind") && !streq(mode, "norbind"))
                return -EINVAL;
        r = clean_path(s, true, &source);
        if (r < 0)
                return r;
        r = clean_path(to ?: source + (*source == '-'), false, &destination);
        if (r < 0)
                return r;
        return add_numbered(l, p, (char *[]) { source, destination, NULL },
                            mode && streq(mode, "norbind") ? 0 : MS_REC);
}

int property_parse_binds(const UnitProperty *p, const char *value, UnitPropertyList *l) {
        _cleanup_(unit_property_list_done) UnitPropertyList parsed = {};
        _cleanup_strv_free_ char **words = NULL;
        const uint64_t *flags;
        int r;

        r = split_words(value, &words);
        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
                r = parse_bind(p, *w, &parsed);
                if (r < 0)
                        return r;
        }
        flags = parsed.values->numbers;
        STRV_FOREACH_PAIR(source, destination, parsed.values->strv) {
                r = add_numbered(l, p, (char *[]) { *source, *destination, NULL }, *flags++);
                if (r < 0)
                        return r;
        }
        return 0;
}
