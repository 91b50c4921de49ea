/* inbox.c - what an actor listens to: deliveries, acknowledgements, credit. */
#include "bus_inside.h"

#include <assert.h>

enum { LOOSE_MESSAGES = 1024, LOOSE_BYTES = 4 * 1024 * 1024 }; /* window of LATEST and LIVE where none is given */

struct delivery {
    struct inlet *inlet;
    uint32_t session;
    uint64_t number;
    bool is_acked;
    zmq_msg_t payload, key;
};

/* --- declaring ------------------------------------------------------------------------- */

static uint32_t window_count(const struct inlet *inlet)
{
    return inlet->window_messages > UINT32_MAX ? UINT32_MAX : (uint32_t)inlet->window_messages;
}

void inbox_declare(bus_t *self, const struct inlet *inlet)
{
    bus_declare(self, &(struct wire){ .verb = VERB_LISTENS, .topic = inlet->topic, .flags = (uint8_t)inlet->policy,
        .count = window_count(inlet), .bytes = inlet->window_bytes }, inlet->subject, inlet->group);
}

static bool is_loose(const struct inlet *inlet)
{
    return inlet->policy != BUS_LOSSLESS || !*inlet->group;
}

void bus_listens(bus_t *self, const char *subject, enum bus_policy policy, const char *group, size_t messages, size_t bytes)
{
    if (zhashx_lookup(self->inlets, subject))
        return;
    const char *name = group && policy == BUS_LOSSLESS ? group : "";
    assert(*subject && strlen(subject) <= WIRE_SUBJECT && strlen(name) <= WIRE_NAME && self->topics < WIRE_TOPICS);
    struct inlet *inlet = calloc(1, sizeof *inlet);
    assert(inlet);
    inlet->topic = self->topics++;
    inlet->policy = policy;
    strcpy(inlet->subject, subject);
    strcpy(inlet->group, name);
    inlet->window_messages = messages || !is_loose(inlet) ? messages : LOOSE_MESSAGES;
    inlet->window_bytes = bytes ? bytes : LOOSE_BYTES;
    self->inlet_at[inlet->topic] = inlet;
    zhashx_insert(self->inlets, inlet->subject, inlet);
    if (self->state == BUS_CONNECTED)
        inbox_declare(self, inlet);
}

void bus_window(bus_t *self, const char *subject, size_t messages, size_t bytes)
{
    struct inlet *inlet = zhashx_lookup(self->inlets, subject);
    assert(inlet);
    inlet->window_messages = messages;
    if (bytes)
        inlet->window_bytes = bytes;
    if (self->state == BUS_CONNECTED)
        bus_say(self, &(struct wire){ .verb = VERB_WINDOW, .topic = inlet->topic, .count = window_count(inlet),
            .bytes = inlet->window_bytes }, NULL, 0);
}

/* --- acknowledging --------------------------------------------------------------------- */

static void say_acks(bus_t *self, struct inlet *inlet)
{
    self->said_us = self->clock_us;
    self->has_said = true;
    wire_send_numbers(self->socket, NULL, (struct wire){ .verb = VERB_ACK, .topic = inlet->topic }, inlet->acks,
        inlet->ack_count);
    inlet->ack_count = 0;
}

static void say_taken(bus_t *self, struct inlet *inlet)
{
    bus_say(self, &(struct wire){ .verb = VERB_TAKEN, .topic = inlet->topic, .count = (uint32_t)inlet->taken_messages,
        .bytes = inlet->taken_bytes }, NULL, 0);
    inlet->taken_messages = inlet->taken_bytes = 0;
}

/* Small credits wait for a quiet moment, when they cost nothing. */
static bool is_worth_saying(const struct inlet *inlet, bool all)
{
    if (!inlet->taken_messages)
        return false;
    return all || inlet->taken_messages * 4 >= inlet->window_messages || inlet->taken_bytes * 4 >= inlet->window_bytes;
}

void inbox_flush(bus_t *self, bool all)
{
    for (uint16_t i = 0; i < self->topics; i++) {
        struct inlet *inlet = self->inlet_at[i];
        if (!inlet)
            continue;
        if (inlet->ack_count)
            say_acks(self, inlet);
        if (is_worth_saying(inlet, all))
            say_taken(self, inlet);
    }
}

void bus_ack(bus_t *self, delivery_t *delivery)
{
    if (delivery->is_acked)
        return;
    delivery->is_acked = true;
    if (delivery->session != self->session)
        return;
    struct inlet *inlet = delivery->inlet;
    inlet->acks[inlet->ack_count++] = delivery->number;
    if (inlet->ack_count == WIRE_NUMBERS)
        say_acks(self, inlet);
}

void bus_release(bus_t *self, delivery_t **delivery_p)
{
    (void)self;
    delivery_t *delivery = *delivery_p;
    if (!delivery)
        return;
    zmq_msg_close(&delivery->payload);
    zmq_msg_close(&delivery->key);
    free(delivery);
    *delivery_p = NULL;
}

/* --- delivering ------------------------------------------------------------------------ */

static void hand_out(bus_t *self, struct inlet *inlet, struct letter *letter)
{
    delivery_t *delivery = malloc(sizeof *delivery);
    assert(delivery);
    *delivery = (delivery_t){ .inlet = inlet, .session = self->session, .number = letter->wire.number };
    zmq_msg_init(&delivery->payload);
    zmq_msg_init(&delivery->key);
    zmq_msg_move(&delivery->payload, &letter->parts[letter->part_count - 1]);
    if (letter->part_count > 1)
        zmq_msg_move(&delivery->key, &letter->parts[0]);
    self->options.deliver(self->options.owner, delivery, inlet->subject, part_bytes(&delivery->key),
        part_bytes(&delivery->payload), letter->wire.count, 0);
}

static void hand_over(bus_t *self, struct inlet *inlet, struct letter *letter)
{
    struct bus_bytes payload = part_bytes(&letter->parts[letter->part_count - 1]), key = { NULL, 0 };
    if (letter->part_count > 1)
        key = part_bytes(&letter->parts[0]);
    uint32_t dropped = letter->wire.extra > UINT32_MAX ? UINT32_MAX : (uint32_t)letter->wire.extra;
    inlet->taken_messages += letter->wire.count;
    inlet->taken_bytes += key.size + payload.size;
    self->options.deliver(self->options.owner, NULL, inlet->subject, key, payload, letter->wire.count, dropped);
}

void inbox_deliver(bus_t *self, struct letter *letter)
{
    uint16_t topic = letter->wire.topic;
    struct inlet *inlet = topic < WIRE_TOPICS ? self->inlet_at[topic] : NULL;
    if (!inlet || letter->wire.count == 0)
        self->malformed++;
    else if (letter->wire.number)
        hand_out(self, inlet, letter);
    else
        hand_over(self, inlet, letter);
}

/* --- connection ------------------------------------------------------------------------ */

void inbox_replay(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->inlet_at[i])
            inbox_declare(self, self->inlet_at[i]);
}

void inbox_lost(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        if (self->inlet_at[i])
            self->inlet_at[i]->ack_count = self->inlet_at[i]->taken_messages = self->inlet_at[i]->taken_bytes = 0;
}

void inbox_destroy(bus_t *self)
{
    for (uint16_t i = 0; i < self->topics; i++)
        free(self->inlet_at[i]);
}
