/* late.c - the writer's memory of what no longer is as it was rolled up: it is marked in the very transaction. */
#include "late.h"

#include "rollup_chunk.h"

#include <assert.h>
#include <stdlib.h>

/* States of a series within so much of each other are marked together: what is between is read from samples for a while. */
#define TOGETHER_US (16 * DAY_US)

int late_open(store_t *store)
{
    store->late = calloc(1, sizeof *store->late);
    assert(store->late);
    sqlite3_stmt *top = statement(store, ROLLED_TOP);
    int rc = top ? sqlite3_step(top) : SQLITE_ERROR;
    if (rc == SQLITE_ROW)
        store->late->below = sqlite3_column_int64(top, 0);
    else
        trouble(store, "cannot see what is rolled up");
    if (top)
        sqlite3_reset(top);
    return rc == SQLITE_ROW ? 0 : -1;
}

void late_close(store_t *store)
{
    if (store->late)
        free(store->late->spans);
    free(store->late);
    store->late = NULL;
}

void late_forget(store_t *store)
{
    store->late->count = 0;
    store->late->transaction++;
    store->late->is_touched = true; /* for all we know */
}

static void watch(struct late *late, const struct late_span *span)
{
    const struct late_span *w = &late->watched;
    if (w->to > 0 && span->from < w->to && (span->series == 0 || span->series == w->series))
        late->is_touched = true;
}

static void add(struct late *late, struct late_span span)
{
    if (late->count == late->room) {
        late->room = late->room ? late->room * 2 : 64;
        late->spans = realloc(late->spans, late->room * sizeof *late->spans);
        assert(late->spans);
    }
    late->spans[late->count++] = span;
    watch(late, &span);
}

static bool join(struct late_span *span, int64_t at)
{
    if (at < span->from - TOGETHER_US || at > span->to + TOGETHER_US)
        return false;
    span->from = at < span->from ? at : span->from;
    span->to = at > span->to ? at : span->to;
    return true;
}

void late_note(store_t *store, int64_t series, struct series *known, int64_t at)
{
    struct late *late = store->late;
    struct late_span one = { series, at, at, false };
    bool has_one = known && known->late > 0 && known->late_in == late->transaction;
    late->news++;
    if (has_one && join(&late->spans[known->late - 1], at)) {
        watch(late, &one);
        return;
    }
    add(late, one);
    if (!known)
        return;
    known->late = (uint32_t)late->count;
    known->late_in = late->transaction;
}

void late_gap(store_t *store, int64_t series, int64_t from, int64_t to)
{
    if (from < store->late->below)
        add(store->late, (struct late_span){ series, from, to, true });
}

/* --- marks -------------------------------------------------------------------------------------------- */

static enum store_result run(store_t *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot mark what is rolled up");
}

/* What was in force before is so until the next one; and that one's growth is another. */
static enum store_result find_reach(store_t *store, const struct late_span *span, int64_t *reach)
{
    samples_t *samples = samples_open(store, span->series, span->to + 1, INT64_MAX, false);
    struct sample next;
    enum store_result result = samples ? samples_next(samples, &next) : STORE_TROUBLE;
    samples_close(&samples);
    *reach = result == STORE_OK ? next.at + 1 : MAX_TIME_US;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* The chunk of a day's tier by any zone lies at most one beside. */
static int64_t chunk_at(enum tier tier, int64_t at)
{
    return tier == TIER_DAY ? at / (CHUNK_DAYS * DAY_US) : tier_chunk(tier, NULL, at);
}

static enum store_result mark_chunks(store_t *store, enum tier tier, const struct late_span *span, int64_t reach)
{
    sqlite3_stmt *mark = statement(store, ROLLED_MARK);
    if (!mark)
        return STORE_TROUBLE;
    sqlite3_bind_int64(mark, 1, span->series);
    sqlite3_bind_int(mark, 2, (int)tier);
    sqlite3_bind_int64(mark, 3, chunk_at(tier, span->from) - 1);
    sqlite3_bind_int64(mark, 4, span->from);
    sqlite3_bind_int64(mark, 5, reach);
    sqlite3_bind_int64(mark, 6, chunk_at(tier, reach) + 1);
    enum store_result result = run(store, mark);
    sqlite3_stmt *doubt = result == STORE_OK ? statement(store, ROLLED_DOUBT) : NULL;
    if (!doubt)
        return STORE_TROUBLE;
    sqlite3_bind_int64(doubt, 1, span->series);
    sqlite3_bind_int(doubt, 2, (int)tier);
    sqlite3_bind_int64(doubt, 3, chunk_at(tier, span->from) - 1);
    return run(store, doubt);
}

/* Where later ones were made, the chunks of what came now are to be. */
static enum store_result add_chunks(store_t *store, enum tier tier, const struct late_span *span)
{
    enum store_result result = STORE_OK;
    for (int64_t chunk = chunk_at(tier, span->from) - (tier == TIER_DAY); chunk <= chunk_at(tier, span->to) && result == STORE_OK; chunk++) {
        sqlite3_stmt *put = statement(store, ROLLED_ADD);
        if (!put)
            return STORE_TROUBLE;
        sqlite3_bind_int64(put, 1, span->series);
        sqlite3_bind_int(put, 2, (int)tier);
        sqlite3_bind_int64(put, 3, chunk);
        result = run(store, put);
    }
    return result;
}

static enum store_result mark_states(store_t *store, const struct late_span *span)
{
    int64_t reach;
    enum store_result result = find_reach(store, span, &reach);
    for (enum tier tier = TIER_QUARTER; tier < TIERS && result == STORE_OK; tier++) {
        result = mark_chunks(store, tier, span, reach);
        if (result == STORE_OK)
            result = add_chunks(store, tier, span);
    }
    return result;
}

static enum store_result mark_gap(store_t *store, const struct late_span *span)
{
    enum store_result result = STORE_OK;
    for (enum tier tier = TIER_QUARTER; tier < TIERS && result == STORE_OK; tier++) {
        sqlite3_stmt *mark = statement(store, ROLLED_SPAN);
        if (!mark)
            return STORE_TROUBLE;
        sqlite3_bind_int(mark, 1, (int)tier);
        sqlite3_bind_int64(mark, 2, span->from);
        sqlite3_bind_int64(mark, 3, span->to);
        sqlite3_bind_int64(mark, 4, chunk_at(tier, span->from) - 1);
        sqlite3_bind_int64(mark, 5, chunk_at(tier, span->to) + 1);
        sqlite3_bind_int64(mark, 6, span->series);
        result = run(store, mark);
    }
    return result;
}

enum store_result late_write(store_t *store)
{
    struct late *late = store->late;
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < late->count && result == STORE_OK; i++)
        result = late->spans[i].is_gap ? mark_gap(store, &late->spans[i]) : mark_states(store, &late->spans[i]);
    late->count = 0;
    late->transaction++;
    return result;
}
