/* log_file.c - the write-ahead log is written in long stretches: SQLite writes 24 bytes and a page for every page of it.
 *
 * What is appended waits until the page that ends a commit has come, or the room is full, or something else is done with the
 * file; so an error is the commit's own, and no reader is ever told of a page that is not in the file. The disk is told of
 * what there is early: when the log is carried over, and the writer waits for a sync of it, most of it is there. */
#include "inside.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { EARLY = 1 << 20 /* of the log: so much at a time is begun to be written to the disk */ };
enum { FRAME_HEAD = 24, ROOM = 16 * (FRAME_HEAD + PAGE_BYTES) }; /* SQLite cannot write 128 KiB at once */

struct log_file {
    sqlite3_file base;
    sqlite3_int64 start, tail; /* where the bytes that wait belong; the end of all that was ever appended */
    sqlite3_int64 begun;       /* up to here the disk has been told of it */
    int size, disk;            /* disk: the same file again, since SQLite does not tell its own; -1: it cannot be had */
    bool ends_commit;          /* the page whose head came last */
    char *bytes;
    sqlite3_file *file;        /* SQLite's own, behind this one */
};

static sqlite3_vfs *system_files;

/* Nobody waits for it, and whether it is done does not matter. */
static void begin_early(struct log_file *log, sqlite3_int64 end)
{
    if (log->begun > end)
        log->begun = 0; /* it has begun anew */
    if (log->disk < 0 || end - log->begun < EARLY)
        return;
    (void)sync_file_range(log->disk, log->begun, end - log->begun, SYNC_FILE_RANGE_WRITE);
    log->begun = end;
}

static int flush(struct log_file *log)
{
    int size = log->size;
    log->size = 0;
    if (size == 0)
        return SQLITE_OK;
    int rc = log->file->pMethods->xWrite(log->file, log->bytes, size, log->start);
    if (rc == SQLITE_OK)
        begin_early(log, log->start + size);
    return rc;
}

static int append(struct log_file *log, const void *data, int size, sqlite3_int64 at)
{
    int rc = log->size > 0 && (at != log->start + log->size || log->size + size > ROOM) ? flush(log) : SQLITE_OK;
    if (rc != SQLITE_OK)
        return rc;
    if (log->size == 0)
        log->start = at;
    memcpy(log->bytes + log->size, data, (size_t)size);
    log->size += size;
    log->tail = at + size;
    if (size == FRAME_HEAD) {
        const uint8_t *pages = (const uint8_t *)data + 4; /* of the file after this commit; 0: more follows */
        log->ends_commit = pages[0] | pages[1] | pages[2] | pages[3];
        return SQLITE_OK;
    }
    return log->ends_commit ? flush(log) : SQLITE_OK;
}

static int log_write(sqlite3_file *base, const void *data, int size, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)base;
    if ((size == FRAME_HEAD || size == PAGE_BYTES) && at >= log->tail)
        return append(log, data, size, at);
    int rc = flush(log);
    if (at == 0)
        log->tail = size; /* its head: it begins anew */
    return rc == SQLITE_OK ? log->file->pMethods->xWrite(log->file, data, size, at) : rc;
}

static int log_read(sqlite3_file *base, void *to, int size, sqlite3_int64 at)
{
    struct log_file *log = (struct log_file *)base;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->file->pMethods->xRead(log->file, to, size, at) : rc;
}

static int log_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct log_file *log = (struct log_file *)base;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->file->pMethods->xTruncate(log->file, size) : rc;
}

static int log_sync(sqlite3_file *base, int flags)
{
    struct log_file *log = (struct log_file *)base;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->file->pMethods->xSync(log->file, flags) : rc;
}

static int log_size(sqlite3_file *base, sqlite3_int64 *size)
{
    struct log_file *log = (struct log_file *)base;
    int rc = flush(log);
    return rc == SQLITE_OK ? log->file->pMethods->xFileSize(log->file, size) : rc;
}

static int log_close(sqlite3_file *base)
{
    struct log_file *log = (struct log_file *)base;
    int rc = flush(log), closed = log->file->pMethods->xClose(log->file);
    free(log->bytes);
    if (log->disk >= 0)
        close(log->disk);
    return rc == SQLITE_OK ? closed : rc;
}

static int log_lock(sqlite3_file *base, int how)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xLock(file, how);
}

static int log_unlock(sqlite3_file *base, int how)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xUnlock(file, how);
}

static int log_is_reserved(sqlite3_file *base, int *is)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xCheckReservedLock(file, is);
}

static int log_control(sqlite3_file *base, int what, void *with)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xFileControl(file, what, with);
}

static int log_sector(sqlite3_file *base)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xSectorSize(file);
}

static int log_device(sqlite3_file *base)
{
    sqlite3_file *file = ((struct log_file *)base)->file;
    return file->pMethods->xDeviceCharacteristics(file);
}

static const sqlite3_io_methods log_methods = {
    .iVersion = 1, .xClose = log_close, .xRead = log_read, .xWrite = log_write, .xTruncate = log_truncate, .xSync = log_sync, .xFileSize = log_size,
    .xLock = log_lock, .xUnlock = log_unlock, .xCheckReservedLock = log_is_reserved, .xFileControl = log_control, .xSectorSize = log_sector,
    .xDeviceCharacteristics = log_device,
};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *given)
{
    (void)vfs;
    struct log_file *log = (struct log_file *)file;
    if (!(flags & SQLITE_OPEN_WAL))
        return system_files->xOpen(system_files, name, file, flags, given);
    *log = (struct log_file){ .file = (sqlite3_file *)(log + 1) };
    int rc = system_files->xOpen(system_files, name, log->file, flags, given);
    if (rc != SQLITE_OK)
        return rc;
    log->disk = open(name, O_WRONLY | O_CLOEXEC); /* closing it drops no lock: those are on other files */
    log->bytes = malloc(ROOM);
    assert(log->bytes);
    log->base.pMethods = &log_methods;
    return SQLITE_OK;
}

const char *log_file_offer(void)
{
    static sqlite3_vfs files;
    if (system_files)
        return files.zName;
    system_files = sqlite3_vfs_find(NULL);
    files = *system_files;
    files.zName = "ha-ingestor-log";
    files.szOsFile += (int)sizeof(struct log_file);
    files.xOpen = open_file;
    files.pNext = NULL;
    return sqlite3_vfs_register(&files, 0) == SQLITE_OK ? files.zName : NULL;
}
