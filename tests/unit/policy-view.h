/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Between policy-check.c, policy-reasons.c and policy-bounds.c: jobs as they are stored, or newer in memory, and the small model's answers
 * about them. */

#include "policy-peers.h"

#include <sqlite3.h>

/* How often each check had something to look at: one that never has proves nothing. */
#define SEEN(X)                                                                                                                    \
        X(started) X(skipped) X(skipped_lacking) X(given) X(given_again) X(completed) X(returned) X(worker_lost) X(worker_killed) X(left_over) X(foreground) X(go) X(exited) X(gone_early) X(gone_late) X(passed) X(reason_not_connected) X(rate_used_up) X(array_live) X(key_held) X(edge_open) X(edge_failed) X(array_waits)                            \
        X(full) X(full_of_user) X(not_full) X(draining) X(removed) X(not_removed) X(stray_in_use) X(refused_row)                          \
        X(end_verdict) X(end_unverified) X(end_lost) X(end_intent) X(end_after_reboot) X(frozen)                      \
        X(reason_no_file) X(reason_bad_file) X(reason_paused) X(reason_gate) X(reason_pressure) X(reason_ramp) X(reason_rate) X(reason_backstop) \
        X(reason_wide) X(reason_room) X(reason_cap) X(reason_starting) X(reason_no_worker) X(reason_is_started) X(reason_not_started) X(reason_not_heard) X(server_asked) X(server_asked_again) X(given_to_runner) X(reason_away) X(reason_draining) X(reason_narrow) X(reason_busy) X(reason_first) X(reason_behind) X(could_start)                            \
        X(reason_after) X(reason_after_two) X(reason_after_more) X(reason_array) X(reason_retry) X(reason_cleaning) X(reason_time)  \
        X(reason_held) X(deadline_ahead)                                                                       \
        X(bound_rank) X(bound_fair) X(bound_fair_younger) X(bound_age) X(bound_age_later) X(bound_head) X(bound_head_wide)
enum {
#define X(name) SEEN_##name,
        SEEN(X)
#undef X
        _SEEN_MAX,
};
#define COUNT(name) (seen[SEEN_##name]++)

typedef struct View {
        uint64_t id, array;
        unsigned queue;
        uint32_t owner, slots, attempt, blockers;
        JobState state;
        int32_t priority;
        int64_t key, rank;
        usec_t not_before, deadline;
        bool delayed, fair, dead;
} View;

extern View views[JOBS_MAX];
extern unsigned n_views;

View *view_of(uint64_t id);
void look_at_rows(void);
void look_at_memory(void); /* … and what memory has that is newer */
sqlite3_stmt *check_prepare(const char *sql);

bool is_below(unsigned q, unsigned top);
bool is_rated(unsigned q, const Now *now);
const Queue *model_queue_at(unsigned q);
bool is_ramped(unsigned q); /* so many as may after pressure have started */
bool is_shut(unsigned q, const Now *now);
bool is_open(unsigned q, int top, const Now *now); /* up to `top`, or to the root: -1 */
bool is_too_wide(const View *v);
bool has_room(unsigned q, uint32_t slots);
int lacks_at(const View *v);                      /* the nearest level; -1: none */
bool waits_in_line(const View *v);
int64_t rank_by(const View *v, const Setup *s);
bool comes_before(const View *a, const View *b, int q);
bool could_start(const View *v);
bool server_comes_soon(unsigned queue, uint32_t owner);
const View *best_of(int q, const Now *now);
int behind_at(const View *v, const Now *now);

void fore_check(const View *v); /* policy-foreground.c */
void server_check(const View *v, const char *reason); /* policy-servers.c */
/* policy-reasons.c */
void reason_is(const View *v, const char *reason, const char *format, ...) _printf_(3, 4);
void check_job(const View *v, bool reasons);
/* policy-bounds.c: who waits is looked at; and one is about to start */
void bounds_look(const Now *now);
void bounds_started(const View *v, const Now *now);
void bounds_begin(void);
