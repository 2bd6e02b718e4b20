/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an administrator asks about the store. */

#include "api/dict.h"
#include "api/long-calls.h"
#include "api/methods.h"
#include "api/share.h"
#include "api/socket.h"

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
        Reply reply;
        unsigned n;
        bool repair;
};

Check *check_free(Check *k) {
        if (!k)
                return NULL;

        reply_done(&k->reply);
        return mfree(k);
}

static int append_finding(Reply *d, const StoreFinding *f, bool repair) {
        int r;

        r = reply_open_dict(d, NULL);
        if (r >= 0)
                r = dict_append(d, "kind", "s", f->kind);
        if (r >= 0)
                r = dict_append(d, "text", "s", string_is_clean(f->text) ? f->text : "its name cannot be told");
        if (r >= 0 && f->job > 0)
                r = dict_append(d, "job", "t", f->job);
        if (r >= 0 && f->mend)
                r = dict_append(d, "repair", "s", f->mend);
        if (r >= 0 && repair)
                r = dict_append(d, "repaired", "b", f->mended);
        return reply_close_dict(d, r);
}

static int on_finding(void *userdata, const StoreFinding *f) {
        static const StoreFinding more = { .kind = "more", .text = "there is more, which is not told" };
        Check *k = userdata;

        k->n++;
        if (k->n > FINDINGS_MAX + 1)
                return 0;
        return append_finding(&k->reply, k->n <= FINDINGS_MAX ? f : &more, k->repair);
}

static int check_begin(Call *c, bool repair) {
        static const StoreFinding restored = {
                .kind = "store-restored",
                .text = "an old copy of the store was put back, so nothing is started: jobs that ended since then are in it as "
                        "they were. Look at what is queued, cancel what is not to be run again, then: jobmill check --accept",
        };
        Check *k = c->check = new0(Check, 1);
        int r;

        if (!k)
                return -ENOMEM;
        k->repair = repair;
        r = call_reply(c, &k->reply);
        if (r >= 0)
                r = reply_open_array(&k->reply, "findings", "a{sv}");
        if (r >= 0 && c->api->restored)
                r = on_finding(k, &restored);
        return r;
}

static int check_end(Call *c) {
        static const StoreFinding skipped = { .kind = "not-compared",
                                              .text = "the store is too large to compare its counters while it is in use" };
        Check *k = c->check;
        int r = 0;

        if (k->store.skipped)
                r = on_finding(k, &skipped);
        if (r >= 0)
                r = reply_close_array(&k->reply);
        return call_send(c, &k->reply, r);
}

static int handle_check_integrity(Call *c, sd_bus_error *error) {
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        if (!c->check) {
                if (call_too_many_pending(c))
                        return -EUSERS;
                r = check_begin(c, false);
                if (r >= 0)
                        r = c->api->check(c->api->userdata, on_finding, c->check);
                if (r < 0)
                        return r;
        }
        r = store_check_step(c->api->store, &c->check->store, on_finding, c->check);
        if (r < 0)
                return api_error_store(c->api, error, r);
        if (r == 0)
                return check_end(c);
        call_again(c);
        return 0;
}
DEFINE_METHOD(check_integrity);

/* ---- Repair ---- */

static int handle_repair(Call *c, sd_bus_error *error) {
        int r;

        r = call_authorize(c, JOBMILL_ACTION_MANAGE_QUEUES, NULL, error);
        if (r <= 0)
                return r;
        r = check_begin(c, true);
        if (r < 0)
                return r;
        call_wait_for_repair(c);
        return 0;
}
DEFINE_METHOD(repair);

store_finding_t api_repair_found(Call *c, void **ret_userdata) {
        *ret_userdata = c->check;
        return on_finding;
}

void api_repair_done(Call *c, int error, const char *text) {
        bool mended = error > 0;

        if (error >= 0)
                error = check_end(c);
        if (error < 0)
                (void) sd_bus_reply_method_errorf(c->message, api_store_error_name(error), "The store was not repaired: %s",
                                                  isempty(text) ? strerror(-error) : text);
        if (mended) /* what it did is no event, but that there are some lost */
                socket_tell_events(c->api->socket);
        call_done(c);
}
