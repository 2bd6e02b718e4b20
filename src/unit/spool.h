/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a job with stdout=spool writes: two files in RUN/spool/, a tmpfs of jobmill's own (units/run-jobmill-spool.mount; of a user's
 * instance a folder of his $XDG_RUNTIME_DIR), "ID-N.stdout" and "ID-N.stderr". The unit has their descriptors, so they need
 * neither the daemon nor a path. */

#include "queue/model.h"

typedef enum SpoolStream {
        SPOOL_STDOUT,
        SPOOL_STDERR,
        _SPOOL_STREAM_MAX,
} SpoolStream;

/* The folder: made where it is missing. */
int spool_prepare(const char *run_path);
bool spool_is_mounted(const char *run_path); /* it is a file system of its own */
bool spool_available(const char *run_path, uint64_t *ret); /* so much is free of that; false: it is none */
bool spool_is_half_full(const char *run_path);
/* Descriptors for the unit; the files are owner's (UINT32_MAX: our own). What is in them already stays. */
int spool_open(const char *run_path, const Attempt *a, uint32_t owner, int ret[static _SPOOL_STREAM_MAX]);
/* One of them, to be read. */
int spool_open_stream(const char *run_path, uint64_t job, uint32_t attempt, SpoolStream stream);
/* Into o: the verdict, and the ends of both streams, tail_max bytes of each. -ENOENT: there is no spool. */
int spool_capture(const char *run_path, const Attempt *a, size_t tail_max, Outcome *o);
/* Gives back all but the last max bytes of each stream. ret_held: what they take even so. */
int spool_trim(const char *run_path, const Attempt *a, uint64_t max, uint64_t ret_held[static _SPOOL_STREAM_MAX]);
static inline bool attempt_has_spool(const Attempt *a) {
        return a->job && a->job->output == OUTPUT_SPOOL;
}
/* spool-watch.c: whatever is written is kept small from now on. */
struct Units;
void units_trim_spools(struct Units *u);
int units_watch_spools(struct Units *u);
/* apply.c: its verdict and the ends of its streams into o, if it has a spool. */
void units_capture_spool(struct Units *u, const Attempt *a, Outcome *o);
/* Writes may have been refused since the attempt was started. */
bool units_spool_was_full(struct Units *u, const Attempt *a);

void spool_remove(const char *run_path, const Attempt *a);
/* Of which attempt a file of the folder is; NULL: of none that is known. */
Attempt *spool_attempt(const Model *m, const char *file);
/* What a daemon that was killed could not remove any more. All units must be known by now. */
void spool_sweep(const char *run_path, const Model *m);
