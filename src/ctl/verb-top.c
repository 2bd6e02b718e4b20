/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* top: what happens, as it happens. The daemon's signals say that something has changed; then the screen is asked for anew, as a whole, but not more
 * often than that costs a small part of the time. Nothing is asked for while nothing happens, but for what running jobs use, once a second.
 *
 *   list       keys move and act
 *   question   y does what was asked about, any other key nothing
 *   search     a line is typed
 *   help       any key goes back
 *
 * Where a password would help (polkit), the shell's screen is there meanwhile. */

#include "api/protocol.h"
#include "base/strv.h"
#include "ctl/output.h"
#include "ctl/screen.h"
#include "ctl/terminal.h"
#include "ctl/top-view.h"
#include <limits.h>
#include <signal.h>
#include <systemd/sd-event.h>

#define GAP_MIN_USEC (200 * USEC_PER_MSEC) /* between two looks */
#define GAP_COST 3U                        /* and so many times as long as the last one took */
#define USAGE_USEC USEC_PER_SEC
#define SEARCH_MAX 64U
#define HINT "s sort  / search  c cancel  h hold  p pause  Tab queues  ? help  q quit"

typedef enum TopMode {
        MODE_LIST,
        MODE_QUESTION,
        MODE_SEARCH,
        MODE_HELP,
} TopMode;

typedef struct Question {
        const char *member; /* the call that it is about */
        uint64_t job;       /* 0: a queue */
        char *queue, *text;
} Question;

typedef struct Top {
        TopView view;
        TopMode mode;
        Question question;
        char search[SEARCH_MAX + 1];
        sd_event *event;
        sd_bus *bus;
        sd_event_source *look, *usage;
        usec_t cost, looked; /* of the last look, and when it was over */
        bool away;           /* the message says that the daemon is */
} Top;

static void connect_bus(Top *t);

/* ---- looking ---- */

static const char *last_line(Top *t, char *buf, size_t n) {
        const TopView *v = &t->view;

        t->view.ask = t->mode == MODE_QUESTION || t->mode == MODE_SEARCH;
        if (t->mode == MODE_QUESTION)
                return t->question.text;
        if (t->mode == MODE_SEARCH)
                snprintf(buf, n, "Search: %s_", t->search);
        else if (v->message)
                return v->message;
        else if (v->order == TOP_TURN && !v->search)
                return HINT;
        else
                snprintf(buf, n, "by %s%s%s%s%s  %s", top_order_name(v->order), v->reverse ? ", least first" : "", v->search ? "  search: " : "",
                         strempty(v->search), v->searched_some ? " (not all were looked at)" : "", HINT);
        return buf;
}

static void draw_help(void) {
        static const char *const lines[] = {
                "Up Down PgUp PgDn Home End, j k g G   move",
                "Tab      to the queues, and back to the jobs",
                "s        sort what runs: by turn, CPU time, memory, run time",
                "R        the other way round",
                "/        search in id, name, queue and owner; Escape ends it",
                "c        cancel the job",
                "h        hold the job, or release it",
                "p        pause the queue (of the job), or resume it",
                "Ctrl-L   look again",
                "q        quit",
        };

        puts("");
        FOREACH_ELEMENT (l, lines)
                print_cut(*l);
        fputs("\nPress any key.", stdout);
}

static void draw(Top *t) {
        char buf[256];

        screen_begin();
        if (t->mode == MODE_HELP)
                draw_help();
        else
                (void) top_view_draw(&t->view, last_line(t, buf, sizeof(buf)));
        if (screen_end() < 0)
                (void) sd_event_exit(t->event, EXIT_FAILURE);
}

static void look_soon(Top *t) {
        int enabled = SD_EVENT_OFF;

        (void) sd_event_source_get_enabled(t->look, &enabled);
        if (enabled != SD_EVENT_OFF)
                return;
        (void) sd_event_source_set_time(t->look, usec_add(t->looked, MAX(GAP_MIN_USEC, t->cost * GAP_COST)));
        (void) sd_event_source_set_enabled(t->look, SD_EVENT_ONESHOT);
}

/* Somebody asks for it. */
static void look_now(Top *t) {
        (void) sd_event_source_set_time(t->look, 0);
        (void) sd_event_source_set_enabled(t->look, SD_EVENT_ONESHOT);
}

static int on_look(sd_event_source *s, uint64_t usec, void *userdata) {
        Top *t = userdata;
        usec_t begin = now_usec(CLOCK_MONOTONIC);
        int r;

        if (!t->bus || sd_bus_is_open(t->bus) <= 0)
                connect_bus(t);
        r = t->bus ? top_view_fetch(&t->view, t->bus) : -ENOTCONN;
        if (r >= 0 && t->away)
                t->view.message = mfree(t->view.message);
        t->away = r < 0;
        t->looked = now_usec(CLOCK_MONOTONIC);
        t->cost = t->looked - begin;
        draw(t);
        return 0;
}

/* What runs uses more, and runs longer, without a signal; and one who is away may be back. */
static int on_usage(sd_event_source *s, uint64_t usec, void *userdata) {
        Top *t = userdata;

        for (size_t i = t->view.first; !t->away && i < t->view.n_jobs; i++)
                if (streq_ptr(t->view.jobs[i].state, "running")) {
                        look_soon(t);
                        break;
                }
        if (t->away)
                look_soon(t);
        (void) sd_event_source_set_time_relative(s, USAGE_USEC);
        (void) sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

static int on_signal_of_daemon(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        look_soon(userdata);
        return 0;
}

static void subscribe(Top *t) {
        (void) sd_bus_call_method_async(t->bus, NULL, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, "Subscribe", NULL, NULL, "");
}

/* A new daemon knows nothing of us. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        const char *name, *old, *new;
        Top *t = userdata;

        if (sd_bus_message_read(m, "sss", &name, &old, &new) >= 0 && !isempty(new))
                subscribe(t);
        look_soon(t);
        return 0;
}

static void connect_bus(Top *t) {
        static const char *const members[] = { "JobNew", "JobChanged", "JobFinished", "QueueChanged" };

        t->bus = sd_bus_flush_close_unref(t->bus);
        if (bus_open(&t->bus) < 0)
                return;
        (void) sd_bus_attach_event(t->bus, t->event, SD_EVENT_PRIORITY_NORMAL);
        FOREACH_ELEMENT (m, members)
                (void) sd_bus_match_signal_async(t->bus, NULL, JOBMILL_BUS_NAME, JOBMILL_OBJECT_PATH, JOBMILL_INTERFACE_MANAGER, *m, on_signal_of_daemon,
                                                 NULL, t);
        (void) sd_bus_add_match_async(t->bus, NULL,
                                      "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" JOBMILL_BUS_NAME "'", on_owner, NULL, t);
        subscribe(t);
}

/* ---- acting ---- */

static void question_done(Question *q) {
        free(q->queue);
        free(q->text);
        *q = (Question) {};
}

static int call(Top *t, const Question *q) {
        char what[DECIMAL_MAX + 4];

        if (q->queue)
                return bus_call_simple(t->bus, NULL, q->member, q->queue, "s", q->queue);
        snprintf(what, sizeof(what), "job %" PRIu64, q->job);
        return bus_call_simple(t->bus, NULL, q->member, what, "t", q->job);
}

/* First without asking anybody: few need to, and who is asked for a password needs a terminal. */
static void act(Top *t, const Question *q) {
        bool may_ask = arg_ask_password;
        int r;

        if (!t->bus)
                return;
        t->view.message = mfree(t->view.message);
        arg_ask_password = false;
        r = call(t, q);
        arg_ask_password = may_ask;
        if (r == -EACCES && may_ask && geteuid() != 0) {
                screen_close();
                t->view.message = mfree(t->view.message);
                (void) call(t, q);
                (void) screen_open();
        }
        look_now(t);
}

static void act_on_job(Top *t, const char *member) {
        const JobInfo *j = top_view_job(&t->view);

        if (j)
                act(t, &(Question) { .member = member, .job = j->id });
}

static void ask_to_cancel(Top *t) {
        const JobInfo *j = top_view_job(&t->view);
        _cleanup_free_ char *title = NULL;

        if (!j || t->view.queue)
                return;
        title = job_info_title(j);
        question_done(&t->question);
        t->question = (Question) { .member = "CancelJob", .job = j->id };
        if (asprintf(&t->question.text, "Cancel job %" PRIu64 "%s%s? y or n", j->id, title ? ", " : "", strempty(title)) < 0)
                t->question.text = NULL;
        if (t->question.text)
                t->mode = MODE_QUESTION;
}

static void hold_or_release(Top *t) {
        const JobInfo *j = top_view_job(&t->view);

        if (j && !t->view.queue)
                act_on_job(t, streq_ptr(j->state, "held") ? "ReleaseJob" : "HoldJob");
}

static void pause_or_resume(Top *t) {
        const QueueInfo *q = top_view_queue(&t->view);

        if (q)
                act(t, &(Question) { .member = q->paused || q->draining ? "ResumeQueue" : "PauseQueue", .queue = q->name });
}

/* ---- keys ---- */

static void set_search(Top *t, const char *text) {
        (void) free_and_strdup(&t->view.search, isempty(text) ? NULL : text);
        t->view.first = 0;
        t->view.selected = 0;
        look_now(t);
}

static void on_search_key(Top *t, Key k) {
        size_t n = strlen(t->search);

        if (k == KEY_ESCAPE)
                t->mode = MODE_LIST;
        else if (k == KEY_ENTER) {
                t->mode = MODE_LIST;
                set_search(t, t->search);
        } else if (k == KEY_BACKSPACE) {
                while (n > 0 && ((unsigned char) t->search[--n] & 0xc0) == 0x80)
                        ;
                t->search[n] = 0;
        } else if (k >= 0x20 && k < 256 && n < SEARCH_MAX) {
                t->search[n] = k;
                t->search[n + 1] = 0;
        }
}

static void to_queues_or_back(Top *t) {
        const QueueInfo *q = top_view_queue(&t->view);

        if (t->view.queue)
                t->view.queue = mfree(t->view.queue);
        else if (t->view.n_queues > 0)
                (void) free_and_strdup(&t->view.queue, q ? q->name : t->view.queues[0].name);
}

static void sort_next(Top *t) {
        t->view.order = (t->view.order + 1) % _TOP_ORDER_MAX;
        t->view.first = 0;
        look_now(t);
}

static void move(Top *t, ssize_t by) {
        size_t rows = top_view_rows(&t->view);

        top_view_move(&t->view, by);
        t->view.to_end = by == SSIZE_MAX && !t->view.queue;
        if (t->view.more && t->view.first + rows >= t->view.n_jobs)
                look_now(t);
}

static void on_list_key(Top *t, Key k) {
        ssize_t page = top_view_rows(&t->view);

        if (k == 'q')
                (void) sd_event_exit(t->event, 0);
        else if (k == KEY_UP || k == 'k')
                move(t, -1);
        else if (k == KEY_DOWN || k == 'j')
                move(t, 1);
        else if (k == KEY_PAGE_UP)
                move(t, -page);
        else if (k == KEY_PAGE_DOWN)
                move(t, page);
        else if (k == KEY_HOME || k == 'g')
                move(t, -SSIZE_MAX);
        else if (k == KEY_END || k == 'G')
                move(t, SSIZE_MAX);
        else if (k == KEY_TAB)
                to_queues_or_back(t);
        else if (k == 's')
                sort_next(t);
        else if (k == 'R') {
                t->view.reverse = !t->view.reverse;
                look_now(t);
        } else if (k == '/') {
                t->search[0] = 0;
                t->mode = MODE_SEARCH;
        } else if (k == KEY_ESCAPE)
                set_search(t, NULL);
        else if (k == 'c')
                ask_to_cancel(t);
        else if (k == 'h')
                hold_or_release(t);
        else if (k == 'p')
                pause_or_resume(t);
        else if (k == '?')
                t->mode = MODE_HELP;
        else if (k == 'L' - '@')
                look_now(t);
}

static void on_key(Top *t, Key k) {
        if (!t->away)
                t->view.message = mfree(t->view.message);
        switch (t->mode) {
        case MODE_LIST:
                on_list_key(t, k);
                break;
        case MODE_QUESTION:
                t->mode = MODE_LIST;
                if (k == 'y' || k == 'Y')
                        act(t, &t->question);
                break;
        case MODE_SEARCH:
                on_search_key(t, k);
                break;
        case MODE_HELP:
                t->mode = MODE_LIST;
        }
}

static int on_input(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        Top *t = userdata;
        Key keys[64];
        int n;

        n = screen_read_keys(keys, ELEMENTSOF(keys));
        if (n < 0)
                return sd_event_exit(t->event, EXIT_FAILURE);
        for (int i = 0; i < n; i++)
                if (t->mode != MODE_QUESTION || i == 0) /* nobody answers what he has not read */
                        on_key(t, keys[i]);
        if (n > 0)
                draw(t);
        return 0;
}

/* ---- signals ---- */

static int on_resized(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        terminal_resized();
        look_now(userdata); /* there may be room for more */
        draw(userdata);
        return 0;
}

static int on_stop(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        screen_close();
        (void) raise(SIGSTOP);
        (void) screen_open();
        terminal_resized();
        look_now(userdata);
        draw(userdata);
        return 0;
}

static int on_end(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata) {
        Top *t = userdata;

        return sd_event_exit(t->event, si->ssi_signo == SIGINT ? 0 : 128 + (int) si->ssi_signo);
}

static int watch_signals(Top *t) {
        static const struct {
                int sig;
                sd_event_signal_handler_t handler;
        } signals[] = { { SIGWINCH, on_resized }, { SIGTSTP, on_stop }, { SIGINT, on_end }, { SIGQUIT, on_end }, { SIGTERM, on_end }, { SIGHUP, on_end } };
        sigset_t set;
        int r = 0;

        (void) sigemptyset(&set);
        FOREACH_ELEMENT (s, signals)
                (void) sigaddset(&set, s->sig);
        (void) sigprocmask(SIG_BLOCK, &set, NULL);
        FOREACH_ELEMENT (s, signals)
                if (r >= 0)
                        r = sd_event_add_signal(t->event, NULL, s->sig, s->handler, t);
        return r;
}

static int set_up(Top *t) {
        int r;

        r = sd_event_new(&t->event);
        if (r >= 0)
                r = watch_signals(t);
        if (r >= 0)
                r = sd_event_add_io(t->event, NULL, STDIN_FILENO, EPOLLIN, on_input, t);
        if (r >= 0)
                r = sd_event_add_time(t->event, &t->look, CLOCK_MONOTONIC, 0, 0, on_look, t);
        if (r >= 0)
                r = sd_event_add_time_relative(t->event, &t->usage, CLOCK_MONOTONIC, USAGE_USEC, 0, on_usage, t);
        return r < 0 ? ctl_error(r, "top: %m") : 0;
}

static void top_done(Top *t) {
        screen_close();
        ctl_messages_into(NULL);
        question_done(&t->question);
        top_view_done(&t->view);
        sd_event_source_unref(t->look);
        sd_event_source_unref(t->usage);
        sd_bus_flush_close_unref(t->bus);
        sd_event_unref(t->event);
}

int verb_top(int argc, char **argv) {
        _cleanup_(top_done) Top t = {};
        int r;

        if (arg_json != JSON_OFF)
                return ctl_error(-EINVAL, "top: there is no JSON of it; see jobmill list");
        if (arg_columns && streq(arg_columns[0], "help") && !arg_columns[1]) {
                list_columns_help();
                return 0;
        }
        r = top_view_new(&t.view);
        if (r >= 0 && !screen_is_there())
                r = ctl_error(-ENOTTY, "top: it needs a terminal; see jobmill list");
        if (r >= 0)
                r = bus_open(&t.bus); /* once, so that what cannot be at all is said at once */
        if (r >= 0)
                r = top_view_fetch(&t.view, t.bus);
        if (r >= 0)
                r = set_up(&t);
        if (r >= 0)
                r = screen_open();
        if (r < 0)
                return r;
        ctl_messages_into(&t.view.message);
        connect_bus(&t);
        return sd_event_loop(t.event);
}
