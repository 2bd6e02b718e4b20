/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See spool-share.h. Shares are max-min fair: there is a level, all that hold less keep what they have, all others are cut to it. */

#include "unit/spool-share.h"

static int compare_sizes(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *) a, y = *(const uint64_t *) b;

        return (x > y) - (x < y);
}

static int compare_owners(const void *a, const void *b) {
        uint32_t x = ((const SpoolUse *) a)->owner, y = ((const SpoolUse *) b)->owner;

        return (x > y) - (x < y);
}

/* The highest level at which sizes take no more than room; UINT64_MAX: they take no more as they are. Sorts them. */
static uint64_t level(uint64_t *sizes, size_t n, uint64_t room) {
        qsort(sizes, n, sizeof(*sizes), compare_sizes);
        for (size_t i = 0; i < n; i++) {
                if (sizes[i] > room / (n - i))
                        return room / (n - i);
                room -= sizes[i];
        }
        return UINT64_MAX;
}

static size_t count_of_owner(const SpoolUse *uses, size_t n) {
        size_t i = 1;

        while (i < n && uses[i].owner == uses[0].owner)
                i++;
        return i;
}

uint64_t spool_held(const SpoolUse *uses, size_t n) {
        uint64_t held = 0;

        for (size_t i = 0; i < n; i++)
                for (SpoolStream s = 0; s < _SPOOL_STREAM_MAX; s++)
                        held += uses[i].held[s];
        return held;
}

int spool_share(SpoolUse *uses, size_t n, uint64_t room) {
        _cleanup_free_ uint64_t *sizes = new0(uint64_t, n * _SPOOL_STREAM_MAX);
        size_t n_owners = 0, k;
        uint64_t share;

        if (!sizes)
                return -ENOMEM;
        qsort(uses, n, sizeof(*uses), compare_owners);
        for (size_t i = 0; i < n; i += k) {
                k = count_of_owner(uses + i, n - i);
                sizes[n_owners++] = spool_held(uses + i, k);
        }
        share = level(sizes, n_owners, room);
        for (size_t i = 0; i < n; i += k) {
                uint64_t keep;

                k = count_of_owner(uses + i, n - i);
                for (size_t j = 0; j < k; j++)
                        memcpy(sizes + j * _SPOOL_STREAM_MAX, uses[i + j].held, sizeof(uses->held));
                keep = MAX(level(sizes, k * _SPOOL_STREAM_MAX, share), SPOOL_KEEP_MIN);
                for (size_t j = 0; j < k; j++)
                        uses[i + j].keep = keep;
        }
        return 0;
}

SpoolUse *spool_greediest(SpoolUse *uses, size_t n, uint64_t room) {
        SpoolUse *from = NULL, *most = NULL;
        size_t of = 0;

        if (spool_held(uses, n) <= room)
                return NULL;
        qsort(uses, n, sizeof(*uses), compare_owners);
        for (size_t i = 0, k; i < n; i += k) {
                k = count_of_owner(uses + i, n - i);
                if (!from || spool_held(uses + i, k) > spool_held(from, of)) {
                        from = uses + i;
                        of = k;
                }
        }
        for (size_t i = 0; i < of; i++)
                if (!most || spool_held(from + i, 1) > spool_held(most, 1))
                        most = from + i;
        return most;
}
