/* plain.c - the buckets of hours and days as rows of a table, for whoever reads the file with SQL and nothing else. */
#include "plain.h"
#include "rolling.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_ROWS = 2048 };

struct plain_row {
    int64_t from, count;
    double seconds, unavailable, gap, mean, min, max, last, increase;
    bool has_mean, has_ends, has_last, has_increase;
    size_t state, durations; /* where their texts begin, behind one another; both end where the next row's begin */
    bool has_state, has_durations;
};

struct plain_rows { struct plain_row *items; size_t count, room; msgpack_sbuffer texts; };

/* --- rows in the making --------------------------------------------------------------------------- */

/* One state that was there all the time is told by `last`: the view says the rest. */
static void take_states(struct plain_rows *rows, struct plain_row *row, const struct bucket *b)
{
    bool is_one = b->has_last && b->states == 1 && b->other_us == 0;
    row->has_state = b->has_last;
    if (b->has_last)
        msgpack_sbuffer_write(&rows->texts, b->last_state.size ? b->last_state.data : "", b->last_state.size);
    row->durations = rows->texts.size;
    row->has_durations = !is_one && b->states > 0;
    if (row->has_durations)
        bucket_durations(b, &rows->texts);
}

/* Where nothing changed in it, a number is written once. */
static void take_numbers(struct plain_row *row, const struct bucket *b, enum series_class class)
{
    row->has_mean = bucket_mean(b, class, &row->mean);
    bool is_one = class != CLASS_ANGLE && b->has_range && b->has_last && b->min == b->max;
    if (is_one)
        row->mean = b->min;
    row->has_ends = b->has_range && !is_one;
    row->has_last = b->has_last && !is_one;
    row->min = b->min;
    row->max = b->max;
    row->last = b->last;
    row->has_increase = b->has_increase;
    row->increase = b->increase;
}

void plain_add(struct plain_rows **rows_p, const struct bucket *b, enum series_class class)
{
    if (!*rows_p) {
        *rows_p = calloc(1, sizeof **rows_p);
        assert(*rows_p);
        msgpack_sbuffer_init(&(*rows_p)->texts);
    }
    struct plain_rows *rows = *rows_p;
    if (b->value_us == 0 && b->count == 0)
        return;
    if (rows->count == rows->room) {
        rows->room = rows->room ? rows->room * 2 : CHUNK_DAYS;
        rows->items = realloc(rows->items, rows->room * sizeof *rows->items);
        assert(rows->items);
    }
    struct plain_row *row = &rows->items[rows->count++];
    *row = (struct plain_row){ .from = b->from, .count = b->count, .seconds = (double)b->value_us / 1e6,
        .unavailable = (double)b->unavailable_us / 1e6, .gap = (double)b->gap_us / 1e6, .state = rows->texts.size };
    if (class == CLASS_STATES)
        take_states(rows, row, b);
    else
        take_numbers(row, b, class);
}

void plain_free(struct plain_rows **rows_p)
{
    if (!*rows_p)
        return;
    msgpack_sbuffer_destroy(&(*rows_p)->texts);
    free((*rows_p)->items);
    free(*rows_p);
    *rows_p = NULL;
}

/* --- into the file ---------------------------------------------------------------------------------- */

static enum store_result run(store_t *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot write the buckets for SQL");
}

static void bind_real(sqlite3_stmt *stmt, int at, bool has, double number)
{
    if (has)
        sqlite3_bind_double(stmt, at, number);
}

static void bind_row(sqlite3_stmt *put, const struct plain_rows *rows, size_t i)
{
    const struct plain_row *row = &rows->items[i];
    size_t end = i + 1 < rows->count ? rows->items[i + 1].state : rows->texts.size;
    sqlite3_bind_int64(put, 3, row->from / SECOND_US);
    sqlite3_bind_int64(put, 4, row->count);
    sqlite3_bind_double(put, 5, row->seconds);
    sqlite3_bind_double(put, 6, row->unavailable);
    sqlite3_bind_double(put, 7, row->gap);
    bind_real(put, 8, row->has_mean, row->mean);
    bind_real(put, 9, row->has_ends, row->min);
    bind_real(put, 10, row->has_ends, row->max);
    bind_real(put, 11, row->has_last, row->last);
    bind_real(put, 12, row->has_increase, row->increase);
    if (row->has_state)
        sqlite3_bind_text(put, 13, rows->texts.data ? rows->texts.data + row->state : "", (int)(row->durations - row->state), SQLITE_STATIC);
    if (row->has_durations)
        sqlite3_bind_text(put, 14, rows->texts.data + row->durations, (int)(end - row->durations), SQLITE_STATIC);
}

/* Since 1970: its date. A day begins at its first moment, which its own date has. */
static int64_t local_day(const zone_t *zone, int64_t from)
{
    int64_t local_us = from + zone_offset_s(zone, from) * SECOND_US;
    return local_us / DAY_US - (local_us % DAY_US < 0);
}

static enum store_result put_row(store_t *store, const struct plain_rows *rows, size_t i, int64_t series, const struct rollup_head *head, const zone_t *zone)
{
    sqlite3_stmt *put = statement(store, BUCKET_PUT);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_clear_bindings(put); /* what is absent is NULL */
    sqlite3_bind_int64(put, 1, series);
    sqlite3_bind_int(put, 2, (int)head->tier);
    bind_row(put, rows, i);
    if (head->unit.size)
        sqlite3_bind_text(put, 15, head->unit.text, (int)head->unit.size, SQLITE_STATIC);
    if (head->tier == TIER_DAY)
        sqlite3_bind_int64(put, 16, local_day(zone, rows->items[i].from));
    return run(store, put);
}

enum store_result plain_drop(store_t *store, int64_t series, enum tier tier, int64_t from, int64_t end)
{
    sqlite3_stmt *drop = from < end ? statement(store, BUCKET_DROP) : NULL;
    if (!drop)
        return from < end ? STORE_TROUBLE : STORE_OK;
    sqlite3_bind_int64(drop, 1, series);
    sqlite3_bind_int(drop, 2, (int)tier);
    sqlite3_bind_int64(drop, 3, from / SECOND_US);
    sqlite3_bind_int64(drop, 4, end / SECOND_US);
    return run(store, drop);
}

enum store_result plain_drop_days(store_t *store)
{
    sqlite3_stmt *drop = store->plain.state == PLAIN_OFF ? NULL : statement(store, BUCKET_DROP_DAYS);
    if (!drop)
        return store->plain.state == PLAIN_OFF ? STORE_OK : STORE_TROUBLE;
    return run(store, drop);
}

static enum store_result put_meta(store_t *store, const struct plain *p)
{
    char text[80];
    sqlite3_stmt *put = statement(store, BUCKET_META_PUT);
    if (!put)
        return STORE_TROUBLE;
    snprintf(text, sizeof text, p->state == PLAIN_ON ? "on" : "%lld %d %lld", (long long)p->series, p->tier, (long long)p->chunk);
    sqlite3_bind_text(put, 1, text, -1, SQLITE_STATIC);
    return run(store, put);
}

enum store_result plain_write(store_t *store, const struct plain_rows *rows, int64_t series, int64_t chunk, int64_t end, const struct rollup_head *head,
                              const zone_t *zone)
{
    enum store_result result = STORE_OK;
    int64_t at = head->from;
    for (size_t i = 0; rows && i < rows->count && result == STORE_OK; i++) {
        result = plain_drop(store, series, head->tier, at, rows->items[i].from);
        if (result == STORE_OK)
            result = put_row(store, rows, i, series, head, zone);
        at = rows->items[i].from + SECOND_US;
    }
    if (result == STORE_OK)
        result = plain_drop(store, series, head->tier, at, end);
    const struct plain *p = &store->plain;
    bool is_next = p->state == PLAIN_FILLS && p->series == series && p->tier == (int)head->tier && p->chunk == chunk;
    return result == STORE_OK && is_next ? put_meta(store, p) : result;
}

/* --- on and off --------------------------------------------------------------------------------------- */

static const char *const table =
    "CREATE TABLE IF NOT EXISTS bucket (series INTEGER NOT NULL, tier INTEGER NOT NULL, start INTEGER NOT NULL, count INTEGER NOT NULL,"
    " seconds REAL NOT NULL, unavailable REAL NOT NULL, gap REAL NOT NULL, mean REAL, min REAL, max REAL, last REAL, increase REAL,"
    " state TEXT, durations TEXT, unit TEXT, day INTEGER, PRIMARY KEY (series, tier, start)) WITHOUT ROWID;";

/* What was on before: 1; 0: it was off, and the table is there; -1: there is none. */
static enum store_result look(store_t *store, int *found, struct plain *p)
{
    sqlite3_stmt *get = statement(store, BUCKET_META_GET);
    int tier = 0;
    long long series = 0, chunk = 0;
    if (!get)
        return STORE_TROUBLE;
    int rc = sqlite3_step(get);
    *found = sqlite3_column_type(get, 1) == SQLITE_NULL ? -1 : sqlite3_column_type(get, 0) != SQLITE_NULL;
    const char *text = (const char *)sqlite3_column_text(get, 0);
    bool is_filling = text && sscanf(text, "%lld %d %lld", &series, &tier, &chunk) == 3;
    *p = (struct plain){ .state = is_filling ? PLAIN_FILLS : PLAIN_ON, .series = series, .tier = tier, .chunk = chunk };
    sqlite3_reset(get);
    return rc == SQLITE_ROW ? STORE_OK : trouble(store, "cannot look for the buckets for SQL");
}

static enum store_result switch_on(store_t *store, bool was_on)
{
    if (!was_on)
        store->plain = (struct plain){ .state = PLAIN_FILLS };
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    bool is_made = sqlite3_exec(store->db, table, NULL, NULL, NULL) == SQLITE_OK;
    if (!is_made || put_meta(store, &store->plain) != STORE_OK || views_make_buckets(store, true))
        return store_abandon(store, is_made ? NULL : "cannot make the table of buckets");
    return store_commit(store);
}

static enum store_result switch_off(store_t *store)
{
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *drop = statement(store, BUCKET_META_DROP);
    if (!drop || run(store, drop) != STORE_OK || views_make_buckets(store, false))
        return store_abandon(store, NULL);
    return store_commit(store);
}

enum store_result store_set_plain(store_t *store, bool is_on)
{
    int found;
    enum store_result result = look(store, &found, &store->plain);
    if (result != STORE_OK)
        return result;
    if (is_on)
        return switch_on(store, found > 0);
    store->plain.state = found < 0 ? PLAIN_OFF : PLAIN_GOES;
    return found > 0 ? switch_off(store) : STORE_OK;
}

/* --- what next --------------------------------------------------------------------------------------------- */

static enum store_result go(store_t *store)
{
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *some = statement(store, BUCKET_DROP_SOME);
    if (!some)
        return store_abandon(store, NULL);
    sqlite3_bind_int(some, 1, PIECE_ROWS);
    if (run(store, some) != STORE_OK)
        return store_abandon(store, NULL);
    if (sqlite3_changes(store->db) > 0)
        return store_commit(store) == STORE_OK ? STORE_DUPLICATE : STORE_TROUBLE;
    if (sqlite3_exec(store->db, "DROP TABLE bucket", NULL, NULL, NULL) != SQLITE_OK)
        return store_abandon(store, "cannot drop the buckets for SQL");
    if (store_commit(store) != STORE_OK)
        return STORE_TROUBLE;
    store->plain.state = PLAIN_OFF;
    return STORE_MISSING;
}

/* From where the file says that it has come to: a chunk that could not be made is looked for again. */
static enum store_result fill(store_t *store)
{
    struct plain *p = &store->plain, done = { .state = PLAIN_ON };
    int found;
    enum store_result result = look(store, &found, p);
    sqlite3_stmt *next = result == STORE_OK ? statement(store, BUCKET_NEXT) : NULL;
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, p->series);
    sqlite3_bind_int(next, 2, p->tier);
    sqlite3_bind_int64(next, 3, p->chunk);
    int rc = sqlite3_step(next);
    if (rc == SQLITE_ROW)
        *p = (struct plain){ PLAIN_FILLS, sqlite3_column_int64(next, 0), sqlite3_column_int64(next, 2), sqlite3_column_int(next, 1) };
    sqlite3_reset(next);
    if (rc != SQLITE_DONE)
        return rc == SQLITE_ROW ? STORE_OK : trouble(store, "cannot look for the next chunk");
    if (store_begin(store) != STORE_OK || put_meta(store, &done) != STORE_OK)
        return store_abandon(store, NULL);
    result = store_commit(store);
    if (result == STORE_OK)
        *p = done;
    return result == STORE_OK ? STORE_MISSING : result;
}

enum store_result plain_next(store_t *store, int64_t *series, enum tier *tier, int64_t *chunk)
{
    struct plain *p = &store->plain;
    if (p->state == PLAIN_GOES)
        return go(store);
    enum store_result result = p->state == PLAIN_FILLS ? fill(store) : STORE_MISSING;
    *series = p->series;
    *tier = (enum tier)p->tier;
    *chunk = p->chunk;
    return result;
}
