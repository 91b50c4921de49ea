/* live.c - events as they happen, as server-sent events.
 *
 * A stream has a queue of its own; what does not fit any more is dropped from its front,
 * counted, and told as `event: gap`. A stream that resumes first reads what it missed from the
 * store, page after page, while live events queue up; an event that came both ways is sent
 * once. The store is behind the live topic by a commit, so the last page is asked for only
 * SETTLE after the stream has joined. Nobody listening costs nothing: the topic is paused. */
#include "reply.h"

#include "event_id.h"

#include <ctype.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    SILENCE_US = 15 * 1000000,
    SETTLE_US = 1500000,
    REMEMBER_US = 10 * 1000000,  /* how long ids from the store are kept to recognise live ones */
    REMEMBER_IDS = 20000,
    PAGE_ROWS = 500,
    PAGE_MS = 30000,
    WRITE_BYTES = 65536
};

struct note { char id[49]; size_t size; char text[]; };

struct stream {
    struct events_query filter;
    zlistx_t *queue;            /* of struct note, oldest first; owned */
    size_t bytes;               /* in it */
    zhashx_t *waiting;          /* by id, handles into the queue, while catching up */
    zhashx_t *sent;             /* ids that came from the store; NULL: not resumed, or long ago */
    int64_t dropped, spoke_us, joined_us, asked_us, settled_us;
    bool catching_up, asking, past_last;
    char last_id[49];           /* of Last-Event-ID */
};

/* --- filters --- */

static bool list_has(const char *list, size_t size, struct slice one)
{
    const char *p = list, *end = list + size;
    while (p <= end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t n = (size_t)((comma ? comma : end) - p);
        if (n == one.size && !memcmp(p, one.data, n))
            return true;
        p += n + 1;
    }
    return false;
}

/* Case is ignored for the letters of ASCII, as the store does. A parameter holds no NUL. */
static bool occurs(struct slice hay, const char *needle, size_t size)
{
    const char *p = hay.data;
    for (size_t i = 0; size > 0 && i + size <= hay.size; i++)
        if (tolower((unsigned char)p[i]) == tolower((unsigned char)needle[0]) && !memchr(p + i, '\0', size) &&
            !strncasecmp(p + i, needle, size))
            return true;
    return size == 0;
}

static const char *const searched[] = { "entity_id", "event_type", "state", "attributes", "data" };

static bool is_searched(struct slice name)
{
    for (size_t i = 0; i < sizeof searched / sizeof *searched; i++)
        if (strlen(searched[i]) == name.size && !memcmp(searched[i], name.data, name.size))
            return true;
    return false;
}

static bool wants_text(const struct events_query *f, const struct event_full *e)
{
    const struct slice *texts[] = { e->has_entity_id ? &e->entity_id : NULL, &e->event_type, e->has_state ? &e->state : NULL,
        e->has_attributes ? &e->attributes : NULL, e->has_data ? &e->data : NULL };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i] && (!f->has_fields || list_has(f->fields, f->fields_size, slice_of(searched[i]))) &&
            occurs(*texts[i], f->query, f->query_size))
            return true;
    return false;
}

#define WANTS(f, e, member, value) (!(f)->has_##member || ((e)->has_##value && list_has((f)->member, (f)->member##_size, (e)->value)))

static bool wants(const struct events_query *f, const struct event_full *e)
{
    bool excluded = f->has_exclude_category && e->has_entity_category &&
        list_has(f->exclude_category, f->exclude_category_size, e->entity_category);
    return !excluded && WANTS(f, e, entity_id, entity_id) && WANTS(f, e, domain, domain) &&
        WANTS(f, e, event_type, event_type) && WANTS(f, e, device_id, device_id) && WANTS(f, e, area_id, area_id) &&
        WANTS(f, e, entity_category, entity_category) && WANTS(f, e, context_id, context_id) &&
        (!f->has_query || wants_text(f, e));
}
#undef WANTS

/* --- the queue --- */

static void note_destroy(void **item_p)
{
    free(*item_p);
    *item_p = NULL;
}

static void put_event(const struct event_full *e, msgpack_sbuffer *to)
{
    put(to, "id: %s\nevent: ", e->id);
    const char *type = e->event_type.data;
    for (size_t i = 0; i < e->event_type.size; i++)
        msgpack_sbuffer_write(to, type[i] == '\n' || type[i] == '\r' ? " " : type + i, 1);
    put(to, "\ndata: ");
    put_event_line(to, e);
    put(to, "\n\n");
}

static void forget_note(struct stream *s, const struct note *n)
{
    s->bytes -= n->size + sizeof *n;
    if (s->waiting)
        zhashx_delete(s->waiting, n->id);
}

static void queue_event(struct self *self, struct stream *s, const struct event_full *e, struct slice text)
{
    struct note *n = malloc(sizeof *n + text.size), *oldest;
    assert(n);
    memcpy(n->id, e->id, sizeof n->id);
    n->size = text.size;
    memcpy(n->text, text.data, text.size);
    s->bytes += n->size + sizeof *n;
    void *handle = zlistx_add_end(s->queue, n);
    if (s->waiting)
        zhashx_insert(s->waiting, n->id, handle);
    while (s->bytes > (size_t)self->config.stream_bytes && (oldest = zlistx_first(s->queue)) != n) {
        forget_note(s, oldest);
        zlistx_delete(s->queue, NULL); /* the cursor is at the first */
        s->dropped++;
        self->stats.stream_dropped++;
    }
}

int live_on_event(struct self *self, actor_t *actor, const struct event_full *e)
{
    (void)actor;
    struct slice text = { NULL, 0 };
    if (!strcmp(e->provenance, "import"))
        return OK; /* happened long ago */
    for (connection_t *c = zlistx_first(self->streams); c; c = zlistx_next(self->streams)) {
        struct stream *s = c->stream;
        if (!wants(&s->filter, e) || (s->sent && zhashx_lookup(s->sent, e->id)))
            continue;
        if (!text.data) {
            msgpack_sbuffer_clear(&self->body);
            put_event(e, &self->body);
            text = (struct slice){ self->body.data, self->body.size };
        }
        queue_event(self, s, e, text);
        if (!s->catching_up)
            self->transport->wake(c);
    }
    return OK;
}

/* --- writing --- */

static void put_queue(connection_t *c)
{
    struct stream *s = c->stream;
    if (s->dropped) {
        put(&c->out, "event: gap\ndata: {\"dropped\":%lld}\n\n", (long long)s->dropped);
        s->dropped = 0;
    }
    for (struct note *n; c->out.size < WRITE_BYTES && (n = zlistx_first(s->queue)) != NULL;) {
        put_slice(&c->out, (struct slice){ n->text, n->size });
        forget_note(s, n);
        zlistx_delete(s->queue, NULL);
        c->self->stats.stream_events++;
    }
}

static void catch_up(connection_t *c);

void live_more(connection_t *c)
{
    struct stream *s = c->stream;
    if (c->out.size > c->written)
        return;
    if (s->catching_up)
        catch_up(c);
    else
        put_queue(c);
    if (c->out.size)
        s->spoke_us = actor_clock_us(c->actor);
}

/* --- what was missed --- */

static void send_missed(connection_t *c, const struct event_full *e)
{
    struct stream *s = c->stream;
    void *handle = zhashx_lookup(s->waiting, e->id);
    if (zhashx_lookup(s->sent, e->id))
        return;
    zhashx_insert(s->sent, e->id, s);
    if (handle) {
        forget_note(s, zlistx_handle_item(handle));
        zlistx_delete(s->queue, handle);
    }
    put_event(e, &c->out);
    c->self->stats.stream_events++;
}

/* Rows of the same moment that stand before the last one sent had been sent as well. */
static bool page_holds_last(struct self *self, struct slice rows, const char *id)
{
    struct slice one;
    struct fault fault;
    struct event_full *e = self->row;
    while (frame_next(&rows, &one))
        if (event_full_decode(one, e, &fault) == 0 && !strcmp(e->id, id))
            return true;
    return false;
}

static void send_page(connection_t *c, struct slice rows)
{
    struct stream *s = c->stream;
    struct event_full *e = c->self->row;
    struct slice one;
    struct fault fault;
    bool skip = !s->past_last && page_holds_last(c->self, rows, s->last_id);
    while (frame_next(&rows, &one)) {
        if (event_full_decode(one, e, &fault))
            continue;
        bool is_last = !strcmp(e->id, s->last_id);
        if (skip && !is_last)
            continue;
        skip = false;
        s->past_last |= is_last;
        send_missed(c, e);
    }
}

static void go_live(connection_t *c)
{
    struct stream *s = c->stream;
    s->catching_up = false;
    s->settled_us = actor_clock_us(c->actor);
    zhashx_destroy(&s->waiting);
    put_queue(c);
}

static void on_missed(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct page *end)
{
    connection_t *c = connection_of_tag(self, tag);
    if (!c || !c->stream)
        return;
    struct stream *s = c->stream;
    s->asking = false;
    if (answer->verdict != OK || !end) {
        actor_warn(actor, "a stream cannot read what it missed: verdict %d", answer->verdict);
        connection_abort(c); /* the client comes again with the last id it has */
        return;
    }
    send_page(c, answer->rows);
    bool settled = s->asked_us - s->joined_us >= SETTLE_US;
    bool more = end->has_next_cursor && end->next_cursor_size;
    if (more)
        SET_TEXT(&s->filter, cursor, end->next_cursor, end->next_cursor_size);
    if (more && zhashx_size(s->sent) >= REMEMBER_IDS)
        zhashx_purge(s->sent); /* live events are behind by far less */
    if (more && c->out.size == 0)
        catch_up(c);
    else if (!more && settled)
        go_live(c);
    self->transport->flush(c);
}

/* Ask for the next page; the last one again, until it has been asked for late enough. */
static void catch_up(connection_t *c)
{
    struct stream *s = c->stream;
    if (s->asking)
        return;
    s->asking = true;
    s->asked_us = actor_clock_us(c->actor);
    if (ask_events_find(c->actor, &s->filter, PAGE_MS, on_missed, connection_tag(c)))
        connection_abort(c);
}

/* --- opening and closing --- */

static int read_last_id(connection_t *c, struct stream *s)
{
    char text[64];
    struct event_key key;
    int found = request_parameter(connection_query(c), "last_event_id", text, sizeof text);
    if (found == 0 && c->head.last_event_id.size > 0) {
        size_t size = c->head.last_event_id.size;
        found = size < sizeof text ? 1 : -1;
        memcpy(text, c->head.last_event_id.data, found > 0 ? size : 0);
        text[found > 0 ? size : 0] = '\0';
    }
    if (found == 0)
        return 0;
    if (found < 0 || event_id_read(slice_of(text), &key)) {
        reply_error(c, 422, "last_event_id", "is no id of an event", NULL);
        return -1;
    }
    assert(strlen(text) < sizeof s->last_id); /* event_id_read knows its length */
    memcpy(s->last_id, text, strlen(text) + 1);
    SET(&s->filter, start_time, key.at);
    s->catching_up = true;
    return 0;
}

bool live_takes(const char *field)
{
    static const char *const others[] = { "start_time", "end_time", "limit", "offset", "cursor", "sort" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(others[i], field))
            return false;
    return true;
}

/* What is not for a stream is refused, not ignored. 0 or 400. */
static int check_stream(const struct events_query *f, struct fault *fault)
{
    const struct schema *schema = events_query_schema();
    for (size_t i = 0; i < schema->count; i++)
        if (*(const bool *)((const char *)f + schema->fields[i].has_at) && !live_takes(schema->fields[i].name)) {
            *fault = (struct fault){ schema->fields[i].name, "is not for streams" };
            return 400;
        }
    const char *p = f->fields, *end = p + f->fields_size;
    for (size_t size; f->has_fields && p < end; p += size + 1) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size = (size_t)((comma ? comma : end) - p);
        if (size && !is_searched((struct slice){ p, size })) {
            *fault = (struct fault){ "fields", "knows entity_id, event_type, state, attributes, data" };
            return 400;
        }
    }
    return 0;
}

static int read_stream(connection_t *c, struct stream *s)
{
    struct fault fault = { "", "" };
    int status = request_query(c->route, events_query_schema(), connection_path(c), connection_query(c), &s->filter, &fault);
    if (status == 0)
        status = check_stream(&s->filter, &fault);
    if (status) {
        reply_error(c, status, fault.field, fault.why, NULL);
        return -1;
    }
    SET(&s->filter, limit, PAGE_ROWS);
    SET_TEXT(&s->filter, sort, "asc", 3);
    return read_last_id(c, s);
}

static void join(connection_t *c, struct stream *s)
{
    struct self *self = c->self;
    s->queue = zlistx_new();
    assert(s->queue);
    zlistx_set_destructor(s->queue, note_destroy);
    if (s->catching_up) {
        s->waiting = zhashx_new();
        s->sent = zhashx_new();
        assert(s->waiting && s->sent);
        zhashx_insert(s->sent, s->last_id, s); /* it may be stored only after we have asked */
    }
    s->joined_us = s->spoke_us = actor_clock_us(c->actor);
    c->stream = s;
    c->state = STREAMING;
    if (zlistx_size(self->streams) == 0)
        actor_resume(c->actor, &event_full_contract, 0, 0);
    zlistx_add_end(self->streams, c);
    SET(&self->stats, streams, (int64_t)zlistx_size(self->streams));
    reply_head(c, 200, "text/event-stream", "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n", UNTIL_CLOSE, 0);
    put(&c->out, ": connected\nretry: 1000\n\n");
}

void live_start(connection_t *c)
{
    struct self *self = c->self;
    if (c->head.method == HEAD) {
        reply_head(c, 200, "text/event-stream", NULL, UNTIL_CLOSE, 0);
        connection_done(c);
        return;
    }
    if (zlistx_size(self->streams) >= (size_t)self->config.streams) {
        reply_error(c, 503, NULL, "as many event streams are open as there may be", NULL);
        return;
    }
    struct stream *s = calloc(1, sizeof *s);
    assert(s);
    if (read_stream(c, s) == 0)
        join(c, s);
    else
        free(s);
}

void live_destroy(connection_t *c)
{
    struct stream *s = c->stream;
    if (!s)
        return;
    zlistx_delete(c->self->streams, zlistx_find(c->self->streams, c));
    SET(&c->self->stats, streams, (int64_t)zlistx_size(c->self->streams));
    zlistx_destroy(&s->queue);
    zhashx_destroy(&s->waiting);
    zhashx_destroy(&s->sent);
    free(s);
    c->stream = NULL;
    if (zlistx_size(c->self->streams) > 0)
        return;
    actor_pause(c->actor, &event_full_contract);
    malloc_trim(0); /* slow streams had megabytes of small pieces */
}

void live_tick(struct self *self)
{
    int64_t clock_us = actor_clock_us(self->actor);
    for (connection_t *c = zlistx_first(self->streams); c; c = zlistx_next(self->streams)) {
        struct stream *s = c->stream;
        bool quiet = c->out.size == 0;
        if (s->catching_up && quiet && !s->asking)
            catch_up(c);
        if (s->sent && !s->catching_up && clock_us - s->settled_us > REMEMBER_US)
            zhashx_destroy(&s->sent);
        if (quiet && clock_us - s->spoke_us >= SILENCE_US) {
            put(&c->out, ": still here\n\n");
            s->spoke_us = clock_us;
            self->transport->wake(c);
        }
    }
}
