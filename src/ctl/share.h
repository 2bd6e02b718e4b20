/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/macro.h"

/* Lines of a screen for several sections: each in its turn gets one more, until all have what they want or
 * there are none left. Every section that wants any gets at least one. */
static inline void share_lines(size_t room, const size_t *wanted, size_t *ret, size_t n) {
        bool given = true;

        for (size_t i = 0; i < n; i++) {
                ret[i] = wanted[i] > 0;
                room -= MIN(room, ret[i]);
        }
        while (room > 0 && given) {
                given = false;
                for (size_t i = 0; i < n && room > 0; i++)
                        if (ret[i] < wanted[i]) {
                                ret[i]++;
                                room--;
                                given = true;
                        }
        }
}
