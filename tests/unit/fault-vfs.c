/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* See fault-vfs.h. It knows nothing of shared memory (iVersion 1): the store is to do without. A write that fails has written its first half, as a disk may. */

#include "fault-vfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

FaultVfs fault;

typedef struct FaultFile {
        sqlite3_file base;
        FaultFileId id;
        bool is_new; /* the system's VFS syncs its directory with its first sync */
        sqlite3_file *real; /* behind this struct */
} FaultFile;

static sqlite3_vfs *real_vfs;

static sqlite3_file *real(sqlite3_file *f) {
        return ((FaultFile *) f)->real;
}

/* ---- faults ---- */

void fault_arm(unsigned fail_at, bool forever, bool full) {
        fault.calls = 0;
        fault.failed = NULL;
        fault.fail_at = fail_at;
        fault.forever = forever;
        fault.full = full;
}

void fault_disarm(void) {
        fault.fail_at = 0;
}

static bool fails(const char *call, bool writes) {
        if (fault.full && !writes)
                return false;
        fault.calls++;
        if (fault.fail_at == 0 || (fault.forever ? fault.calls < fault.fail_at : fault.calls != fault.fail_at))
                return false;
        if (!fault.failed)
                fault.failed = call;
        errno = EIO; /* SQLite asks for it */
        return true;
}

/* ---- what was done ---- */

static void add_op(FaultOpKind kind, FaultFileId file, sqlite3_int64 offset, const void *data, size_t size) {
        FaultOp *op;

        if (!fault.recording)
                return;
        if (fault.n_ops >= fault.capacity) {
                fault.capacity = fault.capacity * 2 + 64;
                fault.ops = realloc(fault.ops, fault.capacity * sizeof(FaultOp));
                if (!fault.ops)
                        abort();
        }
        op = fault.ops + fault.n_ops++;
        *op = (FaultOp) { .kind = kind, .file = file, .offset = offset, .size = size };
        if (size == 0)
                return;
        op->data = malloc(size);
        if (!op->data)
                abort();
        memcpy(op->data, data, size);
}

void fault_mark(unsigned number) {
        add_op(FAULT_OP_MARK, FAULT_OTHER, number, NULL, 0);
}

void fault_forget(void) {
        for (size_t i = 0; i < fault.n_ops; i++)
                free(fault.ops[i].data);
        free(fault.ops);
        fault.ops = NULL;
        fault.n_ops = fault.capacity = 0;
}

/* ---- a file ---- */

static int file_close(sqlite3_file *f) {
        return real(f)->pMethods->xClose(real(f));
}

static int file_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at) {
        return fails("read", false) ? SQLITE_IOERR_READ : real(f)->pMethods->xRead(real(f), p, n, at);
}

static int file_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at) {
        if (fails("write", true)) {
                (void) real(f)->pMethods->xWrite(real(f), p, n / 2, at);
                return fault.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        }
        add_op(FAULT_OP_WRITE, ((FaultFile *) f)->id, at, p, n);
        return real(f)->pMethods->xWrite(real(f), p, n, at);
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size) {
        if (fails("truncate", false))
                return SQLITE_IOERR_TRUNCATE;
        add_op(FAULT_OP_TRUNCATE, ((FaultFile *) f)->id, size, NULL, 0);
        return real(f)->pMethods->xTruncate(real(f), size);
}

static int file_sync(sqlite3_file *f, int flags) {
        if (fails("sync", false))
                return SQLITE_IOERR_FSYNC;
        add_op(FAULT_OP_SYNC, ((FaultFile *) f)->id, ((FaultFile *) f)->is_new, NULL, 0);
        ((FaultFile *) f)->is_new = false;
        return fault.fast ? SQLITE_OK : real(f)->pMethods->xSync(real(f), flags);
}

static int file_size(sqlite3_file *f, sqlite3_int64 *ret) {
        return fails("file size", false) ? SQLITE_IOERR_FSTAT : real(f)->pMethods->xFileSize(real(f), ret);
}

static int file_lock(sqlite3_file *f, int level) {
        return fails("lock", false) ? SQLITE_IOERR_LOCK : real(f)->pMethods->xLock(real(f), level);
}

static int file_unlock(sqlite3_file *f, int level) {
        return real(f)->pMethods->xUnlock(real(f), level);
}

static int file_check_reserved_lock(sqlite3_file *f, int *ret) {
        return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int file_control(sqlite3_file *f, int op, void *p) {
        return real(f)->pMethods->xFileControl(real(f), op, p);
}

static int file_sector_size(sqlite3_file *f) {
        return real(f)->pMethods->xSectorSize(real(f));
}

static int file_device_characteristics(sqlite3_file *f) {
        return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static const sqlite3_io_methods file_methods = {
        .iVersion = 1,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_check_reserved_lock,
        .xFileControl = file_control,
        .xSectorSize = file_sector_size,
        .xDeviceCharacteristics = file_device_characteristics,
};

/* ---- the VFS ---- */

static FaultFileId file_id(const char *name) {
        size_t n = name ? strlen(name) : 0;

        if (n > 4 && strcmp(name + n - 4, "-wal") == 0)
                return FAULT_WAL;
        return n > 3 && strcmp(name + n - 3, ".db") == 0 ? FAULT_DB : FAULT_OTHER;
}

static int vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *ret_flags) {
        FaultFile *file = (FaultFile *) f;
        int rc;

        *file = (FaultFile) {
                .id = file_id(name),
                .is_new = (flags & SQLITE_OPEN_CREATE) && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)),
                .real = (sqlite3_file *) (file + 1),
        };
        if (fails("open", false))
                return SQLITE_CANTOPEN;
        rc = real_vfs->xOpen(real_vfs, name, file->real, flags, ret_flags);
        if (rc == SQLITE_OK)
                file->base.pMethods = &file_methods;
        return rc;
}

static int vfs_delete(sqlite3_vfs *v, const char *name, int sync) {
        if (fails("delete", false))
                return SQLITE_IOERR_DELETE;
        add_op(FAULT_OP_DELETE, file_id(name), sync, NULL, 0);
        return real_vfs->xDelete(real_vfs, name, sync);
}

static int vfs_access(sqlite3_vfs *v, const char *name, int flags, int *ret) {
        return fails("access", false) ? SQLITE_IOERR_ACCESS : real_vfs->xAccess(real_vfs, name, flags, ret);
}

void fault_register(void) {
        static sqlite3_vfs vfs;

        if (real_vfs)
                return;
        real_vfs = sqlite3_vfs_find(NULL);
        vfs = *real_vfs;
        vfs.zName = "fault";
        vfs.pNext = NULL;
        vfs.szOsFile = (int) sizeof(FaultFile) + real_vfs->szOsFile;
        vfs.xOpen = vfs_open;
        vfs.xDelete = vfs_delete;
        vfs.xAccess = vfs_access;
        if (sqlite3_vfs_register(&vfs, /* makeDflt = */ true) != SQLITE_OK)
                abort();
}
