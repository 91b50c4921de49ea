/* test_renamed.c - what had several names is, in buckets, as if it had always had one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bucket_world.h"
#include "inside.h"

enum { NAMES = 4, SPANS = 6, LIVES = 8 };

/* A device's history, the names it had one after the other, and what each name's series holds: also of whoever had it at other times. */
struct life {
    struct history of_device, of_name[NAMES];
    char names[NAMES][32];
    size_t name_of[SPANS];
    struct lineage_span spans[SPANS];
    enum shape shape;
};

static size_t span_at(const struct life *l, int64_t at)
{
    size_t i = 0;
    while (at >= l->spans[i].to_us)
        i++;
    return i;
}

/* Cuts at random, some at a sample, some with nothing between; the last name has the last samples, which say class and unit. */
static void cut(struct life *l)
{
    struct history *h = &l->of_device;
    size_t count = 2 + (size_t)roll(h, SPANS - 1), at = 0;
    l->name_of[0] = (size_t)roll(h, NAMES);
    for (size_t i = 0; i < count; i++) {
        l->spans[i].from_us = i ? l->spans[i - 1].to_us : 0;
        if (i > 0)
            l->name_of[i] = (l->name_of[i - 1] + 1 + (size_t)roll(h, NAMES - 1)) % NAMES;
        at += roll(h, 6) ? (size_t)roll(h, (int64_t)(2 * h->count / count)) : 0;
        at = at < h->count - 4 ? at : h->count - 4;
        l->spans[i].to_us = i + 1 == count ? FOREVER_US : h->points[at].at + (roll(h, 2) ? 0 : roll(h, HOUR_US));
        if (l->spans[i].to_us < l->spans[i].from_us)
            l->spans[i].to_us = l->spans[i].from_us;
    }
    h->spans = l->spans;
    h->span_count = count;
}

/* Whoever else had the name says something else, in another unit. */
static void add_others(struct life *l, size_t name, int count)
{
    struct history *h = &l->of_device;
    for (int i = 0; i < count; i++) {
        const struct truth_point *near = &h->points[roll(h, (int64_t)h->count)];
        double level = 5000;
        struct truth_point p = a_point(h, l->shape, near->at + 1 + roll(h, HOUR_US), &level);
        if (l->name_of[span_at(l, p.at)] == name || p.at >= l->spans[h->span_count - 1].from_us)
            continue;
        history_add(&l->of_name[name], p);
    }
}

static void give(struct life *l, size_t from)
{
    for (size_t i = from; i < l->of_device.count; i++) {
        struct truth_point p = l->of_device.points[i];
        history_add(&l->of_name[l->name_of[span_at(l, p.at)]], p);
    }
}

static void store_all(struct world *w, struct life *l)
{
    for (size_t i = 0; i < NAMES; i++)
        history_store(&l->of_name[i], w->writer);
    commit(w);
}

static void find_series(struct world *w, struct life *l)
{
    bool empty;
    assert_int_equal(read_begin(w->reader, &empty), STORE_OK);
    for (size_t i = 0; i < l->of_device.span_count; i++) {
        const struct series *series = series_by_name(w->reader, true, slice_of(l->names[l->name_of[i]]));
        l->spans[i].series = series ? series->id : 1000000; /* it was never heard of under that name */
    }
    read_end(w->reader);
}

static struct life *a_life(struct world *w, uint64_t seed)
{
    struct life *l = calloc(1, sizeof *l);
    assert_non_null(l);
    l->shape = seed % 2 ? history_make_dense(&l->of_device, seed) : history_make(&l->of_device, seed);
    cut(l);
    for (size_t i = 0; i < NAMES; i++) {
        snprintf(l->names[i], sizeof l->names[i], "sensor.name_%llu_%zu", (unsigned long long)seed, i);
        l->of_name[i] = (struct history){ .name = l->names[i], .seed = 1 };
        add_others(l, i, 20);
    }
    give(l, 0);
    store_all(w, l);
    find_series(w, l);
    return l;
}

/* What comes late goes where it was said: under the name of then. */
static void come_late(struct world *w, struct life *l)
{
    struct history *h = &l->of_device;
    double level = (double)roll(h, 500);
    size_t before = h->count;
    for (int i = 0; i < 20; i++) {
        int64_t at = h->points[roll(h, (int64_t)before)].at + 2 + roll(h, HOUR_US);
        bool is_free = true;
        for (size_t k = 0; k < h->count; k++)
            is_free &= h->points[k].at != at;
        if (is_free && at < l->spans[h->span_count - 1].from_us)
            history_add(h, a_point(h, l->shape, at, &level));
    }
    give(l, before);
    store_all(w, l);
    find_series(w, l);
}

static void be_missing(struct world *w, struct life *l)
{
    struct history *h = &l->of_device;
    struct gap_said said[3] = { 0 };
    int64_t at = h->points[0].at;
    h->gap_count = (size_t)roll(h, 4);
    for (size_t i = 0; i < h->gap_count; i++) {
        at += roll(h, 3 * DAY_US);
        h->gaps[i] = (struct span){ at, at + 1 + roll(h, roll(h, 2) ? HOUR_US : DAY_US) };
        at = h->gaps[i].to + 1;
        said[i].from = h->gaps[i].from;
        said[i].to = h->gaps[i].to;
        snprintf(said[i].id, sizeof said[i].id, "gap-%zu", i);
    }
    assert_int_not_equal(store_set_gaps(w->writer, said, h->gap_count), STORE_TROUBLE);
    commit(w);
}

static void end_life(struct world *w, struct life *l)
{
    assert_int_not_equal(store_set_gaps(w->writer, NULL, 0), STORE_TROUBLE);
    commit(w);
    for (size_t i = 0; i < NAMES; i++)
        history_clear(&l->of_name[i]);
    history_clear(&l->of_device);
    free(l);
}

static void whatever_names_it_had_an_answer_is_what_every_moment_says(void **state)
{
    struct world *w = *state;
    assert_int_equal(store_set_zone(w->writer, "Europe/Vienna"), STORE_OK);
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        struct life *l = a_life(w, seed);
        int64_t now = START_US + 12 * DAY_US;
        ask(w, &l->of_device, 0, (int64_t)seed, now, 4);
        roll_up(w, now, 3); /* half of it */
        ask(w, &l->of_device, 0, (int64_t)seed, now, 4);
        assert_true(roll_up(w, now, STEPS_MAX));
        ask(w, &l->of_device, 0, (int64_t)seed, now, 8);
        come_late(w, l);
        be_missing(w, l);
        ask(w, &l->of_device, 0, (int64_t)seed, now, 4); /* what is wrong by now is read from samples */
        assert_true(roll_up(w, now, STEPS_MAX));
        ask(w, &l->of_device, 0, (int64_t)seed, now, 8);
        end_life(w, l);
    }
    print_message("%lld questions, %lld buckets from rollups\n", (long long)w->asked, (long long)w->from_rollups);
    assert_true(w->from_rollups > 1000); /* else nothing was shown */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_names_it_had_an_answer_is_what_every_moment_says, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
