/* rules.c - where enrich differs from the Python system on purpose, and by which decision.
 *
 * A rule looks at the input, never at a name, and says what our outcome must be then. The
 * numbers are those of the functional specification of the Python system: D-n its defects,
 * Vn its validation, 3.2 and 9.2 the decisions taken. */
#include "golden.h"

static bool is_state(const struct vector *v)
{
    struct slice type;
    return json_text(v->json, v->type, &type) && is_text(type, "state_changed");
}

static bool is_none(struct json_value value)
{
    return value.kind == JSON_NOTHING || value.kind == JSON_NULL;
}

/* Neither absent nor a text. */
static bool is_other_type(struct json_value value)
{
    return !is_none(value) && value.kind != JSON_TEXT;
}

static bool refused(const struct outcome *o, const char *field)
{
    return o->bad && !strcmp(o->bad->field, field);
}

static bool has_entity_id(const struct vector *v)
{
    struct slice id;
    return json_text(v->json, v->entity, &id) && id.size && memchr(id.data, '.', id.size);
}

/* --- whether it is an event ------------------------------------------------------------------ */

static bool removal(const struct vector *v, const struct outcome *o)
{
    return is_state(v) && has_entity_id(v) && v->new_state.kind == JSON_NULL && o->full && !o->full->has_state &&
        !o->full->has_last_updated && o->full->changed;
}

static bool service_event(const struct vector *v, const struct outcome *o)
{
    struct slice type;
    return json_text(v->json, v->type, &type) &&
        (is_text(type, "call_service") || is_text(type, "service_registered") || is_text(type, "service_removed")) &&
        v->data.kind == JSON_OBJECT && v->domain.kind == JSON_TEXT && v->service.kind == JSON_TEXT && o->full &&
        o->full->has_data && o->full->data.size == v->data.raw.size &&
        !memcmp(o->full->data.data, v->data.raw.data, v->data.raw.size);
}

/* Of the service events the Python wants `domain` and `service` beside the type; without them
 * it refuses, where ours keeps whatever there is. */
static bool bare_service_event(const struct vector *v, const struct outcome *o)
{
    struct slice type;
    return json_text(v->json, v->type, &type) &&
        (is_text(type, "call_service") || is_text(type, "service_registered") || is_text(type, "service_removed")) &&
        o->full && !o->full->is_state;
}

static bool flat_event(const struct vector *v, const struct outcome *o)
{
    return is_state(v) && v->data.kind == JSON_NOTHING && refused(o, "data");
}

static bool state_no_text(const struct vector *v, const struct outcome *o)
{
    return is_state(v) &&
        (((is_other_type(v->new_text) || v->new_text.kind == JSON_NULL) && refused(o, "data.new_state.state")) ||
            (is_other_type(v->old_text) && refused(o, "data.old_state.state")));
}

static bool type_no_text(const struct vector *v, const struct outcome *o)
{
    return v->type.kind != JSON_NOTHING && v->type.kind != JSON_TEXT && refused(o, "event_type");
}

static bool is_time(const struct vector *v, struct json_value value)
{
    struct slice text;
    char copy[64];
    int64_t at_us;
    if (!json_text(v->json, value, &text))
        return false;
    if (!time_read(text, &at_us))
        return true;
    if (text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 'Z';
    return !time_read((struct slice){ copy, text.size + 1 }, &at_us);
}

static bool bad_time(const struct vector *v, const struct outcome *o)
{
    const struct { struct json_value value; const char *field; } times[] = {
        { v->time_fired, "time_fired" }, { v->new_changed, "data.new_state.last_changed" },
        { v->new_updated, "data.new_state.last_updated" }, { v->new_reported, "data.new_state.last_reported" },
    };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (!is_none(times[i].value) && !is_time(v, times[i].value) && refused(o, times[i].field))
            return true;
    return false;
}

static bool no_time(const struct vector *v, const struct outcome *o)
{
    return is_none(v->time_fired) && refused(o, "time_fired");
}

static bool is_other_entity(const struct vector *v, struct json_value entity)
{
    struct slice one, other;
    return !is_none(entity) && json_text(v->json, v->entity, &one) &&
        !(json_text(v->json, entity, &other) && one.size == other.size && !memcmp(one.data, other.data, one.size));
}

static bool two_entities(const struct vector *v, const struct outcome *o)
{
    return is_state(v) && ((is_other_entity(v, v->new_entity) && refused(o, "data.new_state.entity_id")) ||
                              (is_other_entity(v, v->old_entity) && refused(o, "data.old_state.entity_id")));
}

static bool attributes_no_object(const struct vector *v, const struct outcome *o)
{
    return is_state(v) && !is_none(v->new_attributes) && v->new_attributes.kind != JSON_OBJECT &&
        refused(o, "data.new_state.attributes");
}

static bool context_no_object(const struct vector *v, const struct outcome *o)
{
    return !is_none(v->context) && o->bad && !strncmp(o->bad->field, "context", 7);
}

static bool data_no_object(const struct vector *v, const struct outcome *o)
{
    return !is_state(v) && !is_none(v->data) && v->data.kind != JSON_OBJECT && refused(o, "data");
}

static bool too_long(const struct vector *v, const struct outcome *o)
{
    (void)v;
    return o->bad && strstr(o->bad->why, "too long");
}

/* --- what is in it ----------------------------------------------------------------------------- */

static bool text_is_same(const struct vector *v, const struct outcome *o)
{
    struct slice from, to;
    return json_text(v->json, v->old_text, &from) && json_text(v->json, v->new_text, &to) && from.size == to.size &&
        !memcmp(from.data, to.data, to.size) && !o->full->has_duration_in_state_s && !o->full->changed;
}

static bool backwards(const struct vector *v, const struct outcome *o)
{
    struct slice old_text, new_text;
    int64_t from, to;
    return json_text(v->json, v->old_changed, &old_text) && json_text(v->json, v->new_changed, &new_text) &&
        !time_read(old_text, &from) && !time_read(new_text, &to) && from > to && !o->full->has_duration_in_state_s;
}

static bool old_time_unread(const struct vector *v, const struct outcome *o)
{
    return !is_none(v->old_changed) && !is_time(v, v->old_changed) && !o->full->has_duration_in_state_s;
}

static bool names_entity(const struct vector *v, const struct outcome *o)
{
    struct slice id;
    return !is_state(v) && json_text(v->json, v->entity, &id) && o->full->has_entity_id &&
        o->full->entity_id.size == id.size && !memcmp(o->full->entity_id.data, id.data, id.size);
}

static bool no_state(const struct vector *v, const struct outcome *o)
{
    return !is_state(v) && !o->full->is_state && !o->full->has_changed;
}

const struct rule rules[RULES] = {
    { "ingest_valid", "a removal (new_state null) is stored", "D-5", removal },
    { "ingest_valid", "a service event is stored as Home Assistant sends it, its domain and service inside data",
        "V9 looks for them outside of data, where Home Assistant never puts them; every event type is stored", service_event },
    { "ingest_valid", "a service event is stored whatever it says", "V9, as above", bare_service_event },
    { "ingest_valid", "a state_changed without data (the flat form) is refused", "D-23: the flat form is dropped",
        flat_event },
    { "ingest_valid", "a state that is no text is refused", "9.2 test_data_validator: other types are errors (V7)",
        state_no_text },
    { "ingest_valid", "an event_type that is no text is refused", "9.2 test_data_validator: other types are errors",
        type_no_text },
    { "ingest_valid", "a time that is none is refused", "D-26: bad times are rejected, never replaced by now", bad_time },
    { "ingest_valid", "an event without time_fired is refused", "D-7: its time is Home Assistant's, never now", no_time },
    { "ingest_valid", "a state of another entity than the event's is refused",
        "9.2 test_data_validator: old and new entity differ: error", two_entities },
    { "ingest_valid", "attributes that are no object are refused", "9.2 test_data_validator: other types are errors (S11)",
        attributes_no_object },
    { "ingest_valid", "a context that is no object, or ids in it that are no text, are refused",
        "9.2 test_data_validator: other types are errors", context_no_object },
    { "ingest_valid", "data that is no object is refused", "9.2 test_data_validator: other types are errors (V3)",
        data_no_object },
    { "ingest_valid", "a text beyond its bound is refused", "D-28: nothing is unbounded", too_long },
    { "duration_in_state", "without a change of the text there is no duration",
        "3.2: duration only when the state's text differs (3.1: 0 could not be told from an instant change)",
        text_is_same },
    { "duration_in_state", "a clock that went backwards gives no duration", "D-26: absent, not a made-up 0", backwards },
    { "duration_in_state", "an old state whose time is not of RFC 3339, from 1970 on, gives no duration",
        "D-26: bad times are never guessed at", old_time_unread },
    { "entity_id", "an event that names an entity in its data has its entity_id",
        "D-9: what is known of an event is written", names_entity },
    { "changed", "an event that is no state_changed says nothing of a change", "D-25: what is not there is absent",
        no_state },
};

const struct rule *rule_find(const char *key, const struct vector *v, const struct outcome *o)
{
    for (size_t i = 0; i < RULES; i++)
        if (rules[i].key && !strcmp(rules[i].key, key) && rules[i].explains(v, o))
            return &rules[i];
    return NULL;
}
