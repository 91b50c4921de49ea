/* energy_now.c - the home's power and its day, its circuits, and what devices use over some days. */
#include "energy_inside.h"

#include "absent.h"
#include "moment.h"
#include "rollup.h"
#include "spans.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

#define FRESH_US (INT64_C(600) * SECOND_US) /* a power that was said longer ago is none of now */

static const double whole_share = 1e-9;

/* --- the last value of a power ------------------------------------------------------------------------------- */

struct last { struct slice entity_id; int64_t now_us, at_us; bool is_said, has_value; double watt; };

static enum store_result read_last(store_t *store, void *owner)
{
    struct last *last = owner;
    struct energy_spans spans;
    const struct unit_name *unit;
    struct sample s;
    enum store_result result = energy_spans(store, last->entity_id, &spans);
    if (result != STORE_OK || spans.count == 0)
        return result;
    history_t *history = history_open(store, spans.items, spans.count, last->now_us, last->now_us, true);
    result = history_next(history, &s);
    if (result == STORE_OK && s.kind != SAMPLE_REMOVED) {
        last->is_said = true;
        last->at_us = s.at;
        last->watt = s.number;
        result = facts_unit(facts_of(store), s.snapshot, &unit);
        last->has_value = result == STORE_OK && s.kind == SAMPLE_NUMBER && units_convert(unit_slice(unit), slice_of("W"), &last->watt);
    }
    history_close(&history);
    return result == STORE_MISSING ? STORE_OK : result;
}

static enum store_result ask_last(energy_t *self, const char *entity_id, int64_t now_us, struct last *last)
{
    *last = (struct last){ .entity_id = slice_of(entity_id), .now_us = now_us };
    return *entity_id ? store_look(self->store, read_last, last) : STORE_OK;
}

/* Who tells the home's power: the settings, the smart meter where it did since then, a power sensor of the meter's device; "": nobody. */
static enum store_result find_power(energy_t *self, const struct energy_who *who, int64_t since_us, int64_t now_us, char to[256])
{
    bool had = false;
    to[0] = '\0';
    if (self->config->has_energy_power) {
        memcpy(to, self->config->energy_power, self->config->energy_power_size + 1);
        return STORE_OK;
    }
    enum store_result result = energy_had_value(self->store, slice_of("_smartmeter.power_w"), since_us, now_us, &had);
    if (result != STORE_OK)
        return result;
    const char *found = had ? "_smartmeter.power_w" : "";
    for (size_t i = 0; i < who->count && !*found; i++)
        for (size_t k = 0; k < who->house.count && !*found && who->items[i].role == ROLE_IMPORT; k++)
            if (!who->house.items[k].is_counter && who->items[i].device_id && who->house.items[k].device_id && !strcmp(who->items[i].device_id, who->house.items[k].device_id))
                found = who->house.items[k].entity_id;
    memcpy(to, found, strlen(found) + 1);
    return STORE_OK;
}

static bool is_fresh(const struct last *last)
{
    return last->has_value && last->now_us - last->at_us <= FRESH_US;
}

/* --- the day so far ------------------------------------------------------------------------------------------- */

struct now { struct energy_who who; char power[256]; struct last last; struct energy_table day; bool has_day; int64_t edges[2]; };

static void close_now(struct now *n)
{
    if (n->has_day)
        energy_table_close(&n->day);
    energy_who_close(&n->who);
}

static enum store_result ask_now(energy_t *self, const char *home_zone, int64_t since_us, int64_t now_us, struct now *n, struct fault *fault)
{
    const char *why = "";
    zone_t *zone = zone_open(home_zone, &why);
    *n = (struct now){ .has_day = false };
    if (!zone) {
        *fault = (struct fault){ "", why };
        return STORE_BAD;
    }
    n->edges[0] = clock_step_start(clock_step_find("1d"), zone, now_us);
    n->edges[1] = quarter_end(now_us + 1);
    zone_destroy(&zone);
    enum store_result result = energy_ask_who(self, n->edges[0], now_us, now_us, &n->who);
    if (result == STORE_OK)
        result = find_power(self, &n->who, since_us, now_us, n->power);
    if (result == STORE_OK)
        result = ask_last(self, n->power, now_us, &n->last);
    if (result == STORE_OK) {
        result = energy_ask_table(self, &n->who, n->edges, 1, true, now_us, &n->day);
        n->has_day = result == STORE_OK;
    }
    return result == STORE_MISSING ? STORE_OK : result;
}

struct rates_now { energy_t *self; int64_t now_us; struct rate price, carbon; struct energy_rates told; };

static enum store_result read_rates(store_t *store, void *owner)
{
    struct rates_now *r = owner;
    struct unit_name unit = { .size = 0 };
    int64_t from = quarter_start(r->now_us - 1);
    enum store_result result = energy_rates(store, slice_of("_electricity.price"), from, 1, r->now_us, 25 * HOUR_US, &r->price, &unit, &r->told.has_price);
    return result == STORE_OK ? energy_rates(store, slice_of("_carbon.intensity_g_kwh"), from, 1, r->now_us, 4 * HOUR_US, &r->carbon, &unit, &r->told.has_carbon)
                              : result;
}

static void tell_day(energy_t *self, const struct now *n, struct consumption_now *reply)
{
    SAY(reply, daily_basis, "no meter");
    const char *currency = n->has_day ? energy_currency(self, &n->day.rates) : NULL;
    if (currency)
        SAY(reply, currency, currency);
    if (!n->has_day || !n->day.has_meter || (n->day.meter[0].covered_us == 0 && n->day.meter[0].moved_kwh == 0.0))
        return;
    const struct energy_sum *sum = n->day.meter;
    SAY(reply, daily_basis, energy_basis(n->day.meter_kind, sum));
    SET(reply, daily_kwh, energy_rounded(sum->kwh, 1e6));
    SET(reply, daily_cost_share, energy_rounded(energy_priced(sum), 1e6));
    if (energy_priced(sum) > whole_share)
        SET(reply, daily_cost, energy_rounded(sum->cost, 1e6));
    if (energy_weighed(sum) > whole_share)
        SET(reply, daily_carbon_g, energy_rounded(sum->carbon_g, 1e3));
}

enum store_result energy_current(energy_t *self, const char *home_zone, int64_t now_us, struct consumption_now *reply, struct fault *fault)
{
    struct now n;
    struct rates_now rates = { .self = self, .now_us = now_us };
    schema_clear(consumption_now_schema(), reply);
    enum store_result result = ask_now(self, home_zone, now_us, now_us, &n, fault);
    if (result == STORE_OK)
        result = store_look(self->store, read_rates, &rates);
    if (result == STORE_OK) {
        SET(reply, timestamp, now_us);
        if (n.last.is_said) {
            SET(reply, as_of, n.last.at_us);
            SET(reply, age_s, (double)(now_us - n.last.at_us) / 1e6);
        }
        if (is_fresh(&n.last))
            SET(reply, total_power_w, n.last.watt);
        if (n.power[0])
            SAY(reply, power_entity, n.power);
        tell_day(self, &n, reply);
        if (rates.price.share > 0.0 || self->config->has_energy_price)
            SET(reply, price, energy_rounded(rates.price.share > 0.0 ? rates.price.value : self->config->energy_price, 1e6));
        if (rates.carbon.share > 0.0)
            SET(reply, carbon_g_kwh, rates.carbon.value);
    }
    close_now(&n);
    return result;
}

/* --- some hours ------------------------------------------------------------------------------------------------- */

struct stretch { struct slice entity_id; int64_t from_us, now_us; double integral, peak; int64_t value_us, peak_from, peak_to, peak_at; bool has_peak; };

static int take_bucket(void *owner, const struct bucket *b)
{
    struct stretch *s = owner;
    s->integral += b->integral;
    s->value_us += b->value_us;
    if (!b->has_range || (s->has_peak && b->max <= s->peak))
        return 0;
    s->has_peak = true;
    s->peak = b->max;
    s->peak_from = s->peak_at = b->from;
    s->peak_to = b->to;
    return 0;
}

/* When in the bucket it was first as high: at its beginning, if nothing within says so. */
static enum store_result find_peak(store_t *store, const struct energy_spans *spans, struct stretch *s)
{
    const struct unit_name *unit;
    struct sample sample;
    enum store_result result = STORE_OK;
    history_t *history = history_open(store, spans->items, spans->count, s->peak_from, s->peak_to, true);
    while (result == STORE_OK && (result = history_next(history, &sample)) == STORE_OK) {
        double watt = sample.number;
        result = sample.kind == SAMPLE_NUMBER ? facts_unit(facts_of(store), sample.snapshot, &unit) : STORE_OK;
        if (result == STORE_OK && sample.kind == SAMPLE_NUMBER && units_convert(unit_slice(unit), slice_of("W"), &watt) && watt >= s->peak) {
            s->peak_at = sample.at > s->from_us ? sample.at : s->from_us;
            break;
        }
    }
    history_close(&history);
    return result == STORE_MISSING ? STORE_OK : result;
}

/* Whole quarters: it begins with the one that the first of the hours begins in. */
static enum store_result read_stretch(store_t *store, void *owner)
{
    struct stretch *s = owner;
    struct energy_spans spans;
    enum store_result result = energy_spans(store, s->entity_id, &spans);
    if (result != STORE_OK || spans.count == 0)
        return result;
    struct bucket_question q = { .from_us = s->from_us, .to_us = s->now_us, .now_us = s->now_us, .step = { STEP_FIXED, QUARTER_US, NULL },
        .class = CLASS_PLAIN, .has_unit = true, .unit = slice_of("W") };
    result = store_buckets_of(store, spans.items, spans.count, &q, take_bucket, s);
    return result == STORE_OK && s->has_peak ? find_peak(store, &spans, s) : result;
}

enum store_result energy_summary(energy_t *self, const char *home_zone, int64_t hours, int64_t now_us, struct consumption_totals *reply, struct fault *fault)
{
    struct now n;
    schema_clear(consumption_totals_schema(), reply);
    int64_t from_us = quarter_start(now_us - hours * HOUR_US);
    enum store_result result = ask_now(self, home_zone, from_us, now_us, &n, fault);
    struct stretch s = { .entity_id = slice_of(n.power), .from_us = from_us, .now_us = now_us };
    if (result == STORE_OK && n.power[0])
        result = store_look(self->store, read_stretch, &s);
    if (result == STORE_OK) {
        SET(reply, timestamp, now_us);
        SET(reply, hours, hours);
        if (n.last.is_said)
            SET(reply, age_s, (double)(now_us - n.last.at_us) / 1e6);
        if (is_fresh(&n.last))
            SET(reply, current_power_w, n.last.watt);
        if (n.has_day && n.day.has_meter && n.day.meter[0].covered_us > 0)
            SET(reply, daily_kwh, energy_rounded(n.day.meter[0].kwh, 1e6));
        if (s.has_peak) {
            SET(reply, peak_power_w, s.peak);
            SET(reply, peak_time, s.peak_at);
        }
        SET(reply, covered_s, (double)s.value_us / 1e6);
        if (s.value_us > 0)
            SET(reply, average_power_w, energy_rounded(s.integral / (double)s.value_us, 1e3));
    }
    close_now(&n);
    return result;
}

/* --- circuits --------------------------------------------------------------------------------------------------- */

static bool is_of_meter(const struct energy_who *who, const struct energy_found *f, const char *power)
{
    if (strcmp(f->entity_id, power) == 0)
        return true;
    for (size_t i = 0; i < who->count; i++)
        if (who->items[i].role != ROLE_DEVICE && (strcmp(who->items[i].entity_id, f->entity_id) == 0
                || (who->items[i].device_id && f->device_id && strcmp(who->items[i].device_id, f->device_id) == 0)))
            return true;
    return false;
}

static int give_circuit(const struct energy_found *f, const struct last *last, const struct last *home, rows_t *rows)
{
    struct circuit_row row;
    schema_clear(circuit_row_schema(), &row);
    SET(&row, timestamp, last->at_us);
    SET(&row, entity_id, slice_of(f->entity_id));
    SET(&row, circuit_name, slice_of(f->name ? f->name : f->entity_id));
    if (f->area)
        SET(&row, area, slice_of(f->area));
    SET(&row, age_s, (double)(last->now_us - last->at_us) / 1e6);
    if (last->has_value)
        SET(&row, power_w, last->watt);
    if (last->has_value && is_fresh(home) && home->watt > 0.0)
        SET(&row, percentage, energy_rounded(100.0 * last->watt / home->watt, 1e2));
    return row_consumption_circuits(rows, &row);
}

/* Of one that spoke within these hours. 1: the page is full. */
static int tell_circuit(energy_t *self, const struct energy_found *f, int64_t hours, const struct last *home, rows_t *rows, struct page *end, enum store_result *result)
{
    struct last last;
    *result = ask_last(self, f->entity_id, home->now_us, &last);
    if (*result != STORE_OK || !last.is_said || home->now_us - last.at_us > hours * HOUR_US)
        return 0;
    if (give_circuit(f, &last, home, rows) != 0)
        return 1;
    end->count++;
    return 0;
}

/* Power sensors of the house, and what the smart meter tells of its channels. */
enum store_result energy_circuits(energy_t *self, int64_t hours, int64_t now_us, rows_t *rows, struct page *end)
{
    enum { CHANNELS = 8 };
    struct energy_who who;
    struct last home = { .now_us = now_us };
    char power[256], channel[40];
    int stop = 0;
    enum store_result result = energy_ask_who(self, now_us, now_us, now_us, &who);
    if (result == STORE_OK)
        result = find_power(self, &who, now_us, now_us, power);
    if (result == STORE_OK)
        result = ask_last(self, power, now_us, &home);
    for (size_t i = 0; i < who.house.count && result == STORE_OK && !stop; i++)
        if (!who.house.items[i].is_counter && !is_of_meter(&who, &who.house.items[i], power))
            stop = tell_circuit(self, &who.house.items[i], hours, &home, rows, end, &result);
    for (int n = 1; n <= CHANNELS && result == STORE_OK && !stop; n++) {
        snprintf(channel, sizeof channel, "_smartmeter.circuit_%d_w", n);
        stop = tell_circuit(self, &(struct energy_found){ .entity_id = channel }, hours, &home, rows, end, &result);
    }
    energy_who_close(&who);
    return result;
}
