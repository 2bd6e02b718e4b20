/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What `top` knows and shows: a page of jobs in the order that is wanted, the queues, and where one is in them. */

#include "ctl/list-columns.h"
#include "ctl/overview.h"

typedef enum TopOrder {
        TOP_TURN, /* what runs, the oldest first; what is next; what waits; what is held */
        TOP_CPU,  /* of what runs */
        TOP_MEMORY,
        TOP_RUN,
        _TOP_ORDER_MAX,
} TopOrder;

typedef struct TopView {
        ListColumns list;
        Column *columns; /* those, behind the mark */
        Statistics statistics;
        QueueInfo *queues;
        size_t n_queues;
        JobInfo *jobs; /* from the first one on, as far as they were asked for */
        size_t n_jobs;
        bool more;          /* there are others behind them */
        bool searched_some; /* as many were looked at as at most are */
        TopOrder order;
        bool reverse;
        char *search;       /* a part of id, name, queue or owner; NULL: all */
        size_t first;       /* the job at the upper end */
        bool to_end;        /* the last one of all is to be selected once it is known */
        uint64_t selected;  /* a job's id */
        char *queue;        /* one that is selected, where the queues have the keys; else NULL */
        char *message;
        bool ask;           /* the last line is a question */
} TopView;

int top_view_new(TopView *v);
void top_view_done(TopView *v);
/* Asks for all of it once more. What was there stays where that fails. */
int top_view_fetch(TopView *v, sd_bus *bus);
int top_view_draw(TopView *v, const char *last_line);
void top_view_move(TopView *v, ssize_t by); /* jobs, or queues */
const JobInfo *top_view_job(const TopView *v); /* the one that is selected, or NULL */
const QueueInfo *top_view_queue(const TopView *v); /* its queue, or the one that is selected */
size_t top_view_rows(const TopView *v); /* for jobs */
const char *top_order_name(TopOrder o);
