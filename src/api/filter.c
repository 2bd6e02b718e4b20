/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The a{sv} that picks jobs, for lists and bulk operations. A key that is not known is refused by name. */

#include "api/filter.h"

#include "api/api.h"
#include "api/spec-bus.h"

#include "base/strv.h"

void list_options_done(ListOptions *o) {
        job_filter_done(&o->filter);
        strv_free(o->fields);
        *o = (ListOptions) {};
}

/* Of one list: what is longer is a mistake, and would take its time. */
#define WORDS_MAX 1000U
#define NUMBERS_MAX 100000U

static int read_words(sd_bus_message *m, const char *contents, char ***ret) {
        const char *s;
        int r;

        if (streq(contents, "as"))
                return bus_read_list(m, false, WORDS_MAX, ret);
        r = sd_bus_message_read_basic(m, 's', &s);
        return r < 0 ? r : strv_extend(ret, s);
}

static int read_numbers(sd_bus_message *m, char type, void **ret, size_t *ret_n) {
        size_t width = type == 't' ? sizeof(uint64_t) : sizeof(uint32_t), size;
        const void *p;
        void *copy;
        int r;

        r = sd_bus_message_read_array(m, type, &p, &size);
        if (r < 0)
                return r;
        if (size / width > NUMBERS_MAX)
                return -E2BIG;
        copy = malloc(size ?: 1);
        if (!copy)
                return -ENOMEM;
        memcpy(copy, p, size);
        free(*ret);
        *ret = copy;
        *ret_n = size / width;
        return 0;
}

static int read_owner(sd_bus_message *m, const char *contents, JobFilter *f) {
        if (streq(contents, "au"))
                return read_numbers(m, 'u', (void **) &f->owners, &f->n_owners);

        uint32_t *one = new0(uint32_t, 1);
        if (!one)
                return -ENOMEM;
        free(f->owners);
        f->owners = one;
        f->n_owners = 1;
        return sd_bus_message_read_basic(m, 'u', one);
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

static int read_mask(sd_bus_message *m, const char *contents, int (*from_string)(const char *),
                     const char *(*to_string)(int), int n, const char *key, unsigned *ret, sd_bus_error *error) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = read_words(m, contents, &words);
        if (r < 0)
                return r;
        STRV_FOREACH(w, words) {
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

static int read_value(sd_bus_message *m, FilterKey key, const char *contents, ListOptions *o, sd_bus_error *error) {
        JobFilter *f = &o->filter;
        const char *s;
        int b = false, r;

        switch (key) {
        case FILTER_IDS:
                return read_numbers(m, 't', (void **) &f->ids, &f->n_ids);
        case FILTER_QUEUE:
                return read_words(m, contents, &f->queues);
        case FILTER_STATE:
                return read_mask(m, contents, state_from_string, state_to_string, _JOB_STATE_MAX, "state",
                                 &f->states, error);
        case FILTER_RESULT:
                return read_mask(m, contents, result_from_string, result_to_string, _JOB_RESULT_MAX, "result",
                                 &f->results, error);
        case FILTER_OWNER:
                return read_owner(m, contents, f);
        case FILTER_NAME:
                r = sd_bus_message_read_basic(m, 's', &s);
                return r < 0 ? r : free_and_strdup(&f->name, s);
        case FILTER_TAGS:
                return bus_read_list(m, true, SPEC_TAGS_MAX, &f->tags);
        case FILTER_DEAD:
                return sd_bus_message_read_basic(m, 'b', &f->dead);
        case FILTER_ARRAY:
                r = sd_bus_message_read_basic(m, 't', &f->array);
                return r < 0 || f->array > 0 ? r : api_error(error, JOBMILL_ERROR_INVALID_FILTER, "array: 0 is none");
        case FILTER_SINCE:
                return sd_bus_message_read_basic(m, 't', &f->since_usec);
        case FILTER_UNTIL:
                return sd_bus_message_read_basic(m, 't', &f->until_usec);
        case FILTER_FLOW:
                r = sd_bus_message_read_basic(m, 't', &f->flow);
                return r < 0 || f->flow > 0 ? r : api_error(error, JOBMILL_ERROR_INVALID_FILTER, "flow: 0 is none");
        case FILTER_ORDER:
                r = sd_bus_message_read_basic(m, 's', &s);
                if (r < 0)
                        return r;
                o->order = job_order_from_string(s);
                return o->order < 0 ? api_error(error, JOBMILL_ERROR_INVALID_FILTER,
                                                "order: '%s' is none; newest, oldest, rank or finished", s) : 0;
        case FILTER_FIELDS:
                return bus_read_list(m, false, WORDS_MAX, &o->fields);
        case FILTER_COLLAPSE:
                r = sd_bus_message_read_basic(m, 'b', &b);
                f->collapse = b;
                return r;
        default:
                return -EINVAL;
        }
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
        case FILTER_TAGS:
                return strv_length(f->tags) == 0;
        default:
                return false;
        }
}

static int read_entry(sd_bus_message *m, bool with_list, ListOptions *o, unsigned *seen, sd_bus_error *error) {
        char quoted[SPEC_QUOTE_MAX];
        const char *name, *contents;
        FilterKey key;
        int r;

        r = sd_bus_message_read_basic(m, 's', &name);
        if (r >= 0)
                r = sd_bus_message_peek_type(m, NULL, &contents);
        if (r < 0)
                return r;
        for (key = 0; key < _FILTER_KEY_MAX; key++)
                if (streq(filter_keys[key].name, name))
                        break;
        if (key == _FILTER_KEY_MAX || (!with_list && key >= FILTER_ORDER))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "unknown key '%s'", spec_quote(quoted, name, strlen(name)));
        if (!streq(contents, filter_keys[key].type) && !streq_ptr(contents, filter_keys[key].or_type))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: type is '%s', '%s' is wanted", name, contents,
                                 filter_keys[key].type);
        if (*seen & (1U << key))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: given twice", name);
        *seen |= 1U << key;

        r = sd_bus_message_enter_container(m, 'v', contents);
        if (r >= 0)
                r = read_value(m, key, contents, o, error);
        if (r == -E2BIG)
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: the list has more than %u entries", name,
                                 key == FILTER_TAGS ? SPEC_TAGS_MAX : key == FILTER_IDS || key == FILTER_OWNER ? NUMBERS_MAX : WORDS_MAX);
        if (r >= 0 && list_is_empty(&o->filter, key))
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "%s: the list is empty", name);
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
