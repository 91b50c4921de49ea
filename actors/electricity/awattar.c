/* awattar.c - aWATTar: the exchange's prices for Germany and Austria, free of a key. */
#include "electricity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    int64_t from_us, to_us;
    prices_span(source, &from_us, &to_us);
    snprintf(path, size, "/v1/marketdata");
    snprintf(self->words[0], sizeof self->words[0], "%" PRId64, from_us / 1000);
    snprintf(self->words[1], sizeof self->words[1], "%" PRId64, to_us / 1000);
    fetch->query[0] = (struct pair){ "start", self->words[0] };
    fetch->query[1] = (struct pair){ "end", self->words[1] };
    return 0;
}

/* Milliseconds since the epoch. */
static bool pick_ms(json_t *json, struct slice object, const char *key, int64_t *at_us)
{
    double ms;
    if (!pick_number(json, object, key, &ms) || ms < 0 || ms > (double)(MAX_TIME_US / 1000))
        return false;
    *at_us = (int64_t)ms * 1000;
    return true;
}

static int take_slot(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    int64_t from_us, to_us;
    double price;
    char unit[16] = "Eur/MWh";
    bool is_whole = item.kind == JSON_OBJECT && pick_ms(json, item.raw, "start_timestamp", &from_us) && pick_ms(json, item.raw, "end_timestamp", &to_us)
        && pick_number(json, item.raw, "marketprice", &price);
    if (is_whole)
        pick_text(json, item.raw, "unit", unit, sizeof unit);
    if (!is_whole || strcmp(unit, "Eur/MWh") != 0) {
        source_odd(source, 1);
        return 0;
    }
    struct electricity_slot *slot = source_slot(source);
    if (!slot)
        return 1;
    SET(slot, from, from_us);
    SET(slot, to, to_us);
    slot_currency(slot, "EUR");
    price_of_market(source, slot, price / 1000);
    return 0;
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct json_value data = root.kind == JSON_OBJECT ? json_at(json, root.raw, "data") : root;
    *fault = (struct fault){ "data", "is no array" };
    if (root.kind != JSON_OBJECT || data.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, data.raw, take_slot, source);
    return 0;
}

const struct step awattar_steps[] = { { .ask = ask, .read = read_answer }, { .read = NULL } };
