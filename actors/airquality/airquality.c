/* airquality.c - the air at the home: its index, and what is in it. */
#include "airquality.h"

static const struct provider providers[] = {
    { .name = "open-meteo", .base = "https://air-quality-api.open-meteo.com", .steps = air_model_steps, .needs_place = true,
      .every_s = 3600, .stale_s = 4 * 3600, .quota = 10000,
      .attribution = "Air quality by Open-Meteo.com (https://open-meteo.com/), CC BY 4.0; CAMS ENSEMBLE and CAMS Global data, Copernicus Atmosphere Monitoring Service" },
    { .name = "airnow", .base = "https://www.airnowapi.org", .steps = airnow_steps, .needs_place = true, .needs = { "api_key" },
      .every_s = 1800, .stale_s = 4 * 3600, .timeout_ms = 30000, .quota = 12000,
      .attribution = "U.S. EPA AirNow (https://www.airnow.gov/) and the reporting agencies; preliminary data" },
    { .name = "openaq", .base = "https://api.openaq.org", .steps = openaq_steps, .needs_place = true, .needs = { "api_key" },
      .every_s = 1800, .stale_s = 4 * 3600, .quota = 48000,
      .attribution = "OpenAQ (https://openaq.org/) and the station's owner" },
    { .name = NULL }
};

const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_airquality_contract,
    .slot = airquality_slot_schema,
    .at = offsetof(struct self, source),
};

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct airquality_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int on_brief(struct self *self, actor_t *actor, const struct nothing *query, struct aqi_brief *reply)
{
    struct airquality_reading reading;
    (void)actor, (void)query;
    int verdict = source_current(self->source, &reading);
    if (verdict != OK)
        return verdict;
    SET(reply, aqi, reading.aqi);
    SET_TEXT(reply, category, reading.category, reading.category_size);
    SET(reply, timestamp, reading.as_of);
    SET(reply, stale, reading.stale);
    return OK;
}

static int put_slot(rows_t *rows, const void *slot) { return row_airquality_forecast(rows, slot); }

static int on_forecast(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    (void)actor;
    return source_forecast(self->source, query, rows, put_slot, end);
}

static const struct handler handlers[] = {
    ON(registry_home, source_home),
    ANSWER(airquality_current, on_current),
    ANSWER(airquality_brief, on_brief),
    ANSWER(airquality_forecast, on_forecast),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "airquality",
    .doc      = "The air at the home: its index and what is in it",
    .state    = sizeof(struct self),
    .config   = SECTION(config, airquality_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = source_open,
    .tick     = source_tick,
    .reload   = source_reload,
    .health   = source_health,
    .close    = source_close,
};
