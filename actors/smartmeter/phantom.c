/* phantom.c - the base load, of the nights' lowest quarters of an hour. */
#include "phantom.h"

#include <stdlib.h>
#include <string.h>

enum { QUARTER_S = 900, FIRST_S = 3600, LAST_S = 5 * 3600, KNOWN_S = 9000, MOST = 7 };
static const double whole = 0.95; /* of a quarter must be known */

void phantom_forget(struct phantom *self)
{
    *self = (struct phantom){ .count = 0 };
}

static struct smartmeter_night *night_of(struct phantom *self, int64_t day_us)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->nights[i].day == day_us)
            return &self->nights[i];
    size_t at = self->count;
    while (at > 0 && self->nights[at - 1].day > day_us)
        at--;
    if (self->count == NIGHTS) {
        if (at == 0)
            return NULL;
        memmove(&self->nights[0], &self->nights[1], (--at) * sizeof self->nights[0]);
    } else {
        memmove(&self->nights[at + 1], &self->nights[at], (self->count++ - at) * sizeof self->nights[0]);
    }
    self->nights[at] = (struct smartmeter_night){ .has_day = true, .day = day_us, .has_low_w = true, .low_w = 1e7, .has_known_s = true };
    return &self->nights[at];
}

bool phantom_span(struct phantom *self, const zone_t *zone, int64_t from_us, int64_t to_us, double mean_w)
{
    int64_t local_s = from_us / 1000000 + zone_offset_s(zone, from_us), second = local_s % 86400;
    if (second < FIRST_S || second >= LAST_S || to_us <= from_us)
        return false;
    struct smartmeter_night *night = night_of(self, zone_day_start(zone, from_us));
    if (!night)
        return false;
    night->known_s += (double)(to_us - from_us) / 1e6;
    if (mean_w < night->low_w)
        night->low_w = mean_w;
    return true;
}

/* The last value is in force until then, or as long as it holds. */
static bool pass(struct phantom *self, const zone_t *zone, int64_t until_us, int holds_s)
{
    int64_t holds_us = self->last_us + INT64_C(1000000) * holds_s;
    bool is_night = false;
    until_us = until_us < holds_us ? until_us : holds_us;
    while (self->last_us && self->last_us < until_us) {
        int64_t end_us = self->quarter_us + INT64_C(1000000) * QUARTER_S, to_us = until_us < end_us ? until_us : end_us;
        self->known_s += (double)(to_us - self->last_us) / 1e6;
        self->watt_s += (double)(to_us - self->last_us) / 1e6 * self->last_w;
        self->last_us = to_us;
        if (to_us < end_us)
            break;
        if (self->known_s >= whole * QUARTER_S)
            is_night = phantom_span(self, zone, self->quarter_us, end_us, self->watt_s / self->known_s) || is_night;
        self->quarter_us = end_us;
        self->known_s = self->watt_s = 0;
    }
    return is_night;
}

bool phantom_take(struct phantom *self, const zone_t *zone, int64_t at_us, double power_w, int holds_s)
{
    bool is_night = pass(self, zone, at_us, holds_s);
    if (at_us < self->last_us)
        return is_night;
    int64_t quarter_us = at_us - at_us % (INT64_C(1000000) * QUARTER_S);
    if (quarter_us != self->quarter_us)
        self->known_s = self->watt_s = 0;
    self->quarter_us = quarter_us;
    self->last_us = at_us;
    self->last_w = power_w;
    return is_night;
}

bool phantom_lose(struct phantom *self, const zone_t *zone, int64_t at_us, int holds_s)
{
    bool is_night = pass(self, zone, at_us, holds_s);
    self->last_us = 0;
    return is_night;
}

static int by_size(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

/* Six hours after a day has begun its night is over, also where that day is one of 25 hours. */
int phantom_base(const struct phantom *self, int64_t now_us, double *watts)
{
    double lows[NIGHTS];
    int count = 0;
    for (size_t i = self->count; i-- > 0 && count < MOST;)
        if (self->nights[i].known_s >= KNOWN_S && self->nights[i].low_w >= 0 && now_us >= self->nights[i].day + INT64_C(21600000000))
            lows[count++] = self->nights[i].low_w;
    if (count == 0)
        return 0;
    qsort(lows, (size_t)count, sizeof *lows, by_size);
    *watts = count % 2 ? lows[count / 2] : (lows[count / 2 - 1] + lows[count / 2]) / 2;
    return count;
}
