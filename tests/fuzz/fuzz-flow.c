/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The document of a flow. What is taken stands in an order in which each job comes after those that it waits for, and is the same flow
 * when the tool has completed it; a cycle is told only where there is one. */

#include "fuzz.h"

#include "queue/flow.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

#define JOBS_MAX 100U

/* ---- slowly: is there a cycle? Jobs that wait for nobody who is left are taken out until there is none. ---- */

static const char *name_of(struct json_object *job) {
        struct json_object *v;

        return json_object_object_get_ex(job, "name", &v) ? json_object_get_string(v) : "";
}

static bool waits_for(struct json_object *job, const char *name) {
        struct json_object *after, *v;

        if (!json_object_object_get_ex(job, "after", &after))
                return false;
        for (size_t i = 0; i < json_object_array_length(after); i++) {
                v = json_object_array_get_idx(after, i);
                if (json_object_is_type(v, json_type_object) && !json_object_object_get_ex(v, "job", &v))
                        continue;
                if (json_object_is_type(v, json_type_string) && streq(json_object_get_string(v), name))
                        return true;
        }
        return false;
}

static bool waits(struct json_object *jobs, const bool *out, size_t job) {
        for (size_t i = 0; i < json_object_array_length(jobs); i++)
                if (!out[i] && waits_for(json_object_array_get_idx(jobs, job), name_of(json_object_array_get_idx(jobs, i))))
                        return true;
        return false;
}

static bool has_cycle(const char *text, size_t size) {
        struct json_object *o, *jobs;
        bool out[JOBS_MAX] = {};
        size_t n, left;

        check(spec_parse_object(text, size, &o, NULL) >= 0 && json_object_object_get_ex(o, "jobs", &jobs));
        left = n = json_object_array_length(jobs);
        check(n <= JOBS_MAX);
        for (size_t before = n + 1; left < before;) {
                before = left;
                for (size_t i = 0; i < n; i++)
                        if (!out[i] && !waits(jobs, out, i)) {
                                out[i] = true;
                                left--;
                        }
        }
        json_object_put(o);
        return left > 0;
}

/* ---- what is taken ---- */

static void check_order(const Flow *f) {
        for (size_t i = 0; i < f->n; i++) {
                check(!isempty(f->jobs[i].spec->name));
                for (size_t k = 0; k < i; k++)
                        check(!streq(f->jobs[i].spec->name, f->jobs[k].spec->name));
                for (size_t k = 0; k < f->jobs[i].n_edges; k++) {
                        const FlowEdge *e = f->jobs[i].edges + k;

                        check(e->before < i && streq(e->name, f->jobs[e->before].spec->name));
                        check(k == 0 || e[-1].before < e->before);
                }
        }
}

static void check_same(const Flow *a, const Flow *b) {
        check(a->n == b->n && streq_ptr(a->request_id, b->request_id));
        for (size_t i = 0; i < a->n; i++) {
                _cleanup_free_ char *x = NULL, *y = NULL;
                const FlowJob *j = a->jobs + i, *k = b->jobs + i;

                check(spec_to_json(j->spec, 0, &x) >= 0 && spec_to_json(k->spec, 0, &y) >= 0 && streq(x, y));
                check(streq_ptr(j->queue, k->queue) && j->n_edges == k->n_edges);
                for (size_t e = 0; e < j->n_edges; e++)
                        check(j->edges[e].before == k->edges[e].before && j->edges[e].condition == k->edges[e].condition &&
                              j->edges[e].otherwise == k->edges[e].otherwise);
        }
}

static void completed(const char *text, size_t size, const Flow *f) {
        _cleanup_(flow_freep) Flow *again = NULL;
        _cleanup_free_ char *more = NULL, *error = NULL;

        check(flow_json_complete(text, size, "{}", NULL, NULL, &more, &error) >= 0);
        check_json(more);
        if (strstr(more, "\\u0000") && !strstr(more, "\\\\"))
                check(strstr(more, "\"payload\"")); /* nothing else may have a NUL */
        check(flow_from_json(more, strlen(more), SIZE_MAX, &again, &error) >= 0);
        check_same(f, again);
}

static void ids(Flow *f) {
        uint64_t first[JOBS_MAX], next = 1000;
        char *error = NULL;

        if (flow_fill_specs(f, 100000, &error) < 0) {
                check_message(error);
                free(error);
                return;
        }
        for (size_t i = 0; i < f->n; i++) {
                first[i] = next;
                next += MAX(f->jobs[i].spec->array, 1U);
        }
        for (size_t i = 0; i < f->n; i++) {
                JobSpec *s = f->jobs[i].spec;

                if (spec_validate(s, NULL) < 0)
                        continue;
                flow_resolve_ids(s, first);
                for (size_t k = 0; k < s->n_after; k++)
                        check(!s->after[k].place && (s->after[k].id < first[i] || s->after[k].id >= next));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_free_ char *text = copy_text(data, size), *error = NULL;
        _cleanup_(flow_freep) Flow *f = NULL;
        int r;

        r = flow_from_json(text, size, JOBS_MAX, &f, &error);
        if (r < 0) {
                check(!f);
                check_message(error);
                check((r == -ELOOP) == !!startswith(error, "jobs wait for themselves: "));
                if (r == -ELOOP)
                        check(has_cycle(text, size));
                return 0;
        }
        check(!error && f->n >= 1 && f->n <= JOBS_MAX);
        check_order(f);
        completed(text, size, f);
        ids(f);
        return 0;
}
