/* outbox.c - what an actor publishes: batches kept until acknowledged, last values, LIVE.
 *
 * LATEST and LIVE have no acknowledgements of their own. So that a broker that is slow or
 * stopped does not make us grow, what is said of them is counted in bytes, every PING carries
 * the sum so far and its PONG confirms it: beyond a bound values wait (the newest per key) and
 * LIVE messages are dropped and counted. */
#include "bus_inside.h"

#include <assert.h>

enum {
    LOOSE_BOUND = 8 * 1024 * 1024,    /* said and not confirmed */
    LOOSE_PING  = 1024 * 1024,        /* ask for a confirmation after so much */
    LOOSE_EACH  = 256                 /* what a message costs besides its bytes */
};

struct sent {
    TAILQ_ENTRY(sent) link;
    zmq_msg_t payload;
    uint64_t number;
    uint32_t count;
    bool is_caused;
};

struct value {
    TAILQ_ENTRY(value) link;
    zmq_msg_t payload;                /* empty: removed */
    uint64_t said;                    /* loose_said after it; 0: not said yet */
    struct bus_bytes key;             /* the bytes follow the struct */
};

static size_t hash_bytes(const void *item)
{
    const struct bus_bytes *bytes = item;
    const uint8_t *data = bytes->data;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < bytes->size; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    return (size_t)hash;
}

static int compare_bytes(const void *a, const void *b)
{
    const struct bus_bytes *one = a, *other = b;
    if (one->size != other->size)
        return one->size < other->size ? -1 : 1;
    return one->size ? memcmp(one->data, other->data, one->size) : 0;
}

/* --- declaring ------------------------------------------------------------------------- */

void outbox_declare(bus_t *self, const struct outlet *outlet)
{
    bus_declare(self, &(struct wire){ .verb = VERB_PUBLISHES, .topic = outlet->topic, .flags = (uint8_t)outlet->policy },
        outlet->subject, outlet->groups);
}

void bus_publishes(bus_t *self, const char *subject, enum bus_policy policy, const char *groups)
{
    if (zhashx_lookup(self->outlets, subject))
        return;
    const char *names = groups ? groups : "";
    assert(*subject && strlen(subject) <= WIRE_SUBJECT && strlen(names) <= WIRE_GROUPS && self->topics < WIRE_TOPICS);
    struct outlet *outlet = calloc(1, sizeof *outlet);
    assert(outlet);
    outlet->topic = self->topics++;
    outlet->policy = policy;
    strcpy(outlet->subject, subject);
    strcpy(outlet->groups, names);
    TAILQ_INIT(&outlet->batches);
    TAILQ_INIT(&outlet->values);
    outlet->by_key = zhashx_new();
    assert(outlet->by_key);
    zhashx_set_key_hasher(outlet->by_key, hash_bytes);
    zhashx_set_key_comparator(outlet->by_key, compare_bytes);
    zhashx_set_key_duplicator(outlet->by_key, NULL);
    zhashx_set_key_destructor(outlet->by_key, NULL);
    self->outlet_at[outlet->topic] = outlet;
    zhashx_insert(self->outlets, outlet->subject, outlet);
    if (self->state == BUS_CONNECTED)
        outbox_declare(self, outlet);
}

static struct outlet *outlet_of(const bus_t *self, const char *subject)
{
    return zhashx_lookup(self->outlets, subject);
}

/* --- LOSSLESS -------------------------------------------------------------------------- */

static void say_batch(bus_t *self, const struct outlet *outlet, struct sent *sent)
{
    zmq_msg_t payload;
    part_share(&payload, &sent->payload);
    bus_say(self, &(struct wire){ .verb = VERB_PUBLISH, .topic = outlet->topic, .number = sent->number,
        .count = sent->count }, &payload, 1);
}

static void forget_batch(struct outlet *outlet, struct sent *sent)
{
    TAILQ_REMOVE(&outlet->batches, sent, link);
    outlet->in_flight_messages -= sent->count;
    outlet->in_flight_bytes -= zmq_msg_size(&sent->payload);
    zmq_msg_close(&sent->payload);
    free(sent);
}

static uint64_t publish_batch(bus_t *self, struct outlet *outlet, struct bus_bytes payload, uint32_t count, bool is_caused)
{
    uint64_t number = ++outlet->last_number;
    if (is_caused && self->state != BUS_CONNECTED)
        return number; /* its cause is void and will come again */
    struct sent *sent = malloc(sizeof *sent);
    assert(sent);
    *sent = (struct sent){ .number = number, .count = count, .is_caused = is_caused };
    part_of(&sent->payload, payload.data, payload.size);
    TAILQ_INSERT_TAIL(&outlet->batches, sent, link);
    outlet->in_flight_messages += count;
    outlet->in_flight_bytes += payload.size;
    if (self->state == BUS_CONNECTED)
        say_batch(self, outlet, sent);
    return number;
}

static void acked(bus_t *self, struct outlet *outlet, uint64_t number)
{
    struct sent *sent;
    TAILQ_FOREACH(sent, &outlet->batches, link)
        if (sent->number >= number)
            break;
    if (!sent || sent->number != number)
        return;
    forget_batch(outlet, sent);
    self->options.acked(self->options.owner, outlet->subject, number);
}

void outbox_acked(bus_t *self, const struct letter *letter)
{
    uint16_t topic = letter->wire.topic;
    struct outlet *outlet = topic < WIRE_TOPICS ? self->outlet_at[topic] : NULL;
    if (!outlet) {
        self->malformed++;
        return;
    }
    size_t count = letter_numbers(letter);
    for (size_t i = 0; i < count; i++)
        acked(self, outlet, letter_number(letter, i));
}

/* --- LATEST and LIVE ------------------------------------------------------------------- */

static bool has_credit(const bus_t *self)
{
    return self->state == BUS_CONNECTED && self->loose_said - self->loose_confirmed < LOOSE_BOUND;
}

static void say_loose(bus_t *self, struct outlet *outlet, zmq_msg_t parts[], size_t part_count, uint32_t count)
{
    for (size_t i = 0; i < part_count; i++)
        self->loose_said += zmq_msg_size(&parts[i]);
    self->loose_said += LOOSE_EACH;
    bus_say(self, &(struct wire){ .verb = VERB_PUBLISH, .topic = outlet->topic, .count = count,
        .extra = outlet->dropped }, parts, part_count);
    outlet->dropped = 0;
    if (self->loose_said - self->loose_pinged >= LOOSE_PING)
        bus_ping(self);
}

static void publish_live(bus_t *self, struct outlet *outlet, struct bus_bytes payload, uint32_t count)
{
    if (!has_credit(self)) {
        outlet->dropped = UINT32_MAX - outlet->dropped < count ? UINT32_MAX : outlet->dropped + count;
        return;
    }
    zmq_msg_t part;
    part_of(&part, payload.data, payload.size);
    say_loose(self, outlet, &part, 1, count);
}

static void forget_value(bus_t *self, struct outlet *outlet, struct value *value)
{
    if (zmq_msg_size(&value->payload) == 0)
        self->removed_values--;
    if (outlet->say_from == value)
        outlet->say_from = TAILQ_NEXT(value, link);
    zhashx_delete(outlet->by_key, &value->key);
    TAILQ_REMOVE(&outlet->values, value, link);
    zmq_msg_close(&value->payload);
    free(value);
}

static struct value *value_of(struct outlet *outlet, struct bus_bytes key)
{
    struct value *value = zhashx_lookup(outlet->by_key, &key);
    if (value) {
        if (outlet->say_from == value)
            outlet->say_from = TAILQ_NEXT(value, link);
        TAILQ_REMOVE(&outlet->values, value, link);
        return value;
    }
    value = calloc(1, sizeof *value + key.size);
    assert(value);
    zmq_msg_init(&value->payload);
    if (key.size)
        memcpy(value + 1, key.data, key.size);
    value->key = (struct bus_bytes){ value + 1, key.size };
    zhashx_insert(outlet->by_key, &value->key, value);
    return value;
}

static void publish_value(bus_t *self, struct outlet *outlet, struct bus_bytes key, struct bus_bytes payload)
{
    bool is_new = !zhashx_lookup(outlet->by_key, &key);
    struct value *value = value_of(outlet, key);
    bool was_removed = !is_new && zmq_msg_size(&value->payload) == 0;
    self->removed_values -= was_removed;
    self->removed_values += payload.size == 0;
    zmq_msg_close(&value->payload);
    part_of(&value->payload, payload.data, payload.size);
    value->said = 0;
    TAILQ_INSERT_TAIL(&outlet->values, value, link);
    if (!outlet->say_from)
        outlet->say_from = value;
    outbox_say_values(self);
}

static void say_values(bus_t *self, struct outlet *outlet)
{
    while (outlet->say_from && has_credit(self)) {
        struct value *value = outlet->say_from;
        zmq_msg_t parts[2];
        part_of(&parts[0], value->key.data, value->key.size);
        part_share(&parts[1], &value->payload);
        say_loose(self, outlet, parts, 2, 1);
        value->said = self->loose_said;
        outlet->say_from = TAILQ_NEXT(value, link);
    }
}

void outbox_say_values(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->outlet_at[i] && self->outlet_at[i]->say_from)
            say_values(self, self->outlet_at[i]);
}

/* Removals are kept until the broker is known to have heard them. */
static void forget_removed(bus_t *self, struct outlet *outlet)
{
    for (struct value *value = TAILQ_FIRST(&outlet->values), *next; value; value = next) {
        next = TAILQ_NEXT(value, link);
        if (zmq_msg_size(&value->payload) == 0 && value->said && value->said <= self->loose_confirmed)
            forget_value(self, outlet, value);
    }
}

void outbox_confirmed(bus_t *self, uint64_t mark)
{
    if (mark <= self->loose_confirmed || mark > self->loose_said)
        return;
    self->loose_confirmed = mark;
    for (uint16_t i = 0; i < self->topics && self->removed_values; i++)
        if (self->outlet_at[i])
            forget_removed(self, self->outlet_at[i]);
    outbox_say_values(self);
}

/* --- publishing ------------------------------------------------------------------------ */

uint64_t bus_publish(bus_t *self, const char *subject, struct bus_bytes key, struct bus_bytes payload, uint32_t count,
    bool caused)
{
    struct outlet *outlet = outlet_of(self, subject);
    assert(outlet && count && payload.size <= WIRE_MAX && key.size <= WIRE_KEY);
    switch (outlet->policy) {
    case BUS_LOSSLESS:
        return publish_batch(self, outlet, payload, count, caused);
    case BUS_LATEST:
        publish_value(self, outlet, key, payload);
        return 0;
    case BUS_LIVE:
        publish_live(self, outlet, payload, count);
        return 0;
    }
    return 0;
}

size_t bus_room(const bus_t *self, const char *subject)
{
    const struct outlet *outlet = outlet_of(self, subject);
    if (!outlet || self->state != BUS_CONNECTED || outlet->in_flight_bytes >= self->window_bytes)
        return 0;
    return outlet->in_flight_messages < self->window_messages ? self->window_messages - outlet->in_flight_messages : 0;
}

size_t bus_in_flight(const bus_t *self, const char *subject)
{
    const struct outlet *outlet = outlet_of(self, subject);
    return outlet ? outlet->in_flight_messages : 0;
}

/* --- connection ------------------------------------------------------------------------ */

void outbox_replay(bus_t *self)
{
    self->loose_said = self->loose_pinged = self->loose_confirmed = 0;
    for (uint16_t i = 0; i < self->topics; i++) {
        struct outlet *outlet = self->outlet_at[i];
        if (!outlet)
            continue;
        outbox_declare(self, outlet);
        struct sent *sent;
        TAILQ_FOREACH(sent, &outlet->batches, link)
            say_batch(self, outlet, sent);
        struct value *value;
        TAILQ_FOREACH(value, &outlet->values, link)
            value->said = 0;
        outlet->say_from = TAILQ_FIRST(&outlet->values);
    }
    outbox_say_values(self);
}

static void forget_batches(struct outlet *outlet, bool all)
{
    for (struct sent *sent = TAILQ_FIRST(&outlet->batches), *next; sent; sent = next) {
        next = TAILQ_NEXT(sent, link);
        if (all || sent->is_caused)
            forget_batch(outlet, sent);
    }
}

void outbox_lost(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->outlet_at[i])
            forget_batches(self->outlet_at[i], false);
}

void outbox_destroy(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++) {
        struct outlet *outlet = self->outlet_at[i];
        if (!outlet)
            continue;
        forget_batches(outlet, true);
        while (!TAILQ_EMPTY(&outlet->values))
            forget_value(self, outlet, TAILQ_FIRST(&outlet->values));
        zhashx_destroy(&outlet->by_key);
        free(outlet);
    }
}
