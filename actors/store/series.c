/* series.c - the numbers of the series: every entity's states, every other type of event. */
#include "sealed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Series that the writer remembers, in sets: one forgotten costs a look-up. */
enum { MEMORY = 8192, WAYS = 8 };

void series_forget(struct series_memory *memory)
{
    for (size_t i = 0; i < memory->count; i++)
        free(memory->slots[i].name);
    free(memory->slots);
    *memory = (struct series_memory){ 0 };
}

static bool is_it(const struct series *s, uint64_t hash, bool is_state, struct slice name)
{
    return s->used && s->hash == hash && s->is_state == is_state
        && slice_equal(name, (struct slice){ s->name, s->name_size });
}

enum store_result series_find(store_t *store, uint64_t hash, bool is_state, struct slice name, int64_t *id)
{
    sqlite3_stmt *find = statement(store, SERIES_FIND);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, (int64_t)hash);
    int rc;
    while ((rc = sqlite3_step(find)) == SQLITE_ROW)
        if (is_state == (sqlite3_column_int(find, 1) != 0) && slice_equal(name, column_bytes(find, 2))) {
            *id = sqlite3_column_int64(find, 0);
            sqlite3_reset(find);
            return STORE_OK;
        }
    sqlite3_reset(find);
    return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot look up a series");
}

static enum store_result add_series(store_t *store, uint64_t hash, bool is_state, struct slice name, int64_t *id)
{
    sqlite3_stmt *add = statement(store, SERIES_ADD);
    if (!add)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, (int64_t)hash);
    sqlite3_bind_int(add, 2, is_state);
    bind_bytes(add, 3, name);
    int rc = sqlite3_step(add);
    sqlite3_reset(add);
    *id = sqlite3_last_insert_rowid(store->db);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot add a series");
}

/* The time of its newest row: what is newer cannot be there yet. */
static enum store_result find_newest(store_t *store, int64_t id, int64_t *newest)
{
    sqlite3_stmt *find = statement(store, SERIES_NEWEST);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, id);
    int rc = sqlite3_step(find);
    *newest = rc == SQLITE_ROW ? sqlite3_column_int64(find, 0) : -1;
    sqlite3_reset(find);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot look up a series' newest row");
    int64_t sealed;
    enum store_result result = sealed_newest(store, id, &sealed);
    if (sealed > *newest)
        *newest = sealed;
    return result;
}

static bool has_waiting(const store_t *store, const struct series *series)
{
    return series->waits != 0 && series->batch == store->waiting.number;
}

/* A free one, else one of which nothing waits, else any. */
static struct series *choose_slot(const store_t *store, struct series *set, size_t any)
{
    struct series *quiet = NULL;
    for (size_t i = 0; i < WAYS; i++) {
        struct series *slot = set + (any + i) % WAYS;
        if (!slot->used)
            return slot;
        if (!quiet && !has_waiting(store, slot))
            quiet = slot;
    }
    return quiet ? quiet : set + any % WAYS;
}

enum store_result series_put(store_t *store, uint64_t hash, bool is_state, struct slice name, struct series **series)
{
    struct series_memory *memory = &store->memory;
    if (!memory->slots) {
        memory->slots = calloc(MEMORY, sizeof *memory->slots);
        assert(memory->slots);
        memory->count = MEMORY;
    }
    struct series *set = memory->slots + (hash % (MEMORY / WAYS)) * WAYS;
    for (int i = 0; i < WAYS; i++)
        if (is_it(set + i, hash, is_state, name)) {
            *series = set + i;
            return STORE_OK;
        }
    struct series found = { .hash = hash, .is_state = is_state, .used = true, .newest = -1, .stored = -1 };
    enum store_result result = series_find(store, hash, is_state, name, &found.id);
    if (result == STORE_OK)
        result = find_newest(store, found.id, &found.newest);
    else if (result == STORE_MISSING)
        result = add_series(store, hash, is_state, name, &found.id);
    if (result != STORE_OK)
        return result;
    struct series *slot = choose_slot(store, set, (size_t)found.id);
    /* What waits of the one that is forgotten has to be in the file when it is looked up again. */
    if (has_waiting(store, slot) && waiting_write(store) != STORE_OK)
        return STORE_TROUBLE;
    free(slot->name);
    found.name = malloc(name.size + 1);
    assert(found.name);
    memcpy(found.name, name.data, name.size);
    found.name_size = (uint32_t)name.size;
    *slot = found;
    *series = slot;
    return STORE_OK;
}

/* --- the reader's list --------------------------------------------------------------------------- */

static void list_add(struct series_list *list, const struct series *item)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 256;
        list->items = realloc(list->items, list->room * sizeof *list->items);
        assert(list->items);
    }
    list->items[list->count++] = *item;
}

/* Its rows are nobody's then: better than another's. */
static void name_damaged(store_t *store, struct series *item)
{
    enum { ROOM = 48 };
    char *name = realloc(item->name, ROOM);
    assert(name);
    word_damaged(store, SERIES_NAME, item->id);
    item->name = name;
    item->name_size = (uint32_t)snprintf(name, ROOM, "damaged.series_%lld", (long long)item->id);
}

/* Series are only ever added, so what is known stays true. */
enum store_result series_refresh(store_t *store)
{
    struct series_list *list = &store->series;
    sqlite3_stmt *after = statement(store, SERIES_AFTER);
    if (!after)
        return STORE_TROUBLE;
    sqlite3_bind_int64(after, 1, list->count ? list->items[list->count - 1].id : 0);
    int rc;
    while ((rc = sqlite3_step(after)) == SQLITE_ROW) {
        struct slice name = column_bytes(after, 3);
        struct series item = {
            .id = sqlite3_column_int64(after, 0), .hash = (uint64_t)sqlite3_column_int64(after, 1),
            .is_state = sqlite3_column_int(after, 2) != 0, .used = true,
            .name = malloc(name.size + 1), .name_size = (uint32_t)name.size,
        };
        assert(item.name);
        memcpy(item.name, name.data, name.size);
        item.name[name.size] = '\0';
        if (series_hash(item.is_state, name) != item.hash)
            name_damaged(store, &item);
        list_add(list, &item);
    }
    sqlite3_reset(after);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the series");
}

const struct series *series_by_id(const store_t *store, int64_t id)
{
    const struct series_list *list = &store->series;
    size_t low = 0, high = list->count;
    /* Numbers are given without holes as a rule. */
    if (id >= 1 && (size_t)id <= list->count && list->items[id - 1].id == id)
        return &list->items[id - 1];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->items[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < list->count && list->items[low].id == id ? &list->items[low] : NULL;
}

const struct series *series_by_name(const store_t *store, bool is_state, struct slice name)
{
    const struct series_list *list = &store->series;
    uint64_t hash = series_hash(is_state, name);
    for (size_t i = 0; i < list->count; i++)
        if (is_it(&list->items[i], hash, is_state, name))
            return &list->items[i];
    return NULL;
}
