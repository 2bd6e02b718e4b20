/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The a{sv} that picks jobs, for lists and bulk operations. A key that is not known is refused by name. */

#include "api/filter.h"

#include "api/api.h"
#include "api/spec-bus.h"

#include "base/strv.h"

#include <json-c/json.h>

void list_options_done(ListOptions *o) {
        job_filter_done(&o->filter);
        strv_free(o->fields);
        *o = (ListOptions) {};
}

/* Of one list: what is longer is a mistake, and would take its time. */
#define WORDS_MAX 1000U
#define NUMBERS_MAX 100000U

/* What a key has, from the bus or from JSON. */
typedef struct Value {
        char **words;
        uint64_t *numbers;
        size_t n;
} Value;

static void value_done(Value *v) {
        strv_free(v->words);
        free(v->numbers);
}

static int allocate_numbers(Value *v, size_t n) {
        if (n > NUMBERS_MAX)
                return -E2BIG;
        v->numbers = new0(uint64_t, n);
        v->n = n;
        return v->numbers ? 0 : -ENOMEM;
}

static int no_such_word(const char *key, const char *word, const char *(*to_string)(int), int n, sd_bus_error *error) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_free_ char *list = NULL;
        char quoted[SPEC_QUOTE_MAX];

        for (int i = 0; i < n; i++)
                if (!isempty(to_string(i)) && strv_extend(&words, to_string(i)) < 0)
                        return -ENOMEM;
        list = strv_join(words, ", ");
        if (!list)
                return -ENOMEM;
        return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: '%s' is none, only %s are", key,
                         spec_quote(quoted, word, strlen(word)), list);
}

static int set_mask(const Value *value, int (*from_string)(const char *), const char *(*to_string)(int), int n, const char *key,
                    unsigned *ret, sd_bus_error *error) {
        STRV_FOREACH(w, value->words) {
                int v = from_string(*w);
                if (v < 0)
                        return no_such_word(key, *w, to_string, n, error);
                *ret |= 1U << v;
        }
        if (*ret == 0)
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: the list is empty", key);
        return 0;
}

static int state_from_string(const char *s) {
        return job_state_from_string(s);
}
static int result_from_string(const char *s) {
        return isempty(s) ? -EINVAL : (int) job_result_from_string(s);
}

static const char *state_to_string(int i) {
        return job_state_to_string(i);
}
static const char *result_to_string(int i) {
        return job_result_to_string(i);
}

typedef enum FilterKey {
        FILTER_IDS,
        FILTER_QUEUE,
        FILTER_STATE,
        FILTER_RESULT,
        FILTER_OWNER,
        FILTER_NAME,
        FILTER_TYPE,
        FILTER_TAGS,
        FILTER_DEAD,
        FILTER_ARRAY,
        FILTER_SINCE,
        FILTER_UNTIL,
        FILTER_FLOW,
        FILTER_ORDER,
        FILTER_FIELDS,
        FILTER_COLLAPSE,
        _FILTER_KEY_MAX,
} FilterKey;

static const struct {
        const char *name;
        const char *type, *or_type;
} filter_keys[_FILTER_KEY_MAX] = {
        [FILTER_IDS] = { "ids", "at", NULL },
        [FILTER_QUEUE] = { "queue", "s", "as" },
        [FILTER_STATE] = { "state", "s", "as" },
        [FILTER_RESULT] = { "result", "s", "as" },
        [FILTER_OWNER] = { "owner", "u", "au" },
        [FILTER_NAME] = { "name", "s", NULL },
        [FILTER_TYPE] = { "type", "s", "as" },
        [FILTER_TAGS] = { "tags", "a{ss}", NULL },
        [FILTER_DEAD] = { "dead", "b", NULL },
        [FILTER_ARRAY] = { "array", "t", NULL },
        [FILTER_SINCE] = { "since_usec", "t", NULL },
        [FILTER_UNTIL] = { "until_usec", "t", NULL },
        [FILTER_FLOW] = { "flow", "t", NULL },
        [FILTER_ORDER] = { "order", "s", NULL },
        [FILTER_FIELDS] = { "fields", "as", NULL },
        [FILTER_COLLAPSE] = { "collapse", "b", NULL },
};

static int set_owners(JobFilter *f, const Value *v) {
        f->owners = new0(uint32_t, v->n);
        if (!f->owners)
                return -ENOMEM;
        for (size_t i = 0; i < v->n; i++)
                f->owners[i] = MIN(v->numbers[i], (uint64_t) UINT32_MAX);
        f->n_owners = v->n;
        return 0;
}

/* Takes what it needs of the value. */
static int set_value(ListOptions *o, FilterKey key, Value *v, sd_bus_error *error) {
        const char *word = v->words ? v->words[0] : "";
        uint64_t number = v->n > 0 ? v->numbers[0] : 0;
        char quoted[SPEC_QUOTE_MAX];
        JobFilter *f = &o->filter;

        switch (key) {
        case FILTER_IDS:
                f->ids = TAKE_PTR(v->numbers);
                f->n_ids = v->n;
                break;
        case FILTER_QUEUE:
                f->queues = TAKE_PTR(v->words);
                break;
        case FILTER_STATE:
                return set_mask(v, state_from_string, state_to_string, _JOB_STATE_MAX, "state", &f->states, error);
        case FILTER_RESULT:
                return set_mask(v, result_from_string, result_to_string, _JOB_RESULT_MAX, "result", &f->results, error);
        case FILTER_OWNER:
                return set_owners(f, v);
        case FILTER_NAME:
                return free_and_strdup(&f->name, word);
        case FILTER_TYPE:
                f->types = TAKE_PTR(v->words);
                break;
        case FILTER_TAGS:
                f->tags = TAKE_PTR(v->words);
                break;
        case FILTER_DEAD:
                f->dead = number > 0;
                break;
        case FILTER_ARRAY:
                f->array = number;
                return number > 0 ? 0 : api_error(error, JOBMILL_ERROR_INVALID_FILTER, "array: 0 is none");
        case FILTER_SINCE:
                f->since_usec = number;
                break;
        case FILTER_UNTIL:
                f->until_usec = number;
                break;
        case FILTER_FLOW:
                f->flow = number;
                return number > 0 ? 0 : api_error(error, JOBMILL_ERROR_INVALID_FILTER, "flow: 0 is none");
        case FILTER_ORDER:
                o->order = job_order_from_string(word);
                return o->order < 0 ? api_error(error, JOBMILL_ERROR_INVALID_FILTER,
                                                "order: '%s' is none; newest, oldest, rank or finished",
                                                spec_quote(quoted, word, strlen(word))) : 0;
        case FILTER_FIELDS:
                o->fields = TAKE_PTR(v->words);
                break;
        case FILTER_COLLAPSE:
                f->collapse = number > 0;
                break;
        default:
                return -EINVAL;
        }
        return 0;
}

/* An empty list is fulfilled by nothing, and must not pass for "any". */
static bool list_is_empty(const JobFilter *f, FilterKey key) {
        switch (key) {
        case FILTER_IDS:
                return f->n_ids == 0;
        case FILTER_QUEUE:
                return strv_length(f->queues) == 0;
        case FILTER_OWNER:
                return f->n_owners == 0;
        case FILTER_TYPE:
                return strv_length(f->types) == 0;
        case FILTER_TAGS:
                return strv_length(f->tags) == 0;
        default:
                return false;
        }
}

/* ---- the keys ---- */

static int find_key(const char *name, bool with_list, unsigned *seen, FilterKey *ret, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];
        FilterKey key;

        for (key = 0; key < _FILTER_KEY_MAX; key++)
                if (streq(filter_keys[key].name, name))
                        break;
        if (key == _FILTER_KEY_MAX || (!with_list && key >= FILTER_ORDER))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "unknown key '%s'", spec_quote(quoted, name, strlen(name)));
        if (*seen & (1U << key))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: given twice", name);
        *seen |= 1U << key;
        *ret = key;
        return 0;
}

/* r: of reading it. */
static int set_key(ListOptions *o, FilterKey key, Value *v, int r, sd_bus_error *error) {
        if (r >= 0)
                r = set_value(o, key, v, error);
        if (r == -E2BIG)
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: the list has more than %u entries", filter_keys[key].name,
                                 key == FILTER_TAGS ? SPEC_TAGS_MAX : key == FILTER_IDS || key == FILTER_OWNER ? NUMBERS_MAX : WORDS_MAX);
        if (r >= 0 && list_is_empty(&o->filter, key))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: the list is empty", filter_keys[key].name);
        return r;
}

/* ---- from the bus ---- */

static int read_numbers(sd_bus_message *m, char type, Value *ret) {
        const void *p;
        size_t size;
        int r;

        r = sd_bus_message_read_array(m, type, &p, &size);
        if (r >= 0)
                r = allocate_numbers(ret, size / (type == 't' ? sizeof(uint64_t) : sizeof(uint32_t)));
        for (size_t i = 0; r >= 0 && i < ret->n; i++)
                ret->numbers[i] = type == 't' ? ((const uint64_t *) p)[i] : ((const uint32_t *) p)[i];
        return r;
}

static int read_number(sd_bus_message *m, char type, Value *ret) {
        uint32_t u32 = 0;
        int r;

        r = allocate_numbers(ret, 1);
        if (r < 0)
                return r;
        r = type == 't' ? sd_bus_message_read_basic(m, 't', ret->numbers) : sd_bus_message_read_basic(m, type, &u32);
        if (type != 't')
                ret->numbers[0] = u32; /* a boolean is an int */
        return r;
}

static int read_value(sd_bus_message *m, const char *contents, Value *ret) {
        const char *s;
        int r;

        if (streq(contents, "as"))
                return bus_read_list(m, false, WORDS_MAX, &ret->words);
        if (streq(contents, "a{ss}"))
                return bus_read_list(m, true, SPEC_TAGS_MAX, &ret->words);
        if (contents[0] == 'a')
                return read_numbers(m, contents[1], ret);
        if (contents[0] != 's')
                return read_number(m, contents[0], ret);
        r = sd_bus_message_read_basic(m, 's', &s);
        return r < 0 ? r : strv_extend(&ret->words, s);
}

static int read_entry(sd_bus_message *m, bool with_list, ListOptions *o, unsigned *seen, sd_bus_error *error) {
        _cleanup_(value_done) Value v = {};
        const char *name, *contents;
        FilterKey key;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r >= 0)
                r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r >= 0)
                r = find_key(name, with_list, seen, &key, error);
        if (r < 0)
                return r;
        if (!streq(contents, filter_keys[key].type) && !streq_ptr(contents, filter_keys[key].or_type))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: type is '%s', '%s' is wanted", name, contents,
                                 filter_keys[key].type);
        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = read_value(m, contents, &v);
        r = set_key(o, key, &v, r, error);
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

int filter_read(sd_bus_message *m, bool with_list, ListOptions *ret, sd_bus_error *error) {
        unsigned seen = 0;
        int r;

        *ret = (ListOptions) { .filter = JOB_FILTER_INIT, .order = JOB_ORDER_NEWEST };
        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = read_entry(m, with_list, ret, &seen, error);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* ---- from JSON, by the same types ---- */

/* The next of a list of words, or what is there instead of one. */
static int extend_words(Value *ret, json_object *v) {
        if (!json_object_is_type(v, json_type_string) || strlen(json_object_get_string(v)) != (size_t) json_object_get_string_len(v))
                return -EINVAL;
        return strv_extend(&ret->words, json_object_get_string(v));
}

static int read_json_pairs(json_object *o, Value *ret) {
        int r = 0;

        if (!json_object_is_type(o, json_type_object))
                return -EINVAL;
        if (json_object_object_length(o) > (int) SPEC_TAGS_MAX)
                return -E2BIG;
        json_object_object_foreach(o, tag, value) {
                r = strv_extend(&ret->words, tag);
                if (r >= 0)
                        r = extend_words(ret, value);
                if (r < 0)
                        break;
        }
        return r;
}

static int read_json_number(json_object *v, char type, uint64_t *ret) {
        if (type == 'b' ? !json_object_is_type(v, json_type_boolean) :
                          !json_object_is_type(v, json_type_int) || json_object_get_int64(v) < 0)
                return -EINVAL;
        *ret = type == 'b' ? (uint64_t) json_object_get_boolean(v) : json_object_get_uint64(v);
        return 0;
}

static int read_json_list(json_object *v, char type, Value *ret) {
        size_t n = json_object_array_length(v);
        int r;

        r = type != 's' ? allocate_numbers(ret, n) : n > WORDS_MAX ? -E2BIG : 0;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = type == 's' ? extend_words(ret, json_object_array_get_idx(v, i)) :
                                  read_json_number(json_object_array_get_idx(v, i), type, ret->numbers + i);
        return r;
}

/* One word or number where there may be a list, and the other way round where the table has both. */
static int read_json_value(json_object *v, FilterKey key, Value *ret) {
        const char *type = filter_keys[key].type;
        bool one = type[0] != 'a' || filter_keys[key].or_type;
        int r;

        if (streq(type, "a{ss}"))
                return read_json_pairs(v, ret);
        if (json_object_is_type(v, json_type_array))
                return type[0] == 'a' || filter_keys[key].or_type ? read_json_list(v, type[0] == 'a' ? type[1] : type[0], ret) : -EINVAL;
        if (!one)
                return -EINVAL;
        if (type[0] == 's')
                return extend_words(ret, v);
        r = allocate_numbers(ret, 1);
        return r < 0 ? r : read_json_number(v, type[0], ret->numbers);
}

int filter_read_json(json_object *parameters, const char *name, ListOptions *ret, sd_bus_error *error) {
        json_object *filter = NULL;
        unsigned seen = 0;
        FilterKey key;
        int r;

        *ret = (ListOptions) { .filter = JOB_FILTER_INIT, .order = JOB_ORDER_NEWEST };
        if (!json_object_object_get_ex(parameters, name, &filter) || !filter)
                return 0;
        if (!json_object_is_type(filter, json_type_object))
                return api_error(error, VARLINK_ERROR_INVALID_PARAMETER, "%s", name);
        json_object_object_foreach(filter, word, value) {
                _cleanup_(value_done) Value v = {};

                r = find_key(word, true, &seen, &key, error);
                if (r < 0)
                        return r;
                if (!value)
                        continue;
                r = read_json_value(value, key, &v);
                if (r == -EINVAL)
                        return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: wrong type", word);
                r = set_key(ret, key, &v, r, error);
                if (r < 0)
                        return r;
        }
        return 0;
}

bool filter_is_own(const JobFilter *f, uint32_t uid) {
        for (size_t i = 0; i < f->n_owners; i++)
                if (f->owners[i] != uid)
                        return false;
        return f->n_owners > 0;
}

bool filter_only_own(JobFilter *f, uint32_t uid) {
        bool mine = f->n_owners == 0;

        for (size_t i = 0; i < f->n_owners; i++)
                mine = mine || f->owners[i] == uid;
        if (!mine)
                return false;
        free(f->owners);
        f->n_owners = 0;
        f->owners = new0(uint32_t, 1);
        if (!f->owners)
                return false;
        f->owners[f->n_owners++] = uid;
        return true;
}
