/* settled.c - what has become of every event: totals that are written with the rows they speak of. */
#include "seal.h"

#include <assert.h>
#include <string.h>

/* Both tables may be missing in an older file of this format: an event settled before them is counted nowhere. */
static const char *const tables =
    "CREATE TABLE IF NOT EXISTS settled (source INTEGER, fate INTEGER, count INTEGER NOT NULL, PRIMARY KEY (source, fate)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS passed (place INTEGER PRIMARY KEY);"; /* settled, but no row has this place */

/* In the table, beside the fates: the greatest place there was. */
enum { NEWEST_PLACE = 100 };
enum { PRUNED_AT_ONCE = 50000, CLEARED_AT_ONCE = 64 };

int settled_open(store_t *store)
{
    sqlite3_stmt *list = NULL;
    if (sqlite3_exec(store->db, tables, NULL, NULL, NULL) != SQLITE_OK
            || sqlite3_prepare_v2(store->db, "SELECT source, fate, count FROM settled", -1, &list, NULL) != SQLITE_OK) {
        trouble(store, "cannot open the totals");
        return -1;
    }
    int rc;
    while ((rc = sqlite3_step(list)) == SQLITE_ROW) {
        int source = sqlite3_column_int(list, 0), fate = sqlite3_column_int(list, 1);
        if (source >= 0 && source < STORE_SOURCES && fate >= 0 && fate < STORE_FATES)
            store->settled.of[source][fate] = sqlite3_column_int64(list, 2);
        else if (source == STORE_INGEST && fate == NEWEST_PLACE)
            store->settled_place = sqlite3_column_int64(list, 2);
    }
    sqlite3_finalize(list);
    settled_abandon(store);
    if (rc == SQLITE_DONE)
        return 0;
    trouble(store, "cannot read the totals");
    return -1;
}

void store_totals(const store_t *store, struct store_totals *totals)
{
    *totals = store->settled;
}

void settle(store_t *store, enum store_source source, enum store_fate fate)
{
    store->settling.of[source][fate]++;
}

void unsettle(store_t *store, enum store_source source, enum store_fate fate)
{
    if (store->settling.of[source][fate] > 0) /* else it was settled before there were totals */
        store->settling.of[source][fate]--;
}

enum store_source source_of(bool has, const char *provenance)
{
    return has && strcmp(provenance, "import") == 0 ? STORE_IMPORT : STORE_INGEST;
}

void note_place(store_t *store, int64_t place)
{
    if (place > store->settling_place)
        store->settling_place = place;
}

bool may_come_again(const store_t *store, int64_t place)
{
    return place <= store->settling_place;
}

static enum store_result put_count(store_t *store, int source, int fate, int64_t count)
{
    sqlite3_stmt *put = statement(store, SETTLED_PUT);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int(put, 1, source);
    sqlite3_bind_int(put, 2, fate);
    sqlite3_bind_int64(put, 3, count);
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot write the totals");
}

/* Into the transaction that is about to be committed. */
enum store_result settled_write(store_t *store)
{
    if (store->settling_place != store->settled_place && put_count(store, STORE_INGEST, NEWEST_PLACE, store->settling_place) != STORE_OK)
        return STORE_TROUBLE;
    for (int source = 0; source < STORE_SOURCES; source++)
        for (int fate = 0; fate < STORE_FATES; fate++) {
            int64_t count = store->settling.of[source][fate];
            if (count != store->settled.of[source][fate] && put_count(store, source, fate, count) != STORE_OK)
                return STORE_TROUBLE;
        }
    return STORE_OK;
}

void settled_commit(store_t *store)
{
    store->settled = store->settling;
    store->settled_place = store->settling_place;
}

void settled_abandon(store_t *store)
{
    store->settling = store->settled;
    store->settling_place = store->settled_place;
}

/* --- places without a row --------------------------------------------------------------------- */

enum store_result passed_add(store_t *store, int64_t place)
{
    sqlite3_stmt *add = statement(store, PASSED_ADD);
    if (!add)
        return STORE_TROUBLE;
    sqlite3_bind_int64(add, 1, place);
    int rc = sqlite3_step(add);
    sqlite3_reset(add);
    if (rc != SQLITE_DONE)
        return trouble(store, "cannot note what came");
    return sqlite3_changes(store->db) ? STORE_OK : STORE_REDELIVERED;
}

enum store_result passed_look(store_t *store, int64_t place)
{
    sqlite3_stmt *find = statement(store, PASSED_FIND);
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, place);
    int rc = sqlite3_step(find);
    sqlite3_reset(find);
    return rc == SQLITE_ROW ? STORE_REDELIVERED : rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for what came");
}

enum store_result store_forget_places(store_t *store, int64_t below)
{
    assert(store->writer);
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *drop = statement(store, PASSED_DROP);
    if (!drop)
        return store_abandon(store, NULL);
    sqlite3_bind_int64(drop, 1, below);
    sqlite3_bind_int(drop, 2, PRUNED_AT_ONCE);
    int rc = sqlite3_step(drop);
    sqlite3_reset(drop);
    return rc == SQLITE_DONE ? STORE_OK : store_abandon(store, "cannot forget what came");
}

enum store_result store_drop(store_t *store, const struct event_full *e, enum store_fate fate)
{
    assert(store->writer);
    enum store_source source = source_of(e->has_provenance, e->provenance);
    enum store_result result = store_begin(store);
    if (result == STORE_OK && source == STORE_INGEST && may_come_again(store, e->place))
        result = row_has_place(store, e); /* it was stored before a rule left it out */
    if (result == STORE_OK && source == STORE_INGEST)
        result = passed_add(store, e->place);
    if (source == STORE_INGEST)
        note_place(store, e->place);
    if (result != STORE_OK && result != STORE_REDELIVERED)
        return store_abandon(store, NULL);
    settle(store, source, result == STORE_OK ? fate : STORE_FATE_REDELIVERED);
    return result;
}

/* --- a type of which only the newest is kept ----------------------------------------------------- */

static size_t older_rows(store_t *store, const struct series *series, int64_t before, struct row_key keys[CLEARED_AT_ONCE])
{
    size_t count = 0;
    sqlite3_stmt *list = statement(store, EVENTS_BEFORE);
    if (!list)
        return 0;
    sqlite3_bind_int64(list, 1, series->id);
    sqlite3_bind_int64(list, 2, before);
    while (count < CLEARED_AT_ONCE && sqlite3_step(list) == SQLITE_ROW)
        keys[count++] = (struct row_key){ .time = sqlite3_column_int64(list, 0), .place = sqlite3_column_int64(list, 1),
            .series = series->id, .at = sqlite3_column_int64(list, 2), .rest = sqlite3_column_int(list, 3) };
    sqlite3_reset(list);
    return count;
}

enum store_result store_clear_older(store_t *store, const struct event_full *e)
{
    struct event_key id = event_key(e);
    struct row_key keys[CLEARED_AT_ONCE];
    struct series *series;
    assert(store->writer && !e->is_state);
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = series_put(store, id.series, false, e->event_type, &series);
    if (result == STORE_OK)
        result = seal_open_all(store, series->id);
    size_t count = result == STORE_OK ? older_rows(store, series, id.at, keys) : 0;
    for (size_t i = 0; result == STORE_OK && i < count; i++)
        result = row_drop(store, &keys[i]);
    return result == STORE_OK ? STORE_OK : store_abandon(store, NULL);
}
