/* queries.c - what metadata.db is asked. */
#include "file.h"

#include <string.h>

int metadata_each(metadata_t *self, enum table table, metadata_row_fn *fn, void *owner)
{
    struct sql sql = { .size = 0 };
    sqlite3_stmt *statement = NULL;
    sql_add(&sql, "SELECT ");
    sql_add_columns(&sql, metadata_schema(table), false);
    sql_add(&sql, " FROM %s t", metadata_tables[table].name);
    if (file_prepare(self, sql.text, &statement))
        return -1;
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        fn(owner, table, row_read(self, table, statement));
    int rc = step == SQLITE_DONE ? 0 : file_fail(self);
    sqlite3_finalize(statement);
    return rc;
}

int64_t metadata_count(metadata_t *self, enum table table, bool removed)
{
    struct sql sql = { .size = 0 };
    sqlite3_stmt *statement = NULL;
    sql_add(&sql, "SELECT count(*) FROM %s WHERE removed_at IS %s", metadata_tables[table].name,
        removed ? "NOT NULL" : "NULL");
    if (file_prepare(self, sql.text, &statement))
        return 0;
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return count;
}

/* A parameter that the statement does not name is left out. */
static void bind_params(sqlite3_stmt *statement, const struct param params[], size_t count)
{
    int named = sqlite3_bind_parameter_count(statement);
    for (int i = 1; i <= named && i <= (int)count; i++) {
        const struct param *p = &params[i - 1];
        if (p->has && p->text)
            sqlite3_bind_text(statement, i, p->text, (int)p->size, SQLITE_STATIC);
        else if (p->has)
            sqlite3_bind_int64(statement, i, p->number);
    }
}

static int count_found(metadata_t *self, enum table table, const char *where, const struct param params[],
    size_t count, int64_t *total)
{
    struct sql sql = { .size = 0 };
    sqlite3_stmt *statement = NULL;
    sql_add(&sql, "SELECT count(*) FROM %s t WHERE t.removed_at IS NULL AND (%s)", metadata_tables[table].name, where);
    if (file_prepare(self, sql.text, &statement))
        return -1;
    bind_params(statement, params, count);
    int rc = sqlite3_step(statement) == SQLITE_ROW ? 0 : file_fail(self);
    if (!rc)
        *total = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rc;
}

static int prepare_find(metadata_t *self, enum table table, const char *where, int64_t limit, int64_t offset,
    sqlite3_stmt **statement)
{
    const struct schema *s = metadata_schema(table);
    const char *order = metadata_tables[table].order;
    struct sql sql = { .size = 0 };
    sql_add(&sql, "SELECT ");
    sql_add_columns(&sql, s, true);
    sql_add(&sql, " FROM %s t WHERE t.removed_at IS NULL AND (%s) ORDER BY t.%s IS NULL, t.%s, ",
        metadata_tables[table].name, where, order, order);
    sql_add_keys(&sql, s, false);
    sql_add(&sql, " LIMIT %lld OFFSET %lld", (long long)limit, (long long)offset);
    return file_prepare(self, sql.text, statement);
}

int metadata_find(metadata_t *self, enum table table, const char *where, const struct param params[], size_t count,
    int64_t limit, int64_t offset, int64_t *total, metadata_found_fn *fn, void *owner)
{
    sqlite3_stmt *statement = NULL;
    if ((total && count_found(self, table, where, params, count, total)) ||
        prepare_find(self, table, where, limit, offset, &statement))
        return -1;
    bind_params(statement, params, count);
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        if (fn(owner, row_read(self, table, statement)))
            break;
    int rc = step == SQLITE_DONE || step == SQLITE_ROW ? 0 : file_fail(self);
    sqlite3_finalize(statement);
    return rc;
}

bool metadata_entry_domain(metadata_t *self, const char *entry_id, char to[256])
{
    sqlite3_stmt *statement = NULL;
    if (file_prepare(self, "SELECT domain FROM config_entry WHERE entry_id = ?", &statement))
        return false;
    sqlite3_bind_text(statement, 1, entry_id, -1, SQLITE_STATIC);
    bool found = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_bytes(statement, 0) < 256;
    if (found)
        memcpy(to, sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0) + 1);
    sqlite3_finalize(statement);
    return found;
}

int metadata_platform(metadata_t *self, const char *platform, metadata_count_fn *fn, void *owner, int64_t *devices)
{
    sqlite3_stmt *statement = NULL;
    if (file_prepare(self, "SELECT count(DISTINCT device_id) FROM entity WHERE platform = ? AND removed_at IS NULL",
            &statement))
        return -1;
    sqlite3_bind_text(statement, 1, platform, -1, SQLITE_STATIC);
    int rc = sqlite3_step(statement) == SQLITE_ROW ? 0 : file_fail(self);
    *devices = rc ? 0 : sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    if (rc || file_prepare(self, "SELECT domain, count(*) FROM entity WHERE platform = ? AND removed_at IS NULL"
                                 " GROUP BY domain ORDER BY 2 DESC, 1", &statement))
        return -1;
    sqlite3_bind_text(statement, 1, platform, -1, SQLITE_STATIC);
    int step;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW)
        fn(owner, (const char *)sqlite3_column_text(statement, 0), sqlite3_column_int64(statement, 1));
    rc = step == SQLITE_DONE ? 0 : file_fail(self);
    sqlite3_finalize(statement);
    return rc;
}
