/* bench_enrich.c - CPU time of enrich per event: decode, read with the registry, join with readings, encode.
 *
 * bench_enrich [EVENTS]: a house of 1,000 entities in 100 devices says numbers with
 * attributes as Home Assistant does (some 800 bytes an event). Prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event.h"
#include "here.h"
#include "readings.h"
#include "thinned.h"

enum { ENTITIES = 1000, DEVICES = 100, TEXTS = 5 };

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void furnish(known_t *known)
{
    for (int i = 0; i < DEVICES; i++) {
        struct device_row d = { .has_timestamp = true };
        SET_TEXT(&d, device_id, d.device_id, (size_t)snprintf(d.device_id, sizeof d.device_id, "%032x", i));
        SET_TEXT(&d, area_id, d.area_id, (size_t)snprintf(d.area_id, sizeof d.area_id, "area_%d", i % 10));
        SET_TEXT(&d, manufacturer, "Manufacturer", 12);
        SET_TEXT(&d, model, "Model 1", 7);
        known_device(known, &d);
    }
    for (int i = 0; i < 10; i++) {
        struct area_row a = { .has_timestamp = true };
        SET_TEXT(&a, kind, "area", 4);
        SET_TEXT(&a, area_id, a.area_id, (size_t)snprintf(a.area_id, sizeof a.area_id, "area_%d", i));
        SET_TEXT(&a, name, "Living room", 11);
        known_area(known, &a);
    }
    for (int i = 0; i < ENTITIES; i++) {
        struct entity_row e = { .has_timestamp = true };
        SET_TEXT(&e, entity_id, e.entity_id, (size_t)snprintf(e.entity_id, sizeof e.entity_id, "sensor.temperature_%d", i));
        SET_TEXT(&e, device_id, e.device_id, (size_t)snprintf(e.device_id, sizeof e.device_id, "%032x", i % DEVICES));
        SET_TEXT(&e, platform, "zha", 3);
        SET(&e, labels, slice_of("[]"));
        known_entity(known, &e);
    }
}

static size_t write_state(char *to, size_t room, int i, int value, int second)
{
    return (size_t)snprintf(to, room, "{\"entity_id\":\"sensor.temperature_%d\",\"state\":\"%d.%d\",\"attributes\":{"
        "\"state_class\":\"measurement\",\"unit_of_measurement\":\"\xc2\xb0" "C\",\"device_class\":\"temperature\","
        "\"friendly_name\":\"Temperature %d\"},\"last_changed\":\"2026-01-01T00:00:%02d.123456+00:00\",\"last_reported\":"
        "\"2026-01-01T00:00:%02d.123456+00:00\",\"last_updated\":\"2026-01-01T00:00:%02d.123456+00:00\",\"context\":{\"id\":"
        "\"01M85M40SZR2JVM2WTWFA8SKZH\",\"parent_id\":null,\"user_id\":null}}", i, value / 10, value % 10, i, second, second,
        second);
}

static void write_event(msgpack_sbuffer *to, int i)
{
    char old_state[600], new_state[600], text[2000];
    write_state(old_state, sizeof old_state, i, 200 + i % 7, 10);
    write_state(new_state, sizeof new_state, i, 201 + i % 7, 20);
    struct event_raw raw = { .has_event = true, .has_place = true, .place = i, .has_received_at = true,
        .received_at = 1767225620000000, .has_session = true, .session = 1 };
    raw.event = (struct slice){ text, (size_t)snprintf(text, sizeof text,
        "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"sensor.temperature_%d\",\"old_state\":%s,\"new_state\":%s},"
        "\"origin\":\"LOCAL\",\"time_fired\":\"2026-01-01T00:00:20.123456+00:00\",\"context\":{\"id\":\"01M85M40SZR2JVM2WTWFA8SKZH\","
        "\"parent_id\":null,\"user_id\":null}}", i, old_state, new_state) };
    SET_TEXT(&raw, provenance, "live", 4);
    struct fault fault;
    if (event_raw_encode(&raw, to, &fault))
        exit(2);
}

/* What the sources say: texts as they are, an hour of them each. */
static void surround(struct here *here, readings_t *of[TEXTS])
{
    static const char *const texts[TEXTS] = {
        "{\"sky\":\"partly_cloudy\",\"temperature_c\":6.4,\"feels_like_c\":3.1,\"humidity_percent\":81,\"pressure_hpa\":1013.2,\"wind_ms\":4.2,\"gust_ms\":9.1,"
        "\"wind_degrees\":231,\"cloud_percent\":60,\"precipitation_mm\":0,\"radiation_w_m2\":112,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}",
        "{\"intensity_g_kwh\":181,\"index\":\"moderate\",\"fossil_percent\":41.2,\"renewable_percent\":33.1,\"gas_percent\":40.1,\"nuclear_percent\":15.2,"
        "\"wind_percent\":21.3,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}",
        "{\"price\":0.2853,\"net\":0.2397,\"market\":0.1012,\"currency\":\"EUR\",\"as_of\":\"2026-01-01T00:00:00.000000Z\"}",
        "{\"aqi\":71,\"category\":\"Moderate\",\"pollutant\":\"pm2_5\",\"european_aqi\":40,\"pm2_5_aqi\":71,\"pm10_aqi\":20,\"ozone_aqi\":31,\"pm2_5_ug_m3\":19.8,"
        "\"pm10_ug_m3\":22.1,\"ozone_ug_m3\":61,\"no2_ug_m3\":12.1,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}",
        "{\"power_w\":523,\"import_kwh\":3580.245,\"export_kwh\":0,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}",
    };
    struct home_place home = { .has_latitude = true, .latitude = 52.37, .has_longitude = true, .longitude = 4.89 };
    SET_TEXT(&home, time_zone, "Europe/Amsterdam", 16);
    here_open(here);
    here_set(here, &home);
    for (int i = 0; i < TEXTS; i++) {
        of[i] = readings_new();
        for (int at = 0; at < 4; at++)
            readings_add(of[i], INT64_C(1767225600000000) - at * INT64_C(900000000), READING_OPEN, slice_of(texts[i]));
    }
}

static void join(struct here *here, readings_t *of[TEXTS], struct event_full *e)
{
    here_join(here, e);
    SET(e, weather, readings_at(of[0], e->timestamp, INT64_C(5400000000)));
    SET(e, carbon, readings_at(of[1], e->timestamp, INT64_C(5400000000)));
    SET(e, price, readings_at(of[2], e->timestamp, INT64_C(5400000000)));
    SET(e, air, readings_at(of[3], e->timestamp, INT64_C(5400000000)));
    SET(e, meter, readings_at(of[4], thinned_step(e->timestamp), INT64_C(5400000000)));
}

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1000000;
    struct reader reader = { .json = json_new(), .known = known_new() };
    msgpack_sbuffer frames[ENTITIES], out;
    size_t bytes = 0;
    struct here here;
    readings_t *of[TEXTS];
    furnish(reader.known);
    surround(&here, of);
    for (int i = 0; i < ENTITIES; i++) {
        msgpack_sbuffer_init(&frames[i]);
        write_event(&frames[i], i);
        bytes += frames[i].size;
    }
    msgpack_sbuffer_init(&out);
    static struct event_full full;
    static struct event_raw raw;
    struct fault fault;
    double decode_s = 0, read_s = 0, join_s = 0, encode_s = 0;
    for (long done = 0; done < count; done += ENTITIES) {
        double began = cpu_seconds();
        for (int i = 0; i < ENTITIES; i++)
            if (event_raw_decode((struct slice){ frames[i].data, frames[i].size }, &raw, &fault))
                return 2;
        double decoded = cpu_seconds();
        for (int i = 0; i < ENTITIES; i++)
            if (event_raw_decode((struct slice){ frames[i].data, frames[i].size }, &raw, &fault) ||
                event_read(&reader, &raw, MAX_TIME_US, &full, &fault))
                return 2;
        double plain = cpu_seconds();
        for (int i = 0; i < ENTITIES; i++)
            join(&here, of, &full);
        double read = cpu_seconds();
        for (int i = 0; i < ENTITIES; i++) {
            out.size = 0;
            if (event_full_encode(&full, &out, &fault))
                return 2;
        }
        decode_s += decoded - began;
        read_s += plain - decoded - (decoded - began);
        join_s += read - plain;
        encode_s += cpu_seconds() - read;
    }
    printf("{\"events\":%ld,\"bytes_per_event\":%zu,\"decode_ns\":%.0f,\"read_ns\":%.0f,\"join_ns\":%.0f,\"encode_ns\":%.0f,\"total_ns\":%.0f}\n",
        count, bytes / ENTITIES, decode_s / (double)count * 1e9, read_s / (double)count * 1e9,
        join_s / (double)count * 1e9, encode_s / (double)count * 1e9, (decode_s + read_s + join_s + encode_s) / (double)count * 1e9);
    for (int i = 0; i < ENTITIES; i++)
        msgpack_sbuffer_destroy(&frames[i]);
    msgpack_sbuffer_destroy(&out);
    json_destroy(&reader.json);
    known_destroy(&reader.known);
    here_close(&here);
    for (int i = 0; i < TEXTS; i++)
        readings_destroy(&of[i]);
    return 0;
}
