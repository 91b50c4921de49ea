/* file.c - monitor.db, one small table a noun. */
#include "file.h"

#include <assert.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct file { sqlite3 *db; char why[200]; };

static const char *const tables =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -256;"
    "PRAGMA journal_size_limit = 262144; PRAGMA wal_autocheckpoint = 32;"
    "CREATE TABLE IF NOT EXISTS alert (id INTEGER PRIMARY KEY, row BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS rule (name TEXT PRIMARY KEY, enabled INTEGER NOT NULL, severity INTEGER NOT NULL, threshold REAL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS expected (name TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS number (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;";

const char *file_why(const file_t *self)
{
    return self->why;
}

static int fail(file_t *self)
{
    snprintf(self->why, sizeof self->why, "%s", sqlite3_errmsg(self->db));
    return -1;
}

static sqlite3_stmt *prepare(file_t *self, const char *text)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(self->db, text, -1, &statement, NULL) != SQLITE_OK)
        fail(self);
    return statement;
}

/* Run to its end and forget. */
static int finish(file_t *self, sqlite3_stmt *statement)
{
    int rc = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    int result = rc == SQLITE_DONE ? 0 : fail(self);
    sqlite3_finalize(statement);
    return result;
}

/* A disk that is full or cannot be written is no damage. */
static bool is_damage(file_t *self)
{
    int code = sqlite3_errcode(self->db);
    return code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
}

static bool is_sound(file_t *self, bool *is_damaged)
{
    sqlite3_stmt *check = prepare(self, "PRAGMA quick_check(1)");
    bool answers = check && sqlite3_step(check) == SQLITE_ROW;
    const char *said = answers ? (const char *)sqlite3_column_text(check, 0) : "";
    bool sound = said && strcmp(said, "ok") == 0;
    *is_damaged = answers ? !sound : is_damage(self);
    if (answers && !sound)
        snprintf(self->why, sizeof self->why, "%s", said ? said : "it cannot be checked");
    else if (!sound)
        fail(self);
    sqlite3_finalize(check);
    return sound;
}

static file_t *try_open(const char *path, char *why, size_t size, bool *is_damaged)
{
    *is_damaged = false;
    file_t *self = calloc(1, sizeof *self);
    assert(self);
    int rc = sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_busy_timeout(self->db, 500);
        if (is_sound(self, is_damaged)) {
            if (sqlite3_exec(self->db, tables, NULL, NULL, NULL) == SQLITE_OK)
                return self;
            *is_damaged = is_damage(self);
        }
    }
    if (!self->why[0])
        fail(self);
    snprintf(why, size, "%s", self->why);
    file_close(&self);
    return NULL;
}

file_t *file_open(const char *path, char *why, size_t size)
{
    static const char *const parts[] = { "-shm", "-wal", "" };
    char from[1100], to[1200];
    why[0] = '\0';
    bool is_damaged;
    file_t *self = try_open(path, why, size, &is_damaged);
    if (self || !is_damaged)
        return self;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(from, sizeof from, "%.1000s%s", path, parts[i]);
        snprintf(to, sizeof to, "%.1000s.damaged-%" PRId64 "%s", path, (int64_t)time(NULL), parts[i]);
        rename(from, to);
    }
    char again[200];
    self = try_open(path, again, sizeof again, &is_damaged);
    return self;
}

void file_close(file_t **self_p)
{
    if (!*self_p)
        return;
    sqlite3_close((*self_p)->db);
    free(*self_p);
    *self_p = NULL;
}

/* --- alerts ---------------------------------------------------------------------------------- */

int file_save_alert(file_t *self, const struct alert *alert)
{
    msgpack_sbuffer bytes = { 0 };
    struct fault fault;
    int rc = alert_encode(alert, &bytes, &fault);
    assert(rc == 0);
    sqlite3_stmt *put = prepare(self, "INSERT OR REPLACE INTO alert (id, row) VALUES (?, ?)");
    if (put) {
        sqlite3_bind_int64(put, 1, alert->id);
        sqlite3_bind_blob64(put, 2, bytes.data, bytes.size, SQLITE_STATIC);
    }
    rc = finish(self, put);
    msgpack_sbuffer_destroy(&bytes);
    return rc;
}

int file_drop_alert(file_t *self, int64_t id)
{
    sqlite3_stmt *drop = prepare(self, "DELETE FROM alert WHERE id = ?");
    if (drop)
        sqlite3_bind_int64(drop, 1, id);
    return finish(self, drop);
}

int file_load_alerts(file_t *self, file_alert_fn *each, void *owner)
{
    sqlite3_stmt *list = prepare(self, "SELECT row FROM alert ORDER BY id");
    while (list && sqlite3_step(list) == SQLITE_ROW) {
        struct alert alert;
        struct fault fault;
        struct slice bytes = { sqlite3_column_blob(list, 0), (size_t)sqlite3_column_bytes(list, 0) };
        if (alert_decode(bytes, &alert, &fault) == 0)
            each(owner, &alert);
    }
    sqlite3_finalize(list);
    return list ? 0 : -1;
}

/* --- rules ------------------------------------------------------------------------------------ */

int file_save_rule(file_t *self, const struct rule *rule)
{
    sqlite3_stmt *put = prepare(self, "INSERT OR REPLACE INTO rule (name, enabled, severity, threshold) VALUES (?, ?, ?, ?)");
    if (put) {
        sqlite3_bind_text(put, 1, rule->name, -1, SQLITE_STATIC);
        sqlite3_bind_int(put, 2, rule->enabled);
        sqlite3_bind_int(put, 3, (int)rule->severity);
        if (isnan(rule->threshold))
            sqlite3_bind_null(put, 4);
        else
            sqlite3_bind_double(put, 4, rule->threshold);
    }
    return finish(self, put);
}

int file_load_rules(file_t *self, struct rule rules[RULES])
{
    sqlite3_stmt *list = prepare(self, "SELECT name, enabled, severity, threshold FROM rule");
    while (list && sqlite3_step(list) == SQLITE_ROW) {
        int id = rules_find(rules, (const char *)sqlite3_column_text(list, 0)), severity = sqlite3_column_int(list, 2);
        if (id < 0 || severity < 0 || severity >= SEVERITIES)
            continue;
        struct rule *rule = &rules[id];
        rule->enabled = sqlite3_column_int(list, 1) != 0;
        rule->severity = (enum severity)severity;
        if (!isnan(rule->threshold) && sqlite3_column_type(list, 3) != SQLITE_NULL)
            rule->threshold = sqlite3_column_double(list, 3);
        rule->changed = true;
    }
    sqlite3_finalize(list);
    return list ? 0 : -1;
}

/* --- who is expected --------------------------------------------------------------------------- */

static int with_name(file_t *self, const char *text, const char *name)
{
    sqlite3_stmt *statement = prepare(self, text);
    if (statement)
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return finish(self, statement);
}

int file_save_name(file_t *self, const char *name)
{
    return with_name(self, "INSERT OR IGNORE INTO expected (name) VALUES (?)", name);
}

int file_drop_name(file_t *self, const char *name)
{
    return with_name(self, "DELETE FROM expected WHERE name = ?", name);
}

int file_load_names(file_t *self, file_name_fn *each, void *owner)
{
    sqlite3_stmt *list = prepare(self, "SELECT name FROM expected ORDER BY name");
    while (list && sqlite3_step(list) == SQLITE_ROW)
        each(owner, (const char *)sqlite3_column_text(list, 0));
    sqlite3_finalize(list);
    return list ? 0 : -1;
}

/* --- numbers ------------------------------------------------------------------------------------ */

int file_save_number(file_t *self, const char *name, int64_t value)
{
    sqlite3_stmt *put = prepare(self, "INSERT OR REPLACE INTO number (name, value) VALUES (?, ?)");
    if (put) {
        sqlite3_bind_text(put, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(put, 2, value);
    }
    return finish(self, put);
}

bool file_load_number(file_t *self, const char *name, int64_t *value)
{
    sqlite3_stmt *get = prepare(self, "SELECT value FROM number WHERE name = ?");
    if (get)
        sqlite3_bind_text(get, 1, name, -1, SQLITE_STATIC);
    bool found = get && sqlite3_step(get) == SQLITE_ROW;
    if (found)
        *value = sqlite3_column_int64(get, 0);
    sqlite3_finalize(get);
    return found;
}
