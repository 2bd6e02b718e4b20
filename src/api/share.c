/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Limits of a user over all his connections, to the bus and to the socket (account.h): calls that wait, the memory that these take, and how
 * much is done for him before others have their turn. What he has too much of is refused, or waits, and nobody else's does. */

#include "api/share.h"

#define CALL_SIZE 512U /* of one without arguments, about */
#define VALUE_SIZE 8U

/* ---- how large it is ---- */

/* sd-bus does not tell. What is left of the container, about as it lies in memory. */
static int size_of_values(sd_bus_message *m, size_t *size) {
        const char *contents;
        const void *data;
        size_t n;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(m, &type, &contents)) > 0) {
                *size += VALUE_SIZE;
                if (type == 'a' && contents[0] && !contents[1] && strchr("ynqiuxtd", contents[0])) {
                        r = sd_bus_message_read_array(m, contents[0], &data, &n);
                        *size += n;
                } else if (strchr("arev", type)) {
                        r = sd_bus_message_enter_container(m, type, contents);
                        if (r >= 0)
                                r = size_of_values(m, size);
                        if (r >= 0)
                                r = sd_bus_message_exit_container(m);
                } else if (strchr("sog", type)) {
                        const char *s;

                        r = sd_bus_message_read_basic(m, type, &s);
                        *size += r < 0 ? 0 : strlen(s);
                } else
                        r = sd_bus_message_skip(m, NULL);
                if (r < 0)
                        return r;
        }
        return r;
}

/* A handler that finds that it has to wait has read all that it wanted, and will read it again. */
static void look_at_size(Call *c) {
        if (c->size > 0)
                return;
        c->size = CALL_SIZE;
        if (c->message && c->client->uid != 0 && sd_bus_message_rewind(c->message, true) >= 0)
                (void) size_of_values(c->message, &c->size);
}

/* ---- calls that wait ---- */

static bool is_too_many(Call *c, unsigned n_others) {
        const ApiLimits *l = &c->api->limits;
        const Account *account = c->client->account;

        if (c->client->uid == 0)
                return false;
        c->too_large = false;
        if (n_others + account->n_aside - (c->where != CALL_QUEUED) >= l->pending_calls_max)
                return true;
        if (c->where != CALL_QUEUED) /* it is counted */
                return false;
        look_at_size(c);
        c->too_large = account->aside_size > 0 && account->aside_size + c->size > l->pending_size_max;
        return c->too_large;
}

bool call_too_many_pending(Call *c) {
        return is_too_many(c, c->client->account->n_waits);
}

bool call_too_many_aside(Call *c) {
        return is_too_many(c, 0);
}

const char *call_too_many_text(const Call *c, char buf[static 160]) {
        const ApiLimits *l = &c->api->limits;

        if (c->too_large)
                (void) snprintf(buf, 160, "Calls of this user that are waiting are too large, at most %" PRIu64 " bytes may be (PendingCallsSizePerUserMax=)",
                                l->pending_size_max);
        else
                (void) snprintf(buf, 160, "Too many calls of this user are waiting, at most %" PRIu64 " may (PendingCallsPerUserMax=)",
                                l->pending_calls_max);
        return buf;
}

void call_share_moved(Call *c, CallWhere from, CallWhere to) {
        Account *account = c->client->account;

        if (from == CALL_QUEUED) {
                look_at_size(c);
                account->aside_size += c->size;
                account->n_aside++;
        }
        account->n_calendars += (to == CALL_CALENDAR) - (from == CALL_CALENDAR);
}

void call_share_freed(Call *c) {
        Account *account = c->client->account;

        if (c->where == CALL_QUEUED)
                return;
        account->aside_size -= c->size;
        account->n_aside--;
        account->n_calendars -= c->where == CALL_CALENDAR;
}

/* ---- work ---- */

void call_costs(Call *c, size_t work) {
        Account *account = c->client->account;

        if (account->turn != c->api->n_turns)
                account->work = 0;
        account->turn = c->api->n_turns;
        account->work += MIN(work, (size_t) SHARE_OF_TURN);
}

int call_begins_page(Call *c) {
        if (c->where == CALL_QUEUED && call_too_many_aside(c))
                return -EUSERS;
        call_costs(c, SHARE_OF_TURN);
        return 0;
}

bool call_has_share(const Call *c) {
        const Account *account = c->client->account;

        return call_is_root(c) || account->turn != c->api->n_turns || account->work < SHARE_OF_TURN;
}

/* ---- systemd ---- */

/* dbus-daemon lets a connection have 128 calls unanswered: that to systemd has units to start and stop. */
#define CALENDARS_IN_FLIGHT 16U
#define CALENDARS_IN_FLIGHT_PER_USER 4U

bool call_may_ask_calendar(const Call *c) {
        return c->api->n_calendars_open < CALENDARS_IN_FLIGHT &&
               (c->client->uid == 0 || c->client->account->n_calendars < CALENDARS_IN_FLIGHT_PER_USER);
}
