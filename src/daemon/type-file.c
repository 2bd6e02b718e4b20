/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What may stand in job files. One table of keys; [Service] goes through the table of unit properties. Files are root's, so they may set
 * privileged properties, but none of ours. Errors name file, line, section and key. tests/lint/check-man-keys.py reads the table and
 * compares it with jobmill.job(5). */

#include "daemon/type-file.h"

#include "base/parse.h"
#include "base/strv.h"
#include "daemon/file-value.h"
#include "queue/spec-change.h"
#include "queue/spec-check.h"
#include "queue/spec-words.h"
#include "queue/type-rules.h"

#include <sys/stat.h>

#define DESCRIPTION_MAX 256U
#define UNIT_NAME_MAX 255U
#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" /* systemd's own */

/* ---- values ---- */

static int set_text(const char *value, unsigned max, void *data) {
        if (strlen(value) > max)
                return -E2BIG;
        return !string_is_clean(value) ? -EINVAL : free_and_strdup(data, isempty(value) ? NULL : value);
}

static int parse_version(const char *value, void *data) {
        return set_text(value, SPEC_TYPE_MAX, data);
}

static int parse_description(const char *value, void *data) {
        return set_text(value, DESCRIPTION_MAX, data);
}

static int parse_queue(const char *value, void *data) {
        return isempty(value) || queue_name_is_valid(value) ? free_and_strdup(data, isempty(value) ? NULL : value) : -EINVAL;
}

/* The words of a command, which are one line. A path, or a program's name. */
static int parse_command(const char *value, void *data) {
        _cleanup_strv_free_ char **words = NULL;
        _cleanup_(spec_freep) JobSpec *alone = spec_new();
        char ***l = data;
        int r;

        if (!alone)
                return -ENOMEM;
        r = spec_split_words(value, strlen(value), 0, &words);
        if (r < 0)
                return r;
        if (words) {
                if (words[0][0] != '/' && strchr(words[0], '/'))
                        return -EINVAL;
                alone->argv = TAKE_PTR(words);
                r = spec_check_argv(spec_field_find("argv"), alone, NULL);
                if (r < 0)
                        return r;
        }
        strv_free(*l);
        *l = TAKE_PTR(alone->argv);
        return 0;
}

/* Each word of a list is one; what the line adds to stays as it is where one is not. */
static int parse_checked(const char *value, void *data, bool (*is_valid)(const char *)) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = file_value_words(value, &words);
        STRV_FOREACH(w, words)
                if (!is_valid(*w))
                        return -EINVAL;
        return r < 0 ? r : file_value_words(value, data);
}

static bool is_key_of_caller(const char *word) {
        return streq(word, "queue") || spec_field_of_caller(word);
}

static bool is_property(const char *word) {
        const UnitProperty *p = unit_property_find(word);

        return p && p->class != PROPERTY_OURS;
}

static bool is_command(const char *word) {
        return *word == '/' || !strchr(word, '/');
}

static bool is_path(const char *word) {
        return *word == '/';
}

static bool is_unit(const char *word) {
        const char *dot = strrchr(word, '.');

        return dot && dot > word && dot[1] && strlen(word) <= UNIT_NAME_MAX &&
               strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.\\@-") == strlen(word);
}

static bool is_credential(const char *word) {
        return *word != '.' && !strchr(word, '/') && strlen(word) <= 255;
}

static int parse_accept(const char *value, void *data) {
        return parse_checked(value, data, is_key_of_caller);
}

static int parse_properties(const char *value, void *data) {
        return parse_checked(value, data, is_property);
}

static int parse_payload(const char *value, void *data) {
        return parse_checked(value, data, payload_key_is_valid);
}

static int parse_commands(const char *value, void *data) {
        return parse_checked(value, data, is_command);
}

static int parse_paths(const char *value, void *data) {
        return parse_checked(value, data, is_path);
}

static int parse_units(const char *value, void *data) {
        return parse_checked(value, data, is_unit);
}

static int parse_credentials(const char *value, void *data) {
        return parse_checked(value, data, is_credential);
}

/* ---- keys ---- */

static const struct {
        const char *key;
        int (*parse)(const char *value, void *data);
        size_t offset;
        const char *allowed;
        const char *field; /* of the spec, in place of parse */
} type_keys[] = {
        { "Version", parse_version, offsetof(JobType, version), "at most 64 bytes" },
        { "Description", parse_description, offsetof(JobType, description), "at most 256 bytes" },
        { "Command", parse_command, offsetof(JobType, command), "an absolute path or a program's name, and arguments" },
        { "Queue", parse_queue, offsetof(JobType, queue), "the name of a queue" },
        { "AllowUsers", file_value_words, offsetof(JobType, allow_users), "user names, uids, or *" },
        { "AllowGroups", file_value_words, offsetof(JobType, allow_groups), "group names or gids" },
        { "Accept", parse_accept, offsetof(JobType, accept), "keys of a job, or queue" },
        { "Override", parse_properties, offsetof(JobType, overridable), "names of unit properties" },
        { "PayloadRequired", parse_payload, offsetof(JobType, payload_required), "KEY or KEY:TYPE" },
        { "PayloadOptional", parse_payload, offsetof(JobType, payload_optional), "KEY or KEY:TYPE" },
        { "RequireCommands", parse_commands, offsetof(JobType, commands), "absolute paths, or programs' names" },
        { "RequireUnits", parse_units, offsetof(JobType, units), "names of units" },
        { "RequireFiles", parse_paths, offsetof(JobType, requires), "absolute paths" },
        { "RequireCredentials", parse_credentials, offsetof(JobType, credentials), "names of credentials" },
        { "WorkingDirectory", .field = "cwd", .allowed = "an absolute path" },
        { "UMask", .field = "umask", .allowed = "an octal number" },
        { "Environment", .field = "environment", .allowed = "assignments" },
        { "Priority", .field = "priority", .allowed = "-1000…1000" },
        { "Slots", .field = "slots", .allowed = "1…65536" },
        { "TimeoutSec", .field = "timeout_usec", .allowed = "a time span of at least 1ms" },
        { "StopTimeoutSec", .field = "stop_timeout_usec", .allowed = "a time span of at least 1ms" },
        { "OutputFile", .field = "output_file", .allowed = "a path" },
        { "ErrorFile", .field = "error_file", .allowed = "a path" },
        { "Stdout", .field = "stdout", .allowed = "journal or spool" },
        { "Verify", .field = "verify", .allowed = "exit or verdict" },
        { "MaxAttempts", .field = "max_attempts", .allowed = "1…10000" },
        { "Backoff", .field = "backoff", .allowed = "fixed or exponential" },
        { "BackoffBaseSec", .field = "backoff_base_usec", .allowed = "a time span, at most BackoffMaxSec=" },
        { "BackoffMaxSec", .field = "backoff_max_usec", .allowed = "a time span, at least BackoffBaseSec=" },
        { "BackoffJitter", .field = "backoff_jitter", .allowed = "0…1" },
        { "RetryOn", .field = "retry_on", .allowed = "results that are failures" },
        { "RequeueLost", .field = "requeue_lost", .allowed = "a boolean" },
        { "MemoryGrowth", .field = "memory_growth", .allowed = "1…100" },
        { "Freezable", .field = "freezable", .allowed = "a boolean" },
        { "Keep", .field = "keep_usec", .allowed = "a time span" },
        { "UniqueKey", .field = "unique_key", .allowed = "at most 256 bytes" },
        { "CallbackURL", .field = "callback_url", .allowed = "an http or https URL" },
        { "CallbackEvents", .field = "callback_events", .allowed = "started, success, failure, dead" },
        { "OnSuccess", .field = "on_success", .allowed = "names of units" },
        { "OnFailure", .field = "on_failure", .allowed = "names of units" },
        { "UniquePolicy", .field = "unique_policy", .allowed = "reject, return or replace" },
        { "UniqueScope", .field = "unique_scope", .allowed = "queued, live or a time span" },
};

static int assign_field(JobType *t, const char *name, const char *value) {
        const SpecField *f = spec_field_find(name);
        int r;

        r = file_value_field(&t->defaults, f, value);
        if (r < 0)
                return r;
        if (isempty(value))
                t->fields &= ~spec_field_bit(f);
        else
                t->fields |= spec_field_bit(f);
        return 0;
}

static int assign_job(JobType *t, const char *file, unsigned line, const char *key, const char *value, ConfError *error) {
        FOREACH_ELEMENT(k, type_keys)
                if (streq(k->key, key)) {
                        int r = k->field ? assign_field(t, k->field, value) : k->parse(value, (uint8_t *) t + k->offset);
                        if (r == -ENOMEM)
                                return r;
                        return r < 0 ? conf_error_set(error, file, line, "[Job] %s=: '%s' is not allowed (%s)", key, value, k->allowed) : 0;
                }
        return conf_error_set(error, file, line, "[Job] %s=: unknown key", key);
}

/* The same keys as SetSchedule's, but for the job, which is one of the type. */
static int assign_schedule(JobType *t, const char *file, unsigned line, const char *key, const char *value, ConfError *error) {
        _cleanup_free_ char *text = NULL;
        int r;

        t->scheduled = true;
        if (streq(key, "Payload"))
                return free_and_strdup(&t->schedule_payload, isempty(value) ? NULL : value);
        r = timer_policy_assign(&t->schedule, key, value, &text);
        return r < 0 && text ? conf_error_set(error, file, line, "[Schedule] %s", text) : r;
}

int type_file_assign(void *userdata, const char *file, unsigned line, const char *section, const char *key, const char *value,
                     ConfError *error) {
        JobType *t = userdata;
        int r;

        if (streq(section, "Job"))
                return assign_job(t, file, line, key, value, error);
        if (streq(section, "Schedule"))
                return assign_schedule(t, file, line, key, value, error);
        if (!streq(section, "Service"))
                return conf_error_set(error, file, line, "[%s]: unknown section", section);
        r = file_value_property(&t->service, UNIT_PROPERTY_SERVICE, file, line, section, key, value, error);
        return r < 0 ? r : strv_extendf(&t->properties, "%s=%s", key, value);
}

/* ---- what it needs ---- */

static bool is_program(const char *path) {
        struct stat st;

        return stat(path, &st) >= 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) != 0;
}

/* NULL with 0: there is none. */
static int find_program(const char *name, char **ret) {
        _cleanup_strv_free_ char **directories = strv_split(SEARCH_PATH, ":");

        *ret = NULL;
        if (!directories)
                return -ENOMEM;
        STRV_FOREACH(d, directories) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", *d, name) < 0)
                        return -ENOMEM;
                if (is_program(path)) {
                        *ret = TAKE_PTR(path);
                        break;
                }
        }
        return 0;
}

int type_file_check(JobType *t, ConfError *error) {
        _cleanup_free_ char *text = NULL, *path = NULL;
        size_t n = strv_length(t->files);
        int r;

        r = job_type_check(t, &text);
        if (r >= 0 && t->scheduled) {
                r = timer_policy_check(&t->schedule, &text);
                if (r < 0 && text)
                        return conf_error_set(error, n > 0 ? t->files[n - 1] : t->name, 0, "[Schedule] %s", text);
        }
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return conf_error_set(error, n > 0 ? t->files[n - 1] : t->name, 0, "%s", strempty(text));
        if (t->command[0][0] == '/')
                return 0;
        r = find_program(t->command[0], &path);
        return r < 0 || !path ? r : free_and_strdup(t->command, path);
}

/* The daemon of the system cannot see what is there (jobmilld.service: ProtectHome=, PrivateTmp=, PrivateDevices=). */
static bool is_hidden(const char *path, bool user) {
        static const char *const hidden[] = { "/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/", "/dev/" };

        FOREACH_ELEMENT(h, hidden)
                if (!user && startswith(path, *h))
                        return true;
        return false;
}

static int fault(JobType *t, const char *what, const char *name, const char *why) {
        return asprintf(&t->fault, "%s %s %s", what, name, why) < 0 ? (t->fault = NULL, -ENOMEM) : 0;
}

static int look_for_command(JobType *t, const char *command, bool user) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (*command == '/')
                return is_hidden(command, user) || is_program(command) ? 0 : fault(t, "command", command, "is not there");
        r = find_program(command, &path);
        return r < 0 || path ? r : fault(t, "command", command, "is not in " SEARCH_PATH);
}

static int look_for_file(JobType *t, const char *path, bool user) {
        struct stat st;

        return is_hidden(path, user) || stat(path, &st) >= 0 ? 0 : fault(t, "file", path, "is not there");
}

static int look_for_credential(JobType *t, const char *name) {
        static const char *const stores[] = { "/etc/credstore", "/run/credstore", "/usr/lib/credstore", "/etc/credstore.encrypted",
                                              "/run/credstore.encrypted", "/usr/lib/credstore.encrypted" };
        struct stat st;

        FOREACH_ELEMENT(s, stores) {
                _cleanup_free_ char *path = NULL;

                if (asprintf(&path, "%s/%s", *s, name) < 0)
                        return -ENOMEM;
                if (stat(path, &st) >= 0)
                        return strv_consume(&t->credential_paths, TAKE_PTR(path));
        }
        return fault(t, "credential", name, "is in no credential store (/etc/credstore, …)");
}

int type_find_missing(JobType *t, bool user) {
        int r;

        t->fault = mfree(t->fault);
        t->credential_paths = strv_free(t->credential_paths);
        r = look_for_command(t, t->command[0], user);
        STRV_FOREACH(c, t->commands)
                r = r < 0 || t->fault ? r : look_for_command(t, *c, user);
        STRV_FOREACH(f, t->requires)
                r = r < 0 || t->fault ? r : look_for_file(t, *f, user);
        STRV_FOREACH(c, t->credentials)
                r = r < 0 || t->fault ? r : look_for_credential(t, *c);
        return r;
}
