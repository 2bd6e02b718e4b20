/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See daemon.h. What is outside of it is put in by the linker (--wrap). */

#include "daemon.h"

#include "api/process.h"
#include "api/socket.h"
#include "base/log.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ROUNDS_MAX 10000U

Manager *daemon_manager;
bool daemon_commit_fails;

static Peer peers[_PEER_MAX] = {
        [PEER_MANY] = { 1000, 100, NULL },
        [PEER_SERVICE] = { 1000, 101, "worker.service" },
        [PEER_RUNNER] = { 1000, 102, "jobmill-pool-pool-1000.service" },
        [PEER_ROOT] = { 0, 103, NULL },
        [PEER_OTHER] = { 1001, 104, NULL },
};
static const Peer *connecting, *connected[1024]; /* by descriptor of the daemon's */
static const sd_id128_t boot_id = SD_ID128_ARRAY(01, 02, 03, 04, 05, 06, 07, 08, 09, 0a, 0b, 0c, 0d, 0e, 0f, 10);
static struct sockaddr_un address;
static socklen_t address_size;
static unsigned n_fds;

/* ---- who is there ---- */

static void peer_begin(Peer *p) {
        if (p->life[1] >= 0)
                return;
        safe_close(p->life[0]);
        p->started++;
        check(pipe2(p->life, O_CLOEXEC) >= 0);
}

/* A descriptor of its life. */
static Peer *peer_of(int fd) {
        struct stat a, b;

        FOREACH_ELEMENT(p, peers)
                if (p->life[0] >= 0 && fstat(fd, &a) >= 0 && fstat(p->life[0], &b) >= 0 && a.st_ino == b.st_ino)
                        return p;
        return NULL;
}

void daemon_kill(unsigned peer) {
        peers[peer].life[1] = safe_close(peers[peer].life[1]);
}

bool daemon_is_gone(unsigned peer) {
        return peers[peer].life[1] < 0;
}

int __real_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size) {
        if (level != SOL_SOCKET || name != SO_PEERCRED || !connecting)
                return __real_getsockopt(fd, level, name, value, size);
        check((size_t) fd < ELEMENTSOF(connected));
        connected[fd] = connecting;
        *(struct ucred *) value = (struct ucred) { .pid = (pid_t) connecting->pid, .uid = connecting->uid, .gid = connecting->uid };
        return 0;
}

int __wrap_process_of_peer(int fd, bool user, Process *ret);
int __wrap_process_of_peer(int fd, bool user, Process *ret) {
        const Peer *p = connected[fd];

        if (p->life[1] < 0)
                return -ESRCH;
        *ret = (Process) { .fd = fcntl(p->life[0], F_DUPFD_CLOEXEC, 3), .pid = p->pid, .started = p->started, .boot_id = boot_id,
                           .unit = p->unit ? strdup(p->unit) : NULL };
        check(ret->fd >= 0);
        return 0;
}

int __wrap_process_again(uint32_t pid, uint64_t started, sd_id128_t boot, int *ret_fd);
int __wrap_process_again(uint32_t pid, uint64_t started, sd_id128_t boot, int *ret_fd) {
        FOREACH_ELEMENT(p, peers)
                if (p->pid == pid && p->started == started && p->life[1] >= 0 && sd_id128_equal(boot, boot_id)) {
                        *ret_fd = fcntl(p->life[0], F_DUPFD_CLOEXEC, 3);
                        return *ret_fd < 0 ? -errno : 0;
                }
        return -ESRCH;
}

int __wrap_process_kill(int fd);
int __wrap_process_kill(int fd) {
        Peer *p = peer_of(fd);

        if (p)
                p->life[1] = safe_close(p->life[1]);
        return p ? 0 : -ESRCH;
}

int __wrap_process_check_user(uint32_t pid, int fd, uint32_t uid);
int __wrap_process_check_user(uint32_t pid, int fd, uint32_t uid) {
        const Peer *p = peer_of(fd);

        return !p || p->life[1] < 0 ? -ESRCH : p->uid == uid ? 0 : -EPERM;
}

char *__wrap_process_own_cgroup(uint32_t pid, int fd, bool user);
char *__wrap_process_own_cgroup(uint32_t pid, int fd, bool user) {
        return NULL;
}

const User *__wrap_user_db_get(UserDb *db, uint32_t uid);
const User *__wrap_user_db_get(UserDb *db, uint32_t uid) {
        static char root[] = "root", many[] = "many";
        static User users[] = { { .uid = 0, .name = root }, { .uid = 1000, .name = many }, { .uid = 1001 } };

        FOREACH_ELEMENT(u, users)
                if (u->uid == uid)
                        return u;
        users[2].uid = uid; /* who has no name */
        return users + 2;
}

/* ---- PID 1 ---- */

const char *__wrap_units_blocked(const Units *u);
const char *__wrap_units_blocked(const Units *u) {
        return NULL;
}

static void start(Units *u, Attempt *a) {
        if (a->job->state == JOB_STOPPING && a->fresh && !a->asked) {
                Outcome o = OUTCOME_INIT;

                o.result = JOB_CANCELLED;
                model_attempt_ended(u->model, a, &o, &daemon_manager->now);
        } else if (manager_check_run(daemon_manager, a)) {
                a->asked = true;
                a->fresh = false;
                model_attempt_started(u->model, a, boot_id, daemon_manager->now.realtime, daemon_manager->now.monotonic);
        }
}

static void end(Attempt *a, JobResult result) {
        Outcome o = OUTCOME_INIT;

        o.result = result;
        if (result == JOB_SIGNAL)
                o.exit_signal = SIGTERM;
        else
                o.exit_status = 0;
        o.finished_usec = daemon_manager->now.realtime;
        model_attempt_ended(daemon_manager->model, a, &o, &daemon_manager->now);
}

static void act(Units *u, Attempt *a) {
        switch (a->phase) {
        case ATTEMPT_STARTING:
                start(u, a);
                break;
        case ATTEMPT_RUNNING:
                if (a->job->state == JOB_STOPPING)
                        end(a, JOB_SIGNAL);
                a->signals = 0;
                break;
        case ATTEMPT_ENDED:
                model_attempt_gone(u->model, a);
                break;
        default:
                break;
        }
}

Attempt *__wrap_units_next(Units *u);
Attempt *__wrap_units_next(Units *u) {
        Attempt *a, *t;

        TAILQ_FOREACH_SAFE(a, &u->model->act, act_entry, t) {
                if (a->changed)
                        continue;
                TAILQ_REMOVE(&u->model->act, a, act_entry);
                a->acting = false;
                act(u, a);
        }
        return NULL;
}

void daemon_end_jobs(void) {
        Attempt *a, *t;

        HASH_ITER(hh, daemon_manager->model->attempts, a, t)
                if (a->executor == EXECUTOR_SERVICE && a->phase == ATTEMPT_RUNNING)
                        end(a, JOB_SUCCESS);
}

/* What a look at the units would tell. */
static void resync(Manager *m) {
        Attempt *a, *t;

        HASH_ITER(hh, m->model->attempts, a, t)
                if (!attempt_has_unit(a))
                        continue;
                else if (a->phase == ATTEMPT_STARTING && a->job->state == JOB_STARTING)
                        model_attempt_started(m->model, a, boot_id, m->now.realtime, m->now.monotonic);
                else if (a->phase == ATTEMPT_STARTING || a->phase == ATTEMPT_RUNNING)
                        model_attempt_adopted(m->model, a, m->now.monotonic, &m->now);
}

void __wrap_event_log(const Change *c, bool user);
void __wrap_event_log(const Change *c, bool user) {}

/* ---- the store ---- */

int __real_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m);
int __wrap_store_record(Store *s, Model *m) {
        if (!daemon_commit_fails)
                return __real_store_record(s, m);
        daemon_commit_fails = false;
        return -ENOSPC;
}

/* The model was dropped, and no resync comes from PID 1. */
int __real_manager_load_model(Manager *m);
int __wrap_manager_load_model(Manager *m);
int __wrap_manager_load_model(Manager *m) {
        int r = __real_manager_load_model(m);

        if (r >= 0) {
                m->units->synced = true;
                resync(m);
        }
        return r;
}

/* Written to be called by storage_failed(): what it means is tried again at once. */
static void try_storage(Manager *m) {
        m->storage_failed = false;
}

/* ---- the daemon ---- */

static unsigned count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (d && readdir(d))
                n++;
        closedir(d);
        return n;
}

static void listen_again(Manager *m) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        address_size = sizeof(address);
        check(fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof(sa_family_t)) >= 0 && listen(fd, 64) >= 0); /* the kernel gives it a name */
        check(getsockname(fd, (struct sockaddr *) &address, &address_size) >= 0);
        check(socket_new(m->api, fd, &m->api->socket) >= 0);
}

static void begin(Store *s) {
        char *error = NULL;
        sigset_t none;

        check(manager_new(false, &daemon_manager) >= 0);
        sigemptyset(&none);
        check(sigprocmask(SIG_SETMASK, &none, NULL) >= 0); /* these are for who runs this */
        check(manager_read_settings(daemon_manager) >= 0 && manager_load_types(daemon_manager, &error) >= 0);
        check(!daemon_manager->config_error && !error);
        check(manager_read_clocks(daemon_manager) >= 0);
        daemon_manager->units->version_number = 257;
        check((daemon_manager->units->cgroup_root = strdup("/no-such-group")));
        daemon_manager->slices_set = daemon_manager->files_swept = true;
        if (s)
                daemon_manager->store = s;
        else
                check(store_open(STORE_MEMORY, &daemon_manager->store, &error) >= 0);
        check(manager_load_model(daemon_manager) >= 0);
        check(!daemon_manager->config_error);
        listen_again(daemon_manager);
        check(manager_settle(daemon_manager) >= 0);
}

void daemon_begin(void) {
        log_set_target(LOG_TARGET_NULL);
        (void) setenv("JOBMILL_CONFIG_PATH", FUZZ_SOURCE "/socket", true);
        (void) setenv("STATE_DIRECTORY", "/dev/null/state", true); /* nothing is written */
        (void) setenv("JOBMILL_RUNTIME_PATH", "/dev/null/run", true);
        (void) unsetenv("NOTIFY_SOCKET");
        (void) unsetenv("WATCHDOG_USEC");
        FOREACH_ELEMENT(p, peers) {
                p->life[0] = p->life[1] = -EBADF;
                p->started = 0;
        }
        n_fds = count_fds();
        FOREACH_ELEMENT(p, peers)
                peer_begin(p);
        daemon_commit_fails = false;
        begin(NULL);
}

void daemon_again(void) {
        Store *s = TAKE_PTR(daemon_manager->store);

        daemon_manager = manager_free(daemon_manager);
        begin(s);
}

void daemon_end(void) {
        daemon_manager = manager_free(daemon_manager);
        FOREACH_ELEMENT(p, peers) {
                p->life[0] = safe_close(p->life[0]);
                p->life[1] = safe_close(p->life[1]);
        }
        check(count_fds() == n_fds); /* none is left */
}

int daemon_connect(unsigned peer) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        peer_begin(peers + peer);
        connecting = peers + peer;
        check(fd >= 0 && connect(fd, (struct sockaddr *) &address, address_size) >= 0);
        daemon_run();
        connecting = NULL;
        return fd;
}

void daemon_run(void) {
        unsigned n = 0;
        int r;

        while ((r = sd_event_run(daemon_manager->event, 0)) > 0) {
                check(n++ < ROUNDS_MAX); /* it does not go on for ever */
                if (daemon_manager->storage_failed)
                        try_storage(daemon_manager);
        }
        check(r >= 0);
}

/* ---- what must hold ---- */

static int on_finding(void *userdata, const StoreFinding *f) {
        fprintf(stderr, "job %" PRIu64 ": %s: %s\n", f->job, f->kind, f->text);
        abort();
}

static uint32_t slots_of(const Model *m, const Queue *q) {
        uint32_t n = 0;

        for (const Attempt *a = m->attempts; a; a = a->hh.next)
                for (const Queue *p = a->queue; p; p = p->parent)
                        if (p == q)
                                n += a->slots;
        return n;
}

static void check_workers(const Model *m) {
        for (const Worker *w = m->workers; w; w = w->hh.next) {
                uint32_t slots = 0, n = 0;

                for (const Attempt *a = m->attempts; a; a = a->hh.next)
                        if (a->worker == w) {
                                check(executor_has_worker(a->executor) && a->worker_id == w->id && worker_serves(w, a->queue, a->owner));
                                slots += a->slots;
                                n++;
                        }
                check(n == w->n_attempts && slots == w->slots_used && slots <= w->slots);
        }
}

void daemon_check(void) {
        const Model *m = daemon_manager->model;
        uint64_t count[_JOB_STATE_MAX] = {};
        StoreCheck k = {};
        int r;

        check(!model_has_changes(m) && TAILQ_EMPTY(&daemon_manager->api->held));
        for (const Queue *q = m->queues; q; q = q->hh.next) {
                check(q->slots_used == slots_of(m, q) && q->slots_used <= q->policy.slots);
                for (JobState s = 0; s < _JOB_STATE_MAX; s++)
                        count[s] += q->count[s];
        }
        check(memcmp(count, m->count, sizeof(count)) == 0);
        check_workers(m);
        while ((r = store_check_step(daemon_manager->store, &k, on_finding, NULL)) > 0)
                ;
        check(r == 0);
}
