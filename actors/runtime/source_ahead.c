/* source_ahead.c - forecasts as series: what was forecast a day before, stored when its time has come.
 *
 * A slot is set aside when it is a day off, out of the forecast that was made last before that, and
 * becomes states at its beginning: `_weather.temperature_c_forecast_24h` lies under `_weather.temperature_c`,
 * and the store has nothing of times to come. What is set aside is kept on the disk. A slot that no other one follows ends as `unavailable`. */
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
    if (count > 0 && (size_t)count <= self->ahead.count) {
        memcpy(self->ahead_told, slot_of(self, &self->ahead, (size_t)count - 1), self->slot_schema->size);
        self->has_ahead_told = true;
    }
    drop_first(self, (size_t)count < self->ahead.count ? (size_t)count : self->ahead.count);
    kept_save(self);
    actor_wake(actor, 0);
}

/* --- what nothing follows ------------------------------------------------------------------------------------- */

/* When the last one that was told ends; -1: not, for another one begins there. */
static int64_t end_of_told(const struct source *self)
{
    int64_t to_us = source_time_of(self->slot_schema, self->ahead_told, "to"), from_us = source_time_of(self->slot_schema, self->ahead_told, "from");
    int64_t now_us = actor_now_us(self->actor);
    if (self->is_leaving)
        return to_us <= now_us ? to_us : now_us > from_us ? now_us : from_us + 1;
    return self->ahead.count == 0 || from_of(self, &self->ahead, 0) > to_us ? to_us : -1;
}

static void on_ended(struct self *owner, actor_t *actor, int64_t tag, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    (void)tag;
    self->is_ending_ahead = false;
    if (answer->verdict != OK && answer->verdict != UNPROCESSABLE) {
        actor_after(actor, AGAIN_MS, on_again, 0);
        return;
    }
    self->stats->stored += answer->verdict == OK ? reply->events : 0;
    self->has_ahead_told = false;
    self->saved_us = 0;
    kept_save(self);
    actor_wake(actor, 0);
}

static void tell_end(struct source *self, int64_t at_us)
{
    struct series_row row = { self->slot_schema, self->ahead_told, suffix, true };
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    if (series_put(self, &row, at_us, &frame) > 0) {
        msgpack_sbuffer_write(&frame, "]", 1);
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->is_ending_ahead = true;
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_ended, 0);
    } else {
        self->has_ahead_told = false;
    }
    msgpack_sbuffer_destroy(&frame);
}

/* --- what is due ------------------------------------------------------------------------------------------------ */

/* ms until the first that is left is due. */
static int due_ms(const struct source *self)
{
    int64_t left_us = from_of(self, &self->ahead, 0) - actor_now_us(self->actor);
    return left_us <= 0 ? 1 : left_us < INT64_C(3600000000) ? (int)(left_us / 1000) + 1 : 3600000;
}

/* Those that are due, up to a hole: what comes before it ends first. */
static size_t put_due(const struct source *self, msgpack_sbuffer *frame)
{
    int64_t to_us = -1;
    size_t count = 0;
    for (; count < self->ahead.count && count < AT_ONCE && from_of(self, &self->ahead, count) <= actor_now_us(self->actor); count++) {
        struct series_row row = { self->slot_schema, slot_of(self, &self->ahead, count), suffix, false };
        if (to_us >= 0 && from_of(self, &self->ahead, count) > to_us)
            break;
        series_put(self, &row, from_of(self, &self->ahead, count), frame);
        to_us = source_time_of(self->slot_schema, row.row, "to");
    }
    return count;
}

static void tell_due(struct source *self)
{
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    size_t count = put_due(self, &frame);
    if (frame.size > 0) {
        msgpack_sbuffer_write(&frame, "]", 1);
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->telling = count;
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_told, (int64_t)count);
    } else {
        drop_first(self, count);
    }
    msgpack_sbuffer_destroy(&frame);
}

int ahead_store(struct source *self)
{
    int64_t end_us = self->has_ahead_told && !self->telling ? end_of_told(self) : -1, left_us = end_us - actor_now_us(self->actor);
    if (self->telling || self->is_ending_ahead)
        return -1;
    if (end_us >= 0 && left_us <= 0)
        tell_end(self, end_us);
    else if (self->ahead.count > 0 && !self->is_leaving)
        tell_due(self);
    if (self->telling || self->is_ending_ahead || self->is_leaving)
        return -1;
    int begin_ms = self->ahead.count > 0 ? due_ms(self) : -1, end_ms = left_us < 0 ? -1 : left_us < INT64_C(3600000000) ? (int)(left_us / 1000) + 1 : 3600000;
    return end_us < 0 || end_ms < 0 || (begin_ms >= 0 && begin_ms < end_ms) ? begin_ms : end_ms;
}
