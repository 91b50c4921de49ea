/* asked.c - the sink's services: what has become of events, the quarantine given back, rules, names, what is packed. */
#include "inside.h"
#include "lineage.h"

#include <string.h>

/* --- what has become of them ------------------------------------------------------------------------ */

int on_settled(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct page *end)
{
    static const char *const names[STORE_SOURCES] = { [STORE_INGEST] = "ingest", [STORE_IMPORT] = "import" };
    struct store_totals totals;
    (void)actor, (void)query;
    store_totals(self->store, &totals);
    for (size_t source = 0; source < STORE_SOURCES; source++) {
        const int64_t *of = totals.of[source];
        struct settled_row row = { 0 };
        SET_TEXT(&row, source, names[source], strlen(names[source]));
        SET(&row, stored, of[STORE_FATE_STORED]);
        SET(&row, duplicate, of[STORE_FATE_DUPLICATE]);
        SET(&row, filtered, of[STORE_FATE_FILTERED]);
        SET(&row, thinned, of[STORE_FATE_THINNED]);
        SET(&row, quarantined, of[STORE_FATE_QUARANTINED]);
        SET(&row, redelivered, of[STORE_FATE_REDELIVERED]);
        if (row_sink_settled(rows, &row))
            return BROKEN;
    }
    SET(end, count, STORE_SOURCES);
    return OK;
}

/* --- the quarantine given back -------------------------------------------------------------------- */

static void on_taken(struct self *self, actor_t *actor, int64_t id, const struct answer *answer, const struct again_reply *reply)
{
    (void)reply;
    self->has_changed = true;
    if (replay_answered(self->replay, id, answer) == STORE_TROUBLE)
        batch_trouble(self, actor);
    else
        batch_commit(self, actor); /* also where nobody waits for the replay any more */
}

static int ask_again(struct self *self, actor_t *actor, const struct again_query *query, int deadline_ms, int64_t id)
{
    (void)self;
    return ask_ingest_again(actor, query, deadline_ms, on_taken, id);
}

const struct replay_hooks replay_hooks = { .append = take_again, .ask = ask_again };

int on_replay(struct self *self, actor_t *actor, const struct replay_query *query, struct replay_reply *reply)
{
    (void)actor, (void)reply;
    return replay_begin(self->replay, query);
}

int on_discard(struct self *self, actor_t *actor, const struct bad_id *query, struct bad_id *reply)
{
    if (replay_has_row(self->replay, query->id))
        return actor_refuse(actor, CONFLICT, "id", "is being replayed");
    enum store_result result = store_refused_drop(self->store, query->id);
    self->has_changed = true; /* also where there was none: the transaction is open */
    if (result == STORE_TROUBLE)
        batch_trouble(self, actor);
    if (result == STORE_TROUBLE || batch_commit(self, actor) != STORE_OK)
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    if (result == STORE_MISSING)
        return NOT_FOUND;
    self->stats.discarded++;
    SET(reply, id, query->id);
    return OK;
}

/* --- the user's rules ---------------------------------------------------------------------------------- */

int on_filters(struct self *self, actor_t *actor, const struct nothing *query, struct filters_view *reply)
{
    (void)actor, (void)query;
    filters_show(self->filters, reply, &self->bytes);
    if (self->filters_why[0])
        SET_TEXT(reply, why, self->filters_why, strlen(self->filters_why));
    return OK;
}

/* What came before is stored by the rules before, and committed. */
int on_set_filters(struct self *self, actor_t *actor, const struct filters_query *query, struct filters_view *reply)
{
    struct fault fault;
    size_t before = filters_rules(self->filters);
    if (batch_commit(self, actor) != STORE_OK)
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    enum store_result result = filters_set(self->filters, query->rules, actor_now_us(actor), &fault);
    if (result == STORE_BAD)
        return actor_refuse(actor, UNPROCESSABLE, fault.field, fault.why);
    if (result != STORE_OK) {
        batch_trouble(self, actor);
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    }
    self->has_unsynced = true;
    self->filters_why[0] = '\0';
    actor_info(actor, "the filters were set: %zu rules are in force, %zu were before", filters_rules(self->filters), before);
    return on_filters(self, actor, NULL, reply);
}

/* --- names ------------------------------------------------------------------------------------------ */

/* Nothing may be in the transaction that the user's word begins. */
static int begin_names(struct self *self, actor_t *actor)
{
    self->has_changed = true;
    return batch_commit(self, actor) == STORE_OK ? OK : actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
}

static int end_names(struct self *self, actor_t *actor, enum store_result result, const struct fault *fault)
{
    if (result == STORE_OK) {
        self->has_unsynced = true;
        return OK;
    }
    if (result == STORE_BAD)
        return actor_refuse(actor, BAD_REQUEST, fault->field, fault->why);
    if (result == STORE_MISSING)
        return actor_refuse(actor, NOT_FOUND, fault->field, fault->why);
    if (result == STORE_DUPLICATE)
        return actor_refuse(actor, CONFLICT, fault->field, fault->why);
    batch_trouble(self, actor);
    return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
}

int on_merge(struct self *self, actor_t *actor, const struct merge_query *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_merge(self->store, query, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

int on_split(struct self *self, actor_t *actor, const struct split_query *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_split(self->store, query, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

int on_undo(struct self *self, actor_t *actor, const struct lineage_id *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_undo(self->store, query->id, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

/* --- what is packed --------------------------------------------------------------------------------------- */

int on_store(struct self *self, actor_t *actor, const struct nothing *query, struct store_view *reply)
{
    (void)actor, (void)query;
    keeping_show(&self->keeping, self->store, reply, &self->bytes);
    return OK;
}

int on_verify(struct self *self, actor_t *actor, const struct nothing *query, struct store_view *reply)
{
    keeping_ask(&self->keeping);
    actor_wake(actor, 0);
    return on_store(self, actor, query, reply);
}
