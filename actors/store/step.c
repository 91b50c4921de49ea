/* step.c - how time is cut into buckets: a number of microseconds, local days or months. */
#include "step.h"

#include <string.h>

static int64_t floor_to(int64_t n, int64_t by)
{
    int64_t rest = n % by;
    return n - rest - (rest < 0 ? by : 0);
}

int64_t step_start(const struct step *step, int64_t at_us)
{
    if (step->kind == STEP_FIXED)
        return floor_to(at_us, step->us);
    return step->kind == STEP_DAY ? zone_day_start(step->zone, at_us) : zone_month_start(step->zone, at_us);
}

int64_t step_next(const struct step *step, int64_t start_us)
{
    if (step->kind == STEP_FIXED)
        return start_us + step->us;
    return step->kind == STEP_DAY ? zone_day_next(step->zone, start_us) : zone_month_next(step->zone, start_us);
}

bool step_same(const struct step *a, const struct step *b)
{
    return a->kind == b->kind && (a->kind == STEP_FIXED ? a->us == b->us : strcmp(zone_name(a->zone), zone_name(b->zone)) == 0);
}
