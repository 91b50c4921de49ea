/* feed.h - the broker's front door for tests and fuzzers: a core without sockets. */
#ifndef FEED_H
#define FEED_H

#include "broker.h"
#include "wire.h"

broker_t *feed_broker_new(void);

/* One letter, as if the peer letter->from had sent it at that time; what is said to peers is
 * thrown away. */
void feed_broker(broker_t *, struct letter *, int64_t clock_us);

#endif
