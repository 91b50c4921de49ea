/* sealed.c - rows that lie in chunks: which chunk, and what is in it. */
#include "sealed.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the index ------------------------------------------------------------------------------------ */

static enum store_result look_for_alone(store_t *store)
{
    sqlite3_stmt *look = store->has_alone ? NULL : statement(store, CHUNK_ALONE_LOOK);
    if (!look)
        return store->has_alone ? STORE_OK : STORE_TROUBLE;
    int rc = sqlite3_step(look);
    store->has_alone = rc == SQLITE_ROW;
    sqlite3_reset(look);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look at the index of chunks");
}

enum store_result sealed_refresh(store_t *store)
{
    sqlite3_stmt *get = statement(store, SEALED_UNTIL_GET);
    if (!get)
        return STORE_TROUBLE;
    int rc = sqlite3_step(get);
    store->sealed_until = rc == SQLITE_ROW ? sqlite3_column_int64(get, 0) : 0;
    sqlite3_reset(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? look_for_alone(store) : trouble(store, "cannot look how far the store is sealed");
}

enum store_result sealed_not_alone(store_t *store, int64_t series, int64_t at)
{
    if (at >= store->sealed_until)
        return STORE_OK;
    sqlite3_stmt *mark = statement(store, CHUNK_NOT_ALONE);
    if (!mark)
        return STORE_TROUBLE;
    sqlite3_bind_int64(mark, 1, series);
    sqlite3_bind_int64(mark, 2, at);
    int rc = sqlite3_step(mark);
    sqlite3_reset(mark);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot note what lies beside a chunk");
}

enum store_result entry_read(store_t *store, sqlite3_stmt *stmt, int64_t series, struct chunk_entry *entry)
{
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *entry = (struct chunk_entry){
            .id = sqlite3_column_int64(stmt, 0), .series = series >= 0 ? series : sqlite3_column_int64(stmt, 12), .first = sqlite3_column_int64(stmt, 1), .last = sqlite3_column_int64(stmt, 2),
            .rows = sqlite3_column_int64(stmt, 3), .numbers = sqlite3_column_int64(stmt, 4), .min = sqlite3_column_double(stmt, 5),
            .max = sqlite3_column_double(stmt, 6), .bytes = { sqlite3_column_int64(stmt, 7), sqlite3_column_int64(stmt, 8) },
            .sums = { (uint32_t)sqlite3_column_int64(stmt, 9), (uint32_t)sqlite3_column_int64(stmt, 10) }, .is_bad = sqlite3_column_int(stmt, 11) != 0,
        };
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the index of chunks");
}

static enum store_result find_entry(store_t *store, enum statement which, int64_t series, int64_t at, struct chunk_entry *entry)
{
    if (store->sealed_until == 0)
        return STORE_MISSING;
    sqlite3_stmt *find = statement(store, which);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, series);
    sqlite3_bind_int64(find, 2, at);
    return entry_read(store, find, series, entry);
}

enum store_result sealed_at_or_before(store_t *store, int64_t series, int64_t at, struct chunk_entry *entry)
{
    return find_entry(store, CHUNK_BEFORE, series, at, entry);
}

enum store_result sealed_after(store_t *store, int64_t series, int64_t at, struct chunk_entry *entry)
{
    return find_entry(store, CHUNK_AFTER, series, at, entry);
}

enum store_result sealed_next(store_t *store, int64_t series, int64_t from, int64_t to, bool descending, struct chunk_entry *entry)
{
    if (from >= to || from >= store->sealed_until)
        return STORE_MISSING;
    enum store_result result = sealed_at_or_before(store, series, descending ? to - 1 : from, entry);
    if (result == STORE_OK && entry->last >= from)
        return STORE_OK;
    if (descending || (result != STORE_OK && result != STORE_MISSING))
        return result == STORE_OK ? STORE_MISSING : result;
    result = sealed_after(store, series, from, entry);
    return result == STORE_OK && entry->first >= to ? STORE_MISSING : result;
}

/* --- the cache --------------------------------------------------------------------------------------- */

static void free_half(struct chunk_half *half)
{
    msgpack_sbuffer_destroy(&half->bytes);
    free(half);
}

static void leave(struct chunk_half *half)
{
    if (half && --half->users == 0)
        free_half(half);
}

static void drop_slot(struct chunk_cache *cache, size_t slot)
{
    cache->bytes -= cache->slots[slot]->bytes.alloc;
    leave(cache->slots[slot]);
    cache->slots[slot] = NULL;
}

void chunk_cache_close(struct chunk_cache *cache)
{
    for (size_t i = 0; i < CHUNK_SLOTS; i++)
        if (cache->slots[i])
            drop_slot(cache, i);
}

static struct chunk_half *find_half(struct chunk_cache *cache, int64_t id, int which)
{
    for (size_t i = 0; i < CHUNK_SLOTS; i++) {
        struct chunk_half *half = cache->slots[i];
        if (half && half->id == id && half->which == which) {
            half->used = ++cache->clock;
            half->users++;
            return half;
        }
    }
    return NULL;
}

/* Where the one lies that was not used for longest. */
static size_t oldest_slot(const struct chunk_cache *cache, bool used_ones)
{
    size_t best = 0;
    for (size_t i = 0; i < CHUNK_SLOTS; i++) {
        if (!cache->slots[i] && !used_ones)
            return i;
        if (!cache->slots[best] || (cache->slots[i] && cache->clock - cache->slots[i]->used > cache->clock - cache->slots[best]->used))
            best = i;
    }
    return best;
}

static void keep_half(struct chunk_cache *cache, struct chunk_half *half)
{
    while (cache->bytes > 0 && cache->bytes + half->bytes.alloc > cache->bytes_max)
        drop_slot(cache, oldest_slot(cache, true));
    if (half->bytes.alloc > cache->bytes_max)
        return;
    size_t slot = oldest_slot(cache, false);
    if (cache->slots[slot])
        drop_slot(cache, slot);
    cache->slots[slot] = half;
    cache->bytes += half->bytes.alloc;
    half->used = ++cache->clock;
    half->users++;
}

/* --- opened -------------------------------------------------------------------------------------------- */

enum store_result sealed_damaged(store_t *store, const struct chunk_entry *entry, const char *what)
{
    store->damage.count += !entry->is_bad; /* that one leaves a gap already */
    snprintf(store->damage.what, sizeof store->damage.what, "chunk %lld of series %lld %s", (long long)entry->id, (long long)entry->series, what);
    return STORE_MISSING;
}

static enum store_result load_half(store_t *store, const struct chunk_entry *entry, int which, struct chunk_half **to)
{
    *to = find_half(&store->chunks, entry->id, which);
    if (*to)
        return STORE_OK;
    sqlite3_stmt *get = statement(store, which == MAIN_HALF ? CHUNK_MAIN : CHUNK_REST);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, entry->id);
    int rc = sqlite3_step(get);
    if (rc != SQLITE_ROW) {
        sqlite3_reset(get);
        return rc == SQLITE_DONE ? sealed_damaged(store, entry, "is not there") : trouble(store, "cannot read a chunk");
    }
    struct slice bytes = column_bytes(get, 0);
    struct chunk_half *half = calloc(1, sizeof *half);
    assert(half);
    *half = (struct chunk_half){ .id = entry->id, .which = which, .users = 1 };
    bool is_good = (int64_t)bytes.size == entry->bytes[which] && crc32c_add(&store->sum, 0, bytes.data, bytes.size) == entry->sums[which]
        && chunk_unpack(store->tools, bytes, &half->bytes) == 0;
    sqlite3_reset(get);
    if (!is_good) {
        free_half(half);
        return sealed_damaged(store, entry, "its checksum is wrong");
    }
    keep_half(&store->chunks, half);
    *to = half;
    return STORE_OK;
}

/* Whether its rows are states is known by its series; of a writer, which has no list, by the file. */
enum store_result sealed_is_of_states(store_t *store, int64_t id, bool *is_state)
{
    const struct series *series = store->writer ? NULL : series_by_id(store, id);
    if (series) {
        *is_state = series->is_state;
        return STORE_OK;
    }
    sqlite3_stmt *get = statement(store, SERIES_IS_STATE);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, id);
    int rc = sqlite3_step(get);
    *is_state = rc == SQLITE_ROW && sqlite3_column_int(get, 0) != 0;
    sqlite3_reset(get);
    return rc == SQLITE_ROW ? STORE_OK : trouble(store, "a chunk belongs to no series");
}

enum store_result sealed_open(store_t *store, const struct chunk_entry *entry, bool with_rest, struct sealed *sealed)
{
    bool is_state;
    *sealed = (struct sealed){ 0 };
    if (entry->is_bad)
        return sealed_damaged(store, entry, "is damaged");
    enum store_result result = sealed_is_of_states(store, entry->series, &is_state);
    for (int which = MAIN_HALF; result == STORE_OK && which <= (with_rest ? REST_HALF : MAIN_HALF); which++)
        result = load_half(store, entry, which, &sealed->halves[which]);
    if (result == STORE_OK) {
        struct slice halves[2] = { { NULL, 0 }, { NULL, 0 } };
        for (int which = 0; which < 2; which++)
            if (sealed->halves[which])
                halves[which] = (struct slice){ sealed->halves[which]->bytes.data, sealed->halves[which]->bytes.size };
        sealed->reader = store->spare_reader ? store->spare_reader : chunk_reader_new();
        store->spare_reader = NULL;
        if (chunk_open(sealed->reader, is_state, halves[MAIN_HALF], halves[REST_HALF]) != 0 || (int64_t)chunk_rows(sealed->reader) != entry->rows)
            result = sealed_damaged(store, entry, "cannot be read");
    }
    if (result != STORE_OK)
        sealed_close(store, sealed);
    return result;
}

void sealed_close(store_t *store, struct sealed *sealed)
{
    if (store->spare_reader)
        chunk_reader_destroy(&sealed->reader);
    else
        store->spare_reader = sealed->reader;
    leave(sealed->halves[MAIN_HALF]);
    leave(sealed->halves[REST_HALF]);
    *sealed = (struct sealed){ 0 };
}

/* --- rows ------------------------------------------------------------------------------------------------- */

/* The chunk whose span holds that time. */
static enum store_result find_span(store_t *store, int64_t series, int64_t at, struct chunk_entry *entry)
{
    enum store_result result = at < store->sealed_until ? sealed_at_or_before(store, series, at, entry) : STORE_MISSING;
    return result == STORE_OK && entry->last < at ? STORE_MISSING : result;
}

static enum store_result has_time(store_t *store, const struct chunk_entry *entry, int64_t at)
{
    struct sealed sealed;
    enum store_result result = sealed_open(store, entry, false, &sealed);
    if (result != STORE_OK)
        return result;
    result = chunk_has_time(sealed.reader, at) ? STORE_OK : STORE_MISSING;
    sealed_close(store, &sealed);
    return result;
}

enum store_result sealed_twins(store_t *store, int64_t series, int64_t at, sealed_row_fn *fn, void *owner, bool *any)
{
    struct chunk_entry entry;
    struct chunk_row row;
    struct sealed sealed;
    *any = false;
    enum store_result result = find_span(store, series, at, &entry);
    if (result == STORE_OK)
        result = has_time(store, &entry, at);
    if (result == STORE_OK)
        result = sealed_open(store, &entry, true, &sealed);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    int rc;
    chunk_pass_rows(sealed.reader, chunk_rows_before(sealed.reader, at));
    while ((rc = chunk_next(sealed.reader, &row)) > 0 && row.at == at) {
        *any = true;
        if (fn(owner, &row) != 0)
            break;
    }
    if (rc < 0)
        sealed_damaged(store, &entry, "cannot be read");
    sealed_close(store, &sealed);
    return STORE_OK;
}

/* The row is copied: its chunk is closed. */
static int keep_row(store_t *store, const struct chunk_row *row, struct chunk_row *to)
{
    buffer_clear(&store->sealed_body);
    msgpack_sbuffer_write(&store->sealed_body, row->body.data, row->body.size);
    *to = *row;
    to->body.data = store->sealed_body.data;
    return 1;
}

struct wanted { store_t *store; int32_t rest; bool is_found; struct chunk_row *row; };

static int take_wanted(void *owner, const struct chunk_row *row)
{
    struct wanted *wanted = owner;
    if (row->rest != wanted->rest)
        return 0;
    wanted->is_found = true;
    return keep_row(wanted->store, row, wanted->row);
}

enum store_result sealed_get(store_t *store, int64_t series, int64_t at, int32_t rest, struct chunk_row *row)
{
    struct wanted wanted = { .store = store, .rest = rest, .row = row };
    bool any;
    enum store_result result = sealed_twins(store, series, at, take_wanted, &wanted, &any);
    return result == STORE_OK && !wanted.is_found ? STORE_MISSING : result;
}

static enum store_result count_part(store_t *store, const struct chunk_entry *entry, int64_t from, int64_t to, int64_t *count)
{
    struct sealed sealed;
    enum store_result result = sealed_open(store, entry, false, &sealed);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    *count += (int64_t)(chunk_rows_before(sealed.reader, to) - chunk_rows_before(sealed.reader, from));
    sealed_close(store, &sealed);
    return STORE_OK;
}

/* Of chunks that lie in the span from end to end. */
static enum store_result count_whole(store_t *store, int64_t series, int64_t from, int64_t to, int64_t *count)
{
    sqlite3_stmt *sum = statement(store, CHUNK_SUM);
    if (!sum)
        return STORE_TROUBLE;
    sqlite3_bind_int64(sum, 1, series);
    sqlite3_bind_int64(sum, 2, from);
    sqlite3_bind_int64(sum, 3, to);
    if (sqlite3_step(sum) != SQLITE_ROW)
        return trouble(store, "cannot count in the index of chunks");
    *count = sqlite3_column_int64(sum, 0);
    sqlite3_reset(sum);
    return STORE_OK;
}

enum store_result sealed_count(store_t *store, int64_t series, int64_t from, int64_t to, int64_t *count)
{
    struct chunk_entry entry;
    *count = 0;
    if (from >= to || from >= store->sealed_until)
        return STORE_OK;
    enum store_result result = count_whole(store, series, from, to, count);
    if (result == STORE_OK && (result = sealed_at_or_before(store, series, from - 1, &entry)) == STORE_OK && entry.last >= from)
        result = count_part(store, &entry, from, to, count);
    if (result == STORE_OK || result == STORE_MISSING)
        if ((result = sealed_at_or_before(store, series, to - 1, &entry)) == STORE_OK && entry.first >= from && entry.last >= to)
            result = count_part(store, &entry, from, to, count);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result sealed_last(store_t *store, int64_t series, int64_t at, struct chunk_row *to)
{
    struct chunk_entry entry;
    struct chunk_row row;
    struct sealed sealed;
    enum store_result result = STORE_MISSING;
    for (int64_t before = at; result == STORE_MISSING; before = entry.first - 1) { /* a damaged one is passed over */
        result = sealed_at_or_before(store, series, before, &entry);
        if (result != STORE_OK)
            return result;
        result = sealed_open(store, &entry, true, &sealed);
    }
    if (result != STORE_OK)
        return result;
    size_t count = chunk_rows_before(sealed.reader, at + 1);
    chunk_pass_rows(sealed.reader, count > 0 ? count - 1 : 0);
    int rc = chunk_next(sealed.reader, &row);
    if (rc > 0)
        keep_row(store, &row, to);
    sealed_close(store, &sealed);
    return rc > 0 ? STORE_OK : sealed_damaged(store, &entry, "cannot be read");
}

enum store_result sealed_newest(store_t *store, int64_t series, int64_t *at)
{
    struct chunk_entry entry;
    enum store_result result = sealed_at_or_before(store, series, MAX_TIME_US, &entry);
    *at = result == STORE_OK ? entry.last : -1;
    return result == STORE_MISSING ? STORE_OK : result;
}
