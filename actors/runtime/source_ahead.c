/* source_ahead.c - forecasts as series: what was forecast a day before, stored when its time has come.
 *
 * A slot is set aside when it is a day off, out of the forecast that was made last before that, and
 * becomes states at its beginning: `_weather.temperature_c_forecast_24h` lies under `_weather.temperature_c`,
 * and the store has nothing of times to come. What is set aside is kept on the disk. */
#include "source_inside.h"

#include <string.h>

enum { ANSWER_MS = 5000, AGAIN_MS = 5000, AT_ONCE = 100 };
static const int64_t ahead_us = INT64_C(86400000000); /* so long before */
static const int64_t older_us = INT64_C(21600000000); /* a forecast may be so much older than that */
static const char suffix[] = "_forecast_24h";

static const char *slot_of(const struct source *self, const struct slots *slots, size_t i)
{
    return slots->bytes + i * self->slot_schema->size;
}

static int64_t from_of(const struct source *self, const struct slots *slots, size_t i)
{
    return source_time_of(self->slot_schema, slot_of(self, slots, i), "from");
}

static void set_aside(struct source *self, const void *slot)
{
    void *to = slots_at(&self->ahead, self->slot_schema->size, self->ahead.count, true);
    if (to)
        memcpy(to, slot, self->slot_schema->size);
    else
        self->stats->not_stored++;
}

void ahead_keep(struct source *self)
{
    int64_t until_us = actor_now_us(self->actor) + ahead_us;
    if (!self->slot_schema || !series_has(self->slot_schema))
        return;
    if (self->ahead_until_us > until_us + ahead_us)
        self->ahead_until_us = until_us; /* the clock was set back */
    for (size_t i = 0; i < self->slots.count; i++) {
        int64_t from_us = from_of(self, &self->slots, i), before_us = from_us - ahead_us - self->fetched_us;
        if (from_us >= self->ahead_until_us && from_us < until_us && before_us >= 0 && before_us <= older_us)
            set_aside(self, slot_of(self, &self->slots, i));
    }
    if (until_us > self->ahead_until_us)
        self->ahead_until_us = until_us;
}

static void drop_first(struct source *self, size_t count)
{
    if (count == 0)
        return;
    self->ahead.count -= count;
    memmove(self->ahead.bytes, slot_of(self, &self->ahead, count), self->ahead.count * self->slot_schema->size);
}

static void on_again(struct self *owner, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    ahead_store(source_of(owner));
}

static void on_told(struct self *owner, actor_t *actor, int64_t count, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    self->telling = 0;
    if (answer->verdict != OK && answer->verdict != UNPROCESSABLE) {
        actor_after(actor, AGAIN_MS, on_again, 0);
        return;
    }
    if (answer->verdict == OK)
        self->stats->stored += reply->events;
    else
        actor_error(actor, "ingest cannot read a forecast: %s", answer->fault.why ? answer->fault.why : "");
    drop_first(self, (size_t)count < self->ahead.count ? (size_t)count : self->ahead.count);
    kept_save(self);
    actor_wake(actor, 0);
}

/* ms until the first that is left is due. */
static int due_ms(const struct source *self)
{
    int64_t left_us = from_of(self, &self->ahead, 0) - actor_now_us(self->actor);
    return left_us <= 0 ? 1 : left_us < INT64_C(3600000000) ? (int)(left_us / 1000) + 1 : 3600000;
}

int ahead_store(struct source *self)
{
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    size_t count = 0;
    if (self->telling || self->ahead.count == 0)
        return -1;
    msgpack_sbuffer_init(&frame);
    for (; count < self->ahead.count && count < AT_ONCE && from_of(self, &self->ahead, count) <= actor_now_us(self->actor); count++)
        series_put(self, self->slot_schema, slot_of(self, &self->ahead, count), suffix, from_of(self, &self->ahead, count), &frame);
    if (frame.size > 0) {
        msgpack_sbuffer_write(&frame, "]", 1);
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->telling = count;
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_told, (int64_t)count);
    } else if (count > 0) {
        drop_first(self, count);
    }
    msgpack_sbuffer_destroy(&frame);
    return self->telling || self->ahead.count == 0 ? -1 : due_ms(self);
}
