/* times.c - the keys of rows in the order of lists: runs of them packed, those that come late one by one. */
#include "times.h"
#include "pack.h"

#include <endian.h>
#include <stdlib.h>

enum { KEY_MAX = 44 };
#define APART_US INT64_C(600000000) /* a run with a key of a clock that is wrong at its end would make all between late */
#define NO_TIME INT64_MAX

/* --- packed: each as what it differs by from the one before ---------------------------------------- */

static void write_key(const struct row_key *before, const struct row_key *key, msgpack_sbuffer *out)
{
    uint32_t rest = htole32((uint32_t)key->rest);
    pack_number(out, (uint64_t)(key->time - before->time));
    pack_signed(out, (int64_t)((uint64_t)key->place - (uint64_t)before->place));
    pack_number(out, (uint64_t)key->series << 1 | (key->at != key->time));
    if (key->at != key->time)
        pack_signed(out, key->at - key->time);
    pack_bytes(out, &rest, sizeof rest);
}

static void read_key(struct unpack *in, struct row_key *key)
{
    uint32_t rest;
    key->time = (int64_t)((uint64_t)key->time + unpack_number(in));
    key->place = (int64_t)((uint64_t)key->place + (uint64_t)unpack_signed(in));
    uint64_t series = unpack_number(in);
    key->series = (int64_t)(series >> 1);
    key->at = (int64_t)((uint64_t)key->time + (series & 1 ? (uint64_t)unpack_signed(in) : 0));
    memcpy(&rest, unpack_bytes(in, sizeof rest), sizeof rest);
    key->rest = (int32_t)le32toh(rest);
}

int run_read(struct slice bytes, int64_t first, struct run *run)
{
    struct unpack in = unpack_of(bytes);
    struct row_key key = { .time = first };
    run->first = first;
    for (run->count = 0; in.at < in.end && !in.bad && run->count < RUN_KEYS; run->keys[run->count++] = key) {
        read_key(&in, &key);
        if (run->count > 0 && key_order(&run->keys[run->count - 1], &key) >= 0)
            return -1;
    }
    return in.bad || in.at < in.end || run->count == 0 || run->keys[0].time != first ? -1 : 0;
}

static uint32_t sum_of(const store_t *store, int64_t first, int64_t last, struct slice keys)
{
    uint64_t ends[] = { htole64((uint64_t)first), htole64((uint64_t)last) };
    return crc32c_add(&store->sum, crc32c_add(&store->sum, 0, ends, sizeof ends), keys.data, keys.size);
}

/* The columns first, last, count, keys, sum, which older files, and older rows, do not have. STORE_BAD: it is damaged. */
static enum store_result look_at_run(store_t *store, sqlite3_stmt *stmt, struct run *run)
{
    struct slice keys = column_bytes(stmt, 3);
    run->first = sqlite3_column_int64(stmt, 0);
    run->last = sqlite3_column_int64(stmt, 1);
    run->is_mended = false;
    bool has_sum = sqlite3_column_count(stmt) > 4 && sqlite3_column_type(stmt, 4) != SQLITE_NULL;
    bool is_well = !has_sum || (uint32_t)sqlite3_column_int64(stmt, 4) == sum_of(store, run->first, run->last, keys);
    return is_well && run_read(keys, run->first, run) == 0 ? STORE_OK : STORE_BAD;
}

static enum store_result read_run(store_t *store, sqlite3_stmt *stmt, struct run *run)
{
    enum store_result result = look_at_run(store, stmt, run);
    return result == STORE_BAD ? run_mend(store, run) : result;
}

/* --- writing ------------------------------------------------------------------------------------------ */

static enum store_result put_run(store_t *store, int64_t first, int64_t last, size_t count, struct slice bytes)
{
    sqlite3_stmt *put = statement(store, RUN_PUT);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int64(put, 1, first);
    sqlite3_bind_int64(put, 2, last);
    sqlite3_bind_int64(put, 3, (int64_t)count);
    bind_bytes(put, 4, bytes);
    sqlite3_bind_int64(put, 5, sum_of(store, first, last, bytes));
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    sqlite3_clear_bindings(put);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot write a run of keys");
}

static enum store_result drop_run(store_t *store, int64_t first)
{
    sqlite3_stmt *drop = statement(store, RUN_DROP);
    if (!drop)
        return STORE_TROUBLE;
    sqlite3_bind_int64(drop, 1, first);
    int rc = sqlite3_step(drop);
    sqlite3_reset(drop);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot drop a run of keys");
}

void run_writer_open(struct run_writer *w)
{
    *w = (struct run_writer){ .until = NO_TIME };
    msgpack_sbuffer_init(&w->bytes);
}

static enum store_result write_out(store_t *store, struct run_writer *w)
{
    if (!w->is_changed)
        return STORE_OK;
    w->is_changed = false;
    return put_run(store, w->first, w->end.time, w->count, (struct slice){ w->bytes.data, w->bytes.size });
}

/* The run that begins at this time or before. STORE_BAD: it is damaged. */
static enum store_result run_before(store_t *store, int64_t time, struct run *run)
{
    sqlite3_stmt *find = statement(store, RUN_BEFORE);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, time);
    int rc = sqlite3_step(find);
    enum store_result result = rc == SQLITE_ROW ? look_at_run(store, find, run) : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot look for a run of keys");
    sqlite3_reset(find);
    return result;
}

static void begin_run(struct run_writer *w, int64_t first)
{
    w->first = first;
    w->count = 0;
    w->is_full = false;
    msgpack_sbuffer_clear(&w->bytes);
}

static void append(struct run_writer *w, const struct row_key *key)
{
    struct row_key start = { .time = w->first };
    write_key(w->count ? &w->end : &start, key, &w->bytes);
    w->end = *key;
    w->count++;
}

/* Goes on with the run that begins before this time, until the next one. One that is damaged is over: it is mended by whoever reads it. */
static enum store_result turn_to(store_t *store, struct run_writer *w, int64_t time)
{
    struct run run;
    enum store_result result = write_out(store, w);
    if (result == STORE_OK)
        result = run_before(store, time, &run);
    if (result == STORE_TROUBLE || result == STORE_LATE)
        return result;
    begin_run(w, result == STORE_MISSING ? time : run.first);
    for (size_t i = 0; result == STORE_OK && i < run.count; i++)
        append(w, &run.keys[i]);
    w->is_full = result == STORE_BAD;
    if (w->is_full) {
        w->count = 1;
        w->end = (struct row_key){ .time = run.last };
    }
    sqlite3_stmt *next = statement(store, RUN_AFTER);
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, time);
    sqlite3_bind_int64(next, 2, NO_TIME);
    int rc = sqlite3_step(next);
    w->until = rc == SQLITE_ROW ? sqlite3_column_int64(next, 0) : NO_TIME;
    w->is_open = true;
    sqlite3_reset(next);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for a run of keys");
}

enum store_result run_writer_put(store_t *store, struct run_writer *w, const struct row_key *key, bool *taken)
{
    enum store_result result = STORE_OK;
    if (!w->is_open || key->time >= w->until || key->time < w->first)
        result = turn_to(store, w, key->time);
    bool is_over = w->is_full || w->bytes.size + KEY_MAX > RUN_BYTES || (w->count > 0 && key->time - w->end.time > APART_US);
    *taken = result == STORE_OK && (w->count == 0 || (is_over ? key->time > w->end.time : key_order(key, &w->end) > 0));
    if (!*taken)
        return result;
    if (is_over) {
        result = write_out(store, w);
        begin_run(w, key->time);
    }
    append(w, key);
    w->is_changed = true;
    return result;
}

enum store_result run_writer_close(store_t *store, struct run_writer *w, enum store_result result)
{
    if (result == STORE_OK)
        result = write_out(store, w);
    msgpack_sbuffer_destroy(&w->bytes);
    return result;
}

enum store_result run_keep(store_t *store, int64_t first, const struct row_key *keys, size_t count)
{
    struct run_writer w;
    enum store_result result = count == 0 || keys[0].time != first ? drop_run(store, first) : STORE_OK;
    run_writer_open(&w);
    if (count > 0)
        begin_run(&w, keys[0].time);
    for (size_t i = 0; i < count; i++)
        append(&w, &keys[i]);
    w.is_changed = count > 0;
    return run_writer_close(store, &w, result);
}

static enum store_result change(store_t *store, enum statement how, const struct row_key *key)
{
    sqlite3_stmt *change = statement(store, how);
    if (!change)
        return STORE_TROUBLE;
    sqlite3_bind_int64(change, 1, key->time);
    sqlite3_bind_int64(change, 2, key->place);
    sqlite3_bind_int64(change, 3, key->series);
    sqlite3_bind_int64(change, 4, key->at);
    sqlite3_bind_int(change, 5, key->rest);
    int rc = sqlite3_step(change);
    sqlite3_reset(change);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot change a row's time");
}

/* Its place in the run, or the run's count. */
static size_t place_in(const struct run *run, const struct row_key *key)
{
    size_t at = 0;
    while (at < run->count && key_order(&run->keys[at], key) != 0)
        at++;
    return at;
}

enum store_result times_drop(store_t *store, const struct row_key *key)
{
    struct run run;
    enum store_result result = change(store, TIME_DROP, key);
    if (result != STORE_OK || sqlite3_changes(store->db) > 0)
        return result;
    result = run_before(store, key->time, &run);
    size_t at = result == STORE_OK ? place_in(&run, key) : 0;
    if (result != STORE_OK || at == run.count) /* one that is damaged does not matter: it is mended out of what there is */
        return result == STORE_MISSING || result == STORE_BAD ? STORE_OK : result;
    memmove(run.keys + at, run.keys + at + 1, (run.count - at - 1) * sizeof *run.keys);
    return run_keep(store, run.first, run.keys, run.count - 1);
}

enum store_result times_restore(store_t *store, const struct row_key *key)
{
    struct run run;
    enum store_result result = run_before(store, key->time, &run);
    if (result == STORE_MISSING || result == STORE_BAD || (result == STORE_OK && place_in(&run, key) == run.count))
        result = change(store, TIME_RESTORE, key);
    return result;
}

/* --- reading --------------------------------------------------------------------------------------------- */

enum store_result times_refresh(store_t *store)
{
    if (store->has_runs)
        return STORE_OK;
    sqlite3_stmt *look = statement(store, RUN_LOOK);
    if (!look)
        return STORE_TROUBLE;
    int rc = sqlite3_step(look);
    store->has_runs = rc == SQLITE_ROW;
    sqlite3_reset(look);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for runs of keys");
}

enum store_result run_after(store_t *store, int64_t after, int64_t before, struct run *run)
{
    sqlite3_stmt *next = statement(store, RUN_AFTER);
    if (!next)
        return STORE_TROUBLE;
    sqlite3_bind_int64(next, 1, after);
    sqlite3_bind_int64(next, 2, before);
    int rc = sqlite3_step(next);
    enum store_result result = rc == SQLITE_ROW ? read_run(store, next, run) : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot look for a run of keys");
    sqlite3_reset(next);
    return result;
}

/* One run at most begins before `from` and reaches into it. */
#define RUNS_BETWEEN "SELECT * FROM run WHERE first >= ifnull((SELECT first FROM run WHERE first <= ?1 ORDER BY first DESC LIMIT 1), ?1)" \
                     " AND first < ?2 ORDER BY first"

enum store_result run_reader_open(store_t *store, int64_t from, int64_t to, bool descending, struct run_reader **out)
{
    *out = NULL;
    if (!store->has_runs)
        return STORE_OK;
    struct run_reader *r = calloc(1, sizeof *r);
    assert(r);
    r->from = from;
    r->to = to;
    r->descending = descending;
    if (sqlite3_prepare_v2(store->db, descending ? RUNS_BETWEEN " DESC" : RUNS_BETWEEN, -1, &r->stmt, NULL) != SQLITE_OK) {
        free(r);
        return trouble(store, "cannot prepare a reading");
    }
    sqlite3_bind_int64(r->stmt, 1, from);
    sqlite3_bind_int64(r->stmt, 2, to);
    *out = r;
    return STORE_OK;
}

static enum store_result next_run(store_t *store, struct run_reader *r)
{
    int rc = sqlite3_step(r->stmt);
    r->at = 0;
    if (rc == SQLITE_ROW)
        return read_run(store, r->stmt, &r->run);
    return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the order of rows");
}

enum store_result run_reader_next(store_t *store, struct run_reader *r, struct row_key *key)
{
    for (;;) {
        enum store_result result = r->at == r->run.count ? next_run(store, r) : STORE_OK;
        if (result != STORE_OK)
            return result;
        *key = r->run.keys[r->descending ? r->run.count - 1 - r->at : r->at];
        r->at++;
        if (key->time >= r->from && key->time < r->to)
            return STORE_OK;
    }
}

void run_reader_close(struct run_reader **r)
{
    if (*r)
        sqlite3_finalize((*r)->stmt);
    free(*r);
    *r = NULL;
}

static enum store_result count_run(store_t *store, struct run_reader *r, int64_t *count)
{
    int64_t first = sqlite3_column_int64(r->stmt, 0), last = sqlite3_column_int64(r->stmt, 1);
    if (first >= r->from && last < r->to) {
        *count += sqlite3_column_int64(r->stmt, 2);
        return STORE_OK;
    }
    enum store_result result = read_run(store, r->stmt, &r->run);
    for (size_t i = 0; result == STORE_OK && i < r->run.count; i++)
        *count += r->run.keys[i].time >= r->from && r->run.keys[i].time < r->to;
    return result;
}

/* One number about the rows of `time` in between; NO_TIME: none. */
static enum store_result ask_late(store_t *store, enum statement which, int64_t from, int64_t to, int64_t *answer)
{
    sqlite3_stmt *stmt = statement(store, which);
    if (!stmt)
        return STORE_TROUBLE;
    sqlite3_bind_int64(stmt, 1, from);
    sqlite3_bind_int64(stmt, 2, to);
    int rc = sqlite3_step(stmt);
    *answer = rc == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : NO_TIME;
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the order of rows");
}

enum store_result times_count(store_t *store, int64_t from, int64_t to, int64_t *count)
{
    struct run_reader *r = NULL;
    enum store_result result = ask_late(store, TIME_COUNT, from, to, count);
    if (result == STORE_OK)
        result = run_reader_open(store, from, to, false, &r);
    int rc = SQLITE_DONE;
    while (result == STORE_OK && r && (rc = sqlite3_step(r->stmt)) == SQLITE_ROW)
        result = count_run(store, r, count);
    if (result == STORE_OK && rc != SQLITE_DONE)
        result = trouble(store, "cannot count");
    run_reader_close(&r);
    return result;
}

/* The time of the first key of runs, that way. */
static enum store_result first_of_runs(store_t *store, int64_t from, int64_t to, bool descending, int64_t *time)
{
    struct run_reader *r;
    struct row_key key;
    *time = NO_TIME;
    enum store_result result = run_reader_open(store, from, to, descending, &r);
    if (result == STORE_OK && r)
        result = run_reader_next(store, r, &key);
    if (result == STORE_OK && r)
        *time = key.time;
    run_reader_close(&r);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result times_oldest(store_t *store, int64_t from, int64_t to, int64_t *oldest)
{
    int64_t late, time;
    enum store_result result = ask_late(store, TIME_OLDEST, from, to, &late);
    if (result == STORE_OK)
        result = first_of_runs(store, from, to, false, &time);
    if (result != STORE_OK)
        return result;
    *oldest = late < time ? late : time;
    return *oldest == NO_TIME ? STORE_MISSING : STORE_OK;
}

enum store_result times_newest(store_t *store, int64_t from, int64_t to, int64_t *newest)
{
    int64_t late, time;
    enum store_result result = ask_late(store, TIME_NEWEST, from, to, &late);
    if (result == STORE_OK)
        result = first_of_runs(store, from, to, true, &time);
    if (result != STORE_OK)
        return result;
    *newest = late == NO_TIME || (time != NO_TIME && time > late) ? time : late;
    return *newest == NO_TIME ? STORE_MISSING : STORE_OK;
}
