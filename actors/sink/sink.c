/* sink.c - the store's one writer: what comes is appended, committed, and only then acknowledged. */
#include "actor.h"
#include "filters.h"
#include "keeping.h"
#include "latency.h"
#include "lineage.h"
#include "names.h"
#include "replay.h"
#include "store.h"
#include "upkeep.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    AGAIN_MS = 500,
    STUCK_US = 10000000,
    FAST_ROWS_MS = 25,  /* so many a millisecond are a flood */
    SYNCS = 2,          /* in sync_ms: in time for the capture log, which then has nothing to sync */
    HEARD_US = 250000   /* after a commit its acknowledgement has arrived */
};
enum sync { SYNC_ALWAYS, SYNC_INTERVAL, SYNC_NEVER };

/* Rows that joined the open transaction; how many there were when it was last looked whether they come fast. */
struct batch { int64_t rows, stored, duplicate, redelivered, quarantined, filtered, thinned, statistics, since_us, looked_us, looked_rows; };

/* When the rows of the batch were received. */
struct times { int64_t *us; size_t count, room; };

static const char canary[] = "ha_ingestor_canary";

struct self {
    struct sink_config config;
    struct sink_stats stats;
    store_t *store;
    enum sync sync;
    struct batch batch;
    struct times received;
    struct latency latency;
    replay_t *replay;
    upkeep_t *upkeep;
    filters_t *filters;
    struct keeping keeping;
    names_t *names;
    char filters_why[240];  /* why those that the store has are not in force */
    bool has_changed;       /* something but an event joined the transaction */
    bool is_failing, has_unsynced, is_sync_failing;
    int64_t synced_us;      /* on the clock: when the last sync began */
    int64_t committed_us;   /* ... and the last commit ended */
    int64_t kept, forgotten; /* how far back the capture log goes; below this its places are forgotten */
    int64_t turn_us, turn_begun_us; /* the actor's clock stands still while rows are handed over: since when */
    msgpack_sbuffer bytes;
};

static int64_t elapsed_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void note_turn(struct self *self, actor_t *actor)
{
    if (self->turn_us == actor_clock_us(actor) && self->turn_begun_us)
        return;
    self->turn_us = actor_clock_us(actor);
    self->turn_begun_us = elapsed_us();
}

static void note_received(struct times *times, int64_t us)
{
    if (times->count == times->room) {
        times->room = times->room ? times->room * 2 : 256;
        times->us = realloc(times->us, times->room * sizeof *times->us);
        assert(times->us);
    }
    times->us[times->count++] = us;
}

/* --- the world failed ------------------------------------------------------------------------ */

/* Everything held comes again: nothing of it has been acknowledged. */
static void on_trouble(struct self *self, actor_t *actor)
{
    self->stats.failures++;
    self->stats.received -= self->batch.rows - self->batch.statistics;
    if (!self->is_failing)
        actor_error(actor, "nothing can be stored, trying again until it can: %s", store_why(self->store));
    self->is_failing = true;
    self->batch = (struct batch){ 0 };
    self->received.count = 0;
    self->has_changed = false;
    actor_again(actor, AGAIN_MS);
    filters_forget(self->filters);
    names_forget(self->names);
    replay_forget(self->replay);
}

/* --- on the disk ------------------------------------------------------------------------------- */

static void sync_store(struct self *self, actor_t *actor)
{
    struct store_synced synced;
    schema_clear(store_synced_schema(), &synced);
    SET(&synced, at, actor_now_us(actor));
    self->synced_us = actor_clock_us(actor);
    if (self->sync == SYNC_INTERVAL && store_sync(self->store) != STORE_OK) {
        if (!self->is_sync_failing)
            actor_error(actor, "cannot sync, trying again until it can: %s", store_why(self->store));
        self->is_sync_failing = true;
        return; /* there is something new still */
    }
    if (self->is_sync_failing)
        actor_info(actor, "the store can be synced again");
    self->is_sync_failing = false;
    /* Whoever waits for a sync later than his acknowledgement may not have had it yet: once more. */
    self->has_unsynced = self->synced_us - self->committed_us < HEARD_US;
    self->stats.syncs++;
    publish_store_synced(actor, &synced);
}

static void measure(struct self *self, actor_t *actor)
{
    int64_t now = actor_now_us(actor) + elapsed_us() - self->turn_begun_us, last = 0;
    for (size_t i = 0; i < self->received.count; i++) {
        last = now - self->received.us[i];
        latency_add(&self->latency, last);
    }
    self->received.count = 0;
    latency_turn(&self->latency, actor_clock_us(actor));
    SET(&self->stats, last_latency_us, last > 0 ? last : 0);
}

/* Before they are told: what was fast a minute ago says nothing about now. */
static void tell_latency(struct self *self, actor_t *actor)
{
    int64_t p50, p99;
    latency_turn(&self->latency, actor_clock_us(actor));
    self->stats.has_latency_p50_us = self->stats.has_latency_p99_us = false;
    if (latency_tell(&self->latency, 50, &p50) && latency_tell(&self->latency, 99, &p99)) {
        SET(&self->stats, latency_p50_us, p50);
        SET(&self->stats, latency_p99_us, p99);
    }
}

static void after_commit(struct self *self, actor_t *actor)
{
    int64_t now = actor_now_us(actor);
    self->stats.commits++;
    self->stats.stored += self->batch.stored;
    self->stats.duplicate += self->batch.duplicate;
    self->stats.redelivered += self->batch.redelivered;
    self->stats.quarantined += self->batch.quarantined;
    self->stats.statistics += self->batch.statistics;
    self->stats.filtered += self->batch.filtered;
    self->stats.thinned += self->batch.thinned;
    filters_committed(self->filters);
    names_committed(self->names);
    SET(&self->stats, last_commit_at, now);
    measure(self, actor);
    if (self->is_failing)
        actor_info(actor, "the store takes rows again");
    self->is_failing = self->has_changed = false;
    self->batch = (struct batch){ 0 };
    actor_release(actor);
    self->committed_us = actor_clock_us(actor);
    self->has_unsynced = true;
    if (self->sync == SYNC_ALWAYS)
        sync_store(self, actor);
}

static enum store_result commit(struct self *self, actor_t *actor)
{
    if (self->batch.rows == 0 && !self->has_changed)
        return STORE_OK;
    note_turn(self, actor);
    enum store_result result = filters_join(self->filters);
    if (result == STORE_OK && self->kept > self->forgotten)
        result = store_forget_places(self->store, self->kept);
    if (result == STORE_OK)
        result = store_commit(self->store);
    if (result == STORE_OK)
        self->forgotten = self->kept;
    if (result == STORE_OK)
        after_commit(self, actor);
    else
        on_trouble(self, actor);
    return result;
}

/* --- in ------------------------------------------------------------------------------------------ */

/* One more row of the open transaction. */
static void join(struct self *self, actor_t *actor)
{
    struct batch *batch = &self->batch;
    if (batch->rows++ == 0) {
        batch->since_us = batch->looked_us = actor_clock_us(actor);
        actor_wake(actor, (int)self->config.commit_ms);
    }
    if (batch->rows >= self->config.commit_rows)
        actor_wake(actor, 0);
}

static int count_row(struct self *self, actor_t *actor, enum store_result result, bool is_bad, int64_t place, int64_t received_at)
{
    struct batch *batch = &self->batch;
    self->stats.received++;
    join(self, actor);
    if (!replay_has_place(self->replay, place)) /* how long it lay in the quarantine is no latency */
        note_received(&self->received, received_at);
    if (result == STORE_TROUBLE)
        on_trouble(self, actor);
    else if (result == STORE_DUPLICATE)
        batch->duplicate++;
    else if (result == STORE_REDELIVERED)
        batch->redelivered++;
    else if (result == STORE_FILTERED)
        batch->filtered++;
    else if (is_bad)
        batch->quarantined++;
    else
        batch->stored++;
    return HOLD;
}

/* A commit inside a handler would release all but the message at hand; so it is made before. */
static bool make_room(struct self *self, actor_t *actor)
{
    note_turn(self, actor);
    return self->batch.rows < self->config.commit_rows || commit(self, actor) == STORE_OK;
}

static enum store_result quarantine(struct self *self, const struct event_bad *bad)
{
    enum store_result result = store_quarantine(self->store, bad);
    return result == STORE_TROUBLE || replay_refused(self->replay, bad) == STORE_TROUBLE ? STORE_TROUBLE : result;
}

static enum store_result quarantine_event(struct self *self, const struct event_full *e, const struct fault *fault)
{
    struct event_bad bad;
    struct fault broken;
    msgpack_sbuffer_clear(&self->bytes);
    schema_clear(event_bad_schema(), &bad);
    if (event_full_encode(e, &self->bytes, &broken) == 0)
        SET(&bad, bytes, (struct slice){ self->bytes.data, self->bytes.size });
    SET_TEXT(&bad, stage, "sink", 4);
    SET_TEXT(&bad, field, fault->field, strlen(fault->field));
    SET_TEXT(&bad, why, fault->why, strlen(fault->why));
    SET(&bad, place, e->place);
    SET(&bad, received_at, e->received_at);
    SET_TEXT(&bad, provenance, e->provenance, e->provenance_size);
    return quarantine(self, &bad);
}

/* What monitor sends through the chain to see that it holds: only the newest is kept. */
static bool is_canary(const struct event_full *e)
{
    return !e->is_state && e->event_type.size == sizeof canary - 1 && memcmp(e->event_type.data, canary, sizeof canary - 1) == 0;
}

static enum store_result append(struct self *self, const struct event_full *e, struct fault *fault)
{
    int64_t thinned;
    bool is_told;
    if (store_is_told(self->store, e, &is_told) == STORE_TROUBLE)
        return STORE_TROUBLE;
    if (is_told) {
        enum store_result dropped = store_drop(self->store, e, STORE_FATE_DUPLICATE);
        return dropped == STORE_OK ? STORE_DUPLICATE : dropped;
    }
    enum store_result result = filters_append(self->filters, e, &thinned, fault);
    self->batch.thinned += thinned;
    if (result != STORE_TROUBLE && result != STORE_BAD && store_note_event(self->store, e) == STORE_TROUBLE)
        return STORE_TROUBLE;
    return result;
}

static int on_event(struct self *self, actor_t *actor, const struct event_full *e)
{
    struct fault fault = { "", "" };
    if (!make_room(self, actor))
        return HOLD;
    enum store_result result = append(self, e, &fault);
    if (result == STORE_OK && is_canary(e))
        result = store_clear_older(self->store, e);
    if (result != STORE_BAD)
        return count_row(self, actor, result, false, e->has_place ? e->place : -1, e->received_at);
    return count_row(self, actor, quarantine_event(self, e, &fault), true, e->has_place ? e->place : -1, e->received_at);
}

static int on_bad(struct self *self, actor_t *actor, const struct event_bad *bad)
{
    if (!make_room(self, actor))
        return HOLD;
    return count_row(self, actor, quarantine(self, bad), true, bad->has_place ? bad->place : -1, bad->received_at);
}

static int quarantine_statistic(struct self *self, actor_t *actor, const struct statistic_row *row, const struct fault *fault)
{
    struct event_bad bad;
    msgpack_sbuffer_clear(&self->bytes);
    schema_clear(event_bad_schema(), &bad);
    schema_json(statistic_row_schema(), row, &self->bytes);
    SET(&bad, bytes, (struct slice){ self->bytes.data, self->bytes.size });
    SET_TEXT(&bad, stage, "sink", 4);
    SET_TEXT(&bad, field, fault->field, strlen(fault->field));
    SET_TEXT(&bad, why, fault->why, strlen(fault->why));
    SET(&bad, place, row->place);
    SET_TEXT(&bad, provenance, "import", 6);
    SET(&bad, received_at, row->received_at);
    return count_row(self, actor, quarantine(self, &bad), true, row->place, row->received_at);
}

/* Statistics are no events: they are counted apart. */
static int on_statistic(struct self *self, actor_t *actor, const struct statistic_row *row)
{
    struct fault fault = { "", "" };
    if (!make_room(self, actor))
        return HOLD;
    enum store_result result = store_statistic(self->store, row, &fault);
    if (result == STORE_BAD)
        return quarantine_statistic(self, actor, row, &fault);
    join(self, actor);
    self->batch.statistics++;
    if (result == STORE_TROUBLE)
        on_trouble(self, actor);
    return HOLD;
}

/* What cannot be decoded goes round once more as refused bytes: it is acknowledged only when
 * those are, which is when they are committed. */
static void on_poison(struct self *self, actor_t *actor, const struct contract *topic, struct slice bytes, const struct fault *fault)
{
    struct event_bad bad;
    char why[240];
    (void)self;
    schema_clear(event_bad_schema(), &bad);
    int size = snprintf(why, sizeof why, "%s: %s", topic->subject, fault->why ? fault->why : "cannot be decoded");
    SET(&bad, bytes, bytes);
    SET_TEXT(&bad, stage, "sink", 4);
    if (fault->field)
        SET_TEXT(&bad, field, fault->field, strlen(fault->field));
    SET_TEXT(&bad, why, why, size < (int)sizeof why ? (size_t)size : sizeof why - 1);
    SET(&bad, received_at, actor_now_us(actor));
    publish_event_bad(actor, &bad);
}

/* --- what has become of them ------------------------------------------------------------------------ */

static int on_settled(struct self *self, actor_t *actor, const struct nothing *query, rows_t *rows, struct page *end)
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

static int on_kept(struct self *self, actor_t *actor, const struct ingest_kept *kept)
{
    (void)actor;
    self->kept = kept->place;
    return OK;
}

/* --- the quarantine given back -------------------------------------------------------------------- */

static enum store_result append_again(struct self *self, actor_t *actor, const struct event_full *e, struct fault *fault)
{
    enum store_result result = append(self, e, fault);
    if (result == STORE_TROUBLE || result == STORE_BAD)
        return result;
    self->stats.received++;
    join(self, actor);
    self->batch.stored += result == STORE_OK;
    self->batch.duplicate += result == STORE_DUPLICATE;
    self->batch.redelivered += result == STORE_REDELIVERED;
    self->batch.filtered += result == STORE_FILTERED;
    return result;
}

static void on_taken(struct self *self, actor_t *actor, int64_t id, const struct answer *answer, const struct again_reply *reply)
{
    (void)reply;
    self->has_changed = true;
    if (replay_answered(self->replay, id, answer) == STORE_TROUBLE)
        on_trouble(self, actor);
    else
        commit(self, actor); /* also where nobody waits for the replay any more */
}

static int ask_again(struct self *self, actor_t *actor, const struct again_query *query, int deadline_ms, int64_t id)
{
    (void)self;
    return ask_ingest_again(actor, query, deadline_ms, on_taken, id);
}

static const struct replay_hooks replay_hooks = { .append = append_again, .ask = ask_again };

static int on_replay(struct self *self, actor_t *actor, const struct replay_query *query, struct replay_reply *reply)
{
    (void)actor, (void)reply;
    return replay_begin(self->replay, query);
}

static int on_discard(struct self *self, actor_t *actor, const struct bad_id *query, struct bad_id *reply)
{
    if (replay_has_row(self->replay, query->id))
        return actor_refuse(actor, CONFLICT, "id", "is being replayed");
    enum store_result result = store_refused_drop(self->store, query->id);
    if (result == STORE_MISSING)
        return NOT_FOUND;
    self->has_changed = true;
    if (result == STORE_TROUBLE)
        on_trouble(self, actor);
    if (result == STORE_TROUBLE || commit(self, actor) != STORE_OK)
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    self->stats.discarded++;
    SET(reply, id, query->id);
    return OK;
}

static int step_replay(struct self *self, actor_t *actor)
{
    if (!replay_is_busy(self->replay))
        return -1;
    self->has_changed = true;
    if (replay_step(self->replay) == STORE_TROUBLE)
        on_trouble(self, actor);
    else if (commit(self, actor) == STORE_OK)
        return replay_tell(self->replay);
    return -1;
}

static void on_acked(struct self *self, actor_t *actor, const struct contract *topic, uint64_t first, uint64_t last)
{
    (void)actor;
    if (topic == &event_raw_contract)
        replay_acked(self->replay, first, last);
}

/* --- the user's rules ---------------------------------------------------------------------------------- */

static int on_filters(struct self *self, actor_t *actor, const struct nothing *query, struct filters_view *reply)
{
    (void)actor, (void)query;
    filters_show(self->filters, reply, &self->bytes);
    if (self->filters_why[0])
        SET_TEXT(reply, why, self->filters_why, strlen(self->filters_why));
    return OK;
}

/* What came before is stored by the rules before, and committed. */
static int on_set_filters(struct self *self, actor_t *actor, const struct filters_query *query, struct filters_view *reply)
{
    struct fault fault;
    size_t before = filters_rules(self->filters);
    if (commit(self, actor) != STORE_OK)
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    enum store_result result = filters_set(self->filters, query->rules, actor_now_us(actor), &fault);
    if (result == STORE_BAD)
        return actor_refuse(actor, UNPROCESSABLE, fault.field, fault.why);
    if (result != STORE_OK) {
        on_trouble(self, actor);
        return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
    }
    self->has_unsynced = true;
    self->filters_why[0] = '\0';
    actor_info(actor, "the filters were set: %zu rules are in force, %zu were before", filters_rules(self->filters), before);
    return on_filters(self, actor, NULL, reply);
}

/* --- names ------------------------------------------------------------------------------------------ */

static int on_session(struct self *self, actor_t *actor, const struct ingest_session *session)
{
    (void)actor;
    names_session(self->names, session);
    upkeep_session(self->upkeep, session);
    return OK;
}

static int on_entity(struct self *self, actor_t *actor, const struct entity_row *row)
{
    names_entity(self->names, row);
    actor_wake(actor, 0);
    return OK;
}

/* What the registry said since the last time; ms until it is to be looked at, -1: there is nothing. */
static int note_names(struct self *self, actor_t *actor)
{
    int wait_ms = names_wait_ms(self->names, actor_clock_us(actor));
    if (wait_ms != 0)
        return wait_ms;
    if (names_join(self->names) == STORE_TROUBLE) {
        on_trouble(self, actor);
        return AGAIN_MS;
    }
    self->has_changed = true; /* also where nothing was noted: the transaction is open */
    return commit(self, actor) == STORE_OK ? -1 : AGAIN_MS;
}

/* Nothing may be in the transaction that the user's word begins. */
static int begin_names(struct self *self, actor_t *actor)
{
    self->has_changed = true;
    return commit(self, actor) == STORE_OK ? OK : actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
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
    on_trouble(self, actor);
    return actor_refuse(actor, UNAVAILABLE, "", "the store takes nothing now");
}

static int on_merge(struct self *self, actor_t *actor, const struct merge_query *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_merge(self->store, query, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

static int on_split(struct self *self, actor_t *actor, const struct split_query *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_split(self->store, query, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

static int on_undo(struct self *self, actor_t *actor, const struct lineage_id *query, struct lineage_row *reply)
{
    struct fault fault = { "", "" };
    int verdict = begin_names(self, actor);
    return verdict == OK ? end_names(self, actor, store_undo(self->store, query->id, actor_now_us(actor), reply, &fault), &fault) : verdict;
}

static void open_filters(struct self *self, actor_t *actor)
{
    struct fault fault;
    self->filters = filters_open(self->store, &fault);
    if (fault.why)
        snprintf(self->filters_why, sizeof self->filters_why, "%s %s", fault.field, fault.why);
    if (fault.why)
        actor_error(actor, "the filters that were set cannot be read, so everything is stored: %s", self->filters_why);
    else if (filters_rules(self->filters) > 0)
        actor_info(actor, "%zu filter rules are in force", filters_rules(self->filters));
}

/* --- besides ---------------------------------------------------------------------------------------- */

upkeep_t *sink_upkeep(struct self *self)
{
    return self->upkeep;
}

bool sink_may_write(struct self *self, actor_t *actor, bool is_pressing)
{
    if (self->is_failing)
        return false;
    if (is_pressing)
        commit(self, actor);
    return self->batch.rows == 0 && !self->has_changed && !self->is_failing;
}

void sink_joined(struct self *self, actor_t *actor, enum store_result result)
{
    self->has_changed = true;
    if (result == STORE_OK)
        commit(self, actor);
    else
        on_trouble(self, actor);
}

/* --- what is packed --------------------------------------------------------------------------------------- */

static int on_store(struct self *self, actor_t *actor, const struct nothing *query, struct store_view *reply)
{
    (void)actor, (void)query;
    keeping_show(&self->keeping, self->store, reply, &self->bytes);
    return OK;
}

static int on_verify(struct self *self, actor_t *actor, const struct nothing *query, struct store_view *reply)
{
    keeping_ask(&self->keeping);
    actor_wake(actor, 0);
    return on_store(self, actor, query, reply);
}

/* Only where nothing waits to be committed. */
static int keep(struct self *self, actor_t *actor)
{
    if (self->batch.rows > 0 || self->has_changed || self->is_failing || replay_is_busy(self->replay))
        return -1;
    return keeping_step(&self->keeping, actor, self->store, &self->config, &self->stats);
}

/* --- time ------------------------------------------------------------------------------------------ */

static int until(int64_t due_us, int64_t now_us)
{
    return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* A commit costs the same pages for a few rows and for many, so in a flood it waits for more;
 * a flood that ends, or that waits for acknowledgements, is noticed after commit_ms. */
static bool is_due(struct self *self, int64_t now)
{
    struct batch *batch = &self->batch;
    int64_t commit_us = self->config.commit_ms * 1000;
    if (batch->rows == 0 || batch->rows >= self->config.commit_rows)
        return batch->rows > 0;
    if (now - batch->looked_us < commit_us)
        return false;
    if (batch->rows - batch->looked_rows < FAST_ROWS_MS * self->config.commit_ms || now + commit_us - batch->since_us > self->config.busy_ms * 1000)
        return true;
    batch->looked_us = now;
    batch->looked_rows = batch->rows;
    return false;
}

static int tick(struct self *self, actor_t *actor)
{
    int64_t now = actor_clock_us(actor);
    int64_t commit_us = self->config.commit_ms * 1000, sync_us = actor_suite(actor)->sync_ms * 1000 / SYNCS;
    if (is_due(self, now))
        commit(self, actor);
    int names_in = note_names(self, actor);
    int replay_in = step_replay(self, actor);
    SET(&self->stats, replayed, replay_count(self->replay));
    if (self->sync == SYNC_INTERVAL && self->has_unsynced && now - self->synced_us >= sync_us) {
        sync_store(self, actor);
        SET(&self->stats, store_bytes, store_bytes(self->store));
    }
    int keep_in = keep(self, actor);
    int commit_in = self->batch.rows > 0 ? until(self->batch.looked_us + commit_us, now) : -1;
    int sync_in = self->sync == SYNC_INTERVAL && self->has_unsynced ? until(self->synced_us + sync_us, now) : -1;
    return sooner(sooner(names_in, replay_in), sooner(keep_in, sooner(commit_in, sync_in)));
}

static enum health tell_damage(const struct self *self, char *why, size_t size)
{
    snprintf(why, size, "%lld chunks of old rows are damaged: GET /api/v1/store names them", (long long)self->keeping.bad);
    return DEGRADED;
}

static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    tell_latency(self, actor);
    if (self->is_failing)
        snprintf(why, size, "nothing can be stored: %s", store_why(self->store));
    else if (self->is_sync_failing)
        snprintf(why, size, "what is stored cannot be synced to the disk: %s", store_why(self->store));
    else if (self->batch.rows > 0 && actor_clock_us(actor) - self->batch.since_us > STUCK_US)
        snprintf(why, size, "nothing has been committed for %d s", STUCK_US / 1000000);
    else
        return self->keeping.bad > 0 ? tell_damage(self, why, size) : HEALTHY;
    return UNHEALTHY;
}

/* --- life -------------------------------------------------------------------------------------------- */

static bool read_sync(struct self *self, const char *text)
{
    static const char *const names[] = { [SYNC_ALWAYS] = "always", [SYNC_INTERVAL] = "interval", [SYNC_NEVER] = "never" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            self->sync = (enum sync)i;
            return true;
        }
    return false;
}

static void show_counters(struct self *self)
{
    struct sink_stats *s = &self->stats;
    s->has_received = s->has_stored = s->has_duplicate = s->has_redelivered = s->has_quarantined = true;
    s->has_filtered = s->has_thinned = s->has_statistics = s->has_replayed = s->has_discarded = true;
    s->has_commits = s->has_failures = s->has_syncs = s->has_seal_steps = s->has_verified = true;
    SET(s, store_bytes, store_bytes(self->store));
}

static int open_sink(struct self *self, actor_t *actor)
{
    char path[4096];
    const char *why = "";
    msgpack_sbuffer_init(&self->bytes);
    if (!read_sync(self, actor_suite(actor)->sync)) {
        actor_error(actor, "suite.sync is none of always, interval, never");
        return 100;
    }
    if (actor_path(actor, path, sizeof path, "store.db") != 0) {
        actor_error(actor, "the data directory's path is too long");
        return 100;
    }
    struct store_options options = {
        .path = path, .writer = true, .cache_bytes = (size_t)self->config.cache_bytes, .sync_always = self->sync == SYNC_ALWAYS,
    };
    self->store = store_open(&options, &why);
    if (!self->store) {
        actor_error(actor, "cannot open the store: %s", why);
        return 111;
    }
    open_filters(self, actor);
    keeping_open(&self->keeping, self->store);
    self->names = names_new(self->store, actor_clock_us(actor));
    self->replay = replay_new(self, actor, self->store, &replay_hooks);
    self->upkeep = upkeep_new(actor, self->store, self->config.has_zone ? self->config.zone : "");
    if (!self->upkeep)
        return 100;
    show_counters(self);
    actor_resume(actor, &event_full_contract, (size_t)self->config.window_messages, (size_t)self->config.window_bytes);
    return 0;
}

static int drain(struct self *self, actor_t *actor)
{
    if (commit(self, actor) == STORE_OK && self->sync == SYNC_INTERVAL && self->has_unsynced)
        sync_store(self, actor);
    return 0;
}

static void close_sink(struct self *self, actor_t *actor)
{
    (void)actor;
    replay_destroy(&self->replay);
    upkeep_destroy(&self->upkeep);
    filters_close(&self->filters);
    names_destroy(&self->names);
    store_close(&self->store);
    free(self->received.us);
    msgpack_sbuffer_destroy(&self->bytes);
}

static const struct handler handlers[] = {
    ON(event_full, on_event),
    ON(event_bad, on_bad),
    ON(ingest_kept, on_kept),
    ANSWER(sink_settled, on_settled),
    ON(statistic_row, on_statistic),
    ON(ingest_session, on_session),
    ON(registry_entity, on_entity),
    ANSWER(sink_merge, on_merge),
    ANSWER(sink_split, on_split),
    ANSWER(sink_undo, on_undo),
    ANSWER(sink_replay, on_replay),
    ANSWER(sink_discard, on_discard),
    ANSWER(sink_filters, on_filters),
    ANSWER(sink_set_filters, on_set_filters),
    ANSWER(sink_store, on_store),
    ANSWER(sink_verify, on_verify),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "sink",
    .doc      = "Writes events to the store and acknowledges what is committed",
    .state    = sizeof(struct self),
    .config   = SECTION(config, sink_config),
    .stats    = SECTION(stats, sink_stats),
    .handlers = handlers,
    .open     = open_sink,
    .tick     = tick,
    .acked    = on_acked,
    .poison   = on_poison,
    .health   = health,
    .drain    = drain,
    .close    = close_sink,
};
