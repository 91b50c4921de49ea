/* merge.c - rows in order of time from several places of the file, each in order already. */
#include "gather.h"
#include "times.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A place to read from: what it selects, and the time it is bounded and ordered by. */
struct reading_place { const char *select, *time, *order; bool body, is_link; };

static const char series_order[] = "at %1$s, place %1$s, series %1$s, rest %1$s";
static const char time_order[] = "t.time %1$s, t.place %1$s, t.series %1$s, t.back %1$s, t.rest %1$s";
static const char link_order[] = "time %1$s, place %1$s, series %1$s, at %1$s, rest %1$s";

static const struct reading_place
by_series = { "at, place, series, at, rest, body FROM event WHERE series = ?3 AND shift = 0 AND", "at", series_order, true, false },
by_time = { "t.time, t.place, t.series, t.time + t.back, t.rest, e.body FROM time t CROSS JOIN event e"
    " ON e.series = t.series AND e.at = t.time + t.back AND e.rest = t.rest WHERE", "t.time", time_order, true, false },
by_time_keys = { "t.time, t.place, t.series, t.time + t.back, t.rest FROM time t WHERE", "t.time", time_order, false, false },
by_link[] = {
    [LINK_OTHER]   = { "time, place, series, at, rest FROM link WHERE kind = 1 AND value = ?3 AND", "time", link_order, false, true },
    [LINK_CONTEXT] = { "time, place, series, at, rest FROM link WHERE kind = 2 AND value = ?3 AND", "time", link_order, false, true },
    [LINK_PARENT]  = { "time, place, series, at, rest FROM link WHERE kind = 3 AND value = ?3 AND", "time", link_order, false, true },
    [LINK_SHIFTED] = { "time, place, series, at, rest FROM link WHERE kind = 4 AND value = ?3 AND", "time", link_order, false, true },
};

static enum store_result step_gather(store_t *store, struct source *source)
{
    enum store_result result = gather_next(store, source->gather);
    if (result == STORE_OK)
        source->key = gather_row(source->gather)->key;
    else
        gather_destroy(&source->gather);
    return result;
}

static enum store_result step_runs(store_t *store, struct source *source)
{
    enum store_result result = run_reader_next(store, source->runs, &source->key);
    if (result != STORE_OK)
        run_reader_close(&source->runs);
    return result;
}

static enum store_result step(store_t *store, struct source *source)
{
    if (source->gather)
        return step_gather(store, source);
    if (source->runs)
        return step_runs(store, source);
    int rc = sqlite3_step(source->stmt);
    if (rc == SQLITE_ROW) {
        source->key = (struct row_key){
            .time = sqlite3_column_int64(source->stmt, 0), .place = sqlite3_column_int64(source->stmt, 1),
            .series = sqlite3_column_int64(source->stmt, 2), .at = sqlite3_column_int64(source->stmt, 3),
            .rest = sqlite3_column_int(source->stmt, 4),
        };
        return STORE_OK;
    }
    sqlite3_finalize(source->stmt);
    source->stmt = NULL;
    return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read rows");
}

static enum store_result add_source(store_t *store, struct merge *m, const struct reading_place *place, int64_t from, int64_t to, int64_t which)
{
    char order[128], sql[512];
    const char *way = m->descending ? "DESC" : "ASC";
    assert(m->count < MAX_SOURCES);
    struct source *source = &m->sources[m->count];
    *source = (struct source){ .has_body = place->body, .is_link = place->is_link };
    snprintf(order, sizeof order, place->order, way);
    snprintf(sql, sizeof sql, "SELECT %s %s >= ?1 AND %s < ?2 ORDER BY %s", place->select, place->time, place->time, order);
    if (sqlite3_prepare_v2(store->db, sql, -1, &source->stmt, NULL) != SQLITE_OK)
        return trouble(store, "cannot prepare a reading");
    sqlite3_bind_int64(source->stmt, 1, from > m->from ? from : m->from);
    sqlite3_bind_int64(source->stmt, 2, to < m->to ? to : m->to);
    sqlite3_bind_int64(source->stmt, 3, which); /* out of range where there is none: harmless */
    enum store_result result = step(store, source);
    if (result == STORE_OK)
        m->count++;
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result add_whole(store_t *store, struct merge *m, const struct reading_place *place, int64_t which)
{
    return add_source(store, m, place, m->from, m->to, which);
}

/* The order of all: keys that came late, and the others, which lie in runs. */
static enum store_result add_times(store_t *store, struct merge *m, const struct reading_place *late, int64_t from, int64_t to)
{
    enum store_result result = add_source(store, m, late, from, to, 0);
    from = from > m->from ? from : m->from;
    to = to < m->to ? to : m->to;
    assert(m->count < MAX_SOURCES);
    struct source *source = &m->sources[m->count];
    *source = (struct source){ 0 };
    if (result == STORE_OK)
        result = run_reader_open(store, from, to, m->descending, &source->runs);
    if (result == STORE_OK && source->runs && (result = step(store, source)) == STORE_OK)
        m->count++;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Rows that lie in chunks, of one series or (0) of all that are wanted. */
static enum store_result add_sealed(store_t *store, struct merge *m, int64_t from, int64_t to, int64_t series)
{
    from = from > m->from ? from : m->from;
    to = to < m->to ? to : m->to;
    if (from >= store->sealed_until || from >= to)
        return STORE_OK;
    assert(m->count < MAX_SOURCES);
    struct source *source = &m->sources[m->count];
    *source = (struct source){ .has_body = true, .gather = gather_new(m, series, from, to, m->descending) };
    enum store_result result = step(store, source);
    if (result == STORE_OK)
        m->count++;
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result add_one_series(store_t *store, struct merge *m, int64_t series)
{
    enum store_result result = add_whole(store, m, &by_series, series);
    return result == STORE_OK ? add_sealed(store, m, m->from, m->to, series) : result;
}

static enum store_result add_all_series(store_t *store, struct merge *m, const struct reading_place *place)
{
    enum store_result result = add_times(store, m, place, m->from, m->to);
    return result == STORE_OK ? add_sealed(store, m, m->from, m->to, 0) : result;
}

/* --- which series can have what is asked for --------------------------------------------------------- */

static void want(struct merge *m, const struct series_list *list, const struct series *s)
{
    m->wanted[(size_t)(s - list->items)] = 1;
}

static bool series_may(const struct events_query *q, const struct series *s)
{
    struct slice name = { s->name, s->name_size };
    struct slice type = s->is_state ? slice_of("state_changed") : name;
    if (q->has_event_type && !list_has(q->event_type, q->event_type_size, type))
        return false;
    if (q->has_domain && !(s->is_state && list_has(q->domain, q->domain_size, name_domain(name))))
        return false;
    return !q->has_entity_id || !s->is_state || list_has(q->entity_id, q->entity_id_size, name);
}

/* Device, area and category stand in the snapshots; `seen` says which series had which. */
static enum store_result want_by_snapshots(store_t *store, struct merge *m, const struct events_query *q)
{
    sqlite3_stmt *all = statement(store, SNAPSHOT_ALL), *seen = statement(store, SEEN_SERIES);
    if (!all || !seen)
        return STORE_TROUBLE;
    int rc;
    while ((rc = sqlite3_step(all)) == SQLITE_ROW) {
        struct event_full e;
        schema_clear(event_full_schema(), &e);
        bool is_well = hash_bytes(HASH_SEED, column_bytes(all, 1)) == (uint64_t)sqlite3_column_int64(all, 2);
        if (!is_well)
            word_damaged(store, SNAPSHOT, sqlite3_column_int64(all, 0));
        if (!is_well || snapshot_read(column_bytes(all, 1), &e) != 0 || !filter_takes_registry(q, &e))
            continue;
        sqlite3_bind_int64(seen, 1, sqlite3_column_int64(all, 0));
        while (sqlite3_step(seen) == SQLITE_ROW) {
            const struct series *s = series_by_id(store, sqlite3_column_int64(seen, 0));
            if (s && series_may(q, s))
                want(m, &store->series, s);
        }
        sqlite3_reset(seen);
    }
    sqlite3_reset(all);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the snapshots");
}

static enum store_result want_series(store_t *store, struct merge *m, const struct events_query *q)
{
    const struct series_list *list = &store->series;
    m->any_series = !q->has_entity_id && !q->has_event_type && !q->has_domain && !q->has_device_id && !q->has_area_id && !q->has_entity_category;
    m->wanted = calloc(list->count + 1, 1);
    assert(m->wanted);
    m->wanted_count = list->count;
    if (m->any_series)
        return STORE_OK;
    if (q->has_device_id || q->has_area_id || q->has_entity_category)
        return want_by_snapshots(store, m, q);
    for (size_t i = 0; i < list->count; i++)
        if (series_may(q, &list->items[i]))
            want(m, list, &list->items[i]);
    return STORE_OK;
}

static bool is_wanted(const store_t *store, const struct merge *m, int64_t series)
{
    if (m->any_series)
        return true;
    const struct series *s = series_by_id(store, series);
    return s && m->wanted[(size_t)(s - store->series.items)];
}

/* --- sources ------------------------------------------------------------------------------------------- */

enum store_result merge_context(store_t *store, struct merge *m, struct slice text)
{
    struct context c = context_read(text);
    m->any_series = true;
    if (c.form == FAR_ULID) {
        int64_t from = c.at_ms * 1000, to = (c.at_ms + NEAR_MS + 1) * 1000;
        enum store_result result = add_times(store, m, &by_time, from, to);
        if (result == STORE_OK)
            result = add_sealed(store, m, from, to, 0);
        if (result != STORE_OK)
            return result;
    }
    return add_whole(store, m, &by_link[LINK_CONTEXT], c.key);
}

enum store_result merge_parent(store_t *store, struct merge *m, struct slice text)
{
    m->any_series = true;
    return add_whole(store, m, &by_link[LINK_PARENT], context_read(text).key);
}

/* An entity's states lie together; events that speak of it are found by `other`. */
static enum store_result add_others(store_t *store, struct merge *m, const struct events_query *q)
{
    struct slice rest = { q->entity_id, q->entity_id_size }, item;
    enum store_result result = STORE_OK;
    while (result == STORE_OK && list_next(&rest, &item)) {
        const struct series *s = series_by_name(store, true, item);
        bool again = list_has(q->entity_id, (size_t)((const char *)item.data - q->entity_id), item);
        if (s && !again)
            result = add_whole(store, m, &by_link[LINK_OTHER], s->id);
    }
    return result;
}

static size_t count_names(const struct events_query *q)
{
    struct slice rest = { q->entity_id, q->entity_id_size }, item;
    size_t count = 0;
    while (list_next(&rest, &item))
        count++;
    return count;
}

/* Series that are read one by one; states only where entities are named. */
static enum store_result add_series(store_t *store, struct merge *m, const struct events_query *q)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; result == STORE_OK && i < m->wanted_count; i++)
        if (m->wanted[i] && (store->series.items[i].is_state || !q->has_entity_id))
            result = add_one_series(store, m, store->series.items[i].id);
    if (result == STORE_OK && q->has_entity_id)
        result = add_others(store, m, q);
    return result == STORE_OK ? add_whole(store, m, &by_link[LINK_SHIFTED], 0) : result;
}

static size_t count_wanted(const store_t *store, const struct merge *m, bool states_only)
{
    size_t count = 0;
    for (size_t i = 0; i < m->wanted_count; i++)
        count += m->wanted[i] && (!states_only || store->series.items[i].is_state);
    return count;
}

static void bound_times(struct merge *m, const struct events_query *q)
{
    m->descending = !q->has_sort || strcmp(q->sort, "desc") == 0;
    m->from = q->has_start_time ? q->start_time : 0;
    m->to = q->has_end_time ? q->end_time : MAX_TIME_US + 1;
    uint32_t mark; /* it was checked */
    m->has_start = q->has_cursor && cursor_read((struct slice){ q->cursor, q->cursor_size }, &m->start, &mark) == 0;
    if (m->has_start && m->descending && m->start.time < m->to)
        m->to = m->start.time + 1 < m->to ? m->start.time + 1 : m->to;
    if (m->has_start && !m->descending && m->start.time > m->from)
        m->from = m->start.time;
}

enum store_result merge_plan(store_t *store, struct merge *m, const struct events_query *q)
{
    *m = (struct merge){ .current = MAX_SOURCES };
    bound_times(m, q);
    if (q->has_context_id)
        return merge_context(store, m, (struct slice){ q->context_id, q->context_id_size });
    enum store_result result = want_series(store, m, q);
    if (result != STORE_OK)
        return result;
    if (m->any_series)
        return add_all_series(store, m, &by_time);
    size_t names = count_names(q);
    if (names <= MERGE_SERIES && count_wanted(store, m, q->has_entity_id) <= MERGE_SERIES)
        return add_series(store, m, q);
    return add_all_series(store, m, &by_time_keys);
}

static void close_sources(struct merge *m)
{
    for (size_t i = 0; i < m->count; i++) {
        sqlite3_finalize(m->sources[i].stmt);
        gather_destroy(&m->sources[i].gather);
        run_reader_close(&m->sources[i].runs);
    }
    m->count = 0;
    m->current = MAX_SOURCES;
}

enum store_result merge_begin_parts(store_t *store, struct merge *m, const struct events_query *q)
{
    *m = (struct merge){ .current = MAX_SOURCES };
    if (q->has_context_id || count_names(q) > MERGE_SERIES)
        return STORE_MISSING;
    bound_times(m, q);
    return want_series(store, m, q);
}

enum store_result merge_part(store_t *store, struct merge *m, const struct events_query *q)
{
    close_sources(m);
    while (m->part < m->wanted_count) {
        size_t i = m->part++;
        if ((m->any_series || m->wanted[i]) && (store->series.items[i].is_state || !q->has_entity_id))
            return add_one_series(store, m, store->series.items[i].id);
    }
    if (m->part++ > m->wanted_count)
        return STORE_MISSING;
    enum store_result result = q->has_entity_id ? add_others(store, m, q) : STORE_OK;
    return result == STORE_OK ? add_whole(store, m, &by_link[LINK_SHIFTED], 0) : result;
}

static bool is_before_start(const struct merge *m, const struct row_key *key)
{
    int order = m->has_start ? key_order(key, &m->start) : 0;
    return m->descending ? order > 0 : order < 0;
}

/* Of a key alone: its row, in the file or in a chunk. STORE_MISSING: the key is of a row that was sealed and
 * comes from its chunk, or lies in a chunk that is damaged. */
static enum store_result fetch_body(store_t *store, struct merge *m, const struct source *source)
{
    const struct row_key *key = &source->key;
    sqlite3_stmt *get = statement(store, EVENT_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, key->series);
    sqlite3_bind_int64(get, 2, key->at);
    sqlite3_bind_int(get, 3, key->rest);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW)
        m->body = column_bytes(get, 5);
    if (rc == SQLITE_ROW || rc != SQLITE_DONE || !source->is_link)
        return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read a row");
    struct chunk_row row;
    enum store_result result = sealed_get(store, key->series, key->at, key->rest, &row);
    m->body = row.body;
    return result;
}

static bool is_over(const struct source *source)
{
    return !source->stmt && !source->gather && !source->runs;
}

static void choose(struct merge *m)
{
    m->current = MAX_SOURCES;
    for (size_t i = 0; i < m->count; i++) {
        if (is_over(&m->sources[i]))
            continue;
        int order = m->current == MAX_SOURCES ? 0 : key_order(&m->sources[i].key, &m->sources[m->current].key);
        if (m->current == MAX_SOURCES || (m->descending ? order > 0 : order < 0))
            m->current = i;
    }
}

enum store_result merge_next(store_t *store, struct merge *m)
{
    for (;;) {
        if (m->current < m->count && !is_over(&m->sources[m->current])) {
            enum store_result result = step(store, &m->sources[m->current]);
            if (result != STORE_OK && result != STORE_MISSING)
                return result;
        }
        choose(m);
        if (m->current == MAX_SOURCES)
            return STORE_MISSING;
        const struct source *source = &m->sources[m->current];
        if (is_before_start(m, &source->key) || !is_wanted(store, m, source->key.series))
            continue;
        enum store_result result = source->has_body ? STORE_OK : fetch_body(store, m, source);
        if (result != STORE_MISSING)
            return result;
    }
}

const struct row_key *merge_key(const struct merge *m)
{
    return &m->sources[m->current].key;
}

enum store_result merge_body(store_t *store, struct merge *m, struct slice *body)
{
    const struct source *source = &m->sources[m->current];
    (void)store;
    if (source->gather) {
        const struct gathered *row = gather_row(source->gather);
        *body = (struct slice){ source->gather->bodies.data + row->body, row->size };
    } else {
        *body = source->has_body ? column_bytes(source->stmt, 5) : m->body;
    }
    return STORE_OK;
}

void merge_close(struct merge *m)
{
    close_sources(m);
    free(m->wanted);
    *m = (struct merge){ 0 };
}
