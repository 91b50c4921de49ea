/* test_upkeep.c - besides, the sink rolls up, and learns of gaps and of the home's zone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "probe.h"
#include "rolling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_US INT64_C(1767225600000000) /* 1 January 2026, when the probe's time begins */

static store_t *open_reader(probe_t *probe)
{
    static char path[4096];
    const char *why = "";
    snprintf(path, sizeof path, "%s/store.db", probe_data(probe));
    store_t *store = store_open(&(struct store_options){ .path = path, .cache_bytes = 1 << 20 }, &why);
    assert_non_null(store);
    return store;
}

static void say_session(probe_t *probe, int64_t number, const char *state)
{
    struct ingest_session session = { 0 };
    SET_TEXT(&session, state, state, strlen(state));
    SET(&session, session, number);
    SET(&session, registry_changes, 0);
    assert_int_equal(probe_deliver(probe, &ingest_session_contract, &session), OK);
}

static struct gap a_gap(const char *id, int64_t start, int64_t end, const char *state, const char *lost)
{
    struct gap gap = { 0 };
    SET_TEXT(&gap, id, id, strlen(id));
    SET(&gap, start, start);
    if (end)
        SET(&gap, end, end);
    SET_TEXT(&gap, cause, "connection_lost", 15);
    SET_TEXT(&gap, state, state, strlen(state));
    if (lost)
        SET(&gap, unrecoverable, slice_of(lost));
    return gap;
}

struct found { int64_t count, from, to; };
static int take_gap(void *owner, const struct store_gap *gap)
{
    struct found *found = owner;
    found->count++;
    found->from = gap->from;
    found->to = gap->to;
    return 0;
}

static struct found gaps_of(probe_t *probe)
{
    struct found found = { 0 };
    store_t *store = open_reader(probe);
    assert_int_equal(store_gaps(store, 0, MAX_TIME_US, take_gap, &found), STORE_OK);
    store_close(&store);
    return found;
}

static void answer(probe_t *probe, const struct gap *gaps, size_t count)
{
    struct page end = { 0 };
    SET(&end, count, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        probe_add_row(probe, &ingest_gaps_contract, &gaps[i]);
    assert_int_equal(probe_answer(probe, &ingest_gaps_contract, OK, &end), 0);
}

static void only_times_of_which_states_are_missing_are_gaps(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_non_null(probe);
    probe_advance(probe, 1000);
    const struct gap gaps[] = {
        a_gap("gap-1", START_US, START_US + 1000, "filled", "{\"events\":true}"),
        a_gap("gap-2", START_US + 2000, START_US + 3000, "partly_filled", "{\"excluded_entities\":[\"sensor.never\"]}"),
        a_gap("gap-3", START_US + 4000, START_US + 5000, "unrecoverable", "{\"events\":true,\"states\":true}"),
    };
    answer(probe, gaps, 3);
    struct found found = gaps_of(probe);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.from, START_US + 4000);
    say_session(probe, 2, "waiting");
    probe_advance(probe, 1000);
    const struct gap open = a_gap("gap-4", START_US + 7000, 0, "open", NULL);
    answer(probe, &open, 1);
    found = gaps_of(probe);
    assert_true(found.count == 1 && found.from == START_US + 7000 && found.to == MAX_TIME_US);
    probe_destroy(&probe);
}

static void the_zone_is_the_settings_else_home_assistants(void **state)
{
    (void)state;
    char name[ZONE_NAME];
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_non_null(probe);
    say_session(probe, 1, "live");
    struct ha_result result = { 0 };
    SET(&result, success, true);
    SET(&result, session, 1);
    SET(&result, result, slice_of("{\"time_zone\":\"Asia/Kathmandu\"}"));
    assert_int_equal(probe_answer(probe, &ingest_ask_contract, OK, &result), 0);
    store_t *store = open_reader(probe);
    assert_int_equal(store_zone(store, name, NULL), STORE_OK);
    assert_string_equal(name, "Asia/Kathmandu");
    store_close(&store);
    probe_destroy(&probe);
    probe = probe_new((const char *const[]){ "zone", "Europe/Vienna", NULL });
    assert_non_null(probe);
    say_session(probe, 1, "live");
    assert_int_equal(probe_asked_count(probe, &ingest_ask_contract), 0);
    store = open_reader(probe);
    assert_int_equal(store_zone(store, name, NULL), STORE_OK);
    assert_string_equal(name, "Europe/Vienna");
    store_close(&store);
    probe_destroy(&probe);
    assert_null(probe_new((const char *const[]){ "zone", "Europe/Atlantis", NULL }));
}

static int count_tier(void *owner, const struct bucket *b)
{
    *(int64_t *)owner += b->tier == TIER_HOUR;
    return 0;
}

static void what_has_come_to_rest_is_rolled_up_while_nothing_else_is_to_do(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ "zone", "UTC", NULL });
    assert_non_null(probe);
    for (int n = 0; n < 2000; n++) {
        struct event_full e;
        schema_clear(event_full_schema(), &e);
        SET(&e, event_type, slice_of("state_changed"));
        SET(&e, is_state, true);
        SET(&e, entity_id, slice_of("sensor.a"));
        SET(&e, timestamp, START_US - 3 * DAY_US + n * 60 * SECOND_US);
        SET(&e, last_updated, e.timestamp);
        SET(&e, received_at, e.timestamp);
        SET(&e, place, n);
        SET(&e, state, slice_of(n % 2 ? "1.5" : "2.5"));
        SET_TEXT(&e, provenance, "live", 4);
        event_id_set(&e);
        assert_int_equal(probe_deliver(probe, &event_full_contract, &e), HOLD);
    }
    probe_set_now(probe, START_US + HOUR_US);
    probe_advance(probe, 60000);
    store_t *store = open_reader(probe);
    int64_t hours = 0;
    struct bucket_question q = { .from_us = START_US - 3 * DAY_US, .to_us = START_US - 2 * DAY_US, .now_us = START_US, .step = { .us = HOUR_US } };
    assert_int_equal(store_buckets(store, 1, &q, count_tier, &hours), STORE_OK);
    assert_int_equal(hours, 24);
    store_close(&store);
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_times_of_which_states_are_missing_are_gaps),
        cmocka_unit_test(the_zone_is_the_settings_else_home_assistants),
        cmocka_unit_test(what_has_come_to_rest_is_rolled_up_while_nothing_else_is_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
