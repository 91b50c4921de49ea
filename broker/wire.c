/* wire.c - frames between an actor and the broker: pack, check, send, receive. */
#include "wire.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct verb_row { enum side side; uint8_t least, most; };

#define SAID_BY_(side) SAID_BY_##side
static const struct verb_row rows[VERB_COUNT] = {
#define VERB(name_, side_, least_, most_, doc) \
    [VERB_##name_] = { .side = SAID_BY_(side_), .least = least_, .most = most_ },
#include "verbs.tbl"
#undef VERB
};

static void put(uint8_t *to, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t *from, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)from[i] << (8 * i);
    return value;
}

void wire_pack(const struct wire *wire, uint8_t to[WIRE_HEADER])
{
    to[0] = wire->verb;
    to[1] = wire->flags;
    put(to + 2, wire->topic, 2);
    put(to + 4, wire->count, 4);
    put(to + 8, wire->number, 8);
    put(to + 16, wire->bytes, 8);
    put(to + 24, wire->extra, 8);
}

static void unpack(const uint8_t *from, struct wire *wire)
{
    *wire = (struct wire){
        .verb = from[0],
        .flags = from[1],
        .topic = (uint16_t)get(from + 2, 2),
        .count = (uint32_t)get(from + 4, 4),
        .number = get(from + 8, 8),
        .bytes = get(from + 16, 8),
        .extra = get(from + 24, 8),
    };
}

void part_of(zmq_msg_t *part, const void *data, size_t size)
{
    int rc = zmq_msg_init_size(part, size);
    assert(rc == 0);
    if (size)
        memcpy(zmq_msg_data(part), data, size);
}

void part_share(zmq_msg_t *to, const zmq_msg_t *from)
{
    zmq_msg_init(to);
    int rc = zmq_msg_copy(to, (zmq_msg_t *)(uintptr_t)from); /* libzmq marks the source as shared */
    assert(rc == 0);
}

void letter_init(struct letter *letter)
{
    zmq_msg_init(&letter->from);
    zmq_msg_init(&letter->header);
    for (size_t i = 0; i < WIRE_PARTS; i++)
        zmq_msg_init(&letter->parts[i]);
    letter->part_count = 0;
    letter->wire = (struct wire){ 0 };
}

void letter_clear(struct letter *letter)
{
    zmq_msg_close(&letter->from);
    zmq_msg_close(&letter->header);
    for (size_t i = 0; i < WIRE_PARTS; i++)
        zmq_msg_close(&letter->parts[i]);
    letter_init(letter);
}

/* The frames behind the last one we have room for: the letter is too long. */
static int swallow(void *socket)
{
    zmq_msg_t frame;
    int more = 1;
    while (more) {
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, ZMQ_DONTWAIT) < 0)
            more = 0;
        else
            more = zmq_msg_more(&frame);
        zmq_msg_close(&frame);
    }
    return -1;
}

int letter_receive(struct letter *letter, void *socket, bool routed)
{
    if (zmq_msg_recv(routed ? &letter->from : &letter->header, socket, ZMQ_DONTWAIT) < 0)
        return 0;
    if (routed) {
        if (!zmq_msg_more(&letter->from))
            return -1;
        if (zmq_msg_recv(&letter->header, socket, ZMQ_DONTWAIT) < 0)
            return -1;
    }
    bool more = zmq_msg_more(&letter->header);
    while (more && letter->part_count < WIRE_PARTS) {
        zmq_msg_t *part = &letter->parts[letter->part_count];
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0)
            return -1;
        letter->part_count++;
        more = zmq_msg_more(part);
    }
    return more ? swallow(socket) : 1;
}

static bool is_list(const struct wire *wire)
{
    return wire->verb == VERB_ACK || wire->verb == VERB_ACKED;
}

int letter_read(struct letter *letter, enum side said_by)
{
    const uint8_t *data = zmq_msg_data(&letter->header);
    size_t size = zmq_msg_size(&letter->header);
    if (size == 0 && letter->part_count == 0 && said_by == SAID_BY_ACTOR) {
        letter->wire = (struct wire){ .verb = VERB_PROBE };
        return 0;
    }
    if (size < WIRE_HEADER || data[0] >= VERB_COUNT || data[0] == VERB_PROBE)
        return -1;
    unpack(data, &letter->wire);
    const struct verb_row *row = &rows[letter->wire.verb];
    if (row->side != said_by || letter->part_count < row->least || letter->part_count > row->most)
        return -1;
    size_t numbers = is_list(&letter->wire) ? letter->wire.count : 0;
    if (numbers > WIRE_NUMBERS || size != WIRE_HEADER + 8 * numbers)
        return -1;
    for (size_t i = 0; i < letter->part_count; i++)
        if (zmq_msg_size(&letter->parts[i]) > WIRE_MAX)
            return -1;
    return 0;
}

size_t letter_numbers(const struct letter *letter)
{
    return letter->wire.count ? letter->wire.count : 1;
}

uint64_t letter_number(const struct letter *letter, size_t at)
{
    if (letter->wire.count == 0)
        return letter->wire.number;
    assert(at < letter->wire.count);
    const uint8_t *data = zmq_msg_data((zmq_msg_t *)(uintptr_t)&letter->header);
    return get(data + WIRE_HEADER + 8 * at, 8);
}

bool letter_text(const struct letter *letter, size_t part, char *to, size_t size, bool may_be_empty)
{
    assert(part < WIRE_PARTS);
    const zmq_msg_t *from = &letter->parts[part];
    size_t length = zmq_msg_size(from);
    if (length >= size || (length == 0 && !may_be_empty))
        return false;
    const char *text = zmq_msg_data((zmq_msg_t *)(uintptr_t)from);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    if (length)
        memcpy(to, text, length);
    to[length] = 0;
    return true;
}

static int send_frames(void *socket, const zmq_msg_t *to, zmq_msg_t *header, zmq_msg_t parts[], size_t part_count)
{
    if (to) {
        zmq_msg_t id;
        part_share(&id, to);
        if (zmq_msg_send(&id, socket, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
            int error = errno;
            zmq_msg_close(&id);
            errno = error;
            return -1;
        }
    }
    if (zmq_msg_send(header, socket, ZMQ_DONTWAIT | (part_count ? ZMQ_SNDMORE : 0)) < 0)
        return -1;
    for (size_t i = 0; i < part_count; i++)
        if (zmq_msg_send(&parts[i], socket, ZMQ_DONTWAIT | (i + 1 < part_count ? ZMQ_SNDMORE : 0)) < 0)
            return -1;
    return 0;
}

static int send_and_close(void *socket, const zmq_msg_t *to, zmq_msg_t *header, zmq_msg_t parts[], size_t part_count)
{
    int rc = send_frames(socket, to, header, parts, part_count);
    int error = errno;
    zmq_msg_close(header); /* what was sent is empty by now */
    for (size_t i = 0; i < part_count; i++)
        zmq_msg_close(&parts[i]);
    errno = error;
    return rc;
}

int wire_send(void *socket, const zmq_msg_t *to, const struct wire *wire, zmq_msg_t parts[], size_t part_count)
{
    zmq_msg_t header;
    int rc = zmq_msg_init_size(&header, WIRE_HEADER);
    assert(rc == 0);
    wire_pack(wire, zmq_msg_data(&header));
    return send_and_close(socket, to, &header, parts, part_count);
}

int wire_send_numbers(void *socket, const zmq_msg_t *to, struct wire wire, const uint64_t numbers[], size_t count)
{
    assert(count && count <= WIRE_NUMBERS);
    zmq_msg_t header;
    wire.number = numbers[0];
    wire.count = count == 1 ? 0 : (uint32_t)count;
    int rc = zmq_msg_init_size(&header, WIRE_HEADER + 8 * (size_t)wire.count);
    assert(rc == 0);
    uint8_t *data = zmq_msg_data(&header);
    wire_pack(&wire, data);
    for (size_t i = 0; i < wire.count; i++)
        put(data + WIRE_HEADER + 8 * i, numbers[i], 8);
    return send_and_close(socket, to, &header, NULL, 0);
}

static void set(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
}

void wire_set_options(void *socket, const char *address, int linger_ms)
{
    int64_t max = WIRE_MAX;
    int rc = zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max);
    assert(rc == 0);
    set(socket, ZMQ_LINGER, linger_ms);
    set(socket, ZMQ_IPV6, strchr(address, '[') != NULL); /* only where it is said: a kernel may have none */
    set(socket, ZMQ_SNDHWM, 0); /* credit is ours, see queue.c; the broker sets a bound of its own */
    set(socket, ZMQ_TCP_KEEPALIVE, 1);
    set(socket, ZMQ_TCP_KEEPALIVE_IDLE, 30);
    set(socket, ZMQ_TCP_KEEPALIVE_INTVL, 10);
    set(socket, ZMQ_TCP_KEEPALIVE_CNT, 3);
}
