/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many bytes the records of each user take, for StoredBytesPerUserMax=: jobs with their specs, payloads and edges, attempts with what came of
 * them, arrays, environments, receipts, schedules. What a row takes besides its texts is a constant (ROOM_… in store-room.h).
 *
 * It is never counted: what a commit adds and takes away is summed up in memory and written once for each user, in the same transaction. All
 * sums are in memory (there are few users), so that a request is checked without reading anything. What was taken in this turn, and is not
 * recorded yet, is expected: so many requests of one commit do not pass where one would not. A check counts the rows (store-check.c). */

#include "queue/spec-json.h"
#include "base/strv.h"
#include "store/store-internal.h"

struct Room {
        uint32_t owner;
        uint64_t bytes;    /* as recorded */
        uint64_t expected; /* by requests of this turn */
        int64_t change;    /* by the transaction that is under way */
        bool changed;      /* on store->rooms_changed */
        TAILQ_ENTRY(Room) changed_entry;
        UT_hash_handle hh; /* store->rooms, by owner */
};

static struct Room *room_find(const Store *s, uint32_t owner) {
        struct Room *r;

        HASH_FIND(hh, s->rooms, &owner, sizeof(owner), r);
        return r;
}

static struct Room *room_get(Store *s, uint32_t owner) {
        struct Room *r = room_find(s, owner);

        if (r)
                return r;
        r = new0(struct Room, 1);
        if (!r)
                return NULL;
        r->owner = owner;
        HASH_ADD(hh, s->rooms, owner, sizeof(r->owner), r);
        return r;
}

static void room_forget(Store *s, struct Room *r) {
        HASH_DEL(s->rooms, r);
        free(r);
}

void store_rooms_forget(Store *s) {
        struct Room *r, *t;

        HASH_ITER(hh, s->rooms, r, t)
                room_forget(s, r);
        TAILQ_INIT(&s->rooms_changed);
}

int store_load_rooms(Store *s) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_ROOM_ALL);
        struct Room *room;
        int r;

        store_rooms_forget(s);
        while ((r = stmt_step(s, stmt)) > 0) {
                room = room_get(s, stmt_u64(stmt, 0));
                if (!room)
                        return -ENOMEM;
                room->bytes = MAX(sqlite3_column_int64(stmt, 1), INT64_C(0));
        }
        return r;
}

/* ---- within a transaction ---- */

int store_room_add(Store *s, uint32_t owner, int64_t bytes) {
        struct Room *r;

        if (bytes == 0)
                return 0;
        r = room_get(s, owner);
        if (!r)
                return -ENOMEM;
        r->change += bytes;
        if (!r->changed)
                TAILQ_INSERT_TAIL(&s->rooms_changed, r, changed_entry);
        r->changed = true;
        return 0;
}

int store_room_take_away(Store *s, sqlite3_stmt *stmt) {
        int64_t bytes;
        uint32_t owner;
        int r, k = 0;

        while ((r = stmt_step(s, stmt)) > 0 && k >= 0) {
                owner = stmt_u64(stmt, 0);
                bytes = sqlite3_column_int64(stmt, 1);
                k = store_room_add(s, owner, -bytes);
        }
        stmt_resetp(&stmt);
        return r < 0 ? r : k;
}

/* A sum that is wrong must not become a huge one; a check tells of it. */
static uint64_t room_after(const struct Room *r) {
        return r->change < 0 && r->bytes < (uint64_t) -r->change ? 0 : r->bytes + r->change;
}

int store_rooms_flush(Store *s) {
        struct Room *room;
        int r = 0;

        TAILQ_FOREACH(room, &s->rooms_changed, changed_entry) {
                uint64_t bytes = room_after(room);
                sqlite3_stmt *stmt;

                if (room->change == 0)
                        continue;
                stmt = store_stmt(s, bytes > 0 ? STMT_ROOM_UPSERT : STMT_ROOM_DELETE);
                stmt_bind_u64(s, stmt, 1, room->owner);
                if (bytes > 0)
                        stmt_bind_u64(s, stmt, 2, bytes);
                r = stmt_exec(s, stmt);
                if (r < 0)
                        break;
        }
        return r;
}

void store_rooms_ended(Store *s, bool committed) {
        struct Room *r;

        TAILQ_FOREACH(r, &s->rooms_changed, changed_entry) {
                if (committed)
                        r->bytes = room_after(r);
                r->change = 0;
        }
}

void store_rooms_recorded(Store *s) {
        struct Room *r;

        while ((r = TAILQ_FIRST(&s->rooms_changed))) {
                TAILQ_REMOVE(&s->rooms_changed, r, changed_entry);
                r->changed = false;
                r->expected = 0;
                if (r->bytes == 0)
                        room_forget(s, r);
        }
}

/* ---- before one ---- */

uint64_t store_room(const Store *s, uint32_t owner) {
        const struct Room *r = room_find(s, owner);

        return r ? r->bytes + r->expected : 0;
}

int store_room_expect(Store *s, uint32_t owner, int64_t bytes) {
        struct Room *r = room_get(s, owner);

        if (!r)
                return -ENOMEM;
        r->expected = bytes < 0 && r->expected < (uint64_t) -bytes ? 0 : r->expected + bytes;
        /* With the next commit it is known. */
        if (!r->changed)
                TAILQ_INSERT_TAIL(&s->rooms_changed, r, changed_entry);
        r->changed = true;
        return 0;
}

/* ---- how much ---- */

uint64_t store_room_of_environment(char *const *environment) {
        uint64_t size = 0;

        STRV_FOREACH(i, environment)
                size += strlen(*i) + 1;
        return size > 0 ? ROOM_ENVIRONMENT + size : 0;
}

int store_room_of_spec(const JobSpec *spec, uint64_t *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = spec_to_json(spec, SPEC_JSON_STORED, &text);
        if (r < 0)
                return r;
        *ret = strlen(text) + (spec->has_payload ? spec->payload_size : 0);
        return 0;
}

uint64_t store_room_of_attempt(const Attempt *a, const char *slot_numbers) {
        const Outcome *o = &a->outcome;

        return ROOM_ATTEMPT + strlen(strempty(slot_numbers)) + strlen(strempty(a->engine)) + strlen(strempty(o->reason)) + strlen(strempty(o->verdict)) +
               strlen(strempty(o->io_stdout)) + strlen(strempty(o->io_stderr));
}

uint64_t store_room_of_timer(const TimerPolicy *p) {
        uint64_t size = ROOM_TIMER + strlen(strempty(p->job));

        STRV_FOREACH(i, p->calendar)
                size += strlen(*i) + (i[1] ? 1 : 0); /* a line each */
        return size;
}

uint64_t store_room_of_jobs(const JobSpec *spec, uint64_t n) {
        return n * (ROOM_JOB + spec->n_after * ROOM_EDGE);
}

int store_stored_spec(Store *s, const Job *j, StoredSpec *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_SPEC_SIZES);
        int r;

        stmt_bind_u64(s, stmt, 1, j->id);
        stmt_bind_u64(s, stmt, 2, j->array);
        r = stmt_step(s, stmt);
        if (r < 0)
                return r;
        *ret = (StoredSpec) {};
        if (r > 0)
                *ret = (StoredSpec) { .own = sqlite3_column_int(stmt, 0), .text = sqlite3_column_int64(stmt, 1), .payload = sqlite3_column_int64(stmt, 2) };
        return 0;
}
