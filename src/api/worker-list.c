/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who there is to be given jobs. Everybody may know; the token nobody is told but its worker. And who is to be given no more: its own user, or who
 * manages queues, says so. */

#include "api/methods.h"
#include "api/worker.h"
#include "queue/crew.h"

static int append_queues(Reply *reply, const Worker *w) {
        _cleanup_free_ char **l = NULL;
        size_t n = 0;

        if (!w->adapter)
                return dict_append_strv(reply, "queues", w->queues);
        l = new0(char *, w->n_seats + 1);
        if (!l)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_seats; i++)
                if (w->seats[i].crew)
                        l[n++] = w->seats[i].crew->key.queue->name;
        return dict_append_strv(reply, "queues", l);
}

static int append_worker(Reply *reply, const Worker *w, const Now *now) {
        int r;

        r = dict_append(reply, "id", "t", w->id);
        if (r >= 0 && w->name)
                r = dict_append(reply, "name", "s", w->name);
        if (r >= 0)
                r = dict_append(reply, "uid", "u", w->uid);
        if (r >= 0 && w->user)
                r = dict_append(reply, "user", "s", w->user);
        if (r >= 0)
                r = dict_append(reply, "pid", "u", w->pid);
        if (r >= 0 && w->unit)
                r = dict_append(reply, "unit", "s", w->unit);
        if (r >= 0)
                r = append_queues(reply, w);
        if (r >= 0 && w->adapter)
                r = dict_append(reply, "adapter", "s", w->adapter);
        if (r >= 0)
                r = dict_append(reply, "slots", "u", w->slots);
        if (r >= 0)
                r = dict_append(reply, "slots_used", "u", w->slots_used);
        if (r >= 0)
                r = dict_append(reply, "jobs", "u", w->n_attempts);
        if (r >= 0)
                r = dict_append(reply, "connected", "b", (int) w->connected);
        if (r >= 0)
                r = dict_append(reply, "draining", "b", (int) w->draining);
        if (r >= 0)
                r = dict_append(reply, "durable", "b", (int) w->durable);
        if (r >= 0 && w->away.when != USEC_INFINITY)
                r = dict_append(reply, "away_usec", "t", usec_sub(now->realtime, usec_sub(now->even, w->away.when)));
        if (r >= 0)
                r = dict_append(reply, "registered_usec", "t", w->registered_usec);
        return r < 0 || !w->metadata ? r : dict_append_json(reply, "metadata", w->metadata);
}

int handle_list_workers(Call *c, sd_bus_error *error) {
        Worker *w, *t;
        Reply reply;
        int r;

        r = call_reply(c, &reply);
        if (r >= 0)
                r = reply_open_array(&reply, "workers", "a{sv}");
        HASH_ITER(hh, c->api->model->workers, w, t) {
                if (w->gone || w->is_new || r < 0) /* that is not recorded yet, or will not be for long */
                        continue;
                r = reply_open_dict(&reply, NULL);
                if (r >= 0)
                        r = append_worker(&reply, w, &c->api->now);
                r = reply_close_dict(&reply, r);
        }
        if (r >= 0)
                r = reply_close_array(&reply);
        return call_send(c, &reply, r);
}
DEFINE_METHOD(list_workers);

static int handle_drain_worker(Call *c, sd_bus_error *error) {
        char number[24];
        uint64_t id;
        Worker *w;
        int r;

        r = call_read_id(c, &id, error);
        if (r < 0)
                return r;
        w = model_worker(c->api->model, id);
        if (!w || w->gone)
                return api_error(error, JOBMILL_ERROR_NO_SUCH_WORKER, "There is no worker %" PRIu64, id);
        if (w->uid != c->client->uid) {
                (void) snprintf(number, sizeof(number), "%" PRIu64, id);
                r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, (const char *const[]) { "worker", number, NULL }, error);
                if (r <= 0)
                        return r;
        }
        model_worker_drain(c->api->model, w);
        worker_link_drain(c->api, w->id);
        return call_hold_empty(c);
}
DEFINE_METHOD(drain_worker);
