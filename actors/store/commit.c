/* commit.c - what joined becomes safe, or is taken back whole; the log is kept short. */
#include "sealed.h"

#include "facts.h"
#include "late.h"
#include "rolling.h"

/* A write-ahead log is carried over into the file every so many bytes; readers that overlap
 * may let it grow to the other figure. */
enum { LOG_BYTES = 32 * 1024 * 1024, LOG_MAX = 96 * 1024 * 1024, RESTART_MS = 200 };

enum store_result store_begin(store_t *store)
{
    if (store->in_transaction)
        return STORE_OK;
    sqlite3_stmt *begin = statement(store, BEGIN_WRITE);
    if (!begin || sqlite3_step(begin) != SQLITE_DONE) {
        trouble(store, "cannot begin");
        if (begin)
            sqlite3_reset(begin);
        return STORE_TROUBLE;
    }
    sqlite3_reset(begin);
    store->in_transaction = true;
    return STORE_OK;
}

/* What the writer remembers may name rows that are gone now. */
enum store_result store_abandon(store_t *store, const char *doing)
{
    if (doing)
        trouble(store, doing);
    for (int i = 0; i < STATEMENTS; i++)
        if (store->ready[i])
            sqlite3_reset(store->ready[i]);
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    store->in_transaction = false;
    for (int i = 0; i < WORD_KINDS; i++)
        words_forget(&store->words[i]);
    surroundings_forget(store);
    series_forget(&store->memory);
    rolling_close(&store->rolling); /* it holds the former */
    facts_close(&store->facts);
    late_forget(store);
    waiting_forget(&store->waiting);
    settled_abandon(store);
    if (store->writer && sealed_refresh(store) != STORE_OK)
        store->sealed_until = MAX_TIME_US + 1; /* unknown: every look goes to the index */
    return STORE_TROUBLE;
}

/* Without waiting for readers: what they still look at is carried over next time. Only where
 * readers that overlap have kept the log from starting anew for long are they waited for. */
static void carry_over(store_t *store)
{
    bool too_long = store->log_pages * PAGE_BYTES >= LOG_MAX;
    int log = 0, carried = 0;
    if (too_long)
        sqlite3_busy_timeout(store->db, RESTART_MS);
    int rc = sqlite3_wal_checkpoint_v2(store->db, NULL, too_long ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &log, &carried);
    if (too_long)
        sqlite3_busy_timeout(store->db, BUSY_MS);
    store->carried_pages = rc == SQLITE_OK && too_long ? 0 : carried > 0 ? carried : store->log_pages;
}

static int on_commit(void *owner, sqlite3 *db, const char *name, int pages)
{
    store_t *store = owner;
    (void)db;
    (void)name;
    store->log_pages = pages;
    if (store->carried_pages > pages)
        store->carried_pages = 0; /* it has begun anew */
    return SQLITE_OK;
}

enum store_result store_commit(store_t *store)
{
    if (!store->in_transaction)
        return STORE_OK;
    if (waiting_write(store) != STORE_OK || late_write(store) != STORE_OK || settled_write(store) != STORE_OK)
        return store_abandon(store, NULL);
    for (int i = 0; i < STATEMENTS; i++)
        if (store->ready[i])
            sqlite3_reset(store->ready[i]);
    sqlite3_wal_hook(store->db, on_commit, store);
    sqlite3_stmt *commit = statement(store, COMMIT);
    int rc = commit ? sqlite3_step(commit) : SQLITE_ERROR;
    if (rc != SQLITE_DONE)
        return store_abandon(store, "cannot commit");
    sqlite3_reset(commit);
    store->in_transaction = false;
    settled_commit(store);
    if ((store->log_pages - store->carried_pages) * PAGE_BYTES >= LOG_BYTES)
        carry_over(store);
    return STORE_OK;
}

static int sync_file(store_t *store, int which)
{
    sqlite3_file *file = NULL;
    if (sqlite3_file_control(store->db, "main", which, &file) != SQLITE_OK || !file || !file->pMethods)
        return SQLITE_OK; /* not there yet: nothing to sync */
    return file->pMethods->xSync(file, SQLITE_SYNC_NORMAL | SQLITE_SYNC_DATAONLY);
}

/* SQLite's own handles: closing another descriptor of the same file would drop its locks. */
enum store_result store_sync(store_t *store)
{
    if (sync_file(store, SQLITE_FCNTL_JOURNAL_POINTER) == SQLITE_OK && sync_file(store, SQLITE_FCNTL_FILE_POINTER) == SQLITE_OK)
        return STORE_OK;
    return trouble(store, "cannot sync");
}
