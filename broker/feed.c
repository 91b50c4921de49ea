/* feed.c - the broker's front door for tests and fuzzers: a core without sockets. */
#include "feed.h"

#include "core.h"

#include <assert.h>

broker_t *feed_broker_new(void)
{
    broker_t *self = broker_new(&(struct broker_options){ .silence_ms = 3000, .publisher_messages = 100,
        .publisher_bytes = 10000, .last_values_bytes = 10000 });
    assert(self);
    return self;
}

void feed_broker(broker_t *self, struct letter *letter, int64_t clock_us)
{
    broker_work(self, clock_us);
    broker_take(self, letter, BROKER_ADDRESSES); /* an address that has no socket */
}
