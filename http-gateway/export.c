/* export.c - all events that fit, streamed page after page: the next page is asked for when
 * the last has been written, so a slow client holds nothing but one page. A failure in
 * mid-stream closes the connection without the last chunk: half an export is never whole. */
#include "reply.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_ROWS = 2000, PAGE_MS = 30000, AGAIN_MS = 250, AGAIN_US = 15000000, EXPORTS_MAX = 8 /* each may have a page waiting */ };

struct export {
    struct events_query query;
    bool as_array;         /* format=json */
    bool begun;            /* the head has been written */
    bool limited;
    int64_t left, rows;
    int64_t failed_us;     /* since when the page at hand is not to be had; 0: nothing is wrong */
};

static void ask_page(connection_t *c);

static void put_chunk(connection_t *c, struct slice data)
{
    if (data.size == 0)
        return; /* an empty chunk would be the last one */
    put(&c->out, "%zx\r\n", data.size);
    put_slice(&c->out, data);
    put(&c->out, "\r\n");
}

static void begin_reply(connection_t *c)
{
    if (c->export->begun)
        return;
    c->export->begun = true;
    reply_head(c, 200, c->export->as_array ? "application/json" : "application/x-ndjson", NULL, CHUNKED, 0);
}

/* -1 if a row does not decode. */
static int put_page(connection_t *c, struct slice rows, msgpack_sbuffer *to)
{
    struct self *self = c->self;
    struct export *e = c->export;
    struct slice one;
    struct fault fault;
    if (e->as_array && !e->begun)
        put(to, "[");
    while (frame_next(&rows, &one)) {
        if (event_full_decode(one, self->row, &fault))
            return -1;
        if (e->as_array)
            put(to, e->rows ? ",\n" : "\n");
        put_event_line(to, self->row);
        if (!e->as_array)
            put(to, "\n");
        e->rows++;
        e->left--;
    }
    return rows.size ? -1 : 0;
}

static void end_reply(connection_t *c)
{
    if (c->export->as_array)
        put_chunk(c, slice_of("\n]\n"));
    put(&c->out, "0\r\n\r\n");
    export_destroy(c);
    connection_done(c);
}

static void take_page(connection_t *c, const struct answer *answer)
{
    struct self *self = c->self;
    struct export *e = c->export;
    struct page page;
    struct fault fault;
    msgpack_sbuffer_clear(&self->body);
    if (page_decode(answer->end, &page, &fault) || put_page(c, answer->rows, &self->body)) {
        actor_warn(c->actor, "a page of an export cannot be read");
        connection_abort(c);
        return;
    }
    begin_reply(c);
    e->failed_us = 0;
    put_chunk(c, (struct slice){ self->body.data, self->body.size });
    bool more = page.has_next_cursor && page.next_cursor_size && (!e->limited || e->left > 0);
    if (more) {
        SET_TEXT(&e->query, cursor, page.next_cursor, page.next_cursor_size);
        e->query.has_offset = false;
        c->state = STREAMING;
        if (page.count == 0)
            ask_page(c); /* nothing was written that could end */
    } else {
        end_reply(c);
    }
}

static void on_again(struct self *self, actor_t *actor, int64_t tag)
{
    (void)actor;
    connection_t *c = connection_of_tag(self, tag);
    if (c && c->export && c->state == ASKED)
        ask_page(c);
}

/* A query process that ends takes its page with it, not the export: another one, or the same
 * when it is back, goes on from the cursor. */
static bool will_ask_again(connection_t *c, int verdict)
{
    struct export *e = c->export;
    int64_t now_us = actor_clock_us(c->actor);
    if (!e->begun || (verdict != UNAVAILABLE && verdict != NO_OWNER) || (e->failed_us && now_us - e->failed_us > AGAIN_US))
        return false;
    if (!e->failed_us)
        e->failed_us = now_us;
    actor_after(c->actor, AGAIN_MS, on_again, connection_tag(c));
    return true;
}

static void on_page(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    (void)actor, (void)end;
    connection_t *c = connection_of_tag(self, tag);
    if (!c || !c->export)
        return;
    if (answer->verdict == OK) {
        take_page(c, answer);
    } else if (will_ask_again(c, answer->verdict)) {
        return;
    } else if (c->export->begun) {
        actor_warn(actor, "an export is cut off after %lld rows: verdict %d", (long long)c->export->rows, answer->verdict);
        connection_abort(c);
        return;
    } else {
        export_destroy(c);
        reply_verdict(c, answer);
    }
    self->transport->flush(c);
}

static void ask_page(connection_t *c)
{
    struct export *e = c->export;
    int64_t page = e->limited && e->left < PAGE_ROWS ? e->left : PAGE_ROWS;
    int deadline_ms = c->self->config.ask_ms > PAGE_MS ? (int)c->self->config.ask_ms : PAGE_MS;
    SET(&e->query, limit, page);
    c->state = ASKED;
    if (ask_events_find(c->actor, &e->query, deadline_ms, on_page, connection_tag(c)))
        connection_abort(c);
}

void export_more(connection_t *c)
{
    if (c->state == STREAMING)
        ask_page(c);
}

void export_destroy(connection_t *c)
{
    c->self->exports -= c->export ? 1 : 0;
    free(c->export);
    c->export = NULL;
}

/* --- what is asked for --- */

static int read_format(connection_t *c, bool *as_array)
{
    char text[32];
    int found = request_parameter(connection_query(c), "format", text, sizeof text);
    bool known = found == 0 || (found > 0 && (!strcmp(text, "ndjson") || !strcmp(text, "json")));
    if (!known)
        reply_error(c, 400, "format", "must be ndjson or json", NULL);
    *as_array = found > 0 && !strcmp(text, "json");
    return known ? 0 : -1;
}

/* The limit of the whole export; the row's own is that of one page. */
static int read_limit(connection_t *c, struct export *e)
{
    char text[32], *end = text;
    int found = request_parameter(connection_query(c), "limit", text, sizeof text);
    if (found == 0)
        return 0;
    long long limit = found > 0 ? strtoll(text, &end, 10) : 0;
    if (found < 0 || *end || end == text || limit < 1 || limit > MAX_COUNT) {
        reply_error(c, 422, "limit", "must be a number from 1 on", NULL);
        return -1;
    }
    e->limited = true;
    e->left = limit;
    return 0;
}

static int read_export(connection_t *c, struct export *e)
{
    struct fault fault = { "", "" };
    if (read_format(c, &e->as_array) || read_limit(c, e))
        return -1;
    int status = request_query(c->route, events_query_schema(), connection_path(c), connection_query(c), &e->query, &fault);
    if (status == 0 && !e->query.has_sort)
        SET_TEXT(&e->query, sort, "asc", 3);
    if (status == 0 && schema_check(events_query_schema(), &e->query, &fault))
        status = 422;
    if (status)
        reply_error(c, status, fault.field, fault.why, NULL);
    return status;
}

void export_start(connection_t *c)
{
    struct export *e = calloc(1, sizeof *e);
    assert(e);
    if (c->head.minor == 0 && c->head.method == GET)
        reply_error(c, 505, NULL, "an export needs HTTP/1.1: without chunks half of it would look whole", NULL);
    else if (c->self->exports >= EXPORTS_MAX)
        reply_error(c, 503, NULL, "as many exports are under way as there may be", NULL);
    else if (read_export(c, e) == 0) {
        if (c->head.method == HEAD) {
            reply_head(c, 200, e->as_array ? "application/json" : "application/x-ndjson", NULL, c->head.minor ? CHUNKED : UNTIL_CLOSE, 0);
            connection_done(c);
        } else {
            c->export = e;
            c->self->exports++;
            ask_page(c);
            return;
        }
    }
    free(e);
}
