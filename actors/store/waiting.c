/* waiting.c - rows that have joined but are not in the file: sorted, they go there by the thousand.
 *
 * One statement takes them all: it reads this memory as a table. A statement a row, with its
 * cursors to open and its values to bind, costs more than the row. In the order of its keys the
 * rows of a series meet the same page; in the order of time the other table only grows at its end. */
#include "inside.h"
#include "pack.h"
#include "times.h"

#include <stdint.h>
#include <stdlib.h>

enum { ROWS_MAX = 16384, BODIES_MAX = 2 * 1024 * 1024, STEPS_MAX = 256 };
#define DROPPED UINT32_MAX /* in place of a size */

struct feed { sqlite3_vtab base; store_t *store; };
struct feed_cursor { sqlite3_vtab_cursor base; const struct waiting *waiting; size_t at; };
enum { SERIES_COLUMN, AT_COLUMN, REST_COLUMN, SHIFT_COLUMN, PLACE_COLUMN, BODY_COLUMN, TIME_COLUMN, BACK_COLUMN };

/* --- as a table ---------------------------------------------------------------------------------- */

static int feed_connect(sqlite3 *db, void *store, int argc, const char *const *argv, sqlite3_vtab **table, char **why)
{
    (void)argc, (void)argv, (void)why;
    int rc = sqlite3_declare_vtab(db, "CREATE TABLE waiting (series, at, rest, shift, place, body, time, back)");
    struct feed *feed = rc == SQLITE_OK ? calloc(1, sizeof *feed) : NULL;
    if (rc == SQLITE_OK && !feed)
        return SQLITE_NOMEM;
    if (feed)
        feed->store = store;
    *table = feed ? &feed->base : NULL;
    return rc;
}

static int feed_disconnect(sqlite3_vtab *table)
{
    free(table);
    return SQLITE_OK;
}

static int feed_plan(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table;
    info->estimatedCost = ROWS_MAX;
    info->estimatedRows = ROWS_MAX;
    return SQLITE_OK;
}

static int feed_open(sqlite3_vtab *table, sqlite3_vtab_cursor **out)
{
    struct feed_cursor *cursor = calloc(1, sizeof *cursor);
    if (!cursor)
        return SQLITE_NOMEM;
    cursor->waiting = &((struct feed *)table)->store->waiting;
    *out = &cursor->base;
    return SQLITE_OK;
}

static int feed_close(sqlite3_vtab_cursor *base)
{
    free(base);
    return SQLITE_OK;
}

static int feed_filter(sqlite3_vtab_cursor *base, int number, const char *text, int argc, sqlite3_value **argv)
{
    (void)number, (void)text, (void)argc, (void)argv;
    ((struct feed_cursor *)base)->at = 0;
    return SQLITE_OK;
}

static int feed_next(sqlite3_vtab_cursor *base)
{
    ((struct feed_cursor *)base)->at++;
    return SQLITE_OK;
}

static int feed_eof(sqlite3_vtab_cursor *base)
{
    const struct feed_cursor *cursor = (const struct feed_cursor *)base;
    return cursor->at >= cursor->waiting->live;
}

static int feed_column(sqlite3_vtab_cursor *base, sqlite3_context *to, int column)
{
    const struct feed_cursor *cursor = (const struct feed_cursor *)base;
    const struct waiting *waiting = cursor->waiting;
    const struct waiting_row *row = &waiting->rows[waiting->order[cursor->at]];
    switch (column) {
    case SERIES_COLUMN: sqlite3_result_int64(to, row->key.series); break;
    case AT_COLUMN:     sqlite3_result_int64(to, row->key.at); break;
    case REST_COLUMN:   sqlite3_result_int(to, row->key.rest); break;
    case SHIFT_COLUMN:  sqlite3_result_int64(to, row->key.time - row->key.at); break;
    case PLACE_COLUMN:  sqlite3_result_int64(to, row->key.place); break;
    case BODY_COLUMN:   sqlite3_result_blob64(to, waiting->bodies.data + row->body, row->size, SQLITE_STATIC); break;
    case TIME_COLUMN:   sqlite3_result_int64(to, row->key.time); break;
    default:            sqlite3_result_int64(to, row->key.at - row->key.time); break;
    }
    return SQLITE_OK;
}

static int feed_rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *id)
{
    *id = (sqlite3_int64)((const struct feed_cursor *)base)->at;
    return SQLITE_OK;
}

static const sqlite3_module feed_module = {
    .xConnect = feed_connect, .xDisconnect = feed_disconnect, .xBestIndex = feed_plan, .xOpen = feed_open, .xClose = feed_close,
    .xFilter = feed_filter, .xNext = feed_next, .xEof = feed_eof, .xColumn = feed_column, .xRowid = feed_rowid,
};

int waiting_offer(store_t *store)
{
    if (sqlite3_create_module(store->db, "waiting", &feed_module, store) == SQLITE_OK)
        return 0;
    trouble(store, "cannot offer the rows that wait");
    return -1;
}

/* --- in ------------------------------------------------------------------------------------------- */

void waiting_forget(struct waiting *waiting)
{
    waiting->count = waiting->series_count = 0;
    waiting->number++;
    buffer_clear(&waiting->bodies);
}

void waiting_close(struct waiting *waiting)
{
    free(waiting->rows);
    free(waiting->order);
    free(waiting->series);
    msgpack_sbuffer_destroy(&waiting->bodies);
    *waiting = (struct waiting){ 0 };
}

void waiting_meet(const struct waiting *waiting, struct series *series)
{
    if (series->batch == waiting->number)
        return;
    series->batch = waiting->number;
    series->stored = series->newest;
    series->waits = 0;
}

bool waiting_may_have(const struct waiting *waiting, const struct series *series, int64_t at)
{
    uint32_t next = series->waits;
    for (int steps = 0; next != 0; steps++) {
        const struct waiting_row *row = &waiting->rows[next - 1];
        if (row->key.at == at || steps == STEPS_MAX)
            return true;
        next = row->previous;
    }
    return false;
}

static void make_room(struct waiting *waiting)
{
    if (waiting->count < waiting->room)
        return;
    waiting->room = waiting->room ? waiting->room * 2 : 256;
    waiting->rows = realloc(waiting->rows, waiting->room * sizeof *waiting->rows);
    waiting->order = realloc(waiting->order, waiting->room * sizeof *waiting->order);
    waiting->series = realloc(waiting->series, waiting->room * sizeof *waiting->series);
    assert(waiting->rows && waiting->order && waiting->series);
}

enum store_result waiting_add(store_t *store, struct series *series, const struct row_key *key, struct slice body)
{
    struct waiting *waiting = &store->waiting;
    make_room(waiting);
    if (series->waits == 0)
        waiting->series[waiting->series_count++] = series;
    waiting->rows[waiting->count] = (struct waiting_row){ *key, waiting->bodies.size, (uint32_t)body.size, series->waits };
    pack_bytes(&waiting->bodies, body.data, body.size);
    series->waits = (uint32_t)++waiting->count;
    return waiting->count >= ROWS_MAX || waiting->bodies.size >= BODIES_MAX ? waiting_write(store) : STORE_OK;
}

struct waiting_row *waiting_find(struct waiting *waiting, const struct store_row *row)
{
    bool waits = row->waits > 0 && row->waits <= waiting->count && row->batch == waiting->number;
    struct waiting_row *found = waits ? &waiting->rows[row->waits - 1] : NULL;
    return found && found->size != DROPPED && found->key.series == row->series && found->key.at == row->at ? found : NULL;
}

struct slice waiting_body(const struct waiting *waiting, const struct waiting_row *row)
{
    return (struct slice){ waiting->bodies.data + row->body, row->size };
}

void waiting_drop(struct waiting_row *row)
{
    row->size = DROPPED;
}

/* --- out ------------------------------------------------------------------------------------------ */

typedef int order_fn(const void *, const void *, void *rows);

static int by_key(const void *a, const void *b, void *rows)
{
    const struct waiting_row *list = rows;
    const struct row_key *left = &list[*(const uint32_t *)a].key, *right = &list[*(const uint32_t *)b].key;
    return left->at < right->at ? -1 : left->at > right->at; /* of one series; no two that wait have both in common */
}

static int by_time(const void *a, const void *b, void *rows)
{
    const struct waiting_row *list = rows;
    return key_order(&list[*(const uint32_t *)a].key, &list[*(const uint32_t *)b].key);
}

static int by_number(const void *a, const void *b)
{
    const struct series *left = *(const struct series *const *)a, *right = *(const struct series *const *)b;
    return left->id < right->id ? -1 : left->id > right->id;
}

/* They come in order as a rule, and then a look is all that it takes. */
static void sort(struct waiting *waiting, size_t from, order_fn *order)
{
    size_t at = from + 1;
    while (at < waiting->live && order(&waiting->order[at - 1], &waiting->order[at], waiting->rows) <= 0)
        at++;
    if (at < waiting->live)
        qsort_r(waiting->order + from, waiting->live - from, sizeof *waiting->order, order, waiting->rows);
}

static void order_by_time(struct waiting *waiting)
{
    waiting->live = 0;
    for (uint32_t i = 0; i < waiting->count; i++)
        if (waiting->rows[i].size != DROPPED)
            waiting->order[waiting->live++] = i;
    sort(waiting, 0, by_time);
}

/* Its rows lead from the last one back to the first. */
static void take_series(struct waiting *waiting, const struct series *series)
{
    size_t from = waiting->live;
    for (uint32_t next = series->waits; next != 0; next = waiting->rows[next - 1].previous)
        if (waiting->rows[next - 1].size != DROPPED)
            waiting->order[waiting->live++] = next - 1;
    for (size_t low = from, high = waiting->live; low + 1 < high; low++) {
        uint32_t last = waiting->order[--high];
        waiting->order[high] = waiting->order[low];
        waiting->order[low] = last;
    }
    sort(waiting, from, by_key);
}

static void order_by_key(struct waiting *waiting)
{
    qsort(waiting->series, waiting->series_count, sizeof *waiting->series, by_number);
    waiting->live = 0;
    for (size_t i = 0; i < waiting->series_count; i++)
        take_series(waiting, waiting->series[i]);
}

static enum store_result write_ordered(store_t *store, enum statement which)
{
    sqlite3_stmt *put = statement(store, which);
    if (!put)
        return STORE_TROUBLE;
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot write rows");
}

/* Into runs; those that are late into the table of such. */
static enum store_result write_times(store_t *store)
{
    struct waiting *waiting = &store->waiting;
    struct run_writer runs;
    size_t late = 0;
    bool taken = true;
    order_by_time(waiting);
    run_writer_open(&runs);
    enum store_result result = STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < waiting->live; i++) {
        result = run_writer_put(store, &runs, &waiting->rows[waiting->order[i]].key, &taken);
        if (!taken)
            waiting->order[late++] = waiting->order[i];
    }
    result = run_writer_close(store, &runs, result);
    waiting->live = late;
    return result == STORE_OK && late > 0 ? write_ordered(store, TIMES_ADD) : result;
}

enum store_result waiting_write(store_t *store)
{
    struct waiting *waiting = &store->waiting;
    if (waiting->count == 0)
        return STORE_OK;
    order_by_key(waiting);
    enum store_result result = write_ordered(store, EVENTS_ADD);
    if (result == STORE_OK)
        result = write_times(store);
    waiting_forget(waiting);
    return result;
}
