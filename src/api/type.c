/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Job types: requests that name one, and the list of them. */

#include "api/dict.h"
#include "api/methods.h"
#include "api/request.h"

#include "base/strv.h"
#include "queue/job-type.h"

static int find_type(const Call *c, const char *name, const JobType **ret, sd_bus_error *error) {
        const JobType *t = job_types_find(c->api->types, name);
        char quoted[SPEC_QUOTE_MAX];

        if (!t)
                return api_error(error, JOBMILL_ERROR_NO_SUCH_TYPE, "There is no job type '%s'", spec_quote(quoted, name, strlen(name)));
        if (job_type_reason(t))
                return api_error(error, JOBMILL_ERROR_TYPE_UNAVAILABLE, "Job type '%s' cannot be used: %s", name, job_type_reason(t));
        *ret = t;
        return 0;
}

int request_apply_type(Call *c, Request *q, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        bool gives_queue;
        const JobType *t;
        int r;

        r = find_type(c, q->spec->type, &t, error);
        if (r < 0)
                return r;
        gives_queue = !isempty(q->queue_name) && !streq(q->queue_name, t->queue ?: JOBMILL_QUEUE_DEFAULT);
        r = job_type_apply(t, q->spec, q->given, gives_queue, &text);
        if (r >= 0 && isempty(q->queue_name))
                r = free_and_strdup(&q->queue_name, t->queue);
        if (r >= 0 || r == -ENOMEM)
                return r;
        return api_error(error, r == -EPERM ? JOBMILL_ERROR_NOT_ALLOWED : JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
}

int request_check_type_user(Call *c, const char *name, const User *u, sd_bus_error *error) {
        const JobType *t;
        int r;

        r = find_type(c, name, &t, error); /* it may have gone while the call waited */
        if (r < 0)
                return r;
        if ((!t->allow_users && !t->allow_groups) || request_lists_user(t->allow_users, t->allow_groups, u) || call_is_root(c))
                return 0;
        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Job type '%s' does not take jobs of user %s", name, u->name ?: "(unknown)");
}

/* ---- the list ---- */

static int append_text(Reply *d, const char *key, const char *value, int r) {
        return r < 0 || !value ? r : dict_append(d, key, "s", value);
}

static int append_words(Reply *d, const char *key, char *const *words, int r) {
        return r < 0 || strv_length(words) == 0 ? r : dict_append_strv(d, key, words);
}

static int append_type(Reply *d, const JobType *t) {
        _cleanup_strv_free_ char **accept = NULL;
        int r;

        r = job_type_accepts(t, &accept);
        if (r >= 0)
                r = reply_open_dict(d, NULL);
        r = append_text(d, "name", t->name, r);
        r = append_text(d, "version", t->version, r);
        r = append_text(d, "description", t->description, r);
        r = append_text(d, "queue", t->queue ?: JOBMILL_QUEUE_DEFAULT, r);
        r = append_words(d, "argv", t->command, r);
        if (r >= 0)
                r = dict_append(d, "available", "b", (int) !job_type_reason(t));
        r = append_text(d, "reason", job_type_reason(t), r);
        r = append_words(d, "accept", accept, r);
        r = append_words(d, "payload_required", t->payload_required, r);
        r = append_words(d, "payload_optional", t->payload_optional, r);
        r = append_words(d, "allow_users", t->allow_users, r);
        r = append_words(d, "allow_groups", t->allow_groups, r);
        r = append_words(d, "properties", t->properties, r);
        r = append_words(d, "files", t->files, r);
        return reply_close_dict(d, r);
}

static int compare_types(const void *a, const void *b) {
        return strcmp((*(JobType *const *) a)->name, (*(JobType *const *) b)->name);
}

int handle_list_types(Call *c, sd_bus_error *error) {
        size_t n = HASH_COUNT(c->api->types->all), i = 0;
        _cleanup_free_ const JobType **l = new0(const JobType *, n + 1);
        Reply reply;
        int r;

        if (!l)
                return -ENOMEM;
        for (const JobType *t = c->api->types->all; t; t = t->hh.next)
                l[i++] = t;
        qsort(l, n, sizeof(JobType *), compare_types);
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_open_array(&reply, "types", "a{sv}");
        for (i = 0; i < n && r >= 0; i++)
                r = append_type(&reply, l[i]);
        if (r >= 0)
                r = reply_close_array(&reply);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(list_types);
