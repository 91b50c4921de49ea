/* words.c - bytes that repeat, kept once: attribute sets, registry snapshots, readings, users. */
#include "inside.h"

#include "sets.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 4, WORD_MAX = 16384 }; /* larger ones are looked up in the file */

static const struct { enum statement find, add, get; } words_statements[WORD_KINDS] = {
    [ATTRIBUTE] = { ATTRIBUTE_FIND, ATTRIBUTE_ADD, ATTRIBUTE_GET },
    [SNAPSHOT]  = { SNAPSHOT_FIND,  SNAPSHOT_ADD,  SNAPSHOT_GET },
    [READING]   = { READING_FIND,   READING_ADD,   READING_GET },
    [USER]      = { USER_FIND,      USER_ADD,      USER_GET },
};

void words_open(struct words *words, size_t sets, size_t bytes_max)
{
    assert((sets & (sets - 1)) == 0);
    *words = (struct words){ .sets = sets, .bytes_max = bytes_max };
    words->slots = calloc(sets * WAYS, sizeof *words->slots);
    assert(words->slots);
}

void words_forget(struct words *words)
{
    for (size_t i = 0; i < words->sets * WAYS; i++)
        free(words->slots[i].bytes);
    if (words->slots)
        memset(words->slots, 0, words->sets * WAYS * sizeof *words->slots);
    words->bytes = 0;
}

void words_close(struct words *words)
{
    words_forget(words);
    free(words->slots);
    *words = (struct words){ 0 };
}

static struct word *words_set(struct words *words, uint64_t hash)
{
    return words->slots + (size_t)(hash & (words->sets - 1)) * WAYS;
}

/* Going round: what is still in use is soon remembered again. */
static void forget_one(struct words *words)
{
    struct word *word = words->slots + words->hand;
    words->hand = (words->hand + 1) % (words->sets * WAYS);
    if (!word->bytes)
        return;
    words->bytes -= word->size;
    free(word->bytes);
    *word = (struct word){ 0 };
}

/* Gives the slot, counted from 1; 0: none. */
static uint32_t remember(struct words *words, uint64_t hash, int64_t id, struct slice bytes)
{
    if (bytes.size > WORD_MAX)
        return 0;
    for (size_t i = 0; words->bytes + bytes.size > words->bytes_max && i < words->sets * WAYS; i++)
        forget_one(words);
    struct word *set = words_set(words, hash), *oldest = set;
    for (int i = 1; i < WAYS; i++)
        if (!set[i].bytes || (oldest->bytes && words->clock - set[i].used > words->clock - oldest->used))
            oldest = set + i;
    if (oldest->bytes)
        words->bytes -= oldest->size;
    free(oldest->bytes);
    *oldest = (struct word){ hash, id, malloc(bytes.size + 1), (uint32_t)bytes.size, ++words->clock };
    assert(oldest->bytes);
    if (bytes.size > 0)
        memcpy(oldest->bytes, bytes.data, bytes.size);
    words->bytes += bytes.size;
    return (uint32_t)(oldest - words->slots) + 1;
}

const struct word *word_at(const struct words *words, const struct word_place *place)
{
    const struct word *word = place->slot ? &words->slots[place->slot - 1] : NULL;
    return word && word->bytes && word->id == place->id ? word : NULL;
}

static bool is_at(struct words *words, const struct word_place *place, struct slice bytes)
{
    const struct word *word = word_at(words, place);
    if (!word || !slice_equal(bytes, (struct slice){ word->bytes, word->size }))
        return false;
    words->slots[place->slot - 1].used = ++words->clock;
    return true;
}

static bool recall(struct words *words, uint64_t hash, struct slice bytes, struct word_place *place)
{
    struct word *set = words_set(words, hash);
    for (int i = 0; i < WAYS; i++)
        if (set[i].bytes && set[i].hash == hash && slice_equal(bytes, (struct slice){ set[i].bytes, set[i].size })) {
            set[i].used = ++words->clock;
            *place = (struct word_place){ (uint32_t)(set + i - words->slots) + 1, set[i].id };
            return true;
        }
    return false;
}

void word_forget(struct words *words, uint64_t hash, int64_t id)
{
    struct word *set = words_set(words, hash);
    for (int i = 0; i < WAYS; i++)
        if (set[i].bytes && set[i].hash == hash && set[i].id == id) {
            words->bytes -= set[i].size;
            free(set[i].bytes);
            set[i] = (struct word){ 0 };
        }
}

static enum store_result find_word(store_t *store, enum word_kind kind, uint64_t hash, struct slice bytes, int64_t *id)
{
    sqlite3_stmt *find = statement(store, words_statements[kind].find);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, (int64_t)hash);
    int rc;
    while ((rc = sqlite3_step(find)) == SQLITE_ROW)
        if (slice_equal(bytes, column_bytes(find, 1))) {
            *id = sqlite3_column_int64(find, 0);
            sqlite3_reset(find);
            return STORE_OK;
        }
    sqlite3_reset(find);
    if (rc != SQLITE_DONE)
        return trouble(store, "cannot look up what repeats");
    return kind == ATTRIBUTE ? set_bring_back(store, hash, bytes, id) : STORE_MISSING;
}

enum store_result word_put(store_t *store, enum word_kind kind, struct slice bytes, struct word_place *place)
{
    struct words *words = &store->words[kind];
    if (is_at(words, place, bytes))
        return STORE_OK;
    uint64_t hash = hash_bytes(HASH_SEED, bytes);
    if (recall(words, hash, bytes, place))
        return STORE_OK;
    int64_t id = 0;
    enum store_result result = find_word(store, kind, hash, bytes, &id);
    if (result == STORE_MISSING) {
        sqlite3_stmt *add = statement(store, words_statements[kind].add);
        if (!add)
            return STORE_TROUBLE;
        sqlite3_bind_int64(add, 1, (int64_t)hash);
        bind_bytes(add, 2, bytes);
        int rc = sqlite3_step(add);
        sqlite3_reset(add);
        sqlite3_clear_bindings(add);
        if (rc != SQLITE_DONE)
            return trouble(store, "cannot add what repeats");
        id = sqlite3_last_insert_rowid(store->db);
        result = STORE_OK;
    }
    if (result == STORE_OK)
        *place = (struct word_place){ remember(words, hash, id, bytes), id };
    return result;
}

enum store_result word_damaged(store_t *store, enum word_kind kind, int64_t id)
{
    static const char *const names[] = { "attribute set", "snapshot", "reading", "user", "the name of series" };
    struct bad_words *bad = &store->bad_words;
    for (size_t i = 0; i < bad->count; i++)
        if (bad->ids[i] == id && bad->kinds[i] == (int)kind)
            return STORE_BAD;
    if (bad->count < BAD_WORDS) {
        bad->ids[bad->count] = id;
        bad->kinds[bad->count++] = (int)kind;
    }
    store->damage.count++;
    snprintf(store->damage.what, sizeof store->damage.what, "%s %lld is damaged", names[kind], (long long)id);
    return STORE_BAD;
}

static uint64_t hash_of_number(int64_t id)
{
    return hash_bytes((uint64_t)id, (struct slice){ NULL, 0 });
}

enum store_result word_get_plain(store_t *store, enum word_kind kind, int64_t id, struct slice *bytes)
{
    struct words *words = &store->words[kind];
    uint64_t hash = hash_of_number(id);
    struct word *set = words_set(words, hash);
    for (int i = 0; i < WAYS; i++)
        if (set[i].bytes && set[i].id == id && set[i].hash == hash) {
            set[i].used = ++words->clock;
            *bytes = (struct slice){ set[i].bytes, set[i].size };
            return STORE_OK;
        }
    sqlite3_stmt *get = statement(store, words_statements[kind].get);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, id);
    int rc = sqlite3_step(get);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read what repeats");
    *bytes = column_bytes(get, 0);
    if (hash_bytes(HASH_SEED, *bytes) != (uint64_t)sqlite3_column_int64(get, 1))
        return word_damaged(store, kind, id);
    remember(words, hash, id, *bytes);
    return STORE_OK; /* the statement stays where it is: its bytes are handed out */
}

enum store_result word_get(store_t *store, enum word_kind kind, int64_t id, struct slice *bytes)
{
    enum store_result result = word_get_plain(store, kind, id, bytes);
    if (result == STORE_MISSING && kind == ATTRIBUTE) {
        result = set_get(store, id, bytes);
        if (result == STORE_OK)
            remember(&store->words[kind], hash_of_number(id), id, *bytes);
    }
    if (result == STORE_BAD && kind == SNAPSHOT) {
        *bytes = (struct slice){ "", 0 }; /* all that stands in it is absent */
        return STORE_OK;
    }
    return result == STORE_MISSING ? trouble(store, "a row refers to what is not there") : result;
}
