/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The clock of the wall may be set under us, in either direction. A time that a user named (--at) is one of that clock: the
 * timer for it follows it by itself. A span (--in) is time that passes, sleep of the machine included: its end is kept as
 * a time of the wall as well, so that it outlives a reboot, and moves with the clock when that is set.
 *
 * The offset between the clock and that of the boot tells: it changes when the clock is set, and only then. Each turn looks,
 * before anything is found to be due; a timer of the kernel's wakes us when the clock is set. A little at a time, as NTP
 * slews it, adds up until it is worth a commit. */

#include "daemon/manager.h"

#include "base/log.h"
#include "base/time-util.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STEP_MIN ((int64_t) USEC_PER_SEC)
#define PAUSE_MAX (50 * USEC_PER_MSEC)

/* Both clocks, and how far they are apart: on a busy machine much time may pass between two looks, which is no step. */
static usec_t read_offset(int64_t *ret_offset) {
        usec_t before, now, after;

        do {
                before = now_usec(CLOCK_BOOTTIME);
                now = now_usec(CLOCK_REALTIME);
                after = now_usec(CLOCK_BOOTTIME);
        } while (after - before > PAUSE_MAX);
        *ret_offset = now - after;
        return now;
}

static void set_offset(Manager *m, int64_t offset, int64_t shift) {
        m->clock_offset = m->api->clock_offset = offset;
        m->clock_shift = m->api->clock_shift = shift;
        m->units->clock_even = offset - shift;
}

void manager_recall_clock(Manager *m) {
        int64_t offset, kept, shift = 0, step;
        usec_t now = read_offset(&offset), last = 0;
        sd_id128_t boot_id, of = SD_ID128_NULL;
        int r;

        r = sd_id128_get_boot(&boot_id);
        if (r >= 0 && store_clock_get(m->store, &of, &kept, &last, &shift) >= 0 && sd_id128_equal(of, boot_id)) {
                set_offset(m, kept, shift);
                return;
        }
        step = now < last ? -(int64_t) (last - now) : 0;
        if (r >= 0)
                r = store_clock_set(m->store, boot_id, offset, now, step, shift + step);
        set_offset(m, offset, shift + step);
        if (r < 0)
                log_warning_errno(r, "Failed to remember the clock, ignoring: %m");
}

void manager_keep_clock(Manager *m) {
        sd_id128_t boot_id;

        if (sd_id128_get_boot(&boot_id) >= 0)
                (void) store_clock_set(m->store, boot_id, m->clock_offset, now_usec(CLOCK_REALTIME), 0, m->clock_shift);
}

int manager_follow_clock(Manager *m) {
        sd_id128_t boot_id;
        int64_t offset, step;
        usec_t now;
        int r;

        now = read_offset(&offset);
        step = offset - m->clock_offset;
        m->now.steady = m->now.realtime;
        m->now.even = m->now.steady - m->clock_shift;
        if (step > -STEP_MIN && step < STEP_MIN)
                return 0;
        m->now.steady -= step; /* until it is recorded, spans go by the clock that was */
        m->now.even -= step;
        if (m->storage_failed)
                return 0;
        r = sd_id128_get_boot(&boot_id);
        if (r >= 0)
                r = store_clock_set(m->store, boot_id, offset, now, step, m->clock_shift + step);
        if (r < 0)
                return r;
        m->now.realtime = m->now.steady = now; /* what the loop has read may be from before */
        model_clock_set(m->model, step);
        set_offset(m, offset, m->clock_shift + step);
        m->now.even = m->now.steady - m->clock_shift;
        m->next_due = m->next_start_deadline = m->next_expiry = 0;
        log_notice("The clock was set %s by %.1f s; what waits for a span of time waits for it all the same.",
                   step > 0 ? "forwards" : "back", (double) (step > 0 ? step : -step) / USEC_PER_SEC);
        return 0;
}

/* ---- waking up ---- */

static int arm(int fd) {
        const struct itimerspec never = { .it_value.tv_sec = (time_t) (INT64_MAX / USEC_PER_SEC) };

        /* ECANCELED: it is armed, and the clock was set once more meanwhile. */
        if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0 && errno != ECANCELED)
                return -errno;
        return 0;
}

/* Waking up is all: the turn comes by itself. */
static int on_clock_set(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        uint64_t n;

        if (read(fd, &n, sizeof(n)) < 0 && errno == EAGAIN)
                return 0;
        return arm(fd);
}

int manager_watch_clock(Manager *m) {
        _cleanup_close_ int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        int r = fd < 0 ? -errno : arm(fd);

        if (r >= 0)
                r = sd_event_add_io(m->event, &m->clock_source, fd, EPOLLIN, on_clock_set, m);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(m->clock_source, true);
        if (r >= 0)
                TAKE_FD(fd);
        return r;
}
