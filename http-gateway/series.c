/* series.c - what entities were over a time: columns of many, rows or events of one. */
#include "columns.h"
#include "paged.h"

#include <stdio.h>
#include <string.h>

/* What has been over for so long does not change any more, as a rule: late events have come. */
#define SETTLED_US INT64_C(3600000000)

struct view {
    bool as_rows, compact, any_open;
    struct shape_of_columns shape;
    struct columns columns;
    char tier[8];
    int64_t entities;
};

static void view_destroy(void *state)
{
    struct view *view = state;
    columns_destroy(&view->columns);
    free(view);
}

/* --- pages -------------------------------------------------------------------------------------------------- */

static void begin(struct view *view, const struct series_end *end, msgpack_sbuffer *to)
{
    columns_shape(&view->shape, end, view->compact);
    if (view->as_rows) {
        put(to, "[");
        return;
    }
    put(to, "{\"from\":");
    put_time(to, end->from);
    put(to, ",\"to\":");
    put_time(to, end->to);
    put(to, ",\"step\":");
    put_json(to, end->step);
    put(to, ",\"series\":[");
}

static void write_entity(struct view *view, msgpack_sbuffer *to)
{
    struct columns *c = &view->columns;
    view->any_open |= c->open_from || c->gap_open;
    if (view->as_rows) {
        columns_write_rows(c, &view->shape, to);
    } else {
        put(to, view->entities ? ",\n" : "\n");
        columns_write(c, &view->shape, to);
    }
    view->entities++;
    columns_clear(c);
}

static int write_parts(struct view *view, struct slice rows, msgpack_sbuffer *to)
{
    struct slice one;
    struct fault fault;
    while (frame_next(&rows, &one)) {
        struct series_part part;
        if (series_part_decode(one, &part, &fault) || columns_add(&view->columns, &part))
            return -1;
        if (part.is_last)
            write_entity(view, to);
    }
    return rows.size ? -1 : 0;
}

static void note_tier(struct view *view, const struct series_end *end)
{
    static const char *const order[] = { "raw", "15m", "1h", "1d" };
    for (size_t i = 0; end->has_tier && i < sizeof order / sizeof *order; i++)
        if (!strcmp(end->tier, order[i]) || !strcmp(view->tier, order[i])) {
            snprintf(view->tier, sizeof view->tier, "%s", order[i]);
            return;
        }
}

static int write_page(paged_t *p, const struct answer *answer, msgpack_sbuffer *to)
{
    struct view *view = p->state;
    struct series_end end;
    struct fault fault;
    if (series_end_decode(answer->end, &end, &fault))
        return -1;
    if (p->first)
        begin(view, &end, to);
    note_tier(view, &end);
    if (write_parts(view, answer->rows, to))
        return -1;
    if (end.has_next_cursor) {
        snprintf(p->cursor, sizeof p->cursor, "%s", end.next_cursor);
        return 0;
    }
    p->is_closed = !view->any_open && end.to + SETTLED_US <= end.now;
    if (view->as_rows) {
        put(to, "]");
        return 0;
    }
    put(to, "],\"tier\":");
    put_json(to, view->tier[0] ? view->tier : NULL);
    put(to, "}");
    return 0;
}

/* --- GET /api/v1/series --------------------------------------------------------------------------------------- */

void series_start(connection_t *c)
{
    static const struct paged_kind kind = { &series_read_contract, write_page, view_destroy, NULL };
    struct series_ask *ask = malloc(sizeof *ask);
    assert(ask);
    if (gateway_read(c, series_ask_schema(), ask)) {
        free(ask);
        return;
    }
    struct view *view = calloc(1, sizeof *view);
    assert(view);
    view->compact = ask->has_time && !strcmp(ask->time, "compact");
    paged_start(c, &kind, ask, view);
}

/* --- GET /api/v1/entities/{id}/history ------------------------------------------------------------------------- */

static const char *rename_field(const char *field)
{
    static const struct { const char *from, *to; } names[] = {
        { "ids", "id" }, { "from", "start_time" }, { "to", "end_time" }, { "step", "interval" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(field, names[i].from))
            return names[i].to;
    return field;
}

/* Event rows as they are everywhere, as one array. */
static int write_events(paged_t *p, const struct answer *answer, msgpack_sbuffer *to)
{
    struct page page;
    struct fault fault;
    if (page_decode(answer->end, &page, &fault))
        return -1;
    put(to, p->first ? "[" : p->rows && answer->rows.size ? "," : "");
    int64_t count = put_rows(p->connection->self, p->kind->service, answer->rows, to);
    p->rows += count;
    if (page.has_next_cursor && page.next_cursor_size)
        snprintf(p->cursor, sizeof p->cursor, "%s", page.next_cursor);
    else
        put(to, "]");
    return count < 0 ? -1 : 0;
}

static void ask_events(connection_t *c, struct history_query *query)
{
    static const struct paged_kind kind = { &history_find_contract, write_events, NULL, NULL };
    paged_start(c, &kind, query, NULL);
}

static void ask_rows(connection_t *c, const struct history_query *query, int64_t from, int64_t to)
{
    static const struct paged_kind kind = { &series_read_contract, write_page, view_destroy, rename_field };
    static const char all[] = "count,mean,min,max,first,last,increase,resets,seconds,seconds_unavailable,seconds_gap";
    struct series_ask *ask = malloc(sizeof *ask);
    struct view *view = calloc(1, sizeof *view);
    assert(ask && view);
    schema_clear(series_ask_schema(), ask);
    SET_TEXT(ask, ids, query->id, query->id_size);
    SET_TEXT(ask, step, query->interval, query->interval_size);
    SET_TEXT(ask, stat, query->has_stat ? query->stat : all, query->has_stat ? query->stat_size : sizeof all - 1);
    SET(ask, from, from);
    SET(ask, to, to);
    if (query->has_tz)
        SET_TEXT(ask, tz, query->tz, query->tz_size);
    if (query->has_unit)
        SET_TEXT(ask, unit, query->unit, query->unit_size);
    if (query->has_by_role)
        SET(ask, by_role, query->by_role);
    view->as_rows = true;
    paged_start(c, &kind, ask, view);
}

/* Times that are left out are filled in here, so that every page has the same. */
void history_start(connection_t *c)
{
    const int64_t day_us = INT64_C(86400000000);
    struct history_query *query = malloc(sizeof *query);
    assert(query);
    if (gateway_read(c, history_query_schema(), query)) {
        free(query);
        return;
    }
    if (!query->has_end_time)
        SET(query, end_time, actor_now_us(c->actor));
    if (!query->has_start_time)
        SET(query, start_time, query->end_time > day_us ? query->end_time - day_us : 0);
    bool several = memchr(query->id, ',', query->id_size) != NULL, raw = query->has_interval && !strcmp(query->interval, "raw");
    if (several)
        reply_error(c, 422, "id", "must be one entity", NULL);
    else if (query->start_time >= query->end_time)
        reply_error(c, 400, "end_time", "is not after start_time", NULL);
    else if (raw)
        reply_error(c, 400, "interval", "is none of 5m, 15m, 30m, 1h, 2h, 3h, 6h, 12h, 1d, 1mo; without it every event is given", NULL);
    else if (query->has_interval)
        ask_rows(c, query, query->start_time, query->end_time);
    else {
        ask_events(c, query);
        return;
    }
    free(query);
}
