/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* show --tree. What waits for what is no tree: a job is shown once, below the youngest of the jobs that it comes after, and the others
 * are named behind it. An array, whose jobs all come after the same ones, is one line, so there are no more lines than jobs. Ids rise
 * along edges, hence no job is found below itself; how deep it goes is only bounded by what is drawn. */

#include "ctl/show-tree.h"
#include "api/protocol.h"
#include "base/parse.h"
#include "base/strv.h"
#include "ctl/job-dict.h"
#include "ctl/output.h"
#include "ctl/terminal.h"
#include "ctl/text.h"

#define DEPTH_DRAWN 24U
#define OTHERS_NAMED 4U

typedef struct Node {
        JobInfo *job;
        size_t parent;            /* place of it; SIZE_MAX: none */
        size_t first, last, next; /* of its children, and of its parent's; SIZE_MAX: none */
        size_t shown;             /* place of the first one of its array that is there; its own: it is that, or of none */
        unsigned depth;
} Node;

typedef struct Tree {
        JobInfo *jobs; /* by id, rising */
        size_t n;
        Node *nodes;
} Tree;

static void tree_done(Tree *t) {
        job_info_array_free(t->jobs, t->n);
        free(t->nodes);
}

/* ---- reading ---- */

static int read_jobs(sd_bus *bus, uint64_t flow, Tree *t) {
        static const char *const fields[] = { "id",          "name", "argv",  "state", "result", "reason", "exit_status",
                                              "exit_signal", "flow", "after", "array", "array_size", "array_states", NULL };
        Filter f = { .since = USEC_INFINITY, .until = USEC_INFINITY, .flow = flow, .order = (char *) "oldest" };
        _cleanup_free_ char *cursor = NULL;
        int r;

        do {
                _cleanup_free_ char *next = NULL;
                JobInfo *page = NULL, *all;
                size_t n = 0;

                r = job_list_page(bus, &f, arg_json == JSON_OFF ? (char *const *) fields : NULL, strempty(cursor),
                                  JOBMILL_LIST_MAX, &page, &n, &next);
                if (r < 0)
                        return r;
                all = reallocarray(t->jobs, t->n + n + 1, sizeof(JobInfo));
                if (!all) {
                        job_info_array_free(page, n);
                        return ctl_oom();
                }
                memcpy(all + t->n, page, n * sizeof(JobInfo));
                free(page);
                t->jobs = all;
                t->n += n;
                free(cursor);
                cursor = TAKE_PTR(next);
        } while (cursor);
        return 0;
}

/* Of a job of a flow all of that. */
static int read_tree(sd_bus *bus, uint64_t id, Tree *t) {
        uint64_t flow = 0;
        int r;

        r = read_jobs(bus, id, t);
        if (r < 0)
                return r;
        if (t->n == 0)
                return ctl_error(-ENOENT, "%" PRIu64 " is neither a job nor a flow", id);
        if (t->jobs[0].id == id)
                flow = t->jobs[0].flow;
        if (flow == 0)
                return 0;
        tree_done(t);
        *t = (Tree){};
        return read_jobs(bus, flow, t);
}

/* ---- who is below whom ---- */

static size_t find_job(const Tree *t, uint64_t id) {
        size_t a = 0, b = t->n;

        while (a < b) {
                size_t middle = a + (b - a) / 2;

                if (t->jobs[middle].id < id)
                        a = middle + 1;
                else
                        b = middle;
        }
        return a < t->n && t->jobs[a].id == id ? a : SIZE_MAX;
}

/* The line that shows it; SIZE_MAX: none. */
static size_t find_line(const Tree *t, uint64_t id) {
        size_t i = find_job(t, id);

        return i == SIZE_MAX ? i : t->nodes[i].shown;
}

/* Ids of an array follow one another. */
static size_t find_first(const Tree *t, size_t i) {
        const JobInfo *j = t->jobs + i;

        return i > 0 && j->array > 0 && t->jobs[i - 1].array == j->array ? t->nodes[i - 1].shown : i;
}

static int build(Tree *t) {
        t->nodes = new0(Node, t->n);
        if (!t->nodes)
                return ctl_oom();
        for (size_t i = 0; i < t->n; i++) {
                Node *node = t->nodes + i;

                *node = (Node){ .job = t->jobs + i, .parent = SIZE_MAX, .first = SIZE_MAX, .last = SIZE_MAX, .next = SIZE_MAX,
                                .shown = find_first(t, i) };
                if (node->shown != i)
                        continue;
                STRV_FOREACH (a, node->job->after) {
                        size_t before = find_line(t, strtoull(*a, NULL, 10));

                        if (before < i) /* they come by id: the last one is the youngest */
                                node->parent = before;
                }
                if (node->parent == SIZE_MAX)
                        continue;
                Node *parent = t->nodes + node->parent;
                if (parent->first == SIZE_MAX)
                        parent->first = i;
                else
                        t->nodes[parent->last].next = i;
                parent->last = i;
                node->depth = parent->depth + 1;
        }
        return 0;
}

/* ---- printing ---- */

static void print_indent(const Tree *t, const Node *node) {
        bool last[DEPTH_DRAWN];
        unsigned depth = MIN(node->depth, DEPTH_DRAWN), i = depth;

        for (const Node *n = node; i > 0; n = t->nodes + n->parent)
                last[--i] = n->next == SIZE_MAX;
        if (node->depth > DEPTH_DRAWN)
                printf("%s ", glyph(GLYPH_ELLIPSIS));
        for (i = 0; i + 1 < depth; i++)
                fputs(last[i] ? "   " : text_is_utf8() ? "│  " : "|  ", stdout);
        if (depth > 0)
                fputs(text_is_utf8() ? last[depth - 1] ? "└─ " : "├─ " : last[depth - 1] ? "`- " : "|- ", stdout);
}

/* How it comes after the job above it, if not on success, and after which others. Of an array that it comes after, the first. */
static void print_edges(const Tree *t, const Node *node) {
        size_t line, last = SIZE_MAX;
        unsigned named = 0, more = 0;
        bool told = false;

        STRV_FOREACH (a, node->job->after)
                if (!told && node->parent != SIZE_MAX && find_line(t, strtoull(*a, NULL, 10)) == node->parent) {
                        told = true;
                        if (!endswith(*a, ":success"))
                                printf(", on %s", strchr(*a, ':') + 1);
                }
        STRV_FOREACH (a, node->job->after) {
                const char *plain = endswith(*a, ":success");

                line = find_line(t, strtoull(*a, NULL, 10));
                if (line != SIZE_MAX && (line == node->parent || line == last))
                        continue;
                last = line;
                if (named++ < OTHERS_NAMED)
                        printf("%s%.*s", named > 1 ? " " : told ? ", and after " : ", after ",
                               plain ? (int) (plain - *a) : (int) strlen(*a), *a);
                else
                        more++;
        }
        if (more > 0)
                printf(" and %u more", more);
}

static int print_node(const Tree *t, const Node *node) {
        const JobInfo *j = node->job;
        _cleanup_free_ char *title = job_info_title(j), *safe = title ? text_safe(title) : NULL,
                            *shown = safe ? text_cut(safe, 60) : NULL, *reason = NULL;
        bool array = j->array > 0 && node + 1 < t->nodes + t->n && node[1].shown == node->shown;
        char outcome[JOB_STATES_MAX];

        if (j->reason && !job_info_is_done(j) && !array)
                reason = text_safe(j->reason);
        print_indent(t, node);
        printf("%" PRIu64, j->id);
        if (array)
                printf("[%" PRIu32 "]", j->array_size);
        printf("%s%s  %s%s%s%s%s%s", shown ? " " : "", strempty(shown), color(array ? NULL : job_info_color(j)),
               array ? job_info_states(j, outcome) : job_info_outcome(j, outcome, sizeof(outcome)),
               color(!array && job_info_color(j) ? COLOR_OFF : NULL), reason ? " (" : "", strempty(reason), reason ? ")" : "");
        print_edges(t, node);
        putchar('\n');
        return 0;
}

/* Down, then along, then up: with the nodes for a stack. */
static void print_tree(const Tree *t) {
        for (size_t root = 0; root < t->n; root++) {
                size_t at = root;

                if (t->nodes[root].parent != SIZE_MAX || t->nodes[root].shown != root)
                        continue;
                for (;;) {
                        (void) print_node(t, t->nodes + at);
                        if (t->nodes[at].first != SIZE_MAX) {
                                at = t->nodes[at].first;
                                continue;
                        }
                        while (at != root && t->nodes[at].next == SIZE_MAX)
                                at = t->nodes[at].parent;
                        if (at == root)
                                break;
                        at = t->nodes[at].next;
                }
        }
}

static int show_tree(sd_bus *bus, const char *word, bool first, JsonArray *array) {
        _cleanup_(tree_done) Tree t = {};
        uint64_t id;
        int r;

        r = job_id_resolve(bus, word, &id);
        if (r >= 0)
                r = read_tree(bus, id, &t);
        if (r < 0)
                return r;
        pager_open();
        if (arg_json != JSON_OFF) {
                for (size_t i = 0; r >= 0 && i < t.n; i++)
                        r = json_array_add(array, job_info_to_json(t.jobs + i));
                return r;
        }
        r = build(&t);
        if (r < 0)
                return r;
        if (!first)
                putchar('\n');
        if (t.jobs[0].flow > 0)
                printf("Flow %" PRIu64 "\n", t.jobs[0].flow);
        print_tree(&t);
        return 0;
}

int show_trees(sd_bus *bus, int argc, char **argv) {
        JsonArray array = {};
        int worst = 0, shown = 0;

        for (int i = 0; i < MAX(argc, 1); i++) {
                int r = show_tree(bus, argc > 0 ? argv[i] : "@last", shown == 0, &array);

                if (r < 0)
                        worst = r;
                else
                        shown++;
        }
        if (arg_json != JSON_OFF && shown > 0)
                json_array_end(&array);
        return worst;
}
