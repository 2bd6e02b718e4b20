/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who gives how much back of a spool that is full, and who is killed. */

#include "unit/spool-share.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB ((uint64_t) 1 << 20)
#define NEVER UINT64_MAX

static SpoolUse use(uint32_t owner, uint64_t out, uint64_t err) {
        return (SpoolUse) { .owner = owner, .held = { out * MIB, err * MIB } };
}

/* What an owner keeps of each stream. */
static uint64_t keep_of(const SpoolUse *uses, size_t n, uint32_t owner) {
        for (size_t i = 0; i < n; i++)
                if (uses[i].owner == owner)
                        return uses[i].keep;
        fail();
        return 0;
}

#define SHARE(uses, room) assert_int_equal(spool_share(uses, ELEMENTSOF(uses), (room) * MIB), 0)
#define KEEP(uses, owner) keep_of(uses, ELEMENTSOF(uses), owner)

static void test_one_owner(void **state) {
        SpoolUse uses[] = { use(1, 8, 0), use(1, 2, 1), use(1, 6, 8) };

        SHARE(uses, 25);
        assert_int_equal(KEEP(uses, 1), NEVER);
        SHARE(uses, 19); /* 2 + 1, and of the others a third each */
        assert_true(KEEP(uses, 1) == (19 - 3) * MIB / 3);
        SHARE(uses, 23); /* what holds less gives nothing */
        assert_true(KEEP(uses, 1) == 7 * MIB);
}

/* A dozen jobs of one take nothing of what another one has. */
static void test_many_of_one(void **state) {
        SpoolUse uses[13];

        for (unsigned i = 0; i < 12; i++)
                uses[i] = use(7, 2, 0);
        uses[12] = use(8, 10, 0);
        SHARE(uses, 20);
        assert_int_equal(KEEP(uses, 8), NEVER);
        assert_true(KEEP(uses, 7) == 10 * MIB / 12);
        /* And the other way round. */
        for (unsigned i = 0; i < 13; i++)
                uses[i] = i < 12 ? use(7, 0, i < 4) : use(8, 30, 0);
        SHARE(uses, 20);
        assert_int_equal(KEEP(uses, 7), NEVER);
        assert_true(KEEP(uses, 8) == 16 * MIB);
}

static void test_levels(void **state) {
        SpoolUse uses[] = { use(3, 1, 0), use(1, 20, 0), use(2, 5, 4), use(1, 1, 1) };

        SHARE(uses, 19); /* 1; 9 and 22 have 18 */
        assert_int_equal(KEEP(uses, 3), NEVER);
        assert_int_equal(KEEP(uses, 2), NEVER);
        assert_true(KEEP(uses, 1) == 7 * MIB);
        SHARE(uses, 7); /* 1, 3, 3 */
        assert_int_equal(KEEP(uses, 3), NEVER);
        assert_true(KEEP(uses, 2) == 3 * MIB / 2);
        assert_true(KEEP(uses, 1) == MIB);
}

/* No stream is cut to less than a verdict may need. */
static void test_least(void **state) {
        SpoolUse uses[] = { use(1, 20, 0), use(2, 20, 20) };

        SHARE(uses, 0);
        assert_true(KEEP(uses, 1) == SPOOL_KEEP_MIN && KEEP(uses, 2) == SPOOL_KEEP_MIN);
        assert_true(SPOOL_KEEP_MIN > 2 * VERDICT_MAX + 4096);
}

static void test_greediest(void **state) {
        SpoolUse uses[] = { use(1, 3, 3), use(2, 8, 0), use(1, 2, 2) };
        SpoolUse *u;

        assert_null(spool_greediest(uses, ELEMENTSOF(uses), 18 * MIB));
        u = spool_greediest(uses, ELEMENTSOF(uses), 17 * MIB);
        assert_non_null(u);
        assert_true(u->owner == 1 && u->held[0] == 3 * MIB); /* 2 has the greater job, 1 holds more */
        memset(u->held, 0, sizeof(u->held));
        u = spool_greediest(uses, ELEMENTSOF(uses), 11 * MIB);
        assert_true(u && u->owner == 2);
        memset(u->held, 0, sizeof(u->held));
        assert_null(spool_greediest(uses, ELEMENTSOF(uses), 4 * MIB));
        assert_null(spool_greediest(NULL, 0, 0));
}

/* Whatever they hold: all of it fits, nobody is cut who holds no more than an even share, and nothing is left over. */
static void test_random(void **state) {
        srand(1);
        for (unsigned round = 0; round < 2000; round++) {
                SpoolUse uses[12];
                size_t n = 1 + rand() % ELEMENTSOF(uses);
                uint64_t room = (16 + rand() % 64) * MIB, by_owner[4] = {}, kept = 0;
                unsigned owners = 0;

                for (size_t i = 0; i < n; i++) {
                        uses[i] = use(rand() % 4, rand() % 16, rand() % 3);
                        by_owner[uses[i].owner] += spool_held(uses + i, 1);
                        owners |= 1U << uses[i].owner;
                }
                assert_int_equal(spool_share(uses, n, room), 0);
                for (size_t i = 0; i < n; i++) {
                        if (by_owner[uses[i].owner] <= room / __builtin_popcount(owners))
                                assert_true(uses[i].keep == NEVER);
                        for (SpoolStream s = 0; s < _SPOOL_STREAM_MAX; s++)
                                kept += MIN(uses[i].held[s], uses[i].keep);
                }
                assert_true(kept <= room);
                assert_true(kept + 64 >= MIN(room, spool_held(uses, n)));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_owner), cmocka_unit_test(test_many_of_one), cmocka_unit_test(test_levels),
                cmocka_unit_test(test_least),     cmocka_unit_test(test_greediest),   cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
