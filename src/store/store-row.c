/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rows and objects: a job and an attempt are put into a row and taken out of one in one place each. A row that cannot be understood is
 * -EUCLEAN: somebody else wrote it. */

#include "base/strv.h"
#include "store/store-internal.h"

/* ---- job ---- */

static const char *result_to_column(JobResult r) {
        return r == JOB_RESULT_NONE ? NULL : job_result_to_string(r);
}

static const SpecField *output_field, *verify_field; /* that have words; each job is asked for them more than once */

static void find_fields(void) {
        if (output_field)
                return;
        output_field = spec_field_find("stdout");
        verify_field = spec_field_find("verify");
}

/* One of the words of the spec's field; NULL: not given. */
static const char *word_to_column(const SpecField *field, unsigned value) {
        return value == 0 ? NULL : field->words[value];
}

static int row_to_word(sqlite3_stmt *stmt, int i, const SpecField *field, unsigned *ret) {
        const char *text = stmt_text(stmt, i);
        int k;

        *ret = 0;
        if (!text)
                return stmt_no_memory(stmt) ? -ENOMEM : 0;
        k = spec_field_word(field, text);
        if (k < 0)
                return -EUCLEAN;
        *ret = k;
        return 0;
}

/* 0: of none. */
static void bind_id(Store *s, sqlite3_stmt *stmt, int i, uint64_t id) {
        stmt_bind_u64(s, stmt, i, id == 0 ? UINT64_MAX : id);
}

static uint64_t row_to_id(sqlite3_stmt *stmt, int i) {
        return sqlite3_column_int64(stmt, i); /* NULL: 0 */
}

void job_to_row(Store *s, sqlite3_stmt *stmt, const Job *j) {
        int i = 1;

        find_fields();
        stmt_bind_u64(s, stmt, i++, j->id);
        stmt_bind_text(s, stmt, i++, j->queue_name);
        stmt_bind_u64(s, stmt, i++, j->owner);
        stmt_bind_text(s, stmt, i++, j->owner_name);
        stmt_bind_text(s, stmt, i++, j->name);
        stmt_bind_text(s, stmt, i++, job_state_to_string(j->state));
        stmt_bind_text(s, stmt, i++, result_to_column(j->result));
        stmt_bind_text(s, stmt, i++, result_to_column(j->intent));
        stmt_bind_text(s, stmt, i++, j->reason);
        stmt_bind_i64(s, stmt, i++, j->priority);
        stmt_bind_i64(s, stmt, i++, j->rank);
        stmt_bind_u64(s, stmt, i++, j->slots);
        stmt_bind_u64(s, stmt, i++, j->attempt);
        stmt_bind_u64(s, stmt, i++, j->max_attempts);
        stmt_bind_i64(s, stmt, i++, j->dead);
        stmt_bind_u64(s, stmt, i++, j->submitted_usec);
        stmt_bind_u64(s, stmt, i++, j->not_before_usec);
        stmt_bind_u64(s, stmt, i++, j->ready_usec);
        stmt_bind_u64(s, stmt, i++, j->started_usec);
        stmt_bind_u64(s, stmt, i++, j->finished_usec);
        stmt_bind_u64(s, stmt, i++, j->wait_usec);
        stmt_bind_u64(s, stmt, i++, j->timeout_usec);
        stmt_bind_u64(s, stmt, i++, j->stop_timeout_usec);
        stmt_bind_i64(s, stmt, i++, j->privileged);
        stmt_bind_i64(s, stmt, i++, j->delayed);
        stmt_bind_text(s, stmt, i++, word_to_column(output_field, j->output));
        stmt_bind_text(s, stmt, i++, word_to_column(verify_field, j->verify));
        stmt_bind_u64(s, stmt, i++, j->deadline_usec);
        stmt_bind_u64(s, stmt, i++, j->keep_usec);
        stmt_bind_u64(s, stmt, i++, j->ended_usec);
        stmt_bind_i64(s, stmt, i++, j->submission_key);
        stmt_bind_i64(s, stmt, i++, j->fair);
        stmt_bind_u64(s, stmt, i++, j->poison);
        stmt_bind_u64(s, stmt, i++, j->blockers);
        bind_id(s, stmt, i++, j->flow);
        bind_id(s, stmt, i++, j->array);
        stmt_bind_u64(s, stmt, i++, j->array == 0 ? UINT64_MAX : j->array_index);
        stmt_bind_i64(s, stmt, i++, j->array_waits);
        stmt_bind_text(s, stmt, i++, j->unique_key);
        stmt_bind_text(s, stmt, i++, j->unique_scope == UNIQUE_NONE ? NULL : unique_scope_to_string(j->unique_scope));
        stmt_bind_u64(s, stmt, i++, j->unique_until_usec);
        stmt_bind_i64(s, stmt, i++, j->unique_held ? 1 : j->unique_lent ? 2 : 0);
        stmt_bind_u64(s, stmt, i++, j->failures);
        stmt_bind_u64(s, stmt, i++, j->grown);
        stmt_bind_text(s, stmt, i++, j->type);
        stmt_bind_text(s, stmt, i++, j->type_version);
        stmt_bind_i64(s, stmt, i++, j->foreground);
        stmt_bind_i64(s, stmt, i++, j->callbacks);
        assert(i == JOB_N_COLUMNS + 1);
}

static int row_to_result(sqlite3_stmt *stmt, int i, JobResult *ret) {
        const char *text = stmt_text(stmt, i);

        if (!text && stmt_no_memory(stmt))
                return -ENOMEM;
        *ret = text ? job_result_from_string(text) : JOB_RESULT_NONE;
        return *ret < 0 ? -EUCLEAN : 0;
}

static int row_to_unique(Store *s, sqlite3_stmt *stmt, int i, Job *j) {
        if (stmt_strdup(stmt, i, &j->unique_key) < 0)
                return -ENOMEM;
        j->unique_scope = unique_scope_from_string(strempty(stmt_text(stmt, i + 1)));
        j->unique_until_usec = stmt_u64(stmt, i + 2);
        j->unique_held = sqlite3_column_int(stmt, i + 3) == 1;
        j->unique_lent = sqlite3_column_int(stmt, i + 3) == 2;
        if (stmt_no_memory(stmt))
                return -ENOMEM;
        if (j->unique_scope < 0 || ((j->unique_held || j->unique_lent) && !j->unique_key))
                return store_set_error(s, -EUCLEAN, "Job %" PRIu64 " has an unknown scope of its unique key", j->id);
        return 0;
}

int job_from_row(Store *s, sqlite3_stmt *stmt, Job **ret) {
        _cleanup_(job_freep) Job *j = job_new();
        int i = 0, r;

        if (!j)
                return -ENOMEM;
        find_fields();
        j->id = stmt_u64(stmt, i++);
        if (stmt_strdup(stmt, i++, &j->queue_name) < 0)
                return -ENOMEM;
        j->owner = stmt_u64(stmt, i++);
        if (stmt_strdup(stmt, i++, &j->owner_name) < 0 || stmt_strdup(stmt, i++, &j->name) < 0)
                return -ENOMEM;
        j->state = job_state_from_string(stmt_text(stmt, i++));
        r = row_to_result(stmt, i++, &j->result);
        if (r >= 0)
                r = row_to_result(stmt, i++, &j->intent);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || j->state < 0)
                return store_set_error(s, -EUCLEAN, "Job %" PRIu64 " has an unknown state or result", j->id);
        if (stmt_strdup(stmt, i++, &j->reason) < 0)
                return -ENOMEM;
        j->priority = sqlite3_column_int(stmt, i++);
        j->rank = sqlite3_column_int64(stmt, i++);
        j->slots = stmt_u64(stmt, i++);
        j->attempt = stmt_u64(stmt, i++);
        j->max_attempts = stmt_u64(stmt, i++);
        j->dead = sqlite3_column_int(stmt, i++);
        j->submitted_usec = stmt_u64(stmt, i++);
        j->not_before_usec = stmt_u64(stmt, i++);
        j->ready_usec = stmt_u64(stmt, i++);
        j->started_usec = stmt_u64(stmt, i++);
        j->finished_usec = stmt_u64(stmt, i++);
        j->wait_usec = stmt_u64(stmt, i++);
        j->timeout_usec = stmt_u64(stmt, i++);
        j->stop_timeout_usec = stmt_u64(stmt, i++);
        j->privileged = sqlite3_column_int(stmt, i++);
        j->delayed = sqlite3_column_int(stmt, i++);
        r = row_to_word(stmt, i++, output_field, &j->output);
        if (r >= 0)
                r = row_to_word(stmt, i++, verify_field, &j->verify);
        if (r < 0)
                return r == -ENOMEM ? r : store_set_error(s, r, "Job %" PRIu64 " has an unknown word for its output", j->id);
        j->deadline_usec = stmt_u64(stmt, i++);
        j->keep_usec = stmt_u64(stmt, i++);
        j->ended_usec = stmt_u64(stmt, i++);
        j->submission_key = sqlite3_column_int64(stmt, i++);
        j->fair = sqlite3_column_int(stmt, i++);
        j->poison = sqlite3_column_int64(stmt, i++);
        j->blockers = sqlite3_column_int64(stmt, i++);
        j->flow = row_to_id(stmt, i++);
        j->array = row_to_id(stmt, i++);
        j->array_index = row_to_id(stmt, i++);
        j->array_waits = sqlite3_column_int(stmt, i++);
        r = row_to_unique(s, stmt, i, j);
        if (r < 0)
                return r;
        i += 4;
        j->failures = sqlite3_column_int64(stmt, i++);
        j->grown = sqlite3_column_int64(stmt, i++);
        if (stmt_strdup(stmt, i++, &j->type) < 0 || stmt_strdup(stmt, i++, &j->type_version) < 0)
                return -ENOMEM;
        j->foreground = sqlite3_column_int(stmt, i++);
        j->callbacks = stmt_u64(stmt, i++);
        assert(i == JOB_N_COLUMNS);
        r = store_read_array(s, j);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(j);
        return 0;
}

/* ---- attempt ---- */

void bind_id128(Store *s, sqlite3_stmt *stmt, int i, const sd_id128_t *id) {
        stmt_bind_blob(s, stmt, i, id->bytes, sizeof(id->bytes));
}

void attempt_to_row(Store *s, sqlite3_stmt *stmt, const Attempt *a, const char *numbers) {
        const Outcome *o = &a->outcome;
        int i = 1;

        stmt_bind_u64(s, stmt, i++, a->job_id);
        stmt_bind_u64(s, stmt, i++, a->number);
        bind_id128(s, stmt, i++, &a->epoch.boot_id);
        stmt_bind_u64(s, stmt, i++, a->epoch.userspace_usec);
        bind_id128(s, stmt, i++, &a->token);
        if (!sd_id128_is_null(a->invocation_id))
                bind_id128(s, stmt, i, &a->invocation_id);
        i++;
        stmt_bind_u64(s, stmt, i++, a->slots);
        stmt_bind_text(s, stmt, i++, numbers);
        stmt_bind_u64(s, stmt, i++, a->created_usec);
        stmt_bind_text(s, stmt, i++, result_to_column(o->result));
        stmt_bind_text(s, stmt, i++, o->reason);
        stmt_bind_u64(s, stmt, i++, o->exit_status < 0 ? UINT64_MAX : (uint64_t) o->exit_status);
        stmt_bind_u64(s, stmt, i++, o->exit_signal <= 0 ? UINT64_MAX : (uint64_t) o->exit_signal);
        stmt_bind_u64(s, stmt, i++, o->started_usec);
        stmt_bind_u64(s, stmt, i++, o->finished_usec);
        stmt_bind_u64(s, stmt, i++, o->runtime_usec);
        stmt_bind_u64(s, stmt, i++, o->cpu_usec);
        stmt_bind_u64(s, stmt, i++, o->memory_peak);
        stmt_bind_i64(s, stmt, i++, o->memory_peak_sampled);
        stmt_bind_u64(s, stmt, i++, o->io_read_bytes);
        stmt_bind_u64(s, stmt, i++, o->io_write_bytes);
        stmt_bind_u64(s, stmt, i++, o->tasks_peak);
        stmt_bind_text(s, stmt, i++, a->freezer == FREEZER_THAWED ? NULL : freezer_to_string(a->freezer));
        stmt_bind_u64(s, stmt, i++, a->freezer_usec);
        stmt_bind_i64(s, stmt, i++, MIN(a->frozen_usec, (usec_t) INT64_MAX));
        stmt_bind_text(s, stmt, i++, o->verdict);
        stmt_bind_u64(s, stmt, i++, o->success < 0 ? UINT64_MAX : (uint64_t) o->success);
        stmt_bind_text(s, stmt, i++, o->io_stdout);
        stmt_bind_text(s, stmt, i++, o->io_stderr);
        stmt_bind_u64(s, stmt, i++, o->memory_max);
        stmt_bind_text(s, stmt, i++, a->executor == EXECUTOR_SERVICE ? NULL : executor_to_string(a->executor));
        stmt_bind_u64(s, stmt, i++, a->worker_id > 0 ? a->worker_id : UINT64_MAX);
        stmt_bind_text(s, stmt, i++, a->engine);
}

bool row_to_id128(sqlite3_stmt *stmt, int i, sd_id128_t *ret) {
        if (sqlite3_column_bytes(stmt, i) != sizeof(ret->bytes))
                return false;
        memcpy(ret->bytes, sqlite3_column_blob(stmt, i), sizeof(ret->bytes));
        return true;
}

static int row_to_slot_numbers(sqlite3_stmt *stmt, int i, Attempt *a) {
        const char *text = stmt_text(stmt, i);
        uint32_t n = 0;
        int r;

        if (!text)
                return stmt_no_memory(stmt) ? -ENOMEM : 0;
        r = attempt_slot_numbers_from_string(text, &a->slot_numbers, &n);
        if (r < 0)
                return r == -ENOMEM ? r : -EUCLEAN;
        return n == a->slots ? 0 : -EUCLEAN;
}

static int row_to_outcome(sqlite3_stmt *stmt, int i, Outcome *o) {
        int r = row_to_result(stmt, i++, &o->result);
        if (r < 0)
                return r;
        r = stmt_strdup(stmt, i++, &o->reason);
        if (r < 0)
                return r;
        o->exit_status = sqlite3_column_type(stmt, i) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, i);
        i++;
        o->exit_signal = sqlite3_column_int(stmt, i++);
        o->started_usec = stmt_u64(stmt, i++);
        o->finished_usec = stmt_u64(stmt, i++);
        o->runtime_usec = stmt_u64(stmt, i++);
        o->cpu_usec = stmt_u64(stmt, i++);
        o->memory_peak = stmt_u64(stmt, i++);
        o->memory_peak_sampled = sqlite3_column_int(stmt, i++);
        o->io_read_bytes = stmt_u64(stmt, i++);
        o->io_write_bytes = stmt_u64(stmt, i++);
        o->tasks_peak = stmt_u64(stmt, i++);
        return 0;
}

static int row_to_verdict(sqlite3_stmt *stmt, int i, Outcome *o) {
        int r;

        r = stmt_strdup(stmt, i++, &o->verdict);
        o->success = sqlite3_column_type(stmt, i) == SQLITE_NULL ? -1 : sqlite3_column_int(stmt, i);
        i++;
        if (r >= 0)
                r = stmt_strdup(stmt, i++, &o->io_stdout);
        return r < 0 ? r : stmt_strdup(stmt, i, &o->io_stderr);
}

static int row_to_executor(sqlite3_stmt *stmt, int i, Attempt *a) {
        const char *text = stmt_text(stmt, i);
        uint64_t id = stmt_u64(stmt, i + 1);

        a->executor = text ? executor_from_string(text) : EXECUTOR_SERVICE;
        a->worker_id = id == UINT64_MAX ? 0 : id;
        if (a->executor < 0 || executor_has_worker(a->executor) != (a->worker_id > 0))
                return -EUCLEAN;
        return a->executor == EXECUTOR_SCOPE ? attempt_be_scope(a) : 0;
}

/* Of a worker's nothing but when it was sent is known. */
bool attempt_was_seen_started(const Attempt *a) {
        return executor_has_worker(a->executor) ? a->outcome.started_usec != USEC_INFINITY : !sd_id128_is_null(a->invocation_id);
}

int attempt_from_row(Store *s, sqlite3_stmt *stmt, Attempt **ret) {
        _cleanup_(attempt_freep) Attempt *a = attempt_new(stmt_u64(stmt, 0), stmt_u64(stmt, 1));
        int r = 0;

        if (!a)
                return -ENOMEM;
        if (!row_to_id128(stmt, 2, &a->epoch.boot_id) || !row_to_id128(stmt, 4, &a->token))
                r = -EUCLEAN;
        a->epoch.userspace_usec = stmt_u64(stmt, 3);
        if (sqlite3_column_type(stmt, 5) != SQLITE_NULL && !row_to_id128(stmt, 5, &a->invocation_id))
                r = -EUCLEAN;
        a->slots = stmt_u64(stmt, 6);
        a->created_usec = stmt_u64(stmt, 8);
        if (r >= 0)
                r = row_to_slot_numbers(stmt, 7, a);
        if (r >= 0)
                r = row_to_outcome(stmt, 9, &a->outcome);
        a->freezer = freezer_from_string(strempty(stmt_text(stmt, 22)));
        a->freezer_usec = stmt_u64(stmt, 23);
        a->frozen_usec = stmt_u64(stmt, 24);
        if (r >= 0)
                r = row_to_verdict(stmt, 25, &a->outcome);
        a->outcome.memory_max = stmt_u64(stmt, 29);
        if (r >= 0)
                r = row_to_executor(stmt, 30, a);
        if (r >= 0)
                r = stmt_strdup(stmt, 32, &a->engine);
        if (r >= 0 && stmt_no_memory(stmt))
                return -ENOMEM;
        if (r >= 0 && a->freezer < 0)
                r = -EUCLEAN;
        a->room = store_room_of_attempt(a, stmt_text(stmt, 7));
        if (r == -EUCLEAN)
                return store_set_error(s, r, "Attempt %" PRIu32 " of job %" PRIu64 " cannot be understood", a->number,
                                       a->job_id);
        if (r < 0)
                return r;

        if (a->outcome.result != JOB_RESULT_NONE)
                a->phase = ATTEMPT_ENDED;
        else
                a->phase = attempt_was_seen_started(a) ? ATTEMPT_RUNNING : ATTEMPT_STARTING;
        *ret = TAKE_PTR(a);
        return 0;
}
