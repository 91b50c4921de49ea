/* moment.c - the state of every entity that was in force at a moment. */
#include "moment.h"
#include "sealed.h"

#define DAY_US INT64_C(86400000000)

/* Likewise among those that are sealed, if it is newer than `than`. No time is in a chunk and outside. */
static enum store_result find_sealed(store_t *store, int64_t series, int64_t until_us, int64_t than, struct row_key *key, msgpack_sbuffer *body)
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
    *key = (struct row_key){ row.at + row.shift, row.place, series, row.at, row.rest };
    msgpack_sbuffer_clear(body);
    msgpack_sbuffer_write(body, row.body.data, row.body.size);
    return STORE_OK;
}

/* The newest row of a series that is not newer than a time, where it lies. Two rows of one time are as good as
 * never there, and then the one that came last is in force. */
static enum store_result find_row(store_t *store, int64_t series, int64_t until_us, struct row_key *key, msgpack_sbuffer *body)
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
        if (found && one.at != key->at)
            break;
        if (found && one.place < key->place)
            continue;
        struct slice bytes = column_bytes(back, 4);
        msgpack_sbuffer_clear(body);
        msgpack_sbuffer_write(body, bytes.data, bytes.size);
        *key = one;
        found = true;
    }
    sqlite3_reset(back);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return trouble(store, "cannot read the row in force");
    enum store_result result = find_sealed(store, series, until_us, found ? key->at : -1, key, body);
    return result == STORE_MISSING && found ? STORE_OK : result;
}

static enum store_result find_in_force(store_t *store, const struct moment_question *q, size_t which, int64_t series,
                                       struct row_key *key, msgpack_sbuffer *body)
{
    enum store_result result = find_row(store, series, q->at_us[which] + (q->is_now ? DAY_US : 0), key, body);
    return result == STORE_MISSING && q->is_now ? find_row(store, series, MAX_TIME_US, key, body) : result;
}

static bool is_wanted(const struct moment_question *q, const struct series *s)
{
    struct slice name = { s->name, s->name_size };
    return s->is_state && (!q->entities.size || list_has(q->entities.data, q->entities.size, name))
        && (!q->domains.size || list_has(q->domains.data, q->domains.size, name_domain(name)));
}

/* STORE_DUPLICATE: stopped. */
static enum store_result tell(store_t *store, size_t which, const struct row_key *key, const msgpack_sbuffer *body,
                              store_moment_fn *row, void *owner)
{
    struct event_full e;
    if (!key)
        return row(owner, which, NULL) ? STORE_DUPLICATE : STORE_OK;
    enum store_result result = row_read(store, key, (struct slice){ body->data, body->size }, &e);
    return result == STORE_OK && row(owner, which, &e) ? STORE_DUPLICATE : result;
}

static enum store_result tell_series(store_t *store, const struct moment_question *q, int64_t series, store_moment_fn *row, void *owner)
{
    msgpack_sbuffer *bodies[2] = { &store->body, &store->scratch };
    struct row_key keys[2];
    bool found[2] = { false, false };
    for (size_t i = 0; i < q->moments; i++) {
        enum store_result result = find_in_force(store, q, i, series, &keys[i], bodies[i]);
        if (result != STORE_OK && result != STORE_MISSING)
            return result;
        found[i] = result == STORE_OK;
    }
    bool same = q->moments == 2 && found[0] == found[1] && (!found[0] || (keys[0].at == keys[1].at && keys[0].rest == keys[1].rest));
    enum store_result result = same || (q->moments == 1 && !found[0]) ? STORE_MISSING : STORE_OK;
    for (size_t i = 0; i < q->moments && result == STORE_OK; i++)
        result = tell(store, i, found[i] ? &keys[i] : NULL, bodies[i], row, owner);
    return result == STORE_MISSING ? STORE_OK : result;
}

enum store_result store_moment(store_t *store, const struct moment_question *q, store_moment_fn *row, void *owner, int64_t *next)
{
    bool empty;
    *next = 0;
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result;
    for (size_t i = 0; i < store->series.count && result == STORE_OK; i++) {
        const struct series *s = &store->series.items[i];
        if (s->id < q->series || !is_wanted(q, s))
            continue;
        result = clock_us() > store->late_us ? STORE_LATE : tell_series(store, q, s->id, row, owner);
        if (result == STORE_DUPLICATE)
            *next = s->id;
    }
    read_end(store);
    return result == STORE_DUPLICATE ? STORE_OK : result;
}
