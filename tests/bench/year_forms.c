/* year_forms.c - a sample as the store gets it, and as the peers do. */
#include "year.h"

#include <stdio.h>
#include <string.h>

static struct slice or_none(const char *text)
{
    return text ? slice_of(text) : (struct slice){ NULL, 0 };
}

static void set_registry(const struct year_entity *y, struct event_full *e)
{
    SET(e, entity_id, slice_of(y->id));
    SET(e, domain, slice_of(y->domain));
    SET(e, device_id, slice_of(y->device));
    SET(e, area_id, slice_of(y->area));
    SET(e, area, slice_of(y->area));
    SET(e, integration, slice_of("shelly"));
    SET(e, device_class, slice_of(y->device_class));
    SET(e, manufacturer, slice_of("Shelly"));
    SET(e, model, slice_of("Plus 1PM"));
    SET(e, sw_version, slice_of("1.4.2"));
    SET(e, labels, slice_of("[]"));
    if (y->unit)
        SET(e, unit, or_none(y->unit));
}

void year_event(const struct year_sample *s, struct event_full *e)
{
    schema_clear(event_full_schema(), e);
    SET(e, event_type, slice_of("state_changed"));
    SET(e, timestamp, s->at_us);
    SET(e, origin, slice_of("LOCAL"));
    SET_TEXT(e, provenance, "live", 4);
    SET(e, context_id, ((struct slice){ s->context, 26 }));
    SET(e, received_at, s->received_us);
    SET(e, is_state, true);
    SET(e, place, s->place);
    set_registry(s->entity, e);
    SET(e, state, slice_of(s->state));
    if (s->has_old)
        SET(e, old_state, slice_of(s->old_state));
    SET(e, last_updated, s->at_us);
    SET(e, last_reported, s->at_us);
    SET(e, last_changed, s->changed_us);
    SET(e, attributes, ((struct slice){ s->attributes, s->attributes_size }));
    SET(e, changed, s->changed_us == s->at_us);
    if (s->is_number) {
        SET(e, value, e->state);
        SET(e, canonical_value, s->number);
        SET(e, canonical_unit, slice_of(s->entity->unit));
    } else if (s->entity->class == YEAR_BINARY && s->state[0] == 'o') {
        SET(e, value, slice_of(s->state[1] == 'n' ? "true" : "false"));
    }
}

size_t year_line(const struct year_sample *s, bool with_text, char *to, size_t room)
{
    const struct year_entity *e = s->entity;
    int size;
    if (!s->is_number && !with_text && e->class != YEAR_BINARY)
        return 0;
    if (s->is_number)
        size = snprintf(to, room, "state,entity_id=%s,domain=%s,area=%s value=%s %lld\n", e->id, e->domain, e->area, s->state, (long long)s->at_us);
    else if (with_text)
        size = snprintf(to, room, "state,entity_id=%s,domain=%s,area=%s text=\"%s\" %lld\n", e->id, e->domain, e->area, s->state, (long long)s->at_us);
    else if (s->state[0] == 'o')
        size = snprintf(to, room, "state,entity_id=%s,domain=%s,area=%s value=%d %lld\n", e->id, e->domain, e->area, s->state[1] == 'n', (long long)s->at_us);
    else
        return 0;
    return (size_t)size;
}
