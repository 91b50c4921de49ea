/* source_series.c - a reading as states of entities of its own, on the way that all events take.
 *
 * Each FIELD member becomes `_<source>.<member>`: Home Assistant has no entity whose domain begins
 * with an underscore. The states go to ingest as a frame (ingest.again), which appends it to the
 * capture log before it answers: from there on a kill loses nothing, they are in the sum of
 * conservation, and they are typed, stored and rolled up like all others. The context is made of
 * the reading itself, so that one that is handed over twice is stored once. */
#include "source_inside.h"
#include "row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MS = 5000, AGAIN_MS = 5000, STATE_BYTES = 400 };

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ at[i]) * UINT64_C(1099511628211);
    return hash;
}

static bool is_series(const struct field *f, const void *reading)
{
    bool is_told = row_is_set(f, reading);
    for (size_t i = 0; !is_told && i < SETTINGS_MAX && source_spec.ends[i]; i++)
        is_told = strcmp(source_spec.ends[i], f->name) == 0;
    return (f->flags & FIELD) && is_told;
}

/* A flag is a number there, so that its mean is the share of the time. */
static size_t state_of(const struct field *f, const void *reading, char *text, size_t size)
{
    if (!row_is_set(f, reading))
        return (size_t)snprintf(text, size, "unknown");
    if (f->kind == FLAG_KIND)
        return (size_t)snprintf(text, size, "%d", *(const bool *)row_in(f, reading));
    return schema_get_text(f, reading, text, size);
}

bool series_has(const struct schema *schema)
{
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (f->flags & FIELD)
            return true;
    return false;
}

/* Of what the states say, and of when. */
static int64_t print_of(const struct schema *schema, const void *row, int64_t at_us)
{
    char text[STATE_BYTES];
    uint64_t hash = mix(UINT64_C(14695981039346656037), actor_spec.name, strlen(actor_spec.name));
    hash = mix(hash, &at_us, sizeof at_us);
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (is_series(f, row)) {
            size_t size = state_of(f, row, text, sizeof text);
            hash = mix(hash, f->name, strlen(f->name));
            hash = mix(hash, text, size < sizeof text ? size : sizeof text - 1);
        }
    return (int64_t)(hash >> 1) | 1;
}

static int64_t fingerprint(const struct source *self)
{
    return print_of(self->schema, self->reading, source_as_of(self->reading));
}

/* --- the frame ------------------------------------------------------------------------------------ */

static void put(msgpack_sbuffer *to, const char *text) { msgpack_sbuffer_write(to, text, strlen(text)); }

/* A ULID: the reading's moment, and what it says. */
void source_context(int64_t as_of_us, int64_t print, char to[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    int64_t ms = as_of_us / 1000;
    for (int i = 9; i >= 0; i--, ms >>= 5)
        to[i] = digits[ms & 31];
    uint64_t rest = (uint64_t)print;
    for (int i = 10; i < 26; i++, rest = rest >> 4 | rest << 60)
        to[i] = digits[rest & 31];
    to[26] = '\0';
}

/* Money is per something: "/kWh" is of the reading's currency, and nothing where that is not known. */
static void put_unit(const struct source *self, const struct field *f, msgpack_sbuffer *to)
{
    const struct field *currency = schema_field(self->schema, "currency", 8);
    char unit[40];
    bool is_price = f->unit && f->unit[0] == '/';
    if (!f->unit || (is_price && (!currency || !row_is_set(currency, self->reading))))
        return;
    snprintf(unit, sizeof unit, "%.8s%s", is_price ? (const char *)row_in(currency, self->reading) : "", f->unit);
    put(to, "\"unit_of_measurement\":");
    json_write_text(slice_of(unit), to);
    put(to, ",");
}

/* What all states of a row have in common. */
struct telling { const char *suffix; char when[TIME_TEXT], context[27]; };

static void put_state(const struct source *self, const struct field *f, const char *text, const struct telling *t, msgpack_sbuffer *to)
{
    char entity[100];
    snprintf(entity, sizeof entity, "_%s.%s%s", actor_spec.name, f->name, t->suffix);
    put(to, "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"");
    put(to, entity);
    put(to, "\",\"old_state\":null,\"new_state\":{\"entity_id\":\"");
    put(to, entity);
    put(to, "\",\"state\":");
    json_write_text(slice_of(text), to);
    put(to, ",\"attributes\":{");
    put_unit(self, f, to);
    bool is_angle = f->unit && strcmp(f->unit, "°") == 0;
    if (f->kind != TEXT_KIND) {
        put(to, "\"state_class\":\"");
        put(to, is_angle ? "measurement_angle" : f->state_class ? f->state_class : "measurement");
        put(to, "\",");
    }
    put(to, "\"friendly_name\":");
    json_write_text(slice_of(f->doc), to);
    if (*self->provider->attribution) {
        put(to, ",\"attribution\":");
        json_write_text(slice_of(self->provider->attribution), to);
    }
    static const char *const times[] = { "},\"last_changed\":\"", "\",\"last_updated\":\"", "\",\"last_reported\":\"" };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        put(to, times[i]);
        put(to, t->when);
    }
    put(to, "\"}},\"origin\":\"LOCAL\",\"time_fired\":\"");
    put(to, t->when);
    put(to, "\",\"context\":{\"id\":\"");
    put(to, t->context);
    put(to, "\",\"parent_id\":null,\"user_id\":null}}}");
}

int64_t series_put(const struct source *self, const struct schema *schema, const void *row, const char *suffix, int64_t at_us, msgpack_sbuffer *frame)
{
    struct telling telling = { .suffix = suffix };
    char text[STATE_BYTES];
    int64_t count = 0;
    time_text(at_us, telling.when);
    source_context(at_us, print_of(schema, row, at_us), telling.context);
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++)
        if (is_series(f, row)) {
            state_of(f, row, text, sizeof text);
            put(frame, frame->size > 0 ? "," : "[");
            put_state(self, f, text, &telling, frame);
            count++;
        }
    return count;
}

/* What the series is to say of a member now; false: nothing. Of a live source that is what differs from what it holds. */
static bool tell_member(const struct source *self, const struct field *f, char text[STATE_BYTES])
{
    char told[STATE_BYTES];
    bool was_told = self->has_told && is_series(f, self->told), is_known = is_series(f, self->reading);
    if (!is_known && !was_told)
        return false;
    state_of(f, self->reading, text, STATE_BYTES);
    state_of(f, self->told, told, STATE_BYTES);
    if (!is_known)
        snprintf(text, STATE_BYTES, "unavailable");
    return !was_told || strcmp(text, told) != 0;
}

static int64_t put_frame(const struct source *self, int64_t at_us, int64_t print, bool is_lost, msgpack_sbuffer *to)
{
    struct telling telling = { .suffix = "" };
    char text[STATE_BYTES] = "unavailable";
    int64_t count = 0;
    time_text(at_us, telling.when);
    source_context(at_us, print, telling.context);
    for (const struct field *f = self->schema->fields; f < self->schema->fields + self->schema->count; f++)
        if (is_lost ? is_series(f, self->reading) : tell_member(self, f, text)) {
            put(to, count++ ? "," : "[");
            put_state(self, f, text, &telling, to);
        }
    put(to, "]");
    return count;
}

/* --- handing it over ---------------------------------------------------------------------------------- */

static void on_again(struct self *owner, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    series_store(source_of(owner));
}

static void on_stored(struct self *owner, actor_t *actor, int64_t print, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    self->storing = 0;
    if (answer->verdict == OK)
        self->stats->stored += reply->events;
    else if (answer->verdict == UNPROCESSABLE)
        actor_error(actor, "ingest cannot read a reading: %s", answer->fault.why ? answer->fault.why : "");
    if (answer->verdict == OK || answer->verdict == UNPROCESSABLE) {
        self->stored = print;
        self->has_told = source_spec.is_live;
        memcpy(self->told, self->to_tell, self->schema->size);
        kept_save(self);
    }
    int64_t now = fingerprint(self);
    if (now != print && answer->verdict != OK) {
        self->stats->not_stored++;
        actor_warn(actor, "a reading is in no series: ingest could not be given it before the next one came");
    }
    if (now != self->stored && (answer->verdict != OK || !source_spec.is_live))
        actor_after(actor, AGAIN_MS, on_again, 0);
    else if (source_spec.is_live)
        actor_wake(actor, 0); /* push_tick() tells the rest in time */
}

bool series_is_behind(const struct source *self)
{
    return !self->storing && fingerprint(self) != self->stored;
}

void series_store(struct source *self)
{
    if (!self->has_reading || self->storing)
        return;
    int64_t print = fingerprint(self);
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    if (print == self->stored)
        return;
    msgpack_sbuffer_init(&frame);
    self->stored_us = actor_clock_us(self->actor) + 1;
    if (put_frame(self, source_as_of(self->reading), print, false, &frame) > 0) {
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->storing = print;
        memcpy(self->to_tell, self->reading, self->schema->size);
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_stored, print);
    } else {
        self->stored = print; /* nothing has changed */
    }
    msgpack_sbuffer_destroy(&frame);
}

static void on_lost(struct self *owner, actor_t *actor, int64_t print, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    self->storing = 0;
    if (answer->verdict == OK) {
        self->stats->stored += reply->events;
        self->is_lost = fingerprint(self) == print;
        self->has_told = false;
    }
    actor_wake(actor, answer->verdict == OK ? 0 : AGAIN_MS);
}

/* Made of the reading alone: a restart says it again, and it is stored once. */
void series_lose(struct source *self)
{
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    if (self->storing) {
        actor_wake(self->actor, AGAIN_MS);
        return;
    }
    msgpack_sbuffer_init(&frame);
    int64_t print = fingerprint(self);
    self->is_lost = true; /* unless the answer says otherwise */
    if (put_frame(self, source_stale_us(self), print ^ 2, true, &frame) > 0) {
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->storing = print;
        self->is_lost = false;
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_lost, print);
    }
    msgpack_sbuffer_destroy(&frame);
}
