/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A user's own queue lives in her service manager, which ends with her last session unless she lingers
 * (loginctl(1)). Whoever submits there for the first time in a session is told so, once. */

#include "ctl/linger.h"
#include "base/macro.h"
#include "ctl/ctl.h"
#include "ctl/output.h"
#include <fcntl.h>
#include <pwd.h>

/* logind keeps it in files of that name, which everybody may see. */
static bool user_lingers(void) {
        _cleanup_free_ char *path = NULL;
        const struct passwd *p = getpwuid(geteuid());

        if (!p || asprintf(&path, "/var/lib/systemd/linger/%s", p->pw_name) < 0)
                return true; /* no reason to say anything */
        return access(path, F_OK) == 0;
}

const char *linger_hint(void) {
        if (!arg_user || bus_is_elsewhere() || user_lingers())
                return NULL;
        return "Your jobs end with your last session; `loginctl enable-linger` lets them go on";
}

void linger_hint_once(void) {
        _cleanup_free_ char *marker = NULL;
        const char *run = getenv("XDG_RUNTIME_DIR"), *hint;
        int fd;

        if (!run || !arg_legend || !isatty(STDERR_FILENO))
                return;
        hint = linger_hint();
        if (!hint || asprintf(&marker, "%s/jobmill/linger-told", run) < 0)
                return;
        fd = open(marker, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        close(fd);
        ctl_warning("%s", hint);
}
