/* zone_rule.c - the rule at the end of a zone's file, such as CET-1CEST,M3.5.0,M10.5.0/3. */
#include "zone_rule.h"

enum { DAY_S = 86400, TWO_S = 7200 };
#define FOREVER_S (INT64_MAX / 4)

/* --- dates ------------------------------------------------------------------------------------- */

static int64_t floor_div(int64_t n, int64_t by)
{
    return n / by - (n % by < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Years that begin in March end with the day that some have and some have not. */
int64_t days_of_date(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void date_of_days(int64_t days, int64_t *year, int *month)
{
    int64_t z = days + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

/* --- reading ------------------------------------------------------------------------------------ */

struct text { const char *at, *end; bool bad; };

static bool take(struct text *in, char c)
{
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

static int read_int(struct text *in, int max)
{
    int n = 0;
    const char *start = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9' && n <= max)
        n = n * 10 + (*in->at++ - '0');
    in->bad |= in->at == start || n > max;
    return n;
}

/* Three letters or more, or anything within <>. */
static void read_name(struct text *in)
{
    const char *start = in->at;
    if (take(in, '<')) {
        while (in->at < in->end && *in->at != '>')
            in->at++;
        in->bad |= !take(in, '>');
        return;
    }
    while (in->at < in->end && ((*in->at >= 'a' && *in->at <= 'z') || (*in->at >= 'A' && *in->at <= 'Z')))
        in->at++;
    in->bad |= in->at - start < 3;
}

static int32_t read_time(struct text *in, int hours_max)
{
    int sign = take(in, '-') ? -1 : (take(in, '+'), 1);
    int32_t time = read_int(in, hours_max) * 3600;
    if (take(in, ':'))
        time += read_int(in, 59) * 60;
    if (take(in, ':'))
        time += read_int(in, 59);
    return sign * time;
}

static struct zone_change read_change(struct text *in)
{
    struct zone_change c = { .kind = ZONE_OF_YEAR, .time_s = TWO_S };
    in->bad |= !take(in, ',');
    if (take(in, 'M')) {
        c.kind = ZONE_OF_MONTH;
        c.month = read_int(in, 12);
        in->bad |= !take(in, '.');
        c.week = read_int(in, 5);
        in->bad |= !take(in, '.');
        c.day = read_int(in, 6);
        in->bad |= c.month < 1 || c.week < 1;
    } else {
        c.kind = take(in, 'J') ? ZONE_JULIAN : ZONE_OF_YEAR;
        c.day = read_int(in, 365);
        in->bad |= c.kind == ZONE_JULIAN && c.day < 1;
    }
    if (take(in, '/'))
        c.time_s = read_time(in, 167);
    return c;
}

bool zone_rule_read(struct slice text, struct zone_rule *rule)
{
    const char *start = text.data;
    struct text in = { start, start + text.size, false };
    *rule = (struct zone_rule){ 0 };
    read_name(&in);
    rule->standard = -read_time(&in, 24);
    if (in.at < in.end && !in.bad) {
        rule->has_summer = true;
        read_name(&in);
        rule->summer = in.at < in.end && *in.at != ',' ? -read_time(&in, 24) : rule->standard + 3600;
        rule->begins = read_change(&in);
        rule->ends = read_change(&in);
    }
    return !in.bad && in.at == in.end;
}

/* --- asking ---------------------------------------------------------------------------------------- */

static int64_t day_of_change(const struct zone_change *c, int64_t year)
{
    int64_t january = days_of_date(year, 1, 1);
    if (c->kind == ZONE_OF_YEAR)
        return january + c->day;
    if (c->kind == ZONE_JULIAN)
        return january + c->day - 1 + (is_leap(year) && c->day >= 60);
    int64_t first = days_of_date(year, c->month, 1);
    int64_t next = c->month == 12 ? days_of_date(year + 1, 1, 1) : days_of_date(year, c->month + 1, 1);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1 January 1970 was a Thursday */
    int64_t day = first + (c->day - weekday + 7) % 7 + (c->week - 1) * 7;
    return day < next ? day : day - 7;
}

static int64_t second_of_change(const struct zone_change *c, int64_t year, int32_t offset_before)
{
    return day_of_change(c, year) * DAY_S + c->time_s - offset_before;
}

/* Of the changes of the years around, the last before and the first after; two at one moment take each other's place. */
struct zone_stretch zone_rule_at(const struct zone_rule *rule, int64_t at_s)
{
    struct zone_stretch s = { -FOREVER_S, FOREVER_S, rule->standard };
    int64_t year;
    int month;
    if (!rule->has_summer)
        return s;
    date_of_days(floor_div(at_s, DAY_S), &year, &month);
    for (int64_t y = year - 2; y <= year + 2; y++) {
        int64_t changes[2] = { second_of_change(&rule->begins, y, rule->standard), second_of_change(&rule->ends, y, rule->summer) };
        for (int i = 0; i < 2; i++) {
            if (changes[i] <= at_s && changes[i] >= s.from) {
                s.from = changes[i];
                s.offset = i == 0 ? rule->summer : rule->standard;
            }
            if (changes[i] > at_s && changes[i] < s.to)
                s.to = changes[i];
        }
    }
    return s;
}
