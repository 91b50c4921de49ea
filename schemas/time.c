/* time.c - microseconds since the epoch to RFC 3339 and back, in the proleptic Gregorian calendar. */
#include "schema.h"

#include <math.h>

#define DAY_US INT64_C(86400000000)

/* Days since 1970-01-01 of a civil date, and back: years begin in March, so that the leap
 * day is the last of its year, and 400 years are one cycle of 146,097 days. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t cycle = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_cycle = year - cycle * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return cycle * 146097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    days += 719468; /* never negative: times begin at the epoch */
    int64_t cycle = days / 146097, day_of_cycle = days % 146097;
    int64_t year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 - day_of_cycle / 146096) / 365;
    int64_t day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int64_t from_march = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * from_march + 2) / 5 + 1;
    *month = from_march + (from_march < 10 ? 3 : -9);
    *year = year_of_cycle + cycle * 400 + (*month <= 2);
}

static char *put_digits(char *to, int64_t number, int digits)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    return to + digits;
}

void time_text(int64_t at_us, char to[TIME_TEXT])
{
    at_us = at_us < 0 ? 0 : at_us > MAX_TIME_US ? MAX_TIME_US : at_us; /* what has no such text */
    int64_t year, month, day, of_day = at_us % DAY_US, second = of_day / 1000000;
    civil_from_days(at_us / DAY_US, &year, &month, &day);
    to = put_digits(to, year, 4);
    *to++ = '-';
    to = put_digits(to, month, 2);
    *to++ = '-';
    to = put_digits(to, day, 2);
    *to++ = 'T';
    to = put_digits(to, second / 3600, 2);
    *to++ = ':';
    to = put_digits(to, second / 60 % 60, 2);
    *to++ = ':';
    to = put_digits(to, second % 60, 2);
    *to++ = '.';
    to = put_digits(to, of_day % 1000000, 6);
    *to++ = 'Z';
    *to = '\0';
}

struct reader { const char *at, *end; };

static bool take_digits(struct reader *r, int digits, int64_t *number)
{
    *number = 0;
    for (; digits > 0; digits--, r->at++) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9')
            return false;
        *number = *number * 10 + (*r->at - '0');
    }
    return true;
}

static bool take(struct reader *r, const char *any)
{
    for (; r->at < r->end && *any; any++)
        if (*r->at == *any) {
            r->at++;
            return true;
        }
    return false;
}

static bool take_date(struct reader *r, int64_t *days)
{
    static const int64_t lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int64_t year, month, day;
    if (!take_digits(r, 4, &year) || !take(r, "-") || !take_digits(r, 2, &month) || !take(r, "-") ||
        !take_digits(r, 2, &day) || month < 1 || month > 12)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (day < 1 || day > lengths[month - 1] + (leap && month == 2))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* Up to nine digits; what is finer than a microsecond is cut off. */
static bool take_fraction(struct reader *r, int64_t *us)
{
    int64_t digits = 0, digit;
    *us = 0;
    for (int64_t unit = 100000; take_digits(r, 1, &digit); unit /= 10, digits++) {
        if (digits == 9)
            return false;
        *us += digit * unit;
    }
    return digits > 0;
}

static bool take_clock(struct reader *r, int64_t *us)
{
    int64_t hour, minute, second, fraction = 0;
    if (!take_digits(r, 2, &hour) || !take(r, ":") || !take_digits(r, 2, &minute) || !take(r, ":") ||
        !take_digits(r, 2, &second) || hour > 23 || minute > 59 || second > 59)
        return false;
    if (take(r, ".,") && !take_fraction(r, &fraction))
        return false;
    *us = ((hour * 60 + minute) * 60 + second) * 1000000 + fraction;
    return true;
}

static bool take_zone(struct reader *r, int64_t *us)
{
    int64_t hour, minute, sign;
    *us = 0;
    if (take(r, "Zz"))
        return true;
    sign = take(r, "+") ? 1 : take(r, "-") ? -1 : 0;
    if (!sign || !take_digits(r, 2, &hour) || (take(r, ":"), !take_digits(r, 2, &minute)) || hour > 23 || minute > 59)
        return false;
    *us = sign * (hour * 60 + minute) * 60 * 1000000;
    return true;
}

int time_read(struct slice text, int64_t *at_us)
{
    struct reader r = { text.data, text.data ? (const char *)text.data + text.size : NULL };
    int64_t days, clock_us, zone_us;
    if (!text.data || !take_date(&r, &days) || !take(&r, "Tt ") || !take_clock(&r, &clock_us) ||
        !take_zone(&r, &zone_us) || r.at != r.end)
        return -1;
    int64_t at = days * DAY_US + clock_us - zone_us;
    if (at < 0 || at > MAX_TIME_US)
        return -1;
    *at_us = at;
    return 0;
}

int64_t time_from_seconds(double seconds)
{
    if (!(seconds >= 0 && seconds < (double)(MAX_TIME_US / 1000000 + 1)))
        return -1;
    double whole = floor(seconds);
    return (int64_t)whole * 1000000 + (int64_t)nearbyint((seconds - whole) * 1e6);
}
