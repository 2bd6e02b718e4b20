/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon that decides, by bytes: the events and the world of test-policy-random.c, where three bytes are an event and its dice. What must
 * hold is what that test looks for. */

#include "fuzz.h"

#define main test_main
#define _exit(status) abort() /* fail() */
int test_main(void);
#include "../unit/test-policy-random.c"
#undef main
#undef _exit

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Event events[EVENTS_MAX];
        unsigned n = 0;

        log_set_target(LOG_TARGET_NULL);
        if (size < 1)
                return 0;
        for (size_t i = 1; i + 3 <= size && n < EVENTS_MAX; i += 3)
                events[n++] = (Event) { data[i] % _EVENT_MAX, data[i + 1] | data[i + 2] << 8 };
        run_sequence(0, data[0], events, NULL, n, getenv("VERBOSE"));
        return 0;
}
