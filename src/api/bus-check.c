/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an administrator asks about the store. */

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/methods.h"

#include "base/log.h"
#include "base/parse.h"

static int handle_accept_store(Call *c, sd_bus_error *error) {
        Api *a = c->api;
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        if (a->restored) {
                r = store_starts_accept(a->store);
                if (r < 0)
                        return api_error_store(a, error, r);
                a->restored = false;
                log_notice("The restored store was accepted by uid %" PRIu32 ", jobs start from it.", c->client->uid);
        }
        return sd_bus_reply_method_return(c->message, NULL);
}
DEFINE_METHOD(accept_store);

/* ---- CheckIntegrity ---- */

#define FINDINGS_MAX 1000U

struct Check {
        StoreCheck store;
        sd_bus_message *reply;
        unsigned n;
};

Check *check_free(Check *k) {
        if (!k)
                return NULL;

        sd_bus_message_unref(k->reply);
        return mfree(k);
}

static int append_finding(sd_bus_message *m, const char *kind, uint64_t job, const char *text) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = dict_append(m, "kind", "s", kind);
        if (r >= 0)
                r = dict_append(m, "text", "s", text);
        if (r >= 0 && job > 0)
                r = dict_append(m, "job", "t", job);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int on_finding(void *userdata, const char *kind, uint64_t job, const char *text) {
        Check *k = userdata;

        k->n++;
        if (k->n == FINDINGS_MAX + 1)
                return append_finding(k->reply, "more", 0, "there is more, which is not told");
        if (k->n > FINDINGS_MAX)
                return 0;
        return append_finding(k->reply, kind, job, string_is_clean(text) ? text : "its name cannot be told");
}

static int check_begin(Call *c) {
        Check *k = c->check = new0(Check, 1);
        int r;

        if (!k)
                return -ENOMEM;
        r = sd_bus_message_new_method_return(c->message, &k->reply);
        if (r >= 0)
                r = sd_bus_message_open_container(k->reply, 'a', "a{sv}");
        if (r >= 0 && c->api->restored)
                r = on_finding(k, "store-restored", 0,
                               "an old copy of the store was put back, so nothing is started: jobs that ended since then are in it as "
                               "they were. Look at what is queued, cancel what is not to be run again, then: jobmill check --accept");
        if (r >= 0)
                r = c->api->check(c->api->check_userdata, on_finding, k);
        return r;
}

static int check_end(Check *k) {
        int r = 0;

        if (k->store.skipped)
                r = on_finding(k, "not-compared", 0, "the store is too large to compare its counters while it is in use");
        if (r >= 0)
                r = sd_bus_message_close_container(k->reply);
        return r < 0 ? r : sd_bus_send(NULL, k->reply, NULL);
}

static int handle_check_integrity(Call *c, sd_bus_error *error) {
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        if (!c->check) {
                if (call_too_many_pending(c))
                        return -EUSERS;
                r = check_begin(c);
                if (r < 0)
                        return r;
        }
        r = store_check_step(c->api->store, &c->check->store, on_finding, c->check);
        if (r < 0)
                return api_error_store(c->api, error, r);
        if (r == 0)
                return check_end(c->check);
        call_again(c);
        return 0;
}
DEFINE_METHOD(check_integrity);
