/* test_rules_live.c - rules in the sink: from the next event on, counted, and true whatever the disk does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "event_id.h"
#include "probe.h"
#include "store.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define START INT64_C(1767225600000000)

struct place { char directory[64]; store_t *reader; probe_t *probe; };

static void open_sink(struct place *place)
{
    place->probe = probe_new((const char *const[]){ "data", place->directory, NULL });
    assert_non_null(place->probe);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char path[96];
    const char *why;
    strcpy(place->directory, "/tmp/test-rules-live-XXXXXX");
    assert_non_null(mkdtemp(place->directory));
    open_sink(place);
    snprintf(path, sizeof path, "%s/store.db", place->directory);
    place->reader = store_open(&(struct store_options){ .path = path }, &why);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[96];
    probe_destroy(&place->probe);
    store_close(&place->reader);
    snprintf(command, sizeof command, "rm -rf %s", place->directory);
    free(place);
    return system(command);
}

static int deliver(struct place *p, const char *entity, int64_t at, int value)
{
    char text[16];
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    snprintf(text, sizeof text, "%d", value);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(entity));
    SET(&e, timestamp, START + at);
    SET(&e, last_updated, e.timestamp);
    SET(&e, received_at, e.timestamp);
    SET(&e, place, at);
    SET(&e, state, slice_of(text));
    SET(&e, value, slice_of(text));
    SET_TEXT(&e, provenance, "live", 4);
    event_id_set(&e);
    return probe_deliver(p->probe, &event_full_contract, &e);
}

static int set(struct place *p, const char *rules, struct filters_view *view)
{
    struct filters_query q;
    schema_clear(filters_query_schema(), &q);
    SET(&q, rules, slice_of(rules));
    return probe_call(p->probe, &sink_set_filters_contract, &q, view);
}

static struct filters_view ask(struct place *p)
{
    struct filters_view view;
    assert_int_equal(probe_call(p->probe, &sink_filters_contract, &(struct nothing){ 0 }, &view), OK);
    return view;
}

static struct sink_stats stats(struct place *p)
{
    return *(struct sink_stats *)((char *)probe_self(p->probe) + actor_spec.stats.at);
}

static int64_t rows(struct place *p)
{
    int64_t count;
    struct fault fault;
    struct events_query q;
    schema_clear(events_query_schema(), &q);
    assert_int_equal(store_count(p->reader, &q, &count, &fault), STORE_OK);
    return count;
}

static void assert_conserved(struct place *p)
{
    struct sink_stats s = stats(p);
    assert_int_equal(s.received, s.stored + s.duplicate + s.filtered + s.quarantined);
    assert_int_equal(probe_held(p->probe), 0);
}

static void rules_take_effect_with_the_next_event(void **state)
{
    struct place *p = *state;
    for (int i = 0; i < 3; i++)
        deliver(p, "sensor.a", i, i);
    assert_int_equal(set(p, "[{\"action\":\"exclude\",\"entity_id\":\"sensor.a\"}]", NULL), OK);
    assert_int_equal(probe_released(p->probe), 3); /* what came before is stored by the rules of then */
    for (int i = 3; i < 7; i++)
        deliver(p, "sensor.a", i, i);
    deliver(p, "sensor.b", 9, 1);
    probe_advance(p->probe, 100);
    assert_int_equal(rows(p), 4);
    assert_int_equal(stats(p).filtered, 4);
    assert_conserved(p);
    assert_int_equal(ask(p).filtered, 4);
    assert_true(probe_logged(p->probe, "the filters were set: 1 rules are in force, 0 were before"));
}

static void events_that_are_all_left_out_are_acknowledged_and_counted(void **state)
{
    struct place *p = *state;
    set(p, "[{\"action\":\"exclude\",\"glob\":\"*\"}]", NULL);
    for (int i = 0; i < 10; i++)
        deliver(p, "sensor.a", i, i);
    probe_advance(p->probe, 100);
    assert_int_equal(rows(p), 0);
    assert_conserved(p);
    probe_destroy(&p->probe);
    open_sink(p);
    assert_int_equal(ask(p).filtered, 10);
    assert_true(probe_logged(p->probe, "1 filter rules are in force"));
}

static void rules_that_are_none_are_refused_by_field_and_change_nothing(void **state)
{
    struct place *p = *state;
    set(p, "[{\"action\":\"exclude\",\"entity_id\":\"sensor.a\"}]", NULL);
    assert_int_equal(set(p, "[{\"action\":\"exclude\",\"entity_id\":\"sensor.b\"},{\"action\":\"thin\",\"glob\":\"x\",\"interval_s\":-1}]", NULL), UNPROCESSABLE);
    assert_string_equal(probe_fault(p->probe).field, "rules[1].interval_s");
    deliver(p, "sensor.a", 1, 1);
    deliver(p, "sensor.b", 2, 1);
    probe_advance(p->probe, 100);
    assert_int_equal(stats(p).filtered, 1);
    assert_int_equal(rows(p), 1);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_counts_nothing_twice_and_loses_no_extreme(void **state)
{
    struct place *p = *state;
    signal(SIGXFSZ, SIG_IGN);
    set(p, "[{\"action\":\"thin\",\"entity_id\":\"sensor.a\",\"interval_s\":3600}]", NULL);
    for (int i = 0; i < 10; i++)
        deliver(p, "sensor.a", i, 50 + i);
    probe_advance(p->probe, 100);
    assert_int_equal(rows(p), 2);
    limit_files(4096);
    for (int i = 10; i < 60; i++)
        deliver(p, "sensor.a", i, i == 30 ? 0 : i == 40 ? 1000 : 20);
    probe_advance(p->probe, 100);
    assert_int_equal(set(p, "[]", NULL), UNAVAILABLE);
    probe_advance(p->probe, 2000);
    assert_int_equal(stats(p).thinned, 8);
    assert_int_equal(ask(p).thinned, 8);
    limit_files(RLIM_INFINITY);
    probe_advance(p->probe, 2000);
    assert_conserved(p);
    assert_int_equal(stats(p).stored, 60);
    assert_int_equal(rows(p), stats(p).stored - stats(p).thinned);
    assert_int_equal(rows(p), 2 + 4); /* a new stretch: its first, least, greatest and last */
    assert_int_equal(ask(p).thinned, stats(p).thinned);
}

static void what_is_replayed_and_left_out_by_a_rule_leaves_the_quarantine(void **state)
{
    struct place *p = *state;
    struct event_bad bad;
    struct replay_query q;
    struct replay_reply reply;
    schema_clear(event_bad_schema(), &bad);
    SET(&bad, bytes, slice_of("{}"));
    SET_TEXT(&bad, stage, "enrich", 6);
    SET_TEXT(&bad, why, "no", 2);
    SET(&bad, place, 5);
    SET(&bad, received_at, START);
    probe_deliver(p->probe, &event_bad_contract, &bad);
    set(p, "[{\"action\":\"exclude\",\"entity_id\":\"sensor.a\"}]", NULL);
    schema_clear(replay_query_schema(), &q);
    SET(&q, all, true);
    assert_int_equal(probe_call(p->probe, &sink_replay_contract, &q, NULL), LATER);
    probe_advance(p->probe, 1);
    deliver(p, "sensor.a", 5, 1);
    probe_advance(p->probe, 100);
    probe_ack_all(p->probe);
    probe_advance(p->probe, 1);
    assert_int_equal(probe_answered(p->probe, &sink_replay_contract, probe_ticket(p->probe), &reply), OK);
    assert_int_equal(reply.stored, 1);
    assert_int_equal(rows(p), 0);
    assert_conserved(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rules_take_effect_with_the_next_event),
        TEST(events_that_are_all_left_out_are_acknowledged_and_counted),
        TEST(rules_that_are_none_are_refused_by_field_and_change_nothing),
        TEST(a_full_disk_counts_nothing_twice_and_loses_no_extreme),
        TEST(what_is_replayed_and_left_out_by_a_rule_leaves_the_quarantine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
