/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a caller may: his own jobs, all as root, else what polkit says. It is asked asynchronously, and the call steps aside meanwhile.
 * polkit absent, or an error of it, is a denial; root never needs it. */

#include "api/call-internal.h"
#include "api/read-json.h"
#include "api/share.h"

#include "base/crash-point.h"

#define POLKIT_NAME "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_ALLOW_INTERACTION 1U
#define POLKIT_TIMEOUT (10 * USEC_PER_SEC)
/* dbus-daemon lets a connection have 128 calls unanswered. Somebody whose agent lets polkit wait must not use them up. */
#define POLKIT_IN_FLIGHT 80U
#define POLKIT_IN_FLIGHT_PER_USER 16U

/* ---- polkit ---- */

void call_polkit_done(Call *c) {
        if (!c->polkit_slot)
                return;
        c->polkit_slot = sd_bus_slot_unref(c->polkit_slot);
        c->api->n_polkit--;
        c->client->account->n_polkit--;
        c->api->polkit_freed = true;
}

bool call_polkit_has_room(const Call *c) {
        return c->api->n_polkit < POLKIT_IN_FLIGHT && c->client->account->n_polkit < POLKIT_IN_FLIGHT_PER_USER;
}

static int polkit_answer(sd_bus_message *m, Authorization *ret) {
        int authorized, challenge, r;

        if (sd_bus_message_is_method_error(m, NULL))
                return 0;
        r = sd_bus_message_enter_container(m, 'r', "bba{ss}");
        if (r < 0)
                return r;
        r = sd_bus_message_read(m, "bb", &authorized, &challenge);
        if (r < 0)
                return r;
        ret->allowed = authorized;
        ret->challenge = challenge;
        return 0;
}

static int on_polkit(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        Call *c = userdata;
        Authorization answer = { .action = c->asking };

        CRASH_POINT("polkit-answered");
        call_polkit_done(c);
        c->asking = NULL;
        if (polkit_answer(m, &answer) < 0)
                answer.allowed = answer.challenge = false;
        c->authorizations[c->n_authorizations++] = answer;
        call_run(c);
        return 0;
}

static int polkit_ask(Call *c, const char *action, const char *const *details, bool interactive) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r;

        if (call_too_many_pending(c))
                return -EUSERS;
        if (!call_polkit_has_room(c)) {
                call_put_aside(c, CALL_FOR_POLKIT);
                return 0;
        }
        r = sd_bus_message_new_method_call(c->api->bus, &m, POLKIT_NAME, POLKIT_PATH, POLKIT_INTERFACE,
                                           "CheckAuthorization");
        if (r >= 0)
                r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", c->client->name, action);
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "{ss}");
        for (; r >= 0 && details && details[0]; details += 2)
                r = sd_bus_message_append(m, "{ss}", details[0], details[1]);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        if (r >= 0)
                r = sd_bus_message_append(m, "us", interactive ? POLKIT_ALLOW_INTERACTION : 0U, "");
        if (r < 0)
                return r;
        CRASH_POINT("polkit-before");
        /* Somebody may have to type a password. */
        r = sd_bus_call_async(c->api->bus, &c->polkit_slot, m, on_polkit, c, interactive ? USEC_INFINITY : POLKIT_TIMEOUT);
        if (r < 0)
                return r;
        c->api->n_polkit++;
        c->client->account->n_polkit++;
        c->asking = action;
        call_put_aside(c, CALL_ASKING);
        return 0;
}

static const Authorization *call_answer(const Call *c, const char *action) {
        for (unsigned i = 0; i < c->n_authorizations; i++)
                if (streq(c->authorizations[i].action, action))
                        return c->authorizations + i;
        return NULL;
}

int call_authorize(Call *c, const char *action, const char *const *details, sd_bus_error *error) {
        const Authorization *a;
        bool interactive;

        if (call_is_root(c))
                return 1;
        if (!c->message) /* polkit knows callers by their name on the bus */
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Needs %s, %s", action,
                                 c->client->connection ? "which only the bus can be asked for" : "and when a schedule fires there is nobody who could be asked");
        interactive = sd_bus_message_get_allow_interactive_authorization(c->message) > 0;
        a = call_answer(c, action);
        if (!a)
                return c->n_authorizations >= ELEMENTSOF(c->authorizations) ? -ELOOP :
                                                                              polkit_ask(c, action, details, interactive);
        if (a->allowed)
                return 1;
        if (a->challenge && !interactive)
                return sd_bus_error_setf(error, SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED,
                                         "Interactive authentication required for %s", action);
        return sd_bus_error_setf(error, SD_BUS_ERROR_ACCESS_DENIED, "Not authorized: %s", action);
}

int call_may(Call *c, const char *action, bool interactive, bool *ret) {
        const Authorization *a;

        *ret = call_is_root(c);
        if (*ret || !c->message)
                return 1;
        a = call_answer(c, action);
        if (!a)
                return polkit_ask(c, action, NULL,
                                  interactive && sd_bus_message_get_allow_interactive_authorization(c->message) > 0);
        *ret = a->allowed;
        return 1;
}

/* ---- rights on jobs ---- */

int call_read_id(const Call *c, uint64_t *ret, sd_bus_error *error) {
        return c->message ? sd_bus_message_read_basic(c->message, 't', ret) : read_json_u64(c->parameters, "id", NULL, ret, error);
}

int call_load_job(Call *c, uint64_t id, Job **ret, sd_bus_error *error) {
        _cleanup_(job_freep) Job *loaded = NULL;
        Api *a = c->api;
        Queue *q;
        int r;

        *ret = model_job(a->model, id);
        if (*ret)
                return 0;
        r = model_is_purged(a->model, id) ? -ENOENT : store_load_job(a->store, id, &loaded);
        if (r == -ENOENT)
                return api_error_no_such_job(error, id);
        if (r < 0)
                return api_error_store(a, error, r);
        r = model_queue_add(a->model, loaded->queue_name, &q);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(loaded);
        model_job_add(a->model, *ret, q);
        return 0;
}

int call_own_job(Call *c, uint64_t id, Job **ret, sd_bus_error *error) {
        char number[24];
        Job *j;
        int r;

        r = call_load_job(c, id, &j, error);
        if (r < 0)
                return r;
        if (j->owner != c->client->uid) {
                snprintf(number, sizeof(number), "%" PRIu64, id);
                r = call_authorize(c, JOBMILL_ACTION_MANAGE_JOBS,
                                   (const char *const[]) { "job", number, "queue", j->queue_name, NULL }, error);
                if (r <= 0)
                        return r;
        }
        *ret = j;
        return 1;
}
