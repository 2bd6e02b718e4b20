/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmilld: options, the manager, the loop. */

#include "daemon/manager.h"

#include "base/log.h"
#include "daemon/verify.h"

#include <getopt.h>
#include <sys/stat.h>
#include <sysexits.h>

static bool arg_user = false, arg_verify = false, arg_repair = false;

static void help(void) {
        puts("jobmilld [OPTIONS...]\n\n"
             "The job queue for machines that run systemd. Usually started by jobmilld.service.\n\n"
             "  -h --help      Show this help\n"
             "     --version   Show the version\n"
             "     --system    The system's instance: system bus, PID 1 (default)\n"
             "     --user      A user's instance: session bus, the user's service manager\n"
             "     --verify [FILE...]  Check these configuration files, or all of the instance, and exit\n"
             "     --repair    Mend rows of the database that do not fit together, and exit; jobmilld must not run\n\n"
             "See jobmilld(8).");
}

/* 1: go on, 0: all done. */
static int parse_argv(int argc, char *argv[]) {
        enum { ARG_VERSION = 0x100, ARG_SYSTEM, ARG_USER, ARG_VERIFY, ARG_REPAIR };
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, ARG_VERSION },
                { "system", no_argument, NULL, ARG_SYSTEM },
                { "user", no_argument, NULL, ARG_USER },
                { "verify", no_argument, NULL, ARG_VERIFY },
                { "repair", no_argument, NULL, ARG_REPAIR },
                {},
        };

        for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) >= 0;)
                switch (c) {
                case 'h':
                        help();
                        return 0;
                case ARG_VERSION:
                        puts("jobmilld " JOBMILL_VERSION);
                        return 0;
                case ARG_SYSTEM:
                        arg_user = false;
                        break;
                case ARG_USER:
                        arg_user = true;
                        break;
                case ARG_VERIFY:
                        arg_verify = true;
                        break;
                case ARG_REPAIR:
                        arg_repair = true;
                        break;
                default:
                        return -EINVAL;
                }
        if (optind < argc && !arg_verify)
                return log_error_errno(EINVAL, "jobmilld takes no arguments.");
        return 1;
}

static int run(int argc, char *argv[]) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        log_setup();
        umask(0022);
        r = parse_argv(argc, argv);
        if (r <= 0)
                return r;
        if (arg_verify) {
                r = verify(arg_user, argv + optind, stderr);
                return r < 0 ? log_error_errno(r, "Failed to verify: %m") : r > 0 ? -EBADMSG : 0;
        }
        r = manager_new(arg_user, &m);
        if (r >= 0 && arg_repair) {
                r = manager_read_settings(m);
                return r < 0 ? r : manager_repair_store(m);
        }
        if (r >= 0)
                r = manager_start(m);
        if (r < 0)
                return r;
        r = sd_event_loop(m->event);
        return r < 0 && !manager_store_is_unusable(r) ? log_error_errno(r, "Event loop failed: %m") : r; /* that was told */
}

int main(int argc, char *argv[]) {
        int r = run(argc, argv);

        /* RestartPreventExitStatus= of jobmilld.service has this status. */
        return r >= 0 ? EXIT_SUCCESS : manager_store_is_unusable(r) ? EX_DATAERR : EXIT_FAILURE;
}
