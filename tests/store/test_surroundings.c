/* test_surroundings.c - readings, time of day and place: kept once, the same hot and sealed; what is damaged is named. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "twins.h"

#include <sqlite3.h>

#define MINUTE_US INT64_C(60000000)

static int set_up(void **state)
{
    *state = twins_new();
    return 0;
}

static int tear_down(void **state)
{
    return twins_destroy(*state);
}

/* One state a minute, of one of three; a reading every quarter of an hour, another every hour. */
static void happen(struct twins *t, int minute, bool has_readings)
{
    struct maker m = { .seed = 77 + (uint64_t)minute };
    struct event_full e = { .has_id = false };
    int64_t at_us = START_US + minute * MINUTE_US;
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, say(&m, "sensor.n%d", minute % 3));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, state, say(&m, "%d", minute * 7919 % 1000));
    SET(&e, timestamp, at_us);
    SET(&e, last_updated, at_us);
    SET(&e, last_changed, at_us);
    SET(&e, changed, true);
    SET(&e, received_at, at_us + 1000);
    SET(&e, place, minute + 1);
    SET(&e, attributes, slice_of("{\"a\":1}"));
    SET_TEXT(&e, provenance, "live", 4);
    if (has_readings) {
        SET(&e, weather, say(&m, "{\"temperature_c\":%d,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}", minute / 15));
        SET(&e, price, say(&m, "{\"price\":%d}", minute / 60));
        SET(&e, home_latitude, 5237);
        SET(&e, home_longitude, -489);
        SET_TEXT(&e, time_of_day, "morning", 7);
    }
    event_id_set(&e);
    struct fault fault;
    for (int i = 0; i < BOTH; i++)
        assert_int_equal(store_append(t->writers[i], &e, &fault), STORE_OK);
}

static void commit(struct twins *t)
{
    for (int i = 0; i < BOTH; i++)
        assert_int_equal(store_commit(t->writers[i]), STORE_OK);
}

static int64_t number(const struct twins *t, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *ask;
    assert_int_equal(sqlite3_open(t->paths[SEALED], &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &ask, NULL), SQLITE_OK);
    int rc = sqlite3_step(ask);
    int64_t found = rc == SQLITE_ROW ? sqlite3_column_int64(ask, 0) : -1;
    sqlite3_finalize(ask);
    sqlite3_close(db);
    return found;
}

struct seen { int rows, weather, price, sun; };

static int look(void *owner, const struct event_full *e)
{
    struct seen *seen = owner;
    char text[80];
    int minute = (int)((e->timestamp - START_US) / MINUTE_US);
    seen->rows++;
    if (e->has_weather) {
        snprintf(text, sizeof text, "{\"temperature_c\":%d,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}", minute / 15);
        assert_true(slice_equal(e->weather, slice_of(text)));
        seen->weather++;
    }
    if (e->has_price) {
        snprintf(text, sizeof text, "{\"price\":%d}", minute / 60);
        assert_true(slice_equal(e->price, slice_of(text)));
        seen->price++;
    }
    assert_false(e->has_carbon || e->has_air || e->has_occupancy || e->has_meter);
    assert_true(e->has_sun_elevation == e->has_time_of_day && e->has_home_latitude == e->has_time_of_day);
    if (e->has_sun_elevation) {
        assert_string_equal(e->time_of_day, "morning");
        assert_true(e->home_latitude == 5237 && e->home_longitude == -489);
        assert_true(e->sun_elevation > -61.2 && e->sun_elevation < 14.7); /* the first days of January */
        seen->sun++;
    }
    return 0;
}

static struct seen look_at(store_t *store)
{
    struct seen seen = { 0 };
    struct events_query q;
    struct page end;
    struct fault fault;
    assert_int_equal(schema_defaults(events_query_schema(), &q, &fault), 0);
    SET(&q, limit, 10000);
    assert_int_equal(store_find(store, &q, look, &seen, &end, &fault), STORE_OK);
    return seen;
}

static void assert_seen(store_t *store, int rows, int weather, int price, int sun)
{
    struct seen seen = look_at(store);
    assert_int_equal(seen.rows, rows);
    assert_int_equal(seen.weather, weather);
    assert_int_equal(seen.price, price);
    assert_int_equal(seen.sun, sun);
}

enum { MINUTES = 1440 };

static void fill(struct twins *t)
{
    for (int minute = 0; minute < MINUTES; minute++) {
        happen(t, minute, minute >= 60);
        if (minute % 97 == 96)
            commit(t);
    }
    commit(t);
}

static void what_was_in_force_comes_back_hot_and_sealed(void **state)
{
    struct twins *t = *state;
    fill(t);
    assert_true(twins_seal(t, START_US + 1000 * MINUTE_US, INT64_MAX) > 0);
    assert_true(number(t, "SELECT count(*) FROM chunk") > 0);
    for (int i = 0; i < BOTH; i++)
        assert_seen(t->readers[i], MINUTES, MINUTES - 60, MINUTES - 60, MINUTES - 60);
    /* 92 quarters and 23 hours, and as many rows that say which went together */
    assert_int_equal(number(t, "SELECT count(*) FROM reading"), 92 + 23 + 92);
}

static void what_was_rolled_back_is_not_remembered(void **state)
{
    struct twins *t = *state;
    fill(t);
    happen(t, MINUTES + 30, true); /* the numbers of what is gone are given again, to other things */
    for (int i = 0; i < BOTH; i++)
        assert_int_equal(store_abandon(t->writers[i], NULL), STORE_TROUBLE);
    happen(t, MINUTES + 90, true);
    happen(t, MINUTES + 91, true);
    commit(t);
    for (int i = 0; i < BOTH; i++)
        assert_seen(t->readers[i], MINUTES + 2, MINUTES - 58, MINUTES - 58, MINUTES - 58);
}

static int64_t bad_now(store_t *store, char named[64])
{
    struct store_looked_words looked;
    enum store_result result;
    int64_t bad = 0;
    while ((result = store_verify_words(store, &looked)) == STORE_OK) {
        for (size_t i = 0; i < looked.bad_count; i++)
            snprintf(named, 64, "%s %lld", looked.bad[i].kind, (long long)looked.bad[i].id);
        bad += (int64_t)looked.bad_count;
    }
    assert_int_equal(result, STORE_MISSING);
    return bad;
}

static void spoil(const struct twins *t, const char *table, int64_t id, const char *with)
{
    char sql[200];
    sqlite3 *db;
    snprintf(sql, sizeof sql, "UPDATE %s SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || %s AS BLOB) WHERE id = %lld", table, with, (long long)id);
    assert_int_equal(sqlite3_open(t->paths[SEALED], &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void what_is_damaged_is_named_and_rows_are_answered_without_it(void **state)
{
    struct twins *t = *state;
    char named[64] = "", expected[64];
    fill(t);
    assert_int_equal(bad_now(t->writers[SEALED], named), 0);
    int64_t text = number(t, "SELECT id FROM reading WHERE CAST(bytes AS TEXT) LIKE '%temperature_c\":50,%'");
    spoil(t, "reading", text, "x'7e'");
    store_t *fresh = twin_open(t->paths[SEALED], false);
    assert_seen(fresh, MINUTES, MINUTES - 60 - 15, MINUTES - 60, MINUTES - 60);
    store_close(&fresh);
    assert_int_equal(bad_now(t->writers[SEALED], named), 1);
    assert_int_equal(bad_now(t->writers[SEALED], named), 1); /* as long as it is so */
    snprintf(expected, sizeof expected, "reading %lld", (long long)text);
    assert_string_equal(named, expected);
    spoil(t, "reading", text, "x'7d'");
    assert_int_equal(bad_now(t->writers[SEALED], named), 0);
    int64_t whole = number(t, "SELECT max(id) FROM reading");
    spoil(t, "reading", whole, "x'7e'");
    fresh = twin_open(t->paths[SEALED], false);
    assert_seen(fresh, MINUTES, MINUTES - 60 - 15, MINUTES - 60 - 15, MINUTES - 60 - 15);
    store_close(&fresh);
    assert_int_equal(bad_now(t->writers[SEALED], named), 1);
    spoil(t, "snapshot", number(t, "SELECT min(id) FROM snapshot"), "x'7e7e'");
    assert_int_equal(bad_now(t->writers[SEALED], named), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_in_force_comes_back_hot_and_sealed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_rolled_back_is_not_remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_named_and_rows_are_answered_without_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
