/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What may happen in test-policy-random.c, and how often of all that does. */

#include "policy-peers.h"

#define EVENTS(X)                                                                                                                  \
        X(submit, 52) X(cancel, 6) X(hold, 4) X(release, 8) X(retry, 8) X(purge, 6) X(update, 10) X(freeze, 4) X(thaw, 4) X(many, 3) \
        X(pause, 4) X(drain, 2) X(caps, 6) X(order, 4) X(keep, 2) X(shut, 6) X(executor, 3) X(backlog, 2) X(file, 4) X(remove, 3)                 \
        X(gate, 6) X(pressure, 6) X(time, 20) X(clock_step, 2) X(runs, 28) X(ends, 32) X(goes, 28) X(refused, 4) X(rekeyed, 3)    \
        X(comes, 12) X(away, 3) X(back, 8) X(drains, 3) X(returns, 12) X(killed, 3) X(answers, 24) X(unit_comes, 30) X(fore_gone, 4) X(fore_away, 4) X(fore_back, 8) \
        X(stray, 1) X(pages, 2) X(look, 10) X(deaf, 2) X(commit_fails, 4) X(dies, 4) X(dies_in_turn, 4) X(reboot, 1) X(storage, 4)
enum {
#define X(name, weight) EVENT_##name,
        EVENTS(X)
#undef X
        _EVENT_MAX,
};

/* Does it, with what it needs drawn from w.dice. true: something came of it. */
bool do_event(unsigned kind);

/* policy-requests.c */
Job *request_fetch(uint64_t id); /* NULL: there is none */
bool request_submit(void);
bool request_on_job(unsigned kind);
bool request_on_many(void);
bool request_rekey(Job *j); /* its unique key becomes another one, or it has none any more */
void request_page(void);
