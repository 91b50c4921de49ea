/* stash.c - rows in memory on their way into a chunk, and the chunk written and read back. */
#include "seal.h"

#include "pack.h"

#include <stdio.h>
#include <stdlib.h>

void stash_clear(struct stash *s)
{
    s->count = 0;
    buffer_clear(&s->bodies);
}

void stash_destroy(struct stash *s)
{
    free(s->rows);
    free(s->is_hot);
    msgpack_sbuffer_destroy(&s->bodies);
    *s = (struct stash){ 0 };
}

void stash_add(struct stash *s, const struct chunk_row *row, bool is_hot)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 256;
        s->rows = realloc(s->rows, s->room * sizeof *s->rows);
        s->is_hot = realloc(s->is_hot, s->room * sizeof *s->is_hot);
        assert(s->rows && s->is_hot);
    }
    s->is_hot[s->count] = is_hot;
    s->rows[s->count] = *row;
    s->rows[s->count++].body = (struct slice){ (void *)(uintptr_t)s->bodies.size, row->body.size };
    pack_bytes(&s->bodies, row->body.data, row->body.size);
}

static int by_order(const void *a, const void *b)
{
    const struct chunk_row *left = a, *right = b;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    if (left->place != right->place)
        return left->place < right->place ? -1 : 1;
    return left->rest < right->rest ? -1 : left->rest > right->rest;
}

void stash_finish(struct stash *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->rows[i].body.data = s->bodies.data + (uintptr_t)s->rows[i].body.data;
    size_t i = 1;
    while (i < s->count && by_order(&s->rows[i - 1], &s->rows[i]) <= 0)
        i++;
    if (i < s->count)
        qsort(s->rows, s->count, sizeof *s->rows, by_order);
}

/* --- as a chunk ------------------------------------------------------------------------------------ */

static bool same_row(const struct chunk_row *a, const struct chunk_row *b)
{
    return a->at == b->at && a->shift == b->shift && a->place == b->place && a->rest == b->rest && slice_equal(a->body, b->body);
}

/* What was written, read as a reader reads it. */
static bool comes_back(store_t *store, const struct chunk_row *rows, size_t count, bool is_state, struct slice main, struct slice rest)
{
    struct chunk_reader *reader = store->spare_reader ? store->spare_reader : chunk_reader_new();
    msgpack_sbuffer plain[2];
    struct chunk_row row;
    size_t same = 0;
    store->spare_reader = reader;
    msgpack_sbuffer_init(&plain[0]);
    msgpack_sbuffer_init(&plain[1]);
    bool is_good = chunk_unpack(store->tools, main, &plain[0]) == 0 && chunk_unpack(store->tools, rest, &plain[1]) == 0
        && chunk_open(reader, is_state, (struct slice){ plain[0].data, plain[0].size }, (struct slice){ plain[1].data, plain[1].size }) == 0;
    while (is_good && same < count && chunk_next(reader, &row) > 0 && same_row(&row, &rows[same]))
        same++;
    is_good = is_good && same == count && chunk_next(reader, &row) == 0;
    msgpack_sbuffer_destroy(&plain[0]);
    msgpack_sbuffer_destroy(&plain[1]);
    return is_good;
}

static enum store_result run_step(store_t *store, sqlite3_stmt *stmt, const char *doing)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, doing);
}

static void bind_limits(sqlite3_stmt *add, const struct chunk_summary *summary)
{
    if (summary->numbers == 0)
        return; /* no limits: NULL */
    sqlite3_bind_double(add, 7, summary->min);
    sqlite3_bind_double(add, 8, summary->max);
}

static enum store_result put_entry(store_t *store, int64_t series, const struct chunk_summary *summary, struct slice main, struct slice rest)
{
    sqlite3_stmt *add = statement(store, CHUNK_ADD), *until = statement(store, SEALED_UNTIL_PUT);
    if (!add || !until)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, sqlite3_last_insert_rowid(store->db));
    sqlite3_bind_int64(add, 2, series);
    sqlite3_bind_int64(add, 3, summary->first);
    sqlite3_bind_int64(add, 4, summary->last);
    sqlite3_bind_int64(add, 5, (int64_t)summary->rows);
    sqlite3_bind_int64(add, 6, (int64_t)summary->numbers);
    bind_limits(add, summary);
    sqlite3_bind_int64(add, 9, (int64_t)main.size);
    sqlite3_bind_int64(add, 10, (int64_t)rest.size);
    sqlite3_bind_int64(add, 11, crc32c_add(&store->sum, 0, main.data, main.size));
    sqlite3_bind_int64(add, 12, crc32c_add(&store->sum, 0, rest.data, rest.size));
    enum store_result result = run_step(store, add, "cannot add a chunk to the index");
    if (result != STORE_OK || summary->last < store->sealed_until)
        return result;
    sqlite3_bind_int64(until, 1, summary->last + 1);
    store->sealed_until = summary->last + 1;
    return run_step(store, until, "cannot note how far the store is sealed");
}

enum store_result stash_write(store_t *store, const struct stash *s, size_t from, size_t count, int64_t series, bool is_state)
{
    struct chunk_summary summary;
    msgpack_sbuffer halves[2];
    msgpack_sbuffer_init(&halves[0]);
    msgpack_sbuffer_init(&halves[1]);
    chunk_write(store->tools, is_state, s->rows + from, count, &halves[0], &halves[1], &summary);
    struct slice main = { halves[0].data, halves[0].size }, rest = { halves[1].data, halves[1].size };
    enum store_result result = comes_back(store, s->rows + from, count, is_state, main, rest) ? STORE_OK : STORE_BAD;
    sqlite3_stmt *add = result == STORE_OK ? statement(store, CHUNK_DATA_ADD) : NULL;
    if (add) {
        bind_bytes(add, 1, main);
        bind_bytes(add, 2, rest);
        result = run_step(store, add, "cannot write a chunk");
        if (result == STORE_OK)
            result = put_entry(store, series, &summary, main, rest);
    } else if (result == STORE_OK) {
        result = STORE_TROUBLE;
    }
    msgpack_sbuffer_destroy(&halves[0]);
    msgpack_sbuffer_destroy(&halves[1]);
    return result;
}

enum store_result chunk_drop(store_t *store, const struct chunk_entry *entry)
{
    sqlite3_stmt *drop = statement(store, CHUNK_DROP), *data = statement(store, CHUNK_DATA_DROP);
    if (!drop || !data)
        return STORE_TROUBLE;
    sqlite3_bind_int64(drop, 1, entry->series);
    sqlite3_bind_int64(drop, 2, entry->first);
    sqlite3_bind_int64(data, 1, entry->id);
    enum store_result result = run_step(store, drop, "cannot drop a chunk");
    return result == STORE_OK ? run_step(store, data, "cannot drop a chunk") : result;
}
