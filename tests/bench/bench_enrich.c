/* bench_enrich.c - CPU time of enrich per event: decode, read, join, encode.
 *
 * bench_enrich [EVENTS]: a house of 1,000 entities in 100 devices says numbers with
 * attributes as Home Assistant does (some 800 bytes an event). Prints one JSON object. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event.h"

enum { ENTITIES = 1000, DEVICES = 100 };

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

int main(int argc, char **argv)
{
    long count = argc > 1 ? atol(argv[1]) : 1000000;
    struct reader reader = { .json = json_new(), .known = known_new() };
    msgpack_sbuffer frames[ENTITIES], out;
    size_t bytes = 0;
    furnish(reader.known);
    for (int i = 0; i < ENTITIES; i++) {
        msgpack_sbuffer_init(&frames[i]);
        write_event(&frames[i], i);
        bytes += frames[i].size;
    }
    msgpack_sbuffer_init(&out);
    static struct event_full full;
    static struct event_raw raw;
    struct fault fault;
    double decode_s = 0, read_s = 0, encode_s = 0;
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
        double read = cpu_seconds();
        for (int i = 0; i < ENTITIES; i++) {
            out.size = 0;
            if (event_full_encode(&full, &out, &fault))
                return 2;
        }
        decode_s += decoded - began;
        read_s += read - decoded - (decoded - began);
        encode_s += cpu_seconds() - read;
    }
    printf("{\"events\":%ld,\"bytes_per_event\":%zu,\"decode_ns\":%.0f,\"read_ns\":%.0f,\"encode_ns\":%.0f,\"total_ns\":%.0f}\n",
        count, bytes / ENTITIES, decode_s / (double)count * 1e9, read_s / (double)count * 1e9,
        encode_s / (double)count * 1e9, (decode_s + read_s + encode_s) / (double)count * 1e9);
    for (int i = 0; i < ENTITIES; i++)
        msgpack_sbuffer_destroy(&frames[i]);
    msgpack_sbuffer_destroy(&out);
    json_destroy(&reader.json);
    known_destroy(&reader.known);
    return 0;
}
