/* circuits.c - parts of the house and their share of what it takes. */
#include "circuits.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void circuits_clear(struct circuits *self)
{
    free(self->rows);
    *self = (struct circuits){ NULL, 0 };
}

void circuits_add(struct circuits *self, const char *name, const char *series, const double *power_w)
{
    char own[24];
    if (self->count >= CIRCUITS_MAX)
        return;
    self->rows = realloc(self->rows, (self->count + 1) * sizeof *self->rows);
    assert(self->rows);
    struct smartmeter_circuit *row = &self->rows[self->count++];
    memset(row, 0, sizeof *row);
    snprintf(own, sizeof own, "_smartmeter.circuit_%zu_w", self->count);
    if (!series && self->count <= CIRCUITS_SERIES)
        series = own;
    SET_TEXT(row, name, name, strnlen(name, sizeof row->name - 1));
    if (series)
        SET_TEXT(row, series, series, strlen(series));
    if (power_w && *power_w >= -1e7 && *power_w <= 1e7)
        SET(row, power_w, *power_w);
}

static void put_share(struct smartmeter_circuit *row, const struct smartmeter_reading *reading)
{
    row->has_percent = false;
    if (row->has_power_w && reading->has_power_w && reading->power_w > 0)
        SET(row, percent, row->power_w / reading->power_w * 100);
}

static void put_member(const struct smartmeter_circuit *row, struct smartmeter_reading *reading)
{
    int number;
    char member[24];
    struct fault fault;
    char text[40];
    if (!row->has_series || !row->has_power_w || sscanf(row->series, "_smartmeter.circuit_%d_w", &number) != 1)
        return;
    snprintf(member, sizeof member, "circuit_%d_w", number);
    const struct field *f = schema_field(smartmeter_reading_schema(), member, strlen(member));
    int size = snprintf(text, sizeof text, "%.17g", row->power_w);
    if (f)
        schema_set_text(f, text, (size_t)size, reading, &fault);
}

void circuits_tell(struct circuits *self, struct smartmeter_reading *reading, char *to, size_t size)
{
    msgpack_sbuffer json;
    msgpack_sbuffer_init(&json);
    msgpack_sbuffer_write(&json, "[", 1);
    for (size_t i = 0; i < self->count; i++) {
        size_t before = json.size;
        put_share(&self->rows[i], reading);
        put_member(&self->rows[i], reading);
        if (i)
            msgpack_sbuffer_write(&json, ",", 1);
        schema_json(smartmeter_circuit_schema(), &self->rows[i], &json);
        if (json.size + 1 > size) /* GET .../circuits has them all */
            json.size = before;
    }
    msgpack_sbuffer_write(&json, "]", 1);
    if (self->count > 0 && json.size <= size) {
        memcpy(to, json.data, json.size);
        SET(reading, circuits, (struct slice){ to, json.size });
    }
    msgpack_sbuffer_destroy(&json);
}
