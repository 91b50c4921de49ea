/* live.c - LIVE: each listener has a queue of its own that drops its oldest and counts it. A
 * listener whose window is 0 has paused: what is published meanwhile is not meant for it. */
#include "core.h"

#include <assert.h>

struct parcel {
    TAILQ_ENTRY(parcel) link;
    zmq_msg_t payload;
    uint32_t count;
    size_t bytes;
    int64_t at_us;
};

static void take_first(struct listener *listener)
{
    struct parcel *parcel = TAILQ_FIRST(&listener->parcels);
    TAILQ_REMOVE(&listener->parcels, parcel, link);
    listener->depth -= parcel->count;
    listener->depth_bytes -= parcel->bytes;
    zmq_msg_close(&parcel->payload);
    free(parcel);
}

/* The queue holds as much as the window; the newest parcel always has a place. */
static bool is_too_long(const struct listener *listener)
{
    if (TAILQ_FIRST(&listener->parcels) == TAILQ_LAST(&listener->parcels, parcel_list))
        return false;
    return listener->depth > listener->window_messages || listener->depth_bytes > listener->window_bytes;
}

static void enqueue(broker_t *self, struct listener *listener, const zmq_msg_t *payload, uint32_t count)
{
    struct parcel *parcel = malloc(sizeof *parcel);
    assert(parcel);
    *parcel = (struct parcel){ .count = count, .bytes = part_size(payload), .at_us = self->clock_us };
    part_share(&parcel->payload, payload);
    TAILQ_INSERT_TAIL(&listener->parcels, parcel, link);
    listener->depth += count;
    listener->depth_bytes += parcel->bytes;
    while (is_too_long(listener)) {
        listener->dropped += TAILQ_FIRST(&listener->parcels)->count;
        self->counters.dropped += TAILQ_FIRST(&listener->parcels)->count;
        take_first(listener);
    }
}

void live_forget(struct listener *listener)
{
    while (!TAILQ_EMPTY(&listener->parcels))
        take_first(listener);
}

void live_pump(broker_t *self, struct listener *listener)
{
    struct parcel *parcel;
    if (listener->window_messages == 0) {
        live_forget(listener);
        listener->dropped = 0;
        return;
    }
    while ((parcel = TAILQ_FIRST(&listener->parcels)) && listener_has_room(listener, parcel->count, parcel->bytes)) {
        listener_gave(listener, parcel->count, parcel->bytes);
        self->counters.delivered += parcel->count;
        zmq_msg_t payload;
        part_share(&payload, &parcel->payload);
        broker_post(self, listener->peer, &(struct wire){ .verb = VERB_DELIVER, .topic = listener->channel,
            .count = parcel->count, .extra = listener->dropped }, &payload, 1);
        listener->dropped = 0;
        take_first(listener);
    }
}

void live_publish(broker_t *self, struct topic *topic, const zmq_msg_t *payload, uint32_t count, uint64_t dropped)
{
    struct listener *listener;
    TAILQ_FOREACH(listener, &topic->listeners, link) {
        if (listener->window_messages == 0) /* paused: it wants none of these */
            continue;
        listener->dropped += dropped;
        rate_add(&listener->rate, self->clock_us, count);
        enqueue(self, listener, payload, count);
        live_pump(self, listener);
    }
}

int64_t live_oldest_us(const struct listener *listener)
{
    const struct parcel *parcel = TAILQ_FIRST(&listener->parcels);
    return parcel ? parcel->at_us : INT64_MAX;
}
