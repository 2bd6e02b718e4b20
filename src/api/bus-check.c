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
        bool repair;
};

Check *check_free(Check *k) {
        if (!k)
                return NULL;

        sd_bus_message_unref(k->reply);
        return mfree(k);
}

static int append_finding(sd_bus_message *m, const StoreFinding *f, bool repair) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r >= 0)
                r = dict_append(m, "kind", "s", f->kind);
        if (r >= 0)
                r = dict_append(m, "text", "s", string_is_clean(f->text) ? f->text : "its name cannot be told");
        if (r >= 0 && f->job > 0)
                r = dict_append(m, "job", "t", f->job);
        if (r >= 0 && f->mend)
                r = dict_append(m, "repair", "s", f->mend);
        if (r >= 0 && repair)
                r = dict_append(m, "repaired", "b", f->mended);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int on_finding(void *userdata, const StoreFinding *f) {
        static const StoreFinding more = { .kind = "more", .text = "there is more, which is not told" };
        Check *k = userdata;

        k->n++;
        if (k->n > FINDINGS_MAX + 1)
                return 0;
        return append_finding(k->reply, k->n <= FINDINGS_MAX ? f : &more, k->repair);
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
        r = sd_bus_message_new_method_return(c->message, &k->reply);
        if (r >= 0)
                r = sd_bus_message_open_container(k->reply, 'a', "a{sv}");
        if (r >= 0 && c->api->restored)
                r = on_finding(k, &restored);
        return r;
}

static int check_end(Check *k) {
        static const StoreFinding skipped = { .kind = "not-compared",
                                              .text = "the store is too large to compare its counters while it is in use" };
        int r = 0;

        if (k->store.skipped)
                r = on_finding(k, &skipped);
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
                return check_end(c->check);
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
        if (error >= 0)
                error = check_end(c->check);
        if (error < 0)
                (void) sd_bus_reply_method_errorf(c->message, api_store_error_name(error), "The store was not repaired: %s",
                                                  isempty(text) ? strerror(-error) : text);
        call_done(c);
}
