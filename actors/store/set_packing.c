/* set_packing.c - attribute sets that only sealed rows refer to become differences, a little at a time.
 *
 * A round goes through the chunks that are newer than the last round. What is packed leaves `attribute`, so that a reader that
 * knows nothing of differences finds nothing rather than something else. A base stays there for ever. */
#include "sealed.h"

#include "pack.h"
#include "packed_set.h"
#include "sets.h"

#include <stdlib.h>

enum {
    SETS_AT_ONCE = 64, BYTES_AT_ONCE = 1 << 20, /* of a step */
    SAMPLES = 4,     /* sets of a chunk that are tried with another base */
    LASTING = 2,     /* a base is thought to serve as many sets again as the chunk at hand has */
    OVERHEAD = 8     /* bytes that a packed row takes besides, more than a plain one */
};

struct set { int64_t id, hash; size_t at, size; }; /* its bytes: where in `bytes` */

struct packing {
    int64_t series, first, from, until; /* the chunk at hand; chunks of numbers from < n <= until make the round */
    bool is_under_way;
    int64_t *ids;                       /* of the chunk at hand, in order; `next` of them are done */
    size_t count, next, room;
    int64_t base;                       /* of the series; 0: none */
    msgpack_sbuffer base_bytes, bytes, packed;
    struct set sets[SETS_AT_ONCE];      /* of the step */
    size_t taken;
    struct hot_ids { int64_t series, *ids; size_t count, room; int changes; } hot; /* what rows of a series refer to that are not sealed; true as long as nothing else was changed */
};

static void add_id(int64_t **ids, size_t *count, size_t *room, int64_t id)
{
    if (*count == *room) {
        *room = *room ? *room * 2 : 1024;
        *ids = realloc(*ids, *room * sizeof **ids);
        assert(*ids);
    }
    (*ids)[(*count)++] = id;
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* In order, each once. */
static void sort_ids(int64_t *ids, size_t *count)
{
    size_t kept = 0;
    if (*count == 0)
        return;
    qsort(ids, *count, sizeof *ids, by_number);
    for (size_t i = 1; i < *count; i++)
        if (ids[i] != ids[kept])
            ids[++kept] = ids[i];
    *count = kept + 1;
}

static void forget_hot(struct packing *p)
{
    free(p->hot.ids);
    p->hot = (struct hot_ids){ 0 };
}

void packing_close(store_t *store)
{
    struct packing *p = store->packing;
    if (!p)
        return;
    msgpack_sbuffer_destroy(&p->base_bytes);
    msgpack_sbuffer_destroy(&p->bytes);
    msgpack_sbuffer_destroy(&p->packed);
    forget_hot(p);
    free(p->ids);
    free(p);
    store->packing = NULL;
}

static struct packing *packing(store_t *store)
{
    if (!store->packing) {
        store->packing = calloc(1, sizeof *store->packing);
        assert(store->packing);
        msgpack_sbuffer_init(&store->packing->base_bytes);
        msgpack_sbuffer_init(&store->packing->bytes);
        msgpack_sbuffer_init(&store->packing->packed);
    }
    return store->packing;
}

/* --- the round ------------------------------------------------------------------------------------------ */

static enum store_result begin_round(store_t *store, struct packing *p)
{
    sqlite3_stmt *span = statement(store, PACKING_SPAN);
    if (!span || sqlite3_step(span) != SQLITE_ROW)
        return trouble(store, "cannot see which chunks are new");
    p->from = sqlite3_column_int64(span, 0);
    p->until = sqlite3_column_int64(span, 1);
    p->series = p->first = -1;
    sqlite3_reset(span);
    p->is_under_way = p->until > p->from;
    return p->is_under_way ? STORE_OK : STORE_MISSING;
}

static enum store_result end_round(store_t *store, struct packing *p)
{
    p->is_under_way = false;
    forget_hot(p);
    sqlite3_stmt *put = store_begin(store) == STORE_OK ? statement(store, PACKING_PUT) : NULL;
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int64(put, 1, p->until);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? store_commit(store) : trouble(store, "cannot note how far attribute sets are packed");
}

/* STORE_MISSING: it is damaged, or there is no more chunk in this round. */
static enum store_result take_chunk(store_t *store, struct packing *p, bool *is_over)
{
    struct chunk_entry entry;
    struct sealed sealed;
    struct chunk_state state = { 0 };
    int64_t last = 0;
    sqlite3_stmt *walk = statement(store, PACKING_WALK);
    if (!walk)
        return STORE_TROUBLE;
    sqlite3_bind_int64(walk, 1, p->series);
    sqlite3_bind_int64(walk, 2, p->first);
    sqlite3_bind_int64(walk, 3, p->from);
    enum store_result result = entry_read(store, walk, -1, &entry);
    *is_over = result == STORE_MISSING;
    p->count = p->next = 0;
    if (result != STORE_OK)
        return result;
    p->series = entry.series;
    p->first = entry.first;
    result = sealed_open(store, &entry, false, &sealed);
    if (result != STORE_OK)
        return result;
    while (chunk_next_state(sealed.reader, &state) > 0) {
        if (state.attributes != last && state.attributes != 0)
            add_id(&p->ids, &p->count, &p->room, state.attributes);
        last = state.attributes;
    }
    sealed_close(store, &sealed);
    sort_ids(p->ids, &p->count);
    return STORE_OK;
}

/* --- a step ----------------------------------------------------------------------------------------------- */

/* Looked up once for all chunks of a series, as long as nobody else writes in between. */
static enum store_result find_hot(store_t *store, struct packing *p)
{
    int64_t last = 0;
    int rc;
    if (p->hot.series == p->series && p->hot.changes == sqlite3_total_changes(store->db))
        return STORE_OK;
    sqlite3_stmt *rows = statement(store, EVENT_BODIES);
    if (!rows)
        return STORE_TROUBLE;
    p->hot.series = 0;
    p->hot.count = 0;
    sqlite3_bind_int64(rows, 1, p->series);
    while ((rc = sqlite3_step(rows)) == SQLITE_ROW) {
        struct row_state state;
        if (body_state(column_bytes(rows, 0), &state) == 0 && state.attributes != last)
            add_id(&p->hot.ids, &p->hot.count, &p->hot.room, last = state.attributes);
    }
    sqlite3_reset(rows);
    sort_ids(p->hot.ids, &p->hot.count);
    p->hot.series = rc == SQLITE_DONE ? p->series : 0;
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot see which attribute sets are in use");
}

/* Passed over: plain SQL gives them. They come again when the row is sealed. */
static bool is_hot(const struct packing *p, int64_t id)
{
    return p->hot.count > 0 && bsearch(&id, p->hot.ids, p->hot.count, sizeof id, by_number);
}

static enum store_result base_is(store_t *store, int64_t id, bool *is)
{
    sqlite3_stmt *find = statement(store, BASE_IS);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, id);
    int rc = sqlite3_step(find);
    sqlite3_reset(find);
    *is = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for a base");
}

/* Plain ones only; never the newest of all, from which the next number follows. */
static enum store_result take_set(store_t *store, struct packing *p, int64_t id)
{
    bool is_base;
    enum store_result result = base_is(store, id, &is_base);
    if (result != STORE_OK || is_base)
        return result;
    sqlite3_stmt *get = statement(store, PLAIN_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, id);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW && sqlite3_column_bytes(get, 1) <= SET_BYTES_MAX) {
        struct slice bytes = column_bytes(get, 1);
        struct set set = { id, sqlite3_column_int64(get, 0), p->bytes.size, bytes.size };
        if ((int64_t)hash_bytes(HASH_SEED, bytes) == set.hash) { /* else it is damaged: it stays as it is */
            p->sets[p->taken++] = set;
            pack_bytes(&p->bytes, bytes.data, bytes.size);
        }
    }
    sqlite3_reset(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read an attribute set");
}

static enum store_result take_sets(store_t *store, struct packing *p)
{
    enum store_result result = find_hot(store, p);
    p->taken = 0;
    buffer_clear(&p->bytes);
    for (; result == STORE_OK && p->next < p->count && p->taken < SETS_AT_ONCE && p->bytes.size < BYTES_AT_ONCE; p->next++)
        if (!is_hot(p, p->ids[p->next]))
            result = take_set(store, p, p->ids[p->next]);
    return result;
}

static struct slice set_bytes(const struct packing *p, const struct set *set)
{
    return (struct slice){ p->bytes.data + set->at, set->size };
}

static enum store_result read_base(store_t *store, struct packing *p)
{
    sqlite3_stmt *find = statement(store, BASE_OF);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, p->series);
    int rc = sqlite3_step(find);
    p->base = 0;
    buffer_clear(&p->base_bytes);
    if (rc == SQLITE_ROW) {
        struct slice bytes = column_bytes(find, 2);
        if ((int64_t)hash_bytes(HASH_SEED, bytes) == sqlite3_column_int64(find, 1)) { /* else no reader takes it as a base */
            p->base = sqlite3_column_int64(find, 0);
            pack_bytes(&p->base_bytes, bytes.data, bytes.size);
        }
    }
    sqlite3_reset(find);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read a base");
}

static size_t packed_size(store_t *store, struct packing *p, struct slice base, const struct set *set)
{
    msgpack_sbuffer_clear(&p->packed);
    set_pack(store->tools, base, set_bytes(p, set), &p->packed);
    return p->packed.size;
}

/* Whether a set of this step would serve better, by some of its others: worth it if that saves its own bytes. */
static enum store_result choose_base(store_t *store, struct packing *p)
{
    const struct set *one = &p->sets[p->taken / 2];
    struct slice now = { p->base_bytes.data, p->base_bytes.size }, then = set_bytes(p, one);
    size_t old_size = 0, new_size = 0, tried = 0, sets = p->taken + (p->count - p->next);
    for (size_t i = 0; i < SAMPLES; i++) {
        const struct set *set = &p->sets[i * p->taken / SAMPLES];
        if (set == one)
            continue;
        old_size += packed_size(store, p, now, set);
        new_size += packed_size(store, p, then, set);
        tried++;
    }
    if (tried == 0 || old_size <= new_size || (old_size - new_size) * sets * LASTING / tried < one->size)
        return STORE_OK;
    sqlite3_stmt *add = statement(store, BASE_ADD);
    if (!add)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, one->id);
    sqlite3_bind_int64(add, 2, p->series);
    int rc = sqlite3_step(add);
    sqlite3_reset(add);
    p->base = one->id;
    buffer_clear(&p->base_bytes);
    pack_bytes(&p->base_bytes, then.data, then.size);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot note a base");
}

static enum store_result write_set(store_t *store, const struct packing *p, const struct set *set)
{
    sqlite3_stmt *add = statement(store, PACKED_ADD), *drop = statement(store, PLAIN_DROP);
    if (!add || !drop)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, set->id);
    sqlite3_bind_int(add, 2, (int32_t)(uint32_t)set->hash);
    sqlite3_bind_int64(add, 3, p->base);
    bind_bytes(add, 4, (struct slice){ p->packed.data, p->packed.size });
    sqlite3_bind_int64(drop, 1, set->id);
    bool is_done = sqlite3_step(add) == SQLITE_DONE && sqlite3_step(drop) == SQLITE_DONE;
    sqlite3_reset(add);
    sqlite3_reset(drop);
    return is_done ? STORE_OK : trouble(store, "cannot pack an attribute set");
}

/* Read back and compared before the plain one goes. */
static bool comes_back(store_t *store, const struct packing *p, const struct set *set)
{
    struct slice base = { p->base_bytes.data, p->base_bytes.size };
    return set_unpack(store->tools, base, (struct slice){ p->packed.data, p->packed.size }, &store->unpacked_set) == 0
        && slice_equal((struct slice){ store->unpacked_set.data, store->unpacked_set.size }, set_bytes(p, set));
}

static enum store_result pack_sets(store_t *store, struct packing *p)
{
    enum store_result result = p->taken > 0 ? read_base(store, p) : STORE_OK;
    if (result == STORE_OK && p->taken > 1)
        result = choose_base(store, p);
    for (size_t i = 0; i < p->taken && result == STORE_OK; i++) {
        const struct set *set = &p->sets[i];
        struct slice base = { p->base_bytes.data, p->base_bytes.size };
        if (set->id == p->base || packed_size(store, p, base, set) + OVERHEAD >= set->size || !comes_back(store, p, set))
            continue;
        result = write_set(store, p, set);
        word_forget(&store->words[ATTRIBUTE], (uint64_t)set->hash, set->id); /* it is looked up when it comes again, and is plain then */
    }
    return result;
}

static enum store_result pack_some(store_t *store, struct packing *p)
{
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = take_sets(store, p);
    if (result == STORE_OK)
        result = pack_sets(store, p);
    if (result == STORE_OK)
        result = store_commit(store);
    p->hot.changes = sqlite3_total_changes(store->db);
    return result;
}

enum store_result store_pack(store_t *store)
{
    assert(store->writer && !store->in_transaction);
    struct packing *p = packing(store);
    bool is_over = false;
    enum store_result result = p->is_under_way ? STORE_OK : begin_round(store, p);
    if (result == STORE_MISSING)
        return result;
    if (result == STORE_OK && p->next >= p->count) {
        result = take_chunk(store, p, &is_over);
        result = result == STORE_MISSING ? STORE_OK : result;
    }
    if (result == STORE_OK && is_over)
        result = end_round(store, p);
    else if (result == STORE_OK && p->next < p->count)
        result = pack_some(store, p);
    if (result == STORE_OK)
        return STORE_OK;
    store_abandon(store, NULL);
    p->is_under_way = false;
    p->count = p->next = 0;
    return STORE_TROUBLE;
}
