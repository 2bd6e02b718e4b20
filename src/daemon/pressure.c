/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* CPUPressureMax= and its like: what the kernel says of pressure (/proc/pressure, "some avg10"). It changes every two seconds, and
 * is read so often while jobs of a queue with such a limit wait, else not at all. What cannot be read shuts these queues; the
 * reason says so, and the journal once. */

#include "daemon/manager.h"

#include "base/log.h"
#include "base/parse.h"

#include <fcntl.h>

/* "some avg10=1.53 avg60=…" */
static int read_pressure(const char *name, uint32_t *ret) {
        const char *folder = getenv("JOBMILL_PRESSURE_PATH") ?: "/proc/pressure", *p;
        _cleanup_close_ int fd = -EBADF;
        _cleanup_free_ char *path = NULL;
        uint64_t whole, fraction;
        char buf[256];
        ssize_t n;
        int r;

        if (asprintf(&path, "%s/%s", folder, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        n = read(fd, buf, sizeof(buf) - 1);
        if (n < 0)
                return -errno;
        buf[n] = '\0';
        p = startswith(buf, "some avg10=");
        if (!p)
                return -EBADMSG;
        r = parse_decimal(&p, 2, &whole, &fraction);
        if (r < 0 || whole > 100)
                return -EBADMSG;
        *ret = whole * 100 + fraction;
        return 0;
}

static void tell_failure(Manager *m, Pressure p, int error) {
        if (error < 0 && !m->pressure_failed[p])
                log_warning_errno(error, "Failed to read the %s pressure, queues that it limits start nothing: %m",
                                  pressure_to_string(p));
        m->pressure_failed[p] = error < 0;
}

void manager_sample_pressure(Manager *m) {
        PressureSample samples[_PRESSURE_MAX] = {};

        if (m->pressure_next != USEC_INFINITY ? m->now.monotonic < m->pressure_next : !m->model->pressure_look)
                return;
        m->pressure_next = USEC_INFINITY;
        m->model->pressure_look = false;
        if (!admission_wants_pressure(m->model))
                return;
        for (Pressure p = 0; p < _PRESSURE_MAX; p++) {
                samples[p].error = read_pressure(pressure_to_string(p), &samples[p].permyriad);
                if (admission_limits_pressure(m->model, p))
                        tell_failure(m, p, samples[p].error);
        }
        admission_pressure(m->model, samples, &m->now);
        m->pressure_next = m->now.monotonic + PRESSURE_INTERVAL;
}
