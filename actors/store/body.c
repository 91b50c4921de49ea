/* body.c - an event packed: times as differences, contexts as bytes, what repeats as a number. */
#include "body.h"
#include "inside.h"
#include "pack.h"

#include <math.h>
#include <stdlib.h>

static const char *const provenances[4] = { "live", "backfill", "snapshot", "import" };

const char *provenance_of(uint32_t flags)
{
    return provenances[flags & PROVENANCE];
}

int provenance_code(const struct event_full *e)
{
    for (int i = 0; i < 4; i++)
        if (e->provenance[0] == provenances[i][0] && slice_equal(slice_of(provenances[i]), (struct slice){ e->provenance, e->provenance_size }))
            return i;
    return -1;
}

/* The number that a JSON value says, if it says one briefly enough to be read again. */
static bool value_number(struct slice value, double *number)
{
    return value.size < 32 && number_read(value, number);
}

static bool same_real(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool duration_in_us(double seconds, int64_t *us)
{
    if (!(seconds >= 0.0 && seconds < 9e9))
        return false;
    *us = llround(seconds * 1e6);
    return same_real((double)*us / 1e6, seconds);
}

static uint32_t time_flags(bool has, int64_t time, int64_t at, uint32_t has_flag, uint32_t same_flag)
{
    return !has ? 0 : time == at ? has_flag | same_flag : has_flag;
}

static uint32_t value_flags(const struct event_full *e)
{
    uint32_t flags = 0;
    double number;
    if (e->has_value)
        flags |= HAS_VALUE | (e->has_state && slice_equal(e->value, e->state) ? VALUE_IS_STATE : 0);
    if (e->has_canonical_value) {
        flags |= HAS_CANONICAL;
        if (e->has_value && value_number(e->value, &number) && same_real(number, e->canonical_value))
            flags |= CANONICAL_IS_VALUE;
    }
    return flags;
}

static uint32_t body_flags(const struct event_full *e, int64_t at, const struct row_refs *refs)
{
    int64_t us;
    uint32_t flags = (uint32_t)provenance_code(e) & PROVENANCE;
    flags |= e->has_state ? HAS_STATE : 0;
    if (e->has_old_state)
        flags |= HAS_OLD | (e->has_state && slice_equal(e->state, e->old_state) ? OLD_IS_STATE : 0);
    flags |= time_flags(e->has_last_updated, e->last_updated, at, HAS_UPDATED, UPDATED_IS_AT);
    flags |= time_flags(e->has_last_changed, e->last_changed, at, HAS_CHANGED_AT, CHANGED_IS_AT);
    flags |= time_flags(e->has_last_reported, e->last_reported, at, HAS_REPORTED, REPORTED_IS_AT);
    flags |= e->has_attributes ? HAS_ATTRIBUTES : 0;
    if (e->has_changed)
        flags |= HAS_CHANGED | (e->changed ? IS_CHANGED : 0);
    if (e->has_duration_in_state_s)
        flags |= HAS_DURATION | (duration_in_us(e->duration_in_state_s, &us) ? DURATION_IN_US : 0);
    flags |= value_flags(e);
    flags |= refs->user ? HAS_USER : 0;
    flags |= e->has_data ? HAS_DATA : 0;
    flags |= refs->readings ? HAS_READINGS : 0;
    if (e->has_restored)
        flags |= HAS_RESTORED | (e->restored ? IS_RESTORED : 0);
    return flags;
}

/* A ULID made shortly before the event is written as the milliseconds between and its chance part. */
static enum context_form written_form(const struct context *c, int64_t at_us)
{
    int64_t late = at_us / 1000 - c->at_ms;
    return c->form == FAR_ULID && late >= 0 && late < 1 << 21 ? NEAR_ULID : c->form;
}

static void write_context(struct slice text, const struct context *c, enum context_form form, int64_t at_us, msgpack_sbuffer *out)
{
    switch (form) {
    case NO_CONTEXT:
        break;
    case NEAR_ULID:
        pack_number(out, (uint64_t)(at_us / 1000 - c->at_ms));
        pack_bytes(out, c->bytes + 6, 10);
        break;
    case FAR_ULID:
    case HEX_CONTEXT:
        pack_bytes(out, c->bytes, 16);
        break;
    case TEXT_CONTEXT:
        pack_slice(out, text);
        break;
    }
}

static void write_times(const struct event_full *e, int64_t at, uint32_t flags, msgpack_sbuffer *out)
{
    pack_signed(out, e->received_at - at);
    if ((flags & (HAS_UPDATED | UPDATED_IS_AT)) == HAS_UPDATED)
        pack_signed(out, e->last_updated - at);
    if ((flags & (HAS_CHANGED_AT | CHANGED_IS_AT)) == HAS_CHANGED_AT)
        pack_signed(out, e->last_changed - at);
    if ((flags & (HAS_REPORTED | REPORTED_IS_AT)) == HAS_REPORTED)
        pack_signed(out, e->last_reported - at);
}

static void write_values(const struct event_full *e, uint32_t flags, msgpack_sbuffer *out)
{
    int64_t us = 0;
    if (flags & DURATION_IN_US && duration_in_us(e->duration_in_state_s, &us))
        pack_number(out, (uint64_t)us);
    else if (flags & HAS_DURATION)
        pack_bytes(out, &e->duration_in_state_s, sizeof e->duration_in_state_s);
    if ((flags & (HAS_VALUE | VALUE_IS_STATE)) == HAS_VALUE)
        pack_slice(out, e->value);
    if ((flags & (HAS_CANONICAL | CANONICAL_IS_VALUE)) == HAS_CANONICAL)
        pack_bytes(out, &e->canonical_value, sizeof e->canonical_value);
}

void body_write(const struct event_full *e, int64_t at, const struct row_refs *refs, const struct row_contexts *contexts, msgpack_sbuffer *out)
{
    const struct context *context = &contexts->own, *parent = &contexts->parent;
    enum context_form context_form = written_form(context, e->timestamp), parent_form = written_form(parent, e->timestamp);
    uint32_t flags = body_flags(e, at, refs) | (uint32_t)context_form << CONTEXT_FORM | (uint32_t)parent_form << PARENT_FORM;

    uint8_t head[5] = { BODY_FORM, (uint8_t)flags, (uint8_t)(flags >> 8), (uint8_t)(flags >> 16), (uint8_t)(flags >> 24) };
    pack_bytes(out, head, sizeof head);
    pack_number(out, (uint64_t)refs->snapshot);
    if (flags & HAS_ATTRIBUTES)
        pack_number(out, (uint64_t)refs->attributes);
    if (flags & HAS_READINGS)
        pack_number(out, (uint64_t)refs->readings);
    if (flags & HAS_USER)
        pack_number(out, (uint64_t)refs->user);
    write_context(e->context_id, context, context_form, e->timestamp, out);
    write_context(e->context_parent_id, parent, parent_form, e->timestamp, out);
    write_times(e, at, flags, out);
    if (flags & HAS_STATE)
        pack_slice(out, e->state);
    if ((flags & (HAS_OLD | OLD_IS_STATE)) == HAS_OLD)
        pack_slice(out, e->old_state);
    write_values(e, flags, out);
    if (flags & HAS_DATA)
        pack_slice(out, e->data);
}

/* --- reading ----------------------------------------------------------------------------------- */

static struct slice read_context(struct unpack *in, enum context_form form, int64_t at_us, char room[CONTEXT_TEXT])
{
    struct context c = { .form = form == NEAR_ULID ? FAR_ULID : form };
    if (form == TEXT_CONTEXT)
        return unpack_slice(in);
    if (form == NEAR_ULID) {
        uint64_t made = (uint64_t)(at_us / 1000) - unpack_number(in);
        for (int i = 0; i < 6; i++)
            c.bytes[i] = (uint8_t)(made >> (40 - 8 * i));
        memcpy(c.bytes + 6, unpack_bytes(in, 10), 10);
    } else {
        memcpy(c.bytes, unpack_bytes(in, 16), 16);
    }
    return (struct slice){ room, context_text(&c, room) };
}

static void read_contexts(struct unpack *in, uint32_t flags, struct event_full *e, struct row_room *room)
{
    enum context_form context = flags >> CONTEXT_FORM & 7, parent = flags >> PARENT_FORM & 7;
    if (context > TEXT_CONTEXT || parent > TEXT_CONTEXT) {
        in->bad = true;
        return;
    }
    if (context != NO_CONTEXT)
        SET(e, context_id, read_context(in, context, e->timestamp, room->context));
    if (parent != NO_CONTEXT)
        SET(e, context_parent_id, read_context(in, parent, e->timestamp, room->parent));
}

static int64_t read_time(struct unpack *in, uint32_t flags, uint32_t same, int64_t at)
{
    return flags & same ? at : at + unpack_signed(in);
}

static void read_times(struct unpack *in, uint32_t flags, int64_t at, struct event_full *e)
{
    SET(e, received_at, at + unpack_signed(in));
    if (flags & HAS_UPDATED)
        SET(e, last_updated, read_time(in, flags, UPDATED_IS_AT, at));
    if (flags & HAS_CHANGED_AT)
        SET(e, last_changed, read_time(in, flags, CHANGED_IS_AT, at));
    if (flags & HAS_REPORTED)
        SET(e, last_reported, read_time(in, flags, REPORTED_IS_AT, at));
}

static void read_values(struct unpack *in, uint32_t flags, struct event_full *e)
{
    double number = 0.0;
    if (flags & HAS_CHANGED)
        SET(e, changed, (flags & IS_CHANGED) != 0);
    if (flags & DURATION_IN_US) {
        SET(e, duration_in_state_s, (double)unpack_number(in) / 1e6);
    } else if (flags & HAS_DURATION) {
        memcpy(&number, unpack_bytes(in, sizeof number), sizeof number);
        SET(e, duration_in_state_s, number);
    }
    if (flags & HAS_VALUE)
        SET(e, value, flags & VALUE_IS_STATE ? e->state : unpack_slice(in));
    if (!(flags & HAS_CANONICAL))
        return;
    if (!(flags & CANONICAL_IS_VALUE))
        memcpy(&number, unpack_bytes(in, sizeof number), sizeof number);
    else if (!value_number(e->value, &number))
        in->bad = true;
    SET(e, canonical_value, number);
}

int body_read(struct slice body, int64_t at, struct event_full *e, struct row_refs *refs, struct row_room *room)
{
    struct unpack in = unpack_of(body);
    const uint8_t *head = unpack_bytes(&in, 5);
    if (in.bad || head[0] != BODY_FORM)
        return -1;
    uint32_t flags = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    const char *provenance = provenance_of(flags);
    SET_TEXT(e, provenance, provenance, strlen(provenance));
    refs->snapshot = (int64_t)unpack_number(&in);
    refs->attributes = flags & HAS_ATTRIBUTES ? (int64_t)unpack_number(&in) : 0;
    refs->readings = flags & HAS_READINGS ? (int64_t)unpack_number(&in) : 0;
    refs->user = flags & HAS_USER ? (int64_t)unpack_number(&in) : 0;
    read_contexts(&in, flags, e, room);
    read_times(&in, flags, at, e);
    if (flags & HAS_STATE)
        SET(e, state, unpack_slice(&in));
    if (flags & HAS_OLD)
        SET(e, old_state, flags & OLD_IS_STATE ? e->state : unpack_slice(&in));
    read_values(&in, flags, e);
    if (flags & HAS_RESTORED)
        SET(e, restored, (flags & IS_RESTORED) != 0);
    if (flags & HAS_DATA)
        SET(e, data, unpack_slice(&in));
    return in.bad ? -1 : 0;
}

static void skip_context(struct unpack *in, enum context_form form)
{
    if (form == NEAR_ULID)
        unpack_number(in);
    if (form == TEXT_CONTEXT)
        unpack_slice(in);
    else if (form != NO_CONTEXT)
        unpack_bytes(in, form == NEAR_ULID ? 10 : 16);
}

static bool is_written(uint32_t flags, uint32_t has, uint32_t same)
{
    return (flags & (has | same)) == has;
}

/* What stands before the state is passed over, and what comes after it is not looked at. */
int body_state(struct slice body, struct row_state *row)
{
    struct unpack in = unpack_of(body);
    const uint8_t *head = unpack_bytes(&in, 5);
    if (in.bad || head[0] != BODY_FORM)
        return -1;
    uint32_t flags = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    *row = (struct row_state){ .has_state = flags & HAS_STATE, .snapshot = (int64_t)unpack_number(&in) };
    if (flags & HAS_ATTRIBUTES)
        row->attributes = (int64_t)unpack_number(&in);
    if (flags & HAS_READINGS)
        unpack_number(&in);
    if (flags & HAS_USER)
        unpack_number(&in);
    skip_context(&in, flags >> CONTEXT_FORM & 7);
    skip_context(&in, flags >> PARENT_FORM & 7);
    unpack_number(&in);
    if (is_written(flags, HAS_UPDATED, UPDATED_IS_AT))
        unpack_number(&in);
    if (is_written(flags, HAS_CHANGED_AT, CHANGED_IS_AT))
        unpack_number(&in);
    if (is_written(flags, HAS_REPORTED, REPORTED_IS_AT))
        unpack_number(&in);
    if (row->has_state)
        row->state = unpack_slice(&in);
    return in.bad ? -1 : 0;
}

bool state_is_none(struct slice state)
{
    return state.size == 0 || slice_equal(state, slice_of("unavailable")) || slice_equal(state, slice_of("unknown"));
}

/* --- what many rows share ------------------------------------------------------------------------- */

struct part { size_t at, has; };
#define PART(member) { offsetof(struct event_full, member), offsetof(struct event_full, has_##member) }

/* New ones are added at the end: a shorter list, written before, reads as absent there. */
static const struct part snapshot_parts[] = {
    PART(event_type), PART(origin), PART(domain), PART(entity_id), PART(device_id), PART(area_id), PART(area),
    PART(integration), PART(device_class), PART(manufacturer), PART(model), PART(sw_version), PART(labels),
    PART(entity_category), PART(unit), PART(canonical_unit),
};
#undef PART

static bool part_of(const struct event_full *e, const struct part *part, struct slice *text)
{
    const char *base = (const char *)e;
    *text = *(const struct slice *)(const void *)(base + part->at);
    return *(const bool *)(base + part->has);
}

static void write_part(bool has, struct slice text, msgpack_sbuffer *out)
{
    pack_number(out, has ? text.size + 1 : 0);
    if (has)
        pack_bytes(out, text.data, text.size);
}

static int read_parts(struct slice bytes, const struct part *parts, size_t count, struct event_full *e)
{
    struct unpack in = unpack_of(bytes);
    for (size_t i = 0; i < count && in.at < in.end; i++) {
        size_t size = (size_t)unpack_number(&in);
        if (size == 0)
            continue;
        char *base = (char *)e;
        *(bool *)(base + parts[i].has) = true;
        *(struct slice *)(void *)(base + parts[i].at) = (struct slice){ unpack_bytes(&in, size - 1), size - 1 };
    }
    return in.bad ? -1 : 0;
}

/* A state's entity is its series' name already, and its domain is as good as always what the name says. */
static bool shared_part(const struct event_full *e, const struct part *part, struct slice *text)
{
    bool has = part_of(e, part, text);
    if (!e->is_state || !has)
        return has;
    if (part->at == offsetof(struct event_full, entity_id))
        return false;
    if (part->at == offsetof(struct event_full, domain) && slice_equal(*text, name_domain(e->entity_id)))
        text->size = 0;
    return true;
}

void snapshot_write(const struct event_full *e, msgpack_sbuffer *out)
{
    for (size_t i = 0; i < sizeof snapshot_parts / sizeof *snapshot_parts; i++) {
        struct slice text;
        write_part(shared_part(e, &snapshot_parts[i], &text), text, out);
    }
}

bool snapshot_is(const struct event_full *e, struct slice written)
{
    struct unpack in = unpack_of(written);
    for (size_t i = 0; i < sizeof snapshot_parts / sizeof *snapshot_parts; i++) {
        struct slice text;
        size_t size = shared_part(e, &snapshot_parts[i], &text) ? text.size + 1 : 0;
        if (in.at == in.end || unpack_number(&in) != size)
            return false;
        if (size > 1 && ((size_t)(in.end - in.at) < size - 1 || memcmp(in.at, text.data, size - 1) != 0))
            return false;
        in.at += size > 1 ? size - 1 : 0;
    }
    return in.at == in.end;
}

int snapshot_read(struct slice bytes, struct event_full *e)
{
    int rc = read_parts(bytes, snapshot_parts, sizeof snapshot_parts / sizeof *snapshot_parts, e);
    if (e->is_state && e->has_domain && e->domain.size == 0)
        e->domain = name_domain(e->entity_id);
    return rc;
}
