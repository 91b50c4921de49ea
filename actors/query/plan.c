/* plan.c - a question about series, read and checked. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Shortest first. */
static const struct { const char *name; enum step_kind kind; int64_t us; } steps[] = {
    { "5m", STEP_FIXED, 300 * SECOND_US }, { "15m", STEP_FIXED, QUARTER_US }, { "30m", STEP_FIXED, 2 * QUARTER_US },
    { "1h", STEP_FIXED, HOUR_US }, { "2h", STEP_FIXED, 2 * HOUR_US }, { "3h", STEP_FIXED, 3 * HOUR_US },
    { "6h", STEP_FIXED, 6 * HOUR_US }, { "12h", STEP_FIXED, 12 * HOUR_US }, { "1d", STEP_DAY, 0 }, { "1mo", STEP_MONTH, 0 },
};

static int refuse(struct fault *fault, int verdict, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return verdict;
}

/* The next of "a, b,c", without blanks around it; empty ones are passed over. */
static bool next_item(struct slice *rest, struct slice *item)
{
    const char *at = rest->data, *end = at + rest->size;
    while (at < end && (*at == ',' || *at == ' '))
        at++;
    const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL, *stop = comma ? comma : end;
    *rest = (struct slice){ stop, (size_t)(end - stop) };
    while (stop > at && stop[-1] == ' ')
        stop--;
    *item = (struct slice){ at, (size_t)(stop - at) };
    return stop > at;
}

static bool is(struct slice s, const char *text)
{
    return s.size == strlen(text) && memcmp(s.data, text, s.size) == 0;
}

static int read_ids(struct plan *plan, const struct series_ask *q, struct fault *fault)
{
    struct slice rest = { q->ids, q->ids_size }, item;
    while (next_item(&rest, &item)) {
        if (plan->ids_count == IDS_MAX)
            return refuse(fault, UNPROCESSABLE, "ids", "are more than 200");
        if (item.size > ID_BYTES)
            return refuse(fault, UNPROCESSABLE, "ids", "holds a name that is too long");
        plan->ids[plan->ids_count++] = item;
    }
    return plan->ids_count ? OK : refuse(fault, UNPROCESSABLE, "ids", "names no entity");
}

/* A name given twice is one column. */
static bool plan_has(const struct plan *plan, enum stat stat)
{
    for (size_t i = 0; i < plan->stats_count; i++)
        if (plan->stats[i] == stat)
            return true;
    return false;
}

static int read_stats(struct plan *plan, const struct series_ask *q, struct fault *fault)
{
    struct slice rest = q->has_stat ? (struct slice){ q->stat, q->stat_size } : slice_of("min,mean,max"), item;
    plan->has_stat = q->has_stat;
    while (next_item(&rest, &item)) {
        enum stat stat;
        if (!stat_read(item, &stat))
            return refuse(fault, BAD_REQUEST, "stat", STAT_KNOWN);
        if (!plan_has(plan, stat))
            plan->stats[plan->stats_count++] = stat;
    }
    return plan->stats_count ? OK : refuse(fault, BAD_REQUEST, "stat", "names none");
}

int plan_set_step(struct plan *plan, const char *name, size_t size)
{
    plan->is_raw = is((struct slice){ name, size }, "raw");
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        if (!plan->is_raw && !is((struct slice){ name, size }, steps[i].name))
            continue;
        plan->step = (struct step){ steps[i].kind, steps[i].us, plan->zone };
        snprintf(plan->step_name, sizeof plan->step_name, "%s", plan->is_raw ? "raw" : steps[i].name);
        return 0;
    }
    return -1;
}

/* Steps that the time lies in: all of them whole, so that there may be one more than fits between. */
static int64_t count_steps(const struct plan *plan, int64_t most)
{
    const struct step *step = &plan->step;
    int64_t at = step_start(step, plan->from), count = 0, end = plan->to < plan->now ? plan->to : plan->now;
    if (step->kind == STEP_FIXED)
        return end <= at ? 0 : (end - at + step->us - 1) / step->us;
    if (step->kind == STEP_DAY && (end - at) / (DAY_US + 2 * HOUR_US) > most)
        return most + 1; /* no need to walk through them */
    for (; at < end && count <= most; count++)
        at = step_next(step, at);
    return count;
}

int plan_choose_step(struct plan *plan)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        plan_set_step(plan, steps[i].name, strlen(steps[i].name));
        if (count_steps(plan, plan->points) <= plan->points)
            return 0;
    }
    return -1;
}

static int read_step(struct plan *plan, const struct series_ask *q, struct fault *fault)
{
    if (q->has_step && q->has_points)
        return refuse(fault, BAD_REQUEST, "points", "contradicts step: one of them");
    if (!q->has_step) {
        plan->points = q->has_points ? q->points : 1000;
        return OK;
    }
    if (plan_set_step(plan, q->step, q->step_size))
        return refuse(fault, BAD_REQUEST, "step", "knows 5m, 15m, 30m, 1h, 2h, 3h, 6h, 12h, 1d and 1mo, and of series raw");
    if (!plan->is_raw && count_steps(plan, ROWS_MAX) > ROWS_MAX)
        return refuse(fault, BAD_REQUEST, "step", "would be more than 50000 of each entity: take a longer one, or points");
    return OK;
}

static int read_zone(struct plan *plan, const char *name, struct fault *fault)
{
    const char *why = "";
    plan->zone = zone_open(name, &why);
    return plan->zone ? OK : refuse(fault, BAD_REQUEST, "tz", why);
}

/* "entity position taken now step", as plan_cursor wrote it. */
static int read_cursor(struct plan *plan, const char *cursor, struct fault *fault)
{
    char step[STEP_NAME + 1];
    int used = 0;
    int64_t now, position, taken;
    unsigned entity;
    if (sscanf(cursor, "%u %" SCNd64 " %" SCNd64 " %" SCNd64 " %8s%n", &entity, &position, &taken, &now, step, &used) != 5 || cursor[used] ||
        entity >= plan->ids_count || taken < 0 || taken > MAX_COUNT || position < 0 || position > MAX_TIME_US || now < 0 || now > MAX_TIME_US)
        return refuse(fault, BAD_REQUEST, "cursor", "is none of this question");
    plan->entity = entity;
    plan->position = position;
    plan->taken = taken;
    plan->now = now;
    plan->points = 0;
    return plan_set_step(plan, step, strlen(step)) ? refuse(fault, BAD_REQUEST, "cursor", "is none of this question") : OK;
}

void plan_cursor(const struct plan *plan, struct series_end *end)
{
    char text[120];
    int size = snprintf(text, sizeof text, "%zu %" PRId64 " %" PRId64 " %" PRId64 " %s", plan->entity, plan->position, plan->taken, plan->now,
        plan->step_name);
    SET_TEXT(end, next_cursor, text, (size_t)size);
}

/* Days and months need their zone, and only a question for points may come to them unsaid. */
int plan_read(struct plan *plan, const struct series_ask *q, const char *home_zone, int64_t now_us, struct fault *fault)
{
    *plan = (struct plan){ .from = q->from, .now = now_us, .has_unit = q->has_unit, .unit = { q->unit, q->unit_size },
        .by_role = q->has_by_role && q->by_role };
    int verdict = read_ids(plan, q, fault);
    if (verdict == OK)
        verdict = read_stats(plan, q, fault);
    if (verdict == OK)
        verdict = read_zone(plan, q->has_tz ? q->tz : home_zone, fault);
    if (verdict == OK && q->has_cursor)
        verdict = read_cursor(plan, q->cursor, fault);
    plan->to = q->has_to ? q->to : plan->now;
    if (verdict == OK && plan->from >= plan->to)
        verdict = q->has_to ? refuse(fault, BAD_REQUEST, "to", "is not after from") : refuse(fault, BAD_REQUEST, "from", "is not before now");
    if (verdict == OK && q->has_time && strcmp(q->time, "compact") != 0)
        verdict = refuse(fault, BAD_REQUEST, "time", "knows compact only");
    if (verdict == OK && !q->has_cursor)
        verdict = read_step(plan, q, fault);
    if (verdict != OK)
        plan_close(plan);
    return verdict;
}

void plan_close(struct plan *plan)
{
    zone_destroy(&plan->zone);
}
