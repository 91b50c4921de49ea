/* rolling.c - what has come to rest is rolled up, chunk after chunk, a little at a time. */
#include "rolling.h"

#include "buckets.h"
#include "late.h"
#include "plain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_SAMPLES = 2048, LOOKS = 64, SAMPLES_A_BUCKET = 4 /* make a rollup worth its place */ };
#define SETTLED_US (INT64_C(600) * SECOND_US)

/* One chunk in the making. */
struct making {
    struct asked asked;
    struct lineage_span span;
    struct rollup_head head;
    int64_t chunk, at;       /* samples before `at` are in */
    bool is_sparse;          /* it was not worth its place so far: only what is new is looked at, and it is none before its time is over */
    rollup_writer_t *writer;
    bool is_plain;           /* it becomes rows for SQL as well */
    struct plain_rows *plain;
};

struct rolling {
    struct making *making;
    zone_t *zone;
    int64_t series;          /* the pass over all series is here, ... */
    enum tier tier;
    int64_t day;             /* ... and is for this day; the one of the last whole pass */
    int64_t done_day;
    uint64_t news;           /* late states that this has heard of; */
    bool has_news;           /* they are of no pass yet */
};

/* --- zone ----------------------------------------------------------------------------------------- */

enum store_result store_zone(store_t *store, char name[ZONE_NAME], bool *is_set)
{
    bool empty = false, is_inside = is_reading(store);
    strcpy(name, "UTC");
    if (is_set)
        *is_set = false;
    enum store_result result = is_inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    sqlite3_stmt *get = statement(store, ZONE_GET);
    int rc = get ? sqlite3_step(get) : SQLITE_ERROR;
    if (rc == SQLITE_ROW && sqlite3_column_bytes(get, 0) < ZONE_NAME) {
        snprintf(name, ZONE_NAME, "%s", (const char *)sqlite3_column_text(get, 0));
        if (is_set)
            *is_set = true;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = trouble(store, "cannot read the zone");
    if (get)
        sqlite3_reset(get);
    if (!is_inside)
        read_end(store);
    return result;
}

static void stop_making(struct rolling *self)
{
    if (!self->making)
        return;
    bucketer_destroy(&self->making->asked.bucketer);
    rollup_writer_destroy(&self->making->writer);
    plain_free(&self->making->plain);
    free(self->making->asked.gaps);
    free(self->making);
    self->making = NULL;
}

void rolling_close(struct rolling **self_p)
{
    if (!*self_p)
        return;
    stop_making(*self_p);
    zone_destroy(&(*self_p)->zone);
    free(*self_p);
    *self_p = NULL;
}

static enum store_result write_zone(store_t *store, const char *name)
{
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *put = statement(store, ZONE_PUT), *days = statement(store, ROLLED_ZONE);
    if (!put || !days)
        return store_abandon(store, NULL);
    sqlite3_bind_text(put, 1, name, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(days, 1, MAX_TIME_US);
    if (sqlite3_step(put) != SQLITE_DONE || sqlite3_step(days) != SQLITE_DONE)
        return store_abandon(store, "cannot change the zone");
    sqlite3_reset(put);
    sqlite3_reset(days);
    return plain_drop_days(store) == STORE_OK ? store_commit(store) : store_abandon(store, NULL);
}

enum store_result store_set_zone(store_t *store, const char *name)
{
    char before[ZONE_NAME];
    const char *why;
    bool is_set;
    zone_t *zone = zone_open(name, &why);
    if (!zone)
        return STORE_BAD;
    zone_destroy(&zone);
    enum store_result result = store_zone(store, before, &is_set);
    if (result != STORE_OK || (is_set && strcmp(before, name) == 0))
        return result;
    rolling_close(&store->rolling);
    return write_zone(store, name);
}

/* --- a chunk -------------------------------------------------------------------------------------------- */

static int take_bucket(void *owner, const struct bucket *b)
{
    struct making *m = owner;
    if (b->is_open)
        return 0;
    rollup_writer_add(m->writer, b);
    if (m->is_plain)
        plain_add(&m->plain, b, m->head.class);
    return 0;
}

static int take_gap(void *owner, const struct store_gap *gap)
{
    return asked_gap(owner, gap);
}

static sqlite3_stmt *chunk_statement(store_t *store, enum statement which, int64_t series, enum tier tier, int64_t chunk)
{
    sqlite3_stmt *stmt = statement(store, which);
    if (!stmt)
        return NULL;
    sqlite3_bind_int64(stmt, 1, series);
    sqlite3_bind_int(stmt, 2, (int)tier);
    sqlite3_bind_int64(stmt, 3, chunk);
    return stmt;
}

/* A chunk that is as it should be, but ends earlier. STORE_MISSING: there is none. */
static enum store_result find_earlier(store_t *store, const struct making *m, int64_t *until, bool *kept)
{
    sqlite3_stmt *find = chunk_statement(store, ROLLED_CLEAN, m->span.series, m->head.tier, m->chunk);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int(find, 4, (int)m->head.class);
    int rc = sqlite3_step(find);
    *until = rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    *kept = rc == SQLITE_ROW && sqlite3_column_int(find, 1) != 0;
    sqlite3_reset(find);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot look for a rollup");
    return *until > m->head.from && *until < m->head.until ? STORE_OK : STORE_MISSING;
}

/* The buckets of a chunk so far; false: they cannot be had, and it is made from its beginning. */
static bool take_over(struct making *m, const struct rolling *self, rollup_reader_t *reader, int64_t until, bool kept)
{
    const struct rollup_head *head = rollup_reader_head(reader);
    const struct bucket *b = NULL;
    if (head->tier != m->head.tier || head->class != m->head.class || head->from != m->head.from || head->until != until
            || strcmp(head->zone, m->head.zone) != 0 || !slice_equal(unit_slice(&head->unit), unit_slice(&m->head.unit)) || kept != (head->buckets > 0))
        return false;
    struct step step = tier_step(m->head.tier, self->zone);
    int64_t at = head->from;
    for (int64_t to = step_next(&step, at); kept && to <= until && (b = rollup_reader_next(reader, at, to)); to = step_next(&step, at)) {
        rollup_writer_add(m->writer, b);
        at = to;
    }
    m->head.samples = head->samples;
    m->head.before = head->before;
    return !kept || at == until;
}

/* What was made the day before is gone on with; else from the beginning. */
static enum store_result go_on_from(store_t *store, struct making *m)
{
    const struct rolling *self = store->rolling;
    rollup_reader_t *reader = NULL;
    int64_t until;
    bool kept, is_whole = tier_chunk_start(m->head.tier, self->zone, m->chunk + 1) <= m->head.until;
    enum store_result result = find_earlier(store, m, &until, &kept);
    if (result == STORE_OK && !kept && is_whole)
        result = STORE_MISSING; /* now it is judged by all that is in it */
    if (result == STORE_OK && (kept || class_counts(m->head.class)))
        result = rollup_get(store, m->span.series, m->head.tier, m->chunk, &reader);
    bool has = result == STORE_OK && (reader ? take_over(m, self, reader, until, kept) : !kept && !class_counts(m->head.class));
    rollup_reader_destroy(&reader);
    if (has) {
        m->at = until;
        m->is_sparse = !kept;
    } else if (result == STORE_OK) {
        rollup_writer_destroy(&m->writer);
        m->writer = rollup_writer_new(m->head.class);
        m->head.samples = 0;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result begin_chunk(store_t *store, int64_t series, enum tier tier, int64_t chunk, int64_t until)
{
    struct rolling *self = store->rolling;
    struct making *m = calloc(1, sizeof *m);
    assert(m);
    self->making = m;
    m->span = (struct lineage_span){ series, 0, FOREVER_US };
    m->asked = (struct asked){ .store = store, .spans = &m->span, .count = 1, .facts = facts_of(store), .snapshot = -1, .has_rollups = true,
        .step = tier_step(tier, self->zone) };
    m->head = (struct rollup_head){ .tier = tier, .from = tier_chunk_start(tier, self->zone, chunk), .until = until };
    if (tier == TIER_DAY)
        snprintf(m->head.zone, sizeof m->head.zone, "%s", zone_name(self->zone));
    m->chunk = chunk;
    m->at = m->head.from;
    m->is_plain = plain_wants(store, tier);
    enum store_result result = facts_of_series(m->asked.facts, series, &m->asked.what);
    m->head.class = m->asked.what.class;
    m->head.unit = m->asked.what.unit;
    if (result == STORE_OK)
        result = store_gaps(store, m->head.from, until, take_gap, &m->asked);
    m->writer = rollup_writer_new(m->head.class);
    if (result == STORE_OK)
        result = go_on_from(store, m);
    m->asked.bucketer = bucketer_new(&(struct bucketer_options){ .class = m->head.class, .step = m->asked.step, .from = m->at, .end = until,
        .gaps = m->asked.gaps, .gap_count = m->asked.gap_count, .give = take_bucket, .owner = m });
    store->late->watched = (struct late_span){ series, 0, until, false };
    store->late->is_touched = false;
    store->late->below = store->late->below > until ? store->late->below : until;
    struct counter before = m->head.before;
    result = result == STORE_OK ? feed_before(&m->asked, 0, m->at, &m->head.before) : result;
    if (m->at > m->head.from)
        m->head.before = before;
    return result;
}

/* A statement that the transaction at hand steps once. */
static enum store_result run(store_t *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot write a rollup");
}

static enum store_result write_chunk(store_t *store, const struct making *m, struct slice bytes)
{
    sqlite3_stmt *put = chunk_statement(store, bytes.size ? ROLLUP_PUT : ROLLUP_DROP, m->span.series, m->head.tier, m->chunk);
    if (put && bytes.size)
        bind_bytes(put, 4, bytes);
    enum store_result result = put ? run(store, put) : STORE_TROUBLE;
    sqlite3_stmt *note = result == STORE_OK ? chunk_statement(store, ROLLED_PUT, m->span.series, m->head.tier, m->chunk) : NULL;
    if (!note)
        return STORE_TROUBLE;
    sqlite3_bind_int64(note, 4, m->head.until);
    sqlite3_bind_int(note, 5, (int)m->head.class);
    sqlite3_bind_int(note, 6, m->head.buckets > 0);
    result = run(store, note);
    sqlite3_stmt *others = result == STORE_OK ? statement(store, ROLLED_CLASS) : NULL;
    if (!others)
        return STORE_TROUBLE;
    sqlite3_bind_int64(others, 1, m->span.series);
    sqlite3_bind_int(others, 2, (int)m->head.class);
    sqlite3_bind_int64(others, 3, MAX_TIME_US);
    return run(store, others);
}

/* All samples are in. Where rollups would be no fewer than samples there are none, but what a counter knows. */
static enum store_result end_chunk(store_t *store)
{
    struct making *m = store->rolling->making;
    bucketer_end(m->asked.bucketer);
    m->head.after = *bucketer_counter(m->asked.bucketer);
    int64_t busy = (int64_t)rollup_writer_busy(m->writer);
    bool is_worth_it = !m->is_sparse && (m->head.tier == TIER_DAY || m->head.samples >= SAMPLES_A_BUCKET * busy);
    buffer_clear(&store->scratch);
    if (!is_worth_it || !rollup_writer_end(m->writer, store->tools, &m->head, true, &store->scratch)) {
        m->head.buckets = 0;
        buffer_clear(&store->scratch);
        if (class_counts(m->head.class))
            rollup_writer_end(m->writer, store->tools, &m->head, false, &store->scratch);
    }
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    if (write_chunk(store, m, (struct slice){ store->scratch.data, store->scratch.size }) != STORE_OK)
        return store_abandon(store, NULL);
    int64_t end = tier_chunk_start(m->head.tier, store->rolling->zone, m->chunk + 1);
    if (m->is_plain && plain_write(store, m->plain, m->span.series, m->chunk, end, &m->head, store->rolling->zone) != STORE_OK)
        return store_abandon(store, NULL);
    store->late->watched.to = 0;
    return store_commit(store);
}

/* The next samples of the chunk. Those of one moment stay together. */
static enum store_result go_on(store_t *store, bool *is_over)
{
    struct making *m = store->rolling->making;
    samples_t *samples = samples_open(store, m->span.series, m->at, m->head.until, false);
    enum store_result result = samples ? STORE_OK : STORE_TROUBLE;
    int64_t last = -1;
    for (int count = 0; result == STORE_OK; count++) {
        struct sample sample;
        uint64_t last_reset;
        result = asked_sample(&m->asked, samples, &sample, &last_reset);
        if (result != STORE_OK)
            break;
        if (count >= PIECE_SAMPLES && sample.at != last) {
            m->at = sample.at;
            break;
        }
        last = sample.at;
        m->head.samples++;
        bucketer_sample(m->asked.bucketer, &sample, last_reset);
    }
    samples_close(&samples);
    *is_over = result == STORE_MISSING;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- what next ------------------------------------------------------------------------------------------------ */

/* Up to here a tier is rolled up now. */
static int64_t rest_of(const struct rolling *self, enum tier tier, int64_t now_us)
{
    struct step day = { .kind = STEP_FIXED, .us = DAY_US };
    return tier == TIER_DAY ? zone_day_start(self->zone, now_us - SETTLED_US) : step_start(&day, now_us - SETTLED_US);
}

static enum store_result begin_at(store_t *store, int64_t series, enum tier tier, int64_t chunk, int64_t now_us)
{
    struct rolling *self = store->rolling;
    int64_t from = tier_chunk_start(tier, self->zone, chunk), end = tier_chunk_start(tier, self->zone, chunk + 1), rest = rest_of(self, tier, now_us);
    if (from < rest)
        return begin_chunk(store, series, tier, chunk, end < rest ? end : rest);
    /* A clock that was ahead has let it be made: it will be when its time has come. */
    if (plain_wants(store, tier) && plain_drop(store, series, tier, from, end) != STORE_OK)
        return STORE_TROUBLE;
    sqlite3_stmt *drop = chunk_statement(store, ROLLED_DROP, series, tier, chunk);
    return drop ? run(store, drop) : STORE_TROUBLE;
}

/* What a counter knew at the end of the chunk before is what this one was made with. */
static enum store_result is_sure(store_t *store, int64_t series, enum tier tier, int64_t chunk, bool *sure)
{
    rollup_reader_t *own = NULL, *before = NULL;
    int64_t number = 0;
    sqlite3_stmt *find = statement(store, ROLLED_PRIOR);
    *sure = false;
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, series);
    sqlite3_bind_int(find, 2, (int)tier);
    sqlite3_bind_int64(find, 3, chunk);
    bool has_before = sqlite3_step(find) == SQLITE_ROW;
    number = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    enum store_result result = rollup_get(store, series, tier, chunk, &own);
    if (result == STORE_OK && has_before)
        result = rollup_get(store, series, tier, number, &before);
    struct counter none = { 0 };
    if (own && (before || !has_before)) {
        const struct counter *a = has_before ? &rollup_reader_head(before)->after : &none, *b = &rollup_reader_head(own)->before;
        *sure = a->has == b->has && a->has_reset == b->has_reset && a->last_reset == b->last_reset
            && (!a->has || (a->previous == b->previous && a->highest == b->highest))
            && (!has_before || slice_equal(unit_slice(&rollup_reader_head(before)->unit), unit_slice(&rollup_reader_head(own)->unit)));
    }
    rollup_reader_destroy(&own);
    rollup_reader_destroy(&before);
    return result;
}

static enum store_result begin_dirty(store_t *store, int64_t now_us, bool *found)
{
    sqlite3_stmt *dirty = statement(store, ROLLED_DIRTY);
    if (!dirty)
        return STORE_TROUBLE;
    int rc = sqlite3_step(dirty);
    int64_t series = sqlite3_column_int64(dirty, 0), chunk = sqlite3_column_int64(dirty, 2), dirty_to = sqlite3_column_int64(dirty, 3);
    enum tier tier = (enum tier)sqlite3_column_int(dirty, 1);
    sqlite3_reset(dirty);
    *found = rc == SQLITE_ROW;
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for what is to be rolled up again");
    bool sure = false;
    if (dirty_to == 0 && is_sure(store, series, tier, chunk, &sure) != STORE_OK)
        return STORE_TROUBLE;
    if (!sure)
        return begin_at(store, series, tier, chunk, now_us);
    sqlite3_stmt *clear = chunk_statement(store, ROLLED_SURE, series, tier, chunk);
    return clear ? run(store, clear) : STORE_TROUBLE;
}

/* The first sample of a series that is not rolled up. */
static enum store_result begin_new(store_t *store, int64_t series, enum tier tier, int64_t now_us, bool *found)
{
    struct rolling *self = store->rolling;
    struct sample sample;
    sqlite3_stmt *last = statement(store, ROLLED_LAST);
    if (!last)
        return STORE_TROUBLE;
    sqlite3_bind_int64(last, 1, series);
    sqlite3_bind_int(last, 2, (int)tier);
    int64_t from = sqlite3_step(last) == SQLITE_ROW ? sqlite3_column_int64(last, 0) : 0, rest = rest_of(self, tier, now_us);
    sqlite3_reset(last);
    *found = false;
    if (from >= rest)
        return STORE_OK;
    samples_t *samples = samples_open(store, series, from, rest, false);
    enum store_result result = samples ? samples_next(samples, &sample) : STORE_TROUBLE;
    samples_close(&samples);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    *found = true;
    return begin_at(store, series, tier, tier_chunk(tier, self->zone, sample.at), now_us);
}

static enum store_result next_series(store_t *store, int64_t now_us)
{
    struct rolling *self = store->rolling;
    sqlite3_stmt *next = statement(store, STATES_NEXT);
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, self->series);
    int rc = sqlite3_step(next);
    if (rc == SQLITE_ROW)
        self->series = sqlite3_column_int64(next, 0);
    sqlite3_reset(next);
    if (rc == SQLITE_DONE) {
        self->series = 0;
        self->done_day = self->day;
        for (enum tier tier = TIER_QUARTER; tier < TIERS; tier++)
            store->late->below = store->late->below > rest_of(self, tier, now_us) ? store->late->below : rest_of(self, tier, now_us);
        return STORE_MISSING;
    }
    return rc == SQLITE_ROW ? STORE_OK : trouble(store, "cannot look for the next series");
}

/* What an import brings may be of series, or of days, that there were no chunks of: when no more of it comes, all are looked at again. */
static void hear_news(store_t *store)
{
    struct rolling *self = store->rolling;
    bool goes_on = self->news != store->late->news;
    if (!goes_on && self->has_news)
        self->done_day = -1;
    self->has_news = goes_on;
    self->news = store->late->news;
}

/* One tier of one series after the other, until all have been looked at in this day. */
static enum store_result look_on(store_t *store, int64_t now_us, bool *is_done)
{
    struct rolling *self = store->rolling;
    enum store_result result = STORE_OK;
    bool found = false;
    int64_t day = rest_of(self, TIER_QUARTER, now_us) + rest_of(self, TIER_DAY, now_us);
    if (self->series == 0 && self->done_day == day) {
        hear_news(store);
        *is_done = true;
        return STORE_OK;
    }
    for (int looks = 0; looks < LOOKS && !found && result == STORE_OK; looks++) {
        if (self->series == 0)
            self->day = day;
        if (self->series == 0 || ++self->tier == TIERS) {
            self->tier = TIER_QUARTER;
            result = next_series(store, now_us);
        }
        if (result == STORE_OK)
            result = begin_new(store, self->series, self->tier, now_us, &found);
        if (found) /* there may be more of it */
            self->tier--;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- a little at a time ------------------------------------------------------------------------------------------ */

static enum store_result open_rolling(store_t *store)
{
    char name[ZONE_NAME];
    const char *why;
    enum store_result result = store_zone(store, name, NULL);
    if (result != STORE_OK)
        return result;
    zone_t *zone = zone_open(name, &why);
    if (!zone) /* the machine has forgotten it: days are cut in UTC until it is set again */
        zone = zone_open("UTC", &why);
    store->rolling = calloc(1, sizeof *store->rolling);
    assert(store->rolling && zone);
    *store->rolling = (struct rolling){ .zone = zone, .done_day = -1, .news = store->late->news };
    return STORE_OK;
}

static enum store_result make_on(store_t *store)
{
    struct rolling *self = store->rolling;
    bool is_over = false;
    enum store_result result = store->late->is_touched ? STORE_OK : go_on(store, &is_over);
    if (result == STORE_OK && is_over)
        result = end_chunk(store);
    if (!store->rolling)
        return result;
    if (store->late->is_touched || is_over || result != STORE_OK)
        stop_making(self);
    return result;
}

/* What was rolled up before it was to become rows is rolled up once more. */
static enum store_result fill_plain(store_t *store, int64_t now_us, bool *is_done)
{
    int64_t series, chunk;
    enum tier tier;
    enum store_result result = plain_next(store, &series, &tier, &chunk);
    *is_done = result == STORE_MISSING;
    if (result == STORE_OK)
        return begin_at(store, series, tier, chunk, now_us);
    return result == STORE_TROUBLE ? result : STORE_OK;
}

enum store_result store_roll(store_t *store, int64_t now_us, bool *is_done)
{
    bool found = false;
    *is_done = false;
    if (store->in_transaction)
        return STORE_OK;
    enum store_result result = store->rolling ? STORE_OK : open_rolling(store);
    if (result != STORE_OK)
        return result;
    if (store->rolling->making)
        return make_on(store);
    result = begin_dirty(store, now_us, &found);
    if (result == STORE_OK && !found)
        result = look_on(store, now_us, is_done);
    if (result == STORE_OK && *is_done)
        result = fill_plain(store, now_us, is_done);
    if (result != STORE_OK && store->rolling)
        stop_making(store->rolling);
    return result;
}
