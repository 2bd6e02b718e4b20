/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What stands on top of a screen: how many jobs there are, and the queues. */

#include "ctl/queue-dict.h"

/* Safe text, cut to the terminal's width; and the line's end. */
void print_cut(const char *text);
/* hint may be NULL. */
void overview_print_heading(const Statistics *s, const char *hint);
/* Drops those that are no queues any more; those where something happens come first. */
void overview_sort_queues(QueueInfo *queues, size_t *n);
/* selected: the name of one that is marked; NULL: none is, and there is no place for a mark. */
int overview_print_queues(const QueueInfo *queues, size_t n, const char *selected);
