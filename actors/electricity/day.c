/* day.c - the price of now: its slot, the next one, and how it stands in the home's day. */
#include "electricity.h"

static const double hour_us = 3600e6;

static void clear(struct electricity_reading *reading)
{
    reading->has_net = reading->has_market = reading->has_currency = false;
    reading->has_next_from = reading->has_next_to = reading->has_next_price = false;
    reading->has_today_min = reading->has_today_mean = reading->has_today_max = false;
    reading->has_today_hours = reading->has_today_known_hours = reading->has_rank = reading->has_rank_of = false;
}

static void take_slot(const struct electricity_slot *slot, int64_t end_us, struct electricity_reading *reading)
{
    SET(reading, as_of, slot->from);
    SET(reading, valid_to, end_us);
    SET(reading, price, slot->price);
    if (slot->has_net)
        SET(reading, net, slot->net);
    if (slot->has_market)
        SET(reading, market, slot->market);
    if (slot->has_currency)
        SET_TEXT(reading, currency, slot->currency, slot->currency_size);
}

static void take_next(const struct electricity_slot *slot, int64_t end_us, struct electricity_reading *reading)
{
    SET(reading, next_from, slot->from);
    SET(reading, next_to, end_us);
    SET(reading, next_price, slot->price);
}

static void take_day(const struct electricity_slot *slots, size_t count, int64_t begin_us, int64_t end_us, struct electricity_reading *reading)
{
    struct span spans[SLOTS_MAX];
    size_t found = spans_cut(slots, count, begin_us, end_us, spans);
    int64_t known_us = 0, rank = 1;
    double least = spans[0].price, most = spans[0].price;
    for (size_t i = 0; i < found; i++) {
        known_us += spans[i].to_us - spans[i].from_us;
        least = spans[i].price < least ? spans[i].price : least;
        most = spans[i].price > most ? spans[i].price : most;
        rank += spans[i].price < reading->price;
    }
    SET(reading, today_min, least);
    SET(reading, today_max, most);
    SET(reading, today_mean, spans_mean(spans, found));
    SET(reading, today_hours, (double)(end_us - begin_us) / hour_us);
    SET(reading, today_known_hours, (double)known_us / hour_us);
    SET(reading, rank, rank);
    SET(reading, rank_of, (int64_t)found);
}

/* Holds until the next slot begins, or the home's next day. */
int price_make(source_t *source, const void *all, size_t count, int64_t now_us, void *made, int64_t *until_us)
{
    const struct self *self = source_self(source);
    const struct electricity_slot *slots = all;
    struct electricity_reading *reading = made;
    size_t at = 0;
    while (at < count && slot_end(slots, count, at) <= now_us)
        at++;
    *until_us = at < count ? slots[at].from : 0;
    if (at == count || slots[at].from > now_us)
        return -1;
    clear(reading);
    *until_us = slot_end(slots, count, at);
    take_slot(&slots[at], *until_us, reading);
    if (at + 1 < count)
        take_next(&slots[at + 1], slot_end(slots, count, at + 1), reading);
    if (!self->zone)
        return 0;
    int64_t end_us = zone_day_next(self->zone, now_us);
    take_day(slots, count, zone_day_start(self->zone, now_us), end_us, reading);
    *until_us = end_us < *until_us ? end_us : *until_us;
    return 0;
}
