/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See history-query.h. */

#include "store/history-query.h"

#include "base/parse.h"
#include "base/strv.h"
#include "queue/spec-check.h"
#include "store/store-internal.h"

void job_filter_done(JobFilter *f) {
        free(f->ids);
        strv_free(f->queues);
        free(f->owners);
        free(f->name);
        strv_free(f->types);
        strv_free(f->tags);
        *f = JOB_FILTER_INIT;
}

bool job_filter_is_empty(const JobFilter *f) {
        return f->n_ids == 0 && strv_length(f->queues) == 0 && f->states == 0 && f->results == 0 && f->n_owners == 0 &&
               !f->name && strv_length(f->types) == 0 && strv_length(f->tags) == 0 && f->dead < 0 && f->array == 0 && f->since_usec == USEC_INFINITY &&
               f->until_usec == USEC_INFINITY && f->flow == 0;
}

void query_done(Query *q) {
        fclosep(&q->f);
        free(q->filter);
        for (int i = 0; i < PARAMETERS_MAX; i++)
                free(q->parameters[i].owned);
}

static int query_add_text(Query *q, const char *text) {
        q->parameters[q->n_parameters].text = text;
        return q->n_parameters++;
}

static int query_add_owned(Query *q, char *text) {
        q->parameters[q->n_parameters].owned = text;
        return query_add_text(q, text);
}

int query_add_number(Query *q, uint64_t number) {
        q->parameters[q->n_parameters].number = MIN(number, (uint64_t) INT64_MAX);
        return q->n_parameters++;
}

/* ---- filter ---- */

char *history_numbers_to_json(const uint64_t *ids, const uint32_t *owners, size_t n) {
        char *text = malloc(n * 21 + 3), *p = text;
        if (!text)
                return NULL;

        *p++ = '[';
        for (size_t i = 0; i < n; i++)
                p += sprintf(p, "%s%" PRIu64, i > 0 ? "," : "", ids ? ids[i] : owners[i]);
        (void) stpcpy(p, "]");
        return text;
}

char *history_names_to_json(char *const *names, bool (*is_valid)(const char *)) {
        size_t size = 3;
        char *text, *p;

        STRV_FOREACH(i, names)
                size += strlen(*i) + 3;
        p = text = malloc(size);
        if (!text)
                return NULL;
        *p++ = '[';
        /* Only names that there can be: they need no escapes, and no other can match. */
        STRV_FOREACH(i, names)
                if (is_valid(*i))
                        p += sprintf(p, "%s\"%s\"", p > text + 1 ? "," : "", *i);
        (void) stpcpy(p, "]");
        return text;
}

/* " AND column IN ('a','b')": words of the tables in queue/job.c, for each bit of mask. */
static void filter_words(Query *q, const char *column, unsigned mask, int n, const char *(*word)(int)) {
        bool first = true;

        fprintf(q->f, " AND %s IN (", column);
        for (int i = 0; i < n; i++)
                if (mask & (1U << i)) {
                        fprintf(q->f, "%s'%s'", first ? "" : ",", word(i));
                        first = false;
                }
        fputs(")", q->f);
}

static const char *state_word(int i) {
        return job_state_to_string((JobState) i);
}

static const char *result_word(int i) {
        return job_result_to_string((JobResult) i);
}

static int filter_list(Query *q, const char *format, char *json) {
        if (!json)
                return -ENOMEM;
        fprintf(q->f, format, query_add_owned(q, json));
        return 0;
}

/* All jobs of a flow; or a job, or a whole array, and whatever comes after it. An id is never of both. */
static void filter_flow(Query *q, uint64_t flow) {
        int i = query_add_number(q, flow);

        fprintf(q->f, " AND id IN (WITH RECURSIVE behind (id) AS (SELECT ?%i UNION SELECT j.id FROM array AS a CROSS JOIN job AS j NOT INDEXED"
                      " ON j.id > a.id AND j.id < a.id + a.n AND j.array = a.id WHERE a.id = ?%i UNION SELECT e.job FROM behind CROSS JOIN edge AS e"
                      " INDEXED BY edge_before ON e.before = behind.id) SELECT id FROM behind UNION"
                      " SELECT id FROM job INDEXED BY job_flow WHERE flow = ?%i)", i, i, i);
}

static int filter_write(Query *q, const JobFilter *f) {
        int r = 0;

        if (f->n_ids > 0)
                r = filter_list(q, " AND id IN (SELECT value FROM json_each(?%i))", history_numbers_to_json(f->ids, NULL, f->n_ids));
        if (r >= 0 && strv_length(f->queues) > 0)
                r = filter_list(q, " AND queue IN (SELECT value FROM json_each(?%i))", history_names_to_json(f->queues, queue_name_is_valid));
        if (r >= 0 && strv_length(f->types) > 0)
                r = filter_list(q, " AND type IN (SELECT value FROM json_each(?%i))", history_names_to_json(f->types, type_name_is_valid));
        if (r >= 0 && f->n_owners > 0)
                r = filter_list(q, " AND owner IN (SELECT value FROM json_each(?%i))",
                                history_numbers_to_json(NULL, f->owners, f->n_owners));
        if (r < 0)
                return r;
        if (f->flow > 0)
                filter_flow(q, f->flow);
        if (f->states != 0)
                filter_words(q, "state", f->states, _JOB_STATE_MAX, state_word);
        if (f->results != 0)
                filter_words(q, "ifnull(result, '')", f->results, _JOB_RESULT_MAX, result_word);
        if (f->name)
                fprintf(q->f, " AND name = ?%i", query_add_text(q, f->name));
        if (f->dead >= 0)
                fputs(f->dead > 0 ? " AND dead = 1" : " AND dead = 0", q->f);
        if (f->array > 0) { /* the ids of an array follow one another */
                int a = query_add_number(q, f->array);

                fprintf(q->f, " AND id >= ?%i AND id < ?%i + ifnull((SELECT n FROM array WHERE id = ?%i), 0) AND array = ?%i", a, a, a, a);
        }
        if (f->since_usec != USEC_INFINITY)
                fprintf(q->f, " AND submitted_usec >= ?%i", query_add_number(q, f->since_usec));
        if (f->until_usec != USEC_INFINITY)
                fprintf(q->f, " AND submitted_usec < ?%i", query_add_number(q, f->until_usec));
        STRV_FOREACH_PAIR(key, value, f->tags) {
                int k = query_add_text(q, *key), v = query_add_text(q, *value);

                fprintf(q->f, " AND EXISTS (SELECT 1 FROM json_each(ifnull((SELECT s.spec FROM job_spec AS s WHERE s.job = job.id),"
                              " (SELECT a.spec FROM array AS a WHERE a.id = job.array)), '$.tags') AS t"
                              " WHERE t.key = ?%i AND t.value = ?%i)", k, v);
        }
        return 0;
}

int query_init(Query *q, const JobFilter *f, const char *more) {
        int r;

        *q = (Query) { .n_parameters = PARAMETER_FILTER };
        if (strv_length(f->tags) > 2 * SPEC_TAGS_MAX)
                return -E2BIG;
        q->f = open_memstream(&q->filter, &q->filter_size);
        if (!q->f)
                return -ENOMEM;
        r = filter_write(q, f);
        fputs(more, q->f);
        if (r >= 0 && (ferror(q->f) || fflush(q->f) != 0))
                r = -ENOMEM;
        fclosep(&q->f);
        return r;
}

int query_collapse(Query *q, JobOrder order) {
        const char *others = order == JOB_ORDER_NEWEST ? "o.id > job.id AND o.id < job.array + (SELECT n FROM array WHERE id = job.array)" :
                                                         "o.id >= job.array AND o.id < job.id";
        const char *of_flow = order == JOB_ORDER_NEWEST ? "o.id > job.id AND o.id <= (SELECT max(f.id) FROM job AS f INDEXED BY job_flow"
                                                          " WHERE f.flow = job.flow)" :
                                                          "o.id > job.flow AND o.id < job.id";
        char *text;

        if (asprintf(&text, "%s AND (array IS NULL OR NOT EXISTS (SELECT 1 FROM job AS o NOT INDEXED WHERE %s AND o.array = job.array%s))"
                     " AND (flow IS NULL OR NOT EXISTS (SELECT 1 FROM job AS o NOT INDEXED WHERE %s AND o.flow = job.flow%s))",
                     q->filter, others, q->filter, of_flow, q->filter) < 0)
                return -ENOMEM;
        free(q->filter);
        q->filter = text;
        return 0;
}

int query_prepare(Store *s, Query *q, char *text, sqlite3_stmt **ret) {
        sqlite3_stmt *stmt;
        int rc;

        rc = sqlite3_prepare_v2(s->db, text, -1, &stmt, NULL);
        free(text);
        if (rc != SQLITE_OK)
                return store_sqlite_error(s, rc);

        for (int i = 1; i < q->n_parameters; i++) {
                const Parameter *p = q->parameters + i;

                if (i > sqlite3_bind_parameter_count(stmt))
                        break;
                if (p->text)
                        stmt_bind_text(s, stmt, i, p->text);
                else
                        stmt_bind_i64(s, stmt, i, p->number);
        }
        *ret = stmt;
        return 0;
}
