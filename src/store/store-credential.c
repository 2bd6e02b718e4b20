/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Credentials of jobs: files beside the database, credentials/ID/NAME, which nobody but the daemon's user may read (0600 in 0700). Of an
 * array there is one folder, by the id of its first job, as there is one spec.
 *
 * They are there, files and folders synced, before the commit that makes the job, and go after the commit that ends it, or the last of
 * its array. A commit that failed, and a daemon that was killed in between, leave a folder of a job that is not there, or is done: it
 * goes when the store is loaded, which is what follows both. The bytes pass through here and nowhere else: the database has the names. */

#include "base/crash-point.h"
#include "base/parse.h"
#include "base/strv.h"
#include "queue/spec-credential.h"
#include "store/store-internal.h"

#include <dirent.h>
#include <fcntl.h>

/* That of one job, or array, is there. */
struct Vault {
        uint64_t id;
        uint32_t owner;
        uint64_t room;
        UT_hash_handle hh; /* store->vaults, by id */
};

static int vault_add(Store *s, uint64_t id, uint32_t owner, uint64_t room) {
        struct Vault *v = new0(struct Vault, 1);

        if (!v)
                return -ENOMEM;
        v->id = id;
        v->owner = owner;
        v->room = room;
        HASH_ADD(hh, s->vaults, id, sizeof(v->id), v);
        return 0;
}

static void vault_forget(Store *s, struct Vault *v) {
        HASH_DEL(s->vaults, v);
        free(v);
}

void store_credentials_forget(Store *s) {
        struct Vault *v, *t;

        HASH_ITER(hh, s->vaults, v, t)
                vault_forget(s, v);
}

const char *store_credentials_path(const Store *s) {
        return s->credentials_path;
}

uint64_t store_credentials_room(const Store *s, uint32_t owner) {
        const struct Vault *v;
        uint64_t room = 0;

        for (v = s->vaults; v; v = v->hh.next)
                if (v->owner == owner)
                        room += v->room;
        return room;
}

/* ---- files ---- */

static DIR *open_folder(int parent, const char *name) {
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

        if (!d)
                safe_close(fd);
        return d;
}

/* That it is gone needs no fsync: whatever comes back after a power cut is of a job that is done. */
static int remove_vault(int parent, uint64_t id) {
        char name[32];
        DIR *d;

        (void) snprintf(name, sizeof(name), "%" PRIu64, id);
        CRASH_POINT("credential-remove-before");
        d = open_folder(parent, name);
        if (!d)
                return errno == ENOENT ? 0 : -errno;
        for (struct dirent *e; (e = readdir(d));)
                if (!streq(e->d_name, ".") && !streq(e->d_name, "..")) {
                        (void) unlinkat(dirfd(d), e->d_name, 0);
                        CRASH_POINT("credential-file-removed");
                }
        (void) closedir(d);
        if (unlinkat(parent, name, AT_REMOVEDIR) < 0)
                return -errno;
        CRASH_POINT("credential-removed");
        return 0;
}

static int open_parent(const Store *s) {
        int fd = open(s->credentials_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        return fd < 0 ? -errno : fd;
}

/* The first one makes it. */
static int make_parent(Store *s) {
        _cleanup_close_ int folder = -EBADF;

        if (mkdir(s->credentials_path, 0700) < 0)
                return errno == EEXIST ? 0 : -errno;
        folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return folder < 0 || fsync(folder) < 0 ? -errno : 0;
}

static int write_file(int folder, const char *name, const Secret *secret) {
        _cleanup_close_ int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < secret->size;) {
                ssize_t n = write(fd, secret->data + done, secret->size - done);

                if (n < 0)
                        return -errno;
                done += n;
        }
        CRASH_POINT("credential-written");
        return fsync(fd) < 0 ? -errno : 0;
}

static int write_vault(int parent, uint64_t id, const JobSpec *spec) {
        _cleanup_close_ int folder = -EBADF;
        char name[32];
        int r;

        r = remove_vault(parent, id); /* left behind, where it could not be removed */
        if (r < 0)
                return r;
        (void) snprintf(name, sizeof(name), "%" PRIu64, id);
        if (mkdirat(parent, name, 0700) < 0)
                return -errno;
        CRASH_POINT("credential-folder-made");
        folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (folder < 0)
                return -errno;
        for (size_t i = 0; spec->credentials[i]; i++) {
                r = write_file(folder, spec->credentials[i], spec->secrets[i]);
                if (r < 0)
                        return r;
        }
        return fsync(folder) < 0 ? -errno : 0;
}

/* ---- record ---- */

static bool has_secrets_to_keep(const Job *j) {
        return j->is_new && j->spec && j->spec->secrets && j->state != JOB_DONE;
}

static int write_all(Store *s, const Model *m) {
        _cleanup_close_ int parent = -EBADF;
        struct Vault *v;
        const Job *j;
        int r;

        TAILQ_FOREACH(j, &m->changed, changed_entry) {
                uint64_t id = credential_folder(j);

                if (!has_secrets_to_keep(j))
                        continue;
                HASH_FIND(hh, s->vaults, &id, sizeof(id), v);
                if (v) /* its array's */
                        continue;
                r = parent < 0 ? make_parent(s) : 0;
                if (r >= 0 && parent < 0)
                        r = parent = open_parent(s);
                if (r >= 0)
                        r = write_vault(parent, id, j->spec);
                if (r >= 0)
                        r = vault_add(s, id, j->owner, spec_credentials_room(j->spec));
                if (r < 0)
                        return r;
        }
        r = parent < 0 || fsync(parent) >= 0 ? 0 : -errno;
        CRASH_POINT("credentials-synced");
        return r;
}

int store_credentials_write(Store *s, const Model *m) {
        const Job *j;
        int r;

        TAILQ_FOREACH(j, &m->changed, changed_entry)
                if (has_secrets_to_keep(j))
                        break;
        if (!j)
                return 0;
        if (!s->folder)
                return store_set_error(s, -EOPNOTSUPP, "It is in memory only, which holds no credentials");
        CRASH_POINT("credentials-before");
        r = write_all(s, m);
        if (r < 0)
                return store_set_error(s, r == -EDQUOT ? -ENOSPC : r, "Cannot write credentials to %s: %s", s->credentials_path, strerror(-r));
        return 0;
}

/* Whose they are; -ENOENT: of no job that is not done. */
static int find_owner(Store *s, uint64_t id, uint32_t *ret) {
        _cleanup_stmt_ sqlite3_stmt *stmt = store_stmt(s, STMT_JOB_OF_VAULT);
        int r;

        stmt_bind_u64(s, stmt, 1, id);
        r = stmt_step(s, stmt);
        if (r <= 0)
                return r < 0 ? r : -ENOENT;
        *ret = stmt_u64(stmt, 0);
        return 0;
}

/* Is nobody left who could be started with them? A done job is not tried again by itself, and by hand only without credentials. */
static bool is_over(Store *s, const Job *j) {
        uint32_t owner;

        if (j->state != JOB_DONE)
                return false;
        if (j->array == 0)
                return true;
        if (!j->in_array)
                return find_owner(s, j->array, &owner) == -ENOENT;
        for (JobState i = 0; i < JOB_DONE; i++)
                if (j->in_array->count[i] > 0)
                        return false;
        return true;
}

void store_credentials_recorded(Store *s, Model *m) {
        struct Vault *v;
        Job *j;

        if (!s->vaults)
                return;
        TAILQ_FOREACH(j, &m->changed, changed_entry) {
                uint64_t id = credential_folder(j);
                _cleanup_close_ int parent = -EBADF;

                if (j->spec && j->spec->secrets)
                        spec_forget_secrets(j->spec);
                HASH_FIND(hh, s->vaults, &id, sizeof(id), v);
                if (!v || !is_over(s, j))
                        continue;
                parent = open_parent(s);
                if (parent >= 0 && remove_vault(parent, id) >= 0)
                        vault_forget(s, v); /* else when the store is loaded again */
        }
}

/* ---- load ---- */

/* -ENOENT: the folder is not there. */
static int measure(int parent, const char *name, uint64_t *ret_room) {
        DIR *d = open_folder(parent, name);
        uint64_t room = 0;
        struct stat st;

        if (!d)
                return -errno;
        for (struct dirent *e; (e = readdir(d));)
                if (!streq(e->d_name, ".") && !streq(e->d_name, "..") &&
                    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0)
                        room += credential_room(st.st_size);
        (void) closedir(d);
        *ret_room = room;
        return 0;
}

static int load_vault(Store *s, int parent, const char *name) {
        uint64_t id, room = 0;
        uint32_t owner;
        int r;

        if (parse_u64(name, &id) < 0 || id > INT64_MAX)
                return 0; /* none of ours */
        r = find_owner(s, id, &owner);
        if (r == -ENOENT) {
                (void) remove_vault(parent, id);
                return 0;
        }
        if (r >= 0)
                r = measure(parent, name, &room);
        return r < 0 ? r : vault_add(s, id, owner, room);
}

int store_load_credentials(Store *s) {
        DIR *d;
        int r = 0;

        store_credentials_forget(s);
        if (!s->folder)
                return 0;
        d = open_folder(AT_FDCWD, s->credentials_path);
        if (!d)
                return errno == ENOENT ? 0 :
                                         store_set_error(s, -errno, "Cannot look into %s: %s", s->credentials_path, strerror(errno));
        for (struct dirent *e; r >= 0 && (e = readdir(d));)
                if (e->d_name[0] != '.')
                        r = load_vault(s, dirfd(d), e->d_name);
        (void) closedir(d);
        return r;
}

int store_check_credentials(const Store *s, const Job *j, const JobSpec *spec) {
        STRV_FOREACH(name, spec->credentials) {
                _cleanup_free_ char *path = NULL;
                int r = credential_path(s->credentials_path, j, *name, &path);

                if (r < 0)
                        return r;
                if (access(path, F_OK) < 0)
                        return -errno;
        }
        return 0;
}
