/* lineage_list.c - what was noted of names, and the spans of a history, as rows. */
#include "lineage_inside.h"

#include <string.h>

static const char *const kind_names[] = { [LINEAGE_RENAME] = "rename", [LINEAGE_MERGE] = "merge", [LINEAGE_SPLIT] = "split", [LINEAGE_ANOTHER] = "another" };
static const char *const found_names[] = { [FOUND_EVENT] = "event", [FOUND_REGISTRY] = "registry", [FOUND_BY_HAND] = "user" };

static const char *name_in(const char *const names[], size_t count, int number)
{
    return number > 0 && (size_t)number < count ? names[number] : "?";
}

static void read_row(sqlite3_stmt *row, struct lineage_row *to)
{
    schema_clear(lineage_row_schema(), to);
    const char *kind = name_in(kind_names, sizeof kind_names / sizeof *kind_names, sqlite3_column_int(row, 1));
    const char *found = name_in(found_names, sizeof found_names / sizeof *found_names, sqlite3_column_int(row, 5));
    struct slice before = column_bytes(row, 3), after = column_bytes(row, 4);
    SET(to, id, sqlite3_column_int64(row, 0));
    SET_TEXT(to, kind, kind, strlen(kind));
    SET(to, at, sqlite3_column_int64(row, 2));
    if (sqlite3_column_type(row, 3) != SQLITE_NULL)
        SET_TEXT(to, from, before.data, before.size);
    SET_TEXT(to, to, after.data, after.size);
    SET_TEXT(to, found, found, strlen(found));
    SET(to, noted_at, sqlite3_column_int64(row, 6));
    if (sqlite3_column_type(row, 7) != SQLITE_NULL)
        SET(to, undone_at, sqlite3_column_int64(row, 7));
}

enum store_result lineage_get(store_t *store, int64_t id, struct lineage_row *to)
{
    sqlite3_stmt *get = statement(store, LINEAGE_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, id);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW)
        read_row(get, to);
    sqlite3_reset(get);
    return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the lineage");
}

static enum store_result give_tenure(store_t *store, const struct tenure *t, lineage_span_fn *span, void *owner)
{
    struct lineage_span_row row;
    struct lineage_row noted;
    schema_clear(lineage_span_row_schema(), &row);
    SET_TEXT(&row, entity_id, t->name.text, t->name.size);
    if (t->from > 0)
        SET(&row, from, t->from);
    if (t->to != FOREVER_US)
        SET(&row, to, t->to);
    if (t->begins > 0) {
        enum store_result result = lineage_get(store, t->begins, &noted);
        if (result != STORE_OK)
            return result;
        SET(&row, begun_by, noted.id);
        SET_TEXT(&row, kind, noted.kind, noted.kind_size);
    }
    return span(owner, &row) == 0 ? STORE_OK : STORE_MISSING;
}

int lineage_identity(bool has, const char *identity, bool *by_role, struct fault *fault)
{
    *by_role = has && strcmp(identity, "role") == 0;
    if (!has || *by_role || strcmp(identity, "device") == 0)
        return 0;
    *fault = (struct fault){ "identity", "is none of device, role" };
    return -1;
}

enum store_result store_lineage_rows(store_t *store, const struct lineage_query *q, lineage_span_fn *span, void *owner, struct page *end, struct fault *fault)
{
    struct thing thing;
    bool empty, by_role;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    if (lineage_identity(q->has_identity, q->identity, &by_role, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    result = lineage_history(store, (struct slice){ q->entity_id, q->entity_id_size }, by_role, q->has_at ? q->at : FOREVER_US, &thing);
    for (size_t i = 0; result == STORE_OK && i < thing.count; i++) {
        result = give_tenure(store, &thing.items[i], span, owner);
        end->count += result == STORE_OK;
    }
    if (thing.items && result == STORE_MISSING)
        result = STORE_OK; /* no room for more: more names than anybody gives */
    thing_free(&thing);
    read_end(store);
    return result;
}

static enum store_result give_list(store_t *store, const struct lineage_list_query *q, int64_t from, lineage_row_fn *give, void *owner, struct page *end)
{
    struct lineage_row row;
    int64_t limit = q->has_limit ? q->limit : 100;
    sqlite3_stmt *list = statement(store, LINEAGE_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, from);
    if (q->has_entity_id)
        bind_bytes(list, 2, (struct slice){ q->entity_id, q->entity_id_size });
    else
        sqlite3_bind_null(list, 2);
    sqlite3_bind_int(list, 3, q->has_undone && q->undone);
    sqlite3_bind_int64(list, 4, limit + 1);
    int rc;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        read_row(list, &row);
        if (end->count == limit || give(owner, &row) != 0) {
            cursor_write(&(struct row_key){ 0, 0, row.id, 0, 0 }, lineage_mark(q), end);
            break;
        }
        end->count++;
    }
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the lineage");
}

enum store_result store_lineage_list(store_t *store, const struct lineage_list_query *q, lineage_row_fn *give, void *owner, struct page *end, struct fault *fault)
{
    struct row_key from = { .series = INT64_MAX };
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 100);
    if (q->has_cursor && cursor_check((struct slice){ q->cursor, q->cursor_size }, lineage_mark(q), &from, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    if (lineage_is_there(store))
        result = give_list(store, q, from.series, give, owner, end);
    read_end(store);
    return result;
}
