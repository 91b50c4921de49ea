/* run_mend.c - a run of keys that is damaged is made once more, out of the rows that it led to. */
#include "times.h"

#include <stdlib.h>

/* Of a row that came late the key is in `time`. */
static enum store_result is_late_key(store_t *store, const struct row_key *key, bool *is)
{
    sqlite3_stmt *has = statement(store, TIME_HAS);
    if (!has)
        return STORE_TROUBLE;
    sqlite3_bind_int64(has, 1, key->time);
    sqlite3_bind_int64(has, 2, key->place);
    sqlite3_bind_int64(has, 3, key->series);
    sqlite3_bind_int64(has, 4, key->at);
    sqlite3_bind_int(has, 5, key->rest);
    int rc = sqlite3_step(has);
    sqlite3_reset(has);
    *is = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the order of rows");
}

static enum store_result take(store_t *store, sqlite3_stmt *stmt, struct run *run)
{
    enum store_result result = STORE_OK;
    int rc = SQLITE_DONE;
    while (result == STORE_OK && run->count < RUN_KEYS && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct row_key key = { sqlite3_column_int64(stmt, 0), sqlite3_column_int64(stmt, 1), sqlite3_column_int64(stmt, 2), sqlite3_column_int64(stmt, 3),
            sqlite3_column_int(stmt, 4) };
        bool is_late = false;
        result = is_late_key(store, &key, &is_late);
        if (!is_late)
            run->keys[run->count++] = key;
    }
    sqlite3_reset(stmt);
    return result == STORE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE ? trouble(store, "cannot make a run of keys anew") : result;
}

/* `series`: 0: those of all whose time is not that of their key. */
static enum store_result take_rows(store_t *store, enum statement which, int64_t series, struct run *run)
{
    sqlite3_stmt *rows = statement(store, which);
    if (!rows)
        return STORE_TROUBLE;
    sqlite3_bind_int64(rows, 1, run->first);
    sqlite3_bind_int64(rows, 2, run->last);
    if (series)
        sqlite3_bind_int64(rows, 3, series);
    return take(store, rows, run);
}

static int in_order(const void *a, const void *b)
{
    return key_order(a, b);
}

enum store_result run_mend(store_t *store, struct run *run)
{
    int64_t series = 0;
    run->count = 0;
    enum store_result result = take_rows(store, RUN_SHIFTED, 0, run);
    while (result == STORE_OK) {
        sqlite3_stmt *next = statement(store, SERIES_NEXT);
        if (!next)
            return STORE_TROUBLE;
        sqlite3_bind_int64(next, 1, series);
        int rc = sqlite3_step(next);
        series = rc == SQLITE_ROW ? sqlite3_column_int64(next, 0) : 0;
        sqlite3_reset(next);
        if (rc != SQLITE_ROW && rc != SQLITE_DONE)
            return trouble(store, "cannot read the series");
        if (rc == SQLITE_DONE)
            break;
        result = take_rows(store, RUN_ROWS, series, run);
    }
    qsort(run->keys, run->count, sizeof *run->keys, in_order);
    run->is_mended = true;
    return result;
}
