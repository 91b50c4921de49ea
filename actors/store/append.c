/* append.c - one event joins the store, once: its identity, its key, its row. */
#include "seal.h"
#include "late.h"
#include "times.h"

#include <assert.h>
#include <string.h>

struct twin {
    bool looked, found, richer_wins;
    bool is_sealed;       /* rows of this time lie in a chunk, which is opened before this one is written */
    bool is_imported;     /* the old one: its place is none of the capture log */
    int32_t rest;         /* where the new row goes, or the old one stands */
    int64_t time, place;  /* of the old one */
    struct row_contexts contexts;
};

static enum store_result refuse_row(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return STORE_BAD;
}

static enum store_result check_row(const struct event_full *e, struct fault *fault)
{
    if (e->is_state && (!e->has_entity_id || e->entity_id.size == 0))
        return refuse_row(fault, "entity_id", "a state without an entity");
    if (!e->has_event_type)
        return refuse_row(fault, "event_type", "missing");
    if (!e->has_timestamp || e->timestamp < 0 || e->timestamp > MAX_TIME_US)
        return refuse_row(fault, "timestamp", "missing or out of range");
    if (!e->has_received_at)
        return refuse_row(fault, "received_at", "missing");
    if (provenance_code(e) < 0)
        return refuse_row(fault, "provenance", "is none of live, backfill, snapshot, import");
    return STORE_OK;
}

/* --- identity ---------------------------------------------------------------------------------- */

/* How much a row knows: its context first, then what only a live event has. */
static int richness(const struct event_full *e)
{
    return (e->has_context_id ? 8 : 0) + (provenance_code(e) == 0 ? 4 : 0) + (e->has_attributes ? 2 : 0) + (e->has_old_state ? 1 : 0);
}

/* The recorder writes {} for data that is larger than it keeps. */
static bool is_cut(const struct event_full *e)
{
    return provenance_code(e) == IMPORTED && e->has_data && slice_equal(e->data, slice_of("{}"));
}

static int data_likeness(const struct event_full *a, const struct event_full *b)
{
    if (a->has_data == b->has_data && (!a->has_data || slice_equal(a->data, b->data)))
        return 2;
    bool one_of_two = (provenance_code(a) == IMPORTED) != (provenance_code(b) == IMPORTED);
    return one_of_two && (is_cut(a) || is_cut(b)) ? 1 : 0;
}

/* 2: the same event; 1: the same if what one of them lacks, its context or its data, is the other's; 0: another. */
static int likeness(const struct event_full *a, const struct event_full *b)
{
    if (a->has_state != b->has_state)
        return 0;
    bool same_context = a->has_context_id == b->has_context_id
        && (!a->has_context_id || slice_equal(a->context_id, b->context_id));
    if (!a->is_state)
        return same_context ? data_likeness(a, b) : 0;
    return same_context ? 2 : !a->has_context_id || !b->has_context_id ? 1 : 0;
}

static struct context context_of(bool has, struct slice text)
{
    return has ? context_read(text) : (struct context){ .form = NO_CONTEXT };
}

static struct row_contexts contexts_of(const struct event_full *e)
{
    return (struct row_contexts){ context_of(e->has_context_id, e->context_id), context_of(e->has_context_parent_id, e->context_parent_id) };
}

struct look { store_t *store; const struct event_full *e; struct twin *twin; int best; int32_t free_rest; bool is_damaged; };

/* 1: there is none more alike. */
static int look_at_row(void *owner, const struct chunk_row *row)
{
    struct look *look = owner;
    struct event_full old;
    struct row_refs refs;
    schema_clear(event_full_schema(), &old);
    SET(&old, is_state, look->e->is_state);
    SET(&old, timestamp, row->at + row->shift);
    if (body_read(row->body, row->at, &old, &refs, &look->store->room) != 0) {
        look->is_damaged = true;
        return 1;
    }
    old.has_attributes = refs.attributes != 0;
    if (row->rest == look->free_rest)
        look->free_rest++;
    int like = likeness(look->e, &old);
    if (like > look->best) {
        look->best = like;
        *look->twin = (struct twin){ .looked = true, .found = true, .richer_wins = richness(look->e) > richness(&old),
            .is_imported = source_of(true, old.provenance) == STORE_IMPORT, .rest = row->rest, .time = old.timestamp, .place = row->place,
            .contexts = contexts_of(&old) };
    }
    return look->best == 2;
}

static enum store_result look_at_hot(store_t *store, struct look *look, int64_t series, int64_t at, bool *any)
{
    sqlite3_stmt *find = statement(store, EVENT_TWINS);
    int rc = SQLITE_DONE;
    *any = false;
    if (!find)
        return STORE_TROUBLE;
    sqlite3_bind_int64(find, 1, series);
    sqlite3_bind_int64(find, 2, at);
    while (look->best < 2 && !look->is_damaged && (rc = sqlite3_step(find)) == SQLITE_ROW) {
        struct chunk_row row = { at, sqlite3_column_int64(find, 1) - at, sqlite3_column_int64(find, 3), sqlite3_column_int(find, 0), column_bytes(find, 2) };
        *any = true;
        look_at_row(look, &row);
    }
    sqlite3_reset(find);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot look for an event");
}

/* Look through the rows of this series and time, which lie in the file or in a chunk; one that hashes
 * alike but is another event makes the new one step aside. */
static enum store_result find_twin(store_t *store, const struct event_full *e, int64_t series, int64_t at, struct twin *twin)
{
    struct look look = { .store = store, .e = e, .twin = twin, .free_rest = twin->rest };
    bool any, is_sealed = false;
    enum store_result result = look_at_hot(store, &look, series, at, &any);
    if (result == STORE_OK && !any)
        result = sealed_twins(store, series, at, look_at_row, &look, &is_sealed);
    if (look.is_damaged)
        return trouble(store, "a stored row is damaged");
    twin->is_sealed = is_sealed;
    if (!twin->found)
        twin->rest = look.free_rest;
    return result;
}

/* --- the row -------------------------------------------------------------------------------------- */

static enum store_result note_seen(store_t *store, int64_t series, int64_t snapshot)
{
    sqlite3_stmt *seen = statement(store, SEEN_ADD);
    if (!seen)
        return STORE_TROUBLE;
    sqlite3_bind_int64(seen, 1, series);
    sqlite3_bind_int64(seen, 2, snapshot);
    int rc = sqlite3_step(seen);
    sqlite3_reset(seen);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot note a snapshot");
}

/* It hardly ever changes, so the last one is compared before a new one is written. */
static enum store_result put_snapshot(store_t *store, const struct event_full *e, struct series *series)
{
    const struct word *last = word_at(&store->words[SNAPSHOT], &series->snapshot);
    if (last && snapshot_is(e, (struct slice){ last->bytes, last->size }))
        return STORE_OK;
    int64_t before = series->snapshot.id;
    buffer_clear(&store->scratch);
    snapshot_write(e, &store->scratch);
    enum store_result result = word_put(store, SNAPSHOT, (struct slice){ store->scratch.data, store->scratch.size }, &series->snapshot);
    return result == STORE_OK && series->snapshot.id != before ? note_seen(store, series->id, series->snapshot.id) : result;
}

static enum store_result put_refs(store_t *store, const struct event_full *e, struct series *series, struct row_refs *refs)
{
    struct word_place user = { 0 };
    int64_t readings = 0;
    enum store_result result = put_snapshot(store, e, series);
    if (result == STORE_OK && e->has_attributes)
        result = word_put(store, ATTRIBUTE, e->attributes, &series->attributes);
    if (result == STORE_OK && e->has_context_user_id)
        result = word_put(store, USER, e->context_user_id, &user);
    if (result == STORE_OK)
        result = surroundings_put(store, e, &readings);
    *refs = (struct row_refs){ series->snapshot.id, e->has_attributes ? series->attributes.id : 0, readings, user.id };
    return result;
}

/* --- links: the few ways to a row that are neither its series nor its time ----------------------- */

static enum store_result change_link(store_t *store, enum statement how, enum link_kind kind, int64_t value, const struct row_key *key)
{
    sqlite3_stmt *change = statement(store, how);
    if (!change)
        return STORE_TROUBLE;
    sqlite3_bind_int(change, 1, (int)kind);
    sqlite3_bind_int64(change, 2, value);
    sqlite3_bind_int64(change, 3, key->time);
    sqlite3_bind_int64(change, 4, key->place);
    sqlite3_bind_int64(change, 5, key->series);
    sqlite3_bind_int64(change, 6, key->at);
    sqlite3_bind_int(change, 7, key->rest);
    int rc = sqlite3_step(change);
    sqlite3_reset(change);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot change a link");
}

static enum store_result change_links(store_t *store, enum statement how, const struct row_key *key, int64_t other,
                                      const struct row_contexts *contexts)
{
    const struct context *context = &contexts->own, *parent = &contexts->parent;
    enum store_result result = STORE_OK;
    if (other)
        result = change_link(store, how, LINK_OTHER, other, key);
    if (result == STORE_OK && context->form != NO_CONTEXT && !context_is_near(context, key->time))
        result = change_link(store, how, LINK_CONTEXT, context->key, key);
    if (result == STORE_OK && parent->form != NO_CONTEXT)
        result = change_link(store, how, LINK_PARENT, parent->key, key);
    if (result == STORE_OK && key->time != key->at)
        result = change_link(store, how, LINK_SHIFTED, 0, key);
    return result;
}

/* `other`: the series of the entity that an event which is no state speaks of. */
static enum store_result other_series(store_t *store, const struct event_full *e, int64_t *id)
{
    struct series *series;
    *id = 0;
    if (e->is_state || !e->has_entity_id)
        return STORE_OK;
    enum store_result result = series_put(store, series_hash(true, e->entity_id), true, e->entity_id, &series);
    if (result == STORE_OK)
        *id = series->id;
    return result;
}

/* Now, not with those that wait. */
static enum store_result write_row(store_t *store, enum statement how, const struct row_key *key)
{
    sqlite3_stmt *put = statement(store, how);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int64(put, 1, key->series);
    sqlite3_bind_int64(put, 2, key->at);
    sqlite3_bind_int(put, 3, key->rest);
    sqlite3_bind_int64(put, 4, key->time - key->at);
    sqlite3_bind_int64(put, 5, key->place);
    bind_bytes(put, 6, (struct slice){ store->body.data, store->body.size });
    int rc = sqlite3_step(put);
    sqlite3_reset(put);
    enum store_result result = rc == SQLITE_DONE ? sealed_not_alone(store, key->series, key->at) : trouble(store, "cannot write a row");
    return result == STORE_OK ? times_restore(store, key) : result;
}

/* The row and its links; where it takes a poorer one's place, that one's links go. */
static enum store_result write_all(store_t *store, const struct row_contexts *contexts, const struct row_key *key, int64_t other,
                                   struct series *series, const struct twin *twin)
{
    enum store_result result = STORE_OK;
    if (twin->found) {
        struct row_key old = { twin->time, twin->place, key->series, key->at, key->rest };
        result = change_links(store, LINK_DROP, &old, other, &twin->contexts);
        if (result == STORE_OK)
            result = times_drop(store, &old);
    }
    if (result == STORE_OK)
        result = change_links(store, LINK_ADD, key, other, contexts);
    if (result != STORE_OK)
        return result;
    if (!twin->looked)
        return waiting_add(store, series, key, (struct slice){ store->body.data, store->body.size });
    return write_row(store, twin->found ? EVENT_REPLACE : EVENT_ADD, key);
}

/* Only a row that is not newer than all of its series can be there already. */
static enum store_result look_for_twin(store_t *store, const struct event_full *e, struct series *series, int64_t at, struct twin *twin)
{
    enum store_result result = STORE_OK;
    waiting_meet(&store->waiting, series);
    if (at > series->newest)
        return STORE_OK;
    if (at > series->stored) {
        if (!waiting_may_have(&store->waiting, series, at))
            return STORE_OK;
        result = waiting_write(store);
    }
    twin->looked = true;
    return result == STORE_OK ? find_twin(store, e, series->id, at, twin) : result;
}

enum store_result row_has_place(store_t *store, const struct event_full *e)
{
    struct event_key id = event_key(e);
    struct twin twin = { .rest = (int32_t)id.rest };
    int64_t series;
    enum store_result result = series_find(store, id.series, e->is_state, e->is_state ? e->entity_id : e->event_type, &series);
    if (result == STORE_OK)
        result = find_twin(store, e, series, id.at, &twin);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    return twin.found && !twin.is_imported && twin.place == e->place ? STORE_REDELIVERED : STORE_OK;
}

/* The place of the row that goes for a richer one. */
static enum store_result pass_replaced(store_t *store, const struct twin *twin)
{
    if (!twin->found || !twin->richer_wins || twin->is_imported)
        return STORE_OK;
    return passed_add(store, twin->place) == STORE_TROUBLE ? STORE_TROUBLE : STORE_OK;
}

/* Whether it was settled before. A duplicate's place is noted, and that of a row whose place it takes. */
static enum store_result look_for_place(store_t *store, const struct event_full *e, const struct twin *twin)
{
    bool is_imported = source_of(e->has_provenance, e->provenance) == STORE_IMPORT;
    if (is_imported)
        return twin->found && twin->is_imported && twin->place == e->place ? STORE_REDELIVERED : pass_replaced(store, twin);
    if (!twin->found) /* it may have been left out before, by a rule that is gone */
        return may_come_again(store, e->place) ? passed_look(store, e->place) : STORE_OK;
    if (!twin->is_imported && twin->place == e->place)
        return STORE_REDELIVERED;
    enum store_result result = passed_add(store, e->place);
    return result == STORE_OK ? pass_replaced(store, twin) : result;
}

static enum store_result put_row(store_t *store, const struct event_full *e)
{
    struct event_key id = event_key(e);
    struct series *series;
    struct row_refs refs = { 0 };
    struct twin twin = { .rest = (int32_t)id.rest };
    int64_t other;
    enum store_result result = other_series(store, e, &other); /* first: it may push the other out of memory */
    if (result == STORE_OK)
        result = series_put(store, id.series, e->is_state, e->is_state ? e->entity_id : e->event_type, &series);
    if (result == STORE_OK)
        result = look_for_twin(store, e, series, id.at, &twin);
    if (result == STORE_OK)
        result = look_for_place(store, e, &twin);
    if (result != STORE_OK || (twin.found && !twin.richer_wins))
        return result == STORE_OK ? STORE_DUPLICATE : result;
    if (twin.is_sealed)
        result = seal_open_again(store, series->id, id.at);
    if (result == STORE_OK)
        result = put_refs(store, e, series, &refs);
    if (result != STORE_OK)
        return result;
    struct row_key key = { e->timestamp, e->place, series->id, id.at, twin.rest };
    buffer_clear(&store->body);
    struct row_contexts contexts = contexts_of(e);
    body_write(e, key.at, &refs, &contexts, &store->body);
    waiting_meet(&store->waiting, series); /* a look may have had them written */
    store->appended_newest = id.at > series->newest;
    store->appended = (struct store_row){ key.series, key.at, store->waiting.number, key.rest,
        twin.looked ? 0 : (uint32_t)store->waiting.count + 1 };
    result = write_all(store, &contexts, &key, other, series, &twin);
    if (result == STORE_OK && e->is_state && is_late(store, id.at))
        late_note(store, key.series, series, id.at);
    if (series->newest < id.at)
        series->newest = id.at;
    return result == STORE_OK && twin.found ? STORE_DUPLICATE : result;
}

enum store_result store_append(store_t *store, const struct event_full *e, struct fault *fault)
{
    assert(store->writer);
    enum store_result result = check_row(e, fault);
    if (result == STORE_OK)
        result = store_begin(store);
    if (result == STORE_OK)
        result = put_row(store, e);
    if (result == STORE_TROUBLE)
        return store_abandon(store, NULL);
    if (source_of(e->has_provenance, e->provenance) == STORE_INGEST && e->has_place)
        note_place(store, e->place);
    if (result != STORE_BAD)
        settle(store, source_of(e->has_provenance, e->provenance), result == STORE_OK ? STORE_FATE_STORED
            : result == STORE_DUPLICATE ? STORE_FATE_DUPLICATE : STORE_FATE_REDELIVERED);
    return result;
}

/* --- taken back ------------------------------------------------------------------------------------- */

struct store_row store_appended(const store_t *store, bool *is_newest)
{
    *is_newest = store->appended_newest;
    return store->appended;
}

/* What leads to a row that goes; its place has passed. */
static enum store_result forget_row(store_t *store, const struct row_key *key, struct slice body, enum store_source *source)
{
    struct event_full row;
    struct row_refs refs;
    schema_clear(event_full_schema(), &row);
    SET(&row, timestamp, key->time);
    if (body_read(body, key->at, &row, &refs, &store->room) != 0)
        return trouble(store, "a row that is to go is damaged");
    struct row_contexts contexts = contexts_of(&row);
    *source = source_of(row.has_provenance, row.provenance);
    enum store_result result = change_links(store, LINK_DROP, key, 0, &contexts);
    if (result == STORE_OK && *source == STORE_INGEST && passed_add(store, key->place) == STORE_TROUBLE)
        return STORE_TROUBLE;
    return result;
}

static enum store_result drop_hot(store_t *store, int64_t series, int64_t at, int32_t rest, enum store_source *source)
{
    sqlite3_stmt *get = statement(store, EVENT_GET);
    if (!get)
        return STORE_TROUBLE;
    sqlite3_bind_int64(get, 1, series);
    sqlite3_bind_int64(get, 2, at);
    sqlite3_bind_int(get, 3, rest);
    int rc = sqlite3_step(get);
    if (rc != SQLITE_ROW) {
        sqlite3_reset(get);
        return rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read a row that is to go");
    }
    struct row_key key = { sqlite3_column_int64(get, 0), sqlite3_column_int64(get, 1), series, at, rest };
    enum store_result result = forget_row(store, &key, column_bytes(get, 5), source);
    sqlite3_reset(get);
    if (result == STORE_OK)
        result = times_drop(store, &key);
    sqlite3_stmt *drop = result == STORE_OK ? statement(store, EVENT_DROP) : NULL;
    if (!drop)
        return STORE_TROUBLE;
    sqlite3_bind_int64(drop, 1, series);
    sqlite3_bind_int64(drop, 2, at);
    sqlite3_bind_int(drop, 3, rest);
    rc = sqlite3_step(drop);
    sqlite3_reset(drop);
    return rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot drop a row");
}

static enum store_result drop_stored(store_t *store, int64_t series, int64_t at, int32_t rest, enum store_source *source)
{
    enum store_result result = drop_hot(store, series, at, rest, source);
    if (result == STORE_MISSING && (result = seal_open_again(store, series, at)) == STORE_OK)
        result = drop_hot(store, series, at, rest, source);
    return result;
}

enum store_result row_drop(store_t *store, const struct row_key *key)
{
    enum store_source source;
    enum store_result result = drop_stored(store, key->series, key->at, key->rest, &source);
    if (result == STORE_OK) {
        unsettle(store, source, STORE_FATE_STORED);
        settle(store, source, STORE_FATE_THINNED);
    }
    return result == STORE_MISSING ? trouble(store, "a row that is to go is not there") : result;
}

enum store_result store_take_back(store_t *store, const struct store_row *row)
{
    assert(store->writer);
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    enum store_source source;
    enum store_result result;
    struct waiting_row *waits = waiting_find(&store->waiting, row);
    if (waits) {
        result = forget_row(store, &waits->key, waiting_body(&store->waiting, waits), &source);
        waiting_drop(waits);
    } else {
        result = drop_stored(store, row->series, row->at, row->rest, &source);
    }
    if (result == STORE_TROUBLE)
        return store_abandon(store, NULL);
    if (result == STORE_OK && is_late(store, row->at))
        late_note(store, row->series, NULL, row->at);
    if (result == STORE_OK) {
        unsettle(store, source, STORE_FATE_STORED);
        settle(store, source, STORE_FATE_THINNED);
    }
    return result;
}
