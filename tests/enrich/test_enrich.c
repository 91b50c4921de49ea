/* test_enrich.c - raw events in, full events or quarantine out; the registry joined; the gate. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "event_id.h"
#include "probe.h"

#define AT "2025-10-13T02:30:00.123456+00:00"
#define AT_US INT64_C(1760322600123456)

/* --- saying things -------------------------------------------------------------------------- */

static void say_mark(probe_t *probe, int64_t session)
{
    struct registry_mark m = { .has_session = true, .session = session, .has_registry_changes = true,
        .has_partial = true, .has_at = true };
    assert_int_equal(probe_deliver(probe, &registry_mark_contract, &m), OK);
}

static void say_session(probe_t *probe, const char *state, int64_t session)
{
    struct ingest_session m = { .has_session = true, .session = session, .has_registry_changes = true };
    SET_TEXT(&m, state, state, strlen(state));
    assert_int_equal(probe_deliver(probe, &ingest_session_contract, &m), OK);
}

static void say_device(probe_t *probe, const char *id, const char *area, const char *parent, const char *model)
{
    struct device_row m = { .has_timestamp = true, .timestamp = 1 };
    SET_TEXT(&m, device_id, id, strlen(id));
    if (area)
        SET_TEXT(&m, area_id, area, strlen(area));
    if (parent)
        SET_TEXT(&m, parent_device_id, parent, strlen(parent));
    if (model)
        SET_TEXT(&m, model, model, strlen(model));
    SET_TEXT(&m, manufacturer, "Acme", 4);
    SET_TEXT(&m, sw_version, "1.10", 4);
    assert_int_equal(probe_deliver(probe, &registry_device_contract, &m), OK);
}

static void say_entity(probe_t *probe, const char *id, const char *device, const char *area, int64_t removed_at)
{
    struct entity_row m = { .has_timestamp = true, .timestamp = 1, .has_disabled = true };
    SET_TEXT(&m, entity_id, id, strlen(id));
    SET_TEXT(&m, domain, id, strcspn(id, "."));
    if (device)
        SET_TEXT(&m, device_id, device, strlen(device));
    if (area)
        SET_TEXT(&m, area_id, area, strlen(area));
    SET_TEXT(&m, platform, "zha", 3);
    SET_TEXT(&m, entity_category, "diagnostic", 10);
    SET(&m, labels, slice_of("[\"night\"]"));
    if (removed_at)
        SET(&m, removed_at, removed_at);
    assert_int_equal(probe_deliver(probe, &registry_entity_contract, &m), OK);
}

static void say_area(probe_t *probe, const char *kind, const char *id, const char *name)
{
    struct area_row m = { .has_timestamp = true, .timestamp = 1 };
    SET_TEXT(&m, kind, kind, strlen(kind));
    SET_TEXT(&m, area_id, id, strlen(id));
    SET_TEXT(&m, name, name, strlen(name));
    assert_int_equal(probe_deliver(probe, &registry_area_contract, &m), OK);
}

/* The events are of now, so nothing waits for what the sources said before. */
static probe_t *open_at(int64_t now_us, const char *const settings[])
{
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    probe_set_now(probe, now_us);
    probe_connected(probe, true);
    return probe;
}

static probe_t *open_with_registry(void)
{
    probe_t *probe = open_at(AT_US, (const char *const[]){ NULL });
    say_device(probe, "dev0", "kitchen", NULL, "X 1");
    say_device(probe, "child", NULL, "dev0", NULL);
    say_entity(probe, "sensor.s0", "dev0", NULL, 0);
    say_entity(probe, "sensor.s1", "dev0", "attic", 0);
    say_entity(probe, "sensor.child", "child", NULL, 0);
    say_entity(probe, "sensor.alone", NULL, NULL, 0);
    say_area(probe, "floor", "kitchen", "Not this one");
    say_area(probe, "area", "kitchen", "Küche");
    say_area(probe, "area", "attic", "Attic");
    say_mark(probe, 1);
    return probe;
}

static int deliver(probe_t *probe, const char *event, const char *provenance, int64_t session)
{
    static int64_t place;
    struct event_raw raw = { .has_event = true, .event = slice_of(event), .has_place = true, .place = ++place,
        .has_received_at = true, .received_at = AT_US + 5, .has_session = true, .session = session };
    SET_TEXT(&raw, provenance, provenance, strlen(provenance));
    probe_clear(probe);
    return probe_deliver(probe, &event_raw_contract, &raw);
}

/* The full event of a live one, which must not go to quarantine. */
static const struct event_full *enrich(probe_t *probe, const char *event)
{
    assert_int_equal(deliver(probe, event, "live", 1), OK);
    const struct event_bad *bad = probe_published(probe, &event_bad_contract, 0);
    if (bad)
        fail_msg("%s: %s: %s", event, bad->field, bad->why);
    assert_int_equal(probe_published_count(probe, &event_full_contract), 1);
    return probe_published(probe, &event_full_contract, 0);
}

static void assert_refused(probe_t *probe, const char *event, const char *field)
{
    assert_int_equal(deliver(probe, event, "live", 1), OK);
    assert_int_equal(probe_published_count(probe, &event_full_contract), 0);
    const struct event_bad *bad = probe_published(probe, &event_bad_contract, 0);
    assert_non_null(bad);
    if (strcmp(bad->field, field))
        fail_msg("%s: refused for \"%s\" (%s), not for \"%s\"", event, bad->field, bad->why, field);
    assert_string_equal(bad->stage, "enrich");
    assert_true(bad->has_place && bad->received_at == AT_US + 5);
    assert_int_equal(bad->bytes.size, strlen(event));
    assert_memory_equal(bad->bytes.data, event, strlen(event));
}

static void assert_slice(bool has, struct slice slice, const char *expected)
{
    if (!expected) {
        assert_false(has);
        return;
    }
    assert_true(has);
    if (slice.size != strlen(expected) || memcmp(slice.data, expected, slice.size))
        fail_msg("\"%.*s\" is not \"%s\"", (int)slice.size, (const char *)slice.data, expected);
}
#define ASSERT_TEXT(e, member, expected) assert_slice((e)->has_##member, (e)->member, expected)

/* A state_changed with the given parts; NULL leaves a part out. */
static const char *changed(const char *entity, const char *old_state, const char *new_state, const char *rest)
{
    static char text[4096];
    snprintf(text, sizeof text,
        "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"%s\",\"old_state\":%s,\"new_state\":%s},"
        "\"origin\":\"LOCAL\",\"time_fired\":\"" AT "\"%s}", entity, old_state, new_state, rest);
    return text;
}

static const char *state_of(const char *entity, const char *text, const char *attributes)
{
    static char at[2][1024];
    static int turn;
    char *to = at[turn++ & 1];
    snprintf(to, sizeof at[0], "{\"entity_id\":\"%s\",\"state\":%s,\"attributes\":%s,\"last_changed\":\"" AT "\","
        "\"last_reported\":\"" AT "\",\"last_updated\":\"" AT "\"}", entity, text, attributes);
    return to;
}

/* --- what comes out ---------------------------------------------------------------------------- */

static void an_event_gets_everything_that_is_known_of_it(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e = enrich(probe, changed("sensor.s0",
        "{\"entity_id\":\"sensor.s0\",\"state\":\"70\",\"attributes\":{},\"last_changed\":\"2025-10-13T04:29:30.123456+02:00\"}",
        state_of("sensor.s0", "\"70.7\"", "{\"unit_of_measurement\":\"\\u00b0F\",\"device_class\":\"temperature\",\"n\":1e-7}"),
        ",\"context\":{\"id\":\"c1\",\"parent_id\":\"p1\",\"user_id\":null}"));
    ASSERT_TEXT(e, event_type, "state_changed");
    assert_true(e->is_state && e->timestamp == AT_US && e->received_at == AT_US + 5 && e->has_place);
    assert_string_equal(e->provenance, "live");
    ASSERT_TEXT(e, origin, "LOCAL");
    ASSERT_TEXT(e, context_id, "c1");
    ASSERT_TEXT(e, context_parent_id, "p1");
    ASSERT_TEXT(e, context_user_id, NULL);
    ASSERT_TEXT(e, entity_id, "sensor.s0");
    ASSERT_TEXT(e, domain, "sensor");
    ASSERT_TEXT(e, state, "70.7");
    ASSERT_TEXT(e, old_state, "70");
    assert_true(e->last_changed == AT_US && e->last_updated == AT_US && e->last_reported == AT_US);
    ASSERT_TEXT(e, attributes, "{\"unit_of_measurement\":\"\\u00b0F\",\"device_class\":\"temperature\",\"n\":1e-7}");
    assert_true(e->has_changed && e->changed);
    assert_true(e->has_duration_in_state_s && e->duration_in_state_s == 30);
    ASSERT_TEXT(e, device_id, "dev0");
    ASSERT_TEXT(e, area_id, "kitchen");
    ASSERT_TEXT(e, area, "Küche");
    ASSERT_TEXT(e, integration, "zha");
    ASSERT_TEXT(e, device_class, "temperature");
    ASSERT_TEXT(e, manufacturer, "Acme");
    ASSERT_TEXT(e, model, "X 1");
    ASSERT_TEXT(e, sw_version, "1.10");
    ASSERT_TEXT(e, labels, "[\"night\"]");
    ASSERT_TEXT(e, entity_category, "diagnostic");
    ASSERT_TEXT(e, value, "70.7");
    ASSERT_TEXT(e, unit, "°F");
    assert_true(e->has_canonical_value && e->canonical_value > 21.49 && e->canonical_value < 21.51);
    ASSERT_TEXT(e, canonical_unit, "°C");
    ASSERT_TEXT(e, data, NULL);
    assert_int_equal(strlen(e->id), EVENT_ID);
    probe_destroy(&probe);
}

static void the_area_is_the_entitys_own_else_its_devices_else_its_parents(void **state)
{
    (void)state;
    static const struct { const char *entity, *device, *area_id, *area, *manufacturer; } cases[] = {
        { "sensor.s0", "dev0", "kitchen", "Küche", "Acme" }, { "sensor.s1", "dev0", "attic", "Attic", "Acme" },
        { "sensor.child", "child", "kitchen", "Küche", "Acme" }, { "sensor.alone", NULL, NULL, NULL, NULL },
        { "sensor.unknown_one", NULL, NULL, NULL, NULL },
    };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct event_full *e = enrich(probe, changed(cases[i].entity, "null",
            state_of(cases[i].entity, "\"1\"", "{}"), ""));
        ASSERT_TEXT(e, device_id, cases[i].device);
        ASSERT_TEXT(e, area_id, cases[i].area_id);
        ASSERT_TEXT(e, area, cases[i].area);
        ASSERT_TEXT(e, manufacturer, cases[i].manufacturer);
    }
    probe_destroy(&probe);
}

static void what_the_registry_says_next_counts_from_then_on(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e;
    char event[4096];
    snprintf(event, sizeof event, "%s", changed("sensor.child", "null", state_of("sensor.child", "\"1\"", "{}"), ""));
    e = enrich(probe, event);
    ASSERT_TEXT(e, area, "Küche");
    say_area(probe, "area", "kitchen", "Kitchen");
    e = enrich(probe, event);
    ASSERT_TEXT(e, area, "Kitchen");
    say_device(probe, "dev0", "attic", NULL, "X 2");
    e = enrich(probe, event);
    ASSERT_TEXT(e, area, "Attic");
    say_device(probe, "child", NULL, "child", NULL); /* a part of itself: nonsense must not hang */
    e = enrich(probe, event);
    ASSERT_TEXT(e, area, NULL);
    say_entity(probe, "sensor.child", "dev0", NULL, 0);
    e = enrich(probe, event);
    ASSERT_TEXT(e, model, "X 2");
    probe_destroy(&probe);
}

static void a_removed_entity_is_known_for_what_was_before(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e;
    char event[4096];
    snprintf(event, sizeof event, "%s", changed("sensor.s0", "null", state_of("sensor.s0", "\"1\"", "{}"), ""));
    say_entity(probe, "sensor.s0", "dev0", NULL, AT_US + 1);
    e = enrich(probe, event);
    ASSERT_TEXT(e, device_id, "dev0");
    say_entity(probe, "sensor.s0", "dev0", NULL, AT_US - 1);
    e = enrich(probe, event);
    ASSERT_TEXT(e, device_id, NULL);
    probe_destroy(&probe);
}

static void a_removal_is_an_event(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e = enrich(probe, changed("sensor.s0", state_of("sensor.s0", "\"1\"", "{}"), "null", ""));
    ASSERT_TEXT(e, state, NULL);
    ASSERT_TEXT(e, old_state, "1");
    ASSERT_TEXT(e, attributes, NULL);
    ASSERT_TEXT(e, value, NULL);
    ASSERT_TEXT(e, device_id, "dev0");
    assert_false(e->has_last_updated || e->has_last_changed || e->has_last_reported);
    assert_true(e->changed && e->timestamp == AT_US);
    probe_destroy(&probe);
}

static void a_state_text_is_kept_to_the_byte(void **state)
{
    (void)state;
    static const struct { const char *json; const char *text; size_t size; } cases[] = {
        { "\"\"", "", 0 }, { "\" 12 \"", " 12 ", 4 }, { "\"1E5\"", "1E5", 3 }, { "\"a\\u0000b\"", "a\0b", 3 },
        { "\"\\u00e9\"", "\xc3\xa9", 2 }, { "\"\xc3\xa9\"", "\xc3\xa9", 2 },
        { "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4 }, { "\"\\ud83d\"", "\xed\xa0\xbd", 3 },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
    };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct event_full *e = enrich(probe, changed("sensor.s0", "null", state_of("sensor.s0", cases[i].json, "{}"), ""));
        assert_true(e->has_state);
        assert_int_equal(e->state.size, cases[i].size);
        assert_memory_equal(e->state.data, cases[i].text, cases[i].size);
    }
    probe_destroy(&probe);
}

static void an_attribute_change_has_no_duration(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e = enrich(probe, changed("light.a", "{\"state\":\"on\",\"last_changed\":\"2025-10-13T02:00:00Z\"}",
        state_of("light.a", "\"on\"", "{\"brightness\":null}"), ""));
    assert_true(e->has_changed && !e->changed && !e->has_duration_in_state_s);
    ASSERT_TEXT(e, value, "true");
    probe_destroy(&probe);
}

static void a_duration_that_cannot_be_told_is_absent(void **state)
{
    (void)state;
    static const char *const times[] = { "\"2025-10-13T02:30:01+00:00\"", "\"13/10/2025\"", "null", "5",
        "\"2025-10-13T02:25:00\"" };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char old[200];
        snprintf(old, sizeof old, "{\"state\":\"a\",\"last_changed\":%s}", times[i]);
        const struct event_full *e = enrich(probe, changed("sensor.s0", old, state_of("sensor.s0", "\"b\"", "{}"), ""));
        assert_true(e->changed && !e->has_duration_in_state_s);
    }
    probe_destroy(&probe);
}

static void other_events_keep_their_data_raw(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e = enrich(probe, "{\"event_type\":\"call_service\",\"data\":{\"domain\":\"light\",\"x\":[1e-7,null]},"
        "\"origin\":\"LOCAL\",\"time_fired\":\"" AT "\",\"context\":{\"id\":\"c\",\"parent_id\":null,\"user_id\":\"u\"}}");
    assert_false(e->is_state);
    ASSERT_TEXT(e, data, "{\"domain\":\"light\",\"x\":[1e-7,null]}");
    ASSERT_TEXT(e, entity_id, NULL);
    ASSERT_TEXT(e, context_user_id, "u");
    e = enrich(probe, "{\"event_type\":\"automation_triggered\",\"data\":{\"entity_id\":\"automation.a\"},\"time_fired\":\"" AT "\"}");
    ASSERT_TEXT(e, entity_id, "automation.a");
    ASSERT_TEXT(e, context_id, NULL);
    e = enrich(probe, "{\"event_type\":\"x\",\"data\":{\"entity_id\":[\"a.b\"]},\"time_fired\":\"" AT "\"}");
    ASSERT_TEXT(e, entity_id, NULL);
    probe_destroy(&probe);
}

static void a_backfilled_state_happened_when_it_was_updated(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const char *event = "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"a.b\",\"new_state\":{\"state\":\"1\","
        "\"attributes\":{},\"last_changed\":\"" AT "\",\"last_updated\":\"" AT "\"}}}";
    assert_int_equal(deliver(probe, event, "backfill", 0), OK);
    const struct event_full *e = probe_published(probe, &event_full_contract, 0);
    assert_non_null(e);
    assert_string_equal(e->provenance, "backfill");
    assert_true(e->timestamp == AT_US);
    assert_refused(probe, event, "time_fired");
    probe_destroy(&probe);
}

/* What Home Assistant took over from before its start, or made while it was starting. */
static void a_state_that_only_came_back_is_labelled(void **state)
{
    (void)state;
    static const char *const mine = "{\"restored\":true,\"x\":1}", *const plain = "{\"x\":1}", *const untrue = "{\"restored\":false}";
    probe_t *probe = open_with_registry();
    const struct { const char *old_state, *new_state; bool starting, has, restored; } cases[] = {
        { "null", plain, false, true, false }, { "null", plain, true, true, true }, { plain, plain, true, true, false },
        { "null", mine, false, true, true }, { mine, plain, false, true, true }, { plain, mine, false, true, true },
        { untrue, untrue, false, true, false }, { plain, "null", true, false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char before[1024], after[1024];
        snprintf(before, sizeof before, "%s", *cases[i].old_state == 'n' ? "null" : state_of("a.b", "\"1\"", cases[i].old_state));
        snprintf(after, sizeof after, "%s", *cases[i].new_state == 'n' ? "null" : state_of("a.b", "\"2\"", cases[i].new_state));
        struct event_raw raw = { .has_event = true, .event = slice_of(changed("a.b", before, after, "")), .has_place = true, .place = 1,
            .has_received_at = true, .received_at = AT_US, .has_session = true, .session = 1, .has_starting = cases[i].starting,
            .starting = cases[i].starting };
        SET_TEXT(&raw, provenance, "live", 4);
        probe_clear(probe);
        assert_int_equal(probe_deliver(probe, &event_raw_contract, &raw), OK);
        const struct event_full *e = probe_published(probe, &event_full_contract, 0);
        assert_non_null(e);
        assert_int_equal(e->has_restored, cases[i].has);
        assert_int_equal(e->has_restored && e->restored, cases[i].restored);
    }
    assert_int_equal(deliver(probe, changed("a.b", "null", state_of("a.b", "\"1\"", plain), ""), "backfill", 1), OK);
    assert_false(((const struct event_full *)probe_published(probe, &event_full_contract, 0))->has_restored); /* history does not tell */
    probe_destroy(&probe);
}

static void entity_ids_may_have_digits_anywhere(void **state)
{
    (void)state;
    static const char *const ids[] = { "zone2.x", "sensor.1", "sensor.a-b", "a.b.c", "sensor.", "Sensor.X", "\xc3\xa4.x" };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        const struct event_full *e = enrich(probe, changed(ids[i], "null", state_of(ids[i], "\"1\"", "{}"), ""));
        ASSERT_TEXT(e, entity_id, ids[i]);
        assert_int_equal(e->domain.size, strcspn(ids[i], "."));
    }
    probe_destroy(&probe);
}

/* --- what goes to quarantine -------------------------------------------------------------------- */

static void what_is_no_event_is_refused_by_field(void **state)
{
    (void)state;
#define TIME ",\"time_fired\":\"" AT "\""
    static const struct { const char *event, *field; } cases[] = {
        { "{", "event" }, { "[]", "event" }, { "5", "event" }, { "{} {}", "event" }, { "\"\xff\"", "event" },
        { "{\"data\":{}" TIME "}", "event_type" }, { "{\"event_type\":5,\"data\":{}" TIME "}", "event_type" },
        { "{\"event_type\":\"x\",\"data\":{}}", "time_fired" },
        { "{\"event_type\":\"x\",\"data\":{},\"time_fired\":null}", "time_fired" },
        { "{\"event_type\":\"x\",\"data\":{},\"time_fired\":\"yesterday\"}", "time_fired" },
        { "{\"event_type\":\"x\",\"data\":{},\"time_fired\":1760322600}", "time_fired" },
        { "{\"event_type\":\"x\",\"data\":[]" TIME "}", "data" },
        { "{\"event_type\":\"x\",\"data\":{},\"context\":5" TIME "}", "context" },
        { "{\"event_type\":\"x\",\"data\":{},\"context\":{\"id\":5}" TIME "}", "context.id" },
        { "{\"event_type\":\"state_changed\"" TIME "}", "data" },
        { "{\"event_type\":\"state_changed\",\"data\":[]" TIME "}", "data" },
        { "{\"event_type\":\"state_changed\",\"data\":{}" TIME "}", "data.entity_id" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"nodot\",\"new_state\":null}" TIME "}", "data.entity_id" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"\",\"new_state\":null}" TIME "}", "data.entity_id" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":5,\"new_state\":null}" TIME "}", "data.entity_id" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"a.b\"}" TIME "}", "data.new_state" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"a.b\",\"new_state\":5}" TIME "}", "data.new_state" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"a.b\",\"new_state\":{}}" TIME "}", "data.new_state.state" },
        { "{\"event_type\":\"state_changed\",\"data\":{\"entity_id\":\"a.b\",\"new_state\":null,\"old_state\":[]}" TIME "}", "data.old_state" },
    };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(probe, cases[i].event, cases[i].field);
    assert_true(probe_logged(probe, "data.old_state"));
    probe_destroy(&probe);
}

static void a_bad_state_is_refused_by_field(void **state)
{
    (void)state;
    static const struct { const char *state, *field; } cases[] = {
        { "{\"state\":5}", "data.new_state.state" }, { "{\"state\":null}", "data.new_state.state" },
        { "{\"state\":true}", "data.new_state.state" }, { "{\"state\":{\"a\":1}}", "data.new_state.state" },
        { "{\"state\":\"1\",\"last_changed\":\"13/10/2025\"}", "data.new_state.last_changed" },
        { "{\"state\":\"1\",\"last_updated\":\"\"}", "data.new_state.last_updated" },
        { "{\"state\":\"1\",\"last_reported\":5}", "data.new_state.last_reported" },
        { "{\"state\":\"1\",\"attributes\":[]}", "data.new_state.attributes" },
        { "{\"state\":\"1\",\"entity_id\":\"c.d\"}", "data.new_state.entity_id" },
    };
    probe_t *probe = open_with_registry();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(probe, changed("a.b", "null", cases[i].state, ""), cases[i].field);
    assert_refused(probe, changed("a.b", "{\"state\":\"1\",\"entity_id\":\"c.d\"}", "null", ""), "data.old_state.entity_id");
    assert_refused(probe, changed("a.b", "{\"state\":1}", "null", ""), "data.old_state.state");
    probe_destroy(&probe);
}

static void an_odd_event_is_stored_and_counted(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const struct event_full *e = enrich(probe, changed("a.b", "null", "{\"state\":\"1\",\"last_updated\":\"" AT "\"}", ""));
    assert_true(!e->has_last_changed && e->last_updated == AT_US);
    ASSERT_TEXT(e, attributes, NULL);
    e = enrich(probe, changed("a.b", "null",
        "{\"state\":\"1\",\"attributes\":{\"unit_of_measurement\":5},\"last_changed\":\"2025-10-13T02:30:00\"}", ""));
    assert_true(e->last_changed == AT_US - 123456); /* without a zone: taken as UTC */
    ASSERT_TEXT(e, unit, NULL);
    e = enrich(probe, "{\"event_type\":\"x\",\"data\":{},\"time_fired\":\"2199-01-01T00:00:00Z\"}");
    assert_non_null(e);
    probe_destroy(&probe);
}

static void a_message_that_does_not_decode_goes_to_quarantine(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    probe_clear(probe);
    assert_int_equal(probe_deliver_bytes(probe, &event_raw_contract, (struct slice){ "\x93\xa1x\x01\x02", 5 }), BAD_REQUEST);
    const struct event_bad *bad = probe_published(probe, &event_bad_contract, 0);
    assert_non_null(bad);
    assert_int_equal(bad->bytes.size, 5);
    probe_destroy(&probe);
}

/* --- the gate -------------------------------------------------------------------------------------- */

static bool is_paused(probe_t *probe)
{
    return probe_paused(probe, &event_raw_contract);
}

static void no_event_is_taken_before_the_registry_is_there(void **state)
{
    (void)state;
    probe_t *probe = open_at(AT_US, (const char *const[]){ NULL });
    assert_true(is_paused(probe));
    say_entity(probe, "sensor.s0", NULL, NULL, 0);
    say_session(probe, "live", 7);
    probe_advance(probe, 60000);
    assert_true(is_paused(probe));
    say_mark(probe, 7);
    assert_false(is_paused(probe));
    probe_destroy(&probe);
}

static void a_registry_from_disk_will_do_while_home_assistant_is_away(void **state)
{
    (void)state;
    probe_t *probe = open_at(AT_US, (const char *const[]){ NULL });
    say_session(probe, "connecting", 6);
    say_mark(probe, 0);
    assert_false(is_paused(probe));
    assert_int_equal(deliver(probe, changed("a.b", "null", state_of("a.b", "\"1\"", "{}"), ""), "live", 5), OK);
    probe_destroy(&probe);
}

static void a_new_session_waits_for_its_own_registry(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    say_session(probe, "live", 2);
    assert_true(is_paused(probe));
    say_mark(probe, 0); /* registry was restarted in between */
    assert_true(is_paused(probe));
    say_mark(probe, 2);
    assert_false(is_paused(probe));
    say_session(probe, "live", 2);
    assert_false(is_paused(probe));
    say_session(probe, "waiting", 2);
    assert_false(is_paused(probe));
    say_session(probe, "live", 3);
    assert_true(is_paused(probe));
    say_mark(probe, 4); /* later is as good */
    assert_false(is_paused(probe));
    probe_destroy(&probe);
}

static void a_registry_that_does_not_come_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    char why[200];
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    say_session(probe, "live", 2);
    probe_advance(probe, 9000);
    assert_true(is_paused(probe));
    say_session(probe, "live", 2); /* said again: the wait goes on, it does not begin anew */
    probe_advance(probe, 1500);
    assert_false(is_paused(probe));
    assert_true(probe_logged(probe, "session 2"));
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    say_session(probe, "live", 3);
    assert_true(is_paused(probe));
    say_mark(probe, 3);
    assert_false(is_paused(probe));
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
}

static void a_registry_that_does_not_run_holds_events_for_minutes_only(void **state)
{
    (void)state;
    char why[240];
    probe_t *probe = open_at(AT_US, (const char *const[]){ "registry_wait_ms", "300000", NULL });
    say_session(probe, "live", 1);
    probe_advance(probe, 200000);
    say_session(probe, "live", 2); /* another session does not begin the wait anew */
    probe_advance(probe, 99999);
    assert_true(is_paused(probe));
    probe_advance(probe, 1);
    assert_false(is_paused(probe));
    assert_true(probe_logged(probe, "registry has said nothing"));
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "registry says nothing"));
    say_mark(probe, 0); /* it is back: what it had of sessions before is not what is wanted */
    assert_true(is_paused(probe));
    say_mark(probe, 2);
    assert_false(is_paused(probe));
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
}

static void an_event_of_a_session_not_announced_yet_waits(void **state)
{
    (void)state;
    probe_t *probe = open_with_registry();
    const char *event = changed("a.b", "null", state_of("a.b", "\"1\"", "{}"), "");
    assert_int_equal(deliver(probe, event, "live", 2), UNAVAILABLE);
    assert_int_equal(probe_published_count(probe, &event_full_contract), 0);
    assert_true(is_paused(probe));
    say_mark(probe, 2);
    assert_false(is_paused(probe));
    assert_int_equal(deliver(probe, event, "live", 2), OK);
    assert_int_equal(deliver(probe, event, "live", 1), OK); /* replayed from before */
    probe_destroy(&probe);
}

static void a_mark_that_overtakes_its_rows_waits_for_them(void **state)
{
    (void)state;
    probe_t *probe = open_at(AT_US, (const char *const[]){ NULL });
    struct registry_mark m = { .has_session = true, .session = 1, .has_registry_changes = true, .has_partial = true,
        .has_at = true, .has_entity_revision = true, .entity_revision = 12, .has_device_revision = true,
        .device_revision = 3 };
    assert_int_equal(probe_deliver(probe, &registry_mark_contract, &m), OK);
    struct device_row d = { .has_timestamp = true, .has_revision = true, .revision = 3 };
    struct entity_row e = { .has_timestamp = true, .has_disabled = true, .has_revision = true, .revision = 11 };
    SET_TEXT(&d, device_id, "d", 1);
    SET_TEXT(&e, entity_id, "a.b", 3);
    SET_TEXT(&e, domain, "a", 1);
    assert_int_equal(probe_deliver(probe, &registry_device_contract, &d), OK);
    assert_int_equal(probe_deliver(probe, &registry_entity_contract, &e), OK);
    assert_true(is_paused(probe));
    e.revision = 12;
    assert_int_equal(probe_deliver(probe, &registry_entity_contract, &e), OK);
    assert_false(is_paused(probe));
    m.entity_revision = 13; /* never comes: not for ever either */
    assert_int_equal(probe_deliver(probe, &registry_mark_contract, &m), OK);
    assert_true(is_paused(probe));
    probe_advance(probe, 10100);
    assert_false(is_paused(probe));
    probe_destroy(&probe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_gets_everything_that_is_known_of_it),
        cmocka_unit_test(the_area_is_the_entitys_own_else_its_devices_else_its_parents),
        cmocka_unit_test(what_the_registry_says_next_counts_from_then_on),
        cmocka_unit_test(a_removed_entity_is_known_for_what_was_before),
        cmocka_unit_test(a_removal_is_an_event),
        cmocka_unit_test(a_state_text_is_kept_to_the_byte),
        cmocka_unit_test(an_attribute_change_has_no_duration),
        cmocka_unit_test(a_duration_that_cannot_be_told_is_absent),
        cmocka_unit_test(other_events_keep_their_data_raw),
        cmocka_unit_test(a_backfilled_state_happened_when_it_was_updated),
        cmocka_unit_test(a_state_that_only_came_back_is_labelled),
        cmocka_unit_test(entity_ids_may_have_digits_anywhere),
        cmocka_unit_test(what_is_no_event_is_refused_by_field),
        cmocka_unit_test(a_bad_state_is_refused_by_field),
        cmocka_unit_test(an_odd_event_is_stored_and_counted),
        cmocka_unit_test(a_message_that_does_not_decode_goes_to_quarantine),
        cmocka_unit_test(no_event_is_taken_before_the_registry_is_there),
        cmocka_unit_test(a_registry_from_disk_will_do_while_home_assistant_is_away),
        cmocka_unit_test(a_new_session_waits_for_its_own_registry),
        cmocka_unit_test(a_registry_that_does_not_come_is_not_waited_for_for_ever),
        cmocka_unit_test(a_registry_that_does_not_run_holds_events_for_minutes_only),
        cmocka_unit_test(an_event_of_a_session_not_announced_yet_waits),
        cmocka_unit_test(a_mark_that_overtakes_its_rows_waits_for_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
