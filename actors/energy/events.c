/* events.c - what a full event says of power, or of a device. */
#include "events.h"

#include <string.h>

bool is_listed(const char *list, const void *word, size_t size)
{
    while (*list) {
        list += strspn(list, ", ");
        size_t length = strcspn(list, ", ");
        if (length == size && size > 0 && memcmp(list, word, size) == 0)
            return true;
        list += length;
    }
    return false;
}

static bool is_word(struct slice text, const char *word)
{
    return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

bool event_power(const struct event_full *e, double *w)
{
    if (!e->has_state || !e->has_value)
        return false;
    if (e->has_canonical_unit) {
        *w = e->canonical_value;
        return e->has_canonical_value && is_word(e->canonical_unit, "W");
    }
    return !e->has_unit && number_read(e->value, w) && *w > -1e9 && *w < 1e9;
}

static bool is_known(bool has, struct slice state)
{
    return has && !is_word(state, "unavailable") && !is_word(state, "unknown");
}

static void put(char *to, size_t room, struct slice text)
{
    size_t size = text.size < room - 1 ? text.size : room - 1;
    if (size > 0)
        memcpy(to, text.data, size);
    to[size] = '\0';
}

/* What of the attributes counts beside the state; is_action: in its place. */
static const struct { const char *domain, *key; bool is_action; } details[] = {
    { "climate", "hvac_action", true }, { "humidifier", "action", true }, { "light", "brightness", false },
    { "fan", "percentage", false },
};

static void put_detail(json_t *json, const struct event_full *e, struct change *to)
{
    struct json_value root, value;
    struct slice text;
    const char *why;
    for (size_t i = 0; i < sizeof details / sizeof *details; i++) {
        if (!is_word(e->domain, details[i].domain) || json_read(json, e->attributes, &root, &why)
            || json_pick(json, root.raw, &details[i].key, 1, &value))
            continue;
        to->is_action = details[i].is_action;
        if (json_text(json, value, &text) || value.kind == JSON_NUMBER)
            put(to->detail, sizeof to->detail, value.kind == JSON_NUMBER ? value.raw : text);
    }
}

static bool is_group(const struct event_full *e)
{
    return e->has_attributes && memmem(e->attributes.data, e->attributes.size, "\"entity_id\":", 12) != NULL;
}

bool event_change(json_t *json, const char *domains, const struct event_full *e, struct change *to)
{
    if (!e->has_domain || !is_listed(domains, e->domain.data, e->domain.size) || !is_known(e->has_state, e->state)
        || !is_known(e->has_old_state, e->old_state) || (e->has_restored && e->restored) || e->entity_id.size > ENTITY_TEXT)
        return false;
    *to = (struct change){ .at_us = e->timestamp, .is_text = e->has_changed && e->changed };
    if (e->has_attributes)
        put_detail(json, e, to);
    if ((!to->is_text && !to->detail[0]) || is_group(e))
        return false;
    put(to->entity, sizeof to->entity, e->entity_id);
    put(to->state, sizeof to->state, e->state);
    put(to->previous, sizeof to->previous, e->old_state);
    if (e->has_device_id)
        put(to->device_id, sizeof to->device_id, e->device_id);
    return true;
}
