/* test_rollups.c - whatever is rolled up, half or whole, late or wrong by now: an answer is what every moment says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket_truth.h"
#include "rolling.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HISTORIES = 24, STEPS_MAX = 100000 };

struct world { char directory[64], path[96]; store_t *writer, *reader; int64_t asked, from_rollups; };

static store_t *open_store(const struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        fail_msg("%s", why);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test-rollups-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    store_close(&w->reader);
    store_close(&w->writer);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static void commit(struct world *w)
{
    if (store_commit(w->writer) != STORE_OK)
        fail_msg("%s", store_why(w->writer));
}

/* At most so many steps; whether there was no more to do. */
static bool roll_up(struct world *w, int64_t now, int steps)
{
    bool is_done = false;
    for (int i = 0; i < steps && !is_done; i++)
        if (store_roll(w->writer, now, &is_done) != STORE_OK)
            fail_msg("%s", store_why(w->writer));
    return is_done;
}

static void ask(struct world *w, struct history *h, int64_t series, int64_t seed, int64_t now, int times)
{
    for (int i = 0; i < times; i++) {
        w->from_rollups += history_check_of(h, w->reader, series, seed, now);
        w->asked++;
    }
}

/* --- what comes late ------------------------------------------------------------------------------- */

static void come_late(struct world *w, struct history *h, enum shape shape, int count)
{
    double level = (double)roll(h, 500);
    for (int i = 0; i < count; i++) {
        const struct point *near = &h->points[roll(h, (int64_t)h->count)];
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
    if (roll(h, 2))
        commit(w); /* gone from the file, not from those that wait */
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
    assert_true(w->from_rollups > 2000);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(whatever_is_rolled_up_an_answer_is_what_every_moment_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
