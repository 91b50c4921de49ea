/* flight.c - pages of rows on their way: up to which row everything is acknowledged. */
#include "flight.h"

#include <assert.h>

static struct flight *item(struct flights *self, size_t index)
{
    return &self->items[(self->first + index) % FLIGHTS_MAX];
}

static void land(struct flights *self)
{
    while (self->count > 0 && item(self, 0)->pending == 0) {
        self->acked = item(self, 0)->reach;
        self->first = (self->first + 1) % FLIGHTS_MAX;
        self->count--;
    }
}

void flights_add(struct flights *self, const struct flight *flight)
{
    assert(!flights_full(self));
    struct flight *added = item(self, self->count++);
    *added = *flight;
    added->pending = 0;
    for (int topic = 0; topic < TOPICS; topic++)
        added->pending += flight->to[topic] - flight->from[topic];
    land(self);
}

void flights_acked(struct flights *self, int topic, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < self->count; i++) {
        struct flight *flight = item(self, i);
        uint64_t from = first > flight->from[topic] ? first : flight->from[topic];
        uint64_t to = last + 1 < flight->to[topic] ? last + 1 : flight->to[topic];
        if (from < to)
            flight->pending -= to - from;
    }
    land(self);
}

int64_t reach_rows(const struct reach *reach)
{
    return reach->rows[STATES] + reach->rows[EVENTS] + reach->rows[STATISTICS] + reach->rows[SHORT_TERM];
}
