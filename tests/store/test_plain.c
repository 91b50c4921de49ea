/* test_plain.c - hours and days as rows for SQL say what the store answers: switched on early or late, changed, cut off half-way, switched off. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket_truth.h"
#include "inside.h"
#include "rollup_chunk.h"
#include "rolling.h"

#include <unistd.h>

enum { HISTORIES = 6, STEPS_MAX = 100000 };
#define NOW_US (START_US + 40 * DAY_US)

struct world { char directory[64], path[96]; store_t *writer, *reader; sqlite3 *user; struct history *histories[HISTORIES]; };

static void open_writer(struct world *w, bool is_plain)
{
    const char *why = "";
    store_close(&w->writer);
    w->writer = store_open(&(struct store_options){ .path = w->path, .writer = true, .cache_bytes = 1 << 20 }, &why);
    if (!w->writer)
        fail_msg("%s", why);
    if (store_set_plain(w->writer, is_plain) != STORE_OK)
        fail_msg("%s", store_why(w->writer));
}

static void store_all(struct world *w)
{
    for (int i = 0; i < HISTORIES; i++)
        history_store(w->histories[i], w->writer);
    assert_int_equal(store_commit(w->writer), STORE_OK);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *why = "";
    strcpy(w->directory, "/tmp/test-plain-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    open_writer(w, false);
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    w->reader = store_open(&(struct store_options){ .path = w->path, .cache_bytes = 1 << 20 }, &why);
    assert_int_equal(sqlite3_open_v2(w->path, &w->user, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    for (int i = 0; i < HISTORIES; i++) {
        w->histories[i] = calloc(1, sizeof *w->histories[i]);
        if (i % 2)
            history_make(w->histories[i], (uint64_t)i + 1);
        else
            history_make_dense(w->histories[i], (uint64_t)i + 1);
    }
    store_all(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    sqlite3_close(w->user);
    store_close(&w->reader);
    store_close(&w->writer);
    for (int i = 0; i < HISTORIES; i++) {
        history_clear(w->histories[i]);
        free(w->histories[i]);
    }
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static bool roll_up(struct world *w, int steps)
{
    bool is_done = false;
    for (int i = 0; i < steps && !is_done; i++)
        if (store_roll(w->writer, NOW_US, &is_done) != STORE_OK)
            fail_msg("%s", store_why(w->writer));
    return is_done;
}

static int64_t number_of(struct world *w, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    if (sqlite3_prepare_v2(w->user, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
        fail_msg("%s: %s", sql, sqlite3_errmsg(w->user));
    int64_t number = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return number;
}

/* --- a row against its bucket ----------------------------------------------------------------------- */

struct row_check { struct world *w; sqlite3_stmt *row; struct series_facts facts; int64_t series, rows; enum tier tier; const zone_t *zone; };

static void check_real(sqlite3_stmt *row, int column, bool has, double want)
{
    assert_int_equal(sqlite3_column_type(row, column) != SQLITE_NULL, has);
    if (has && !(fabs(sqlite3_column_double(row, column) - want) <= 1e-12 * fabs(want)))
        fail_msg("%s: %.17g, and it is %.17g", sqlite3_column_name(row, column), sqlite3_column_double(row, column), want);
}

static void check_text(sqlite3_stmt *row, const struct bucket *b)
{
    assert_int_equal(sqlite3_column_type(row, 5) != SQLITE_NULL, b->has_last);
    if (b->has_last)
        assert_true(slice_equal(b->last_state, (struct slice){ (const char *)sqlite3_column_text(row, 5), (size_t)sqlite3_column_bytes(row, 5) }));
    check_real(row, 12, true, (double)b->value_us / 1e6); /* of the durations */
    assert_int_equal(sqlite3_column_int64(row, 13), b->states);
}

/* Where it said nothing for a whole chunk, or since the last midnight, nothing is rolled up. */
static bool is_rolled_up(const struct row_check *c, int64_t from)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM rolled WHERE series = %lld AND tier = %d AND chunk = %lld AND until > %lld", (long long)c->series,
             (int)c->tier, (long long)tier_chunk(c->tier, c->zone, from), (long long)from);
    return number_of(c->w, sql) > 0;
}

static int check_row(void *owner, const struct bucket *b)
{
    struct row_check *c = owner;
    sqlite3_stmt *row = c->row;
    double mean = 0.0;
    if (b->is_open || (b->value_us == 0 && b->count == 0) || !is_rolled_up(c, b->from))
        return 0;
    assert_int_equal(sqlite3_step(row), SQLITE_ROW);
    c->rows++;
    bool states = c->facts.class == CLASS_STATES;
    assert_int_equal(sqlite3_column_int64(row, 0), b->from / SECOND_US);
    assert_int_equal(sqlite3_column_int64(row, 1), b->count);
    bool has_mean = bucket_mean(b, c->facts.class, &mean);
    check_real(row, 2, has_mean, mean);
    check_real(row, 3, b->has_range, b->min);
    check_real(row, 4, b->has_range, b->max);
    if (states)
        check_text(row, b);
    else
        check_real(row, 5, b->has_last, b->last);
    check_real(row, 6, b->has_increase && !states, b->increase);
    check_real(row, 7, true, (double)b->value_us / 1e6);
    check_real(row, 8, true, (double)b->unavailable_us / 1e6);
    check_real(row, 9, true, (double)b->gap_us / 1e6);
    assert_int_equal(sqlite3_column_bytes(row, 10), c->facts.unit.size);
    return 0;
}

static int64_t check_series(struct world *w, const char *name, int64_t series, bool is_days, const zone_t *zone)
{
    char sql[512];
    struct row_check c = { .w = w, .series = series, .tier = is_days ? TIER_DAY : TIER_HOUR, .zone = zone };
    snprintf(sql, sizeof sql, "SELECT time, count, mean, min, max, last, increase, seconds, seconds_unavailable, seconds_gap, unit, iso,"
        " (SELECT sum(value) FROM json_each(durations)), (SELECT count(*) FROM json_each(durations)) FROM v_%s WHERE entity_id = ? ORDER BY time",
        is_days ? "day" : "hour");
    if (sqlite3_prepare_v2(w->user, sql, -1, &c.row, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(w->user));
    sqlite3_bind_text(c.row, 1, name, -1, SQLITE_STATIC);
    struct step step = is_days ? (struct step){ .kind = STEP_DAY, .zone = zone } : (struct step){ .kind = STEP_FIXED, .us = HOUR_US };
    struct step rest = is_days ? step : (struct step){ .kind = STEP_FIXED, .us = DAY_US };
    struct bucket_question q = { .from_us = START_US - 3 * DAY_US, .to_us = step_start(&rest, NOW_US - HOUR_US), .now_us = NOW_US, .step = step, .told = &c.facts };
    assert_int_equal(store_buckets(w->reader, series, &q, check_row, &c), STORE_OK);
    if (sqlite3_step(c.row) != SQLITE_DONE)
        fail_msg("%s: a row too many, %s", name, sqlite3_column_text(c.row, 11));
    sqlite3_finalize(c.row);
    return c.rows;
}

static void check_all(struct world *w, const zone_t *zone)
{
    int64_t hours = 0, days = 0;
    for (int i = 0; i < HISTORIES; i++) {
        hours += check_series(w, w->histories[i]->name, i + 1, false, zone);
        days += check_series(w, w->histories[i]->name, i + 1, true, zone);
    }
    if (hours < 500 || days < 20) /* else nothing was shown */
        fail_msg("only %lld hours, %lld days", (long long)hours, (long long)days);
}

/* --- what may happen ----------------------------------------------------------------------------------- */

static void rows_say_what_the_store_answers_whatever_comes_late(void **state)
{
    struct world *w = *state;
    open_writer(w, true);
    assert_true(roll_up(w, STEPS_MAX));
    check_all(w, a_zone(1));
    for (int i = 0; i < HISTORIES; i++) {
        struct history *h = w->histories[i];
        struct truth_point p = h->points[h->count / 2], q = h->points[0];
        p.at += 3;
        q.at -= 20 * HOUR_US;
        history_add(h, p);
        history_add(h, q); /* before all others */
    }
    store_all(w);
    struct gap_said gap = { .id = "gap-1", .from = START_US + DAY_US + HOUR_US / 3, .to = START_US + 2 * DAY_US };
    assert_int_equal(store_set_gaps(w->writer, &gap, 1), STORE_OK);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    assert_true(roll_up(w, STEPS_MAX));
    check_all(w, a_zone(1));
}

static void days_are_the_homes_and_of_another_zone_made_anew(void **state)
{
    struct world *w = *state;
    open_writer(w, true);
    assert_true(roll_up(w, STEPS_MAX));
    /* 29 March 2026 has 23 hours in Vienna. */
    assert_int_equal(number_of(w, "SELECT max(seconds + seconds_unavailable + seconds_gap) FROM v_day WHERE day = '2026-03-29'"), 23 * 3600);
    assert_int_equal(number_of(w, "SELECT min(time) FROM v_day WHERE day = '2026-03-29'"), 1774738800);
    assert_int_equal(store_set_zone(w->writer, "Asia/Kathmandu"), STORE_OK);
    assert_true(roll_up(w, STEPS_MAX));
    check_all(w, a_zone(2));
    assert_int_equal(number_of(w, "SELECT min(time) FROM v_day WHERE day = '2026-03-29'"), 1774721700);
}

static void what_was_rolled_up_before_becomes_rows_and_a_restart_goes_on(void **state)
{
    struct world *w = *state;
    assert_true(roll_up(w, STEPS_MAX));
    open_writer(w, true);
    for (int i = 0; i < 200 && !roll_up(w, 15); i++)
        open_writer(w, true);
    check_all(w, a_zone(1));
    assert_int_equal(number_of(w, "SELECT value = 'on' FROM meta WHERE name = 'sql_rollups'"), 1);
}

static void switched_off_they_go_and_switched_on_they_come_again(void **state)
{
    struct world *w = *state;
    open_writer(w, true);
    assert_true(roll_up(w, STEPS_MAX));
    open_writer(w, false);
    assert_int_equal(number_of(w, "SELECT count(*) FROM sqlite_master WHERE name IN ('v_hour', 'v_day')"), 0);
    open_writer(w, true); /* before they had gone */
    assert_true(roll_up(w, STEPS_MAX));
    check_all(w, a_zone(1));
    open_writer(w, false);
    assert_true(roll_up(w, STEPS_MAX));
    assert_int_equal(number_of(w, "SELECT count(*) FROM sqlite_master WHERE name = 'bucket'"), 0);
    open_writer(w, true);
    assert_true(roll_up(w, STEPS_MAX));
    check_all(w, a_zone(1));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(rows_say_what_the_store_answers_whatever_comes_late),
        T(days_are_the_homes_and_of_another_zone_made_anew),
        T(what_was_rolled_up_before_becomes_rows_and_a_restart_goes_on),
        T(switched_off_they_go_and_switched_on_they_come_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
