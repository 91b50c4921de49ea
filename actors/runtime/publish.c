/* publish.c - messages out: batches, numbers, acknowledgements that come back.
 *
 * Messages of one topic are coalesced until 256 of them, 256 KiB or 5 ms have gathered; at
 * the end of a turn at once if nothing of the topic is in flight. A batch is caused by
 * incoming messages as a whole or not at all: the bus forgets the ones when the connection is
 * lost, and keeps the others. LATEST goes out at once, one by one, LIVE at the end of the turn. */
#include "actor_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void *array_room(void *array, size_t count, size_t *size, size_t item_bytes)
{
    if (count < *size)
        return array;
    *size = *size ? *size * 2 : 16;
    array = realloc(array, *size * item_bytes);
    assert(array);
    return array;
}

static struct outlet *find_outlet(const actor_t *self, const struct contract *contract)
{
    const struct outlet *end = self->outlets + self->outlets_count;
    for (const struct outlet *outlet = self->outlets; outlet < end; outlet++)
        if (outlet->contract == contract)
            return (struct outlet *)(uintptr_t)outlet;
    return NULL;
}

/* A topic is declared when it is first spoken of. */
static struct outlet *outlet_of(actor_t *self, const struct contract *contract)
{
    static const enum bus_policy policies[] = { [LOSSLESS] = BUS_LOSSLESS, [LATEST] = BUS_LATEST, [LIVE] = BUS_LIVE };
    struct outlet *outlet = find_outlet(self, contract);
    if (outlet)
        return outlet;
    assert(self->outlets_count < TOPICS_MAX && !contract->out);
    outlet = &self->outlets[self->outlets_count++];
    *outlet = (struct outlet){ .contract = contract, .schema = contract->in() };
    bus_publishes(self->bus, contract->subject, policies[contract->policy], contract->groups ? contract->groups : "");
    return outlet;
}

/* --- flights ---------------------------------------------------------------------------------- */

static struct flight *new_flight(actor_t *self)
{
    struct flight *flight = self->flights_pool;
    if (flight)
        self->flights_pool = flight->next;
    else
        flight = calloc(1, sizeof *flight);
    assert(flight);
    return flight;
}

static void free_flight(actor_t *self, struct flight *flight)
{
    for (size_t i = 0; i < flight->causes_count; i++)
        incoming_settle(self, flight->causes[i].incoming, flight->causes[i].count);
    flight->causes_count = 0;
    flight->next = self->flights_pool;
    self->flights_pool = flight;
}

static void add_cause(struct flight *flight, struct incoming *cause)
{
    cause->pending++;
    if (flight->causes_count > 0 && flight->causes[flight->causes_count - 1].incoming == cause) {
        flight->causes[flight->causes_count - 1].count++;
        return;
    }
    flight->causes = array_room(flight->causes, flight->causes_count, &flight->causes_size, sizeof *flight->causes);
    flight->causes[flight->causes_count++] = (struct cause){ cause, 1 };
}

/* --- sending ------------------------------------------------------------------------------------ */

static void send_batch(actor_t *self, struct outlet *outlet)
{
    struct flight *flight = outlet->filling;
    struct bus_bytes payload = { outlet->bytes.data, outlet->bytes.size };
    outlet->filling = NULL;
    self->stirs++;
    flight->batch = bus_publish(self->bus, outlet->contract->subject, (struct bus_bytes){ "", 0 }, payload, flight->count,
        flight->is_caused);
    outlet->bytes.size = 0;
    if (outlet->bytes.alloc > 4 * BATCH_BYTES) {  /* one huge message: its memory is given back */
        msgpack_sbuffer_destroy(&outlet->bytes);
        msgpack_sbuffer_init(&outlet->bytes);
    }
    if (outlet->contract->policy != LOSSLESS || (flight->is_caused && !self->is_connected)) {
        free_flight(self, flight); /* what is not kept, here or by the bus, is never acknowledged */
        return;
    }
    flight->next = NULL;
    if (outlet->last)
        outlet->last->next = flight;
    else
        outlet->first = flight;
    outlet->last = flight;
    self->flights_count++;
}

static bool is_due(const actor_t *self, const struct outlet *outlet)
{
    return !outlet->first || outlet->filling->count >= BATCH_MESSAGES || outlet->bytes.size >= BATCH_BYTES ||
        self->clock_us - outlet->filling_since_us >= BATCH_US;
}

void outlets_flush(actor_t *self, bool all)
{
    for (struct outlet *outlet = self->outlets; outlet < self->outlets + self->outlets_count; outlet++)
        if (outlet->filling && (all || is_due(self, outlet)))
            send_batch(self, outlet);
}

int64_t outlets_due_us(const actor_t *self)
{
    int64_t due = -1;
    for (const struct outlet *outlet = self->outlets; outlet < self->outlets + self->outlets_count; outlet++)
        if (outlet->filling && (due < 0 || outlet->filling_since_us + BATCH_US < due))
            due = outlet->filling_since_us + BATCH_US;
    return due;
}

/* The TAG fields as text, each closed by a separator that is in no name. */
static struct bus_bytes latest_key(const struct schema *schema, const void *message, char *to, size_t size)
{
    size_t n = 0;
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        if (!(f->flags & TAG))
            continue;
        size_t length = schema_get_text(f, message, to + n, size - n);
        assert(n + length + 1 < size && "the key of a LATEST topic is too long");
        n += length;
        to[n++] = '\x1f';
    }
    return (struct bus_bytes){ to, n };
}

static void send_latest(actor_t *self, const struct outlet *outlet, const void *message)
{
    char key[4096];
    self->stirs++;
    bus_publish(self->bus, outlet->contract->subject, latest_key(outlet->schema, message, key, sizeof key),
        (struct bus_bytes){ self->scratch.data, self->scratch.size }, 1, false);
}

static int refuse(actor_t *self, const struct contract *contract, const struct fault *fault)
{
    self->mismatches++;
    actor_error(self, "a message of ours breaks its schema and is not sent: %s.%s %s", contract->subject, fault->field, fault->why);
    return -1;
}

int actor_publish(actor_t *self, const struct contract *contract, const void *message)
{
    struct fault fault;
    struct outlet *outlet = outlet_of(self, contract);
    bool is_caused = self->cause && contract->policy == LOSSLESS;
    if (contract->policy == LATEST) {
        self->scratch.size = 0;
        if (schema_encode(outlet->schema, message, &self->scratch, &fault))
            return refuse(self, contract, &fault);
        send_latest(self, outlet, message);
        return 0;
    }
    if (outlet->filling && outlet->filling->is_caused != is_caused)
        send_batch(self, outlet);
    if (schema_encode(outlet->schema, message, &outlet->bytes, &fault))
        return refuse(self, contract, &fault);
    struct flight *flight = outlet->filling;
    if (!flight) {
        flight = outlet->filling = new_flight(self);
        flight->first = outlet->published + 1;
        flight->count = 0;
        flight->is_caused = is_caused;
        outlet->filling_since_us = self->clock_us;
    }
    outlet->published++;
    flight->count++;
    if (is_caused)
        add_cause(flight, self->cause);
    if (flight->count >= BATCH_MESSAGES || outlet->bytes.size >= BATCH_BYTES)
        send_batch(self, outlet);
    return 0;
}

uint64_t actor_published(const actor_t *self, const struct contract *contract)
{
    const struct outlet *outlet = find_outlet(self, contract);
    return outlet ? outlet->published : 0;
}

size_t actor_room(const actor_t *self, const struct contract *contract)
{
    struct outlet *outlet = outlet_of((actor_t *)(uintptr_t)self, contract);
    size_t room = bus_room(self->bus, contract->subject), waiting = outlet->filling ? outlet->filling->count : 0;
    return room > waiting ? room - waiting : 0;
}

/* --- what comes back --------------------------------------------------------------------------------- */

static struct flight *take_flight(struct outlet *outlet, uint64_t batch)
{
    struct flight *before = NULL, *flight = outlet->first;
    while (flight && flight->batch != batch) {
        before = flight;
        flight = flight->next;
    }
    if (!flight)
        return NULL;
    *(before ? &before->next : &outlet->first) = flight->next;
    if (outlet->last == flight)
        outlet->last = before;
    return flight;
}

void outlets_acked(actor_t *self, const char *subject, uint64_t batch)
{
    struct outlet *outlet = self->outlets, *end = self->outlets + self->outlets_count;
    while (outlet < end && strcmp(outlet->contract->subject, subject) != 0)
        outlet++;
    struct flight *flight = outlet < end ? take_flight(outlet, batch) : NULL;
    if (!flight)
        return;
    self->flights_count--;
    uint64_t first = flight->first, last = flight->first + flight->count - 1;
    free_flight(self, flight);
    if (self->spec->acked)
        self->spec->acked(self->self, self, outlet->contract, first, last);
}

/* What incoming messages caused is forgotten, as the bus has done: they come again. */
static void lose_caused(actor_t *self, struct outlet *outlet)
{
    struct flight *flight = outlet->first;
    outlet->first = outlet->last = NULL;
    while (flight) {
        struct flight *next = flight->next;
        if (flight->is_caused) {
            self->flights_count--;
            free_flight(self, flight);
        } else {
            *(outlet->last ? &outlet->last->next : &outlet->first) = flight;
            outlet->last = flight;
            flight->next = NULL;
        }
        flight = next;
    }
    if (outlet->filling && outlet->filling->is_caused) {
        free_flight(self, outlet->filling);
        outlet->filling = NULL;
        outlet->bytes.size = 0;
    }
}

void outlets_lost(actor_t *self)
{
    for (struct outlet *outlet = self->outlets; outlet < self->outlets + self->outlets_count; outlet++) {
        for (struct flight *flight = outlet->first; flight; flight = flight->next)
            for (size_t i = 0; i < flight->causes_count; i++)
                flight->causes[i].incoming->is_void = true;
        for (size_t i = 0; outlet->filling && i < outlet->filling->causes_count; i++)
            outlet->filling->causes[i].incoming->is_void = true;
        lose_caused(self, outlet);
    }
}

void outlets_destroy(actor_t *self)
{
    outlets_lost(self);
    for (struct outlet *outlet = self->outlets; outlet < self->outlets + self->outlets_count; outlet++) {
        while (outlet->first) {
            struct flight *next = outlet->first->next;
            free_flight(self, outlet->first);
            outlet->first = next;
        }
        if (outlet->filling)
            free_flight(self, outlet->filling);
        msgpack_sbuffer_destroy(&outlet->bytes);
    }
    while (self->flights_pool) {
        struct flight *next = self->flights_pool->next;
        free(self->flights_pool->causes);
        free(self->flights_pool);
        self->flights_pool = next;
    }
}
