/* mapping.c - members of the reading out of MQTT's topics, as the settings say. */
#include "mapping.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct { const char *name, *prefix, *text; } devices[] = {
    { "glow", "glow/+", "power_w=%/SENSOR/electricitymeter#electricitymeter.power.value*1000;"
        "import_kwh=%/SENSOR/electricitymeter#electricitymeter.energy.import.cumulative;"
        "export_kwh=%/SENSOR/electricitymeter#electricitymeter.energy.export.cumulative;"
        "as_of=%/SENSOR/electricitymeter#electricitymeter.timestamp;"
        "gas_m3=%/SENSOR/gasmeter#gasmeter.energy.import.cumulativevol" },
    { "shelly-em", "", "power_w=%/emeter/0/power;import_kwh=%/emeter/0/total*0.001;export_kwh=%/emeter/0/total_returned*0.001;"
        "voltage_l1_v=%/emeter/0/voltage;circuit:channel 2=%/emeter/1/power" },
    { "shelly-3em", "", "power_w=%/emeter/0/power;power_w=%/emeter/1/power;power_w=%/emeter/2/power;"
        "import_kwh=%/emeter/0/total*0.001;import_kwh=%/emeter/1/total*0.001;import_kwh=%/emeter/2/total*0.001;"
        "export_kwh=%/emeter/0/total_returned*0.001;export_kwh=%/emeter/1/total_returned*0.001;export_kwh=%/emeter/2/total_returned*0.001;"
        "power_l1_w=%/emeter/0/power;power_l2_w=%/emeter/1/power;power_l3_w=%/emeter/2/power;"
        "voltage_l1_v=%/emeter/0/voltage;voltage_l2_v=%/emeter/1/voltage;voltage_l3_v=%/emeter/2/voltage;"
        "current_l1_a=%/emeter/0/current;current_l2_a=%/emeter/1/current;current_l3_a=%/emeter/2/current" },
    { "shelly-pro-3em", "", "power_w=%/status/em:0#total_act_power;import_kwh=%/status/emdata:0#total_act*0.001;export_kwh=%/status/emdata:0#total_act_ret*0.001;"
        "power_l1_w=%/status/em:0#a_act_power;power_l2_w=%/status/em:0#b_act_power;power_l3_w=%/status/em:0#c_act_power;"
        "voltage_l1_v=%/status/em:0#a_voltage;voltage_l2_v=%/status/em:0#b_voltage;voltage_l3_v=%/status/em:0#c_voltage;"
        "current_l1_a=%/status/em:0#a_current;current_l2_a=%/status/em:0#b_current;current_l3_a=%/status/em:0#c_current" },
};

/* --- reading the text ------------------------------------------------------------------------------ */

static bool is_member(const char *name)
{
    const struct field *f = schema_field(smartmeter_reading_schema(), name, strlen(name));
    if (strncmp(name, "circuit:", 8) == 0)
        return name[8] != '\0';
    return strcmp(name, "as_of") == 0 || (f && f->kind == REAL_KIND && f->flags & FIELD && strncmp(name, "circuit_", 8) != 0 && strncmp(name, "phantom_", 8) != 0);
}

/* `%` is the prefix. */
static bool put_topic(const char *from, size_t size, const char *prefix, char to[TOPIC_BYTES])
{
    size_t n = 0;
    for (size_t i = 0; i < size && n < TOPIC_BYTES; i++)
        n += (size_t)(from[i] == '%' ? snprintf(to + n, TOPIC_BYTES - n, "%s", prefix) : snprintf(to + n, TOPIC_BYTES - n, "%c", from[i]));
    return n > 0 && n < TOPIC_BYTES && !strpbrk(to, "# ");
}

static const char *read_row(const char *text, size_t size, const char *prefix, struct mapping *row)
{
    const char *end = text + size, *equals = memchr(text, '=', size), *star, *hash;
    *row = (struct mapping){ .factor = 1 };
    if (!equals || equals == text || (size_t)(equals - text) >= sizeof row->member)
        return "is no member=topic";
    memcpy(row->member, text, (size_t)(equals - text));
    if (!is_member(row->member))
        return "begins with no member of the reading that can be measured, nor with as_of or circuit:Name";
    star = memrchr(equals, '*', (size_t)(end - equals));
    if (star) {
        char *after;
        row->factor = strtod(star + 1, &after);
        if (after == star + 1 || after != end || !(row->factor > -1e9 && row->factor < 1e9))
            return "has a factor that is no number";
        end = star;
    }
    hash = memchr(equals, '#', (size_t)(end - equals));
    if (hash && (end - hash - 1 < 1 || end - hash - 1 >= (ptrdiff_t)sizeof row->path))
        return "has an empty path, or one that is too long";
    if (hash)
        memcpy(row->path, hash + 1, (size_t)(end - hash - 1));
    if (strchr(equals, '%') && strchr(equals, '%') < end && !*prefix)
        return "has a % and there is no smartmeter.mqtt_prefix";
    return put_topic(equals + 1, (size_t)((hash ? hash : end) - equals - 1), prefix, row->topic) ? NULL : "has no topic, or one that is too long";
}

int mappings_read(const char *text, const char *prefix, struct mappings *self, char *why, size_t size)
{
    self->count = 0;
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (strcmp(text, devices[i].name) == 0) {
            text = devices[i].text;
            prefix = *prefix ? prefix : devices[i].prefix;
        }
    for (const char *at = text; *at;) {
        size_t skip = strspn(at, "; \n\t"), length = strcspn(at + skip, ";\n"), kept = length;
        while (kept > 0 && strchr(" \t\r", at[skip + kept - 1]))
            kept--;
        const char *wrong = kept == 0 ? NULL : self->count == MAPPINGS ? "is one too many" : read_row(at + skip, kept, prefix, &self->rows[self->count]);
        if (wrong) {
            snprintf(why, size, "\"%.*s\" %s", kept < 80 ? (int)kept : 80, at + skip, wrong);
            return -1;
        }
        self->count += kept > 0;
        at += skip + length;
    }
    snprintf(why, size, "names no topic");
    return self->count > 0 ? 0 : -1;
}

/* --- messages -------------------------------------------------------------------------------------------- */

bool topic_matches(const char *pattern, const char *topic)
{
    while (*pattern && *topic) {
        if (*pattern == '+') {
            pattern++;
            topic += strcspn(topic, "/");
        } else if (*pattern++ != *topic++) {
            return false;
        }
    }
    return !*pattern && !*topic;
}

static bool take_value(struct mapping *row, json_t *json, struct json_value root, struct slice payload)
{
    int64_t at_us;
    struct json_value value = root;
    if (*row->path)
        value = root.kind == JSON_OBJECT || root.kind == JSON_ARRAY ? json_at(json, root.raw, row->path) : (struct json_value){ JSON_NOTHING, { "", 0 } };
    if (strcmp(row->member, "as_of") == 0) {
        if (!(value.kind == JSON_NOTHING && !*row->path ? time_of_text(payload, &at_us) : time_of_value(json, value, &at_us)))
            return false;
        row->value = (double)at_us;
        return true;
    }
    if (!number_of_value(json, value, &row->value))
        return false;
    row->value *= row->factor;
    return true;
}

size_t mappings_take(struct mappings *self, json_t *json, const char *topic, struct slice payload, int64_t now_us, size_t *odd)
{
    struct json_value root = { JSON_NOTHING, { "", 0 } };
    const char *why;
    bool is_read = false;
    size_t count = 0;
    *odd = 0;
    for (size_t i = 0; i < self->count; i++) {
        struct mapping *row = &self->rows[i];
        if (!topic_matches(row->topic, topic))
            continue;
        if (!is_read && json_read(json, payload, &root, &why))
            root = (struct json_value){ JSON_NOTHING, { "", 0 } };
        is_read = true;
        row->is_known = take_value(row, json, root, payload);
        row->at_us = now_us;
        *odd += !row->is_known;
        count++;
    }
    return count;
}

bool mappings_value(const struct mappings *self, const char *member, int64_t since_us, double *value)
{
    bool is_there = false;
    *value = 0;
    for (size_t i = 0; i < self->count; i++) {
        const struct mapping *row = &self->rows[i];
        if (strcmp(row->member, member) != 0)
            continue;
        if (!row->is_known || row->at_us < since_us)
            return false;
        is_there = true;
        *value += row->value;
    }
    return is_there;
}
