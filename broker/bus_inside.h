/* bus_inside.h - what the files of the bus share: bus.c (the connection), outbox.c (what it
 * publishes), inbox.c (what it listens to), asking.c (questions both ways). */
#ifndef BUS_INSIDE_H
#define BUS_INSIDE_H

#include <czmq.h>
#include <sys/queue.h>

#include "bus.h"
#include "wire.h"

enum bus_state { BUS_CALLING, BUS_GREETED, BUS_CONNECTED };

struct sent;
struct value;
struct question;
TAILQ_HEAD(sent_list, sent);
TAILQ_HEAD(bus_value_list, value);
TAILQ_HEAD(question_list, question);

/* A topic we publish. LOSSLESS: batches not yet acknowledged, oldest first. LATEST: values by
 * key, least recently published first; from say_from on they are still to be said. */
struct outlet {
    uint16_t topic;
    enum bus_policy policy;
    char subject[WIRE_SUBJECT + 1], groups[WIRE_GROUPS + 1];
    uint64_t last_number;
    struct sent_list batches;
    size_t in_flight_messages, in_flight_bytes;
    zhashx_t *by_key;
    struct bus_value_list values;
    struct value *say_from;
    uint32_t dropped;                 /* LIVE messages not said since the last one that was */
};

/* A topic we listen to. */
struct inlet {
    uint16_t topic;
    enum bus_policy policy;
    char subject[WIRE_SUBJECT + 1], group[WIRE_NAME + 1];
    size_t window_messages, window_bytes;
    uint64_t acks[WIRE_NUMBERS];      /* not yet said */
    size_t ack_count;
    size_t taken_messages, taken_bytes;
};

/* A service we answer. */
struct counter { uint16_t topic; char service[WIRE_SUBJECT + 1]; };

struct bus {
    struct bus_options options;       /* with strings of our own */
    void *context, *socket;
    int epoll_fd;                     /* holds the socket's; stays the same when that is replaced */
    enum bus_state state;
    bool has_said;
    uint64_t incarnation;
    uint32_t session;                 /* counts connections: what belongs to an older one is void */
    int64_t clock_us, said_us, heard_us, pinged_us, called_us;
    int64_t unanswered_us;            /* the first PING since we last heard something; 0: none */
    int64_t silence_us;
    size_t window_messages, window_bytes;   /* per topic, as the broker said */
    zhashx_t *outlets, *inlets;       /* by subject */
    struct outlet *outlet_at[WIRE_TOPICS];  /* by number; the three share the numbers */
    struct inlet *inlet_at[WIRE_TOPICS];
    struct counter *counter_at[WIRE_TOPICS];
    uint16_t topics;
    uint64_t loose_said, loose_pinged, loose_confirmed; /* bytes of LATEST and LIVE, see outbox.c */
    size_t removed_values;
    zhashx_t *questions;
    struct question_list asked, failed;
    uint64_t last_question;
    uint64_t malformed;
};

/* bus.c */
bool bus_say(bus_t *, const struct wire *, zmq_msg_t parts[], size_t part_count);
void bus_declare(bus_t *, const struct wire *, const char *first, const char *second); /* second: NULL: one part */
void bus_ping(bus_t *);

/* outbox.c */
void outbox_declare(bus_t *, const struct outlet *);
void outbox_replay(bus_t *);          /* after WELCOME */
void outbox_lost(bus_t *);
void outbox_acked(bus_t *, const struct letter *);
void outbox_confirmed(bus_t *, uint64_t mark);
void outbox_say_values(bus_t *);
void outbox_destroy(bus_t *);

/* inbox.c */
void inbox_declare(bus_t *, const struct inlet *);
void inbox_replay(bus_t *);
void inbox_lost(bus_t *);
void inbox_deliver(bus_t *, struct letter *);
void inbox_flush(bus_t *, bool all);  /* say acknowledgements; all: small credits too */
void inbox_destroy(bus_t *);

/* asking.c */
void asking_replay(bus_t *);
void asking_lost(bus_t *);
void asking_asked(bus_t *, const struct letter *);
void asking_answered(bus_t *, const struct letter *);
void asking_settle(bus_t *);          /* tell what has failed or run out of time */
bool asking_is_due(const bus_t *);
int64_t asking_deadline_us(const bus_t *); /* the next one; INT64_MAX: none */
void asking_destroy(bus_t *);

/* For tests and fuzzers: handle one letter as if it had come from the broker. */
void bus_take(bus_t *, struct letter *);

static inline struct bus_bytes part_bytes(const zmq_msg_t *part)
{
    zmq_msg_t *message = (zmq_msg_t *)(uintptr_t)part; /* libzmq's getters take no const */
    return (struct bus_bytes){ zmq_msg_data(message), zmq_msg_size(message) };
}

#endif
