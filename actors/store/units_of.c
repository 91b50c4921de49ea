/* units_of.c - in which units the numbers of a series were. */
#include "units_of.h"

#include "lineage_inside.h"
#include "samples.h"

#include <assert.h>
#include <string.h>

static enum store_result unit_in(store_t *store, struct slice snapshot, char room[UNIT_ROOM], struct slice *unit)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    *unit = (struct slice){ room, 0 };
    if (snapshot_read(snapshot, &e) != 0)
        return trouble(store, "a snapshot is damaged");
    if (!e.has_unit)
        return STORE_OK;
    unit->size = e.unit.size < UNIT_ROOM ? e.unit.size : UNIT_ROOM;
    memcpy(room, e.unit.data, unit->size);
    return STORE_OK;
}

enum store_result store_unit(store_t *store, int64_t snapshot, char room[UNIT_ROOM], struct slice *unit)
{
    struct slice bytes;
    *unit = (struct slice){ room, 0 };
    if (snapshot == 0)
        return STORE_OK;
    enum store_result result = word_get(store, SNAPSHOT, snapshot, &bytes);
    return result == STORE_OK ? unit_in(store, bytes, room, unit) : result;
}

struct walk {
    store_t *store;
    unit_fn *give;
    void *owner;
    char room[2][UNIT_ROOM];
    struct slice unit;      /* of the span that is open, in room[0] */
    int64_t begun, snapshot; /* -1: none is */
};

/* All snapshots that the series ever had name the same unit. What has no unit was no number, as a rule, but may have been. */
static enum store_result has_one_unit(struct walk *w, int64_t series, bool *one)
{
    struct slice first = { NULL, 0 }, unit;
    sqlite3_stmt *list = statement(w->store, SEEN_SNAPSHOTS);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, series);
    int rc;
    enum store_result result = STORE_OK;
    *one = true;
    while (*one && result == STORE_OK && (rc = sqlite3_step(list)) == SQLITE_ROW) {
        result = unit_in(w->store, column_bytes(list, 0), w->room[first.data != NULL], &unit);
        if (first.data)
            *one = slice_equal(first, unit);
        else
            first = unit;
    }
    sqlite3_reset(list);
    return result != STORE_OK || !*one || rc == SQLITE_DONE ? result : trouble(w->store, "cannot read a series' snapshots");
}

/* STORE_MISSING: the one who asks has enough. */
static enum store_result close_span(struct walk *w, int64_t to)
{
    struct unit_span span = { w->begun, to, w->unit };
    if (w->begun < 0 || w->give(w->owner, &span) == 0)
        return STORE_OK;
    w->begun = -1;
    return STORE_MISSING;
}

static enum store_result take(struct walk *w, const struct sample *sample)
{
    struct slice unit;
    if (sample->kind != SAMPLE_NUMBER || (w->begun >= 0 && sample->snapshot == w->snapshot))
        return STORE_OK;
    enum store_result result = store_unit(w->store, sample->snapshot, w->room[1], &unit);
    if (result != STORE_OK)
        return result;
    w->snapshot = sample->snapshot;
    if (w->begun >= 0 && slice_equal(unit, w->unit))
        return STORE_OK;
    result = close_span(w, sample->at);
    memcpy(w->room[0], w->room[1], unit.size);
    w->unit = (struct slice){ w->room[0], unit.size };
    if (result == STORE_OK)
        w->begun = sample->at;
    return result;
}

enum store_result store_units(store_t *store, int64_t series, int64_t from_us, int64_t to_us, unit_fn *give, void *owner)
{
    struct walk w = { .store = store, .give = give, .owner = owner, .begun = -1, .snapshot = -1 };
    struct sample sample;
    bool one;
    enum store_result result = has_one_unit(&w, series, &one);
    samples_t *samples = result == STORE_OK ? samples_open(store, series, from_us, to_us, false) : NULL;
    if (!samples)
        return result == STORE_OK ? STORE_TROUBLE : result;
    while (!(one && w.begun >= 0) && (result = samples_next(samples, &sample)) == STORE_OK)
        if ((result = take(&w, &sample)) != STORE_OK)
            break;
    samples_close(&samples);
    if (result == STORE_OK || result == STORE_MISSING)
        close_span(&w, to_us);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- over all names of an entity --------------------------------------------------------------------- */

struct rows { store_t *store; struct lineage_span spans[256]; size_t count; unit_row_fn *give; void *owner; struct page *end; const struct series *series; int64_t to; };

static int add_span(void *owner, const struct lineage_span *span)
{
    struct rows *rows = owner;
    if (rows->count == sizeof rows->spans / sizeof *rows->spans)
        return -1;
    rows->spans[rows->count++] = *span;
    return 0;
}

static int give_unit(void *owner, const struct unit_span *span)
{
    struct rows *rows = owner;
    struct unit_row row;
    schema_clear(unit_row_schema(), &row);
    SET_TEXT(&row, entity_id, rows->series->name, rows->series->name_size);
    SET(&row, from, span->from_us);
    if (span->to_us != FOREVER_US)
        SET(&row, to, span->to_us);
    if (span->unit.size > 0)
        SET_TEXT(&row, unit, span->unit.data, span->unit.size);
    if (rows->give(rows->owner, &row) != 0)
        return -1;
    rows->end->count++;
    return 0;
}

static enum store_result give_units(struct rows *rows, const struct units_query *q)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < rows->count; i++) {
        struct lineage_span span = rows->spans[i];
        int64_t from = q->has_start_time && q->start_time > span.from_us ? q->start_time : span.from_us;
        int64_t to = q->has_end_time && q->end_time < span.to_us ? q->end_time : span.to_us;
        rows->series = series_by_id(rows->store, span.series);
        if (from < to && rows->series)
            result = store_units(rows->store, span.series, from, to, give_unit, rows);
    }
    return result;
}

enum store_result store_unit_rows(store_t *store, const struct units_query *q, unit_row_fn *give, void *owner, struct page *end, struct fault *fault)
{
    struct rows rows = { .store = store, .give = give, .owner = owner, .end = end };
    bool empty, by_role;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    if (lineage_identity(q->has_identity, q->identity, &by_role, fault) != 0)
        return STORE_BAD;
    if (q->has_start_time && q->has_end_time && q->start_time >= q->end_time) {
        *fault = (struct fault){ "start_time", "is not before end_time" };
        return STORE_BAD;
    }
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    result = store_lineage(store, (struct slice){ q->entity_id, q->entity_id_size }, by_role, add_span, &rows);
    if (result == STORE_OK)
        result = give_units(&rows, q);
    read_end(store);
    return result;
}
