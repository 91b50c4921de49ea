/* weather.c - the weather at the home: what it is and what it will be. */
#include "weather.h"

struct self {
    struct weather_config config;
    struct source_stats stats;
    source_t *source;
};

static const struct provider providers[] = {
    { .name = "open-meteo", .base = "https://api.open-meteo.com", .steps = open_meteo_steps, .needs_place = true,
      .every_s = 900, .stale_s = 5400, .quota = 10000,
      .attribution = "Weather data by Open-Meteo.com (https://open-meteo.com/), CC BY 4.0" },
    { .name = "openweathermap", .base = "https://api.openweathermap.org", .steps = openweathermap_steps, .needs_place = true,
      .needs = { "api_key" }, .every_s = 900, .stale_s = 5400, .quota = 30000,
      .attribution = "Weather data provided by OpenWeather (https://openweathermap.org/), ODbL" },
    { .name = NULL }
};

const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_weather_contract,
    .slot = weather_slot_schema,
    .at = offsetof(struct self, source),
};

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct weather_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int put_slot(rows_t *rows, const void *slot) { return row_weather_forecast(rows, slot); }

static int on_forecast(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    (void)actor;
    return source_forecast(self->source, query, rows, put_slot, end);
}

static const struct handler handlers[] = {
    ON(registry_home, source_home),
    ANSWER(weather_current, on_current),
    ANSWER(weather_forecast, on_forecast),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "weather",
    .doc      = "The weather at the home, now and in the next days",
    .state    = sizeof(struct self),
    .config   = SECTION(config, weather_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = source_open,
    .tick     = source_tick,
    .reload   = source_reload,
    .health   = source_health,
    .close    = source_close,
};
