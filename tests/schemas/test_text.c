/* test_text.c - fields from settings, environment and query strings, and back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "schemas.h"

static int set(const struct schema *schema, void *msg, const char *name, const char *text)
{
    struct fault fault = { NULL, NULL };
    const struct field *f = schema_field(schema, name, strlen(name));
    assert_non_null(f);
    int rc = schema_set_text(f, text, strlen(text), msg, &fault);
    if (rc) {
        assert_string_equal(fault.field, name);
        assert_non_null(fault.why);
    }
    return rc;
}

static const char *get(const struct schema *schema, const void *msg, const char *name)
{
    static char text[256];
    schema_get_text(schema_field(schema, name, strlen(name)), msg, text, sizeof text);
    return text;
}

static void whole_numbers_are_read_strictly(void **state)
{
    (void)state;
    struct broker_config m = { 0 };
    const struct schema *schema = broker_config_schema();
    assert_int_equal(set(schema, &m, "silence_ms", "200"), 0);
    assert_int_equal(m.silence_ms, 200);
    assert_string_equal(get(schema, &m, "silence_ms"), "200");
    static const char *const bad[] = { "", "-", "199", "600001", "12x", "1e3", "1.0", " 300", "300 ", "0x200",
        "99999999999999999999999", "-99999999999999999999999" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set(schema, &m, "silence_ms", bad[i]), -1);
    assert_int_equal(m.silence_ms, 200); /* what was refused changed nothing */
}

static void int64_extremes_are_read(void **state)
{
    (void)state;
    struct event_raw m = { 0 };
    assert_int_equal(set(event_raw_schema(), &m, "place", "9223372036854775807"), 0);
    assert_true(m.place == INT64_MAX);
    assert_int_equal(set(event_raw_schema(), &m, "place", "9223372036854775808"), -1);
    assert_int_equal(set(event_raw_schema(), &m, "place", "-1"), -1);
    assert_int_equal(set(event_raw_schema(), &m, "place", "-9223372036854775808"), -1);
}

static void a_clamped_number_becomes_the_highest(void **state)
{
    (void)state;
    struct devices_query m = { 0 };
    const struct schema *schema = devices_query_schema();
    assert_int_equal(set(schema, &m, "limit", "5000"), 0);
    assert_int_equal(m.limit, 1000);
    assert_int_equal(set(schema, &m, "limit", "99999999999999999999999"), 0);
    assert_int_equal(m.limit, 1000);
    assert_int_equal(set(schema, &m, "limit", "0"), -1);
    assert_int_equal(set(schema, &m, "limit", "many"), -1);
    assert_int_equal(set(schema, &m, "offset", "100001"), -1); /* not clamped */
}

static void flags_are_read_as_people_write_them(void **state)
{
    (void)state;
    struct entities_query m = { 0 };
    const struct schema *schema = entities_query_schema();
    static const char *const yes[] = { "true", "1", "yes", "on" }, *const no[] = { "false", "0", "no", "off" };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(set(schema, &m, "disabled", yes[i]), 0);
        assert_true(m.has_disabled && m.disabled);
        assert_string_equal(get(schema, &m, "disabled"), "true");
        assert_int_equal(set(schema, &m, "disabled", no[i]), 0);
        assert_true(m.has_disabled && !m.disabled);
    }
    assert_int_equal(set(schema, &m, "disabled", ""), -1);
    assert_int_equal(set(schema, &m, "disabled", "2"), -1);
    assert_int_equal(set(schema, &m, "disabled", "truest"), -1);
}

static void times_are_read_with_a_zone_or_as_seconds(void **state)
{
    (void)state;
    struct ingest_stats m = { 0 };
    const struct schema *schema = ingest_stats_schema();
    assert_int_equal(set(schema, &m, "last_event_at", "2026-11-24T02:56:44.52449+01:00"), 0);
    assert_true(m.last_event_at == 1795485404524490);
    assert_string_equal(get(schema, &m, "last_event_at"), "2026-11-24T01:56:44.524490Z");
    assert_int_equal(set(schema, &m, "last_event_at", "1795488583.5085294"), 0);
    assert_true(m.last_event_at == 1795488583508529);
    assert_int_equal(set(schema, &m, "last_event_at", "1795488583"), 0);
    assert_true(m.last_event_at == 1795488583000000);
    static const char *const bad[] = { "", "2026-11-24T02:56:44", "yesterday", "-1", "1e300", "nan", "inf", "253402300800" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set(schema, &m, "last_event_at", bad[i]), -1);
}

static void real_numbers_are_finite_and_in_range(void **state)
{
    (void)state;
    struct event_full m = { 0 };
    const struct schema *schema = event_full_schema();
    static const struct { const char *in, *out; } good[] = {
        { "0.1", "0.1" }, { "-12.50", "-12.5" }, { "1e-7", "1e-07" }, { "100000", "100000" }, { "3", "3" },
        { "0.30000000000000004", "0.30000000000000004" }, { "123456789012345680", "1.2345678901234568e+17" },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(set(schema, &m, "canonical_value", good[i].in), 0);
        assert_string_equal(get(schema, &m, "canonical_value"), good[i].out);
    }
    static const char *const bad[] = { "", "nan", "inf", "-inf", "1e999", "0x10", "1,5", " 1", "1 ", "1e", ".", "-", "1.5.2" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set(schema, &m, "canonical_value", bad[i]), -1);
    assert_int_equal(set(schema, &m, "duration_in_state_s", "-0.1"), -1); /* below its range */
}

static void every_real_reads_back_the_same(void **state)
{
    (void)state;
    struct event_full in = { 0 }, out = { 0 };
    const struct field *f = schema_field(event_full_schema(), "canonical_value", strlen("canonical_value"));
    srand(3);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        double number;
        struct fault fault;
        char text[64];
        memcpy(&number, &bits, sizeof number);
        if (!(number > -1e308 && number < 1e308))
            continue;
        SET(&in, canonical_value, number);
        size_t size = schema_get_text(f, &in, text, sizeof text);
        assert_int_equal(schema_set_text(f, text, size, &out, &fault), 0);
        assert_true(out.canonical_value == number);
    }
}

static void text_is_bounded_and_may_hold_anything(void **state)
{
    (void)state;
    struct fault fault;
    struct area_row m = { 0 };
    const struct field *f = schema_field(area_row_schema(), "kind", 4);
    assert_int_equal(schema_set_text(f, "a\0b", 3, &m, &fault), 0);
    assert_int_equal(m.kind_size, 3);
    assert_memory_equal(m.kind, "a\0b", 4);
    assert_int_equal(schema_set_text(f, "", 0, &m, &fault), 0);
    assert_true(m.has_kind && m.kind_size == 0);
    assert_int_equal(schema_set_text(f, NULL, 0, &m, &fault), 0);
    assert_true(m.has_kind && m.kind_size == 0);
    assert_int_equal(schema_set_text(f, "123456789", 9, &m, &fault), -1);
    assert_string_equal(fault.field, "kind");
}

static void a_text_for_others_is_cut_to_its_room(void **state)
{
    (void)state;
    struct area_row m = { 0 };
    const struct field *f = schema_field(area_row_schema(), "kind", 4);
    char text[4] = "xxx";
    assert_int_equal(schema_get_text(f, &m, text, sizeof text), 0);
    assert_string_equal(text, "");
    SET_TEXT(&m, kind, "floor", 5);
    assert_int_equal(schema_get_text(f, &m, text, sizeof text), 5);
    assert_string_equal(text, "flo");
    assert_int_equal(schema_get_text(f, &m, NULL, 0), 5);
}

static void a_secret_is_never_told(void **state)
{
    (void)state;
    struct ingest_config m = { 0 };
    assert_string_equal(get(ingest_config_schema(), &m, "token"), "");
    assert_int_equal(set(ingest_config_schema(), &m, "token", "hunter2"), 0);
    assert_string_equal(get(ingest_config_schema(), &m, "token"), "***");
}

static void fallbacks_fill_what_is_absent(void **state)
{
    (void)state;
    struct fault fault;
    struct suite_config m;
    assert_int_equal(schema_defaults(suite_config_schema(), &m, &fault), -1);
    assert_string_equal(fault.field, "data"); /* required and without one */
    assert_string_equal(m.instance, "1");     /* the others are there all the same */
    assert_int_equal(m.sync_ms, 1000);
    struct broker_config broker;
    assert_int_equal(schema_defaults(broker_config_schema(), &broker, &fault), 0);
    assert_true(broker.has_silence_ms && !broker.has_listen);
    schema_clear(broker_config_schema(), &broker);
    assert_false(broker.has_silence_ms);
    assert_null(schema_field(broker_config_schema(), "silence", 7));
    assert_null(schema_field(broker_config_schema(), "silence_ms2", 11));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_read_strictly),
        cmocka_unit_test(int64_extremes_are_read),
        cmocka_unit_test(a_clamped_number_becomes_the_highest),
        cmocka_unit_test(flags_are_read_as_people_write_them),
        cmocka_unit_test(times_are_read_with_a_zone_or_as_seconds),
        cmocka_unit_test(real_numbers_are_finite_and_in_range),
        cmocka_unit_test(every_real_reads_back_the_same),
        cmocka_unit_test(text_is_bounded_and_may_hold_anything),
        cmocka_unit_test(a_text_for_others_is_cut_to_its_room),
        cmocka_unit_test(a_secret_is_never_told),
        cmocka_unit_test(fallbacks_fill_what_is_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
