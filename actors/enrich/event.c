/* event.c - one event of Home Assistant's: read, checked, typed and joined. */
#include "event.h"

#include <string.h>

#include "event_id.h"
#include "units.h"

static const struct slice absent = { NULL, 0 };

static int refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

static bool is_null(struct json_value value)
{
    return value.kind == JSON_NOTHING || value.kind == JSON_NULL;
}

static bool is_same(struct slice one, struct slice other)
{
    return one.size == other.size && !memcmp(one.data, other.data, one.size);
}

/* A text or null: absent has no data. */
static int read_text(struct reader *r, struct json_value value, size_t max, const char *field, struct slice *to,
    struct fault *fault)
{
    *to = absent;
    if (is_null(value))
        return 0;
    if (!json_text(r->json, value, to))
        return refuse(fault, field, "not a text");
    return to->size > max ? refuse(fault, field, "too long") : 0;
}

/* Text without zone: what Home Assistant never sends is taken as UTC, and is odd. */
static int read_naive_time(struct slice text, int64_t *at_us)
{
    char copy[40];
    if (text.size >= sizeof copy)
        return -1;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 'Z';
    return time_read((struct slice){ copy, text.size + 1 }, at_us);
}

/* An event says the same time up to five times. */
static int read_time(struct reader *r, struct slice text, int64_t *at_us)
{
    for (size_t i = 0; i < sizeof r->times / sizeof *r->times; i++)
        if (text.size > 0 && is_same(text, r->times[i].text)) {
            *at_us = r->times[i].at_us;
            return 0;
        }
    if (time_read(text, at_us))
        return -1;
    r->times[1] = r->times[0];
    r->times[0].text = text;
    r->times[0].at_us = *at_us;
    return 0;
}

/* A time or null. */
struct moment { bool is_there, is_naive; int64_t at_us; };

static int read_moment(struct reader *r, struct json_value value, const char *field, struct moment *to,
    struct fault *fault)
{
    struct slice text;
    *to = (struct moment){ .is_there = false };
    if (is_null(value))
        return 0;
    if (!json_text(r->json, value, &text))
        return refuse(fault, field, "not a text");
    if (read_time(r, text, &to->at_us)) {
        if (read_naive_time(text, &to->at_us))
            return refuse(fault, field, "not a time of RFC 3339 from 1970 to 9999");
        to->is_naive = r->is_odd = true;
    }
    to->is_there = true;
    return 0;
}

/* --- the event itself ------------------------------------------------------------------- */

enum { EVENT_TYPE, EVENT_DATA, EVENT_ORIGIN, EVENT_TIME, EVENT_CONTEXT, EVENT_KEYS };
static const char *const event_keys[EVENT_KEYS] = {
    [EVENT_TYPE] = "event_type", [EVENT_DATA] = "data", [EVENT_ORIGIN] = "origin", [EVENT_TIME] = "time_fired",
    [EVENT_CONTEXT] = "context",
};
enum { CONTEXT_ID, CONTEXT_PARENT, CONTEXT_USER, CONTEXT_KEYS };
static const char *const context_keys[CONTEXT_KEYS] = {
    [CONTEXT_ID] = "id", [CONTEXT_PARENT] = "parent_id", [CONTEXT_USER] = "user_id",
};

static void put(struct slice *member, bool *has, struct slice text)
{
    *member = text;
    *has = text.data != NULL;
}

static int read_context(struct reader *r, struct json_value context, struct event_full *e, struct fault *fault)
{
    struct json_value part[CONTEXT_KEYS];
    struct slice text;
    if (is_null(context))
        return 0;
    if (context.kind != JSON_OBJECT || json_pick(r->json, context.raw, context_keys, CONTEXT_KEYS, part))
        return refuse(fault, "context", "not an object");
    if (read_text(r, part[CONTEXT_ID], 255, "context.id", &text, fault))
        return -1;
    put(&e->context_id, &e->has_context_id, text);
    if (read_text(r, part[CONTEXT_PARENT], 255, "context.parent_id", &text, fault))
        return -1;
    put(&e->context_parent_id, &e->has_context_parent_id, text);
    if (read_text(r, part[CONTEXT_USER], 255, "context.user_id", &text, fault))
        return -1;
    put(&e->context_user_id, &e->has_context_user_id, text);
    return 0;
}

/* --- states ------------------------------------------------------------------------------- */

enum { DATA_ENTITY, DATA_OLD, DATA_NEW, DATA_KEYS };
static const char *const data_keys[DATA_KEYS] = {
    [DATA_ENTITY] = "entity_id", [DATA_OLD] = "old_state", [DATA_NEW] = "new_state",
};
enum { STATE_ENTITY, STATE_STATE, STATE_CHANGED, STATE_UPDATED, STATE_REPORTED, STATE_ATTRIBUTES, STATE_KEYS };
static const char *const state_keys[STATE_KEYS] = {
    [STATE_ENTITY] = "entity_id", [STATE_STATE] = "state", [STATE_CHANGED] = "last_changed",
    [STATE_UPDATED] = "last_updated", [STATE_REPORTED] = "last_reported", [STATE_ATTRIBUTES] = "attributes",
};
enum { ATTRIBUTE_UNIT, ATTRIBUTE_CLASS, ATTRIBUTE_RESTORED, ATTRIBUTE_KEYS };
static const char *const attribute_keys[ATTRIBUTE_KEYS] = {
    [ATTRIBUTE_UNIT] = "unit_of_measurement", [ATTRIBUTE_CLASS] = "device_class",
    [ATTRIBUTE_RESTORED] = "restored",
};

static bool is_plain(struct slice text)
{
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= '0' && at[i] <= '9') || at[i] == '_'))
            return false;
    return text.size > 0;
}

/* Whatever has a dot is an entity id; one that Home Assistant would not make is odd. */
static int read_entity_id(struct reader *r, struct json_value value, struct event_full *e, struct fault *fault)
{
    struct slice id;
    if (read_text(r, value, 1024, "data.entity_id", &id, fault))
        return -1;
    const char *text = id.data, *dot = id.size ? memchr(text, '.', id.size) : NULL;
    if (!dot)
        return refuse(fault, "data.entity_id", id.data ? "has no dot" : "missing");
    struct slice domain = { text, (size_t)(dot - text) };
    if (domain.size > 255)
        return refuse(fault, "data.entity_id", "domain too long");
    if (!is_plain(domain) || !is_plain((struct slice){ dot + 1, id.size - domain.size - 1 }))
        r->is_odd = true;
    SET(e, entity_id, id);
    SET(e, domain, domain);
    return 0;
}

/* A state's own entity_id, where it has one, is the event's. */
static int check_entity_id(struct reader *r, struct json_value value, const char *field, const struct event_full *e,
    struct fault *fault)
{
    struct slice id;
    if (is_null(value))
        return 0;
    if (!json_text(r->json, value, &id) || !is_same(id, e->entity_id))
        return refuse(fault, field, "is not the event's entity_id");
    return 0;
}

/* Home Assistant's own mark of a state that it took over from before its start. */
static bool is_restored(struct reader *r, struct json_value attributes)
{
    struct json_value part[ATTRIBUTE_KEYS];
    return attributes.kind == JSON_OBJECT && memmem(attributes.raw.data, attributes.raw.size, "\"restored\"", 10)
        && json_pick(r->json, attributes.raw, attribute_keys, ATTRIBUTE_KEYS, part) == 0
        && part[ATTRIBUTE_RESTORED].kind == JSON_TRUE;
}

struct old { bool is_there, is_restored; struct moment changed; };

static int read_old(struct reader *r, struct json_value state, struct event_full *e, struct old *old,
    struct fault *fault)
{
    struct json_value part[STATE_KEYS];
    struct slice text;
    *old = (struct old){ .is_there = false };
    if (is_null(state))
        return 0;
    if (state.kind != JSON_OBJECT || json_pick(r->json, state.raw, state_keys, STATE_KEYS, part))
        return refuse(fault, "data.old_state", "not an object");
    if (check_entity_id(r, part[STATE_ENTITY], "data.old_state.entity_id", e, fault) ||
        read_text(r, part[STATE_STATE], MAX_STATE, "data.old_state.state", &text, fault))
        return -1;
    put(&e->old_state, &e->has_old_state, text);
    struct fault ignored; /* it is not stored: a duration that cannot be told is absent */
    old->is_there = true; /* of the old state no more is stored */
    old->is_restored = is_restored(r, part[STATE_ATTRIBUTES]);
    if (read_moment(r, part[STATE_CHANGED], "", &old->changed, &ignored) || !text.data)
        r->is_odd = true;
    return 0;
}

static int read_new_times(struct reader *r, const struct json_value part[], struct event_full *e,
    struct moment *changed, struct fault *fault)
{
    struct moment updated, reported;
    if (read_moment(r, part[STATE_CHANGED], "data.new_state.last_changed", changed, fault) ||
        read_moment(r, part[STATE_UPDATED], "data.new_state.last_updated", &updated, fault) ||
        read_moment(r, part[STATE_REPORTED], "data.new_state.last_reported", &reported, fault))
        return -1;
    if (!changed->is_there || !updated.is_there)
        r->is_odd = true;
    if (changed->is_there)
        SET(e, last_changed, changed->at_us);
    if (updated.is_there)
        SET(e, last_updated, updated.at_us);
    if (reported.is_there)
        SET(e, last_reported, reported.at_us);
    return 0;
}

/* A unit or device class that is no short text stays in the attributes alone. */
static struct slice short_text(struct reader *r, struct json_value value)
{
    struct slice text;
    if (is_null(value))
        return absent;
    if (json_text(r->json, value, &text) && text.size <= 255)
        return text;
    r->is_odd = true;
    return absent;
}

static int read_attributes(struct reader *r, struct json_value attributes, struct event_full *e, struct fault *fault)
{
    struct json_value part[ATTRIBUTE_KEYS];
    if (is_null(attributes)) {
        r->is_odd = true;
        return 0;
    }
    if (attributes.kind != JSON_OBJECT || json_pick(r->json, attributes.raw, attribute_keys, ATTRIBUTE_KEYS, part))
        return refuse(fault, "data.new_state.attributes", "not an object");
    SET(e, attributes, attributes.raw);
    put(&e->unit, &e->has_unit, short_text(r, part[ATTRIBUTE_UNIT]));
    put(&e->device_class, &e->has_device_class, short_text(r, part[ATTRIBUTE_CLASS]));
    if (part[ATTRIBUTE_RESTORED].kind == JSON_TRUE)
        SET(e, restored, true);
    return 0;
}

static int read_new(struct reader *r, struct json_value state, struct event_full *e, struct moment *changed,
    struct fault *fault)
{
    struct json_value part[STATE_KEYS];
    struct slice text;
    *changed = (struct moment){ .is_there = false };
    if (state.kind == JSON_NULL)
        return 0;
    if (state.kind == JSON_NOTHING)
        return refuse(fault, "data.new_state", "missing");
    if (state.kind != JSON_OBJECT || json_pick(r->json, state.raw, state_keys, STATE_KEYS, part))
        return refuse(fault, "data.new_state", "not an object");
    if (part[STATE_STATE].kind == JSON_NULL)
        return refuse(fault, "data.new_state.state", "not a text");
    if (check_entity_id(r, part[STATE_ENTITY], "data.new_state.entity_id", e, fault) ||
        read_text(r, part[STATE_STATE], MAX_STATE, "data.new_state.state", &text, fault))
        return -1;
    if (!text.data)
        return refuse(fault, "data.new_state.state", "missing");
    SET(e, state, text);
    return read_new_times(r, part, e, changed, fault) ? -1 : read_attributes(r, part[STATE_ATTRIBUTES], e, fault);
}

/* --- what follows from it ------------------------------------------------------------------ */

static void set_change(struct event_full *e, const struct old *old, const struct moment *changed)
{
    bool both = e->has_state && e->has_old_state;
    SET(e, changed, !both ? e->has_state || e->has_old_state : !is_same(e->state, e->old_state));
    if (!e->changed || !old->is_there || !old->changed.is_there || !changed->is_there ||
        old->changed.is_naive != changed->is_naive)
        return;
    int64_t lasted_us = changed->at_us - old->changed.at_us;
    if (lasted_us >= 0)
        SET(e, duration_in_state_s, (double)lasted_us / 1e6);
}

/* Of what came live we know whether Home Assistant was starting; of a backfilled state only its marks tell. */
static void set_restored(struct event_full *e, const struct old *old, bool is_live, bool is_starting)
{
    if (!e->has_state)
        return;
    bool restored = e->has_restored || old->is_restored || (is_live && is_starting && !old->is_there);
    e->has_restored = restored || is_live;
    e->restored = restored;
}

static void set_value(struct reader *r, struct event_full *e)
{
    value_read(e->domain, e->state, &r->value);
    if (!r->value.json.size)
        return;
    SET(e, value, r->value.json);
    const struct unit *unit = r->value.is_number && e->has_unit ? unit_find(e->unit) : NULL;
    if (!unit)
        return;
    double canonical = unit_convert(unit, value_number(&r->value));
    if (canonical < -1e308 || canonical > 1e308)
        return;
    SET(e, canonical_value, canonical);
    SET(e, canonical_unit, slice_of(unit->canonical));
}

static void set_registry(struct reader *r, struct event_full *e)
{
    const struct joined *j = known_join(r->known, e->entity_id, e->timestamp);
    r->is_unregistered = !j;
    if (!j)
        return;
    put(&e->device_id, &e->has_device_id, j->device_id);
    put(&e->area_id, &e->has_area_id, j->area_id);
    put(&e->area, &e->has_area, j->area);
    put(&e->integration, &e->has_integration, j->integration);
    put(&e->manufacturer, &e->has_manufacturer, j->manufacturer);
    put(&e->model, &e->has_model, j->model);
    put(&e->sw_version, &e->has_sw_version, j->sw_version);
    put(&e->labels, &e->has_labels, j->labels);
    put(&e->entity_category, &e->has_entity_category, j->entity_category);
}

/* When it happened: time_fired, but last_updated for what did not come live, where there is one. */
static int set_timestamp(struct event_full *e, bool is_live, const struct moment *fired, struct fault *fault)
{
    if (!is_live && e->has_state) {
        if (!e->has_last_updated)
            return refuse(fault, "data.new_state.last_updated", "missing");
        SET(e, timestamp, e->last_updated);
        return 0;
    }
    if (!fired->is_there)
        return refuse(fault, "time_fired", "missing");
    SET(e, timestamp, fired->at_us);
    return 0;
}

static int read_state(struct reader *r, struct json_value data, bool is_live, bool is_starting, const struct moment *fired,
    struct event_full *e, struct fault *fault)
{
    struct json_value part[DATA_KEYS];
    struct old old;
    struct moment changed;
    if (data.kind != JSON_OBJECT || json_pick(r->json, data.raw, data_keys, DATA_KEYS, part))
        return refuse(fault, "data", data.kind == JSON_NOTHING ? "missing" : "not an object");
    if (read_entity_id(r, part[DATA_ENTITY], e, fault) || read_old(r, part[DATA_OLD], e, &old, fault) ||
        read_new(r, part[DATA_NEW], e, &changed, fault) || set_timestamp(e, is_live, fired, fault))
        return -1;
    set_change(e, &old, &changed);
    set_restored(e, &old, is_live, is_starting);
    if (e->has_state)
        set_value(r, e);
    set_registry(r, e);
    return 0;
}

static int read_other(struct reader *r, struct json_value data, const struct moment *fired, struct event_full *e,
    struct fault *fault)
{
    struct json_value part[DATA_ENTITY + 1];
    struct slice id;
    if (set_timestamp(e, true, fired, fault))
        return -1;
    if (is_null(data)) {
        r->is_odd = true;
        return 0;
    }
    if (data.kind != JSON_OBJECT || json_pick(r->json, data.raw, data_keys, DATA_ENTITY + 1, part))
        return refuse(fault, "data", "not an object");
    SET(e, data, data.raw);
    if (json_text(r->json, part[DATA_ENTITY], &id) && id.size <= 1024)
        SET(e, entity_id, id);
    return 0;
}

static int read_head(struct reader *r, const struct json_value part[], struct event_full *e, struct moment *fired,
    struct fault *fault)
{
    struct slice type, origin;
    if (read_text(r, part[EVENT_TYPE], 1024, "event_type", &type, fault) ||
        read_text(r, part[EVENT_ORIGIN], 64, "origin", &origin, fault) ||
        read_moment(r, part[EVENT_TIME], "time_fired", fired, fault) ||
        read_context(r, part[EVENT_CONTEXT], e, fault))
        return -1;
    if (!type.data)
        return refuse(fault, "event_type", "missing");
    SET(e, event_type, type);
    put(&e->origin, &e->has_origin, origin);
    SET(e, is_state, is_same(type, slice_of("state_changed")));
    return 0;
}

int event_read(struct reader *r, const struct event_raw *raw, int64_t future_us, struct event_full *e,
    struct fault *fault)
{
    struct json_value root, part[EVENT_KEYS];
    struct moment fired;
    const char *why = "";
    memset(e, 0, sizeof *e);
    r->is_odd = r->is_unregistered = false;
    r->times[0].text = r->times[1].text = absent;
    if (json_read(r->json, raw->event, &root, &why))
        return refuse(fault, "event", why);
    if (root.kind != JSON_OBJECT || json_pick(r->json, root.raw, event_keys, EVENT_KEYS, part))
        return refuse(fault, "event", "not an object");
    if (read_head(r, part, e, &fired, fault))
        return -1;
    SET_TEXT(e, provenance, raw->provenance, raw->provenance_size);
    SET(e, received_at, raw->received_at);
    SET(e, place, raw->place);
    bool is_live = is_same((struct slice){ raw->provenance, raw->provenance_size }, slice_of("live"));
    if (e->is_state ? read_state(r, part[EVENT_DATA], is_live, raw->has_starting && raw->starting, &fired, e, fault)
                    : read_other(r, part[EVENT_DATA], &fired, e, fault))
        return -1;
    if (e->timestamp > future_us)
        r->is_odd = true;
    event_id_set(e);
    return 0;
}
