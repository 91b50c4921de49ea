/* store.c - opens and closes the store's file and sees that it is one of ours. */
#include "chunk.h"
#include "seal.h"

#include "facts.h"
#include "late.h"
#include "rolling.h"
#include "sets.h"
#include "times.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNKS_OF_CACHE = 4 /* a part of cache_bytes is for unpacked chunks */ };
enum { LATE_EVERY = 50000 /* of SQLite's instructions: a few milliseconds */ };
enum { JOURNAL_KEPT = 32 * 1024 * 1024, READER_SETS = 256, WRITER_SETS = 4096, READER_BYTES = 2 * 1024 * 1024, WRITER_BYTES = 4 * 1024 * 1024 };

#define WORD_TABLE(name)                                                                                 \
    "CREATE TABLE " name " (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, bytes BLOB NOT NULL);"         \
    "CREATE INDEX " name "_hash ON " name " (hash);"

static const char *const tables =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE series (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, is_state INTEGER NOT NULL, name BLOB NOT NULL);"
    "CREATE INDEX series_hash ON series (hash);"
    WORD_TABLE("attribute") WORD_TABLE("snapshot") WORD_TABLE("reading") WORD_TABLE("user")
    "CREATE TABLE seen (snapshot INTEGER, series INTEGER, PRIMARY KEY (snapshot, series)) WITHOUT ROWID;"
    "CREATE TABLE event (series INTEGER NOT NULL, at INTEGER NOT NULL, rest INTEGER NOT NULL, shift INTEGER NOT NULL,"
    " place INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (series, at, rest)) WITHOUT ROWID;"
    "CREATE TABLE time (time INTEGER, place INTEGER, series INTEGER, back INTEGER, rest INTEGER," /* back: at - time */
    " PRIMARY KEY (time, place, series, back, rest)) WITHOUT ROWID;"
    "CREATE TABLE link (kind INTEGER, value INTEGER, time INTEGER, place INTEGER, series INTEGER, at INTEGER, rest INTEGER,"
    " PRIMARY KEY (kind, value, time, place, series, at, rest)) WITHOUT ROWID;"
    "CREATE TABLE bad (id INTEGER PRIMARY KEY, stage TEXT NOT NULL, identity INTEGER NOT NULL, field TEXT, why TEXT NOT NULL,"
    " place INTEGER, received_at INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE (stage, identity));"
    "INSERT INTO meta VALUES ('made_by', '" SUITE_VERSION "');";
#undef WORD_TABLE

/* Tables that came later: a store made before gets them from its next writer, and its format stays. */
static const char *const later_tables =
    "CREATE TABLE IF NOT EXISTS run (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL, keys BLOB NOT NULL, sum INTEGER);" /* times.h */
    "CREATE TABLE IF NOT EXISTS bad_source (id INTEGER PRIMARY KEY, provenance TEXT NOT NULL);" /* of a refused event that did not come live */
    "CREATE TABLE IF NOT EXISTS filter (id INTEGER PRIMARY KEY CHECK (id = 1), rules BLOB NOT NULL, set_at INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS filter_count (rule INTEGER PRIMARY KEY, filtered INTEGER NOT NULL, thinned INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS statistic_series (id INTEGER PRIMARY KEY, name BLOB NOT NULL, seconds INTEGER NOT NULL, UNIQUE (name, seconds));"
    "CREATE TABLE IF NOT EXISTS statistic_meta (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL UNIQUE);"
    "CREATE TABLE IF NOT EXISTS statistic (series INTEGER NOT NULL, start INTEGER NOT NULL, meta INTEGER NOT NULL, mean REAL, min REAL, max REAL,"
    " state REAL, sum REAL, weight REAL, reset INTEGER, PRIMARY KEY (series, start)) WITHOUT ROWID;"
    /* Times of which states are missing; series 0: of all; until 0: it goes on. */
    "CREATE TABLE IF NOT EXISTS gap (id TEXT NOT NULL, series INTEGER NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,"
    " PRIMARY KEY (id, series)) WITHOUT ROWID;"
    /* Sealed rows: docs/store-format.md. A number of chunk_data is never given again. */
    "CREATE TABLE IF NOT EXISTS chunk (series INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, id INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " numbers INTEGER NOT NULL, min REAL, max REAL, main_bytes INTEGER NOT NULL, rest_bytes INTEGER NOT NULL, main_sum INTEGER NOT NULL,"
    " rest_sum INTEGER NOT NULL, bad INTEGER NOT NULL, alone INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (series, first)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS chunk_data (id INTEGER PRIMARY KEY AUTOINCREMENT, main BLOB NOT NULL, rest BLOB NOT NULL);"
    /* Which buckets are packed in `rollup`, until when; what of it is no longer true (dirty_to 0: nothing is). */
    "CREATE TABLE IF NOT EXISTS rolled (series INTEGER NOT NULL, tier INTEGER NOT NULL, chunk INTEGER NOT NULL, until INTEGER NOT NULL,"
    " class INTEGER NOT NULL, kept INTEGER NOT NULL, dirty_from INTEGER NOT NULL, dirty_to INTEGER NOT NULL, doubt INTEGER NOT NULL,"
    " PRIMARY KEY (series, tier, chunk)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS rolled_dirty ON rolled (series, tier, chunk) WHERE dirty_to > 0 OR doubt > 0;"
    "CREATE TABLE IF NOT EXISTS rollup (series INTEGER NOT NULL, tier INTEGER NOT NULL, chunk INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " PRIMARY KEY (series, tier, chunk)) WITHOUT ROWID;"
    /* What names passed on (lineage_inside.h); since, until: where `at` is not known better. Who has which name, as the registry said last. */
    "CREATE TABLE IF NOT EXISTS lineage (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, at INTEGER NOT NULL, before BLOB, after BLOB NOT NULL,"
    " found INTEGER NOT NULL, since INTEGER, until INTEGER, noted_at INTEGER NOT NULL, undone_at INTEGER);"
    "CREATE INDEX IF NOT EXISTS lineage_before ON lineage (before, at);"
    "CREATE INDEX IF NOT EXISTS lineage_after ON lineage (after, at);"
    "CREATE TABLE IF NOT EXISTS holder (registry_id BLOB PRIMARY KEY, name BLOB NOT NULL, unique_id BLOB NOT NULL, since INTEGER NOT NULL, created INTEGER) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS holder_name ON holder (name);"
    "CREATE INDEX IF NOT EXISTS holder_unique ON holder (unique_id);"
    "CREATE INDEX IF NOT EXISTS seen_series ON seen (series);"
    /* Attribute sets as differences to a base, which stays in `attribute`: docs/store-format.md. */
    "CREATE TABLE IF NOT EXISTS attribute_packed (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, base INTEGER NOT NULL, bytes BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS attribute_packed_hash ON attribute_packed (hash);"
    "CREATE TABLE IF NOT EXISTS attribute_base (id INTEGER PRIMARY KEY, series INTEGER NOT NULL);"
    "CREATE INDEX IF NOT EXISTS attribute_base_series ON attribute_base (series);"
    "CREATE TABLE IF NOT EXISTS attribute_bad (id INTEGER PRIMARY KEY);" /* found damaged */;

static void say(store_t *store, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(store_t *store, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(store->why, sizeof store->why, format, list);
    va_end(list);
}

const char *store_why(const store_t *store)
{
    return store->why;
}

static int run(store_t *store, const char *sql, const char *doing)
{
    if (sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    trouble(store, doing);
    return -1;
}

static int read_number(store_t *store, const char *sql, int64_t *number)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    *number = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
    if (rc != SQLITE_ROW)
        trouble(store, "cannot read the store");
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* 1: ours and of this format; 0: empty; -1: something else, why is set. */
static int look_at_file(store_t *store)
{
    int64_t application, format, objects;
    if (read_number(store, "PRAGMA application_id", &application) || read_number(store, "PRAGMA user_version", &format)
            || read_number(store, "SELECT count(*) FROM sqlite_master", &objects))
        return -1;
    if (application == 0 && format == 0 && objects == 0)
        return 0;
    if (application != APPLICATION)
        say(store, "%s is not a store of this suite", store->path);
    else if (format > FORMAT)
        say(store, "%s was written by a newer version (format %lld, this one knows %d)", store->path, (long long)format, FORMAT);
    else if (format < OLDEST_FORMAT)
        say(store, "%s has an unknown format %lld", store->path, (long long)format);
    else
        return 1;
    return -1;
}

static int make_tables(store_t *store)
{
    char numbers[96];
    snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION, FORMAT);
    if (run(store, "BEGIN IMMEDIATE", "cannot begin the tables"))
        return -1;
    if (run(store, tables, "cannot make the tables") || run(store, numbers, "cannot number the tables")
            || run(store, "COMMIT", "cannot commit the tables")) {
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

/* Chunks of before say nothing of what lies beside them; runs have no checksum. */
static int add_columns(store_t *store)
{
    if (sealed_refresh(store) != STORE_OK)
        return -1;
    if (!store->has_alone && run(store, "ALTER TABLE chunk ADD COLUMN alone INTEGER NOT NULL DEFAULT 0", "cannot add a column"))
        return -1;
    int64_t sums;
    if (read_number(store, "SELECT count(*) FROM pragma_table_info('run') WHERE name = 'sum'", &sums))
        return -1;
    return sums ? 0 : run(store, "ALTER TABLE run ADD COLUMN sum INTEGER", "cannot add a column");
}

/* Older programs would not find what is new, or keep it true. */
static int number_format(store_t *store)
{
    char text[64];
    int64_t format;
    snprintf(text, sizeof text, "PRAGMA user_version = %d", FORMAT);
    if (read_number(store, "PRAGMA user_version", &format) || (format < FORMAT && run(store, text, "cannot number the tables")))
        return -1;
    return times_refresh(store) == STORE_OK ? 0 : -1;
}

int store_prepare_file(store_t *store)
{
    char text[256];
    sqlite3_busy_timeout(store->db, BUSY_MS);
    sqlite3_extended_result_codes(store->db, 1);
    snprintf(text, sizeof text, "PRAGMA page_size = %d; PRAGMA cache_size = -%zu; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY",
             PAGE_BYTES, (store->cache_bytes - store->chunks.bytes_max) / 1024);
    int state = run(store, text, "cannot set the store up") ? -1 : look_at_file(store);
    if (state < 0 || (!store->writer && state == 0))
        return state < 0 ? -1 : 1;
    if (!store->writer)
        return run(store, "PRAGMA query_only = 1", "cannot open for reading");
    snprintf(text, sizeof text, "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = %d",
             store->sync_always ? "FULL" : "NORMAL", JOURNAL_KEPT);
    if (run(store, text, "cannot use a write-ahead log") || waiting_offer(store))
        return -1;
    if (state != 1 && make_tables(store))
        return -1;
    if (run(store, later_tables, "cannot add tables") || add_columns(store) || number_format(store) || views_make(store) || sealed_refresh(store) != STORE_OK || late_open(store))
        return -1;
    return settled_open(store);
}

/* A lock of our own: SQLite would let two writers take turns. */
static int lock_file(store_t *store)
{
    char name[4200];
    if (snprintf(name, sizeof name, "%s.lock", store->path) >= (int)sizeof name) {
        say(store, "the path is too long");
        return -1;
    }
    store->lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock < 0) {
        say(store, "cannot open %.200s: %s", name, strerror(errno));
        return -1;
    }
    if (flock(store->lock, LOCK_EX | LOCK_NB) == 0)
        return 0;
    say(store, "%.200s has a writer already", store->path);
    return -1;
}

static int open_database(store_t *store)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (store->writer ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(store->path, &store->db, flags, store->writer ? log_file_offer() : NULL) != SQLITE_OK) {
        trouble(store, "cannot open the store");
        return -1;
    }
    return store_prepare_file(store);
}

static void close_database(store_t *store)
{
    statements_close(store);
    facts_close(&store->facts);
    rolling_close(&store->rolling);
    late_close(store);
    sqlite3_close(store->db);
    store->db = NULL;
}

store_t *store_open(const struct store_options *options, const char **why)
{
    static const size_t shares[WORD_KINDS] = { [ATTRIBUTE] = 4, [SNAPSHOT] = 2, [READING] = 1, [USER] = 1 };
    store_t *store = calloc(1, sizeof *store);
    assert(store);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* nobody asks, and it takes a lock at every malloc; refused from the second store on, which changes nothing */
    store->path = strdup(options->path);
    assert(store->path);
    store->writer = options->writer;
    store->sync_always = options->sync_always;
    store->read_ms = options->read_ms ? options->read_ms : READ_MS;
    store->cache_bytes = options->cache_bytes ? options->cache_bytes : 4 * 1024 * 1024;
    store->lock = -1;
    msgpack_sbuffer_init(&store->body);
    msgpack_sbuffer_init(&store->scratch);
    msgpack_sbuffer_init(&store->refused);
    msgpack_sbuffer_init(&store->sealed_body);
    msgpack_sbuffer_init(&store->unpacked_set);
    crc32c_open(&store->sum);
    store->tools = calloc(1, sizeof *store->tools);
    assert(store->tools);
    store->chunks.bytes_max = store->cache_bytes / CHUNKS_OF_CACHE;
    msgpack_sbuffer_init(&store->waiting.bodies);
    store->waiting.number = 1; /* of which no series knows yet */
    for (int i = 0; i < WORD_KINDS; i++)
        words_open(&store->words[i], (store->writer ? WRITER_SETS : READER_SETS) * shares[i] / 4,
                   (store->writer ? WRITER_BYTES : READER_BYTES) * shares[i] / 4);
    if (store->writer && (lock_file(store) || open_database(store))) {
        static char kept[WHY_TEXT];
        memcpy(kept, store->why, sizeof kept);
        *why = kept;
        store_close(&store);
    }
    return store;
}

void store_close(store_t **store_p)
{
    store_t *store = *store_p;
    if (!store)
        return;
    *store_p = NULL;
    if (store->in_transaction)
        store_abandon(store, "closed");
    close_database(store);
    if (store->lock >= 0)
        close(store->lock);
    for (int i = 0; i < WORD_KINDS; i++)
        words_close(&store->words[i]);
    surroundings_close(store);
    series_forget(&store->memory);
    waiting_close(&store->waiting);
    for (size_t i = 0; i < store->series.count; i++)
        free(store->series.items[i].name);
    free(store->series.items);
    msgpack_sbuffer_destroy(&store->body);
    msgpack_sbuffer_destroy(&store->scratch);
    msgpack_sbuffer_destroy(&store->refused);
    msgpack_sbuffer_destroy(&store->sealed_body);
    msgpack_sbuffer_destroy(&store->unpacked_set);
    sealing_close(store);
    packing_close(store);
    chunk_reader_destroy(&store->spare_reader);
    chunk_tools_close(store->tools);
    free(store->tools);
    chunk_cache_close(&store->chunks);
    free(store->path);
    free(store);
}

/* --- readers ---------------------------------------------------------------------------------- */

/* SQLite asks it now and then, in the middle of whatever it does. */
static int is_over_time(void *owner)
{
    return clock_us() > ((const store_t *)owner)->late_us;
}

static enum store_result reader_open(store_t *store, bool *empty)
{
    if (store->db)
        return STORE_OK;
    *empty = access(store->path, F_OK) != 0 && errno == ENOENT;
    if (*empty)
        return STORE_OK;
    int rc = open_database(store);
    if (rc != 0)
        close_database(store);
    else
        sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == 0)
        sqlite3_progress_handler(store->db, LATE_EVERY, is_over_time, store);
    *empty = rc == 1;
    return rc < 0 ? STORE_TROUBLE : STORE_OK;
}

enum store_result read_begin(store_t *store, bool *empty)
{
    *empty = false;
    store->late_us = clock_us() + store->read_ms * 1000;
    enum store_result result = reader_open(store, empty);
    if (result != STORE_OK || *empty || store->in_transaction)
        return result;
    sqlite3_stmt *begin = statement(store, BEGIN_READ);
    if (!begin || sqlite3_step(begin) != SQLITE_DONE)
        return trouble(store, "cannot begin to read");
    sqlite3_reset(begin);
    result = series_refresh(store);
    if (result == STORE_OK)
        result = sealed_refresh(store);
    if (result == STORE_OK)
        result = times_refresh(store);
    if (result != STORE_OK)
        read_end(store);
    return result;
}

bool is_reading(const store_t *store)
{
    return store->writer || (store->db && !sqlite3_get_autocommit(store->db));
}

/* Statements that are not reset would keep the old moment, and the log with it. */
void read_end(store_t *store)
{
    if (!store->db || store->in_transaction)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        if (store->ready[i])
            sqlite3_reset(store->ready[i]);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

enum store_result store_look(store_t *store, store_look_fn *fn, void *owner)
{
    bool empty;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK)
        return result;
    result = fn(store, owner);
    if (!empty)
        read_end(store);
    return result;
}

int64_t store_bytes(const store_t *store)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char name[4200];
    struct stat info;
    int64_t bytes = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (snprintf(name, sizeof name, "%s%s", store->path, ends[i]) < (int)sizeof name && stat(name, &info) == 0)
            bytes += info.st_size;
    return bytes;
}

int64_t store_damage(const store_t *store, const char **what)
{
    *what = store->damage.what;
    return store->damage.count;
}

void store_limit_pages(store_t *store, int64_t pages)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA max_page_count = %lld", (long long)(pages ? pages : 4294967294));
    run(store, text, "cannot limit the store");
}
