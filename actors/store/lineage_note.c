/* lineage_note.c - what Home Assistant says of names is noted: renames, and names given to something else. */
#include "lineage_inside.h"

#include "json.h"
#include "samples.h"

#include <assert.h>
#include <string.h>

enum { UNIQUE_BYTES = 1400, REGISTRY_ID_BYTES = 64, REMOVED_US = 60000000, SKEW_US = 60000000 /* between two clocks */, EARLY_US = 1000000, STEPS_BACK = 100 };

/* `at` is somewhere after `since`, up to `until`; since 0: exactly. */
struct note { enum lineage_kind kind; int64_t at; struct slice before, after; enum lineage_found found; int64_t since, until, noted_at; };

static enum store_result step(store_t *store, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return rc == SQLITE_DONE ? STORE_OK : rc == SQLITE_ROW ? STORE_DUPLICATE : trouble(store, "cannot note what became of a name");
}

static void bind_text(sqlite3_stmt *stmt, int at, struct slice text)
{
    if (text.size)
        bind_bytes(stmt, at, text);
    else
        sqlite3_bind_null(stmt, at);
}

static enum store_result add(store_t *store, const struct note *note)
{
    sqlite3_stmt *put = statement(store, LINEAGE_ADD);
    if (!put)
        return STORE_TROUBLE;
    sqlite3_bind_int(put, 1, (int)note->kind);
    sqlite3_bind_int64(put, 2, note->at);
    bind_text(put, 3, note->before);
    bind_bytes(put, 4, note->after);
    sqlite3_bind_int(put, 5, (int)note->found);
    if (note->since) {
        sqlite3_bind_int64(put, 6, note->since);
        sqlite3_bind_int64(put, 7, note->until);
    }
    sqlite3_bind_int64(put, 8, note->noted_at);
    return step(store, put);
}

/* STORE_DUPLICATE: there is one, undone or not, in [low, high]. found 0: from whomever. */
static enum store_result look_for(store_t *store, struct slice before, struct slice after, int64_t low, int64_t high, int found)
{
    sqlite3_stmt *look = statement(store, LINEAGE_LIKE);
    if (!look)
        return STORE_TROUBLE;
    bind_bytes(look, 1, after);
    bind_text(look, 2, before);
    sqlite3_bind_int64(look, 3, low);
    sqlite3_bind_int64(look, 4, high);
    sqlite3_bind_int(look, 5, found);
    return step(store, look);
}

/* --- events -------------------------------------------------------------------------------------------- */

struct registry_event { struct slice action, entity_id, old_entity_id; };

static bool read_event(json_t *json, struct slice data, struct registry_event *to)
{
    static const char *const keys[] = { "action", "entity_id", "old_entity_id" };
    struct slice *const texts[] = { &to->action, &to->entity_id, &to->old_entity_id };
    struct json_value root, values[3];
    const char *why;
    *to = (struct registry_event){ 0 };
    if (json_read(json, data, &root, &why) != 0 || root.kind != JSON_OBJECT || json_pick(json, root.raw, keys, 3, values) != 0)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (values[i].kind == JSON_TEXT && !json_text(json, values[i], texts[i]))
            return false;
    return to->entity_id.size > 0 && to->entity_id.size <= NAME_BYTES && to->old_entity_id.size <= NAME_BYTES;
}

static enum store_result drop_vague(store_t *store, const struct registry_event *e, int64_t at)
{
    sqlite3_stmt *drop = statement(store, LINEAGE_VAGUE_DROP);
    if (!drop)
        return STORE_TROUBLE;
    bind_bytes(drop, 1, e->old_entity_id);
    bind_bytes(drop, 2, e->entity_id);
    sqlite3_bind_int64(drop, 3, at);
    return step(store, drop);
}

/* Who had the old name has the new one. */
static enum store_result move_holder(store_t *store, const struct registry_event *e, int64_t at)
{
    int64_t since = 0;
    enum store_result result = moment_before(store, e->old_entity_id, at, &since);
    sqlite3_stmt *move = result == STORE_OK ? statement(store, HOLDER_RENAME) : NULL;
    if (!move)
        return STORE_TROUBLE;
    bind_bytes(move, 1, e->old_entity_id);
    bind_bytes(move, 2, e->entity_id);
    sqlite3_bind_int64(move, 3, at);
    sqlite3_bind_int64(move, 4, since);
    return step(store, move);
}

/* The registry has said it already, but not when. */
static enum store_result date_holder(store_t *store, const struct registry_event *e, int64_t at)
{
    sqlite3_stmt *date = statement(store, HOLDER_SINCE);
    if (!date)
        return STORE_TROUBLE;
    bind_bytes(date, 1, e->old_entity_id);
    bind_bytes(date, 2, e->entity_id);
    sqlite3_bind_int64(date, 3, at);
    return step(store, date);
}

static enum store_result note_rename(store_t *store, const struct registry_event *e, int64_t at)
{
    enum store_result result = look_for(store, e->old_entity_id, e->entity_id, at, at, FOUND_EVENT);
    if (result == STORE_OK)
        result = date_holder(store, e, at);
    if (result == STORE_OK)
        result = drop_vague(store, e, at);
    bool is_said = result == STORE_OK && sqlite3_changes(store->db) > 0;
    if (result == STORE_OK && !is_said)
        result = move_holder(store, e, at);
    return result == STORE_OK ? add(store, &(struct note){ LINEAGE_RENAME, at, e->old_entity_id, e->entity_id, FOUND_EVENT, 0, 0, at }) : result;
}

/* Whose it is only the registry tells: when it does, this is the moment. */
static enum store_result note_created(store_t *store, const struct registry_event *e, int64_t at)
{
    static const enum statement both[] = { LINEAGE_MOVE, HOLDER_CREATED };
    enum store_result result = STORE_OK;
    int changed = 0;
    for (size_t i = 0; result == STORE_OK && i < sizeof both / sizeof *both; i++) {
        sqlite3_stmt *say = statement(store, both[i]);
        if (!say)
            return STORE_TROUBLE;
        bind_bytes(say, 1, e->entity_id);
        sqlite3_bind_int64(say, 2, at);
        result = step(store, say);
        changed += sqlite3_changes(store->db);
    }
    return result == STORE_OK && changed == 0 ? STORE_DUPLICATE : result;
}

enum store_result store_note_event(store_t *store, const struct event_full *e)
{
    struct registry_event event;
    enum store_result result = STORE_DUPLICATE;
    assert(store->writer);
    if (e->is_state || !e->has_data || !e->has_timestamp || e->timestamp < 1 || !slice_equal(e->event_type, slice_of("entity_registry_updated"))
            || !e->has_provenance || strcmp(e->provenance, "live") != 0)
        return STORE_DUPLICATE;
    json_t *json = json_new();
    if (read_event(json, e->data, &event)) {
        result = store_begin(store);
        if (result == STORE_OK && event.old_entity_id.size > 0 && !slice_equal(event.old_entity_id, event.entity_id))
            result = note_rename(store, &event, e->timestamp);
        else if (result == STORE_OK)
            result = slice_equal(event.action, slice_of("create")) ? note_created(store, &event, e->timestamp) : STORE_DUPLICATE;
    }
    json_destroy(&json);
    return result == STORE_TROUBLE ? store_abandon(store, NULL) : result;
}

/* --- what history says again ------------------------------------------------------------------------------- */

/* The name that what has `name` now had at that moment; as it was given where nobody knows better. */
static enum store_result name_then(store_t *store, struct name *name, int64_t at)
{
    int64_t to = FOREVER_US, from;
    for (int i = 0; i < STEPS_BACK; i++) {
        enum store_result result = moment_before(store, name_slice(name), to, &from);
        if (result != STORE_OK || at >= from)
            return result;
        sqlite3_stmt *into = statement(store, LINEAGE_INTO);
        if (!into)
            return STORE_TROUBLE;
        bind_bytes(into, 1, name_slice(name));
        sqlite3_bind_int64(into, 2, from);
        bool is_rename = sqlite3_step(into) == SQLITE_ROW && sqlite3_column_int(into, 1) == LINEAGE_RENAME;
        if (is_rename)
            *name = name_of(column_bytes(into, 2));
        sqlite3_reset(into);
        if (!is_rename)
            return STORE_OK;
        to = from;
    }
    return STORE_OK;
}

static enum store_result has_sample(store_t *store, int64_t series, int64_t at, struct slice state, bool *has)
{
    struct sample sample;
    enum store_result result;
    samples_t *samples = samples_open(store, series, at, at + 1, false);
    if (!samples)
        return STORE_TROUBLE;
    while (!*has && (result = samples_next(samples, &sample)) == STORE_OK)
        *has = sample.kind != SAMPLE_REMOVED && slice_equal(sample.state, state);
    samples_close(&samples);
    return *has || result == STORE_MISSING ? STORE_OK : result;
}

enum store_result store_is_told(store_t *store, const struct event_full *e, bool *is_told)
{
    int64_t series;
    *is_told = false;
    assert(store->writer);
    if (!e->is_state || !e->has_state || !e->has_last_updated || !e->has_entity_id || e->entity_id.size > NAME_BYTES
            || !e->has_provenance || strcmp(e->provenance, "live") == 0)
        return STORE_OK;
    struct name name = name_of(e->entity_id);
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = name_then(store, &name, e->last_updated);
    if (result == STORE_OK && !slice_equal(name_slice(&name), e->entity_id)) {
        result = series_find(store, series_hash(true, name_slice(&name)), true, name_slice(&name), &series);
        result = result == STORE_OK ? has_sample(store, series, e->last_updated, e->state, is_told) : result == STORE_MISSING ? STORE_OK : result;
    }
    return result == STORE_TROUBLE ? store_abandon(store, NULL) : result;
}

/* --- the registry ---------------------------------------------------------------------------------------- */

/* Who has a name, or which name somebody has: copied out of the statement. */
struct holder { struct name name; char id[REGISTRY_ID_BYTES], unique[UNIQUE_BYTES]; size_t id_size, unique_size; int64_t since, created; };

/* An entity as the registry has it. `unique`: what its integration calls it, the same when it was removed and comes again. */
struct fact { struct slice registry_id, name, unique; int64_t seen_at, gap; };

static size_t copy(char *to, size_t room, struct slice from)
{
    size_t size = from.size < room ? from.size : room;
    memcpy(to, from.data, size);
    return size;
}

static enum store_result found(store_t *store, sqlite3_stmt *stmt, int rc)
{
    sqlite3_reset(stmt);
    return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read who has which name");
}

static enum store_result holder_by_id(store_t *store, struct slice id, struct holder *to)
{
    sqlite3_stmt *get = statement(store, HOLDER_GET);
    if (!get)
        return STORE_TROUBLE;
    bind_bytes(get, 1, id);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW) {
        to->name = name_of(column_bytes(get, 0));
        to->since = sqlite3_column_int64(get, 1);
    }
    return found(store, get, rc);
}

static enum store_result holder_of_name(store_t *store, struct slice name, struct holder *to)
{
    sqlite3_stmt *get = statement(store, HOLDER_OF);
    if (!get)
        return STORE_TROUBLE;
    bind_bytes(get, 1, name);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW) {
        to->id_size = copy(to->id, sizeof to->id, column_bytes(get, 0));
        to->unique_size = copy(to->unique, sizeof to->unique, column_bytes(get, 1));
        to->since = sqlite3_column_int64(get, 2);
        to->created = sqlite3_column_int64(get, 3);
    }
    return found(store, get, rc);
}

/* Removed and come again: the same thing under another registry id, where the integration's own id is the same. */
static enum store_result holder_by_unique(store_t *store, struct slice unique, struct holder *to)
{
    sqlite3_stmt *get = unique.size > 0 ? statement(store, HOLDER_TWIN) : NULL;
    if (!get)
        return unique.size > 0 ? STORE_TROUBLE : STORE_MISSING;
    bind_bytes(get, 1, unique);
    int rc = sqlite3_step(get);
    if (rc == SQLITE_ROW) {
        to->name = name_of(column_bytes(get, 1));
        to->since = sqlite3_column_int64(get, 2);
    }
    return found(store, get, rc);
}

static enum store_result put_holder(store_t *store, const struct fact *fact, int64_t since)
{
    sqlite3_stmt *put = statement(store, HOLDER_PUT);
    if (!put)
        return STORE_TROUBLE;
    bind_bytes(put, 1, fact->registry_id);
    bind_bytes(put, 2, fact->name);
    bind_bytes(put, 3, fact->unique);
    sqlite3_bind_int64(put, 4, since);
    return step(store, put);
}

/* The last that a name's series holds before `before_us`: just after it, or where it was removed. 0: nothing. */
static enum store_result end_of_series(store_t *store, struct slice name, int64_t before_us, int64_t *at)
{
    int64_t series;
    struct sample sample;
    *at = 0;
    enum store_result result = series_find(store, series_hash(true, name), true, name, &series);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    if (waiting_write(store) != STORE_OK)
        return STORE_TROUBLE;
    samples_t *samples = samples_open(store, series, before_us, before_us, true);
    if (!samples)
        return STORE_TROUBLE;
    result = samples_next(samples, &sample);
    samples_close(&samples);
    if (result == STORE_OK)
        *at = sample.kind == SAMPLE_REMOVED ? sample.at : sample.at + 1;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Just after the last removal in the minute before; 0: there is none. */
static enum store_result end_of_removed(store_t *store, struct slice name, int64_t before_us, int64_t *at)
{
    int64_t series;
    struct sample sample;
    *at = 0;
    enum store_result result = series_find(store, series_hash(true, name), true, name, &series);
    if (result != STORE_OK)
        return result == STORE_MISSING ? STORE_OK : result;
    if (waiting_write(store) != STORE_OK)
        return STORE_TROUBLE;
    samples_t *samples = samples_open(store, series, before_us - REMOVED_US, before_us, true);
    if (!samples)
        return STORE_TROUBLE;
    while ((result = samples_next(samples, &sample)) == STORE_OK)
        if (sample.kind == SAMPLE_REMOVED)
            *at = sample.at + 1;
    samples_close(&samples);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Somebody else has had that name since: where this one came from then is unknown. */
static enum store_result is_stale(store_t *store, const struct holder *holder, int64_t at, bool *stale)
{
    sqlite3_stmt *later = statement(store, HOLDER_LATER);
    if (!later)
        return STORE_TROUBLE;
    bind_bytes(later, 1, name_slice(&holder->name));
    sqlite3_bind_int64(later, 2, holder->since);
    sqlite3_bind_int64(later, 3, at);
    enum store_result result = step(store, later);
    *stale = result == STORE_DUPLICATE;
    return *stale ? STORE_OK : result;
}

/* When what happened in a gap is said to have: at its beginning, which the ledger dates a second early, after what was told
 * live of that second. The same for all, so that those who change names do so at one moment. */
static enum store_result gap_moment(store_t *store, int64_t gap, int64_t *at)
{
    *at = gap > 0 ? gap + LINEAGE_EARLY_US : 0;
    sqlite3_stmt *live = gap > 0 ? statement(store, LINEAGE_LIVE) : NULL;
    if (!live)
        return gap > 0 ? STORE_TROUBLE : STORE_OK;
    sqlite3_bind_int64(live, 1, gap);
    int rc = sqlite3_step(live);
    if (rc == SQLITE_ROW && sqlite3_column_int64(live, 0) >= *at)
        *at = sqlite3_column_int64(live, 0) + 1;
    sqlite3_reset(live);
    return rc == SQLITE_ROW ? STORE_OK : trouble(store, "cannot read the lineage");
}

/* Until the event tells it: after the last that the old name said. */
static enum store_result guess_moved(store_t *store, const struct fact *fact, struct slice before, int64_t *at)
{
    int64_t freed = 0; /* who had the new name went */
    enum store_result result = end_of_series(store, before, fact->seen_at, at);
    if (result == STORE_OK)
        result = end_of_removed(store, fact->name, fact->seen_at, &freed);
    *at = *at > freed ? *at : freed;
    return result;
}

/* STORE_DUPLICATE: what is noted leads from the one name to the other, by however many steps: renames may come in another order
 * than they were made in, and then who holds the name stays behind. */
static enum store_result leads_to(store_t *store, struct name name, int64_t since, struct slice to)
{
    for (int i = 0; i < STEPS_BACK; i++) {
        sqlite3_stmt *above = statement(store, LINEAGE_ABOVE), *out = statement(store, LINEAGE_OUT);
        if (!above || !out)
            return STORE_TROUBLE;
        bind_bytes(above, 1, name_slice(&name));
        sqlite3_bind_int64(above, 2, since);
        int rc = sqlite3_step(above);
        since = rc == SQLITE_ROW ? sqlite3_column_int64(above, 0) : FOREVER_US;
        sqlite3_reset(above);
        bind_bytes(out, 1, name_slice(&name));
        sqlite3_bind_int64(out, 2, since);
        if (rc == SQLITE_ROW)
            rc = sqlite3_step(out);
        bool is_rename = rc == SQLITE_ROW && sqlite3_column_int(out, 1) == LINEAGE_RENAME;
        if (is_rename)
            name = name_of(column_bytes(out, 2));
        sqlite3_reset(out);
        if (!is_rename)
            return rc == SQLITE_ROW || rc == SQLITE_DONE ? STORE_OK : trouble(store, "cannot read the lineage");
        if (slice_equal(name_slice(&name), to))
            return STORE_DUPLICATE;
    }
    return STORE_OK;
}

/* It has the name in which we knew it no more. In a gap it was renamed at its beginning, since all that history says of it
 * is under the new name. */
static enum store_result note_moved(store_t *store, const struct fact *fact, const struct holder *known)
{
    bool stale;
    int64_t at = 0;
    struct slice before = name_slice(&known->name);
    if (fact->seen_at < known->since)
        return STORE_DUPLICATE; /* it was read before */
    enum store_result result = look_for(store, before, fact->name, known->since + 1, INT64_MAX, 0);
    if (result == STORE_OK)
        result = leads_to(store, known->name, known->since, fact->name);
    if (result != STORE_OK) /* noted already */
        return result == STORE_DUPLICATE ? put_holder(store, fact, fact->seen_at) : result;
    result = gap_moment(store, fact->gap, &at);
    if (result == STORE_OK && at == 0)
        result = guess_moved(store, fact, before, &at);
    at = at > known->since ? at : known->since + 1;
    if (result == STORE_OK)
        result = is_stale(store, known, at, &stale);
    if (result == STORE_OK && !stale)
        result = add(store, &(struct note){ LINEAGE_RENAME, at, before, fact->name, FOUND_REGISTRY, known->since, fact->seen_at, fact->seen_at });
    return result == STORE_OK ? put_holder(store, fact, at) : result;
}

/* The name was somebody else's. */
static enum store_result note_another(store_t *store, const struct fact *fact, const struct holder *old)
{
    int64_t at = old->created >= fact->gap ? old->created : 0;
    bool is_exact = at > 0;
    enum store_result result = STORE_OK;
    if (at == 0)
        result = end_of_removed(store, fact->name, fact->seen_at, &at);
    if (at <= old->since)
        at = fact->gap > old->since ? fact->gap : fact->seen_at > old->since ? fact->seen_at : old->since + 1;
    if (result == STORE_OK)
        result = add(store, &(struct note){ LINEAGE_ANOTHER, at, { NULL, 0 }, fact->name, is_exact ? FOUND_EVENT : FOUND_REGISTRY,
            is_exact ? 0 : old->since, fact->seen_at + SKEW_US, fact->seen_at });
    return result == STORE_OK ? put_holder(store, fact, at) : result;
}

static bool is_same_thing(const struct fact *fact, const struct holder *holder)
{
    return slice_equal((struct slice){ holder->id, holder->id_size }, fact->registry_id)
        || (fact->unique.size > 0 && slice_equal((struct slice){ holder->unique, holder->unique_size }, fact->unique));
}

static enum store_result note_fact(store_t *store, const struct fact *fact)
{
    struct holder known = { 0 }, other = { 0 };
    enum store_result mine = holder_by_id(store, fact->registry_id, &known);
    if (mine == STORE_OK && slice_equal(name_slice(&known.name), fact->name))
        return STORE_DUPLICATE;
    if (mine == STORE_MISSING)
        mine = holder_by_unique(store, fact->unique, &known);
    enum store_result result = mine == STORE_MISSING ? STORE_OK : mine;
    if (mine == STORE_OK && !slice_equal(name_slice(&known.name), fact->name))
        return note_moved(store, fact, &known);
    enum store_result its = result == STORE_OK ? holder_of_name(store, fact->name, &other) : result;
    if (its == STORE_OK && !is_same_thing(fact, &other))
        return note_another(store, fact, &other);
    return its == STORE_TROUBLE ? its : put_holder(store, fact, its == STORE_OK ? other.since + 1 : fact->gap ? fact->gap : fact->seen_at);
}

enum store_result store_note_entity(store_t *store, const struct entity_row *row, int64_t gap_us)
{
    char unique[UNIQUE_BYTES];
    assert(store->writer);
    if (!row->has_registry_id || row->registry_id_size == 0 || !row->has_entity_id || row->has_removed_at)
        return STORE_DUPLICATE;
    struct fact fact = { { row->registry_id, row->registry_id_size }, { row->entity_id, row->entity_id_size }, { unique, 0 }, row->timestamp, gap_us };
    if (row->has_platform && row->has_unique_id) { /* two domains of one integration may use the same */
        char *to = unique;
        struct slice parts[] = { { row->domain, row->domain_size }, { row->platform, row->platform_size }, { row->unique_id, row->unique_id_size } };
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            size_t room = (size_t)(unique + sizeof unique - to);
            to += copy(to, room, parts[i]);
            if (to < unique + sizeof unique)
                *to++ = '\0';
        }
        fact.unique.size = (size_t)(to - unique);
    }
    enum store_result result = store_begin(store);
    if (result == STORE_OK)
        result = note_fact(store, &fact);
    return result == STORE_TROUBLE ? store_abandon(store, NULL) : result;
}
