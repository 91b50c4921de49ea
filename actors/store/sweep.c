/* sweep.c - keys in the order of lists whose rows were sealed lead nowhere, and go, many at a time.
 *
 * One key of each page at a time would write every page of `time` again for every chunk, so they go when a slice of time
 * is sealed. Whether a key leads to a row is asked of `event`, for some thousand of them in the order of rows: those of a
 * series are near to each other then, and where nothing is left of it one look tells. */
#include "sweep.h"
#include "times.h"

#include <stdlib.h>

enum { KEYS_AT_ONCE = 1000, RUNS_AT_ONCE = 32, ROWS_BETWEEN = 32 /* of no key: the next key is looked for anew */ };

/* --- which of them lead to a row --------------------------------------------------------------------- */

static int row_order(const struct row_key *a, const struct row_key *b)
{
    if (a->series != b->series)
        return a->series < b->series ? -1 : 1;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->rest < b->rest ? -1 : a->rest > b->rest;
}

static int by_row(const void *a, const void *b, void *keys)
{
    const struct row_key *list = keys;
    return row_order(&list[*(const uint32_t *)a], &list[*(const uint32_t *)b]);
}

/* Some keys of one series; how many of them are told after that. -1: trouble. */
static int look_on(store_t *store, const struct row_key *keys, const uint32_t *order, size_t count, bool *has)
{
    struct row_key row = { .series = keys[order[0]].series };
    sqlite3_stmt *rows = statement(store, EVENT_KEYS);
    size_t at = 0;
    int rc = SQLITE_ROW;
    if (!rows)
        return -1;
    sqlite3_bind_int64(rows, 1, row.series);
    sqlite3_bind_int64(rows, 2, keys[order[0]].at);
    sqlite3_bind_int(rows, 3, keys[order[0]].rest);
    sqlite3_bind_int64(rows, 4, keys[order[count - 1]].at);
    for (int between = 0; at < count && between < ROWS_BETWEEN && (rc = sqlite3_step(rows)) == SQLITE_ROW; between++) {
        row.at = sqlite3_column_int64(rows, 0);
        row.rest = sqlite3_column_int(rows, 1);
        for (int side = -1; at < count && (side = row_order(&keys[order[at]], &row)) <= 0; at++) {
            has[order[at]] = side == 0;
            between = 0;
        }
    }
    sqlite3_reset(rows);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        trouble(store, "cannot look for rows");
    return rc == SQLITE_ROW ? (int)at : rc == SQLITE_DONE ? (int)count : -1;
}

static enum store_result find_rows(store_t *store, struct row_key *keys, size_t count, bool *has)
{
    uint32_t *order = malloc((count + 1) * sizeof *order);
    int told = 0;
    assert(order);
    memset(has, 0, count * sizeof *has);
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof *order, by_row, keys);
    for (size_t from = 0, to; from < count && told >= 0; from += (size_t)told) {
        for (to = from + 1; to < count && keys[order[to]].series == keys[order[from]].series; to++)
            ;
        told = look_on(store, keys, order + from, to - from, has);
        if (told < 0)
            break;
    }
    free(order);
    return told < 0 ? STORE_TROUBLE : STORE_OK;
}

/* --- those that came late ------------------------------------------------------------------------------- */

static enum store_result next_late(store_t *store, const struct sweeping *s, struct row_key *keys, size_t *count)
{
    sqlite3_stmt *old = statement(store, TIME_OLD);
    if (!old)
        return STORE_TROUBLE;
    sqlite3_bind_int64(old, 1, s->late.time);
    sqlite3_bind_int64(old, 2, s->late.place);
    sqlite3_bind_int64(old, 3, s->late.series);
    sqlite3_bind_int64(old, 4, s->to);
    int rc = SQLITE_ROW;
    for (*count = 0; *count < KEYS_AT_ONCE && (rc = sqlite3_step(old)) == SQLITE_ROW; ++*count)
        keys[*count] = (struct row_key){ sqlite3_column_int64(old, 0), sqlite3_column_int64(old, 1), sqlite3_column_int64(old, 2),
            sqlite3_column_int64(old, 3), sqlite3_column_int(old, 4) };
    sqlite3_reset(old);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the order of rows");
}

/* STORE_MISSING: there are no more. */
static enum store_result sweep_late(store_t *store, struct sweeping *s)
{
    struct row_key keys[KEYS_AT_ONCE];
    bool has[KEYS_AT_ONCE];
    size_t count = 0;
    enum store_result result = next_late(store, s, keys, &count);
    if (result == STORE_OK)
        result = find_rows(store, keys, count, has);
    for (size_t i = 0; result == STORE_OK && i < count; i++)
        if (!has[i])
            result = times_drop(store, &keys[i]);
    if (count > 0)
        s->late = keys[count - 1];
    return result == STORE_OK && count < KEYS_AT_ONCE ? STORE_MISSING : result;
}

/* --- those in runs ------------------------------------------------------------------------------------------ */

struct runs_at_hand {
    struct { int64_t first; size_t from, count; bool is_mended; } runs[RUNS_AT_ONCE];
    size_t count, key_count;
    struct row_key keys[RUNS_AT_ONCE * RUN_KEYS];
    bool has[RUNS_AT_ONCE * RUN_KEYS];
};

/* STORE_MISSING: these are the last. */
static enum store_result take_runs(store_t *store, struct sweeping *s, struct runs_at_hand *hand)
{
    struct run run;
    enum store_result result = STORE_OK;
    while (hand->count < RUNS_AT_ONCE && (result = run_after(store, s->run, s->to, &run)) == STORE_OK) {
        hand->runs[hand->count].first = run.first;
        hand->runs[hand->count].from = hand->key_count;
        hand->runs[hand->count].count = run.count;
        hand->runs[hand->count++].is_mended = run.is_mended;
        memcpy(hand->keys + hand->key_count, run.keys, run.count * sizeof *run.keys);
        hand->key_count += run.count;
        s->run = run.last; /* none begins in between */
    }
    return result;
}

static enum store_result keep_rest(store_t *store, const struct sweeping *s, struct runs_at_hand *hand)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < hand->count && result == STORE_OK; i++) {
        size_t from = hand->runs[i].from, kept = from;
        for (size_t key = from; key < from + hand->runs[i].count; key++)
            if (hand->has[key] || hand->keys[key].time >= s->to)
                hand->keys[kept++] = hand->keys[key];
        if (kept - from < hand->runs[i].count || hand->runs[i].is_mended)
            result = run_keep(store, hand->runs[i].first, hand->keys + from, kept - from);
    }
    return result;
}

/* STORE_MISSING: there are no more. */
static enum store_result sweep_runs(store_t *store, struct sweeping *s)
{
    struct runs_at_hand *hand = malloc(sizeof *hand);
    assert(hand);
    hand->count = hand->key_count = 0;
    enum store_result taken = take_runs(store, s, hand), result = taken == STORE_MISSING ? STORE_OK : taken;
    if (result == STORE_OK)
        result = find_rows(store, hand->keys, hand->key_count, hand->has);
    if (result == STORE_OK)
        result = keep_rest(store, s, hand);
    free(hand);
    return result == STORE_OK ? taken : result;
}

/* --- a little at a time ---------------------------------------------------------------------------------------- */

void sweep_begin(struct sweeping *s, int64_t to_us)
{
    *s = (struct sweeping){ .to = to_us, .run = -1, .late = { .time = -1 } };
}

enum store_result sweep_some(store_t *store, struct sweeping *s)
{
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = s->in_runs ? sweep_runs(store, s) : sweep_late(store, s);
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    bool is_done = result == STORE_MISSING && s->in_runs;
    s->in_runs |= result == STORE_MISSING;
    result = store_commit(store);
    return result == STORE_OK && is_done ? STORE_MISSING : result;
}
