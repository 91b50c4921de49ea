/* sink.c - the store's one writer: what comes is appended, committed, and only then acknowledged. */
#include "inside.h"
#include "rolling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SYNCS = 2 /* in sync_ms: in time for the capture log, which then has nothing to sync */ };

/* --- what others say ------------------------------------------------------------------------------ */

static int on_kept(struct self *self, actor_t *actor, const struct ingest_kept *kept)
{
    (void)actor;
    self->kept = kept->place;
    return OK;
}

static void on_acked(struct self *self, actor_t *actor, const struct contract *topic, uint64_t first, uint64_t last)
{
    (void)actor;
    if (topic == &event_raw_contract)
        replay_acked(self->replay, first, last);
}

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
        batch_trouble(self, actor);
        return AGAIN_MS;
    }
    self->has_changed = true; /* also where nothing was noted: the transaction is open */
    return batch_commit(self, actor) == STORE_OK ? -1 : AGAIN_MS;
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
        batch_commit(self, actor);
    return self->batch.rows == 0 && !self->has_changed && !self->is_failing;
}

void sink_joined(struct self *self, actor_t *actor, enum store_result result)
{
    self->has_changed = true;
    if (result == STORE_OK)
        batch_commit(self, actor);
    else
        batch_trouble(self, actor);
}

/* --- time ------------------------------------------------------------------------------------------ */

static int step_replay(struct self *self, actor_t *actor)
{
    if (!replay_is_busy(self->replay))
        return -1;
    self->has_changed = true;
    if (replay_step(self->replay) == STORE_TROUBLE)
        batch_trouble(self, actor);
    else if (batch_commit(self, actor) == STORE_OK)
        return replay_tell(self->replay);
    return -1;
}

/* Only where nothing waits to be committed. */
static int keep(struct self *self, actor_t *actor)
{
    if (self->batch.rows > 0 || self->has_changed || self->is_failing || replay_is_busy(self->replay))
        return -1;
    return keeping_step(&self->keeping, actor, self->store, &self->config, &self->stats);
}

static int until(int64_t due_us, int64_t now_us)
{
    return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int tick(struct self *self, actor_t *actor)
{
    int64_t now = actor_clock_us(actor);
    int64_t commit_us = self->config.commit_ms * 1000, sync_us = actor_suite(actor)->sync_ms * 1000 / SYNCS;
    if (batch_is_due(self, now))
        batch_commit(self, actor);
    int names_in = note_names(self, actor);
    int replay_in = step_replay(self, actor);
    SET(&self->stats, replayed, replay_count(self->replay));
    if (self->sync == SYNC_INTERVAL && self->has_unsynced && now - self->synced_us >= sync_us) {
        batch_sync(self, actor);
        SET(&self->stats, store_bytes, store_bytes(self->store));
    }
    int keep_in = keep(self, actor);
    int commit_in = self->batch.rows > 0 ? until(self->batch.looked_us + commit_us, now) : -1;
    int sync_in = self->sync == SYNC_INTERVAL && self->has_unsynced ? until(self->synced_us + sync_us, now) : -1;
    return sooner(sooner(names_in, replay_in), sooner(keep_in, sooner(commit_in, sync_in)));
}

static enum health tell_damage(const struct self *self, char *why, size_t size)
{
    const struct keeping *k = &self->keeping;
    int64_t count = k->bad > 0 ? k->bad : k->bad_sets > 0 ? k->bad_sets : k->bad_words;
    if (count == 0)
        return HEALTHY;
    snprintf(why, size, "%lld %s are damaged: GET /api/v1/store names them", (long long)count,
             k->bad > 0 ? "chunks of old rows" : k->bad_sets > 0 ? "attribute sets" : "snapshots, readings or users");
    return DEGRADED;
}

static enum health health(struct self *self, actor_t *actor, char *why, size_t size)
{
    batch_tell_latency(self, actor);
    if (self->is_failing)
        snprintf(why, size, "nothing can be stored: %s", store_why(self->store));
    else if (self->is_sync_failing)
        snprintf(why, size, "what is stored cannot be synced to the disk: %s", store_why(self->store));
    else if (self->batch.rows > 0 && actor_clock_us(actor) - self->batch.since_us > STUCK_US)
        snprintf(why, size, "nothing has been committed for %d s", STUCK_US / 1000000);
    else
        return tell_damage(self, why, size);
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
    if (store_set_plain(self->store, self->config.sql_rollups) != STORE_OK) {
        actor_error(actor, "sink.sql_rollups: %s", store_why(self->store));
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
    if (batch_commit(self, actor) == STORE_OK && self->sync == SYNC_INTERVAL && self->has_unsynced)
        batch_sync(self, actor);
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
