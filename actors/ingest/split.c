/* split.c - cut WebSocket frames into messages. */
#include "split.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_BYTES = 256 };  /* of an event's context, at the most */
enum { LEVELS = 2 }; /* an array of messages; who takes what they carry reads that */

struct split {
    json_t *json;
    message_fn *fn;
    void *owner;
};

static const char *const keys[MESSAGE_KEYS] = { [KEY_ID] = "id", [KEY_TYPE] = "type", [KEY_EVENT] = "event",
    [KEY_SUCCESS] = "success", [KEY_RESULT] = "result", [KEY_ERROR] = "error", [KEY_HA_VERSION] = "ha_version",
    [KEY_MESSAGE] = "message" };

split_t *split_new(void)
{
    struct split *self = calloc(1, sizeof *self);
    assert(self);
    self->json = json_new();
    assert(self->json);
    return self;
}

void split_destroy(split_t **self_p)
{
    struct split *self = *self_p;
    if (!self)
        return;
    json_destroy(&self->json);
    free(self);
    *self_p = NULL;
}

static void hand_out(struct split *self, struct json_value value)
{
    struct message message = { .whole = value.raw, .id = -1 };
    if (value.kind != JSON_OBJECT)
        message.why = "not an object";
    else if (json_pick(self->json, value.raw, keys, MESSAGE_KEYS, message.values))
        message.why = "not well-formed JSON";
    else if (!json_int(message.values[KEY_ID], &message.id))
        message.id = -1;
    self->fn(self->owner, &message);
}

/* --- an event as Home Assistant writes it -------------------------------------------------- */

static bool starts(const char *at, const char *end, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(end - at) >= size && memcmp(at, text, size) == 0;
}

static bool ends(const char *begin, const char *at, const char *text)
{
    size_t size = strlen(text);
    return (size_t)(at - begin) >= size && memcmp(at - size, text, size) == 0;
}

/* Its context comes last: {"id":"...","parent_id":...,"user_id":...}} with no bracket in it. */
static bool ends_with_context(const char *event, const char *end)
{
    if (!ends(event, end, "}}"))
        return false;
    const char *at = end - 3, *least = end - event > CONTEXT_BYTES ? end - CONTEXT_BYTES : event;
    while (at > least && *at != '{' && *at != '}')
        at--;
    return ends(event, at, ",\"context\":") && starts(at, end, "{\"id\":\"");
}

/* Nine of ten frames are one event and nothing else, told by its two ends; reading all of it here would
 * cost as much as the rest of capturing it, and enrich reads it anyway. Anything else is read in full. */
static bool take_plain_event(struct split *self, struct slice frame)
{
    static const char type[] = "\"event\"", head[] = "{\"type\":\"event\",\"event\":", tail[] = ",\"id\":";
    const char *begin = frame.data, *end = begin + frame.size, *event = begin + sizeof head - 1, *at = end - 1;
    if (!starts(begin, end, head) || !starts(event, end, "{\"event_type\":\"") || *at != '}')
        return false;
    int64_t id = 0, unit = 1;
    for (; at[-1] >= '0' && at[-1] <= '9' && unit < 1000000000; unit *= 10)
        id += (*--at - '0') * unit;
    if (unit == 1 || !ends(event, at, tail))
        return false;
    at -= sizeof tail - 1;
    if (!ends_with_context(event, at))
        return false;
    struct message message = { .whole = frame, .id = id };
    message.values[KEY_TYPE] = (struct json_value){ JSON_TEXT, { type, sizeof type - 1 } };
    message.values[KEY_EVENT] = (struct json_value){ JSON_OBJECT, { event, (size_t)(at - event) } };
    self->fn(self->owner, &message);
    return true;
}

static int on_item(void *owner, struct json_value value)
{
    hand_out(owner, value);
    return 0;
}

int split_messages(split_t *self, struct slice frame, message_fn *fn, void *owner, const char **why)
{
    struct json_value root;
    self->fn = fn;
    self->owner = owner;
    if (take_plain_event(self, frame))
        return 0;
    if (json_read_levels(self->json, frame, LEVELS, &root, why))
        return -1;
    if (root.kind == JSON_OBJECT) {
        hand_out(self, root);
        return 0;
    }
    if (root.kind != JSON_ARRAY) {
        *why = "neither an object nor an array";
        return -1;
    }
    if (json_each_item(self->json, root.raw, on_item, self)) {
        *why = "not well-formed JSON";
        return -1;
    }
    return 0;
}

bool message_is(const struct message *message, const char *type)
{
    const struct json_value *value = &message->values[KEY_TYPE];
    size_t size = strlen(type);
    return value->kind == JSON_TEXT && value->raw.size == size + 2
        && memcmp((const char *)value->raw.data + 1, type, size) == 0;
}

void items_add(struct items *items, struct slice bytes, const char *why)
{
    if (items->count == items->room) {
        items->room = items->room ? 2 * items->room : 64;
        items->list = realloc(items->list, items->room * sizeof *items->list);
        assert(items->list);
    }
    items->list[items->count++] = (struct item){ bytes, why };
}

void items_free(struct items *items)
{
    free(items->list);
    *items = (struct items){ 0 };
}

static bool is_ours(int64_t id, uint32_t first_id, uint32_t last_id)
{
    bool is_any = first_id == ANY_FIRST_ID && last_id == ANY_LAST_ID;
    return is_any || (id >= (int64_t)first_id && id <= (int64_t)last_id);
}

bool items_take(struct items *items, const struct message *message, uint32_t first_id, uint32_t last_id)
{
    if (message->why) {
        items_add(items, message->whole, message->why);
        return true;
    }
    if (!is_ours(message->id, first_id, last_id) || !message_is(message, "event"))
        return false;
    const struct json_value *event = &message->values[KEY_EVENT];
    if (event->kind == JSON_OBJECT)
        items_add(items, event->raw, NULL);
    else
        items_add(items, message->whole, "an event message without an event object");
    return true;
}

struct taking { struct items *items; uint32_t first_id, last_id; };

static void take(void *owner, const struct message *message)
{
    const struct taking *taking = owner;
    (void)items_take(taking->items, message, taking->first_id, taking->last_id);
}

void split_items(split_t *self, struct slice frame, uint32_t first_id, uint32_t last_id, struct items *items)
{
    struct taking taking = { items, first_id, last_id };
    const char *why = NULL;
    items->count = 0;
    if (split_messages(self, frame, take, &taking, &why) == 0)
        return;
    items->count = 0;
    items_add(items, frame, why);
}

bool event_is_state_changed(struct slice event)
{
    static const char start[] = "{\"event_type\":\"state_changed\"";
    return event.size >= sizeof start && memcmp(event.data, start, sizeof start - 1) == 0;
}

bool event_has(struct slice event, const char *text)
{
    return memmem(event.data, event.size, text, strlen(text)) != NULL;
}
