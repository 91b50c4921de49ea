/* test_energy.c - the actor in a world that a test makes: steps go out once, whatever is missed, late, away or killed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "actor.h"
#include "off.h"
#include "probe.h"
#include "small_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define BEGIN (INT64_C(1767225600) * SECOND)
enum { SAMPLES = 4000, ROWS_MAX = 64 };

/* What has happened, and so lies in the store: a sample each second, and changes of a lamp. */
struct world {
    probe_t *probe;
    char data[64];
    int64_t now_s;             /* of the probe's clock */
    bool is_deaf;              /* what happens does not reach the actor */
    bool is_hidden;            /* the lamp's changes do not reach it, the samples do */
    double w[SAMPLES];
    int64_t lamp_s[16];
    bool lamp_on[16];
    size_t lamps;
    char rows[ROWS_MAX][2048]; /* the capture log */
    size_t count;
    bool ingest_is_away;
};

static void fill(struct event_full *e, const char *entity, int64_t at_us)
{
    *e = (struct event_full){ 0 };
    SET_TEXT(e, id, "x", 1);
    SET(e, event_type, slice_of("state_changed"));
    SET(e, timestamp, at_us);
    SET_TEXT(e, provenance, "live", 4);
    SET(e, received_at, at_us);
    SET(e, is_state, true);
    SET(e, place, at_us - BEGIN);
    SET(e, entity_id, slice_of(entity));
    SET(e, domain, ((struct slice){ entity, strcspn(entity, ".") }));
    SET(e, last_updated, at_us);
}

static void sample(const struct world *w, int64_t second, struct event_full *e, char text[32])
{
    fill(e, "sensor.house_power", BEGIN + second * SECOND);
    snprintf(text, 32, "%.2f", w->w[second]);
    SET(e, state, slice_of(text));
    SET(e, value, slice_of(text));
    SET(e, unit, slice_of("W"));
    SET(e, canonical_unit, slice_of("W"));
    SET(e, canonical_value, w->w[second]);
}

static void change(const struct world *w, size_t i, struct event_full *e)
{
    fill(e, "light.lamp", BEGIN + w->lamp_s[i] * SECOND + 200000);
    SET(e, state, slice_of(w->lamp_on[i] ? "on" : "off"));
    SET(e, old_state, slice_of(w->lamp_on[i] ? "off" : "on"));
    SET(e, changed, true);
    SET(e, attributes, slice_of("{\"brightness\":200}"));
}

static void deliver(struct world *w, const struct event_full *e)
{
    if (w->probe)
        assert_int_equal(probe_deliver(w->probe, &event_full_contract, e), OK);
}

/* --- the others */

static void answer_again(struct world *w)
{
    const struct again_query *asked;
    struct again_reply reply = { 0 };
    SET(&reply, events, 1);
    while ((asked = probe_asked(w->probe, &ingest_again_contract))) {
        if (w->ingest_is_away) {
            probe_answer(w->probe, &ingest_again_contract, NO_OWNER, NULL);
            return;
        }
        assert_true(w->count < ROWS_MAX);
        snprintf(w->rows[w->count++], sizeof w->rows[0], "%.*s", (int)asked->bytes.size, (const char *)asked->bytes.data);
        probe_answer(w->probe, &ingest_again_contract, OK, &reply);
    }
}

static bool is_within(const struct events_query *q, const struct event_full *e)
{
    return e->timestamp >= q->start_time && e->timestamp < q->end_time;
}

/* The store: pages of at most `limit`, the cursor is how many have been given. */
static void answer_find(struct world *w)
{
    const struct events_query *asked;
    while ((asked = probe_asked(w->probe, &events_find_contract))) {
        struct page page = { 0 };
        struct event_full e;
        char text[32];
        int64_t skip = asked->has_cursor ? atoll(asked->cursor) : 0, seen = 0, given = 0;
        bool is_more = false;
        for (int64_t s = 0; s <= w->now_s && asked->has_entity_id; s++) {
            sample(w, s, &e, text);
            if (is_within(asked, &e) && seen++ >= skip && !(is_more = given == asked->limit) && ++given)
                probe_add_row(w->probe, &events_find_contract, &e);
        }
        for (size_t i = 0; i < w->lamps && asked->has_domain; i++) {
            change(w, i, &e);
            if (is_within(asked, &e))
                probe_add_row(w->probe, &events_find_contract, &e);
        }
        SET(&page, count, given);
        if (is_more) {
            snprintf(text, sizeof text, "%lld", (long long)(skip + given));
            SET_TEXT(&page, next_cursor, text, strlen(text));
        }
        probe_answer(w->probe, &events_find_contract, OK, &page);
    }
}

/* --- what happens */

static void start(struct world *w)
{
    const char *own[] = { "power", "sensor.house_power", "data", w->data, NULL };
    w->probe = probe_new(own);
    assert_non_null(w->probe);
    probe_set_now(w->probe, BEGIN + w->now_s * SECOND);
    probe_connected(w->probe, true);
}

static void kill_it(struct world *w)
{
    probe_destroy(&w->probe); /* nothing is drained */
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    snprintf(w->data, sizeof w->data, "/tmp/test-energy-XXXXXX");
    assert_non_null(mkdtemp(w->data));
    w->w[0] = 400;
    start(w);
    return w;
}

static void world_destroy(struct world *w)
{
    char command[128];
    if (w->probe)
        probe_destroy(&w->probe);
    snprintf(command, sizeof command, "rm -rf %s", w->data);
    assert_int_equal(system(command), 0);
    free(w);
}

static void pass(struct world *w, int seconds)
{
    struct event_full e;
    char text[32];
    while (seconds-- > 0) {
        assert_true(w->now_s + 1 < SAMPLES);
        double before = w->w[w->now_s];
        w->now_s++;
        w->w[w->now_s] = before;
        sample(w, w->now_s, &e, text);
        if (!w->is_deaf)
            deliver(w, &e);
        if (!w->probe)
            continue;
        probe_advance(w->probe, 1000);
        answer_again(w);
        answer_find(w);
    }
}

static void turn(struct world *w, bool on, double by_w)
{
    struct event_full e;
    size_t i = w->lamps++;
    w->lamp_s[i] = w->now_s;
    w->lamp_on[i] = on;
    w->w[w->now_s] += by_w; /* seen from the next sample on */
    change(w, i, &e);
    if (!w->is_deaf && !w->is_hidden)
        deliver(w, &e);
}

static bool says(const struct world *w, size_t row, const char *part)
{
    return row < w->count && strstr(w->rows[row], part);
}

static struct energy_correlator how(struct world *w)
{
    struct energy_correlator reply;
    assert_int_equal(probe_call(w->probe, &energy_correlator_contract, &(struct nothing){ 0 }, &reply), OK);
    return reply;
}

static struct energy_device lamp(struct world *w)
{
    struct energy_devices_query query = { 0 };
    struct energy_device row = { 0 };
    SET_TEXT(&query, entity_id, "light.lamp", 10);
    SET(&query, limit, 10);
    assert_int_equal(probe_call(w->probe, &energy_devices_contract, &query, NULL), OK);
    assert_int_equal(probe_rows(w->probe), 1);
    assert_int_equal(probe_row(w->probe, 0, &row), 0);
    return row;
}

/* --- */

static void without_a_power_entity_it_ends_and_is_off(void **state)
{
    (void)state;
    assert_null(probe_new((const char *const[]){ "power", "nonsense", NULL }));
    assert_null(probe_new((const char *const[]){ "power", "off", NULL }));
    assert_non_null(strstr(probe_refused(), "open returned 101"));
}

/* --- the smart meter's own reading */

static void make_data(char data[64])
{
    char path[100];
    snprintf(data, 64, "/tmp/test_energy.XXXXXX");
    assert_non_null(mkdtemp(data));
    snprintf(path, sizeof path, "%s/sources", data);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void remove_data(const char *data)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", data);
    assert_int_equal(system(command), 0);
}

static void keep_of_smartmeter(const char *data, bool has_reading)
{
    char path[100];
    struct source_kept kept = { .has_due_at = true };
    SET_TEXT(&kept, provider, "p1", 2);
    SET_TEXT(&kept, query, "", 0);
    if (has_reading)
        SET(&kept, reading, slice_of("x"));
    snprintf(path, sizeof path, "%s/sources/smartmeter", data);
    assert_int_equal(small_file_save(path, source_kept_schema(), &kept), 0);
}

static void assert_meters(probe_t *probe, const char *expected)
{
    struct energy_correlator told;
    assert_int_equal(probe_call(probe, &energy_correlator_contract, &(struct nothing){ .has_ignored = false }, &told), OK);
    if (!memmem(told.meters.data, told.meters.size, expected, strlen(expected)))
        fail_msg("%.*s has no %s", (int)told.meters.size, (const char *)told.meters.data, expected);
}

static void where_the_smart_meter_is_off_it_ends(void **state)
{
    char data[64];
    (void)state;
    make_data(data);
    assert_int_equal(off_note(data, "smartmeter", "is off"), 0); /* perhaps at another start: it may be on by now */
    probe_t *probe = probe_new((const char *const[]){ "data", data, NULL });
    assert_non_null(probe);
    probe_connected(probe, true);
    probe_advance(probe, 2000);
    assert_int_equal(probe_stopped(probe), -1);
    probe_advance(probe, 2000);
    assert_int_equal(probe_stopped(probe), 101);
    assert_true(off_is(data, "energy", NULL));
    probe_destroy(&probe);
    remove_data(data);
}

static void a_smart_meter_that_is_new_is_seen_as_it_runs(void **state)
{
    struct event_full e;
    char data[64], why[200] = "";
    (void)state;
    make_data(data);
    probe_t *probe = probe_new((const char *const[]){ "data", data, "circuits", "sensor.plug", NULL });
    assert_non_null(probe);
    assert_meters(probe, "[{\"entity_id\":\"sensor.plug\",\"whole\":false,"); /* a circuit is not the whole home */
    probe_destroy(&probe);
    probe = probe_new((const char *const[]){ "data", data, NULL });
    assert_non_null(probe);
    probe_connected(probe, true);
    for (int i = 0; i < 700; i++)
        probe_advance(probe, 1000);
    assert_int_equal(probe_stopped(probe), -1);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    assert_int_equal(probe_asked_count(probe, &events_find_contract), 0);
    keep_of_smartmeter(data, true);
    probe_advance(probe, 1000);
    assert_meters(probe, "[{\"entity_id\":\"_smartmeter.power_w\",\"whole\":true,");
    fill(&e, "_smartmeter.power_w", BEGIN + 702 * SECOND);
    SET(&e, state, slice_of("400"));
    SET(&e, value, slice_of("400"));
    SET(&e, unit, slice_of("W"));
    SET(&e, canonical_unit, slice_of("W"));
    SET(&e, canonical_value, 400);
    assert_int_equal(probe_deliver(probe, &event_full_contract, &e), OK);
    for (int i = 0; i < 20; i++)
        probe_advance(probe, 1000);
    const struct events_query *asked = probe_asked(probe, &events_find_contract);
    assert_true(asked && strcmp(asked->entity_id, "_smartmeter.power_w") == 0 && asked->start_time > BEGIN + 695 * SECOND); /* since then */
    probe_destroy(&probe);
    remove_data(data);
}

static void a_step_goes_into_the_capture_log_as_a_state(void **state)
{
    (void)state;
    struct world *w = world_new();
    pass(w, 30);
    turn(w, true, 60);
    pass(w, 30);
    assert_int_equal(w->count, 1);
    assert_true(says(w, 0, "\"entity_id\":\"_energy.step_sensor_house_power\""));
    assert_true(says(w, 0, "\"state\":\"60\""));
    assert_true(says(w, 0, "\"caused_by\":\"light.lamp\",\"state\":\"on\",\"previous_state\":\"off\",\"changed_at\":\"2026-01-01T00:00:30.200000Z\""));
    assert_true(says(w, 0, "\"last_updated\":\"2026-01-01T00:00:31.000000Z\""));
    assert_true(says(w, 0, "\"power_before_w\":400,\"power_after_w\":460"));
    struct energy_device row = lamp(w);
    assert_true(row.has_watts && row.watts > 59.9 && row.watts < 60.1 && row.measured == 1 && row.changes == 1);
    struct energy_correlator told = how(w);
    assert_int_equal(told.correlations_written, 1);
    assert_int_equal(told.explained, 1);
    world_destroy(w);
}

static void a_kill_before_it_was_judged_loses_nothing(void **state)
{
    (void)state;
    for (int after_s = 0; after_s < 16; after_s++) {
        struct world *w = world_new();
        pass(w, 70); /* what is known is kept by then */
        turn(w, true, 60);
        pass(w, after_s);
        kill_it(w);
        pass(w, 20);
        start(w);
        pass(w, 60);
        assert_true(w->count == 1 || (w->count == 2 && strcmp(w->rows[0], w->rows[1]) == 0));
        assert_true(says(w, 0, "\"caused_by\":\"light.lamp\""));
        assert_int_equal(lamp(w).measured, 1);
        assert_int_equal(lamp(w).changes, 1);
        assert_int_equal(how(w).reading, false);
        assert_int_equal(how(w).steps, 1);
        world_destroy(w);
    }
}

static void what_was_left_out_is_read_from_the_store(void **state)
{
    (void)state;
    struct world *w = world_new();
    pass(w, 60);
    w->is_deaf = true;
    turn(w, true, 60);
    pass(w, 400);
    turn(w, false, -60);
    pass(w, 400);
    w->is_deaf = false;
    probe_miss(w->probe, &event_full_contract, 800);
    pass(w, 60);
    assert_int_equal(w->count, 2);
    assert_true(says(w, 0, "\"state\":\"60\"") && says(w, 1, "\"state\":\"-60\""));
    assert_int_equal(lamp(w).measured, 2);
    world_destroy(w);
}

/* More in three seconds than there is room for: it is read from the store when it is over. */
static void a_flood_of_samples_stops_nothing_for_good(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct event_full e;
    char text[32];
    pass(w, 60);
    for (int i = 1; i < 6000; i++) {
        sample(w, w->now_s, &e, text);
        SET(&e, timestamp, BEGIN + w->now_s * SECOND + i * 100);
        deliver(w, &e);
    }
    assert_true(how(w).reading);
    pass(w, 20);
    turn(w, true, 60);
    pass(w, 60);
    assert_false(how(w).reading);
    assert_int_equal(w->count, 1);
    assert_int_equal(lamp(w).measured, 1);
    world_destroy(w);
}

static void what_comes_late_is_looked_at_again_and_told_once(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct event_full e;
    pass(w, 300);
    turn(w, true, 60);
    pass(w, 60);
    w->is_hidden = true;
    turn(w, false, -60);
    pass(w, 120);
    assert_int_equal(w->count, 1); /* a step that nothing explains */
    w->is_hidden = false;
    change(w, 1, &e); /* as history brings it */
    SET_TEXT(&e, provenance, "backfill", 8);
    deliver(w, &e);
    assert_true(how(w).has_late_from);
    pass(w, 200);
    assert_int_equal(w->count, 2);
    assert_true(says(w, 1, "\"state\":\"-60\"") && says(w, 1, "\"caused_by\":\"light.lamp\",\"state\":\"off\""));
    assert_false(how(w).has_late_from);
    assert_int_equal(lamp(w).measured, 2);
    world_destroy(w);
}

static void while_ingest_is_away_steps_wait_and_a_kill_finds_them_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    pass(w, 100);
    w->ingest_is_away = true;
    turn(w, true, 60);
    pass(w, 60);
    assert_int_equal(w->count, 0);
    kill_it(w);
    start(w);
    w->ingest_is_away = false;
    pass(w, 60);
    assert_int_equal(w->count, 1);
    assert_int_equal(lamp(w).measured, 1);
    world_destroy(w);
}

static void a_file_that_is_damaged_is_begun_anew_and_says_so(void **state)
{
    (void)state;
    struct world *w = world_new();
    char path[128];
    pass(w, 100);
    kill_it(w);
    snprintf(path, sizeof path, "%s/energy/state", w->data);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("nothing of the kind", file);
    fclose(file);
    start(w);
    assert_true(probe_logged(w->probe, "beginning anew"));
    pass(w, 60);
    turn(w, true, 60);
    pass(w, 60);
    assert_int_equal(w->count, 1);
    world_destroy(w);
}

static void an_entity_that_says_nothing_is_told(void **state)
{
    (void)state;
    struct world *w = world_new();
    char why[200] = "";
    w->is_deaf = true;
    pass(w, 500);
    assert_int_equal(probe_health(w->probe, why, sizeof why), HEALTHY);
    pass(w, 200);
    assert_int_equal(probe_health(w->probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "sensor.house_power"));
    world_destroy(w);
}

static void the_smart_meter_is_its_meter_unless_that_is_switched_off(void **state)
{
    (void)state;
    char data[64];
    make_data(data);
    keep_of_smartmeter(data, true);
    probe_t *probe = probe_new((const char *const[]){ "data", data, NULL });
    assert_non_null(probe);
    assert_meters(probe, "_smartmeter.power_w");
    keep_of_smartmeter(data, false); /* what it leaves behind */
    probe_advance(probe, 2000);
    assert_int_equal(probe_stopped(probe), -1);
    assert_int_equal(off_note(data, "smartmeter", "is off"), 0);
    probe_advance(probe, 2000);
    assert_int_equal(probe_stopped(probe), 101);
    probe_destroy(&probe);
    probe = probe_new((const char *const[]){ "data", data, NULL });
    assert_non_null(probe);
    assert_meters(probe, "[]");
    probe_destroy(&probe);
    remove_data(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_power_entity_it_ends_and_is_off),
        cmocka_unit_test(the_smart_meter_is_its_meter_unless_that_is_switched_off),
        cmocka_unit_test(where_the_smart_meter_is_off_it_ends),
        cmocka_unit_test(a_smart_meter_that_is_new_is_seen_as_it_runs),
        cmocka_unit_test(a_step_goes_into_the_capture_log_as_a_state),
        cmocka_unit_test(a_kill_before_it_was_judged_loses_nothing),
        cmocka_unit_test(what_was_left_out_is_read_from_the_store),
        cmocka_unit_test(a_flood_of_samples_stops_nothing_for_good),
        cmocka_unit_test(what_comes_late_is_looked_at_again_and_told_once),
        cmocka_unit_test(while_ingest_is_away_steps_wait_and_a_kill_finds_them_again),
        cmocka_unit_test(a_file_that_is_damaged_is_begun_anew_and_says_so),
        cmocka_unit_test(an_entity_that_says_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
