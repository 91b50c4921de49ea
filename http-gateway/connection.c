/* connection.c - one client, from bytes in to bytes out; knows no socket. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

enum {
    HEAD_US = 10 * 1000000,   /* a request must be complete within this */
    IDLE_US = 75 * 1000000,   /* a connection without one is closed */
    WRITE_US = 60 * 1000000,  /* a client that takes nothing for so long is closed */
    DRAIN_US = 2 * 1000000,
    INPUT_MAX = 65536,        /* pipelined input beyond which reading stops */
    OUTPUT_MAX = 1048576,     /* replies waiting beyond which no request is taken */
    KEPT_BYTES = 65536        /* a buffer larger than this is given back after use */
};

connection_t *connection_new(struct self *self, void *socket)
{
    unsigned slot = 0;
    if (self->open >= self->open_max)
        return NULL;
    while (self->connections[slot])
        slot++;
    connection_t *c = calloc(1, sizeof *c);
    assert(c);
    *c = (connection_t){ .self = self, .actor = self->actor, .socket = socket, .slot = slot,
        .since_us = actor_clock_us(self->actor) };
    self->connections[slot] = c;
    self->open++;
    return c;
}

void connection_destroy(connection_t **self_p)
{
    connection_t *c = *self_p;
    if (!c)
        return;
    live_destroy(c);
    export_destroy(c);
    paged_destroy(c);
    c->self->connections[c->slot] = NULL;
    c->self->open--;
    msgpack_sbuffer_destroy(&c->in);
    msgpack_sbuffer_destroy(&c->body);
    msgpack_sbuffer_destroy(&c->out);
    free(c);
    *self_p = NULL;
}

/* --- buffers --- */

static void buffer_give_back(msgpack_sbuffer *b)
{
    b->size = 0;
    if (b->alloc > KEPT_BYTES) {
        msgpack_sbuffer_destroy(b);
        msgpack_sbuffer_init(b);
    }
}

static void drop_input(connection_t *c, size_t size)
{
    size_t left = c->in.size - size;
    if (left == 0) {
        buffer_give_back(&c->in);
        return;
    }
    memmove(c->in.data, c->in.data + size, left);
    c->in.size = left;
}

static void check_reading(connection_t *c)
{
    bool full = c->state != BODY && c->state != READING && c->in.size > INPUT_MAX;
    if (full != c->paused) {
        c->paused = full;
        c->self->transport->reading(c, !full);
    }
}

/* --- the request in hand --- */

struct slice connection_path(const connection_t *c)
{
    struct slice path, query;
    target_split(c->head.target, &path, &query);
    return path;
}

struct slice connection_query(const connection_t *c)
{
    struct slice path, query;
    target_split(c->head.target, &path, &query);
    return query;
}

int64_t connection_tag(const connection_t *c)
{
    return (int64_t)c->serial << 16 | (int64_t)c->slot;
}

connection_t *connection_of_tag(struct self *self, int64_t tag)
{
    size_t slot = (size_t)(tag & 0xffff);
    connection_t *c = slot < CONNECTIONS_MAX ? self->connections[slot] : NULL;
    return c && connection_tag(c) == tag ? c : NULL;
}

static void copy_id(struct slice from, const char *otherwise, char to[129])
{
    snprintf(to, 129, "%.*s", id_is_plain(from) ? (int)from.size : (int)strlen(otherwise),
        id_is_plain(from) ? (const char *)from.data : otherwise);
}

/* splitmix64 over a counter: ids that do not repeat and do not follow from each other. */
static uint64_t next_id(struct self *self)
{
    uint64_t x = self->seed + ++self->requests * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* A request begins: from here on a reply is owed. */
static void begin(connection_t *c)
{
    char made[32];
    snprintf(made, sizeof made, "req_%016llx", (unsigned long long)next_id(c->self));
    bool has_correlation = id_is_plain(c->head.correlation_id), has_request = id_is_plain(c->head.request_id);
    copy_id(has_correlation ? c->head.correlation_id : c->head.request_id, made, c->correlation_id);
    copy_id(has_request ? c->head.request_id : c->head.correlation_id, made, c->request_id);
    c->answering = true;
    c->serial = c->self->serial = (c->self->serial + 1) & 0x7fffffff;
    c->self->stats.requests++;
}

/* What cannot be read is refused, and nothing after it can be told apart: close. */
static void refuse(connection_t *c, int status, const char *why)
{
    if (!c->answering)
        begin(c);
    c->state = CLOSING;
    reply_error(c, status, NULL, why, NULL);
}

void connection_refusal(struct self *self, msgpack_sbuffer *to)
{
    connection_t c = { .self = self, .actor = self->actor };
    refuse(&c, 503, "as many connections are open as there may be");
    *to = c.out;
}

static void reply_options(connection_t *c, const struct route *found)
{
    char allow[128] = "OPTIONS", lines[160];
    if (found)
        route_allow(found, allow, sizeof allow);
    snprintf(lines, sizeof lines, "Allow: %s\r\n", allow);
    reply_body(c, 204, NULL, lines, (struct slice){ "", 0 });
}

static void reply_not_allowed(connection_t *c, const struct route *found)
{
    char allow[128], lines[160];
    route_allow(found, allow, sizeof allow);
    snprintf(lines, sizeof lines, "Allow: %s\r\n", allow);
    reply_error(c, 405, NULL, "this path does not take that method", lines);
}

/* There are no keys yet, so a browser on this machine is the way in: a page under a name of its
 * own that resolves to us, or a page elsewhere that has the browser send us something. */
static bool refuse_strangers(connection_t *c)
{
    bool named = c->head.has_host || c->head.host.size > 0, reads = c->head.method == GET || c->head.method == HEAD ||
        c->head.method == OPTIONS;
    if (named && !host_is_ours(c->head.host, c->self->config.bind))
        reply_error(c, 421, "Host", "only the names of this machine's loopback are served here", NULL);
    else if (!reads && origin_is_foreign(c->head.origin, c->head.host))
        reply_error(c, 403, "Origin", "pages of other sites may not send anything here", NULL);
    else
        return false;
    return true;
}

static void serve(connection_t *c)
{
    struct slice path = connection_path(c);
    const struct route *found = route_of_path(path);
    if (refuse_strangers(c))
        return;
    if (c->head.method == OPTIONS && (found || slice_is(path, "*"))) {
        reply_options(c, found);
    } else if (!found) {
        if (!static_serve(c))
            reply_error(c, 404, NULL, "there is no such path; /openapi.json lists them", NULL);
    } else if (!(c->route = route_of_method(found, c->head.method))) {
        reply_not_allowed(c, found);
    } else if (c->route->hand) {
        c->route->hand(c);
    } else {
        gateway_serve(c);
    }
}

/* --- reading --- */

/* The head's slices follow the input buffer when it moves. */
static int read_head(connection_t *c, const char **why)
{
    size_t scanned = c->head_size ? 0 : c->scanned;
    int status = head_read((struct slice){ c->in.data, c->in.size }, &scanned, &c->head, &c->head_size, why);
    c->scanned = scanned;
    return status;
}

static int check_body(connection_t *c, const char **why)
{
    *why = "the body is larger than body_max_bytes";
    if (c->head.has_length && c->head.length > c->self->config.body_max_bytes)
        return 413;
    return READ_WHOLE;
}

/* READ_WHOLE once the body is in c->body and off the input. */
static int read_body(connection_t *c, const char **why)
{
    struct slice rest = { c->in.data + c->head_size, c->in.size - c->head_size };
    size_t used = 0;
    int status = READ_WHOLE;
    if (c->head.chunked) {
        status = chunked_read(&c->chunked, rest, &used, (size_t)c->self->config.body_max_bytes, &c->body, why);
    } else {
        size_t left = (size_t)c->head.length - c->body.size;
        used = rest.size < left ? rest.size : left;
        if (used)
            msgpack_sbuffer_write(&c->body, rest.data, used);
        status = used < left ? READ_MORE : READ_WHOLE;
    }
    if (used) {
        memmove(c->in.data + c->head_size, c->in.data + c->head_size + used, rest.size - used);
        c->in.size -= used;
    }
    return status;
}

static void say_continue(connection_t *c)
{
    if (c->head.wants_continue && !c->continued && c->head.minor == 1)
        put(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
    c->continued = true;
}

/* One step: true if there may be another. */
static bool step(connection_t *c)
{
    const char *why = "";
    int status = READ_WHOLE;
    if (c->state == READING) {
        if (c->in.size == 0)
            return false;
        status = read_head(c, &why);
        if (status == READ_MORE)
            return false;
        if (status == READ_WHOLE) {
            begin(c);
            status = check_body(c, &why);
        }
        if (status == READ_WHOLE)
            c->state = BODY;
    }
    if (status == READ_WHOLE)
        status = read_body(c, &why);
    if (status == READ_MORE) {
        say_continue(c);
        return false;
    }
    if (status != READ_WHOLE)
        refuse(c, status, why);
    else
        serve(c);
    return true;
}

static void advance(connection_t *c)
{
    while ((c->state == READING || c->state == BODY) && c->out.size - c->written < OUTPUT_MAX && step(c)) {
    }
    check_reading(c);
}

/* The input may have moved: read the head of the request in hand again, so that its slices hold. */
static void reread_head(connection_t *c)
{
    const char *why;
    if (!c->answering || c->head_size == 0)
        return;
    bool keep_alive = c->head.keep_alive;
    int status = read_head(c, &why);
    assert(status == READ_WHOLE);
    c->head.keep_alive = keep_alive;
}

void connection_take(connection_t *c, struct slice bytes)
{
    if (c->state >= CLOSING)
        return; /* it is being refused */
    if (c->in.size == 0 && !c->answering)
        c->since_us = actor_clock_us(c->actor);
    const char *before = c->in.data;
    put_slice(&c->in, bytes);
    if (c->in.data != before)
        reread_head(c);
    advance(c);
    c->self->transport->flush(c);
}

/* --- writing --- */

struct slice connection_output(const connection_t *c)
{
    return (struct slice){ c->out.data ? c->out.data + c->written : NULL, c->out.size - c->written };
}

static void after_output(connection_t *c)
{
    if (c->state == CLOSING) {
        c->state = DRAINING;
        c->self->transport->finish(c);
    } else if (c->stream) {
        live_more(c);
    } else if (c->export) {
        export_more(c);
    } else if (c->paged) {
        paged_more(c);
    } else {
        advance(c);
    }
}

void connection_wrote(connection_t *c, size_t size)
{
    c->written += size;
    if (size)
        c->since_us = actor_clock_us(c->actor);
    if (c->written < c->out.size)
        return;
    c->written = 0;
    buffer_give_back(&c->out);
    after_output(c);
}

void connection_done(connection_t *c)
{
    size_t used = c->head_size;
    c->answering = c->continued = false;
    c->head_size = c->scanned = 0;
    c->chunked = (struct chunked){ 0 };
    c->route = NULL;
    bool keep_alive = c->head.keep_alive;
    c->head = (struct head){ 0 }; /* its slices die with the input */
    bool whole = c->state != CLOSING;
    c->state = whole && keep_alive ? READING : CLOSING;
    c->since_us = actor_clock_us(c->actor);
    buffer_give_back(&c->body);
    if (whole)
        drop_input(c, used);
}

void connection_abort(connection_t *c)
{
    c->self->transport->close(c);
}

bool connection_is_idle(const connection_t *c)
{
    return c->state == READING && c->in.size == 0 && c->out.size == 0;
}

void connection_tick(connection_t *c, int64_t clock_us)
{
    int64_t silent_us = clock_us - c->since_us;
    bool writing = c->out.size > 0;
    if (c->state == DRAINING ? silent_us > DRAIN_US : writing && silent_us > WRITE_US)
        c->self->transport->close(c);
    else if (connection_is_idle(c) && silent_us > IDLE_US)
        c->self->transport->close(c);
    else if ((c->state == BODY || (c->state == READING && c->in.size)) && !writing && silent_us > HEAD_US) {
        refuse(c, 408, "the request did not arrive within 10 seconds");
        c->self->transport->flush(c);
    }
}
