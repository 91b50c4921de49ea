/* told.c - the services that tell of what follows from events: series, moments, names and units, statistics, who says how much. */
#include "inside.h"
#include "activity.h"
#include "lineage.h"
#include "points.h"
#include "rolling.h"
#include "units_of.h"

static int give_statistics(void *owner, const struct statistic_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_statistics_find(a->rows, row));
}

static int give_statistic_series(void *owner, const struct statistic_series *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_statistics_series(a->rows, row));
}

static int give_lineage_spans(void *owner, const struct lineage_span_row *row)
{
    struct answering *a = owner;
    return answer_gave(a, row_lineage_spans(a->rows, row));
}

static int give_lineage_list(void *owner, const struct lineage_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_lineage_list(a->rows, row));
}

static int give_lineage_units(void *owner, const struct unit_row *row)
{
    struct answering *a = owner;
    return answer_gave(a, row_lineage_units(a->rows, row));
}

static int give_point(void *owner, const struct point *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_points_find(a->rows, row));
}

static int give_activity(void *owner, const struct activity_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_activity_by(a->rows, row));
}

static int give_storage(void *owner, const struct storage_row *row)
{
    struct answering *a = owner;
    return answer_is_full(a) ? -1 : answer_gave(a, row_storage_entities(a->rows, row));
}

/* --- the services ----------------------------------------------------------------------------------- */

int on_statistics(struct self *self, actor_t *actor, const struct statistics_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_statistics(self->store, query, give_statistics, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_statistic_series(struct self *self, actor_t *actor, const struct series_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_statistic_series(self->store, query, give_statistic_series, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_points(struct self *self, actor_t *actor, const struct points_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    if (points_ids_are_too_many(query))
        return actor_refuse(actor, UNPROCESSABLE, "ids", "are more than 200");
    enum store_result result = store_points(self->store, query, actor_now_us(actor), give_point, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_activity(struct self *self, actor_t *actor, const struct activity_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_activity(self->store, query, actor_now_us(actor), give_activity, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_storage(struct self *self, actor_t *actor, const struct storage_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = store_storage(self->store, query, give_storage, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_series(struct self *self, actor_t *actor, const struct series_ask *query, rows_t *rows, struct series_end *end)
{
    struct fault fault = { "", "" };
    enum store_result result = STORE_OK;
    int64_t begun = answer_clock_us(), count = 0;
    char zone[ZONE_NAME];
    bool is_set = false;
    if (store_zone(self->store, zone, &is_set) != STORE_OK || !is_set)
        zone_of_machine(zone);
    int verdict = series_answer(self->series, query, zone, actor_now_us(actor), rows, end, &result, &count, &fault);
    return verdict != OK ? actor_refuse(actor, verdict, fault.field, fault.why)
        : answer_end(self, actor, result == STORE_DUPLICATE ? STORE_OK : result, &fault, begun, count);
}

int on_moment(struct self *self, actor_t *actor, const struct moment_query *query, rows_t *rows, struct moment_end *end)
{
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    enum store_result result = moments_read(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_diff(struct self *self, actor_t *actor, const struct diff_query *query, rows_t *rows, struct diff_end *end)
{
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    enum store_result result = moments_compare(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_history(struct self *self, actor_t *actor, const struct history_query *query, rows_t *rows, struct page *end)
{
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    answer_page(end);
    enum store_result result = moments_history(self->moments, query, actor_now_us(actor), rows, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_lineage_spans(struct self *self, actor_t *actor, const struct lineage_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    enum store_result result = store_lineage_rows(self->store, query, give_lineage_spans, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_lineage_list(struct self *self, actor_t *actor, const struct lineage_list_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    enum store_result result = store_lineage_list(self->store, query, give_lineage_list, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}

int on_lineage_units(struct self *self, actor_t *actor, const struct units_query *query, rows_t *rows, struct page *end)
{
    struct answering a = answer_rows(self, rows);
    struct fault fault = { "", "" };
    int64_t begun = answer_clock_us();
    enum store_result result = store_unit_rows(self->store, query, give_lineage_units, &a, end, &fault);
    return answer_end(self, actor, result, &fault, begun, end->count);
}
