/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The rules of a type that a job keeps. Lists are short, and are looked through. */

#include "queue/type-rules.h"

#include "base/parse.h"
#include "base/strv.h"
#include "queue/json-scan.h"

bool type_rules_accept(char *const *rules, const char *key) {
        bool any = false;

        STRV_FOREACH(i, rules) {
                const char *accepted = startswith(*i, "Accept=");

                if (accepted && streq(accepted, key))
                        return true;
                any = any || accepted;
        }
        return !any;
}

/* ---- unit properties ---- */

static bool list_has(const UnitPropertyList *l, const UnitProperty *p) {
        for (size_t i = 0; i < l->n_values; i++)
                if (unit_property_of_value(l->values + i) == p)
                        return true;
        return false;
}

static int read_properties(char *const *rules, UnitPropertyList *ret, char **ret_error) {
        int r = 0;

        STRV_FOREACH(i, rules) {
                const char *assignment = startswith(*i, "Service.");

                if (assignment)
                        r = unit_property_parse_assignment(assignment, true, UNIT_PROPERTY_SERVICE, ret, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_overridable(char *const *rules, char *const *of_queue, const UnitPropertyList *of_type, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        int r = 0;

        STRV_FOREACH(i, of_queue) {
                const UnitProperty *p = unit_property_find(*i);

                if (r >= 0 && p && !list_has(of_type, p))
                        r = strv_extend(&l, *i);
        }
        STRV_FOREACH(i, rules) {
                const char *name = startswith(*i, "Override=");

                if (r >= 0 && name)
                        r = strv_extend(&l, name);
        }
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

void property_base_done(PropertyBase *b) {
        unit_property_list_done(&b->own_service);
        b->own_overridable = strv_free(b->own_overridable);
}

int property_base_init(PropertyBase *b, char *const *rules, const UnitPropertyList *queue, char *const *queue_overridable,
                       char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList type = {};
        int r;

        *b = (PropertyBase) { .service = queue, .overridable = queue_overridable };
        if (strv_length(rules) == 0)
                return 0;
        r = read_properties(rules, &type, ret_error);
        if (r >= 0) /* both are root's */
                r = unit_property_merge(queue, &type, true, NULL, &b->own_service, ret_error);
        if (r >= 0)
                r = read_overridable(rules, queue_overridable, &type, &b->own_overridable);
        if (r < 0)
                return r;
        b->service = &b->own_service;
        b->overridable = b->own_overridable;
        return 0;
}

/* ---- the payload ---- */

static const struct {
        const char *name, *text;
} payload_types[] = {
        { "string", "a string" },
        { "number", "a number" },
        { "integer", "an integer" },
        { "boolean", "true or false" },
        { "object", "an object" },
        { "array", "an array" },
};

static size_t key_length(const char *word) {
        return strcspn(word, ":");
}

/* What it must be, in words; NULL: any value. */
static const char *type_text(const char *word) {
        const char *type = word + key_length(word);

        FOREACH_ELEMENT(t, payload_types)
                if (*type && streq(t->name, type + 1))
                        return t->text;
        return NULL;
}

bool payload_key_is_valid(const char *word) {
        size_t n = key_length(word);

        return n > 0 && n <= PAYLOAD_KEY_MAX &&
               strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") == n && (!word[n] || type_text(word));
}

/* From a value, which is one of JSON's, up to its end. */
static bool value_is(const char *value, const char *end, const char *type) {
        switch (*type) {
        case 's':
                return *value == '"';
        case 'n':
                return *value == '-' || (*value >= '0' && *value <= '9');
        case 'i':
                while (value < end && (*value == '-' || (*value >= '0' && *value <= '9')))
                        value++;
                return value == end;
        case 'b':
                return *value == 't' || *value == 'f';
        case 'o':
                return *value == '{';
        default:
                return *value == '[';
        }
}

static const char *payload_rule(const char *rule, bool *ret_required) {
        const char *word = startswith(rule, "PayloadRequired=");

        *ret_required = word;
        return word ?: startswith(rule, "PayloadOptional=");
}

typedef struct PayloadScan {
        char *const *rules;
        uint64_t there, wrong; /* bit for each rule of the payload; of a name that comes twice the last one counts */
} PayloadScan;

static void on_member(void *userdata, const char *name, const char *value, const char *end) {
        PayloadScan *s = userdata;
        uint64_t bit = 1;
        bool required;

        STRV_FOREACH(i, s->rules) {
                const char *word = payload_rule(*i, &required);
                char key[PAYLOAD_KEY_MAX + 1] = {};
                size_t n;

                if (!word)
                        continue;
                n = MIN(key_length(word), sizeof(key) - 1);
                memcpy(key, word, n);
                if (json_scan_name_is(name, key)) {
                        s->there |= bit;
                        s->wrong &= ~bit;
                        if (word[n] && !value_is(value, end, word + n + 1))
                                s->wrong |= bit;
                }
                bit <<= 1;
        }
}

static int judge(const PayloadScan *s, char **ret_error) {
        uint64_t bit = 1;
        bool required;

        STRV_FOREACH(i, s->rules) {
                const char *word = payload_rule(*i, &required), *text;

                if (!word)
                        continue;
                text = type_text(word);
                if (required && !(s->there & bit))
                        return spec_error(ret_error, EINVAL, "payload: '%.*s' is missing%s%s", (int) key_length(word), word,
                                          text ? ", which is " : "", strempty(text));
                if (s->wrong & bit)
                        return spec_error(ret_error, EINVAL, "payload: '%.*s' must be %s", (int) key_length(word), word, strempty(text));
                bit <<= 1;
        }
        return 0;
}

int type_rules_check_payload(char *const *rules, const JobSpec *s, char **ret_error) {
        const char *data = (const char *) s->payload;
        PayloadScan members = { .rules = rules };
        JsonScan scan = { .p = data, .end = data + s->payload_size, .member = on_member, .userdata = &members };
        bool any = false, required;

        STRV_FOREACH(i, rules)
                any = any || payload_rule(*i, &required);
        if (!any)
                return 0;
        if (!s->has_payload)
                scan.p = scan.end = "";
        json_scan_space(&scan);
        if (s->has_payload && (scan.p == scan.end || *scan.p != '{' || !json_scan_value(&scan) || (json_scan_space(&scan), scan.p != scan.end) ||
                               !utf8_is_valid(data, s->payload_size)))
                return spec_error(ret_error, EINVAL, "payload: not a JSON object");
        return judge(&members, ret_error);
}
