/* taking.c - what comes down the chain: into the transaction, as rows or as what is refused. */
#include "inside.h"
#include "lineage.h"

#include <stdio.h>
#include <string.h>

static const char canary[] = "ha_ingestor_canary";

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

int on_event(struct self *self, actor_t *actor, const struct event_full *e)
{
    struct fault fault = { "", "" };
    if (!batch_make_room(self, actor))
        return HOLD;
    enum store_result result = append(self, e, &fault);
    if (result == STORE_OK && is_canary(e))
        result = store_clear_older(self->store, e);
    if (result != STORE_BAD)
        return batch_count(self, actor, result, false, e->has_place ? e->place : -1, e->received_at);
    return batch_count(self, actor, quarantine_event(self, e, &fault), true, e->has_place ? e->place : -1, e->received_at);
}

int on_bad(struct self *self, actor_t *actor, const struct event_bad *bad)
{
    if (!batch_make_room(self, actor))
        return HOLD;
    return batch_count(self, actor, quarantine(self, bad), true, bad->has_place ? bad->place : -1, bad->received_at);
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
    return batch_count(self, actor, quarantine(self, &bad), true, row->place, row->received_at);
}

/* Statistics are no events: they are counted apart. */
int on_statistic(struct self *self, actor_t *actor, const struct statistic_row *row)
{
    struct fault fault = { "", "" };
    if (!batch_make_room(self, actor))
        return HOLD;
    enum store_result result = store_statistic(self->store, row, &fault);
    if (result == STORE_BAD)
        return quarantine_statistic(self, actor, row, &fault);
    batch_join(self, actor);
    self->batch.statistics++;
    if (result == STORE_TROUBLE)
        batch_trouble(self, actor);
    return HOLD;
}

/* What cannot be decoded goes round once more as refused bytes: it is acknowledged only when
 * those are, which is when they are committed. */
void on_poison(struct self *self, actor_t *actor, const struct contract *topic, struct slice bytes, const struct fault *fault)
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

/* One that lay in the quarantine: no message of the chain waits for it. */
enum store_result take_again(struct self *self, actor_t *actor, const struct event_full *e, struct fault *fault)
{
    enum store_result result = append(self, e, fault);
    if (result == STORE_TROUBLE || result == STORE_BAD)
        return result;
    self->stats.received++;
    batch_join(self, actor);
    self->batch.stored += result == STORE_OK;
    self->batch.duplicate += result == STORE_DUPLICATE;
    self->batch.redelivered += result == STORE_REDELIVERED;
    self->batch.filtered += result == STORE_FILTERED;
    return result;
}
