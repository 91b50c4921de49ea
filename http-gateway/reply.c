/* reply.c - what a client is told: heads, JSON envelopes, errors. */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void put(msgpack_sbuffer *to, const char *format, ...)
{
    char text[1024];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    assert(n >= 0 && (size_t)n < sizeof text);
    msgpack_sbuffer_write(to, text, (size_t)n);
}

void put_slice(msgpack_sbuffer *to, struct slice s)
{
    if (s.size)
        msgpack_sbuffer_write(to, s.data, s.size);
}

void put_json(msgpack_sbuffer *to, const char *text)
{
    if (text)
        json_write_text(slice_of(text), to);
    else
        put(to, "null");
}

void put_time(msgpack_sbuffer *to, int64_t at_us)
{
    char text[TIME_TEXT];
    time_text(at_us, text);
    put(to, "\"%s\"", text);
}

void put_event_line(msgpack_sbuffer *to, const struct event_full *e)
{
    size_t at = to->size;
    schema_json(event_full_schema(), e, to);
    /* Attributes are passed on as they came: line breaks may stand between their tokens, and
     * only there. */
    for (char *p; (p = memchr(to->data + at, '\n', to->size - at)) != NULL;)
        *p = ' ';
    for (char *p; (p = memchr(to->data + at, '\r', to->size - at)) != NULL;)
        *p = ' ';
}

static void put_date(msgpack_sbuffer *to, int64_t now_us)
{
    time_t now = (time_t)(now_us / 1000000);
    struct tm tm;
    char text[40];
    gmtime_r(&now, &tm);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    put(to, "Date: %s\r\n", text);
}

static void put_framing(connection_t *c, int status, enum framing framing, size_t size)
{
    bool alive = c->head.keep_alive && framing != UNTIL_CLOSE && c->state != CLOSING && !c->self->stopping;
    if (framing == CHUNKED)
        put(&c->out, "Transfer-Encoding: chunked\r\n");
    else if (framing == WITH_LENGTH && status != 204 && status != 304)
        put(&c->out, "Content-Length: %zu\r\n", size);
    if (!alive)
        put(&c->out, "Connection: close\r\n");
    else if (c->head.minor == 0)
        put(&c->out, "Connection: keep-alive\r\n");
    if (!alive)
        c->head.keep_alive = false;
}

void reply_head(connection_t *c, int status, const char *type, const char *extra, enum framing framing, size_t size)
{
    static const char safe[] = "X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n"
        "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n";
    put(&c->out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    put_date(&c->out, actor_now_us(c->actor));
    if (type)
        put(&c->out, "Content-Type: %s\r\n", type);
    put_framing(c, status, framing, size);
    put(&c->out, "X-Correlation-ID: %s\r\nX-Request-ID: %s\r\n", c->correlation_id, c->request_id);
    msgpack_sbuffer_write(&c->out, safe, sizeof safe - 1);
    if (!extra || !strstr(extra, "Cache-Control:"))
        put(&c->out, "Cache-Control: no-store\r\n");
    if (!extra || !strstr(extra, "Content-Security-Policy:"))
        put(&c->out, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n");
    put_slice(&c->out, slice_of(extra));
    put(&c->out, "\r\n");
    gateway_count(c->self, status);
}

void reply_body(connection_t *c, int status, const char *type, const char *extra, struct slice body)
{
    reply_head(c, status, type, extra, WITH_LENGTH, body.size);
    if (c->head.method != HEAD)
        put_slice(&c->out, body);
    connection_done(c);
}

static const char *slug_of_status(int status)
{
    static const struct { int status; const char *slug; } slugs[] = {
        { 400, "VALIDATION_ERROR" }, { 403, "FORBIDDEN" }, { 404, "RESOURCE_NOT_FOUND" }, { 405, "METHOD_NOT_ALLOWED" },
        { 408, "REQUEST_TIMEOUT" }, { 409, "CONFLICT" }, { 413, "PAYLOAD_TOO_LARGE" }, { 414, "URI_TOO_LONG" },
        { 415, "UNSUPPORTED_MEDIA_TYPE" }, { 421, "MISDIRECTED_REQUEST" }, { 422, "VALIDATION_ERROR" },
        { 431, "HEADERS_TOO_LARGE" }, { 501, "NOT_IMPLEMENTED" }, { 503, "ACTOR_UNAVAILABLE" },
        { 504, "ACTOR_TIMEOUT" }, { 505, "HTTP_VERSION_NOT_SUPPORTED" },
    };
    for (size_t i = 0; i < sizeof slugs / sizeof *slugs; i++)
        if (slugs[i].status == status)
            return slugs[i].slug;
    return "INTERNAL_ERROR";
}

void reply_error(connection_t *c, int status, const char *field, const char *why, const char *extra)
{
    msgpack_sbuffer *b = &c->self->body;
    char lines[256];
    msgpack_sbuffer_clear(b);
    put(b, "{\"success\":false,\"error\":");
    if (field) {
        char text[400];
        snprintf(text, sizeof text, "%s: %s", field, why);
        put_json(b, text);
    } else {
        put_json(b, why);
    }
    put(b, ",\"error_code\":\"%s\",\"detail\":", slug_of_status(status));
    if (field) {
        put(b, "{\"field\":");
        put_json(b, field);
        put(b, ",\"message\":");
        put_json(b, why);
        put(b, "}");
    } else {
        put_json(b, why);
    }
    put(b, ",\"timestamp\":");
    put_time(b, actor_now_us(c->actor));
    put(b, ",\"request_id\":");
    put_json(b, c->request_id);
    put(b, "}");
    snprintf(lines, sizeof lines, "%s%s", status == 503 ? "Retry-After: 1\r\n" : "", extra ? extra : "");
    reply_body(c, status, "application/json", lines, (struct slice){ b->data, b->size });
}

int status_of_verdict(int verdict)
{
    switch (verdict) {
    case OK: return 200;
    case BAD_REQUEST: return 400;
    case UNPROCESSABLE: return 422;
    case NOT_FOUND: return 404;
    case CONFLICT: return 409;
    case UNAVAILABLE:
    case NO_OWNER: return 503;
    case TOO_LATE: return 504;
    default: return 500;
    }
}

void reply_verdict(connection_t *c, const struct answer *answer)
{
    static const struct { int status; const char *why; } plain[] = {
        { 404, "there is no such thing" }, { 503, "the actor that owns this is not there" },
        { 504, "the actor that owns this did not answer in time" }, { 500, "the actor that owns this failed" },
    };
    int status = status_of_verdict(answer->verdict);
    const char *why = answer->fault.why && answer->fault.why[0] ? answer->fault.why : NULL;
    const char *field = why && answer->fault.field && answer->fault.field[0] ? answer->fault.field : NULL;
    for (size_t i = 0; !why && i < sizeof plain / sizeof *plain; i++)
        if (plain[i].status == status)
            why = plain[i].why;
    reply_error(c, status, field, why ? why : "refused", NULL);
}

/* --- listings ------------------------------------------------------------------------------ */

int64_t put_rows(struct self *self, const struct contract *service, struct slice rows, msgpack_sbuffer *to)
{
    struct slice one;
    struct fault fault;
    int64_t count = 0;
    while (frame_next(&rows, &one)) {
        if (schema_decode(service->row(), one, self->row, &fault)) {
            actor_warn(self->actor, "a row of %s does not decode: %s: %s", service->subject, fault.field, fault.why);
            return -1;
        }
        if (count++)
            put(to, ",");
        schema_json(service->row(), self->row, to);
    }
    return rows.size ? -1 : count;
}

/* The target again, with another cursor and without an offset. */
static void put_next(connection_t *c, const char *cursor, msgpack_sbuffer *to)
{
    struct slice path = connection_path(c), rest = connection_query(c);
    put_slice(to, path);
    put(to, "?");
    while (rest.size) {
        const char *p = rest.data, *end = memchr(p, '&', rest.size);
        struct slice pair = { p, end ? (size_t)(end - p) : rest.size };
        rest = (struct slice){ p + pair.size + (end ? 1 : 0), rest.size - pair.size - (end ? 1 : 0) };
        bool ours = (pair.size >= 7 && !memcmp(p, "cursor=", 7)) || (pair.size >= 7 && !memcmp(p, "offset=", 7));
        for (size_t i = 0; !ours && i < pair.size; i++) {
            if (strchr("<>\"\\^`{|}", p[i]) && p[i])
                put(to, "%%%02X", (unsigned char)p[i]);
            else
                put(to, "%c", p[i]);
        }
        if (!ours)
            put(to, "&");
    }
    put(to, "cursor=%s", cursor);
}

static void put_page_headers(connection_t *c, const struct page *page, msgpack_sbuffer *to)
{
    if (page->has_total)
        put(to, "X-Total-Count: %lld\r\n", (long long)page->total);
    if (page->has_cut && page->cut)
        put(to, "X-Truncated: true\r\n");
    if (!page->has_next_cursor || strcspn(page->next_cursor, "<>\r\n&\"% ") != page->next_cursor_size)
        return;
    put(to, "X-Next-Cursor: %s\r\n", page->next_cursor);
    if (c->head.method == POST)
        return; /* the question is in the body; the cursor goes there, too */
    put(to, "Link: <");
    put_next(c, page->next_cursor, to);
    put(to, ">; rel=\"next\"\r\n");
}

/* {"key": [rows], ...end}: the end's object, which is ready in `packed`, continues the envelope's. */
static int put_envelope(connection_t *c, const struct answer *answer)
{
    const struct route *r = c->route;
    msgpack_sbuffer *b = &c->self->body;
    put(b, "{");
    put(b, "\"%s\":[", r->key);
    if (put_rows(c->self, r->service, answer->rows, b) < 0)
        return -1;
    size_t at = b->size;
    put(b, "]");
    put_slice(b, (struct slice){ c->self->packed.data, c->self->packed.size });
    b->data[at + 1] = ','; /* the brace that opened the end */
    return 0;
}

static int make_listing(connection_t *c, const struct answer *answer)
{
    const struct route *r = c->route;
    msgpack_sbuffer *b = &c->self->body;
    if (r->shape == LIST)
        return put_envelope(c, answer) ? 500 : 200;
    if (r->shape != ONE)
        put(b, "[");
    int64_t count = put_rows(c->self, r->service, answer->rows, b);
    if (r->shape != ONE)
        put(b, "]");
    if (count == 0 && r->shape != ARRAY)
        return 404;
    return count < 0 || (r->shape == ONE && count != 1) ? 500 : 200;
}

static void reply_listing(connection_t *c, const struct answer *answer)
{
    struct self *self = c->self;
    const struct contract *service = c->route->service;
    struct page page = { .has_count = false };
    struct fault fault;
    int status = 500;
    if (schema_decode(service->out(), answer->end, self->row, &fault) == 0) {
        if (service->out == page_schema)
            page = *(const struct page *)self->row;
        msgpack_sbuffer_clear(&self->packed);
        schema_json(service->out(), self->row, &self->packed);
        status = make_listing(c, answer);
    }
    if (status != 200) {
        reply_error(c, status, NULL, status == 404 ? "there is no such thing" : "the answer cannot be read", NULL);
        return;
    }
    msgpack_sbuffer_clear(&self->packed);
    put_page_headers(c, &page, &self->packed);
    msgpack_sbuffer_write(&self->packed, "", 1);
    reply_body(c, 200, "application/json", self->packed.data, (struct slice){ self->body.data, self->body.size });
}

void reply_answer(connection_t *c, const struct answer *answer)
{
    struct self *self = c->self;
    const struct contract *service = c->route->service;
    struct fault fault;
    msgpack_sbuffer_clear(&self->body);
    if (service->row) {
        reply_listing(c, answer);
    } else if (schema_decode(service->out(), answer->end, self->row, &fault)) {
        actor_warn(c->actor, "an answer of %s does not decode: %s: %s", service->subject, fault.field, fault.why);
        reply_error(c, 500, NULL, "the answer cannot be read", NULL);
    } else {
        schema_json(service->out(), self->row, &self->body);
        reply_body(c, c->route->shape == ACCEPTED ? 202 : 200, "application/json", NULL,
            (struct slice){ self->body.data, self->body.size });
    }
}
