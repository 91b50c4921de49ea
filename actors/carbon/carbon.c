/* carbon.c - what a kilowatt hour from the grid costs the climate, now and in the next days. */
#include "carbon.h"
#include "cleanest.h"

#include <string.h>

static const struct provider providers[] = {
    { .name = "uk", .base = "https://api.carbonintensity.org.uk", .steps = uk_steps, .every_s = 900, .stale_s = 5400,
      .attribution = "Carbon Intensity API, National Energy System Operator (https://carbonintensity.org.uk/), CC BY 4.0" },
    { .name = "electricitymaps", .base = "https://api.electricitymaps.com", .steps = electricitymaps_steps, .needs = { "api_key", "zone" },
      .every_s = 1800, .stale_s = 4 * 3600,
      .attribution = "Electricity Maps (https://www.electricitymaps.com/); not for redistribution" },
    { .name = "watttime", .base = "https://api.watttime.org", .steps = watttime_steps, .needs = { "username", "password", "zone" },
      .every_s = 900, .stale_s = 3600,
      .attribution = "WattTime (https://watttime.org/)" },
    { .name = NULL }
};

const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_carbon_contract,
    .slot = carbon_slot_schema,
    .at = offsetof(struct self, source),
    .chosen = { "zone" },
};

const struct carbon_slot *slot_at(const struct carbon_slot *slots, size_t count, int64_t at_us)
{
    for (size_t i = 0; i < count; i++)
        if (slots[i].has_from && slots[i].has_to && slots[i].from <= at_us && at_us < slots[i].to)
            return &slots[i];
    return NULL;
}

static int open_carbon(struct self *self, actor_t *actor)
{
    if (strcmp(self->config.provider, "uk") != 0 || uk_zone_is_good(self->config.zone))
        return source_open(self, actor);
    actor_error(actor, "carbon.zone: \"%s\" is neither a region's number (1 to 17) nor an outward postcode, such as SW1", self->config.zone);
    return 100;
}

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct carbon_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int put_slot(rows_t *rows, const void *slot) { return row_carbon_forecast(rows, slot); }

static int on_forecast(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    (void)actor;
    return source_forecast(self->source, query, rows, put_slot, end);
}

static void say_whose(struct self *self, struct cleanest_reply *reply)
{
    struct source_end end = { .has_count = false };
    source_end_fill(self->source, &end);
    SET_TEXT(reply, provider, end.provider, end.provider_size);
    SET_TEXT(reply, attribution, end.attribution, end.attribution_size);
    SET(reply, as_of, end.as_of);
    SET(reply, fetched_at, end.fetched_at);
    SET(reply, stale, end.stale);
}

static int on_cleanest(struct self *self, actor_t *actor, const struct cleanest_query *query, struct cleanest_reply *reply)
{
    size_t count;
    const struct carbon_slot *slots = source_slots(self->source, &count);
    int64_t now_us = actor_now_us(actor), for_us = (int64_t)(query->hours * 3600e6), from_us;
    int64_t not_before_us = query->has_start_time ? query->start_time : now_us, done_by_us = query->has_end_time ? query->end_time : MAX_TIME_US;
    double mean, at_once;
    if (done_by_us <= not_before_us)
        return actor_refuse(actor, BAD_REQUEST, "end_time", "is not after start_time");
    if (count == 0)
        return actor_refuse(actor, UNAVAILABLE, "", "no forecast is known; GET /api/v1/sources tells why");
    if (!cleanest_window(slots, count, for_us, not_before_us, done_by_us, &from_us, &mean))
        return actor_refuse(actor, NOT_FOUND, "hours", "no time that is so long lies in the forecast");
    SET(reply, from, from_us);
    SET(reply, to, from_us + for_us);
    SET(reply, intensity_g_kwh, mean);
    if (mean_over(slots, count, now_us, now_us + for_us, &at_once))
        SET(reply, now_g_kwh, at_once);
    say_whose(self, reply);
    return OK;
}

static const struct handler handlers[] = {
    ON(registry_home, source_home),
    ANSWER(carbon_current, on_current),
    ANSWER(carbon_forecast, on_forecast),
    ANSWER(carbon_cleanest, on_cleanest),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "carbon",
    .doc      = "What a kilowatt hour from the grid costs the climate",
    .state    = sizeof(struct self),
    .config   = SECTION(config, carbon_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = open_carbon,
    .tick     = source_tick,
    .reload   = source_reload,
    .health   = source_health,
    .close    = source_close,
};
