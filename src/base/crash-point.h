/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Named places at which the tests end or stop the daemon: before and after whatever must not be lost, done twice or left
 * behind. Only a build with -Dcrash-points=true has them; tests/system/test_crash_points.py crosses every one. */

#ifdef JOBMILL_CRASH_POINTS
/* A file of that name in $JOBMILL_CRASH_DIR holds lines "N SIGNAL", of which the first counts: when the point is crossed for the
 * Nth time since, the line is taken off and the signal raised; no line is left: the file goes. */
void crash_point(const char *name);
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name)                                                                                                          \
        do {                                                                                                                       \
        } while (false)
#endif
