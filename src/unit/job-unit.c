/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the unit of a job is made of: the properties of StartTransientUnit (design.md, section 4), from the fixed ones that the
 * protocol stands on to those that files and the submitter set. */

#include "unit/scope.h"

#include "base/bus-util.h"
#include "base/strv.h"
#include "queue/spec-credential.h"
#include "queue/type-rules.h"
#include "queue/retry.h"
#include "unit/attempt-files.h"
#include "unit/job-unit.h"
#include "unit/property.h"
#include "unit/spool.h"

#include <signal.h>
#include <sys/mman.h>

int job_environment(const Units *u, const Attempt *a, char ***ret) {
        _cleanup_free_ char *slots = attempt_slot_numbers_to_string(a), *inputs = attempt_inputs_path(u->run_path, a);
        const char *variable = a->slot_owner->policy.slot_variable;
        _cleanup_strv_free_ char **l = NULL;
        int r;

        if (!slots || !inputs)
                return -ENOMEM;
        r = strv_extendf(&l, "JOBMILL_JOB_ID=%" PRIu64, a->job_id);
        if (r >= 0)
                r = strv_extendf(&l, "JOBMILL_ATTEMPT=%" PRIu32, a->number);
        if (r >= 0)
                r = strv_extendf(&l, "JOBMILL_ATTEMPT_ID=" SD_ID128_FORMAT_STR, SD_ID128_FORMAT_VAL(a->token));
        if (r >= 0)
                r = strv_extendf(&l, "JOBMILL_QUEUE=%s", a->queue->name);
        if (r >= 0)
                r = strv_extendf(&l, "JOBMILL_NAME=%s", strempty(a->job->name));
        if (r >= 0)
                r = strv_extendf(&l, "JOBMILL_SLOTS=%s", slots);
        if (r >= 0 && (a->inputs || (a->executor == EXECUTOR_SCOPE && access(inputs, F_OK) >= 0)))
                r = strv_extendf(&l, "JOBMILL_INPUTS=%s", inputs);
        if (r >= 0 && a->job->array > 0)
                r = strv_extendf(&l, "JOBMILL_ARRAY_ID=%" PRIu64, a->job->array);
        if (r >= 0 && a->job->array > 0)
                r = strv_extendf(&l, "JOBMILL_ARRAY_INDEX=%" PRIu32, a->job->array_index);
        if (r >= 0 && variable)
                r = strv_extendf(&l, "%s=%s", variable, slots);
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

static int append_environment(sd_bus_message *m, const Units *u, const Attempt *a, const char *env_file) {
        _cleanup_strv_free_ char **l = NULL;
        int r;

        r = job_environment(u, a, &l);
        if (r >= 0)
                r = bus_append_strv_value(m, 'r', "Environment", l);
        if (r < 0 || !env_file)
                return r;
        return sd_bus_message_append(m, "(sv)", "EnvironmentFiles", "a(sb)", 1, env_file, 0);
}

/* The payload as standard input: a memfd, so that it needs no file and no feeder that must live on. */
static int append_payload(sd_bus_message *m, const JobSpec *s) {
        _cleanup_close_ int fd = -EBADF;
        size_t done = 0;

        if (!s->has_payload)
                return sd_bus_message_append(m, "(sv)", "StandardInput", "s", "null");

        fd = memfd_create("jobmill-payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        while (done < s->payload_size) {
                ssize_t n = write(fd, s->payload + done, s->payload_size - done);
                if (n < 0)
                        return -errno;
                done += n;
        }
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return sd_bus_message_append(m, "(sv)", "StandardInputFileDescriptor", "h", fd);
}

static int append_spool(sd_bus_message *m, const int *spool) {
        /* With the first alone systemd would send standard error there too. */
        return sd_bus_message_append(m, "(sv)(sv)", "StandardOutputFileDescriptor", "h", spool[SPOOL_STDOUT],
                                     "StandardErrorFileDescriptor", "h", spool[SPOOL_STDERR]);
}

static int append_journal_fields(sd_bus_message *m, const Attempt *a) {
        char job[48], queue[QUEUE_NAME_MAX + 32], type[SPEC_TYPE_MAX + 32];
        int r;

        snprintf(job, sizeof(job), "JOBMILL_JOB_ID=%" PRIu64, a->job_id);
        snprintf(queue, sizeof(queue), "JOBMILL_QUEUE=%s", a->queue->name);
        snprintf(type, sizeof(type), "JOBMILL_TYPE=%s", strempty(a->job->type));
        r = bus_open_value(m, 'r', "LogExtraFields", "aay");
        if (r >= 0)
                r = sd_bus_message_open_container(m, 'a', "ay");
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', job, strlen(job));
        if (r >= 0)
                r = sd_bus_message_append_array(m, 'y', queue, strlen(queue));
        if (r >= 0 && a->job->type)
                r = sd_bus_message_append_array(m, 'y', type, strlen(type));
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return bus_close_value(m, r);
}

/* By their path: what a property says anybody may read. */
static int append_own_credentials(sd_bus_message *m, const Units *u, const Job *j) {
        int r = 0;

        STRV_FOREACH(name, j->spec->credentials) {
                _cleanup_free_ char *path = NULL;

                r = credential_path(u->credentials_path, j, *name, &path);
                if (r >= 0)
                        r = sd_bus_message_append(m, "(sv)", "LoadCredential", "a(ss)", 1, *name, path);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Those that its type needs, from the credential store. */
static int append_credentials(sd_bus_message *m, const JobSpec *s) {
        int r = 0;

        STRV_FOREACH(i, s->type_rules) {
                const char *path = startswith(*i, "Credential="), *name = path ? strrchr(path, '/') : NULL;

                if (r >= 0 && name)
                        r = sd_bus_message_append(m, "(sv)", strstr(path, ".encrypted/") ? "LoadCredentialEncrypted" : "LoadCredential", "a(ss)",
                                                  1, name + 1, path);
        }
        return r;
}

int job_unit_append_description(sd_bus_message *m, const Attempt *a) {
        const Job *j = a->job;
        char description[SPEC_NAME_MAX + 64];

        if (j->name)
                snprintf(description, sizeof(description), "jobmill job %" PRIu64 " (%s)", j->id, j->name);
        else
                snprintf(description, sizeof(description), "jobmill job %" PRIu64, j->id);
        return sd_bus_message_append(m, "(sv)", "Description", "s", description);
}

int units_append_accounting(sd_bus_message *m, const Units *u) {
        int r = 0;

        /* Since systemd 258 CPU time is always counted, and a unit's file that asks for it is warned of. */
        if (u->version_number < 258)
                r = sd_bus_message_append(m, "(sv)", "CPUAccounting", "b", 1);
        return r < 0 ? r : sd_bus_message_append(m, "(sv)(sv)(sv)", "MemoryAccounting", "b", 1, "IOAccounting", "b", 1, "TasksAccounting", "b", 1);
}

/* What every job's unit is, whatever its spec says (design.md, section 4). */
static int append_fixed(sd_bus_message *m, const Units *u, Attempt *a) {
        const Job *j = a->job;
        usec_t stop = attempt_stop_timeout(a);
        int r;

        r = job_unit_append_description(m, a);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)(sv)",
                                  "Slice", "s", a->queue->slice,
                                  "Type", "s", "exec",
                                  "RemainAfterExit", "b", 1,
                                  "Restart", "s", "no",
                                  "KillMode", "s", "control-group",
                                  "OOMPolicy", "s", "kill",
                                  "NotifyAccess", "s", "all",
                                  "IgnoreOnIsolate", "b", 1,
                                  "IgnoreSIGPIPE", "b", 0);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)",
                                  "After", "as", 1, "jobmilld.service",
                                  "StartLimitIntervalUSec", "t", USEC_INFINITY,
                                  "StartLimitBurst", "u", UINT32_C(1),
                                  "TimeoutStopUSec", "t", stop);
        if (r >= 0)
                r = units_append_accounting(m, u);
        a->has_net = j->timeout_usec != USEC_INFINITY && !j->spec->freezable;
        if (r < 0 || !a->has_net)
                return r;
        /* A net for when nobody watches; the daemon's own clock comes first. systemd's goes on while a unit is frozen, fires, and
         * leaves the unit stuck: so not for those that may be. */
        return sd_bus_message_append(m, "(sv)", "RuntimeMaxUSec", "t",
                                     usec_add(usec_add(j->timeout_usec, stop), 60 * USEC_PER_SEC));
}

static int append_owner(sd_bus_message *m, const Units *u, const Job *j) {
        char uid[16];
        int r;

        if (u->user)
                return 0; /* the manager is the owner's own */
        if (!j->owner_name)
                snprintf(uid, sizeof(uid), "%" PRIu32, j->owner);
        r = sd_bus_message_append(m, "(sv)", "User", "s", j->owner_name ?: uid);
        if (r < 0 || j->owner_name)
                return r;
        return sd_bus_message_append(m, "(sv)", "Group", "s", uid); /* nobody knows its group */
}

int job_properties(const Units *u, Attempt *a, UnitPropertyList *ret, char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList job = {}, merged = {};
        _cleanup_(property_base_done) PropertyBase base = {};
        bool privileged = a->job->privileged || u->user;
        const UnitValue *kill_signal;
        int r;

        STRV_FOREACH(p, a->job->spec->properties) {
                r = unit_property_parse_assignment(*p, privileged, UNIT_PROPERTY_SERVICE, &job, ret_error);
                if (r < 0)
                        return r;
        }
        r = property_base_init(&base, a->job->spec->type_rules, &a->queue->policy.service, a->queue->policy.overridable, ret_error);
        if (r >= 0)
                r = retry_grow_memory(&job, base.service, a->job->spec->memory_growth, a->job->grown);
        if (r < 0)
                return r;
        r = unit_property_merge(base.service, &job, privileged, base.overridable, &merged, ret_error);
        if (r < 0)
                return r;
        if (!privileged && unit_property_list_needs_no_new_privileges(&job)) {
                UnitValue *v = (UnitValue *) unit_property_list_find(&merged, "NoNewPrivileges");
                if (v)
                        v->b = true;
                else
                        r = unit_property_parse_assignment("NoNewPrivileges=yes", true, UNIT_PROPERTY_SERVICE, &merged, ret_error);
                if (r < 0)
                        return r;
        }
        kill_signal = unit_property_list_find(&merged, "KillSignal");
        a->kill_signal = kill_signal ? kill_signal->i32 : SIGTERM;
        *ret = merged;
        merged = (UnitPropertyList) {};
        return 0;
}

static int append_properties(sd_bus_message *m, const Units *u, Attempt *a, char **ret_error) {
        _cleanup_(unit_property_list_done) UnitPropertyList l = {};
        int r;

        r = job_properties(u, a, &l, ret_error);
        return r < 0 ? r : property_append_list(m, &l);
}

int job_unit_append(sd_bus_message *m, const Units *u, Attempt *a, const char *env_file, const int *spool, char **ret_error) {
        const JobSpec *s = a->job->spec;
        int r;

        r = append_fixed(m, u, a);
        if (r >= 0)
                r = append_owner(m, u, a->job);
        if (r >= 0)
                r = job_command_append(m, u, a);
        if (r >= 0)
                r = append_environment(m, u, a, env_file);
        if (r >= 0)
                r = append_payload(m, s);
        if (r >= 0 && spool)
                r = append_spool(m, spool);
        if (r >= 0 && s->cwd)
                r = sd_bus_message_append(m, "(sv)", "WorkingDirectory", "s", s->cwd);
        if (r >= 0 && s->umask != UINT32_MAX)
                r = sd_bus_message_append(m, "(sv)", "UMask", "u", s->umask);
        if (r >= 0)
                r = append_credentials(m, s);
        if (r >= 0)
                r = append_own_credentials(m, u, a->job);
        if (r >= 0 && !u->user)
                r = append_journal_fields(m, a);
        return r < 0 ? r : append_properties(m, u, a, ret_error);
}
