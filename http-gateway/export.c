/* export.c - all rows that fit, streamed page after page: the next page is asked for when
 * the last has been written, so a slow client holds nothing but one page. A failure in
 * mid-stream closes the connection without the last chunk: half an export is never whole. */
#include "reply.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

enum { PAGE_ROWS = 2000, PAGE_MS = 30000, AGAIN_MS = 250, AGAIN_US = 60000000, EXPORTS_MAX = 8 /* each may have a page waiting */ };

/* What can be exported: a listing with `limit` and `cursor` in its query. */
struct exported {
    const struct contract *service;
    const char *measurement, *sort;            /* of line protocol; the order where none is asked for, or NULL */
    uint64_t (*columns)(const void *query);    /* of its row; NULL: all */
};

struct export {
    const struct exported *kind;
    void *query;
    struct table table;
    const char *media;
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
    reply_head(c, 200, c->export->media, NULL, CHUNKED, 0);
}

/* -1 if a row does not decode. */
static int put_page(connection_t *c, struct slice rows, msgpack_sbuffer *to)
{
    struct self *self = c->self;
    struct export *e = c->export;
    struct slice one;
    struct fault fault;
    if (!e->begun)
        e->as_array ? put(to, "[") : table_head(&e->table, to);
    while (frame_next(&rows, &one)) {
        if (schema_decode(e->table.schema, one, self->row, &fault))
            return -1;
        if (e->as_array)
            put(to, e->rows ? ",\n" : "\n");
        table_row(&e->table, self->row, to);
        to->size -= e->as_array; /* its line's end */
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

static void set_query(struct export *e, const char *name, const char *text, size_t size)
{
    const struct schema *schema = e->kind->service->in();
    struct fault fault;
    const struct field *f = schema_field(schema, name, strlen(name));
    int rc = f ? schema_set_text(f, text, size, e->query, &fault) : -1;
    assert(rc == 0);
    (void)rc;
}

/* What was left out at the beginning of the first page is no part of the others. */
static void drop_offset(struct export *e)
{
    if (e->kind->service == &events_find_contract)
        ((struct events_query *)e->query)->has_offset = false;
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
        set_query(e, "cursor", page.next_cursor, page.next_cursor_size);
        drop_offset(e);
        c->state = STREAMING;
        if (self->body.size == 0)
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
    char limit[32];
    int64_t page = e->limited && e->left < PAGE_ROWS ? e->left : PAGE_ROWS;
    int deadline_ms = c->self->config.ask_ms > PAGE_MS ? (int)c->self->config.ask_ms : PAGE_MS;
    set_query(e, "limit", limit, (size_t)snprintf(limit, sizeof limit, "%lld", (long long)page));
    c->state = ASKED;
    events_find_done_fn *done = on_page; /* as of every listing that ends with a page */
    if (actor_ask(c->actor, e->kind->service, e->query, deadline_ms, (any_fn *)done, connection_tag(c)))
        connection_abort(c);
}

void export_more(connection_t *c)
{
    if (c->state == STREAMING)
        ask_page(c);
}

static void destroy(struct export **e_p)
{
    if (*e_p)
        free((*e_p)->query);
    free(*e_p);
    *e_p = NULL;
}

void export_destroy(connection_t *c)
{
    c->self->exports -= c->export ? 1 : 0;
    destroy(&c->export);
}

/* --- what is asked for --- */

/* A word of the query string: its place among `words`, which end with NULL; 0 where it is not given. -1: refused. */
static int read_word(connection_t *c, const char *name, const char *const words[], const char *why)
{
    char text[32];
    int found = request_parameter(connection_query(c), name, text, sizeof text), at = 0;
    if (found == 0)
        return 0;
    while (found > 0 && words[at] && strcmp(words[at], text) != 0)
        at++;
    if (found > 0 && words[at])
        return at;
    reply_error(c, 400, name, why, NULL);
    return -1;
}

static int read_format(connection_t *c, struct export *e)
{
    static const char *const names[] = { "ndjson", "json", "csv", "lp", NULL }, *const precisions[] = { "ns", "us", NULL };
    static const struct { enum table_form form; const char *media; } formats[] = {
        { TABLE_JSON_LINES, "application/x-ndjson" }, { TABLE_JSON_LINES, "application/json" },
        { TABLE_CSV, "text/csv; charset=utf-8; header=present" }, { TABLE_LINES, "text/plain; charset=utf-8" },
    };
    int format = read_word(c, "format", names, "must be ndjson, json, csv or lp");
    int precision = format < 0 ? -1 : read_word(c, "precision", precisions, "must be ns or us");
    if (precision < 0)
        return -1;
    e->as_array = format == 1;
    e->media = formats[format].media;
    e->table = (struct table){ formats[format].form, e->kind->service->row(), UINT64_MAX, e->kind->measurement, precision == 1 };
    return 0;
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

static int read_query(connection_t *c, struct export *e)
{
    struct fault fault = { "", "" };
    const struct schema *schema = e->kind->service->in();
    char sort[8];
    int status = request_query(c->route, schema, connection_path(c), connection_query(c), e->query, &fault);
    if (status == 0 && e->kind->sort && request_parameter(connection_query(c), "sort", sort, sizeof sort) == 0)
        set_query(e, "sort", e->kind->sort, strlen(e->kind->sort));
    if (status == 0 && schema_check(schema, e->query, &fault))
        status = 422;
    if (status)
        reply_error(c, status, fault.field, fault.why, NULL);
    else if (e->kind->columns)
        e->table.columns = e->kind->columns(e->query);
    return status;
}

static struct export *new_export(const struct exported *kind)
{
    struct export *e = calloc(1, sizeof *e);
    assert(e);
    e->kind = kind;
    e->query = calloc(1, kind->service->in()->size);
    assert(e->query);
    return e;
}

static void start(connection_t *c, const struct exported *kind)
{
    struct export *e = new_export(kind);
    if (c->head.minor == 0 && c->head.method == GET)
        reply_error(c, 505, NULL, "an export needs HTTP/1.1: without chunks half of it would look whole", NULL);
    else if (c->self->exports >= EXPORTS_MAX)
        reply_error(c, 503, NULL, "as many exports are under way as there may be", NULL);
    else if (read_format(c, e) == 0 && read_limit(c, e) == 0 && read_query(c, e) == 0) {
        if (c->head.method == HEAD) {
            reply_head(c, 200, e->media, NULL, c->head.minor ? CHUNKED : UNTIL_CLOSE, 0);
            connection_done(c);
        } else {
            c->export = e;
            c->self->exports++;
            ask_page(c);
            return;
        }
    }
    destroy(&e);
}

void export_start(connection_t *c)
{
    static const struct exported events = { &events_find_contract, "home_assistant_events", "asc", NULL };
    start(c, &events);
}

static uint64_t column(const char *name, size_t size)
{
    const struct field *f = schema_field(point_schema(), name, size);
    return f ? UINT64_C(1) << (f - point_schema()->fields) : 0; /* its owner refuses what he does not know */
}

/* Of samples what they are, of buckets what was asked for. */
static uint64_t point_columns(const void *query)
{
    const struct points_query *q = query;
    bool is_raw = !q->has_step || !strcmp(q->step, "raw");
    const char *names = is_raw ? "time,value,state,removed" : q->has_stat ? q->stat : "min,mean,max";
    uint64_t columns = column("entity_id", 9) | column("unit", 4) | (is_raw ? 0 : column("start", 5));
    for (; *names; names += strcspn(names, ", "), names += strspn(names, ", "))
        columns |= column(names, strcspn(names, ", "));
    columns |= columns & column("first", 5) ? column("first_state", 11) : 0; /* of texts */
    columns |= columns & column("last", 4) ? column("last_state", 10) : 0;
    return columns;
}

void series_export_start(connection_t *c)
{
    static const struct exported points = { &points_find_contract, "home_assistant_series", NULL, point_columns };
    start(c, &points);
}
