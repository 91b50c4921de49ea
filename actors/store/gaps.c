/* gaps.c - the times of which states are missing, as the ledger of ingest says. */
#include "rollup.h"

#include "inside.h"

static enum store_result is_there(store_t *store, bool *there)
{
    sqlite3_stmt *look = statement(store, GAP_LOOK);
    int rc = look ? sqlite3_step(look) : SQLITE_ERROR;
    *there = rc == SQLITE_ROW;
    if (look)
        sqlite3_reset(look);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for gaps");
}

static enum store_result list_gaps(store_t *store, int64_t from_us, int64_t to_us, gap_fn *fn, void *owner)
{
    sqlite3_stmt *list = statement(store, GAP_LIST);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, from_us);
    sqlite3_bind_int64(list, 2, to_us);
    int rc, stopped = 0;
    while (stopped == 0 && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        struct store_gap gap = { sqlite3_column_int64(list, 1), sqlite3_column_int64(list, 2), sqlite3_column_int64(list, 0), false };
        gap.is_open = gap.to == 0;
        gap.to = gap.is_open ? MAX_TIME_US : gap.to;
        stopped = fn(owner, &gap);
    }
    sqlite3_reset(list);
    return stopped || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the gaps");
}

enum store_result store_gaps(store_t *store, int64_t from_us, int64_t to_us, gap_fn *fn, void *owner)
{
    bool empty = false, there = false, is_inside = store->db && !sqlite3_get_autocommit(store->db);
    enum store_result result = is_inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = is_there(store, &there);
    if (result == STORE_OK && there)
        result = list_gaps(store, from_us, to_us, fn, owner);
    if (!is_inside)
        read_end(store);
    return result;
}
