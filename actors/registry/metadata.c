/* metadata.c - metadata.db is opened, made, or found damaged and begun anew. */
#include "file.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const struct table_info metadata_tables[TABLES] = {
    [DEVICES] = { "device", "name", device_row_schema },
    [ENTITIES] = { "entity", "name", entity_row_schema },
    [AREAS] = { "area", "name", area_row_schema },
    [ENTRIES] = { "config_entry", "title", config_entry_row_schema },
};

const struct schema *metadata_schema(enum table table)
{
    return metadata_tables[table].schema();
}

const char *metadata_why(const metadata_t *self)
{
    return self->why;
}

bool metadata_is_damaged(const metadata_t *self)
{
    return self->is_damaged;
}

int file_fail(metadata_t *self)
{
    int code = sqlite3_errcode(self->db) & 0xff;
    self->is_damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    snprintf(self->why, sizeof self->why, "%s", sqlite3_errmsg(self->db));
    return -1;
}

int file_run(metadata_t *self, const char *text)
{
    return sqlite3_exec(self->db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : file_fail(self);
}

int file_prepare(metadata_t *self, const char *text, sqlite3_stmt **statement)
{
    return sqlite3_prepare_v2(self->db, text, -1, statement, NULL) == SQLITE_OK ? 0 : file_fail(self);
}

static const char *column_type(const struct field *f)
{
    return f->kind == INT_KIND || f->kind == FLAG_KIND ? "INTEGER" : f->kind == REAL_KIND ? "REAL" : "TEXT";
}

static int make_table(metadata_t *self, enum table table)
{
    const struct schema *s = metadata_schema(table);
    struct sql sql = { .size = 0 };
    sql_add(&sql, "CREATE TABLE IF NOT EXISTS %s (", metadata_tables[table].name);
    for (size_t i = 0; i < s->count; i++)
        if (!sql_is_computed(&s->fields[i]))
            sql_add(&sql, "%s %s%s, ", s->fields[i].name, column_type(&s->fields[i]),
                s->fields[i].flags & REQUIRED ? " NOT NULL" : "");
    sql_add(&sql, "PRIMARY KEY (");
    sql_add_keys(&sql, s, false);
    sql_add(&sql, ")) WITHOUT ROWID");
    return file_run(self, sql.text);
}

/* A row of the schema that an older version's table has not: a column more. */
static int add_missing_columns(metadata_t *self, enum table table)
{
    const struct schema *s = metadata_schema(table);
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (sql_is_computed(f) || sqlite3_table_column_metadata(self->db, NULL, metadata_tables[table].name, f->name, NULL, NULL,
                                  NULL, NULL, NULL) == SQLITE_OK)
            continue;
        struct sql sql = { .size = 0 };
        sql_add(&sql, "ALTER TABLE %s ADD COLUMN %s %s", metadata_tables[table].name, f->name, column_type(f));
        if (file_run(self, sql.text))
            return -1;
    }
    return 0;
}

static int prepare_table(metadata_t *self, enum table table)
{
    const struct schema *s = metadata_schema(table);
    struct sql find = { .size = 0 }, put = { .size = 0 };
    sql_add(&find, "SELECT ");
    sql_add_columns(&find, s, false);
    sql_add(&find, " FROM %s t WHERE ", metadata_tables[table].name);
    sql_add_keys(&find, s, true);
    sql_add(&put, "INSERT OR REPLACE INTO %s (", metadata_tables[table].name);
    int columns = 0;
    for (size_t i = 0; i < s->count; i++)
        if (!sql_is_computed(&s->fields[i]))
            sql_add(&put, "%s%s", columns++ ? ", " : "", s->fields[i].name);
    sql_add(&put, ") VALUES (");
    for (int i = 0; i < columns; i++)
        sql_add(&put, i ? ", ?" : "?");
    sql_add(&put, ")");
    return file_prepare(self, find.text, &self->find[table]) || file_prepare(self, put.text, &self->put[table]) ? -1 : 0;
}

static void read_seen_at(metadata_t *self)
{
    sqlite3_stmt *statement = NULL;
    if (file_prepare(self, "SELECT at FROM refreshed WHERE name = ?", &statement))
        return;
    for (int i = 0; i < TABLES; i++) {
        sqlite3_bind_text(statement, 1, metadata_tables[i].name, -1, SQLITE_STATIC);
        if (sqlite3_step(statement) == SQLITE_ROW)
            self->seen_at[i] = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
}

static int check_file(metadata_t *self)
{
    sqlite3_stmt *statement = NULL;
    if (file_prepare(self, "PRAGMA quick_check(1)", &statement))
        return -1;
    const char *answer = sqlite3_step(statement) == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool is_sound = answer && !strcmp(answer, "ok");
    if (!is_sound) {
        if (!answer)
            file_fail(self);
        else
            snprintf(self->why, sizeof self->why, "%s", answer);
        self->is_damaged = self->is_damaged || answer;
    }
    sqlite3_finalize(statement);
    return is_sound ? 0 : -1;
}

static int set_up(metadata_t *self)
{
    if (file_run(self, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA temp_store = MEMORY;") ||
        check_file(self))
        return -1;
    for (int i = 0; i < TABLES; i++)
        if (make_table(self, (enum table)i) || add_missing_columns(self, (enum table)i) ||
            prepare_table(self, (enum table)i))
            return -1;
    if (file_run(self, "CREATE INDEX IF NOT EXISTS entity_device ON entity (device_id);"
                  "CREATE INDEX IF NOT EXISTS entity_registry_id ON entity (registry_id);"
                  "CREATE INDEX IF NOT EXISTS entity_platform ON entity (platform);"
                  "CREATE TABLE IF NOT EXISTS refreshed (name TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;"
                  "CREATE TEMP TABLE seen (a TEXT, b TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID;"
                  "CREATE TEMP TABLE before (registry_id TEXT PRIMARY KEY, entity_id TEXT, created_at INTEGER)"
                  " WITHOUT ROWID") ||
        file_prepare(self, "INSERT OR REPLACE INTO seen VALUES (?1, coalesce(?2, ''))", &self->seen))
        return -1;
    read_seen_at(self);
    return 0;
}

static metadata_t *open_file(const char *path)
{
    metadata_t *self = calloc(1, sizeof *self);
    assert(self);
    int rc = sqlite3_open_v2(path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    assert(self->db);
    sqlite3_busy_timeout(self->db, 2000);
    sqlite3_extended_result_codes(self->db, 1);
    if (rc != SQLITE_OK)
        file_fail(self);
    return self;
}

void metadata_close(metadata_t **self_p)
{
    metadata_t *self = *self_p;
    if (!self)
        return;
    for (int i = 0; i < TABLES; i++) {
        sqlite3_finalize(self->find[i]);
        sqlite3_finalize(self->put[i]);
    }
    sqlite3_finalize(self->seen);
    sqlite3_close(self->db);
    free(self);
    *self_p = NULL;
}

static void move_aside(const char *path, struct opened *how)
{
    static const char *const parts[] = { "-shm", "-wal", "" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char from[sizeof how->moved];
        snprintf(from, sizeof from, "%s%s", path, parts[i]);
        snprintf(how->moved, sizeof how->moved, "%.1000s.damaged-%" PRId64 "%s", path, (int64_t)time(NULL), parts[i]);
        rename(from, how->moved);
    }
}

metadata_t *metadata_open(const char *path, struct opened *how)
{
    *how = (struct opened){ .why = "" };
    for (int attempt = 0; attempt < 2; attempt++) {
        metadata_t *self = open_file(path);
        if (!self->why[0] && !set_up(self))
            return self;
        bool is_damaged = self->is_damaged;
        snprintf(how->why, sizeof how->why, "%s", self->why);
        metadata_close(&self);
        if (!is_damaged || attempt)
            break;
        move_aside(path, how);
    }
    return NULL;
}
