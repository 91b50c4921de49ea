/* database.c - a database of Home Assistant's recorder: opened to be read only, checked, read in order of its ids. */
#include "database.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SQL_ROOM = 2048, PATH_ROOM = 4100 };

struct database {
    sqlite3 *db;
    char *path;
    size_t cache_bytes;
    bool has_log;    /* it is of the kind with a write-ahead log */
    bool is_still;   /* opened as a file that nobody writes */
    sqlite3_stmt *pages[KINDS];
    int64_t schema, at[KINDS], large;
    char began[64], why[300];
};

static const struct { const char *table, *id; } tables[KINDS] = {
    [STATES] = { "states", "state_id" }, [EVENTS] = { "events", "event_id" },
    [STATISTICS] = { "statistics", "id" }, [SHORT_TERM] = { "statistics_short_term", "id" },
};

static int say(database_t *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int say(database_t *self, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(self->why, sizeof self->why, format, list);
    va_end(list);
    return -1;
}

int64_t database_schema(const database_t *self) { return self->schema; }
const char *database_began(const database_t *self) { return self->began; }
const char *database_why(const database_t *self) { return self->why; }
int64_t database_large(const database_t *self) { return self->large; }

/* --- is it one ------------------------------------------------------------------------------------ */

/* A file that is no regular one could block, or be endless. */
static int look_at_file(database_t *self)
{
    static const char magic[16] = "SQLite format 3";
    struct stat info;
    char head[100];
    if (strlen(self->path) >= PATH_ROOM)
        return say(self, "its path is too long");
    int fd = open(self->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return say(self, errno == ENOENT || errno == ENOTDIR ? "there is no such file" : "it cannot be opened: %s", strerror(errno));
    ssize_t n = fstat(fd, &info) ? -1 : S_ISREG(info.st_mode) ? pread(fd, head, sizeof head, 0) : 0;
    close(fd);
    if (n < 0)
        return say(self, "it cannot be read: %s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return say(self, S_ISDIR(info.st_mode) ? "it is a directory" : "it is no regular file");
    if (n < (ssize_t)sizeof head)
        return say(self, n == 0 ? "it is empty" : "it is no SQLite database: too short");
    self->has_log = head[18] == 2;
    return memcmp(head, magic, sizeof magic) == 0 ? 0 : say(self, "it is no SQLite database, or an encrypted one");
}

/* One number or text of one row: 0; 1: there is none; -1: it cannot be read. */
static int read_one(database_t *self, const char *sql, int64_t *number, char *text, size_t size)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(self->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW && number)
        *number = sqlite3_column_int64(stmt, 0);
    if (rc == SQLITE_ROW && text) {
        const unsigned char *found = sqlite3_column_text(stmt, 0);
        snprintf(text, size, "%s", found ? (const char *)found : "");
    }
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? 1 : -1;
}

static bool has_column(database_t *self, const char *table, const char *column)
{
    return sqlite3_table_column_metadata(self->db, "main", table, column, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

static int check_columns(database_t *self)
{
    static const struct { const char *table, *columns[12]; } needed[] = {
        { "states", { "state_id", "metadata_id", "state", "attributes_id", "last_updated_ts", "last_changed_ts", "old_state_id",
            "origin_idx", "context_id_bin", "context_parent_id_bin", "context_user_id_bin" } },
        { "states_meta", { "metadata_id", "entity_id" } },
        { "state_attributes", { "attributes_id", "shared_attrs" } },
        { "events", { "event_id", "event_type_id", "data_id", "time_fired_ts", "origin_idx", "context_id_bin", "context_parent_id_bin",
            "context_user_id_bin" } },
        { "event_types", { "event_type_id", "event_type" } },
        { "event_data", { "data_id", "shared_data" } },
        { "statistics", { "id", "metadata_id", "start_ts", "mean", "min", "max", "state", "sum", "last_reset_ts" } },
        { "statistics_short_term", { "id", "metadata_id", "start_ts", "mean", "min", "max", "state", "sum", "last_reset_ts" } },
        { "statistics_meta", { "id", "statistic_id", "source", "unit_of_measurement", "name" } },
    };
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        for (const char *const *column = needed[i].columns; *column; column++)
            if (!has_column(self, needed[i].table, *column))
                return say(self, "it says that it has schema %lld, but has no %s.%s: an update of Home Assistant may be at work, try again later",
                           (long long)self->schema, needed[i].table, *column);
    return 0;
}

static int look_at_recorder(database_t *self)
{
    int64_t tables_there = 0, version = 0;
    if (read_one(self, "SELECT count(*) FROM sqlite_master WHERE name IN ('states', 'schema_changes', 'recorder_runs')", &tables_there, NULL, 0))
        return say(self, "it cannot be read as a SQLite database: %s", sqlite3_errmsg(self->db));
    if (tables_there < 3)
        return say(self, "it is a SQLite database, but none of Home Assistant's recorder");
    if (read_one(self, "SELECT max(schema_version) FROM schema_changes", &version, NULL, 0))
        return say(self, "its schema version cannot be read: %s", sqlite3_errmsg(self->db));
    self->schema = version;
    if (version < SCHEMA_OLDEST || version > SCHEMA_NEWEST)
        return say(self, "the recorder's schema %lld is %s: supported are %d to %d (Home Assistant 2023.4 to 2026)", (long long)version,
                   version < SCHEMA_OLDEST ? "too old" : "not known yet", SCHEMA_OLDEST, SCHEMA_NEWEST);
    if (read_one(self, "SELECT start FROM recorder_runs ORDER BY run_id LIMIT 1", NULL, self->began, sizeof self->began))
        snprintf(self->began, sizeof self->began, "%s", "never");
    return check_columns(self);
}

/* --- the questions -------------------------------------------------------------------------------- */

struct sql { char text[SQL_ROOM]; size_t size; };

static void add(struct sql *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct sql *sql, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(sql->text + sql->size, sizeof sql->text - sql->size, format, list);
    va_end(list);
    assert(n >= 0 && (size_t)n < sizeof sql->text - sql->size);
    sql->size += (size_t)n;
}

/* Rows from before a migration that Home Assistant has not ended yet have some in columns of old. */
static void add_or_old(database_t *self, struct sql *sql, const char *expression, const char *table, const char *column)
{
    if (has_column(self, table, column))
        add(sql, ", coalesce(%s, t.%s)", expression, column);
    else
        add(sql, ", %s", expression);
}

static void add_contexts(database_t *self, struct sql *sql, const char *table)
{
    add(sql, ", t.origin_idx");
    add_or_old(self, sql, "t.context_id_bin", table, "context_id");
    add_or_old(self, sql, "t.context_parent_id_bin", table, "context_parent_id");
    add_or_old(self, sql, "t.context_user_id_bin", table, "context_user_id");
}

static void ask_states(database_t *self, struct sql *sql)
{
    add(sql, "SELECT t.state_id, t.last_updated_ts");
    add_or_old(self, sql, "m.entity_id", "states", "entity_id");
    add(sql, ", t.state");
    add_or_old(self, sql, "a.shared_attrs", "states", "attributes");
    add(sql, ", t.last_changed_ts, %s", has_column(self, "states", "last_reported_ts") ? "coalesce(t.last_reported_ts, t.last_updated_ts)" : "NULL");
    add_contexts(self, sql, "states");
    add(sql, ", o.state, coalesce(o.last_changed_ts, o.last_updated_ts) FROM states t"
             " LEFT JOIN states_meta m ON m.metadata_id = t.metadata_id"
             " LEFT JOIN state_attributes a ON a.attributes_id = t.attributes_id"
             " LEFT JOIN states o ON o.state_id = t.old_state_id");
}

static void ask_events(database_t *self, struct sql *sql)
{
    add(sql, "SELECT t.event_id, t.time_fired_ts");
    add_or_old(self, sql, "y.event_type", "events", "event_type");
    add_or_old(self, sql, "d.shared_data", "events", "event_data");
    add_contexts(self, sql, "events");
    add(sql, " FROM events t LEFT JOIN event_types y ON y.event_type_id = t.event_type_id"
             " LEFT JOIN event_data d ON d.data_id = t.data_id");
}

static void ask_statistics(database_t *self, struct sql *sql, enum table kind)
{
    add(sql, "SELECT t.id, t.start_ts, m.statistic_id, t.mean, t.min, t.max, t.state, t.sum, t.last_reset_ts, %s",
        has_column(self, tables[kind].table, "mean_weight") ? "t.mean_weight" : "NULL");
    add(sql, ", m.unit_of_measurement, m.name, m.source, %s FROM %s t LEFT JOIN statistics_meta m ON m.id = t.metadata_id",
        has_column(self, "statistics_meta", "mean_type") ? "m.mean_type" : has_column(self, "statistics_meta", "has_mean") ? "m.has_mean" : "NULL",
        tables[kind].table);
}

static int prepare(database_t *self, enum table kind)
{
    struct sql sql = { .size = 0 };
    if (kind == STATES)
        ask_states(self, &sql);
    else if (kind == EVENTS)
        ask_events(self, &sql);
    else
        ask_statistics(self, &sql, kind);
    add(&sql, " WHERE t.%s > ?1 AND t.%s <= ?2 ORDER BY t.%s", tables[kind].id, tables[kind].id, tables[kind].id);
    if (sqlite3_prepare_v3(self->db, sql.text, -1, SQLITE_PREPARE_PERSISTENT, &self->pages[kind], NULL) == SQLITE_OK)
        return 0;
    return say(self, "its %s cannot be asked for: %s", tables[kind].table, sqlite3_errmsg(self->db));
}

/* --- opening -------------------------------------------------------------------------------------- */

/* As a URI, in which these bytes mean something else. */
static void write_uri(const char *path, const char *options, char *to, size_t size)
{
    size_t n = (size_t)snprintf(to, size, "file:");
    for (; *path && n + 4 < size; path++)
        n += (size_t)snprintf(to + n, size - n, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
    snprintf(to + n, size - n, "?mode=ro%s", options);
}

/* Bytes in the write-ahead log beside it; -1: there is no log. */
static int64_t log_bytes(const database_t *self)
{
    char log[PATH_ROOM + 8];
    struct stat info;
    snprintf(log, sizeof log, "%s-wal", self->path);
    return stat(log, &info) ? -1 : (int64_t)info.st_size;
}

static int connect_as(database_t *self, bool is_still)
{
    char uri[PATH_ROOM * 3 + 64], text[128];
    write_uri(self->path, is_still ? "&immutable=1" : "", uri, sizeof uri);
    sqlite3_close(self->db);
    self->is_still = is_still;
    int rc = sqlite3_open_v2(uri, &self->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, NULL);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_extended_result_codes(self->db, 0);
    sqlite3_limit(self->db, SQLITE_LIMIT_LENGTH, ROW_BYTES_MAX);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(self->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_busy_timeout(self->db, 1000);
    snprintf(text, sizeof text, "PRAGMA cache_size = -%zu; PRAGMA mmap_size = 0; PRAGMA query_only = 1", self->cache_bytes / 1024);
    sqlite3_exec(self->db, text, NULL, NULL, NULL);
    return sqlite3_exec(self->db, "SELECT 1 FROM sqlite_master LIMIT 1", NULL, NULL, NULL);
}

/* A reader of a write-ahead log needs two files beside the database, and whoever opens it first
 * makes them: with our name on them Home Assistant might not get in. So where there is no log,
 * which means that nobody has it open, it is read as a file that stands still, and likewise where
 * the files cannot be made (a read-only mount) and the log is empty. */
static int connect_to(database_t *self)
{
    int rc = connect_as(self, self->has_log && log_bytes(self) < 0);
    if ((rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY) && !self->is_still && log_bytes(self) <= 0)
        rc = connect_as(self, true);
    if (rc == SQLITE_CANTOPEN || rc == SQLITE_READONLY)
        return say(self, "it has a write-ahead log that cannot be read beside it, as on a read-only mount: copy it with its -wal file to where the suite may write");
    if (rc == SQLITE_NOTADB)
        return say(self, "it is no SQLite database, or an encrypted or damaged one");
    return rc == SQLITE_OK ? 0 : say(self, "it cannot be read as a SQLite database: %s", sqlite3_errmsg(self->db));
}

static int prepare_all(database_t *self)
{
    int rc = 0;
    for (enum table kind = 0; rc == 0 && kind < KINDS; kind++)
        rc = prepare(self, kind);
    sqlite3_busy_timeout(self->db, 0); /* from here on whoever waits is asked again later */
    return rc;
}

static void forget_pages(database_t *self)
{
    for (int kind = 0; kind < KINDS; kind++) {
        sqlite3_finalize(self->pages[kind]);
        self->pages[kind] = NULL;
    }
}

/* What is written goes to the log first, and to the file minutes later. */
int database_follow(database_t *self)
{
    if (!self->is_still || log_bytes(self) <= 0)
        return 0;
    forget_pages(self);
    return connect_to(self) || prepare_all(self) ? -1 : 0;
}

database_t *database_open(const char *path, size_t cache_bytes, char *why, size_t why_size)
{
    database_t *self = calloc(1, sizeof *self);
    assert(self);
    self->path = strdup(path);
    self->cache_bytes = cache_bytes;
    assert(self->path);
    if (look_at_file(self) == 0 && connect_to(self) == 0 && look_at_recorder(self) == 0 && prepare_all(self) == 0)
        return self;
    snprintf(why, why_size, "%s", self->why);
    database_close(&self);
    return NULL;
}

void database_close(database_t **self_p)
{
    database_t *self = *self_p;
    if (!self)
        return;
    forget_pages(self);
    sqlite3_close(self->db);
    free(self->path);
    free(self);
    *self_p = NULL;
}

int database_ends(database_t *self, enum table kind, int64_t *first, int64_t *last)
{
    char sql[160];
    *first = 1;
    *last = 0;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY %s LIMIT 1", tables[kind].id, tables[kind].table, tables[kind].id);
    int rc = read_one(self, sql, first, NULL, 0);
    if (rc > 0)
        return 0;
    snprintf(sql, sizeof sql, "SELECT %s FROM %s ORDER BY %s DESC LIMIT 1", tables[kind].id, tables[kind].table, tables[kind].id);
    return rc || read_one(self, sql, last, NULL, 0) ? say(self, "its %s cannot be read: %s", tables[kind].table, sqlite3_errmsg(self->db)) : 0;
}

/* --- pages ---------------------------------------------------------------------------------------- */

/* Which row it is that is too large: the first after the last one. */
static enum step find_large(database_t *self, enum table kind)
{
    char sql[200];
    sqlite3_reset(self->pages[kind]);
    snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE %s > %lld ORDER BY %s LIMIT 1", tables[kind].id, tables[kind].table,
             tables[kind].id, (long long)self->at[kind], tables[kind].id);
    if (read_one(self, sql, &self->large, NULL, 0) == 0)
        return STEP_LARGE;
    if (sqlite3_errcode(self->db) == SQLITE_BUSY)
        return STEP_BUSY;
    say(self, "its %s cannot be read after %s %lld: %s", tables[kind].table, tables[kind].id, (long long)self->at[kind], sqlite3_errmsg(self->db));
    return STEP_BROKEN;
}

enum step page_next(database_t *self, enum table kind)
{
    switch (sqlite3_step(self->pages[kind])) {
    case SQLITE_ROW:
        self->at[kind] = sqlite3_column_int64(self->pages[kind], 0);
        return STEP_ROW;
    case SQLITE_DONE:
        return STEP_END;
    case SQLITE_TOOBIG:
        return find_large(self, kind);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_SCHEMA:
        return STEP_BUSY;
    default:
        say(self, "its %s cannot be read after %s %lld: %s", tables[kind].table, tables[kind].id, (long long)self->at[kind], sqlite3_errmsg(self->db));
        return STEP_BROKEN;
    }
}

enum step page_begin(database_t *self, enum table kind, int64_t after, int64_t until)
{
    sqlite3_stmt *page = self->pages[kind];
    sqlite3_reset(page);
    sqlite3_bind_int64(page, 1, after);
    sqlite3_bind_int64(page, 2, until);
    self->at[kind] = after;
    return after >= until ? STEP_END : page_next(self, kind);
}

row_t *page_row(database_t *self, enum table kind)
{
    return self->pages[kind];
}

void page_end(database_t *self)
{
    for (int kind = 0; kind < KINDS; kind++)
        sqlite3_reset(self->pages[kind]);
}
