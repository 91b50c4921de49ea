/* query.c - answers questions about what is stored; any number of these read one store. */
#include "actor.h"
#include "activity.h"
#include "imports.h"
#include "lineage.h"
#include "moments.h"
#include "points.h"
#include "rolling.h"
#include "rules.h"
#include "series.h"
#include "store.h"
#include "units_of.h"

#include <string.h>
#include <time.h>

struct self {
    struct query_config config;
    struct query_stats stats;
    store_t *store;
    series_reader_t *series;
    moments_t *moments;
    int64_t damage;         /* chunks that were found damaged before the sink has put them aside */
    bool is_telling;        /* the sink is being told */
    msgpack_sbuffer pool;   /* texts of the last statistics; they outlive their handler */
};

/* Where rows of an answer go, until it is large enough. */
struct answering { struct self *self; rows_t *rows; size_t room, given; };

static int64_t elapsed_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static struct answering answering(struct self *self, rows_t *rows)
{
    return (struct answering){ self, rows, actor_rows_room(rows), 0 };
}

static bool is_full(const struct answering *a)
{
    return a->given > 0 && a->room - actor_rows_room(a->rows) >= (size_t)a->self->config.page_bytes;
}

static int given(struct answering *a, int rc)
{
    a->given += rc == 0;
    return rc;
}

static int give_events_find(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_find(a->rows, row));
}

static int give_events_get(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_get(a->rows, row));
}

static int give_events_latest(void *owner, const struct event_full *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_latest(a->rows, row));
}

static int give_events_chain(void *owner, const struct chain_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_chain(a->rows, row));
}

static int give_events_entities(void *owner, const struct active_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_entities(a->rows, row));
}

static int give_events_types(void *owner, const struct type_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_types(a->rows, row));
}

static int give_events_quarantine(void *owner, const struct bad_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_events_quarantine(a->rows, row));
}

static int give_statistics(void *owner, const struct statistic_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_statistics_find(a->rows, row));
}

static int give_statistic_series(void *owner, const struct statistic_series *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_statistics_series(a->rows, row));
}

static int give_events_refused(void *owner, const struct bad_whole *row)
{
    struct answering *a = owner;
    return given(a, row_events_refused(a->rows, row));
}

static int give_lineage_spans(void *owner, const struct lineage_span_row *row)
{
    struct answering *a = owner;
    return given(a, row_lineage_spans(a->rows, row));
}

static int give_lineage_list(void *owner, const struct lineage_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_lineage_list(a->rows, row));
}

static int give_lineage_units(void *owner, const struct unit_row *row)
{
    struct answering *a = owner;
    return given(a, row_lineage_units(a->rows, row));
}

static int give_point(void *owner, const struct point *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_points_find(a->rows, row));
}

static int give_activity(void *owner, const struct activity_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_activity_by(a->rows, row));
}

static int give_storage(void *owner, const struct storage_row *row)
{
    struct answering *a = owner;
    return is_full(a) ? -1 : given(a, row_storage_entities(a->rows, row));
}

/* --- verdicts ------------------------------------------------------------------------------------ */

static void on_told(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct store_view *view)
{
    (void)actor, (void)tag, (void)answer, (void)view;
    self->is_telling = false;
}

/* What lies in a damaged chunk would be missing without a word: once the sink has put it aside it is a gap. */
static bool meets_damage(struct self *self, actor_t *actor)
{
    enum { TELL_MS = 10000 };
    const char *what;
    struct nothing nothing = { 0 };
    int64_t damage = store_damage(self->store, &what);
    if (damage == self->damage)
        return false;
    self->damage = damage;
    if (!self->is_telling) {
        actor_error(actor, "%s", what);
        self->is_telling = ask_sink_verify(actor, &nothing, TELL_MS, on_told, 0) == 0;
    }
    return true;
}

static int finish(struct self *self, actor_t *actor, enum store_result result, const struct fault *fault, int64_t begun_us, int64_t rows)
{
    self->stats.questions++;
    self->stats.rows += rows;
    self->stats.busy_us += elapsed_us() - begun_us;
    switch (result) {
    case STORE_OK:
    case STORE_DUPLICATE:
    case STORE_REDELIVERED:
    case STORE_FILTERED:
        if (!meets_damage(self, actor))
            return OK;
        self->stats.failures++;
        return actor_refuse(actor, UNAVAILABLE, "", "old rows of this are damaged and are being put aside: ask again; GET /api/v1/store names them");
    case STORE_BAD:
        return actor_refuse(actor, BAD_REQUEST, fault->field, fault->why);
    case STORE_MISSING:
        return NOT_FOUND;
    case STORE_LATE:
        self->stats.failures++;
        return actor_refuse(actor, TOO_LATE, "", "takes too long: ask for a shorter period");
    case STORE_TROUBLE:
        break;
    }
    self->stats.failures++;
    actor_warn(actor, "cannot read the store: %s", store_why(self->store));
    return actor_refuse(actor, UNAVAILABLE, "", "the store cannot be read");
}

static void empty_page(struct page *end)
{
    schema_clear(page_schema(), end);
    SET(end, count, 0);
}

/* --- the services ----------------------------------------------------------------------------------- */

static int on_find(struct self *self, actor_t *actor, const struct events_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_find(self->store, query, give_events_find, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_count(struct self *self, actor_t *actor, const struct events_query *query, struct count_reply *reply)
{
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us(), count = 0;
    enum store_result result = store_count(self->store, query, &count, &fault);
    SET(reply, count, count);
    return finish(self, actor, result, &fault, begun, 0);
}

static int on_get(struct self *self, actor_t *actor, const struct event_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_get(self->store, query->id, give_events_get, &a);
    end->count = (int64_t)a.given;
    return finish(self, actor, result, NULL, begun, end->count);
}

static int on_chain(struct self *self, actor_t *actor, const struct chain_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_chain(self->store, query, give_events_chain, &a, end);
    return finish(self, actor, result, NULL, begun, end->count);
}

static int on_latest(struct self *self, actor_t *actor, const struct latest_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_latest(self->store, query, actor_now_us(actor), give_events_latest, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
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

static int on_stats(struct self *self, actor_t *actor, const struct stats_query *query, struct events_stats *reply)
{
    int64_t begun = elapsed_us(), now = actor_now_us(actor), period = period_us(query->has_period ? query->period : "1h");
    if (period == 0)
        return finish(self, actor, STORE_BAD, &(struct fault){ "period", "is none of 15m, 1h, 6h, 24h, 1d, 7d, 30d" }, begun, 0);
    msgpack_sbuffer_clear(&self->pool);
    return finish(self, actor, store_stats(self->store, now - period, now + 1, reply, &self->pool), NULL, begun, 0);
}

static int on_entities(struct self *self, actor_t *actor, const struct limit_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_entities(self->store, query, give_events_entities, &a, end);
    return finish(self, actor, result, NULL, begun, end->count);
}

static int on_types(struct self *self, actor_t *actor, const struct limit_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_types(self->store, query, give_events_types, &a, end);
    return finish(self, actor, result, NULL, begun, end->count);
}

static int on_quarantine(struct self *self, actor_t *actor, const struct bad_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    struct fault fault = { "", "" };
    enum store_result result = store_bad_rows(self->store, query, give_events_quarantine, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_refused(struct self *self, actor_t *actor, const struct bad_id *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_bad_get(self->store, query->id, give_events_refused, &a);
    end->count = (int64_t)a.given;
    return finish(self, actor, result, NULL, begun, end->count);
}

static int on_statistics(struct self *self, actor_t *actor, const struct statistics_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_statistics(self->store, query, give_statistics, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_statistic_series(struct self *self, actor_t *actor, const struct series_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_statistic_series(self->store, query, give_statistic_series, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_points(struct self *self, actor_t *actor, const struct points_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    if (points_ids_are_too_many(query))
        return actor_refuse(actor, UNPROCESSABLE, "ids", "are more than 200");
    enum store_result result = store_points(self->store, query, actor_now_us(actor), give_point, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_activity(struct self *self, actor_t *actor, const struct activity_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_activity(self->store, query, actor_now_us(actor), give_activity, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_storage(struct self *self, actor_t *actor, const struct storage_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = store_storage(self->store, query, give_storage, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_series(struct self *self, actor_t *actor, const struct series_ask *query, rows_t *rows, struct series_end *end)
{
    struct fault fault = { "", "" };
    enum store_result result = STORE_OK;
    int64_t begun = elapsed_us(), count = 0;
    char zone[ZONE_NAME];
    bool is_set = false;
    if (store_zone(self->store, zone, &is_set) != STORE_OK || !is_set)
        zone_of_machine(zone);
    int verdict = series_answer(self->series, query, zone, actor_now_us(actor), rows, end, &result, &count, &fault);
    return verdict != OK ? actor_refuse(actor, verdict, fault.field, fault.why)
        : finish(self, actor, result == STORE_DUPLICATE ? STORE_OK : result, &fault, begun, count);
}

static int on_moment(struct self *self, actor_t *actor, const struct moment_query *query, rows_t *rows, struct moment_end *end)
{
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    enum store_result result = moments_read(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_diff(struct self *self, actor_t *actor, const struct diff_query *query, rows_t *rows, struct diff_end *end)
{
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    enum store_result result = moments_compare(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_history(struct self *self, actor_t *actor, const struct history_query *query, rows_t *rows, struct page *end)
{
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    empty_page(end);
    enum store_result result = moments_history(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_lineage_spans(struct self *self, actor_t *actor, const struct lineage_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    enum store_result result = store_lineage_rows(self->store, query, give_lineage_spans, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_lineage_list(struct self *self, actor_t *actor, const struct lineage_list_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    enum store_result result = store_lineage_list(self->store, query, give_lineage_list, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_lineage_units(struct self *self, actor_t *actor, const struct units_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answering(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = elapsed_us();
    enum store_result result = store_unit_rows(self->store, query, give_lineage_units, &a, end, &fault);
    return finish(self, actor, result, &fault, begun, end->count);
}

static int on_import_status(struct self *self, actor_t *actor, const struct nothing *query, struct import_status *reply)
{
    (void)self;
    (void)query;
    return import_tell(actor, reply);
}

static int on_import_start(struct self *self, actor_t *actor, const struct import_request *request, struct import_status *reply)
{
    (void)self;
    return import_ask(actor, request, reply);
}

static int on_preview(struct self *self, actor_t *actor, const struct filters_query *query, struct preview_reply *reply)
{
    struct fault fault;
    int64_t begun = elapsed_us();
    rules_t *rules = rules_read(query->rules, &fault);
    if (!rules)
        return actor_refuse(actor, UNPROCESSABLE, fault.field, fault.why);
    enum store_result result = store_preview(self->store, rules, actor_now_us(actor), reply, &self->pool);
    rules_destroy(&rules);
    return finish(self, actor, result, NULL, begun, 0);
}

static int on_import_stop(struct self *self, actor_t *actor, const struct nothing *query, struct import_status *reply)
{
    (void)self;
    (void)query;
    return import_end(actor, reply);
}

/* --- life ---------------------------------------------------------------------------------------------- */

static int open_query(struct self *self, actor_t *actor)
{
    char path[4096];
    const char *why = "";
    msgpack_sbuffer_init(&self->pool);
    if (actor_path(actor, path, sizeof path, "store.db") != 0) {
        actor_error(actor, "the data directory's path is too long");
        return 100;
    }
    self->store = store_open(&(struct store_options){ .path = path, .cache_bytes = (size_t)self->config.cache_bytes }, &why);
    if (!self->store) {
        actor_error(actor, "cannot open the store: %s", why);
        return 111;
    }
    self->series = series_reader_new(self->store, (size_t)self->config.page_bytes);
    self->moments = moments_new(self->store, (size_t)self->config.page_bytes);
    struct query_stats *s = &self->stats;
    s->has_questions = s->has_rows = s->has_failures = s->has_busy_us = true;
    return 0;
}

static void close_query(struct self *self, actor_t *actor)
{
    (void)actor;
    series_reader_destroy(&self->series);
    moments_destroy(&self->moments);
    store_close(&self->store);
    msgpack_sbuffer_destroy(&self->pool);
}

static const struct handler handlers[] = {
    ANSWER(events_find, on_find),
    ANSWER(events_count, on_count),
    ANSWER(events_get, on_get),
    ANSWER(events_chain, on_chain),
    ANSWER(events_latest, on_latest),
    ANSWER(events_stats, on_stats),
    ANSWER(events_entities, on_entities),
    ANSWER(events_types, on_types),
    ANSWER(events_quarantine, on_quarantine),
    ANSWER(statistics_find, on_statistics),
    ANSWER(statistics_series, on_statistic_series),
    ANSWER(lineage_spans, on_lineage_spans),
    ANSWER(lineage_list, on_lineage_list),
    ANSWER(lineage_units, on_lineage_units),
    ANSWER(import_status, on_import_status),
    ANSWER(import_start, on_import_start),
    ANSWER(import_stop, on_import_stop),
    ANSWER(events_refused, on_refused),
    ANSWER(filters_preview, on_preview),
    ANSWER(series_read, on_series),
    ANSWER(moment_read, on_moment),
    ANSWER(diff_read, on_diff),
    ANSWER(history_find, on_history),
    ANSWER(points_find, on_points),
    ANSWER(activity_by, on_activity),
    ANSWER(storage_entities, on_storage),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "query",
    .doc      = "Answers questions about what is stored",
    .state    = sizeof(struct self),
    .config   = SECTION(config, query_config),
    .stats    = SECTION(stats, query_stats),
    .handlers = handlers,
    .open     = open_query,
    .close    = close_query,
};
