/* sets.c - attribute sets that are kept as differences: read, and made plain again. */
#include "sets.h"

#include "packed_set.h"

enum { ALIKE = 8 /* sets with the same half of a hash */ };

enum store_result set_damaged(store_t *store, int64_t id)
{
    return word_damaged(store, ATTRIBUTE, id);
}

/* STORE_BAD: there is no such base, as in a file that is damaged. */
static enum store_result base_get(store_t *store, int64_t id, struct slice *base)
{
    *base = (struct slice){ "", 0 };
    enum store_result result = id ? word_get_plain(store, ATTRIBUTE, id, base) : STORE_OK;
    return result == STORE_MISSING || base->size > SET_BYTES_MAX ? STORE_BAD : result;
}

static enum store_result unpack(store_t *store, int64_t id, sqlite3_stmt *get, struct slice *bytes)
{
    struct slice base;
    int32_t hash = sqlite3_column_int(get, 0);
    enum store_result result = base_get(store, sqlite3_column_int64(get, 1), &base);
    if (result == STORE_OK && set_unpack(store->tools, base, column_bytes(get, 2), &store->unpacked_set) != 0)
        result = STORE_BAD;
    *bytes = (struct slice){ store->unpacked_set.data, store->unpacked_set.size };
    if (result == STORE_OK && (int32_t)(uint32_t)hash_bytes(HASH_SEED, *bytes) != hash)
        result = STORE_BAD;
    return result == STORE_BAD ? set_damaged(store, id) : result;
}

enum store_result set_get(store_t *store, int64_t id, struct slice *bytes)
{
    sqlite3_stmt *get = statement(store, PACKED_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, id);
    int rc = sqlite3_step(get);
    enum store_result result = rc == SQLITE_ROW ? unpack(store, id, get, bytes) : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read an attribute set");
    sqlite3_reset(get);
    return result;
}

static enum store_result make_plain(store_t *store, int64_t id, uint64_t hash, struct slice bytes)
{
    sqlite3_stmt *add = statement(store, PLAIN_ADD), *drop = statement(store, PACKED_DROP);
    if (!add || !drop)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, id);
    sqlite3_bind_int64(add, 2, (int64_t)hash);
    bind_bytes(add, 3, bytes);
    sqlite3_bind_int64(drop, 1, id);
    bool is_done = sqlite3_step(add) == SQLITE_DONE && sqlite3_step(drop) == SQLITE_DONE;
    sqlite3_reset(add);
    sqlite3_clear_bindings(add);
    sqlite3_reset(drop);
    return is_done ? STORE_OK : trouble(store, "cannot make an attribute set plain again");
}

enum store_result set_bring_back(store_t *store, uint64_t hash, struct slice bytes, int64_t *id)
{
    int64_t ids[ALIKE];
    size_t count = 0;
    sqlite3_stmt *find = bytes.size <= SET_BYTES_MAX ? statement(store, PACKED_FIND) : NULL;
    if (!find)
        return bytes.size > SET_BYTES_MAX ? STORE_MISSING : STORE_TROUBLE;
    sqlite3_bind_int(find, 1, (int32_t)(uint32_t)hash);
    int rc;
    while ((rc = sqlite3_step(find)) == SQLITE_ROW && count < ALIKE)
        ids[count++] = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot look for an attribute set");
    for (size_t i = 0; i < count; i++) {
        struct slice other;
        enum store_result result = set_get(store, ids[i], &other);
        if (result == STORE_OK && slice_equal(other, bytes)) {
            *id = ids[i];
            return make_plain(store, *id, hash, bytes);
        }
        if (result != STORE_OK && result != STORE_BAD && result != STORE_MISSING)
            return result;
    }
    return STORE_MISSING;
}
