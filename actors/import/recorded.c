/* recorded.c - what a row of the recorder says, as Home Assistant had said it when it happened. */
#include "recorded.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

/* The columns that database.c asks for. */
enum { ID, AT };
enum { STATE_ENTITY = 2, STATE_STATE, STATE_ATTRIBUTES, STATE_CHANGED, STATE_REPORTED, STATE_ORIGIN, STATE_OLD = STATE_ORIGIN + 4, STATE_OLD_CHANGED };
enum { EVENT_TYPE = 2, EVENT_DATA, EVENT_ORIGIN };
enum { CONTEXT_ID = 1, CONTEXT_PARENT, CONTEXT_USER }; /* after the origin */
enum { STATISTIC_ID = 2, STATISTIC_MEAN, STATISTIC_RESET = STATISTIC_MEAN + 5, STATISTIC_WEIGHT, STATISTIC_UNIT, STATISTIC_NAME,
    STATISTIC_SOURCE, STATISTIC_MEAN_TYPE, STATISTIC_COLUMNS };

int64_t recorded_id(row_t *row) { return sqlite3_column_int64(row, ID); }
double recorded_seconds(row_t *row) { return sqlite3_column_double(row, AT); }

static void put(msgpack_sbuffer *out, const char *text)
{
    msgpack_sbuffer_write(out, text, strlen(text));
}

static bool is_null(row_t *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL;
}

static bool is_number(row_t *row, int column)
{
    int type = sqlite3_column_type(row, column);
    return type == SQLITE_FLOAT || type == SQLITE_INTEGER;
}

static struct slice bytes_of(row_t *row, int column)
{
    const void *bytes = sqlite3_column_blob(row, column); /* of a number: its text */
    return (struct slice){ bytes ? bytes : "", (size_t)sqlite3_column_bytes(row, column) };
}

/* A text or null. */
static void put_text(row_t *row, int column, msgpack_sbuffer *out)
{
    if (is_null(row, column))
        put(out, "null");
    else
        json_write_text(bytes_of(row, column), out);
}

static void put_time(row_t *row, int column, msgpack_sbuffer *out)
{
    char text[TIME_TEXT];
    int64_t at_us = is_number(row, column) ? time_from_seconds(sqlite3_column_double(row, column)) : -1;
    if (at_us < 0) {
        put_text(row, column, out);
        return;
    }
    time_text(at_us, text);
    put(out, "\"");
    put(out, text);
    put(out, "\"");
}

/* A JSON object, or a text where it is none: pasted in as it is, it could say anything. */
static void put_object(row_t *row, int column, json_t *json, msgpack_sbuffer *out)
{
    struct json_value root;
    const char *why;
    struct slice text = bytes_of(row, column);
    if (!is_null(row, column) && json_read(json, text, &root, &why) == 0 && root.kind == JSON_OBJECT)
        msgpack_sbuffer_write(out, root.raw.data, root.raw.size);
    else
        put_text(row, column, out);
}

/* --- contexts ------------------------------------------------------------------------------------- */

/* 128 bits in 26 digits of five, the highest first. */
static void put_ulid(const uint8_t bytes[16], msgpack_sbuffer *out)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char text[28] = "\"";
    for (int digit = 0; digit < 26; digit++) {
        int value = 0;
        for (int bit = digit * 5 - 2; bit < digit * 5 + 3; bit++)
            value = value << 1 | (bit < 0 ? 0 : bytes[bit / 8] >> (7 - bit % 8) & 1);
        text[digit + 1] = digits[value];
    }
    text[27] = '"';
    msgpack_sbuffer_write(out, text, sizeof text);
}

static void put_hex(struct slice bytes, msgpack_sbuffer *out)
{
    char two[3];
    put(out, "\"");
    for (size_t i = 0; i < bytes.size; i++) {
        snprintf(two, sizeof two, "%02x", ((const uint8_t *)bytes.data)[i]);
        put(out, two);
    }
    put(out, "\"");
}

/* Sixteen bytes; all zero: what Home Assistant wrote where there was none. Rows of old have texts. */
static void put_context_part(row_t *row, int column, bool is_ulid, msgpack_sbuffer *out)
{
    static const uint8_t none[16];
    struct slice bytes = bytes_of(row, column);
    if (sqlite3_column_type(row, column) != SQLITE_BLOB)
        put_text(row, column, out);
    else if (bytes.size == 0 || (bytes.size == 16 && memcmp(bytes.data, none, 16) == 0))
        put(out, "null");
    else if (is_ulid && bytes.size == 16)
        put_ulid(bytes.data, out);
    else
        put_hex(bytes, out);
}

/* The end of an event, which all have in common; `origin` is its column. */
static void put_tail(row_t *row, int origin, msgpack_sbuffer *out)
{
    put(out, ",\"origin\":");
    bool knows = is_number(row, origin) && (sqlite3_column_int64(row, origin) == 0 || sqlite3_column_int64(row, origin) == 1);
    put(out, !knows ? "null" : sqlite3_column_int64(row, origin) ? "\"REMOTE\"" : "\"LOCAL\"");
    put(out, ",\"time_fired\":");
    put_time(row, AT, out);
    put(out, ",\"context\":{\"id\":");
    put_context_part(row, origin + CONTEXT_ID, true, out);
    put(out, ",\"parent_id\":");
    put_context_part(row, origin + CONTEXT_PARENT, true, out);
    put(out, ",\"user_id\":");
    put_context_part(row, origin + CONTEXT_USER, false, out);
    put(out, "}}");
}

/* --- events --------------------------------------------------------------------------------------- */

/* Of the old state the text, and since when it was. It is the row that Home Assistant named when
 * it wrote this one; none: the entity was new, or that row has been purged. */
static void put_old(row_t *row, msgpack_sbuffer *out)
{
    put(out, ",\"old_state\":");
    if (is_null(row, STATE_OLD)) {
        put(out, "null");
        return;
    }
    put(out, "{\"state\":");
    put_text(row, STATE_OLD, out);
    put(out, ",\"last_changed\":");
    put_time(row, STATE_OLD_CHANGED, out);
    put(out, "}");
}

void recorded_state(row_t *row, json_t *json, msgpack_sbuffer *out)
{
    put(out, "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":");
    put_text(row, STATE_ENTITY, out);
    put_old(row, out);
    put(out, ",\"new_state\":");
    if (is_null(row, STATE_STATE)) {
        put(out, "null");
    } else {
        put(out, "{\"state\":");
        put_text(row, STATE_STATE, out);
        put(out, ",\"last_changed\":");
        put_time(row, is_null(row, STATE_CHANGED) ? AT : STATE_CHANGED, out);
        put(out, ",\"last_updated\":");
        put_time(row, AT, out);
        put(out, ",\"last_reported\":");
        put_time(row, STATE_REPORTED, out);
        put(out, ",\"attributes\":");
        put_object(row, STATE_ATTRIBUTES, json, out);
        put(out, "}");
    }
    put(out, "}");
    put_tail(row, STATE_ORIGIN, out);
}

void recorded_event(row_t *row, json_t *json, msgpack_sbuffer *out)
{
    put(out, "{\"event_type\":");
    put_text(row, EVENT_TYPE, out);
    put(out, ",\"data\":");
    if (is_null(row, EVENT_DATA))
        put(out, "{}"); /* that is what it means */
    else
        put_object(row, EVENT_DATA, json, out);
    put_tail(row, EVENT_ORIGIN, out);
}

/* --- statistics ----------------------------------------------------------------------------------- */

static int refuse(struct fault *fault, const char *field, const char *why)
{
    *fault = (struct fault){ field, why };
    return -1;
}

static int read_time(row_t *row, int column, const char *field, bool *has, int64_t *at_us, struct fault *fault)
{
    *has = !is_null(row, column);
    if (!*has)
        return 0;
    *at_us = is_number(row, column) ? time_from_seconds(sqlite3_column_double(row, column)) : -1;
    return *at_us < 0 ? refuse(fault, field, "is no time from 1970 to 9999") : 0;
}

static int read_text(row_t *row, int column, const char *field, char *to, size_t room, uint32_t *size, bool *has, struct fault *fault)
{
    if (is_null(row, column))
        return 0;
    struct slice text = bytes_of(row, column);
    return text_store(to, room, size, has, text.data, text.size) ? refuse(fault, field, "too long") : 0;
}

static int read_texts(row_t *row, struct statistic_row *s, struct fault *fault)
{
#define TEXT_OF(column, name) read_text(row, column, #name, s->name, sizeof s->name, &s->name##_size, &s->has_##name, fault)
    return TEXT_OF(STATISTIC_ID, statistic_id) || TEXT_OF(STATISTIC_UNIT, unit) || TEXT_OF(STATISTIC_NAME, name)
        || TEXT_OF(STATISTIC_SOURCE, source) ? -1 : 0;
#undef TEXT_OF
}

static int read_numbers(row_t *row, struct statistic_row *s, struct fault *fault)
{
    const struct { const char *name; int column; bool *has; double *value; } numbers[] = {
        { "mean", STATISTIC_MEAN, &s->has_mean, &s->mean }, { "min", STATISTIC_MEAN + 1, &s->has_min, &s->min },
        { "max", STATISTIC_MEAN + 2, &s->has_max, &s->max }, { "state", STATISTIC_MEAN + 3, &s->has_state, &s->state },
        { "sum", STATISTIC_MEAN + 4, &s->has_sum, &s->sum }, { "mean_weight", STATISTIC_WEIGHT, &s->has_mean_weight, &s->mean_weight },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (is_null(row, numbers[i].column))
            continue;
        *numbers[i].value = sqlite3_column_double(row, numbers[i].column);
        *numbers[i].has = true;
        if (!is_number(row, numbers[i].column) || !isfinite(*numbers[i].value))
            return refuse(fault, numbers[i].name, "is no finite number");
    }
    return 0;
}

int recorded_statistic(row_t *row, enum table kind, struct statistic_row *s, struct fault *fault)
{
    schema_clear(statistic_row_schema(), s);
    SET_TEXT(s, period, kind == STATISTICS ? "hour" : "5minute", strlen(kind == STATISTICS ? "hour" : "5minute"));
    if (read_texts(row, s, fault) || read_time(row, AT, "start", &s->has_start, &s->start, fault)
            || read_time(row, STATISTIC_RESET, "last_reset", &s->has_last_reset, &s->last_reset, fault) || read_numbers(row, s, fault))
        return -1;
    if (!s->has_statistic_id || !s->has_start)
        return refuse(fault, s->has_start ? "statistic_id" : "start", "missing");
    if (is_null(row, STATISTIC_MEAN_TYPE))
        return 0;
    int64_t type = sqlite3_column_int64(row, STATISTIC_MEAN_TYPE);
    if (!is_number(row, STATISTIC_MEAN_TYPE) || type < 0 || type > 255)
        return refuse(fault, "mean_type", "is no number from 0 to 255");
    SET(s, mean_type, type);
    return 0;
}

void recorded_show(row_t *row, msgpack_sbuffer *out)
{
    for (int column = 0; column < sqlite3_column_count(row); column++) {
        put(out, column ? "," : "[");
        put_text(row, column, out);
    }
    put(out, "]");
}
