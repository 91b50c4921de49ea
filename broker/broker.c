/* broker.c - the core's sockets and loop, and what each verb does in each state of a peer. */
#include "core.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

enum {
    LETTERS_A_TURN = 1000,
    INBOUND_LETTERS = 1000,           /* that libzmq reads ahead, per peer */
    OUTBOUND_LETTERS = 16384,         /* ... and keeps for a peer that does not read: more than all windows of an actor */
    HANDSHAKE_MS = 5000,
    LINGER_MS = 200,
    WHO_EVERY_US = 100 * 1000,
    LATE_US = 500 * 1000,
    CALM_BYTES = 8 * 1024 * 1024,        /* held by a peer: more of them may keep it silent for longer ... */
    SLOW_BYTES_PER_S = 1024 * 1024       /* ... than silence_ms, at this rate */
};

/* --- saying ---------------------------------------------------------------------------- */

static void after_post(broker_t *self, struct peer *peer, int rc)
{
    if (rc == 0 || peer->is_lost)
        return;
    peer->is_lost = true;
    TAILQ_INSERT_TAIL(&self->lost, peer, lost_link);
}

static void *socket_of(const broker_t *self, const struct peer *peer)
{
    return peer->route.address < self->socket_count ? self->sockets[peer->route.address] : NULL;
}

void broker_post(broker_t *self, struct peer *peer, const struct wire *wire, zmq_msg_t parts[], size_t part_count)
{
    if (!peer->is_lost && socket_of(self, peer)) {
        after_post(self, peer, wire_send(socket_of(self, peer), &peer->id, wire, parts, part_count));
        return;
    }
    for (size_t i = 0; i < part_count; i++)
        zmq_msg_close(&parts[i]);
}

void broker_post_numbers(broker_t *self, struct peer *peer, struct wire wire, const uint64_t numbers[], size_t count)
{
    if (!peer->is_lost && socket_of(self, peer))
        after_post(self, peer, wire_send_numbers(socket_of(self, peer), &peer->id, wire, numbers, count));
}

void broker_note(broker_t *self, const char *what, const struct peer *peer)
{
    if (self->options.note)
        self->options.note(self->options.owner, what, peer->name, peer->instance);
}

/* --- steps: what a verb does; false: it makes no sense ----------------------------------- */

typedef bool step_fn(broker_t *, struct peer *, struct letter *);

static struct channel *channel_of(const struct peer *peer, uint16_t number)
{
    return number < peer->channel_count ? &peer->channels[number] : NULL;
}

static bool meet(broker_t *self, struct peer *peer, struct letter *letter)
{
    if (!peer_meet(self, peer, letter))
        return false;
    broker_post(self, peer, &(struct wire){ .verb = VERB_WELCOME, .count = (uint32_t)self->options.publisher_messages,
        .bytes = self->options.publisher_bytes, .extra = (uint64_t)self->options.silence_ms }, NULL, 0);
    return true;
}

/* A stranger may be somebody who knew our predecessor. */
static bool ask_who(broker_t *self, struct peer *peer, struct letter *letter)
{
    (void)letter;
    if (peer->asked_who_us && self->clock_us - peer->asked_who_us < WHO_EVERY_US)
        return true;
    peer->asked_who_us = self->clock_us;
    broker_post(self, peer, &(struct wire){ .verb = VERB_WHO }, NULL, 0);
    return true;
}

static bool ignore(broker_t *self, struct peer *peer, struct letter *letter)
{
    (void)self, (void)peer, (void)letter;
    return true;
}

/* Nobody hears of a refused declaration but the reader of the log: what was declared does not work. */
static bool declared(broker_t *self, const struct peer *peer, bool is_taken)
{
    if (!is_taken)
        broker_note(self, "declares what contradicts others or is too much", peer);
    return is_taken;
}

static bool declare_publisher(broker_t *self, struct peer *peer, struct letter *letter)
{
    return declared(self, peer, topic_publishes(self, peer, letter));
}

static bool declare_listener(broker_t *self, struct peer *peer, struct letter *letter)
{
    return declared(self, peer, topic_listens(self, peer, letter));
}

static bool declare_service(broker_t *self, struct peer *peer, struct letter *letter)
{
    return declared(self, peer, service_answers(self, peer, letter));
}

static void pump(broker_t *self, struct listener *listener)
{
    if (listener->group) {
        queue_pump(self, listener->group);
    } else if (listener->topic->policy == BUS_LATEST) {
        latest_pump(self, listener);
        latest_sweep(self, listener->topic);
    } else {
        live_pump(self, listener);
    }
}

static bool change_window(broker_t *self, struct peer *peer, struct letter *letter)
{
    struct channel *channel = channel_of(peer, letter->wire.topic);
    if (!channel || !channel->listener || letter->wire.bytes == 0)
        return false;
    listener_open(channel->listener, &letter->wire);
    pump(self, channel->listener);
    return true;
}

static bool publish(broker_t *self, struct peer *peer, struct letter *letter)
{
    struct channel *channel = channel_of(peer, letter->wire.topic);
    struct publication *publication = channel ? channel->publication : NULL;
    if (!publication || letter->wire.count == 0)
        return false;
    struct topic *topic = publication->topic;
    switch (topic->policy) {
    case BUS_LOSSLESS:
        return queue_publish(self, publication, letter);
    case BUS_LATEST:
        return letter->part_count == 2 && latest_publish(self, topic, &letter->parts[0], &letter->parts[1]);
    case BUS_LIVE:
        if (letter->part_count != 1)
            return false;
        self->counters.published += letter->wire.count;
        live_publish(self, topic, &letter->parts[0], letter->wire.count, letter->wire.extra);
        return true;
    }
    return false;
}

static bool acknowledge(broker_t *self, struct peer *peer, struct letter *letter)
{
    struct channel *channel = channel_of(peer, letter->wire.topic);
    if (!channel || !channel->listener || !channel->listener->group)
        return false;
    return queue_acknowledge(self, channel->listener, letter);
}

static bool take_credit(broker_t *self, struct peer *peer, struct letter *letter)
{
    struct channel *channel = channel_of(peer, letter->wire.topic);
    if (!channel || !channel->listener || channel->listener->group)
        return false;
    listener_took(channel->listener, letter->wire.count, letter->wire.bytes);
    pump(self, channel->listener);
    return true;
}

static bool ask(broker_t *self, struct peer *peer, struct letter *letter)
{
    return service_ask(self, peer, letter);
}

static bool answer(broker_t *self, struct peer *peer, struct letter *letter)
{
    return service_answer(self, peer, letter);
}

static bool say_pong(broker_t *self, struct peer *peer, struct letter *letter)
{
    broker_post(self, peer, &(struct wire){ .verb = VERB_PONG, .number = letter->wire.number }, NULL, 0);
    return true;
}

static bool say_goodbye(broker_t *self, struct peer *peer, struct letter *letter)
{
    (void)letter;
    peer_leave(self, peer, "left");
    return true;
}

/* The protocol. A cell left out is the state's `otherwise`; NULL there: it makes no sense. */
static const struct { step_fn *otherwise, *on[VERB_COUNT]; } states[PEER_STATES] = {
    [STRANGE] = { .otherwise = ask_who, .on = {
        [VERB_HELLO]     = meet,
        [VERB_BYE]       = ignore,
    } },
    [KNOWN] = { .otherwise = NULL, .on = {
        [VERB_PROBE]     = ignore,
        [VERB_HELLO]     = meet,
        [VERB_PUBLISHES] = declare_publisher,
        [VERB_LISTENS]   = declare_listener,
        [VERB_ANSWERS]   = declare_service,
        [VERB_WINDOW]    = change_window,
        [VERB_PUBLISH]   = publish,
        [VERB_ACK]       = acknowledge,
        [VERB_TAKEN]     = take_credit,
        [VERB_ASK]       = ask,
        [VERB_ANSWER]    = answer,
        [VERB_PING]      = say_pong,
        [VERB_BYE]       = say_goodbye,
    } },
    [LEAVING] = { .otherwise = ignore, .on = {
        [VERB_HELLO]     = meet,
    } },
};

/* --- one letter -------------------------------------------------------------------------- */

static void sweep_lost(broker_t *self)
{
    struct peer *peer;
    while ((peer = TAILQ_FIRST(&self->lost))) {
        self->counters.gone += peer->state == KNOWN;
        peer_leave(self, peer, "cannot be reached");
        peer_destroy(self, peer);
    }
}

void broker_take(broker_t *self, struct letter *letter, size_t address)
{
    if (part_size(&letter->from) > sizeof ((struct route *)0)->id)
        return;
    struct peer *peer = peer_of(self, &letter->from, address);
    peer->heard_us = self->clock_us;
    if (letter_read(letter, SAID_BY_ACTOR)) {
        self->counters.refused++;
        return;
    }
    step_fn *step = states[peer->state].on[letter->wire.verb];
    if (!step)
        step = states[peer->state].otherwise;
    if (!step || !step(self, peer, letter))
        self->counters.refused++;
    sweep_lost(self);
}

/* --- silence ----------------------------------------------------------------------------- */

/* One message of 64 MiB takes a slow machine longer than the silence allowed; taken back and given
 * again, it would never be done with. */
static int64_t gone_at_us(const broker_t *self, const struct peer *peer)
{
    size_t held = 0;
    for (size_t i = 0; i < peer->channel_count; i++)
        if (peer->channels[i].listener)
            held += peer->channels[i].listener->in_flight_bytes;
    int64_t more_us = held > CALM_BYTES ? (int64_t)(held - CALM_BYTES) * 1000000 / SLOW_BYTES_PER_S : 0;
    return peer->heard_us + self->silence_us + more_us;
}

static void sweep_silent(broker_t *self)
{
    int64_t next_us = self->clock_us + self->silence_us;
    for (struct peer *peer = TAILQ_FIRST(&self->peers), *next; peer; peer = next) {
        next = TAILQ_NEXT(peer, link);
        int64_t gone_us = gone_at_us(self, peer);
        if (self->clock_us >= gone_us) {
            self->counters.gone += peer->state == KNOWN;
            peer_leave(self, peer, "fell silent");
            peer_destroy(self, peer);
        } else if (gone_us < next_us) {
            next_us = gone_us;
        }
    }
    sweep_lost(self);
    self->next_sweep_us = next_us;
}

/* --- the loop ---------------------------------------------------------------------------- */

static bool drain(broker_t *self, size_t address)
{
    struct letter letter;
    letter_init(&letter);
    int came = 1;
    for (int letters = 0; came && letters < LETTERS_A_TURN; letters++) {
        came = letter_receive(&letter, self->sockets[address], true);
        if (came > 0)
            broker_take(self, &letter, address);
        else if (came < 0)
            self->counters.refused++;
        if (came)
            letter_clear(&letter);
    }
    letter_clear(&letter);
    return came != 0;
}

/* If we were stopped ourselves (and wake long after we meant to), others have been silent only
 * towards us. */
static void advance_clock(broker_t *self, int64_t clock_us)
{
    int64_t was_us = self->clock_us;
    self->clock_us = clock_us;
    if (was_us && clock_us - was_us > LATE_US && clock_us > self->next_sweep_us + LATE_US)
        self->quiet_until_us = clock_us + self->silence_us;
}

bool broker_work(broker_t *self, int64_t clock_us)
{
    advance_clock(self, clock_us);
    if (self->zap)
        zap_work(self->zap);
    bool has_more = false;
    for (size_t i = 0; i < self->socket_count; i++)
        has_more |= drain(self, i);
    service_expire(self);
    queue_say_acked(self);
    sweep_lost(self);
    /* Who seems silent may wait in the sockets; not for long, as they are read in turn. */
    int64_t sweep_us = self->next_sweep_us + (has_more ? LATE_US : 0);
    if (clock_us >= sweep_us && clock_us >= self->quiet_until_us)
        sweep_silent(self);
    return has_more;
}

int broker_wait_ms(const broker_t *self, int64_t clock_us)
{
    int64_t until = self->next_sweep_us > self->quiet_until_us ? self->next_sweep_us : self->quiet_until_us;
    if (TAILQ_EMPTY(&self->peers))
        until = clock_us + 60000000;
    if (service_deadline_us(self) < until)
        until = service_deadline_us(self);
    int64_t ms = (until - clock_us + 999) / 1000;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

bool broker_wait(broker_t *self, int fd, int ms)
{
    zmq_pollitem_t items[BROKER_ADDRESSES + 2];
    int count = 0;
    for (size_t i = 0; i < self->socket_count; i++)
        items[count++] = (zmq_pollitem_t){ .socket = self->sockets[i], .events = ZMQ_POLLIN };
    if (self->zap)
        items[count++] = (zmq_pollitem_t){ .socket = zap_socket(self->zap), .events = ZMQ_POLLIN };
    if (fd >= 0)
        items[count++] = (zmq_pollitem_t){ .fd = fd, .events = ZMQ_POLLIN };
    if (zmq_poll(items, count, ms) <= 0)
        return false;
    return fd >= 0 && (items[count - 1].revents & ZMQ_POLLIN);
}

/* --- of the broker's own ------------------------------------------------------------------- */

void broker_publish(broker_t *self, const char *subject, struct bus_bytes key, struct bus_bytes payload)
{
    assert(strlen(subject) <= WIRE_SUBJECT);
    struct topic *topic = topic_of(self, subject);
    if (!topic || (topic->is_declared && topic->policy != BUS_LATEST))
        return;
    topic->policy = BUS_LATEST;
    topic->is_declared = true;
    zmq_msg_t parts[2];
    part_of(&parts[0], key.data, key.size);
    part_of(&parts[1], payload.data, payload.size);
    latest_publish(self, topic, &parts[0], &parts[1]);
    zmq_msg_close(&parts[0]);
    zmq_msg_close(&parts[1]);
    sweep_lost(self);
}

const struct broker_counters *broker_counters(broker_t *self)
{
    return &self->counters;
}

static int64_t oldest_of(const struct held_list *list, int64_t oldest_us)
{
    const struct held *held;
    TAILQ_FOREACH(held, list, link)
        if (held->batch->at_us < oldest_us)
            oldest_us = held->batch->at_us;
    return oldest_us;
}

static void tell_group(broker_t *self, const struct topic_group *group, broker_queue_fn *fn, void *owner)
{
    struct broker_queue queue = { .topic = group->topic->subject, .group = group->name, .policy = BUS_LOSSLESS,
        .depth = group->depth, .depth_bytes = group->depth_bytes, .oldest_us = -1,
        .rate_per_s = rate_per_s(&group->rate, self->clock_us) };
    int64_t oldest_us = oldest_of(&group->waiting, INT64_MAX);
    const struct listener *listener;
    TAILQ_FOREACH(listener, &group->members, link) {
        queue.listeners++;
        queue.in_flight += listener->in_flight_messages;
        oldest_us = oldest_of(&listener->given, oldest_us);
    }
    if (oldest_us != INT64_MAX)
        queue.oldest_us = self->clock_us - oldest_us;
    fn(owner, &queue);
}

static void tell_listener(broker_t *self, const struct listener *listener, broker_queue_fn *fn, void *owner)
{
    bool is_latest = listener->topic->policy == BUS_LATEST;
    struct broker_queue queue = { .topic = listener->topic->subject, .group = listener->peer->full_name,
        .policy = is_latest ? BUS_LATEST : BUS_LIVE, .listeners = 1, .depth = listener->depth,
        .depth_bytes = listener->depth_bytes, .in_flight = listener->in_flight_messages, .oldest_us = -1,
        .rate_per_s = rate_per_s(&listener->rate, self->clock_us) };
    if (is_latest)
        queue.depth = latest_depth(listener, &queue.depth_bytes);
    int64_t oldest_us = is_latest ? latest_oldest_us(listener) : live_oldest_us(listener);
    if (oldest_us != INT64_MAX)
        queue.oldest_us = self->clock_us - oldest_us;
    fn(owner, &queue);
}

void broker_each_queue(broker_t *self, broker_queue_fn *fn, void *owner)
{
    const struct topic *topic;
    TAILQ_FOREACH(topic, &self->all_topics, link) {
        const struct topic_group *group;
        TAILQ_FOREACH(group, &topic->groups, link)
            tell_group(self, group, fn, owner);
        const struct listener *listener;
        TAILQ_FOREACH(listener, &topic->listeners, link)
            tell_listener(self, listener, fn, owner);
    }
}

/* --- life -------------------------------------------------------------------------------- */

static size_t hash_route(const void *item)
{
    const struct route *route = item;
    uint64_t hash = UINT64_C(14695981039346656037) ^ route->address;
    for (size_t i = 0; i < route->size; i++)
        hash = (hash ^ route->id[i]) * UINT64_C(1099511628211);
    return (size_t)hash;
}

static int compare_routes(const void *a, const void *b)
{
    const struct route *one = a, *other = b;
    if (one->address != other->address || one->size != other->size)
        return one->address + one->size * 2 < other->address + other->size * 2 ? -1 : 1;
    return memcmp(one->id, other->id, one->size);
}

static char *copy(const char *text)
{
    char *same = text ? strdup(text) : NULL;
    assert(same || !text);
    return same;
}

static int set_keys(void *socket, const struct broker_options *options)
{
    int one = 1;
    if (!options->secret_key)
        return 0;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, options->secret_key, strlen(options->secret_key)))
        return -1;
    return zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "broker", 6);
}

static int listen_on(broker_t *self, const char *address, bool has_keys)
{
    void *socket = zmq_socket(self->context, ZMQ_ROUTER);
    assert(socket);
    self->sockets[self->socket_count++] = socket;
    wire_set_options(socket, address, LINGER_MS);
    int one = 1, most = INBOUND_LETTERS, unread = OUTBOUND_LETTERS, handshake_ms = HANDSHAKE_MS, backlog = 1000;
    zmq_setsockopt(socket, ZMQ_ROUTER_MANDATORY, &one, sizeof one);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &most, sizeof most);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &unread, sizeof unread);
    zmq_setsockopt(socket, ZMQ_HANDSHAKE_IVL, &handshake_ms, sizeof handshake_ms);
    zmq_setsockopt(socket, ZMQ_BACKLOG, &backlog, sizeof backlog);
    if (has_keys && set_keys(socket, &self->options))
        return -1;
    return zmq_bind(socket, address);
}

static int open_sockets(broker_t *self)
{
    if (self->options.secret_key)
        self->zap = zap_new(self->context, &self->options);
    if (self->options.endpoint && listen_on(self, self->options.endpoint, false))
        return -1;
    if (self->options.listen && listen_on(self, self->options.listen, true))
        return -1;
    return 0;
}

static void init(broker_t *self)
{
    self->by_route = zhashx_new();
    self->by_name = zhashx_new();
    self->topics = zhashx_new();
    self->context = zmq_ctx_new();
    assert(self->by_route && self->by_name && self->topics && self->context);
    zhashx_set_key_hasher(self->by_route, hash_route);
    zhashx_set_key_comparator(self->by_route, compare_routes);
    zhashx_set_key_duplicator(self->by_route, NULL);
    zhashx_set_key_destructor(self->by_route, NULL);
    TAILQ_INIT(&self->peers);
    TAILQ_INIT(&self->lost);
    TAILQ_INIT(&self->all_topics);
    TAILQ_INIT(&self->dirty);
    service_init(self);
    /* Tickets of a predecessor must mean nothing here. */
    ssize_t got = getrandom(&self->last_ticket, sizeof self->last_ticket, 0);
    assert(got == (ssize_t)sizeof self->last_ticket);
}

broker_t *broker_new(const struct broker_options *options)
{
    if (options->secret_key && !options->clients) {
        errno = EINVAL;
        return NULL;
    }
    broker_t *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->options.endpoint = copy(options->endpoint);
    self->options.listen = copy(options->listen);
    self->options.public_key = copy(options->public_key);
    self->options.secret_key = copy(options->secret_key);
    self->options.clients = copy(options->clients);
    self->silence_us = (int64_t)options->silence_ms * 1000;
    init(self);
    if (open_sockets(self)) {
        int error = errno;
        broker_destroy(&self);
        errno = error;
    }
    return self;
}

static void close_sockets(broker_t *self)
{
    for (size_t i = 0; i < self->socket_count; i++)
        zmq_close(self->sockets[i]);
    self->socket_count = 0;
    zap_destroy(&self->zap);
    zmq_ctx_term(self->context);
}

static void say_closing(broker_t *self)
{
    struct peer *peer;
    queue_say_acked(self);
    TAILQ_FOREACH(peer, &self->peers, link)
        if (peer->state == KNOWN)
            broker_post(self, peer, &(struct wire){ .verb = VERB_CLOSING }, NULL, 0);
}

void broker_destroy(broker_t **self_p)
{
    broker_t *self = *self_p;
    if (!self)
        return;
    say_closing(self);
    close_sockets(self);
    while (!TAILQ_EMPTY(&self->peers))
        peer_destroy(self, TAILQ_FIRST(&self->peers));
    while (!TAILQ_EMPTY(&self->all_topics))
        topic_destroy(self, TAILQ_FIRST(&self->all_topics));
    service_destroy(self);
    zhashx_destroy(&self->by_route);
    zhashx_destroy(&self->by_name);
    zhashx_destroy(&self->topics);
    free((char *)(uintptr_t)self->options.endpoint);
    free((char *)(uintptr_t)self->options.listen);
    free((char *)(uintptr_t)self->options.public_key);
    free((char *)(uintptr_t)self->options.secret_key);
    free((char *)(uintptr_t)self->options.clients);
    free(self);
    *self_p = NULL;
}
