/* tell.c - steps on their way into the store: each is a state of an entity of its own, handed to the capture log. */
#include "tell.h"
#include "event_id.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void put(msgpack_sbuffer *to, const char *text) { msgpack_sbuffer_write(to, text, strlen(text)); }

static void put_text(msgpack_sbuffer *to, const char *key, const char *text)
{
    put(to, key);
    json_write_text(slice_of(text), to);
}

/* Tenths of a watt, hundredths of a share: as much as is known. */
static void put_number(msgpack_sbuffer *to, const char *key, double number, double parts)
{
    char text[NUMBER_TEXT + 1];
    text[number_write(round(number * parts) / parts + 0.0, text)] = '\0';
    put(to, key);
    put(to, text);
}

static void put_time(msgpack_sbuffer *to, const char *key, int64_t at_us)
{
    char text[TIME_TEXT];
    time_text(at_us, text);
    put_text(to, key, text);
}

/* A ULID: the step's moment, and whose it is. What is said of it is not in it: found again, it is the same. */
static void tell_context(const struct found *found, char to[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t ms = found->step->to_us / 1000;
    uint64_t rest = hash_bytes((uint64_t)found->step->to_us, slice_of(found->meter->entity));
    for (int i = 9; i >= 0; i--, ms >>= 5)
        to[i] = digits[ms & 31];
    for (int i = 10; i < 26; i++, rest = rest >> 5 | rest << 59)
        to[i] = digits[rest & 31];
    to[26] = '\0';
}

static void put_candidates(msgpack_sbuffer *to, const struct found *found)
{
    bool is_told[CANDIDATES] = { false };
    put(to, ",\"candidates\":[");
    for (size_t n = 0; n < found->count; n++) {
        size_t best = CANDIDATES;
        for (size_t i = 0; i < found->count; i++)
            if (!is_told[i] && (best == CANDIDATES || found->candidate[i].confidence > found->candidate[best].confidence))
                best = i;
        is_told[best] = true;
        put_text(to, n ? ",{\"entity_id\":" : "{\"entity_id\":", found->change[best]->entity);
        put_number(to, ",\"confidence\":", found->candidate[best].confidence, 100);
        put_text(to, ",\"state\":", found->change[best]->state);
        put_text(to, ",\"previous_state\":", found->change[best]->previous);
        put_time(to, ",\"changed_at\":", found->change[best]->at_us);
        if (found->candidate[best].watts > 0)
            put_number(to, ",\"watts\":", found->candidate[best].watts, 10);
        put(to, "}");
    }
    put(to, "]");
}

static void put_cause(msgpack_sbuffer *to, const struct change *c)
{
    char detail[2 * DETAIL + 8];
    put_text(to, ",\"caused_by\":", c->entity);
    put_text(to, ",\"state\":", c->state);
    put_text(to, ",\"previous_state\":", c->previous);
    put_time(to, ",\"changed_at\":", c->at_us);
    if (strcmp(c->detail, c->detail_before) == 0)
        return;
    snprintf(detail, sizeof detail, "%s > %s", c->detail_before, c->detail);
    put_text(to, ",\"detail\":", detail);
}

static void put_attributes(msgpack_sbuffer *to, const struct found *found)
{
    const struct step *step = found->step;
    put(to, ",\"attributes\":{\"unit_of_measurement\":\"W\"");
    put_text(to, ",\"meter\":", found->meter->entity);
    put_number(to, ",\"power_before_w\":", step->before_w, 10);
    put_number(to, ",\"power_after_w\":", step->after_w, 10);
    put_number(to, ",\"confidence\":", found->judgement.confidence, 100);
    put_time(to, ",\"begun_after\":", step->from_us);
    if (found->judgement.cause >= 0)
        put_cause(to, found->change[found->judgement.cause]);
    put_candidates(to, found);
    put(to, "}");
}

static void put_entity(msgpack_sbuffer *to, const char *key, const struct meter *meter)
{
    char entity[METER_ID + 20];
    int n = snprintf(entity, sizeof entity, "_energy.step_%s", meter->entity);
    for (int i = 8; i < n; i++)
        if (entity[i] == '.')
            entity[i] = '_';
    put_text(to, key, entity);
}

static void put_frame(msgpack_sbuffer *to, const struct found *found)
{
    char when[TIME_TEXT], context[27];
    time_text(found->step->to_us, when);
    tell_context(found, context);
    put_entity(to, "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":", found->meter);
    put_entity(to, ",\"old_state\":null,\"new_state\":{\"entity_id\":", found->meter);
    put_number(to, ",\"state\":\"", found->step->after_w - found->step->before_w, 10);
    put(to, "\"");
    put_attributes(to, found);
    put_text(to, ",\"last_changed\":", when);
    put_text(to, ",\"last_updated\":", when);
    put_text(to, ",\"last_reported\":", when);
    put_text(to, "}},\"origin\":\"LOCAL\",\"time_fired\":", when);
    put_text(to, ",\"context\":{\"id\":", context);
    put(to, ",\"parent_id\":null,\"user_id\":null}}}");
}

bool outbox_is_busy(const struct outbox *self)
{
    return self->count >= OUTBOX_BUSY;
}

bool outbox_put(struct outbox *self, const struct found *found)
{
    if (self->count == OUTBOX)
        return false;
    msgpack_sbuffer *frame = &self->of[self->count++];
    msgpack_sbuffer_init(frame);
    put_frame(frame, found);
    return true;
}

void outbox_drop(struct outbox *self)
{
    msgpack_sbuffer_destroy(&self->of[0]);
    memmove(self->of, self->of + 1, --self->count * sizeof *self->of);
    self->is_asked = false;
}

void outbox_clear(struct outbox *self)
{
    while (self->count > 0)
        outbox_drop(self);
}
