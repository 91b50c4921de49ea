/* columns.c - one entity's columns, collected piece by piece and written as JSON. */
#include "columns.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- collecting -------------------------------------------------------------------------------------------- */

enum { BUFFERS = 8 };

static void buffers_of(struct columns *c, msgpack_sbuffer *list[BUFFERS])
{
    msgpack_sbuffer *all[BUFFERS] = { &c->start, &c->numbers, &c->first_states, &c->last_states, &c->texts, &c->resets, &c->unavailable, &c->gaps };
    memcpy(list, all, sizeof all);
}

void columns_clear(struct columns *c)
{
    msgpack_sbuffer *list[BUFFERS];
    buffers_of(c, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_clear(list[i]);
    c->entity_id[0] = c->unit[0] = c->tier[0] = '\0';
    c->known = c->is_states = c->gap_open = false;
    c->open_from = c->next = c->count = 0;
}

void columns_destroy(struct columns *c)
{
    msgpack_sbuffer *list[BUFFERS];
    buffers_of(c, list);
    for (size_t i = 0; i < BUFFERS; i++)
        msgpack_sbuffer_destroy(list[i]);
}

static void copy_text(struct slice text, char *to, size_t room)
{
    size_t size = text.size < room ? text.size : room - 1;
    if (size)
        memcpy(to, text.data, size);
    to[size] = '\0';
}

static void add_items(msgpack_sbuffer *to, bool has, struct slice items)
{
    if (!has || !items.size)
        return;
    if (to->size)
        put(to, ",");
    put_slice(to, items);
}

/* One stretch that goes on where the last piece ended is one. */
static void add_stretches(msgpack_sbuffer *to, bool has, struct slice pairs)
{
    int64_t last, first;
    if (!has || pairs.size < 2 * sizeof first)
        return;
    memcpy(&first, pairs.data, sizeof first);
    if (to->size && (memcpy(&last, to->data + to->size - sizeof last, sizeof last), last == first)) {
        to->size -= sizeof last;
        pairs = (struct slice){ (const char *)pairs.data + sizeof first, pairs.size - sizeof first };
    }
    put_slice(to, pairs);
}

static const char *finer(const char *a, const char *b)
{
    static const char *const order[] = { "raw", "15m", "1h", "1d" };
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (!strcmp(a, order[i]) || !strcmp(b, order[i]))
            return order[i];
    return "";
}

int columns_add(struct columns *c, const struct series_part *part)
{
    msgpack_sbuffer *list[BUFFERS];
    size_t bytes = 0;
    copy_text(part->entity_id, c->entity_id, sizeof c->entity_id);
    if (part->has_unit)
        copy_text(part->unit, c->unit, sizeof c->unit);
    if (part->has_tier)
        snprintf(c->tier, sizeof c->tier, "%s", finer(c->tier, part->tier));
    c->known = part->known;
    c->is_states = part->is_states;
    c->gap_open = part->gap_open;
    c->open_from = part->has_open_from ? part->open_from : 0;
    c->next = part->has_next ? part->next : 0;
    c->count += part->count;
    if (part->has_start)
        put_slice(&c->start, part->start);
    if (part->has_numbers)
        put_slice(&c->numbers, part->numbers);
    if (part->has_resets)
        put_slice(&c->resets, part->resets);
    add_items(&c->first_states, part->has_first_states, part->first_states);
    add_items(&c->last_states, part->has_last_states, part->last_states);
    add_items(&c->texts, part->has_texts, part->texts);
    add_stretches(&c->unavailable, part->has_unavailable, part->unavailable);
    add_stretches(&c->gaps, part->has_gaps, part->gaps);
    buffers_of(c, list);
    for (size_t i = 0; i < BUFFERS; i++)
        bytes += list[i]->size;
    return bytes > COLUMNS_MAX_BYTES || c->start.size != (size_t)c->count * sizeof(int64_t) ? -1 : 0;
}

void columns_shape(struct shape_of_columns *shape, const struct series_end *end, bool compact)
{
    *shape = (struct shape_of_columns){ .step_us = end->step_us, .is_raw = !strcmp(end->step, "raw"), .is_compact = compact && end->step_us > 0 };
    snprintf(shape->step, sizeof shape->step, "%s", end->step);
    snprintf(shape->stat, sizeof shape->stat, "%s", end->stat);
    for (char *at = shape->stat, *rest = NULL; shape->count < COLUMNS_MAX && (at = strtok_r(at, ",", &rest)); at = NULL)
        shape->names[shape->count++] = at;
}

/* --- writing ------------------------------------------------------------------------------------------------ */

static int64_t time_at(const msgpack_sbuffer *times, int64_t i)
{
    int64_t at;
    memcpy(&at, times->data + (size_t)i * sizeof at, sizeof at);
    return at;
}

static void write_time(int64_t at, msgpack_sbuffer *to)
{
    char text[TIME_TEXT + 2];
    text[0] = '"';
    time_text(at, text + 1);
    text[TIME_TEXT] = '"';
    msgpack_sbuffer_write(to, text, TIME_TEXT + 1);
}

static void write_times(const char *name, const msgpack_sbuffer *times, msgpack_sbuffer *to)
{
    int64_t count = (int64_t)(times->size / sizeof(int64_t));
    put(to, ",\"%s\":[", name);
    for (int64_t i = 0; i < count; i++) {
        if (i)
            msgpack_sbuffer_write(to, ",", 1);
        write_time(time_at(times, i), to);
    }
    put(to, "]");
}

static void write_stretches(const char *name, const msgpack_sbuffer *pairs, msgpack_sbuffer *to)
{
    int64_t count = (int64_t)(pairs->size / (2 * sizeof(int64_t)));
    put(to, ",\"%s\":[", name);
    for (int64_t i = 0; i < count; i++) {
        put(to, i ? ",[" : "[");
        write_time(time_at(pairs, 2 * i), to);
        put(to, ",");
        write_time(time_at(pairs, 2 * i + 1), to);
        put(to, "]");
    }
    put(to, "]");
}

/* Room for NUMBER_TEXT bytes. */
static size_t number_or_null(double number, char *to)
{
    if (isfinite(number))
        return number_write(number, to);
    memcpy(to, "null", 4);
    return 4;
}

/* The numbers lie row after row, all columns but durations in each. */
static size_t width_of(const struct shape_of_columns *shape)
{
    size_t width = 0;
    for (size_t i = 0; i < shape->count; i++)
        width += strcmp(shape->names[i], "durations") != 0;
    return shape->is_raw ? 1 : width;
}

static double number_at(const struct columns *c, size_t width, size_t column, int64_t row)
{
    double number = NAN;
    size_t at = ((size_t)row * width + column) * sizeof number;
    if (at + sizeof number <= c->numbers.size)
        memcpy(&number, c->numbers.data + at, sizeof number);
    return number;
}

/* Where the values are texts, and so the column is; NULL: it is numbers. */
static const msgpack_sbuffer *texts_of(const struct columns *c, const char *name)
{
    return !strcmp(name, "durations") ? &c->texts : !c->is_states ? NULL : !strcmp(name, "first") ? &c->first_states
        : !strcmp(name, "last") ? &c->last_states : NULL;
}

/* A call for every number and comma would cost as much as the numbers. */
static void write_numbers(const struct columns *c, size_t width, size_t column, msgpack_sbuffer *to)
{
    char text[4096];
    size_t size = 0;
    for (int64_t i = 0; i < c->count; i++) {
        if (size + NUMBER_TEXT + 1 > sizeof text) {
            msgpack_sbuffer_write(to, text, size);
            size = 0;
        }
        if (i)
            text[size++] = ',';
        size += number_or_null(number_at(c, width, column, i), text + size);
    }
    msgpack_sbuffer_write(to, text, size);
}

static void write_column(const struct columns *c, const char *name, size_t width, size_t column, msgpack_sbuffer *to)
{
    const msgpack_sbuffer *texts = texts_of(c, name);
    put(to, ",\"%s\":[", name);
    if (texts)
        put_slice(to, (struct slice){ texts->data, texts->size });
    else
        write_numbers(c, width, column, to);
    put(to, "]");
}

static void write_samples(const struct columns *c, msgpack_sbuffer *to)
{
    write_times("time", &c->start, to);
    write_column(c, "value", 1, 0, to);
    put(to, ",\"state\":[");
    put_slice(to, (struct slice){ c->texts.data, c->texts.size });
    put(to, "]");
}

static void write_steps(const struct columns *c, const struct shape_of_columns *shape, msgpack_sbuffer *to)
{
    size_t width = width_of(shape), column = 0;
    if (shape->is_compact && c->count) {
        put(to, ",\"t0\":");
        write_time(time_at(&c->start, 0), to);
        put(to, ",\"step_us\":%lld", (long long)shape->step_us);
    } else {
        write_times("start", &c->start, to);
    }
    for (size_t i = 0; i < shape->count; i++) {
        write_column(c, shape->names[i], width, column, to);
        column += strcmp(shape->names[i], "durations") != 0;
        if (!strcmp(shape->names[i], "resets"))
            write_times("reset_at", &c->resets, to);
    }
}

static void put_or_null(const char *text, msgpack_sbuffer *to)
{
    put_json(to, text[0] ? text : NULL);
}

void columns_write(const struct columns *c, const struct shape_of_columns *shape, msgpack_sbuffer *to)
{
    put(to, "{\"entity_id\":");
    put_json(to, c->entity_id);
    put(to, ",\"known\":%s,\"unit\":", c->known ? "true" : "false");
    put_or_null(c->unit, to);
    put(to, ",\"tier\":");
    put_or_null(c->tier, to);
    if (shape->is_raw)
        write_samples(c, to);
    else
        write_steps(c, shape, to);
    write_stretches("gaps", &c->gaps, to);
    write_stretches("unavailable", &c->unavailable, to);
    if (c->open_from)
        put(to, ",\"open\":true");
    if (c->next) {
        put(to, ",\"next\":");
        write_time(c->next, to);
    }
    put(to, "}");
}

/* --- rows ------------------------------------------------------------------------------------------------------ */

/* The next of items that lie with commas between: texts, null, objects of numbers. */
static struct slice next_item(struct slice *rest)
{
    const char *p = rest->data;
    size_t size = 0;
    int depth = 0;
    for (bool quoted = false; size < rest->size && (quoted || depth || p[size] != ','); size++) {
        if (quoted && p[size] == '\\')
            size++;
        else if (p[size] == '"')
            quoted = !quoted;
        else if (!quoted)
            depth += (p[size] == '{') - (p[size] == '}');
    }
    size = size < rest->size ? size : rest->size;
    struct slice item = { p, size };
    size += size < rest->size;
    *rest = (struct slice){ p + size, rest->size - size };
    return item;
}

void columns_write_rows(const struct columns *c, const struct shape_of_columns *shape, msgpack_sbuffer *to)
{
    struct slice rests[COLUMNS_MAX];
    size_t width = width_of(shape);
    for (size_t i = 0; i < shape->count; i++) {
        const msgpack_sbuffer *texts = texts_of(c, shape->names[i]);
        rests[i] = texts ? (struct slice){ texts->data, texts->size } : (struct slice){ NULL, 0 };
    }
    for (int64_t row = 0; row < c->count; row++) {
        char text[NUMBER_TEXT];
        put(to, row ? ",{\"start\":" : "{\"start\":");
        write_time(time_at(&c->start, row), to);
        for (size_t i = 0, column = 0; i < shape->count; i++) {
            put(to, ",\"%s\":", shape->names[i]);
            if (texts_of(c, shape->names[i]))
                put_slice(to, next_item(&rests[i]));
            else
                msgpack_sbuffer_write(to, text, number_or_null(number_at(c, width, column, row), text));
            column += strcmp(shape->names[i], "durations") != 0;
        }
        put(to, c->open_from && c->open_from == time_at(&c->start, row) ? ",\"open\":true}" : "}");
    }
}
