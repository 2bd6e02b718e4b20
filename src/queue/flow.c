/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The graph of a flow: names become indices, and the jobs are put behind what they wait for (Kahn). What cannot be placed
 * waits for itself: then going back from one such job to one that it waits for, again and again, must come to a job for the second time,
 * and that is the path to tell. */

#include "queue/flow.h"

#define PATH_SHOWN 12U /* names of it */

Flow *flow_free(Flow *f) {
        if (!f)
                return NULL;
        for (size_t i = 0; i < f->n; i++) {
                for (size_t k = 0; k < f->jobs[i].n_edges; k++)
                        free(f->jobs[i].edges[k].name);
                free(f->jobs[i].edges);
                free(f->jobs[i].queue);
                spec_free(f->jobs[i].spec);
        }
        free(f->jobs);
        free(f->request_id);
        return mfree(f);
}

/* ---- names ---- */

static const char *quote(char buf[static SPEC_QUOTE_MAX], const FlowJob *j) {
        return spec_quote(buf, j->spec->name, strlen(j->spec->name));
}

static int resolve_edges(const Flow *f, FlowJob *names, FlowJob *j, char **ret_error) {
        char q[SPEC_QUOTE_MAX], p[SPEC_QUOTE_MAX];

        for (FlowEdge *e = j->edges; e < j->edges + j->n_edges; e++) {
                FlowJob *before;

                HASH_FIND(hh, names, e->name, strlen(e->name), before);
                if (!before)
                        return spec_error(ret_error, EINVAL, "job '%s': 'after': there is no job '%s' in this flow", quote(q, j),
                                          spec_quote(p, e->name, strlen(e->name)));
                e->before = before - f->jobs;
        }
        return 0;
}

static int compare_edges(const void *a, const void *b) {
        uint32_t x = ((const FlowEdge *) a)->before, y = ((const FlowEdge *) b)->before;

        return x < y ? -1 : x > y;
}

/* Each job once: what two conditions for the same one would mean nobody could say. */
static int check_twice(const Flow *f, FlowJob *j, char **ret_error) {
        char q[SPEC_QUOTE_MAX], p[SPEC_QUOTE_MAX];

        if (j->n_edges > 1)
                qsort(j->edges, j->n_edges, sizeof(FlowEdge), compare_edges);
        for (size_t i = 1; i < j->n_edges; i++)
                if (j->edges[i].before == j->edges[i - 1].before)
                        return spec_error(ret_error, EINVAL, "job '%s': 'after': '%s' stands there twice", quote(q, j),
                                          quote(p, f->jobs + j->edges[i].before));
        return 0;
}

static int resolve_names(Flow *f, char **ret_error) {
        FlowJob *names = NULL, *other, *t;
        char q[SPEC_QUOTE_MAX];
        int r = 0;

        for (FlowJob *j = f->jobs; r >= 0 && j < f->jobs + f->n; j++) {
                HASH_FIND(hh, names, j->spec->name, strlen(j->spec->name), other);
                if (other)
                        r = spec_error(ret_error, EINVAL, "jobs %td and %td have the same name '%s'", other - f->jobs + 1,
                                       j - f->jobs + 1, quote(q, j));
                else
                        HASH_ADD_KEYPTR(hh, names, j->spec->name, strlen(j->spec->name), j);
        }
        for (FlowJob *j = f->jobs; r >= 0 && j < f->jobs + f->n; j++) {
                r = resolve_edges(f, names, j, ret_error);
                if (r >= 0)
                        r = check_twice(f, j, ret_error);
        }
        HASH_ITER(hh, names, other, t)
                HASH_DEL(names, other);
        return r;
}

/* ---- order ---- */

typedef struct Sorter {
        uint32_t *waits_for; /* of each: so many that are not placed yet */
        uint32_t *begin;     /* of each: where in after those begin that wait for it; one more at the end */
        uint32_t *after;
        uint32_t *order;     /* place → job */
        uint32_t *place;     /* job → place */
} Sorter;

static void sorter_done(Sorter *s) {
        free(s->waits_for);
        free(s->begin);
        free(s->after);
        free(s->order);
        free(s->place);
}

static bool is_sorted(const Flow *f) {
        for (size_t i = 0; i < f->n; i++)
                for (size_t k = 0; k < f->jobs[i].n_edges; k++)
                        if (f->jobs[i].edges[k].before >= i)
                                return false;
        return true;
}

/* Who waits for each, as one array. */
static int sorter_init(Sorter *s, const Flow *f) {
        size_t n_edges = 0;

        for (size_t i = 0; i < f->n; i++)
                n_edges += f->jobs[i].n_edges;
        s->waits_for = new0(uint32_t, f->n);
        s->begin = new0(uint32_t, f->n + 2);
        s->after = new0(uint32_t, n_edges);
        s->order = new0(uint32_t, f->n);
        s->place = new0(uint32_t, f->n);
        if (!s->waits_for || !s->begin || !s->after || !s->order || !s->place)
                return -ENOMEM;
        for (size_t i = 0; i < f->n; i++) {
                s->waits_for[i] = f->jobs[i].n_edges;
                for (size_t k = 0; k < f->jobs[i].n_edges; k++)
                        s->begin[f->jobs[i].edges[k].before + 2]++;
        }
        for (size_t i = 2; i < f->n + 2; i++)
                s->begin[i] += s->begin[i - 1];
        for (size_t i = 0; i < f->n; i++)
                for (size_t k = 0; k < f->jobs[i].n_edges; k++)
                        s->after[s->begin[f->jobs[i].edges[k].before + 1]++] = i;
        return 0;
}

/* The order as a queue: first those that wait for nothing, as they stand in the document. How many could be placed. */
static size_t place_all(Sorter *s, size_t n) {
        size_t end = 0;

        for (size_t i = 0; i < n; i++)
                if (s->waits_for[i] == 0)
                        s->order[end++] = i;
        for (size_t at = 0; at < end; at++) {
                uint32_t job = s->order[at];

                s->place[job] = at;
                for (uint32_t k = s->begin[job]; k < s->begin[job + 1]; k++)
                        if (--s->waits_for[s->after[k]] == 0)
                                s->order[end++] = s->after[k];
        }
        return end;
}

/* Back along edges among those that were not placed. path[i + 1] is what path[i] waits for; its end is its begin. */
static size_t find_cycle(const Sorter *s, const Flow *f, uint32_t *path) {
        size_t n = 0, start;
        uint32_t at = 0;

        for (size_t i = 0; i < f->n; i++)
                s->place[i] = UINT32_MAX;
        while (s->waits_for[at] == 0)
                at++;
        while (s->place[at] == UINT32_MAX) {
                const FlowEdge *e = f->jobs[at].edges;

                s->place[at] = n;
                path[n++] = at;
                while (s->waits_for[e->before] == 0)
                        e++;
                at = e->before;
        }
        start = s->place[at];
        memmove(path, path + start, (n - start) * sizeof(uint32_t));
        path[n - start] = at;
        return n - start + 1;
}

/* In the order in which they would run. */
static int tell_cycle(const Sorter *s, const Flow *f, char **ret_error) {
        _cleanup_free_ uint32_t *path = new0(uint32_t, f->n + 1);
        _cleanup_free_ char *text = NULL;
        char q[SPEC_QUOTE_MAX];
        size_t n, size;
        FILE *stream;
        bool failed;

        if (!path)
                return -ENOMEM;
        n = find_cycle(s, f, path);
        stream = open_memstream(&text, &size);
        if (!stream)
                return -ENOMEM;
        for (size_t i = n; i-- > 0;) {
                if (n > PATH_SHOWN && i == n - PATH_SHOWN + 1) {
                        fprintf(stream, " → … (%zu more)", i);
                        i = 0;
                }
                fprintf(stream, "%s%s", i == n - 1 ? "" : " → ", quote(q, f->jobs + path[i]));
        }
        failed = ferror(stream);
        if (fclose(stream) != 0 || failed)
                return -ENOMEM;
        return spec_error(ret_error, ELOOP, "jobs wait for themselves: %s", text);
}

static int put_in_order(Flow *f, const Sorter *s) {
        FlowJob *l = new0(FlowJob, f->n);

        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < f->n; i++) {
                l[i] = f->jobs[s->order[i]];
                for (size_t k = 0; k < l[i].n_edges; k++)
                        l[i].edges[k].before = s->place[l[i].edges[k].before];
                if (l[i].n_edges > 1)
                        qsort(l[i].edges, l[i].n_edges, sizeof(FlowEdge), compare_edges);
        }
        free(f->jobs);
        f->jobs = l;
        return 0;
}

int flow_sort(Flow *f, char **ret_error) {
        _cleanup_(sorter_done) Sorter s = {};
        int r;

        r = resolve_names(f, ret_error);
        if (r < 0 || is_sorted(f))
                return r;
        r = sorter_init(&s, f);
        if (r < 0)
                return r;
        if (place_all(&s, f->n) < f->n)
                return tell_cycle(&s, f, ret_error);
        return put_in_order(f, &s);
}

/* ---- ids ---- */

#define PLACE_BASE (UINT64_C(1) << 62) /* behind all ids of jobs, where lists are sorted */
#define PLACE_SHIFT 32

uint64_t flow_place(uint32_t i, uint32_t element) {
        return PLACE_BASE + ((uint64_t) i << PLACE_SHIFT) + element;
}

uint32_t flow_place_job(uint64_t id) {
        return (id - PLACE_BASE) >> PLACE_SHIFT;
}

static uint32_t n_jobs(const FlowJob *j) {
        return MAX(j->spec->array, UINT32_C(1));
}

/* How many it waits for. */
static size_t count_after(const Flow *f, const FlowJob *j) {
        size_t n = j->spec->n_after;

        for (const FlowEdge *e = j->edges; e < j->edges + j->n_edges; e++)
                n += n_jobs(f->jobs + e->before);
        return n;
}

/* Before there is memory for them. */
static int check_after(const Flow *f, uint64_t edges_max, char **ret_error) {
        char q[SPEC_QUOTE_MAX];
        uint64_t n_edges = 0;

        for (const FlowJob *j = f->jobs; j < f->jobs + f->n; j++) {
                size_t n = count_after(f, j);

                if (n > SPEC_AFTER_MAX)
                        return spec_error(ret_error, EINVAL, "job '%s': 'after': more than %u jobs", quote(q, j), SPEC_AFTER_MAX);
                n_edges += n * n_jobs(j);
        }
        if (n_edges > edges_max)
                return spec_error(ret_error, E2BIG, "after: the jobs of this flow come after others %" PRIu64 " times, at most %" PRIu64
                                  " may be (EdgesMax=)", n_edges, edges_max);
        return 0;
}

int flow_fill_specs(Flow *f, uint64_t edges_max, char **ret_error) {
        int r;

        r = check_after(f, edges_max, ret_error);
        if (r < 0)
                return r;
        for (FlowJob *j = f->jobs; j < f->jobs + f->n; j++) {
                JobSpec *s = j->spec;
                After *l;

                if (j->n_edges == 0)
                        continue;
                l = reallocarray(s->after, count_after(f, j), sizeof(After));
                if (!l)
                        return -ENOMEM;
                s->after = l;
                /* Sorted, as the setter leaves them: by place, behind all that are there. */
                for (const FlowEdge *e = j->edges; e < j->edges + j->n_edges; e++)
                        for (uint32_t i = 0; i < n_jobs(f->jobs + e->before); i++)
                                l[s->n_after++] = (After) {
                                        .id = flow_place(e->before, i), .condition = e->condition, .otherwise = e->otherwise,
                                        .place = true,
                                };
        }
        return 0;
}

void flow_resolve_ids(JobSpec *s, const uint64_t *ids) {
        for (After *a = s->after; a < s->after + s->n_after; a++)
                if (a->place) {
                        a->id = ids[flow_place_job(a->id)] + (a->id & UINT32_MAX);
                        a->place = false;
                }
}
