/* energy_quarters.c - energy by quarters of an hour, what it costs, and its sums over steps of the home's clock. */
#include "energy_quarters.h"

#include <math.h>
#include <string.h>

/* --- quarters -------------------------------------------------------------------------------------------- */

static int64_t later(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

void quarters_spread(struct quarter *quarters, size_t count, int64_t from_us, int64_t begin_us, int64_t end_us, double kwh)
{
    int64_t begin = later(begin_us, from_us), end = sooner(end_us, from_us + (int64_t)count * QUARTER_US);
    bool is_guess = end_us - begin_us > SPREAD_KNOWN_S * SECOND_US;
    while (begin < end) {
        size_t at = (size_t)((begin - from_us) / QUARTER_US);
        int64_t until = sooner(end, from_us + (int64_t)(at + 1) * QUARTER_US);
        double part = kwh * ((double)(until - begin) / (double)(end_us - begin_us));
        quarters[at].kwh += part;
        quarters[at].guessed_kwh += is_guess ? fabs(part) : 0.0;
        begin = until;
    }
}

/* --- sums ------------------------------------------------------------------------------------------------- */

void energy_add(struct energy_sum *sum, const struct quarter *q, const struct rate *price, const struct rate *carbon, int64_t length_us)
{
    double moved = fabs(q->kwh), length = (double)length_us;
    sum->kwh += q->kwh;
    sum->guessed_kwh += q->guessed_kwh;
    sum->cost += q->kwh * price->value * price->share;
    sum->carbon_g += q->kwh * carbon->value * carbon->share;
    sum->moved_kwh += moved;
    sum->priced_kwh += moved * price->share;
    sum->weighed_kwh += moved * carbon->share;
    sum->us += length_us;
    sum->covered_us += q->covered_us;
    sum->priced_us += length * price->share;
    sum->weighed_us += length * carbon->share;
}

/* What is not known of the part is not known of the rest either; shares stay those of the whole. */
void energy_less(struct energy_sum *sum, const struct energy_sum *part)
{
    sum->kwh -= part->kwh;
    sum->guessed_kwh += part->guessed_kwh;
    sum->cost -= part->cost;
    sum->carbon_g -= part->carbon_g;
}

static double share_of(const struct energy_sum *sum, double kwh, double us)
{
    double share = sum->moved_kwh > 0.0 ? kwh / sum->moved_kwh : sum->us > 0 ? us / (double)sum->us : 0.0;
    return share > 1.0 ? 1.0 : share;
}

double energy_priced(const struct energy_sum *sum) { return share_of(sum, sum->priced_kwh, sum->priced_us); }
double energy_weighed(const struct energy_sum *sum) { return share_of(sum, sum->weighed_kwh, sum->weighed_us); }

bool energy_is_guess(const struct energy_sum *sum)
{
    return sum->guessed_kwh > 0.01 * fabs(sum->kwh) && sum->guessed_kwh > 0.0;
}

/* --- steps ------------------------------------------------------------------------------------------------ */

static const struct clock_step steps[] = {
    { "15m", QUARTER_US }, { "30m", 2 * QUARTER_US }, { "1h", HOUR_US }, { "2h", 2 * HOUR_US }, { "3h", 3 * HOUR_US }, { "6h", 6 * HOUR_US },
    { "12h", 12 * HOUR_US }, { "1d", 0 }, { "1mo", -1 }, { "all", -2 },
};

const struct clock_step *clock_step_find(const char *name)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (strcmp(steps[i].name, name) == 0)
            return &steps[i];
    return NULL;
}

static int64_t divided(int64_t a, int64_t by) { return a / by - (a % by < 0); }
int64_t quarter_start(int64_t at_us) { return divided(at_us, QUARTER_US) * QUARTER_US; }
int64_t quarter_end(int64_t at_us) { return quarter_start(at_us + QUARTER_US - 1); }

static int64_t on_the_wall(const zone_t *zone, int64_t at_us)
{
    return at_us + zone_offset_s(zone, at_us) * SECOND_US;
}

/* A quarter with which a step begins. Where the clock is put back onto a whole one, that is one more; where it leaps over one, it is that. */
static bool is_edge(const struct clock_step *step, const zone_t *zone, int64_t at_us)
{
    int64_t wall = on_the_wall(zone, at_us), before = on_the_wall(zone, at_us - QUARTER_US);
    return divided(wall, step->us) != divided(before, step->us) || wall % step->us == 0;
}

int64_t clock_step_start(const struct clock_step *step, const zone_t *zone, int64_t at_us)
{
    int64_t at = quarter_start(at_us);
    if (step->us == 0)
        return quarter_end(zone_day_start(zone, at));
    if (step->us == -1)
        return quarter_end(zone_month_start(zone, at));
    while (step->us > 0 && !is_edge(step, zone, at))
        at -= QUARTER_US;
    return at;
}

int64_t clock_step_next(const struct clock_step *step, const zone_t *zone, int64_t start_us)
{
    if (step->us == 0)
        return quarter_end(zone_day_next(zone, start_us));
    if (step->us == -1)
        return quarter_end(zone_month_next(zone, start_us));
    int64_t at = start_us + QUARTER_US;
    while (step->us > 0 && !is_edge(step, zone, at))
        at += QUARTER_US;
    return step->us > 0 ? at : MAX_TIME_US;
}
