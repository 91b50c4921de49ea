/* batch.c - the open transaction: rows join it, it is committed, what waited for that is released, and the disk has it. */
#include "inside.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

enum {
    FAST_ROWS_MS = 25, /* so many a millisecond are a flood */
    HEARD_US = 250000  /* after a commit its acknowledgement has arrived */
};

static int64_t elapsed_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void batch_turn(struct self *self, actor_t *actor)
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
void batch_trouble(struct self *self, actor_t *actor)
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

void batch_sync(struct self *self, actor_t *actor)
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
void batch_tell_latency(struct self *self, actor_t *actor)
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
        batch_sync(self, actor);
}

enum store_result batch_commit(struct self *self, actor_t *actor)
{
    if (self->batch.rows == 0 && !self->has_changed)
        return STORE_OK;
    batch_turn(self, actor);
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
        batch_trouble(self, actor);
    return result;
}

/* --- rows ------------------------------------------------------------------------------------------ */

void batch_join(struct self *self, actor_t *actor)
{
    struct batch *batch = &self->batch;
    if (batch->rows++ == 0) {
        batch->since_us = batch->looked_us = actor_clock_us(actor);
        actor_wake(actor, (int)self->config.commit_ms);
    }
    if (batch->rows >= self->config.commit_rows)
        actor_wake(actor, 0);
}

int batch_count(struct self *self, actor_t *actor, enum store_result result, bool is_bad, int64_t place, int64_t received_at)
{
    struct batch *batch = &self->batch;
    self->stats.received++;
    batch_join(self, actor);
    if (!replay_has_place(self->replay, place)) /* how long it lay in the quarantine is no latency */
        note_received(&self->received, received_at);
    if (result == STORE_TROUBLE)
        batch_trouble(self, actor);
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

bool batch_make_room(struct self *self, actor_t *actor)
{
    batch_turn(self, actor);
    return self->batch.rows < self->config.commit_rows || batch_commit(self, actor) == STORE_OK;
}

/* --- time ------------------------------------------------------------------------------------------ */

/* A commit costs the same pages for a few rows and for many, so in a flood it waits for more;
 * a flood that ends, or that waits for acknowledgements, is noticed after commit_ms. */
bool batch_is_due(struct self *self, int64_t now)
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
