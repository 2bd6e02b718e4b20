/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The socket: programs that connect to it, and what they are sent (varlink.h says what is spoken). */

#include "api/api.h"

/* Takes over a socket that listens; what service manager and systemd-socket-activate give us. */
int socket_new(Api *a, int fd, Socket **ret);
Socket *socket_free(Socket *s);
unsigned socket_count(const Socket *s); /* connections */
uint64_t socket_connections_max(const Api *a); /* as many as there are descriptors for, in all */

/* A connection is busy with one call at a time, but for those that are answered after the commit: while some of these are, only those
 * that change something go on (varlink.c), so that nobody reads what is older than what he was promised. */
bool connection_holds(const Connection *c);
void connection_hold(Connection *c, int n, size_t size); /* one more or one less, of this size */
void connection_wait(Connection *c, int n); /* somebody waits for a job */
void connection_go_on(Connection *c);       /* something of this has changed */
void connection_stream(Connection *c, uint64_t after); /* it is told of events behind this one, until it goes */
/* It is that of this worker, which is told what to do, until it goes; 0: of none any more. */
void connection_serve(Connection *c, uint64_t worker);
/* The same of a process that waits for this job's turn; 0: of none any more. */
void connection_run(Connection *c, uint64_t job);
/* What its call waits for is told to another one, or to nobody: it is closed behind what it was told, as no answer of another call may pass for the
 * last one of this. */
void connection_close(Connection *c);
usec_t connection_accepted(const Connection *c); /* by the clock since the boot */
bool connection_has_room(const Connection *c); /* for more to be told */
bool connection_is_read(const Connection *c);  /* all that was told is on its way */
int connection_fd(const Connection *c);
void socket_tell_events(Socket *s); /* there are new ones; NULL: nobody hears of it */

/* Where to.connection takes the answer that is begun in w; and one that is complete, behind those that are held. */
int connection_reply(const ReplyTo *to, JsonWriter *w);
int connection_hold_final(const ReplyTo *to, Reply *reply);
