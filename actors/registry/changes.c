/* changes.c - a list of Home Assistant's becomes rows: new, changed, renamed, gone. */
#include "file.h"

#include <assert.h>
#include <string.h>

int metadata_begin(metadata_t *self, enum table table, const char *kind)
{
    (void)kind;
    if (file_run(self, "BEGIN IMMEDIATE; DELETE FROM seen; DELETE FROM before"))
        return -1;
    if (table != ENTITIES)
        return 0;
    int rc = file_run(self, "INSERT OR REPLACE INTO before SELECT registry_id, entity_id, created_at FROM entity"
                            " WHERE registry_id IS NOT NULL AND removed_at IS NULL");
    if (rc)
        metadata_abort(self);
    return rc;
}

void metadata_abort(metadata_t *self)
{
    sqlite3_exec(self->db, "ROLLBACK", NULL, NULL, NULL);
}

static struct slice text_in(const struct field *f, const void *row)
{
    const char *base = row;
    if (f->kind == TEXT_KIND)
        return (struct slice){ base + f->at, *(const uint32_t *)(const void *)(base + f->size_at) };
    return *(const struct slice *)(const void *)(base + f->at);
}

static bool is_same_field(const struct field *f, const void *one, const void *other)
{
    bool has = *(const bool *)((const char *)one + f->has_at);
    if (has != *(const bool *)((const char *)other + f->has_at))
        return false;
    if (!has)
        return true;
    const char *a = (const char *)one + f->at, *b = (const char *)other + f->at;
    if (f->kind == INT_KIND)
        return *(const int64_t *)(const void *)a == *(const int64_t *)(const void *)b;
    if (f->kind == FLAG_KIND)
        return *(const bool *)a == *(const bool *)b;
    assert(f->kind == TEXT_KIND || f->kind == JSON_KIND);
    struct slice x = text_in(f, one), y = text_in(f, other);
    return x.size == y.size && !memcmp(x.data, y.data, x.size);
}

/* Whether what Home Assistant says is the same; when it was said does not count. */
static bool is_same_row(enum table table, const void *one, const void *other)
{
    const struct schema *s = metadata_schema(table);
    for (size_t i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        bool is_ours = !strcmp(f->name, "timestamp") || !strcmp(f->name, "created_at") || sql_is_computed(f);
        if (!is_ours && !is_same_field(f, one, other))
            return false;
    }
    return true;
}

/* When the entity of that registry id was first seen, under whatever name. */
static bool created_before(metadata_t *self, const struct entity_row *row, int64_t *created_at)
{
    sqlite3_stmt *statement = NULL;
    if (!row->has_registry_id ||
        file_prepare(self, "SELECT created_at FROM before WHERE registry_id = ?", &statement))
        return false;
    sqlite3_bind_text(statement, 1, row->registry_id, (int)row->registry_id_size, SQLITE_STATIC);
    bool found = sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) != SQLITE_NULL;
    if (found)
        *created_at = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return found;
}

/* An entity id that now belongs to another entity (a new one, or one renamed to it). */
static bool is_another(enum table table, const void *one, const void *other)
{
    return table == ENTITIES && !is_same_field(row_field(table, "registry_id"), one, other);
}

static int mark_seen(metadata_t *self, enum table table, const void *row)
{
    sqlite3_clear_bindings(self->seen);
    row_bind_keys(self->seen, metadata_schema(table), row);
    int rc = sqlite3_step(self->seen) == SQLITE_DONE ? 0 : file_fail(self);
    sqlite3_reset(self->seen);
    return rc;
}

int metadata_put(metadata_t *self, enum table table, void *row, int64_t now_us)
{
    const struct field *created = row_field(table, "created_at");
    row_set_int(table, "timestamp", row, now_us);
    *row_has(row_field(table, "removed_at"), row) = false;
    if (mark_seen(self, table, row))
        return -1;
    int64_t created_at = now_us;
    void *stored = row_find(self, table, row);
    bool is_known = stored && !is_another(table, stored, row);
    bool is_same = is_known && is_same_row(table, stored, row);
    if (is_known && *row_has(created, stored))
        created_at = *(int64_t *)row_member(created, stored);
    sqlite3_reset(self->find[table]);
    if (!is_known && table == ENTITIES)
        created_before(self, row, &created_at);
    row_set_int(table, "created_at", row, created_at);
    if (is_same)
        return 0;
    return row_write(self, table, row) ? -1 : 1;
}

void metadata_keep(metadata_t *self, enum table table, const void *row)
{
    const struct schema *s = metadata_schema(table);
    for (size_t i = 0; i < s->count; i++)
        if (s->fields[i].flags & TAG && !*(const bool *)((const char *)row + s->fields[i].has_at))
            return;
    (void)mark_seen(self, table, row);
}

/* The name that an entity goes by now, if it was renamed. */
static void set_renamed(metadata_t *self, struct entity_row *row)
{
    sqlite3_stmt *statement = NULL;
    if (!row->has_registry_id || file_prepare(self, "SELECT t.entity_id FROM entity t JOIN seen ON seen.a = t.entity_id"
                                                    " WHERE t.registry_id = ? AND t.removed_at IS NULL", &statement))
        return;
    sqlite3_bind_text(statement, 1, row->registry_id, (int)row->registry_id_size, SQLITE_STATIC);
    if (sqlite3_step(statement) == SQLITE_ROW)
        SET_TEXT(row, renamed_to, sqlite3_column_text(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_finalize(statement);
}

static int bury(metadata_t *self, enum table table, void *row, int64_t now_us, metadata_row_fn *gone, void *owner)
{
    row_set_int(table, "removed_at", row, now_us);
    if (table == ENTITIES)
        set_renamed(self, row);
    if (row_write(self, table, row))
        return -1;
    gone(owner, table, row);
    return 0;
}

/* The rows that are there and were not put, by key: they change under the walk. */
static int prepare_missing(metadata_t *self, enum table table, const char *kind, sqlite3_stmt **statement)
{
    const struct schema *s = metadata_schema(table);
    struct sql sql = { .size = 0 };
    const char *second = table == AREAS ? "area_id" : "''";
    sql_add(&sql, "CREATE TEMP TABLE gone AS SELECT ");
    sql_add_keys(&sql, s, false);
    sql_add(&sql, " FROM %s t WHERE removed_at IS NULL%s%s%s AND NOT EXISTS (SELECT 1 FROM seen WHERE a = t.%s"
                  " AND b = %s%s)", metadata_tables[table].name, *kind ? " AND kind = '" : "", kind, *kind ? "'" : "",
        s->fields[0].name, table == AREAS ? "t." : "", second);
    if (file_run(self, "DROP TABLE IF EXISTS temp.gone") || file_run(self, sql.text))
        return -1;
    struct sql walk = { .size = 0 };
    sql_add(&walk, "SELECT ");
    sql_add_columns(&walk, s, false);
    sql_add(&walk, " FROM temp.gone g CROSS JOIN %s t USING (", metadata_tables[table].name);
    sql_add_keys(&walk, s, false);
    sql_add(&walk, ")");
    return file_prepare(self, walk.text, statement);
}

static int note_refresh(metadata_t *self, enum table table, int64_t now_us)
{
    sqlite3_stmt *statement = NULL;
    if (file_prepare(self, "INSERT OR REPLACE INTO refreshed VALUES (?, ?)", &statement))
        return -1;
    sqlite3_bind_text(statement, 1, metadata_tables[table].name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, now_us);
    int rc = sqlite3_step(statement) == SQLITE_DONE ? 0 : file_fail(self);
    sqlite3_finalize(statement);
    return rc;
}

int metadata_end(metadata_t *self, enum table table, const char *kind, int64_t now_us, metadata_row_fn *gone,
    void *owner)
{
    sqlite3_stmt *statement = NULL;
    int rc = prepare_missing(self, table, kind, &statement);
    int step = SQLITE_DONE;
    while (!rc && (step = sqlite3_step(statement)) == SQLITE_ROW)
        rc = bury(self, table, row_read(self, table, statement), now_us, gone, owner);
    if (!rc && step != SQLITE_DONE)
        rc = file_fail(self);
    sqlite3_finalize(statement);
    if (rc || note_refresh(self, table, now_us) || file_run(self, "COMMIT")) {
        metadata_abort(self);
        return -1;
    }
    self->seen_at[table] = now_us;
    return 0;
}
