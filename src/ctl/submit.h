/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The parts of submit: from options to a spec, and the request that is sent until it is answered. */

#include "ctl/ctl.h"
#include "queue/spec.h"

/* ---- submit-spec.c ---- */

/* Does a job of this uid (UINT32_MAX: ours) see our working directory, umask and environment? */
bool submit_inherits(uint32_t uid);

/* A spec with all that the options say. It has no argv yet. typed: for a job of a type, which inherits only what options ask for.
 * 0, EXIT_NOT_STARTED, or a negative errno: said. */
int submit_new_spec(uint32_t uid, bool typed, JobSpec **ret);

/* … of one that runs here (run): without what it has by that. */
int submit_new_run_spec(JobSpec **ret);

/* Is there something to execute? The same return values; where is named in the message. */
int submit_check_command(const char *where, const JobSpec *s);

/* All of a file, or of standard input ("-"), with a NUL behind it. option is named in messages. */
/* --credential */
int submit_set_credentials(JobSpec *s);
int submit_read_file(const char *option, const char *path, char **ret, size_t *ret_size);

/* What is only known when everything is there. where: as the messages begin, "submit". */
int submit_validate(const char *where, const JobSpec *s);
extern bool submit_has_array; /* one of those was an array */

/* ---- submit-request.c ---- */

/* A connection that is made again when an answer is lost. */
typedef struct Request {
        sd_bus *bus;
        bool reached; /* the daemon has been there: it is worth waiting for */
        bool lost;    /* what was sent last may have been taken, but that answer was lost */
} Request;

void request_done(Request *q);
int request_new_call(Request *q,
                     const char *member,
                     sd_bus_message **ret); /* says what fails, as all do here */
/* The entries of an open a{sv}. argv: that too. */
int request_append_spec(sd_bus_message *m, const JobSpec *s, uint64_t given, bool argv);
/* The fields that options give (queue/spec-change.h), of those whose default is a number that a type may have another one for. */
uint64_t submit_given(void);
/* Send it, and send it again for as long as REQUEST_RETRY_USEC where the answer was lost: only for what
 * carries a request id, or changes nothing. Says nothing. */
#define REQUEST_RETRY_USEC (30 * USEC_PER_SEC)
int request_send(Request *q, sd_bus_message *call, sd_bus_message **ret, sd_bus_error *error);
/* "WHERE: why". id: with what request id it may be repeated, or NULL. */
int request_error(const Request *q, const char *where, const char *id, const sd_bus_error *error, int r);

int request_make_id(char **ret); /* what --request-id says, or a random one */

/* Until they are done, of arrays all jobs. The exit status is that of the first one that is not a success. */
int submit_wait(const uint64_t *ids, size_t n);

/* "@last" of --after becomes an id, before anything is made of it. */
int submit_find_after(Request *q);

/* ---- submit-script.c ---- */

/* Reads the script and the options in it, which count as if they stood before those of the command line. */
typedef struct Script {
        char *text;
        size_t size;
        char *name;         /* of the job, if it gets no other */
        char **interpreter; /* with its argument */
} Script;
void script_done(Script *s);
int script_read(const char *path, Script *ret);
/* The text becomes the payload, the words what feeds it to its interpreter. */
int script_into_spec(Script *s, char *const *arguments, JobSpec *spec);
/* The rest is pure. Text has a NUL behind it. */
/* -EINVAL with *ret_why where it cannot be a script. */
int script_check(const char *text, size_t size, const char **ret_why);
/* What its first line says, or /bin/sh. */
int script_interpreter(const char *text, size_t size, char ***ret);

/* ---- submit-file.c ---- */
int submit_file(const char *path);

/* ---- submit-flow.c ---- */
int submit_flow(const char *path);
