/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Named errors. "Failed" is never sent on purpose: an errno that is not expected becomes System.Error.* by sd-bus. */

#include "api/api.h"

#include <stdarg.h>

int api_error(sd_bus_error *error, const char *name, const char *format, ...) {
        va_list ap;
        int r;

        va_start(ap, format);
        r = sd_bus_error_setfv(error, name, format, ap);
        va_end(ap);
        return r < 0 ? r : -EINVAL;
}

int api_error_no_such_job(sd_bus_error *error, uint64_t id) {
        return api_error(error, JOBMILL_ERROR_NO_SUCH_JOB, "There is no job %" PRIu64, id);
}

int api_error_no_such_queue(sd_bus_error *error, const char *name) {
        char quoted[SPEC_QUOTE_MAX];

        return api_error(error, JOBMILL_ERROR_NO_SUCH_QUEUE, "There is no queue '%s'", spec_quote(quoted, name, strlen(name)));
}

const char *api_edit_error(int error) {
        static const struct {
                int error;
                const char *name;
        } table[] = {
                { -EINVAL, JOBMILL_ERROR_INVALID_SETTING },
                { -EBADMSG, JOBMILL_ERROR_CONFIGURATION },
                { -EPERM, JOBMILL_ERROR_NOT_ALLOWED },
                { -ENOENT, JOBMILL_ERROR_NO_SUCH_QUEUE },
                { -ENOTEMPTY, JOBMILL_ERROR_QUEUE_NOT_EMPTY },
                { -EXFULL, JOBMILL_ERROR_TOO_MANY },
                { -ENOSPC, JOBMILL_ERROR_STORAGE_FULL },
                { -ENOMEM, SD_BUS_ERROR_NO_MEMORY },
        };

        FOREACH_ELEMENT(i, table)
                if (i->error == error)
                        return i->name;
        return JOBMILL_ERROR_STORAGE;
}

const char *api_store_error_name(int error) {
        return error == -ENOSPC || error == -EDQUOT ? JOBMILL_ERROR_STORAGE_FULL : JOBMILL_ERROR_STORAGE;
}

int api_error_store(Api *a, sd_bus_error *error, int r) {
        return api_error(error, api_store_error_name(r), "The store failed: %s", store_error(a->store));
}
