/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The receipt of a request: what Submit or SubmitMany answered to a request_id, so that a client that lost the answer may send
 * the same again and gets the same ids, never the jobs a second time. A receipt is stored in the transaction of its jobs; a
 * request that failed has none. */

#include "base/macro.h"
#include "queue/spec.h"

#include <sys/queue.h>

#define RECEIPT_KEEP_USEC (24 * 60 * 60 * USEC_PER_SEC) /* promised; a little longer in truth */
/* All callers are promised a day, so when the drawer of one is full his next request is refused: none is forgotten early.
 * That is 11 requests a second all day; a batch (SubmitMany) needs one. */
#define RECEIPTS_PER_CALLER_MAX 1000000U

typedef struct Receipt {
        uint32_t caller;   /* uid: ids of different callers have nothing to do with each other */
        char *request_id;
        uint64_t digest;   /* of what was asked for */
        uint64_t first_id; /* the first new job: the jobs have consecutive ids from this on; */
        uint64_t *ids;     /* or these, and without a new one that is a number which nothing else has. NULL: the former */
        uint32_t n_jobs;
        usec_t created_usec;
        TAILQ_ENTRY(Receipt) entry; /* model->receipts */
} Receipt;
TAILQ_HEAD(ReceiptList, Receipt);

Receipt *receipt_new(uint32_t caller, const char *request_id);
Receipt *receipt_free(Receipt *r);
DEFINE_TRIVIAL_CLEANUP_FUNC(Receipt *, receipt_free);
void receipts_free(struct ReceiptList *l);

/* Of one job after the other, beginning with 0. The same for the same content in whatever order keys and tags came: libraries
 * that keep dictionaries as hash tables send them in another order each time. It tells a mistake from a retry; one who looks for
 * two requests of the same digest will find them, and have fooled himself. */
uint64_t receipt_digest(uint64_t digest, const char *queue, const JobSpec *s);
