/* fake_bus.h - the bus played by a test: what is said is kept, what comes is handed in. */
#ifndef FAKE_BUS_H
#define FAKE_BUS_H

#include "bus.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct delivery { char bytes[65536]; size_t size; uint32_t count; bool is_acked; };
struct said { char subject[64], key[128], payload[65536]; size_t key_size, size; uint32_t count; uint64_t number; bool is_caused; };
struct told { uint64_t ticket; int verdict; char head[4096], body[65536]; size_t head_size, body_size; };
struct posed { uint64_t number; char service[64]; int deadline_ms; };

struct bus {
    struct bus_options options;
    int fd;
    struct said said[64];
    size_t said_count;
    struct told told[16];
    size_t told_count;
    struct posed posed[16];
    size_t posed_count;
    char listens[512], answers[512];
    size_t window_messages, room, acked, released;
    uint64_t next_number;
    char beat[2048];            /* the last heartbeat */
    size_t beat_size, beats;
};

bus_t *bus_new(const struct bus_options *options)
{
    bus_t *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->fd = eventfd(0, EFD_CLOEXEC);
    self->window_messages = self->room = 16384;
    return self;
}

void bus_destroy(bus_t **self_p)
{
    close((*self_p)->fd);
    free(*self_p);
    *self_p = NULL;
}

void bus_publishes(bus_t *self, const char *subject, enum bus_policy policy, const char *groups)
{
    (void)self, (void)subject, (void)policy, (void)groups;
}

void bus_listens(bus_t *self, const char *subject, enum bus_policy policy, const char *group, size_t messages, size_t bytes)
{
    size_t n = strlen(self->listens);
    (void)bytes;
    snprintf(self->listens + n, sizeof self->listens - n, "%s/%d/%s/%zu ", subject, (int)policy, group, messages);
}

void bus_window(bus_t *self, const char *subject, size_t messages, size_t bytes)
{
    (void)subject, (void)bytes;
    self->window_messages = messages;
}

void bus_answers(bus_t *self, const char *service)
{
    size_t n = strlen(self->answers);
    snprintf(self->answers + n, sizeof self->answers - n, "%s ", service);
}

uint64_t bus_publish(bus_t *self, const char *subject, struct bus_bytes key, struct bus_bytes payload, uint32_t count, bool caused)
{
    if (strcmp(subject, "actor.heartbeat") == 0) {
        self->beats++;
        assert(payload.size < sizeof self->beat);
        memcpy(self->beat, payload.data, payload.size);
        self->beat_size = payload.size;
        return 0;
    }
    assert(self->said_count < 64 && payload.size <= 65536 && key.size < 128);
    struct said *said = &self->said[self->said_count++];
    *said = (struct said){ .key_size = key.size, .size = payload.size, .count = count, .number = ++self->next_number, .is_caused = caused };
    snprintf(said->subject, sizeof said->subject, "%s", subject);
    memcpy(said->key, key.data, key.size);
    memcpy(said->payload, payload.data, payload.size);
    return said->number;
}

size_t bus_room(const bus_t *self, const char *subject) { return (void)subject, self->room; }
size_t bus_in_flight(const bus_t *self, const char *subject) { return (void)self, (void)subject, 0; }

void bus_ack(bus_t *self, delivery_t *delivery)
{
    assert(!delivery->is_acked);
    delivery->is_acked = true;
    self->acked += delivery->count;
}

void bus_release(bus_t *self, delivery_t **delivery_p)
{
    self->released += (*delivery_p)->count;
    free(*delivery_p);
    *delivery_p = NULL;
}

uint64_t bus_ask(bus_t *self, const char *service, struct bus_bytes query, int deadline_ms)
{
    (void)query;
    assert(self->posed_count < 16);
    struct posed *posed = &self->posed[self->posed_count++];
    *posed = (struct posed){ .number = ++self->next_number, .deadline_ms = deadline_ms };
    snprintf(posed->service, sizeof posed->service, "%s", service);
    return posed->number;
}

void bus_answer(bus_t *self, uint64_t ticket, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    assert(self->told_count < 16 && head.size <= 4096 && body.size <= 65536);
    struct told *told = &self->told[self->told_count++];
    *told = (struct told){ .ticket = ticket, .verdict = verdict, .head_size = head.size, .body_size = body.size };
    memcpy(told->head, head.data, head.size);
    memcpy(told->body, body.data, body.size);
}

int bus_fd(const bus_t *self) { return self->fd; }
int bus_wait_ms(const bus_t *self, int64_t clock_us) { return (void)self, (void)clock_us, 1000; }
bool bus_work(bus_t *self, int64_t clock_us) { return (void)self, (void)clock_us, false; }

/* --- what a test does with it */

static inline void bus_up(bus_t *self, bool up)
{
    self->options.connected(self->options.owner, up);
}

static inline void bus_deliver(bus_t *self, const char *subject, const void *bytes, size_t size, uint32_t count)
{
    delivery_t *delivery = calloc(1, sizeof *delivery);
    assert(delivery && size <= sizeof delivery->bytes);
    memcpy(delivery->bytes, bytes, size);
    delivery->count = count;
    self->options.deliver(self->options.owner, delivery, subject, (struct bus_bytes){ "", 0 },
        (struct bus_bytes){ delivery->bytes, size }, count, 0);
}

#endif
