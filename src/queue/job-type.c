/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From a request and its type to a job: pure. */

#include "queue/job-type.h"

#include "base/strv.h"
#include "queue/spec-change.h"
#include "queue/spec-check.h"
#include "queue/type-rules.h"

/* What makes a request one, and is nothing of the job. */
static const char *const always[] = { "type", "payload", "tags", "request_id" };

JobType *job_type_new(const char *name) {
        JobType *t = new0(JobType, 1);

        if (!t)
                return NULL;
        t->schedule = (TimerPolicy) TIMER_POLICY_INIT;
        t->name = strdup(name);
        t->defaults = spec_new();
        if (t->defaults) /* they have no command */
                t->defaults->type = strdup(name);
        return t->name && t->defaults && t->defaults->type ? t : job_type_free(t);
}

JobType *job_type_free(JobType *t) {
        if (!t)
                return NULL;
        free(t->name);
        free(t->version);
        free(t->description);
        free(t->queue);
        strv_free(t->command);
        spec_free(t->defaults);
        strv_free(t->allow_users);
        strv_free(t->allow_groups);
        strv_free(t->accept);
        strv_free(t->overridable);
        strv_free(t->payload_required);
        strv_free(t->payload_optional);
        strv_free(t->commands);
        strv_free(t->units);
        strv_free(t->requires);
        strv_free(t->credentials);
        strv_free(t->credential_paths);
        unit_property_list_done(&t->service);
        strv_free(t->properties);
        strv_free(t->files);
        timer_policy_done(&t->schedule);
        free(t->schedule_payload);
        free(t->fault);
        free(t->missing_units);
        return mfree(t);
}

void job_types_done(JobTypes *l) {
        JobType *t, *next;

        HASH_ITER(hh, l->all, t, next) {
                HASH_DEL(l->all, t);
                job_type_free(t);
        }
}

JobType *job_types_find(const JobTypes *l, const char *name) {
        JobType *t;

        HASH_FIND_STR(l->all, name, t);
        return t;
}

const char *job_type_reason(const JobType *t) {
        return t->fault ?: t->missing_units;
}

bool job_type_is_privileged(const JobType *t) {
        for (const UnitValue *v = t->service.values; v < t->service.values + t->service.n_values; v++)
                if (unit_property_of_value(v)->class != PROPERTY_OPEN)
                        return true;
        return strv_length(t->credentials) > 0;
}

int job_type_accepts(const JobType *t, char ***ret_accept) {
        _cleanup_strv_free_ char **l = NULL;

        if (strv_length(t->accept) == 0 && !job_type_is_privileged(t))
                return 0;
        FOREACH_ELEMENT(key, always)
                if (strv_extend(&l, *key) < 0)
                        return -ENOMEM;
        STRV_FOREACH(key, t->accept)
                if (!strv_contains(l, *key) && strv_extend(&l, *key) < 0)
                        return -ENOMEM;
        *ret_accept = TAKE_PTR(l);
        return 1;
}

int job_type_check(const JobType *t, char **ret_error) {
        if (strv_length(t->command) == 0)
                return spec_error(ret_error, EINVAL, "[Job] Command= is missing");
        if (job_type_is_privileged(t) && strv_length(t->allow_users) == 0 && strv_length(t->allow_groups) == 0)
                return spec_error(ret_error, EINVAL, "[Job] AllowUsers= or AllowGroups= is missing: its jobs get what their submitters do not have");
        if (t->defaults->verify == VERIFY_VERDICT && (t->defaults->output == OUTPUT_JOURNAL || t->defaults->output_file))
                return spec_error(ret_error, EINVAL, "[Job] Verify=verdict needs Stdout=spool and no OutputFile=");
        if (strv_length(t->payload_required) + strv_length(t->payload_optional) > PAYLOAD_KEYS_MAX)
                return spec_error(ret_error, EINVAL, "[Job] PayloadRequired= and PayloadOptional= have more than %u keys", PAYLOAD_KEYS_MAX);
        if (strv_length(t->properties) > SPEC_PROPERTIES_MAX)
                return spec_error(ret_error, EINVAL, "[Service] has more than %u lines", SPEC_PROPERTIES_MAX);
        return spec_validate(t->defaults, ret_error);
}

/* ---- a job of it ---- */

static int not_accepted(const JobType *t, char *const *accept, const char *key, char **ret_error) {
        _cleanup_free_ char *list = strv_join(accept, ", ");

        return !list ? -ENOMEM : spec_error(ret_error, EPERM, "'%s': of jobs of type '%s' callers give only: %s", key, t->name, list);
}

static int check_given(const JobType *t, uint64_t given, bool gives_queue, char **ret_error) {
        _cleanup_strv_free_ char **accept = NULL;
        const SpecField *f;
        size_t n;
        int r;

        r = job_type_accepts(t, &accept);
        if (r <= 0)
                return r;
        f = spec_field_table(&n);
        for (size_t i = 0; i < n; i++)
                if ((given & UINT64_C(1) << i) && !strv_contains(accept, f[i].name))
                        return not_accepted(t, accept, f[i].name, ret_error);
        return gives_queue && !strv_contains(accept, "queue") ? not_accepted(t, accept, "queue", ret_error) : 0;
}

static int add_words(const JobType *t, JobSpec *s, char **ret_error) {
        char **l = strv_copy(t->command);
        int r = l ? 0 : -ENOMEM;

        STRV_FOREACH(w, s->argv)
                if (r >= 0)
                        r = strv_extend(&l, *w);
        if (r < 0) {
                strv_free(l);
                return r;
        }
        return spec_set_strv(s, spec_field_find("argv"), l, ret_error);
}

/* The type's variables, but for those that the caller gives. */
static int add_environment(const JobType *t, JobSpec *s, char **ret_error) {
        char **l = NULL;
        int r = 0;

        STRV_FOREACH(v, t->defaults->environment) {
                char name[256];

                snprintf(name, sizeof(name), "%.*s", (int) strcspn(*v, "="), *v);
                if (r >= 0 && !strv_env_get(s->environment, name))
                        r = strv_extend(&l, *v);
        }
        STRV_FOREACH(v, s->environment)
                if (r >= 0)
                        r = strv_extend(&l, *v);
        if (r < 0) {
                strv_free(l);
                return r;
        }
        return spec_set_strv(s, spec_field_find("environment"), l, ret_error);
}

static int add_rules(char *const *words, const char *key, char ***l) {
        int r = 0;

        STRV_FOREACH(w, words)
                if (r >= 0)
                        r = strv_extendf(l, "%s%s", key, *w);
        return r;
}

static int make_rules(const JobType *t, char ***ret) {
        _cleanup_strv_free_ char **accept = NULL, **l = NULL;
        int r;

        r = job_type_accepts(t, &accept);
        if (r >= 0)
                r = add_rules(accept, "Accept=", &l);
        if (r >= 0)
                r = add_rules(t->payload_required, "PayloadRequired=", &l);
        if (r >= 0)
                r = add_rules(t->payload_optional, "PayloadOptional=", &l);
        if (r >= 0)
                r = add_rules(t->overridable, "Override=", &l);
        if (r >= 0)
                r = add_rules(t->properties, "Service.", &l);
        if (r >= 0)
                r = add_rules(t->credential_paths, "Credential=", &l);
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

int job_type_apply(const JobType *t, JobSpec *s, uint64_t given, bool gives_queue, char **ret_error) {
        uint64_t environment = spec_field_bit(spec_field_find("environment"));
        char **rules = NULL;
        int r;

        r = check_given(t, given, gives_queue, ret_error);
        if (r >= 0)
                r = add_words(t, s, ret_error);
        if (r >= 0 && (t->fields & environment))
                r = add_environment(t, s, ret_error);
        if (r >= 0)
                r = spec_fill(s, t->defaults, t->fields & ~(given | environment));
        if (r >= 0)
                r = free_and_strdup(&s->type_version, t->version);
        if (r >= 0)
                r = make_rules(t, &rules);
        if (r < 0)
                return r;
        r = spec_set_strv(s, spec_field_find("type_rules"), rules, ret_error);
        return r < 0 ? r : type_rules_check_payload(s->type_rules, s, ret_error);
}
