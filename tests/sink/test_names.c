/* test_names.c - what the registry says of names reaches the store, whatever comes first and whatever fails. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "lineage.h"
#include "probe.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define NOW_US INT64_C(1767225600000000) /* where the probe's clock begins */
#define SECOND INT64_C(1000000)

static void write_state(probe_t *probe, const char *name, int64_t at, const char *state)
{
    static int64_t place;
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(name));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, timestamp, at);
    SET(&e, last_updated, at);
    SET(&e, received_at, at);
    SET(&e, place, ++place);
    SET(&e, state, slice_of(state));
    SET_TEXT(&e, id, "x", 1);
    SET_TEXT(&e, provenance, "live", 4);
    assert_int_equal(probe_deliver(probe, &event_full_contract, &e), HOLD);
}

static void list_entity(probe_t *probe, const char *id, const char *name, int64_t at)
{
    struct entity_row row;
    schema_clear(entity_row_schema(), &row);
    SET_TEXT(&row, entity_id, name, strlen(name));
    SET_TEXT(&row, domain, "sensor", 6);
    SET_TEXT(&row, registry_id, id, strlen(id));
    SET(&row, disabled, false);
    SET(&row, timestamp, at);
    assert_int_equal(probe_deliver(probe, &registry_entity_contract, &row), OK);
}

static void tell_session(probe_t *probe, int64_t gap_start, int64_t gap_end)
{
    struct ingest_session session;
    schema_clear(ingest_session_schema(), &session);
    SET_TEXT(&session, state, "live", 4);
    SET(&session, session, 1);
    SET(&session, registry_changes, 0);
    SET(&session, gap_start, gap_start);
    SET(&session, gap_end, gap_end);
    assert_int_equal(probe_deliver(probe, &ingest_session_contract, &session), OK);
}

static int say_row(void *owner, const struct lineage_row *row)
{
    char *text = owner;
    sprintf(text + strlen(text), "%s %s>%s %g %s;", row->kind, row->has_from ? row->from : "", row->to, (double)(row->at - NOW_US) / 1e6, row->found);
    return 0;
}

static void assert_noted(probe_t *probe, const char *expected)
{
    char path[600], text[2000] = "";
    const char *why = "";
    struct lineage_list_query q;
    struct page end;
    struct fault fault;
    snprintf(path, sizeof path, "%s/store.db", probe_data(probe));
    store_t *reader = store_open(&(struct store_options){ .path = path }, &why);
    assert_non_null(reader);
    schema_clear(lineage_list_query_schema(), &q);
    assert_int_equal(store_lineage_list(reader, &q, say_row, text, &end, &fault), STORE_OK);
    assert_string_equal(text, expected);
    store_close(&reader);
}

static void a_rename_in_a_gap_is_dated_to_its_beginning(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    list_entity(probe, "id-1", "sensor.a", NOW_US - 100 * SECOND);
    list_entity(probe, "id-1", "sensor.b", NOW_US - 9 * SECOND);
    probe_advance(probe, 1000);
    assert_noted(probe, ""); /* who knows whether anybody listened? */
    tell_session(probe, NOW_US - 20 * SECOND, NOW_US - 10 * SECOND);
    probe_advance(probe, 5000);
    assert_noted(probe, "rename sensor.a>sensor.b -19 registry;");
    probe_destroy(&probe);
}

static void a_rename_that_was_live_is_dated_after_the_last_of_the_old_name(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    tell_session(probe, NOW_US - 900 * SECOND, NOW_US - 800 * SECOND);
    list_entity(probe, "id-1", "sensor.a", NOW_US - 700 * SECOND);
    write_state(probe, "sensor.a", NOW_US - 3 * SECOND, "1");
    list_entity(probe, "id-1", "sensor.b", NOW_US - SECOND);
    probe_advance(probe, 200);
    assert_noted(probe, "rename sensor.a>sensor.b -3 registry;");
    probe_destroy(&probe);
}

static void without_a_session_names_are_noted_in_the_end(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    list_entity(probe, "id-1", "sensor.a", NOW_US - 700 * SECOND);
    list_entity(probe, "id-1", "sensor.b", NOW_US - SECOND);
    probe_advance(probe, 6000);
    assert_noted(probe, "rename sensor.a>sensor.b -700 registry;");
    probe_destroy(&probe);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void what_the_disk_did_not_take_is_noted_when_it_does(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    tell_session(probe, NOW_US - 900 * SECOND, NOW_US - 800 * SECOND);
    list_entity(probe, "id-1", "sensor.a", NOW_US - 700 * SECOND);
    probe_advance(probe, 100);
    limit_files(4096);
    list_entity(probe, "id-1", "sensor.b", NOW_US - SECOND);
    probe_advance(probe, 2000);
    limit_files(RLIM_INFINITY);
    assert_noted(probe, "");
    probe_advance(probe, 2000);
    assert_noted(probe, "rename sensor.a>sensor.b -700 registry;");
    probe_destroy(&probe);
}

static void the_users_word_is_answered_by_field(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    struct merge_query q;
    struct lineage_row row;
    write_state(probe, "sensor.a", NOW_US - 20 * SECOND, "1");
    write_state(probe, "sensor.b", NOW_US - 10 * SECOND, "1");
    schema_clear(merge_query_schema(), &q);
    SET_TEXT(&q, from, "sensor.a", 8);
    SET_TEXT(&q, to, "sensor.c", 8);
    assert_int_equal(probe_call(probe, &sink_merge_contract, &q, &row), NOT_FOUND);
    assert_string_equal(probe_fault(probe).field, "to");
    SET_TEXT(&q, to, "sensor.a", 8);
    assert_int_equal(probe_call(probe, &sink_merge_contract, &q, &row), BAD_REQUEST);
    SET_TEXT(&q, to, "sensor.b", 8);
    assert_int_equal(probe_call(probe, &sink_merge_contract, &q, &row), OK);
    assert_noted(probe, "merge sensor.a>sensor.b -10 user;");
    struct lineage_id id = { .has_id = true, .id = row.id };
    assert_int_equal(probe_call(probe, &sink_undo_contract, &id, &row), OK);
    assert_noted(probe, "");
    assert_int_equal(probe_call(probe, &sink_undo_contract, &id, &row), CONFLICT);
    probe_destroy(&probe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rename_in_a_gap_is_dated_to_its_beginning),
        cmocka_unit_test(a_rename_that_was_live_is_dated_after_the_last_of_the_old_name),
        cmocka_unit_test(without_a_session_names_are_noted_in_the_end),
        cmocka_unit_test(what_the_disk_did_not_take_is_noted_when_it_does),
        cmocka_unit_test(the_users_word_is_answered_by_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
