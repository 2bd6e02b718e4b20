/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The D-Bus face of jobmill: org.jobmill1 on a connection of its own.
 *
 * A call goes through the same steps whatever it is (call.c): who is the caller (from the bus, cached), then the method: read,
 * validate, authorize, edit the model, hold the answer. Held answers are sent by api_tell() after the commit, or answered with
 * an error by api_storage_failed(). Reads are answered at once from what is recorded (store/history.h). A method may be run
 * again from its start, when a credential or an authorization was missing: it must change nothing before it has all. */

#include "api/account.h"
#include "api/call-where.h"
#include "api/diagnose.h"
#include "api/errors.h"
#include "api/limits.h"
#include "api/preview.h"
#include "api/protocol.h"
#include "api/reply.h"
#include "api/user-db.h"
#include "queue/change.h"
#include "queue/queue-setting.h"
#include "store/history.h"

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Call Call;
typedef struct Backup Backup;
typedef struct Check Check;
typedef struct Held Held;
typedef struct Wait Wait;
typedef struct Socket Socket;
typedef struct EventPage EventPage;

/* A caller: one connection to the bus, or to the socket. */
typedef struct Client {
        Api *api;
        char *name;          /* unique bus name; NULL: */
        Connection *connection;
        unsigned n_calls;
        uint32_t uid;
        bool known, subscribed;
        Account *account;    /* of uid; NULL: that is not known */
        sd_bus_slot *slot;   /* GetConnectionCredentials, if it is under way */
        TAILQ_HEAD(, Call) calls; /* in order, until the caller is known */
        TAILQ_HEAD(, Wait) waits;
        UT_hash_handle hh;
} Client;
typedef int (*call_handler_t)(Call *c, sd_bus_error *error);

typedef struct Authorization {
        const char *action;
        bool allowed, challenge;
} Authorization;

struct Call {
        Api *api;
        Client *client;
        sd_bus_message *message;  /* NULL: it came over the socket, */
        struct json_object *parameters; /* with these */
        bool oneway, more;
        call_handler_t handler;
        CallWhere where;
        size_t size; bool too_large; /* in memory, once it waits; it must not, for that */
        uint32_t for_user;        /* CALL_FOR_USER: whom the data base is asked about */
        uint64_t count;           /* of what the pages so far did */
        uint64_t after, until;    /* the last job that they looked at, and the last that there was when they began; 0: they did not */
        bool in_pages;            /* they changed something: a failed commit ends the call */
        QueueEdit *edit; CalendarQuestion calendar; /* CALL_EDITING, CALL_CALENDAR */
        Backup *backup;           /* the caller's, bus-backup.c */
        Check *check;             /* bus-check.c */
        sd_bus_slot *polkit_slot;
        uint32_t submit_as;       /* the other user of this request; UINT32_MAX: none yet */
        Authorization authorizations[4]; /* answers so far; one call needs at most so many */
        unsigned n_authorizations;
        const char *asking;       /* the action that polkit is asked for */
        TAILQ_ENTRY(Call) entry;
};

struct Api {
        sd_event *event;
        bool user;
        Model *model;
        Store *store;
        UserDb *users;
        Now now;                 /* the loop's, when the call under way was begun */
        int64_t clock_offset, clock_shift; /* of now.steady from the clock of the boot, and from now.even */
        sd_event_source *settle; /* daemon/'s turn: idle, unless many calls have come since the last one */
        unsigned n_since_turn;   /* taken since that one */
        uint64_t n_turns;

        sd_bus *bus;
        sd_bus_slot *ping_slot;  /* does the bus still take what we send? congestion.c */
        uint64_t ping_queued;    /* messages that were to be sent when it was asked */
        unsigned n_where[_CALL_WHERE_MAX], n_polkit; /* calls; those that polkit is asked about */
        bool polkit_freed, clients_wait, stuck; /* a place there came free; ask the bus again who somebody is; it takes nothing */
        sd_event_source *reconnect_timer;
        usec_t reconnect_delay;

        Client *clients;
        Account *accounts;
        unsigned n_subscribed;
        TAILQ_HEAD(, Call) asking;   /* polkit, or the user data base */
        TAILQ_HEAD(, Held) held;
        struct Waited *waited;       /* jobs whose end somebody waits for */
        TAILQ_HEAD(, LogStream) log_streams;
        Socket *socket;              /* NULL: nobody gave us one */
        struct WorkerLink *worker_links; /* uthash by id */
        TAILQ_HEAD(, WorkerLink) drains; /* that are to be told that they drain */
        EventPage *event_page;       /* the last one that was made; NULL: none */
        struct RunLinks *runs;       /* run-link.c */
        JobRow row;              /* of the job object that is being looked at */
        bool has_row;
        bool ready, reload_wanted; /* the name is ours; Reload(): daemon/ does it */
        unsigned n_backups;      /* under way: at most one */
        char *store_missing;     /* why there is no store, and so no model: every call is refused */
        int store_error;         /* the errno of that */
        bool storage_full;       /* there is room only for what becomes of running jobs: nothing new is taken */
        bool restored;           /* an old copy of the store was put back: nothing starts until AcceptStore() */
        const char *storage;     /* daemon/ keeps it */
        ApiLimits limits;        /* set by daemon/ */
        const struct JobTypes *types;
        /* SetQueue(): daemon/ has the table of keys. -EINVAL and *ret_error, or what each setting is. */
        int (*check_edit)(QueueEdit *e, char **ret_error);
        check_calendar_t check_calendar; uint64_t n_calendars, n_calendars_open; /* SetSchedule(): unit/ asks systemd; questions so far, and without an answer */
        preview_t preview;       /* PreviewUnit(): daemon/ knows unit/ */
        diagnose_t diagnose;     /* GetStatistics(), and GetMetrics(): */
        write_metrics_t write_metrics;
        int (*check)(void *userdata, store_finding_t found, void *found_userdata); /* CheckIntegrity(): units and files */
        int (*open_spool)(void *userdata, uint64_t job, uint32_t attempt, bool of_stderr); /* to read; -errno */
        void (*capture_spool)(void *userdata, const Attempt *at, Outcome *o); /* what its streams and verdict are */
        void *userdata; /* of these */
};

int api_new(sd_event *event, bool user, UserDb *users, sd_event_source *settle, Api **ret);
Api *api_free(Api *a);
DEFINE_TRIVIAL_CLEANUP_FUNC(Api *, api_free);
void api_set_model(Api *a, Model *m, Store *s);
void api_connect(Api *a); /* and take the name; again with back-off when the bus is lost. */

/* The daemon's turn comes when nothing else is to be done, so that requests share a commit; but a flood must not put it off for ever:
 * api_taken() is called for each thing that somebody sends, whatever becomes of it, and what can wait for the turn then does. */
void api_turn_begins(Api *a), api_taken(Api *a);
void api_taken_jobs(Api *a, size_t n); /* of one call */
bool api_is_turn_due(const Api *a);
/* Top of the turn: run calls again whose caller is known by now. */
void api_run_waiting(Api *a);
bool api_wants_turn(const Api *a); /* is there a call that wants a turn although nothing happens? */
void api_watch_congestion(Api *a); /* end of the turn */
/* After the commit: signals, ends of waits, held answers, in this order. */
void api_tell(Api *a, const Change *changes, size_t n, Queue *const *queues, size_t n_queues);
/* Reload() is through. text: what is wrong with which file, or NULL. */
void api_reload_done(Api *a, const char *text);
/* SetQueue() and RemoveQueue(), read and authorized: the next that waits to be done, NULL: none. Each one is answered, with an errno
 * (daemon/queue-write.h) and a text, before the next is taken. */
const QueueEdit *api_next_edit(Api *a);
void api_edit_done(Api *a, int error, const char *text);
/* The commit failed: held callers get StorageFull or StorageError. */
void api_storage_failed(Api *a, int error, const char *text);

/* ---- between the files of api/ ---- */
extern const sd_bus_vtable api_manager_vtable[];
extern const sd_bus_vtable api_queue_vtable[];
extern const sd_bus_vtable api_job_vtable[];
int api_queue_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error);
int api_queue_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error);
void api_queue_emit_changed(Api *a, const Queue *q);
int api_job_find(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret, sd_bus_error *error);
int api_job_enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error);
void api_forget_row(Api *a);

/* call.c, call-rights.c, call-reply.c */
int api_read_clocks(const Api *a, Now *ret);
int call_dispatch(Api *a, sd_bus_message *m, call_handler_t handler);
void call_dispatch_json(Client *cl, const Call *call);
void call_drop_client(Client *cl); /* all that it asked for */
void call_client_gone(Api *a, const char *name);
void call_drop_all(Api *a);
bool call_is_root(const Call *c);
/* May the caller do this beyond what he owns? 1 yes; 0 the answer is not there yet: return 0 from the handler at once, it
 * will be run again; negative with *error: no. details: pairs, NULL ends. */
int call_authorize(Call *c, const char *action, const char *const *details, sd_bus_error *error);
/* The same as a question: 1 and *ret; 0: not there yet, as above. Not interactive: nobody is asked for a password. */
int call_may(Call *c, const char *action, bool interactive, bool *ret);
/* The caller's, or another, user: 1 and *ret; 0: not there yet, as above. */
int call_user(Call *c, uint32_t uid, const User **ret);
void call_put_aside(Call *c, CallWhere where); /* it waits for that, or goes on; its handler returns 0 */
void call_again(Call *c); /* run it again in the next turn; its handler returns 0. */
/* Those in the middle of their pages end with an error. */
void call_fail_pages(Api *a, const char *name, const char *text);
/* The answer: begin it, and hold it for the commit, or send it at once. Both take it over; a negative r comes instead. */
ReplyTo call_reply_to(const Call *c);
int call_reply(const Call *c, Reply *ret);
int call_hold(Call *c, Reply *reply, int r), call_hold_empty(Call *c), call_send(const Call *c, Reply *reply, int r);
/* The argument "id". 0 or negative with *error. */
int call_read_id(const Call *c, uint64_t *ret, sd_bus_error *error);
void call_done(Call *c); /* a call that was put aside is answered. */

/* A job, into the model. 0 or negative with *error. own: with the right to act on it; 1, or 0: authorization pending. */
int call_load_job(Call *c, uint64_t id, Job **ret, sd_bus_error *error), call_own_job(Call *c, uint64_t id, Job **ret, sd_bus_error *error);
