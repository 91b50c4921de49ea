/* answers.c - what energy answers: what devices take, how the search goes. */
#include "inside.h"

#include <string.h>

static void fill_device(const struct device *d, struct energy_device *row)
{
    *row = (struct energy_device){ 0 };
    SET_TEXT(row, entity_id, d->entity, strlen(d->entity));
    SET(row, measured, d->explained);
    SET(row, changes, d->changes);
    if (d->count > 0)
        SET(row, watts, device_watts(d));
    if (d->count > 1)
        SET(row, spread_w, device_spread(d));
    if (d->changes > 0)
        SET(row, share, d->explained < d->changes ? (double)d->explained / (double)d->changes : 1);
    if (d->measured_us)
        SET(row, measured_at, d->measured_us);
    if (d->changed_us)
        SET(row, changed_at, d->changed_us);
}

int on_devices(struct self *self, actor_t *actor, const struct energy_devices_query *query, rows_t *rows, struct page *end)
{
    const struct device *d;
    struct energy_device row;
    int64_t count = 0;
    (void)actor;
    for (size_t i = 0; (d = devices_at(self->kept.devices, i)) && count < query->limit; i++) {
        if (query->has_entity_id ? strcmp(query->entity_id, d->entity) != 0 : d->changes == 0 && d->count == 0)
            continue;
        fill_device(d, &row);
        if (row_energy_devices(rows, &row))
            break;
        count++;
    }
    SET(end, count, count);
    return OK;
}

static void put(msgpack_sbuffer *to, const char *text) { msgpack_sbuffer_write(to, text, strlen(text)); }

static void put_number(msgpack_sbuffer *to, const char *key, double number)
{
    char text[NUMBER_TEXT + 1];
    text[number_write(number, text)] = '\0';
    put(to, key);
    put(to, text);
}

static void put_meters(struct self *self, msgpack_sbuffer *to)
{
    char when[TIME_TEXT];
    const struct meter *m;
    put(to, "[");
    for (size_t i = 0; (m = flow_meter(self->kept.flow, i)); i++) {
        put(to, i ? ",{\"entity_id\":" : "{\"entity_id\":");
        json_write_text(slice_of(m->entity), to);
        put(to, m->is_whole ? ",\"whole\":true" : ",\"whole\":false");
        if (m->last.at_us) {
            time_text(m->last.at_us, when);
            put(to, ",\"last_at\":");
            json_write_text(slice_of(when), to);
            put_number(to, ",\"power_w\":", m->last.w);
        }
        put_number(to, ",\"noise_w\":", meter_noise_w(m));
        put_number(to, ",\"interval_s\":", meter_interval_s(m));
        put(to, "}");
    }
    put(to, "]");
}

static void put_config(struct self *self, msgpack_sbuffer *to)
{
    put_number(to, "{\"correlation_window_seconds\":", self->config.window_s);
    put_number(to, ",\"min_power_delta_w\":", self->config.min_delta_w);
    put_number(to, ",\"confidence\":", self->config.confidence);
    put(to, ",\"domains\":");
    json_write_text(slice_of(self->config.domains), to);
    put(to, "}");
}

static double percent(int64_t part, int64_t of, double otherwise)
{
    return of > 0 ? (double)(int64_t)((double)part * 10000 / (double)of + 0.5) / 100 : otherwise;
}

int on_correlator(struct self *self, actor_t *actor, const struct nothing *query, struct energy_correlator *reply)
{
    const struct flow_counts *c = flow_counts(self->kept.flow);
    struct kept kept = with_again(self);
    int64_t found = self->outbox.stored + self->outbox.refused + (int64_t)self->outbox.count;
    (void)actor, (void)query;
    msgpack_sbuffer_clear(&self->text);
    put_meters(self, &self->text);
    size_t meters_size = self->text.size;
    put_config(self, &self->text);
    SET(reply, total_events_processed, c->changes);
    SET(reply, correlations_found, found);
    SET(reply, correlations_written, self->outbox.stored);
    SET(reply, correlation_rate_pct, percent(found, c->changes, 0));
    SET(reply, write_success_rate_pct, percent(self->outbox.stored, found, 100));
    SET(reply, errors, self->outbox.refused);
    SET(reply, samples, c->samples);
    SET(reply, steps, c->steps);
    SET(reply, explained, c->explained);
    SET(reply, shared, c->shared);
    SET(reply, unexplained, c->unexplained);
    SET(reply, passed_at, flow_passed_us(self->kept.flow));
    SET(reply, reading, self->missed.flow || self->again);
    SET(reply, meters, (struct slice){ self->text.data, meters_size });
    SET(reply, config, (struct slice){ self->text.data + meters_size, self->text.size - meters_size });
    if (kept.late_from) {
        SET(reply, late_from, kept.late_from);
        SET(reply, late_to, kept.late_to);
    }
    return OK;
}
