/* test_imports.c - what another recorder kept: rows that are there already, and statistics. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT INT64_C(1795485404524490)
#define PLACE (INT64_C(1) << 60)

struct world { char directory[64], path[96]; store_t *writer, *reader; };

static store_t *open_store(struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        print_message("%s\n", why);
    return store;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    strcpy(w->directory, "/tmp/test-imports-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
    assert_non_null(w->writer);
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

/* --- rows that are there already ------------------------------------------------------------------- */

static struct event_full a_row(const char *provenance, const char *context, int64_t place)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, timestamp, AT);
    SET(&e, received_at, AT + 5000);
    SET(&e, place, place);
    SET_TEXT(&e, provenance, provenance, strlen(provenance));
    if (context)
        SET(&e, context_id, slice_of(context));
    return e;
}

static struct event_full a_state(const char *provenance, const char *context, int64_t place)
{
    struct event_full e = a_row(provenance, context, place);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of("sensor.a"));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, state, slice_of("21.5"));
    SET(&e, last_updated, AT);
    SET(&e, attributes, slice_of("{}"));
    event_id_set(&e);
    return e;
}

static struct event_full an_event(const char *provenance, const char *data, int64_t place)
{
    struct event_full e = a_row(provenance, "01HXYZ0000000000000000000A", place);
    SET(&e, event_type, slice_of("big_event"));
    SET(&e, is_state, false);
    SET(&e, data, slice_of(data));
    event_id_set(&e);
    return e;
}

struct kept { size_t count; char id[64], provenance[16], data[64], context[64]; };

static int keep(void *owner, const struct event_full *e)
{
    struct kept *kept = owner;
    kept->count++;
    snprintf(kept->id, sizeof kept->id, "%s", e->id);
    snprintf(kept->provenance, sizeof kept->provenance, "%s", e->provenance);
    snprintf(kept->data, sizeof kept->data, "%.*s", e->has_data ? (int)e->data.size : 0, e->has_data ? (const char *)e->data.data : "");
    snprintf(kept->context, sizeof kept->context, "%.*s", e->has_context_id ? (int)e->context_id.size : 0, e->has_context_id ? (const char *)e->context_id.data : "");
    return 0;
}

static struct kept all_of(struct world *w)
{
    struct kept kept = { 0 };
    struct events_query q;
    struct page end;
    struct fault fault;
    assert_int_equal(store_commit(w->writer), STORE_OK);
    schema_defaults(events_query_schema(), &q, &fault);
    assert_int_equal(store_find(w->reader, &q, keep, &kept, &end, &fault), STORE_OK);
    return kept;
}

/* One after the other; the second is a duplicate, the id is the first one's. */
static struct kept twins(struct world *w, const struct event_full *first, const struct event_full *second)
{
    struct fault fault;
    assert_int_equal(store_append(w->writer, first, &fault), STORE_OK);
    struct kept before = all_of(w);
    assert_int_equal(store_append(w->writer, second, &fault), STORE_DUPLICATE);
    struct kept after = all_of(w);
    assert_int_equal(after.count, 1);
    assert_string_equal(after.id, before.id);
    return after;
}

static void an_imported_state_meets_the_live_one_by_its_context(void **state)
{
    struct event_full live = a_state("live", "01HXYZ0000000000000000000A", 100), imported = a_state("import", "01HXYZ0000000000000000000A", PLACE);
    assert_string_equal(twins(*state, &live, &imported).provenance, "live");
}

static void a_live_state_takes_the_place_of_the_imported_one(void **state)
{
    struct event_full live = a_state("live", "01HXYZ0000000000000000000A", 100), imported = a_state("import", "01HXYZ0000000000000000000A", PLACE);
    assert_string_equal(twins(*state, &imported, &live).provenance, "live");
}

static void an_imported_state_gives_the_backfilled_one_its_context(void **state)
{
    struct event_full backfilled = a_state("backfill", NULL, 100), imported = a_state("import", "01HXYZ0000000000000000000A", PLACE);
    struct kept kept = twins(*state, &backfilled, &imported);
    assert_string_equal(kept.provenance, "import");
    assert_string_equal(kept.context, "01HXYZ0000000000000000000A");
}

static void a_backfilled_state_after_the_import_adds_nothing(void **state)
{
    struct event_full backfilled = a_state("backfill", NULL, 100), imported = a_state("import", "01HXYZ0000000000000000000A", PLACE);
    assert_string_equal(twins(*state, &imported, &backfilled).provenance, "import");
}

static void states_of_other_contexts_are_others(void **state)
{
    struct world *w = *state;
    struct fault fault;
    struct event_full live = a_state("live", "01HXYZ0000000000000000000A", 100), other = a_state("import", "01HXYZ0000000000000000000B", PLACE);
    assert_int_equal(store_append(w->writer, &live, &fault), STORE_OK);
    assert_int_equal(store_append(w->writer, &other, &fault), STORE_OK);
    assert_int_equal(all_of(w).count, 2);
}

static void data_that_the_recorder_cut_is_that_of_the_live_event(void **state)
{
    struct event_full live = an_event("live", "{\"much\":1}", 100), cut = an_event("import", "{}", PLACE);
    struct kept kept = twins(*state, &live, &cut);
    assert_string_equal(kept.data, "{\"much\":1}");
}

static void a_live_event_gives_a_cut_one_its_data(void **state)
{
    struct event_full live = an_event("live", "{\"much\":1}", 100), cut = an_event("import", "{}", PLACE);
    struct kept kept = twins(*state, &cut, &live);
    assert_string_equal(kept.data, "{\"much\":1}");
    assert_string_equal(kept.provenance, "live");
}

static void two_imported_events_with_other_data_are_two(void **state)
{
    struct world *w = *state;
    struct fault fault;
    struct event_full one = an_event("import", "{\"n\":1}", PLACE), other = an_event("import", "{}", PLACE + 4);
    assert_int_equal(store_append(w->writer, &one, &fault), STORE_OK);
    assert_int_equal(store_append(w->writer, &other, &fault), STORE_OK);
    assert_int_equal(all_of(w).count, 2);
}

/* --- statistics ------------------------------------------------------------------------------------- */

static struct statistic_row a_statistic(const char *id, const char *period, int64_t start_s, double mean)
{
    struct statistic_row s;
    schema_clear(statistic_row_schema(), &s);
    SET_TEXT(&s, statistic_id, id, strlen(id));
    SET_TEXT(&s, period, period, strlen(period));
    SET(&s, start, start_s * 1000000);
    SET(&s, mean, mean);
    SET(&s, min, -0.5);
    SET(&s, max, 1e300);
    SET_TEXT(&s, unit, "°C", strlen("°C"));
    SET_TEXT(&s, source, "recorder", 8);
    SET(&s, mean_type, 1);
    SET(&s, place, PLACE);
    SET(&s, received_at, AT);
    return s;
}

static enum store_result put(struct world *w, const struct statistic_row *s)
{
    struct fault fault = { "", "" };
    enum store_result result = store_statistic(w->writer, s, &fault);
    assert_int_equal(store_commit(w->writer), STORE_OK);
    return result;
}

struct statistics { struct statistic_row rows[512]; size_t count, room; };

static int keep_statistic(void *owner, const struct statistic_row *row)
{
    struct statistics *all = owner;
    if (all->room && all->count % all->room == 0 && all->count)
        return -1;
    all->rows[all->count++] = *row;
    return 0;
}

static enum store_result ask(struct world *w, struct statistics_query *q, struct statistics *all, struct page *end)
{
    struct fault fault;
    return store_statistics(w->reader, q, keep_statistic, all, end, &fault);
}

static struct statistics_query a_query(void)
{
    struct statistics_query q;
    struct fault fault;
    assert_int_equal(schema_defaults(statistics_query_schema(), &q, &fault), 0);
    return q;
}

static void a_statistic_comes_back_as_it_was_and_null_stays_null(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct statistics_query q = a_query();
    struct page end;
    struct statistic_row meter = a_statistic("energy:solar", "hour", 3600, 0);
    meter.has_mean = meter.has_min = meter.has_max = meter.has_unit = meter.has_mean_type = false;
    SET(&meter, sum, 12345.678901);
    SET(&meter, state, 0.1);
    SET(&meter, last_reset, AT);
    SET_TEXT(&meter, name, "Solar \"roof\"", 12);
    assert_int_equal(put(w, &meter), STORE_OK);
    struct statistic_row mean = a_statistic("sensor.a", "hour", 7200, 20.123456789);
    SET(&mean, mean_weight, 0.25);
    assert_int_equal(put(w, &mean), STORE_OK);
    assert_int_equal(ask(w, &q, all, &end), STORE_OK);
    assert_int_equal(all->count, 2);
    for (int i = 0; i < 2; i++) {
        struct statistic_row *want = i ? &mean : &meter, *have = &all->rows[i];
        have->place = want->place, have->received_at = want->received_at; /* are not kept */
        msgpack_sbuffer one, other;
        struct fault fault;
        msgpack_sbuffer_init(&one);
        msgpack_sbuffer_init(&other);
        assert_int_equal(statistic_row_encode(want, &one, &fault), 0);
        assert_int_equal(statistic_row_encode(have, &other, &fault), 0);
        assert_int_equal(one.size, other.size);
        assert_memory_equal(one.data, other.data, one.size);
        msgpack_sbuffer_destroy(&one);
        msgpack_sbuffer_destroy(&other);
    }
    free(all);
}

static void a_period_is_kept_once_and_what_was_said_last_stays(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct statistics_query q = a_query();
    struct page end;
    struct statistic_row s = a_statistic("sensor.a", "hour", 3600, 20);
    assert_int_equal(put(w, &s), STORE_OK);
    assert_int_equal(put(w, &s), STORE_DUPLICATE);
    SET(&s, mean, 21);
    s.has_min = false;
    SET_TEXT(&s, unit, "°F", strlen("°F"));
    assert_int_equal(put(w, &s), STORE_OK);
    struct statistic_row other = a_statistic("sensor.a", "5minute", 3600, 22);
    assert_int_equal(put(w, &other), STORE_OK);
    assert_int_equal(ask(w, &q, all, &end), STORE_OK);
    assert_int_equal(all->count, 1);
    assert_true(all->rows[0].mean == 21 && !all->rows[0].has_min);
    assert_string_equal(all->rows[0].unit, "°F");
    free(all);
}

static void pages_hold_every_statistic_once_in_order(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct statistics_query q = a_query();
    struct page end;
    size_t asked = 0;
    for (int64_t n = 0; n < 300; n++) { /* as Home Assistant writes them: all series of a period, then the next one */
        struct statistic_row s = a_statistic(n % 3 == 0 ? "sensor.a" : n % 3 == 1 ? "sensor.b" : "sensor.c", "hour", n / 3 * 3600, (double)n);
        assert_int_equal(put(w, &s), STORE_OK);
    }
    SET_TEXT(&q, statistic_id, "sensor.c, sensor.a", 18);
    SET(&q, start_time, INT64_C(3600) * 10 * 1000000 + 1); /* not the eleventh: it began before */
    SET(&q, end_time, INT64_C(3600) * 90 * 1000000);
    all->room = 7;
    for (q.has_limit = true, q.limit = 16; asked == 0 || end.has_next_cursor; asked++) {
        size_t before = all->count;
        all->room = asked % 2 ? 7 : 0;
        assert_int_equal(ask(w, &q, all, &end), STORE_OK);
        assert_int_equal(end.count, all->count - before);
        assert_true(end.count <= 16);
        if (end.has_next_cursor)
            SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    }
    assert_int_equal(all->count, 2 * 79);
    for (size_t i = 0; i < all->count; i++) {
        assert_string_equal(all->rows[i].statistic_id, i < 79 ? "sensor.a" : "sensor.c");
        assert_int_equal(all->rows[i].start, INT64_C(3600000000) * (11 + (int64_t)(i % 79)));
    }
    free(all);
}

static void what_cannot_be_kept_or_asked_names_its_field(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct fault fault;
    struct page end;
    struct statistic_row s = a_statistic("sensor.a", "day", 3600, 20);
    assert_int_equal(store_statistic(w->writer, &s, &fault), STORE_BAD);
    assert_string_equal(fault.field, "period");
    s = a_statistic("sensor.a", "hour", 3600, 20);
    s.start += 1;
    assert_int_equal(store_statistic(w->writer, &s, &fault), STORE_BAD);
    assert_string_equal(fault.field, "start");
    s = a_statistic("", "hour", 3600, 20);
    assert_int_equal(store_statistic(w->writer, &s, &fault), STORE_BAD);
    assert_string_equal(fault.field, "statistic_id");
    struct statistics_query q = a_query();
    SET_TEXT(&q, period, "week", 4);
    assert_int_equal(store_statistics(w->reader, &q, keep_statistic, all, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "period");
    q = a_query();
    SET_TEXT(&q, cursor, "1-0-1-0-0-1234", 14);
    assert_int_equal(store_statistics(w->reader, &q, keep_statistic, all, &end, &fault), STORE_BAD);
    assert_string_equal(fault.field, "cursor");
    free(all);
}

static int keep_series(void *owner, const struct statistic_series *row)
{
    struct statistic_series *list = owner;
    while (list->has_statistic_id)
        list++;
    *list = *row;
    return 0;
}

static void the_series_are_listed_with_their_ends(void **state)
{
    struct world *w = *state;
    struct statistic_series list[4] = { 0 };
    struct series_query q;
    struct page end;
    struct fault fault;
    for (int64_t n = 5; n < 9; n++) {
        struct statistic_row s = a_statistic("sensor.a", n % 2 ? "hour" : "5minute", n * 3600, 1);
        assert_int_equal(put(w, &s), STORE_OK);
    }
    schema_defaults(series_query_schema(), &q, &fault);
    SET(&q, limit, 1);
    assert_int_equal(store_statistic_series(w->reader, &q, keep_series, list, &end, &fault), STORE_OK);
    assert_int_equal(end.count, 1);
    SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    assert_int_equal(store_statistic_series(w->reader, &q, keep_series, list, &end, &fault), STORE_OK);
    assert_false(end.has_next_cursor);
    assert_string_equal(list[0].period, "hour");
    assert_int_equal(list[0].first, INT64_C(5) * 3600000000);
    assert_int_equal(list[0].last, INT64_C(7) * 3600000000);
    assert_string_equal(list[1].period, "5minute");
    assert_string_equal(list[1].unit, "°C");
    assert_int_equal(list[1].mean_type, 1);
}

static void a_store_from_before_there_were_statistics_has_none_until_its_writer_comes(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct statistics_query q = a_query();
    struct page end;
    sqlite3 *db;
    store_close(&w->writer);
    assert_int_equal(sqlite3_open(w->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DROP TABLE statistic; DROP TABLE statistic_series; DROP TABLE statistic_meta", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(ask(w, &q, all, &end), STORE_OK);
    assert_int_equal(end.count, 0);
    w->writer = open_store(w, true);
    struct statistic_row s = a_statistic("sensor.a", "hour", 3600, 20);
    assert_int_equal(put(w, &s), STORE_OK);
    assert_int_equal(ask(w, &q, all, &end), STORE_OK);
    assert_int_equal(all->count, 1);
    free(all);
}

static void what_was_not_committed_is_gone_whole(void **state)
{
    struct world *w = *state;
    struct statistics *all = calloc(1, sizeof *all);
    struct statistics_query q = a_query();
    struct page end;
    struct fault fault;
    struct statistic_row s = a_statistic("sensor.a", "hour", 3600, 20);
    assert_int_equal(store_statistic(w->writer, &s, &fault), STORE_OK);
    store_close(&w->writer);
    w->writer = open_store(w, true);
    assert_int_equal(ask(w, &q, all, &end), STORE_OK);
    assert_int_equal(all->count, 0);
    assert_int_equal(put(w, &s), STORE_OK);
    free(all);
}

int main(void)
{
#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_STORE(an_imported_state_meets_the_live_one_by_its_context),
        WITH_STORE(a_live_state_takes_the_place_of_the_imported_one),
        WITH_STORE(an_imported_state_gives_the_backfilled_one_its_context),
        WITH_STORE(a_backfilled_state_after_the_import_adds_nothing),
        WITH_STORE(states_of_other_contexts_are_others),
        WITH_STORE(data_that_the_recorder_cut_is_that_of_the_live_event),
        WITH_STORE(a_live_event_gives_a_cut_one_its_data),
        WITH_STORE(two_imported_events_with_other_data_are_two),
        WITH_STORE(a_statistic_comes_back_as_it_was_and_null_stays_null),
        WITH_STORE(a_period_is_kept_once_and_what_was_said_last_stays),
        WITH_STORE(pages_hold_every_statistic_once_in_order),
        WITH_STORE(what_cannot_be_kept_or_asked_names_its_field),
        WITH_STORE(the_series_are_listed_with_their_ends),
        WITH_STORE(a_store_from_before_there_were_statistics_has_none_until_its_writer_comes),
        WITH_STORE(what_was_not_committed_is_gone_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
