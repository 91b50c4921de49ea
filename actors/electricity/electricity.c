/* electricity.c - what a kilowatt-hour costs, now and as far as it is known, and when it costs least. */
#include "electricity.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BY_EPEX "Prices of the day-ahead auction by "

static const struct provider providers[] = {
    { .name = "awattar", .base = "https://api.awattar.de", .steps = awattar_steps, .every_s = 3600, .stale_s = 3600, .quota = 100,
      .attribution = BY_EPEX "aWATTar Deutschland (https://www.awattar.de/)" },
    { .name = "awattar-at", .base = "https://api.awattar.at", .steps = awattar_steps, .every_s = 3600, .stale_s = 3600, .quota = 100,
      .attribution = BY_EPEX "aWATTar (https://www.awattar.at/)" },
    { .name = "energy-charts", .base = "https://api.energy-charts.info", .steps = energy_charts_steps, .needs = { "area" },
      .every_s = 3600, .stale_s = 3600, .attribution = BY_EPEX "Energy-Charts.info, Fraunhofer ISE (https://www.energy-charts.info/); see licence" },
    { .name = "octopus", .base = "https://api.octopus.energy", .steps = octopus_steps, .needs = { "product", "area" },
      .every_s = 3600, .stale_s = 3600, .attribution = "Tariff by Octopus Energy (https://octopus.energy/)" },
    { .name = "tibber", .base = "https://api.tibber.com", .steps = tibber_steps, .needs = { "token" },
      .every_s = 3600, .stale_s = 3600, .attribution = "Prices by Tibber (https://tibber.com/)" },
    { .name = "entsoe", .base = "https://web-api.tp.entsoe.eu", .steps = entsoe_steps, .needs = { "token", "area" },
      .every_s = 3600, .stale_s = 3600, .attribution = BY_EPEX "ENTSO-E Transparency Platform (https://transparency.entsoe.eu/)" },
    { .name = "tariff", .base = "", .steps = tariff_steps, .needs = { "tariff" },
      .every_s = 21600, .stale_s = 3600, .attribution = "The home's own tariff" },
    { .name = NULL }
};

/* --- settings ------------------------------------------------------------------------------------- */

static int wrong(actor_t *actor, const char *key, const char *why)
{
    actor_error(actor, "electricity.%s: %s", key, why);
    return -1;
}

static bool is_plain(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

/* Taxes of an exchange's price would be taken twice from a price that has them. */
static int check_taxes(const struct electricity_config *config, actor_t *actor)
{
    static const char why[] = "this provider's prices are what is to be paid: there is only fee_after_vat for them";
    if (config->has_factor)
        return wrong(actor, "factor", why);
    if (config->has_fee)
        return wrong(actor, "fee", why);
    return config->has_vat_percent ? wrong(actor, "vat_percent", why) : 0;
}

static int check_area(const struct electricity_config *config, actor_t *actor)
{
    bool is_octopus = strcmp(config->provider, "octopus") == 0, is_entsoe = strcmp(config->provider, "entsoe") == 0;
    if ((config->has_area && !is_plain(config->area)) || (is_octopus && config->has_area && (strlen(config->area) != 1 || !strchr("ABCDEFGHJKLMNP", *config->area))))
        return wrong(actor, "area", is_octopus ? "is none of the letters A to P, without I and O" : "is no name of an area");
    if (is_entsoe && config->has_area && !entsoe_code(config->area))
        return wrong(actor, "area", "is neither an EIC code (10Y and 13 more characters) nor one of AT, BE, CH, DE-LU, DK1, DK2, ES, FI, FR, NL, NO1, PL, SE3");
    return config->has_product && !is_plain(config->product) ? wrong(actor, "product", "is no code of a product") : 0;
}

/* The settings' zone, else Home Assistant's. */
static void set_zone(struct self *self)
{
    const char *why, *name = self->config.has_time_zone ? self->config.time_zone : self->home_zone;
    if (self->zone && strcmp(zone_name(self->zone), name) == 0)
        return;
    zone_destroy(&self->zone);
    self->zone = *name ? zone_open(name, &why) : NULL;
}

static int check_zone(const struct electricity_config *config, actor_t *actor)
{
    const char *why;
    zone_t *zone = config->has_time_zone ? zone_open(config->time_zone, &why) : NULL;
    if (config->has_time_zone && !zone)
        return wrong(actor, "time_zone", why);
    zone_destroy(&zone);
    return 0;
}

static int check_settings(struct self *self, actor_t *actor)
{
    const struct electricity_config *config = &self->config;
    static const char *const billed[] = { "octopus", "tibber", "tariff" };
    struct tariff tariff = { .count = 0 };
    const char *why;
    for (size_t i = 0; i < sizeof billed / sizeof *billed; i++)
        if (strcmp(config->provider, billed[i]) == 0 && check_taxes(config, actor))
            return -1;
    if (check_area(config, actor) || check_zone(config, actor))
        return -1;
    if (config->has_tariff && tariff_read(config->tariff, &tariff, &why))
        return wrong(actor, "tariff", why);
    self->tariff = tariff;
    set_zone(self);
    return 0;
}

/* What answers that are kept depend on: the taxes are in them. */
const struct source_spec source_spec = {
    .providers = providers,
    .reading = &reading_electricity_contract,
    .slot = electricity_slot_schema,
    .at = offsetof(struct self, source),
    .chosen = { "area", "product", "tariff", "time_zone", "currency", "factor", "fee", "vat_percent", "fee_after_vat" },
    .check = check_settings,
    .make = price_make,
};

/* --- the home ------------------------------------------------------------------------------------- */

static int on_home(struct self *self, actor_t *actor, const struct home_place *home)
{
    const char *zone = home->has_time_zone ? home->time_zone : self->home_zone;
    const char *currency = home->has_currency ? home->currency : self->home_currency;
    bool is_new = strcmp(zone, self->home_zone) != 0 || strcmp(currency, self->home_currency) != 0;
    snprintf(self->home_zone, sizeof self->home_zone, "%s", zone);
    snprintf(self->home_currency, sizeof self->home_currency, "%s", currency);
    set_zone(self);
    if (is_new)
        source_again(self->source);
    return source_home(self, actor, home);
}

/* --- questions ------------------------------------------------------------------------------------ */

static int on_current(struct self *self, actor_t *actor, const struct nothing *query, struct electricity_reading *reply)
{
    (void)actor, (void)query;
    return source_current(self->source, reply);
}

static int put_slot(rows_t *rows, const void *slot) { return row_electricity_forecast(rows, slot); }

static int on_forecast(struct self *self, actor_t *actor, const struct source_query *query, rows_t *rows, struct source_end *end)
{
    (void)actor;
    return source_forecast(self->source, query, rows, put_slot, end);
}

static void fill_end(struct self *self, const struct span *parts, size_t count, struct electricity_cheapest_end *end)
{
    struct source_end of_source = { .has_count = false };
    struct electricity_reading reading;
    int64_t us = 0;
    for (size_t i = 0; i < count; i++)
        us += parts[i].to_us - parts[i].from_us;
    SET(end, count, (int64_t)count);
    SET(end, hours, (double)us / 3600e6);
    SET(end, from, parts[0].from_us);
    SET(end, to, parts[count - 1].to_us);
    SET(end, mean_price, spans_mean(parts, count));
    source_end_fill(self->source, &of_source);
    SET_TEXT(end, provider, of_source.provider, of_source.provider_size);
    SET_TEXT(end, attribution, of_source.attribution, of_source.attribution_size);
    SET(end, as_of, of_source.as_of);
    SET(end, fetched_at, of_source.fetched_at);
    SET(end, stale, of_source.stale);
    if (source_current(self->source, &reading) == OK && reading.has_currency)
        SET_TEXT(end, currency, reading.currency, reading.currency_size);
}

static int on_cheapest(struct self *self, actor_t *actor, const struct electricity_cheapest_query *query, rows_t *rows, struct electricity_cheapest_end *end)
{
    static struct span spans[SLOTS_MAX];
    struct electricity_reading reading;
    size_t count;
    int64_t after_us = query->has_after ? query->after : actor_now_us(actor), before_us = query->has_before ? query->before : MAX_TIME_US;
    if (before_us <= after_us)
        return actor_refuse(actor, BAD_REQUEST, "before", "is not later than `after`, or than now");
    int verdict = source_current(self->source, &reading);
    if (verdict != OK)
        return verdict;
    const struct electricity_slot *slots = source_slots(self->source, &count);
    count = spans_cut(slots, count, after_us, before_us, spans);
    double mean = count ? spans_mean(spans, count) : 0;
    int64_t length_us = llround(query->hours * 3600e6);
    count = query->contiguous ? cheapest_window(spans, count, length_us) : cheapest_spread(spans, count, length_us);
    if (count == 0)
        return actor_refuse(actor, UNPROCESSABLE, "hours", "are more than have a known price between `after` (or now) and `before`");
    for (size_t i = 0; i < count; i++) {
        struct electricity_part part = { .has_from = true, .from = spans[i].from_us, .has_to = true, .to = spans[i].to_us, .has_price = true, .price = spans[i].price };
        if (row_electricity_cheapest(rows, &part))
            return BROKEN;
    }
    SET(end, mean_price_known, mean);
    fill_end(self, spans, count, end);
    return OK;
}

/* --- the actor ------------------------------------------------------------------------------------ */

static void close_all(struct self *self, actor_t *actor)
{
    source_close(self, actor);
    zone_destroy(&self->zone);
}

static const struct handler handlers[] = {
    ON(registry_home, on_home),
    ANSWER(electricity_current, on_current),
    ANSWER(electricity_forecast, on_forecast),
    ANSWER(electricity_cheapest, on_cheapest),
    { 0 }
};

const struct actor_spec actor_spec = {
    .name     = "electricity",
    .doc      = "What electricity costs, now and in the next days, and when it costs least",
    .state    = sizeof(struct self),
    .config   = SECTION(config, electricity_config),
    .stats    = SECTION(stats, source_stats),
    .handlers = handlers,
    .open     = source_open,
    .tick     = source_tick,
    .reload   = source_reload,
    .health   = source_health,
    .close    = close_all,
};
