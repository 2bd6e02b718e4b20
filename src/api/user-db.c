/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The child asks NSS for the name of the uid, checks that the name leads back to it, lists the groups, writes all of that as
 * lines into a pipe and ends. The parent reads the pipe when the child has ended: the answer is smaller than a pipe's
 * buffer (what is longer is cut, and so are only groups lost). */

#include "api/user-db.h"

#include "base/crash-point.h"
#include "base/strv.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <uthash.h>

#define USER_AGE_MAX (60 * USEC_PER_SEC)
#define ANSWER_MAX 32768U
#define CHILDREN_MAX 16U /* at a time, however many users have jobs */

typedef struct Entry {
        User user;
        bool known;
        usec_t when; /* monotonic */
        int fd;      /* of a child at work */
        sd_event_source *child;
        UserDb *db;
        UT_hash_handle hh;
} Entry;

struct UserDb {
        sd_event *event;
        Entry *entries;
        unsigned n_children;
};

static void user_done(User *u) {
        u->name = mfree(u->name);
        u->groups = strv_free(u->groups);
}

static Entry *entry_free(Entry *e) {
        sd_event_source_disable_unref(e->child);
        safe_close(e->fd);
        user_done(&e->user);
        return mfree(e);
}

/* In the child. First line: the name, or nothing; then a group a line. */
static void child_answer(uint32_t uid, int fd) {
        gid_t groups[1024];
        int n = ELEMENTSOF(groups);
        _cleanup_free_ char *name = NULL;
        struct passwd *pw = getpwuid(uid);
        FILE *f = fdopen(fd, "w");

        if (!f)
                return;
        if (pw)
                name = strdup(pw->pw_name);
        if (name)
                pw = getpwnam(name);
        if (!name || !pw || pw->pw_uid != uid) {
                fclose(f);
                return;
        }
        fprintf(f, "%s\n", name);
        if (getgrouplist(name, pw->pw_gid, groups, &n) >= 0)
                for (int i = 0; i < n; i++) {
                        struct group *gr = getgrgid(groups[i]);
                        fprintf(f, "%u\n", (unsigned) groups[i]);
                        if (gr)
                                fprintf(f, "%s\n", gr->gr_name);
                }
        fclose(f);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata) {
        Entry *e = userdata;
        char buf[ANSWER_MAX];
        ssize_t n;

        CRASH_POINT("user-known");
        n = read(e->fd, buf, sizeof(buf) - 1);
        e->fd = safe_close(e->fd);
        e->child = sd_event_source_disable_unref(e->child);
        e->db->n_children--;
        if (si->si_code != CLD_EXITED || si->si_status != 0 || n < 0)
                return 0; /* asked again by whoever still wants to know */

        /* Half a number would be another group. */
        while (n > 0 && buf[n - 1] != '\n')
                n--;
        buf[n] = 0;
        user_done(&e->user);
        e->user.groups = strv_split(buf, "\n");
        if (e->user.groups && e->user.groups[0]) {
                e->user.name = e->user.groups[0];
                memmove(e->user.groups, e->user.groups + 1, strv_length(e->user.groups) * sizeof(char *));
        }
        e->known = true;
        return sd_event_now(e->db->event, CLOCK_MONOTONIC, &e->when);
}

static int entry_ask(Entry *e) {
        int fds[2], r;
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0) {
                r = -errno;
                close(fds[0]);
                close(fds[1]);
                return r;
        }
        if (pid == 0) {
                sigset_t none;

                /* Nothing of the daemon's but the pipe: its signals, its lock, its death. A pipe that is full loses groups, not
                 * the child. */
                sigemptyset(&none);
                (void) sigprocmask(SIG_SETMASK, &none, NULL);
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (dup2(fds[1], STDERR_FILENO + 1) < 0)
                        child_exit(EXIT_FAILURE);
                (void) close_range(STDERR_FILENO + 2, ~0U, 0);
                fds[1] = STDERR_FILENO + 1;
                (void) fcntl(fds[1], F_SETFL, O_NONBLOCK);
                child_answer(e->user.uid, fds[1]);
                child_exit(EXIT_SUCCESS);
        }
        close(fds[1]);
        e->fd = fds[0];
        r = sd_event_add_child(e->db->event, &e->child, pid, WEXITED, on_child, e);
        if (r < 0) {
                e->fd = safe_close(e->fd);
                (void) waitpid(pid, NULL, 0);
        } else
                e->db->n_children++;
        return r;
}

const User *user_db_get(UserDb *db, uint32_t uid) {
        usec_t now;
        Entry *e;

        HASH_FIND(hh, db->entries, &uid, sizeof(uid), e);
        if (!e) {
                e = new0(Entry, 1);
                if (!e)
                        return NULL;
                e->db = db;
                e->fd = -EBADF;
                e->user.uid = uid;
                HASH_ADD(hh, db->entries, user.uid, sizeof(uid), e);
        }
        if (sd_event_now(db->event, CLOCK_MONOTONIC, &now) < 0)
                return NULL;
        if (e->known && now < e->when + USER_AGE_MAX)
                return &e->user;
        if (!e->child && db->n_children < CHILDREN_MAX)
                (void) entry_ask(e);
        return NULL;
}

void user_db_flush(UserDb *db) {
        Entry *e, *t;

        HASH_ITER(hh, db->entries, e, t)
                e->known = false;
}

int user_db_new(sd_event *event, UserDb **ret) {
        UserDb *db = new0(UserDb, 1);

        if (!db)
                return -ENOMEM;
        db->event = sd_event_ref(event);
        *ret = db;
        return 0;
}

UserDb *user_db_free(UserDb *db) {
        Entry *e, *t;

        if (!db)
                return NULL;
        HASH_ITER(hh, db->entries, e, t) {
                HASH_DEL(db->entries, e);
                entry_free(e);
        }
        sd_event_unref(db->event);
        return mfree(db);
}
