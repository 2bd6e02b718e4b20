/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is counted, for everybody: how many jobs are in which state, how the daemon and its parts are; and the same as metrics. Nothing
 * of any one job, or of another user than the caller. */

#include "api/long-calls.h"
#include "api/methods.h"
#include "api/reply.h"
#include "api/share.h"
#include "api/socket.h"

void api_diagnose(const Api *a, Diagnostics *d) {
        const Call *c;
        const Held *h;

        d->clients = HASH_COUNT(a->clients);
        d->subscribers = a->n_subscribed;
        d->connections = a->socket ? socket_count(a->socket) : 0;
        TAILQ_FOREACH(c, &a->asking, entry)
                d->calls_waiting++;
        TAILQ_FOREACH(h, &a->held, entry)
                d->answers_held++;
        d->waits = HASH_COUNT(a->waited);
}

static int append_jobs(Reply *reply, const Api *a) {
        int r = 0;

        for (JobState s = 0; r >= 0 && s < _JOB_STATE_MAX; s++)
                r = dict_append(reply, job_state_to_string(s), "t", a->model->count[s]);
        if (r >= 0)
                r = dict_append(reply, "dead", "t", a->model->dead);
        if (r >= 0)
                r = dict_append(reply, "queues", "u", (uint32_t) HASH_COUNT(a->model->queues));
        if (r >= 0)
                r = dict_append(reply, "attempts", "u", (uint32_t) HASH_COUNT(a->model->attempts));
        if (r >= 0)
                r = dict_append(reply, "strays", "u", a->model->n_strays);
        if (r >= 0)
                r = dict_append(reply, "dispatch", "s", strempty(a->model->dispatch_blocked));
        return r;
}

static int append_diagnostics(Reply *reply, const Diagnostics *d) {
        const struct {
                const char *key;
                bool is_long;
                uint64_t value;
        } rows[] = {
                { "store_bytes", true, d->store_bytes },
                { "store_log_bytes", true, d->store_log_bytes },
                { "commits", true, d->commits },
                { "commit_usec", true, d->commit_usec },
                { "commit_errors", true, d->commit_errors },
                { "turns", true, d->turns },
                { "turn_usec", true, d->turn_usec },
                { "turn_usec_max", true, d->turn_usec_max },
                { "systemd_calls", true, d->systemd_calls },
                { "systemd_errors", true, d->systemd_errors },
                { "systemd_in_flight", false, d->systemd_in_flight },
                { "jobs_in_memory", false, d->jobs_in_memory },
                { "workers", false, d->workers },
                { "clients", false, d->clients },
                { "connections", false, d->connections },
                { "subscribers", false, d->subscribers },
                { "calls_waiting", false, d->calls_waiting },
                { "answers_held", false, d->answers_held },
                { "waits", false, d->waits },
                { "last_event", true, d->last_event },
        };
        int r = 0;

        FOREACH_ELEMENT(i, rows)
                if (r >= 0)
                        r = i->is_long ? dict_append(reply, i->key, "t", i->value) : dict_append(reply, i->key, "u", (uint32_t) i->value);
        return r;
}

/* What the caller has stored, and may have. */
static int append_own(Reply *reply, const Call *c) {
        uint32_t uid = c->client->uid;
        uint64_t max = c->api->limits.stored_per_user_max;
        int r = dict_append(reply, "user_bytes", "t", store_room(c->api->store, uid));

        return r < 0 || uid == 0 || max == UINT64_MAX ? r : dict_append(reply, "user_bytes_max", "t", max);
}

int handle_get_statistics(Call *c, sd_bus_error *error) {
        const Api *a = c->api;
        Diagnostics d;
        Reply reply;
        int r;

        a->diagnose(a->userdata, &d);
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_open_dict(&reply, "statistics");
        if (r >= 0)
                r = dict_append(&reply, "version", "s", d.version);
        if (r >= 0)
                r = append_jobs(&reply, a);
        if (r >= 0)
                r = dict_append(&reply, "systemd", "s", d.systemd);
        if (r >= 0)
                r = dict_append(&reply, "storage", "s", d.storage);
        if (r >= 0)
                r = append_diagnostics(&reply, &d);
        if (r >= 0)
                r = append_own(&reply, c);
        r = reply_close_dict(&reply, r);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(get_statistics);

int handle_get_metrics(Call *c, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        Reply reply;
        int r;

        call_costs(c, SHARE_OF_TURN);
        r = c->api->write_metrics(c->api->userdata, &text);
        if (r < 0)
                return r;
        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_append(&reply, "metrics", "s", text);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(get_metrics);
