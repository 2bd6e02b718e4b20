/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making the daemon, starting it, reloading it. What it does all day is in settle.c. */

#include "daemon/manager.h"

#include "api/run.h"
#include "api/worker.h"

#include "api/socket.h"
#include "base/crash-point.h"
#include "api/callback.h"
#include "base/log.h"
#include "base/strv.h"
#include "base/time-util.h"
#include "daemon/config.h"
#include "daemon/queue-write.h"
#include "unit/backstop.h"
#include "unit/scope.h"
#include "unit/spool.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define LAST_LOOK_MAX (3 * USEC_PER_SEC)

/* ---- events ---- */

static int on_settle(sd_event_source *s, void *userdata) {
        return manager_settle(userdata);
}

/* Waking up is all: the turn comes by itself, after every event. */
static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        return 0;
}
static int on_again(sd_event_source *s, void *userdata) {
        return 0;
}

/* A commit that means nothing, to see whether commits work again. */
static bool try_storage(Manager *m) {
        int r;

        r = store_set_meta(m->store, "storage", "ok");
        if (r < 0 && manager_give_ballast(m, r))
                r = store_set_meta(m->store, "storage", "ok");
        return r >= 0;
}

static int on_storage_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        if (!m->store) /* the turn opens it */
                return 0;
        if (m->storage_failed && try_storage(m)) {
                log_notice("Recording works again.");
                m->storage_failed = false;
                units_resync(m->units, true);
        } else if (m->api->storage_full && !m->storage_failed && usec >= m->ballast_next)
                manager_make_ballast(m);
        if (!m->storage_failed && !m->api->storage_full)
                return 0;
        (void) sd_event_source_set_time_relative(s, USEC_PER_SEC);
        return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Manager *m = userdata;

        if (si->ssi_signo == SIGHUP) {
                m->api->reload_wanted = true;
                return 0;
        }
        if (m->stopping) {
                manager_exit(m);
                return 0;
        }
        log_info("Got SIG%s, stopping; running jobs run on.", sigabbrev_np(si->ssi_signo));
        CRASH_POINT("stopping");
        (void) sd_notify(false, "STOPPING=1");
        m->stopping = true;
        if (!m->model || !m->model->attempts || !m->units->synced) {
                manager_exit(m);
                return 0;
        }
        /* At shutdown we are stopped as soon as the last job is, which may not have been heard yet; after it is too late. */
        units_resync(m->units, true);
        (void) sd_event_source_set_time_relative(m->stop_timer, LAST_LOOK_MAX);
        return sd_event_source_set_enabled(m->stop_timer, SD_EVENT_ONESHOT);
}

void manager_exit(Manager *m) {
        if (m->store)
                manager_keep_clock(m);
        manager_raise_starts(m);
        CRASH_POINT("stopped");
        (void) sd_event_exit(m->event, EXIT_SUCCESS);
}

static int on_stop_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        log_warning("The service manager does not answer, stopping without a last look at the jobs.");
        manager_exit(userdata);
        return 0;
}

static int add_sources(Manager *m) {
        static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
        sigset_t mask;
        int r;

        sigemptyset(&mask);
        sigaddset(&mask, SIGCHLD);
        FOREACH_ELEMENT(sig, signals)
                sigaddset(&mask, *sig);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        FOREACH_ELEMENT(sig, signals) {
                r = sd_event_add_signal(m->event, NULL, *sig, on_signal, m);
                if (r < 0)
                        return r;
        }

        /* Idle priority: what has piled up is taken in first, so that it shares one commit. */
        r = sd_event_add_post(m->event, &m->settle_source, on_settle, m);
        if (r >= 0)
                r = sd_event_source_set_priority(m->settle_source, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                /* sd-event would silently switch off a source that fails. */
                r = sd_event_source_set_exit_on_failure(m->settle_source, true);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->due_timer, CLOCK_REALTIME, USEC_INFINITY, 0, on_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->deadline_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->pressure_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->status_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->expiry_timer, CLOCK_REALTIME, USEC_INFINITY, 0, on_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->storage_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_storage_timer, m);
        if (r >= 0)
                r = sd_event_add_time(m->event, &m->stop_timer, CLOCK_MONOTONIC, USEC_INFINITY, 0, on_stop_timer, m);
        if (r >= 0)
                r = manager_watch_clock(m);
        if (r >= 0)
                r = sd_event_add_defer(m->event, &m->again_source, on_again, m);
        return r < 0 ? r : sd_event_source_set_enabled(m->again_source, SD_EVENT_OFF);
}

/* ---- paths ---- */

static int find_paths(Manager *m) {
        const char *state = getenv("STATE_DIRECTORY"), *run = getenv("JOBMILL_RUNTIME_PATH"), *xdg;
        int r;

        if (!m->user) {
                m->state_path = strdup(state ?: "/var/lib/jobmill");
                m->run_path = strdup(run ?: "/run/jobmill");
        } else {
                xdg = getenv("XDG_STATE_HOME");
                if (state || xdg)
                        r = state ? free_and_strdup(&m->state_path, state) : asprintf(&m->state_path, "%s/jobmill", xdg);
                else
                        r = asprintf(&m->state_path, "%s/.local/state/jobmill", strempty(getenv("HOME")));
                if (r < 0)
                        m->state_path = NULL;
                xdg = getenv("XDG_RUNTIME_DIR");
                if (!run && !xdg)
                        return log_error_errno(ENXIO, "$XDG_RUNTIME_DIR is not set.");
                r = run ? free_and_strdup(&m->run_path, run) : asprintf(&m->run_path, "%s/jobmill", xdg);
                if (r < 0)
                        m->run_path = NULL;
        }
        if (!m->state_path || !m->run_path)
                return log_oom();
        return config_directories(m->user, &m->config_directories);
}

/* ---- the manager ---- */

static int open_spool(void *userdata, uint64_t job, uint32_t attempt, bool of_stderr) {
        const Manager *m = userdata;

        return spool_open_stream(m->run_path, job, attempt, of_stderr ? SPOOL_STDERR : SPOOL_STDOUT);
}

static void scope_outcome(void *userdata, const Attempt *a, bool stopped, Outcome *o) {
        const Manager *m = userdata;

        units_scope_outcome(m->units, a, stopped, o);
}

/* Those that the service manager opened for us; there may be none. */
static int take_sockets(Manager *m) {
        int n, r = 0;

        n = sd_listen_fds(/* unset_environment = */ true);
        if (n < 0)
                return n;
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++)
                if (!m->api->socket && sd_is_socket_unix(fd, SOCK_STREAM, true, NULL, 0) > 0) {
                        manager_find_socket(m, fd);
                        r = socket_new(m->api, fd, &m->api->socket);
                        if (r < 0)
                                return r;
                } else {
                        log_warning("File descriptor %i is none that we know what to do with, closing it.", fd);
                        safe_close(fd);
                }
        return 0;
}

int manager_new(bool user, Manager **ret) {
        _cleanup_(manager_freep) Manager *m = new0(Manager, 1);
        int r;

        if (!m)
                return log_oom();
        m->user = user;
        settings_init(&m->settings);
        m->metrics.started = now_usec(CLOCK_REALTIME);
        r = find_paths(m);
        if (r < 0)
                return r;
        r = sd_event_default(&m->event);
        if (r >= 0)
                r = add_sources(m);
        if (r >= 0 && sd_event_set_watchdog(m->event, true) < 0)
                log_warning("Cannot feed the watchdog of the service manager, ignoring.");
        if (r >= 0)
                r = user_db_new(m->event, &m->users);
        if (r >= 0)
                r = units_new(m->event, user, m->run_path, getenv("JOBMILL_EXEC_PATH") ?: JOBMILL_EXEC_PATH, &m->units);
        if (r >= 0 && getenv("JOBMILL_LOOK_INTERVAL"))
                m->units->look_interval = MAX(1, atoi(getenv("JOBMILL_LOOK_INTERVAL")));
        if (r >= 0)
                r = api_new(m->event, user, m->users, m->settle_source, &m->api);
        if (r >= 0)
                r = api_runs_new(m->api, scope_outcome);
        if (r >= 0)
                r = take_sockets(m);
        if (r < 0)
                return log_error_errno(r, "Failed to set up: %m");
        m->api->check_edit = queue_edit_check;
        m->api->preview = manager_preview;
        m->api->check_calendar = manager_check_calendar;
        m->api->diagnose = manager_diagnose;
        m->api->write_metrics = manager_write_metrics;
        m->api->check = manager_check;
        m->api->open_spool = open_spool;
        m->api->capture_spool = manager_capture_spool;
        m->api->types = &m->types;
        m->api->userdata = m;
        *ret = TAKE_PTR(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        m->api = api_free(m->api);
        metrics_done(&m->metrics);
        units_free(m->units);
        user_db_free(m->users);
        model_free(m->model);
        store_close(m->store);
        sd_event_source_disable_unref(m->settle_source);
        sd_event_source_disable_unref(m->clock_source);
        sd_event_source_disable_unref(m->due_timer);
        sd_event_source_disable_unref(m->deadline_timer);
        sd_event_source_disable_unref(m->pressure_timer);
        sd_event_source_disable_unref(m->storage_timer);
        sd_event_source_disable_unref(m->status_timer);
        sd_event_source_disable_unref(m->expiry_timer);
        sd_event_source_disable_unref(m->again_source);
        sd_event_source_disable_unref(m->stop_timer);
        sd_event_unref(m->event);
        strv_free(m->config_directories);
        free(m->state_path);
        free(m->run_path);
        free(m->socket_path);
        job_types_done(&m->types);
        free(m->config_error);
        free(m->status);
        return mfree(m);
}

/* ---- configuration ---- */

/* Everybody is told what concerns him. */
static void apply_settings(Manager *m, Model *model) {
        const Settings *s = &m->settings;

        model->timeout_default = s->timeout_usec;
        model->stop_timeout_default = s->stop_timeout_usec;
        model->defaults.output = s->output;
        model->defaults.verify = s->verify;
        model->queued_max = s->queued_max;
        model->timers.kept_max = s->firings_max;
        model->poison_max = s->poison_max;
        model->adapter_timeout = s->adapter_timeout;
        model->queued_per_user_max = s->queued_per_user_max;
        m->api->limits = s->api;
        m->units->in_flight_max = s->in_flight_max;
        m->units->io_tail_max = s->api.io_tail_max;
}

static void keep_error(Manager *m, char **error) {
        if (*error && !m->config_error)
                m->config_error = TAKE_PTR(*error);
        *error = mfree(*error);
}

int manager_load_model(Manager *m) {
        _cleanup_(model_freep) Model *model = model_new();
        _cleanup_free_ char *error = NULL;
        Queue *q, *t;
        int r;

        if (!model)
                return -ENOMEM;
        apply_settings(m, model);
        r = config_load_queues(model, m->model, m->config_directories, &error);
        if (r < 0)
                return log_error_errno(r, "Failed to read the queue files: %m");
        keep_error(m, &error);
        r = store_load(m->store, model);
        if (r >= 0)
                r = manager_find_timers(m, model);
        if (r < 0)
                return r;
        HASH_ITER(hh, model->queues, q, t)
                q->policy_changed = false; /* nothing was told before */
        units_set_model(m->units, model);
        api_set_model(m->api, model, m->store);
        store_set_callback_body(m->store, api_callback_body, m->api);
        model_free(m->model);
        m->model = TAKE_PTR(model);
        api_workers_resume(m->api);
        api_runs_resume(m->api);
        m->next_due = m->next_start_deadline = m->next_expiry = 0;
        m->pressure_next = USEC_INFINITY; /* the new model does not know it */
        manager_recall_clock(m);
        return 0;
}

void manager_want_slice(Manager *m, Queue *q) {
        if (q->slice_wanted)
                return;
        q->slice_wanted = true;
        TAILQ_INSERT_TAIL(&m->model->slices_wanted, q, slice_entry);
}

void manager_set_slices(Manager *m) {
        Queue *q, *t;

        HASH_ITER(hh, m->model->queues, q, t)
                manager_want_slice(m, q);
        m->slices_set = true;
        m->units->slices_again = false;
        units_set_backstops(m->units);
        manager_tell_slices(m);
}

void manager_tell_slices(Manager *m) {
        Queue *q;

        while ((q = TAILQ_FIRST(&m->model->slices_wanted)) && units_set_slice(m->units, q)) {
                TAILQ_REMOVE(&m->model->slices_wanted, q, slice_entry);
                q->slice_wanted = false;
        }
}

static int load_settings(Manager *m, const char *otherwise) {
        char *error = NULL;
        int r;

        m->config_error = mfree(m->config_error);
        r = config_load_settings(&m->settings, m->config_directories, otherwise, &error);
        keep_error(m, &error);
        return r;
}

void manager_reload(Manager *m) {
        char *error = NULL;
        char text[64];
        int r;

        m->api->reload_wanted = false;
        snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, m->now.monotonic);
        CRASH_POINT("reload-begun");
        (void) sd_notify(false, text);
        CRASH_POINT("reload-told");
        r = load_settings(m, "the settings stay what they were");
        if (r >= 0) {
                apply_settings(m, m->model);
                r = config_load_queues(m->model, NULL, m->config_directories, &error);
                keep_error(m, &error);
        }
        if (r >= 0) {
                r = manager_load_types(m, &error);
                keep_error(m, &error);
        }
        if (r >= 0)
                r = manager_find_timers(m, m->model);
        if (r < 0)
                log_error_errno(r, "Failed to read the configuration again, keeping what there is: %m");
        if (m->settings.storage != m->storage)
                log_notice("Storage=%s takes effect when jobmilld is restarted.", storage_to_string(m->settings.storage));
        manager_tell_policies(m);
        manager_set_slices(m);
        user_db_flush(m->users);
        CRASH_POINT("reload-made");
        api_reload_done(m->api, r < 0 ? strerror(-r) : m->config_error);
        CRASH_POINT("reload-answered");
        (void) sd_notify(false, "READY=1");
}

int manager_read_settings(Manager *m) {
        int r;

        r = load_settings(m, "the defaults are in force");
        if (r < 0)
                return log_error_errno(r, "Failed to read the configuration: %m");
        m->storage = m->settings.storage;
        m->api->storage = storage_to_string(m->storage);
        return 0;
}

int manager_start(Manager *m) {
        char *error = NULL;
        int r;

        r = manager_read_settings(m);
        if (r >= 0) {
                r = manager_load_types(m, &error);
                keep_error(m, &error);
        }
        if (r >= 0)
                r = manager_read_clocks(m);
        if (r >= 0)
                r = manager_open_store(m);
        if (r < 0)
                return r;
        if (!m->user && !getenv("JOBMILL_RUNTIME_PATH") && !spool_is_mounted(m->run_path))
                log_warning("%s/spool is not mounted (run-jobmill-spool.mount): jobs with stdout=spool take memory of /run.", m->run_path);
        api_connect(m->api);
        /* A post source runs only after some other source did. */
        return manager_settle(m);
}
