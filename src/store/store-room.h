/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What each user's records take (store-room.c): what the files of store/ share. Requests ask by store.h. */

#include "store/store.h"

/* What a row takes, with its places in indexes, besides its texts. */
#define ROOM_JOB 512
#define ROOM_ATTEMPT STORE_ROOM_OF_ATTEMPT
#define ROOM_EDGE 64
#define ROOM_ENVIRONMENT 64
#define ROOM_RECEIPT 128
#define ROOM_TIMER 512
#define ROOM_TEXT(x) #x
#define ROOM_VALUE(x) ROOM_TEXT(x)
#define ROOM_BYTES(column) "ifnull(length(CAST(" column " AS BLOB)), 0)"
#define ROOM_OF_SPEC ROOM_BYTES("spec") " + ifnull(length(payload), 0)"
#define ROOM_OF_ATTEMPT \
        ROOM_VALUE(ROOM_ATTEMPT) " + " ROOM_BYTES("slot_numbers") " + " ROOM_BYTES("reason") " + " ROOM_BYTES("verdict") " + " \
        ROOM_BYTES("io_stdout") " + " ROOM_BYTES("io_stderr") " + " ROOM_BYTES("engine")
#define ROOM_OF_ENVIRONMENT ROOM_VALUE(ROOM_ENVIRONMENT) " + length(content)"
#define ROOM_OF_RECEIPT ROOM_VALUE(ROOM_RECEIPT) " + " ROOM_BYTES("request_id") " + " ROOM_BYTES("ids")
#define ROOM_OF_TIMER ROOM_VALUE(ROOM_TIMER) " + " ROOM_BYTES("calendar") " + " ROOM_BYTES("job")
/* A job with all that goes with it. */
#define ROOM_OF_JOB \
        ROOM_VALUE(ROOM_JOB) " + ifnull((SELECT " ROOM_OF_SPEC " FROM job_spec WHERE job_spec.job = job.id), 0)" \
        " + (SELECT ifnull(sum(" ROOM_OF_ATTEMPT "), 0) FROM attempt WHERE attempt.job = job.id)" \
        " + " ROOM_VALUE(ROOM_EDGE) " * (SELECT count(*) FROM edge WHERE edge.job = job.id)"

int store_load_rooms(Store *s);
void store_rooms_forget(Store *s);
/* Within a transaction: so many bytes more, or less, of this user's. */
int store_room_add(Store *s, uint32_t owner, int64_t bytes);
/* The same of each row of a statement, (owner, bytes), less. */
int store_room_take_away(Store *s, struct sqlite3_stmt *stmt);
int store_rooms_flush(Store *s); /* before each commit that changes any, and what became of that */
void store_rooms_ended(Store *s, bool committed);
void store_rooms_recorded(Store *s); /* nothing is expected any more */
uint64_t store_room_of_attempt(const Attempt *a, const char *slot_numbers);

