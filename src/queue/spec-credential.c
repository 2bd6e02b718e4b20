/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Credentials of a job (spec-credential.h). */

#include "queue/spec-credential.h"

#include "base/strv.h"
#include "queue/spec-check.h"

/* systemd takes more, but nothing else has a meaning in it, in a unit's file, and in a shell. */
bool credential_name_is_valid(const char *name) {
        size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

        return n > 0 && n <= CREDENTIAL_NAME_MAX && !name[n] && !streq(name, ".") && !streq(name, "..");
}

static size_t total_size(const JobSpec *s) {
        size_t size = 0, i = 0;

        STRV_FOREACH(name, s->credentials)
                size += strlen(*name) + (s->secrets ? s->secrets[i++]->size : 0);
        return size;
}

int spec_add_credential(JobSpec *s, const char *name, const void *data, size_t size, char **ret_error) {
        size_t n = strv_length(s->credentials);
        Secret **secrets, *secret;
        char q[SPEC_QUOTE_MAX];

        if (!credential_name_is_valid(name))
                return spec_error(ret_error, EINVAL, "'credentials': '%s' is not the name of a credential (A-Z a-z 0-9 _ . -, at most %u)",
                                  spec_quote(q, name, strlen(name)), CREDENTIAL_NAME_MAX);
        if (strv_contains(s->credentials, name))
                return spec_error(ret_error, EINVAL, "'credentials': '%s' is given twice", name);
        if (n >= CREDENTIALS_MAX)
                return spec_error(ret_error, E2BIG, "'credentials' has more than %u entries", CREDENTIALS_MAX);
        if (size > CREDENTIALS_SIZE_MAX || total_size(s) + strlen(name) + size > CREDENTIALS_SIZE_MAX)
                return spec_error(ret_error, E2BIG, "'credentials' are larger than %u bytes together", CREDENTIALS_SIZE_MAX);

        secrets = reallocarray(s->secrets, n + 1, sizeof(Secret *));
        if (!secrets)
                return -ENOMEM;
        s->secrets = secrets;
        secret = malloc(sizeof(Secret) + size);
        if (!secret || strv_extend(&s->credentials, name) < 0) {
                free(secret);
                return -ENOMEM;
        }
        secret->size = size;
        if (size > 0)
                memcpy(secret->data, data, size);
        secrets[n] = secret;
        return 0;
}

void spec_forget_secrets(JobSpec *s) {
        size_t n = s->secrets ? strv_length(s->credentials) : 0;

        for (size_t i = 0; i < n; i++) {
                explicit_bzero(s->secrets[i]->data, s->secrets[i]->size);
                free(s->secrets[i]);
        }
        s->secrets = mfree(s->secrets);
}

uint64_t spec_credentials_room(const JobSpec *s) {
        uint64_t room = 0;

        if (s->secrets)
                for (size_t i = 0; s->credentials && s->credentials[i]; i++)
                        room += credential_room(s->secrets[i]->size);
        return room;
}

int credential_path(const char *folder, const Job *j, const char *name, char **ret) {
        char *path;

        if (asprintf(&path, "%s/%" PRIu64 "/%s", strempty(folder), credential_folder(j), name) < 0)
                return -ENOMEM;
        *ret = path;
        return 0;
}

int spec_refuse_credentials(const JobSpec *s, const char *what, char **ret_error) {
        return s->credentials && *s->credentials ? spec_error(ret_error, EPERM, "credentials: %s", what) : 0;
}

/* Those of its type are an administrator's, and nobody's to replace. */
int spec_check_credentials(const SpecField *f, const JobSpec *s, char **ret_error) {
        STRV_FOREACH(name, s->credentials)
                STRV_FOREACH(rule, s->type_rules) {
                        const char *path = startswith(*rule, "Credential="), *slash = path ? strrchr(path, '/') : NULL;

                        if (slash && streq(slash + 1, *name))
                                return spec_error(ret_error, EINVAL, "'%s': '%s' is one that the job's type has itself", f->name, *name);
                }
        return 0;
}
