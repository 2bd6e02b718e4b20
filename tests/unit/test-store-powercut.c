/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Power cuts: all writes and syncs of a life of the store are recorded, the files are built again as they may be after every prefix
 * of these, and opened. Of what was not synced yet all, nothing, or any part may have come to the disk, also half a
 * write. JOBMILL_TEST_FULL=1: every prefix, in twelve ways; else some, in four. */

#include "fault-vfs.h"
#include "store-script.h"

#include <fcntl.h>

#define SEED 4711U
#define DELETED (-1)

/* ---- files in memory ---- */

typedef struct Image {
        uint8_t *data;
        ssize_t size; /* DELETED: there is none */
} Image;

static void image_resize(Image *m, size_t size) {
        size_t old = MAX(m->size, 0);

        m->data = realloc(m->data, size + 1);
        assert_non_null(m->data);
        if (size > old)
                memset(m->data + old, 0, size - old);
        m->size = (ssize_t) size;
}

static void image_apply(Image *m, const FaultOp *op, size_t size) {
        switch (op->kind) {
        case FAULT_OP_WRITE:
                if ((size_t) MAX(m->size, 0) < op->offset + size)
                        image_resize(m, op->offset + size);
                memcpy(m->data + op->offset, op->data, size);
                m->size = MAX(m->size, 0);
                break;
        case FAULT_OP_TRUNCATE:
                image_resize(m, op->offset);
                break;
        case FAULT_OP_DELETE:
                m->size = DELETED;
                break;
        case FAULT_OP_SYNC:
        case FAULT_OP_MARK:
                break;
        }
}

static void image_load(Image *m, const char *path) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        long size;

        m->size = DELETED;
        if (!f)
                return;
        assert_int_equal(fseek(f, 0, SEEK_END), 0);
        size = ftell(f);
        rewind(f);
        image_resize(m, size);
        assert_int_equal(fread(m->data, 1, size, f), size);
}

static void image_write(const Image *m, const char *path) {
        _cleanup_fclose_ FILE *f = NULL;

        if (m->size == DELETED)
                return;
        f = fopen(path, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(m->data, 1, m->size, f), m->size);
}

/* ---- what the disk may hold ---- */

typedef enum Loss { LOSS_NONE, LOSS_ALL, LOSS_RANDOM } Loss;

/* What is before the end of the prefix and came to the disk for sure: up to the file's last sync, or its deletion if the
 * directory was synced then or later. */
static size_t n_synced(FaultFileId file, size_t n) {
        bool directory = false;

        for (; n > 0; n--) {
                const FaultOp *op = fault.ops + n - 1;

                directory |= (op->kind == FAULT_OP_SYNC || op->kind == FAULT_OP_DELETE) && op->offset != 0;
                if (op->file == file && (op->kind == FAULT_OP_SYNC || (op->kind == FAULT_OP_DELETE && directory)))
                        break;
        }
        return n;
}

static void build(const Directory *d, const Image start[], size_t n, Loss loss, unsigned *seed) {
        static const char *const suffixes[_FAULT_FILE_MAX] = { "", "-wal", "-journal" };

        script_remove_files(d);
        for (FaultFileId file = 0; file < _FAULT_FILE_MAX; file++) {
                Image m = { .size = DELETED };
                size_t synced = n_synced(file, n);
                char path[256];

                if (start[file].size != DELETED) {
                        image_resize(&m, start[file].size);
                        memcpy(m.data, start[file].data, start[file].size);
                }
                for (size_t i = 0; i < n; i++) {
                        const FaultOp *op = fault.ops + i;
                        size_t size = op->size;

                        if (op->file != file)
                                continue;
                        if (i >= synced && loss == LOSS_ALL)
                                break;
                        if (i >= synced && loss == LOSS_RANDOM) {
                                int dice = rand_r(seed) % 8;

                                if (dice < 3)
                                        continue;
                                if (dice == 3 && size > 0)
                                        size = rand_r(seed) % size; /* half a write */
                        }
                        image_apply(&m, op, size);
                }
                (void) snprintf(path, sizeof(path), "%s%s", d->file, suffixes[file]);
                image_write(&m, path);
                free(m.data);
        }
}

/* ---- the test ---- */

/* What was reported before the cut is there; at most what was under way then is there in addition, in whole. */
static void check(Directory *d, const uint64_t digests[], int durable, int reached, size_t n) {
        Script x = { .directory = d };
        uint64_t digest;
        bool ignored;

        if (script_step(&x, 0, &ignored) < 0)
                fail_msg("Cut after %zu of %zu: does not open: %s", n, fault.n_ops, x.text);
        script_check(x.s->db);
        digest = script_digest(x.s->db);
        for (int i = MAX(durable, 0); i <= MIN(reached + 1, (int) SCRIPT_N_STEPS - 1); i++)
                if (digest == digests[i]) {
                        script_close(&x);
                        return;
                }
        for (int i = 0; i < (int) SCRIPT_N_STEPS; i++)
                if (digest == digests[i])
                        fail_msg("Cut after %zu of %zu: it is as after step %i, not %i", n, fault.n_ops, i, durable);
        fail_msg("Cut after %zu of %zu: it is as after no step", n, fault.n_ops);
}

static void record_script(Directory *d, bool durable[SCRIPT_N_STEPS]) {
        Script x = { .directory = d };

        fault.recording = true;
        for (unsigned i = 0; i < SCRIPT_N_STEPS; i++) {
                assert_int_equal(script_step(&x, i, durable + i), 0);
                fault_mark(i);
        }
        script_close(&x);
        fault.recording = false;
}

static void run(bool old) {
        bool every = getenv("JOBMILL_TEST_FULL"), is_durable[SCRIPT_N_STEPS];
        _cleanup_directory_ Directory d = make_directory();
        uint64_t digests[SCRIPT_N_STEPS];
        Image start[_FAULT_FILE_MAX] = {};
        int durable = -1, reached = -1;
        unsigned seed = SEED, built = 0;

        fault_forget();
        script_digests(old, digests);
        script_prepare(&d, old);
        image_load(start + FAULT_DB, d.file);
        start[FAULT_WAL] = start[FAULT_OTHER] = (Image) { .size = DELETED };
        /* SQLite is given an empty file, see store_create(). */
        if (!old)
                image_resize(start + FAULT_DB, 0);
        record_script(&d, is_durable);
        assert_true(fault.n_ops > 200);

        for (size_t n = 0; n <= fault.n_ops; n++) {
                bool reported = n > 0 && fault.ops[n - 1].kind == FAULT_OP_MARK;

                if (reported) {
                        reached = (int) fault.ops[n - 1].offset;
                        if (is_durable[reached])
                                durable = reached;
                }
                if (!every && n % 3 != 0 && !reported && n < fault.n_ops)
                        continue;
                for (unsigned k = 0; k < (every ? 12U : 4U); k++, built++) {
                        build(&d, start, n, MIN(k, (unsigned) LOSS_RANDOM), &seed);
                        check(&d, digests, durable, reached, n);
                }
        }
        print_message("%zu writes and syncs, %u cuts\n", fault.n_ops, built);
        free(start[FAULT_DB].data);
        fault_forget();
}

static void test_power_cut(void **state) {
        run(false);
}

static void test_power_cut_migrating(void **state) {
        run(true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_power_cut),
                cmocka_unit_test(test_power_cut_migrating),
        };

        fault_register();
        fault.fast = true;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
