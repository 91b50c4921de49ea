/* gateway.c - the one HTTP server: what it listens to, asks, and counts. Owns nothing. */
#include "paged.h"
#include "reply.h"
#include "off.h"

#include <sys/random.h>

/* Nobody answers: where the actor has been switched off, it has left a note that says so. False: it has not. */
static bool reply_off(connection_t *c)
{
    char actor[40], why[OFF_WHY], text[OFF_WHY + 40];
    snprintf(actor, sizeof actor, "%.*s", (int)strcspn(c->route->service->subject, "."), c->route->service->subject);
    if (!off_is(actor_suite(c->self->actor)->data, actor, why))
        return false;
    snprintf(text, sizeof text, "%s %s", actor, why);
    reply_error(c, 503, NULL, text, NULL);
    return true;
}

static void on_answer(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer)
{
    (void)actor;
    connection_t *c = connection_of_tag(self, tag);
    if (!c || c->state != ASKED)
        return; /* the client has left */
    if (answer->verdict == OK)
        reply_answer(c, answer);
    else if (answer->verdict != NO_OWNER || !reply_off(c))
        reply_verdict(c, answer);
    self->transport->flush(c);
}

/* A form of another site's page can send three media types without asking first, and none of them
 * is JSON. What changes something therefore says that it is; with no body there is nothing to say. */
static bool refuses_media(connection_t *c)
{
    struct slice type = c->head.content_type;
    bool silent = type.size == 0 && (c->route->scope < WRITE || c->body.size == 0);
    if (silent || media_is_json(type))
        return false;
    reply_error(c, 415, "Content-Type", "must be application/json", NULL);
    return true;
}

int gateway_read(connection_t *c, const struct schema *schema, void *query)
{
    struct self *self = c->self;
    struct fault fault = { "", "" };
    struct slice body = { c->body.data, c->body.size };
    int status = request_query(c->route, schema, connection_path(c), connection_query(c), query, &fault);
    if (status == 0 && method_has_body(c->route->method)) {
        if (refuses_media(c))
            return -1;
        if (body.size || c->route->scope < WRITE) /* a change may need no words */
            status = request_body(c->route, schema, self->json, body, query, &fault);
    }
    if (status == 0 && schema_check(schema, query, &fault))
        status = 422;
    if (status)
        reply_error(c, status, fault.field, fault.why, NULL);
    return status;
}

void gateway_serve(connection_t *c)
{
    struct self *self = c->self;
    const struct contract *service = c->route->service;
    struct fault fault;
    if (gateway_read(c, service->in(), self->query))
        return;
    if (c->route->shape == WHOLE) {
        paged_listing(c);
        return;
    }
    msgpack_sbuffer_clear(&self->packed);
    if (schema_encode(service->in(), self->query, &self->packed, &fault)) {
        reply_error(c, 422, fault.field, fault.why, NULL);
        return;
    }
    c->state = ASKED;
    struct slice query = { self->packed.data, self->packed.size };
    if (actor_ask_raw(self->actor, service->subject, query, (int)self->config.ask_ms, on_answer, connection_tag(c)))
        reply_error(c, 500, NULL, "the question could not be asked", NULL);
}

void gateway_count(struct self *self, int status)
{
    if (status >= 500)
        self->stats.errors_5xx++;
    else if (status >= 400)
        self->stats.errors_4xx++;
}

/* --- life --- */

static void count_from_zero(struct gateway_stats *stats)
{
    SET(stats, requests, 0);
    SET(stats, errors_4xx, 0);
    SET(stats, errors_5xx, 0);
    SET(stats, streams, 0);
    SET(stats, stream_events, 0);
    SET(stats, stream_dropped, 0);
}

/* The largest message that a route takes or gives. */
static void make_room(struct self *self)
{
    size_t query = sizeof(struct events_query), row = sizeof(struct heartbeat);
    for (const struct route *r = routes; r->path; r++) {
        if (!r->service)
            continue;
        size_t in = r->service->in()->size, out = r->service->out()->size;
        size_t one = r->service->row ? r->service->row()->size : 0;
        query = in > query ? in : query;
        row = out > row ? out : row;
        row = one > row ? one : row;
    }
    self->query = calloc(1, query);
    self->row = calloc(1, row);
    assert(self->query && self->row);
}

static int open_gateway(struct self *self, actor_t *actor)
{
    self->actor = actor;
    self->web_root = -1;
    self->open_max = CONNECTIONS_MAX;
    self->started_us = actor_clock_us(actor);
    count_from_zero(&self->stats);
    make_room(self);
    self->json = json_new();
    self->watch = watch_new();
    self->streams = zlistx_new();
    assert(self->json && self->watch && self->streams);
    if (getrandom(&self->seed, sizeof self->seed, 0) != (ssize_t)sizeof self->seed)
        self->seed = (uint64_t)actor_now_us(actor); /* ids need not be secret */
    actor_pause(actor, &event_full_contract); /* until somebody streams */
    if (!address_is_loopback(self->config.bind)) {
        actor_error(actor, "bind: %s is no loopback address, and there is no authentication yet: only 127.0.0.0/8, ::1 "
            "and localhost are served", self->config.bind);
        return 100;
    }
    int result = static_open(self, actor);
    if (result == 0 && actor_lws(actor)) /* a test brings its own transport */
        result = server_open(self, actor);
    return result;
}

static int tick(struct self *self, actor_t *actor)
{
    int64_t clock_us = actor_clock_us(actor);
    health_tick(self);
    live_tick(self);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (self->connections[i])
            connection_tick(self->connections[i], clock_us);
    return 1000;
}

static void on_connected(struct self *self, actor_t *actor, bool up)
{
    (void)actor;
    health_connected(self, up);
}

static int drain(struct self *self, actor_t *actor)
{
    (void)actor;
    int busy = 0;
    self->stopping = true;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        connection_t *c = self->connections[i];
        if (!c)
            continue;
        bool answers = c->state == ASKED || c->state == BODY || (c->out.size > 0 && !c->stream);
        if (answers || c->export || c->paged)
            busy++;
        else
            self->transport->close(c);
    }
    return busy ? 20 : 0;
}

static void close_gateway(struct self *self, actor_t *actor)
{
    (void)actor;
    server_close(self);
    watch_destroy(&self->watch);
    zlistx_destroy(&self->streams);
    if (self->json)
        json_destroy(&self->json);
    if (self->web_root >= 0)
        close(self->web_root);
    free(self->query);
    free(self->row);
    msgpack_sbuffer_destroy(&self->body);
    msgpack_sbuffer_destroy(&self->packed);
}

static void set_options(struct self *self, actor_t *actor, struct lws_context_creation_info *info)
{
    (void)self, (void)actor;
    server_options(info);
}

static const struct handler handlers[] = {
    ON(event_full, live_on_event),
    ON(actor_heartbeat, health_on_heartbeat),
    ON(ingest_session, health_on_session),
    { 0 },
};

const struct actor_spec actor_spec = {
    .name = "gateway",
    .doc = "The one HTTP server: REST, event streams, metrics, the web page",
    .state = sizeof(struct self),
    .config = SECTION(config, gateway_config),
    .stats = SECTION(stats, gateway_stats),
    .handlers = handlers,
    .open = open_gateway,
    .tick = tick,
    .connected = on_connected,
    .drain = drain,
    .close = close_gateway,
    .lws = set_options,
    .group = "",
    .window_messages = 2048,
    .window_bytes = 4 * 1024 * 1024,
};
