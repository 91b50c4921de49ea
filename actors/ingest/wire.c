/* wire.c - the connection's socket: what home.c asks of it, and what comes over it. */
#include "inside.h"
#include "websocket.h"

#include <inttypes.h>
#include <stdlib.h>

struct wire { struct self *self; struct link *link; websocket_t *websocket; };

static void wire_opened(void *owner)
{
    struct wire *wire = owner;
    link_opened(wire->link, actor_clock_us(wire->self->actor));
}

static void wire_received(void *owner, struct slice message)
{
    struct wire *wire = owner;
    wire->self->stats.frames++;
    wire->self->stats.bytes += (int64_t)message.size;
    link_received(wire->link, message, actor_clock_us(wire->self->actor));
}

static void wire_done(void *owner)
{
    struct wire *wire = owner;
    chain_read(wire->self);
}

/* It is missing, and was fired after what came before it. */
static void wire_skipped(void *owner, uint64_t size)
{
    struct wire *wire = owner;
    struct self *self = wire->self;
    struct home_view view = { 0 };
    chain_flush(self);
    if (self->home)
        home_view(self->home, &view);
    actor_error(self->actor, "a message of %" PRIu64 " bytes from Home Assistant is lost: INGEST_FRAME_MAX_BYTES is %" PRId64,
        size, self->config.frame_max_bytes);
    int64_t before_us = capture_last_heard(self->capture), now_us = actor_now_us(self->actor);
    if (view.state == HOME_LIVE)
        ledger_add(self->ledger, before_us > 0 ? before_us - SECOND_US : now_us - SECOND_US, now_us, GAP_TOO_LARGE, false);
}

static void wire_heard(void *owner)
{
    struct wire *wire = owner;
    link_heard(wire->link, actor_clock_us(wire->self->actor));
}

static void wire_behind(void *owner)
{
    struct wire *wire = owner;
    chain_behind(wire->self);
    link_behind(wire->link);
}

static void wire_closed(void *owner, int http_status, const char *why)
{
    struct wire wire = *(struct wire *)owner;
    free(owner);
    link_closed(wire.link, http_status, why, actor_clock_us(wire.self->actor));
    actor_wake(wire.self->actor, 0);
}

static const struct websocket_hooks wire_hooks = { .opened = wire_opened, .received = wire_received,
    .done = wire_done, .skipped = wire_skipped, .heard = wire_heard, .behind = wire_behind, .closed = wire_closed };

static void *open_socket(void *owner, const struct endpoint *endpoint, struct link *link)
{
    struct self *self = owner;
    struct lws_context *context = actor_lws(self->actor);
    struct wire *wire = context ? malloc(sizeof *wire) : NULL;
    if (!wire)
        return NULL;
    *wire = (struct wire){ .self = self, .link = link };
    struct websocket_options options = { .message_max = (size_t)self->config.frame_max_bytes,
        .verify = self->config.tls_verify, .ca_file = self->config.has_ca_file ? self->config.ca_file : NULL };
    const char *why;
    wire->websocket = websocket_open(context, endpoint, &options, &wire_hooks, wire, &why);
    if (wire->websocket)
        return wire;
    actor_warn(self->actor, "%s: %s", endpoint->url, why);
    free(wire);
    return NULL;
}

static void send_text(void *socket, struct slice text)
{
    struct wire *wire = socket;
    websocket_send(wire->websocket, text);
}

static void hold_socket(void *socket, bool held)
{
    struct wire *wire = socket;
    websocket_hold(wire->websocket, held);
}

static void close_socket(void *socket)
{
    struct wire *wire = socket;
    chain_flush(wire->self); /* it may be closed by what it has just said */
    websocket_close(wire->websocket);
    free(wire);
}

const struct socket_calls wire_calls = { .open = open_socket, .send = send_text, .hold = hold_socket,
    .close = close_socket };
