/* tariff.c - a tariff out of words, and its slots: nobody is asked. */
#include "electricity.h"

#include <string.h>

enum { DAY_MINUTES = 1440, ALL_DAYS = 127, DAYS = 4 };
static const int64_t minute_us = INT64_C(60000000);

/* --- words -------------------------------------------------------------------------------------- */

static const char *skip(const char *at)
{
    while (*at == ' ')
        at++;
    return at;
}

static bool read_day(const char **at, int *day)
{
    static const char names[] = "montuewedthufrisatsun";
    for (*day = 0; *day < 7; (*day)++)
        if (strncmp(*at, names + 3 * *day, 3) == 0) {
            *at += 3;
            return true;
        }
    return false;
}

/* "sat", "mon-fri", "fri-mon"; none: all. */
static bool read_days(const char **at, unsigned *days)
{
    int from, to;
    *days = ALL_DAYS;
    if (!read_day(at, &from))
        return true;
    to = from;
    if (**at == '-') {
        (*at)++;
        if (!read_day(at, &to))
            return false;
    }
    *days = 1u << to;
    for (int day = from; day != to; day = (day + 1) % 7)
        *days |= 1u << day;
    *at = skip(*at);
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "22:00"; 24:00 is the day's end. */
static bool read_minute(const char **at, int *minute)
{
    const char *c = *at;
    if (!is_digit(c[0]) || !is_digit(c[1]) || c[2] != ':' || !is_digit(c[3]) || !is_digit(c[4]))
        return false;
    int hours = (c[0] - '0') * 10 + c[1] - '0', minutes = (c[3] - '0') * 10 + c[4] - '0';
    *minute = hours * 60 + minutes;
    *at += 5;
    return minutes < 60 && *minute <= DAY_MINUTES;
}

static bool read_times(const char **at, struct tariff_rule *rule)
{
    rule->from = 0;
    rule->to = DAY_MINUTES;
    if (!is_digit((*at)[0]) || !is_digit((*at)[1]) || (*at)[2] != ':')
        return true;
    if (!read_minute(at, &rule->from) || *(*at)++ != '-' || !read_minute(at, &rule->to) || rule->from == rule->to || rule->from == DAY_MINUTES)
        return false;
    *at = skip(*at);
    return true;
}

static bool read_price(const char **at, double *price)
{
    size_t size = strcspn(*at, "; ");
    if (!number_read((struct slice){ *at, size }, price) || *price < -1000 || *price > 1000)
        return false;
    *at = skip(*at + size);
    return true;
}

/* --- rules -------------------------------------------------------------------------------------- */

static const struct tariff_rule *find(const struct tariff *self, int weekday, int minute)
{
    for (const struct tariff_rule *r = self->rules; r < self->rules + self->count; r++) {
        bool is_in = r->from < r->to ? minute >= r->from && minute < r->to : minute >= r->from || minute < r->to;
        if (is_in && (r->days >> weekday & 1))
            return r;
    }
    return NULL;
}

static bool is_whole(const struct tariff *self)
{
    for (int weekday = 0; weekday < 7; weekday++)
        for (int minute = 0; minute < DAY_MINUTES; minute++)
            if (!find(self, weekday, minute))
                return false;
    return true;
}

int tariff_read(const char *text, struct tariff *self, const char **why)
{
    const char *at = skip(text);
    *self = (struct tariff){ .count = 0 };
    while (*at) {
        struct tariff_rule *rule = &self->rules[self->count];
        *why = "has too many parts";
        if (self->count == RULES_MAX)
            return -1;
        *why = "is none: a price, or parts such as \"mon-fri 22:00-06:00 0.24\" with ; between them";
        if (!read_days(&at, &rule->days) || !read_times(&at, rule) || !read_price(&at, &rule->price) || (*at && *at != ';'))
            return -1;
        self->count++;
        at = skip(at + (*at == ';'));
    }
    *why = "leaves a time without a price: end it with one that holds always";
    return is_whole(self) ? 0 : -1;
}

double tariff_price(const struct tariff *self, int weekday, int minute)
{
    return find(self, weekday, minute)->price;
}

/* --- slots ---------------------------------------------------------------------------------------- */

/* Minute by minute, so that a day with an hour less or more needs no thought. */
static double price_at(const struct self *self, const zone_t *zone, int64_t at_us)
{
    int64_t local_minute = (at_us / 1000000 + zone_offset_s(zone, at_us)) / 60;
    int64_t day = local_minute / DAY_MINUTES;
    return tariff_price(&self->tariff, (int)((day + 3) % 7), (int)(local_minute % DAY_MINUTES));
}

static bool put_slot(source_t *source, int64_t from_us, int64_t to_us, double price)
{
    struct self *self = source_self(source);
    struct electricity_slot *slot = source_slot(source);
    if (!slot)
        return false;
    SET(slot, from, from_us);
    SET(slot, to, to_us);
    price_of_bill(source, slot, price);
    slot_currency(slot, self->config.has_currency ? self->config.currency : self->home_currency);
    return true;
}

static bool put_day(source_t *source, const zone_t *zone, int64_t begin_us, int64_t end_us)
{
    int64_t from_us = begin_us;
    double price = price_at(source_self(source), zone, from_us), other = price;
    for (int64_t at_us = begin_us + minute_us; at_us < end_us; at_us += minute_us) {
        other = price_at(source_self(source), zone, at_us);
        if (other == price)
            continue;
        if (!put_slot(source, from_us, at_us, price))
            return false;
        from_us = at_us;
        price = other;
    }
    return put_slot(source, from_us, end_us, price);
}

static int read_tariff(source_t *source, struct json_value root, struct fault *fault)
{
    struct self *self = source_self(source);
    const char *why;
    (void)root;
    bool needs_zone = self->tariff.count > 1;
    *fault = (struct fault){ "", "the home's time zone has not been said: set electricity.time_zone, or connect Home Assistant" };
    if (needs_zone && !self->zone)
        return -1;
    zone_t *utc = self->zone ? NULL : zone_open("UTC", &why);
    const zone_t *zone = self->zone ? self->zone : utc;
    int64_t begin_us = zone_day_start(zone, source_now_us(source)), end_us;
    for (int day = 0; day < DAYS; day++, begin_us = end_us) {
        end_us = zone_day_next(zone, begin_us);
        if (!put_day(source, zone, begin_us, end_us))
            break;
    }
    zone_destroy(&utc);
    return 0;
}

const struct step tariff_steps[] = { { .read = read_tariff, .is_local = true }, { .read = NULL } };
