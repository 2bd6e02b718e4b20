/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Credentials that are asked for: what jobmill.conf allows less of than a spec may have, and how much one user may have stored. */

#include "api/request.h"

#include "base/strv.h"
#include "queue/spec-credential.h"

int request_check_credentials(const Call *c, const JobSpec *s, sd_bus_error *error) {
        const ApiLimits *l = &c->api->limits;
        size_t n = strv_length(s->credentials);

        if (n > l->credentials_max)
                return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "credentials: %zu of them, at most %" PRIu64 " are allowed here (CredentialsMax=)",
                                 n, l->credentials_max);
        for (size_t i = 0; s->secrets && i < n; i++)
                if (s->secrets[i]->size > l->credential_max)
                        return api_error(error, JOBMILL_ERROR_INVALID_SPEC, "credentials: '%s' has %zu bytes, at most %" PRIu64
                                         " are allowed here (CredentialMax=)", s->credentials[i], s->secrets[i]->size, l->credential_max);
        return 0;
}

/* Of this user's: those that are stored, those of other calls of this turn, and those of this one. Of an array there is one copy. */
static uint64_t wanted_room(const Call *c, const Request *l, size_t n, uint32_t uid) {
        uint64_t room = 0;
        const Job *j;

        for (size_t i = 0; i < n; i++)
                if (l[i].owner == uid && l[i].answer == 0 && l[i].answer_of == 0)
                        room += spec_credentials_room(l[i].spec);
        if (room == 0)
                return 0;
        TAILQ_FOREACH(j, &c->api->model->changed, changed_entry)
                if (j->is_new && j->spec && j->owner == uid && (j->array == 0 || j->array == j->id))
                        room += spec_credentials_room(j->spec);
        return room + store_credentials_room(c->api->store, uid);
}

int requests_check_credentials(const Call *c, const Request *l, size_t n, sd_bus_error *error) {
        uint32_t uids[] = { c->client->uid, c->submit_as };

        if (c->client->uid == 0)
                return 0;
        FOREACH_ELEMENT(uid, uids) {
                uint64_t room = wanted_room(c, l, n, *uid);

                if (room > c->api->limits.credentials_per_user_max)
                        return api_error(error, JOBMILL_ERROR_TOO_MANY, "credentials: those of user %" PRIu32 " would take %" PRIu64
                                         " bytes, in blocks of 4096, at most %" PRIu64 " are allowed here (CredentialsPerUserMax=)", *uid, room,
                                         c->api->limits.credentials_per_user_max);
        }
        return 0;
}

int request_check_retry_credentials(const Call *c, const Job *j, sd_bus_error *error) {
        _cleanup_(spec_freep) JobSpec *loaded = NULL;
        const JobSpec *s = j->edited ?: j->spec;
        int r = 0;

        if (!s) {
                r = store_read_spec(c->api->store, j, &loaded);
                s = loaded;
        }
        if (r == -EUCLEAN || r == -ENOENT)
                return 0; /* its next attempt tells */
        if (r < 0)
                return api_error_store(c->api, error, r);
        r = store_check_credentials(c->api->store, j, s);
        if (r >= 0 || r == -ENOMEM)
                return r;
        return api_error(error, JOBMILL_ERROR_JOB_FINISHED, "Job %" PRIu64 " is done and its credentials were removed; submit it again", j->id);
}
