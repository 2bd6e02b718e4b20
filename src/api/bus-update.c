/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* UpdateJob and MoveJob: what a job that is there shall be instead.
 *
 * The result must be a job that its owner could have submitted as it is, so the checks are those of Submit. Rights beyond the
 * ownership of the job: who orders others' jobs (manage-jobs) may not touch what runs with their owner's rights without
 * submit-as; a job that was given privileged properties is not put to other use by one who could not have given them; a queue
 * takes a moved job if it takes jobs of its owner. */

#include "api/methods.h"
#include "api/request.h"
#include "api/room.h"
#include "api/spec-bus.h"
#include "api/unique.h"
#include "base/strv.h"
#include "queue/environment.h"
#include "queue/spec-change.h"
#include "queue/type-rules.h"
#include "queue/verdict.h"

void update_done(Update *up) {
        up->spec = spec_free(up->spec);
        up->queue = mfree(up->queue);
}

/* ---- what is asked for ---- */

/* Each value by itself, so that nonsense is refused also where no job matches. What is empty shall be removed. */
static int check_values(const Update *up, char **ret_error) {
        size_t n;
        const SpecField *f = spec_field_table(&n);
        int r;

        for (size_t i = 0; i < n; i++) {
                if (!(up->fields & UINT64_C(1) << i))
                        continue;
                if (!(f[i].flags & (SPEC_EDIT_QUEUED | SPEC_EDIT_LIVE | SPEC_EDIT_ALWAYS)))
                        return spec_error(ret_error, EINVAL, "'%s' of a job cannot be changed", f[i].name);
                if (!f[i].check || (f[i].type == SPEC_STRING && isempty(spec_field_ptr(char *, up->spec, f + i))))
                        continue;
                r = f[i].check(f + i, up->spec, ret_error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int strip_environment(JobSpec *s) {
        char **l;

        if (!s->environment)
                return 0;
        l = spec_environment_strip(s->environment);
        if (!l)
                return -ENOMEM;
        strv_free(s->environment);
        s->environment = l;
        return 0;
}

int update_read(Call *c, Update *ret, sd_bus_error *error) {
        _cleanup_(update_done) Update up = { .spec = spec_new() };
        _cleanup_free_ char *text = NULL;
        int r;

        if (!up.spec)
                return -ENOMEM;
        r = spec_read_bus(c->message, up.spec, &up.fields, &up.queue, &text);
        if (r >= 0)
                r = check_values(&up, &text);
        if (r >= 0)
                r = strip_environment(up.spec);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", text ?: "the request cannot be read");
        r = request_check_limits(c, up.spec, error);
        if (r < 0)
                return r;
        if (up.fields == 0 && !up.queue)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "changes: nothing is to be changed");
        *ret = up;
        up = (Update) {};
        return 1;
}

/* ---- one job ---- */

/* Where it goes: *ret is NULL where it stays. There, too, it does not become another job where that one would be refused. */
static int check_target(Call *c, const Update *up, const Job *j, Queue **ret, sd_bus_error *error) {
        bool moves = up->queue && !streq(up->queue, j->queue_name);
        const User *u;
        Queue *q;
        int r;

        *ret = NULL;
        if (!moves && !(up->fields & spec_fields_with(SPEC_OF_OWNER)))
                return 1;
        r = call_user(c, j->owner, &u);
        if (r > 0)
                r = request_check_queue(c, moves ? up->queue : j->queue_name, u, &q, error);
        if (r > 0 && moves)
                *ret = q;
        return r;
}

/* The spec as it is now. light: only what stands in the job itself is looked at and changed, nothing is read for it. */
static int current_spec(Call *c, const Job *j, bool light, JobSpec **ret, sd_bus_error *error) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        _cleanup_(job_row_done) JobRow row = {};
        int r = 0;

        if (j->is_new || j->edited)
                r = spec_copy(j->is_new ? j->spec : j->edited, UINT64_MAX, &spec);
        else if (light)
                spec = spec_new();
        else {
                r = history_get(c->api->store, j->id, true, &row);
                if (r < 0)
                        return api_error_store(c->api, error, r);
                spec = TAKE_PTR(row.spec);
        }
        if (r < 0 || !spec)
                return -ENOMEM;
        r = job_to_spec(j, spec);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(spec);
        return 0;
}

/* Does it have what NoNewPrivileges= comes with, where somebody without privilege asks for it? */
static int is_sandboxed(const JobSpec *s, char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};
        int r;

        STRV_FOREACH(p, s->properties) {
                r = unit_property_parse_assignment(*p, true, UNIT_PROPERTY_SERVICE, &l, ret_error);
                if (r < 0)
                        return r;
        }
        return unit_property_list_needs_no_new_privileges(&l);
}

/* In the sandbox that a user made a set-user-id program could be led astray. So NoNewPrivileges= goes on when somebody who may set
 * more adds to it, unless he says otherwise. */
static int keep_no_new_privileges(const Update *up, JobSpec *spec) {
        _cleanup_(spec_freep) JobSpec *keep = spec_new();
        _cleanup_free_ char *text = NULL;

        STRV_FOREACH(p, up->spec->properties)
                if (startswith(*p, "NoNewPrivileges="))
                        return 0;
        if (!keep || strv_extend(&keep->properties, "NoNewPrivileges=yes") < 0)
                return -ENOMEM;
        return spec_change(spec, keep, spec_field_bit(spec_field_find("properties")), &text);
}

static int changed_spec(Call *c, const Update *up, const Job *j, const Queue *to, JobSpec **ret, bool *ret_sandboxed,
                        sd_bus_error *error) {
        uint64_t output = spec_field_bit(spec_field_find("stdout")), verify = spec_field_bit(spec_field_find("verify"));
        bool light = !(up->fields & (~spec_fields_of_job() | output | verify)) && !to && !j->type;
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        _cleanup_free_ char *text = NULL;
        int r;

        r = current_spec(c, j, light, &spec, error);
        if (r < 0)
                return r;
        r = is_sandboxed(spec, &text);
        *ret_sandboxed = r > 0;
        if (r >= 0)
                r = spec_change(spec, up->spec, up->fields, &text);
        if (r >= 0 && !light)
                r = spec_validate(spec, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        /* As when it is submitted so. */
        if (up->fields & (output | verify | spec_field_bit(spec_field_find("output_file"))))
                r = verdict_resolve(spec, up->fields & output ? up->spec->output : OUTPUT_UNSET, (to ?: j->queue)->policy.defaults,
                                    &c->api->model->defaults, &text);
        if (r < 0)
                return r == -ENOMEM ? r : api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        if ((up->fields & spec_field_bit(spec_field_find("timeout_usec"))) && spec->timeout_usec == USEC_INFINITY)
                spec->timeout_usec = (to ?: j->queue)->policy.timeout_usec;
        *ret = TAKE_PTR(spec);
        return 0;
}

/* What its type took from its submitter then is what it takes from him now. */
static int check_type(Call *c, const Update *up, const Job *j, const Queue *to, const JobSpec *spec, sd_bus_error *error) {
        _cleanup_free_ char *text = NULL;
        const char *refused = NULL;
        const SpecField *f;
        size_t n;
        int r;

        if (!j->type)
                return 0;
        f = spec_field_table(&n);
        for (size_t i = 0; i < n; i++)
                if ((up->fields & UINT64_C(1) << i) && !type_rules_accept(spec->type_rules, f[i].name))
                        refused = f[i].name;
        if (to && !type_rules_accept(spec->type_rules, "queue"))
                refused = "queue";
        if (refused && !call_is_root(c))
                return api_error(error, JOBMILL_ERROR_NOT_ALLOWED, "'%s': the type of job %" PRIu64 ", '%s', does not take that from callers",
                                 refused, j->id, j->type);
        if (up->fields & spec_field_bit(spec_field_find("argv")))
                return api_error(error, JOBMILL_ERROR_NOT_EDITABLE, "'argv' of job %" PRIu64 " is that of its type, '%s'", j->id, j->type);
        r = up->fields & spec_field_bit(spec_field_find("payload")) ? type_rules_check_payload(spec->type_rules, spec, &text) : 0;
        return r < 0 ? api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text)) : 0;
}

/* 1 and *ret: whether it may have privileged properties from now on. What a queue's file sets (RootDirectory=, BindPaths=) decides what its command
 * is, so to be moved is another use, too. */
static int check_properties(Call *c, const Update *up, const Job *j, Queue *to, JobSpec *spec, bool *ret,
                            sd_bus_error *error) {
        Request q = { .spec = spec, .queue = to ?: j->queue, .privileged = j->privileged };
        int r = 1;

        if ((up->fields & spec_field_bit(spec_field_find("properties"))) ||
            (j->privileged && (to || (up->fields & spec_fields_with(SPEC_OF_OWNER)))))
                r = request_check_properties(c, &q, error);
        else if (to)
                r = request_recheck_properties(&q, error);
        *ret = q.privileged;
        return r;
}

static int update_error(int r, const char *text, sd_bus_error *error) {
        switch (r) {
        case -EALREADY:
                return api_error(error, JOBMILL_ERROR_NOT_EDITABLE, "%s", strempty(text));
        case -EXFULL:
                return api_error(error, JOBMILL_ERROR_QUEUE_FULL, "%s", strempty(text));
        case -EDQUOT:
                return api_error(error, JOBMILL_ERROR_QUEUE_DRAINING, "%s", strempty(text));
        case -ERANGE:
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "%s", strempty(text));
        default:
                return r;
        }
}

int update_apply(Call *c, const Update *up, Job *j, sd_bus_error *error) {
        _cleanup_(spec_freep) JobSpec *spec = NULL;
        _cleanup_free_ char *text = NULL;
        bool privileged, sandboxed;
        uint64_t room;
        Queue *to;
        int r;

        r = model_may_update(j, up->fields, up->queue && !streq(up->queue, j->queue_name), &text);
        if (r < 0)
                return update_error(r, text, error);
        if (j->owner != c->client->uid && !call_is_root(c) && (up->fields & spec_fields_with(SPEC_OF_OWNER))) {
                r = request_authorize_as(c, j->owner, error);
                if (r <= 0)
                        return r;
        }
        r = check_target(c, up, j, &to, error);
        if (r <= 0)
                return r;
        r = changed_spec(c, up, j, to, &spec, &sandboxed, error);
        if (r >= 0)
                r = check_type(c, up, j, to, spec, error);
        if (r < 0)
                return r;
        r = check_properties(c, up, j, to, spec, &privileged, error);
        if (r <= 0)
                return r;
        if (privileged && !j->privileged && sandboxed) {
                r = keep_no_new_privileges(up, spec);
                if (r < 0)
                        return r;
        }
        if (spec->unique_key && (up->fields & spec_field_bit(spec_field_find("unique_key")) || (to && j->unique_held))) {
                r = unique_check_free(c, to ?: j->queue, j->owner, spec->unique_key, j, error);
                if (r < 0)
                        return r;
        }
        r = room_for_update(c, j, spec, up->fields, &room, error);
        if (r < 0)
                return r;
        r = model_update(c->api->model, j, to, spec, up->fields, &c->api->now, &text);
        if (r < 0) {
                room_leave(c, j->owner, room);
                return update_error(r, text, error);
        }
        TAKE_PTR(spec);
        j->privileged = privileged;
        return 1;
}

/* ---- methods ---- */

static int run_update(Call *c, uint64_t id, const Update *up, sd_bus_error *error) {
        Job *j;
        int r;

        r = call_own_job(c, id, &j, error);
        if (r > 0)
                r = update_apply(c, up, j, error);
        return r <= 0 ? r : call_hold_empty(c);
}

static int handle_update_job(Call *c, sd_bus_error *error) {
        _cleanup_(update_done) Update up = {};
        uint64_t id;
        int r;

        r = sd_bus_message_read_basic(c->message, 't', &id);
        if (r >= 0)
                r = update_read(c, &up, error);
        return r < 0 ? r : run_update(c, id, &up, error);
}
DEFINE_METHOD(update_job);

static int handle_move_job(Call *c, sd_bus_error *error) {
        _cleanup_(update_done) Update up = { .spec = spec_new() };
        const char *queue;
        uint64_t id;
        int r;

        if (!up.spec)
                return -ENOMEM;
        r = sd_bus_message_read(c->message, "ts", &id, &queue);
        if (r >= 0)
                r = free_and_strdup(&up.queue, queue);
        return r < 0 ? r : run_update(c, id, &up, error);
}
DEFINE_METHOD(move_job);
