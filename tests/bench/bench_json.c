/* bench_json.c - what reading one of Home Assistant's events costs, and our own formats of it.
 *
 * bench_json [ROUNDS]: prints one JSON object, nanoseconds of CPU each. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "json.h"
#include "schemas.h"

/* A frame as a real Home Assistant sent it. */
static const char frame[] =
    "{\"type\":\"event\",\"event\":{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"light.ceiling_lights\",\"ol"
    "d_state\":{\"entity_id\":\"light.ceiling_lights\",\"state\":\"off\",\"attributes\":{\"min_color_temp_kelvin\":200"
    "0,\"max_color_temp_kelvin\":6535,\"min_mireds\":153,\"max_mireds\":500,\"supported_color_modes\":[\"color_tem"
    "p\",\"hs\"],\"color_mode\":null,\"brightness\":null,\"color_temp_kelvin\":null,\"color_temp\":null,\"hs_color\":n"
    "ull,\"rgb_color\":null,\"xy_color\":null,\"friendly_name\":\"Ceiling Lights\",\"supported_features\":0},\"last_"
    "changed\":\"2026-11-24T01:56:42.260137+00:00\",\"last_reported\":\"2026-11-24T01:56:42.260137+00:00\",\"last"
    "_updated\":\"2026-11-24T01:56:42.260137+00:00\",\"context\":{\"id\":\"01M85MA14KVV31XNV8QEZDJJR2\",\"parent_id"
    "\":null,\"user_id\":\"4b3d4034954846f7a6115095330b442f\"}},\"new_state\":{\"entity_id\":\"light.ceiling_lights"
    "\",\"state\":\"off\",\"attributes\":{\"min_color_temp_kelvin\":2000,\"max_color_temp_kelvin\":6535,\"min_mireds\""
    ":153,\"max_mireds\":500,\"supported_color_modes\":[\"color_temp\",\"hs\"],\"color_mode\":null,\"brightness\":nul"
    "l,\"color_temp_kelvin\":null,\"color_temp\":null,\"hs_color\":null,\"rgb_color\":null,\"xy_color\":null,\"frien"
    "dly_name\":\"Ünï\",\"supported_features\":0},\"last_changed\":\"2026-11-24T01:56:42.260137+00:00\",\"last_repo"
    "rted\":\"2026-11-24T01:56:46.591734+00:00\",\"last_updated\":\"2026-11-24T01:56:46.591734+00:00\",\"context\""
    ":{\"id\":\"01M85MA14KVV31XNV8QEZDJJR2\",\"parent_id\":null,\"user_id\":\"4b3d4034954846f7a6115095330b442f\"}}}"
    ",\"origin\":\"LOCAL\",\"time_fired\":\"2026-11-24T01:56:46.591734+00:00\",\"context\":{\"id\":\"01M85MA14KVV31XNV"
    "8QEZDJJR2\",\"parent_id\":null,\"user_id\":\"4b3d4034954846f7a6115095330b442f\"}},\"id\":10}";

static double cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* As enrich does: the event, its data, both states, the contexts. */
static void read_event(json_t *json)
{
    static const char *const in_frame[] = { "id", "type", "event" };
    static const char *const in_event[] = { "event_type", "data", "origin", "time_fired", "context" };
    static const char *const in_data[] = { "entity_id", "old_state", "new_state" };
    static const char *const in_state[] = { "entity_id", "state", "attributes", "last_changed", "last_reported",
        "last_updated", "context" };
    static const char *const in_context[] = { "id", "parent_id", "user_id" };
    struct json_value root, f[3], e[5], d[3], s[7], c[3];
    const char *why;
    int rc = json_read(json, (struct slice){ frame, sizeof frame - 1 }, &root, &why);
    rc |= json_pick(json, root.raw, in_frame, 3, f);
    rc |= json_pick(json, f[2].raw, in_event, 5, e);
    rc |= json_pick(json, e[1].raw, in_data, 3, d);
    rc |= json_pick(json, d[1].raw, in_state, 7, s);
    rc |= json_pick(json, d[2].raw, in_state, 7, s);
    rc |= json_pick(json, e[4].raw, in_context, 3, c);
    assert(rc == 0 && s[1].kind == JSON_TEXT && c[0].kind == JSON_TEXT);
}

static void read_only(json_t *json)
{
    struct json_value root;
    const char *why;
    int rc = json_read(json, (struct slice){ frame, sizeof frame - 1 }, &root, &why);
    assert(rc == 0);
}

static double time_of(void (*what)(json_t *), json_t *json, int rounds)
{
    double from = cpu_ns();
    for (int i = 0; i < rounds; i++)
        what(json);
    return (cpu_ns() - from) / rounds;
}

static struct event_full an_event(void)
{
    struct event_full m = { 0 };
    SET_TEXT(&m, id, "0123456789abcdef0123456789abcdef", 32);
    SET(&m, event_type, slice_of("state_changed"));
    SET(&m, timestamp, 1795485404524490);
    SET(&m, origin, slice_of("LOCAL"));
    SET_TEXT(&m, provenance, "live", 4);
    SET(&m, context_id, slice_of("01M85M40SZR2JVM2WTWFA8SKZH"));
    SET(&m, received_at, 1795485404524999);
    SET(&m, is_state, true);
    SET(&m, place, 123456789);
    SET(&m, entity_id, slice_of("sensor.outside_temperature"));
    SET(&m, domain, slice_of("sensor"));
    SET(&m, state, slice_of("21.5"));
    SET(&m, old_state, slice_of("21.4"));
    SET(&m, last_changed, 1795485404524490);
    SET(&m, last_updated, 1795485404524490);
    SET(&m, last_reported, 1795485404524490);
    SET(&m, attributes, slice_of("{\"state_class\":\"measurement\",\"unit_of_measurement\":\"\xc2\xb0" "C\","
        "\"device_class\":\"temperature\",\"friendly_name\":\"Outside Temperature\"}"));
    SET(&m, changed, true);
    SET(&m, duration_in_state_s, 59.876543);
    SET(&m, device_id, slice_of("0123456789abcdef0123456789abcdef"));
    SET(&m, integration, slice_of("demo"));
    SET(&m, device_class, slice_of("temperature"));
    SET(&m, value, slice_of("21.5"));
    SET(&m, unit, slice_of("\xc2\xb0" "C"));
    SET(&m, canonical_value, 21.5);
    SET(&m, canonical_unit, slice_of("\xc2\xb0" "C"));
    return m;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 200000;
    if (rounds < 1)
        return 100;
    json_t *json = json_new();
    double read_ns = time_of(read_only, json, rounds), event_ns = time_of(read_event, json, rounds);
    json_destroy(&json);

    struct event_full m = an_event(), back;
    struct fault fault;
    msgpack_sbuffer out, text;
    msgpack_sbuffer_init(&out);
    msgpack_sbuffer_init(&text);
    double from = cpu_ns();
    for (int i = 0; i < rounds; i++) {
        msgpack_sbuffer_clear(&out);
        event_full_encode(&m, &out, &fault);
    }
    double encode_ns = (cpu_ns() - from) / rounds;
    from = cpu_ns();
    for (int i = 0; i < rounds; i++)
        event_full_decode((struct slice){ out.data, out.size }, &back, &fault);
    double decode_ns = (cpu_ns() - from) / rounds;
    from = cpu_ns();
    for (int i = 0; i < rounds; i++) {
        msgpack_sbuffer_clear(&text);
        schema_json(event_full_schema(), &back, &text);
    }
    double json_ns = (cpu_ns() - from) / rounds;
    assert(back.place == m.place && text.size > out.size);
    printf("{\"frame_bytes\":%zu,\"read_ns\":%.0f,\"read_and_pick_ns\":%.0f,\"msgpack_bytes\":%zu,\"encode_ns\":%.0f,"
        "\"decode_ns\":%.0f,\"write_json_ns\":%.0f}\n", sizeof frame - 1, read_ns, event_ns, out.size, encode_ns,
        decode_ns, json_ns);
    msgpack_sbuffer_destroy(&out);
    msgpack_sbuffer_destroy(&text);
    return 0;
}
