/* zone.c - the time zones of the world: where a local day or month begins. */
#include "zone.h"

#include "zone_rule.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND_US = 1000000, DAY_S = 86400, HEAD_BYTES = 44, TRANSITIONS_MAX = 8192, TYPES_MAX = 256, OFFSET_MAX_S = 26 * 3600 };
#define FOREVER_S (INT64_MAX / 4)

struct zone {
    char name[ZONE_NAME];
    size_t count;
    int64_t *times;       /* from here on ... */
    int32_t *offsets;     /* ... this one; the first of them is in force before the first time */
    struct zone_rule rule; /* in force from the last time on */
    bool has_rule;
};

/* --- the file --------------------------------------------------------------------------------- */

struct head { uint32_t isutc, isstd, leap, time, type, chars; uint8_t version; };

static uint32_t big_32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static int64_t big_64(const uint8_t *at)
{
    return (int64_t)((uint64_t)big_32(at) << 32 | big_32(at + 4));
}

static bool read_head(const uint8_t *at, size_t size, struct head *head)
{
    if (size < HEAD_BYTES || memcmp(at, "TZif", 4) != 0)
        return false;
    *head = (struct head){ big_32(at + 20), big_32(at + 24), big_32(at + 28), big_32(at + 32), big_32(at + 36), big_32(at + 40), at[4] };
    return head->time <= TRANSITIONS_MAX && head->type >= 1 && head->type <= TYPES_MAX && head->chars <= 4096
        && head->leap <= 4096 && head->isstd <= TYPES_MAX && head->isutc <= TYPES_MAX;
}

static size_t block_bytes(const struct head *h, size_t time_bytes)
{
    return h->time * (time_bytes + 1) + h->type * 6 + h->chars + h->leap * (time_bytes + 4) + h->isstd + h->isutc;
}

static bool read_table(zone_t *zone, const uint8_t *at, const struct head *h, size_t time_bytes)
{
    const uint8_t *kinds = at + h->time * time_bytes, *types = kinds + h->time;
    zone->times = calloc(h->time + 1, sizeof *zone->times);
    zone->offsets = calloc(h->time + 1, sizeof *zone->offsets);
    assert(zone->times && zone->offsets);
    zone->count = h->time + 1;
    zone->times[0] = -FOREVER_S;
    zone->offsets[0] = (int32_t)big_32(types);
    for (size_t i = 0; i < h->time; i++) {
        int64_t time = time_bytes == 8 ? big_64(at + i * 8) : (int32_t)big_32(at + i * 4);
        if (kinds[i] >= h->type || time < zone->times[i] || (i > 0 && time == zone->times[i]) || time > FOREVER_S)
            return false;
        zone->times[i + 1] = time;
        zone->offsets[i + 1] = (int32_t)big_32(types + kinds[i] * 6);
    }
    for (size_t i = 0; i < zone->count; i++)
        if (zone->offsets[i] < -OFFSET_MAX_S || zone->offsets[i] > OFFSET_MAX_S)
            return false;
    return true;
}

/* "\n<rule>\n"; an empty rule says nothing. */
static bool read_footer(zone_t *zone, const uint8_t *at, size_t size)
{
    const uint8_t *end = size > 1 && at[0] == '\n' ? memchr(at + 1, '\n', size - 1) : NULL;
    if (!end)
        return size == 0;
    struct slice text = { at + 1, (size_t)(end - at - 1) };
    if (text.size == 0)
        return true;
    zone->has_rule = zone_rule_read(text, &zone->rule);
    return zone->has_rule;
}

static bool read_file(zone_t *zone, const uint8_t *at, size_t size)
{
    struct head h;
    if (!read_head(at, size, &h))
        return false;
    size_t bytes = block_bytes(&h, 4);
    if (size - HEAD_BYTES < bytes)
        return false;
    if (h.version < '2')
        return read_table(zone, at + HEAD_BYTES, &h, 4);
    at += HEAD_BYTES + bytes;
    size -= HEAD_BYTES + bytes;
    if (!read_head(at, size, &h) || size - HEAD_BYTES < block_bytes(&h, 8))
        return false;
    bytes = HEAD_BYTES + block_bytes(&h, 8);
    return read_table(zone, at + HEAD_BYTES, &h, 8) && read_footer(zone, at + bytes, size - bytes);
}

zone_t *zone_read(const char *name, struct slice file)
{
    zone_t *zone = calloc(1, sizeof *zone);
    assert(zone);
    snprintf(zone->name, sizeof zone->name, "%s", name);
    if (!read_file(zone, file.data, file.size))
        zone_destroy(&zone);
    return zone;
}

/* Names are paths below the directory, and nothing else. */
static bool is_name(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || (name[i] >= '0' && name[i] <= '9');
        if (!letter && !strchr("/_+-", name[i]))
            return false;
    }
    return size > 0 && size < ZONE_NAME && name[0] != '/' && name[size - 1] != '/' && !strstr(name, "//");
}

static zone_t *utc(void)
{
    zone_t *zone = calloc(1, sizeof *zone);
    assert(zone);
    strcpy(zone->name, "UTC");
    zone->times = calloc(1, sizeof *zone->times);
    zone->offsets = calloc(1, sizeof *zone->offsets);
    assert(zone->times && zone->offsets);
    zone->times[0] = -FOREVER_S;
    zone->count = 1;
    return zone;
}

static ssize_t read_whole(int fd, uint8_t *to, size_t room)
{
    size_t size = 0;
    while (size < room) {
        ssize_t got = read(fd, to + size, room - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            return (ssize_t)size;
        size += (size_t)got;
    }
    return -1; /* larger than any zone is */
}

zone_t *zone_open(const char *name, const char **why)
{
    char path[ZONE_NAME + 32];
    *why = "is no name of a zone, such as Europe/Vienna";
    if (strcmp(name, "UTC") == 0)
        return utc();
    if (!is_name(name))
        return NULL;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *why = errno == ENOENT || errno == ENOTDIR ? "is no zone that this machine knows (package tzdata)" : strerror(errno);
        return NULL;
    }
    uint8_t *bytes = malloc(ZONE_BYTES);
    assert(bytes);
    ssize_t size = read_whole(fd, bytes, ZONE_BYTES);
    close(fd);
    zone_t *zone = size < 0 ? NULL : zone_read(name, (struct slice){ bytes, (size_t)size });
    free(bytes);
    if (!zone)
        *why = "is a zone whose file cannot be read";
    return zone;
}

void zone_destroy(zone_t **zone_p)
{
    zone_t *zone = *zone_p;
    if (!zone)
        return;
    *zone_p = NULL;
    free(zone->times);
    free(zone->offsets);
    free(zone);
}

const char *zone_name(const zone_t *zone)
{
    return zone->name;
}

/* --- offsets ------------------------------------------------------------------------------------ */

/* The stretch of one offset that a second lies in. */
static struct zone_stretch stretch_at(const zone_t *zone, int64_t at_s)
{
    size_t low = 0, high = zone->count; /* times[low] <= at_s < times[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (zone->times[middle] <= at_s)
            low = middle;
        else
            high = middle;
    }
    struct zone_stretch s = { zone->times[low], low + 1 < zone->count ? zone->times[low + 1] : FOREVER_S, zone->offsets[low] };
    if (low + 1 < zone->count || !zone->has_rule)
        return s;
    struct zone_stretch by_rule = zone_rule_at(&zone->rule, at_s);
    if (by_rule.from < s.from)
        by_rule.from = s.from;
    return by_rule;
}

static int64_t floor_to(int64_t n, int64_t by)
{
    int64_t rest = n % by;
    return n - rest - (rest < 0 ? by : 0);
}

int32_t zone_offset_s(const zone_t *zone, int64_t at_us)
{
    return stretch_at(zone, floor_to(at_us, SECOND_US) / SECOND_US).offset;
}

/* --- local time ------------------------------------------------------------------------------------ */

/* The first second whose local time is `local` or later than it. */
static int64_t utc_of_local(const zone_t *zone, int64_t local)
{
    struct zone_stretch s = stretch_at(zone, local - OFFSET_MAX_S);
    for (;;) {
        int64_t at = local - s.offset;
        if (at <= s.from)
            return s.from; /* it was left out when this one began */
        if (at < s.to)
            return at;
        s = stretch_at(zone, s.to);
    }
}

/* Days since the epoch of the first day of a month; months are counted from January 1970. */
static int64_t month_first_day(int64_t month)
{
    int64_t year = 1970 + floor_to(month, 12) / 12;
    return days_of_date(year, (int)(month - floor_to(month, 12)) + 1, 1);
}

static int64_t month_of_day(int64_t day)
{
    int64_t year;
    int month;
    date_of_days(day, &year, &month);
    return (year - 1970) * 12 + month - 1;
}

static int64_t local_day(const zone_t *zone, int64_t at_s)
{
    return floor_to(at_s + stretch_at(zone, at_s).offset, DAY_S) / DAY_S;
}

static int64_t start_of(const zone_t *zone, bool is_month, int64_t number)
{
    return utc_of_local(zone, (is_month ? month_first_day(number) : number) * DAY_S);
}

/* The day or month that a second lies in. One that was begun, left again for an hour and begun once more is one. */
static int64_t number_at(const zone_t *zone, bool is_month, int64_t at_s)
{
    int64_t day = local_day(zone, at_s), number = is_month ? month_of_day(day) : day;
    while (start_of(zone, is_month, number) > at_s)
        number--;
    while (start_of(zone, is_month, number + 1) <= at_s)
        number++;
    return number;
}

static int64_t begin(const zone_t *zone, bool is_month, int64_t at_us, int64_t beyond)
{
    int64_t at_s = floor_to(at_us, SECOND_US) / SECOND_US;
    return start_of(zone, is_month, number_at(zone, is_month, at_s) + beyond) * SECOND_US;
}

int64_t zone_day_start(const zone_t *zone, int64_t at_us)
{
    return begin(zone, false, at_us, 0);
}

int64_t zone_day_next(const zone_t *zone, int64_t at_us)
{
    return begin(zone, false, at_us, 1);
}

int64_t zone_month_start(const zone_t *zone, int64_t at_us)
{
    return begin(zone, true, at_us, 0);
}

int64_t zone_month_next(const zone_t *zone, int64_t at_us)
{
    return begin(zone, true, at_us, 1);
}

/* --- the machine's ------------------------------------------------------------------------------------ */

static bool take_name(const char *text, char name[ZONE_NAME])
{
    static const char directory[] = "/zoneinfo/";
    const char *below = strstr(text, directory);
    const char *why;
    if (below)
        text = below + sizeof directory - 1;
    zone_t *zone = strlen(text) < ZONE_NAME ? zone_open(text, &why) : NULL;
    if (zone)
        snprintf(name, ZONE_NAME, "%s", text);
    bool is_one = zone != NULL;
    zone_destroy(&zone);
    return is_one;
}

void zone_of_machine(char name[ZONE_NAME])
{
    char text[PATH_MAX] = "";
    const char *tz = getenv("TZ");
    strcpy(name, "UTC");
    if (tz && take_name(*tz == ':' ? tz + 1 : tz, name))
        return;
    ssize_t size = readlink("/etc/localtime", text, sizeof text - 1);
    if (size > 0 && (text[size] = '\0', take_name(text, name)))
        return;
    FILE *file = fopen("/etc/timezone", "re");
    if (!file)
        return;
    if (fgets(text, sizeof text, file)) {
        text[strcspn(text, "\r\n")] = '\0';
        take_name(text, name);
    }
    fclose(file);
}
