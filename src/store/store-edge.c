/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who waits for whom. Edges are written with the job that waits, and go with it; what has been decided of them is
 * written with the outcome that decided it. "ended" has the jobs of which not all edges to them were decided in one commit, for
 * there may be very many: whatever happens in between, they are found there. */

#include "queue/inputs.h"
#include "store/store-internal.h"

/* ---- record ---- */

int store_record_new_edges(Store *s, const Job *j) {
        int r = 0;

        for (const After *a = j->spec->after; r >= 0 && a < j->spec->after + j->spec->n_after; a++) {
                sqlite3_stmt *stmt = store_stmt(s, STMT_EDGE_INSERT);

                stmt_bind_u64(s, stmt, 1, j->id);
                stmt_bind_u64(s, stmt, 2, a->id);
                stmt_bind_text(s, stmt, 3, after_condition_to_string(a->condition));
                stmt_bind_text(s, stmt, 4, after_otherwise_to_string(a->otherwise));
                stmt_bind_i64(s, stmt, 5, a->met);
                s->has_edges = true;
                r = stmt_exec(s, stmt);
        }
        return r;
}

static int record_edge(Store *s, const EdgeChange *e) {
        sqlite3_stmt *stmt = store_stmt(s, e->before == 0 ? STMT_EDGE_SET_ALL : STMT_EDGE_SET);

        stmt_bind_u64(s, stmt, 1, e->job);
        if (e->before != 0) {
                stmt_bind_u64(s, stmt, 2, e->before);
                stmt_bind_i64(s, stmt, 3, e->met);
        }
        return stmt_exec(s, stmt);
}

int store_record_edges(Store *s, const Model *m) {
        int r = 0;

        for (size_t i = 0; r >= 0 && i < m->releases.n_changes; i++)
                r = record_edge(s, m->releases.changes + i);
        for (const Ended *e = m->releases.ended; r >= 0 && e; e = e->hh.next) {
                sqlite3_stmt *stmt;

                if (e->stored != e->through)
                        continue;
                stmt = store_stmt(s, e->through ? STMT_ENDED_DELETE : STMT_ENDED_INSERT);
                stmt_bind_u64(s, stmt, 1, e->id);
                r = stmt_exec(s, stmt);
        }
        return r;
}

/* ---- load ---- */

/* Most stores have no edge at all: then those of a job are not sought when it starts, nor when it ends. */
int store_look_for_edges(Store *s) {
        _cleanup_free_ char *any = NULL;
        int r;

        r = store_query_text(s, "SELECT EXISTS (SELECT 1 FROM edge)", &any);
        s->has_edges = !streq_ptr(any, "0");
        return r;
}

int store_load_ended(Store *s, Model *m) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ENDED_ALL);
        int r;

        while ((r = stmt_step(s, stmt)) > 0) {
                r = model_ended_add(m, sqlite3_column_int64(stmt, 0), /* stored = */ true);
                if (r < 0)
                        return r;
        }
        return r;
}

static int edge_from_row(Store *s, sqlite3_stmt *stmt, Edge *ret) {
        *ret = (Edge) {
                .job = sqlite3_column_int64(stmt, 0),
                .before = sqlite3_column_int64(stmt, 1),
                .condition = after_condition_from_string(stmt_text(stmt, 2)),
                .otherwise = after_otherwise_from_string(stmt_text(stmt, 3)),
                .met = sqlite3_column_int(stmt, 4),
        };
        if (stmt_no_memory(stmt))
                return -ENOMEM;
        if (ret->condition < 0 || ret->otherwise < 0)
                return store_set_error(s, -EUCLEAN, "What job %" PRIu64 " waits for cannot be understood", ret->job);
        return 0;
}

int store_edges(Store *s, uint64_t job, edge_row_t callback, void *userdata) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_EDGE_ALL);
        int r;

        stmt_bind_u64(s, stmt, 1, job);
        while ((r = stmt_step(s, stmt)) > 0) {
                Edge e;

                r = edge_from_row(s, stmt, &e);
                if (r >= 0)
                        r = callback(userdata, &e);
                if (r != 0)
                        return r;
        }
        return r;
}

int store_open_edges(Store *s, uint64_t job, uint64_t *ids, size_t n, uint64_t *ret_n) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_EDGE_OPEN);
        size_t k = 0;
        int r;

        stmt_bind_u64(s, stmt, 1, job);
        stmt_bind_u64(s, stmt, 2, n);
        while ((r = stmt_step(s, stmt)) > 0)
                ids[k++] = sqlite3_column_int64(stmt, 0);
        *ret_n = k;
        return r;
}

int store_load_waiting_for(Store *s, uint64_t before, uint64_t after, Edge *ret, size_t n, size_t *ret_n) {
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        size_t k = 0;
        int r;

        *ret_n = 0;
        if (!s->has_edges)
                return 0;
        stmt = store_stmt(s, STMT_EDGE_BEHIND);
        stmt_bind_u64(s, stmt, 1, before);
        stmt_bind_u64(s, stmt, 2, after);
        stmt_bind_u64(s, stmt, 3, n);
        while ((r = stmt_step(s, stmt)) > 0) {
                r = edge_from_row(s, stmt, ret + k++);
                if (r < 0)
                        return r;
        }
        if (r >= 0)
                *ret_n = k;
        return r;
}

int store_flow_states(Store *s, uint64_t flow, uint64_t ret[static _JOB_STATE_MAX], uint64_t *ret_dead) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_FLOW_STATES);
        int r;

        memset(ret, 0, _JOB_STATE_MAX * sizeof(uint64_t));
        *ret_dead = 0;
        stmt_bind_u64(s, stmt, 1, flow);
        while ((r = stmt_step(s, stmt)) > 0) {
                JobState state = job_state_from_string(stmt_text(stmt, 0));

                if (state < 0)
                        return stmt_no_memory(stmt) ? -ENOMEM : store_set_error(s, -EUCLEAN, "A job has an unknown state");
                ret[state] = sqlite3_column_int64(stmt, 1);
                *ret_dead += sqlite3_column_int64(stmt, 2);
        }
        return r;
}

int store_is_needed(Store *s, uint64_t id) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_EDGE_NEEDED);

        stmt_bind_u64(s, stmt, 1, id);
        return stmt_step(s, stmt);
}

/* ---- inputs ---- */

static int add_input(sqlite3_stmt *stmt, InputsWriter *w) {
        const char *result = stmt_text(stmt, 2);
        Input in = {
                .id = sqlite3_column_int64(stmt, 0),
                .name = stmt_text(stmt, 1),
                .result = result ? job_result_from_string(result) : JOB_RESULT_NONE,
                .exit_status = sqlite3_column_type(stmt, 3) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, 3),
                .exit_signal = sqlite3_column_int(stmt, 4),
                .success = sqlite3_column_type(stmt, 5) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, 5),
                .verdict = stmt_text(stmt, 6),
        };

        if (stmt_no_memory(stmt))
                return -ENOMEM;
        return in.result < 0 ? -EUCLEAN : inputs_add(w, &in);
}

int store_load_inputs(Store *s, uint64_t job, char **ret) {
        _cleanup_(inputs_freep) InputsWriter *w = NULL;
        _cleanup_stmt_ sqlite3_stmt *stmt = NULL;
        int r;

        *ret = NULL;
        if (!s->has_edges)
                return 0;
        stmt = store_stmt(s, STMT_EDGE_INPUTS);
        stmt_bind_u64(s, stmt, 1, job);
        while ((r = stmt_step(s, stmt)) > 0) {
                if (!w && !(w = inputs_new()))
                        return -ENOMEM;
                r = add_input(stmt, w);
                if (r == -EUCLEAN)
                        return store_set_error(s, r, "What came before job %" PRIu64 " cannot be understood", job);
                if (r < 0)
                        return r;
        }
        if (r < 0 || !w)
                return r;
        *ret = inputs_to_json(w);
        return *ret ? 0 : -ENOMEM;
}
