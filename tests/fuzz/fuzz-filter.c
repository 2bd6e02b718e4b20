/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The parameters of List: {"filter": {…}, "cursor": "…"}, over some jobs. All that is found fits the filter, as a slow reader sees it, and nothing is
 * missed; pages, however small, are the same list; what a cursor leads to is a part of it; and what is wrong is told. */

#include "fuzz.h"

#include "api/api.h"
#include "api/filter.h"
#include "api/read-json.h"
#include "base/strv.h"
#include "queue/model.h"
#include "queue/spec-json.h"

#include <json-c/json.h>

#define JOBS_MAX 64U

typedef struct List {
        uint64_t ids[JOBS_MAX];
        size_t n;
        const JobFilter *filter;
        JobOrder order;
} List;

static Store *store;
static Job *all[JOBS_MAX];
static size_t n_all;

/* ---- jobs ---- */

static void submit(Model *m, unsigned i, const Now *now) {
        static const char *const queues[] = { "a", "a-b", "c" };
        JobSpec *s = spec_new();
        char *error = NULL;
        Queue *q;
        Job *j;

        check(model_queue_add(m, queues[i % 3], &q) >= 0);
        s->argv = strv_split("true", " ");
        if (i % 4 == 0)
                check((s->name = strdup(i % 8 == 0 ? "n" : "m")));
        if (i % 5 == 0)
                s->tags = strv_split(i % 10 == 0 ? "k=v" : "k=w", "=");
        s->hold = i % 7 == 3;
        s->priority = (int32_t) (i % 3);
        if (i == 20)
                s->array = 5;
        check(model_submit(m, q, s, 1000 + i % 2, "u", now, &j, &error) >= 0);
        if (i % 6 == 1)
                check(model_cancel(m, j, "x", now) >= 0);
        else if (i % 6 == 2)
                model_fail(m, j, JOB_EXEC, "y", now);
}

static void make_store(void) {
        _cleanup_(model_freep) Model *m = model_new();
        char *error = NULL;
        Now now = { .realtime = 1000 * USEC_PER_SEC, .monotonic = USEC_PER_SEC, .even = 1000 * USEC_PER_SEC, .steady = 1000 * USEC_PER_SEC };

        check(store_open(STORE_MEMORY, &store, &error) >= 0 && store_load(store, m) >= 0);
        for (unsigned i = 0; i < 24; i++) {
                submit(m, i, &now);
                now.realtime += USEC_PER_SEC;
        }
        check(store_record(store, m) >= 0);
        model_recorded(m);
        for (uint64_t id = 1; id < JOBS_MAX; id++)
                n_all += store_load_job(store, id, all + n_all) >= 0;
        check(n_all >= 24);
}

/* ---- the slow reader ---- */

static bool is_in(uint64_t v, const uint64_t *l, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (l[i] == v)
                        return true;
        return n == 0;
}

/* Of what a row alone tells. */
static bool fits(const Job *j, const List *l) {
        const JobFilter *f = l->filter;
        bool owner = f->n_owners == 0;

        for (size_t i = 0; i < f->n_owners; i++)
                owner = owner || f->owners[i] == j->owner;
        return owner && is_in(j->id, f->ids, f->n_ids) && (!f->queues || strv_contains(f->queues, j->queue_name)) &&
               (f->states == 0 || f->states & 1U << j->state) && (f->results == 0 || f->results & 1U << j->result) &&
               (!f->name || streq_ptr(f->name, j->name)) && (!f->types || (j->type && strv_contains(f->types, j->type))) &&
               (f->dead < 0 || j->dead == (f->dead > 0)) && (f->since_usec == USEC_INFINITY || j->submitted_usec >= f->since_usec) &&
               (f->until_usec == USEC_INFINITY || j->submitted_usec < f->until_usec) && (l->order != JOB_ORDER_RANK || j->state == JOB_READY) &&
               (l->order != JOB_ORDER_FINISHED || j->state == JOB_DONE);
}

static int on_row(void *userdata, JobRow *row) {
        List *l = userdata;

        check(l->n < JOBS_MAX && fits(row->job, l) && !is_in(row->job->id, l->ids, l->n ?: 1));
        l->ids[l->n++] = row->job->id;
        return 0;
}

static int read_pages(List *l, const char *cursor, uint32_t limit) {
        _cleanup_free_ char *next = strdup(cursor);
        int r;

        for (unsigned n = 0; n == 0 || *next; n++) {
                char *behind = NULL;

                check(n < 2 * JOBS_MAX);
                r = history_list(store, l->filter, l->order, next, limit, false, on_row, l, &behind);
                if (r < 0)
                        return r;
                free(next);
                next = behind;
        }
        return 0;
}

static void list(const ListOptions *o, const char *cursor, uint32_t limit) {
        List whole = { .filter = &o->filter, .order = o->order }, pages = whole, part = whole;
        const JobFilter *f = &o->filter;
        size_t n = 0;
        int r;

        check(read_pages(&whole, "", 1000) >= 0);
        check(read_pages(&pages, "", limit) >= 0 && pages.n == whole.n && memcmp(pages.ids, whole.ids, whole.n * sizeof(uint64_t)) == 0);
        for (size_t i = 1; i < whole.n && whole.order <= JOB_ORDER_OLDEST; i++)
                check((whole.ids[i] > whole.ids[i - 1]) == (whole.order == JOB_ORDER_OLDEST));
        for (size_t i = 0; i < n_all; i++)
                n += fits(all[i], &whole);
        check(whole.n <= n);
        if (!f->collapse && !f->tags && f->array == 0 && f->flow == 0)
                check(whole.n == n);
        r = read_pages(&part, cursor, limit);
        check(r >= 0 || r == -EINVAL);
        check(part.n <= whole.n);
        if (r >= 0)
                check(part.n == 0 || memcmp(part.ids, whole.ids + whole.n - part.n, part.n * sizeof(uint64_t)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(list_options_done) ListOptions o = {};
        _cleanup_free_ char *text = copy_text(data, size), *why = NULL;
        const char *cursor;
        json_object *p;
        int r;

        if (!store)
                make_store();
        if (spec_parse_object(text, size, &p, &why) < 0)
                return 0;
        r = filter_read_json(p, "filter", &o, &error);
        if (r >= 0)
                r = read_json_string(p, "cursor", "", &cursor, &error);
        check((r < 0) == !!sd_bus_error_is_set(&error));
        if (r < 0)
                check_message(error.message);
        else
                list(&o, cursor, 1 + size % 5);
        json_object_put(p);
        return 0;
}
