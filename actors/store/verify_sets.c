/* verify_sets.c - attribute sets, plain or packed, are compared with their hash now and then; those that are damaged are named. */
#include "sets.h"

#include "packed_set.h"

#include <stdlib.h>

enum { SETS_AT_ONCE = 128, BYTES_AT_ONCE = 4 << 20 };

/* Out of the file, not out of the memory of sets. */
static bool plain_is_well(struct slice bytes, int64_t hash)
{
    return (int64_t)hash_bytes(HASH_SEED, bytes) == hash;
}

static enum store_result packed_is_well(store_t *store, sqlite3_stmt *row, bool *is_well)
{
    int64_t base = sqlite3_column_int64(row, 3);
    struct slice bytes = { "", 0 };
    sqlite3_stmt *get = statement(store, ATTRIBUTE_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, base);
    int rc = base ? sqlite3_step(get) : SQLITE_ROW;
    if (rc == SQLITE_ROW && base)
        bytes = column_bytes(get, 0);
    bool has_base = rc == SQLITE_ROW && (!base || plain_is_well(bytes, sqlite3_column_int64(get, 1)));
    *is_well = has_base && bytes.size <= SET_BYTES_MAX && set_unpack(store->tools, bytes, column_bytes(row, 2), &store->unpacked_set) == 0
        && (int32_t)(uint32_t)hash_bytes(HASH_SEED, (struct slice){ store->unpacked_set.data, store->unpacked_set.size }) == sqlite3_column_int(row, 1);
    sqlite3_reset(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read a base");
}

struct news { int64_t id; bool is_bad; };

/* One after another, whichever table it is in. STORE_MISSING: there is no more. */
static enum store_result look_at_some(store_t *store, struct store_looked_sets *looked, struct news *news, size_t *news_count)
{
    sqlite3_stmt *walk = statement(store, SETS_WALK);
    enum store_result result = STORE_OK;
    int rc = SQLITE_DONE;
    size_t bytes = 0;
    if (!walk)
        return STORE_TROUBLE;
    sqlite3_bind_int64(walk, 1, store->verified_set);
    for (int i = 0; i < SETS_AT_ONCE && bytes < BYTES_AT_ONCE && result == STORE_OK && (rc = sqlite3_step(walk)) == SQLITE_ROW; i++) {
        bool is_packed = sqlite3_column_type(walk, 3) != SQLITE_NULL, is_well = !is_packed && plain_is_well(column_bytes(walk, 2), sqlite3_column_int64(walk, 1));
        if (is_packed)
            result = packed_is_well(store, walk, &is_well);
        store->verified_set = sqlite3_column_int64(walk, 0);
        bytes += column_bytes(walk, 2).size;
        looked->sets++;
        if (is_well == (sqlite3_column_int(walk, 4) != 0))
            news[(*news_count)++] = (struct news){ store->verified_set, !is_well };
    }
    sqlite3_reset(walk);
    if (result != STORE_OK || (rc != SQLITE_ROW && rc != SQLITE_DONE))
        return result != STORE_OK ? result : trouble(store, "cannot look at attribute sets");
    return rc == SQLITE_DONE && looked->sets == 0 ? STORE_MISSING : STORE_OK;
}

static enum store_result say(store_t *store, const struct news *news, size_t count)
{
    enum store_result result = store_begin(store);
    for (size_t i = 0; i < count && result == STORE_OK; i++) {
        sqlite3_stmt *put = statement(store, news[i].is_bad ? SET_BAD_ADD : SET_BAD_DROP);
        if (!put)
            return STORE_TROUBLE;
        sqlite3_bind_int64(put, 1, news[i].id);
        int rc = sqlite3_step(put);
        sqlite3_reset(put);
        result = rc == SQLITE_DONE ? STORE_OK : store_abandon(store, "cannot note an attribute set that is damaged");
    }
    return result == STORE_OK ? store_commit(store) : result;
}

enum store_result store_verify_sets(store_t *store, struct store_looked_sets *looked)
{
    struct news news[SETS_AT_ONCE];
    size_t count = 0;
    assert(store->writer && !store->in_transaction);
    *looked = (struct store_looked_sets){ 0 };
    enum store_result result = look_at_some(store, looked, news, &count);
    if (result == STORE_MISSING)
        store->verified_set = 0;
    for (size_t i = 0; i < count; i++) {
        looked->bad += news[i].is_bad;
        looked->well_again += !news[i].is_bad;
        looked->one = news[i].is_bad ? news[i].id : looked->one;
    }
    return result == STORE_OK && count > 0 ? say(store, news, count) : result;
}

enum store_result store_bad_sets(store_t *store, int limit, store_bad_set_fn *fn, void *owner, int64_t *count)
{
    sqlite3_stmt *list = statement(store, SET_BAD_LIST);
    int rc;
    *count = 0;
    if (!list)
        return STORE_TROUBLE;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW)
        if ((*count)++ < limit)
            fn(owner, sqlite3_column_int64(list, 0));
    sqlite3_reset(list);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot list the attribute sets that are damaged");
}
