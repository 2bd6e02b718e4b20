/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Submit and SubmitMany: from an untrusted message to jobs in the model. Everything is checked before the first job is made,
 * so a batch is taken whole or not at all. */

#include "api/methods.h"
#include "api/spec-bus.h"
#include "base/parse.h"
#include "base/strv.h"
#include "queue/environment.h"

#define UID_MIN 1000U /* login.defs(5); "*" of AllowUsers= means these */
#define QUEUE_DEFAULT "default"

/* One job that is asked for, checked as far as it has come. */
typedef struct Request {
        JobSpec *spec;
        Queue *queue;
        uint32_t owner;
        char *owner_name;
        bool privileged;
} Request;

static void requests_free(Request *l, size_t n) {
        for (size_t i = 0; i < n; i++) {
                spec_free(l[i].spec);
                free(l[i].owner_name);
        }
        free(l);
}

/* ---- who may submit where ---- */

static bool queue_lists_user(const Queue *q, const User *u) {
        char uid[16];

        snprintf(uid, sizeof(uid), "%" PRIu32, u->uid);
        STRV_FOREACH(w, q->policy.allow_users)
                if ((streq(*w, "*") && u->uid >= UID_MIN) || streq(*w, uid) || streq_ptr(*w, u->name))
                        return true;
        STRV_FOREACH(g, q->policy.allow_groups)
                if (strv_contains(u->groups, *g))
                        return true;
        return false;
}

static int check_queue(Call *c, const char *name, const User *u, Queue **ret, sd_bus_error *error) {
        Queue *q = model_queue(c->api->model, name);
        bool manages;
        int r;

        if (!q || !q->configured)
                return api_error_no_such_queue(error, name);
        *ret = q;
        if (queue_lists_user(q, u))
                return 1;
        /* Who manages queues may submit to all of them. */
        r = call_may(c, JOBMILL_ACTION_MANAGE_QUEUES, true, &manages);
        if (r <= 0 || manages)
                return r;
        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue '%s' does not take jobs of user %s", name,
                         u->name ?: "(unknown)");
}

/* ---- one request ---- */

static int parse_properties(const Request *q, UnitPropertyList *ret, char **ret_text) {
        int r = 0;

        STRV_FOREACH(p, q->spec->properties) {
                r = unit_property_parse_assignment(*p, q->privileged, UNIT_PROPERTY_SERVICE, ret, ret_text);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* The submitter's rights decide, not the owner's: root may give a job of alice's what alice could not. One who may not set a
 * property himself may be allowed to by polkit. 1, 0 (not there yet) or negative. */
static int check_properties(Call *c, Request *q, sd_bus_error *error) {
        _cleanup_(unit_property_list_done) UnitPropertyList job = {}, merged = {};
        _cleanup_free_ char *text = NULL;
        int r;

        q->privileged = call_is_root(c);
        r = parse_properties(q, &job, &text);
        if (r == -EACCES) {
                r = call_authorize(c, JOBMILL_ACTION_SET_PRIVILEGED_PROPERTIES, (const char *const[]) { "why", text, NULL },
                                   error);
                if (r <= 0)
                        return r;
                q->privileged = true;
                unit_property_list_done(&job);
                text = mfree(text);
                r = parse_properties(q, &job, &text);
        }
        if (r == -ENOMEM)
                return r;
        if (r == -EPERM)
                return api_error(error, JOBMILL_ERROR_PROPERTY_NOT_ALLOWED, "properties: %s", text);
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "properties: %s", text);
        if (job.n_values == 0)
                return 1;
        r = unit_property_merge(&q->queue->policy.service, &job, q->privileged, q->queue->policy.overridable, &merged, &text);
        if (r == -ENOMEM)
                return r;
        return r < 0 ? api_error(error, JOBMILL_ERROR_PROPERTY_NOT_ALLOWED, "properties: %s", text) : 1;
}

/* The owner: the caller, or with submit-as somebody else. 1, 0 (not there yet) or negative. */
static int check_owner(Call *c, Request *q, const User **ret, sd_bus_error *error) {
        uint32_t uid = q->spec->uid == UINT32_MAX ? c->client->uid : q->spec->uid;
        char number[16];
        int r;

        if (uid != c->client->uid) {
                if (c->api->user)
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "uid: a user's own instance runs jobs as that user");
                /* What polkit says is said of one user. */
                if (c->client->uid != 0 && c->submit_as != UINT32_MAX && c->submit_as != uid)
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "uid: only one other user in a request");
                c->submit_as = uid;
                snprintf(number, sizeof(number), "%" PRIu32, uid);
                r = call_authorize(c, JOBMILL_ACTION_SUBMIT_AS, (const char *const[]) { "uid", number, NULL }, error);
                if (r <= 0)
                        return r;
        }
        r = call_user(c, uid, ret);
        if (r <= 0)
                return r;
        if (!(*ret)->name && uid != c->client->uid)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "uid: there is no user %" PRIu32, uid);
        q->owner = uid;
        return free_and_strdup(&q->owner_name, (*ret)->name) < 0 ? -ENOMEM : 1;
}

/* Everything that can be wrong with it. 1, 0 (run again later) or negative with *error. */
static int check_request(Call *c, Request *q, const char *queue, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        const User *u;
        int r;

        if (!q->spec->argv || !q->spec->argv[0])
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "argv: missing; a job needs a command");
        r = spec_validate(q->spec, &text);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text);
        r = check_owner(c, q, &u, error);
        if (r <= 0)
                return r;
        r = check_queue(c, isempty(queue) ? QUEUE_DEFAULT : queue, u, &q->queue, error);
        if (r <= 0)
                return r;
        r = check_properties(c, q, error);
        if (r <= 0)
                return r;

        if (q->spec->environment) {
                char **l = spec_environment_strip(q->spec->environment);
                if (!l)
                        return -ENOMEM;
                strv_free(q->spec->environment);
                q->spec->environment = l;
        }
        if (q->spec->timeout_usec == USEC_INFINITY)
                q->spec->timeout_usec = q->queue->policy.timeout_usec;

        const Queue *at = queue_draining_at(q->queue);
        if (at)
                return api_error(error, JOBMILL_ERROR_QUEUE_DRAINING, "Queue '%s' is being drained and takes no new jobs",
                                 at->name);
        at = queue_too_small(q->queue, q->spec->slots);
        if (at)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "slots: %" PRIu32 " asked for, queue '%s' has only %" PRIu32,
                                 q->spec->slots, at->name, at->policy.slots);
        return 1;
}

static int submit_request(Call *c, Request *q, Job **ret, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = model_submit(c->api->model, q->queue, q->spec, q->owner, q->owner_name, &c->api->now, ret, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        q->spec = NULL;
        (*ret)->privileged = q->privileged;
        return 0;
}

static int spec_error_to_bus(int r, const char *text, sd_bus_error *error) {
        if (r == -ENOMEM)
                return r;
        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text ?: "the request cannot be read");
}

/* ---- methods ---- */

static int handle_submit(Call *c, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ char *text = NULL;
        Request *q = new0(Request, 1);
        const char *queue;
        char path[64];
        Job *j;
        int r;

        if (!q || !(q->spec = spec_new())) {
                requests_free(q, 0);
                return -ENOMEM;
        }
        r = sd_bus_message_read_basic(c->message, 's', &queue);
        if (r >= 0)
                r = sd_bus_message_read_strv(c->message, &q->spec->argv);
        if (r >= 0) {
                r = spec_read_bus(c->message, q->spec, NULL, &text);
                if (r < 0)
                        r = spec_error_to_bus(r, text, error);
        }
        if (r >= 0)
                r = check_request(c, q, queue, error);
        if (r > 0)
                r = submit_request(c, q, &j, error);
        else if (r == 0)
                goto finish;
        if (r < 0)
                goto finish;

        snprintf(path, sizeof(path), JOBMILL_JOB_PATH_PREFIX "/%" PRIu64, j->id);
        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append(reply, "to", j->id, path);
        if (r >= 0)
                r = call_hold(c, TAKE_PTR(reply));
finish:
        requests_free(q, 1);
        return r;
}
DEFINE_METHOD(submit);

/* Which of a batch it was. */
static int name_index(int r, size_t i, sd_bus_error *error) {
        _cleanup_(sd_bus_error_free) sd_bus_error inner = SD_BUS_ERROR_NULL;

        if (r >= 0 || !sd_bus_error_is_set(error))
                return r;
        inner = *error;
        *error = SD_BUS_ERROR_NULL;
        return api_error(error, inner.name, "job %zu: %s", i, inner.message);
}

static int read_many(Call *c, Request **ret, size_t *ret_n, sd_bus_error *error) {
        sd_bus_message *m = c->message;
        Request *l = NULL;
        size_t n = 0;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "a{sv}");
        while (r >= 0 && (r = sd_bus_message_at_end(m, false)) == 0) {
                _cleanup_free_ char *queue = NULL, *text = NULL;

                if (n >= JOBMILL_SUBMIT_MANY_MAX) {
                        r = api_error(error, JOBMILL_ERROR_TOO_MANY, "More than %u jobs in one call", JOBMILL_SUBMIT_MANY_MAX);
                        break;
                }
                if ((n & (n + 1)) == 0) {
                        Request *p = realloc(l, (2 * n + 1) * sizeof(Request));
                        if (!p) {
                                r = -ENOMEM;
                                break;
                        }
                        l = p;
                }
                l[n] = (Request) { .spec = spec_new() };
                n++;
                if (!l[n - 1].spec) {
                        r = -ENOMEM;
                        break;
                }
                r = spec_read_bus(m, l[n - 1].spec, &queue, &text);
                if (r < 0)
                        r = spec_error_to_bus(r, text, error);
                if (r >= 0)
                        r = check_request(c, l + n - 1, queue, error);
                if (r <= 0) {
                        r = name_index(r, n - 1, error);
                        break;
                }
        }
        if (r <= 0) {
                requests_free(l, n);
                return r;
        }
        *ret = l;
        *ret_n = n;
        return 1;
}

static int handle_submit_many(Call *c, sd_bus_error *error) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
        _cleanup_free_ uint64_t *ids = NULL;
        Request *l;
        size_t n;
        int r;

        r = read_many(c, &l, &n, error);
        if (r <= 0)
                return r;
        if (n == 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "jobs: the list is empty");
        ids = new0(uint64_t, n);
        if (!ids)
                r = -ENOMEM;
        for (size_t i = 0; r >= 0 && i < n; i++) {
                Job *j;
                r = submit_request(c, l + i, &j, error);
                if (r >= 0)
                        ids[i] = j->id;
        }
        requests_free(l, n);
        if (r < 0)
                return r;

        r = sd_bus_message_new_method_return(c->message, &reply);
        if (r >= 0)
                r = sd_bus_message_append_array(reply, 't', ids, n * sizeof(uint64_t));
        return r < 0 ? r : call_hold(c, TAKE_PTR(reply));
}
DEFINE_METHOD(submit_many);
