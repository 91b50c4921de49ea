/* bus.c - an actor's connection to the broker: call, greet, keep alive, lose, call again.
 *
 * A new socket is made for every connection, so that nothing of an old one is mistaken for
 * the new. ZMQ_PROBE_ROUTER makes libzmq say an empty frame whenever a connection stands,
 * also after it has reconnected by itself: a broker that does not know us answers WHO. */
#include "bus_inside.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>

enum {
    PING_EVERY_US   = 500 * 1000,
    FIRST_SILENCE_US = 3000 * 1000,   /* until the broker has told its own */
    FRAMES_A_TURN   = 1000
};

/* --- the socket ------------------------------------------------------------------------ */

static void set(void *socket, int option, int value)
{
    int rc = zmq_setsockopt(socket, option, &value, sizeof value);
    assert(rc == 0);
}

static int set_keys(void *socket, const struct bus_options *options)
{
    if (!options->server_key)
        return 0;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, options->server_key, strlen(options->server_key)) ||
        zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, options->public_key, strlen(options->public_key)) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, options->secret_key, strlen(options->secret_key)))
        return -1;
    return 0;
}

static int watch(bus_t *self)
{
    int fd;
    size_t size = sizeof fd;
    int rc = zmq_getsockopt(self->socket, ZMQ_FD, &fd, &size);
    assert(rc == 0);
    struct epoll_event event = { .events = EPOLLIN };
    return epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void close_socket(bus_t *self, int linger_ms)
{
    if (!self->socket)
        return;
    int fd;
    size_t size = sizeof fd;
    zmq_getsockopt(self->socket, ZMQ_FD, &fd, &size);
    epoll_ctl(self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    set(self->socket, ZMQ_LINGER, linger_ms);
    zmq_close(self->socket);
    self->socket = NULL;
}

static int call(bus_t *self)
{
    self->state = BUS_CALLING;
    self->called_us = self->clock_us;
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    assert(self->socket);
    wire_set_options(self->socket, self->options.endpoint, 0);
    set(self->socket, ZMQ_RCVHWM, 0);
    set(self->socket, ZMQ_RECONNECT_IVL, 10);
    set(self->socket, ZMQ_RECONNECT_IVL_MAX, 100);
    set(self->socket, ZMQ_IMMEDIATE, 1);
    set(self->socket, ZMQ_PROBE_ROUTER, 1);
    if (set_keys(self->socket, &self->options) || zmq_connect(self->socket, self->options.endpoint) || watch(self)) {
        int error = errno;
        zmq_close(self->socket);
        self->socket = NULL;
        errno = error;
        return -1;
    }
    return 0;
}

/* --- saying ---------------------------------------------------------------------------- */

bool bus_say(bus_t *self, const struct wire *wire, zmq_msg_t parts[], size_t part_count)
{
    self->said_us = self->clock_us;
    self->has_said = true;
    return wire_send(self->socket, NULL, wire, parts, part_count) == 0;
}

void bus_declare(bus_t *self, const struct wire *wire, const char *first, const char *second)
{
    zmq_msg_t parts[2];
    part_of(&parts[0], first, strlen(first));
    if (second)
        part_of(&parts[1], second, strlen(second));
    bus_say(self, wire, parts, second ? 2 : 1);
}

void bus_ping(bus_t *self)
{
    self->pinged_us = self->clock_us;
    self->loose_pinged = self->loose_said;
    if (!self->unanswered_us)
        self->unanswered_us = self->clock_us;
    bus_say(self, &(struct wire){ .verb = VERB_PING, .number = self->loose_said }, NULL, 0);
}

/* --- steps ----------------------------------------------------------------------------- */

static void lose(bus_t *self)
{
    bool was_up = self->state == BUS_CONNECTED;
    close_socket(self, 0);
    self->session++;
    self->unanswered_us = 0;
    int rc = call(self);
    assert(rc == 0); /* the same address was fine before */
    if (!was_up)
        return;
    outbox_lost(self);
    inbox_lost(self);
    asking_lost(self);
    self->options.connected(self->options.owner, false);
}

static void on_who(bus_t *self)
{
    if (self->state == BUS_CONNECTED) {
        lose(self);
        return;
    }
    self->state = BUS_GREETED;
    bus_declare(self, &(struct wire){ .verb = VERB_HELLO, .count = WIRE_VERSION, .number = self->incarnation },
        self->options.name, self->options.instance);
}

static void on_welcome(bus_t *self, const struct wire *wire)
{
    if (self->state == BUS_CONNECTED || wire->count == 0 || wire->bytes == 0 || wire->extra == 0)
        return;
    self->window_messages = wire->count;
    self->window_bytes = (size_t)wire->bytes;
    self->silence_us = (int64_t)(wire->extra % 86400000) * 1000;
    self->state = BUS_CONNECTED;
    self->unanswered_us = 0;
    inbox_replay(self);
    asking_replay(self);
    outbox_replay(self);
    self->options.connected(self->options.owner, true);
}

void bus_take(bus_t *self, struct letter *letter)
{
    if (letter_read(letter, SAID_BY_BROKER)) {
        self->malformed++;
        return;
    }
    self->heard_us = self->clock_us;
    self->unanswered_us = 0;
    enum verb verb = letter->wire.verb;
    if (verb == VERB_WHO)
        on_who(self);
    else if (verb == VERB_WELCOME)
        on_welcome(self, &letter->wire);
    else if (self->state != BUS_CONNECTED)
        return;
    else if (verb == VERB_DELIVER)
        inbox_deliver(self, letter);
    else if (verb == VERB_ACKED)
        outbox_acked(self, letter);
    else if (verb == VERB_ASKED)
        asking_asked(self, letter);
    else if (verb == VERB_ANSWERED)
        asking_answered(self, letter);
    else if (verb == VERB_PONG)
        outbox_confirmed(self, letter->wire.number);
    else if (verb == VERB_CLOSING)
        lose(self);
}

/* --- the loop -------------------------------------------------------------------------- */

/* True if more may wait in the socket. */
static bool drain(bus_t *self)
{
    struct letter letter;
    letter_init(&letter);
    int came = 1;
    for (int frames = 0; came && frames < FRAMES_A_TURN; frames++) {
        came = letter_receive(&letter, self->socket, false);
        if (came > 0)
            bus_take(self, &letter);
        else if (came < 0)
            self->malformed++;
        if (came)
            letter_clear(&letter);
    }
    letter_clear(&letter);
    return came != 0;
}

static void keep_alive(bus_t *self)
{
    if (self->state != BUS_CONNECTED) {
        if (self->clock_us - self->called_us >= FIRST_SILENCE_US)
            lose(self);
        return;
    }
    if (self->unanswered_us && self->clock_us - self->unanswered_us >= self->silence_us) {
        lose(self);
        return;
    }
    bool is_quiet = self->clock_us - self->said_us >= PING_EVERY_US || self->clock_us - self->heard_us >= PING_EVERY_US;
    if (is_quiet && self->clock_us - self->pinged_us >= PING_EVERY_US)
        bus_ping(self);
}

bool bus_work(bus_t *self, int64_t clock_us)
{
    if (!self->clock_us)
        self->called_us = self->said_us = self->heard_us = clock_us;
    self->clock_us = clock_us;
    asking_settle(self);
    bool has_more;
    do { /* sending may swallow the signal that something has come: look again after it */
        has_more = drain(self);
        self->has_said = false;
        if (self->state == BUS_CONNECTED)
            inbox_flush(self, !has_more);
        if (!has_more)
            keep_alive(self);
    } while (!has_more && self->has_said);
    return has_more || asking_is_due(self);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int bus_wait_ms(const bus_t *self, int64_t clock_us)
{
    if (asking_is_due(self))
        return 0;
    int64_t until = asking_deadline_us(self);
    if (self->state != BUS_CONNECTED) {
        until = earlier(until, self->called_us + FIRST_SILENCE_US);
    } else {
        int64_t quiet = earlier(self->said_us, self->heard_us) + PING_EVERY_US;
        int64_t next_ping = self->pinged_us + PING_EVERY_US;
        until = earlier(until, quiet > next_ping ? quiet : next_ping);
        if (self->unanswered_us)
            until = earlier(until, self->unanswered_us + self->silence_us);
    }
    int64_t ms = (until - clock_us + 999) / 1000;
    return ms < 0 ? 0 : ms > 60000 ? 60000 : (int)ms;
}

int bus_fd(const bus_t *self)
{
    return self->epoll_fd;
}

/* --- life ------------------------------------------------------------------------------ */

static char *copy(const char *text)
{
    if (!text)
        return NULL;
    char *same = strdup(text);
    assert(same);
    return same;
}

static bool is_name(const char *name)
{
    return name && *name && strlen(name) <= WIRE_NAME;
}

static void copy_options(bus_t *self, const struct bus_options *options)
{
    self->options = *options;
    self->options.endpoint = copy(options->endpoint);
    self->options.name = copy(options->name);
    self->options.instance = copy(options->instance);
    self->options.server_key = copy(options->server_key);
    self->options.public_key = copy(options->public_key);
    self->options.secret_key = copy(options->secret_key);
}

static void free_options(struct bus_options *options)
{
    free((char *)(uintptr_t)options->endpoint);
    free((char *)(uintptr_t)options->name);
    free((char *)(uintptr_t)options->instance);
    free((char *)(uintptr_t)options->server_key);
    free((char *)(uintptr_t)options->public_key);
    free((char *)(uintptr_t)options->secret_key);
}

static bool are_valid(const struct bus_options *options)
{
    if (!options->endpoint || !is_name(options->name) || !is_name(options->instance))
        return false;
    return !options->server_key || (options->public_key && options->secret_key);
}

bus_t *bus_new(const struct bus_options *options)
{
    if (!are_valid(options)) {
        errno = EINVAL;
        return NULL;
    }
    bus_t *self = calloc(1, sizeof *self);
    assert(self);
    copy_options(self, options);
    self->outlets = zhashx_new();
    self->inlets = zhashx_new();
    assert(self->outlets && self->inlets);
    self->questions = NULL;
    TAILQ_INIT(&self->asked);
    TAILQ_INIT(&self->failed);
    self->silence_us = FIRST_SILENCE_US;
    self->session = 1;
    ssize_t got = getrandom(&self->incarnation, sizeof self->incarnation, 0);
    assert(got == (ssize_t)sizeof self->incarnation);
    self->context = zmq_ctx_new();
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(self->context && self->epoll_fd >= 0);
    if (call(self)) {
        int error = errno;
        bus_destroy(&self);
        errno = error;
    }
    return self;
}

static void say_goodbye(bus_t *self)
{
    if (self->state != BUS_CONNECTED)
        return;
    inbox_flush(self, true);
    bus_say(self, &(struct wire){ .verb = VERB_BYE }, NULL, 0);
}

void bus_destroy(bus_t **self_p)
{
    bus_t *self = *self_p;
    if (!self)
        return;
    if (self->socket)
        say_goodbye(self);
    close_socket(self, 200);
    zmq_ctx_term(self->context);
    close(self->epoll_fd);
    outbox_destroy(self);
    inbox_destroy(self);
    asking_destroy(self);
    zhashx_destroy(&self->outlets);
    zhashx_destroy(&self->inlets);
    free_options(&self->options);
    free(self);
    *self_p = NULL;
}
