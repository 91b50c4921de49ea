/* test_smartmeter.c - the meter's providers: over a pseudo-terminal, TCP, HTTP, and Home Assistant's events. */
#include "probe.h"
#include "telegrams.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>

#include "../upstream/upstream.h"

static const int64_t meter_us = INT64_C(1795422615000000), second_us = 1000000;

static struct smartmeter_reading reading;

static int current(probe_t *probe)
{
    return probe_call(probe, &smartmeter_current_contract, &(struct nothing){ .has_ignored = false }, &reading);
}

static void wait_for_reading(probe_t *probe, size_t count)
{
    for (int i = 0; i < 200 && probe_published_count(probe, &reading_smartmeter_contract) < count; i++)
        probe_wait(probe, 50);
    assert_int_equal(probe_published_count(probe, &reading_smartmeter_contract), count);
}

static struct slice frame(probe_t *probe)
{
    const struct again_query *query = probe_asked(probe, &ingest_again_contract);
    return query ? query->bytes : (struct slice){ "", 0 };
}

static bool frame_says(probe_t *probe, const char *text)
{
    struct slice bytes = frame(probe);
    return memmem(bytes.data, bytes.size, text, strlen(text)) != NULL;
}

static void store(probe_t *probe)
{
    assert_int_equal(probe_answer(probe, &ingest_again_contract, OK, &(struct again_reply){ .has_events = true, .events = 1 }), 0);
}

static void home_says(probe_t *probe, const char *entity, const char *value, const char *unit, int64_t at_us)
{
    struct event_full event = { .has_event_type = true, .event_type = slice_of("state_changed"), .has_timestamp = true, .timestamp = at_us, .has_received_at = true,
        .received_at = at_us, .has_is_state = true, .is_state = true, .has_place = true, .place = 1, .has_entity_id = true, .entity_id = slice_of(entity),
        .has_domain = true, .domain = slice_of("sensor"), .has_state = true, .state = slice_of(value ? value : "unavailable"), .has_unit = true, .unit = slice_of(unit),
        .has_attributes = true, .attributes = slice_of("{\"friendly_name\":\"Oven\"}") };
    SET_TEXT(&event, id, "e1", 2);
    SET_TEXT(&event, provenance, "live", 4);
    if (value)
        SET(&event, value, slice_of(value));
    assert_int_equal(probe_deliver(probe, &event_full_contract, &event), OK);
}

/* --- settings -------------------------------------------------------------------------------------- */

static void without_a_provider_there_is_nothing_to_do(void **state)
{
    (void)state;
    assert_null(probe_new((const char *const[]){ NULL }));
    assert_non_null(strstr(probe_refused(), "open returned 101"));
}

static void wrong_settings_are_named(void **state)
{
    static const char *const wrong[][8] = {
        { "provider", "emporia", NULL }, { "provider", "p1", NULL }, { "provider", "p1", "p1", "ttyUSB0", NULL }, { "provider", "p1", "p1", "tcp://host", NULL },
        { "provider", "p1", "p1", "/dev/x", "p1_line", "19200-8n1", NULL }, { "provider", "shelly", NULL }, { "provider", "octopus", "api_key", "k", "mpan", "1", NULL },
        { "provider", "mqtt", "mqtt_url", "http://x", "mqtt_topics", "glow", NULL }, { "provider", "mqtt", "mqtt_url", "mqtt://x", "mqtt_topics", "power=x", NULL },
        { "provider", "mqtt", "mqtt_url", "mqtt://x", "mqtt_topics", "shelly-em", NULL }, { "provider", "mqtt", "mqtt_url", "mqtt://x", "mqtt_topics", "power_w=x*y", NULL },
    };
    static const char *const named[] = { "smartmeter.provider", "smartmeter.p1", "smartmeter.p1", "smartmeter.p1", "smartmeter.p1_line", "smartmeter.url", "smartmeter.serial",
        "smartmeter.mqtt_url", "smartmeter.mqtt_topics", "smartmeter.mqtt_topics", "smartmeter.mqtt_topics" };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_null(probe_new(wrong[i]));
        assert_non_null(strstr(probe_refused(), named[i]));
        assert_non_null(strstr(probe_refused(), "open returned 100"));
    }
}

/* --- P1 ----------------------------------------------------------------------------------------------- */

static probe_t *serial(int *meter, char *path, const char *line)
{
    int slave;
    struct termios before;
    assert_int_equal(openpty(meter, &slave, path, NULL, NULL), 0);
    assert_int_equal(tcgetattr(slave, &before), 0); /* keep it open: a pseudo-terminal forgets its settings with the last who has it */
    probe_t *probe = probe_new((const char *const[]){ "provider", "p1", "p1", path, "p1_line", line, NULL });
    assert_non_null(probe);
    probe_set_now(probe, meter_us + second_us);
    struct termios after;
    assert_int_equal(tcgetattr(slave, &after), 0);
    bool is_seven = strcmp(line, "9600-7e1") == 0;
    assert_int_equal(cfgetispeed(&after), is_seven ? B9600 : B115200);
    assert_int_equal(cfgetospeed(&after), is_seven ? B9600 : B115200);
    /* A pseudo-terminal is always CS8 without parity: what else is asked for, it says and does not do. */
    assert_int_equal(after.c_cflag & CSTOPB, 0);
    if (!is_seven)
        assert_int_equal(after.c_cflag & (CSIZE | PARENB), CS8);
    assert_int_equal(after.c_lflag & (ICANON | ECHO | ISIG), 0);
    assert_int_equal(after.c_iflag & (ICRNL | IXON | ISTRIP), 0);
    close(slave);
    return probe;
}

static void say(int meter, const char *text)
{
    assert_int_equal(write(meter, text, strlen(text)), (ssize_t)strlen(text));
}

static void a_telegram_over_a_serial_line_is_a_reading(void **state)
{
    int meter;
    char path[64];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    assert_int_equal(current(probe), UNAVAILABLE);
    say(meter, "noise\r\n" V5);
    wait_for_reading(probe, 1);
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 642 && reading.as_of == meter_us && reading.import_kwh == 3580.245);
    assert_false(reading.stale || reading.has_phantom_w);
    assert_string_equal(status(probe)->status, "ok");
    assert_false(status(probe)->has_next_poll_at);
    assert_true(frame_says(probe, "\"entity_id\":\"_smartmeter.power_w\""));
    assert_true(frame_says(probe, "\"state_class\":\"total_increasing\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-11-23T08:30:15.000000Z\""));
    close(meter);
    probe_destroy(&probe);
}

static void version_3_comes_over_seven_bits(void **state)
{
    int meter;
    char path[64], text[] = V3;
    (void)state;
    probe_t *probe = serial(&meter, path, "9600-7e1");
    for (size_t i = 0; i < strlen(text); i++) /* the parity of an adapter that hands all eight over */
        text[i] = (char)(text[i] | (__builtin_popcount((unsigned)text[i] & 0x7f) % 2 ? 0x80 : 0));
    say(meter, text);
    wait_for_reading(probe, 1);
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 980 && reading.gas_m3 == 12.345 && reading.as_of == meter_us + second_us);
    close(meter);
    probe_destroy(&probe);
}

/* A telegram of 9:mmss, with this power. */
static char *telegram_at(const char *mmss, const char *power)
{
    static char text[4096], body[4096];
    snprintf(body, sizeof body, "%s", V5_BODY);
    memcpy(strstr(body, "093015W") + 2, mmss, 4);
    memcpy(strstr(body, "00.642"), power, 6);
    unsigned crc = 0;
    for (const char *at = body; *at; at++) {
        crc ^= (unsigned char)*at;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xA001u : crc >> 1;
    }
    snprintf(text, sizeof text, "%.4000s%04hX\r\n", body, (unsigned short)crc);
    return text;
}

/* The next one: seconds later. */
static char *next(int seconds, const char *power)
{
    char mmss[16];
    snprintf(mmss, sizeof mmss, "30%02d", 15 + seconds);
    return telegram_at(mmss, power);
}

static void each_telegram_is_published_and_the_series_get_what_changed_now_and_then(void **state)
{
    int meter;
    char path[64];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    say(meter, V5);
    wait_for_reading(probe, 1);
    store(probe);
    for (int i = 1; i <= 9; i++) {
        probe_advance(probe, 1000);
        say(meter, next(i, "00.700"));
        wait_for_reading(probe, 1 + (size_t)i);
        assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    }
    probe_advance(probe, 1000);
    say(meter, next(10, "00.700"));
    wait_for_reading(probe, 11);
    assert_true(frame_says(probe, "_smartmeter.power_w"));
    assert_false(frame_says(probe, "_smartmeter.import_kwh")); /* it stands still */
    store(probe);
    close(meter);
    probe_destroy(&probe);
}

static void a_clock_that_is_wrong_is_told_once_and_as_long_as_it_is(void **state)
{
    int meter;
    char path[64];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    probe_set_now(probe, meter_us + 3600 * second_us);
    for (int i = 0; i < 3; i++) {
        say(meter, next(i, "00.642"));
        wait_for_reading(probe, 1 + (size_t)i);
        assert_int_equal(current(probe), OK);
        assert_true(reading.as_of == meter_us + 3600 * second_us); /* ours */
    }
    assert_string_equal(status(probe)->status, "ok");
    assert_non_null(strstr(status(probe)->why, "clock is off by more than 5 minutes"));
    size_t said = probe_published_count(probe, &source_status_contract);
    say(meter, next(3, "00.642"));
    wait_for_reading(probe, 4);
    assert_int_equal(probe_published_count(probe, &source_status_contract), said); /* once, nor a line in the log with each telegram */
    probe_set_now(probe, meter_us + 4 * second_us);
    say(meter, next(4, "00.642"));
    wait_for_reading(probe, 5);
    assert_false(status(probe)->has_why);
    close(meter);
    probe_destroy(&probe);
}

static void what_came_too_soon_for_the_series_is_told_although_nothing_follows(void **state)
{
    int meter;
    char path[64];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    say(meter, V5);
    wait_for_reading(probe, 1);
    store(probe);
    probe_advance(probe, 3000);
    say(meter, next(3, "00.700"));
    wait_for_reading(probe, 2);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    probe_advance(probe, 7000);
    assert_true(frame_says(probe, "_smartmeter.power_w"));
    store(probe);
    probe_advance(probe, 11000);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    close(meter);
    probe_destroy(&probe);
}

/* Events go by it. */
static void what_was_in_force_when_five_minutes_began_is_in_the_series(void **state)
{
    static const char *const when[] = { "2957", "2959", "3000", "3001" }, *const power[] = { "00.700", "00.710", "00.720", "00.730" };
    int meter;
    char path[64];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    for (size_t i = 0; i < 4; i++) {
        say(meter, telegram_at(when[i], power[i]));
        wait_for_reading(probe, i + 1);
        assert_int_equal(probe_asked_count(probe, &ingest_again_contract), i == 0 || i == 3);
        if (i == 0)
            store(probe);
        probe_advance(probe, 500);
    }
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"720\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-11-23T08:30:00.000000Z\""));
    store(probe);
    probe_advance(probe, 10000);
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"730\""));
    close(meter);
    probe_destroy(&probe);
}

static void when_the_line_ends_that_is_told_and_the_series_say_unavailable(void **state)
{
    int meter;
    char path[64], why[240];
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    say(meter, V5);
    wait_for_reading(probe, 1);
    store(probe);
    close(meter);
    for (int i = 0; i < 100 && strcmp(status(probe)->status, "failing") != 0; i++)
        probe_wait(probe, 20);
    assert_string_equal(status(probe)->status, "failing");
    probe_advance(probe, 59000 + 2000);
    assert_int_equal(current(probe), OK);
    assert_true(reading.stale && reading.power_w == 642);
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"unavailable\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-11-23T08:31:15.000000Z\""));
    store(probe);
    probe_advance(probe, 3600000);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0); /* once */
    probe_destroy(&probe);
}

static void a_telegram_that_was_changed_is_told_and_changes_nothing(void **state)
{
    int meter;
    char path[64], text[] = V5;
    (void)state;
    probe_t *probe = serial(&meter, path, "115200-8n1");
    say(meter, V5);
    wait_for_reading(probe, 1);
    *strstr(text, "00.642") = '9';
    say(meter, text);
    for (int i = 0; i < 100 && strcmp(status(probe)->status, "failing") != 0; i++)
        probe_wait(probe, 20);
    assert_non_null(strstr(status(probe)->why, "wrong checksum"));
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 642);
    close(meter);
    probe_destroy(&probe);
}

static void over_tcp_it_is_the_same_and_connected_again_when_it_ends(void **state)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    char url[64];
    int server = socket(AF_INET, SOCK_STREAM, 0);
    (void)state;
    assert_int_equal(bind(server, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server, 1), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&at, &size), 0);
    snprintf(url, sizeof url, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    probe_t *probe = probe_new((const char *const[]){ "provider", "p1", "p1", url, NULL });
    assert_non_null(probe);
    probe_set_now(probe, meter_us);
    for (int i = 0; i < 2; i++) {
        int meter = accept(server, NULL, NULL);
        probe_wait(probe, 1000); /* it is connected */
        say(meter, next(i, "00.642"));
        wait_for_reading(probe, 1 + (size_t)i);
        close(meter);
        probe_wait(probe, 1000);
        assert_string_equal(status(probe)->status, "failing");
        probe_advance(probe, 1000);
    }
    close(server);
    probe_destroy(&probe);
}

/* --- MQTT -------------------------------------------------------------------------------------------------- */

/* A server with one client: it says yes to the connection and the subscription. */
static int mqtt_accept(probe_t *probe, int server, unsigned char refused, unsigned char granted)
{
    const unsigned char connected[] = { 0x20, 2, 0, refused }, subscribed[] = { 0x90, 3, 0, 1, granted };
    char bytes[400];
    int client = accept(server, NULL, NULL);
    for (int i = 0; i < 20 && recv(client, bytes, sizeof bytes, MSG_DONTWAIT) <= 0; i++)
        probe_wait(probe, 100);
    assert_int_equal(write(client, connected, sizeof connected), sizeof connected);
    if (refused)
        return client;
    for (int i = 0; i < 20 && recv(client, bytes, sizeof bytes, MSG_DONTWAIT) <= 0; i++)
        probe_wait(probe, 100);
    assert_int_equal(write(client, subscribed, sizeof subscribed), sizeof subscribed);
    return client;
}

static probe_t *mqtt(int *server)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    char url[64];
    *server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(*server, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(*server, 1), 0);
    assert_int_equal(getsockname(*server, (struct sockaddr *)&at, &size), 0);
    snprintf(url, sizeof url, "mqtt://127.0.0.1:%d", ntohs(at.sin_port));
    probe_t *probe = probe_new((const char *const[]){ "provider", "mqtt", "mqtt_url", url, "mqtt_topics", "power_w=p", NULL });
    assert_non_null(probe);
    return probe;
}

static void wait_for_why(probe_t *probe, const char *why)
{
    for (int i = 0; i < 100 && (!status(probe)->has_why || !strstr(status(probe)->why, why)); i++)
        probe_wait(probe, 20);
    assert_true(status(probe)->has_why);
    assert_non_null(strstr(status(probe)->why, why));
}

static void a_server_that_refuses_is_told_with_its_reason(void **state)
{
    int server;
    (void)state;
    probe_t *probe = mqtt(&server);
    int client = mqtt_accept(probe, server, 5, 0);
    wait_for_why(probe, "not authorised");
    close(client);
    probe_advance(probe, 1000);
    client = mqtt_accept(probe, server, 0, 0x80);
    wait_for_why(probe, "does not let smartmeter.mqtt_user read");
    close(client);
    close(server);
    probe_destroy(&probe);
}

static void a_message_without_end_is_not_taken_and_the_next_connection_is_as_good_as_before(void **state)
{
    static const unsigned char endless[] = { 0x30, 0x80, 0x80, 0x80, 0x64, 0, 1, 'p' }, good[] = { 0x30, 6, 0, 1, 'p', '4', '2', '0' }; /* 200 MB; 420 W */
    static char much[100000];
    size_t sent = 0;
    int server;
    (void)state;
    probe_t *probe = mqtt(&server);
    int client = mqtt_accept(probe, server, 0, 0);
    assert_int_equal(write(client, good, sizeof good), sizeof good);
    for (int i = 0; i < 20 && current(probe) != OK; i++) {
        probe_wait(probe, 100);
        probe_advance(probe, 200);
    }
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 420);
    assert_int_equal(write(client, endless, sizeof endless), sizeof endless);
    for (int i = 0; i < 2000 && strcmp(status(probe)->status, "failing") != 0; i++) {
        ssize_t part = send(client, much, sizeof much, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += part > 0 ? (size_t)part : 0;
        probe_wait(probe, 10);
    }
    assert_string_equal(status(probe)->status, "failing");
    assert_non_null(strstr(status(probe)->why, "more than 1 MiB"));
    assert_true(sent > 1000000 && sent < 8000000); /* what lies in the sockets among it */
    close(client);
    probe_advance(probe, 59000);
    assert_string_equal(status(probe)->status, "failing");
    probe_advance(probe, 1000);
    client = mqtt_accept(probe, server, 0, 0);
    for (int i = 0; i < 300000; i++) /* all together they may be more than that */
        if (send(client, good, sizeof good, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            probe_wait(probe, 10);
    for (int i = 0; i < 100 && probe_wait(probe, 100) > 0; i++)
        probe_advance(probe, 200);
    assert_string_equal(status(probe)->status, "ok");
    close(client);
    close(server);
    probe_destroy(&probe);
}

/* --- counters ---------------------------------------------------------------------------------------------- */

static void shelly_says(probe_t *probe, const char *total)
{
    char text[400];
    snprintf(text, sizeof text, "{\"emeters\":[{\"power\":100,\"voltage\":230,\"is_valid\":true,\"total\":%s,\"total_returned\":0}]}", total);
    probe_tick(probe);
    probe_fetched(probe, 200, text);
}

static probe_t *shelly(const char *what)
{
    probe_t *probe = begin((const char *const[]){ "provider", "shelly", "url", "http://meter", NULL });
    assert_string_equal(probe_fetch_url(probe), "http://meter/shelly");
    answer(probe, what);
    return probe;
}

static void a_counter_that_goes_back_is_believed_the_third_time_and_told(void **state)
{
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    shelly_says(probe, "5000000");
    for (int i = 0; i < 4; i++) {
        probe_advance(probe, 11000);
        shelly_says(probe, i == 0 ? "7" : i == 1 ? "9" : i == 2 ? "11" : "13");
        assert_int_equal(current(probe), OK);
        assert_int_equal(reading.has_import_kwh, i >= 2); /* a reading without it is no invented one */
        assert_int_equal(reading.has_reset, i >= 2);
    }
    assert_true(reading.import_kwh == 0.013);
    assert_non_null(strstr(reading.reset, "import_kwh: from 5000.000 to 0.011"));
    probe_advance(probe, 11000);
    shelly_says(probe, "900000000"); /* nor does a house take 900 MWh in ten seconds */
    assert_int_equal(current(probe), OK);
    assert_false(reading.has_import_kwh);
    probe_destroy(&probe);
}

/* --- switched off, or another one -------------------------------------------------------------------------- */

static probe_t *shelly_in(const char *data, const char *provider)
{
    return probe_new((const char *const[]){ "provider", provider, "url", "http://meter", "data", data, NULL });
}

static probe_t *shelly_that_has_told(const char *data)
{
    probe_t *probe = shelly_in(data, "shelly");
    assert_non_null(probe);
    probe_tick(probe);
    answer(probe, "shelly-gen1");
    shelly_says(probe, "5000000");
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"100\""));
    store(probe);
    return probe;
}

static bool says_it_is_over(probe_t *probe, const char *when)
{
    return frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"unavailable\"") && frame_says(probe, "\"_smartmeter.import_kwh\",\"state\":\"unavailable\"")
        && frame_says(probe, when) && !frame_says(probe, "_smartmeter.gas_m3");
}

static void switched_off_it_says_that_its_series_end_before_it_does(void **state)
{
    char data[] = "/tmp/test-meter-XXXXXX", command[100];
    (void)state;
    assert_non_null(mkdtemp(data));
    probe_t *probe = shelly_that_has_told(data);
    probe_advance(probe, 7000);
    assert_int_equal(probe_reload(probe, (const char *const[]){ "provider", "off", "url", "http://meter", "data", data, NULL }), 0);
    assert_true(says_it_is_over(probe, "\"last_updated\":\"2026-01-01T00:00:07.000000Z\""));
    const struct smartmeter_reading *over = probe_published(probe, &reading_smartmeter_contract, probe_published_count(probe, &reading_smartmeter_contract) - 1);
    assert_false(over->has_power_w || over->has_import_kwh); /* so that events carry it no more, either */
    assert_int_equal(over->as_of, INT64_C(1767225607000000));
    assert_int_equal(probe_stopped(probe), -1);
    assert_int_equal(current(probe), UNAVAILABLE);
    assert_string_equal(status(probe)->status, "off");
    assert_int_equal(probe_answer(probe, &ingest_again_contract, UNAVAILABLE, NULL), 0);
    assert_int_equal(probe_stopped(probe), -1);
    probe_advance(probe, 5000);
    assert_true(says_it_is_over(probe, "\"last_updated\":\"2026-01-01T00:00:07.000000Z\""));
    assert_null(probe_fetch_url(probe));
    store(probe);
    probe_advance(probe, 0);
    assert_int_equal(probe_stopped(probe), 101);
    probe_destroy(&probe);
    assert_null(shelly_in(data, "off")); /* there is nothing left to say */
    assert_non_null(strstr(probe_refused(), "open returned 101"));
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void switched_off_at_a_start_it_says_so_as_well_however_often_it_is_killed(void **state)
{
    char data[] = "/tmp/test-meter-XXXXXX", command[100];
    (void)state;
    assert_non_null(mkdtemp(data));
    probe_t *probe = shelly_that_has_told(data);
    probe_destroy(&probe);
    for (int i = 0; i < 2; i++) {
        probe = shelly_in(data, "off");
        assert_non_null(probe);
        probe_set_now(probe, INT64_C(1767225600000000) + 3600 * second_us);
        probe_tick(probe);
        assert_true(says_it_is_over(probe, "2026-01-01T0"));
        if (i == 1) {
            store(probe);
            probe_advance(probe, 0);
            assert_int_equal(probe_stopped(probe), 101);
        }
        probe_destroy(&probe);
    }
    assert_null(shelly_in(data, "off"));
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void turned_on_again_before_it_has_ended_it_goes_on(void **state)
{
    (void)state;
    char data[] = "/tmp/test-meter-XXXXXX", command[100];
    assert_non_null(mkdtemp(data));
    probe_t *probe = shelly_that_has_told(data);
    assert_int_equal(probe_reload(probe, (const char *const[]){ "provider", "off", "data", data, NULL }), 0);
    assert_true(says_it_is_over(probe, "2026-01-01T00:00:00"));
    assert_int_equal(probe_reload(probe, (const char *const[]){ "provider", "shelly", "url", "http://meter", "data", data, NULL }), 0);
    store(probe);
    probe_advance(probe, 20000);
    answer(probe, "shelly-gen1");
    shelly_says(probe, "5000001");
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"100\""));
    assert_int_equal(probe_stopped(probe), -1);
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void what_another_provider_does_not_say_ends_with_the_one_that_said_it(void **state)
{
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    shelly_says(probe, "5000000");
    store(probe);
    probe_advance(probe, 3000);
    assert_int_equal(probe_reload(probe, (const char *const[]){ "provider", "homeassistant", NULL }), 0);
    probe_advance(probe, 0);
    assert_true(says_it_is_over(probe, "\"last_updated\":\"2026-01-01T00:00:03.000000Z\""));
    store(probe);
    home_says(probe, "sensor.total_power", "250", "W", INT64_C(1767225600000000) + second_us); /* of before that: told as of its answer */
    probe_advance(probe, 10000);
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"250\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T00:00:03.1"));
    assert_false(frame_says(probe, "_smartmeter.import_kwh"));
    store(probe);
    probe_advance(probe, 60000);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    probe_destroy(&probe);
}

static void another_meter_begins_with_its_own_counters_and_circuits(void **state)
{
    int meter, slave;
    char path[64];
    (void)state;
    assert_int_equal(openpty(&meter, &slave, path, NULL, NULL), 0);
    probe_t *probe = shelly("shelly-gen1");
    answer(probe, "shelly-em");
    probe_set_now(probe, meter_us);
    assert_int_equal(probe_reload(probe, (const char *const[]){ "provider", "p1", "p1", path, NULL }), 0);
    probe_clear(probe);
    say(meter, V5);
    wait_for_reading(probe, 1);
    assert_int_equal(current(probe), OK);
    assert_true(reading.has_import_kwh && reading.import_kwh == 3580.245); /* further than the other could have come */
    assert_false(reading.has_reset || reading.has_circuit_2_w);
    assert_int_equal(probe_call(probe, &smartmeter_circuits_contract, &(struct nothing){ .has_ignored = false }, &(struct source_end){ .has_count = false }), OK);
    assert_int_equal(probe_rows(probe), 0);
    close(meter);
    close(slave);
    probe_destroy(&probe);
}

static void what_may_have_been_taken_is_told_again_whatever_it_was_before(void **state)
{
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    shelly_says(probe, "5000000");
    store(probe);
    probe_advance(probe, 11000);
    probe_tick(probe);
    probe_fetched(probe, 200, "{\"emeters\":[{\"power\":200,\"is_valid\":true}]}");
    assert_true(frame_says(probe, "\"state\":\"200\""));
    for (int i = 0; i < 10 && !frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"100\""); i++) {
        if (frame(probe).size > 0)
            probe_answer(probe, &ingest_again_contract, TOO_LATE, NULL); /* taken, and the answer was late */
        if (probe_fetch_url(probe))
            shelly_says(probe, "5000001");
        probe_advance(probe, 3000);
    }
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"100\""));
    probe_destroy(&probe);
}

/* --- Shelly --------------------------------------------------------------------------------------------------- */

static void a_shelly_em_has_a_house_and_a_circuit(void **state)
{
    struct smartmeter_circuit circuit;
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    assert_string_equal(probe_fetch_url(probe), "http://meter/status");
    answer(probe, "shelly-em");
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == -620.34 && fabs(reading.import_kwh - 401.4729) < 1e-9 && fabs(reading.export_kwh - 653.6737) < 1e-9);
    assert_true(reading.voltage_l1_v == 235.68 && reading.circuit_2_w == 120.5);
    assert_false(reading.has_current_l1_a);
    assert_int_equal(probe_call(probe, &smartmeter_circuits_contract, &(struct nothing){ .has_ignored = false }, &(struct source_end){ .has_count = false }), OK);
    assert_int_equal(probe_rows(probe), 2);
    probe_row(probe, 1, &circuit);
    assert_string_equal(circuit.name, "channel 2");
    assert_string_equal(circuit.series, "_smartmeter.circuit_2_w");
    assert_false(circuit.has_percent); /* of nothing: the house gives away */
    probe_destroy(&probe);
    probe = shelly("shelly-gen1");
    answer(probe, "shelly-em-invalid");
    assert_int_equal(current(probe), UNAVAILABLE); /* its zeros are none */
    assert_string_equal(status(probe)->status, "failing");
    probe_destroy(&probe);
}

static void of_three_phases_power_and_counters_are_the_sums(void **state)
{
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    answer(probe, "shelly-3em");
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 250.75 && reading.import_kwh == 6 && reading.export_kwh == 0.06);
    assert_true(reading.power_l3_w == -50 && reading.voltage_l2_v == 231.1 && reading.current_l1_a == 0.5);
    probe_destroy(&probe);
    probe = shelly("shelly-gen2");
    assert_string_equal(probe_fetch_url(probe), "http://meter/rpc/Shelly.GetStatus");
    answer(probe, "shelly-em3");
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 715.5 && reading.power_l2_w == -951.1 && fabs(reading.import_kwh - 6644.90025) < 1e-9 && reading.current_l3_a == 3.03);
    probe_destroy(&probe);
    probe = shelly("shelly-gen2");
    answer(probe, "shelly-em1");
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 501.8 && reading.import_kwh == 6.6449 && reading.current_l1_a == 2.598);
    assert_false(reading.has_circuit_2_w);
    probe_destroy(&probe);
}

static void try_shelly(void *owner, const char *text)
{
    const char *const *what = owner;
    probe_t *probe = shelly(what[0]);
    probe_fetched(probe, 200, text);
    if (current(probe) == OK) /* what is told has its bounds: the codec has checked it */
        assert_true(reading.has_power_w || reading.has_import_kwh || reading.has_export_kwh);
    probe_destroy(&probe);
}

static void no_spoilt_answer_of_a_shelly_is_an_invented_reading(void **state)
{
    static const char *const cases[][2] = { { "shelly-gen1", "shelly-em" }, { "shelly-gen2", "shelly-em1" } };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = fixture(cases[i][1]);
        assert_true(spoil(text, try_shelly, (void *)cases[i]) > 100);
        each_bad_body(try_shelly, (void *)cases[i]);
        free(text);
    }
}

/* --- Octopus ---------------------------------------------------------------------------------------------------- */

static probe_t *octopus(void)
{
    return begin((const char *const[]){ "provider", "octopus", "api_key", "k", "mpan", "123", "serial", "S1", "mprn", "9", "gas_serial", "G1", "time_zone", "Europe/London", NULL });
}

static void half_hours_are_stored_at_their_own_times(void **state)
{
    struct smartmeter_slot slot;
    (void)state;
    probe_t *probe = octopus();
    assert_non_null(strstr(probe_fetch_url(probe), "/v1/electricity-meter-points/123/meters/S1/consumption/"));
    assert_string_equal(probe_fetching(probe, "period_from"), "2025-12-22T00:00:00Z");
    answer(probe, "octopus-usage");
    assert_non_null(strstr(probe_fetch_url(probe), "/v1/gas-meter-points/9/meters/G1/consumption/"));
    answer(probe, "octopus-usage-gas");
    assert_int_equal(current(probe), OK);
    assert_true(reading.as_of == INT64_C(1767144600000000) && reading.interval_kwh == 0.1);
    assert_false(reading.has_power_w || reading.has_import_kwh); /* nobody knows them */
    assert_int_equal(probe_call(probe, &smartmeter_intervals_contract, &(struct source_query){ .has_limit = true, .limit = 1000 }, &(struct source_end){ .has_count = false }), OK);
    assert_int_equal(probe_rows(probe), 3); /* mixed offsets; what is outside of the span is left out */
    probe_row(probe, 0, &slot);
    assert_true(slot.from == INT64_C(1767141000000000) && slot.to - slot.from == 1800 * second_us && slot.interval_kwh == 0.213);
    probe_row(probe, 1, &slot);
    assert_true(slot.interval_gas_m3 == 0.05 && slot.interval_kwh == 0.198);
    probe_advance(probe, 1);
    assert_true(frame_says(probe, "_smartmeter.interval_kwh\",\"state\":\"0.213\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2025-12-31T00:30:00.000000Z\""));
    store(probe);
    probe_advance(probe, 3800000); /* an hour, or 5 % more */
    answer(probe, "octopus-usage");
    answer(probe, "octopus-usage-gas");
    probe_advance(probe, 1);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0); /* nothing is new */
    probe_destroy(&probe);
}

static void half_hours_that_ingest_cannot_take_yet_are_given_again_within_seconds_and_what_it_refuses_is_not(void **state)
{
    (void)state;
    probe_t *probe = octopus();
    answer(probe, "octopus-usage");
    answer(probe, "octopus-usage-gas");
    probe_advance(probe, 1);
    assert_int_equal(probe_answer(probe, &ingest_again_contract, UNAVAILABLE, NULL), 0);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    probe_advance(probe, 2000);
    assert_true(frame_says(probe, "_smartmeter.interval_kwh\",\"state\":\"0.213\""));
    assert_int_equal(probe_answer_fault(probe, &ingest_again_contract, UNPROCESSABLE, "bytes", "is no frame"), 0);
    assert_true(probe_logged(probe, "is no frame"));
    probe_advance(probe, 600000);
    assert_int_equal(probe_asked_count(probe, &ingest_again_contract), 0);
    probe_destroy(&probe);
}

static void try_octopus(void *owner, const char *text)
{
    (void)owner;
    probe_t *probe = octopus();
    probe_fetched(probe, 200, text);
    if (probe_fetch_url(probe))
        answer(probe, "octopus-usage-gas");
    if (current(probe) == OK)
        assert_true(reading.has_interval_kwh && reading.interval_kwh >= 0);
    probe_destroy(&probe);
}

static void no_spoilt_answer_of_octopus_is_an_invented_reading(void **state)
{
    (void)state;
    char *text = fixture("octopus-usage");
    assert_true(spoil(text, try_octopus, NULL) > 100);
    each_bad_body(try_octopus, NULL);
    free(text);
}

/* --- Home Assistant ------------------------------------------------------------------------------------------------ */

static void entities_of_home_assistant_are_a_meter(void **state)
{
    static const int64_t at_us = INT64_C(1767225600000000);
    struct smartmeter_circuit circuit;
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "provider", "homeassistant", "import_entity", "sensor.meter_in", NULL });
    assert_non_null(probe);
    probe_advance(probe, 0);
    assert_string_equal(((const struct latest_query *)probe_asked(probe, &events_latest_contract))->domain, "sensor");
    home_says(probe, "sensor.total_power", "2.45", "kW", at_us);
    home_says(probe, "sensor.meter_in", "12345600", "Wh", at_us);
    home_says(probe, "sensor.oven_power", "1200", "W", at_us);
    home_says(probe, "sensor.home_heating", "500", "W", at_us);
    probe_advance(probe, 100);
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 2450 && fabs(reading.import_kwh - 12345.6) < 1e-9);
    assert_int_equal(probe_call(probe, &smartmeter_circuits_contract, &(struct nothing){ .has_ignored = false }, &(struct source_end){ .has_count = false }), OK);
    assert_int_equal(probe_rows(probe), 1);
    probe_row(probe, 0, &circuit);
    assert_string_equal(circuit.name, "Oven");
    assert_string_equal(circuit.series, "sensor.oven_power");
    assert_true(circuit.power_w == 1200 && fabs(circuit.percent - 48.98) < 0.005);
    const struct smartmeter_reading *told = probe_published(probe, &reading_smartmeter_contract, 0);
    assert_non_null(memmem(told->circuits.data, told->circuits.size, "\"name\":\"Oven\"", 13));
    store(probe);
    home_says(probe, "sensor.total_power", NULL, "kW", at_us + 20 * second_us); /* unavailable is not the last value */
    home_says(probe, "sensor.meter_in", "1", "Wh", at_us - second_us);          /* history that is filled in */
    probe_advance(probe, 20000);
    assert_int_equal(current(probe), OK);
    assert_false(reading.has_power_w);
    assert_true(reading.has_import_kwh);
    probe_destroy(&probe);
}

static void a_house_of_many_circuits_is_kept_on_the_disk(void **state)
{
    static const int64_t at_us = INT64_C(1767225600000000);
    char data[] = "/tmp/test-meter-XXXXXX", command[100], entity[100];
    (void)state;
    assert_non_null(mkdtemp(data));
    const char *const settings[] = { "provider", "homeassistant", "data", data, NULL };
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    home_says(probe, "sensor.total_power", "640", "W", at_us);
    for (int i = 0; i < 100; i++) {
        snprintf(entity, sizeof entity, "sensor.a_circuit_with_a_name_that_is_as_long_as_names_are_%d_power", i);
        home_says(probe, entity, "6", "W", at_us);
    }
    probe_advance(probe, 100);
    probe_destroy(&probe);
    probe = probe_new(settings);
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 640);
    probe_destroy(&probe);
    snprintf(command, sizeof command, "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

static void when_its_entity_is_unavailable_so_is_the_power(void **state)
{
    static const int64_t at_us = INT64_C(1767225600000000);
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "provider", "homeassistant", "power_entity", "sensor.house", NULL });
    assert_non_null(probe);
    home_says(probe, "sensor.house", "640", "W", at_us);
    probe_advance(probe, 100);
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"640\""));
    store(probe);
    home_says(probe, "sensor.house", NULL, "W", at_us + 20 * second_us);
    probe_advance(probe, 20100);
    assert_int_equal(current(probe), OK);
    assert_false(reading.has_power_w);
    assert_true(frame_says(probe, "\"_smartmeter.power_w\",\"state\":\"unavailable\""));
    assert_true(frame_says(probe, "\"last_updated\":\"2026-01-01T00:00:20.000000Z\""));
    assert_string_equal(status(probe)->status, "failing");
    assert_non_null(strstr(status(probe)->why, "none of the entities"));
    store(probe);
    home_says(probe, "sensor.house", "650", "W", at_us + 40 * second_us);
    probe_advance(probe, 20000);
    assert_int_equal(current(probe), OK);
    assert_true(reading.power_w == 650);
    assert_string_equal(status(probe)->status, "ok");
    probe_destroy(&probe);
}

/* From one to five o'clock a change each fifty minutes; the connection to Home Assistant is lost in one of them, when least is taken. */
static void a_night_that_home_assistant_says_little_of_has_a_base_load(void **state)
{
    static const int64_t midnight_us = INT64_C(1767222000000000);
    static const char *const watts[] = { "90", "80", "20", "85", "95", "100" };
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "provider", "homeassistant", "power_entity", "sensor.house", "time_zone", "Europe/Amsterdam", NULL });
    assert_non_null(probe);
    for (int i = 0; i < 6; i++) {
        int64_t at_us = midnight_us + (60 + 50 * i) * 60 * second_us;
        probe_set_now(probe, at_us);
        home_says(probe, "sensor.house", watts[i], "W", at_us);
        probe_advance(probe, 100);
        if (i == 2) {
            struct ingest_session session = { .has_session = true, .has_registry_changes = true };
            SET_TEXT(&session, state, "waiting", 7);
            assert_int_equal(probe_deliver(probe, &ingest_session_contract, &session), OK);
        }
    }
    probe_set_now(probe, midnight_us + 7 * 3600 * second_us);
    home_says(probe, "sensor.house", "500", "W", midnight_us + 7 * 3600 * second_us);
    probe_advance(probe, 100);
    assert_int_equal(current(probe), OK);
    assert_int_equal(reading.phantom_nights, 1);
    assert_true(reading.phantom_w == 80);
    probe_destroy(&probe);
}

static void of_other_providers_the_house_is_not_listened_to(void **state)
{
    (void)state;
    probe_t *probe = shelly("shelly-gen1");
    assert_true(probe_paused(probe, &event_full_contract));
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_provider_there_is_nothing_to_do),
        cmocka_unit_test(wrong_settings_are_named),
        cmocka_unit_test(a_telegram_over_a_serial_line_is_a_reading),
        cmocka_unit_test(version_3_comes_over_seven_bits),
        cmocka_unit_test(each_telegram_is_published_and_the_series_get_what_changed_now_and_then),
        cmocka_unit_test(a_clock_that_is_wrong_is_told_once_and_as_long_as_it_is),
        cmocka_unit_test(what_came_too_soon_for_the_series_is_told_although_nothing_follows),
        cmocka_unit_test(what_was_in_force_when_five_minutes_began_is_in_the_series),
        cmocka_unit_test(when_the_line_ends_that_is_told_and_the_series_say_unavailable),
        cmocka_unit_test(a_telegram_that_was_changed_is_told_and_changes_nothing),
        cmocka_unit_test(over_tcp_it_is_the_same_and_connected_again_when_it_ends),
        cmocka_unit_test(a_server_that_refuses_is_told_with_its_reason),
        cmocka_unit_test(a_message_without_end_is_not_taken_and_the_next_connection_is_as_good_as_before),
        cmocka_unit_test(a_counter_that_goes_back_is_believed_the_third_time_and_told),
        cmocka_unit_test(switched_off_it_says_that_its_series_end_before_it_does),
        cmocka_unit_test(switched_off_at_a_start_it_says_so_as_well_however_often_it_is_killed),
        cmocka_unit_test(turned_on_again_before_it_has_ended_it_goes_on),
        cmocka_unit_test(what_another_provider_does_not_say_ends_with_the_one_that_said_it),
        cmocka_unit_test(another_meter_begins_with_its_own_counters_and_circuits),
        cmocka_unit_test(what_may_have_been_taken_is_told_again_whatever_it_was_before),
        cmocka_unit_test(a_shelly_em_has_a_house_and_a_circuit),
        cmocka_unit_test(of_three_phases_power_and_counters_are_the_sums),
        cmocka_unit_test(no_spoilt_answer_of_a_shelly_is_an_invented_reading),
        cmocka_unit_test(half_hours_are_stored_at_their_own_times),
        cmocka_unit_test(half_hours_that_ingest_cannot_take_yet_are_given_again_within_seconds_and_what_it_refuses_is_not),
        cmocka_unit_test(no_spoilt_answer_of_octopus_is_an_invented_reading),
        cmocka_unit_test(entities_of_home_assistant_are_a_meter),
        cmocka_unit_test(a_house_of_many_circuits_is_kept_on_the_disk),
        cmocka_unit_test(when_its_entity_is_unavailable_so_is_the_power),
        cmocka_unit_test(a_night_that_home_assistant_says_little_of_has_a_base_load),
        cmocka_unit_test(of_other_providers_the_house_is_not_listened_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
