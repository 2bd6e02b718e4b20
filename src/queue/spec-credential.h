/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Credentials of a job: secrets that it finds as files in $CREDENTIALS_DIRECTORY. A spec has their names, which are stored with it; the
 * bytes it has only from the request to the commit (store/store-credential.c), and no writer of specs knows of them. */

#include "queue/job.h"

#define CREDENTIALS_MAX 64U                    /* of a job */
#define CREDENTIAL_NAME_MAX 255U               /* a file's */
#define CREDENTIALS_SIZE_MAX (1024U * 1024U)   /* bytes and names of all of a job's: what systemd gives a unit */

typedef struct Secret {
        size_t size;
        uint8_t data[];
} Secret;

bool credential_name_is_valid(const char *name) _pure_;

/* One more; what is in data is copied. -EINVAL: not a name, or there is one of it; -E2BIG; -ENOMEM. */
int spec_add_credential(JobSpec *s, const char *name, const void *data, size_t size, char **ret_error);
/* The bytes; wiped. The names stay. */
void spec_forget_secrets(JobSpec *s);
/* What a file of this size takes of a disk, its name included; and those of all. 0: it has no bytes. */
static inline uint64_t credential_room(uint64_t size) {
        return MAX((size + 4095) / 4096, UINT64_C(1)) * 4096;
}
uint64_t spec_credentials_room(const JobSpec *s) _pure_;
/* Where those of a job lie: in the folder of this number, of an array that of its first job; and the path of one. -ENOMEM. */
static inline uint64_t credential_folder(const Job *j) {
        return j->array > 0 ? j->array : j->id;
}
int credential_path(const char *folder, const Job *j, const char *name, char **ret);
/* Only a unit of its own has them. -EPERM with *ret_error, which tells of what kind the job is. */
int spec_refuse_credentials(const JobSpec *s, const char *what, char **ret_error);
