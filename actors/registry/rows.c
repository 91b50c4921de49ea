/* rows.c - SQL made from schemas, and rows in and out of it. */
#include "file.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- SQL from schemas ------------------------------------------------------------------------ */

void sql_add(struct sql *sql, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(sql->text + sql->size, sizeof sql->text - sql->size, format, list);
    va_end(list);
    assert(n >= 0 && (size_t)n < sizeof sql->text - sql->size);
    sql->size += (size_t)n;
}

bool sql_is_computed(const struct field *f)
{
    return !strcmp(f->name, "entity_count") || !strcmp(f->name, "revision");
}

void sql_add_keys(struct sql *sql, const struct schema *s, bool as_conditions)
{
    int keys = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->fields[i].flags & TAG) {
            sql_add(sql, "%s%s", keys++ ? (as_conditions ? " AND " : ", ") : "", s->fields[i].name);
            sql_add(sql, "%s", as_conditions ? " = ?" : "");
        }
}

/* Every column in the schema's order; entity_count is worked out, or NULL, revision is NULL. */
void sql_add_columns(struct sql *sql, const struct schema *s, bool compute)
{
    for (size_t i = 0; i < s->count; i++) {
        if (!sql_is_computed(&s->fields[i]))
            sql_add(sql, "%st.%s", i ? ", " : "", s->fields[i].name);
        else if (compute && !strcmp(s->fields[i].name, "entity_count"))
            sql_add(sql, ", (SELECT count(*) FROM entity e WHERE e.device_id = t.device_id AND e.removed_at IS NULL"
                     " AND (?1 IS NULL OR e.platform = ?1))");
        else
            sql_add(sql, ", NULL");
    }
}

/* --- rows in and out --------------------------------------------------------------------------- */

bool *row_has(const struct field *f, void *row)
{
    return (bool *)((char *)row + f->has_at);
}

void *row_member(const struct field *f, void *row)
{
    return (char *)row + f->at;
}

static int bind_field(sqlite3_stmt *statement, int at, const struct field *f, const void *row)
{
    const char *member = (const char *)row + f->at;
    if (!*(const bool *)((const char *)row + f->has_at))
        return sqlite3_bind_null(statement, at);
    switch (f->kind) {
    case TEXT_KIND:
        return sqlite3_bind_text(statement, at, member,
            (int)*(const uint32_t *)(const void *)((const char *)row + f->size_at), SQLITE_STATIC);
    case INT_KIND: return sqlite3_bind_int64(statement, at, *(const int64_t *)(const void *)member);
    case FLAG_KIND: return sqlite3_bind_int(statement, at, *(const bool *)member);
    case REAL_KIND: return sqlite3_bind_double(statement, at, *(const double *)(const void *)member);
    case VIEW_KIND:
    case JSON_KIND:
    case BLOB_KIND: {
        const struct slice *s = (const struct slice *)(const void *)member;
        return sqlite3_bind_text(statement, at, s->data, (int)s->size, SQLITE_STATIC);
    }
    }
    return SQLITE_MISUSE;
}

static void read_field(sqlite3_stmt *statement, int at, const struct field *f, void *row)
{
    if (sqlite3_column_type(statement, at) == SQLITE_NULL)
        return;
    *row_has(f, row) = true;
    const unsigned char *text = NULL;
    size_t size = 0;
    if (f->kind == TEXT_KIND || f->kind == JSON_KIND) {
        text = sqlite3_column_text(statement, at);
        size = (size_t)sqlite3_column_bytes(statement, at);
    }
    switch (f->kind) {
    case TEXT_KIND:
        text_store(row_member(f, row), f->max + 1, (uint32_t *)(void *)((char *)row + f->size_at), row_has(f, row), text,
            size);
        break;
    case INT_KIND: *(int64_t *)row_member(f, row) = sqlite3_column_int64(statement, at); break;
    case FLAG_KIND: *(bool *)row_member(f, row) = sqlite3_column_int(statement, at) != 0; break;
    case REAL_KIND: *(double *)row_member(f, row) = sqlite3_column_double(statement, at); break;
    case VIEW_KIND:
    case JSON_KIND:
    case BLOB_KIND: *(struct slice *)row_member(f, row) = (struct slice){ text, size }; break;
    }
}

const struct field *row_field(enum table table, const char *name)
{
    const struct field *f = schema_field(metadata_schema(table), name, strlen(name));
    assert(f);
    return f;
}

void row_set_int(enum table table, const char *name, void *row, int64_t value)
{
    const struct field *f = row_field(table, name);
    *(int64_t *)row_member(f, row) = value;
    *row_has(f, row) = true;
}

static bool has_field(enum table table, const char *name, void *row)
{
    return *row_has(row_field(table, name), row);
}

/* The row under the statement. What is there was last seen when its list was last read. */
void *row_read(metadata_t *self, enum table table, sqlite3_stmt *statement)
{
    const struct schema *s = metadata_schema(table);
    void *row = self->row.bytes;
    assert(s->size <= sizeof self->row.bytes);
    schema_clear(s, row);
    for (size_t i = 0; i < s->count; i++)
        read_field(statement, (int)i, &s->fields[i], row);
    const struct field *at = row_field(table, "timestamp");
    if (!has_field(table, "removed_at", row) && *(int64_t *)row_member(at, row) < self->seen_at[table])
        row_set_int(table, "timestamp", row, self->seen_at[table]);
    return row;
}

int row_bind_keys(sqlite3_stmt *statement, const struct schema *s, const void *row)
{
    int at = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->fields[i].flags & TAG)
            bind_field(statement, ++at, &s->fields[i], row);
    return at;
}

/* The stored row of that key, or NULL. The statement is to be reset after use. */
void *row_find(metadata_t *self, enum table table, const void *key)
{
    sqlite3_stmt *statement = self->find[table];
    row_bind_keys(statement, metadata_schema(table), key);
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return row_read(self, table, statement);
    if (rc != SQLITE_DONE)
        file_fail(self);
    return NULL;
}

int row_write(metadata_t *self, enum table table, const void *row)
{
    const struct schema *s = metadata_schema(table);
    sqlite3_stmt *statement = self->put[table];
    int at = 0;
    for (size_t i = 0; i < s->count; i++)
        if (!sql_is_computed(&s->fields[i]))
            bind_field(statement, ++at, &s->fields[i], row);
    int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : file_fail(self);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return rc;
}
