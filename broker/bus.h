/* bus.h - one process' connection to the broker. Knows subjects, batches and windows, never
 * what a payload means.
 *
 * A *batch* is up to 256 messages of one topic, as one payload and a count. Batches of
 * LOSSLESS topics are numbered per topic by their publisher and acknowledged one by one, in
 * any order; the bus keeps each until then and sends it again after a reconnect, unless it
 * was published as CAUSED (by an incoming batch, which will come again by itself): those are
 * forgotten when the connection is lost. LATEST values are kept by key and said again.
 * Single-threaded, never blocks, never sleeps. Sizes are bytes, times are microseconds of the
 * monotonic clock, given by the caller. */
#ifndef BUS_H
#define BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bus bus_t;
typedef struct delivery delivery_t;  /* an incoming batch of a LOSSLESS topic, not yet acknowledged */

enum bus_policy { BUS_LOSSLESS, BUS_LATEST, BUS_LIVE };
struct bus_bytes { const void *data; size_t size; };

struct bus_options {
    const char *endpoint;            /* ipc:// or tcp:// */
    const char *name, *instance;     /* the actor; a newcomer with the same pair replaces the older */
    const char *server_key, *public_key, *secret_key; /* CURVE, Z85; NULL: plain */
    void *owner;                     /* handed to every callback */

    /* The connection stands and everything declared has been said (true); or it is lost: every
     * delivery handed out is void (bus_release on it is still needed, and only frees it), every
     * CAUSED batch forgotten, every question open answered by NO_CONNECTION (false). */
    void (*connected)(void *owner, bool up);
    /* A batch. `delivery` is NULL where nothing is to be acknowledged (LATEST, LIVE); payload
     * and key live until bus_release, or else until the callback returns. `dropped`: LIVE
     * messages that were left out before this one. */
    void (*deliver)(void *owner, delivery_t *delivery, const char *subject, struct bus_bytes key,
        struct bus_bytes payload, uint32_t count, uint32_t dropped);
    void (*acked)(void *owner, const char *subject, uint64_t batch);
    /* A question for a service of ours. Answer once with bus_answer. */
    void (*asked)(void *owner, uint64_t ticket, const char *service, int64_t deadline_ms, struct bus_bytes query);
    void (*answered)(void *owner, uint64_t question, int verdict, struct bus_bytes head, struct bus_bytes body);
};

/* Verdicts that the bus and the broker make themselves; actors use others. The runtime maps
 * them, so that enum verdict is known to it alone. */
enum { BUS_NO_OWNER = 1001, BUS_TOO_LATE = 1002, BUS_OWNER_GONE = 1003, BUS_NO_CONNECTION = 1004, BUS_TOO_LARGE = 1005 };

bus_t *bus_new(const struct bus_options *);  /* NULL: an address or key is wrong, errno says; strings are copied */
void bus_destroy(bus_t **);                  /* says goodbye; lingers at most 200 ms */

/* Declarations: remembered and said again after every reconnect. `groups`: of a LOSSLESS
 * topic, comma-separated, the groups that must acknowledge; `group` "" listens outside of
 * all groups, as LIVE does. A window of 0 messages: paused. */
void bus_publishes(bus_t *, const char *subject, enum bus_policy, const char *groups);
void bus_listens(bus_t *, const char *subject, enum bus_policy, const char *group, size_t messages, size_t bytes);
void bus_window(bus_t *, const char *subject, size_t messages, size_t bytes);
void bus_answers(bus_t *, const char *service);

/* Publish a batch. The payload is copied. Returns the batch's number (LOSSLESS, from 1), or 0
 * (the others). `key` counts for LATEST alone, whose count is 1. An empty LATEST payload
 * removes the key. */
uint64_t bus_publish(bus_t *, const char *subject, struct bus_bytes key, struct bus_bytes payload, uint32_t count, bool caused);

/* What the publisher's window on a LOSSLESS topic still takes; 0 while not connected. A batch
 * larger than the window may go alone when nothing is in flight. */
size_t bus_room(const bus_t *, const char *subject);
size_t bus_in_flight(const bus_t *, const char *subject);  /* messages published, not acknowledged */

void bus_ack(bus_t *, delivery_t *);      /* acknowledge; the payload stays until bus_release */
void bus_release(bus_t *, delivery_t **); /* free; one not acknowledged would be given to another when we go */

uint64_t bus_ask(bus_t *, const char *service, struct bus_bytes query, int deadline_ms); /* the question's number */
void bus_answer(bus_t *, uint64_t ticket, int verdict, struct bus_bytes head, struct bus_bytes body); /* copied; a ticket that is void is ignored */

/* The loop: wait for bus_fd to be readable or until bus_wait_ms, then bus_work until it
 * returns false. bus_fd is edge-triggered (ZMQ_FD): call bus_work before every wait, and
 * after sending. bus_work handles at most about 1,000 frames before it returns true. */
int bus_fd(const bus_t *);
int bus_wait_ms(const bus_t *, int64_t clock_us);
bool bus_work(bus_t *, int64_t clock_us);

#endif
