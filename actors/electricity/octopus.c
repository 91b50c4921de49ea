/* octopus.c - Octopus Energy: what a tariff costs in Great Britain, free of a key. */
#include "electricity.h"

#include <stdio.h>
#include <string.h>

static int ask_page(source_t *source, struct fetch *fetch, char *path, size_t size, const char *page)
{
    struct self *self = source_self(source);
    const char *product = source_setting(source, "product");
    int64_t from_us, to_us;
    char text[TIME_TEXT];
    prices_span(source, &from_us, &to_us);
    snprintf(path, size, "/v1/products/%s/electricity-tariffs/E-1R-%s-%s/standard-unit-rates/", product, product, source_setting(source, "area"));
    time_text(from_us, text);
    snprintf(self->words[0], sizeof self->words[0], "%.16sZ", text);
    time_text(to_us, text);
    snprintf(self->words[1], sizeof self->words[1], "%.16sZ", text);
    fetch->query[0] = (struct pair){ "period_from", self->words[0] };
    fetch->query[1] = (struct pair){ "period_to", self->words[1] };
    fetch->query[2] = (struct pair){ "page_size", "1500" };
    if (page)
        fetch->query[3] = (struct pair){ "page", page };
    return 0;
}

static int ask_first(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    return ask_page(source, fetch, path, size, NULL);
}

static int ask_second(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    return source_self(source)->has_more ? ask_page(source, fetch, path, size, "2") : 1;
}

/* Pence. A rate without an end holds until another is told. */
static int take_rate(void *owner, struct json_value item)
{
    source_t *source = owner;
    json_t *json = source_json(source);
    int64_t from_us, to_us, asked_us;
    double gross, net;
    char method[24] = "";
    bool is_whole = item.kind == JSON_OBJECT && pick_time(json, item.raw, "valid_from", &from_us) && pick_number(json, item.raw, "value_inc_vat", &gross);
    prices_span(source, &asked_us, &to_us);
    if (is_whole && json_at(json, item.raw, "valid_to").kind != JSON_NULL)
        is_whole = pick_time(json, item.raw, "valid_to", &to_us);
    if (!is_whole) {
        source_odd(source, 1);
        return 0;
    }
    if (pick_text(json, item.raw, "payment_method", method, sizeof method) && strcmp(method, "NON_DIRECT_DEBIT") == 0)
        return 0; /* the same span for those who pay otherwise */
    struct electricity_slot *slot = source_slot(source);
    if (!slot)
        return 1;
    SET(slot, from, from_us);
    SET(slot, to, to_us);
    slot_currency(slot, "GBP");
    price_of_bill(source, slot, gross / 100);
    if (pick_number(json, item.raw, "value_exc_vat", &net))
        pick_put(electricity_slot_schema(), "net", net / 100, slot);
    return 0;
}

static int read_page(source_t *source, struct json_value root, struct fault *fault)
{
    json_t *json = source_json(source);
    struct json_value results = root.kind == JSON_OBJECT ? json_at(json, root.raw, "results") : root;
    *fault = (struct fault){ "results", "is no array" };
    if (root.kind != JSON_OBJECT || results.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, results.raw, take_rate, source);
    source_self(source)->has_more = json_at(json, root.raw, "next").kind == JSON_TEXT;
    return 0;
}

const struct step octopus_steps[] = {
    { .ask = ask_first, .read = read_page },
    { .ask = ask_second, .read = read_page },
    { .read = NULL },
};
