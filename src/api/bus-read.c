/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What only looks: answered at once, from what is recorded. */

#include "api/dict.h"
#include "api/filter.h"
#include "api/long-calls.h"
#include "api/methods.h"
#include "api/read-json.h"
#include "api/share.h"

#include "base/strv.h"

static bool call_owns(const Call *c, const Job *j) {
        return j->owner == c->client->uid || call_is_root(c);
}

static int read_job(Call *c, bool with_spec, uint64_t *ret_id, JobRow *ret, sd_bus_error *error) {
        int r;

        r = call_read_id(c, ret_id, error);
        if (r < 0)
                return r;
        r = history_get(c->api->store, *ret_id, with_spec, ret);
        if (r == -ENOENT)
                return api_error_no_such_job(error, *ret_id);
        return r < 0 ? api_error_store(c->api, error, r) : 0;
}

int handle_wait_job(Call *c, sd_bus_error *error) {
        uint64_t id, timeout = USEC_INFINITY;
        int r;

        r = call_read_id(c, &id, error);
        if (r >= 0 && c->message)
                r = sd_bus_message_read_basic(c->message, 't', &timeout);
        else if (r >= 0)
                r = read_json_u64(c->parameters, "timeout_usec", &timeout, &timeout, error);
        return r < 0 ? r : wait_start(c, id, timeout, error);
}
DEFINE_METHOD(wait_job);

static int handle_get_job(Call *c, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        char path[64];
        uint64_t id;
        int r;

        r = read_job(c, false, &id, &row, error);
        if (r < 0)
                return r;
        snprintf(path, sizeof(path), JOBMILL_JOB_PATH_PREFIX "/%" PRIu64, id);
        return sd_bus_reply_method_return(c->message, "o", path);
}
DEFINE_METHOD(get_job);

int handle_get_job_info(Call *c, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        bool is_private = true;
        Reply reply;
        uint64_t id;
        int r;

        r = read_job(c, true, &id, &row, error);
        if (r < 0)
                return r;
        if (!call_owns(c, row.job)) {
                r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &is_private);
                if (r <= 0)
                        return r;
        }
        r = call_reply(c, &reply);
        if (r >= 0)
                r = dict_append_job(&reply, "job", c->api, &row, is_private, NULL);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(get_job_info);

/* The bus ends the connection of whoever sends more than 128 MiB at once, and a page is made in one turn. */
#define LIST_SIZE_MAX (4U * 1024U * 1024U)
#define FLOW_SIZE (40U * 1024U) /* what it costs to count its jobs */
#define AFTER_SIZE 100U         /* ... to find and name one that a job came after */

typedef struct AttemptsReply {
        Reply reply;
        bool is_private;
        size_t size;   /* of what they said and wrote */
        uint32_t from; /* ... which the earlier ones leave out */
} AttemptsReply;

/* The newest comes first. */
static int measure_attempt(void *userdata, const Attempt *a) {
        AttemptsReply *l = userdata;

        l->size += dict_verdict_size(a);
        if (l->size > LIST_SIZE_MAX)
                return 1;
        l->from = a->number;
        return 0;
}

static int append_attempt(void *userdata, const Attempt *a) {
        AttemptsReply *l = userdata;

        return dict_append_attempt(&l->reply, NULL, a, l->is_private, a->number >= l->from);
}

static int handle_list_attempts(Call *c, sd_bus_error *error) {
        _cleanup_(job_row_done) JobRow row = {};
        AttemptsReply l = {};
        uint64_t id;
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = read_job(c, false, &id, &row, error);
        if (r < 0)
                return r;
        l.is_private = call_owns(c, row.job);
        if (!l.is_private) {
                r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &l.is_private);
                if (r <= 0)
                        return r;
        }
        r = call_reply(c, &l.reply);
        if (r >= 0)
                r = reply_open_array(&l.reply, "attempts", "a{sv}");
        if (r >= 0) {
                r = l.is_private ? history_attempts_newest(c->api->store, id, measure_attempt, &l) : 0;
                if (r >= 0)
                        r = history_attempts(c->api->store, id, append_attempt, &l);
                if (r < 0)
                        r = api_error_store(c->api, error, r);
        }
        if (r >= 0)
                r = reply_close_array(&l.reply);
        return call_send(c, &l.reply, r);
}
DEFINE_METHOD(list_attempts);

typedef struct ListReply {
        Call *call;
        Reply reply;
        char **fields;
        bool reads_all, collapse;
        size_t size; /* of what has no small limit */
} ListReply;

static size_t spec_size(const JobSpec *s) {
        char **const lists[] = { s->argv, s->tags, s->properties };
        size_t size = 0;

        FOREACH_ELEMENT(l, lists)
                STRV_FOREACH(i, *l)
                        size += strlen(*i) + 8;
        return size;
}

static int append_row(void *userdata, JobRow *row) {
        ListReply *l = userdata;

        int r;

        row->collapsed = l->collapse;
        if (row->collapsed && row->job->flow > 0)
                l->size += FLOW_SIZE;
        r = dict_append_job(&l->reply, NULL, l->call->api, row, l->reads_all || call_owns(l->call, row->job), l->fields);
        if (r < 0)
                return r;
        l->size += row->n_after * AFTER_SIZE + (row->spec ? spec_size(row->spec) : 0) + (row->attempt ? dict_verdict_size(row->attempt) : 0);
        /* As text it may be several times as long. */
        return MAX(l->size, json_writer_size(&l->reply.json)) > LIST_SIZE_MAX;
}

static bool wants_spec(char *const *fields) {
        const SpecField *f;

        STRV_FOREACH(i, fields)
                if ((f = spec_field_find(*i)) && dict_is_of_spec(f))
                        return true;
        return !fields;
}

/* What filter, cursor and limit say. Cursor is valid as long as the call is. */
static int read_list(Call *c, ListOptions *o, const char **ret_cursor, uint64_t *ret_limit, sd_bus_error *error) {
        uint64_t max = c->api->limits.list_page_max, none = 0;
        uint32_t limit = 0;
        int r;

        if (c->message) {
                r = filter_read(c->message, true, o, error);
                if (r >= 0)
                        r = sd_bus_message_read(c->message, "su", ret_cursor, &limit);
                *ret_limit = limit;
        } else {
                r = filter_read_json(c->parameters, "filter", o, error);
                if (r >= 0)
                        r = read_json_string(c->parameters, "cursor", "", ret_cursor, error);
                if (r >= 0)
                        r = read_json_u64(c->parameters, "limit", &none, ret_limit, error);
        }
        if (r >= 0 && (*ret_limit == 0 || *ret_limit > max))
                *ret_limit = max;
        return r;
}

static int list_rows(Call *c, ListOptions *o, const char *cursor, uint64_t limit, ListReply *l, sd_bus_error *error) {
        _cleanup_free_ char *next = NULL;
        char quoted[SPEC_QUOTE_MAX];
        int r;

        r = reply_open_array(&l->reply, "jobs", "a{sv}");
        if (r < 0)
                return r;
        /* Names and tags of others are private, so a filter on them finds one's own only. */
        if (!(o->filter.name || o->filter.tags) || l->reads_all || filter_only_own(&o->filter, c->client->uid))
                r = history_list(c->api->store, &o->filter, o->order, cursor, limit, wants_spec(o->fields), append_row, l, &next);
        if (r == -EINVAL)
                return api_error(error, JOBMILL_ERROR_INVALID_FILTER, "cursor: '%s' is not one of this order", spec_quote(quoted, cursor, strlen(cursor)));
        if (r < 0)
                return api_error_store(c->api, error, r);
        r = reply_close_array(&l->reply);
        return r < 0 || (isempty(next) && !c->message) ? r : reply_append(&l->reply, "next", "s", strempty(next));
}

int handle_list_jobs(Call *c, sd_bus_error *error) {
        _cleanup_(list_options_done) ListOptions o = {};
        ListReply l = { .call = c };
        const char *cursor;
        uint64_t limit;
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = read_list(c, &o, &cursor, &limit, error);
        if (r < 0)
                return r;
        if (!filter_is_own(&o.filter, c->client->uid)) {
                r = call_may(c, JOBMILL_ACTION_READ_ALL, false, &l.reads_all);
                if (r <= 0)
                        return r;
        }
        l.fields = o.fields;
        l.collapse = o.filter.collapse;
        r = call_reply(c, &l.reply);
        if (r >= 0)
                r = list_rows(c, &o, cursor, limit, &l, error);
        return call_send(c, &l.reply, r);
}
DEFINE_METHOD(list_jobs);

static int compare_queues(const Queue *a, const Queue *b) {
        return strcmp(a->name, b->name);
}

static int handle_list_queues(Call *c, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        Queue *q, *t;
        int r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(so)");
        if (r < 0)
                return r;
        HASH_SORT(c->api->model->queues, compare_queues);
        HASH_ITER(hh, c->api->model->queues, q, t) {
                _cleanup_free_ char *path = NULL;
                r = sd_bus_path_encode(JOBMILL_QUEUE_PATH_PREFIX, q->name, &path);
                if (r >= 0)
                        r = sd_bus_message_append(reply, "(so)", q->name, path);
                if (r < 0)
                        return r;
        }
        r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
DEFINE_METHOD(list_queues);
