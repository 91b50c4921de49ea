/* refused.c - the quarantine: bytes that were refused, until they are taken after all or deleted. */
#include "inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED_KEPT = 1024 * 1024 }; /* a buffer larger than this is given back */

static void bind_text(sqlite3_stmt *stmt, int at, const char *text, size_t size)
{
    sqlite3_bind_text(stmt, at, text, (int)size, SQLITE_STATIC);
}

/* Run a statement to its end: how many rows it changed, or -1: rolled back. */
static int change(store_t *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    if (rc == SQLITE_DONE)
        return sqlite3_changes(store->db);
    trouble(store, "cannot change the quarantine");
    store_abandon(store, NULL);
    return -1;
}

static sqlite3_stmt *begin_change(store_t *store, enum statement which)
{
    assert(store->writer);
    sqlite3_stmt *stmt = store_begin(store) == STORE_OK ? statement(store, which) : NULL;
    if (!stmt)
        store_abandon(store, NULL);
    return stmt;
}

/* --- in ------------------------------------------------------------------------------------------ */

/* What stood in a frame that was given back has another place each time. */
static enum store_result find_like(store_t *store, const struct event_bad *bad)
{
    sqlite3_stmt *like = begin_change(store, BAD_LIKE);
    if (!like)
        return STORE_TROUBLE;
    bind_text(like, 1, bad->stage, bad->stage_size);
    sqlite3_bind_int64(like, 2, bad->received_at);
    bind_bytes(like, 3, bad->bytes);
    int rc = sqlite3_step(like);
    sqlite3_reset(like);
    sqlite3_clear_bindings(like);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return rc == SQLITE_ROW ? STORE_DUPLICATE : STORE_MISSING;
    trouble(store, "cannot look into the quarantine");
    return store_abandon(store, NULL);
}

static int add(store_t *store, const struct event_bad *bad, int64_t identity)
{
    sqlite3_stmt *stmt = begin_change(store, BAD_ADD);
    if (!stmt)
        return -1;
    bind_text(stmt, 1, bad->stage, bad->stage_size);
    sqlite3_bind_int64(stmt, 2, identity);
    if (bad->has_field)
        bind_text(stmt, 3, bad->field, bad->field_size);
    bind_text(stmt, 4, bad->why, bad->why_size);
    if (bad->has_place)
        sqlite3_bind_int64(stmt, 5, bad->place);
    sqlite3_bind_int64(stmt, 6, bad->received_at);
    bind_bytes(stmt, 7, bad->bytes);
    return change(store, stmt);
}

static int say_again(store_t *store, const struct event_bad *bad, int64_t identity)
{
    sqlite3_stmt *say = begin_change(store, BAD_SAY);
    if (!say)
        return -1;
    bind_text(say, 1, bad->stage, bad->stage_size);
    sqlite3_bind_int64(say, 2, identity);
    if (bad->has_field)
        bind_text(say, 3, bad->field, bad->field_size);
    bind_text(say, 4, bad->why, bad->why_size);
    return change(store, say);
}

static int note_source(store_t *store, const struct event_bad *bad)
{
    if (!bad->has_provenance || strcmp(bad->provenance, "live") == 0)
        return 0;
    sqlite3_stmt *source = begin_change(store, SOURCE_ADD);
    if (!source)
        return -1;
    sqlite3_bind_int64(source, 1, sqlite3_last_insert_rowid(store->db));
    bind_text(source, 2, bad->provenance, bad->provenance_size);
    return change(store, source);
}

static enum store_result settle_bad(store_t *store, const struct event_bad *bad, enum store_fate fate, enum store_result result)
{
    settle(store, source_of(bad->has_provenance, bad->provenance), fate);
    return result;
}

enum store_result store_quarantine(store_t *store, const struct event_bad *bad)
{
    enum store_result known = bad->has_again && bad->again ? find_like(store, bad) : STORE_MISSING;
    if (known == STORE_DUPLICATE)
        return settle_bad(store, bad, STORE_FATE_DUPLICATE, known);
    if (known != STORE_MISSING)
        return known;
    /* Without a place the bytes themselves tell a repetition; below zero, where no place is. */
    int64_t identity = bad->has_place ? bad->place : -1 - (int64_t)(hash_bytes(HASH_SEED, bad->bytes) >> 1);
    int added = add(store, bad, identity);
    if (added < 0 || (added > 0 && note_source(store, bad) < 0))
        return STORE_TROUBLE;
    if (added > 0)
        return settle_bad(store, bad, STORE_FATE_QUARANTINED, STORE_OK);
    if (say_again(store, bad, identity) < 0)
        return STORE_TROUBLE;
    /* Bytes without a place cannot be told from the same bytes once more. */
    return bad->has_place ? settle_bad(store, bad, STORE_FATE_REDELIVERED, STORE_REDELIVERED)
        : settle_bad(store, bad, STORE_FATE_DUPLICATE, STORE_DUPLICATE);
}

/* --- out and about ---------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t room, struct slice text)
{
    size_t size = text.size < room ? text.size : room - 1;
    memcpy(to, text.data, size);
    to[size] = '\0';
}

static void read_refused(store_t *store, sqlite3_stmt *next, struct store_refused *row)
{
    struct slice bytes = column_bytes(next, 4);
    bool is_live = sqlite3_column_type(next, 5) == SQLITE_NULL;
    if (store->refused.alloc > REFUSED_KEPT) {
        msgpack_sbuffer_destroy(&store->refused);
        msgpack_sbuffer_init(&store->refused);
    }
    msgpack_sbuffer_clear(&store->refused);
    if (bytes.size)
        msgpack_sbuffer_write(&store->refused, bytes.data, bytes.size);
    *row = (struct store_refused){ .id = sqlite3_column_int64(next, 0), .has_place = sqlite3_column_type(next, 2) != SQLITE_NULL,
        .place = sqlite3_column_int64(next, 2), .received_at = sqlite3_column_int64(next, 3),
        .bytes = { bytes.size ? store->refused.data : "", bytes.size } };
    copy_text(row->stage, sizeof row->stage, column_bytes(next, 1));
    copy_text(row->provenance, sizeof row->provenance, is_live ? slice_of("live") : column_bytes(next, 5));
}

enum store_result store_refused_next(store_t *store, int64_t id, const char *stage, struct store_refused *row)
{
    sqlite3_stmt *next = begin_change(store, BAD_NEXT);
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, id);
    bind_text(next, 2, stage, strlen(stage));
    int rc = sqlite3_step(next);
    if (rc == SQLITE_ROW)
        read_refused(store, next, row);
    sqlite3_reset(next);
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return rc == SQLITE_ROW ? STORE_OK : STORE_MISSING;
    trouble(store, "cannot read the quarantine");
    return store_abandon(store, NULL);
}

enum store_result store_refused_last(store_t *store, int64_t *id)
{
    sqlite3_stmt *last = begin_change(store, BAD_LAST);
    int rc = last ? sqlite3_step(last) : SQLITE_ERROR;
    if (!last)
        return STORE_TROUBLE;
    *id = rc == SQLITE_ROW ? sqlite3_column_int64(last, 0) : 0;
    sqlite3_reset(last);
    if (rc == SQLITE_ROW)
        return STORE_OK;
    trouble(store, "cannot read the quarantine");
    return store_abandon(store, NULL);
}

enum store_result store_refused_say(store_t *store, int64_t id, const struct fault *fault)
{
    sqlite3_stmt *say = begin_change(store, BAD_SAY_ID);
    if (!say)
        return STORE_TROUBLE;
    sqlite3_bind_int64(say, 1, id);
    if (fault->field && fault->field[0])
        bind_text(say, 2, fault->field, strlen(fault->field));
    bind_text(say, 3, fault->why, strlen(fault->why));
    return change(store, say) < 0 ? STORE_TROUBLE : STORE_OK;
}

static int drop(store_t *store, enum statement which, int64_t id)
{
    sqlite3_stmt *stmt = begin_change(store, which);
    if (!stmt)
        return -1;
    sqlite3_bind_int64(stmt, 1, id);
    return change(store, stmt);
}

static enum store_result drop_row(store_t *store, int64_t id)
{
    int dropped = drop(store, BAD_DROP, id);
    if (dropped <= 0)
        return dropped < 0 ? STORE_TROUBLE : STORE_MISSING;
    return drop(store, SOURCE_DROP, id) < 0 || drop(store, BAD_TOP, id) < 0 ? STORE_TROUBLE : STORE_OK;
}

enum store_result store_refused_drop(store_t *store, int64_t id)
{
    return drop_row(store, id);
}

enum store_result store_refused_settle(store_t *store, int64_t id)
{
    struct store_refused row;
    enum store_result result = store_refused_next(store, id, "", &row);
    if (result == STORE_OK && row.id != id)
        result = STORE_MISSING;
    if (result == STORE_OK)
        result = drop_row(store, id);
    if (result == STORE_OK)
        unsettle(store, source_of(true, row.provenance), STORE_FATE_QUARANTINED);
    return result;
}

/* --- readers ------------------------------------------------------------------------------------------ */

static void read_bad(sqlite3_stmt *list, struct bad_row *bad)
{
    schema_clear(bad_row_schema(), bad);
    SET(bad, id, sqlite3_column_int64(list, 0));
    struct slice stage = column_bytes(list, 1), field = column_bytes(list, 2), why = column_bytes(list, 3);
    SET_TEXT(bad, stage, stage.data, stage.size);
    if (sqlite3_column_type(list, 2) != SQLITE_NULL)
        SET_TEXT(bad, field, field.data, field.size);
    SET_TEXT(bad, why, why.data, why.size);
    SET(bad, received_at, sqlite3_column_int64(list, 4));
    SET(bad, size, sqlite3_column_int64(list, 5));
    SET(bad, bytes, column_bytes(list, 6));
}

static enum store_result count_bad(store_t *store, const struct bad_query *q, struct page *end)
{
    sqlite3_stmt *count = statement(store, q->has_since ? BAD_COUNT_SINCE : BAD_COUNT);
    if (!count)
        return STORE_TROUBLE;
    bind_text(count, 1, q->stage, q->has_stage ? q->stage_size : 0);
    if (q->has_since)
        sqlite3_bind_int64(count, 2, q->since);
    if (sqlite3_step(count) != SQLITE_ROW)
        return trouble(store, "cannot count the quarantine");
    SET(end, total, sqlite3_column_int64(count, 0));
    return STORE_OK;
}

static void set_cursor(struct page *end, int64_t id)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%lld", (long long)id + 1);
    SET_TEXT(end, next_cursor, text, (size_t)size);
}

static enum store_result list_bad(store_t *store, const struct bad_query *q, int64_t below, store_bad_fn *row, void *owner, struct page *end)
{
    int rc = SQLITE_DONE;
    sqlite3_stmt *list = statement(store, BAD_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, below);
    bind_text(list, 2, q->stage, q->has_stage ? q->stage_size : 0);
    sqlite3_bind_int64(list, 3, q->has_since ? q->since : 0);
    sqlite3_bind_int64(list, 4, end->limit + 1);
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        struct bad_row bad;
        read_bad(list, &bad);
        if (end->count == end->limit || row(owner, &bad) != 0) {
            set_cursor(end, bad.id);
            return STORE_OK;
        }
        end->count++;
    }
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the quarantine");
}

/* A cursor is the number below which the list goes on. */
static int read_below(const struct bad_query *q, int64_t *below)
{
    char *rest = NULL;
    *below = INT64_MAX;
    if (!q->has_cursor)
        return 0;
    *below = strtoll(q->cursor, &rest, 10);
    return q->cursor[0] < '0' || q->cursor[0] > '9' || *rest || *below > MAX_COUNT ? -1 : 0;
}

enum store_result store_bad_rows(store_t *store, const struct bad_query *q, store_bad_fn *row, void *owner, struct page *end, struct fault *fault)
{
    bool empty;
    int64_t below;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 100);
    SET(end, total, 0);
    if (read_below(q, &below)) {
        *fault = (struct fault){ "cursor", "is none of this list" };
        return STORE_BAD;
    }
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = count_bad(store, q, end);
    if (result == STORE_OK)
        result = list_bad(store, q, below, row, owner, end);
    read_end(store);
    return result;
}

static void give_whole(sqlite3_stmt *get, store_bad_whole_fn *row, void *owner)
{
    struct bad_row head;
    struct bad_whole whole;
    read_bad(get, &head);
    schema_clear(bad_whole_schema(), &whole);
    SET(&whole, id, head.id);
    SET_TEXT(&whole, stage, head.stage, head.stage_size);
    if (head.has_field)
        SET_TEXT(&whole, field, head.field, head.field_size);
    SET_TEXT(&whole, why, head.why, head.why_size);
    SET(&whole, received_at, head.received_at);
    SET(&whole, size, head.size);
    SET(&whole, is_text, text_is_plain(head.bytes));
    if (whole.is_text)
        SET(&whole, text, head.bytes);
    else
        SET(&whole, bytes, head.bytes);
    row(owner, &whole);
}

enum store_result store_bad_get(store_t *store, int64_t id, store_bad_whole_fn *row, void *owner)
{
    bool empty;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    sqlite3_stmt *get = statement(store, BAD_GET);
    int rc = SQLITE_ERROR;
    if (get) {
        sqlite3_bind_int64(get, 1, id);
        rc = sqlite3_step(get);
    }
    if (rc == SQLITE_ROW)
        give_whole(get, row, owner);
    else
        result = rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the quarantine");
    read_end(store);
    return result;
}
