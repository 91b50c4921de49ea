/* pair.h - a broker and some actors in one process, turned by hand: no threads of ours, no
 * sleeps; a turn waits for sockets for a millisecond, in a story that goes on for long, where
 * libzmq's threads may find no processor, for ten. A story has a deadline. */
#ifndef PAIR_H
#define PAIR_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <czmq.h>
#include <poll.h>

#include "broker.h"
#include "bus.h"

enum { MOST_ACTORS = 12, MOST_HEARD = 4096, TURNS = 8000, PATIENT_TURNS = 4000 };

struct heard {
    char subject[64], key[32], payload[64];
    uint32_t count, dropped;
    size_t size;
    delivery_t *delivery;
};

struct reply { uint64_t question; int verdict; char head[64], body[64]; size_t size; };
struct request { uint64_t ticket; char service[64], query[64]; int64_t ms; };

struct pair;

struct actor {
    struct pair *pair;
    bus_t *bus;
    bool is_stopped;              /* its bus_work is not called, as under SIGSTOP */
    bool acks_at_once;
    int ups, downs;
    struct heard heard[MOST_HEARD];
    size_t heard_count;
    uint64_t acked[MOST_HEARD];
    size_t acked_count;
    struct reply replies[64];
    size_t reply_count;
    struct request requests[64];
    size_t request_count;
};

struct pair {
    char directory[64], endpoint[128], listen[128], refused[128];
    struct broker_options options;
    broker_t *broker;
    struct actor *actors[MOST_ACTORS];
    size_t actor_count;
    int64_t clock_us;             /* the tests' own; moves with every turn */
};

static inline struct bus_bytes text(const char *t)
{
    return (struct bus_bytes){ t, strlen(t) };
}

static inline void keep_text(char *to, size_t size, struct bus_bytes from)
{
    size_t n = from.size < size - 1 ? from.size : size - 1;
    if (n)
        memcpy(to, from.data, n);
    to[n] = 0;
}

static inline void on_connected(void *owner, bool up)
{
    struct actor *self = owner;
    self->ups += up;
    self->downs += !up;
}

static inline void on_deliver(void *owner, delivery_t *delivery, const char *subject, struct bus_bytes key,
    struct bus_bytes payload, uint32_t count, uint32_t dropped)
{
    struct actor *self = owner;
    assert_true(self->heard_count < MOST_HEARD);
    struct heard *heard = &self->heard[self->heard_count++];
    *heard = (struct heard){ .count = count, .dropped = dropped, .size = payload.size, .delivery = delivery };
    snprintf(heard->subject, sizeof heard->subject, "%s", subject);
    keep_text(heard->key, sizeof heard->key, key);
    keep_text(heard->payload, sizeof heard->payload, payload);
    if (delivery && self->acks_at_once) {
        bus_ack(self->bus, delivery);
        bus_release(self->bus, &heard->delivery);
    }
}

static inline void on_acked(void *owner, const char *subject, uint64_t batch)
{
    struct actor *self = owner;
    (void)subject;
    assert_true(self->acked_count < MOST_HEARD);
    self->acked[self->acked_count++] = batch;
}

static inline void on_asked(void *owner, uint64_t ticket, const char *service, int64_t ms, struct bus_bytes query)
{
    struct actor *self = owner;
    assert_true(self->request_count < 64);
    struct request *request = &self->requests[self->request_count++];
    *request = (struct request){ .ticket = ticket, .ms = ms };
    snprintf(request->service, sizeof request->service, "%s", service);
    keep_text(request->query, sizeof request->query, query);
}

static inline void on_answered(void *owner, uint64_t question, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    struct actor *self = owner;
    assert_true(self->reply_count < 64);
    struct reply *reply = &self->replies[self->reply_count++];
    *reply = (struct reply){ .question = question, .verdict = verdict, .size = body.size };
    keep_text(reply->head, sizeof reply->head, head);
    keep_text(reply->body, sizeof reply->body, body);
}

static inline void start_broker(struct pair *pair)
{
    pair->broker = broker_new(&pair->options);
    assert_non_null(pair->broker);
}

static inline void pair_options(struct pair *pair, const char *endpoint)
{
    pair->options = (struct broker_options){ .endpoint = endpoint, .silence_ms = 3000,
        .publisher_messages = 1000, .publisher_bytes = 1 << 20, .last_values_bytes = 1 << 20, .owner = pair };
}

static inline void pair_open(struct pair *pair)
{
    *pair = (struct pair){ .clock_us = 1000000000 };
    strcpy(pair->directory, "/tmp/broker-test-XXXXXX");
    assert_non_null(mkdtemp(pair->directory));
    snprintf(pair->endpoint, sizeof pair->endpoint, "ipc://%s/b", pair->directory);
    pair_options(pair, pair->endpoint);
    start_broker(pair);
}

static inline struct actor *actor_with(struct pair *pair, struct bus_options options)
{
    struct actor *self = calloc(1, sizeof *self);
    assert_non_null(self);
    self->pair = pair;
    options.owner = self;
    options.connected = on_connected;
    options.deliver = on_deliver;
    options.acked = on_acked;
    options.asked = on_asked;
    options.answered = on_answered;
    self->bus = bus_new(&options);
    assert_non_null(self->bus);
    assert_true(pair->actor_count < MOST_ACTORS);
    pair->actors[pair->actor_count++] = self;
    return self;
}

static inline struct actor *actor(struct pair *pair, const char *name, const char *instance)
{
    return actor_with(pair, (struct bus_options){ .endpoint = pair->endpoint, .name = name, .instance = instance });
}

/* Its process is gone without a word: nothing it has not yet said is said. */
static inline void forget_actor(struct actor *self)
{
    struct pair *pair = self->pair;
    for (size_t i = 0; i < self->heard_count; i++)
        bus_release(self->bus, &self->heard[i].delivery);
    for (size_t i = 0; i < pair->actor_count; i++)
        if (pair->actors[i] == self)
            pair->actors[i] = pair->actors[--pair->actor_count];
}

static inline void leave(struct actor *self)
{
    forget_actor(self);
    bus_destroy(&self->bus);
    free(self);
}

static inline void pair_close(struct pair *pair)
{
    while (pair->actor_count)
        leave(pair->actors[0]);
    broker_destroy(&pair->broker);
    char path[128];
    snprintf(path, sizeof path, "%s/b", pair->directory);
    unlink(path);
    rmdir(pair->directory);
}

/* Everybody works once. If nobody had anything to do, wait a little for the sockets. */
static inline void turn_within(struct pair *pair, int ms)
{
    struct pollfd fds[MOST_ACTORS];
    nfds_t count = 0;
    pair->clock_us += 1000;
    bool more = pair->broker && broker_work(pair->broker, pair->clock_us);
    for (size_t i = 0; i < pair->actor_count; i++) {
        struct actor *self = pair->actors[i];
        if (self->is_stopped)
            continue;
        more |= bus_work(self->bus, pair->clock_us);
        fds[count++] = (struct pollfd){ .fd = bus_fd(self->bus), .events = POLLIN };
    }
    if (!more && poll(fds, count, 0) == 0 && pair->broker)
        broker_wait(pair->broker, -1, ms);
    else if (!more && !pair->broker)
        poll(fds, count, ms);
}

static inline void turn(struct pair *pair)
{
    turn_within(pair, 1);
}

#define UNTIL(pair, condition)                                  \
    do {                                                        \
        int turns = 0;                                          \
        while (!(condition) && turns++ < TURNS)                 \
            turn_within(pair, turns < PATIENT_TURNS ? 1 : 10);  \
        assert_true(condition);                                 \
    } while (0)

/* Long enough for anything under way to arrive: several round trips of everybody. */
static inline void settle(struct pair *pair)
{
    for (int i = 0; i < 30; i++)
        turn(pair);
}

static inline void pass_time(struct pair *pair, int ms)
{
    for (int64_t until = pair->clock_us + (int64_t)ms * 1000; pair->clock_us < until;) {
        pair->clock_us += 99000;
        turn(pair);
    }
}

static inline uint64_t publish(struct actor *self, const char *subject, const char *payload)
{
    return bus_publish(self->bus, subject, text(""), text(payload), 1, false);
}

static inline void acknowledge(struct actor *self, size_t at)
{
    assert_non_null(self->heard[at].delivery);
    bus_ack(self->bus, self->heard[at].delivery);
    bus_release(self->bus, &self->heard[at].delivery);
}

#endif
