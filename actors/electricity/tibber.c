/* tibber.c - Tibber: what its customers pay; GraphQL, a token. */
#include "electricity.h"

#include <stdio.h>
#include <string.h>

static const char question[] = "{\"query\":\"{viewer{homes{id currentSubscription{priceInfo(resolution: QUARTER_HOURLY)"
    "{current{currency} today{total energy startsAt} tomorrow{total energy startsAt}}}}}}\"}";

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    struct self *self = source_self(source);
    snprintf(path, size, "/v1-beta/gql");
    snprintf(self->header, sizeof self->header, "Bearer %s", source_setting(source, "token"));
    fetch->headers[0] = (struct pair){ "Authorization", self->header };
    fetch->body = slice_of(question);
    return 0;
}

struct walk { source_t *source; struct slice home; bool is_found; char currency[4]; };

/* The first with a contract, or the one whose id the settings say. */
static int take_home(void *owner, struct json_value item)
{
    struct walk *self = owner;
    json_t *json = source_json(self->source);
    const char *wanted = source_setting(self->source, "area");
    char id[64] = "";
    if (item.kind != JSON_OBJECT || json_at(json, item.raw, "currentSubscription.priceInfo").kind != JSON_OBJECT)
        return 0;
    pick_text(json, item.raw, "id", id, sizeof id);
    if (*wanted && strcmp(wanted, id) != 0)
        return 0;
    self->home = item.raw;
    self->is_found = true;
    return 1;
}

static int take_slot(void *owner, struct json_value item)
{
    struct walk *self = owner;
    json_t *json = source_json(self->source);
    int64_t from_us;
    double total, energy;
    if (item.kind != JSON_OBJECT || !pick_time(json, item.raw, "startsAt", &from_us)) {
        source_odd(self->source, 1);
        return 0;
    }
    struct electricity_slot *slot = source_slot(self->source);
    if (!slot)
        return 1;
    SET(slot, from, from_us);
    slot_currency(slot, self->currency);
    if (pick_number(json, item.raw, "total", &total))
        price_of_bill(self->source, slot, total);
    if (pick_number(json, item.raw, "energy", &energy))
        pick_put(electricity_slot_schema(), "market", energy, slot);
    return 0;
}

static int read_errors(source_t *source, struct slice root, struct fault *fault)
{
    char code[40];
    *fault = (struct fault){ "errors", "are told instead of prices" };
    if (!pick_text(source_json(source), root, "errors.0.extensions.code", code, sizeof code) || strcmp(code, "UNAUTHENTICATED") != 0)
        return -1;
    *fault = (struct fault){ "errors", "say that the token is not valid" };
    return STEP_REFUSED;
}

static int read_answer(source_t *source, struct json_value root, struct fault *fault)
{
    static const char *const days[] = { "currentSubscription.priceInfo.today", "currentSubscription.priceInfo.tomorrow" };
    json_t *json = source_json(source);
    struct walk walk = { .source = source };
    *fault = (struct fault){ "", "is no object" };
    if (root.kind != JSON_OBJECT)
        return -1;
    if (json_at(json, root.raw, "errors").kind == JSON_ARRAY)
        return read_errors(source, root.raw, fault);
    struct json_value homes = json_at(json, root.raw, "data.viewer.homes");
    if (homes.kind == JSON_ARRAY)
        json_each_item(json, homes.raw, take_home, &walk);
    *fault = (struct fault){ "homes", "have none with a contract" };
    if (!walk.is_found)
        return -1;
    pick_text(json, walk.home, "currentSubscription.priceInfo.current.currency", walk.currency, sizeof walk.currency);
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        struct json_value slots = json_at(json, walk.home, days[i]);
        if (slots.kind == JSON_ARRAY)
            json_each_item(json, slots.raw, take_slot, &walk);
    }
    prices_end_slots(source);
    return 0;
}

const struct step tibber_steps[] = { { .ask = ask, .read = read_answer }, { .read = NULL } };
