/* test_query.c - questions through the actor: pages, faults, one event, a period. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "probe.h"
#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS = 250 };
#define NOW_US INT64_C(1767225600000000) /* where the probe's clock begins */

struct world { char directory[64], path[96]; store_t *store; probe_t *probe; };

static void append(store_t *store, int64_t n)
{
    struct event_full e;
    struct fault fault;
    char entity[32];
    snprintf(entity, sizeof entity, "light.lamp_%d", (int)(n % 5));
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(entity));
    SET(&e, domain, slice_of("light"));
    SET(&e, timestamp, NOW_US - EVENTS * 1000 + n * 1000);
    SET(&e, last_updated, e.timestamp);
    SET(&e, received_at, e.timestamp);
    SET(&e, place, n);
    SET(&e, state, slice_of(n % 2 ? "on" : "off"));
    SET_TEXT(&e, provenance, "live", 4);
    if (n >= EVENTS - 1)
        e.has_state = e.has_last_updated = false; /* the last one is a removal, of lamp 4 */
    assert_int_equal(store_append(store, &e, &fault), STORE_OK);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    const char *why = "";
    strcpy(w->directory, "/tmp/test-query-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    w->store = store_open(&(struct store_options){ .path = w->path, .writer = true }, &why);
    assert_non_null(w->store);
    for (int64_t n = 0; n < EVENTS; n++)
        append(w->store, n);
    assert_int_equal(store_commit(w->store), STORE_OK);
    w->probe = probe_new((const char *const[]){ "data", w->directory, "page_bytes", "65536", NULL });
    assert_non_null(w->probe);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    probe_destroy(&w->probe);
    store_close(&w->store);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static struct events_query a_query(void)
{
    struct events_query q;
    struct fault fault;
    assert_int_equal(schema_defaults(events_query_schema(), &q, &fault), 0);
    return q;
}

static void pages_by_cursor_hold_every_row_once(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct page end;
    int64_t expected = EVENTS, rows = 0;
    SET(&q, limit, 60);
    do {
        assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
        assert_int_equal(end.count, probe_rows(w->probe));
        for (size_t i = 0; i < probe_rows(w->probe); i++, rows++) {
            struct event_full e;
            assert_int_equal(probe_row(w->probe, i, &e), 0);
            assert_int_equal(e.place, --expected);
        }
        if (end.has_next_cursor)
            SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    assert_int_equal(rows, EVENTS);
}

static void an_answer_that_grows_too_large_is_cut_with_a_cursor(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct page end;
    SET(&q, limit, 1000);
    probe_set_rows_room(w->probe, 2000);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
    assert_true(end.count > 0 && end.count < EVENTS);
    assert_true(end.has_next_cursor);
    assert_int_equal(end.count, probe_rows(w->probe));
}

static void a_contradiction_is_refused_by_name(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct page end;
    struct events_stats reply;
    struct stats_query period;
    SET(&q, start_time, 10);
    SET(&q, end_time, 10);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "end_time");
    q = a_query();
    SET_TEXT(&q, cursor, "zz", 2);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "cursor");
    schema_clear(stats_query_schema(), &period);
    SET_TEXT(&period, period, "2y", 2);
    assert_int_equal(probe_call(w->probe, &events_stats_contract, &period, &reply), BAD_REQUEST);
    assert_string_equal(probe_fault(w->probe).field, "period");
}

static void one_event_is_got_by_its_id(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct event_query one;
    struct event_full e;
    struct page end;
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
    assert_int_equal(probe_row(w->probe, 7, &e), 0);
    int64_t place = e.place;
    schema_clear(event_query_schema(), &one);
    SET_TEXT(&one, id, e.id, e.id_size);
    assert_int_equal(probe_call(w->probe, &events_get_contract, &one, &end), OK);
    assert_int_equal(probe_row(w->probe, 0, &e), 0);
    assert_int_equal(e.place, place);
    SET_TEXT(&one, id, "unknown", 7);
    assert_int_equal(probe_call(w->probe, &events_get_contract, &one, &end), NOT_FOUND);
}

static void a_period_is_summed_up(void **state)
{
    struct world *w = *state;
    struct events_stats reply;
    struct stats_query q;
    schema_clear(stats_query_schema(), &q);
    SET_TEXT(&q, period, "1h", 2);
    assert_int_equal(probe_call(w->probe, &events_stats_contract, &q, &reply), OK);
    assert_int_equal(reply.total_events, EVENTS);
    assert_int_equal(reply.unique_entities, 5);
    assert_int_equal(reply.event_types.size, strlen("{\"state_changed\":250}"));
    assert_memory_equal(reply.event_types.data, "{\"state_changed\":250}", reply.event_types.size);
    assert_int_equal(reply.last_event_time, NOW_US - 1000);
}

static void the_latest_states_leave_out_what_was_removed(void **state)
{
    struct world *w = *state;
    struct latest_query q;
    struct page end;
    schema_clear(latest_query_schema(), &q);
    SET(&q, limit, 3);
    assert_int_equal(probe_call(w->probe, &events_latest_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), 3);
    SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    assert_int_equal(probe_call(w->probe, &events_latest_contract, &q, &end), OK);
    assert_int_equal(probe_rows(w->probe), 1);
    assert_false(end.has_next_cursor);
}

static void counts_entities_and_types_are_told(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct count_reply count;
    struct limit_query limit;
    struct page end;
    struct active_row active;
    struct type_row type;
    assert_int_equal(SET_TEXT(&q, entity_id, "light.lamp_2", 12), 0);
    assert_int_equal(probe_call(w->probe, &events_count_contract, &q, &count), OK);
    assert_int_equal(count.count, EVENTS / 5);
    schema_clear(limit_query_schema(), &limit);
    assert_int_equal(probe_call(w->probe, &events_entities_contract, &limit, &end), OK);
    assert_int_equal(end.count, 5);
    assert_int_equal(probe_row(w->probe, 0, &active), 0);
    assert_string_equal(active.entity_id, "light.lamp_4");
    assert_int_equal(probe_call(w->probe, &events_types_contract, &limit, &end), OK);
    assert_int_equal(end.count, 1);
    assert_int_equal(probe_row(w->probe, 0, &type), 0);
    assert_int_equal(type.count, EVENTS);
}

static void what_is_appended_between_pages_moves_no_row(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct page end;
    struct event_full e;
    SET(&q, limit, 100);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
    append(w->store, EVENTS + 5);
    assert_int_equal(store_commit(w->store), STORE_OK);
    SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
    assert_int_equal(probe_row(w->probe, 0, &e), 0);
    assert_int_equal(e.place, EVENTS - 101);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Until it is, an answer would be without its rows, or with a state from before it, and nobody would know. */
static void what_meets_a_damaged_chunk_is_refused_until_it_is_put_aside(void **state)
{
    struct world *w = *state;
    struct events_query q = a_query();
    struct moment_query moment;
    struct page end;
    struct moment_end moment_end;
    struct store_looked looked;
    struct store_view view;
    char why[240];
    schema_clear(moment_query_schema(), &moment);
    SET(&moment, at, NOW_US - EVENTS * 500);
    while (store_seal(w->store, NOW_US + 40 * INT64_C(86400000000), 0) == STORE_OK)
        ;
    run_sql(w->path, "UPDATE chunk_data SET main = zeroblob(length(main)) WHERE id = 1");
    assert_int_equal(probe_call(w->probe, &moment_read_contract, &moment, &moment_end), UNAVAILABLE);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), UNAVAILABLE);
    assert_int_equal(probe_asked_count(w->probe, &sink_verify_contract), 1);
    assert_int_equal(probe_health(w->probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "chunk 1 of series"));
    while (store_verify(w->store, &looked) == STORE_OK)
        ;
    schema_clear(store_view_schema(), &view);
    view.has_bytes = view.has_chunks = view.has_sealed_rows = view.has_sealed_bytes = view.has_bad_chunks = view.has_bad_sets = view.has_bad_words = true;
    view.has_verified = true;
    SET(&view, bad, slice_of("[]"));
    SET(&view, verifying, true);
    assert_int_equal(probe_answer(w->probe, &sink_verify_contract, UNAVAILABLE, NULL), 0); /* it is away */
    assert_int_equal(probe_health(w->probe, why, sizeof why), DEGRADED);
    assert_int_equal(probe_asked_count(w->probe, &sink_verify_contract), 0);
    probe_advance(w->probe, 5000);
    assert_int_equal(probe_answer(w->probe, &sink_verify_contract, OK, &view), 0);
    assert_int_equal(probe_health(w->probe, why, sizeof why), HEALTHY);
    assert_int_equal(probe_call(w->probe, &moment_read_contract, &moment, &moment_end), OK);
    assert_int_equal(probe_call(w->probe, &events_find_contract, &q, &end), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(pages_by_cursor_hold_every_row_once),
        TEST(an_answer_that_grows_too_large_is_cut_with_a_cursor),
        TEST(a_contradiction_is_refused_by_name),
        TEST(one_event_is_got_by_its_id),
        TEST(a_period_is_summed_up),
        TEST(the_latest_states_leave_out_what_was_removed),
        TEST(counts_entities_and_types_are_told),
        TEST(what_is_appended_between_pages_moves_no_row),
        TEST(what_meets_a_damaged_chunk_is_refused_until_it_is_put_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
