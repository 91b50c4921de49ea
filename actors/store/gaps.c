/* gaps.c - the times of which states are missing, as the ledger of ingest says. */
#include "rollup.h"

#include "late.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool empty = false, there = false, is_inside = is_reading(store);
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

/* --- the ledger's word ------------------------------------------------------------------------------ */

struct gap_list { struct gap_said *items; size_t count, room; };

static int order(const void *a, const void *b)
{
    const struct gap_said *left = a, *right = b;
    int by_id = strcmp(left->id, right->id);
    return by_id != 0 ? by_id : left->series < right->series ? -1 : left->series > right->series;
}

static enum store_result list_known(store_t *store, struct gap_list *to)
{
    sqlite3_stmt *list = statement(store, GAP_ALL);
    int rc = SQLITE_ERROR;
    while (list && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        if (to->count == to->room) {
            to->room = to->room ? to->room * 2 : 16;
            to->items = realloc(to->items, to->room * sizeof *to->items);
            assert(to->items);
        }
        struct gap_said *gap = &to->items[to->count++];
        *gap = (struct gap_said){ .series = sqlite3_column_int64(list, 1), .from = sqlite3_column_int64(list, 2), .to = sqlite3_column_int64(list, 3) };
        snprintf(gap->id, sizeof gap->id, "%s", (const char *)sqlite3_column_text(list, 0));
    }
    if (list)
        sqlite3_reset(list);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the gaps");
}

/* Of an entity that has never said anything nothing is missing. */
static enum store_result find_series(store_t *store, struct gap_said *gaps, size_t *count)
{
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        struct gap_said gap = gaps[i];
        gap.series = 0;
        enum store_result result = gap.entity_id.size == 0 ? STORE_OK
            : series_find(store, series_hash(true, gap.entity_id), true, gap.entity_id, &gap.series);
        if (result == STORE_TROUBLE)
            return result;
        if (result == STORE_OK)
            gaps[kept++] = gap;
    }
    if (kept > 0)
        qsort(gaps, kept, sizeof *gaps, order);
    *count = 0;
    for (size_t i = 0; i < kept; i++) /* one said twice is one */
        if (*count == 0 || order(&gaps[*count - 1], &gaps[i]) != 0)
            gaps[(*count)++] = gaps[i];
    return STORE_OK;
}

static void mark(store_t *store, const struct gap_said *gap)
{
    late_gap(store, gap->series, gap->from, gap->to ? gap->to : MAX_TIME_US);
}

/* after NULL: it goes. */
static enum store_result change(store_t *store, const struct gap_said *before, const struct gap_said *after)
{
    const struct gap_said *gap = after ? after : before;
    if (store_begin(store) != STORE_OK)
        return STORE_TROUBLE;
    sqlite3_stmt *put = statement(store, after ? GAP_PUT : GAP_DROP);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_text(put, 1, gap->id, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(put, 2, gap->series);
    if (after) {
        sqlite3_bind_int64(put, 3, gap->from);
        sqlite3_bind_int64(put, 4, gap->to);
        mark(store, after);
    }
    if (before)
        mark(store, before);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot change a gap");
}

static enum store_result merge(store_t *store, const struct gap_list *known, const struct gap_said *said, size_t count)
{
    enum store_result result = STORE_DUPLICATE;
    for (size_t i = 0, k = 0; (i < known->count || k < count) && result != STORE_TROUBLE;) {
        int which = i == known->count ? 1 : k == count ? -1 : order(&known->items[i], &said[k]);
        const struct gap_said *before = which <= 0 ? &known->items[i] : NULL, *after = which >= 0 ? &said[k] : NULL;
        if (!before || !after || before->from != after->from || before->to != after->to)
            result = change(store, before, after);
        i += which <= 0;
        k += which >= 0;
    }
    return result;
}

enum store_result store_set_gaps(store_t *store, struct gap_said *gaps, size_t count)
{
    struct gap_list known = { 0 };
    enum store_result result = find_series(store, gaps, &count);
    if (result == STORE_OK)
        result = list_known(store, &known);
    if (result == STORE_OK)
        result = merge(store, &known, gaps, count);
    free(known.items);
    return result == STORE_TROUBLE ? store_abandon(store, NULL) : result;
}
