/* test_ledger.c - which gaps open and close, and what survives a kill, a power cut and a broken file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"
#include "ledger.h"

#define SECOND INT64_C(1000000)
#define T(seconds) ((1000 + (seconds)) * SECOND)

static struct folder folder;

static int set_up(void **state)
{
    (void)state;
    folder_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    folder_remove(&folder);
    return 0;
}

static ledger_t *open_at(int64_t now, const char *boot, int64_t captured)
{
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = folder.path, .boot_id = boot, .captured_us = captured };
    ledger_t *ledger = ledger_open(&options, now, &why, &damaged);
    assert_non_null(ledger);
    assert_null(damaged);
    return ledger;
}

static void kill_it(ledger_t **ledger)
{
    ledger_close(ledger, false); /* leaves on the disk what a kill -9 would */
}

static void assert_gap(const ledger_t *ledger, size_t index, int64_t start, int64_t end, enum gap_cause cause)
{
    assert_true(index < ledger_count(ledger));
    const struct gap_entry *gap = ledger_gap(ledger, index);
    assert_int_equal(gap->start_us, start);
    assert_int_equal(gap->end_us, end);
    assert_string_equal(gap_cause_name(gap->cause), gap_cause_name(cause));
}

/* One that has been live from T(0) to T(10). */
static ledger_t *lived(void)
{
    ledger_t *ledger = open_at(T(-1), "boot", 0);
    ledger_live(ledger, T(0));
    for (int i = 1; i <= 10; i++)
        ledger_note(ledger, T(i));
    return ledger;
}

static void the_first_start_is_a_moment(void **state)
{
    (void)state;
    ledger_t *ledger = open_at(T(0), "boot", 0);
    assert_int_equal(ledger_count(ledger), 0);
    ledger_lost(ledger, T(1), GAP_CONNECTION_LOST); /* never was live */
    assert_int_equal(ledger_count(ledger), 0);
    kill_it(&ledger);
    ledger = open_at(T(2), "boot", 0);
    ledger_live(ledger, T(3));
    assert_int_equal(ledger_count(ledger), 1);
    assert_gap(ledger, 0, T(3), T(3), GAP_FIRST_START);
    ledger_live(ledger, T(4));
    assert_int_equal(ledger_count(ledger), 1);
    kill_it(&ledger);
}

static void a_lost_connection_is_a_gap_from_the_last_thing_heard(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_lost(ledger, T(11), GAP_SILENT);
    assert_int_equal(ledger_count(ledger), 2);
    assert_gap(ledger, 1, T(11), 0, GAP_SILENT);
    ledger_live(ledger, T(41));
    assert_gap(ledger, 1, T(11), T(41), GAP_SILENT);
    ledger_lost(ledger, T(50), GAP_RESTART);
    ledger_live(ledger, T(49)); /* the clock was set back */
    assert_gap(ledger, 2, T(50), T(50), GAP_RESTART);
    kill_it(&ledger);
}

static void one_outage_is_one_gap_whatever_happens_in_it(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_lost(ledger, T(11), GAP_CONNECTION_LOST);
    ledger_lost(ledger, T(12), GAP_CONNECTION_LOST);
    kill_it(&ledger);
    ledger = open_at(T(20), "boot", T(10)); /* down while the gap was open */
    ledger_lost(ledger, T(21), GAP_SILENT);
    ledger_live(ledger, T(30));
    assert_int_equal(ledger_count(ledger), 2);
    assert_gap(ledger, 1, T(11), T(30), GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

static void a_later_attempt_may_know_the_cause_better(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_cause(ledger, GAP_RESTART); /* nothing is open */
    ledger_lost(ledger, T(11), GAP_CONNECTION_LOST);
    ledger_cause(ledger, GAP_RESTART);
    ledger_cause(ledger, GAP_REFUSED); /* known well already */
    ledger_live(ledger, T(20));
    assert_gap(ledger, 1, T(11), T(20), GAP_RESTART);
    ledger_lost(ledger, T(21), GAP_CONNECTION_LOST);
    ledger_cause(ledger, GAP_REFUSED);
    ledger_live(ledger, T(22));
    assert_gap(ledger, 2, T(21), T(22), GAP_REFUSED);
    kill_it(&ledger);
}

static void a_kill_is_a_gap_from_the_last_note_or_the_last_frame_captured(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    kill_it(&ledger);
    ledger = open_at(T(100), "boot", T(10) + 300000);
    assert_gap(ledger, 1, T(10) + 300000, 0, GAP_DOWN);
    kill_it(&ledger); /* again before it was live */
    ledger = open_at(T(200), "boot", T(10) + 300000);
    ledger_live(ledger, T(201));
    assert_int_equal(ledger_count(ledger), 2);
    assert_gap(ledger, 1, T(10) + 300000, T(201), GAP_DOWN);
    kill_it(&ledger);
    ledger = open_at(T(300), "boot", T(10)); /* an old capture does not move it back */
    assert_gap(ledger, 2, T(201), 0, GAP_DOWN);
    kill_it(&ledger);
}

static void a_stop_in_order_is_a_gap_too(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_close(&ledger, true);
    ledger = open_at(T(100), "another boot", T(5));
    assert_gap(ledger, 1, T(10), 0, GAP_DOWN);
    kill_it(&ledger);
}

static void a_power_cut_is_told_apart_and_costs_what_was_not_synced(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_safe(ledger, T(8));
    ledger_note(ledger, T(11));
    kill_it(&ledger);
    ledger = open_at(T(100), "second", T(10));
    assert_gap(ledger, 1, T(8), 0, GAP_POWER);
    ledger_live(ledger, T(101));
    ledger_safe(ledger, T(120)); /* no more than what is known is safe */
    ledger_note(ledger, T(110));
    kill_it(&ledger);
    ledger = open_at(T(200), "third", T(110));
    assert_gap(ledger, 2, T(110), 0, GAP_POWER);
    kill_it(&ledger);
}

/* The connection was lost in the second before; what came just before that was not on the disk. */
static void a_power_cut_in_an_open_gap_makes_it_begin_where_all_was_safe(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_safe(ledger, T(8));
    ledger_note(ledger, T(10));
    ledger_lost(ledger, T(10), GAP_CONNECTION_LOST);
    kill_it(&ledger);
    ledger = open_at(T(20), "boot", T(10)); /* a kill costs nothing */
    assert_gap(ledger, 1, T(10), 0, GAP_CONNECTION_LOST);
    kill_it(&ledger);
    ledger = open_at(T(30), "another boot", T(10));
    assert_int_equal(ledger_count(ledger), 2);
    assert_gap(ledger, 1, T(8), 0, GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

/* The note of the first start came back as it was before the list of gaps was written. */
static void a_note_older_than_the_list_of_gaps_hides_no_absence(void **state)
{
    (void)state;
    char before[512];
    ledger_t *ledger = open_at(T(-1), "boot", 0);
    ledger_next_session(ledger);
    size_t size = folder_read(&folder, "known", before, sizeof before);
    ledger_live(ledger, T(0));
    ledger_note(ledger, T(10));
    kill_it(&ledger);
    folder_write(&folder, "known", before, size);
    ledger = open_at(T(20), "another boot", 0);
    assert_int_equal(ledger_count(ledger), 2);
    assert_gap(ledger, 1, T(0), 0, GAP_POWER);
    kill_it(&ledger);
}

/* What a torn tail has lost came after what was safe: where the log ends says nothing then. */
static void a_torn_log_does_not_lengthen_the_gap_of_a_power_cut(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_safe(ledger, T(8));
    ledger_note(ledger, T(10));
    kill_it(&ledger);
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = folder.path, .boot_id = "another boot", .captured_us = T(3), .is_torn = true };
    ledger = ledger_open(&options, T(20), &why, &damaged);
    assert_non_null(ledger);
    assert_gap(ledger, 1, T(8), 0, GAP_POWER);
    kill_it(&ledger);
}

static void what_could_not_be_written_is_written_later(void **state)
{
    (void)state;
    char path[PATH_MAX];
    ledger_t *ledger = lived();
    folder_file(&folder, "gaps.new", path);
    assert_int_equal(mkdir(path, 0700), 0); /* the disk takes no list now */
    ledger_lost(ledger, T(11), GAP_CONNECTION_LOST);
    ledger_live(ledger, T(20));
    ledger_note(ledger, T(21)); /* this one it takes */
    assert_true(ledger_is_failing(ledger));
    ledger_retry(ledger);
    assert_true(ledger_is_failing(ledger));
    rmdir(path);
    ledger_retry(ledger);
    assert_false(ledger_is_failing(ledger));
    kill_it(&ledger);
    ledger = open_at(T(30), "boot", 0);
    assert_gap(ledger, 1, T(11), T(20), GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

/* One that the disk did not take before the process ended, whichever way, is in what is opened after it. */
static void a_gap_that_was_never_written_is_not_forgotten(void **state)
{
    (void)state;
    char path[PATH_MAX];
    for (int in_order = 0; in_order <= 1; in_order++) {
        ledger_t *ledger = lived();
        folder_file(&folder, "gaps.new", path);
        size_t before = ledger_count(ledger);
        assert_int_equal(mkdir(path, 0700), 0);
        ledger_lost(ledger, T(11), GAP_CONNECTION_LOST);
        ledger_live(ledger, T(12));
        ledger_note(ledger, T(13));
        ledger_close(&ledger, in_order);
        rmdir(path);
        ledger = open_at(T(30), "boot", T(14)); /* a frame was captured when it was live again */
        assert_int_equal(ledger_count(ledger), before + 1);
        assert_gap(ledger, before, T(6), 0, GAP_DOWN);
        kill_it(&ledger);
        tear_down(NULL);
        set_up(NULL);
    }
}

/* Killed in the very second in which the log gave something up and the list could not be written. */
static void an_overflow_that_was_never_written_is_not_forgotten(void **state)
{
    (void)state;
    char path[PATH_MAX];
    ledger_t *ledger = lived();
    folder_file(&folder, "gaps.new", path);
    assert_int_equal(mkdir(path, 0700), 0);
    ledger_add(ledger, T(6), T(7), GAP_OVERFLOW, false);
    kill_it(&ledger);
    rmdir(path);
    ledger = open_at(T(30), "boot", T(10));
    assert_gap(ledger, 1, T(1), 0, GAP_DOWN);
    kill_it(&ledger);
}

static void what_a_power_cut_tore_lies_in_its_gap(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_safe(ledger, T(8));
    ledger_note(ledger, T(10));
    kill_it(&ledger);
    ledger = open_at(T(20), "other", T(9));
    ledger_add(ledger, T(9), T(10), GAP_DAMAGED, false);
    ledger_add(ledger, 0, T(9), GAP_DAMAGED, false); /* not a record before it can be read */
    ledger_live(ledger, T(21));
    ledger_add(ledger, T(9), T(10), GAP_DAMAGED, false);
    assert_int_equal(ledger_count(ledger), 2);
    ledger_add(ledger, T(6), T(9), GAP_DAMAGED, false); /* that had been safe */
    assert_gap(ledger, 2, T(6), T(9), GAP_DAMAGED);
    kill_it(&ledger);
}

static void damage_that_began_nobody_knows_when_is_all_since_the_last_gap(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    kill_it(&ledger);
    ledger = open_at(T(20), "boot", T(10));
    ledger_add(ledger, 0, T(9), GAP_DAMAGED, false);
    assert_gap(ledger, 2, T(0), T(9), GAP_DAMAGED);
    kill_it(&ledger);
}

static void a_clock_that_is_set_back_hides_no_absence(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_note(ledger, T(-900)); /* ten seconds later by another clock */
    kill_it(&ledger);
    ledger = open_at(T(-500), "boot", T(10)); /* captured by the old one */
    assert_gap(ledger, 1, T(-900), 0, GAP_DOWN);
    ledger_live(ledger, T(-400));
    ledger_lost(ledger, T(-300), GAP_CONNECTION_LOST);
    ledger_began_by(ledger, T(-700)); /* the same moment, now that the clock is set back again */
    ledger_live(ledger, T(-690));
    assert_gap(ledger, 2, T(-700), T(-690), GAP_CONNECTION_LOST);
    ledger_began_by(ledger, T(-800)); /* none is open */
    assert_gap(ledger, 2, T(-700), T(-690), GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

static ledger_t *open_booted(int64_t now, const char *boot, int64_t booted)
{
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = folder.path, .boot_id = boot, .booted_us = booted };
    ledger_t *ledger = ledger_open(&options, now, &why, &damaged);
    assert_non_null(ledger);
    return ledger;
}

/* Down from T(10) to T(20), and in between the clock was set back by 300 s. */
static void a_clock_that_is_set_back_while_it_is_down_hides_no_absence(void **state)
{
    (void)state;
    ledger_t *ledger = open_booted(T(-1), "boot", T(-500));
    ledger_live(ledger, T(0));
    ledger_note(ledger, T(10));
    kill_it(&ledger);
    ledger = open_booted(T(-280), "boot", T(-800));
    assert_gap(ledger, 1, T(-290), 0, GAP_DOWN);
    ledger_live(ledger, T(-279));
    ledger_note(ledger, T(-270));
    kill_it(&ledger);
    ledger = open_booted(T(40), "boot", T(-500)); /* and forward again: by either clock */
    assert_gap(ledger, 2, T(-270), 0, GAP_DOWN);
    kill_it(&ledger);
}

/* A machine without a clock of its own: a minute behind after the boot, until it is told the time. */
static void a_clock_that_was_behind_after_a_boot_makes_no_gap_too_short(void **state)
{
    (void)state;
    ledger_t *ledger = open_booted(T(-1), "boot", T(-500));
    ledger_live(ledger, T(0));
    ledger_safe(ledger, T(9));
    ledger_note(ledger, T(10));
    kill_it(&ledger);
    ledger = open_booted(T(-45), "other", T(-50));
    assert_gap(ledger, 1, T(-45), 0, GAP_POWER);
    ledger_live(ledger, T(-40));
    ledger_booted(ledger, T(-50) + 1000); /* no clock is exact */
    assert_gap(ledger, 1, T(-45), T(-40), GAP_POWER);
    ledger_booted(ledger, T(15)); /* it was T(25) when it was live again */
    assert_gap(ledger, 1, T(-45), T(25) - 1000, GAP_POWER);
    ledger_lost(ledger, T(30), GAP_CONNECTION_LOST);
    ledger_live(ledger, T(31));
    ledger_booted(ledger, T(75)); /* set again: the clock was right when these were closed */
    assert_gap(ledger, 2, T(30), T(31), GAP_CONNECTION_LOST);
    assert_gap(ledger, 0, T(0), T(0), GAP_FIRST_START);
    kill_it(&ledger);
    ledger = open_booted(T(100), "other", T(75));
    assert_gap(ledger, 1, T(-45), T(25) - 1000, GAP_POWER);
    kill_it(&ledger);
}

static void a_second_loss_in_an_open_gap_may_reach_further_back(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_lost(ledger, T(12), GAP_CONNECTION_LOST);
    ledger_lost(ledger, T(11), GAP_CONNECTION_LOST);
    ledger_lost(ledger, T(13), GAP_CONNECTION_LOST);
    kill_it(&ledger);
    ledger = open_at(T(30), "boot", 0);
    assert_gap(ledger, 1, T(11), 0, GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

/* An event is dated when it is fired; those lost may be older than the last one that came. */
static void a_gap_begins_before_what_came_last_but_not_in_another(void **state)
{
    (void)state;
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = folder.path, .boot_id = "boot", .latency_us = SECOND };
    ledger_t *ledger = ledger_open(&options, T(-1), &why, &damaged);
    ledger_live(ledger, T(0));
    ledger_lost(ledger, T(10), GAP_CONNECTION_LOST);
    assert_gap(ledger, 1, T(9), 0, GAP_CONNECTION_LOST);
    ledger_live(ledger, T(20));
    ledger_lost(ledger, T(20) + 300000, GAP_CONNECTION_LOST);
    assert_gap(ledger, 2, T(20), 0, GAP_CONNECTION_LOST);
    ledger_live(ledger, T(30));
    ledger_note(ledger, T(40));
    ledger_add(ledger, T(33), T(34), GAP_OVERFLOW, false);
    assert_gap(ledger, 3, T(32), T(34), GAP_OVERFLOW);
    kill_it(&ledger);
    ledger = ledger_open(&options, T(50), &why, &damaged);
    assert_gap(ledger, 4, T(39), 0, GAP_DOWN);
    kill_it(&ledger);
}

static ledger_t *open_torn(int64_t now, int64_t captured)
{
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = folder.path, .boot_id = "boot", .captured_us = captured, .is_torn = true };
    ledger_t *ledger = ledger_open(&options, now, &why, &damaged);
    assert_non_null(ledger);
    return ledger;
}

static void what_a_torn_log_has_lost_is_in_the_gap(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    kill_it(&ledger);
    ledger = open_torn(T(20), T(7));
    assert_gap(ledger, 1, T(7), 0, GAP_DOWN);
    ledger_live(ledger, T(21));
    kill_it(&ledger);
    ledger = open_torn(T(40), 0); /* not a frame of it could be read */
    assert_gap(ledger, 2, T(21), 0, GAP_DOWN);
    kill_it(&ledger);
}

static void session_numbers_never_come_back(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    assert_int_equal(ledger_next_session(ledger), 1);
    assert_int_equal(ledger_next_session(ledger), 2);
    kill_it(&ledger);
    ledger = open_at(T(20), "boot", 0);
    assert_int_equal(ledger_session(ledger), 2);
    assert_int_equal(ledger_next_session(ledger), 3);
    kill_it(&ledger);
    folder_write(&folder, "known", "torn", 4);
    ledger = open_at(T(30), "boot", 0);
    assert_true(ledger_next_session(ledger) > 3);
    kill_it(&ledger);
}

static void a_lost_note_is_made_up_for_by_the_gaps_and_the_capture_log(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    kill_it(&ledger);
    folder_write(&folder, "known", "known 12", 8);
    ledger = open_at(T(20), "boot", T(9));
    assert_gap(ledger, 1, T(9), 0, GAP_DOWN);
    kill_it(&ledger);
}

static void overflows_in_a_row_are_one_gap(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_add(ledger, T(1), T(2), GAP_OVERFLOW, false);
    ledger_lost(ledger, T(3), GAP_CONNECTION_LOST);
    ledger_add(ledger, T(2), T(4), GAP_OVERFLOW, true);
    ledger_add(ledger, T(7), T(8), GAP_OVERFLOW, false);
    assert_int_equal(ledger_count(ledger), 4);
    assert_gap(ledger, 1, T(1), T(4), GAP_OVERFLOW);
    assert_gap(ledger, 2, T(3), 0, GAP_CONNECTION_LOST);
    assert_gap(ledger, 3, T(7), T(8), GAP_OVERFLOW);
    kill_it(&ledger);
}

static void gaps_survive_and_their_numbers_stay(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    for (int i = 0; i < 5; i++) {
        ledger_lost(ledger, T(11 + 2 * i), GAP_CONNECTION_LOST);
        ledger_live(ledger, T(12 + 2 * i));
    }
    kill_it(&ledger);
    ledger = open_at(T(60), "boot", 0);
    assert_int_equal(ledger_count(ledger), 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(ledger_gap(ledger, i)->number, i + 1);
    assert_gap(ledger, 3, T(15), T(16), GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

static void a_file_of_before_is_read_and_what_is_filled_is_remembered(void **state)
{
    (void)state;
    static const char before[] = "1 1000000000 1000000000 first_start\n2 1010000000 1020000000 connection_lost\n3 1030000000 0 power_loss\nend 3\n";
    folder_write(&folder, "gaps", before, sizeof before - 1);
    ledger_t *ledger = open_at(T(40), "boot", 0);
    assert_int_equal(ledger_count(ledger), 3);
    assert_gap(ledger, 1, T(10), T(20), GAP_CONNECTION_LOST);
    assert_int_equal(ledger_gap(ledger, 1)->result, GAP_UNFILLED);
    struct gap_entry filled = *ledger_gap(ledger, 1);
    filled.result = GAP_PARTLY;
    filled.filled_us = T(20);
    filled.recovered = 77;
    filled.troubles = 3;
    filled.is_compared = true;
    filled.unrecorded = ledger_keep_list(ledger, slice_of("[\"sensor.secret\"]"));
    assert_true(filled.unrecorded != 0);
    ledger_fill(ledger, &filled);
    int64_t number = ledger_request(ledger, T(2), T(39), slice_of("sensor.a,sensor.b"));
    kill_it(&ledger);
    ledger = open_at(T(50), "boot", 0);
    const struct gap_entry *gap = ledger_gap(ledger, 1);
    assert_int_equal(gap->result, GAP_PARTLY);
    assert_int_equal(gap->filled_us, T(20));
    assert_int_equal(gap->recovered, 77);
    assert_int_equal(gap->troubles, 3);
    assert_true(gap->is_compared);
    char *list = ledger_list(ledger, gap->unrecorded);
    assert_string_equal(list, "[\"sensor.secret\"]");
    free(list);
    assert_null(ledger_list(ledger, 5));
    gap = ledger_find(ledger, number);
    assert_int_equal(gap->cause, GAP_REQUESTED);
    assert_string_equal(gap->entity_id, "sensor.a,sensor.b");
    assert_gap(ledger, 2, T(30), 0, GAP_POWER); /* a request does not end it */
    ledger_live(ledger, T(60));
    ledger_lost(ledger, T(60), GAP_CONNECTION_LOST);
    assert_int_equal(ledger_gap(ledger, 4)->start_us, T(60)); /* nor does it tell when a gap begins */
    kill_it(&ledger);
}

static void what_is_filled_in_a_gap_that_grows_is_not_all(void **state)
{
    (void)state;
    ledger_t *ledger = lived();
    ledger_add(ledger, T(1), T(2), GAP_OVERFLOW, false);
    struct gap_entry filled = *ledger_gap(ledger, 1);
    filled.result = GAP_FILLED;
    filled.filled_us = T(2);
    ledger_fill(ledger, &filled);
    ledger_add(ledger, T(2), T(4), GAP_OVERFLOW, true);
    assert_int_equal(ledger_gap(ledger, 1)->result, GAP_UNFILLED);
    assert_int_equal(ledger_gap(ledger, 1)->filled_us, T(2));
    kill_it(&ledger);
}

static void a_broken_file_is_kept_aside_and_told(void **state)
{
    (void)state;
    static const char *const broken[] = { "1 5 6 connection_lost\n", "1 5 6 connection_lost\nend 2\n", "garbage", "",
        "1 5 6 no_such_cause\nend 1\n", "1 5 6 connection_lost\n2 9 8 first_start\n", "1 5 6 connection_lost\nend 1\nmore",
        "9223372036854775807 5 6 connection_lost\nend 1\n" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *why = "", *damaged = NULL;
        struct ledger_options options = { .directory = folder.path, .boot_id = "boot" };
        folder_write(&folder, "gaps", broken[i], strlen(broken[i]));
        ledger_t *ledger = ledger_open(&options, T((int)i), &why, &damaged);
        assert_non_null(ledger);
        assert_non_null(damaged);
        char kept[256];
        size_t size = folder_read(&folder, strrchr(damaged, '/') + 1, kept, sizeof kept);
        assert_int_equal(size, strlen(broken[i]));
        assert_memory_equal(kept, broken[i], size);
        bool has_good_line = strncmp(broken[i], "1 5 6 connection_lost\n", 22) == 0;
        assert_true(ledger_count(ledger) >= has_good_line);
        if (has_good_line)
            assert_gap(ledger, 0, 5, 6, GAP_CONNECTION_LOST);
        kill_it(&ledger);
    }
}

static void the_ledger_is_bounded_and_never_claims_less(void **state)
{
    (void)state;
    static char text[1024 * 1024];
    size_t at = 0;
    for (int i = 1; i <= 10000; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%d %d %d connection_lost\n", i, 10 * i, 10 * i + 5);
    at += (size_t)snprintf(text + at, sizeof text - at, "end 10000\n");
    folder_write(&folder, "gaps", text, at);
    ledger_t *ledger = open_at(T(0), "boot", 0); /* opens one more */
    assert_int_equal(ledger_count(ledger), 10000);
    assert_gap(ledger, 0, 10, 25, GAP_CONNECTION_LOST);
    kill_it(&ledger);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(the_first_start_is_a_moment),
        IN_A_FOLDER(a_lost_connection_is_a_gap_from_the_last_thing_heard),
        IN_A_FOLDER(one_outage_is_one_gap_whatever_happens_in_it),
        IN_A_FOLDER(a_later_attempt_may_know_the_cause_better),
        IN_A_FOLDER(a_kill_is_a_gap_from_the_last_note_or_the_last_frame_captured),
        IN_A_FOLDER(a_stop_in_order_is_a_gap_too),
        IN_A_FOLDER(a_power_cut_is_told_apart_and_costs_what_was_not_synced),
        IN_A_FOLDER(a_power_cut_in_an_open_gap_makes_it_begin_where_all_was_safe),
        IN_A_FOLDER(a_note_older_than_the_list_of_gaps_hides_no_absence),
        IN_A_FOLDER(a_torn_log_does_not_lengthen_the_gap_of_a_power_cut),
        IN_A_FOLDER(what_could_not_be_written_is_written_later),
        IN_A_FOLDER(a_gap_that_was_never_written_is_not_forgotten),
        IN_A_FOLDER(an_overflow_that_was_never_written_is_not_forgotten),
        IN_A_FOLDER(what_a_power_cut_tore_lies_in_its_gap),
        IN_A_FOLDER(damage_that_began_nobody_knows_when_is_all_since_the_last_gap),
        IN_A_FOLDER(a_clock_that_is_set_back_hides_no_absence),
        IN_A_FOLDER(a_clock_that_is_set_back_while_it_is_down_hides_no_absence),
        IN_A_FOLDER(a_clock_that_was_behind_after_a_boot_makes_no_gap_too_short),
        IN_A_FOLDER(a_second_loss_in_an_open_gap_may_reach_further_back),
        IN_A_FOLDER(what_a_torn_log_has_lost_is_in_the_gap),
        IN_A_FOLDER(a_gap_begins_before_what_came_last_but_not_in_another),
        IN_A_FOLDER(session_numbers_never_come_back),
        IN_A_FOLDER(a_lost_note_is_made_up_for_by_the_gaps_and_the_capture_log),
        IN_A_FOLDER(overflows_in_a_row_are_one_gap),
        IN_A_FOLDER(gaps_survive_and_their_numbers_stay),
        IN_A_FOLDER(a_file_of_before_is_read_and_what_is_filled_is_remembered),
        IN_A_FOLDER(what_is_filled_in_a_gap_that_grows_is_not_all),
        IN_A_FOLDER(a_broken_file_is_kept_aside_and_told),
        IN_A_FOLDER(the_ledger_is_bounded_and_never_claims_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
