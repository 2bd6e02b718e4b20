/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the daemon has nothing to do in year.c: there are no callers, files, workers and schedules. */

#include "site.h"

#include "api/run.h"
#include "api/timer.h"
#include "notify/event.h"
#include "unit/attempt-files.h"
#include "unit/spool.h"

#define NOTHING(declaration)                                                                                                       \
        declaration {}
#define NO(declaration, value)                                                                                                     \
        declaration {                                                                                                              \
                return value;                                                                                                      \
        }

NOTHING(void api_fire_timers(Api *a))
NOTHING(void api_run_waiting(Api *a))
NOTHING(void api_storage_failed(Api *a, int error, const char *text))
NOTHING(void api_tell_runs(Api *a))
NOTHING(void api_turn_begins(Api *a))
NOTHING(void api_watch_congestion(Api *a))
NOTHING(void attempt_files_sweep(const char *run_path, const Model *m))
NOTHING(void event_log(const Change *c, bool user))
NOTHING(void manager_adopt_left_overs(Manager *m))
NOTHING(void manager_adopt_unknown(Manager *m))
NOTHING(void manager_edit_queues(Manager *m))
NOTHING(void manager_exit(Manager *m))
NOTHING(void manager_reload(Manager *m))
NOTHING(void manager_sample_pressure(Manager *m))
NOTHING(void manager_set_slices(Manager *m))
NOTHING(void manager_tell_slices(Manager *m))
NOTHING(void manager_turned(Manager *m))
NOTHING(void manager_want_server(Manager *m, const Queue *q, uint32_t owner))
NOTHING(void spool_sweep(const char *run_path, const Model *m))
NOTHING(void units_act_timers(Units *u))
NOTHING(void units_resync(Units *u, bool full))
NO(bool api_wants_turn(const Api *a), false)
NO(bool manager_act_runs(Manager *m), false)
NO(bool manager_act_workers(Manager *m), false)
NO(bool manager_check_run(Manager *m, Attempt *a), true)
NO(bool manager_give_ballast(Manager *m, int error), false)
NO(const char *manager_store_advice(int error), "")
NO(const User *user_db_get(UserDb *db, uint32_t uid), NULL)
NO(int manager_end_runs(Manager *m), 0)
NO(int manager_find_timers(Manager *m, Model *model), 0)
NO(int manager_look_types(Manager *m), 0)
NO(int manager_open_store(Manager *m), 0)
NO(int manager_repair(Manager *m), 0)
