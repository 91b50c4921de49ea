/* seal.c - old rows move into chunks, a little at a time; and back, where one of them is to change.
 *
 * A round goes through the time before the hot period in slices, through the series in each, and
 * makes one chunk a step. The row goes from `event` in the transaction that writes its chunk; its key
 * in the order of lists leads nowhere then, which readers pass over, and goes when the slice is done (sweep.h). */
#include "seal.h"
#include "sweep.h"
#include "times.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_US   INT64_C(86400000000)
#define ROUND_US INT64_C(3600000000)  /* from one round to the next: late rows of a span are merged in once */
#define SLICE_US (14 * DAY_US)
#define LONG_US  (30 * DAY_US)        /* so old, and a few rows are worth a chunk, too */
#define MERGE_US DAY_US               /* so often a few late rows have a chunk written anew */

enum {
    ROWS = 320, BODIES = 512 * 1024,  /* of a chunk: what is read for one moment; fewer take more disk (docs/performance.md) */
    WORTH = 256,                       /* rows; with fewer it waits */
    BODY_MAX = 1024 * 1024,            /* a row larger than this stays where it is */
    STEP_US = 3000
};

enum phase { RESTING, SEALING, SWEEPING };

struct sealing {
    enum phase phase;
    int64_t now, limit, slice_to;      /* the round: rows older than limit; the slice: older than that */
    int64_t rested_at;                 /* when the last round ended */
    int64_t series, cursor;            /* at hand, and how far it is looked through */
    int64_t merged_at;                 /* when the last round began that merged whatever was late */
    bool is_state, has_rested, merges_all;
    bool has_swept, has_sealed;        /* a whole round since the start; rows of the slice at hand */
    struct sweeping sweeping;
    struct stash stash;
};

void sealing_close(store_t *store)
{
    free(store->verifying);
    store->verifying = NULL;
    if (!store->sealing)
        return;
    stash_destroy(&store->sealing->stash);
    free(store->sealing);
    store->sealing = NULL;
}

/* --- rows that are hot again -------------------------------------------------------------------------- */

static enum store_result restore(store_t *store, int64_t series, const struct chunk_row *row)
{
    struct row_key key = { row->at + row->shift, row->place, series, row->at, row->rest };
    sqlite3_stmt *add = statement(store, EVENT_ADD);
    if (!add)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, series);
    sqlite3_bind_int64(add, 2, row->at);
    sqlite3_bind_int(add, 3, row->rest);
    sqlite3_bind_int64(add, 4, row->shift);
    sqlite3_bind_int64(add, 5, row->place);
    bind_bytes(add, 6, row->body);
    int rc = sqlite3_step(add);
    sqlite3_reset(add);
    return rc == SQLITE_DONE ? times_restore(store, &key) : trouble(store, "cannot take a row out of a chunk");
}

static enum store_result open_again(store_t *store, const struct chunk_entry *entry)
{
    struct sealed sealed;
    struct chunk_row row;
    enum store_result result = sealed_open(store, entry, true, &sealed);
    if (result != STORE_OK)
        return result;
    int rc = 1;
    while (result == STORE_OK && (rc = chunk_next(sealed.reader, &row)) > 0)
        result = restore(store, entry->series, &row);
    sealed_close(store, &sealed);
    if (result == STORE_OK && rc < 0)
        return trouble(store, "a chunk cannot be read to its end");
    return result == STORE_OK ? chunk_drop(store, entry) : result;
}

enum store_result seal_open_again(store_t *store, int64_t series, int64_t at)
{
    struct chunk_entry entry;
    enum store_result result = sealed_at_or_before(store, series, at, &entry);
    if (result == STORE_OK && entry.last < at)
        return STORE_MISSING;
    return result == STORE_OK ? open_again(store, &entry) : result;
}

enum store_result seal_open_all(store_t *store, int64_t series)
{
    struct chunk_entry entry;
    enum store_result result;
    while ((result = sealed_at_or_before(store, series, MAX_TIME_US, &entry)) == STORE_OK && (result = open_again(store, &entry)) == STORE_OK)
        ;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- one chunk ------------------------------------------------------------------------------------------- */

/* Rows that share a time stay together, in a chunk or outside. */
struct group { size_t from; int64_t at; bool stays; size_t bytes; };

struct taking { int64_t to; bool has_before, is_merge, some_stay; struct chunk_entry before; };

/* What the first row meets: the chunk it lies in or behind, and where the next one begins. */
static enum store_result look_around(store_t *store, const struct sealing *s, int64_t at, struct taking *t)
{
    struct chunk_entry after;
    enum store_result result = sealed_at_or_before(store, s->series, at, &t->before);
    t->has_before = result == STORE_OK;
    t->is_merge = t->has_before && t->before.last >= at;
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    if (t->is_merge) {
        t->to = t->before.last + 1 < t->to ? t->before.last + 1 : t->to;
        return STORE_OK;
    }
    result = sealed_after(store, s->series, at, &after);
    if (result == STORE_OK && after.first < t->to)
        t->to = after.first;
    return result == STORE_MISSING ? STORE_OK : result;
}

static void end_group(struct stash *stash, const struct group *group, struct taking *t)
{
    if (group->stays || stash->count - group->from > ROWS) {
        stash->count = group->from;
        stash->bodies.size = group->bytes;
        t->some_stay = true;
    }
}

/* Of a few rows only what is old, or lies in a chunk's span when that is merged, is worth it: whether there are more is asked before they are read. */
static enum store_result is_worth(store_t *store, const struct sealing *s, const struct taking *t, int64_t first, bool *worth)
{
    *worth = t->is_merge ? s->merges_all : first < s->now - LONG_US;
    sqlite3_stmt *more = *worth ? NULL : statement(store, EVENT_MORE);
    if (!more)
        return *worth ? STORE_OK : STORE_TROUBLE;
    sqlite3_bind_int64(more, 1, s->series);
    sqlite3_bind_int64(more, 2, first);
    sqlite3_bind_int64(more, 3, t->to);
    sqlite3_bind_int(more, 4, WORTH - 1);
    int rc = sqlite3_step(more);
    *worth = rc == SQLITE_ROW;
    sqlite3_reset(more);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot count old rows");
}

/* What the first of them is near to, and whether it is worth to go on; else the cursor stands behind them. */
static enum store_result begin_taking(store_t *store, struct sealing *s, int64_t first, struct taking *t, bool *worth)
{
    enum store_result result = look_around(store, s, first, t);
    if (result == STORE_OK)
        result = is_worth(store, s, t, first, worth);
    if (result == STORE_OK && !*worth)
        s->cursor = t->to;
    return result;
}

/* The rows from the cursor on that fit in a chunk; the cursor stands behind them then. */
static enum store_result take_rows(store_t *store, struct sealing *s, struct taking *t)
{
    struct stash *stash = &s->stash;
    struct group group = { .at = -1 };
    sqlite3_stmt *old = statement(store, EVENT_OLD);
    enum store_result result = STORE_OK;
    bool worth = true;
    int rc;
    stash_clear(stash);
    if (!old)
        return STORE_TROUBLE;
    sqlite3_bind_int64(old, 1, s->series);
    sqlite3_bind_int64(old, 2, s->cursor);
    sqlite3_bind_int64(old, 3, t->to);
    while ((rc = sqlite3_step(old)) == SQLITE_ROW) {
        struct chunk_row row = { .at = sqlite3_column_int64(old, 0), .shift = sqlite3_column_int64(old, 1),
            .place = sqlite3_column_int64(old, 2), .rest = sqlite3_column_int(old, 3) };
        if (row.at != group.at) {
            end_group(stash, &group, t);
            group = (struct group){ stash->count, row.at, false, stash->bodies.size };
            s->cursor = row.at;
            if (stash->count >= ROWS || stash->bodies.size >= BODIES)
                break;
            if (stash->count == 0 && ((result = begin_taking(store, s, row.at, t, &worth)) != STORE_OK || !worth))
                break;
        }
        if (row.at >= t->to)
            break;
        group.stays |= row.shift != 0 || sqlite3_column_int64(old, 4) > BODY_MAX;
        if (group.stays || stash->count - group.from > ROWS)
            continue;
        row.body = column_bytes(old, 5);
        stash_add(stash, &row, true);
    }
    sqlite3_reset(old);
    end_group(stash, &group, t);
    if (rc == SQLITE_DONE)
        s->cursor = t->to;
    return result != STORE_OK || rc == SQLITE_ROW || rc == SQLITE_DONE ? result : trouble(store, "cannot read old rows");
}

static enum store_result add_sealed(store_t *store, struct stash *stash, const struct chunk_entry *entry)
{
    struct sealed sealed;
    struct chunk_row row;
    enum store_result result = sealed_open(store, entry, true, &sealed);
    if (result != STORE_OK)
        return result;
    int rc;
    while ((rc = chunk_next(sealed.reader, &row)) > 0)
        stash_add(stash, &row, false);
    sealed_close(store, &sealed);
    return rc == 0 ? STORE_OK : sealed_damaged(store, entry, "cannot be read");
}

/* As many chunks as are needed, about the same size; rows that share a time are not parted. */
static enum store_result write_chunks(store_t *store, const struct sealing *s)
{
    const struct stash *stash = &s->stash;
    size_t pieces = (stash->count + ROWS - 1) / ROWS, wished = (stash->count + pieces - 1) / pieces;
    enum store_result result = STORE_OK;
    for (size_t from = 0, to; from < stash->count && result == STORE_OK; from = to) {
        to = from + wished < stash->count ? from + wished : stash->count;
        while (to < stash->count && stash->rows[to].at == stash->rows[to - 1].at)
            to++;
        result = stash_write(store, stash, from, to - from, s->series, s->is_state);
    }
    return result;
}

/* All between the first and the last of them, where there is nothing else. */
static enum store_result drop_range(store_t *store, const struct sealing *s, const struct chunk_row *first, const struct chunk_row *last, size_t count)
{
    sqlite3_stmt *drop = statement(store, EVENT_DROP_RANGE);
    if (!drop)
        return STORE_TROUBLE;
    sqlite3_bind_int64(drop, 1, s->series);
    sqlite3_bind_int64(drop, 2, first->at);
    sqlite3_bind_int64(drop, 3, last->at);
    int rc = sqlite3_step(drop);
    sqlite3_reset(drop);
    return rc == SQLITE_DONE && sqlite3_changes(store->db) == (int)count ? STORE_OK : trouble(store, "cannot drop the rows that are sealed");
}

static enum store_result drop_one_by_one(store_t *store, const struct sealing *s)
{
    sqlite3_stmt *drop = statement(store, EVENT_DROP);
    if (!drop)
        return STORE_TROUBLE;
    for (size_t i = 0; i < s->stash.count; i++) {
        if (!s->stash.is_hot[i])
            continue;
        sqlite3_bind_int64(drop, 1, s->series);
        sqlite3_bind_int64(drop, 2, s->stash.rows[i].at);
        sqlite3_bind_int(drop, 3, s->stash.rows[i].rest);
        int rc = sqlite3_step(drop);
        sqlite3_reset(drop);
        if (rc != SQLITE_DONE || sqlite3_changes(store->db) != 1)
            return trouble(store, "cannot drop a row that is sealed");
    }
    return STORE_OK;
}

/* STORE_MISSING: nothing of these rows is to be sealed now. */
static enum store_result seal_rows(store_t *store, struct sealing *s, struct taking *t)
{
    size_t hot = s->stash.count;
    bool grows = t->has_before && (t->is_merge || (!t->before.is_bad && t->before.rows + (int64_t)s->stash.count <= ROWS));
    enum store_result result = store_begin(store);
    if (result != STORE_OK)
        return result;
    if (grows)
        result = add_sealed(store, &s->stash, &t->before);
    if (result != STORE_OK)
        return result; /* what lies in the span of a damaged chunk stays where it is */
    /* before they are put in order: which are hot is said of their places */
    result = t->some_stay ? drop_one_by_one(store, s) : drop_range(store, s, &s->stash.rows[0], &s->stash.rows[hot - 1], hot);
    stash_finish(&s->stash);
    if (result == STORE_OK && grows)
        result = chunk_drop(store, &t->before);
    if (result == STORE_OK)
        result = write_chunks(store, s);
    return result;
}

/* Hot are also the newest row of each series, so that the state in force is read without a chunk. */
static enum store_result series_limit(store_t *store, const struct sealing *s, int64_t *to)
{
    sqlite3_stmt *newest = statement(store, SERIES_NEWEST);
    if (!newest)
        return STORE_TROUBLE;
    sqlite3_bind_int64(newest, 1, s->series);
    int rc = sqlite3_step(newest);
    int64_t at = rc == SQLITE_ROW ? sqlite3_column_int64(newest, 0) : 0;
    sqlite3_reset(newest);
    *to = at < s->slice_to ? at : s->slice_to;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot find a series' newest row");
}

/* There were enough, but most of them stay. */
static bool is_too_little(const struct sealing *s, const struct taking *t)
{
    return t->some_stay && !t->is_merge && s->stash.count < WORTH && s->stash.rows[0].at >= s->now - LONG_US;
}

/* STORE_OK: a chunk was written; STORE_DUPLICATE: there is more of this series; STORE_MISSING: there is not. */
static enum store_result seal_some(store_t *store, struct sealing *s)
{
    struct taking t = { 0 };
    enum store_result result = series_limit(store, s, &t.to);
    if (result != STORE_OK)
        return result;
    int64_t to = t.to;
    if (s->cursor >= to)
        return STORE_MISSING;
    result = take_rows(store, s, &t);
    if (result != STORE_OK)
        return result;
    if (s->stash.count == 0 || is_too_little(s, &t))
        return s->cursor < to ? STORE_DUPLICATE : STORE_MISSING;
    result = seal_rows(store, s, &t);
    if (result == STORE_OK) {
        s->has_sealed = true; /* also where the commit fails: a look too many */
        return store_commit(store);
    }
    if (result == STORE_MISSING || result == STORE_BAD) { /* passed over */
        store_abandon(store, NULL);
        if (result == STORE_BAD)
            snprintf(store->damage.what, sizeof store->damage.what, "rows of series %lld cannot be packed", (long long)s->series);
        store->damage.count += result == STORE_BAD;
        return STORE_DUPLICATE;
    }
    return result;
}

/* --- rounds ---------------------------------------------------------------------------------------------------- */

static enum store_result begin_slice(store_t *store, struct sealing *s, int64_t from)
{
    int64_t oldest = s->limit;
    enum store_result result = times_oldest(store, from, s->limit, &oldest);
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    s->slice_to = s->limit - oldest > SLICE_US ? oldest + SLICE_US : s->limit;
    s->phase = result == STORE_OK ? SEALING : RESTING;
    s->series = 0;
    s->cursor = s->slice_to; /* nothing of the series before the first */
    s->has_sealed = false;
    if (s->phase == RESTING) {
        s->has_rested = true;
        s->rested_at = s->now;
        s->has_swept = true;
        s->merged_at = s->merges_all ? s->now : s->merged_at;
    }
    return s->phase == RESTING ? STORE_MISSING : STORE_OK;
}

/* STORE_MISSING: there are no more series. */
static enum store_result next_series(store_t *store, struct sealing *s)
{
    sqlite3_stmt *next = statement(store, SERIES_NEXT);
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, s->series);
    int rc = sqlite3_step(next);
    if (rc == SQLITE_ROW) {
        s->series = sqlite3_column_int64(next, 0);
        s->is_state = sqlite3_column_int(next, 1) != 0;
        s->cursor = 0;
    }
    sqlite3_reset(next);
    return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the series");
}

/* STORE_OK: a chunk was written, or this took long enough; STORE_MISSING: the slice has no more. */
static enum store_result seal_step(store_t *store, struct sealing *s)
{
    for (int64_t begun_us = clock_us(); clock_us() - begun_us < STEP_US;) {
        enum store_result result = seal_some(store, s);
        if (result == STORE_MISSING)
            result = next_series(store, s) == STORE_OK ? STORE_DUPLICATE : STORE_MISSING;
        if (result != STORE_DUPLICATE)
            return result;
    }
    return STORE_OK;
}

static enum store_result take_step(store_t *store, struct sealing *s)
{
    enum store_result result;
    switch (s->phase) {
    case RESTING:
        return begin_slice(store, s, -1);
    case SEALING:
        result = seal_step(store, s);
        if (result != STORE_MISSING)
            return result;
        if (s->has_swept && !s->has_sealed)
            return begin_slice(store, s, s->slice_to);
        sweep_begin(&s->sweeping, s->slice_to);
        s->phase = SWEEPING;
        return STORE_OK;
    case SWEEPING:
        result = sweep_some(store, &s->sweeping);
        return result == STORE_MISSING ? begin_slice(store, s, s->slice_to) : result;
    }
    return STORE_MISSING;
}

enum store_result store_seal(store_t *store, int64_t now_us, int64_t hot_us)
{
    assert(store->writer && !store->in_transaction);
    if (!store->sealing) {
        store->sealing = calloc(1, sizeof *store->sealing);
        assert(store->sealing);
    }
    struct sealing *s = store->sealing;
    bool is_early = now_us >= s->rested_at && now_us - s->rested_at < ROUND_US;
    if (s->phase == RESTING && s->has_rested && is_early)
        return STORE_MISSING;
    if (s->phase == RESTING) {
        s->now = now_us;
        s->limit = now_us - hot_us;
        s->merges_all = s->merged_at == 0 || now_us < s->merged_at || now_us - s->merged_at >= MERGE_US;
    }
    enum store_result result = take_step(store, s);
    if (result != STORE_OK && result != STORE_MISSING) {
        store_abandon(store, NULL);
        s->has_swept = false;
        s->phase = RESTING;
        s->has_rested = true;
        s->rested_at = now_us;
        return STORE_TROUBLE;
    }
    return result;
}
