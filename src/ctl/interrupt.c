/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A last word where ^C interrupts something that goes on without the tool. It is made up beforehand, so that
 * all the handler does is to write it; then the signal does what it does to every program, so a shell sees
 * an interrupted one. */

#include "ctl/interrupt.h"
#include "base/strv.h"
#include "ctl/ctl.h"
#include <signal.h>
#include <stdarg.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
static char text[512];
static size_t size;

static void on_signal(int sig) {
        ssize_t n _unused_ = write(STDERR_FILENO, text, size);

        (void) signal(sig, SIG_DFL);
        (void) raise(sig);
}

void interrupt_tell(const char *format, ...) {
        sigset_t set, before;
        va_list ap;
        int n = 0;

        (void) sigemptyset(&set);
        FOREACH_ELEMENT (s, signals)
                (void) sigaddset(&set, *s);
        (void) sigprocmask(SIG_BLOCK, &set, &before);
        if (format && !arg_quiet) {
                va_start(ap, format);
                n = snprintf(text, sizeof(text), "%s", isatty(STDERR_FILENO) ? "\n" : ""); /* behind "^C" */
                n += vsnprintf(text + n, sizeof(text) - n, format, ap);
                va_end(ap);
        }
        size = MIN((size_t) MAX(n, 0), sizeof(text) - 1);
        FOREACH_ELEMENT (s, signals) {
                struct sigaction old, new = { .sa_handler = size > 0 ? on_signal : SIG_DFL };

                /* Under nohup and the like it stays ignored. */
                if (sigaction(*s, NULL, &old) >= 0 && old.sa_handler != SIG_IGN)
                        (void) sigaction(*s, &new, NULL);
        }
        (void) sigprocmask(SIG_SETMASK, &before, NULL);
}
