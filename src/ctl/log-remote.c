/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* logs of another machine: no descriptor comes through ssh, so the tool is run there, with the same options. */

#include "base/strv.h"
#include "ctl/log.h"
#include "ctl/output.h"

#include <unistd.h>

static char *there_command(const char *id, LogFormat format, const char *container) {
        _cleanup_strv_free_ char **words = NULL;
        int r;

        r = strv_extend(&words, "jobmill");
        if (r >= 0 && container)
                r = strv_extendf(&words, "--machine=%s", container);
        if (r >= 0)
                r = strv_extend(&words, "logs");
        if (r >= 0)
                r = strv_extendf(&words, "--output=%s", log_format_to_string(format));
        if (r >= 0 && arg_follow)
                r = strv_extend(&words, "--follow");
        if (r >= 0 && arg_lines != UINT32_MAX)
                r = strv_extendf(&words, "--lines=%" PRIu32, arg_lines);
        if (r >= 0 && arg_log.attempt > 0)
                r = strv_extendf(&words, "--attempt=%" PRIu32, arg_log.attempt);
        if (r >= 0 && arg_quiet)
                r = strv_extend(&words, "--quiet");
        if (r >= 0 && !arg_legend)
                r = strv_extend(&words, "--no-legend");
        if (r >= 0)
                r = strv_extend(&words, "--");
        if (r >= 0)
                r = strv_extend(&words, id);
        return r < 0 ? NULL : quote_words(words);
}

/* [USER@]HOST[:PORT][/CONTAINER], as everywhere with -H; HOST may be an address in brackets. */
int log_run_there(const char *id) {
        _cleanup_free_ char *host = strdup(arg_host), *command = NULL;
        char *container, *port, *bracket;
        const char *argv[12];
        size_t n = 0;

        if (!host)
                return ctl_oom();
        container = strchr(host, '/');
        if (container)
                *container++ = 0;
        bracket = strrchr(host, ']');
        port = strrchr(bracket ?: host, ':');
        if (port)
                *port++ = 0;
        if (bracket) { /* ssh wants the address alone */
                char *open = strchr(host, '[');

                *bracket = 0;
                if (open)
                        memmove(open, open + 1, strlen(open));
        }
        command = there_command(id, log_format(), container);
        if (!command)
                return ctl_oom();
        argv[n++] = "ssh";
        argv[n++] = "-x";
        /* With a terminal ^C gets there; without one the tool there ends when it has something to say to nobody. */
        argv[n++] = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? "-t" : "-T";
        argv[n++] = "-oLogLevel=ERROR"; /* not that the connection was closed */
        if (port) {
                argv[n++] = "-p";
                argv[n++] = port;
        }
        argv[n++] = "--";
        argv[n++] = host;
        argv[n++] = command;
        argv[n] = NULL;
        execvp(argv[0], (char *const *) argv);
        return ctl_error(-errno, "Cannot run ssh: %m");
}
