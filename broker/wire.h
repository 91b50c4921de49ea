/* wire.h - frames between an actor and the broker, shared by both sides.
 *
 * A letter is a header frame and up to two parts. The header is 32 bytes, little-endian, so
 * that libzmq keeps it inline and allocates nothing:
 *
 *    0 verb    1 flags    2 topic (2)    4 count (4)    8 number (8)    16 bytes (8)    24 extra (8)
 *
 * ACK and ACKED may have numbers behind it, eight bytes each. What comes in is checked here
 * for shape: known verb, said by the right side, header size, number and size of parts. */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zmq.h>

enum {
    WIRE_VERSION = 1,
    WIRE_HEADER  = 32,
    WIRE_PARTS   = 2,
    WIRE_NUMBERS = 128,               /* most numbers in one ACK or ACKED */
    WIRE_NAME    = 64,                /* longest name, instance or group */
    WIRE_SUBJECT = 128,               /* longest subject of a topic or service */
    WIRE_GROUPS  = 512,               /* longest list of groups */
    WIRE_KEY     = 4096,              /* longest key of a LATEST value */
    WIRE_TOPICS  = 1024,              /* most declarations of one actor */
    WIRE_MAX     = 96 * 1024 * 1024   /* largest part */
};

enum verb {
#define VERB(name, side, least, most, doc) VERB_##name,
#include "verbs.tbl"
#undef VERB
    VERB_COUNT
};

enum side { SAID_BY_ACTOR, SAID_BY_BROKER };

struct wire {
    uint8_t verb, flags;
    uint16_t topic;
    uint32_t count;
    uint64_t number, bytes, extra;
};

/* All of it is initialised at any time between letter_init and letter_clear. */
struct letter {
    zmq_msg_t from;                   /* routing id; empty on the actor's side */
    zmq_msg_t header;
    zmq_msg_t parts[WIRE_PARTS];
    size_t part_count;
    struct wire wire;                 /* the header, once letter_read has returned 0 */
};

void letter_init(struct letter *);
void letter_clear(struct letter *);   /* back to what letter_init made */

/* Take one letter off a socket. 1: here it is, 0: there is none, -1: one came that cannot be
 * a letter (all its frames are consumed; `from` is valid). Never blocks. */
int letter_receive(struct letter *, void *socket, bool routed);

/* Check the header and the parts against the table and fill in `wire`. 0 or -1. */
int letter_read(struct letter *, enum side said_by);

/* ACK, ACKED: how many numbers there are, and each of them. */
size_t letter_numbers(const struct letter *);
uint64_t letter_number(const struct letter *, size_t at);

/* Copy a part as text. False if it is empty where it must not be, too long, or no plain
 * printable ASCII. */
bool letter_text(const struct letter *, size_t part, char *to, size_t size, bool may_be_empty);

/* Send one letter; `to` is the routing id, or NULL on the actor's side. The parts are taken in
 * any case. 0, or -1 with errno: EHOSTUNREACH, EAGAIN. Never blocks. */
int wire_send(void *socket, const zmq_msg_t *to, const struct wire *, zmq_msg_t parts[], size_t part_count);
int wire_send_numbers(void *socket, const zmq_msg_t *to, struct wire, const uint64_t numbers[], size_t count);

void wire_pack(const struct wire *, uint8_t to[WIRE_HEADER]);
void part_of(zmq_msg_t *, const void *data, size_t size);    /* a new part, copied */
void part_share(zmq_msg_t *to, const zmq_msg_t *from);       /* a new part, the same bytes by reference */

/* Options that both ends of an address have in common. */
void wire_set_options(void *socket, const char *address, int linger_ms);

#endif
