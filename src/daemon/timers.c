/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Schedules, as far as they are the daemon's: those of job files, and the question about OnCalendar= between api/ and unit/. */

#include "daemon/manager.h"

#include "api/timer.h"
#include "base/log.h"

int manager_find_timers(Manager *m, Model *model) {
        return 0;
}

static void on_calendar(void *userdata, uint64_t number, bool invalid, const char *error) {
        Manager *m = userdata;

        if (m->api)
                api_calendar_checked(m->api, number, invalid, error);
}

int manager_check_calendar(void *userdata, const char *calendar, uint64_t number) {
        Manager *m = userdata;

        return units_check_calendar(m->units, calendar, number, on_calendar, m);
}
