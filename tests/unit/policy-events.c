/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The events of test-policy-random.c that are no requests about jobs: what is done to queues and their files, what units do, time and
 * accidents. */

#include "policy-events.h"

/* ---- queues ---- */

static bool change_file(unsigned kind, Setup *s) {
        switch (kind) {
        case EVENT_caps:
                s->slots = chance(20) ? UINT32_MAX : 1 + any(5);
                break;
        case EVENT_keep:
                s->keep_max = chance(40) ? UINT64_MAX : any(4);
                break;
        case EVENT_order:
                s->fair = chance(50);
                s->ageing = chance(40) ? 0 : (1 + any(20)) * SEC;
                break;
        case EVENT_backlog:
                s->queued_max = chance(40) ? UINT64_MAX : 1 + any(10);
                s->queued_per_user_max = chance(40) ? UINT64_MAX : 1 + any(6);
                break;
        case EVENT_executor:
                s->by_workers = chance(60);
                s->trusts = chance(30);
                s->pool = chance(40);
                s->unit = chance(40);
                break;
        default:
                s->gate = chance(25);
                s->pressure = chance(25) ? 10 + any(50) : 0;
                s->rate = chance(40) ? (RateLimit) { 1 + any(3), (1 + any(12)) * SEC / 2 } : (RateLimit) {};
        }
        return true;
}

static bool do_queue(unsigned kind) {
        unsigned i = any(N_QUEUES);
        Queue *q = model_queue(w.m.model, queue_names[i]);
        bool yes = chance(40);

        say("    %s\n", queue_names[i]);
        if (kind == EVENT_pause) {
                model_queue_pause(w.m.model, q, yes);
                return yes;
        }
        if (kind == EVENT_drain) {
                model_queue_drain(w.m.model, q, yes);
                return yes;
        }
        if (kind == EVENT_remove) {
                world_remove(i);
                return false; /* counted when it is done */
        }
        if (kind == EVENT_file)
                w.file_kinds[i] = chance(50) ? FILE_GOOD : chance(50) ? FILE_GONE : FILE_BAD;
        else
                (void) change_file(kind, w.files + i);
        world_reload();
        say("    %s: %" PRIu32 " slots, fair %i, ageing %" PRIu64 ", %s\n", queue_names[i], w.setup[i].slots, w.setup[i].fair, w.setup[i].ageing / SEC,
            w.setup[i].configured ? "in force" : w.setup[i].broken ? "bad" : "gone");
        return kind != EVENT_file || w.file_kinds[i] != FILE_GOOD;
}

/* ---- units ---- */

static bool fits(const Lease *l, int is, unsigned kind) {
        const Job *j = l->there && kind == EVENT_rekeyed ? model_job(w.m.model, l->id) : NULL;

        return l->there && (int) l->is == is && (kind != EVENT_rekeyed || (j && j->unique_lent));
}

static bool do_unit(unsigned kind) {
        static const JobResult ends[] = { JOB_EXIT_CODE, JOB_EXIT_CODE, JOB_SIGNAL, JOB_OOM_KILL, JOB_LOST, JOB_WATCHDOG, JOB_CORE_DUMP };
        Lease *l = w.leases + any(LEASES_MAX);
        int is = kind == EVENT_runs || kind == EVENT_refused || kind == EVENT_rekeyed ? ASKED : kind == EVENT_ends ? RUNNING : OVER;
        JobResult result;

        for (unsigned i = 0; i < LEASES_MAX && !fits(l, is, kind); i++)
                if (++l == w.leases + LEASES_MAX)
                        l = w.leases;
        if (!fits(l, is, kind))
                return false;
        say("    unit %" PRIu64 "-%" PRIu32 "\n", l->id, l->number);
        if (kind == EVENT_refused)
                return unit_is_refused(l);
        if (kind == EVENT_rekeyed) /* in the same turn */
                return unit_is_refused(l) && request_rekey(model_job(w.m.model, l->id));
        if (kind == EVENT_runs)
                unit_runs(l);
        else if (kind == EVENT_ends) {
                result = chance(w.kind) ? JOB_SUCCESS : ends[any(ELEMENTSOF(ends))];
                l->said = chance(30) ? -1 : chance(70);
                unit_ends(l, result, result == JOB_SUCCESS ? 0 : chance(10) ? 75 : chance(10) ? 100 : 1);
        } else
                unit_goes(l);
        return true;
}

/* ---- all of them ---- */

static void do_time(void) {
        usec_t next = world_next_timer();

        world_passes(chance(40) || next == USEC_INFINITY ? any(10 * SEC) : usec_sub(next, w.now.realtime));
}

static void step_clock(void) {
        int64_t step = ((int64_t) any(200) - 100) * (int64_t) SEC;

        w.step += step;
        w.now.realtime += (usec_t) step;
}

static bool accident(unsigned kind) {
        switch (kind) {
        case EVENT_look:
                w.deaf = false;
                w.sync = true;
                return true;
        case EVENT_deaf:
                w.deaf = true;
                return true;
        case EVENT_commit_fails:
                w.fail_commits = 1 + any(2);
                return false; /* counted when it does */
        case EVENT_dies:
                world_restart();
                return true;
        case EVENT_reboot:
                world_reboot();
                return true;
        case EVENT_stray:
                return world_stray();
        default:
                w.dies_after = any(3);
                return false;
        }
}

bool do_event(unsigned kind) {
        w.now.even = w.now.realtime - (usec_t) w.step - (usec_t) w.shift;
        w.m.now = w.now;
        switch (kind) {
        case EVENT_submit:
                return request_submit();
        case EVENT_cancel ... EVENT_thaw:
                return request_on_job(kind);
        case EVENT_many:
                return request_on_many();
        case EVENT_pause ... EVENT_remove:
                return do_queue(kind);
        case EVENT_runs ... EVENT_rekeyed:
                return do_unit(kind);
        case EVENT_comes ... EVENT_killed:
                return peer_event(kind);
        case EVENT_answers ... EVENT_unit_comes:
                return server_event(kind);
        case EVENT_fore_gone ... EVENT_fore_back:
                return fore_event(kind);
        case EVENT_gate:
                world_gate(chance(60));
                return true;
        case EVENT_pressure:
                w.pressure = chance(60) ? 0 : any(100);
                return true;
        case EVENT_time:
                do_time();
                return true;
        case EVENT_clock_step:
                step_clock();
                return true;
        case EVENT_pages:
                w.waiting = request_page;
                return false;
        case EVENT_storage:
                world_passes(SEC);
                return true;
        default:
                return accident(kind);
        }
}
