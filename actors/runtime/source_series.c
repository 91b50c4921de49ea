/* source_series.c - a reading as states of entities of its own, on the way that all events take.
 *
 * Each FIELD member becomes `_<source>.<member>`: Home Assistant has no entity whose domain begins
 * with an underscore. The states go to ingest as a frame (ingest.again), which appends it to the
 * capture log before it answers: from there on a kill loses nothing, they are in the sum of
 * conservation, and they are typed, stored and rolled up like all others. The context is made of
 * the reading itself, so that one that is handed over twice is stored once.
 *
 * No value goes on for ever: what the series hold ends as `unavailable` when the reading is stale, of what the next one does not
 * tell any more, and when the source is switched off or asks for something else. */
#include "source_inside.h"
#include "row.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* What was unavailable in between is told once more. */
static int64_t fingerprint(const struct source *self)
{
    int64_t as_of_us = source_as_of(self->reading), print = print_of(self->schema, self->reading, as_of_us);
    return as_of_us > self->ended_us ? print : (int64_t)(mix((uint64_t)print, &self->ended_us, sizeof self->ended_us) >> 1) | 1;
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
    const void *row = self->has_reading ? self->reading : self->told;
    bool is_price = f->unit && f->unit[0] == '/';
    if (!f->unit || (is_price && (!currency || !row_is_set(currency, row))))
        return;
    snprintf(unit, sizeof unit, "%.8s%s", is_price ? (const char *)row_in(currency, row) : "", f->unit);
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

int64_t series_put(const struct source *self, const struct series_row *row, int64_t at_us, msgpack_sbuffer *frame)
{
    struct telling telling = { .suffix = row->suffix };
    char text[STATE_BYTES] = "unavailable";
    int64_t count = 0;
    time_text(at_us, telling.when);
    source_context(at_us, print_of(row->schema, row->row, at_us) ^ (row->is_over ? 2 : 0), telling.context);
    for (const struct field *f = row->schema->fields; f < row->schema->fields + row->schema->count; f++)
        if (is_series(f, row->row)) {
            if (!row->is_over)
                state_of(f, row->row, text, sizeof text);
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
    return !was_told || !source_spec.is_live || !self->is_sure || strcmp(text, told) != 0;
}

static int64_t put_frame(const struct source *self, int64_t at_us, int64_t print, msgpack_sbuffer *to)
{
    struct telling telling = { .suffix = "" };
    char text[STATE_BYTES];
    int64_t count = 0;
    time_text(at_us, telling.when);
    source_context(at_us, print, telling.context);
    for (const struct field *f = self->schema->fields; f < self->schema->fields + self->schema->count; f++)
        if (tell_member(self, f, text)) {
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
    series_tell(source_of(owner));
}

/* They say what the reading does. */
static void note_told(struct source *self, int64_t print, const void *row)
{
    self->stored = print;
    self->has_told = self->is_sure = true;
    self->is_old = false;
    memcpy(self->told, row, self->schema->size);
}

static bool is_taken(struct source *self, const struct answer *answer, const struct again_reply *reply)
{
    if (answer->verdict == OK)
        self->stats->stored += reply->events;
    else if (answer->verdict == UNPROCESSABLE)
        actor_error(self->actor, "ingest cannot read a reading: %s", answer->fault.why ? answer->fault.why : "");
    return answer->verdict == OK || answer->verdict == UNPROCESSABLE;
}

/* It may have been taken, and the answer was lost. */
static void note_perhaps(struct source *self)
{
    if (!self->has_told)
        memcpy(self->told, self->to_tell, self->schema->size);
    self->has_told = true;
    self->is_sure = false;
}

static void on_stored(struct self *owner, actor_t *actor, int64_t print, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    self->storing = 0;
    if (is_taken(self, answer, reply)) {
        note_told(self, print, self->to_tell);
        kept_save(self);
    } else {
        note_perhaps(self);
    }
    if (self->has_reading && fingerprint(self) != print && answer->verdict != OK) {
        self->stats->not_stored++;
        actor_warn(actor, "a reading is in no series: ingest could not be given it before the next one came");
    }
    if (answer->verdict != OK)
        actor_after(actor, AGAIN_MS, on_again, 0);
    else
        actor_wake(actor, 0); /* series_tick() tells the rest in time */
}

/* As of what moment: a slot that became known when the one before it had ended follows that one. */
static int64_t moment_of(const struct source *self)
{
    int64_t as_of_us = source_as_of(self->reading);
    return as_of_us > self->ended_us ? as_of_us : as_of_us == self->ended_us ? as_of_us + 1 : self->fetched_us;
}

static void tell_reading(struct source *self)
{
    int64_t print = fingerprint(self);
    struct again_query query = { .has_bytes = false };
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    self->stored_us = actor_clock_us(self->actor) + 1;
    self->end_us = 0;
    if (put_frame(self, moment_of(self), print, &frame) > 0) {
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->storing = print;
        memcpy(self->to_tell, self->reading, self->schema->size);
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_stored, print);
    } else {
        note_told(self, print, self->reading); /* nothing has changed */
    }
    msgpack_sbuffer_destroy(&frame);
}

static void on_ended(struct self *owner, actor_t *actor, int64_t at_us, const struct answer *answer, const struct again_reply *reply)
{
    struct source *self = source_of(owner);
    self->storing = 0;
    if (!is_taken(self, answer, reply)) {
        actor_after(actor, AGAIN_MS, on_again, 0);
        return;
    }
    self->has_told = false;
    self->end_us = 0;
    self->ended_us = at_us;
    self->saved_us = 0;
    kept_save(self);
    actor_wake(actor, 0);
}

/* Events carry what a live source publishes, by the second: it does not go on there, either. */
static void publish_end(struct source *self, int64_t at_us)
{
    void *nothing = calloc(1, self->schema->size);
    assert(nothing);
    row_put_int(schema_field(self->schema, "as_of", 5), at_us, nothing);
    actor_publish(self->actor, source_spec.reading, nothing);
    free(nothing);
}

/* It may be taken although nobody is here any more to hear so: what is known is told again after it. */
static void note_ending(struct source *self, int64_t at_us)
{
    if (self->ended_us == at_us)
        return;
    self->ended_us = at_us;
    self->saved_us = 0;
    kept_save(self);
    if (source_spec.is_live && (self->is_leaving || !self->has_reading))
        publish_end(self, at_us);
}

/* Made of what the series hold alone: what a restart says again is stored once. */
static void tell_end(struct source *self, int64_t at_us)
{
    struct again_query query = { .has_bytes = false };
    struct series_row row = { self->schema, self->told, "", true };
    msgpack_sbuffer frame;
    msgpack_sbuffer_init(&frame);
    source_say(self);
    if (series_put(self, &row, at_us, &frame) > 0) {
        put(&frame, "]");
        SET(&query, bytes, (struct slice){ frame.data, frame.size });
        self->storing = 1;
        note_ending(self, at_us);
        ask_ingest_again(self->actor, &query, ANSWER_MS, on_ended, at_us);
    } else {
        self->has_told = false;
        self->end_us = 0;
    }
    msgpack_sbuffer_destroy(&frame);
}

/* --- when ------------------------------------------------------------------------------------------------- */

/* A reading whose moment is before what they were said to be unavailable at is told as of its answer. */
bool series_is_behind(const struct source *self)
{
    bool is_after = source_as_of(self->reading) >= self->ended_us || (self->fetched_us > self->ended_us && !source_is_stale(self));
    return !self->storing && is_after && fingerprint(self) != self->stored;
}

int64_t series_end_of(const struct source *self, const void *reading, int64_t stale_us)
{
    const int64_t unsaved_us = INT64_C(120000000); /* what the series of a live source hold may be newer than what is on the disk */
    int64_t now_us = actor_now_us(self->actor), as_of_us = source_as_of(reading), end_us = stale_us + (self->is_old ? unsaved_us : 0);
    end_us = end_us < now_us ? end_us : now_us;
    return end_us > as_of_us ? end_us : as_of_us + 1;
}

int64_t series_end(const struct source *self)
{
    return self->has_reading ? series_end_of(self, self->reading, source_stale_us(self)) : series_end_of(self, self->told, actor_now_us(self->actor));
}

/* Until the series may be told again; a reading that came too soon for them is told then, whether or not another one follows. */
static int64_t left_us(const struct source *self)
{
    int64_t left = self->stored_us + INT64_C(1000000) * self->series_s - 100000 - actor_clock_us(self->actor);
    return self->stored_us == 0 || left < 0 ? 0 : left;
}

void series_tell(struct source *self)
{
    if (self->storing)
        return;
    if (self->has_told && self->end_us)
        tell_end(self, self->end_us);
    else if (!self->has_reading)
        return;
    else if (series_is_behind(self) && (left_us(self) == 0 || source_is_stale(self)))
        tell_reading(self);
    else if (self->has_told && source_is_stale(self))
        tell_end(self, series_end(self));
}

void series_tell_soon(struct source *self)
{
    if (self->has_reading && series_is_behind(self) && !(self->has_told && self->end_us))
        tell_reading(self);
}

int series_tick(struct source *self)
{
    series_tell(self);
    if (!self->has_reading || self->storing)
        return -1;
    int64_t stale_us = source_stale_us(self) - actor_now_us(self->actor);
    if (stale_us < 0)
        return -1;
    if (series_is_behind(self) && left_us(self) < stale_us)
        stale_us = left_us(self);
    return stale_us < INT64_C(3600000000) ? (int)(stale_us / 1000) + 1 : 3600000;
}
