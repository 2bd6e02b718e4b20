/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Environments, stored once per user and content: thousands of jobs of one shell carry the same one, and it may hold secrets that
 * nobody needs any more when the job is done.
 *
 * A row is found by the hash of its content and taken only if the content is the same byte for byte: users choose the
 * contents, and none may get another one's by a collision. The count of references is kept exact, but a change of it stays in
 * memory while the next jobs of the transaction have the same environment, and is written once (store_environment_flush()). */

#include "base/strv.h"
#include "store/store-internal.h"

static uint64_t content_hash(const char *content, size_t size) {
        uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

        for (size_t i = 0; i < size; i++)
                h = (h ^ (uint8_t) content[i]) * UINT64_C(1099511628211);
        return h;
}

static int content_from_strv(char *const *environment, char **ret, size_t *ret_size) {
        size_t size = 0;
        char *content, *p;

        STRV_FOREACH(i, environment)
                size += strlen(*i) + 1;
        p = content = malloc(size ?: 1);
        if (!content)
                return -ENOMEM;
        STRV_FOREACH(i, environment)
                p = stpcpy(p, *i) + 1;
        *ret = content;
        *ret_size = size;
        return 0;
}

static int content_to_strv(const char *content, size_t size, char ***ret) {
        _cleanup_strv_free_ char **l = NULL;
        size_t n = 0;

        if (size > 0 && content[size - 1] != 0)
                return -EUCLEAN;
        for (size_t i = 0; i < size; i++)
                n += content[i] == 0;
        l = new0(char *, n + 1);
        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                l[i] = strdup(content);
                if (!l[i])
                        return -ENOMEM;
                content += strlen(content) + 1;
        }
        *ret = TAKE_PTR(l);
        return 0;
}

/* Without making the content: most jobs have that of the job before. */
static bool cache_matches(const EnvironmentCache *c, char *const *environment, uint32_t owner) {
        const char *p, *end;

        if (c->id == 0 || c->owner != owner)
                return false;
        p = c->content;
        end = p + c->size;
        STRV_FOREACH(i, environment) {
                size_t n = strlen(*i) + 1;
                if ((size_t) (end - p) < n || memcmp(p, *i, n) != 0)
                        return false;
                p += n;
        }
        return p == end;
}

static void cache_clear(EnvironmentCache *c) {
        c->content = mfree(c->content);
        c->size = 0;
        c->id = 0;
}

void store_environment_forget(Store *s) {
        cache_clear(&s->environment);
        s->environment.pending = s->environment.pending_id = 0;
}

int store_environment_flush(Store *s) {
        EnvironmentCache *c = &s->environment;
        int64_t id = c->pending_id;
        sqlite3_stmt *stmt;
        int r;

        if (id == 0)
                return 0;

        stmt = store_stmt(s, STMT_ENVIRONMENT_COUNT);
        stmt_bind_i64(s, stmt, 1, id);
        stmt_bind_i64(s, stmt, 2, c->pending);
        r = stmt_exec(s, stmt);
        if (r < 0)
                return r;
        c->pending_id = 0;
        if (c->pending > 0)
                return 0;

        stmt = store_stmt(s, STMT_ROOM_OF_ENVIRONMENT);
        stmt_bind_i64(s, stmt, 1, id);
        r = store_room_take_away(s, stmt);
        if (r < 0)
                return r;
        stmt = store_stmt(s, STMT_ENVIRONMENT_DELETE);
        stmt_bind_i64(s, stmt, 1, id);
        r = stmt_exec(s, stmt);
        if (r < 0 || sqlite3_changes(s->db) == 0)
                return r;

        if (c->id == id) /* ids may be used again */
                cache_clear(c);
        stmt = store_stmt(s, STMT_ENVIRONMENT_CONTENT_DELETE);
        stmt_bind_i64(s, stmt, 1, id);
        return stmt_exec(s, stmt);
}

static int environment_count(Store *s, int64_t id, int64_t change) {
        EnvironmentCache *c = &s->environment;
        int r;

        if (c->pending_id != id) {
                r = store_environment_flush(s);
                if (r < 0)
                        return r;
                c->pending_id = id;
                c->pending = 0;
        }
        c->pending += change;
        return 0;
}

/* 0 in *ret_id: there is none. */
static int environment_find(Store *s, uint64_t hash, uint32_t owner, const char *content, size_t size, int64_t *ret_id) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ENVIRONMENT_FIND);
        int r;

        stmt_bind_i64(s, stmt, 1, (int64_t) hash);
        stmt_bind_u64(s, stmt, 2, owner);
        while ((r = stmt_step(s, stmt)) > 0)
                if ((size_t) sqlite3_column_bytes(stmt, 1) == size &&
                    (size == 0 || memcmp(sqlite3_column_blob(stmt, 1), content, size) == 0)) {
                        *ret_id = sqlite3_column_int64(stmt, 0);
                        return 0;
                }
        if (r < 0)
                return r;
        *ret_id = 0;
        return 0;
}

static int environment_insert(Store *s, uint64_t hash, uint32_t owner, const char *content, size_t size, int64_t *ret_id) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_ENVIRONMENT_INSERT);
        int64_t id;
        int r;

        stmt_bind_i64(s, stmt, 1, (int64_t) hash);
        stmt_bind_u64(s, stmt, 2, owner);
        r = stmt_exec(s, stmt);
        if (r < 0)
                return r;
        id = sqlite3_last_insert_rowid(s->db);

        stmt = store_stmt(s, STMT_ENVIRONMENT_CONTENT_INSERT);
        stmt_bind_i64(s, stmt, 1, id);
        stmt_bind_blob(s, stmt, 2, content, size);
        r = stmt_exec(s, stmt);
        if (r >= 0)
                r = store_room_add(s, owner, ROOM_ENVIRONMENT + (int64_t) size);
        if (r < 0)
                return r;
        *ret_id = id;
        return 0;
}

int store_environment_reference(Store *s, char *const *environment, uint32_t owner, int64_t *ret_id) {
        _cleanup_free_ char *content = NULL;
        EnvironmentCache *c = &s->environment;
        size_t size;
        int64_t id;
        int r;

        if (!cache_matches(c, environment, owner)) {
                r = content_from_strv(environment, &content, &size);
                if (r < 0)
                        return r;
                uint64_t hash = content_hash(content, size);
                r = environment_find(s, hash, owner, content, size, &id);
                if (r >= 0 && id == 0)
                        r = environment_insert(s, hash, owner, content, size, &id);
                if (r < 0)
                        return r;
                cache_clear(c);
                c->content = TAKE_PTR(content);
                c->size = size;
                c->owner = owner;
                c->id = id;
        }
        id = c->id;
        r = environment_count(s, id, +1);
        if (r < 0)
                return r;
        *ret_id = id;
        return 0;
}

int store_environment_drop(Store *s, uint64_t job, bool mark) {
        sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_ENVIRONMENT);
        int64_t id = 0;
        int r;

        stmt_bind_u64(s, stmt, 1, job);
        r = stmt_step(s, stmt);
        if (r > 0)
                id = sqlite3_column_int64(stmt, 0);
        stmt_resetp(&stmt);
        if (r < 0 || id <= 0) /* none, or dropped before */
                return r < 0 ? r : 0;

        if (mark) {
                stmt = store_stmt(s, STMT_JOB_SET_ENVIRONMENT);
                stmt_bind_u64(s, stmt, 1, job);
                stmt_bind_i64(s, stmt, 2, STORE_ENVIRONMENT_DROPPED);
                r = stmt_exec(s, stmt);
                if (r < 0)
                        return r;
        }
        return environment_count(s, id, -1);
}

int store_environment_load(Store *s, int64_t id, char ***ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ENVIRONMENT_GET);
        int r;

        stmt_bind_i64(s, stmt, 1, id);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        if (r == 0)
                return store_set_error(s, -EUCLEAN, "Environment %" PRIi64 " is missing", id);
        return content_to_strv(sqlite3_column_blob(stmt, 0), sqlite3_column_bytes(stmt, 0), ret);
}
