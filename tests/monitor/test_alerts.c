/* test_alerts.c - one alert a lasting condition, and what may be done with it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "alerts.h"
#include "meter.h"
#include "sums.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define NOW INT64_C(1767225600000000)

struct world { char directory[64], path[96]; struct rule rules[RULES]; file_t *file; alerts_t *alerts; struct moment at; int told; };

static void open_all(struct world *w)
{
    char why[200];
    w->file = file_open(w->path, why, sizeof why);
    assert_non_null(w->file);
    rules_fill(w->rules);
    file_load_rules(w->file, w->rules);
    w->alerts = alerts_new(w->rules, 100, w->file, w->at);
}

static void close_all(struct world *w)
{
    alerts_destroy(&w->alerts);
    file_close(&w->file);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    strcpy(w->directory, "/tmp/test-monitor-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/monitor.db", w->directory);
    w->at = (struct moment){ NOW, 5000 * SECOND };
    open_all(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    close_all(w);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    int rc = system(command);
    free(w);
    return rc;
}

static void tell(void *owner, const struct alert *alert)
{
    struct world *w = owner;
    (void)alert;
    w->told++;
}

static void pass(struct world *w, int64_t s)
{
    w->at.now_us += s * SECOND;
    w->at.clock_us += s * SECOND;
}

/* One look, `s` seconds after the last one, in which these subjects are unhealthy. */
static void look(struct world *w, int64_t s, const char *one, const char *other)
{
    pass(w, s);
    alerts_begin(w->alerts, w->at);
    if (one)
        alerts_see(w->alerts, ACTOR_UNHEALTHY, one, "sink", NAN, "%s is unwell", one);
    if (other)
        alerts_see(w->alerts, ACTOR_UNHEALTHY, other, "query", NAN, "%s is unwell", other);
    alerts_end(w->alerts, true, tell, w);
}

static size_t count(struct world *w, const char *status)
{
    size_t n = 0;
    for (const struct alert *a = alerts_first(w->alerts); a; a = alerts_next(w->alerts))
        n += strcmp(a->status, status) == 0;
    return n;
}

static void a_condition_that_does_not_last_is_no_alert(void **state)
{
    struct world *w = *state;
    look(w, 1, "a", NULL);
    look(w, 5, "a", NULL);
    look(w, 1, NULL, NULL);
    look(w, 1, "a", NULL);
    look(w, 5, "a", NULL);
    assert_null(alerts_first(w->alerts));
    look(w, 1, "a", NULL);
    assert_int_equal(count(w, "active"), 1);
    assert_int_equal(alerts_first(w->alerts)->since, w->at.now_us - 6 * SECOND);
}

static void a_lasting_condition_is_one_alert_and_two_subjects_are_two(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 100; i++)
        look(w, 2, "a", "b");
    assert_int_equal(count(w, "active"), 2);
    assert_int_equal(w->told, 2);
    int64_t id = alerts_first(w->alerts)->id;
    look(w, 2, NULL, "b");
    assert_int_equal(count(w, "active"), 1);
    assert_int_equal(count(w, "resolved"), 1);
    look(w, 2, "a", "b");
    look(w, 8, "a", "b");
    assert_int_equal(count(w, "active"), 2);
    assert_int_equal(alerts_first(w->alerts)->id, id + 1); /* newest first, a new one */
}

static void an_alert_outlives_a_restart_and_is_the_same_while_it_lasts(void **state)
{
    struct world *w = *state;
    look(w, 0, "a", NULL);
    look(w, 6, "a", NULL);
    int64_t id = alerts_first(w->alerts)->id, since = alerts_first(w->alerts)->since;
    close_all(w);
    w->at.clock_us = 7 * SECOND; /* another process, another clock */
    open_all(w);
    look(w, 1, NULL, NULL); /* it has not been looked for long enough */
    assert_int_equal(count(w, "active"), 1);
    look(w, 10, "a", NULL);
    assert_int_equal(alerts_first(w->alerts)->id, id);
    assert_int_equal(alerts_first(w->alerts)->since, since);
    look(w, 60, NULL, NULL);
    assert_int_equal(count(w, "resolved"), 1);
    assert_string_equal(alerts_first(w->alerts)->resolved_by, "monitor");
    close_all(w);
    open_all(w);
    assert_int_equal(count(w, "resolved"), 1);
    look(w, 10, "a", NULL);
    look(w, 10, "a", NULL);
    assert_int_equal(alerts_first(w->alerts)->id, id + 1);
}

static struct alert_change change_of(int64_t id)
{
    struct alert_change change = { 0 };
    SET(&change, id, id);
    SET_TEXT(&change, by, "me", 2);
    SET_TEXT(&change, notes, "seen", 4);
    return change;
}

static void an_alert_is_acknowledged_and_resolved_once(void **state)
{
    struct world *w = *state;
    look(w, 0, "a", NULL);
    look(w, 6, "a", NULL);
    struct alert_change change = change_of(alerts_first(w->alerts)->id), unknown = change_of(77);
    assert_int_equal(alerts_acknowledge(w->alerts, &unknown, w->at.now_us + 1), ALERTS_UNKNOWN);
    assert_int_equal(alerts_resolve(w->alerts, &unknown, w->at.now_us + 1), ALERTS_UNKNOWN);
    assert_int_equal(alerts_acknowledge(w->alerts, &change, w->at.now_us + 1), ALERTS_OK);
    look(w, 6, "a", NULL);
    const struct alert *a = alerts_first(w->alerts);
    assert_string_equal(a->status, "acknowledged");
    assert_string_equal(a->acknowledged_by, "me");
    assert_int_equal(a->acknowledged_at, w->at.now_us - 6 * SECOND + 1);
    assert_string_equal(a->notes, "seen");
    assert_int_equal(alerts_resolve(w->alerts, &change, w->at.now_us + 1), ALERTS_OK);
    assert_int_equal(alerts_resolve(w->alerts, &change, w->at.now_us + 1), ALERTS_OVER);
    assert_int_equal(alerts_acknowledge(w->alerts, &change, w->at.now_us + 1), ALERTS_OVER);
    assert_int_equal(count(w, "active") + count(w, "acknowledged"), 0);
    look(w, 1, "a", NULL);
    look(w, 6, "a", NULL); /* it goes on: it is told anew */
    assert_int_equal(alerts_first(w->alerts)->id, change.id + 1);
}

static void a_rule_that_is_off_says_nothing_and_ends_what_it_said(void **state)
{
    struct world *w = *state;
    look(w, 0, "a", NULL);
    look(w, 6, "a", NULL);
    w->rules[ACTOR_UNHEALTHY].enabled = false;
    assert_int_equal(file_save_rule(w->file, &w->rules[ACTOR_UNHEALTHY]), 0);
    look(w, 2, "a", NULL);
    assert_int_equal(count(w, "resolved"), 1);
    close_all(w);
    open_all(w);
    assert_false(w->rules[ACTOR_UNHEALTHY].enabled);
    assert_true(w->rules[ACTOR_UNHEALTHY].changed);
}

static void of_alerts_that_are_over_the_newest_are_kept(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 600; i++) {
        look(w, 0, "a", NULL);
        look(w, 6, "a", NULL);
        look(w, 1, NULL, NULL);
    }
    assert_int_equal(count(w, "resolved"), 500);
    assert_int_equal(alerts_first(w->alerts)->id, 600);
    close_all(w);
    open_all(w);
    assert_int_equal(count(w, "resolved"), 500);
    assert_int_equal(alerts_first(w->alerts)->id, 600);
}

static void without_its_file_it_works_from_memory(void **state)
{
    struct world *w = *state;
    int64_t failures;
    alerts_t *alone = alerts_new(w->rules, 100, NULL, w->at), *kept = w->alerts;
    w->alerts = alone;
    look(w, 0, "a", NULL);
    look(w, 6, "a", NULL);
    assert_int_equal(count(w, "active"), 1);
    assert_true(alerts_unsaved(alone, &failures));
    alerts_destroy(&alone);
    w->alerts = kept;
}

static void a_damaged_file_is_kept_aside(void **state)
{
    struct world *w = *state;
    char why[200], command[200];
    close_all(w);
    FILE *file = fopen(w->path, "w");
    for (int i = 0; i < 1000; i++)
        fputs("this is no database ", file);
    fclose(file);
    w->file = file_open(w->path, why, sizeof why);
    assert_non_null(w->file);
    assert_true(why[0]);
    file_close(&w->file);
    snprintf(command, sizeof command, "ls %s | grep -q 'monitor.db.damaged-'", w->directory);
    assert_int_equal(system(command), 0);
    open_all(w);
}

/* As on a disk that takes nothing: the log beside it cannot be made. */
static void a_file_that_cannot_be_opened_now_stays_where_it_is(void **state)
{
    struct world *w = *state;
    char why[200] = "", log[300];
    close_all(w);
    snprintf(log, sizeof log, "%s-wal", w->path);
    assert_int_equal(mkdir(log, 0700), 0);
    assert_null(file_open(w->path, why, sizeof why));
    assert_true(why[0]);
    assert_int_equal(access(w->path, F_OK), 0);
    assert_int_equal(rmdir(log), 0);
    open_all(w);
    assert_non_null(w->file);
}

/* --- the sum --- */

static struct settled_row settled(int64_t stored)
{
    return (struct settled_row){ .stored = stored };
}

static int64_t sum(struct sums *s, int64_t before, int64_t received, int64_t in_flight, int64_t after)
{
    struct ingest_totals totals = { .received = received, .in_flight = in_flight };
    struct settled_row row = settled(after);
    s->before = settled(before);
    return sums_close(s, &totals, &row, NOW);
}

static void a_sum_that_is_taken_while_things_move_is_never_short(void **state)
{
    struct sums s = { 0 };
    (void)state;
    assert_int_equal(sum(&s, 0, 0, 0, 0), 0);
    assert_int_equal(sum(&s, 10, 100, 60, 45), 0);   /* 40 are acknowledged, 45 were settled by then */
    assert_int_equal(sum(&s, 90, 100, 0, 100), 0);
    assert_int_equal(sum(&s, 100, 100, 100, 100), 0);/* ingest was started anew: all it holds is in flight */
    assert_int_equal(s.excess, 0);
}

static void the_terms_that_are_shown_add_up(void **state)
{
    struct sums s = { 0 };
    (void)state;
    sum(&s, 0, 0, 0, 0);
    sum(&s, 10, 100, 60, 45);
    assert_int_equal(sums_meanwhile(&s).in_flight, 55);
    assert_int_equal(sums_meanwhile(&s).received, 100);
    sum(&s, 90, 100, 3, 104); /* four more have come and gone meanwhile */
    assert_int_equal(sums_meanwhile(&s).in_flight, 0);
    assert_int_equal(sums_meanwhile(&s).received, 104);
    sum(&s, 104, 110, 2, 107); /* one is missing */
    assert_int_equal(s.missing, 1);
    assert_int_equal(sums_meanwhile(&s).in_flight, 2);
}

static void what_was_in_flight_when_the_sum_began_anew_is_in_flight_still(void **state)
{
    struct sums s = { 0 };
    (void)state;
    sum(&s, 0, 0, 0, 0);
    sum(&s, 100, 100, 0, 100);
    sum(&s, 98, 130, 26, 104); /* sink was killed with two that were not committed */
    assert_int_equal(s.missing, 0);
    assert_int_equal(sums_meanwhile(&s).in_flight, 26);
    sum(&s, 130, 130, 0, 130);
    assert_int_equal(s.excess, 0);
    assert_int_equal(sums_meanwhile(&s).in_flight, 0);
    assert_int_equal(sum(&s, 130, 131, 0, 130), 1);
}

static void what_is_acknowledged_and_nowhere_is_missing_for_ever(void **state)
{
    struct sums s = { 0 };
    (void)state;
    sum(&s, 0, 0, 0, 0);
    assert_int_equal(sum(&s, 99, 100, 0, 99), 1);
    assert_int_equal(sum(&s, 199, 200, 0, 199), 1);
    sums_accept(&s);
    assert_int_equal(sum(&s, 199, 200, 0, 199), 0);
    assert_int_equal(sum(&s, 199, 201, 0, 199), 1);
}

static void what_a_power_cut_took_from_the_log_hides_no_loss(void **state)
{
    struct sums s = { 0 };
    (void)state;
    sum(&s, 0, 0, 0, 0);
    sum(&s, 100, 100, 0, 100);
    assert_int_equal(sum(&s, 100, 95, 0, 100), 0); /* the newest five were stored, and are in the log no more */
    assert_int_equal(s.excess, 5);
    assert_int_equal(sum(&s, 104, 100, 0, 104), 1);
}

static void a_meter_says_what_a_counter_grew_by(void **state)
{
    struct meter m = { .count = 0 };
    (void)state;
    assert_int_equal(meter_growth(&m, 500, 0, 600), 0);
    for (int i = 1; i <= 600; i++)
        assert_int_equal(meter_growth(&m, 500 + i, i, 600), i);
    int64_t grown = meter_growth(&m, 1100, 900, 600);
    assert_true(grown >= 280 && grown <= 320);
    assert_int_equal(meter_growth(&m, 1100, 2000, 600), 0);
    assert_int_equal(meter_growth(&m, 3, 2001, 600), 0); /* begun anew */
    assert_int_equal(meter_growth(&m, 5, 2002, 600), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_condition_that_does_not_last_is_no_alert),
        TEST(a_lasting_condition_is_one_alert_and_two_subjects_are_two),
        TEST(an_alert_outlives_a_restart_and_is_the_same_while_it_lasts),
        TEST(an_alert_is_acknowledged_and_resolved_once),
        TEST(a_rule_that_is_off_says_nothing_and_ends_what_it_said),
        TEST(of_alerts_that_are_over_the_newest_are_kept),
        TEST(without_its_file_it_works_from_memory),
        TEST(a_damaged_file_is_kept_aside),
        TEST(a_file_that_cannot_be_opened_now_stays_where_it_is),
        cmocka_unit_test(a_sum_that_is_taken_while_things_move_is_never_short),
        cmocka_unit_test(the_terms_that_are_shown_add_up),
        cmocka_unit_test(what_was_in_flight_when_the_sum_began_anew_is_in_flight_still),
        cmocka_unit_test(what_is_acknowledged_and_nowhere_is_missing_for_ever),
        cmocka_unit_test(what_a_power_cut_took_from_the_log_hides_no_loss),
        cmocka_unit_test(a_meter_says_what_a_counter_grew_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
