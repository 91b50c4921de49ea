/* octopus.c - Octopus Energy: half hours of consumption in Great Britain. They come a day late, with holes that are
 * filled later, so the last ten days are read each time, and each half hour is stored at its own time. */
#include "smartmeter.h"

#include <stdio.h>
#include <string.h>

enum { DAYS = 10 };

/* --- asking ---------------------------------------------------------------------------------------- */

static int ask(source_t *source, struct fetch *fetch, char *path, size_t size, const char *kind, const char *supply, const char *meter)
{
    struct self *self = source_self(source);
    time_text(source_now_us(source) - INT64_C(86400000000) * DAYS, self->word);
    strcpy(self->word + 19, "Z");
    snprintf(path, size, "/v1/%s-meter-points/%s/meters/%s/consumption/", kind, supply, meter);
    fetch->query[0] = (struct pair){ "period_from", self->word };
    fetch->query[1] = (struct pair){ "page_size", "600" };
    fetch->query[2] = (struct pair){ "order_by", "period" };
    fetch->user = self->config.api_key;
    fetch->password = "";
    return 0;
}

static int ask_import(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    return ask(source, fetch, path, size, "electricity", source_setting(source, "mpan"), source_setting(source, "serial"));
}

static int ask_export(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    const char *supply = source_setting(source, "export_mpan");
    return !*supply || ask(source, fetch, path, size, "electricity", supply, source_setting(source, "serial"));
}

static int ask_gas(source_t *source, struct fetch *fetch, char *path, size_t size)
{
    const char *supply = source_setting(source, "mprn");
    return !*supply || ask(source, fetch, path, size, "gas", supply, source_setting(source, "gas_serial"));
}

/* --- reading ------------------------------------------------------------------------------------------ */

struct walk { source_t *source; const char *member; };

static struct smartmeter_slot *slot_at(source_t *source, int64_t from_us, int64_t to_us)
{
    for (size_t i = 0; i < source_draft_slots(source); i++) {
        struct smartmeter_slot *slot = source_slot_at(source, i, false);
        if (slot->from == from_us && slot->to == to_us)
            return slot;
    }
    struct smartmeter_slot *slot = source_slot(source);
    if (slot) {
        SET(slot, from, from_us);
        SET(slot, to, to_us);
    }
    return slot;
}

/* Each time has its own distance from UTC, and on two days of the year a row has two of them. */
static int take_row(void *owner, struct json_value item)
{
    struct walk *walk = owner;
    source_t *source = walk->source;
    json_t *json = source_json(source);
    int64_t from_us, to_us, now_us = source_now_us(source);
    double amount;
    bool is_whole = item.kind == JSON_OBJECT && pick_time(json, item.raw, "interval_start", &from_us) && pick_time(json, item.raw, "interval_end", &to_us)
        && pick_number(json, item.raw, "consumption", &amount) && to_us > from_us && to_us - from_us <= INT64_C(3600000000);
    if (!is_whole) {
        source_odd(source, 1);
        return 0;
    }
    if (to_us > now_us || from_us < now_us - INT64_C(86400000000) * (DAYS + 1))
        return 0; /* rows outside of what was asked for occur */
    struct smartmeter_slot *slot = slot_at(source, from_us, to_us);
    if (!slot)
        return 1;
    source_odd(source, !pick_put(smartmeter_slot_schema(), walk->member, amount, slot));
    return 0;
}

static int read_rows(source_t *source, struct json_value root, struct fault *fault, const char *member)
{
    json_t *json = source_json(source);
    struct walk walk = { source, member };
    struct json_value results = root.kind == JSON_OBJECT ? json_at(json, root.raw, "results") : root;
    *fault = (struct fault){ "results", "is no array" };
    if (root.kind != JSON_OBJECT || results.kind != JSON_ARRAY)
        return -1;
    json_each_item(json, results.raw, take_row, &walk);
    return 0;
}

/* The newest half hour is the reading, and the nights are made of all of them. */
static int finish(source_t *source, struct fault *fault)
{
    struct self *self = source_self(source);
    struct smartmeter_reading *reading = source_draft(source);
    const struct smartmeter_slot *newest = NULL;
    phantom_forget(&self->phantom);
    circuits_clear(&self->circuits); /* another provider may have had some */
    for (size_t i = 0; i < source_draft_slots(source); i++) {
        const struct smartmeter_slot *slot = source_slot_at(source, i, false);
        if (!slot->has_interval_kwh)
            continue;
        newest = !newest || slot->from > newest->from ? slot : newest;
        if (self->zone)
            phantom_span(&self->phantom, self->zone, slot->from, slot->to, slot->interval_kwh * 3.6e12 / (double)(slot->to - slot->from));
    }
    *fault = (struct fault){ "results", "hold no half hour of consumption that can be read" };
    if (!newest)
        return -1;
    SET(reading, as_of, newest->from);
    SET(reading, valid_to, newest->to);
    SET(reading, interval_kwh, newest->interval_kwh);
    if (newest->has_interval_export_kwh)
        SET(reading, interval_export_kwh, newest->interval_export_kwh);
    if (newest->has_interval_gas_m3)
        SET(reading, interval_gas_m3, newest->interval_gas_m3);
    if (newest->has_interval_gas_kwh)
        SET(reading, interval_gas_kwh, newest->interval_gas_kwh);
    return meter_finish(source, fault);
}

static int read_import(source_t *source, struct json_value root, struct fault *fault)
{
    return read_rows(source, root, fault, "interval_kwh");
}

static int read_export(source_t *source, struct json_value root, struct fault *fault)
{
    return read_rows(source, root, fault, "interval_export_kwh");
}

static int read_gas(source_t *source, struct json_value root, struct fault *fault)
{
    bool is_kwh = strcmp(source_self(source)->config.gas_unit, "kWh") == 0;
    return read_rows(source, root, fault, is_kwh ? "interval_gas_kwh" : "interval_gas_m3");
}

/* Nobody is asked for that: all steps are read. */
static int read_end(source_t *source, struct json_value root, struct fault *fault)
{
    (void)root;
    int rc = finish(source, fault);
    actor_cancel(source_actor(source), intervals_store, 0);
    if (rc == 0)
        actor_after(source_actor(source), 0, intervals_store, 0); /* when they are taken */
    return rc;
}

const struct step octopus_steps[] = {
    { .ask = ask_import, .read = read_import },
    { .ask = ask_export, .read = read_export, .may_fail = true },
    { .ask = ask_gas, .read = read_gas, .may_fail = true },
    { .read = read_end, .is_local = true },
    { .read = NULL },
};
