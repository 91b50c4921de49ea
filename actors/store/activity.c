/* activity.c - who has said how much: the states of a span, by entity, domain, area or device. */
#include "activity.h"

#include "inside.h"
#include "samples.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DAY_US INT64_C(86400000000)
enum { LOOK_EVERY = 1024, CHANGES_US = 1200000, SNAPSHOTS_MAX = 1 << 20 /* that are remembered */ };
#define SEVERAL SIZE_MAX /* groups that a series was in */

struct group { char *key, *name; size_t key_size, name_size; int64_t entities, count, changes, last, series; bool is_unsure; /* changes are more */ };
enum by { BY_ENTITY, BY_DOMAIN, BY_AREA, BY_DEVICE };
enum order { ORDER_COUNT, ORDER_CHANGES, ORDER_LAST, ORDER_NAME };

struct tally {
    store_t *store;
    enum by by;
    int64_t from, to, total;
    int64_t changes_until_us; /* states are looked at one by one, so long; then they are counted alone */
    uint64_t looked;
    struct group *groups;
    size_t count, room;
    uint32_t *of_snapshot; /* by its number: place of the group, counted from 1 */
    size_t snapshots;
    msgpack_sbuffer before; /* the state that was in force */
};

/* --- groups ------------------------------------------------------------------------------------- */

static char *copy_of(struct slice s)
{
    char *copy = malloc(s.size + 1);
    assert(copy);
    if (s.size > 0)
        memcpy(copy, s.data, s.size);
    return copy;
}

static size_t add_group(struct tally *t, struct slice key, struct slice name)
{
    if (t->count == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->groups = realloc(t->groups, t->room * sizeof *t->groups);
        assert(t->groups);
    }
    t->groups[t->count] = (struct group){ .key_size = key.size, .name_size = name.size, .last = -1, .series = -1 };
    t->groups[t->count].key = key.data ? copy_of(key) : NULL;
    t->groups[t->count].name = name.data ? copy_of(name) : NULL;
    return t->count++;
}

/* The place of the group of that key; data NULL: of those that have none. */
static size_t group_of(struct tally *t, struct slice key, struct slice name)
{
    for (size_t i = 0; i < t->count; i++)
        if ((key.data != NULL) == (t->groups[i].key != NULL) && slice_equal(key, (struct slice){ t->groups[i].key, t->groups[i].key_size }))
            return i;
    return add_group(t, key, name);
}

static void remember_snapshot(struct tally *t, int64_t snapshot, size_t place)
{
    if (snapshot >= SNAPSHOTS_MAX)
        return;
    if ((size_t)snapshot >= t->snapshots) {
        size_t room = (size_t)snapshot + 1024;
        t->of_snapshot = realloc(t->of_snapshot, room * sizeof *t->of_snapshot);
        assert(t->of_snapshot);
        memset(t->of_snapshot + t->snapshots, 0, (room - t->snapshots) * sizeof *t->of_snapshot);
        t->snapshots = room;
    }
    t->of_snapshot[snapshot] = (uint32_t)place + 1;
}

static enum store_result place_of_snapshot(struct tally *t, int64_t snapshot, size_t *place)
{
    struct event_full e;
    struct slice bytes, none = { NULL, 0 };
    if ((size_t)snapshot < t->snapshots && t->of_snapshot[snapshot]) {
        *place = t->of_snapshot[snapshot] - 1;
        return STORE_OK;
    }
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, true);
    enum store_result result = word_get(t->store, SNAPSHOT, snapshot, &bytes);
    if (result == STORE_OK && snapshot_read(bytes, &e) != 0)
        result = trouble(t->store, "a snapshot is damaged");
    if (result != STORE_OK)
        return result;
    if (t->by == BY_AREA)
        *place = group_of(t, e.has_area_id ? e.area_id : none, e.has_area ? e.area : none);
    else
        *place = group_of(t, e.has_device_id ? e.device_id : none, none);
    remember_snapshot(t, snapshot, *place);
    return STORE_OK;
}

/* --- counting ----------------------------------------------------------------------------------- */

static void set_before(struct tally *t, const struct sample *s)
{
    char mark = s->kind == SAMPLE_REMOVED ? 'r' : 's';
    msgpack_sbuffer_clear(&t->before);
    msgpack_sbuffer_write(&t->before, &mark, 1);
    if (s->state.size > 0)
        msgpack_sbuffer_write(&t->before, s->state.data, s->state.size);
}

/* Whether the text is another one; a removal is one as well. */
static bool is_change(const struct tally *t, const struct sample *s)
{
    char mark = s->kind == SAMPLE_REMOVED ? 'r' : 's';
    struct slice before = { t->before.data, t->before.size };
    return before.size != s->state.size + 1 || *(const char *)before.data != mark
        || !slice_equal((struct slice){ (const char *)before.data + 1, before.size - 1 }, s->state);
}

static void add_to(struct tally *t, size_t place, const struct series *series, int64_t count, int64_t changes, int64_t last)
{
    struct group *g = &t->groups[place];
    g->count += count;
    g->changes += changes;
    g->last = last > g->last ? last : g->last;
    g->entities += g->series != series->id;
    g->series = series->id;
    t->total += count;
}

static enum store_result count_sample(struct tally *t, const struct series *series, samples_t *samples, const struct sample *s, size_t place)
{
    struct samples_passed passed;
    bool changed = is_change(t, s);
    set_before(t, s);
    if (s->at < t->from)
        return STORE_OK; /* the one in force before */
    enum store_result result = place == SEVERAL ? place_of_snapshot(t, s->snapshot, &place) : STORE_OK;
    if (result != STORE_OK)
        return result;
    add_to(t, place, series, 1, changed, s->at);
    while (samples_pass(samples, &passed)) {
        add_to(t, place, series, passed.count, passed.changes, passed.last.at);
        set_before(t, &passed.last);
    }
    return ++t->looked % LOOK_EVERY == 0 && clock_us() > t->store->late_us ? STORE_LATE : STORE_OK;
}

static enum store_result look_at_series(struct tally *t, const struct series *series, size_t place)
{
    struct sample sample;
    enum store_result result;
    samples_t *samples = samples_open(t->store, series->id, t->from, t->to, true);
    if (!samples)
        return STORE_TROUBLE;
    msgpack_sbuffer_clear(&t->before);
    while ((result = samples_next(samples, &sample)) == STORE_OK)
        if ((result = count_sample(t, series, samples, &sample, place)) != STORE_OK)
            break;
    samples_close(&samples);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* How many there are and the last one are in the index. */
static enum store_result count_alone(struct tally *t, const struct series *series, size_t place)
{
    struct sample last;
    int64_t count = 0;
    enum store_result result = rows_count(t->store, series->id, t->from, t->to, &count);
    if (result != STORE_OK || count == 0)
        return result;
    samples_t *samples = samples_open(t->store, series->id, t->to, t->to, true);
    result = samples ? samples_next(samples, &last) : STORE_TROUBLE;
    samples_close(&samples);
    if (result == STORE_OK) {
        add_to(t, place, series, count, 0, last.at);
        t->groups[place].is_unsure = true;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

/* The one group that all its registry snapshots say, else SEVERAL. */
static enum store_result place_of_all(struct tally *t, const struct series *series, size_t *place)
{
    int64_t ids[16];
    size_t count = 0;
    sqlite3_stmt *list = statement(t->store, SEEN_IDS);
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int64(list, 1, series->id);
    int rc;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW && count < sizeof ids / sizeof *ids)
        ids[count++] = sqlite3_column_int64(list, 0);
    sqlite3_reset(list);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(t->store, "cannot look which snapshots a series had");
    *place = SEVERAL;
    for (size_t i = 0; i < count && rc == SQLITE_DONE; i++) {
        size_t one;
        enum store_result result = place_of_snapshot(t, ids[i], &one);
        if (result != STORE_OK || (i > 0 && one != *place)) {
            *place = SEVERAL;
            return result;
        }
        *place = one;
    }
    return STORE_OK;
}

static enum store_result count_series(struct tally *t, const struct series *series)
{
    struct slice name = { series->name, series->name_size }, none = { NULL, 0 };
    size_t place = SEVERAL;
    enum store_result result = STORE_OK;
    if (t->by == BY_ENTITY)
        place = add_group(t, name, none);
    else if (t->by == BY_DOMAIN)
        place = group_of(t, name_domain(name), none);
    else
        result = place_of_all(t, series, &place);
    if (result != STORE_OK)
        return result;
    return place == SEVERAL || clock_us() < t->changes_until_us ? look_at_series(t, series, place) : count_alone(t, series, place);
}

static enum store_result count_all(struct tally *t)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < t->store->series.count && result == STORE_OK; i++)
        if (t->store->series.items[i].is_state)
            result = clock_us() > t->store->late_us ? STORE_LATE : count_series(t, &t->store->series.items[i]);
    return result;
}

/* --- giving ------------------------------------------------------------------------------------- */

/* By key, those without one last; so that every order is one. */
static int by_name(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    if (!a->key || !b->key)
        return (b->key != NULL) - (a->key != NULL);
    int order = memcmp(a->key, b->key, a->key_size < b->key_size ? a->key_size : b->key_size);
    return order ? order : a->key_size < b->key_size ? -1 : a->key_size > b->key_size;
}

static int more(int64_t a, int64_t b, const void *left, const void *right)
{
    return a != b ? (a < b ? 1 : -1) : by_name(left, right);
}

static int by_count(const void *left, const void *right)
{
    return more(((const struct group *)left)->count, ((const struct group *)right)->count, left, right);
}

/* Those of which it is not known last. */
static int by_changes(const void *left, const void *right)
{
    const struct group *a = left, *b = right;
    return a->is_unsure != b->is_unsure ? a->is_unsure - b->is_unsure : a->is_unsure ? by_count(a, b) : more(a->changes, b->changes, a, b);
}

static int by_last(const void *left, const void *right)
{
    return more(((const struct group *)left)->last, ((const struct group *)right)->last, left, right);
}

static int give(const struct tally *t, const struct group *g, store_activity_fn *row, void *owner)
{
    struct activity_row one;
    schema_clear(activity_row_schema(), &one);
    if (g->key)
        SET(&one, key, (struct slice){ g->key, g->key_size });
    if (g->name)
        SET(&one, name, (struct slice){ g->name, g->name_size });
    SET(&one, entities, g->entities);
    SET(&one, count, g->count);
    if (!g->is_unsure)
        SET(&one, changes, g->changes);
    SET(&one, last, g->last);
    SET(&one, share, (double)g->count / (double)t->total);
    return row(owner, &one);
}

static void give_all(struct tally *t, enum order order, store_activity_fn *row, void *owner, struct page *end)
{
    static int (*const orders[])(const void *, const void *) = {
        [ORDER_COUNT] = by_count, [ORDER_CHANGES] = by_changes, [ORDER_LAST] = by_last, [ORDER_NAME] = by_name,
    };
    int64_t silent = 0;
    if (t->count > 0)
        qsort(t->groups, t->count, sizeof *t->groups, orders[order]);
    for (size_t i = 0; i < t->count; i++)
        silent += t->groups[i].count == 0;
    for (size_t i = 0; i < t->count && end->count < end->limit; i++) {
        if (t->groups[i].count == 0)
            continue;
        if (give(t, &t->groups[i], row, owner) != 0)
            break;
        end->count++;
    }
    SET(end, total, (int64_t)t->count - silent);
}

static int word_of(const char *text, const char *const words[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], text) == 0)
            return (int)i;
    return -1;
}

static int read_query(const struct activity_query *q, int64_t now_us, struct tally *t, enum order *order, struct fault *fault)
{
    static const char *const groups[] = { "entity", "domain", "area", "device" }, *const orders[] = { "count", "changes", "last", "name" };
    int by = q->has_group ? word_of(q->group, groups, 4) : BY_ENTITY, sort = q->has_sort ? word_of(q->sort, orders, 4) : ORDER_COUNT;
    t->to = q->has_to ? q->to : now_us;
    t->from = q->has_from ? q->from : t->to > DAY_US ? t->to - DAY_US : 0;
    if (by < 0)
        *fault = (struct fault){ "group", "is none of entity, domain, area, device" };
    else if (sort < 0)
        *fault = (struct fault){ "sort", "is none of count, changes, last, name" };
    else if (t->from >= t->to)
        *fault = (struct fault){ "from", "is not before `to`" };
    t->by = by < 0 ? BY_ENTITY : (enum by)by;
    *order = sort < 0 ? ORDER_COUNT : (enum order)sort;
    return by < 0 || sort < 0 || t->from >= t->to ? -1 : 0;
}

static void forget(struct tally *t)
{
    for (size_t i = 0; i < t->count; i++) {
        free(t->groups[i].key);
        free(t->groups[i].name);
    }
    free(t->groups);
    free(t->of_snapshot);
    msgpack_sbuffer_destroy(&t->before);
}

enum store_result store_activity(store_t *store, const struct activity_query *q, int64_t now_us, store_activity_fn *row, void *owner,
                                 struct page *end, struct fault *fault)
{
    struct tally t = { .store = store, .changes_until_us = clock_us() + CHANGES_US };
    enum order order;
    bool empty;
    schema_clear(page_schema(), end);
    SET(end, count, 0);
    SET(end, limit, q->has_limit ? q->limit : 100);
    if (read_query(q, now_us, &t, &order, fault) != 0)
        return STORE_BAD;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    msgpack_sbuffer_init(&t.before);
    result = count_all(&t);
    if (result == STORE_OK)
        give_all(&t, order, row, owner, end);
    forget(&t);
    read_end(store);
    return result;
}
