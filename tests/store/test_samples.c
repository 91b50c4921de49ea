/* test_samples.c - the states of one series come back in order, with the one that was in force before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inside.h"
#include "random_events.h"
#include "samples.h"

#include <unistd.h>

static store_t *open_store(const char *path, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        print_message("%s\n", why);
    assert_non_null(store);
    return store;
}

struct world { char directory[64], path[96]; store_t *writer; };

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-samples-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w->path, true);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    store_close(&w->writer);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static void add(struct world *w, int64_t at, const char *state)
{
    struct event_full e;
    struct fault fault;
    static int64_t place;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of("sensor.a"));
    SET(&e, is_state, true);
    SET(&e, timestamp, at);
    SET(&e, received_at, at + 10);
    SET(&e, place, ++place);
    SET_TEXT(&e, provenance, "live", 4);
    SET(&e, context_id, slice_of("01HZXS6V9A0000000000000000"));
    SET(&e, context_parent_id, slice_of("mine"));
    SET(&e, unit, slice_of("W"));
    if (state) {
        SET(&e, last_updated, at);
        SET(&e, last_changed, at - 5);
        SET(&e, state, slice_of(state));
        SET(&e, attributes, slice_of("{\"a\":1}"));
    }
    assert_int_equal(store_append(w->writer, &e, &fault), STORE_OK);
}

static void expect(samples_t *samples, int64_t at, enum sample_kind kind, double number, const char *state)
{
    struct sample s;
    assert_int_equal(samples_next(samples, &s), STORE_OK);
    assert_int_equal(s.at, at);
    assert_int_equal(s.kind, kind);
    if (kind == SAMPLE_NUMBER)
        assert_true(s.number >= number && s.number <= number);
    assert_true(slice_equal(s.state, slice_of(state)));
    assert_int_equal(s.attributes != 0, kind != SAMPLE_REMOVED);
    assert_true(s.snapshot != 0);
}

static void samples_are_in_order_with_the_one_before(void **state)
{
    struct world *w = *state;
    struct sample s;
    bool empty;
    add(w, START_US, "1.5");
    add(w, START_US + 1000, "unavailable");
    add(w, START_US + 2000, "on");
    add(w, START_US + 3000, NULL);
    add(w, START_US + 4000, "-2e3");
    add(w, START_US + 5000, "");
    add(w, START_US + 6000, "nan");
    assert_int_equal(store_commit(w->writer), STORE_OK);
    store_t *reader = open_store(w->path, false);
    assert_int_equal(read_begin(reader, &empty), STORE_OK);
    int64_t series = series_by_name(reader, true, slice_of("sensor.a"))->id;
    samples_t *a = samples_open(reader, series, START_US + 1000, START_US + 6000, true), *b = samples_open(reader, series, 0, START_US + 1, false);
    samples_t *none = samples_open(reader, series, 0, START_US, true);
    assert_int_equal(samples_next(none, &s), STORE_MISSING);
    expect(a, START_US, SAMPLE_NUMBER, 1.5, "1.5");
    expect(b, START_US, SAMPLE_NUMBER, 1.5, "1.5");
    assert_int_equal(samples_next(b, &s), STORE_MISSING);
    expect(a, START_US + 1000, SAMPLE_NONE, 0, "unavailable");
    expect(a, START_US + 2000, SAMPLE_TEXT, 0, "on");
    expect(a, START_US + 3000, SAMPLE_REMOVED, 0, "");
    expect(a, START_US + 4000, SAMPLE_NUMBER, -2000, "-2e3");
    expect(a, START_US + 5000, SAMPLE_NONE, 0, "");
    assert_int_equal(samples_next(a, &s), STORE_MISSING);
    assert_int_equal(samples_next(a, &s), STORE_MISSING);
    samples_close(&a);
    samples_close(&b);
    samples_close(&none);
    a = samples_open(reader, series, START_US + 6000, MAX_TIME_US, false);
    expect(a, START_US + 6000, SAMPLE_TEXT, 0, "nan");
    samples_close(&a);
    read_end(reader);
    store_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(samples_are_in_order_with_the_one_before, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
