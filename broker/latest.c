/* latest.c - LATEST: the newest value per key, in order of last update.
 *
 * A listener is a place in that list: replay, conflation and delivery are the same walk. A
 * removed key stays in the list until everybody has been told. */
#include "core.h"

#include <assert.h>

enum { VALUE_COST = 256 }; /* what a value takes besides its bytes */

struct value {
    TAILQ_ENTRY(value) link, removed_link;
    struct bus_bytes key;             /* the bytes follow the struct */
    zmq_msg_t payload;
    bool is_removed;
    uint64_t update;
    int64_t at_us;                    /* of the update */
};

static size_t hash_key(const void *item)
{
    const struct bus_bytes *key = item;
    const uint8_t *data = key->data;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key->size; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    return (size_t)hash;
}

static int compare_keys(const void *a, const void *b)
{
    const struct bus_bytes *one = a, *other = b;
    if (one->size != other->size)
        return one->size < other->size ? -1 : 1;
    return one->size ? memcmp(one->data, other->data, one->size) : 0;
}

static size_t cost_of(size_t key_size, size_t payload_size)
{
    return VALUE_COST + key_size + payload_size;
}

static size_t cost(const struct value *value)
{
    return cost_of(value->key.size, part_size(&value->payload));
}

/* --- keeping --------------------------------------------------------------------------- */

static zhashx_t *keys_of(struct topic *topic)
{
    if (!topic->by_key) {
        topic->by_key = zhashx_new();
        assert(topic->by_key);
        zhashx_set_key_hasher(topic->by_key, hash_key);
        zhashx_set_key_comparator(topic->by_key, compare_keys);
        zhashx_set_key_duplicator(topic->by_key, NULL);
        zhashx_set_key_destructor(topic->by_key, NULL);
    }
    return topic->by_key;
}

static struct value *value_new(broker_t *self, struct topic *topic, struct bus_bytes key)
{
    struct value *value = calloc(1, sizeof *value + key.size);
    assert(value);
    if (key.size)
        memcpy(value + 1, key.data, key.size);
    value->key = (struct bus_bytes){ value + 1, key.size };
    zmq_msg_init(&value->payload);
    self->last_values_bytes += cost(value);
    zhashx_insert(keys_of(topic), &value->key, value);
    TAILQ_INSERT_TAIL(&topic->values, value, link);
    return value;
}

static void value_destroy(broker_t *self, struct topic *topic, struct value *value)
{
    if (value->is_removed)
        TAILQ_REMOVE(&topic->removed, value, removed_link);
    self->last_values_bytes -= cost(value);
    zhashx_delete(topic->by_key, &value->key);
    TAILQ_REMOVE(&topic->values, value, link);
    zmq_msg_close(&value->payload);
    free(value);
}

/* To the end of the list: whoever stood at it goes on to the next, whoever was up to date
 * now has this one to take. */
static void move_to_end(struct topic *topic, struct value *value)
{
    struct value *next = TAILQ_NEXT(value, link);
    struct listener *listener;
    TAILQ_FOREACH(listener, &topic->listeners, link)
        if (listener->next_value == value)
            listener->next_value = next;
    TAILQ_REMOVE(&topic->values, value, link);
    TAILQ_INSERT_TAIL(&topic->values, value, link);
    TAILQ_FOREACH(listener, &topic->listeners, link)
        if (!listener->next_value)
            listener->next_value = value;
    value->update = ++topic->last_update;
}

static void store(broker_t *self, struct topic *topic, struct value *value, const zmq_msg_t *payload)
{
    bool is_removed = part_size(payload) == 0;
    self->last_values_bytes -= cost(value);
    zmq_msg_close(&value->payload);
    part_share(&value->payload, payload);
    self->last_values_bytes += cost(value);
    if (value->is_removed)
        TAILQ_REMOVE(&topic->removed, value, removed_link);
    if (is_removed)
        TAILQ_INSERT_TAIL(&topic->removed, value, removed_link);
    value->is_removed = is_removed;
    value->at_us = self->clock_us;
    move_to_end(topic, value);
}

bool latest_publish(broker_t *self, struct topic *topic, const zmq_msg_t *key_part, const zmq_msg_t *payload)
{
    struct bus_bytes key = { part_data(key_part), part_size(key_part) };
    if (key.size > WIRE_KEY)
        return false;
    struct value *value = zhashx_lookup(keys_of(topic), &key);
    if (!value && part_size(payload) == 0)
        return true; /* not known here: nothing to remove */
    size_t added = cost_of(key.size, part_size(payload)), freed = value ? cost(value) : 0;
    if (added > freed && self->last_values_bytes - freed + added > self->options.last_values_bytes) {
        self->counters.unkept++;
        return true;
    }
    self->counters.published++;
    if (!value)
        value = value_new(self, topic, key);
    store(self, topic, value, payload);
    struct listener *listener;
    TAILQ_FOREACH(listener, &topic->listeners, link) {
        rate_add(&listener->rate, self->clock_us, 1);
        latest_pump(self, listener);
    }
    latest_sweep(self, topic);
    return true;
}

/* --- giving ---------------------------------------------------------------------------- */

void latest_join(struct listener *listener, int64_t clock_us)
{
    listener->joined_us = clock_us;
    listener->next_value = TAILQ_FIRST(&listener->topic->values);
    listener->joined_at = listener->topic->last_update;
}

static void give(broker_t *self, struct listener *listener, const struct value *value)
{
    listener_gave(listener, 1, value->key.size + part_size(&value->payload));
    self->counters.delivered++;
    zmq_msg_t parts[2];
    part_of(&parts[0], value->key.data, value->key.size);
    part_share(&parts[1], &value->payload);
    broker_post(self, listener->peer, &(struct wire){ .verb = VERB_DELIVER, .topic = listener->channel, .count = 1 },
        parts, 2);
}

void latest_pump(broker_t *self, struct listener *listener)
{
    struct value *value;
    while ((value = listener->next_value)) {
        bool never_known = value->is_removed && value->update <= listener->joined_at;
        if (!never_known) {
            if (!listener_has_room(listener, 1, value->key.size + part_size(&value->payload)))
                return;
            give(self, listener, value);
        }
        listener->next_value = TAILQ_NEXT(value, link);
    }
}

void latest_sweep(broker_t *self, struct topic *topic)
{
    if (TAILQ_EMPTY(&topic->removed))
        return;
    uint64_t told = UINT64_MAX;
    struct listener *listener;
    TAILQ_FOREACH(listener, &topic->listeners, link)
        if (listener->next_value && listener->next_value->update <= told)
            told = listener->next_value->update - 1;
    struct value *value;
    while ((value = TAILQ_FIRST(&topic->removed)) && value->update <= told)
        value_destroy(self, topic, value);
}

size_t latest_depth(const struct listener *listener, size_t *bytes)
{
    size_t depth = 0;
    *bytes = 0;
    for (const struct value *value = listener->next_value; value; value = TAILQ_NEXT(value, link)) {
        depth++;
        *bytes += value->key.size + part_size(&value->payload);
    }
    return depth;
}

/* What was there before the listener waits for it since he joined. */
int64_t latest_oldest_us(const struct listener *listener)
{
    const struct value *value = listener->next_value;
    if (!value)
        return INT64_MAX;
    return value->at_us > listener->joined_us ? value->at_us : listener->joined_us;
}

void latest_destroy(broker_t *self, struct topic *topic)
{
    while (!TAILQ_EMPTY(&topic->values))
        value_destroy(self, topic, TAILQ_FIRST(&topic->values));
    zhashx_destroy(&topic->by_key);
}
