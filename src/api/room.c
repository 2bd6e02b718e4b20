/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* StoredBytesPerUserMax=: is there room for what a request would have stored? What is taken on then is never refused any more, whatever becomes of it:
 * outcomes, verdicts, output, callbacks and attempts that a job has left count, and find no room only for the next request. */

#include "api/room.h"

#include "base/strv.h"
#include "queue/spec-change.h"

/* Of root there may be as much as the disk holds. */
static int take(const Call *c, uint32_t owner, uint64_t more, sd_bus_error *error) {
        uint64_t max = c->api->limits.stored_per_user_max, used = store_room(c->api->store, owner);

        if (owner == 0 || more == 0)
                return 0;
        if (used <= max && more <= max - used)
                return store_room_expect(c->api->store, owner, (int64_t) more);
        return api_error(error, JOBMILL_ERROR_TOO_MANY, "What user %" PRIu32 " has stored takes %" PRIu64 " bytes, this would take %" PRIu64
                         " more, at most %" PRIu64 " are allowed here (StoredBytesPerUserMax=): jobs that are done can be purged, or kept for less long"
                         " (Keep=, KeepMax= of their queue)", owner, used, more, max);
}

/* Of jobs that follow one another the environment is mostly the same, and stored once. */
static bool same_environment(const Request *q, const Request *before) {
        return q->owner == before->owner && strv_equal(q->spec->environment, before->spec->environment);
}

static int room_of_request(const Request *q, bool with_environment, uint64_t *ret) {
        uint64_t n = 0;
        int r = 0;

        if (q->owner != 0 && q->answer == 0 && q->answer_of == 0) {
                r = store_room_of_spec(q->spec, &n);
                n += store_room_of_jobs(q->spec, request_n_jobs(q)) + (with_environment ? store_room_of_environment(q->spec->environment) : 0);
        }
        *ret = n;
        return r;
}

int requests_take_room(const Call *c, Request *l, size_t n, Together together, sd_bus_error *error) {
        for (size_t i = 0; i < n; i++) {
                int r = room_of_request(l + i, i == 0 || l[i - 1].room == 0 || !same_environment(l + i, l + i - 1), &l[i].room);

                if (r >= 0)
                        r = take(c, l[i].owner, l[i].room, error);
                if (r < 0) {
                        requests_leave_room(c, l, i);
                        return submit_name_job(r, l, i, together, error);
                }
        }
        return 0;
}

void requests_leave_room(const Call *c, const Request *l, size_t n) {
        for (size_t i = 0; i < n; i++)
                room_leave(c, l[i].owner, l[i].room);
}

void room_leave(const Call *c, uint32_t owner, uint64_t n) {
        if (owner != 0 && n > 0)
                (void) store_room_expect(c->api->store, owner, -(int64_t) n);
}

int room_for_update(const Call *c, const Job *j, const JobSpec *spec, uint64_t fields, uint64_t *ret, sd_bus_error *error) {
        bool payload = fields & spec_field_bit(spec_field_find("payload"));
        StoredSpec had = {};
        uint64_t more;
        int r;

        *ret = 0;
        if (j->owner == 0 || !(fields & ~spec_fields_of_job()))
                return 0;
        r = store_room_of_spec(spec, &more); /* with its payload, if that is given anew */
        if (r >= 0 && !j->is_new)
                r = store_stored_spec(c->api->store, j, &had);
        if (r < 0)
                return r == -ENOMEM ? r : api_error_store(c->api, error, r);
        if (!had.own && !payload) /* it has a copy of its array's from now on */
                more += had.payload;
        if (had.own)
                more -= MIN(more, had.text + (payload ? had.payload : 0));
        if (fields & spec_field_bit(spec_field_find("environment")))
                more += store_room_of_environment(spec->environment);
        r = take(c, j->owner, more, error);
        *ret = r < 0 ? 0 : more;
        return r;
}

int room_for_attempt(const Call *c, const Job *j, sd_bus_error *error) {
        return take(c, j->owner, STORE_ROOM_OF_ATTEMPT, error);
}

int room_for_timer(const Call *c, const Timer *t, uint32_t owner, const TimerPolicy *p, sd_bus_error *error) {
        uint64_t had = t ? store_room_of_timer(&t->policy) : 0, wanted = store_room_of_timer(p);

        return take(c, owner, wanted > had ? wanted - had : 0, error);
}
