/* test_telegram.c - telegrams out of a stream: what is taken, and what is not. */
#include "telegram.h"
#include "telegrams.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { METER_S = 1795422615 };

struct seen { size_t count; char last[TELEGRAM_MAX + 1]; size_t size; };

static void see(void *owner, struct slice telegram)
{
    struct seen *seen = owner;
    seen->count++;
    memcpy(seen->last, telegram.data, telegram.size);
    seen->size = telegram.size;
}

/* With its sum and a line's end. */
static char *sum(const char *body)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s%04X\r\n", body, crc16_arc(slice_of(body)));
    return text;
}

static int read_text(const char *text, struct smartmeter_reading *reading, int64_t *at_us, struct fault *fault)
{
    struct seen seen = { .count = 0 };
    struct stream stream = { .size = 0 };
    size_t odd;
    memset(reading, 0, sizeof *reading);
    stream_take(&stream, 1, slice_of(text), see, &seen);
    assert_int_equal(seen.count, 1);
    int rc = telegram_read((struct slice){ seen.last, seen.size }, reading, at_us, &odd, fault);
    if (rc == 0)
        assert_int_equal(odd, 0);
    return rc;
}

static struct smartmeter_reading reading;
static int64_t at_us;
static struct fault fault;

static void the_sum_is_crc16_arc(void **state)
{
    (void)state;
    assert_int_equal(crc16_arc(slice_of("123456789")), 0xBB3D);
    assert_int_equal(crc16_arc(slice_of(V5_BODY)), 0xC431);
    assert_int_equal(crc16_arc(slice_of("/HAI5\\2SYN-METER-01\r\n\r\n0-0:1.0.0(261025020000S)\r\n1-0:1.7.0(00.000*kW)\r\n1-0:2.7.0(01.250*kW)\r\n!")), 0x4312);
    assert_int_equal(crc16_arc(slice_of("/HAI5\\2SYN-METER-01\r\n\r\n0-0:1.0.0(261025020000W)\r\n1-0:1.7.0(00.000*kW)\r\n1-0:2.7.0(01.250*kW)\r\n!")), 0x37A7);
}

static void all_of_a_telegram_of_version_5_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_text(V5, &reading, &at_us, &fault), 0);
    assert_true(at_us == INT64_C(1000000) * METER_S);
    assert_true(reading.power_w == 642 && reading.power_l1_w == 642 && reading.voltage_l1_v == 231.4 && reading.current_l1_a == 3);
    assert_true(reading.import_t1_kwh == 1234.567 && reading.import_t2_kwh == 2345.678 && reading.import_kwh == 3580.245);
    assert_true(reading.export_t1_kwh == 12.345 && reading.export_kwh == 80.235);
    assert_true(reading.gas_m3 == 321.098 && reading.gas_at == INT64_C(1795422600000000));
    assert_string_equal(reading.tariff, "2");
    assert_string_equal(reading.meter, "SYN000000000001");
    assert_string_equal(reading.version, "50");
    assert_false(reading.has_power_l2_w || reading.has_voltage_l3_v || reading.has_water_m3 || reading.has_heat_gj);
}

static void in_the_hour_that_comes_twice_the_letter_tells_which(void **state)
{
    (void)state;
    assert_true(telegram_time_us(slice_of("261025020000S")) == INT64_C(1792886400000000));
    assert_true(telegram_time_us(slice_of("261025020000W")) == INT64_C(1792890000000000));
    static const char *const none[] = { "", "700101010000W", "632525252525W", "261025020000", "261025020000X", "26102502000S", "26-025020000W" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_true(telegram_time_us(slice_of(none[i])) == -1);
}

static void a_sum_without_its_leading_zero_is_right(void **state)
{
    (void)state;
    assert_int_equal(read_text(SHORT "BD0\r\n", &reading, &at_us, &fault), 0);
    assert_int_equal(read_text(SHORT "0BD0\r\n", &reading, &at_us, &fault), 0);
    assert_true(reading.power_w == 3 && at_us == -1);
}

static void a_telegram_that_was_changed_says_nothing(void **state)
{
    char text[2000], plain[2000];
    size_t n = 0;
    (void)state;
    snprintf(text, sizeof text, "%s", V5);
    *strstr(text, "00.642") = '9';
    assert_int_equal(read_text(text, &reading, &at_us, &fault), -1);
    assert_string_equal(fault.why, "has a wrong checksum: it was changed on its way");
    assert_false(reading.has_power_w);
    for (const char *at = V5; *at; at++) /* a proxy that makes CRLF a LF */
        if (*at != '\r')
            plain[n++] = *at;
    plain[n] = '\0';
    assert_int_equal(read_text(plain, &reading, &at_us, &fault), -1);
    assert_int_equal(read_text(V5_BODY "\r\n", &reading, &at_us, &fault), -1); /* without a sum it is none of version 5 */
    assert_string_equal(fault.why, "has no checksum, and must have one");
    assert_int_equal(read_text(V5_BODY "C4310\r\n", &reading, &at_us, &fault), -1);
}

static void version_3_has_no_sum_and_its_gas_stands_on_the_next_line(void **state)
{
    (void)state;
    assert_int_equal(read_text(V3, &reading, &at_us, &fault), 0);
    assert_true(at_us == -1 && reading.power_w == 980 && reading.gas_m3 == 12.345 && reading.import_kwh == 3.003);
    assert_false(reading.has_gas_at);
    assert_string_equal(reading.tariff, "1");
}

static void of_two_gas_meters_the_one_that_spoke_last_counts(void **state)
{
    (void)state;
    assert_int_equal(read_text(sum(BELGIAN), &reading, &at_us, &fault), 0);
    assert_true(reading.gas_m3 == 112.384 && reading.water_m3 == 872.234);
    assert_true(reading.power_w == -1250 && reading.power_l1_w == -800 && reading.power_l2_w == 100);
    assert_true(reading.voltage_l2_v == 235.5 && reading.current_l3_a == 1.52);
    assert_true(reading.demand_w == 2351 && reading.peak_month_w == 2589);
    assert_string_equal(reading.version, "50217");
}

static void meters_with_totals_alone_have_no_tariffs(void **state)
{
    (void)state;
    assert_int_equal(read_text(sum(TOTALS), &reading, &at_us, &fault), 0);
    assert_true(reading.import_kwh == 988.29 && reading.export_kwh == 1 && reading.power_w == 1230);
    assert_false(reading.has_import_t1_kwh || reading.has_gas_m3);
}

static void values_that_are_none_are_left_out_and_counted(void **state)
{
    struct seen seen = { .count = 0 };
    struct stream stream = { .size = 0 };
    size_t odd;
    (void)state;
    char *text = sum("/X5\\\r\n\r\n1-0:1.7.0(00.642*kWh)\r\n1-0:1.8.1(1.2.3*kWh)\r\n1-0:1.8.2(nan*kWh)\r\n1-0:2.8.1(-1*kWh)\r\n1-0:2.8.2()\r\n1-0:32.7.0(9999*V)\r\n1-0:1.8.0(1*kWh)\r\n!");
    memset(&reading, 0, sizeof reading);
    stream_take(&stream, 1, slice_of(text), see, &seen);
    assert_int_equal(telegram_read((struct slice){ seen.last, seen.size }, &reading, &at_us, &odd, &fault), 0);
    assert_int_equal(odd, 5);
    assert_false(reading.has_power_w || reading.has_import_t1_kwh || reading.has_export_t2_kwh || reading.has_voltage_l1_v);
    assert_true(reading.import_kwh == 1);
}

static void a_stream_in_pieces_with_noise_gives_each_telegram_once(void **state)
{
    struct seen seen = { .count = 0 };
    struct stream stream = { .size = 0 };
    char text[8000];
    (void)state;
    snprintf(text, sizeof text, "\x01\xfe kW)\r\n!1234\r\n%s%s/HAI5\\2torn\r\n\r\n1-0:1.7.0(00.6%s", V5, V5, V5);
    size_t dropped = 0, size = strlen(text);
    for (size_t i = 0; i < size; i++)
        dropped += stream_take(&stream, 1000, (struct slice){ text + i, 1 }, see, &seen);
    assert_int_equal(seen.count, 3);
    assert_int_equal(dropped, 1);
    assert_int_equal(seen.size, strlen(V5) - 2);
    assert_memory_equal(seen.last, V5, seen.size);
}

static void what_does_not_end_is_dropped(void **state)
{
    struct seen seen = { .count = 0 };
    struct stream stream = { .size = 0 };
    char *flood = test_malloc(3 * TELEGRAM_MAX);
    (void)state;
    assert_int_equal(stream_take(&stream, 1000000, slice_of("/HAI5\\2half\r\n"), see, &seen), 0);
    assert_int_equal(stream_take(&stream, 4000000, slice_of(V5), see, &seen), 1);
    assert_int_equal(seen.count, 1);
    memset(flood, '/', 3 * TELEGRAM_MAX);
    assert_int_equal(stream_take(&stream, 4000000, (struct slice){ flood, 3 * TELEGRAM_MAX }, see, &seen), 3);
    stream_take(&stream, 9000000, slice_of(V5), see, &seen);
    assert_int_equal(seen.count, 2);
    test_free(flood);
}

static void encrypted_telegrams_are_seen_to_be_so(void **state)
{
    struct seen seen = { .count = 0 };
    struct stream stream = { .size = 0 };
    (void)state;
    stream_take(&stream, 1, (struct slice){ "\xDB\x08SAGgp\x00\x00\x01\x82", 11 }, see, &seen);
    assert_true(stream.is_encrypted);
    stream_take(&stream, 1, slice_of(V5), see, &seen);
    assert_false(stream.is_encrypted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_is_crc16_arc),
        cmocka_unit_test(all_of_a_telegram_of_version_5_is_read),
        cmocka_unit_test(in_the_hour_that_comes_twice_the_letter_tells_which),
        cmocka_unit_test(a_sum_without_its_leading_zero_is_right),
        cmocka_unit_test(a_telegram_that_was_changed_says_nothing),
        cmocka_unit_test(version_3_has_no_sum_and_its_gas_stands_on_the_next_line),
        cmocka_unit_test(of_two_gas_meters_the_one_that_spoke_last_counts),
        cmocka_unit_test(meters_with_totals_alone_have_no_tariffs),
        cmocka_unit_test(values_that_are_none_are_left_out_and_counted),
        cmocka_unit_test(a_stream_in_pieces_with_noise_gives_each_telegram_once),
        cmocka_unit_test(what_does_not_end_is_dropped),
        cmocka_unit_test(encrypted_telegrams_are_seen_to_be_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
