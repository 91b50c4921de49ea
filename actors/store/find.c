/* find.c - rows out of the store: lists, counts, one by its id. */
#include "sealed.h"
#include "times.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LOOK_US = 1000000, LOOK_EVERY = 256 }; /* how long a list may search */

int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static enum store_result read_words(store_t *store, const struct row_refs *refs, struct event_full *e)
{
    struct slice bytes;
    enum store_result result = STORE_OK;
    if (refs->attributes) {
        result = word_get(store, ATTRIBUTE, refs->attributes, &bytes);
        if (result == STORE_OK)
            SET(e, attributes, bytes);
        result = result == STORE_BAD ? STORE_OK : result; /* damaged, and noted: absent */
    }
    if (result == STORE_OK && refs->user) {
        result = word_get(store, USER, refs->user, &bytes);
        if (result == STORE_OK)
            SET(e, context_user_id, bytes);
        result = result == STORE_BAD ? STORE_OK : result;
    }
    if (result == STORE_OK && refs->readings) {
        result = surroundings_get(store, refs->readings, e);
        result = result == STORE_BAD ? STORE_OK : result;
    }
    return result;
}

static void set_id(struct event_full *e, const struct series *series, const struct row_key *key)
{
    char text[EVENT_ID];
    event_id_write(&(struct event_key){ series->hash, key->at, (uint32_t)key->rest }, text);
    SET_TEXT(e, id, text, EVENT_ID);
}

/* All that filters look at but the text of attributes. */
enum store_result row_names(store_t *store, const struct row_key *key, struct slice body, struct event_full *e, struct row_refs *refs)
{
    struct slice bytes;
    const struct series *series = series_by_id(store, key->series);
    if (!series)
        return trouble(store, "a row belongs to no series");
    schema_clear(event_full_schema(), e);
    SET(e, is_state, series->is_state);
    SET(e, timestamp, key->time);
    SET(e, place, key->place);
    if (series->is_state)
        SET(e, entity_id, (struct slice){ series->name, series->name_size });
    if (body_read(body, key->at, e, refs, &store->room) != 0)
        return trouble(store, "a stored row is damaged");
    enum store_result result = word_get(store, SNAPSHOT, refs->snapshot, &bytes);
    if (result == STORE_OK && bytes.size == 0) {
        SET(e, event_type, series->is_state ? slice_of("state_changed") : (struct slice){ series->name, series->name_size });
        return STORE_OK;
    }
    return result == STORE_OK && snapshot_read(bytes, e) != 0 ? trouble(store, "a snapshot is damaged") : result;
}

enum store_result row_read(store_t *store, const struct row_key *key, struct slice body, struct event_full *e)
{
    struct row_refs refs;
    enum store_result result = row_names(store, key, body, e, &refs);
    if (result != STORE_OK)
        return result;
    set_id(e, series_by_id(store, key->series), key);
    return read_words(store, &refs, e);
}

/* --- lists ------------------------------------------------------------------------------------------ */

struct listing {
    const struct events_query *query;
    struct filter filter;
    struct merge merge;
    store_row_fn *row;
    void *owner;
    struct page *end;
    int64_t limit, skip, deadline_us;
    uint64_t looked;
    struct row_key last;   /* looked at, where `looked` is not 0 */
};

static bool is_late(const struct listing *l)
{
    return l->looked > 0 && l->looked % LOOK_EVERY == 0 && clock_us() > l->deadline_us;
}

/* The page ends before this row. The next one begins right behind the last row that was looked at, not with this one: a richer
 * row may take its place meanwhile, with another time or place, and would lie before the cursor. */
static enum store_result end_page(struct listing *l, const struct row_key *key)
{
    struct row_key start = l->looked > 0 ? l->last : *key;
    bool is_edge = l->looked > 0 && start.rest == (l->merge.descending ? INT32_MIN : INT32_MAX); /* no key is right behind it */
    if (l->looked > 0 && !is_edge)
        start.rest += l->merge.descending ? -1 : 1;
    cursor_write(is_edge ? key : &start, l->filter.mark, l->end);
    return STORE_MISSING;
}

/* STORE_MISSING: the page ends here, its cursor is set. */
static enum store_result list_row(store_t *store, struct listing *l)
{
    struct event_full e;
    struct slice body;
    const struct row_key *key = merge_key(&l->merge);
    if (l->end->count == l->limit || is_late(l))
        return end_page(l, key);
    enum store_result result = merge_body(store, &l->merge, &body);
    if (result == STORE_OK)
        result = row_read(store, key, body, &e);
    if (result != STORE_OK)
        return result;
    if (filter_takes(&l->filter, &e)) {
        if (l->skip > 0)
            l->skip--;
        else if (l->row(l->owner, &e) != 0)
            return end_page(l, key);
        else
            l->end->count++;
    }
    l->last = *key;
    l->looked++;
    return STORE_OK;
}

enum store_result store_find(store_t *store, const struct events_query *q, store_row_fn *row, void *owner, struct page *end, struct fault *fault)
{
    struct listing l = {
        .query = q, .row = row, .owner = owner, .end = end, .limit = q->has_limit ? q->limit : 100,
        .skip = q->has_offset && !q->has_cursor ? q->offset : 0, .deadline_us = clock_us() + LOOK_US,
    };
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, l.limit);
    if (filter_open(&l.filter, q, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = merge_plan(store, &l.merge, q);
    while (result == STORE_OK && (result = merge_next(store, &l.merge)) == STORE_OK)
        result = list_row(store, &l);
    merge_close(&l.merge);
    read_end(store);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- counts ------------------------------------------------------------------------------------------- */

static enum store_result run_count(store_t *store, enum statement which, int64_t series, int64_t from, int64_t to, int64_t *count)
{
    sqlite3_stmt *stmt = statement(store, which);
    if (!stmt)
        return STORE_TROUBLE;
    sqlite3_bind_int64(stmt, 1, from);
    sqlite3_bind_int64(stmt, 2, to);
    if (which == EVENT_HOT_COUNT)
        sqlite3_bind_int64(stmt, 3, series);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return trouble(store, "cannot count");
    *count = sqlite3_column_int64(stmt, 0);
    return STORE_OK;
}

enum store_result rows_count(store_t *store, int64_t series, int64_t from, int64_t to, int64_t *count)
{
    int64_t hot = 0, sealed = 0;
    enum store_result result = run_count(store, EVENT_HOT_COUNT, series, from, to, &hot);
    if (result == STORE_OK)
        result = sealed_count(store, series, from, to, &sealed);
    *count = hot + sealed;
    return result;
}

enum store_result rows_shifted(store_t *store, int64_t from, int64_t to, int64_t *count)
{
    return run_count(store, SHIFTED_COUNT, 0, from, to, count);
}

/* Beyond what is sealed the order of lists has a key for each row; before that, keys may be left of rows that were sealed. */
static enum store_result count_all(store_t *store, const struct events_query *q, int64_t *count)
{
    int64_t from = q->has_start_time ? q->start_time : 0, to = q->has_end_time ? q->end_time : MAX_TIME_US + 1, part = 0;
    int64_t until = store->sealed_until < to ? store->sealed_until : to;
    enum store_result result = STORE_OK;
    if (from < until)
        result = rows_shifted(store, from, until, count);
    for (size_t i = 0; from < until && result == STORE_OK && i < store->series.count; i++) {
        result = rows_count(store, store->series.items[i].id, from, until, &part);
        *count += part;
    }
    if (result == STORE_OK && (until > from ? until : from) < to) {
        result = times_count(store, until > from ? until : from, to, &part);
        *count += part;
    }
    return result;
}

static enum store_result count_row(store_t *store, struct merge *merge, const struct filter *filter, int64_t *count)
{
    struct event_full e;
    struct row_refs refs;
    struct slice body;
    enum store_result result = merge_body(store, merge, &body);
    if (result == STORE_OK)
        result = row_names(store, merge_key(merge), body, &e, &refs);
    if (result == STORE_OK && filter->query->has_query)
        result = read_words(store, &refs, &e);
    if (result == STORE_OK)
        *count += filter_takes(filter, &e);
    return result;
}

static enum store_result count_part(store_t *store, struct merge *merge, const struct filter *filter, int64_t *count)
{
    uint64_t looked = 0;
    enum store_result result;
    while ((result = merge_next(store, merge)) == STORE_OK) {
        result = count_row(store, merge, filter, count);
        if (++looked % LOOK_EVERY == 0 && clock_us() > store->late_us)
            result = STORE_LATE;
        if (result != STORE_OK)
            return result;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Where types, domains and entities alone are asked for, a row's series has answered already;
 * but which entity an event speaks of that is no state, only the row tells. */
static enum store_result count_series(store_t *store, struct merge *merge, const struct events_query *q, int64_t *count)
{
    enum store_result result = STORE_OK;
    for (; result == STORE_OK && merge->part < merge->wanted_count; merge->part++) {
        const struct series *s = &store->series.items[merge->part];
        int64_t part = 0;
        if ((merge->any_series || merge->wanted[merge->part]) && (s->is_state || !q->has_entity_id))
            result = rows_count(store, s->id, merge->from, merge->to, &part);
        *count += part;
        if (clock_us() > store->late_us)
            result = STORE_LATE;
    }
    return result;
}

static enum store_result count_rows(store_t *store, const struct events_query *q, const struct filter *filter, int64_t *count)
{
    struct merge merge;
    enum store_result result = merge_begin_parts(store, &merge, q);
    if (result == STORE_OK) {
        if (filter_is_of_series(q))
            result = count_series(store, &merge, q, count);
        while (result == STORE_OK && (result = merge_part(store, &merge, q)) == STORE_OK)
            result = count_part(store, &merge, filter, count);
    } else if (result == STORE_MISSING) {
        result = merge_plan(store, &merge, q);
        if (result == STORE_OK)
            result = count_part(store, &merge, filter, count);
    }
    merge_close(&merge);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result store_count(store_t *store, const struct events_query *asked, int64_t *count, struct fault *fault)
{
    struct filter filter;
    struct events_query q = *asked;
    bool empty;
    *count = 0;
    q.has_cursor = false;
    if (filter_open(&filter, &q, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    result = filter_takes_all(&q) ? count_all(store, &q, count) : count_rows(store, &q, &filter, count);
    read_end(store);
    return result;
}

/* --- one ------------------------------------------------------------------------------------------------- */

static enum store_result give_one(store_t *store, const struct row_key *key, struct slice body, store_row_fn *row, void *owner)
{
    struct event_full e;
    enum store_result result = row_read(store, key, body, &e);
    if (result == STORE_OK)
        row(owner, &e);
    return result;
}

static enum store_result get_sealed(store_t *store, int64_t series, int64_t at, int32_t rest, store_row_fn *row, void *owner)
{
    struct chunk_row found;
    enum store_result result = sealed_get(store, series, at, rest, &found);
    if (result != STORE_OK)
        return result;
    struct row_key key = { at + found.shift, found.place, series, at, rest };
    return give_one(store, &key, found.body, row, owner);
}

static enum store_result get_key(store_t *store, int64_t series, int64_t at, int32_t rest, store_row_fn *row, void *owner)
{
    sqlite3_stmt *get = statement(store, EVENT_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, series);
    sqlite3_bind_int64(get, 2, at);
    sqlite3_bind_int(get, 3, rest);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_DONE)
        return get_sealed(store, series, at, rest, row, owner);
    if (rc != SQLITE_ROW)
        return trouble(store, "cannot read a row");
    struct row_key key = { sqlite3_column_int64(get, 0), sqlite3_column_int64(get, 1), series, at, rest };
    return give_one(store, &key, column_bytes(get, 5), row, owner);
}

/* The id that a live event was announced with, where its row had come from history before and
 * has kept the id of then. */
struct renamed { store_t *store; const struct series *series; const struct event_key *id; bool is_found; int32_t rest; };

static int look_at_twin(void *owner, const struct chunk_row *row)
{
    struct renamed *renamed = owner;
    struct event_full e;
    struct row_refs refs;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, renamed->series->is_state);
    SET(&e, entity_id, (struct slice){ renamed->series->name, renamed->series->name_size });
    SET(&e, event_type, e.entity_id);
    SET(&e, timestamp, row->at + row->shift);
    renamed->is_found = body_read(row->body, row->at, &e, &refs, &renamed->store->room) == 0 && event_key(&e).rest == renamed->id->rest;
    renamed->rest = row->rest;
    return renamed->is_found;
}

static enum store_result get_renamed(store_t *store, const struct series *series, const struct event_key *id, store_row_fn *row, void *owner)
{
    struct renamed renamed = { .store = store, .series = series, .id = id };
    sqlite3_stmt *twins = statement(store, EVENT_TWINS);
    bool any;
    if (!twins)
        return STORE_TROUBLE;
    sqlite3_bind_int64(twins, 1, series->id);
    sqlite3_bind_int64(twins, 2, id->at);
    int rc;
    while ((rc = sqlite3_step(twins)) == SQLITE_ROW) {
        struct chunk_row twin = { .at = id->at, .shift = sqlite3_column_int64(twins, 1) - id->at, .rest = sqlite3_column_int(twins, 0), .body = column_bytes(twins, 2) };
        if (look_at_twin(&renamed, &twin) != 0)
            break;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot read a row");
    enum store_result result = renamed.is_found ? STORE_OK : sealed_twins(store, series->id, id->at, look_at_twin, &renamed, &any);
    if (result != STORE_OK)
        return result;
    return renamed.is_found ? get_key(store, series->id, id->at, renamed.rest, row, owner) : STORE_MISSING;
}

enum store_result store_get(store_t *store, const char *id, store_row_fn *row, void *owner)
{
    struct event_key key;
    bool empty;
    if (event_id_read(slice_of(id), &key) != 0)
        return STORE_MISSING;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    result = STORE_MISSING;
    for (size_t i = 0; i < store->series.count && result == STORE_MISSING; i++) {
        const struct series *series = &store->series.items[i];
        if (series->hash != key.series)
            continue;
        result = get_key(store, series->id, key.at, (int32_t)key.rest, row, owner);
        if (result == STORE_MISSING)
            result = get_renamed(store, series, &key, row, owner);
    }
    read_end(store);
    return result;
}
