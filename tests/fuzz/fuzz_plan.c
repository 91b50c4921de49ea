/* fuzz_plan.c - anything as a question about series: the first two bytes say what is asked for, then its texts, a line each.
 *
 * What must hold: it is refused with a field and a reason, or bounded in entities, statistics and steps; and the cursor of
 * what was taken is taken. */
#include "plan.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TODAY_US INT64_C(1767225600000000)

static struct slice next_line(const uint8_t **at, const uint8_t *end, size_t most)
{
    const uint8_t *begin = *at, *line = begin < end ? memchr(begin, '\n', (size_t)(end - begin)) : NULL;
    size_t size = (size_t)((line ? line : end) - begin);
    *at = line ? line + 1 : end;
    return (struct slice){ begin, size < most ? size : most };
}
#define TAKE(ask, member)                                                                                   \
    do {                                                                                                    \
        struct slice line = next_line(&at, end, sizeof (ask)->member - 1);                                  \
        if (line.size)                                                                                      \
            SET_TEXT((ask), member, line.data, line.size);                                                  \
    } while (0)

static void read_ask(const uint8_t *data, size_t size, struct series_ask *ask)
{
    const uint8_t *at = data + 2, *end = data + size;
    schema_clear(series_ask_schema(), ask);
    SET(ask, from, TODAY_US - (int64_t)data[0] * data[0] * 3600 * 1000000);
    if (data[1] & 1)
        SET(ask, to, TODAY_US - (int64_t)(data[1] >> 3) * 86400 * 1000000);
    if (data[1] & 2)
        SET(ask, points, 1 + data[0] * 39);
    SET(ask, by_role, (data[1] & 4) != 0);
    SET_TEXT(ask, ids, "", 0);
    TAKE(ask, ids);
    TAKE(ask, step);
    TAKE(ask, stat);
    TAKE(ask, tz);
    TAKE(ask, unit);
    TAKE(ask, time);
    TAKE(ask, cursor);
}

static void go_on(const struct plan *plan, struct series_ask *ask)
{
    struct plan next;
    struct series_end end;
    struct fault fault = { "", "" };
    schema_clear(series_end_schema(), &end);
    plan_cursor(plan, &end);
    SET_TEXT(ask, cursor, end.next_cursor, end.next_cursor_size);
    assert(plan_read(&next, ask, "Europe/Vienna", plan->now, &fault) == OK);
    assert(next.entity == plan->entity && next.position == plan->position && !strcmp(next.step_name, plan->step_name));
    plan_close(&next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct series_ask ask;
    static struct plan plan;
    struct fault fault = { "", "" };
    if (size < 2)
        return 0;
    read_ask(data, size, &ask);
    if (plan_read(&plan, &ask, "Europe/Vienna", TODAY_US, &fault) != OK) {
        assert(fault.field[0] && fault.why[0] && !plan.zone);
        return 0;
    }
    assert(plan.ids_count >= 1 && plan.ids_count <= IDS_MAX && plan.stats_count >= 1 && plan.stats_count <= STATS && plan.from < plan.to);
    if (plan.step_name[0] != '\0' || plan_choose_step(&plan) == 0)
        go_on(&plan, &ask);
    plan_close(&plan);
    return 0;
}
