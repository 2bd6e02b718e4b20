/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The document of a flow (docs/flows.md):
 *
 *   { "jobs": [ { "name": "build", "argv": […], … },
 *               { "name": "test", "argv": […], "after": [ "build", { "job": "lint", "on": "end", "otherwise": "ignore" } ] } ],
 *     "defaults": { … }, "request_id": "…" }
 *
 * A job is what it is anywhere else, but for "after", which may name jobs of the flow. Defaults are put under each job while they
 * are still JSON, so that whatever a key means it means the same in both places. */

#include "queue/flow.h"
#include "base/json-writer.h"
#include "queue/spec-change.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

static void json_object_putp(json_object **o) {
        json_object_put(*o);
}

static int wrong_type(const char *key, const char *wanted, char **ret_error) {
        return spec_error(ret_error, EINVAL, "'%s' must be %s", key, wanted);
}

/* ---- what a job waits for ---- */

static int read_word(json_object *v, const char *key, int (*from_string)(const char *), const char *words, int *ret,
                     char **ret_error) {
        int i = spec_json_text(v) ? from_string(spec_json_text(v)) : -EINVAL;

        if (i < 0)
                return spec_error(ret_error, EINVAL, "'after': '%s' must be %s", key, words);
        *ret = i;
        return 0;
}

static int condition_from_string(const char *s) {
        return after_condition_from_string(s);
}
static int otherwise_from_string(const char *s) {
        return after_otherwise_from_string(s);
}

/* "NAME" or ID. */
static int read_before(json_object *v, FlowEdge *e, uint64_t *ret_id, char **ret_error) {
        if (json_object_is_type(v, json_type_int) && json_object_get_int64(v) > 0) {
                *ret_id = json_object_get_int64(v);
                return 0;
        }
        if (!spec_json_text(v))
                return wrong_type("after", "a list of names, ids, or objects with 'job', 'on', 'otherwise'", ret_error);
        return free_and_strdup(&e->name, spec_json_text(v));
}

static int read_edge(json_object *v, FlowEdge *e, uint64_t *ret_id, char **ret_error) {
        int r, word = 0;

        *ret_id = 0;
        if (!json_object_is_type(v, json_type_object))
                return read_before(v, e, ret_id, ret_error);
        json_object_object_foreach(v, key, value) {
                if (streq(key, "job"))
                        r = read_before(value, e, ret_id, ret_error);
                else if (streq(key, "on")) {
                        r = read_word(value, key, condition_from_string, "success, failure or end", &word, ret_error);
                        if (r >= 0)
                                e->condition = word;
                } else if (streq(key, "otherwise")) {
                        r = read_word(value, key, otherwise_from_string, "fail, ignore or continue", &word, ret_error);
                        if (r >= 0)
                                e->otherwise = word;
                } else
                        r = spec_error_unknown_key(ret_error, key);
                if (r < 0)
                        return r;
        }
        return e->name || *ret_id > 0 ? 0 : spec_error(ret_error, EINVAL, "'after': 'job' is missing");
}

static int read_after(FlowJob *j, json_object *v, char **ret_error) {
        size_t n = json_object_is_type(v, json_type_array) ? json_object_array_length(v) : SIZE_MAX, k = 0;
        _cleanup_free_ After *outside = NULL;
        int r;

        if (n == SIZE_MAX)
                return wrong_type("after", "a list", ret_error);
        if (n > SPEC_AFTER_MAX)
                return spec_error(ret_error, E2BIG, "'after' has more than %u entries", SPEC_AFTER_MAX);
        outside = new0(After, n);
        j->edges = new0(FlowEdge, n);
        if (!outside || !j->edges)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                FlowEdge *e = j->edges + j->n_edges;
                uint64_t id;

                r = read_edge(json_object_array_get_idx(v, i), e, &id, ret_error);
                if (r < 0 || id == 0)
                        j->n_edges++; /* also one that is bad: its name is freed with it */
                if (r < 0)
                        return r;
                if (id > 0) {
                        outside[k++] = (After) { .id = id, .condition = e->condition, .otherwise = e->otherwise };
                        free(e->name);
                        *e = (FlowEdge) {};
                }
        }
        return k == 0 ? 0 : spec_set_edges(j->spec, spec_field_find("after"), TAKE_PTR(outside), k, ret_error);
}

/* ---- what it costs ---- */

/* Long strings, as payloads, may be in a message anyway, and are not what this is about. */
static int check_cost(const char *text, size_t size, size_t jobs_max, char **ret_error) {
        if (jobs_max != SIZE_MAX && json_cost(text, size) - size > FLOW_COST_MAX(jobs_max))
                return spec_error(ret_error, E2BIG, "more JSON values than %zu jobs need (SubmitManyMax=)", jobs_max);
        return 0;
}

/* Each job has a copy of them. */
static int check_defaults(json_object *defaults, size_t n, size_t jobs_max, char **ret_error) {
        const char *text;

        if (!defaults || jobs_max == SIZE_MAX)
                return 0;
        text = json_object_to_json_string_ext(defaults, JSON_C_TO_STRING_PLAIN);
        if (!text)
                return -ENOMEM;
        if (json_cost(text, strlen(text)) > FLOW_COST_MAX(jobs_max) / n)
                return spec_error(ret_error, E2BIG, "'defaults' are too large for %zu jobs, each of which has a copy", n);
        return 0;
}

/* ---- jobs ---- */

/* Lists of defaults come first, and of tags those that the job does not have. */
static int add_default(json_object *o, const char *key, json_object *v) {
        json_object *own, *sum;
        bool list = streq(key, "environment") || streq(key, "properties");

        if (!json_object_object_get_ex(o, key, &own))
                return json_object_object_add(o, key, json_object_get(v)) < 0 ? -ENOMEM : 0;
        if (streq(key, "tags") && json_object_is_type(own, json_type_object) && json_object_is_type(v, json_type_object)) {
                json_object_object_foreach(v, tag, value)
                        if (!json_object_object_get_ex(own, tag, NULL) &&
                            json_object_object_add(own, tag, json_object_get(value)) < 0)
                                return -ENOMEM;
                return 0;
        }
        if (!list || !json_object_is_type(own, json_type_array) || !json_object_is_type(v, json_type_array))
                return 0;
        sum = json_object_new_array();
        if (!sum)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(v); i++)
                json_object_array_add(sum, json_object_get(json_object_array_get_idx(v, i)));
        for (size_t i = 0; i < json_object_array_length(own); i++)
                json_object_array_add(sum, json_object_get(json_object_array_get_idx(own, i)));
        return json_object_object_add(o, key, sum) < 0 ? -ENOMEM : 0;
}

static bool excluded_by(json_object *o, const char *key) {
        static const char *const pairs[][2] = {
                { "payload", "payload_base64" },
                { "credentials", "credentials_base64" },
                { "not_before_usec", "delay_usec" },
        };

        FOREACH_ELEMENT(p, pairs)
                for (int i = 0; i < 2; i++)
                        if (streq(key, (*p)[i]) && json_object_object_get_ex(o, (*p)[1 - i], NULL))
                                return true;
        return false;
}

static int add_defaults(json_object *o, json_object *defaults) {
        int r;

        if (!defaults)
                return 0;
        json_object_object_foreach(defaults, key, value) {
                if (excluded_by(o, key))
                        continue;
                r = add_default(o, key, value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int read_job(FlowJob *j, json_object *o, json_object *defaults, char **ret_error) {
        _cleanup_(json_object_putp) json_object *after = NULL;
        int r;

        if (!json_object_is_type(o, json_type_object))
                return spec_error(ret_error, EINVAL, "not an object");
        j->spec = spec_new();
        if (!j->spec || add_defaults(o, defaults) < 0)
                return -ENOMEM;
        if (json_object_object_get_ex(o, "after", &after)) {
                after = json_object_get(after);
                json_object_object_del(o, "after");
        }
        r = spec_read_json_object(o, j->spec, &j->queue, &j->given, ret_error);
        if (r < 0)
                return r;
        if (isempty(j->spec->name))
                return spec_error(ret_error, EINVAL, "'name' is missing, by which it is known in the flow");
        if (j->spec->request_id)
                return spec_error(ret_error, EINVAL, "'request_id' is the flow's, not a job's");
        if (!after)
                return 0;
        j->given |= spec_field_bit(spec_field_find("after"));
        return read_after(j, after, ret_error);
}

/* Which one it was: by its name, if it has one. */
static int name_job(int r, json_object *o, size_t i, char **ret_error) {
        _cleanup_free_ char *text = NULL;
        json_object *name = NULL;
        char q[SPEC_QUOTE_MAX];

        if (r >= 0 || r == -ENOMEM || !ret_error || !*ret_error)
                return r;
        text = *ret_error;
        *ret_error = NULL;
        if (json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, "name", &name) &&
            json_object_is_type(name, json_type_string))
                return spec_error(ret_error, -r, "job '%s': %s",
                                  spec_quote(q, json_object_get_string(name), json_object_get_string_len(name)), text);
        return spec_error(ret_error, -r, "job %zu: %s", i + 1, text);
}

static int read_jobs(Flow *f, json_object *jobs, json_object *defaults, size_t jobs_max, char **ret_error) {
        size_t n;
        int r;

        if (!json_object_is_type(jobs, json_type_array))
                return wrong_type("jobs", "a list of objects", ret_error);
        n = json_object_array_length(jobs);
        if (n == 0)
                return spec_error(ret_error, EINVAL, "'jobs' is empty");
        if (n > jobs_max)
                return spec_error(ret_error, E2BIG, "more than %zu jobs in one flow (SubmitManyMax=)", jobs_max);
        r = check_defaults(defaults, n, jobs_max, ret_error);
        if (r < 0)
                return r;
        f->jobs = new0(FlowJob, n);
        if (!f->jobs)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                json_object *o = json_object_array_get_idx(jobs, i);

                f->n++;
                r = read_job(f->jobs + i, o, defaults, ret_error);
                if (r < 0)
                        return name_job(r, o, i, ret_error);
        }
        return 0;
}

/* ---- the document ---- */

typedef struct Parts {
        json_object *jobs, *defaults, *request_id;
} Parts;

static int take_apart(json_object *o, Parts *ret, char **ret_error) {
        *ret = (Parts) {};
        json_object_object_foreach(o, key, value) {
                if (streq(key, "jobs"))
                        ret->jobs = value;
                else if (streq(key, "defaults"))
                        ret->defaults = value;
                else if (streq(key, "request_id"))
                        ret->request_id = value;
                else
                        return spec_error_unknown_key(ret_error, key);
        }
        if (!ret->jobs)
                return spec_error(ret_error, EINVAL, "'jobs' is missing");
        if (!ret->defaults)
                return 0;
        if (!json_object_is_type(ret->defaults, json_type_object))
                return wrong_type("defaults", "an object", ret_error);
        if (json_object_object_get_ex(ret->defaults, "name", NULL) || json_object_object_get_ex(ret->defaults, "after", NULL))
                return spec_error(ret_error, EINVAL, "'defaults' can have neither 'name' nor 'after'");
        return 0;
}

int flow_from_json(const char *text, size_t size, size_t jobs_max, Flow **ret, char **ret_error) {
        _cleanup_(json_object_putp) json_object *o = NULL;
        _cleanup_(flow_freep) Flow *f = new0(Flow, 1);
        Parts p;
        int r;

        if (!f)
                return -ENOMEM;
        r = check_cost(text, size, jobs_max, ret_error);
        if (r >= 0)
                r = spec_parse_object(text, size, &o, ret_error);
        if (r >= 0)
                r = take_apart(o, &p, ret_error);
        if (r < 0)
                return r;
        if (p.request_id) {
                if (!spec_json_text(p.request_id))
                        return wrong_type("request_id", "text", ret_error);
                if (free_and_strdup(&f->request_id, spec_json_text(p.request_id)) < 0)
                        return -ENOMEM;
        }
        r = read_jobs(f, p.jobs, p.defaults, jobs_max, ret_error);
        if (r >= 0)
                r = flow_sort(f, ret_error);
        if (r >= 0)
                *ret = TAKE_PTR(f);
        return r;
}

static int add_text(json_object *o, const char *key, const char *text) {
        json_object *v;

        if (!text || json_object_object_get_ex(o, key, NULL))
                return 0;
        v = json_object_new_string(text);
        if (!v || json_object_object_add(o, key, v) < 0) {
                json_object_put(v);
                return -ENOMEM;
        }
        return 0;
}

int flow_json_complete(const char *text, size_t size, const char *defaults, const char *queue, const char *request_id, char **ret,
                       char **ret_error) {
        _cleanup_(json_object_putp) json_object *o = NULL, *under = NULL;
        Parts p;
        int r;

        r = spec_parse_object(text, size, &o, ret_error);
        if (r >= 0)
                r = take_apart(o, &p, ret_error);
        if (r >= 0)
                r = spec_parse_object(defaults, strlen(defaults), &under, ret_error);
        if (r >= 0)
                r = add_text(under, "queue", queue);
        if (r >= 0)
                r = add_text(o, "request_id", request_id);
        if (r >= 0 && p.defaults)
                r = add_defaults(p.defaults, under);
        else if (r >= 0 && json_object_object_add(o, "defaults", json_object_get(under)) < 0)
                r = -ENOMEM;
        if (r < 0)
                return r;
        *ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        return *ret ? 0 : -ENOMEM;
}
