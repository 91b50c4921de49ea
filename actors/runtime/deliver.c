/* deliver.c - messages in: handing over, holding, acknowledging.
 *
 * Per message: cut one off the batch, decode into the inlet's scratch, call. Nothing is
 * allocated; records of deliveries are pooled. */
#include "actor_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const size_t default_window_messages = 2048, default_window_bytes = 4 * 1024 * 1024;

/* --- declaring ------------------------------------------------------------------------------ */

/* True if `group` is one of the comma-separated groups. */
static bool is_member(const char *groups, const char *group)
{
    size_t size = strlen(group);
    for (const char *at = groups; at && *at && size > 0;) {
        size_t length = strcspn(at, ",");
        if (length == size && memcmp(at, group, size) == 0)
            return true;
        at += length + (at[length] == ',');
    }
    return false;
}

static void add_inlet(actor_t *self, const struct handler *handler)
{
    const struct contract *contract = handler->contract;
    const char *group = self->spec->group ? self->spec->group : self->spec->name;
    assert(self->inlets_count < TOPICS_MAX);
    struct inlet *inlet = &self->inlets[self->inlets_count++];
    *inlet = (struct inlet){ .contract = contract, .schema = contract->in(), .fn = handler->fn,
        .window_messages = self->spec->window_messages ? self->spec->window_messages : default_window_messages,
        .window_bytes = self->spec->window_bytes ? self->spec->window_bytes : default_window_bytes };
    inlet->message = malloc(inlet->schema->size);
    assert(inlet->message);
    inlet->is_grouped = contract->policy == LOSSLESS && is_member(contract->groups, group);
}

/* Called before open, so that open may pause a topic; nothing is said to the bus yet. */
static void make_inlets(actor_t *self)
{
    for (const struct handler *h = self->spec->handlers; h && h->contract; h++)
        if (!h->contract->out)
            add_inlet(self, h);
}

static struct inlet *find_inlet(actor_t *self, const struct contract *contract)
{
    if (self->inlets_count == 0)
        make_inlets(self);
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++)
        if (inlet->contract == contract)
            return inlet;
    return NULL;
}

void inlets_declare(actor_t *self)
{
    static const enum bus_policy policies[] = { [LOSSLESS] = BUS_LOSSLESS, [LATEST] = BUS_LATEST, [LIVE] = BUS_LIVE };
    const char *group = self->spec->group ? self->spec->group : self->spec->name;
    if (self->inlets_count == 0)
        make_inlets(self);
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++) {
        bus_listens(self->bus, inlet->contract->subject, policies[inlet->contract->policy], inlet->is_grouped ? group : "",
            inlet->window_messages, inlet->window_bytes);
        if (inlet->is_paused)
            bus_window(self->bus, inlet->contract->subject, 0, 0);
    }
}

void actor_pause(actor_t *self, const struct contract *contract)
{
    struct inlet *inlet = find_inlet(self, contract);
    assert(inlet && "a topic that the actor does not listen to");
    inlet->is_paused = true;
    if (self->is_open)
        bus_window(self->bus, contract->subject, 0, 0);
}

void actor_resume(actor_t *self, const struct contract *contract, size_t messages, size_t bytes)
{
    struct inlet *inlet = find_inlet(self, contract);
    assert(inlet && "a topic that the actor does not listen to");
    inlet->is_paused = false;
    if (messages)
        inlet->window_messages = messages;
    if (bytes)
        inlet->window_bytes = bytes;
    if (self->is_open && !self->is_stopping)
        bus_window(self->bus, contract->subject, inlet->window_messages, inlet->window_bytes);
}

void inlets_stop(actor_t *self)
{
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++)
        if (inlet->is_grouped)
            bus_window(self->bus, inlet->contract->subject, 0, 0);
}

/* --- acknowledging ---------------------------------------------------------------------------- */

static struct incoming *new_incoming(actor_t *self)
{
    struct incoming *incoming = self->pool;
    if (incoming)
        self->pool = incoming->next;
    else
        incoming = malloc(sizeof *incoming);
    assert(incoming);
    self->incoming_count++;
    return incoming;
}

void incoming_settle(actor_t *self, struct incoming *incoming, uint32_t count)
{
    assert(incoming->pending >= count);
    incoming->pending -= count;
    if (incoming->pending > 0)
        return;
    if (!incoming->is_void) {
        bus_ack(self->bus, incoming->delivery);
        self->stirs++;
    }
    bus_release(self->bus, &incoming->delivery);
    incoming->next = self->pool;
    self->pool = incoming;
    self->incoming_count--;
}

/* --- holding ------------------------------------------------------------------------------------ */

static void hold(actor_t *self, struct incoming *incoming, struct slice bytes)
{
    self->held = array_room(self->held, self->held_count, &self->held_size, sizeof *self->held);
    if (self->held_done == self->held_count && !self->again_us)
        self->held_done++;
    self->held[self->held_count++] = (struct held){ incoming, bytes };
}

void actor_release(actor_t *self)
{
    size_t done = self->held_done;
    for (size_t i = 0; i < done; i++)
        incoming_settle(self, self->held[i].incoming, 1);
    self->held_count -= done;
    self->held_done = 0;
    if (self->held_count)
        memmove(self->held, self->held + done, self->held_count * sizeof *self->held);
}

void actor_again(actor_t *self, int ms)
{
    self->held_done = 0;
    self->again_us = self->clock_us + (int64_t)(ms > 0 ? ms : 0) * 1000;
    if (self->again_us == 0)
        self->again_us = 1;
}

static bool is_waiting_again(const actor_t *self)
{
    return self->again_us || self->held_done < self->held_count;
}

/* --- handing over --------------------------------------------------------------------------------- */

static void poison(actor_t *self, struct inlet *inlet, struct slice bytes, const struct fault *fault)
{
    self->mismatches++;
    if (inlet->is_grouped && self->spec->poison)
        self->spec->poison(self->self, self, inlet->contract, bytes, fault);
    else
        actor_warn(self, "a message of %s that breaks its schema was left out: %s %s", inlet->contract->subject,
            fault->field, fault->why);
}

/* OK, HOLD or UNAVAILABLE; whatever else a handler says is the end of the message, too. */
static int call(actor_t *self, struct inlet *inlet, struct incoming *cause, struct slice bytes)
{
    struct fault fault;
    int verdict = OK;
    self->cause = cause;
    if (schema_decode(inlet->schema, bytes, inlet->message, &fault))
        poison(self, inlet, bytes, &fault);
    else
        verdict = inlet->contract->call(inlet->fn, self->self, self, inlet->message, NULL, NULL);
    self->cause = NULL;
    if (verdict == OK || verdict == HOLD || verdict == UNAVAILABLE)
        return verdict;
    actor_warn(self, "the handler of %s has refused a message with verdict %d", inlet->contract->subject, verdict);
    return OK;
}

static bool may_go(const actor_t *self, const struct inlet *inlet)
{
    return !inlet->is_paused && !is_waiting_again(self) &&
        (inlet->retry_us == 0 || inlet->retry_us <= self->clock_us);
}

/* The next message of the delivery. False: it has to be given later. */
static bool hand_over_one(actor_t *self, struct inlet *inlet, struct incoming *incoming)
{
    struct slice before = incoming->rest, one;
    if (!frame_next(&incoming->rest, &one)) {  /* broken here, so everything behind is */
        self->cause = incoming;
        poison(self, inlet, before, &(struct fault){ "", "is cut short or broken" });
        self->cause = NULL;
        uint32_t left = incoming->left;
        incoming->left = 0;
        incoming_settle(self, incoming, left);
        return true;
    }
    int verdict = call(self, inlet, incoming, one);
    if (verdict == UNAVAILABLE && !incoming->is_void) {
        incoming->rest = before;
        inlet->retry_us = self->clock_us + RETRY_US;
        return false;
    }
    incoming->left--;
    if (verdict == HOLD)
        hold(self, incoming, one);
    else
        incoming_settle(self, incoming, 1);
    return true;
}

/* True if the delivery has been handed over whole. It stays alive meanwhile: one is pending. */
static bool hand_over(actor_t *self, struct inlet *inlet, struct incoming *incoming)
{
    while (incoming->left > 0 && may_go(self, inlet))
        if (!hand_over_one(self, inlet, incoming))
            return false;
    if (incoming->left > 0)
        return false;
    if (incoming->rest.size > 0) {
        self->mismatches++;
        actor_warn(self, "a batch of %s holds more than the messages it counts", inlet->contract->subject);
    }
    return true;
}

static void pump(actor_t *self, struct inlet *inlet)
{
    while (inlet->first && may_go(self, inlet)) {
        struct incoming *incoming = inlet->first;
        inlet->retry_us = 0;
        if (!hand_over(self, inlet, incoming))
            return;
        inlet->first = incoming->next;
        if (!inlet->first)
            inlet->last = NULL;
        incoming_settle(self, incoming, 1);
    }
}

/* LATEST and LIVE: the bytes die on return, nothing is acknowledged, nothing waits. */
static void take_loose(actor_t *self, struct inlet *inlet, struct slice rest, uint32_t count)
{
    struct slice one;
    if (inlet->is_paused)
        return;
    for (; count > 0 && frame_next(&rest, &one); count--)
        call(self, inlet, NULL, one);
    if (count > 0 && rest.size > 0)
        poison(self, inlet, rest, &(struct fault){ "", "is cut short or broken" });
}

void inlets_missed(actor_t *self, const char *subject, uint32_t count)
{
    actor_debug(self, "%u messages of %s were left out: we are too slow", count, subject);
    for (struct inlet *inlet = self->inlets; self->spec->missed && inlet < self->inlets + self->inlets_count; inlet++)
        if (strcmp(inlet->contract->subject, subject) == 0)
            self->spec->missed(self->self, self, inlet->contract, count);
}

void inlets_take(actor_t *self, delivery_t *delivery, const char *subject, struct slice payload, uint32_t count)
{
    struct inlet *inlet = self->inlets, *end = self->inlets + self->inlets_count;
    while (inlet < end && strcmp(inlet->contract->subject, subject) != 0)
        inlet++;
    if (inlet == end) {
        self->mismatches++;
        actor_warn(self, "a message of %s came, which nobody here listens to", subject);
        bus_release(self->bus, &delivery);
        return;
    }
    if (!delivery) {
        take_loose(self, inlet, payload, count);
        return;
    }
    struct incoming *incoming = new_incoming(self);
    *incoming = (struct incoming){ .inlet = inlet, .delivery = delivery, .rest = payload, .left = count, .pending = count + 1 };
    if (inlet->last)
        inlet->last->next = incoming;
    else
        inlet->first = incoming;
    inlet->last = incoming;
    if (inlet->first == incoming)
        pump(self, inlet);
}

/* --- again ------------------------------------------------------------------------------------------- */

static void drop_held(actor_t *self, size_t at)
{
    struct incoming *incoming = self->held[at].incoming;
    memmove(&self->held[at], &self->held[at + 1], (--self->held_count - at) * sizeof *self->held);
    incoming_settle(self, incoming, 1);
}

/* Where the entry is now: the handler may have released those before it, or begun again. */
static size_t find_held(const actor_t *self, struct held entry)
{
    for (size_t i = self->held_done; i < self->held_count; i++)
        if (self->held[i].incoming == entry.incoming && self->held[i].bytes.data == entry.bytes.data)
            return i;
    assert(0 && "a held message went away while it was handed over");
    return 0;
}

static void hand_over_again(actor_t *self)
{
    self->again_us = 0;
    while (self->held_done < self->held_count && !self->again_us) {
        struct held entry = self->held[self->held_done];
        int verdict = call(self, entry.incoming->inlet, entry.incoming, entry.bytes);
        if (verdict == UNAVAILABLE)
            self->again_us = self->clock_us + RETRY_US;
        else if (verdict == OK)
            drop_held(self, find_held(self, entry));
        else if (!self->again_us)
            self->held_done++;
    }
}

void inlets_resume(actor_t *self)
{
    if (self->again_us && self->again_us <= self->clock_us)
        hand_over_again(self);
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++)
        pump(self, inlet);
}

int64_t inlets_due_us(const actor_t *self)
{
    int64_t due = self->again_us ? self->again_us : -1;
    for (const struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++)
        if (inlet->first && inlet->retry_us && (due < 0 || inlet->retry_us < due))
            due = inlet->retry_us;
    return due;
}

/* --- losing the connection ----------------------------------------------------------------------------- */

/* What waits will come again. What is held stays until it is released: the actor has it. */
static void drop_queue(actor_t *self, struct inlet *inlet)
{
    struct incoming *incoming = inlet->first;
    inlet->first = inlet->last = NULL;
    inlet->retry_us = 0;
    while (incoming) {
        struct incoming *next = incoming->next;
        incoming->is_void = true;
        incoming_settle(self, incoming, incoming->left + 1);
        incoming = next;
    }
}

void inlets_lost(actor_t *self)
{
    for (size_t i = 0; i < self->held_count; i++)
        self->held[i].incoming->is_void = true;
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++)
        drop_queue(self, inlet);
}

void inlets_destroy(actor_t *self)
{
    for (struct inlet *inlet = self->inlets; inlet < self->inlets + self->inlets_count; inlet++) {
        drop_queue(self, inlet);
        free(inlet->message);
    }
    for (size_t i = 0; i < self->held_count; i++) {
        self->held[i].incoming->is_void = true;
        incoming_settle(self, self->held[i].incoming, 1);
    }
    while (self->pool) {
        struct incoming *next = self->pool->next;
        free(self->pool);
        self->pool = next;
    }
    free(self->held);
}
