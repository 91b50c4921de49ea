/* energy_charts.c - Energy-Charts (Fraunhofer ISE): the exchanges' prices in Europe, free of a key. */
#include "electricity.h"

#include <stdio.h>
#include <string.h>

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    int64_t from_us, to_us;
    char text[TIME_TEXT];
    prices_span(source, &from_us, &to_us);
    snprintf(path, size, "/price");
    time_text(from_us, text);
    snprintf(self->words[0], sizeof self->words[0], "%.10s", text);
    time_text(to_us - 1, text); /* the last day is included */
    snprintf(self->words[1], sizeof self->words[1], "%.10s", text);
    fetch->query[0] = (struct pair){ "bzn", source_setting(source, "area") };
    fetch->query[1] = (struct pair){ "start", self->words[0] };
    fetch->query[2] = (struct pair){ "end", self->words[1] };
    return 0;
}

struct walk { source_t *source; size_t index; char currency[4]; };

static int take_time(void *owner, struct json_value item)
{
    struct walk *self = owner;
    struct electricity_slot *slot = source_slot_at(self->source, self->index, true);
    int64_t at_us;
    if (!slot)
        return 1;
    if (time_of_value(source_json(self->source), item, &at_us))
        SET(slot, from, at_us);
    slot_currency(slot, self->currency);
    self->index++;
    return 0;
}

static void take_price(void *owner, size_t index, const char *member, double number)
{
    struct walk *self = owner;
    struct electricity_slot *slot = source_slot_at(self->source, index, false);
    (void)member;
    if (slot)
        price_of_market(self->source, slot, number / 1000);
    else
        source_odd(self->source, 1);
}

/* "EUR / MWh"; some zones say "No Unit", and mean that. False: per something else. */
static bool read_unit(json_t *json, struct slice root, char currency[4])
{
    char unit[24], per[16];
    strcpy(currency, "EUR");
    if (!pick_text(json, root, "unit", unit, sizeof unit) || strcasecmp(unit, "no unit") == 0)
        return true;
    if (sscanf(unit, "%3[A-Z] / %15s", currency, per) != 2 && sscanf(unit, "%3[A-Z]/%15s", currency, per) != 2)
        return false;
    return strlen(currency) == 3 && strcmp(per, "MWh") == 0;
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    static const struct pick prices[] = { { "price", "price", 0 } };
    json_t *json = source_json(source);
    struct electricity_reading *reading = source_draft(source);
    struct walk walk = { .source = source };
    char licence[241];
    *fault = (struct fault){ "unix_seconds", "is no array" };
    struct json_value times = root.kind == JSON_OBJECT ? json_at(json, root.raw, "unix_seconds") : root;
    if (root.kind != JSON_OBJECT || times.kind != JSON_ARRAY)
        return -1;
    *fault = (struct fault){ "unit", "is none that is known" };
    if (!read_unit(json, root.raw, walk.currency))
        return -1;
    json_each_item(json, times.raw, take_time, &walk);
    prices_end_slots(source); /* before those without a price go */
    pick_columns(json, root.raw, prices, 1, take_price, &walk);
    if (pick_text(json, root.raw, "license_info", licence, sizeof licence))
        SET_TEXT(reading, licence, licence, strlen(licence));
    return 0;
}

const struct step energy_charts_steps[] = { { .ask = ask, .read = read_answer, .passing = 404 }, { .read = NULL } };
