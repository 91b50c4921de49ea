/* test_rollups.c - whatever is rolled up, half or whole, late or wrong by now: an answer is what every moment says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket_world.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>

enum { HISTORIES = 6 };

/* --- what comes late ------------------------------------------------------------------------------- */

static void come_late(struct world *w, struct history *h, enum shape shape, int count)
{
    double level = (double)roll(h, 500);
    for (int i = 0; i < count; i++) {
        const struct truth_point *near = &h->points[roll(h, (int64_t)h->count)];
        int64_t at = near->at + 2 + (roll(h, 3) ? roll(h, HOUR_US) : roll(h, 3 * DAY_US)) - (roll(h, 8) ? 0 : 20 * DAY_US);
        bool is_free = true; /* two at one moment are another test's */
        for (size_t k = 0; k < h->count; k++)
            is_free &= h->points[k].at != at;
        if (is_free)
            history_add(h, a_point(h, shape, at, &level));
    }
    history_store(h, w->writer);
}

static void be_taken_back(struct world *w, struct history *h, enum shape shape)
{
    bool is_newest;
    size_t before = h->count;
    come_late(w, h, shape, 1);
    if (h->count == before)
        return;
    struct store_row row = store_appended(w->writer, &is_newest);
    if (roll(h, 2)) { /* gone from the file and what is rolled up, not from those that wait */
        commit(w);
        roll_up(w, START_US + 10 * DAY_US, STEPS_MAX);
    }
    assert_int_equal(store_take_back(w->writer, &row), STORE_OK);
    h->points[h->count - 1].is_gone = true;
}

static void be_missing(struct world *w, struct history *h)
{
    struct gap_said said[8] = { 0 };
    h->gap_count = (size_t)roll(h, 4);
    int64_t at = h->points[0].at;
    for (size_t i = 0; i < h->gap_count; i++) {
        at += roll(h, 4 * DAY_US);
        h->gaps[i] = (struct span){ at, at + 1 + roll(h, roll(h, 2) ? HOUR_US : DAY_US) };
        at = h->gaps[i].to + 1;
        snprintf(said[i].id, sizeof said[i].id, "gap-%zu", i);
        said[i].from = h->gaps[i].from;
        said[i].to = h->gaps[i].to;
        said[i].entity_id = slice_of(h->name);
    }
    enum store_result result = store_set_gaps(w->writer, said, h->gap_count);
    assert_true(result == STORE_OK || result == STORE_DUPLICATE);
}

static void happen(struct world *w, struct history *h, enum shape shape)
{
    switch (roll(h, 4)) {
    case 0: come_late(w, h, shape, 1 + (int)roll(h, 20)); break;
    case 1: come_late(w, h, shape, 1); break;
    case 2: be_taken_back(w, h, shape); break;
    default: be_missing(w, h); break;
    }
    commit(w);
}

static void one_life(struct world *w, uint64_t seed, int64_t series)
{
    struct history *h = malloc(sizeof *h);
    assert_non_null(h);
    enum shape shape = history_make_dense(h, seed);
    int64_t now = START_US + 10 * DAY_US;
    history_store(h, w->writer);
    commit(w);
    ask(w, h, series, (int64_t)seed, now, 1);
    roll_up(w, now, 1 + (int)roll(h, 6)); /* half of it */
    ask(w, h, series, (int64_t)seed, now, 2);
    for (int i = 0; i < 5; i++) {
        happen(w, h, shape);
        ask(w, h, series, (int64_t)seed, now, 2); /* what is wrong by now is read from samples */
        roll_up(w, now, (int)roll(h, 8));
        ask(w, h, series, (int64_t)seed, now, 1);
        if (roll(h, 2))
            now += 8 * DAY_US;
        if (!roll_up(w, now, STEPS_MAX))
            fail_msg("seed %llu: rolling up does not end", (unsigned long long)seed);
        ask(w, h, series, (int64_t)seed, now, 3);
    }
    assert_true(store_set_gaps(w->writer, NULL, 0) != STORE_TROUBLE);
    commit(w);
    history_clear(h);
    free(h);
}

static void whatever_is_rolled_up_an_answer_is_what_every_moment_says(void **state)
{
    struct world *w = *state;
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        one_life(w, seed, (int64_t)seed);
    print_message("%lld questions, %lld buckets from rollups\n", (long long)w->asked, (long long)w->from_rollups);
    assert_true(w->from_rollups > 1000); /* else nothing was shown */
}

/* Each day goes on with what was made the day before. */
static void live_day_by_day(struct world *w, uint64_t seed, int64_t series)
{
    struct history *h = malloc(sizeof *h);
    assert_non_null(h);
    enum shape shape = history_make_dense(h, seed);
    int64_t last = h->points[h->count - 1].at;
    history_store(h, w->writer);
    commit(w);
    for (int64_t now = h->points[0].at + DAY_US; now < last + 2 * DAY_US && now < h->points[0].at + 24 * DAY_US; now += DAY_US) {
        assert_true(roll_up(w, now, STEPS_MAX));
        ask(w, h, series, (int64_t)seed, now, 3);
        if (roll(h, 6) == 0)
            happen(w, h, shape);
    }
    assert_true(store_set_gaps(w->writer, NULL, 0) != STORE_TROUBLE);
    commit(w);
    history_clear(h);
    free(h);
}

static void rolled_up_day_by_day_an_answer_is_what_every_moment_says(void **state)
{
    struct world *w = *state;
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
        live_day_by_day(w, 100 + seed, (int64_t)seed);
    print_message("%lld questions, %lld buckets from rollups\n", (long long)w->asked, (long long)w->from_rollups);
    assert_true(w->from_rollups > 1000);
}

/* --- one thing at a time ---------------------------------------------------------------------------- */

static void fill_steadily(struct history *h, size_t count, int64_t pace_s)
{
    for (size_t i = 0; i < count; i++)
        history_add(h, (struct truth_point){ .at = START_US + (int64_t)i * pace_s * SECOND_US + roll(h, SECOND_US), .unit = "W",
            .text = print(h, "%.1f", (double)roll(h, 300) / 10) });
}

static struct history *steady(const char *name, size_t count, int64_t pace_s)
{
    struct history *h = calloc(1, sizeof *h);
    assert_non_null(h);
    h->name = name;
    h->seed = 4711;
    fill_steadily(h, count, pace_s);
    return h;
}

static void done_with(struct history *h)
{
    history_clear(h);
    free(h);
}

static void what_changes_while_its_chunk_is_being_made_is_in_it(void **state)
{
    struct world *w = *state;
    struct history *h = steady("sensor.a", 12000, 60);
    int64_t now = START_US + 20 * DAY_US;
    history_store(h, w->writer);
    commit(w);
    for (int begun = 1; begun < 6; begun++) {
        roll_up(w, now, begun);
        history_add(h, (struct truth_point){ .at = START_US - begun * HOUR_US + begun, .unit = "W", .text = "1000" });
        history_add(h, (struct truth_point){ .at = START_US + begun * 50 * SECOND_US + 7, .unit = "W", .text = "-1000" });
        history_store(h, w->writer);
        struct gap_said gap = { .id = "gap-1", .from = START_US - HOUR_US / 2, .to = START_US + begun * HOUR_US };
        h->gaps[0] = (struct span){ gap.from, gap.to };
        h->gap_count = 1;
        assert_int_equal(store_set_gaps(w->writer, &gap, 1), STORE_OK);
        commit(w);
        assert_true(roll_up(w, now, STEPS_MAX));
        ask(w, h, 1, begun, now, 8);
    }
    assert_true(w->from_rollups > 0);
    done_with(h);
}

static int count_rollups(void *owner, const struct bucket *b)
{
    *(int64_t *)owner += b->tier == TIER_DAY;
    return 0;
}

static int64_t days_from_rollups(struct world *w, int64_t series, const zone_t *zone, int64_t now)
{
    int64_t days = 0;
    struct bucket_question q = { .from_us = START_US, .to_us = START_US + 7 * DAY_US, .now_us = now, .step = { .kind = STEP_DAY, .zone = zone } };
    assert_int_equal(store_buckets(w->reader, series, &q, count_rollups, &days), STORE_OK);
    return days;
}

static void another_zone_makes_the_days_anew(void **state)
{
    struct world *w = *state;
    struct history *h = steady("sensor.a", 3000, 300);
    int64_t now = START_US + 20 * DAY_US;
    history_store(h, w->writer);
    commit(w);
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    assert_true(roll_up(w, now, STEPS_MAX));
    assert_true(days_from_rollups(w, 1, a_zone(1), now) >= 6);
    assert_int_equal(days_from_rollups(w, 1, a_zone(2), now), 0);
    assert_int_equal(store_set_zone(w->writer, "Asia/Kathmandu"), STORE_OK);
    assert_int_equal(days_from_rollups(w, 1, a_zone(2), now), 0);
    assert_true(roll_up(w, now, STEPS_MAX));
    assert_true(days_from_rollups(w, 1, a_zone(2), now) >= 6);
    ask(w, h, 1, 1, now, 20);
    assert_int_equal(store_set_zone(w->writer, "Europe/Atlantis"), STORE_BAD);
    done_with(h);
}

static void what_is_imported_when_the_day_s_work_is_done_is_rolled_up_that_day(void **state)
{
    struct world *w = *state;
    struct history *a = steady("sensor.a", 300, 300), *b = steady("sensor.b", 3000, 300);
    int64_t now = START_US + 20 * DAY_US;
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    assert_true(roll_up(w, now, STEPS_MAX));
    history_store(a, w->writer);
    history_store(b, w->writer);
    commit(w);
    assert_true(roll_up(w, now, STEPS_MAX)); /* it hears of them, and waits for more */
    assert_int_equal(days_from_rollups(w, 2, a_zone(1), now), 0);
    assert_true(roll_up(w, now, STEPS_MAX));
    assert_true(roll_up(w, now, STEPS_MAX));
    assert_true(days_from_rollups(w, 1, a_zone(1), now) >= 1);
    assert_true(days_from_rollups(w, 2, a_zone(1), now) >= 6);
    ask(w, b, 2, 1, now, 10);
    done_with(a);
    done_with(b);
}

static void a_damaged_rollup_is_none(void **state)
{
    struct world *w = *state;
    struct history *h = steady("sensor.a", 3000, 120);
    int64_t now = START_US + 20 * DAY_US;
    history_store(h, w->writer);
    commit(w);
    assert_true(roll_up(w, now, STEPS_MAX));
    ask(w, h, 1, 1, now, 10);
    assert_true(w->from_rollups > 0);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE rollup SET bytes = CAST(substr(bytes, 1, 40) || x'5a' || substr(bytes, 42) AS BLOB)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    w->from_rollups = 0;
    ask(w, h, 1, 2, now, 10);
    assert_int_equal(w->from_rollups, 0);
    done_with(h);
}

static void a_gap_of_one_entity_is_none_of_another(void **state)
{
    struct world *w = *state;
    struct history *a = steady("sensor.a", 3000, 120), *b = steady("sensor.b", 3000, 120);
    int64_t now = START_US + 20 * DAY_US;
    history_store(a, w->writer);
    history_store(b, w->writer);
    commit(w);
    assert_true(roll_up(w, now, STEPS_MAX));
    struct gap_said gaps[2] = {
        { .id = "gap-7", .from = START_US + DAY_US, .to = START_US + DAY_US + HOUR_US, .entity_id = slice_of("sensor.b") },
        { .id = "gap-7", .from = START_US + DAY_US, .to = START_US + DAY_US + HOUR_US, .entity_id = slice_of("sensor.unknown") },
    };
    assert_int_equal(store_set_gaps(w->writer, gaps, 2), STORE_OK);
    commit(w);
    b->gaps[b->gap_count++] = (struct span){ START_US + DAY_US, START_US + DAY_US + HOUR_US };
    ask(w, a, 1, 1, now, 10);
    ask(w, b, 2, 2, now, 10);
    assert_int_equal(store_set_gaps(w->writer, gaps, 1), STORE_DUPLICATE);
    assert_true(roll_up(w, now, STEPS_MAX));
    ask(w, b, 2, 3, now, 10);
    done_with(a);
    done_with(b);
}

/* --- kill -9 -------------------------------------------------------------------------------------------- */

static int count_samples(void *owner, const struct bucket *b)
{
    *(int64_t *)owner += b->count;
    return 0;
}

/* Appends what is left, in small transactions, and rolls up in between, until it is killed. */
static void live_on(const struct world *w, struct history *h, int64_t now, int to)
{
    struct world own = *w;
    own.writer = open_store(w, true);
    while (h->stored < h->count) {
        size_t all = h->count;
        h->count = h->stored + 7 < all ? h->stored + 7 : all;
        history_store(h, own.writer);
        h->count = all;
        commit(&own);
        roll_up(&own, now, 3);
        if (write(to, "x", 1) != 1)
            _exit(1);
    }
    roll_up(&own, now, STEPS_MAX);
    _exit(0);
}

static void killed_at_any_moment_an_answer_is_what_every_moment_says(void **state)
{
    struct world *w = *state;
    struct history *h = steady("sensor.a", 2500, 300);
    int64_t now = START_US + 30 * DAY_US;
    for (size_t i = 0; i + 1 < h->count; i++) { /* much of it comes late */
        size_t other = i + (size_t)roll(h, 40);
        if (other < h->count && roll(h, 3) == 0) {
            struct truth_point p = h->points[i];
            h->points[i] = h->points[other];
            h->points[other] = p;
        }
    }
    while (h->stored < h->count) {
        int ends[2];
        char ignored;
        assert_int_equal(pipe(ends), 0);
        store_close(&w->writer);
        pid_t child = fork();
        if (child == 0)
            live_on(w, h, now, ends[1]);
        close(ends[1]);
        for (int64_t n = 1 + roll(h, 90); n > 0 && read(ends[0], &ignored, 1) == 1; n--)
            ;
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        close(ends[0]);
        w->writer = open_store(w, true);
        int64_t stored = 0;
        struct bucket_question q = { .from_us = START_US - DAY_US, .to_us = START_US + 20 * DAY_US, .now_us = now, .step = { .us = QUARTER_US / 15 } };
        assert_int_equal(store_buckets(w->reader, 1, &q, count_samples, &stored), STORE_OK);
        size_t all = h->count;
        h->count = h->stored = (size_t)stored; /* commits are in the order of the list */
        ask(w, h, 1, (int64_t)stored, now, 4);
        h->count = all;
    }
    assert_true(roll_up(w, now, STEPS_MAX));
    ask(w, h, 1, 0, now, 10);
    assert_true(w->from_rollups > 0);
    done_with(h);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(whatever_is_rolled_up_an_answer_is_what_every_moment_says),
        T(rolled_up_day_by_day_an_answer_is_what_every_moment_says),
        T(what_changes_while_its_chunk_is_being_made_is_in_it),
        T(another_zone_makes_the_days_anew),
        T(what_is_imported_when_the_day_s_work_is_done_is_rolled_up_that_day),
        T(a_damaged_rollup_is_none),
        T(a_gap_of_one_entity_is_none_of_another),
        T(killed_at_any_moment_an_answer_is_what_every_moment_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
