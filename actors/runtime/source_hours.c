/* source_hours.c - slots of an hour out of columns: an array of beginnings, `time`, and one for each member. */
#include "source_inside.h"
#include "row.h"

struct walk { source_t *source; size_t index; };

static void put_time(const struct schema *schema, const char *name, size_t size, int64_t at_us, void *slot)
{
    row_put_int(schema_field(schema, name, size), at_us, slot);
}

static int take_hour(void *owner, struct json_value item)
{
    struct walk *self = owner;
    const struct schema *schema = self->source->slot_schema;
    void *slot = source_slot_at(self->source, self->index++, true);
    int64_t at_us;
    if (slot && time_of_value(self->source->json, item, &at_us)) {
        put_time(schema, "from", 4, at_us, slot);
        put_time(schema, "to", 2, at_us + INT64_C(3600000000), slot);
    }
    return slot ? 0 : 1;
}

static void take_value(void *owner, size_t index, const char *member, double number)
{
    source_t *self = owner;
    void *slot = source_slot_at(self, index, false);
    if (!slot || !pick_put(self->slot_schema, member, number, slot))
        source_odd(self, 1);
}

void source_hours(source_t *self, struct json_value columns, const struct pick picks[], size_t count)
{
    struct walk walk = { .source = self };
    if (columns.kind != JSON_OBJECT)
        return;
    struct json_value times = json_at(self->json, columns.raw, "time");
    if (times.kind != JSON_ARRAY)
        return;
    json_each_item(self->json, times.raw, take_hour, &walk);
    pick_columns(self->json, columns.raw, picks, count, take_value, self);
}
