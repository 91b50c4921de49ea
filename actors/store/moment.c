/* moment.c - the state of every entity that was in force at a moment. */
#include "moment.h"
#include "body.h"
#include "pack.h"
#include "rollup.h"
#include "sealed.h"

#include <stdlib.h>

/* A row that was in force: its body or, of a chunk of which one half was enough, what is told of it, with its texts. */
struct in_force {
    struct row_key key;
    msgpack_sbuffer *body;
    bool is_told;
    int64_t chunk;
    struct chunk_moment row;
};

/* --- in chunks ---------------------------------------------------------------------------------------- */

/* The entry of the last chunk that begins by then; *find stands at its row, for load_main, and is to be reset.
 * STORE_MISSING: there is none. */
static enum store_result find_chunk(store_t *store, int64_t series, int64_t at, struct chunk_entry *entry, sqlite3_stmt **find_p)
{
    sqlite3_stmt *find = *find_p = statement(store, CHUNK_IN_FORCE);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, series);
    sqlite3_bind_int64(find, 2, at);
    int rc = sqlite3_step(find);
    if (rc != SQLITE_ROW) {
        sqlite3_reset(find);
        return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the chunk in force");
    }
    *entry = (struct chunk_entry){
        .id = sqlite3_column_int64(find, 0), .series = series, .first = sqlite3_column_int64(find, 1), .last = sqlite3_column_int64(find, 2),
        .rows = sqlite3_column_int64(find, 3), .bytes = { sqlite3_column_int64(find, 4) }, .sums = { (uint32_t)sqlite3_column_int64(find, 5) },
        .is_bad = sqlite3_column_int(find, 6) != 0, .is_alone = sqlite3_column_int(find, 7) != 0,
    };
    return STORE_OK;
}

/* Its main half, unpacked. STORE_BAD: it is damaged, which whoever opens it whole will say. */
static enum store_result load_main(store_t *store, sqlite3_stmt *find, const struct chunk_entry *entry)
{
    struct slice main = column_bytes(find, 8);
    bool is_good = !entry->is_bad && (int64_t)main.size == entry->bytes[MAIN_HALF] && crc32c_add(&store->sum, 0, main.data, main.size) == entry->sums[MAIN_HALF]
        && chunk_unpack(store->tools, main, &store->sealed_body) == 0;
    return is_good ? STORE_OK : STORE_BAD;
}

/* The texts live on in the body. */
static void keep_told(struct in_force *to)
{
    struct slice state = to->row.state, value = to->row.value;
    bool is_state = to->row.flags & VALUE_IS_STATE;
    msgpack_sbuffer_clear(to->body);
    pack_bytes(to->body, state.data, state.size);
    if (!is_state)
        pack_bytes(to->body, value.data, value.size);
    to->row.state.data = to->body->data;
    to->row.value.data = is_state ? to->body->data : to->body->data + state.size;
}

/* From its main half alone. STORE_BAD: that does not say it. */
static enum store_result read_main(store_t *store, sqlite3_stmt *find, const struct chunk_entry *entry, int64_t until_us, int64_t than, struct in_force *to)
{
    if (load_main(store, find, entry) != STORE_OK)
        return STORE_BAD;
    if (!store->spare_reader)
        store->spare_reader = chunk_reader_new();
    chunk_reader_t *reader = store->spare_reader;
    struct slice main = { store->sealed_body.data, store->sealed_body.size };
    if (chunk_open(reader, true, main, (struct slice){ NULL, 0 }) != 0 || (int64_t)chunk_rows(reader) != entry->rows
            || chunk_in_force(reader, until_us, &to->row) != 1)
        return STORE_BAD;
    if (to->row.at <= than)
        return STORE_MISSING;
    to->is_told = true;
    to->chunk = entry->id;
    to->key = (struct row_key){ .time = to->row.at + to->row.shift, .series = entry->series, .at = to->row.at };
    keep_told(to);
    return STORE_OK;
}

static enum store_result find_body(store_t *store, int64_t series, int64_t until_us, int64_t than, struct in_force *to)
{
    struct chunk_entry entry;
    struct chunk_row row;
    enum store_result result = sealed_at_or_before(store, series, until_us, &entry);
    if (result == STORE_OK && entry.last <= than)
        return STORE_MISSING;
    if (result == STORE_OK)
        result = sealed_last(store, series, until_us, &row);
    if (result != STORE_OK || row.at <= than)
        return result == STORE_OK ? STORE_MISSING : result;
    to->key = (struct row_key){ row.at + row.shift, row.place, series, row.at, row.rest };
    to->is_told = false;
    msgpack_sbuffer_clear(to->body);
    pack_bytes(to->body, row.body.data, row.body.size);
    return STORE_OK;
}

/* --- wherever it lies ------------------------------------------------------------------------------------ */

/* The newest row of a series that is not newer than a time. Two rows of one time are as good as
 * never there, and then the one that came last is in force. */
static enum store_result find_hot(store_t *store, int64_t series, int64_t until_us, struct in_force *to)
{
    sqlite3_stmt *back = statement(store, EVENT_BACK);
    if (!back)
        return STORE_TROUBLE;
    sqlite3_bind_int64(back, 1, series);
    sqlite3_bind_int64(back, 2, until_us);
    bool found = false;
    int rc;
    while ((rc = sqlite3_step(back)) == SQLITE_ROW) {
        struct row_key one = {
            sqlite3_column_int64(back, 0), sqlite3_column_int64(back, 1), series, sqlite3_column_int64(back, 2), sqlite3_column_int(back, 3),
        };
        if (found && one.at != to->key.at)
            break;
        if (found && one.place < to->key.place)
            continue;
        struct slice bytes = column_bytes(back, 4);
        msgpack_sbuffer_clear(to->body);
        pack_bytes(to->body, bytes.data, bytes.size);
        to->key = one;
        found = true;
    }
    sqlite3_reset(back);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot read the row in force");
    return found ? STORE_OK : STORE_MISSING;
}

static bool is_fault(enum store_result result)
{
    return result != STORE_OK && result != STORE_MISSING;
}

/* A row of the chunk that `find` stands at, or of one before, that is newer. */
static enum store_result read_chunk(store_t *store, sqlite3_stmt *find, const struct chunk_entry *entry, int64_t until_us, int64_t than, struct in_force *to)
{
    enum store_result result = entry->last <= than ? STORE_MISSING : read_main(store, find, entry, until_us, than, to);
    sqlite3_reset(find);
    return result == STORE_BAD ? find_body(store, entry->series, until_us, than, to) : result;
}

/* Of a time of which rows are sealed: between the first and the last row of a chunk nothing hot is looked for where none lies. */
static enum store_result find_old(store_t *store, int64_t series, int64_t until_us, struct in_force *to)
{
    struct chunk_entry entry;
    sqlite3_stmt *find;
    enum store_result hot = STORE_MISSING, sealed = find_chunk(store, series, until_us, &entry, &find);
    if (is_fault(sealed))
        return sealed;
    if (sealed == STORE_MISSING || !entry.is_alone || until_us > entry.last)
        hot = find_hot(store, series, until_us, to);
    if (sealed == STORE_OK && !is_fault(hot))
        sealed = read_chunk(store, find, &entry, until_us, hot == STORE_OK ? to->key.at : -1, to);
    else
        sqlite3_reset(find);
    return sealed == STORE_MISSING || is_fault(hot) ? hot : sealed;
}

/* No time is in a chunk and outside. */
static enum store_result find_row(store_t *store, bool whole, int64_t series, int64_t until_us, struct in_force *to)
{
    struct chunk_entry entry;
    sqlite3_stmt *find;
    bool is_told = !whole && store->has_alone;
    to->is_told = false;
    if (is_told && until_us < store->sealed_until)
        return find_old(store, series, until_us, to);
    enum store_result hot = find_hot(store, series, until_us, to), sealed;
    int64_t than = hot == STORE_OK ? to->key.at : -1;
    if (is_fault(hot) || store->sealed_until == 0 || than >= store->sealed_until)
        return hot;
    if (!is_told)
        sealed = find_body(store, series, until_us, than, to);
    else if ((sealed = find_chunk(store, series, until_us, &entry, &find)) == STORE_OK)
        sealed = read_chunk(store, find, &entry, until_us, than, to);
    return sealed == STORE_MISSING ? hot : sealed;
}

static enum store_result find_in_force(store_t *store, const struct moment_question *q, size_t which, int64_t series, struct in_force *to)
{
    enum store_result result = find_row(store, q->whole, series, q->at_us[which] + (q->is_now ? DAY_US : 0), to);
    return result == STORE_MISSING && q->is_now ? find_row(store, q->whole, series, MAX_TIME_US, to) : result;
}

/* --- gaps -------------------------------------------------------------------------------------------------- */

/* When the last gap began that a moment lies in; -1: in none. */
struct gaps_near {
    store_t *store;
    int64_t of_all, *of_each; /* by the series' place in the list; NULL: none has one of its own */
};

static int note_gap(void *owner, const struct store_gap *gap)
{
    struct gaps_near *near = owner;
    const struct series_list *list = &near->store->series;
    const struct series *series = gap->series ? series_by_id(near->store, gap->series) : NULL;
    int64_t *since = &near->of_all;
    if (gap->series && !series)
        return 0;
    if (series && !near->of_each) {
        near->of_each = malloc(list->count * sizeof *near->of_each);
        assert(near->of_each);
        for (size_t i = 0; i < list->count; i++)
            near->of_each[i] = -1;
    }
    if (series)
        since = &near->of_each[series - list->items];
    *since = gap->from > *since ? gap->from : *since;
    return 0;
}

static enum store_result find_gaps(store_t *store, const struct moment_question *q, struct gaps_near near[2])
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < 2; i++) {
        near[i] = (struct gaps_near){ .store = store, .of_all = -1 };
        if (i < q->moments && !q->whole && result == STORE_OK)
            result = store_gaps(store, q->at_us[i], q->at_us[i] + 1, note_gap, &near[i]);
    }
    return result;
}

/* What came after the beginning of a gap says how it was after whatever is missing. */
static bool is_in_gap(const struct gaps_near *near, const struct series *series, const struct in_force *row)
{
    int64_t own = near->of_each ? near->of_each[series - near->store->series.items] : -1, since = own > near->of_all ? own : near->of_all;
    return since > row->key.at;
}

/* --- told ---------------------------------------------------------------------------------------------------- */

static enum store_result read_told(store_t *store, const struct series *series, const struct chunk_moment *row, struct event_full *e)
{
    struct slice bytes;
    schema_clear(event_full_schema(), e);
    SET(e, is_state, true);
    SET(e, timestamp, row->at + row->shift);
    SET(e, entity_id, (struct slice){ series->name, series->name_size });
    const char *provenance = provenance_of(row->flags);
    SET_TEXT(e, provenance, provenance, strlen(provenance));
    if (row->has_state)
        SET(e, state, row->state);
    if (row->has_value)
        SET(e, value, row->value);
    if (row->has_changed)
        SET(e, last_changed, row->changed);
    if (row->has_updated)
        SET(e, last_updated, row->at);
    enum store_result result = word_get(store, SNAPSHOT, row->snapshot, &bytes);
    if (result == STORE_OK && bytes.size > 0 && snapshot_read(bytes, e) != 0)
        result = trouble(store, "a snapshot is damaged");
    if (result != STORE_OK || !row->attributes)
        return result;
    result = word_get(store, ATTRIBUTE, row->attributes, &bytes);
    if (result == STORE_OK)
        SET(e, attributes, bytes);
    return result == STORE_BAD ? STORE_OK : result; /* damaged, and noted: absent */
}

static bool is_wanted(const struct moment_question *q, const struct series *s)
{
    struct slice name = { s->name, s->name_size };
    return s->is_state && (!q->entities.size || list_has(q->entities.data, q->entities.size, name))
        && (!q->domains.size || list_has(q->domains.data, q->domains.size, name_domain(name)));
}

struct telling { store_t *store; const struct moment_question *q; struct gaps_near gaps[2]; store_moment_fn *fn; void *owner; };

/* STORE_DUPLICATE: stopped. */
static enum store_result tell(struct telling *t, const struct series *series, size_t which, const struct in_force *row)
{
    store_t *store = t->store;
    struct event_full e;
    if (!row)
        return t->fn(t->owner, which, false, NULL) ? STORE_DUPLICATE : STORE_OK;
    enum store_result result = row->is_told ? read_told(store, series, &row->row, &e)
                                            : row_read(store, &row->key, (struct slice){ row->body->data, row->body->size }, &e);
    return result == STORE_OK && t->fn(t->owner, which, is_in_gap(&t->gaps[which], series, row), &e) ? STORE_DUPLICATE : result;
}

static bool same_row(const struct in_force *a, const struct in_force *b)
{
    if (a->is_told || b->is_told)
        return a->is_told && b->is_told && a->chunk == b->chunk && a->row.row == b->row.row;
    return a->key.at == b->key.at && a->key.rest == b->key.rest;
}

static enum store_result tell_series(struct telling *t, const struct series *series)
{
    store_t *store = t->store;
    const struct moment_question *q = t->q;
    struct in_force rows[2];
    bool found[2] = { false, false };
    rows[0].body = &store->body;
    rows[1].body = &store->scratch;
    for (size_t i = 0; i < q->moments; i++) {
        enum store_result result = find_in_force(store, q, i, series->id, &rows[i]);
        if (result != STORE_OK && result != STORE_MISSING)
            return result;
        found[i] = result == STORE_OK;
    }
    bool same = q->moments == 2 && found[0] == found[1] && (!found[0] || same_row(&rows[0], &rows[1]));
    enum store_result result = same || (q->moments == 1 && !found[0]) ? STORE_MISSING : STORE_OK;
    for (size_t i = 0; i < q->moments && result == STORE_OK; i++)
        result = tell(t, series, i, found[i] ? &rows[i] : NULL);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result store_moment(store_t *store, const struct moment_question *q, store_moment_fn *row, void *owner, int64_t *next)
{
    bool empty;
    *next = 0;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    struct telling t = { .store = store, .q = q, .fn = row, .owner = owner };
    result = find_gaps(store, q, t.gaps);
    for (size_t i = 0; i < store->series.count && result == STORE_OK; i++) {
        const struct series *s = &store->series.items[i];
        if (s->id < q->series || !is_wanted(q, s))
            continue;
        result = clock_us() > store->late_us ? STORE_LATE : tell_series(&t, s);
        if (result == STORE_DUPLICATE)
            *next = s->id;
    }
    free(t.gaps[0].of_each);
    free(t.gaps[1].of_each);
    read_end(store);
    return result == STORE_DUPLICATE ? STORE_OK : result;
}
