/* storage.c - what every series takes on disk: its rows, its sealed chunks, its attributes. */
#include "activity.h"

#include "inside.h"
#include "samples.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a row takes besides its body: 35 bytes in `event`, 12 in a run, with SQLite's own and the ends of pages; measured, see docs/store.md. */
enum { KEY_BYTES = 47, ATTRIBUTES_US = 1500000, LOOK_EVERY = 1024 };

struct used {
    const struct series *series;
    int64_t hot_rows, hot_bytes, sealed_rows, sealed_bytes, sets, set_bytes, first, last;
    bool has_ends, has_sets;
};
enum order { ORDER_BYTES, ORDER_ROWS, ORDER_NAME };

/* --- rows ---------------------------------------------------------------------------------------- */

static enum store_result add_rows(store_t *store, sqlite3_stmt *stmt, struct used *u, int64_t *rows, int64_t *bytes)
{
    sqlite3_reset(stmt);
    sqlite3_bind_int64(stmt, 1, u->series->id);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return trouble(store, "cannot add up a series");
    *rows = sqlite3_column_int64(stmt, 0);
    *bytes = sqlite3_column_int64(stmt, 1);
    if (*rows == 0)
        return STORE_OK;
    int64_t first = sqlite3_column_int64(stmt, 2), last = sqlite3_column_int64(stmt, 3);
    u->first = u->has_ends && u->first < first ? u->first : first;
    u->last = u->has_ends && u->last > last ? u->last : last;
    u->has_ends = true;
    return STORE_OK;
}

/* 1 or 0; -1: trouble. */
static int has_table(store_t *store, const char *name)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, "SELECT 1 FROM sqlite_master WHERE name = ?", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}

static enum store_result add_up(store_t *store, const char *sql, bool sealed, struct used *used, size_t count)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return trouble(store, "cannot add up the series");
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < count && result == STORE_OK; i++) {
        struct used *u = &used[i];
        result = add_rows(store, stmt, u, sealed ? &u->sealed_rows : &u->hot_rows, sealed ? &u->sealed_bytes : &u->hot_bytes);
    }
    sqlite3_finalize(stmt);
    return result;
}

static enum store_result add_all(store_t *store, struct used *used, size_t count)
{
    static const char hot[] = "SELECT count(*), sum(length(body) + %d), min(at), max(at) FROM event WHERE series = ?";
    static const char sealed[] = "SELECT sum(rows), sum(main_bytes + rest_bytes), min(first), max(last) FROM chunk WHERE series = ?";
    char sql[sizeof hot + 16];
    snprintf(sql, sizeof sql, hot, (int)KEY_BYTES);
    enum store_result result = add_up(store, sql, false, used, count);
    int chunks = result == STORE_OK ? has_table(store, "chunk") : 0;
    if (chunks < 0)
        return trouble(store, "cannot look for chunks");
    return chunks ? add_up(store, sealed, true, used, count) : result;
}

/* --- attributes: a set counts for the first series that has it -------------------------------------- */

struct sets { store_t *store; sqlite3_stmt *size; uint8_t *known; size_t room; int64_t deadline; uint64_t looked; };

static bool is_known(struct sets *sets, int64_t id)
{
    size_t at = (size_t)id / 8;
    if (at >= sets->room) {
        size_t room = at + at / 2 + 4096;
        sets->known = realloc(sets->known, room);
        assert(sets->known);
        memset(sets->known + sets->room, 0, room - sets->room);
        sets->room = room;
    }
    bool known = sets->known[at] >> (id & 7) & 1;
    sets->known[at] |= (uint8_t)(1 << (id & 7));
    return known;
}

static enum store_result add_set(struct sets *sets, struct used *u, int64_t id)
{
    if (id == 0 || is_known(sets, id))
        return STORE_OK;
    sqlite3_reset(sets->size);
    sqlite3_bind_int64(sets->size, 1, id);
    if (sqlite3_step(sets->size) != SQLITE_ROW)
        return trouble(sets->store, "a row refers to what is not there");
    u->sets++;
    u->set_bytes += sqlite3_column_int64(sets->size, 0);
    return STORE_OK;
}

/* STORE_MISSING: there is no more time. */
static enum store_result add_sets_of(struct sets *sets, struct used *u)
{
    struct sample sample;
    enum store_result result;
    samples_t *samples = samples_open(sets->store, u->series->id, 0, MAX_TIME_US + 1, false);
    if (!samples)
        return STORE_TROUBLE;
    while ((result = samples_next(samples, &sample)) == STORE_OK) {
        result = add_set(sets, u, sample.attributes);
        if (result != STORE_OK || (++sets->looked % LOOK_EVERY == 0 && clock_us() > sets->deadline))
            break;
    }
    samples_close(&samples);
    u->has_sets = result == STORE_MISSING;
    return u->has_sets ? STORE_OK : result == STORE_OK ? STORE_MISSING : result;
}

static enum store_result add_sets(store_t *store, struct used *used, size_t count, int64_t deadline_us)
{
    static const char plain[] = "SELECT length(bytes) FROM attribute WHERE id = ?";
    static const char packed[] = "SELECT length(bytes) FROM attribute WHERE id = ?1 UNION ALL SELECT length(bytes) FROM attribute_packed WHERE id = ?1";
    struct sets sets = { .store = store, .deadline = deadline_us };
    int has_packed = has_table(store, "attribute_packed");
    if (has_packed < 0)
        return trouble(store, "cannot look for packed attributes");
    if (sqlite3_prepare_v2(store->db, has_packed == 1 ? packed : plain, -1, &sets.size, NULL) != SQLITE_OK)
        return trouble(store, "cannot add up attributes");
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < count && result == STORE_OK; i++)
        if (used[i].series->is_state)
            result = add_sets_of(&sets, &used[i]);
        else
            used[i].has_sets = true; /* its data stand in its rows */
    sqlite3_finalize(sets.size);
    free(sets.known);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- giving ----------------------------------------------------------------------------------------- */

static int64_t rows_of(const struct used *u)
{
    return u->hot_rows + u->sealed_rows;
}

static int64_t bytes_of(const struct used *u)
{
    return u->hot_bytes + u->sealed_bytes + (u->has_sets ? u->set_bytes : 0);
}

static int by_name(const void *left, const void *right)
{
    const struct series *a = ((const struct used *)left)->series, *b = ((const struct used *)right)->series;
    if (a->is_state != b->is_state)
        return a->is_state ? -1 : 1;
    int order = memcmp(a->name, b->name, a->name_size < b->name_size ? a->name_size : b->name_size);
    return order ? order : a->name_size < b->name_size ? -1 : a->name_size > b->name_size;
}

static int by_rows(const void *left, const void *right)
{
    int64_t a = rows_of(left), b = rows_of(right);
    return a != b ? (a < b ? 1 : -1) : by_name(left, right);
}

static int by_bytes(const void *left, const void *right)
{
    int64_t a = bytes_of(left), b = bytes_of(right);
    return a != b ? (a < b ? 1 : -1) : by_name(left, right);
}

static int give(const struct used *u, int64_t total, store_storage_fn *row, void *owner)
{
    struct storage_row one;
    struct slice name = { u->series->name, u->series->name_size };
    schema_clear(storage_row_schema(), &one);
    if (u->series->is_state)
        SET(&one, entity_id, name);
    SET(&one, event_type, u->series->is_state ? slice_of("state_changed") : name);
    SET(&one, rows, rows_of(u));
    SET(&one, bytes, bytes_of(u));
    SET(&one, hot_rows, u->hot_rows);
    SET(&one, hot_bytes, u->hot_bytes);
    SET(&one, sealed_rows, u->sealed_rows);
    SET(&one, sealed_bytes, u->sealed_bytes);
    if (u->has_sets) {
        SET(&one, attribute_sets, u->sets);
        SET(&one, attribute_bytes, u->set_bytes);
    }
    if (u->has_ends) {
        SET(&one, first, u->first);
        SET(&one, last, u->last);
    }
    SET(&one, share, total ? (double)bytes_of(u) / (double)total : 0.0);
    return row(owner, &one);
}

static void give_all(struct used *used, size_t count, enum order order, store_storage_fn *row, void *owner, struct page *end)
{
    static int (*const orders[])(const void *, const void *) = { [ORDER_BYTES] = by_bytes, [ORDER_ROWS] = by_rows, [ORDER_NAME] = by_name };
    int64_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += bytes_of(&used[i]);
    qsort(used, count, sizeof *used, orders[order]);
    for (size_t i = 0; i < count && end->count < end->limit; i++) {
        if (give(&used[i], total, row, owner) != 0)
            break;
        end->count++;
    }
    SET(end, total, (int64_t)count);
}

static int read_order(const struct storage_query *q, struct fault *fault)
{
    static const char *const orders[] = { "bytes", "rows", "name" };
    for (int i = 0; i < 3; i++)
        if (strcmp(q->has_sort ? q->sort : "bytes", orders[i]) == 0)
            return i;
    *fault = (struct fault){ "sort", "is none of bytes, rows, name" };
    return -1;
}

enum store_result store_storage(store_t *store, const struct storage_query *q, store_storage_fn *row, void *owner, struct page *end, struct fault *fault)
{
    bool empty;
    int64_t deadline_us = clock_us() + ATTRIBUTES_US;
    int order = read_order(q, fault);
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 100);
    enum store_result result = order < 0 ? STORE_BAD : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    size_t count = store->series.count;
    struct used *used = calloc(count + 1, sizeof *used);
    assert(used);
    for (size_t i = 0; i < count; i++)
        used[i].series = &store->series.items[i];
    result = add_all(store, used, count);
    if (result == STORE_OK)
        result = add_sets(store, used, count, deadline_us);
    if (result == STORE_OK)
        give_all(used, count, (enum order)order, row, owner, end);
    free(used);
    read_end(store);
    return result;
}
