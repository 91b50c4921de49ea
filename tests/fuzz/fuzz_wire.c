/* fuzz_wire.c - letters to the broker from three peers, and letters to an actor.
 *
 * The input is a row of letters: who says it (the last quarter: to the actor), how many parts,
 * how long header and parts are, their bytes. */
#include "bus_inside.h"

#include "feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cursor { const uint8_t *at; size_t left; };

static uint8_t byte_of(struct cursor *cursor)
{
    if (!cursor->left)
        return 0;
    cursor->left--;
    return *cursor->at++;
}

static void part_from(struct cursor *cursor, zmq_msg_t *part)
{
    size_t size = byte_of(cursor);
    if (size > cursor->left)
        size = cursor->left;
    part_of(part, cursor->at, size);
    cursor->at += size;
    cursor->left -= size;
}

/* Most headers are of the right length, or nothing would get past it. */
static void header_from(struct cursor *cursor, uint8_t kind, zmq_msg_t *header)
{
    uint8_t bytes[WIRE_HEADER] = { 0 };
    if (kind & 0x20) {
        part_from(cursor, header);
        return;
    }
    size_t size = cursor->left < 12 ? cursor->left : 12;
    for (size_t i = 0; i < size; i++) { /* verb, flags, topic, count, number; the low bytes of each */
        static const uint8_t places[12] = { 0, 1, 2, 4, 5, 8, 9, 16, 17, 24, 25, 3 };
        bytes[places[i]] = byte_of(cursor);
    }
    part_of(header, bytes, sizeof bytes);
}

static void letter_from(struct cursor *cursor, uint8_t kind, struct letter *letter)
{
    header_from(cursor, kind, &letter->header);
    for (size_t i = 0; i < (kind & 3u) && i < WIRE_PARTS; i++)
        part_from(cursor, &letter->parts[letter->part_count++]);
}

static void on_connected(void *owner, bool up)
{
    (void)owner, (void)up;
}

static void on_deliver(void *owner, delivery_t *delivery, const char *subject, struct bus_bytes key,
    struct bus_bytes payload, uint32_t count, uint32_t dropped)
{
    (void)subject, (void)key, (void)payload, (void)dropped;
    bus_t *bus = *(bus_t **)owner;
    if (!delivery)
        return;
    if (count & 1)
        bus_ack(bus, delivery);
    bus_release(bus, &delivery);
}

static void on_acked(void *owner, const char *subject, uint64_t batch)
{
    (void)owner, (void)subject, (void)batch;
}

static void on_asked(void *owner, uint64_t ticket, const char *service, int64_t ms, struct bus_bytes query)
{
    (void)service, (void)ms;
    bus_answer(*(bus_t **)owner, ticket, 0, query, query);
}

static void on_answered(void *owner, uint64_t question, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    (void)owner, (void)question, (void)verdict, (void)head, (void)body;
}

/* Made once: a context and its threads are too dear for every input. What an input leaves
 * behind in it is all the better. */
static bus_t *the_bus(void)
{
    static bus_t *bus;
    if (bus)
        return bus;
    bus = bus_new(&(struct bus_options){ .endpoint = "ipc:///tmp/fuzz-wire-nobody", .name = "fuzz", .instance = "1",
        .owner = &bus, .connected = on_connected, .deliver = on_deliver, .acked = on_acked, .asked = on_asked,
        .answered = on_answered });
    assert(bus);
    bus_publishes(bus, "lossless", BUS_LOSSLESS, "a");
    bus_publishes(bus, "latest", BUS_LATEST, "");
    bus_listens(bus, "in", BUS_LOSSLESS, "a", 10, 1000);
    bus_listens(bus, "in.live", BUS_LIVE, "", 10, 1000);
    bus_answers(bus, "service");
    return bus;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = { data, size };
    struct letter letter;
    int64_t clock_us = 1000000;
    broker_t *broker = feed_broker_new();
    letter_init(&letter);
    while (cursor.left) {
        uint8_t kind = byte_of(&cursor);
        letter_from(&cursor, kind, &letter);
        if (kind >= 0xc0) {
            bus_take(the_bus(), &letter);
        } else {
            uint8_t id[2] = { 'p', (uint8_t)(kind >> 6) };
            part_of(&letter.from, id, sizeof id);
            feed_broker(broker, &letter, clock_us += 20000);
        }
        letter_clear(&letter);
    }
    broker_destroy(&broker);
    return 0;
}
