/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Does systemd understand OnCalendar= of SetSchedule()? One is asked about after the other. */
typedef struct CalendarQuestion {
        uint64_t number;          /* of the question; 0: none was asked */
        char *error;              /* the answer: what is wrong; NULL: nothing */
        bool known, invalid;      /* there is one; it is no calendar event, else nobody could say */
        unsigned n_good;          /* so many are known to be right */
} CalendarQuestion;
/* Answered by api_calendar_checked(). */
typedef int (*check_calendar_t)(void *userdata, const char *calendar, uint64_t number);

/* What a call waits for. */
typedef enum CallWhere {
        CALL_QUEUED,      /* on client->calls */
        CALL_ASKING,      /* on api->asking, as all that follow: polkit is asked, or it is being run again */
        CALL_FOR_ROOM,    /* the bus does not take our answers fast enough */
        CALL_FOR_POLKIT,  /* polkit is asked for as many others of this user as it may be */
        CALL_FOR_USER,    /* the user data base is asked */
        CALL_RELOADING,   /* answered by api_reload_done() */
        CALL_EDITING,     /* answered by api_edit_done() */
        CALL_CALENDAR,    /* systemd is asked whether it understands one, */
        CALL_FOR_CALENDAR, /* … or as many others are asked about as may be */
        CALL_AGAIN,       /* a page is done, the next comes with the next turn; or its user has had his share of this one */
        CALL_BACKUP,      /* a child writes it */
        CALL_REPAIRING,   /* answered by api_repair_done() */
        _CALL_WHERE_MAX,
} CallWhere;
