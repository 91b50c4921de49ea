/* made.c - write event messages as Home Assistant writes them. */
#include "made.h"

#include <string.h>

void made_init(struct made *self)
{
    msgpack_sbuffer_init(&self->text);
    self->events = 0;
}

void made_free(struct made *self)
{
    msgpack_sbuffer_destroy(&self->text);
    made_init(self);
}

void made_clear(struct made *self)
{
    msgpack_sbuffer_clear(&self->text);
    self->events = 0;
}

static void put(struct made *self, const char *text)
{
    msgpack_sbuffer_write(&self->text, text, strlen(text));
}

static void put_slice(struct made *self, struct slice text)
{
    if (text.size > 0)
        msgpack_sbuffer_write(&self->text, text.data, text.size);
}

static void put_time(struct made *self, const char *before, int64_t at_us)
{
    char text[TIME_TEXT];
    time_text(at_us, text);
    put(self, before);
    put(self, "\"");
    put(self, text);
    put(self, "\"");
}

static void put_head(struct made *self, struct slice entity_id)
{
    put(self, self->events++ == 0 ? "[" : ",");
    put(self, "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":");
    json_write_text(entity_id, &self->text);
    put(self, ",\"old_state\":");
}

static void put_tail(struct made *self, struct slice context, int64_t fired_us)
{
    put_time(self, "},\"origin\":null,\"time_fired\":", fired_us);
    put(self, ",\"context\":");
    put_slice(self, context.size > 0 ? context : slice_of("null"));
    put(self, "},\"id\":1}");
}

static void put_state(struct made *self, struct slice entity_id, const struct made_state *state)
{
    put(self, "{\"entity_id\":");
    json_write_text(entity_id, &self->text);
    put(self, ",\"state\":");
    put_slice(self, state->state);
    if (state->attributes.data) {
        put(self, ",\"attributes\":");
        put_slice(self, state->attributes);
    }
    if (state->changed_us > 0)
        put_time(self, ",\"last_changed\":", state->changed_us);
    if (state->updated_us > 0)
        put_time(self, ",\"last_updated\":", state->updated_us);
    put(self, "}");
}

void made_change(struct made *self, struct slice entity_id, const struct made_state *old, const struct made_state *new)
{
    put_head(self, entity_id);
    if (old)
        put_state(self, entity_id, old);
    else
        put(self, "null");
    put(self, ",\"new_state\":");
    if (new->state.data)
        put_state(self, entity_id, new);
    else
        put(self, "null");
    put_tail(self, (struct slice){ NULL, 0 }, new->updated_us);
}

void made_snapshot(struct made *self, struct slice entity_id, struct slice state, struct slice context, int64_t updated_us)
{
    put_head(self, entity_id);
    put(self, "null,\"new_state\":");
    put_slice(self, state);
    put_tail(self, context, updated_us);
}

void made_removal(struct made *self, struct slice entity_id, struct slice old_state, int64_t seen_us)
{
    made_change(self, entity_id, &(struct made_state){ .state = old_state }, &(struct made_state){ .updated_us = seen_us });
}

struct slice made_frame(struct made *self)
{
    put(self, "]");
    return (struct slice){ self->text.data, self->text.size };
}
