/* events.c - the services that tell of events: lists, counts, chains of causes, what was refused, what a filter would have done. */
#include "inside.h"
#include "rules.h"

#include <string.h>

static int give_events_find(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_find(a->rows, row));
}

static int give_events_get(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_get(a->rows, row));
}

static int give_events_latest(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_latest(a->rows, row));
}

static int give_events_chain(void *owner, const struct chain_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_chain(a->rows, row));
}

static int give_events_entities(void *owner, const struct active_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_entities(a->rows, row));
}

static int give_events_types(void *owner, const struct type_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_types(a->rows, row));
}

static int give_events_quarantine(void *owner, const struct bad_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_events_quarantine(a->rows, row));
}

static int give_events_refused(void *owner, const struct bad_whole *row)
{
    struct answering *a = owner;
    return answer_gave(a, row_events_refused(a->rows, row));
}

/* --- the services ----------------------------------------------------------------------------------- */

int on_find(struct self *self, actor_t *actor, const struct events_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_find(self->store, query, give_events_find, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_count(struct self *self, actor_t *actor, const struct events_query *query, struct count_reply *reply)
{
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us(), count = 0;
    enum store_result result = store_count(self->store, query, &count, &fault);
    SET(reply, count, count);
    return answer_end(self, actor, result, &fault, begun, 0);
}

int on_get(struct self *self, actor_t *actor, const struct event_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_get(self->store, query->id, give_events_get, &a);
    end->count = (int64_t)a.given;
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_chain(struct self *self, actor_t *actor, const struct chain_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_chain(self->store, query, give_events_chain, &a, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_latest(struct self *self, actor_t *actor, const struct latest_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_latest(self->store, query, actor_now_us(actor), give_events_latest, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

static int64_t period_us(const char *period)
{
    static const struct { const char *name; int64_t seconds; } periods[] = {
        { "15m", 900 }, { "1h", 3600 }, { "6h", 21600 }, { "24h", 86400 }, { "1d", 86400 }, { "7d", 604800 }, { "30d", 2592000 },
    };
    for (size_t i = 0; i < sizeof periods / sizeof *periods; i++)
        if (strcmp(period, periods[i].name) == 0)
            return periods[i].seconds * 1000000;
    return 0;
}

int on_stats(struct self *self, actor_t *actor, const struct stats_query *query, struct events_stats *reply)
{
    int64_t begun = answer_clock_us(), now = actor_now_us(actor), period = period_us(query->has_period ? query->period : "1h");
    if (period == 0)
        return answer_end(self, actor, STORE_BAD, &(struct fault){ "period", "is none of 15m, 1h, 6h, 24h, 1d, 7d, 30d" }, begun, 0);
    msgpack_sbuffer_clear(&self->pool);
    return answer_end(self, actor, store_stats(self->store, now - period, now + 1, reply, &self->pool), NULL, begun, 0);
}

int on_entities(struct self *self, actor_t *actor, const struct limit_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_entities(self->store, query, give_events_entities, &a, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_types(struct self *self, actor_t *actor, const struct limit_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_types(self->store, query, give_events_types, &a, end);
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_quarantine(struct self *self, actor_t *actor, const struct bad_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    struct fault fault = { "", "" };
    enum store_result result = store_bad_rows(self->store, query, give_events_quarantine, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_refused(struct self *self, actor_t *actor, const struct bad_id *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_bad_get(self->store, query->id, give_events_refused, &a);
    end->count = (int64_t)a.given;
    return answer_end(self, actor, result, NULL, begun, end->count);
}

int on_preview(struct self *self, actor_t *actor, const struct filters_query *query, struct preview_reply *reply)
{
    struct fault fault;
    int64_t begun = answer_clock_us();
    rules_t *rules = rules_read(query->rules, &fault);
    if (!rules)
        return actor_refuse(actor, UNPROCESSABLE, fault.field, fault.why);
    enum store_result result = store_preview(self->store, rules, actor_now_us(actor), reply, &self->pool);
    rules_destroy(&rules);
    return answer_end(self, actor, result, NULL, begun, 0);
}
