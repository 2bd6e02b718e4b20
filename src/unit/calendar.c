/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Is it a calendar event? Only systemd knows: the manager is asked for a timer with it and a property that there is not. It reads
 * all of them in their order before it makes anything. So nothing is ever made, and which of the two it complains of is the answer. */

#include "unit/units.h"

#include "base/bus-util.h"
#include "base/crash-point.h"
#include "base/strv.h"

#define NO_PROPERTY "JobmillNothing"

typedef struct Question {
        uint64_t number;
        units_calendar_t told; /* NULL: it was */
        void *userdata;
} Question;

static void tell(Question *q, bool invalid, const char *error) {
        units_calendar_t told = q->told;

        q->told = NULL;
        if (told)
                told(q->userdata, q->number, invalid, error);
}

static void question_free(void *userdata) {
        Question *q = userdata;

        tell(q, false, "the connection to systemd was lost");
        free(q);
}

/* "60:00" is out of range, and so on: what its parser says besides -EINVAL. */
static bool is_refusal(const sd_bus_error *e) {
        return sd_bus_error_has_name(e, SD_BUS_ERROR_INVALID_ARGS) || sd_bus_error_has_name(e, "System.Error.ERANGE") ||
               sd_bus_error_has_name(e, "System.Error.EDOM") || sd_bus_error_has_name(e, "System.Error.EINVAL");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        Question *q = userdata;

        CRASH_POINT("calendar-answered");
        if (!e || sd_bus_error_has_name(e, SD_BUS_ERROR_PROPERTY_READ_ONLY))
                tell(q, false, NULL);
        else
                tell(q, is_refusal(e), isempty(e->message) ? "systemd does not say why" : e->message);
        return 0;
}

static int append_question(sd_bus_message *m, const char *calendar) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "(sv)");
        if (r >= 0)
                r = timer_append_calendar(m, (char *const[]) { (char *) calendar, NULL });
        if (r >= 0)
                r = sd_bus_message_append(m, "(sv)", NO_PROPERTY, "b", 1);
        if (r >= 0)
                r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

int units_check_calendar(Units *u, const char *calendar, uint64_t number, units_calendar_t told, void *userdata) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ Question *q = new0(Question, 1);
        sd_bus_slot *slot;
        char unit[64];
        int r;

        if (!q)
                return -ENOMEM;
        if (!u->bus)
                return -ENOTCONN;
        *q = (Question) { .number = number, .told = told, .userdata = userdata };
        (void) snprintf(unit, sizeof(unit), "jobmill-calendar-%" PRIu64 ".timer", number);
        r = units_new_call(u, &m, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
        if (r >= 0)
                r = sd_bus_message_append(m, "ss", unit, "fail");
        if (r >= 0)
                r = append_question(m, calendar);
        CRASH_POINT("calendar-before");
        if (r >= 0)
                r = sd_bus_call_async(u->bus, &slot, m, on_answer, q, 0);
        CRASH_POINT("calendar-after");
        if (r < 0)
                return r;
        (void) sd_bus_slot_set_destroy_callback(slot, question_free);
        TAKE_PTR(q);
        (void) sd_bus_slot_set_floating(slot, true); /* lives as long as the connection */
        sd_bus_slot_unref(slot);
        return 0;
}
