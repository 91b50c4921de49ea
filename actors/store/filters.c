/* filters.c - the user's rules in force: every event passes here on its way into the store. */
#include "filters.h"

#include "inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* What is remembered of so many names; more are forgotten all at once, which costs a decision each. */
enum { KNOWN_MIN = 1024, KNOWN_MAX = 131072 };

struct known { uint64_t hash; char *name; uint32_t name_size; struct decision decision; struct stretch *stretch; };

/* Of a rule, or of none (the last one): committed, and joined since. */
struct tally { struct rule_count done, open; bool is_touched; };

struct filters {
    store_t *store;
    rules_t *rules;             /* NULL: everything is kept */
    int64_t set_at;
    struct known *known;
    size_t known_count, known_room;
    struct tally *tallies;      /* rules_count + 1 */
    int16_t *touched;
    size_t touched_count;
};

/* --- what is remembered ----------------------------------------------------------------------------- */

static void forget_known(struct filters *f)
{
    for (size_t i = 0; i < f->known_room; i++) {
        free(f->known[i].name);
        free(f->known[i].stretch);
    }
    free(f->known);
    f->known = NULL;
    f->known_count = f->known_room = 0;
}

static void forget_stretches(struct filters *f)
{
    for (size_t i = 0; i < f->known_room; i++)
        if (f->known[i].stretch)
            f->known[i].stretch->is_open = false;
}

static uint64_t add_hash(uint64_t hash, bool has, struct slice text)
{
    return hash_bytes(hash ^ has, has ? text : (struct slice){ "", 0 });
}

/* Everything a decision depends on. */
static uint64_t hash_of(const struct event_full *e)
{
    uint64_t hash = add_hash(e->is_state ? HASH_SEED : ~HASH_SEED, e->has_entity_id, e->entity_id);
    if (!e->is_state)
        return add_hash(hash, e->has_event_type, e->event_type);
    hash = add_hash(hash, e->has_device_id, e->device_id);
    hash = add_hash(hash, e->has_area_id, e->area_id);
    hash = add_hash(hash, e->has_integration, e->integration);
    return add_hash(hash, e->has_labels, e->labels);
}

static struct known *find(struct filters *f, uint64_t hash, struct slice name)
{
    size_t at = hash & (f->known_room - 1);
    while (f->known[at].name && (f->known[at].hash != hash || !slice_equal(name, (struct slice){ f->known[at].name, f->known[at].name_size })))
        at = (at + 1) & (f->known_room - 1);
    return &f->known[at];
}

static void grow(struct filters *f)
{
    struct known *old = f->known;
    size_t room = f->known_room;
    if (room == KNOWN_MAX) {
        forget_known(f);
        room = 0;
        old = NULL;
    }
    f->known_room = room ? 2 * room : KNOWN_MIN;
    f->known = calloc(f->known_room, sizeof *f->known);
    assert(f->known);
    for (size_t i = 0; i < room; i++)
        if (old[i].name)
            *find(f, old[i].hash, (struct slice){ old[i].name, old[i].name_size }) = old[i];
    free(old);
}

static struct known *know(struct filters *f, const struct event_full *e)
{
    struct slice name = e->is_state ? e->entity_id : e->event_type;
    if (4 * (f->known_count + 1) > 3 * f->known_room)
        grow(f);
    uint64_t hash = hash_of(e);
    struct known *known = find(f, hash, name);
    if (known->name)
        return known;
    struct event_full alive = *e; /* a removal is kept, which says nothing of what comes next */
    SET(&alive, state, (struct slice){ "", 0 });
    *known = (struct known){ .hash = hash, .name = malloc(name.size + 1), .name_size = (uint32_t)name.size,
        .decision = rules_decide(f->rules, &alive) };
    assert(known->name);
    if (name.size)
        memcpy(known->name, name.data, name.size);
    f->known_count++;
    return known;
}

/* --- counts -------------------------------------------------------------------------------------------- */

static struct rule_count *count(struct filters *f, int16_t rule)
{
    int16_t at = rule == NO_RULE ? (int16_t)rules_count(f->rules) : rule;
    struct tally *tally = &f->tallies[at];
    if (!tally->is_touched) {
        tally->is_touched = true;
        f->touched[f->touched_count++] = at;
    }
    return &tally->open;
}

enum store_result filters_join(filters_t *f)
{
    for (size_t i = 0; i < f->touched_count; i++) {
        const struct tally *tally = &f->tallies[f->touched[i]];
        sqlite3_stmt *put = store_begin(f->store) == STORE_OK ? statement(f->store, FILTER_COUNT_PUT) : NULL;
        if (!put)
            return store_abandon(f->store, NULL);
        sqlite3_bind_int64(put, 1, f->touched[i]);
        sqlite3_bind_int64(put, 2, tally->done.filtered + tally->open.filtered);
        sqlite3_bind_int64(put, 3, tally->done.thinned + tally->open.thinned);
        int rc = sqlite3_step(put);
        sqlite3_reset(put);
        if (rc != SQLITE_DONE)
            return store_abandon(f->store, "cannot count what is filtered");
    }
    return STORE_OK;
}

static void close_tallies(struct filters *f, bool is_committed)
{
    for (size_t i = 0; i < f->touched_count; i++) {
        struct tally *tally = &f->tallies[f->touched[i]];
        if (is_committed) {
            tally->done.filtered += tally->open.filtered;
            tally->done.thinned += tally->open.thinned;
        }
        tally->open = (struct rule_count){ 0 };
        tally->is_touched = false;
    }
    f->touched_count = 0;
}

void filters_committed(filters_t *f)
{
    close_tallies(f, true);
}

/* The rows that a stretch knows may be gone. */
void filters_forget(filters_t *f)
{
    close_tallies(f, false);
    forget_stretches(f);
}

/* --- events ----------------------------------------------------------------------------------------------- */

static enum store_result thin(struct filters *f, struct known *known, const struct event_full *e, int64_t *thinned)
{
    struct store_row gone[2];
    struct kept value;
    bool is_newest;
    uint64_t unit;
    value.row = store_appended(f->store, &is_newest);
    if (!is_newest)
        return STORE_OK;
    if (!known->stretch) {
        known->stretch = calloc(1, sizeof *known->stretch);
        assert(known->stretch);
    }
    if (!thin_number(e, &value.value, &unit)) {
        known->stretch->is_open = false;
        return STORE_OK;
    }
    size_t superfluous = stretch_add(known->stretch, rules_thinning(f->rules, known->decision.thin), value, unit, gone);
    for (size_t i = 0; i < superfluous; i++) {
        enum store_result result = store_take_back(f->store, &gone[i]);
        if (result == STORE_TROUBLE)
            return result;
        *thinned += result == STORE_OK;
        count(f, known->decision.thin)->thinned += result == STORE_OK;
    }
    return STORE_OK;
}

enum store_result filters_append(filters_t *f, const struct event_full *e, int64_t *thinned, struct fault *fault)
{
    *thinned = 0;
    if (!f->rules || !e->has_event_type || (e->is_state && !e->has_entity_id))
        return store_append(f->store, e, fault);
    struct known *known = know(f, e);
    if (known->decision.is_dropped && !event_is_kept(e)) {
        enum store_result settled = store_drop(f->store, e, STORE_FATE_FILTERED);
        if (settled != STORE_OK)
            return settled; /* it came before, or the disk takes nothing */
        count(f, known->decision.rule)->filtered++;
        return STORE_FILTERED;
    }
    enum store_result result = store_append(f->store, e, fault);
    return result == STORE_OK && known->decision.thin != NO_RULE ? thin(f, known, e, thinned) : result;
}

/* --- the rules -------------------------------------------------------------------------------------------- */

static void put_in_force(struct filters *f, rules_t *rules, int64_t set_at)
{
    rules_destroy(&f->rules);
    forget_known(f);
    free(f->tallies);
    free(f->touched);
    size_t count = rules ? rules_count(rules) : 0;
    f->tallies = calloc(count + 1, sizeof *f->tallies);
    f->touched = calloc(count + 1, sizeof *f->touched);
    assert(f->tallies && f->touched);
    f->touched_count = 0;
    f->set_at = set_at;
    f->rules = rules;
    if (rules && count == 0)
        rules_destroy(&f->rules);
}

static int step_once(store_t *store, sqlite3_stmt *stmt)
{
    int rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
    if (stmt) {
        sqlite3_reset(stmt);
        sqlite3_clear_bindings(stmt);
    }
    if (rc == SQLITE_DONE)
        return 0;
    trouble(store, "cannot keep the filters");
    return -1;
}

static enum store_result write_rules(struct filters *f, struct slice rules, int64_t now_us)
{
    store_t *store = f->store;
    if (store_begin(store) != STORE_OK)
        return store_abandon(store, NULL);
    sqlite3_stmt *set = statement(store, FILTER_SET);
    if (set) {
        bind_bytes(set, 1, rules);
        sqlite3_bind_int64(set, 2, now_us);
    }
    if (step_once(store, set) || step_once(store, statement(store, FILTER_COUNT_CLEAR)))
        return store_abandon(store, NULL);
    return store_commit(store);
}

enum store_result filters_set(filters_t *f, struct slice text, int64_t now_us, struct fault *fault)
{
    rules_t *rules = rules_read(text, fault);
    if (!rules)
        return STORE_BAD;
    msgpack_sbuffer canonical;
    msgpack_sbuffer_init(&canonical);
    rules_write(rules, NULL, &canonical);
    enum store_result result = write_rules(f, (struct slice){ canonical.data, canonical.size }, now_us);
    msgpack_sbuffer_destroy(&canonical);
    if (result == STORE_OK)
        put_in_force(f, rules, now_us);
    else
        rules_destroy(&rules);
    return result;
}

static void read_counts(struct filters *f)
{
    sqlite3_stmt *list = statement(f->store, FILTER_COUNT_LIST);
    int64_t most = f->rules ? (int64_t)rules_count(f->rules) : -1;
    while (list && sqlite3_step(list) == SQLITE_ROW) {
        int64_t rule = sqlite3_column_int64(list, 0);
        if (rule >= 0 && rule <= most)
            f->tallies[rule].done = (struct rule_count){ sqlite3_column_int64(list, 1), sqlite3_column_int64(list, 2) };
    }
    if (list)
        sqlite3_reset(list);
}

filters_t *filters_open(store_t *store, struct fault *fault)
{
    struct filters *f = calloc(1, sizeof *f);
    assert(f);
    f->store = store;
    *fault = (struct fault){ "", NULL };
    put_in_force(f, NULL, 0);
    sqlite3_stmt *get = statement(store, FILTER_GET);
    if (get && sqlite3_step(get) == SQLITE_ROW)
        put_in_force(f, rules_read(column_bytes(get, 0), fault), sqlite3_column_int64(get, 1));
    if (get)
        sqlite3_reset(get);
    read_counts(f);
    return f;
}

void filters_close(filters_t **filters_p)
{
    struct filters *f = *filters_p;
    if (!f)
        return;
    rules_destroy(&f->rules);
    forget_known(f);
    free(f->tallies);
    free(f->touched);
    free(f);
    *filters_p = NULL;
}

size_t filters_rules(const filters_t *f)
{
    return f->rules ? rules_count(f->rules) : 0;
}

void filters_show(const filters_t *f, struct filters_view *view, msgpack_sbuffer *pool)
{
    size_t rules = filters_rules(f);
    int64_t filtered = 0, thinned = 0;
    struct rule_count *counts = calloc(rules + 1, sizeof *counts);
    assert(counts);
    for (size_t i = 0; i <= rules; i++) {
        counts[i] = f->tallies[i].done;
        filtered += counts[i].filtered;
        thinned += counts[i].thinned;
    }
    msgpack_sbuffer_clear(pool);
    if (f->rules)
        rules_write(f->rules, counts, pool);
    else
        msgpack_sbuffer_write(pool, "[]", 2);
    SET(view, rules, (struct slice){ pool->data, pool->size });
    SET(view, filtered, filtered);
    SET(view, thinned, thinned);
    SET(view, unmatched, counts[rules].filtered);
    if (f->set_at)
        SET(view, set_at, f->set_at);
    free(counts);
}
