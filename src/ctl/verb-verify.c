/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* jobmill verify: the daemon's program reads the files, by the code that it always reads them with. It needs no daemon that
 * runs, and no root but for files that only root may read. */

#include "base/strv.h"
#include "ctl/ctl.h"
#include "ctl/output.h"

int verb_verify(int argc, char **argv) {
        const char *program = getenv("JOBMILL_DAEMON") ?: JOBMILLD_PATH; /* the tests' is not installed */
        _cleanup_strv_free_ char **l = NULL;
        int r;

        if (bus_is_elsewhere())
                return ctl_error(-EINVAL, "verify: looks at files of this machine only, not with -H or -M");
        r = strv_extend(&l, program);
        if (r >= 0)
                r = strv_extend(&l, "--verify");
        if (r >= 0)
                r = strv_extend(&l, arg_user ? "--user" : "--system");
        if (r >= 0)
                r = strv_extend(&l, "--");
        for (int i = 0; r >= 0 && i < argc; i++)
                r = strv_extend(&l, argv[i]);
        if (r < 0)
                return ctl_error(r, "verify: %s", strerror(-r));
        (void) execv(program, l);
        return ctl_error(-errno, "verify: %s: %m", program);
}
