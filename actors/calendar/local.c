/* local.c - local time in a zone, and the moments that it means. */
#include "local.h"
#include "pick.h"
#include "zone_rule.h"

#include <ctype.h>
#include <string.h>

static const int64_t day_us = INT64_C(86400000000);

static int64_t offset_us(const zone_t *zone, int64_t at_us)
{
    return INT64_C(1000000) * zone_offset_s(zone, at_us);
}

int64_t moment_of_local(const zone_t *zone, int64_t local_us)
{
    int64_t before = offset_us(zone, local_us - day_us), behind = offset_us(zone, local_us + day_us);
    if (offset_us(zone, local_us - before) == before || offset_us(zone, local_us - behind) != behind)
        return local_us - before;
    return local_us - behind;
}

int64_t moment_of_date(const zone_t *zone, int64_t day)
{
    return zone_day_start(zone, moment_of_local(zone, day * day_us + day_us / 2));
}

static int two(const char *at)
{
    return (at[0] - '0') * 10 + at[1] - '0';
}

bool date_of_text(struct slice text, int64_t *day)
{
    const char *at = text.data;
    if (text.size != 10 || at[4] != '-' || at[7] != '-')
        return false;
    for (size_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !isdigit((unsigned char)at[i]))
            return false;
    int year = two(at) * 100 + two(at + 2), month = two(at + 5), date = two(at + 8);
    if (year < 1970 || month < 1 || month > 12 || date < 1)
        return false;
    *day = days_of_date(year, month, date);
    return *day < (month < 12 ? days_of_date(year, month + 1, 1) : days_of_date(year + 1, 1, 1));
}

bool moment_of_text(const zone_t *zone, struct slice text, int64_t *at_us, bool *is_day)
{
    int64_t day;
    *is_day = date_of_text(text, &day);
    if (*is_day) {
        *at_us = moment_of_date(zone, day);
        return true;
    }
    if (!time_of_text(text, at_us))
        return false;
    const char *rest = (const char *)text.data + 16; /* behind the minutes */
    size_t size = text.size - 16;
    if (!memchr(rest, 'Z', size) && !memchr(rest, '+', size) && !memchr(rest, '-', size))
        *at_us = moment_of_local(zone, *at_us);
    return *at_us >= 0;
}
