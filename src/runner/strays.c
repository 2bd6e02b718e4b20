/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a job put outside of its own control group: into that of the runner, or groups beside those of jobs. It is the same user's, so nothing keeps it
 * from that; a manager of services or containers in a job does it without meaning harm. It must not outlive its job, so all that no job has is killed
 * whenever one has ended. */

#include "runner/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#define OWN "runner"

/* Children are born in their groups; one that had to be moved there is a process of a job already. */
static void kill_processes(const Runner *r, const char *list) {
        int fd = openat(r->cgroups.root, list, O_RDONLY | O_CLOEXEC);
        FILE *f = fd >= 0 ? fdopen(fd, "re") : NULL;
        int pid;

        if (!f) {
                safe_close(fd);
                return;
        }
        while (fscanf(f, "%d", &pid) == 1) {
                pid_t p = pid;
                Task *t = NULL;

                HASH_FIND(hh_pid, r->processes, &p, sizeof(p), t);
                if (p > 0 && p != getpid() && !t)
                        (void) kill(p, SIGKILL);
        }
        fclose(f);
}

static unsigned count_groups(const Runner *r, const char *below) {
        struct stat st;

        return fstatat(r->cgroups.root, below, &st, 0) >= 0 && st.st_nlink > 2 ? (unsigned) st.st_nlink - 2 : 0;
}

static bool is_known(const Runner *r, const char *name) {
        Task *t;

        if (streq(name, OWN))
                return true;
        HASH_FIND(hh_name, r->names, name, strlen(name), t);
        return t && !t->reporting;
}

static void kill_groups(const Runner *r, const char *below, bool all) {
        int fd = openat(r->cgroups.root, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        char path[sizeof(OWN "/") + NAME_MAX];

        if (!d) {
                safe_close(fd);
                return;
        }
        for (struct dirent *e; (e = readdir(d));) {
                if (e->d_type != DT_DIR || streq(e->d_name, ".") || streq(e->d_name, "..") || (!all && is_known(r, e->d_name)))
                        continue;
                (void) snprintf(path, sizeof(path), "%s%s", all ? OWN "/" : "", e->d_name);
                cgroup_kill(&r->cgroups, path, SIGKILL);
                (void) cgroup_remove(&r->cgroups, path); /* if it is empty by now; else the next time */
        }
        closedir(d);
}

void strays_kill(const Runner *r) {
        if (count_groups(r, ".") > 1 + r->n_groups)
                kill_groups(r, ".", false);
        if (count_groups(r, OWN) > 0)
                kill_groups(r, OWN, true);
        kill_processes(r, "cgroup.procs");
        kill_processes(r, OWN "/cgroup.procs");
}
