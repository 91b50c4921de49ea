/* telegram.c - DSMR P1 telegrams, cut out of a stream of bytes and read line by line. */
#include "telegram.h"
#include "pick.h"
#include "units.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_US = 2000000, VALUES = 4, CHANNELS = 5 };

unsigned crc16_arc(struct slice bytes)
{
    const unsigned char *at = bytes.data;
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xA001u : crc >> 1;
    }
    return crc;
}

/* --- the stream ---------------------------------------------------------------------------------- */

/* The end of the telegram that begins the buffer: behind the sum, before its line's end; 0: not there yet. */
static size_t find_end(const struct stream *self)
{
    for (size_t i = 1; i < self->size; i++) {
        if (self->bytes[i] != '!' || (self->bytes[i - 1] != '\n' && self->bytes[i - 1] != '\r'))
            continue;
        size_t end = i + 1;
        while (end < self->size && isxdigit((unsigned char)self->bytes[end]))
            end++;
        return end < self->size ? end : 0;
    }
    return 0;
}

static void cut(struct stream *self, size_t count)
{
    memmove(self->bytes, self->bytes + count, self->size - count);
    self->size -= count;
}

/* Noise before the beginning goes. A frame that is encrypted begins with DB 08 and the system's title. */
static void find_start(struct stream *self, int64_t clock_us)
{
    size_t at = 0;
    while (at < self->size && self->bytes[at] != '/') {
        bool is_cipher = (unsigned char)self->bytes[at] == 0xDB && at + 1 < self->size && self->bytes[at + 1] == 8;
        self->is_encrypted = self->is_encrypted || is_cipher;
        at++;
    }
    if (at > 0)
        self->began_us = clock_us;
    cut(self, at);
}

/* A telegram that was torn may lie before another: of the first line on, `/` is a beginning. */
static size_t last_start(const char *bytes, size_t size)
{
    const char *line = memchr(bytes, '\n', size);
    size_t first = line ? (size_t)(line - bytes) : size;
    for (size_t i = size; i-- > first;)
        if (bytes[i] == '/')
            return i;
    return 0;
}

static size_t take_whole(struct stream *self, int64_t clock_us, telegram_fn *each, void *owner)
{
    size_t size, dropped = 0;
    while (self->size > 0 && (size = find_end(self)) > 0) {
        size_t start = last_start(self->bytes, size);
        dropped += start > 0;
        self->is_encrypted = false;
        each(owner, (struct slice){ self->bytes + start, size - start });
        cut(self, size);
        self->began_us = clock_us;
        find_start(self, clock_us);
    }
    return dropped;
}

size_t stream_take(struct stream *self, int64_t clock_us, struct slice bytes, telegram_fn *each, void *owner)
{
    const char *at = bytes.data, *end = at + bytes.size;
    size_t dropped = self->size > 0 && clock_us - self->began_us > LONGEST_US;
    if (dropped)
        self->size = 0;
    while (at < end) {
        size_t room = sizeof self->bytes - self->size, part = (size_t)(end - at) < room ? (size_t)(end - at) : room;
        if (self->size == 0)
            self->began_us = clock_us;
        memcpy(self->bytes + self->size, at, part);
        self->size += part;
        at += part;
        find_start(self, clock_us);
        dropped += take_whole(self, clock_us, each, owner);
        if (self->size == sizeof self->bytes) { /* without an end: what follows may begin another */
            dropped++;
            self->size = 0;
        }
    }
    return dropped;
}

/* --- an object: A-B:C.D.E(value)(value)... -------------------------------------------------------- */

struct object { int a, b, c, d, e; struct slice values[VALUES]; size_t count; struct slice last; };

/* The digits at *at; -1: none, or too many. */
static int read_number(const char **at, const char *end)
{
    int number = 0, digits = 0;
    for (; *at < end && isdigit((unsigned char)**at) && digits < 5; (*at)++, digits++)
        number = number * 10 + (**at - '0');
    return digits > 0 ? number : -1;
}

static bool read_part(const char **at, const char *end, int *number, char after)
{
    *number = read_number(at, end);
    if (*number < 0 || *at >= end || **at != after)
        return false;
    (*at)++;
    return true;
}

/* The next one; a value may stand on the line after its object (DSMR 3). Lines that are none are passed over. */
static bool next_object(const char **at, const char *end, struct object *object)
{
    while (*at < end) {
        const char *line_end = memchr(*at, '\n', (size_t)(end - *at)), *next = line_end ? line_end + 1 : end;
        *object = (struct object){ .count = 0 };
        bool is_one = read_part(at, end, &object->a, '-') && read_part(at, end, &object->b, ':') && read_part(at, end, &object->c, '.')
            && read_part(at, end, &object->d, '.') && (object->e = read_number(at, end)) >= 0;
        while (is_one && *at < end && **at == '(') {
            const char *close = memchr(*at, ')', (size_t)(end - *at));
            if (!close)
                break;
            object->last = (struct slice){ *at + 1, (size_t)(close - *at - 1) };
            if (object->count < VALUES)
                object->values[object->count] = object->last;
            object->count++;
            next = *at = close + 1;
            while (next < end && (*next == '\r' || *next == '\n'))
                next++;
            if (next < end && *next == '(')
                *at = next;
        }
        *at = next;
        if (is_one && object->count > 0)
            return true;
    }
    return false;
}

/* Digits, a point, and a unit behind `*`; rounded to a thousandth, as they are printed. */
static bool read_value(struct slice text, struct slice unit_in_text, const char *unit, double *value)
{
    char number[24];
    const char *star = memchr(text.data, '*', text.size);
    size_t size = star ? (size_t)(star - (const char *)text.data) : text.size;
    if (size == 0 || size >= sizeof number)
        return false;
    memcpy(number, text.data, size);
    number[size] = '\0';
    if (strspn(number, "0123456789.") != size || strchr(number, '.') != strrchr(number, '.') || !isdigit((unsigned char)*number))
        return false;
    if (star)
        unit_in_text = (struct slice){ star + 1, text.size - size - 1 };
    *value = strtod(number, NULL);
    if (!units_convert(unit_in_text, slice_of(unit), value))
        return false;
    *value = round(*value * 1000) / 1000;
    return true;
}

static int digits_of(const char *at, int count)
{
    int number = 0;
    for (int i = 0; i < count; i++)
        number = isdigit((unsigned char)at[i]) && number >= 0 ? number * 10 + (at[i] - '0') : -1;
    return number;
}

/* 70 is what a meter says that has no time yet. */
int64_t telegram_time_us(struct slice text)
{
    const char *at = text.data;
    int parts[6];
    char iso[40];
    int64_t at_us;
    if (text.size != 13 || (at[12] != 'S' && at[12] != 'W'))
        return -1;
    for (int i = 0; i < 6; i++)
        if ((parts[i] = digits_of(at + 2 * i, 2)) < 0)
            return -1;
    if (parts[0] >= 70)
        return -1;
    snprintf(iso, sizeof iso, "20%02d-%02d-%02dT%02d:%02d:%02d%s", parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], at[12] == 'S' ? "+02:00" : "+01:00");
    return time_of_text(slice_of(iso), &at_us) ? at_us : -1;
}

/* --- the reading ------------------------------------------------------------------------------------ */

static const struct { int c, d, e; const char *member, *unit; } members[] = {
    { 1, 8, 0, "import_kwh", "kWh" }, { 2, 8, 0, "export_kwh", "kWh" }, { 1, 8, 1, "import_t1_kwh", "kWh" }, { 1, 8, 2, "import_t2_kwh", "kWh" },
    { 2, 8, 1, "export_t1_kwh", "kWh" }, { 2, 8, 2, "export_t2_kwh", "kWh" }, { 1, 4, 0, "demand_w", "W" }, { 1, 6, 0, "peak_month_w", "W" },
    { 32, 7, 0, "voltage_l1_v", "V" }, { 52, 7, 0, "voltage_l2_v", "V" }, { 72, 7, 0, "voltage_l3_v", "V" },
    { 31, 7, 0, "current_l1_a", "A" }, { 51, 7, 0, "current_l2_a", "A" }, { 71, 7, 0, "current_l3_a", "A" },
};

/* Power comes as two objects, from the grid and to it. */
static const struct { int c; const char *member; double sign; } powers[] = {
    { 1, "power_w", 1 }, { 2, "power_w", -1 }, { 21, "power_l1_w", 1 }, { 22, "power_l1_w", -1 },
    { 41, "power_l2_w", 1 }, { 42, "power_l2_w", -1 }, { 61, "power_l3_w", 1 }, { 62, "power_l3_w", -1 },
};
enum { POWERS = sizeof powers / sizeof *powers };

struct channel { int type; bool is_known; struct slice value, unit; int64_t at_us; };

struct reader {
    struct smartmeter_reading *reading;
    struct channel channels[CHANNELS];
    double powers[POWERS];
    bool has_power[POWERS];
    int64_t at_us;
    size_t odd;
};

static void take_power(struct reader *self, const struct object *object)
{
    for (size_t i = 0; i < POWERS; i++)
        if (powers[i].c == object->c) {
            self->has_power[i] = read_value(object->last, slice_of(""), "W", &self->powers[i]);
            self->odd += !self->has_power[i] && object->last.size > 0;
        }
}

static void take_member(struct reader *self, const struct object *object)
{
    double value;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].c == object->c && members[i].d == object->d && members[i].e == object->e && object->last.size > 0)
            self->odd += !read_value(object->last, slice_of(""), members[i].unit, &value)
                || !pick_put(smartmeter_reading_schema(), members[i].member, value, self->reading);
}

/* A meter at the M-Bus: gas, water, heat. Before DSMR 4 the value stands on the next line and its unit in front of that. */
static void take_channel(struct reader *self, const struct object *object)
{
    struct channel *channel = &self->channels[object->b];
    if (object->c == 24 && object->d == 1 && object->e == 0)
        channel->type = digits_of(object->last.data, object->last.size < 4 ? (int)object->last.size : 3);
    bool is_value = object->c == 24 && object->d == 2 && object->count >= 2, is_old = object->c == 24 && object->d == 3 && object->count >= VALUES;
    if ((!is_value && !is_old) || object->last.size == 0)
        return;
    channel->at_us = telegram_time_us(object->values[0]);
    channel->is_known = object->values[0].size < 2 || memcmp(object->values[0].data, "70", 2) != 0;
    channel->value = object->last;
    channel->unit = is_old ? slice_of("m3") : slice_of("");
    if (is_old && channel->type == 0)
        channel->type = 3;
}

static struct slice tariff_of(struct slice text)
{
    while (text.size > 1 && *(const char *)text.data == '0')
        text = (struct slice){ (const char *)text.data + 1, text.size - 1 };
    return text;
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The meter's number is text in hex. */
static void take_number(struct reader *self, struct slice hex)
{
    char text[64];
    const char *at = hex.data;
    size_t size = hex.size / 2;
    if (hex.size == 0 || hex.size % 2 || size >= sizeof text)
        return;
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(at[2 * i]), low = hex_digit(at[2 * i + 1]), c = high * 16 + low;
        if (high < 0 || low < 0 || c < ' ' || c > '~')
            return;
        text[i] = (char)c;
    }
    SET_TEXT(self->reading, meter, text, size);
}

static void take_word(struct reader *self, const struct object *object)
{
    struct smartmeter_reading *reading = self->reading;
    struct slice text = object->last;
    bool is_short = text.size > 0 && text.size <= 8 && text_is_plain(text);
    if (object->c == 1 && object->d == 0 && object->e == 0)
        self->at_us = telegram_time_us(text);
    else if (object->c == 96 && object->d == 14 && object->e == 0 && is_short)
        SET_TEXT(reading, tariff, (const char *)tariff_of(text).data, tariff_of(text).size);
    else if (object->c == 96 && object->d == 1 && object->e == 1)
        take_number(self, text);
    else if (object->c == 96 && object->d == 1 && object->e == 4 && is_short)
        SET_TEXT(reading, version, text.data, text.size);
}

static void take_object(struct reader *self, const struct object *object)
{
    if (object->a == 1 && object->b == 3 && object->c == 0 && object->d == 2 && object->e == 8) {
        if (object->last.size > 0 && object->last.size <= 8 && text_is_plain(object->last))
            SET_TEXT(self->reading, version, object->last.data, object->last.size);
    } else if (object->a == 1 && object->b == 0) {
        if (object->d == 7 && object->e == 0)
            take_power(self, object);
        take_member(self, object);
    } else if (object->a == 0 && object->b == 0) {
        take_word(self, object);
    } else if (object->a == 0 && object->b < CHANNELS) {
        take_channel(self, object);
    }
}

/* --- what is made of it ------------------------------------------------------------------------------ */

/* Where the meter measures but the power to the grid is not told, there is none. */
static void put_powers(struct reader *self)
{
    for (size_t i = 0; i < POWERS; i += 2)
        if (self->has_power[i]) {
            double net = self->powers[i] - (self->has_power[i + 1] ? self->powers[i + 1] : 0);
            self->odd += !pick_put(smartmeter_reading_schema(), powers[i].member, net, self->reading);
        }
}

static void put_totals(struct smartmeter_reading *reading)
{
    if (!reading->has_import_kwh && reading->has_import_t1_kwh)
        SET(reading, import_kwh, round((reading->import_t1_kwh + (reading->has_import_t2_kwh ? reading->import_t2_kwh : 0)) * 1000) / 1000);
    if (!reading->has_export_kwh && reading->has_export_t1_kwh)
        SET(reading, export_kwh, round((reading->export_t1_kwh + (reading->has_export_t2_kwh ? reading->export_t2_kwh : 0)) * 1000) / 1000);
}

/* Of two meters of a kind, one of which has been taken away, the one that has spoken last. */
static void put_channels(struct reader *self, const int types[2], const char *member, const char *unit)
{
    const struct channel *best = NULL;
    double value;
    for (const struct channel *c = self->channels; c < self->channels + CHANNELS; c++)
        if (c->is_known && (c->type == types[0] || c->type == types[1]) && (!best || c->at_us > best->at_us))
            best = c;
    if (!best)
        return;
    bool is_good = read_value(best->value, best->unit, unit, &value) && pick_put(smartmeter_reading_schema(), member, value, self->reading);
    self->odd += !is_good;
    if (is_good && types[0] == 3 && best->at_us >= 0)
        SET(self->reading, gas_at, best->at_us);
}

/* The sum behind `!`: 0: right, or none where there need not be one. */
static int check_sum(struct slice telegram, bool *has_sum, struct fault *fault)
{
    const char *bytes = telegram.data, *mark = memrchr(bytes, '!', telegram.size);
    char digits[8] = "";
    if (telegram.size < 4 || *bytes != '/' || !mark)
        return *fault = (struct fault){ "telegram", "has no beginning or no end" }, -1;
    size_t size = telegram.size - (size_t)(mark - bytes) - 1;
    *has_sum = size > 0;
    if (size > 4)
        return *fault = (struct fault){ "telegram", "has a checksum that is none" }, -1;
    memcpy(digits, mark + 1, size);
    if (*has_sum && strtoul(digits, NULL, 16) != crc16_arc((struct slice){ bytes, (size_t)(mark - bytes) + 1 }))
        return *fault = (struct fault){ "telegram", "has a wrong checksum: it was changed on its way" }, -1;
    return 0;
}

static bool says_something(const struct smartmeter_reading *reading)
{
    return reading->has_power_w || reading->has_import_kwh || reading->has_export_kwh || reading->has_gas_m3 || reading->has_water_m3 || reading->has_heat_gj;
}

int telegram_read(struct slice telegram, struct smartmeter_reading *reading, int64_t *at_us, size_t *odd, struct fault *fault)
{
    struct reader self = { .reading = reading, .at_us = -1 };
    struct object object;
    const char *at = telegram.data, *end = at + telegram.size;
    bool has_sum;
    if (check_sum(telegram, &has_sum, fault))
        return -1;
    while (next_object(&at, end, &object))
        take_object(&self, &object);
    if (!has_sum && reading->has_version && *reading->version >= '4')
        return *fault = (struct fault){ "telegram", "has no checksum, and must have one" }, -1;
    put_powers(&self);
    put_totals(reading);
    put_channels(&self, (const int[]){ 3, 3 }, "gas_m3", "m³");
    put_channels(&self, (const int[]){ 7, 6 }, "water_m3", "m³");
    put_channels(&self, (const int[]){ 4, 12 }, "heat_gj", "GJ");
    *at_us = self.at_us;
    *odd = self.odd;
    if (says_something(reading))
        return 0;
    *fault = (struct fault){ "telegram", "has no value that is known" };
    return -1;
}
