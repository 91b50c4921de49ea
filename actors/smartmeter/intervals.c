/* intervals.c - half hours of consumption as series, each at the time that it began.
 *
 * They go to the capture log as readings do (ingest.again). What it has been given is remembered; after a start
 * all are given once more, and stored once: the context is made of what they say. */
#include "smartmeter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 96, ANSWER_MS = 5000, AGAIN_MS = 2000, STATE_BYTES = 1200 };

static bool is_sent(const struct self *self, const struct smartmeter_slot *slot)
{
    for (size_t i = 0; i < self->sent_count; i++)
        if (self->sent[i].from == slot->from)
            return memcmp(&self->sent[i], slot, sizeof *slot) == 0;
    return false;
}

static void put_state(const struct smartmeter_slot *slot, const struct field *f, msgpack_sbuffer *to)
{
    char text[40], when[TIME_TEXT], context[27], state[STATE_BYTES], said[120];
    uint64_t hash = UINT64_C(14695981039346656037);
    schema_get_text(f, slot, text, sizeof text);
    snprintf(said, sizeof said, "%s %s", f->name, text);
    for (const char *at = said; *at; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    source_context(slot->from, (int64_t)(hash >> 1), context);
    time_text(slot->from, when);
    int size = snprintf(state, sizeof state, "%s{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"_smartmeter.%s\",\"old_state\":null,"
        "\"new_state\":{\"entity_id\":\"_smartmeter.%s\",\"state\":\"%s\",\"attributes\":{\"unit_of_measurement\":\"%s\",\"state_class\":\"measurement\",\"seconds\":%lld,"
        "\"friendly_name\":\"%s\"},\"last_changed\":\"%s\",\"last_updated\":\"%s\",\"last_reported\":\"%s\"}},\"origin\":\"LOCAL\",\"time_fired\":\"%s\","
        "\"context\":{\"id\":\"%s\",\"parent_id\":null,\"user_id\":null}}}", to->size > 1 ? "," : "", f->name, f->name, text, f->unit,
        (long long)((slot->to - slot->from) / 1000000), f->doc, when, when, when, when, context);
    assert(size > 0 && (size_t)size < sizeof state);
    msgpack_sbuffer_write(to, state, (size_t)size);
}

static void put_slot(const struct smartmeter_slot *slot, msgpack_sbuffer *to)
{
    const struct schema *schema = smartmeter_slot_schema();
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (f->unit && *(const bool *)((const char *)slot + f->has_at))
            put_state(slot, f, to);
}

/* The next ones from `at` on that are not sent, into a frame. Returns where to go on. */
static size_t put_chunk(const struct self *self, size_t at, msgpack_sbuffer *frame)
{
    msgpack_sbuffer_write(frame, "[", 1);
    for (size_t count = 0; at < self->sending_count && count < CHUNK; at++)
        if (!is_sent(self, &self->sending[at])) {
            put_slot(&self->sending[at], frame);
            count++;
        }
    bool is_empty = frame->size == 1;
    msgpack_sbuffer_write(frame, "]", 1);
    if (is_empty)
        frame->size = 0;
    return at;
}

static void send_from(struct self *, actor_t *, int64_t at);

static void on_sent(struct self *self, actor_t *actor, int64_t next, const struct answer *answer, const struct again_reply *reply)
{
    if (answer->verdict == OK)
        self->stats.stored += reply->events;
    else if (answer->verdict == UNPROCESSABLE)
        actor_error(actor, "ingest cannot read intervals: %s", answer->fault.why ? answer->fault.why : "");
    if (answer->verdict == OK || answer->verdict == UNPROCESSABLE)
        send_from(self, actor, next);
    else
        actor_after(actor, AGAIN_MS, send_from, 0); /* all of it: what has come is not stored twice */
}

static void send_from(struct self *self, actor_t *actor, int64_t at)
{
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    size_t next = put_chunk(self, (size_t)at, &frame);
    if (frame.size > 0) {
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        ask_ingest_again(actor, &query, ANSWER_MS, on_sent, (int64_t)next);
    } else {
        free(self->sent);
        self->sent = self->sending;
        self->sent_count = self->sending_count;
        self->sending = NULL;
        self->sending_count = 0;
    }
    msgpack_sbuffer_destroy(&frame);
}

void intervals_store(struct self *self, actor_t *actor, int64_t tag)
{
    size_t count;
    (void)tag;
    const struct smartmeter_slot *slots = source_slots(self->source, &count);
    if (count == 0 || self->sending)
        return;
    self->sending = malloc(count * sizeof *slots);
    assert(self->sending);
    memcpy(self->sending, slots, count * sizeof *slots);
    self->sending_count = count;
    send_from(self, actor, 0);
}
