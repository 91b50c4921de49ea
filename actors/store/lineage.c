/* lineage.c - which series make up the history of an entity: from the moments noted to spans. */
#include "lineage_inside.h"

#include "samples.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A rename takes Home Assistant some milliseconds: the old state goes just after the event (or before), then the new one comes. */
enum { RENAME_US = 5000000, TENURES_MAX = 10000 };

struct name name_of(struct slice text)
{
    struct name name = { .size = text.size < NAME_BYTES ? text.size : NAME_BYTES };
    memcpy(name.text, text.data, name.size);
    return name;
}

struct slice name_slice(const struct name *name)
{
    return (struct slice){ name->text, name->size };
}

bool lineage_is_there(store_t *store)
{
    if (store->has_lineage)
        return true;
    sqlite3_stmt *look = statement(store, LINEAGE_LOOK);
    store->has_lineage = look && sqlite3_step(look) == SQLITE_ROW;
    if (look)
        sqlite3_reset(look);
    return store->has_lineage;
}

/* --- rows that are no removals -------------------------------------------------------------------- */

enum store_result first_state(store_t *store, int64_t series, int64_t from_us, int64_t to_us, int64_t *at)
{
    struct sample sample;
    enum store_result result;
    samples_t *samples = samples_open(store, series, from_us, to_us, false);
    if (!samples)
        return STORE_TROUBLE;
    do {
        result = samples_next(samples, &sample);
    } while (result == STORE_OK && sample.kind == SAMPLE_REMOVED);
    samples_close(&samples);
    *at = result == STORE_OK ? sample.at : 0;
    return result;
}

/* --- the moments of a name ------------------------------------------------------------------------- */

struct passage { int64_t id; enum lineage_kind kind; int64_t until; /* 0: its moment is exact */ struct name other; };

static enum store_result find_moment(store_t *store, enum statement which, struct slice name, int64_t at, int64_t *moment)
{
    sqlite3_stmt *find = statement(store, which);
    if (!find)
        return STORE_TROUBLE;
    bind_bytes(find, 1, name);
    sqlite3_bind_int64(find, 2, at);
    if (sqlite3_step(find) != SQLITE_ROW)
        return trouble(store, "cannot read the lineage");
    *moment = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    return STORE_OK;
}

enum store_result moment_before(store_t *store, struct slice name, int64_t at, int64_t *moment)
{
    return find_moment(store, LINEAGE_BELOW, name, at, moment);
}

/* STORE_MISSING: there is none at that moment. */
static enum store_result find_passage(store_t *store, enum statement which, struct slice name, int64_t at, struct passage *to)
{
    sqlite3_stmt *find = statement(store, which);
    if (!find)
        return STORE_TROUBLE;
    bind_bytes(find, 1, name);
    sqlite3_bind_int64(find, 2, at);
    int rc = sqlite3_step(find);
    if (rc == SQLITE_ROW)
        *to = (struct passage){ sqlite3_column_int64(find, 0), (enum lineage_kind)sqlite3_column_int(find, 1),
            sqlite3_column_int64(find, 3), name_of(column_bytes(find, 2)) };
    sqlite3_reset(find);
    return rc == SQLITE_ROW ? STORE_OK : rc == SQLITE_DONE ? STORE_MISSING : trouble(store, "cannot read the lineage");
}

/* --- when a rename took effect ----------------------------------------------------------------------- */

/* The old name's state goes with the rename: that moment, near the event. */
static enum store_result find_removal(store_t *store, int64_t series, int64_t low, int64_t high, int64_t at, int64_t *moment)
{
    struct sample sample;
    int64_t before = 0, after = 0;
    enum store_result result;
    samples_t *samples = samples_open(store, series, low, high, false);
    if (!samples)
        return STORE_TROUBLE;
    while (after == 0 && (result = samples_next(samples, &sample)) == STORE_OK) {
        if (sample.kind == SAMPLE_REMOVED && sample.at >= at)
            after = sample.at;
        else if (sample.at < at)
            before = sample.kind == SAMPLE_REMOVED ? sample.at : 0;
    }
    samples_close(&samples);
    *moment = after ? after : before ? before : at;
    return after || result == STORE_MISSING ? STORE_OK : result;
}

/* Nobody else took the old name: what a history that does not follow renames tells of the gap under it is the device's still. */
static enum store_result find_last_state(store_t *store, int64_t series, int64_t at, int64_t until, int64_t *moment)
{
    struct sample sample;
    enum store_result result;
    samples_t *samples = samples_open(store, series, at, until, false);
    if (!samples)
        return STORE_TROUBLE;
    while ((result = samples_next(samples, &sample)) == STORE_OK)
        if (sample.kind != SAMPLE_REMOVED)
            *moment = sample.at + 1;
    samples_close(&samples);
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result effective(store_t *store, const struct name *before, int64_t at, const struct passage *passage, int64_t *moment)
{
    struct passage other;
    int64_t low, high;
    const struct series *series = series_by_name(store, true, name_slice(before));
    *moment = at;
    if (passage->kind != LINEAGE_RENAME || !series)
        return STORE_OK;
    enum store_result result = find_moment(store, LINEAGE_BELOW, name_slice(before), at, &low);
    if (result == STORE_OK)
        result = find_moment(store, LINEAGE_ABOVE, name_slice(before), at, &high);
    if (result != STORE_OK)
        return result;
    if (passage->until) {
        result = find_passage(store, LINEAGE_INTO, name_slice(before), at, &other); /* exchanged */
        return result == STORE_MISSING ? find_last_state(store, series->id, at, high < passage->until ? high : passage->until, moment) : result;
    }
    low = low > at - RENAME_US ? low : at - RENAME_US;
    high = high < at + RENAME_US ? high : at + RENAME_US;
    return find_removal(store, series->id, low, high, at, moment);
}

/* --- a thing and its tenures --------------------------------------------------------------------------- */

void thing_free(struct thing *thing)
{
    free(thing->items);
    *thing = (struct thing){ 0 };
}

static int add_tenure(struct thing *thing, const struct tenure *tenure)
{
    if (thing->count == TENURES_MAX)
        return -1;
    if (thing->count == thing->room) {
        thing->room = thing->room ? thing->room * 2 : 4;
        thing->items = realloc(thing->items, thing->room * sizeof *thing->items);
        assert(thing->items);
    }
    thing->items[thing->count++] = *tenure;
    return 0;
}

/* Whether the name that gave way has come to stand for something else that nobody announced. */
static enum store_result is_taken_again(store_t *store, const struct tenure *tenure, const struct passage *out, bool *taken)
{
    int64_t moment, at;
    const struct series *series = series_by_name(store, true, name_slice(&tenure->name));
    *taken = false;
    if (out->kind == LINEAGE_MERGE || !series)
        return STORE_OK; /* who said that they are one meant all of it */
    enum store_result result = effective(store, &tenure->name, tenure->from, out, &moment);
    if (result == STORE_OK)
        result = first_state(store, series->id, moment, tenure->to, &at);
    *taken = result == STORE_OK;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* The tenure of the one that has the name, or had it last. */
static enum store_result find_current(store_t *store, struct tenure *tenure)
{
    tenure->to = FOREVER_US;
    for (;;) {
        struct passage into, out;
        bool taken;
        enum store_result result = find_moment(store, LINEAGE_BELOW, name_slice(&tenure->name), tenure->to, &tenure->from);
        if (result != STORE_OK || tenure->from == 0)
            return result;
        result = find_passage(store, LINEAGE_INTO, name_slice(&tenure->name), tenure->from, &into);
        if (result != STORE_MISSING)
            return result;
        result = find_passage(store, LINEAGE_OUT, name_slice(&tenure->name), tenure->from, &out);
        if (result == STORE_OK)
            result = is_taken_again(store, tenure, &out, &taken);
        if (result != STORE_OK || taken)
            return result;
        tenure->to = tenure->from;
    }
}

static enum store_result find_tenure(store_t *store, int64_t at, struct tenure *tenure)
{
    if (at == FOREVER_US)
        return find_current(store, tenure);
    enum store_result result = find_moment(store, LINEAGE_BELOW, name_slice(&tenure->name), at + 1, &tenure->from);
    return result == STORE_OK ? find_moment(store, LINEAGE_ABOVE, name_slice(&tenure->name), at, &tenure->to) : result;
}

/* From this tenure back to the first, which comes last. */
static enum store_result walk_back(store_t *store, struct tenure tenure, struct thing *thing)
{
    for (;;) {
        struct passage into = { 0 };
        enum store_result result = tenure.from == 0 ? STORE_MISSING : find_passage(store, LINEAGE_INTO, name_slice(&tenure.name), tenure.from, &into);
        if (result == STORE_TROUBLE || result == STORE_LATE)
            return result;
        tenure.begins = result == STORE_OK ? into.id : 0;
        if (add_tenure(thing, &tenure) != 0 || into.other.size == 0)
            return STORE_OK;
        tenure = (struct tenure){ .name = into.other, .to = tenure.from, .ends = into.id };
        result = find_moment(store, LINEAGE_BELOW, name_slice(&tenure.name), tenure.to, &tenure.from);
        if (result != STORE_OK)
            return result;
    }
}

static void turn_round(struct thing *thing)
{
    for (size_t i = 0; i < thing->count / 2; i++) {
        struct tenure other = thing->items[i];
        thing->items[i] = thing->items[thing->count - 1 - i];
        thing->items[thing->count - 1 - i] = other;
    }
}

/* On from the last one to what it passed on to. */
static enum store_result walk_on(store_t *store, struct thing *thing)
{
    for (;;) {
        struct passage out;
        struct tenure *last = &thing->items[thing->count - 1];
        enum store_result result = last->to == FOREVER_US ? STORE_MISSING : find_passage(store, LINEAGE_OUT, name_slice(&last->name), last->to, &out);
        if (result != STORE_OK)
            return result == STORE_MISSING ? STORE_OK : result;
        last->ends = out.id;
        struct tenure next = { .name = out.other, .from = last->to, .begins = out.id };
        result = find_moment(store, LINEAGE_ABOVE, name_slice(&next.name), next.from, &next.to);
        if (result != STORE_OK || add_tenure(thing, &next) != 0)
            return result;
    }
}

enum store_result thing_of(store_t *store, struct slice name, int64_t at, struct thing *thing)
{
    struct tenure tenure = { .name = name_of(name), .to = FOREVER_US };
    *thing = (struct thing){ 0 };
    enum store_result result = lineage_is_there(store) ? find_tenure(store, at, &tenure) : STORE_OK;
    if (result == STORE_OK && lineage_is_there(store))
        result = walk_back(store, tenure, thing);
    else if (result == STORE_OK)
        add_tenure(thing, &tenure);
    turn_round(thing);
    if (result == STORE_OK && lineage_is_there(store))
        result = walk_on(store, thing);
    if (result != STORE_OK)
        thing_free(thing);
    return result;
}

const struct tenure *thing_at(const struct thing *thing, int64_t at)
{
    for (size_t i = 0; i < thing->count; i++)
        if (thing->items[i].from <= at && at < thing->items[i].to)
            return &thing->items[i];
    return NULL;
}

/* --- spans ---------------------------------------------------------------------------------------------- */

/* The first one begins after what the name was before has gone, where nobody said when it was taken again. */
static enum store_result sharpen_begin(store_t *store, struct tenure *first)
{
    struct passage out;
    int64_t moment;
    if (first->from == 0 || first->begins > 0)
        return STORE_OK;
    enum store_result result = find_passage(store, LINEAGE_OUT, name_slice(&first->name), first->from, &out);
    if (result == STORE_OK)
        result = effective(store, &first->name, first->from, &out, &moment);
    if (result == STORE_OK && moment != first->from && moment + 1 < first->to)
        first->from = moment + 1;
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Each ends where the next one begins: when the rename took effect. */
static enum store_result sharpen(store_t *store, struct thing *thing)
{
    enum store_result begun = thing->count > 0 ? sharpen_begin(store, &thing->items[0]) : STORE_OK;
    if (begun != STORE_OK)
        return begun;
    for (size_t i = 0; i + 1 < thing->count; i++) {
        struct tenure *one = &thing->items[i], *next = one + 1;
        struct passage passage;
        int64_t moment;
        enum store_result result = find_passage(store, LINEAGE_OUT, name_slice(&one->name), one->to, &passage);
        if (result == STORE_OK)
            result = effective(store, &one->name, one->to, &passage, &moment);
        if (result != STORE_OK)
            return result;
        if (moment > next->to)
            moment = next->to;
        one->to = next->from = moment > one->from ? moment : one->from;
    }
    return STORE_OK;
}

enum store_result lineage_history(store_t *store, struct slice name, bool by_role, int64_t at, struct thing *thing)
{
    struct tenure whole = { .name = name_of(name), .to = FOREVER_US };
    *thing = (struct thing){ 0 };
    if (name.size > NAME_BYTES)
        return STORE_MISSING;
    enum store_result result = STORE_OK;
    if (by_role)
        add_tenure(thing, &whole);
    else
        result = thing_of(store, name, at, thing);
    if (result == STORE_OK)
        result = sharpen(store, thing);
    bool is_known = result == STORE_OK && (thing->count > 1 || series_by_name(store, true, name) != NULL);
    if (!is_known)
        thing_free(thing);
    return result == STORE_OK && !is_known ? STORE_MISSING : result;
}

static bool is_inside(const store_t *store)
{
    return store->db && !sqlite3_get_autocommit(store->db);
}

/* Inside a read or on its own. */
static enum store_result read_history(store_t *store, struct slice name, bool by_role, int64_t at, struct thing *thing)
{
    bool empty = false, inside = is_inside(store);
    enum store_result result = inside ? STORE_OK : read_begin(store, &empty);
    if (result != STORE_OK || empty)
        return result == STORE_OK ? STORE_MISSING : result;
    result = lineage_history(store, name, by_role, at, thing);
    if (!inside)
        read_end(store);
    return result;
}

enum store_result store_lineage(store_t *store, struct slice entity_id, bool by_role, lineage_fn *span, void *owner)
{
    struct thing thing;
    enum store_result result = read_history(store, entity_id, by_role, FOREVER_US, &thing);
    for (size_t i = 0; result == STORE_OK && i < thing.count; i++) {
        const struct tenure *t = &thing.items[i];
        const struct series *series = series_by_name(store, true, name_slice(&t->name));
        if (series && t->from < t->to && span(owner, &(struct lineage_span){ series->id, t->from, t->to }) != 0)
            break;
    }
    if (result == STORE_OK)
        thing_free(&thing);
    return result;
}
