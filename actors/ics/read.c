/* read.c - events out of an iCalendar file: its components, what replaces what, and repetition. */
#include "ics.h"
#include "ics_zones.h"

#include <assert.h>
#include <libical/ical.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHANGES_MAX = 20000 };
static const int64_t day_us = INT64_C(86400000000), second_us = INT64_C(1000000);

/* One occurrence of a repeated event that is told by an event of its own, or cancelled. */
struct change { uint64_t uid; int64_t at_us; };

struct reader {
    struct zones *zones;
    int64_t from_us, to_us;
    ics_event_fn *tell;
    void *owner;
    size_t odd;
    int steps_left;
    int64_t until_us;        /* of processor time: a rule that says nothing is looked through to the end of its time */
    struct change *changes;
    size_t change_count;
};

/* A time as it is written. */
struct written { bool is_date; int64_t local_us; const struct place *place; };

/* --- values ------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

static int64_t local_of(struct icaltimetype time)
{
    time.is_date = 0;
    time.zone = NULL;
    return second_us * (int64_t)icaltime_as_timet(time);
}

static bool is_good(struct icaltimetype time)
{
    return !icaltime_is_null_time(time) && time.year >= 1900 && time.year <= 2200 && time.month >= 1 && time.month <= 12
        && time.day >= 1 && time.day <= icaltime_days_in_month(time.month, time.year)
        && time.hour >= 0 && time.hour <= 23 && time.minute >= 0 && time.minute <= 59 && time.second >= 0 && time.second <= 60;
}

static bool take_time(struct reader *self, icalproperty *property, struct icaltimetype time, struct written *to)
{
    icalparameter *zone = icalproperty_get_first_parameter(property, ICAL_TZID_PARAMETER);
    const char *name = zone ? icalparameter_get_tzid(zone) : NULL;
    if (!is_good(time))
        return false;
    bool is_utc = !icaltime_is_date(time) && (icaltime_is_utc(time) || (name && strcmp(name, "UTC") == 0));
    *to = (struct written){ icaltime_is_date(time) != 0, local_of(time), is_utc ? NULL : zones_find(self->zones, name && !icaltime_is_date(time) ? name : "") };
    return true;
}

static bool take_property(struct reader *self, icalcomponent *event, icalproperty_kind kind, struct written *to)
{
    icalproperty *property = icalcomponent_get_first_property(event, kind);
    if (!property)
        return false;
    icalvalue *value = icalproperty_get_value(property);
    return value && (icalvalue_isa(value) == ICAL_DATETIME_VALUE || icalvalue_isa(value) == ICAL_DATE_VALUE)
        && take_time(self, property, icalvalue_get_datetime(value), to);
}

static int64_t moment_of(const struct written *time)
{
    return time->is_date ? place_date(time->place, time->local_us / day_us) : place_moment(time->place, time->local_us);
}

/* --- one occurrence ------------------------------------------------------------------------------------- */

/* What all occurrences of an event have. Its length is of the wall clock where both ends are in one zone, so that an event from nine to five is
 * one on every day; else of time. */
struct series {
    icalcomponent *event;
    struct written start;
    struct written *dates;      /* the exceptions, then what is repeated by no rule */
    size_t except_count, date_count;
    int64_t length_us;
    bool is_exact;
    uint64_t uid;
};

static struct slice text_of(const char *text)
{
    return slice_of(text ? text : "");
}

static int64_t end_of(const struct series *series, const struct written *start)
{
    struct written end = *start;
    if (series->is_exact)
        return moment_of(start) + series->length_us;
    end.local_us += series->length_us;
    return moment_of(&end);
}

static bool is_changed(const struct reader *self, uint64_t uid, int64_t at_us)
{
    for (size_t i = 0; i < self->change_count; i++)
        if (self->changes[i].uid == uid && self->changes[i].at_us == at_us)
            return true;
    return false;
}

/* A date excludes whatever begins on it: some programs write it so for events with a time, too. */
static bool is_excluded(const struct series *series, const struct written *start, int64_t at_us)
{
    for (size_t i = 0; i < series->except_count; i++) {
        const struct written *except = &series->dates[i];
        if (except->is_date ? except->local_us / day_us == start->local_us / day_us : moment_of(except) == at_us)
            return true;
    }
    return false;
}

static void tell(struct reader *self, const struct series *series, const struct written *start, bool is_one_of_many)
{
    struct ics_event event = { .from_us = moment_of(start), .to_us = end_of(series, start), .is_all_day = start->is_date };
    if (event.from_us < 0 || event.to_us < event.from_us) {
        self->odd++;
        return;
    }
    bool is_near = event.from_us < self->to_us && (event.to_us > self->from_us || event.from_us >= self->from_us);
    if (!is_near || (is_one_of_many && (is_changed(self, series->uid, event.from_us) || is_excluded(series, start, event.from_us))))
        return;
    event.summary = text_of(icalcomponent_get_summary(series->event));
    event.location = text_of(icalcomponent_get_location(series->event));
    event.description = text_of(icalcomponent_get_description(series->event));
    self->tell(self->owner, &event);
}

/* --- repetition ------------------------------------------------------------------------------------------ */

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* A month has no sixth Monday: libical looks for one until the year 2582, for seconds. */
static bool is_possible(const struct icalrecurrencetype *rule)
{
    for (int i = 0; rule->freq == ICAL_MONTHLY_RECURRENCE && i < ICAL_BY_DAY_SIZE && rule->by_day[i] != ICAL_RECURRENCE_ARRAY_MAX; i++) {
        int position = icalrecurrencetype_day_position(rule->by_day[i]);
        if (position > 5 || position < -5)
            return false;
    }
    return true;
}

/* Rules that could be counted through for hours before they say anything. */
static bool is_countable(const struct icalrecurrencetype *rule)
{
    bool has_parts = rule->by_month[0] != ICAL_RECURRENCE_ARRAY_MAX || rule->by_month_day[0] != ICAL_RECURRENCE_ARRAY_MAX
        || rule->by_year_day[0] != ICAL_RECURRENCE_ARRAY_MAX || rule->by_day[0] != ICAL_RECURRENCE_ARRAY_MAX
        || rule->by_hour[0] != ICAL_RECURRENCE_ARRAY_MAX || rule->by_minute[0] != ICAL_RECURRENCE_ARRAY_MAX
        || rule->by_second[0] != ICAL_RECURRENCE_ARRAY_MAX || rule->by_week_no[0] != ICAL_RECURRENCE_ARRAY_MAX;
    return rule->freq > ICAL_MINUTELY_RECURRENCE && rule->freq != ICAL_NO_RECURRENCE && !rule->rscale
        && (rule->freq != ICAL_HOURLY_RECURRENCE || !has_parts);
}

/* The end of a rule as local time, as its occurrences are; a day counts as a whole. */
static struct icaltimetype local_until(const struct series *series, struct icaltimetype until)
{
    if (icaltime_is_null_time(until))
        return until;
    if (icaltime_is_date(until)) {
        until.is_date = series->start.is_date;
        if (!series->start.is_date) {
            until.hour = 23;
            until.minute = until.second = 59;
        }
        return until;
    }
    if (icaltime_is_utc(until) && !series->start.is_date)
        until = icaltime_from_timet_with_zone((time_t)(place_local(series->start.place, local_of(until)) / second_us), 0, NULL);
    until.zone = NULL;
    until.is_date = series->start.is_date;
    return until;
}

static struct icaltimetype ical_of(int64_t local_us, bool is_date)
{
    return icaltime_from_timet_with_zone((time_t)(local_us / second_us), is_date, NULL);
}

/* Local time in which the span lies for certain, whatever the zone. */
static int64_t earliest(const struct reader *self, const struct series *series)
{
    return self->from_us - series->length_us - 2 * day_us;
}

static void repeat(struct reader *self, const struct series *series, struct icalrecurrencetype rule)
{
    int64_t start_us = series->start.local_us, near_us = earliest(self, series);
    struct icaltimetype start = ical_of(start_us, series->start.is_date);
    rule.until = local_until(series, rule.until);
    icalrecur_iterator *iterator = is_countable(&rule) && is_possible(&rule) && clock_us() < self->until_us ? icalrecur_iterator_new(rule, start) : NULL;
    if (!iterator) {
        self->odd++;
        tell(self, series, &series->start, true);
        return;
    }
    if (rule.count == 0 && near_us > start_us && near_us > 0)
        icalrecur_iterator_set_start(iterator, ical_of(near_us, series->start.is_date));
    while (self->steps_left-- > 0 && clock_us() < self->until_us) {
        struct icaltimetype time = icalrecur_iterator_next(iterator);
        struct written at = { series->start.is_date, local_of(time), series->start.place };
        if (icaltime_is_null_time(time) || at.local_us > self->to_us + 2 * day_us)
            break;
        tell(self, series, &at, true);
    }
    icalrecur_iterator_free(iterator);
}

static struct icaltimetype time_of(icalproperty *property, icalproperty_kind kind)
{
    if (kind == ICAL_EXDATE_PROPERTY)
        return icalproperty_get_exdate(property);
    struct icaldatetimeperiodtype date = icalproperty_get_rdate(property);
    return icaltime_is_null_time(date.time) ? date.period.start : date.time;
}

/* libical walks the properties of a component in one place at a time: whatever else looks at one begins anew. So they are gathered first. */
static size_t gather_dates(struct reader *self, struct series *series, icalproperty_kind kind, size_t count)
{
    for (icalproperty *p = icalcomponent_get_first_property(series->event, kind); p; p = icalcomponent_get_next_property(series->event, kind)) {
        series->dates = realloc(series->dates, (count + 1) * sizeof *series->dates);
        assert(series->dates);
        if (take_time(self, p, time_of(p, kind), &series->dates[count]))
            count++;
        else
            self->odd++;
    }
    return count;
}

/* --- one event ----------------------------------------------------------------------------------------- */

static void measure(struct reader *self, struct series *series)
{
    struct written end;
    icalproperty *duration = icalcomponent_get_first_property(series->event, ICAL_DURATION_PROPERTY);
    if (take_property(self, series->event, ICAL_DTEND_PROPERTY, &end) && end.is_date == series->start.is_date) {
        series->is_exact = end.place != series->start.place;
        series->length_us = series->is_exact ? moment_of(&end) - moment_of(&series->start) : end.local_us - series->start.local_us;
    } else if (duration) {
        struct icaldurationtype d = icalproperty_get_duration(duration);
        series->length_us = (d.is_neg ? -1 : 1) * ((int64_t)d.weeks * 7 * day_us + (int64_t)d.days * day_us
            + second_us * ((int64_t)d.hours * 3600 + (int64_t)d.minutes * 60 + (int64_t)d.seconds));
        series->is_exact = !series->start.is_date && d.weeks == 0 && d.days == 0;
    } else {
        series->length_us = series->start.is_date ? day_us : 0;
    }
    if (series->start.is_date && series->length_us == 0)
        series->length_us = day_us; /* some programs write the same day as its end */
}

static bool is_cancelled(icalcomponent *event)
{
    return icalcomponent_get_status(event) == ICAL_STATUS_CANCELLED;
}

static void take_event(struct reader *self, icalcomponent *event)
{
    struct series series = { .event = event, .uid = hash_of(icalcomponent_get_uid(event)) };
    if (!take_property(self, event, ICAL_DTSTART_PROPERTY, &series.start)) {
        self->odd++;
        return;
    }
    measure(self, &series);
    if (series.length_us < 0 || series.length_us > 3660 * day_us) {
        self->odd++;
        return;
    }
    if (icalcomponent_get_first_property(event, ICAL_RECURRENCEID_PROPERTY)) {
        tell(self, &series, &series.start, false);
        return;
    }
    series.except_count = gather_dates(self, &series, ICAL_EXDATE_PROPERTY, 0);
    series.date_count = gather_dates(self, &series, ICAL_RDATE_PROPERTY, series.except_count);
    icalproperty *rule = icalcomponent_get_first_property(event, ICAL_RRULE_PROPERTY);
    if (rule)
        repeat(self, &series, icalproperty_get_rrule(rule));
    else
        tell(self, &series, &series.start, true);
    for (size_t i = series.except_count; i < series.date_count; i++)
        if (series.dates[i].is_date == series.start.is_date)
            tell(self, &series, &series.dates[i], true);
    free(series.dates);
}

static void take_change(struct reader *self, icalcomponent *event)
{
    struct written at;
    if (self->change_count == CHANGES_MAX || !take_property(self, event, ICAL_RECURRENCEID_PROPERTY, &at))
        return;
    if ((self->change_count & (self->change_count + 1)) == 0) {
        self->changes = realloc(self->changes, 2 * (self->change_count + 1) * sizeof *self->changes);
        assert(self->changes);
    }
    self->changes[self->change_count++] = (struct change){ hash_of(icalcomponent_get_uid(event)), moment_of(&at) };
}

/* --- components ------------------------------------------------------------------------------------------- */

static bool begins(struct slice line, const char *word)
{
    return line.size >= strlen(word) && strncasecmp(line.data, word, strlen(word)) == 0;
}

static struct slice next_line(struct slice *rest)
{
    const char *from = rest->data, *end = memchr(from, '\n', rest->size);
    size_t size = end ? (size_t)(end - from) + 1 : rest->size;
    *rest = (struct slice){ from + size, rest->size - size };
    return (struct slice){ from, size };
}

/* The next component of this name, its first and last line among it; freed by the caller. NULL: there is none. *size as it is in the file. */
static char *next_component(struct slice *rest, const char *name, size_t *odd)
{
    char begin[32] = "BEGIN:", end[32] = "END:";
    const char *from = NULL;
    strcat(begin, name);
    strcat(end, name);
    while (rest->size) {
        struct slice line = next_line(rest);
        if (begins(line, begin))
            from = line.data;
        if (!from || !begins(line, end))
            continue;
        size_t size = (size_t)((const char *)rest->data - from);
        if (size <= ICS_COMPONENT)
            return strndup(from, size);
        ++*odd;
        from = NULL;
    }
    return NULL;
}

typedef void component_fn(struct reader *, icalcomponent *);

/* Only those with the property in them are read at all. */
static void each_event(struct reader *self, struct slice text, const char *with, component_fn *take)
{
    for (char *one; (one = next_component(&text, "VEVENT", &self->odd)); free(one)) {
        icalcomponent *event = !with || strcasestr(one, with) ? icalparser_parse_string(one) : NULL;
        if (event && icalcomponent_isa(event) == ICAL_VEVENT_COMPONENT)
            take(self, event);
        else if (!with)
            self->odd++;
        if (event)
            icalcomponent_free(event);
    }
}

static void take_living(struct reader *self, icalcomponent *event)
{
    if (!is_cancelled(event))
        take_event(self, event);
}

/* One that is cut, as while it is being written, would be one with fewer events. */
static bool is_calendar(struct slice text)
{
    bool is_begun = false, is_whole = false;
    while (text.size) {
        struct slice line = next_line(&text);
        if (begins(line, "BEGIN:VCALENDAR") || begins(line, "\xef\xbb\xbf" "BEGIN:VCALENDAR")) {
            is_begun = true;
            is_whole = false;
        } else if (begins(line, "END:VCALENDAR")) {
            is_whole = is_begun;
        }
    }
    return is_whole;
}

int ics_read(struct slice text, const zone_t *home, int64_t from_us, int64_t to_us, ics_event_fn *tell_event, void *owner, size_t *odd, const char **why)
{
    struct reader self = { .from_us = from_us, .to_us = to_us, .tell = tell_event, .owner = owner, .steps_left = ICS_STEPS, .until_us = clock_us() + 2 * second_us };
    struct slice rest = text;
    *why = "is no calendar (iCalendar, .ics), or not a whole one";
    if (!is_calendar(text))
        return -1;
    icalerror_set_errors_are_fatal(false);
    self.zones = zones_new(home);
    for (char *one; (one = next_component(&rest, "VTIMEZONE", &self.odd)); free(one))
        self.odd += zones_add(self.zones, one) != 0;
    each_event(&self, text, "RECURRENCE-ID", take_change);
    self.odd = 0; /* each is told in the second round */
    each_event(&self, text, NULL, take_living);
    self.odd += self.steps_left < 0 || clock_us() >= self.until_us;
    *odd = self.odd;
    zones_destroy(&self.zones);
    free(self.changes);
    return 0;
}
