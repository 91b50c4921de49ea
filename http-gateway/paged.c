/* paged.c - one reply made of many pages. */
#include "paged.h"

#include "reply.h"

#include <stdio.h>
#include <string.h>

enum { AGAIN_MS = 250, AGAIN_US = 15000000, PAGE_MS = 30000 };

static void ask_page(connection_t *c);

static void put_chunk(connection_t *c, struct slice data)
{
    if (data.size == 0)
        return; /* an empty chunk would be the last one */
    put(&c->out, "%zx\r\n", data.size);
    put_slice(&c->out, data);
    put(&c->out, "\r\n");
}

/* --- one page is all ---------------------------------------------------------------------------------- */

static void tag_of(struct slice body, char tag[40])
{
    uint64_t a = UINT64_C(0x9e3779b97f4a7c15), b = body.size, word;
    const char *at = body.data;
    for (size_t left = body.size; left > 0; at += sizeof word) {
        size_t size = left < sizeof word ? left : sizeof word;
        word = 0;
        memcpy(&word, at, size);
        a = (a ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        a ^= a >> 29;
        b = (b + a) * UINT64_C(0x94d049bb133111eb);
        left -= size;
    }
    snprintf(tag, 40, "\"%016llx%016llx\"", (unsigned long long)(a ^ a >> 32), (unsigned long long)(b ^ b >> 31));
}

static void reply_whole(connection_t *c, struct slice body, bool is_closed)
{
    char tag[40], lines[160];
    tag_of(body, tag);
    snprintf(lines, sizeof lines, "ETag: %s\r\nCache-Control: %s\r\n", tag, is_closed ? "private, max-age=86400, immutable" : "no-cache");
    bool known = c->head.method != POST && c->head.if_none_match.size
        && memmem(c->head.if_none_match.data, c->head.if_none_match.size, tag, strlen(tag));
    if (known)
        reply_body(c, 304, NULL, lines, (struct slice){ "", 0 });
    else
        reply_body(c, 200, "application/json", lines, body);
}

/* --- there are more ---------------------------------------------------------------------------------------- */

/* Whether it may be streamed; else the reply has been made. */
static bool begin_stream(connection_t *c)
{
    if (c->head.minor == 0)
        reply_error(c, 505, NULL, "so much needs HTTP/1.1: without chunks half of it would look whole", NULL);
    else if (c->self->paged >= PAGED_MAX)
        reply_error(c, 503, NULL, "as many large answers are under way as there may be", NULL);
    else {
        c->paged->begun = c->paged->is_streaming = true;
        c->self->paged++;
        reply_head(c, 200, "application/json", NULL, CHUNKED, 0);
        return true;
    }
    return false;
}

static void stream_page(connection_t *c, struct slice text, bool is_last)
{
    paged_t *p = c->paged;
    if (!p->begun && !begin_stream(c)) {
        paged_destroy(c);
        return;
    }
    bool no_body = c->head.method == HEAD;
    if (!no_body)
        put_chunk(c, text);
    if (is_last || no_body) {
        if (!no_body)
            put(&c->out, "0\r\n\r\n");
        paged_destroy(c);
        connection_done(c);
        return;
    }
    c->state = STREAMING;
    if (text.size == 0)
        ask_page(c); /* nothing was written that could end */
}

static void take_page(connection_t *c, const struct answer *answer)
{
    struct self *self = c->self;
    paged_t *p = c->paged;
    const struct field *cursor = schema_field(p->kind->service->in(), "cursor", 6);
    struct fault fault;
    p->failed_us = 0;
    p->cursor[0] = '\0';
    msgpack_sbuffer_clear(&self->body);
    if (p->kind->write(p, answer, &self->body)) {
        actor_warn(c->actor, "a page of %s cannot be read", p->kind->service->subject);
        bool begun = p->begun;
        paged_destroy(c);
        if (begun)
            connection_abort(c);
        else
            reply_error(c, 500, NULL, "the answer cannot be read", NULL);
        return;
    }
    bool is_last = p->cursor[0] == '\0', is_whole = p->first && is_last, is_closed = p->is_closed;
    p->first = false;
    struct slice text = { self->body.data, self->body.size };
    if (is_whole) {
        paged_destroy(c);
        reply_whole(c, text, is_closed);
        return;
    }
    int failed = is_last ? 0 : schema_set_text(cursor, p->cursor, strlen(p->cursor), p->query, &fault);
    assert(failed == 0);
    stream_page(c, text, is_last);
}

/* --- asking ------------------------------------------------------------------------------------------------- */

static void on_again(struct self *self, actor_t *actor, int64_t tag)
{
    (void)actor;
    connection_t *c = connection_of_tag(self, tag);
    if (c && c->paged && c->state == ASKED)
        ask_page(c);
}

/* A query process that ends takes its page with it, not the reply: another one, or the same when it is back, goes on. */
static bool will_ask_again(connection_t *c, int verdict)
{
    paged_t *p = c->paged;
    int64_t now_us = actor_clock_us(c->actor);
    if (!p->begun || (verdict != UNAVAILABLE && verdict != NO_OWNER) || (p->failed_us && now_us - p->failed_us > AGAIN_US))
        return false;
    if (!p->failed_us)
        p->failed_us = now_us;
    actor_after(c->actor, AGAIN_MS, on_again, connection_tag(c));
    return true;
}

static void refuse_page(connection_t *c, const struct answer *answer)
{
    struct answer told = *answer;
    if (c->paged->kind->rename && told.fault.field)
        told.fault.field = c->paged->kind->rename(told.fault.field);
    if (c->paged->begun) {
        actor_warn(c->actor, "a reply is cut off: verdict %d of %s", answer->verdict, c->paged->kind->service->subject);
        paged_destroy(c);
        connection_abort(c);
        return;
    }
    paged_destroy(c);
    reply_verdict(c, &told);
}

static void on_page(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer)
{
    (void)actor;
    connection_t *c = connection_of_tag(self, tag);
    if (!c || !c->paged)
        return;
    if (answer->verdict == OK)
        take_page(c, answer);
    else if (will_ask_again(c, answer->verdict))
        return;
    else
        refuse_page(c, answer);
    self->transport->flush(c);
}

static void ask_page(connection_t *c)
{
    struct self *self = c->self;
    paged_t *p = c->paged;
    struct fault fault;
    int deadline_ms = p->begun && self->config.ask_ms < PAGE_MS ? PAGE_MS : (int)self->config.ask_ms;
    msgpack_sbuffer_clear(&self->packed);
    int failed = schema_encode(p->kind->service->in(), p->query, &self->packed, &fault);
    if (failed && !p->begun) {
        paged_destroy(c);
        reply_error(c, 422, fault.field, fault.why, NULL);
        return;
    }
    c->state = ASKED;
    struct slice query = { self->packed.data, self->packed.size };
    if (failed || actor_ask_raw(c->actor, p->kind->service->subject, query, deadline_ms, on_page, connection_tag(c)))
        connection_abort(c);
}

void paged_start(connection_t *c, const struct paged_kind *kind, void *query, void *state)
{
    paged_t *p = calloc(1, sizeof *p);
    assert(p);
    *p = (paged_t){ .kind = kind, .connection = c, .query = query, .state = state, .first = true };
    c->paged = p;
    ask_page(c);
}

void paged_more(connection_t *c)
{
    if (c->state == STREAMING)
        ask_page(c);
}

void paged_destroy(connection_t *c)
{
    paged_t *p = c->paged;
    if (!p)
        return;
    c->paged = NULL;
    c->self->paged -= p->is_streaming;
    if (p->kind->destroy)
        p->kind->destroy(p->state);
    else
        free(p->state);
    free(p->query);
    free(p);
}

/* --- listings of which all rows are given --------------------------------------------------------------------- */

struct whole { struct paged_kind kind; const char *key; };

/* The cursor of an end, whatever else it tells; it has one where there is more. */
static void take_cursor(paged_t *p, const void *end)
{
    const struct field *f = schema_field(p->kind->service->out(), "next_cursor", 11);
    schema_get_text(f, end, p->cursor, sizeof p->cursor);
}

static int write_whole(paged_t *p, const struct answer *answer, msgpack_sbuffer *to)
{
    struct self *self = p->connection->self;
    const struct whole *whole = p->state;
    struct fault fault;
    if (schema_decode(p->kind->service->out(), answer->end, self->row, &fault))
        return -1;
    take_cursor(p, self->row);
    if (p->first) {
        schema_json(p->kind->service->out(), self->row, to);
        to->size--; /* the brace that closed it */
        put(to, ",\"%s\":[", whole->key);
    } else if (p->rows && answer->rows.size) {
        put(to, ",");
    }
    int64_t count = put_rows(self, p->kind->service, answer->rows, to);
    p->rows += count;
    if (p->cursor[0] == '\0')
        put(to, "],\"count\":%lld}", (long long)p->rows);
    return count < 0 ? -1 : 0;
}

void paged_listing(connection_t *c)
{
    const struct contract *service = c->route->service;
    struct whole *whole = malloc(sizeof *whole);
    void *query = malloc(service->in()->size);
    assert(whole && query);
    *whole = (struct whole){ { service, write_whole, NULL, NULL }, c->route->key };
    memcpy(query, c->self->query, service->in()->size);
    paged_start(c, &whole->kind, query, whole);
}
