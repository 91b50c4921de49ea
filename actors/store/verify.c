/* verify.c - sealed chunks are read to the last bit now and then; one that is damaged is put aside by itself. */
#include "seal.h"

#include "late.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>

struct verifying { int64_t series, first; };

/* Where the last look ended; the writer has one look under way. */
static struct verifying *progress(store_t *store)
{
    if (!store->verifying) {
        store->verifying = malloc(sizeof *store->verifying);
        assert(store->verifying);
        *store->verifying = (struct verifying){ -1, -1 };
    }
    return store->verifying;
}

static enum store_result next_chunk(store_t *store, struct verifying *v, struct chunk_entry *entry)
{
    sqlite3_stmt *walk = statement(store, CHUNK_WALK);
    if (!walk)
        return STORE_TROUBLE;
    sqlite3_bind_int64(walk, 1, v->series);
    sqlite3_bind_int64(walk, 2, v->first);
    enum store_result result = entry_read(store, walk, -1, entry);
    *v = result == STORE_OK ? (struct verifying){ entry->series, entry->first } : (struct verifying){ -1, -1 };
    return result;
}

static bool rows_are_well(chunk_reader_t *reader, const struct chunk_entry *entry)
{
    struct chunk_row row;
    int64_t count = 0, last = INT64_MIN;
    int rc;
    while ((rc = chunk_next(reader, &row)) > 0) {
        struct row_state state;
        if (row.at < last || (count == 0 && row.at != entry->first) || body_state(row.body, &state) != 0)
            return false;
        last = row.at;
        count++;
    }
    return rc == 0 && count == entry->rows && last == entry->last;
}

static bool numbers_are_well(chunk_reader_t *reader, const struct chunk_entry *entry)
{
    struct chunk_state state;
    int64_t count = 0;
    double min = 0, max = 0;
    int rc;
    while ((rc = chunk_next_state(reader, &state)) > 0) {
        if (state.word != 0)
            continue;
        double number = chunk_number(reader, &state);
        min = count == 0 || number < min ? number : min;
        max = count == 0 || number > max ? number : max;
        count++;
    }
    return rc == 0 && count == entry->numbers && (count == 0 || (memcmp(&min, &entry->min, sizeof min) == 0 && memcmp(&max, &entry->max, sizeof max) == 0));
}

/* Out of the file, not out of the memory of chunks. */
static enum store_result read_half(store_t *store, const struct chunk_entry *entry, int which, msgpack_sbuffer *to, bool *is_well)
{
    sqlite3_stmt *get = statement(store, which == MAIN_HALF ? CHUNK_MAIN : CHUNK_REST);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, entry->id);
    int rc = sqlite3_step(get);
    struct slice bytes = rc == SQLITE_ROW ? column_bytes(get, 0) : (struct slice){ NULL, 0 };
    *is_well = rc == SQLITE_ROW && (int64_t)bytes.size == entry->bytes[which] && crc32c_add(&store->sum, 0, bytes.data, bytes.size) == entry->sums[which]
        && chunk_unpack(store->tools, bytes, to) == 0;
    sqlite3_reset(get);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read a chunk");
}

static enum store_result look_at(store_t *store, const struct chunk_entry *entry, bool is_state, bool *is_well)
{
    msgpack_sbuffer halves[2];
    chunk_reader_t *reader = chunk_reader_new();
    enum store_result result = STORE_OK;
    *is_well = true;
    for (int which = 0; which < 2; which++)
        msgpack_sbuffer_init(&halves[which]);
    for (int which = 0; which < 2 && result == STORE_OK && *is_well; which++)
        result = read_half(store, entry, which, &halves[which], is_well);
    struct slice main = { halves[MAIN_HALF].data, halves[MAIN_HALF].size }, rest = { halves[REST_HALF].data, halves[REST_HALF].size };
    if (result == STORE_OK && *is_well)
        *is_well = chunk_open(reader, is_state, main, rest) == 0 && rows_are_well(reader, entry)
            && chunk_open(reader, is_state, main, (struct slice){ NULL, 0 }) == 0 && numbers_are_well(reader, entry);
    msgpack_sbuffer_destroy(&halves[0]);
    msgpack_sbuffer_destroy(&halves[1]);
    chunk_reader_destroy(&reader);
    return result;
}

/* From its first state to the next that can be read nobody knows what was in force. */
static enum store_result say_gap(store_t *store, const struct chunk_entry *entry, bool is_bad)
{
    struct sample next = { .at = entry->last + 1 };
    char id[32];
    samples_t *samples = samples_open(store, entry->series, next.at, INT64_MAX, false);
    enum store_result result = samples ? samples_next(samples, &next) : STORE_TROUBLE;
    samples_close(&samples);
    sqlite3_stmt *put = result == STORE_TROUBLE ? NULL : statement(store, is_bad ? GAP_PUT : GAP_DROP);
    if (!put)
        return STORE_TROUBLE;
    snprintf(id, sizeof id, "chunk %lld", (long long)entry->id);
    sqlite3_bind_text(put, 1, id, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(put, 2, entry->series);
    if (is_bad) {
        sqlite3_bind_int64(put, 3, entry->first);
        sqlite3_bind_int64(put, 4, next.at);
    }
    late_gap(store, entry->series, entry->first, next.at);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot say what a damaged chunk leaves open");
}

/* Kept and named, but no answer comes from it; or, where it can be read after all, as before. */
static enum store_result say(store_t *store, const struct chunk_entry *entry, bool is_state, bool is_bad)
{
    sqlite3_stmt *put = store_begin(store) == STORE_OK ? statement(store, CHUNK_SAY_BAD) : NULL;
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int64(put, 1, entry->series);
    sqlite3_bind_int64(put, 2, entry->first);
    sqlite3_bind_int(put, 3, is_bad);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    if (rc != SQLITE_DONE || (is_state && say_gap(store, entry, is_bad) != STORE_OK))
        return store_abandon(store, rc == SQLITE_DONE ? NULL : "cannot put a chunk aside");
    return store_commit(store);
}

enum store_result store_verify(store_t *store, struct store_looked *looked)
{
    struct chunk_entry entry;
    bool is_state, is_well;
    assert(store->writer && !store->in_transaction);
    *looked = (struct store_looked){ 0 };
    enum store_result result = next_chunk(store, progress(store), &entry);
    if (result == STORE_OK)
        result = sealed_is_of_states(store, entry.series, &is_state);
    if (result == STORE_OK)
        result = look_at(store, &entry, is_state, &is_well);
    if (result != STORE_OK)
        return result;
    *looked = (struct store_looked){ .chunk = entry.id, .rows = entry.rows, .is_bad = !is_well, .is_news = is_well == entry.is_bad };
    return looked->is_news ? say(store, &entry, is_state, !is_well) : STORE_OK;
}

enum store_result store_sealed_totals(store_t *store, struct store_sealed *totals)
{
    sqlite3_stmt *sum = statement(store, CHUNK_TOTALS);
    if (!sum || sqlite3_step(sum) != SQLITE_ROW)
        return trouble(store, "cannot sum the chunks up");
    *totals = (struct store_sealed){ sqlite3_column_int64(sum, 0), sqlite3_column_int64(sum, 1), sqlite3_column_int64(sum, 2), sqlite3_column_int64(sum, 3) };
    sqlite3_reset(sum);
    return STORE_OK;
}

enum store_result store_bad_chunks(store_t *store, int limit, store_bad_chunk_fn *fn, void *owner)
{
    sqlite3_stmt *list = statement(store, CHUNK_BAD_LIST);
    int rc;
    if (!list)
        return STORE_TROUBLE;
    sqlite3_bind_int(list, 1, limit);
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        struct store_bad_chunk chunk = { .chunk = sqlite3_column_int64(list, 0), .is_state = sqlite3_column_int(list, 1) != 0, .name = column_bytes(list, 2),
            .first = sqlite3_column_int64(list, 3), .last = sqlite3_column_int64(list, 4), .rows = sqlite3_column_int64(list, 5) };
        fn(owner, &chunk);
    }
    sqlite3_reset(list);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot list the chunks that are damaged");
}
