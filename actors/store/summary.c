/* summary.c - the house at a glance: latest states, counts of a period, entities, types. */
#include "times.h"
#include "pack.h"
#include "sealed.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY_US INT64_C(86400000000)

struct tally { const struct series *series; int64_t count, last; };

static int more_first(const void *a, const void *b)
{
    const struct tally *left = a, *right = b;
    if (left->count != right->count)
        return left->count < right->count ? 1 : -1;
    return left->series->id < right->series->id ? -1 : 1;
}

static int later_first(const void *a, const void *b)
{
    const struct tally *left = a, *right = b;
    if (left->last != right->last)
        return left->last < right->last ? 1 : -1;
    return left->series->id < right->series->id ? -1 : 1;
}

static struct tally *new_tallies(const store_t *store)
{
    struct tally *tallies = calloc(store->series.count + 1, sizeof *tallies);
    assert(tallies);
    return tallies;
}

/* --- the state in force now -------------------------------------------------------------------------- */

static bool latest_wants(const struct latest_query *q, const struct series *s)
{
    struct slice name = { s->name, s->name_size };
    return s->is_state && (!q->has_entity_id || list_has(q->entity_id, q->entity_id_size, name))
        && (!q->has_domain || list_has(q->domain, q->domain_size, name_domain(name)));
}

static int step_latest(sqlite3_stmt *last, int64_t series, int64_t until_us)
{
    sqlite3_reset(last);
    sqlite3_bind_int64(last, 1, series);
    sqlite3_bind_int64(last, 2, until_us);
    return sqlite3_step(last);
}

/* Of both, the later one. STORE_MISSING: there is none. */
static enum store_result read_last(store_t *store, const struct series *s, int64_t until_us, struct event_full *e)
{
    struct chunk_entry entry;
    struct chunk_row row;
    sqlite3_stmt *last = statement(store, EVENT_LAST);
    if (!last)
        return STORE_TROUBLE;
    int rc = step_latest(last, s->id, until_us);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot read the latest row");
    struct row_key key = { .at = -1 };
    if (rc == SQLITE_ROW)
        key = (struct row_key){ sqlite3_column_int64(last, 0), sqlite3_column_int64(last, 1), s->id, sqlite3_column_int64(last, 3), sqlite3_column_int(last, 4) };
    enum store_result result = sealed_at_or_before(store, s->id, until_us, &entry);
    if (result == STORE_OK && entry.last > key.at)
        result = sealed_last(store, s->id, until_us, &row);
    else if (result == STORE_OK)
        result = STORE_MISSING;
    if (result == STORE_OK && row.at > key.at)
        return row_read(store, &(struct row_key){ row.at + row.shift, row.place, s->id, row.at, row.rest }, row.body, e);
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    return key.at < 0 ? STORE_MISSING : row_read(store, &key, column_bytes(last, 5), e);
}

static enum store_result read_latest(store_t *store, const struct series *s, int64_t now_us, struct event_full *e)
{
    enum store_result result = read_last(store, s, now_us + DAY_US, e);
    return result == STORE_MISSING ? read_last(store, s, MAX_TIME_US, e) : result;
}

enum store_result store_latest(store_t *store, const struct latest_query *q, int64_t now_us, store_row_fn *row, void *owner,
                               struct page *end, struct fault *fault)
{
    struct row_key from = { 0 };
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 1000);
    uint32_t mark = latest_mark(q);
    if (q->has_cursor && cursor_check((struct slice){ q->cursor, q->cursor_size }, mark, &from, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    for (size_t i = 0; i < store->series.count && (result == STORE_OK || result == STORE_MISSING); i++) {
        const struct series *s = &store->series.items[i];
        struct event_full e;
        if (s->id < from.series || !latest_wants(q, s))
            continue;
        result = read_latest(store, s, now_us, &e);
        if (result != STORE_OK || (!e.has_state && !(q->has_removed && q->removed)))
            continue;
        if (end->count == end->limit || row(owner, &e) != 0) {
            cursor_write(&(struct row_key){ .series = s->id }, mark, end);
            break;
        }
        end->count++;
    }
    read_end(store);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* --- a period ------------------------------------------------------------------------------------------- */

/* Rows of one series by its own time; those few whose time_fired differs lie a moment aside. */
static enum store_result count_series(store_t *store, int64_t id, int64_t from_us, int64_t to_us, int64_t *count)
{
    sqlite3_stmt *stmt = statement(store, SERIES_COUNT);
    if (!stmt)
        return STORE_TROUBLE;
    sqlite3_bind_int64(stmt, 1, id);
    sqlite3_bind_int64(stmt, 2, from_us);
    sqlite3_bind_int64(stmt, 3, to_us);
    if (sqlite3_step(stmt) != SQLITE_ROW)
        return trouble(store, "cannot count a series");
    int64_t hot = sqlite3_column_int64(stmt, 0);
    enum store_result result = sealed_count(store, id, from_us, to_us, count);
    *count += hot;
    return result;
}

static enum store_result tally_period(store_t *store, int64_t from_us, int64_t to_us, struct tally *tallies)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < store->series.count && result == STORE_OK; i++) {
        tallies[i].series = &store->series.items[i];
        result = count_series(store, tallies[i].series->id, from_us, to_us, &tallies[i].count);
    }
    return result;
}

static void pack_text(msgpack_sbuffer *out, const char *text)
{
    pack_bytes(out, text, strlen(text));
}

static void pack_int(msgpack_sbuffer *out, int64_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)n);
    pack_text(out, text);
}

static struct slice series_name(const struct series *s)
{
    return (struct slice){ s->name, s->name_size };
}

static void types_json(const struct tally *tallies, size_t count, int64_t states, msgpack_sbuffer *out)
{
    bool first = states == 0;
    pack_text(out, "{");
    if (states > 0) {
        pack_text(out, "\"state_changed\":");
        pack_int(out, states);
    }
    for (size_t i = 0; i < count; i++) {
        if (tallies[i].series->is_state || tallies[i].count == 0)
            continue;
        pack_text(out, first ? "" : ",");
        json_write_text(series_name(tallies[i].series), out);
        pack_text(out, ":");
        pack_int(out, tallies[i].count);
        first = false;
    }
    pack_text(out, "}");
}

static void top_json(const struct tally *tallies, size_t count, msgpack_sbuffer *out)
{
    size_t given = 0;
    pack_text(out, "[");
    for (size_t i = 0; i < count && given < 20 && tallies[i].count > 0; i++) {
        if (!tallies[i].series->is_state)
            continue;
        pack_text(out, given++ ? ",{\"entity_id\":" : "{\"entity_id\":");
        json_write_text(series_name(tallies[i].series), out);
        pack_text(out, ",\"count\":");
        pack_int(out, tallies[i].count);
        pack_text(out, "}");
    }
    pack_text(out, "]");
}

static void fill_stats(const struct tally *tallies, size_t count, struct events_stats *stats, msgpack_sbuffer *pool)
{
    int64_t total = 0, states = 0, entities = 0;
    for (size_t i = 0; i < count; i++) {
        total += tallies[i].count;
        states += tallies[i].series->is_state ? tallies[i].count : 0;
        entities += tallies[i].series->is_state && tallies[i].count > 0;
    }
    SET(stats, total_events, total);
    SET(stats, unique_entities, entities);
    size_t types_at = pool->size;
    types_json(tallies, count, states, pool);
    size_t top_at = pool->size;
    top_json(tallies, count, pool);
    SET(stats, event_types, (struct slice){ pool->data + types_at, top_at - types_at });
    SET(stats, top_entities, (struct slice){ pool->data + top_at, pool->size - top_at });
}

/* Of sealed rows, where nothing newer is hot. */
static enum store_result find_newest_sealed(store_t *store, int64_t from_us, int64_t to_us, int64_t *newest)
{
    struct chunk_entry entry;
    struct chunk_row row;
    for (size_t i = 0; i < store->series.count; i++) {
        int64_t id = store->series.items[i].id;
        enum store_result result = sealed_next(store, id, from_us, to_us, true, &entry);
        int64_t last = result == STORE_OK ? entry.last : -1;
        if (last >= to_us) {
            result = sealed_last(store, id, to_us - 1, &row);
            last = result == STORE_OK ? row.at : -1;
        }
        if (result != STORE_OK && result != STORE_MISSING)
            return result;
        if (last >= from_us && last > *newest)
            *newest = last;
    }
    return STORE_OK;
}

static enum store_result find_newest(store_t *store, int64_t from_us, int64_t to_us, struct events_stats *stats)
{
    int64_t newest = -1;
    enum store_result result = times_newest(store, from_us, to_us, &newest);
    if (result != STORE_OK && result != STORE_MISSING)
        return result;
    if (result == STORE_MISSING)
        newest = -1;
    result = newest < store->sealed_until ? find_newest_sealed(store, from_us, to_us, &newest) : STORE_OK;
    if (newest >= 0)
        SET(stats, last_event_time, newest);
    return result;
}

enum store_result store_stats(store_t *store, int64_t from_us, int64_t to_us, struct events_stats *stats, msgpack_sbuffer *pool)
{
    bool empty;
    schema_clear(events_stats_schema(), stats);
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK)
        return result;
    struct tally *tallies = new_tallies(store);
    if (!empty) {
        result = tally_period(store, from_us, to_us, tallies);
        if (result == STORE_OK)
            result = find_newest(store, from_us, to_us, stats);
    }
    size_t count = result == STORE_OK && !empty ? store->series.count : 0;
    qsort(tallies, count, sizeof *tallies, more_first);
    fill_stats(tallies, count, stats, pool);
    SET(stats, events_per_minute, (double)stats->total_events * 6e7 / (double)(to_us > from_us ? to_us - from_us : 1));
    free(tallies);
    read_end(store);
    return result;
}

/* --- entities and types ------------------------------------------------------------------------------------ */

static enum store_result tally_last(store_t *store, struct tally *tallies)
{
    for (size_t i = 0; i < store->series.count; i++) {
        sqlite3_stmt *stmt = statement(store, SERIES_NEWEST);
        if (!stmt)
            return STORE_TROUBLE;
        tallies[i] = (struct tally){ &store->series.items[i], 0, -1 };
        sqlite3_bind_int64(stmt, 1, store->series.items[i].id);
        int rc = store->series.items[i].is_state ? sqlite3_step(stmt) : SQLITE_DONE;
        int64_t sealed = -1;
        if (rc == SQLITE_ROW)
            tallies[i].last = sqlite3_column_int64(stmt, 0);
        else if (rc != SQLITE_DONE)
            return trouble(store, "cannot find an entity's newest row");
        enum store_result result = store->series.items[i].is_state ? sealed_newest(store, store->series.items[i].id, &sealed) : STORE_OK;
        if (result != STORE_OK)
            return result;
        if (sealed > tallies[i].last)
            tallies[i].last = sealed;
    }
    return STORE_OK;
}

static int64_t limit_of(const struct limit_query *q)
{
    return q->has_limit ? q->limit : 100;
}

enum store_result store_entities(store_t *store, const struct limit_query *q, store_active_fn *row, void *owner, struct page *end)
{
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, limit_of(q));
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    struct tally *tallies = new_tallies(store);
    result = tally_last(store, tallies);
    qsort(tallies, result == STORE_OK ? store->series.count : 0, sizeof *tallies, later_first);
    for (size_t i = 0; result == STORE_OK && i < store->series.count && end->count < end->limit && tallies[i].last >= 0; i++) {
        struct active_row active;
        schema_clear(active_row_schema(), &active);
        SET_TEXT(&active, entity_id, tallies[i].series->name, tallies[i].series->name_size);
        SET(&active, last_activity, tallies[i].last);
        if (row(owner, &active) != 0)
            break;
        end->count++;
    }
    free(tallies);
    read_end(store);
    return result;
}

static int give_type(struct slice name, int64_t count, store_type_fn *row, void *owner, struct page *end)
{
    struct type_row type;
    if (count == 0)
        return 0;
    if (end->count == end->limit)
        return -1;
    schema_clear(type_row_schema(), &type);
    SET_TEXT(&type, event_type, name.data, name.size);
    SET(&type, count, count);
    if (row(owner, &type) != 0)
        return -1;
    end->count++;
    return 0;
}

/* All states are one type: it takes its place among the others. */
static void give_types(const struct tally *tallies, size_t count, store_type_fn *row, void *owner, struct page *end)
{
    int64_t states = 0;
    for (size_t i = 0; i < count; i++)
        states += tallies[i].series->is_state ? tallies[i].count : 0;
    for (size_t i = 0; i < count; i++) {
        if (tallies[i].series->is_state)
            continue;
        if (states >= tallies[i].count) {
            if (give_type(slice_of("state_changed"), states, row, owner, end) != 0)
                return;
            states = 0;
        }
        if (give_type(series_name(tallies[i].series), tallies[i].count, row, owner, end) != 0)
            return;
    }
    give_type(slice_of("state_changed"), states, row, owner, end);
}

enum store_result store_types(store_t *store, const struct limit_query *q, store_type_fn *row, void *owner, struct page *end)
{
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, limit_of(q));
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    struct tally *tallies = new_tallies(store);
    result = tally_period(store, 0, MAX_TIME_US + 1, tallies);
    if (result == STORE_OK) {
        qsort(tallies, store->series.count, sizeof *tallies, more_first);
        give_types(tallies, store->series.count, row, owner, end);
    }
    free(tallies);
    read_end(store);
    return result;
}
