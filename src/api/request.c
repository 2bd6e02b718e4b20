/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What can be wrong with a job that is asked for, and who may ask for it: as which user, in which queue, with which properties.
 * Submit and its like need all of it, a change of a job that is there the parts that it touches. */

#include "api/request.h"

#include "base/strv.h"
#include "queue/environment.h"
#include "queue/pool.h"
#include "queue/spec-change.h"
#include "queue/type-rules.h"
#include "queue/verdict.h"

/* "*" of AllowUsers= means people: login.defs(5) begins with them here, and services have a range above (DynamicUser=), with nobody behind it. */
#define UID_MIN 1000U
#define UID_SERVICE_MIN 61184U
#define UID_SERVICE_MAX 65535U

void request_done(Request *q) {
        spec_free(q->spec);
        free(q->queue_name);
        free(q->owner_name);
        free(q->never);
}

void requests_free(Request *l, size_t n) {
        for (size_t i = 0; i < n; i++)
                request_done(l + i);
        free(l);
}

const char *request_queue_name(const Request *q) {
        return isempty(q->queue_name) ? JOBMILL_QUEUE_DEFAULT : q->queue_name;
}

/* ---- who may submit where ---- */

static bool is_person(const User *u) {
        return u->name && u->uid >= UID_MIN && (u->uid < UID_SERVICE_MIN || u->uid > UID_SERVICE_MAX);
}

bool request_lists_user(char *const *users, char *const *groups, const User *u) {
        char uid[16];

        snprintf(uid, sizeof(uid), "%" PRIu32, u->uid);
        STRV_FOREACH(w, users)
                if ((streq(*w, "*") && is_person(u)) || streq(*w, uid) || streq_ptr(*w, u->name))
                        return true;
        STRV_FOREACH(g, groups)
                if (strv_contains(u->groups, *g))
                        return true;
        return false;
}

int request_check_queue(Call *c, const char *name, const User *u, Queue **ret, sd_bus_error *error) {
        Queue *q = model_queue(c->api->model, name);
        bool manages;
        int r;

        if (!q || !q->configured)
                return api_error_no_such_queue(error, name);
        if (callback_queue_is(name))
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue '%s' takes no jobs of anybody: jobmill makes them itself", name);
        *ret = q;
        if (request_lists_user(q->policy.allow_users, q->policy.allow_groups, u))
                return 1;
        /* Who manages queues may submit to all of them. */
        r = call_may(c, JOBMILL_ACTION_MANAGE_QUEUES, true, &manages);
        if (r <= 0 || manages)
                return r;
        return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "Queue '%s' does not take jobs of user %s", name,
                         u->name ?: "(unknown)");
}

/* ---- one request ---- */

/* What its type sets is nothing that the queue's executor would leave out. */
static int check_type_fits(Executor e, char *const *rules, char **ret_text) {
        STRV_FOREACH(i, rules) {
                const char *assignment = startswith(*i, "Service.");
                _cleanup_free_ char *name = strndup(assignment ?: *i, strcspn(assignment ?: *i, "="));
                const UnitProperty *p = name && assignment ? unit_property_find(name) : NULL;

                if (!name)
                        return -ENOMEM;
                if ((assignment || startswith(*i, "Credential=")) && e != EXECUTOR_SERVICE &&
                    !(e == EXECUTOR_POOL && p && (p->flags & UNIT_PROPERTY_POOL)))
                        return spec_error(ret_text, EPERM, "%s= of the type: jobs of this queue have no unit of their own (Executor=)", name);
        }
        return 0;
}

/* Units are started as root does it; a type's or a queue's own are an administrator's. */
static int check_units(const Request *q, char **ret_text) {
        uint64_t fields = spec_field_bit(spec_field_find("on_success")) | spec_field_bit(spec_field_find("on_failure"));

        if (q->privileged || !(q->given & fields))
                return 0;
        return spec_error(ret_text, EACCES, "on_success and on_failure start units, which takes more rights");
}

/* With q->privileged. -EACCES: these need more rights. */
static int parse_properties(const Request *q, UnitPropertyList *ret, char **ret_text) {
        int r;

        Executor e = q->queue->policy.executor;

        r = check_units(q, ret_text);
        if (r >= 0)
                r = check_type_fits(e, q->spec->type_rules, ret_text);
        if (r < 0)
                return r;
        r = e == EXECUTOR_WORKER ? worker_check_spec(q->spec, q->queue, ret_text) : e == EXECUTOR_POOL ? pool_check_spec(q->spec, ret_text) : 0;
        if (r < 0)
                return r;

        STRV_FOREACH(p, q->spec->properties) {
                r = unit_property_parse_assignment(*p, q->privileged, UNIT_PROPERTY_SERVICE, ret, ret_text);
                if (r < 0)
                        return r;
        }
        return e == EXECUTOR_POOL ? pool_check_properties(ret, ret_text) : 0;
}

static int properties_error(int r, const char *text, sd_bus_error *error) {
        if (r == -ENOMEM)
                return r;
        return api_error(error, r == -EPERM || r == -EACCES ? JOBMILL_ERROR_PROPERTY_NOT_ALLOWED : JOBMILL_ERROR_INVALID_SPEC,
                         "properties: %s", text);
}

static int merge_properties(const Request *q, const UnitPropertyList *job, sd_bus_error *error) {
        _cleanup_(unit_property_list_done) UnitPropertyList merged = {};
        _cleanup_(property_base_done) PropertyBase base = {};
        _cleanup_free_ char *text = NULL;
        int r;

        if (job->n_values == 0)
                return 1;
        r = property_base_init(&base, q->spec->type_rules, &q->queue->policy.service, q->queue->policy.overridable, &text);
        if (r >= 0)
                r = unit_property_merge(base.service, job, q->privileged, base.overridable, &merged, &text);
        return r < 0 ? properties_error(r == -ENOMEM ? r : -EPERM, text, error) : 1;
}

/* The submitter's rights decide, not the owner's: root may give a job of alice's what alice could not. One who may not set a
 * property himself may be allowed to by polkit. */
int request_check_properties(Call *c, Request *q, sd_bus_error *error) {
        _cleanup_(unit_property_list_done) UnitPropertyList job = {};
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
        return r < 0 ? properties_error(r, text, error) : merge_properties(q, &job, error);
}

int request_recheck_properties(const Request *q, sd_bus_error *error) {
        _cleanup_(unit_property_list_done) UnitPropertyList job = {};
        _cleanup_free_ char *text = NULL;
        int r;

        r = parse_properties(q, &job, &text);
        return r < 0 ? properties_error(r, text, error) : merge_properties(q, &job, error);
}

int request_authorize_as(Call *c, uint32_t uid, sd_bus_error *error) {
        char number[16];

        if (c->api->user)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "uid: a user's own instance runs jobs as that user");
        /* What polkit says is said of one user. */
        if (c->client->uid != 0 && c->submit_as != UINT32_MAX && c->submit_as != uid)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "uid: only one other user in a request");
        c->submit_as = uid;
        snprintf(number, sizeof(number), "%" PRIu32, uid);
        return call_authorize(c, JOBMILL_ACTION_SUBMIT_AS, (const char *const[]) { "uid", number, NULL }, error);
}

/* The owner: the caller, or with submit-as somebody else. 1, 0 (not there yet) or negative. */
static int check_owner(Call *c, Request *q, const User **ret, sd_bus_error *error) {
        uint32_t uid = q->spec->uid == UINT32_MAX ? c->client->uid : q->spec->uid;
        int r;

        if (uid != c->client->uid) {
                r = request_authorize_as(c, uid, error);
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

/* What jobmill.conf allows less of than the table of keys does. */
int request_check_limits(const Call *c, const JobSpec *s, sd_bus_error *error) {
        const ApiLimits *l = &c->api->limits;
        uint64_t n = 0;

        STRV_FOREACH(i, s->environment)
                n += strlen(*i) + 1;
        if (n > l->environment_max)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "environment: %" PRIu64 " bytes, at most %" PRIu64
                                 " are allowed here (EnvironmentMax=)", n, l->environment_max);
        if (s->array > l->array_max)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "array: %" PRIu32 " jobs, at most %" PRIu64
                                 " are allowed here (ArrayMax=)", s->array, l->array_max);
        if (s->callback_url && strlen(s->callback_url) > l->callback_url_max)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "callback_url: %zu bytes, at most %" PRIu64
                                 " are allowed here (CallbackURLMax=)", strlen(s->callback_url), l->callback_url_max);
        if (s->payload_size > l->payload_max)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "payload: %zu bytes, at most %" PRIu64
                                 " are allowed here (PayloadMax=)", s->payload_size, l->payload_max);
        return request_check_credentials(c, s, error);
}

/* What waits already is sent however many they are; no more are begun. */
static int check_callback_room(const Call *c, const Request *q, const Queue *sender, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        int r = backlog_check(c->api->model, sender, q->owner, MAX(q->spec->array, 1U), &text);

        return r == -EXFULL ? api_error(error, JOBMILL_ERROR_QUEUE_FULL, "callback_url: too many callbacks wait: %s", text) : r;
}

static bool has_queue(const Call *c, const char *name) {
        const Queue *q = model_queue(c->api->model, name);

        return q && q->configured;
}

/* One whose file is bad is there again when that is mended. */
static bool lacks_queue(const Call *c, const char *name) {
        return !queue_has_file(model_queue(c->api->model, name));
}

/* What the file of its queue asks for where nobody would do it was told when that was read, and is not left to pile up. */
static int inherit(const Call *c, JobSpec *s, const JobSpec *defaults) {
        bool has_url = s->callback_url, has_success = s->on_success, has_failure = s->on_failure;
        int r;

        if (!defaults)
                return 0;
        r = spec_inherit(s, defaults);
        if (r < 0)
                return r;
        if (!has_url && lacks_queue(c, CALLBACK_QUEUE))
                s->callback_url = mfree(s->callback_url);
        if (!has_success && lacks_queue(c, TRIGGER_QUEUE))
                s->on_success = strv_free(s->on_success);
        if (!has_failure && lacks_queue(c, TRIGGER_QUEUE))
                s->on_failure = strv_free(s->on_failure);
        return 0;
}

/* What it, or its type, asks for itself. */
static int check_callback(const Call *c, const Request *q, sd_bus_error *error) {
        const JobSpec *d = q->queue->policy.defaults;

        if (q->spec->callback_events && !q->spec->callback_url && !(d && d->callback_url))
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "callback_events: there is no callback_url, which they would go to");
        if (q->spec->callback_url && !has_queue(c, CALLBACK_QUEUE))
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "callback_url: there is no queue '" CALLBACK_QUEUE
                                 "', so nobody would send it (jobmill-webhook is not installed)");
        if ((q->spec->on_success || q->spec->on_failure) && !has_queue(c, TRIGGER_QUEUE))
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "on_success, on_failure: there is no queue '" TRIGGER_QUEUE
                                 "', so nothing would start them");
        if (has_queue(c, CALLBACK_QUEUE) && (q->spec->callback_url || (d && d->callback_url)))
                return check_callback_room(c, q, model_queue(c->api->model, CALLBACK_QUEUE), error);
        return 0;
}

int request_check(Call *c, Request *q, sd_bus_error *error) {
        OutputMode said = q->spec->output;
        _cleanup_free_ char *text = NULL;
        const User *u;
        int r;

        if (q->spec->type) {
                r = request_apply_type(c, q, error);
                if (r < 0)
                        return r;
        }
        if (!q->spec->argv || !q->spec->argv[0])
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "argv: missing; a job needs a command");
        r = spec_validate(q->spec, &text);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text);
        r = request_check_limits(c, q->spec, error);
        if (r < 0)
                return r;
        r = check_owner(c, q, &u, error);
        if (r <= 0)
                return r;
        if (q->spec->type) {
                r = request_check_type_user(c, q->spec->type, u, error);
                if (r < 0)
                        return r;
        }
        r = request_check_queue(c, request_queue_name(q), u, &q->queue, error);
        if (r <= 0)
                return r;
        r = request_check_properties(c, q, error);
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
        r = check_callback(c, q, error);
        if (r < 0)
                return r;
        r = inherit(c, q->spec, q->queue->policy.defaults);
        if (r < 0)
                return r;
        r = verdict_resolve(q->spec, said, NULL, &c->api->model->defaults, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text);

        r = spec_check_deadline(q->spec, &c->api->now, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text);

        const Queue *at = queue_draining_at(q->queue);
        if (at)
                return api_error(error, JOBMILL_ERROR_QUEUE_DRAINING, "Queue '%s' is being drained and takes no new jobs",
                                 at->name);
        at = queue_too_small(q->queue, q->spec->slots);
        if (at)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "slots: %" PRIu32 " asked for, queue '%s' has only %" PRIu32,
                                 q->spec->slots, at->name, at->policy.slots);
        return request_check_after(c, q, error);
}
