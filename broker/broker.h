/* broker.h - the broker's core: connects actors, holds batches until they are acknowledged,
 * keeps last values, passes questions on. Knows subjects and windows, never a payload.
 *
 * Every peer is in a state (strange, known, leaving) and every verb has a cell for it: see the
 * table in broker.c. Single-threaded, never blocks, never sleeps. Memory is bounded by the
 * windows of publishers and listeners and by last_values_bytes. */
#ifndef BROKER_H
#define BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"

typedef struct broker broker_t;

enum { BROKER_ADDRESSES = 2 };

struct broker_options {
    const char *endpoint;            /* ipc:// or tcp://, without keys */
    const char *listen;              /* a second one, with CURVE where keys are given; or NULL */
    const char *public_key, *secret_key; /* Z85; or NULL */
    const char *clients;             /* directory with certificates of those who may connect; needed with keys */
    int silence_ms;                  /* a peer that has said nothing for so long is gone */
    size_t publisher_messages, publisher_bytes; /* window of a publisher on one topic */
    size_t last_values_bytes;
    void *owner;                     /* handed to every callback */
    void (*note)(void *owner, const char *what, const char *name, const char *instance); /* joined, left ...; or NULL */
};

struct broker_counters {
    uint64_t peers, published, delivered, acknowledged, redelivered, dropped, asked, answered, unowned, late, refused,
        gone, overrun, unkept;       /* overrun: beyond a publisher's window; unkept: values beyond last_values_bytes */
};

/* One queue: a group's, or that of a listener outside the groups. Text is borrowed. */
struct broker_queue {
    const char *topic, *group;       /* group: or the listener's name */
    enum bus_policy policy;
    size_t listeners, depth, depth_bytes, in_flight;
    int64_t oldest_us;               /* age; -1: there is none */
    double rate_per_s;
};

broker_t *broker_new(const struct broker_options *); /* NULL: an address or key is wrong or taken, errno says */
void broker_destroy(broker_t **);    /* tells everybody; returns when the addresses are free again */

/* The loop: broker_work until it returns false, then broker_wait for at most broker_wait_ms.
 * broker_wait returns true if `fd` (-1: none) is readable. */
bool broker_work(broker_t *, int64_t clock_us);
int broker_wait_ms(const broker_t *, int64_t clock_us);
bool broker_wait(broker_t *, int fd, int ms);

/* Services of the broker's own. The function fills head and body (malloc, freed by the
 * broker) and returns the verdict. */
struct broker_reply { void *head, *body; size_t head_size, body_size; };
typedef int broker_service_fn(void *owner, const char *service, struct bus_bytes query, struct broker_reply *);
void broker_answers(broker_t *, const char *service, broker_service_fn *);

/* Publish a LATEST value of the broker's own. */
void broker_publish(broker_t *, const char *subject, struct bus_bytes key, struct bus_bytes payload);

const struct broker_counters *broker_counters(broker_t *);
typedef void broker_queue_fn(void *owner, const struct broker_queue *);
void broker_each_queue(broker_t *, broker_queue_fn *, void *owner);

#endif
