/* lineage_hand.c - what the user says of names: two are one, one is two, or neither. */
#include "lineage_inside.h"

#include <assert.h>
#include <string.h>

static enum store_result refuse(struct fault *fault, enum store_result result, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return result;
}

static bool is_known(const store_t *store, const struct thing *thing)
{
    for (size_t i = 0; i < thing->count; i++)
        if (series_by_name(store, true, name_slice(&thing->items[i].name)))
            return true;
    return false;
}

/* The first state of a thing; STORE_MISSING: it has none. */
static enum store_result begin_of(store_t *store, const struct thing *thing, int64_t *at)
{
    enum store_result result = STORE_MISSING;
    for (size_t i = 0; result == STORE_MISSING && i < thing->count; i++) {
        const struct tenure *t = &thing->items[i];
        const struct series *series = series_by_name(store, true, name_slice(&t->name));
        if (series)
            result = first_state(store, series->id, t->from, t->to, at);
    }
    return result;
}

static bool is_one(const struct thing *one, const struct thing *other)
{
    return one->count > 0 && other->count > 0 && one->items[0].from == other->items[0].from
        && slice_equal(name_slice(&one->items[0].name), name_slice(&other->items[0].name));
}

/* Something is noted of that name at that very moment. */
static enum store_result is_taken(store_t *store, enum statement which, const struct name *name, int64_t at, bool *taken)
{
    sqlite3_stmt *find = statement(store, which);
    if (!find)
        return STORE_TROUBLE;
    bind_bytes(find, 1, name_slice(name));
    sqlite3_bind_int64(find, 2, at);
    int rc = sqlite3_step(find);
    sqlite3_reset(find);
    *taken = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the lineage");
}

static enum store_result insert(store_t *store, enum lineage_kind kind, const struct name *before, const struct name *after, int64_t at,
                                int64_t now_us, struct lineage_row *reply)
{
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *add = statement(store, LINEAGE_ADD);
    if (!add)
        return store_abandon(store, NULL);
    sqlite3_clear_bindings(add);
    sqlite3_bind_int(add, 1, (int)kind);
    sqlite3_bind_int64(add, 2, at);
    if (before)
        bind_bytes(add, 3, name_slice(before));
    bind_bytes(add, 4, name_slice(after));
    sqlite3_bind_int(add, 5, FOUND_BY_HAND);
    sqlite3_bind_int64(add, 8, now_us);
    int rc = sqlite3_step(add);
    sqlite3_reset(add);
    int64_t id = sqlite3_last_insert_rowid(store->db);
    if (rc != SQLITE_DONE)
        return store_abandon(store, "cannot note what the user says of a name");
    enum store_result result = lineage_get(store, id, reply);
    return result == STORE_OK ? store_commit(store) : store_abandon(store, NULL);
}

/* --- merge ------------------------------------------------------------------------------------------------ */

struct merging { const struct merge_query *query; struct thing from, to; struct name before, after; int64_t at, now_us; };

static enum store_result check_sides(store_t *store, struct merging *m, struct fault *fault)
{
    const struct merge_query *q = m->query;
    enum store_result result = thing_of(store, (struct slice){ q->from, q->from_size }, FOREVER_US, &m->from);
    if (result == STORE_OK)
        result = thing_of(store, (struct slice){ q->to, q->to_size }, FOREVER_US, &m->to);
    if (result != STORE_OK)
        return result;
    if (!is_known(store, &m->from))
        return refuse(fault, STORE_MISSING, "from", "no such entity");
    if (!is_known(store, &m->to))
        return refuse(fault, STORE_MISSING, "to", "no such entity");
    return is_one(&m->from, &m->to) ? refuse(fault, STORE_BAD, "to", "is the same device as `from` already") : STORE_OK;
}

/* History is that of `from` until then, and of `to` since: both must have some. */
static enum store_result choose_moment(store_t *store, struct merging *m, struct fault *fault)
{
    const struct merge_query *q = m->query;
    int64_t from_at, to_at = 0;
    enum store_result result = begin_of(store, &m->from, &from_at);
    if (result == STORE_MISSING)
        return refuse(fault, STORE_BAD, "from", "has no states");
    if (result == STORE_OK && !q->has_at)
        result = begin_of(store, &m->to, &to_at);
    if (result == STORE_MISSING)
        return refuse(fault, STORE_BAD, "to", "has no states: say since when it is the one (at)");
    if (result != STORE_OK)
        return result;
    m->at = q->has_at ? q->at : to_at;
    if (m->at > m->now_us)
        return refuse(fault, STORE_BAD, "at", "is in the future");
    if (m->at <= from_at)
        return q->has_at ? refuse(fault, STORE_BAD, "at", "is before the first state of `from`")
            : refuse(fault, STORE_BAD, "from", "overlaps: it has no state before the first one of `to`; say since when `to` is the one (at), or merge the other way round");
    return STORE_OK;
}

/* The names that the two had just before and just after that moment. */
static enum store_result choose_names(store_t *store, struct merging *m, struct fault *fault)
{
    bool out = false, into = false;
    const struct tenure *before = thing_at(&m->from, m->at - 1), *after = thing_at(&m->to, m->at);
    if (!before)
        return refuse(fault, STORE_BAD, "at", "`from` was another device then");
    if (!after)
        return refuse(fault, STORE_BAD, "at", "`to` was another device then");
    m->before = before->name;
    m->after = after->name;
    enum store_result result = is_taken(store, LINEAGE_OUT, &m->before, m->at, &out);
    if (result == STORE_OK)
        result = is_taken(store, LINEAGE_INTO, &m->after, m->at, &into);
    if (result != STORE_OK)
        return result;
    if (out)
        return refuse(fault, STORE_BAD, "from", "passes on to another name at that very moment: undo that first");
    return into ? refuse(fault, STORE_BAD, "to", "begins with another name at that very moment: undo that first") : STORE_OK;
}

enum store_result store_merge(store_t *store, const struct merge_query *q, int64_t now_us, struct lineage_row *reply, struct fault *fault)
{
    struct merging m = { .query = q, .now_us = now_us };
    bool empty;
    assert(store->writer && !store->in_transaction);
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK)
        return result;
    result = check_sides(store, &m, fault);
    if (result == STORE_OK)
        result = choose_moment(store, &m, fault);
    if (result == STORE_OK)
        result = choose_names(store, &m, fault);
    read_end(store);
    thing_free(&m.from);
    thing_free(&m.to);
    return result == STORE_OK ? insert(store, LINEAGE_MERGE, &m.before, &m.after, m.at, now_us, reply) : result;
}

/* --- split -------------------------------------------------------------------------------------------------- */

static enum store_result check_split(store_t *store, const struct split_query *q, const struct thing *thing, int64_t now_us, struct name *name, struct fault *fault)
{
    int64_t first;
    bool into = false;
    if (!is_known(store, thing))
        return refuse(fault, STORE_MISSING, "entity_id", "no such entity");
    if (q->at > now_us)
        return refuse(fault, STORE_BAD, "at", "is in the future");
    const struct tenure *tenure = thing_at(thing, q->at);
    if (!tenure)
        return refuse(fault, STORE_BAD, "at", "it was another device then");
    enum store_result result = begin_of(store, thing, &first);
    if (result == STORE_MISSING || (result == STORE_OK && q->at <= first))
        return refuse(fault, STORE_BAD, "at", "has no state before");
    *name = tenure->name;
    if (result == STORE_OK)
        result = is_taken(store, LINEAGE_INTO, name, q->at, &into);
    return into ? refuse(fault, STORE_BAD, "at", "it begins with another name at that very moment: undo that instead") : result;
}

enum store_result store_split(store_t *store, const struct split_query *q, int64_t now_us, struct lineage_row *reply, struct fault *fault)
{
    struct thing thing;
    struct name name;
    bool empty;
    assert(store->writer && !store->in_transaction);
    enum store_result result = read_begin(store, &empty);
    if (result != STORE_OK)
        return result;
    result = thing_of(store, (struct slice){ q->entity_id, q->entity_id_size }, FOREVER_US, &thing);
    if (result == STORE_OK)
        result = check_split(store, q, &thing, now_us, &name, fault);
    read_end(store);
    thing_free(&thing);
    return result == STORE_OK ? insert(store, LINEAGE_SPLIT, NULL, &name, q->at, now_us, reply) : result;
}

/* --- undo ----------------------------------------------------------------------------------------------------- */

enum store_result store_undo(store_t *store, int64_t id, int64_t now_us, struct lineage_row *reply, struct fault *fault)
{
    assert(store->writer && !store->in_transaction);
    enum store_result result = lineage_get(store, id, reply);
    if (result == STORE_MISSING)
        return refuse(fault, STORE_MISSING, "id", "no such row");
    if (result == STORE_OK && reply->has_undone_at)
        return refuse(fault, STORE_DUPLICATE, "id", "is undone already");
    if (result != STORE_OK || store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *undo = statement(store, LINEAGE_UNDO);
    if (!undo)
        return store_abandon(store, NULL);
    sqlite3_bind_int64(undo, 1, id);
    sqlite3_bind_int64(undo, 2, now_us);
    int rc = sqlite3_step(undo);
    sqlite3_reset(undo);
    if (rc != SQLITE_DONE)
        return store_abandon(store, "cannot undo");
    SET(reply, undone_at, now_us);
    return store_commit(store);
}
