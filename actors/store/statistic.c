/* statistic.c - what Home Assistant has summed up by the hour and by five minutes: kept once a series and period, asked for in their order. */
#include "inside.h"
#include "pack.h"

#include <string.h>

enum { HOUR_S = 3600, FIVE_MINUTES_S = 300 };

/* The numbers of a row, in the order of the table's columns. */
static const struct { size_t at, has_at; } numbers[] = {
#define NUMBER(name) { offsetof(struct statistic_row, name), offsetof(struct statistic_row, has_##name) }
    NUMBER(mean), NUMBER(min), NUMBER(max), NUMBER(state), NUMBER(sum), NUMBER(mean_weight),
#undef NUMBER
};
enum { NUMBERS = sizeof numbers / sizeof *numbers, FIRST_NUMBER = 4, LAST_RESET = FIRST_NUMBER + NUMBERS };

static int64_t period_seconds(const char *period)
{
    return strcmp(period, "hour") == 0 ? HOUR_S : strcmp(period, "5minute") == 0 ? FIVE_MINUTES_S : 0;
}

static enum store_result refuse_statistic(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return STORE_BAD;
}

/* --- in ------------------------------------------------------------------------------------------- */

/* What a row says besides its numbers: the same for as good as all of a series. */
static void meta_write(const struct statistic_row *row, msgpack_sbuffer *out)
{
    pack_number(out, (uint64_t)((row->has_unit ? 1 : 0) | (row->has_name ? 2 : 0) | (row->has_source ? 4 : 0) | (row->has_mean_type ? 8 : 0)));
    if (row->has_unit)
        pack_slice(out, (struct slice){ row->unit, row->unit_size });
    if (row->has_name)
        pack_slice(out, (struct slice){ row->name, row->name_size });
    if (row->has_source)
        pack_slice(out, (struct slice){ row->source, row->source_size });
    if (row->has_mean_type)
        pack_number(out, (uint64_t)row->mean_type);
}

static int meta_read(struct slice bytes, struct statistic_row *row)
{
    struct unpack in = unpack_of(bytes);
    uint64_t there = unpack_number(&in);
    struct slice text;
    if (there & 1 && ((text = unpack_slice(&in)).data == NULL || SET_TEXT(row, unit, text.data, text.size)))
        return -1;
    if (there & 2 && ((text = unpack_slice(&in)).data == NULL || SET_TEXT(row, name, text.data, text.size)))
        return -1;
    if (there & 4 && ((text = unpack_slice(&in)).data == NULL || SET_TEXT(row, source, text.data, text.size)))
        return -1;
    if (there & 8)
        SET(row, mean_type, (int64_t)unpack_number(&in));
    return in.bad ? -1 : 0;
}

/* The number of what is found by its bytes (and, for a series, its period), made when it is new. */
static enum store_result number_of(store_t *store, enum statement find, enum statement add, struct slice bytes, int64_t seconds, int64_t *id)
{
    for (int turn = 0; turn < 2; turn++) {
        sqlite3_stmt *stmt = statement(store, turn ? add : find);
        if (!stmt)
            return STORE_TROUBLE;
        bind_bytes(stmt, 1, bytes);
        if (seconds)
            sqlite3_bind_int64(stmt, 2, seconds);
        int rc = sqlite3_step(stmt);
        *id = turn ? sqlite3_last_insert_rowid(store->db) : sqlite3_column_int64(stmt, 0);
        sqlite3_reset(stmt);
        if (rc == (turn ? SQLITE_DONE : SQLITE_ROW))
            return STORE_OK;
        if (turn || rc != SQLITE_DONE)
            break;
    }
    return trouble(store, "cannot number a statistic");
}

static enum store_result put_statistic(store_t *store, const struct statistic_row *row, int64_t series, int64_t meta)
{
    sqlite3_stmt *put = statement(store, STATISTIC_PUT);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int64(put, 1, series);
    sqlite3_bind_int64(put, 2, row->start / 1000000);
    sqlite3_bind_int64(put, 3, meta);
    for (int i = 0; i < NUMBERS; i++) {
        if (*(const bool *)((const char *)row + numbers[i].has_at))
            sqlite3_bind_double(put, FIRST_NUMBER + i, *(const double *)((const char *)row + numbers[i].at));
        else
            sqlite3_bind_null(put, FIRST_NUMBER + i);
    }
    sqlite3_bind_null(put, LAST_RESET);
    if (row->has_last_reset)
        sqlite3_bind_int64(put, LAST_RESET, row->last_reset);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    if (rc != SQLITE_DONE)
        return trouble(store, "cannot write a statistic");
    return sqlite3_changes(store->db) ? STORE_OK : STORE_DUPLICATE;
}

static enum store_result add_statistic(store_t *store, const struct statistic_row *row, int64_t seconds)
{
    int64_t series, meta;
    struct slice name = { row->statistic_id, row->statistic_id_size };
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = number_of(store, STATISTIC_SERIES_FIND, STATISTIC_SERIES_ADD, name, seconds, &series);
    msgpack_sbuffer_clear(&store->scratch);
    meta_write(row, &store->scratch);
    if (result == STORE_OK)
        result = number_of(store, STATISTIC_META_FIND, STATISTIC_META_ADD, (struct slice){ store->scratch.data, store->scratch.size }, 0, &meta);
    return result == STORE_OK ? put_statistic(store, row, series, meta) : result;
}

enum store_result store_statistic(store_t *store, const struct statistic_row *row, struct fault *fault)
{
    int64_t seconds = row->has_period ? period_seconds(row->period) : 0;
    if (!row->has_statistic_id || row->statistic_id_size == 0)
        return refuse_statistic(fault, "statistic_id", "missing");
    if (seconds == 0)
        return refuse_statistic(fault, "period", "is neither hour nor 5minute");
    if (!row->has_start || row->start < 0 || row->start % 1000000)
        return refuse_statistic(fault, "start", "is no whole second");
    enum store_result result = add_statistic(store, row, seconds);
    return result == STORE_TROUBLE ? store_abandon(store, NULL) : result;
}

/* --- out ------------------------------------------------------------------------------------------ */

struct asked { const struct statistics_query *query; int64_t seconds, limit; uint32_t mark; store_statistic_fn *row; void *owner; struct page *end; };

/* STORE_MISSING ends the list. */
static enum store_result give_row(store_t *store, const struct asked *a, sqlite3_stmt *rows, const struct statistic_row *series, int64_t id)
{
    struct statistic_row row = *series;
    int64_t start = sqlite3_column_int64(rows, 0);
    SET(&row, start, start * 1000000);
    for (int i = 0; i < NUMBERS; i++) {
        *(bool *)((char *)&row + numbers[i].has_at) = sqlite3_column_type(rows, i + 2) != SQLITE_NULL;
        *(double *)((char *)&row + numbers[i].at) = sqlite3_column_double(rows, i + 2);
    }
    if (sqlite3_column_type(rows, NUMBERS + 2) != SQLITE_NULL)
        SET(&row, last_reset, sqlite3_column_int64(rows, NUMBERS + 2));
    if (meta_read(column_bytes(rows, 1), &row))
        return trouble(store, "what a statistic is, is damaged");
    if (a->end->count < a->limit && a->row(a->owner, &row) == 0) {
        a->end->count++;
        return STORE_OK;
    }
    cursor_write(&(struct row_key){ start, 0, id, 0, 0 }, a->mark, a->end);
    return STORE_MISSING;
}

static enum store_result give_series(store_t *store, const struct asked *a, int64_t id, struct slice name, int64_t from)
{
    const struct statistics_query *q = a->query;
    struct statistic_row series;
    sqlite3_stmt *rows = statement(store, STATISTIC_LIST);
    if (!rows)
        return STORE_TROUBLE;
    schema_clear(statistic_row_schema(), &series);
    SET_TEXT(&series, statistic_id, name.data, name.size);
    SET_TEXT(&series, period, a->seconds == HOUR_S ? "hour" : "5minute", strlen(a->seconds == HOUR_S ? "hour" : "5minute"));
    SET(&series, place, 0);
    SET(&series, received_at, 0);
    sqlite3_bind_int64(rows, 1, id);
    sqlite3_bind_int64(rows, 2, from);
    sqlite3_bind_int64(rows, 3, q->has_end_time ? (q->end_time + 999999) / 1000000 : INT64_MAX);
    enum store_result result = STORE_OK;
    int rc;
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW)
        if ((result = give_row(store, a, rows, &series, id)) != STORE_OK)
            return result;
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read statistics");
}

static bool wants(const struct statistics_query *q, struct slice name)
{
    return !q->has_statistic_id || list_has(q->statistic_id, q->statistic_id_size, name);
}

/* One series after the other; `from`: where to begin. */
static enum store_result give_all(store_t *store, const struct asked *a, const struct row_key *from)
{
    const struct statistics_query *q = a->query;
    int64_t begin = q->has_start_time ? (q->start_time + 999999) / 1000000 : 0;
    enum store_result result = STORE_OK;
    sqlite3_stmt *list = statement(store, STATISTIC_SERIES_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, from->series);
    int rc = SQLITE_DONE;
    while (result == STORE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(list, 0);
        struct slice name = column_bytes(list, 1);
        if (sqlite3_column_int64(list, 2) == a->seconds && wants(q, name))
            result = give_series(store, a, id, name, id == from->series && from->time > begin ? from->time : begin);
    }
    if (result == STORE_MISSING)
        return STORE_OK;
    return result == STORE_OK && rc != SQLITE_DONE ? trouble(store, "cannot list statistics") : result;
}

/* A store that was made before there were statistics has no table of them until its writer comes. */
static enum store_result begin_statistics(store_t *store, bool *empty)
{
    enum store_result result = read_begin(store, empty);
    if (result != STORE_OK || *empty)
        return result;
    sqlite3_stmt *look = statement(store, STATISTIC_LOOK);
    int rc = look ? sqlite3_step(look) : SQLITE_ERROR;
    *empty = rc == SQLITE_DONE;
    if (rc != SQLITE_ROW)
        read_end(store);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for statistics");
}

static void begin_page(struct page *end, int64_t limit)
{
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, limit);
}

enum store_result store_statistics(store_t *store, const struct statistics_query *q, store_statistic_fn *row, void *owner,
                                   struct page *end, struct fault *fault)
{
    struct asked a = { q, period_seconds(q->has_period ? q->period : "hour"), q->has_limit ? q->limit : 1000, statistics_mark(q), row, owner, end };
    struct row_key from = { 0 };
    bool empty;
    begin_page(end, a.limit);
    if (a.seconds == 0)
        return refuse_statistic(fault, "period", "is neither hour nor 5minute");
    if (q->has_cursor && cursor_check((struct slice){ q->cursor, q->cursor_size }, a.mark, &from, fault))
        return STORE_BAD;
    enum store_result result = begin_statistics(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = give_all(store, &a, &from);
    read_end(store);
    return result;
}

/* --- which there are ------------------------------------------------------------------------------ */

static enum store_result describe(store_t *store, sqlite3_stmt *list, struct statistic_series *series)
{
    struct slice name = column_bytes(list, 1);
    struct statistic_row last;
    const char *period = sqlite3_column_int64(list, 2) == HOUR_S ? "hour" : "5minute";
    schema_clear(statistic_series_schema(), series);
    schema_clear(statistic_row_schema(), &last);
    SET_TEXT(series, statistic_id, name.data, name.size);
    SET_TEXT(series, period, period, strlen(period));
    sqlite3_stmt *ends = statement(store, STATISTIC_ENDS);
    if (!ends)
        return STORE_TROUBLE;
    sqlite3_bind_int64(ends, 1, sqlite3_column_int64(list, 0));
    int rc = sqlite3_step(ends);
    if (rc == SQLITE_DONE)
        return STORE_OK;
    if (rc != SQLITE_ROW || meta_read(column_bytes(ends, 2), &last))
        return trouble(store, "cannot read a statistic's ends");
    SET(series, first, sqlite3_column_int64(ends, 0) * 1000000);
    SET(series, last, sqlite3_column_int64(ends, 1) * 1000000);
    if (last.has_unit)
        SET_TEXT(series, unit, last.unit, last.unit_size);
    if (last.has_source)
        SET_TEXT(series, source, last.source, last.source_size);
    if (last.has_mean_type)
        SET(series, mean_type, last.mean_type);
    return STORE_OK;
}

static enum store_result list_series(store_t *store, int64_t from, uint32_t mark, store_series_fn *row, void *owner, struct page *end)
{
    struct statistic_series series;
    sqlite3_stmt *list = statement(store, STATISTIC_SERIES_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, from);
    int rc;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        enum store_result result = describe(store, list, &series);
        if (result != STORE_OK)
            return result;
        if (end->count >= end->limit || row(owner, &series) != 0) {
            cursor_write(&(struct row_key){ 0, 0, sqlite3_column_int64(list, 0), 0, 0 }, mark, end);
            return STORE_OK;
        }
        end->count++;
    }
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot list statistics");
}

enum store_result store_statistic_series(store_t *store, const struct series_query *q, store_series_fn *row, void *owner,
                                         struct page *end, struct fault *fault)
{
    struct row_key from = { 0 };
    uint32_t mark = series_mark(q);
    bool empty;
    begin_page(end, q->has_limit ? q->limit : 1000);
    if (q->has_cursor && cursor_check((struct slice){ q->cursor, q->cursor_size }, mark, &from, fault))
        return STORE_BAD;
    enum store_result result = begin_statistics(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = list_series(store, from.series, mark, row, owner, end);
    read_end(store);
    return result;
}
