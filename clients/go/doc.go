// SPDX-License-Identifier: LGPL-2.1-or-later

// Package jobmill submits, watches and works off jobs of jobmill, a job queue for machines that run systemd, over its daemon's socket.
//
// A Client makes calls; each submit is one job, whatever happens to the connection. A Worker is given jobs. Both go on over restarts of the
// daemon. What is sent and received is as in jobmill-protocol(7); points in time and durations are microseconds.
package jobmill
