/* calendars.c - the home's calendars: a week of work, and dinner every day. */
#include "calendars.h"

#include <stdio.h>
#include <string.h>

static const int64_t day_us = INT64_C(86400000000), minute_us = INT64_C(60000000);

/* Minutes of the day, UTC; 0 to 1440 is all of it. `days`: of Thursday, Friday ... Wednesday, as the epoch began on one. */
static const struct plan { const char *entity, *summary, *location, *days; int from, to; } plans[] = {
    { "calendar.work", "WFH", NULL, ".x..x.x", 480, 960 },
    { "calendar.work", "Workshop", "Office", "x....x.", 480, 960 },
    { "calendar.family", "Dinner at home", NULL, "xxxxxxx", 1080, 1140 },
    { "calendar.family", "Day trip", NULL, "...x...", 0, 1440 },
};

void calendars_list(struct text *text)
{
    text_say(text, "[{\"name\":\"Family\",\"entity_id\":\"calendar.family\"},{\"name\":\"Work\",\"entity_id\":\"calendar.work\"}]");
}

static void say_moment(struct text *text, const char *key, int64_t at_us, bool is_day)
{
    char iso[TIME_TEXT];
    time_text(at_us, iso);
    if (is_day)
        text_printf(text, "\"%s\":{\"date\":\"%.10s\"},", key, iso);
    else
        text_printf(text, "\"%s\":{\"dateTime\":\"%.19s+00:00\"},", key, iso);
}

static void say_event(struct text *text, const struct plan *plan, int64_t from_us, int64_t to_us)
{
    bool is_day = plan->to - plan->from == 1440;
    text_say(text, text->size > 1 ? ",{" : "{");
    say_moment(text, "start", from_us, is_day);
    say_moment(text, "end", to_us, is_day);
    text_printf(text, "\"summary\":\"%s\",\"description\":null,\"location\":", plan->summary);
    text_json_or_null(text, plan->location);
    text_printf(text, ",\"uid\":\"%s-%lld\",\"recurrence_id\":null,\"rrule\":null}", plan->entity, (long long)(from_us / minute_us));
}

int calendars_events(struct text *text, const char *entity, struct slice start, struct slice end)
{
    int64_t from_us, to_us;
    if ((strcmp(entity, "calendar.family") && strcmp(entity, "calendar.work")) || time_read(start, &from_us) || time_read(end, &to_us) || from_us > to_us
            || to_us - from_us > 400 * day_us)
        return -1;
    text_say(text, "[");
    for (int64_t day = from_us / day_us - 1; day * day_us < to_us; day++)
        for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
            int64_t begin_us = day * day_us + plans[i].from * minute_us, end_us = day * day_us + plans[i].to * minute_us;
            if (strcmp(plans[i].entity, entity) == 0 && plans[i].days[day % 7] == 'x' && begin_us < to_us && end_us > from_us)
                say_event(text, &plans[i], begin_us, end_us);
        }
    text_say(text, "]");
    return 0;
}
