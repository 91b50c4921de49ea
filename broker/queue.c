/* queue.c - LOSSLESS: batches held per group until a member acknowledges them.
 *
 * A batch is in one list of each of its groups at any time: waiting (in order of arrival), or
 * given to a member (in order of delivery). When a member goes, what it was given goes back to
 * its place among the waiting. When the last group has acknowledged, so is the publisher. */
#include "core.h"

#include <assert.h>

enum { EXCESS_BATCHES = 8, EXCESS_BYTES = 4 }; /* times the window, and the largest part twice */

/* --- batches --------------------------------------------------------------------------- */

static void batch_destroy(struct batch *batch)
{
    struct publication *publication = batch->publication;
    if (publication->resent == batch)
        publication->resent = TAILQ_NEXT(batch, link);
    TAILQ_REMOVE(&publication->batches, batch, link);
    publication->batch_count--;
    publication->messages -= batch->count;
    publication->bytes -= batch->bytes;
    zmq_msg_close(&batch->payload);
    free(batch);
}

static void say_acked(broker_t *self, struct publication *publication)
{
    TAILQ_REMOVE(&self->dirty, publication, dirty_link);
    if (publication->peer)
        broker_post_numbers(self, publication->peer,
            (struct wire){ .verb = VERB_ACKED, .topic = publication->channel }, publication->acked, publication->acked_count);
    publication->acked_count = 0;
}

/* Acknowledgements are gathered over a turn of the loop. */
static void acknowledge(broker_t *self, struct publication *publication, uint64_t number)
{
    if (!publication->peer)
        return;
    if (publication->acked_count == 0)
        TAILQ_INSERT_TAIL(&self->dirty, publication, dirty_link);
    publication->acked[publication->acked_count++] = number;
    if (publication->acked_count == WIRE_NUMBERS)
        say_acked(self, publication);
}

void queue_say_acked(broker_t *self)
{
    while (!TAILQ_EMPTY(&self->dirty))
        say_acked(self, TAILQ_FIRST(&self->dirty));
}

static void settle(broker_t *self, struct batch *batch)
{
    assert(batch->open);
    if (--batch->open)
        return;
    struct publication *publication = batch->publication;
    self->counters.acknowledged += batch->count;
    acknowledge(self, publication, batch->number);
    batch_destroy(batch);
    if (!publication->peer && publication->is_superseded && TAILQ_EMPTY(&publication->batches))
        publication_destroy(self, publication);
}

/* --- publishing ------------------------------------------------------------------------ */

static void wait_in(struct topic_group *group, struct batch *batch, int64_t clock_us)
{
    struct held *held = malloc(sizeof *held);
    assert(held);
    *held = (struct held){ .batch = batch };
    TAILQ_INSERT_TAIL(&group->waiting, held, link);
    group->depth += batch->count;
    group->depth_bytes += batch->bytes;
    rate_add(&group->rate, clock_us, batch->count);
    batch->open++;
}

static struct batch *batch_new(broker_t *self, struct publication *publication, struct letter *letter)
{
    struct batch *batch = malloc(sizeof *batch);
    assert(batch);
    *batch = (struct batch){
        .publication = publication,
        .number = letter->wire.number,
        .place = ++publication->topic->last_place,
        .count = letter->wire.count,
        .bytes = part_size(&letter->parts[0]),
        .at_us = self->clock_us,
        .open = 1, /* ours, until it waits in every group */
    };
    zmq_msg_init(&batch->payload);
    zmq_msg_move(&batch->payload, &letter->parts[0]);
    TAILQ_INSERT_TAIL(&publication->batches, batch, link);
    publication->batch_count++;
    publication->messages += batch->count;
    publication->bytes += batch->bytes;
    publication->highest = batch->number;
    return batch;
}

/* Said again after a reconnect: still held (it will be acknowledged in its time), or done.
 * Both come in order, so the search goes on where it stood. */
static void said_again(broker_t *self, struct publication *publication, uint64_t number)
{
    struct batch *batch = publication->resent;
    while (batch && batch->number < number)
        batch = TAILQ_NEXT(batch, link);
    publication->resent = batch;
    if (!batch || batch->number != number)
        acknowledge(self, publication, number);
}

static bool is_beyond_window(const broker_t *self, const struct publication *publication, const struct batch *batch)
{
    return publication->messages > batch->count && (publication->messages > self->options.publisher_messages ||
        publication->bytes > self->options.publisher_bytes + batch->bytes);
}

/* A publisher may go beyond its window: what incoming messages caused cannot wait for room. But
 * nobody does so without end, unless he means to have our memory. */
static bool is_beyond_measure(const broker_t *self, const struct publication *publication)
{
    return publication->batch_count >= self->options.publisher_messages * EXCESS_BATCHES ||
        publication->bytes > self->options.publisher_bytes * EXCESS_BYTES + 2 * (size_t)WIRE_MAX;
}

bool queue_publish(broker_t *self, struct publication *publication, struct letter *letter)
{
    const struct wire *wire = &letter->wire;
    if (wire->number == 0 || letter->part_count != 1)
        return false;
    if (wire->number <= publication->highest) {
        said_again(self, publication, wire->number);
        return true;
    }
    if (is_beyond_measure(self, publication)) {
        peer_dismiss(self, publication->peer, "publishes without measure");
        return false;
    }
    struct topic *topic = publication->topic;
    struct batch *batch = batch_new(self, publication, letter);
    self->counters.published += batch->count;
    self->counters.overrun += is_beyond_window(self, publication, batch);
    struct topic_group *group;
    TAILQ_FOREACH(group, &topic->groups, link)
        if (publication->groups & group->bit || !TAILQ_EMPTY(&group->members))
            wait_in(group, batch, self->clock_us);
    if (!TAILQ_EMPTY(&topic->listeners))
        live_publish(self, topic, &batch->payload, batch->count, 0);
    settle(self, batch);
    TAILQ_FOREACH(group, &topic->groups, link)
        queue_pump(self, group);
    return true;
}

/* --- giving ---------------------------------------------------------------------------- */

/* The member with the most open window; of equals the one whose turn is longest ago. */
static struct listener *choose(const struct topic_group *group, const struct batch *batch)
{
    struct listener *best = NULL, *listener;
    size_t most = 0;
    TAILQ_FOREACH(listener, &group->members, link) {
        if (!listener_has_room(listener, batch->count, batch->bytes))
            continue;
        size_t open = listener->window_messages > listener->in_flight_messages ?
            listener->window_messages - listener->in_flight_messages : 0;
        if (!best || open > most || (open == most && listener->served < best->served)) {
            best = listener;
            most = open;
        }
    }
    return best;
}

static void give(broker_t *self, struct topic_group *group, struct held *held, struct listener *listener)
{
    struct batch *batch = held->batch;
    TAILQ_REMOVE(&group->waiting, held, link);
    group->depth -= batch->count;
    group->depth_bytes -= batch->bytes;
    held->number = ++listener->last_delivery;
    listener->served = ++group->topic->turn;
    TAILQ_INSERT_TAIL(&listener->given, held, link);
    listener_gave(listener, batch->count, batch->bytes);
    self->counters.delivered += batch->count;
    zmq_msg_t payload;
    part_share(&payload, &batch->payload);
    broker_post(self, listener->peer, &(struct wire){ .verb = VERB_DELIVER, .topic = listener->channel,
        .number = held->number, .count = batch->count }, &payload, 1);
}

void queue_pump(broker_t *self, struct topic_group *group)
{
    struct held *held;
    while ((held = TAILQ_FIRST(&group->waiting))) {
        struct listener *listener = choose(group, held->batch);
        if (!listener)
            return;
        give(self, group, held, listener);
    }
}

/* --- acknowledging --------------------------------------------------------------------- */

static struct held *given_as(const struct listener *listener, uint64_t number)
{
    struct held *held;
    TAILQ_FOREACH(held, &listener->given, link)
        if (held->number >= number)
            break;
    return held && held->number == number ? held : NULL;
}

bool queue_acknowledge(broker_t *self, struct listener *listener, const struct letter *letter)
{
    size_t count = letter_numbers(letter), unknown = 0;
    for (size_t i = 0; i < count; i++) {
        struct held *held = given_as(listener, letter_number(letter, i));
        if (!held) {
            unknown++;
            continue;
        }
        TAILQ_REMOVE(&listener->given, held, link);
        listener_took(listener, held->batch->count, held->batch->bytes);
        settle(self, held->batch);
        free(held);
    }
    queue_pump(self, listener->group);
    return unknown == 0;
}

/* --- taking back ----------------------------------------------------------------------- */

static void wait_again(struct topic_group *group, struct held *held)
{
    struct held *after;
    TAILQ_FOREACH(after, &group->waiting, link)
        if (after->batch->place > held->batch->place)
            break;
    if (after)
        TAILQ_INSERT_BEFORE(after, held, link);
    else
        TAILQ_INSERT_TAIL(&group->waiting, held, link);
    group->depth += held->batch->count;
    group->depth_bytes += held->batch->bytes;
}

void queue_take_back(broker_t *self, struct listener *listener)
{
    struct held *held;
    while ((held = TAILQ_LAST(&listener->given, held_list))) { /* backwards: each goes to the very front */
        TAILQ_REMOVE(&listener->given, held, link);
        self->counters.redelivered += held->batch->count;
        wait_again(listener->group, held);
    }
    listener->in_flight_messages = listener->in_flight_bytes = 0;
}

void queue_empty(broker_t *self, struct topic_group *group)
{
    struct held *held;
    while ((held = TAILQ_FIRST(&group->waiting))) {
        TAILQ_REMOVE(&group->waiting, held, link);
        self->counters.dropped += held->batch->count;
        settle(self, held->batch);
        free(held);
    }
}

void queue_drop(struct topic_group *group)
{
    struct held *held;
    while ((held = TAILQ_FIRST(&group->waiting))) {
        TAILQ_REMOVE(&group->waiting, held, link);
        free(held);
    }
}

/* --- publishers ------------------------------------------------------------------------ */

void publication_leave(broker_t *self, struct publication *publication)
{
    if (publication->acked_count) {
        TAILQ_REMOVE(&self->dirty, publication, dirty_link);
        publication->acked_count = 0;
    }
    publication->peer = NULL;
    if (publication->is_superseded && TAILQ_EMPTY(&publication->batches))
        publication_destroy(self, publication);
}

void publication_destroy(broker_t *self, struct publication *publication)
{
    if (publication->acked_count)
        TAILQ_REMOVE(&self->dirty, publication, dirty_link);
    while (!TAILQ_EMPTY(&publication->batches))
        batch_destroy(TAILQ_FIRST(&publication->batches));
    struct topic *topic = publication->topic;
    uint32_t groups = publication->groups;
    TAILQ_REMOVE(&topic->publications, publication, link);
    topic->publication_count--;
    free(publication);
    topic_unname(self, topic, groups);
}
