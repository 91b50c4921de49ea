/* test_backfill.c - what is asked, when, and what becomes of the answers: a house of a few entities in virtual time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "backfill.h"
#include "coverage.h"
#include "folder.h"

#define SECOND INT64_C(1000000)
#define START INT64_C(1795485600000000) /* 2026-11-24T02:00:00Z */
#define AT(seconds) (START + (seconds) * SECOND)
#define COMMIT (300 * SECOND)

struct house {
    struct folder folder;
    ledger_t *ledger;
    backfill_t *backfill;
    int64_t clock_us, now_us;
    char asked[8192];
    int64_t tag;
    bool is_asked, is_behind, is_starting, is_refusing, is_settled, is_unsafe, store_asked;
    char given[4][65536];
    uint32_t events[4];
    char said[8192];
    int questions;
};

/* --- what stands around it ------------------------------------------------------------------ */

static int on_ask(void *owner, struct slice command, int64_t tag)
{
    struct house *house = owner;
    assert_true(command.size < sizeof house->asked);
    assert_false(house->is_asked); /* one at a time */
    memcpy(house->asked, command.data, command.size);
    house->asked[command.size] = '\0';
    house->tag = tag;
    house->is_asked = true;
    house->questions++;
    return 0;
}

static int on_give(void *owner, struct slice frame, uint32_t events, enum provenance provenance, int64_t received_us)
{
    struct house *house = owner;
    (void)received_us;
    if (house->is_refusing)
        return -1;
    size_t length = strlen(house->given[provenance]);
    assert_true(length + frame.size < sizeof house->given[0]);
    memcpy(house->given[provenance] + length, frame.data, frame.size);
    house->given[provenance][length + frame.size] = '\0';
    house->events[provenance] += events;
    return 0;
}

static bool on_behind(void *owner) { return ((struct house *)owner)->is_behind; }
static int64_t on_mark(void *owner) { (void)owner; return 1; }
static bool on_safe(void *owner) { return !((struct house *)owner)->is_unsafe; }
static bool on_settled(void *owner, int64_t mark) { (void)mark; return ((struct house *)owner)->is_settled; }
static bool on_is_starting(void *owner) { return ((struct house *)owner)->is_starting; }
static void on_starting(void *owner, bool starting) { ((struct house *)owner)->is_starting = starting; }

static int on_ask_store(void *owner, const char *cursor)
{
    struct house *house = owner;
    assert_string_equal(cursor, "");
    house->store_asked = true;
    return 0;
}

static void on_say(void *owner, bool is_warning, const char *text)
{
    struct house *house = owner;
    (void)is_warning;
    size_t length = strlen(house->said);
    snprintf(house->said + length, sizeof house->said - length, "%s\n", text);
}

static const struct backfill_hooks hooks = { .ask = on_ask, .give = on_give, .is_behind = on_behind, .mark = on_mark,
    .is_settled = on_settled, .is_safe = on_safe, .ask_store = on_ask_store, .starting = on_starting, .is_starting = on_is_starting, .say = on_say };

static void open_house(struct house *house, int64_t first_days)
{
    const char *why = "", *damaged = NULL;
    struct ledger_options options = { .directory = house->folder.path, .boot_id = "boot", .latency_us = 0 };
    house->ledger = ledger_open(&options, house->now_us, &why, &damaged);
    assert_non_null(house->ledger);
    struct backfill_options fill = { .ledger = house->ledger, .is_on = true, .commit_us = COMMIT, .first_days = first_days };
    house->backfill = backfill_new(&fill, &hooks, house);
}

static void close_house(struct house *house)
{
    backfill_destroy(&house->backfill);
    ledger_close(&house->ledger, false);
}

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    folder_make(&house->folder);
    house->now_us = AT(0);
    house->clock_us = 5 * SECOND;
    house->is_settled = true;
    open_house(house, 0);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    close_house(house);
    folder_remove(&house->folder);
    free(house);
    return 0;
}

/* --- its life --------------------------------------------------------------------------------- */

static void pass(struct house *house, int64_t us)
{
    house->clock_us += us;
    house->now_us += us;
}

/* Until it asks something, or nothing more happens for `seconds`. */
static void run_for(struct house *house, int64_t seconds)
{
    int64_t until_us = house->clock_us + seconds * SECOND;
    while (!house->is_asked && !house->store_asked && house->clock_us < until_us) {
        int64_t due_us = backfill_tick(house->backfill, house->clock_us, house->now_us);
        assert_true(due_us >= 0);
        if (!house->is_asked && !house->store_asked)
            pass(house, due_us > 1000 ? due_us : 1000);
    }
}

static void answer(struct house *house, const char *result)
{
    assert_true(house->is_asked);
    house->is_asked = false;
    backfill_answered(house->backfill, house->tag, true, slice_of(result), (struct slice){ NULL, 0 }, house->clock_us, house->now_us);
}

static void refuse(struct house *house, const char *error)
{
    assert_true(house->is_asked);
    house->is_asked = false;
    backfill_answered(house->backfill, house->tag, false, (struct slice){ NULL, 0 }, slice_of(error), house->clock_us, house->now_us);
}

static void assert_asked(struct house *house, const char *part)
{
    run_for(house, 400);
    assert_true(house->is_asked);
    if (!strstr(house->asked, part))
        fail_msg("asked %s, not %s", house->asked, part);
}

static void answer_store(struct house *house, const char *const ids[])
{
    run_for(house, 10);
    assert_true(house->store_asked);
    house->store_asked = false;
    for (; *ids; ids++)
        backfill_stored(house->backfill, slice_of(*ids), slice_of(strncmp(*ids, "removed.", 8) == 0 ? NULL : "on"), AT(-60));
    backfill_stored_end(house->backfill, true, "");
}

static const char *const nobody[] = { NULL };

/* A new subscription at the present moment, up to the comparison with the store. */
static void connect_to(struct house *house, const char *states, const char *const stored[])
{
    ledger_live(house->ledger, house->now_us);
    backfill_live(house->backfill, house->clock_us, house->now_us);
    assert_asked(house, "get_config");
    answer(house, "{\"state\":\"RUNNING\"}");
    assert_asked(house, "get_states");
    pass(house, SECOND / 10);
    answer(house, states);
    if (stored)
        answer_store(house, stored);
}

static void lose(struct house *house)
{
    ledger_lost(house->ledger, house->now_us, GAP_CONNECTION_LOST);
    backfill_lost(house->backfill);
    house->is_asked = house->store_asked = false;
}

/* One that began long ago, and from AT(0) to AT(10) was away. */
static void be_away(struct house *house)
{
    house->now_us = AT(-3600);
    ledger_live(house->ledger, house->now_us);
    struct gap_entry first = *ledger_gap(house->ledger, 0);
    first.result = GAP_FILLED;
    ledger_fill(house->ledger, &first);
    house->now_us = AT(0);
    ledger_lost(house->ledger, house->now_us, GAP_CONNECTION_LOST);
    pass(house, 10 * SECOND);
}

static const struct gap_entry *gap(const struct house *house)
{
    return ledger_gap(house->ledger, 1);
}

#define STATE(id, state, time) "{\"entity_id\":\"" id "\",\"state\":\"" state "\",\"attributes\":{},\"last_changed\":\"2026-11-24T" time \
    "+00:00\",\"last_updated\":\"2026-11-24T" time "+00:00\",\"context\":{\"id\":\"c\",\"parent_id\":null,\"user_id\":null}}"

/* --- tests -------------------------------------------------------------------------------------- */

static void a_gap_is_filled_with_what_history_has(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "3", "02:00:05.250000") "," STATE("sensor.b", "x", "01:00:00.000000") "]", nobody);
    assert_asked(house, "history/history_during_period");
    assert_non_null(strstr(house->asked, "\"start_time\":\"2026-11-24T01:59:55.000000Z\""));
    assert_non_null(strstr(house->asked, "\"entity_ids\":[\"sensor.a\",\"sensor.b\"]"));
    assert_non_null(strstr(house->asked, "\"significant_changes_only\":false,\"minimal_response\":false,\"no_attributes\":false,"
        "\"include_start_time_state\":true"));
    answer(house, "{\"sensor.a\":[{\"s\":\"0\",\"a\":{},\"lu\":1795485595.0},{\"s\":\"1\",\"a\":{\"k\":1e-7},\"lu\":1795485597.5},"
        "{\"s\":\"2\",\"a\":{},\"lu\":1795485602.1234565},{\"s\":\"3\",\"a\":{},\"lc\":1795485602.1234565,\"lu\":1795485605.25}],"
        "\"sensor.b\":[{\"s\":\"x\",\"a\":{},\"lu\":1795485595.0}]}");
    run_for(house, 2);
    assert_false(house->is_asked);
    assert_int_equal(house->events[FROM_BACKFILL], 3);
    assert_int_equal(house->events[FROM_SNAPSHOT], 0);
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(gap(house)->recovered, 2); /* the third lies in the margin */
    assert_true(gap(house)->is_compared);
    const char *text = house->given[FROM_BACKFILL];
    assert_non_null(strstr(text, "\"old_state\":{\"entity_id\":\"sensor.a\",\"state\":\"0\"},\"new_state\":{\"entity_id\":\"sensor.a\",\"state\":\"1\",\"attributes\":{\"k\":1e-7}"));
    assert_non_null(strstr(text, "\"last_changed\":\"2026-11-24T02:00:02.123456Z\",\"last_updated\":\"2026-11-24T02:00:05.250000Z\""));
    assert_non_null(strstr(text, "\"origin\":null,\"time_fired\":\"2026-11-24T02:00:05.250000Z\",\"context\":null},\"id\":1}]"));
}

static void what_the_recorder_has_not_written_yet_is_asked_for_again(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "2", "02:00:08.000000") "]", nobody);
    assert_asked(house, "sensor.a");
    answer(house, "{\"sensor.a\":[{\"s\":\"0\",\"a\":{},\"lu\":1795485595.0},{\"s\":\"1\",\"a\":{},\"lu\":1795485602.5}]}");
    int64_t since_us = house->now_us;
    assert_asked(house, "history/history_during_period");
    assert_true(house->now_us - since_us >= 4 * SECOND && house->now_us - since_us <= 6 * SECOND);
    assert_int_equal(gap(house)->result, GAP_UNFILLED); /* nothing is noted before it is witnessed */
    assert_int_equal(gap(house)->recovered, 0);
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485602.5}]}");
    assert_asked(house, "history/history_during_period");
    assert_true(house->now_us - since_us >= 14 * SECOND && house->now_us - since_us <= 16 * SECOND);
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485602.5},{\"s\":\"2\",\"a\":{},\"lu\":1795485608.0}]}");
    run_for(house, 400);
    assert_false(house->is_asked);
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(gap(house)->recovered, 2);
    assert_int_equal(house->events[FROM_SNAPSHOT], 0);
}

static void an_entity_that_is_not_recorded_is_named_and_its_state_kept(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "02:00:05.000000") "," STATE("sensor.secret", "7", "02:00:08.000000") ","
        STATE("sensor.secret_but_idle", "7", "01:00:08.000000") "]", nobody);
    for (int i = 0; i < 5; i++) {
        assert_asked(house, "sensor.secret");
        answer(house, i > 0 ? "{}" : "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485605.0}]}");
    }
    assert_true(house->now_us >= AT(10) + COMMIT);
    run_for(house, 10);
    assert_false(house->is_asked);
    assert_int_equal(gap(house)->result, GAP_PARTLY);
    char *list = ledger_list(house->ledger, gap(house)->unrecorded);
    assert_string_equal(list, "[\"sensor.secret\"]");
    free(list);
    assert_int_equal(house->events[FROM_SNAPSHOT], 1);
    assert_non_null(strstr(house->given[FROM_SNAPSHOT], "\"old_state\":null,\"new_state\":" STATE("sensor.secret", "7", "02:00:08.000000")));
    assert_non_null(strstr(house->given[FROM_SNAPSHOT], "\"context\":{\"id\":\"c\",\"parent_id\":null,\"user_id\":null}},\"id\":1}]"));
}

static void an_entity_that_is_gone_is_written_as_removed(void **state)
{
    static const char *const stored[] = { "light.gone", "removed.before", "sensor.a", NULL };
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", stored);
    assert_asked(house, "\"entity_ids\":[\"light.gone\",\"removed.before\",\"sensor.a\"]"); /* what it did before it went */
    answer(house, "{\"light.gone\":[{\"s\":\"off\",\"a\":{},\"lu\":1795485601.0}],\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485595.0}]}");
    int again = 0;
    for (; run_for(house, 400), house->is_asked; again++) { /* history may tell the removal yet */
        assert_non_null(strstr(house->asked, "\"entity_ids\":[\"light.gone\"]"));
        answer(house, "{}");
    }
    assert_int_equal(again, 4);
    assert_int_equal(house->events[FROM_BACKFILL], 1);
    assert_int_equal(house->events[FROM_SNAPSHOT], 1);
    assert_non_null(strstr(house->given[FROM_SNAPSHOT], "{\"entity_id\":\"light.gone\",\"old_state\":{\"entity_id\":\"light.gone\",\"state\":\"on\"},"
        "\"new_state\":null},\"origin\":null,\"time_fired\":\"2026-11-24T02:00:10.1"));
    assert_int_equal(gap(house)->result, GAP_FILLED);
}

static void a_removal_that_history_tells_is_not_told_twice(void **state)
{
    static const char *const stored[] = { "light.gone", NULL };
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "02:00:07.000000") "]", stored);
    assert_asked(house, "light.gone");
    answer(house, "{\"light.gone\":[{\"s\":\"off\",\"a\":{},\"lu\":1795485601.0},{\"s\":null,\"a\":{},\"lu\":1795485602.5}],"
        "\"sensor.a\":[{\"s\":null,\"a\":{},\"lu\":1795485603.0},{\"s\":\"1\",\"a\":{},\"lu\":1795485607.0}]}");
    run_for(house, 2);
    assert_int_equal(house->events[FROM_BACKFILL], 4);
    assert_int_equal(house->events[FROM_SNAPSHOT], 0);
    assert_non_null(strstr(house->given[FROM_BACKFILL], "\"state\":\"off\",\"last_changed\":\"2026-11-24T02:00:01.000000Z\"},"
        "\"new_state\":null},\"origin\":null,\"time_fired\":\"2026-11-24T02:00:02.500000Z\""));
    assert_non_null(strstr(house->given[FROM_BACKFILL], "\"old_state\":null,\"new_state\":{\"entity_id\":\"sensor.a\"")); /* it came back */
    assert_int_equal(gap(house)->recovered, 4);
}

static void what_has_come_back_since_is_neither_waited_for_nor_told_as_removed_again(void **state)
{
    static const char *const stored[] = { "sensor.flaps", NULL };
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", stored);
    assert_asked(house, "sensor.flaps");
    answer(house, "{\"sensor.flaps\":[{\"s\":\"on\",\"a\":{},\"lu\":1795485500.0},{\"s\":\"off\",\"a\":{},\"lu\":1795485601.0}]}");
    assert_asked(house, "sensor.flaps");
    answer(house, "{\"sensor.flaps\":[{\"s\":\"off\",\"a\":{},\"lu\":1795485601.0},{\"s\":null,\"a\":{},\"lu\":1795485609.0},"
        "{\"s\":\"on\",\"a\":{},\"lu\":1795485612.0}]}");
    run_for(house, 400);
    assert_false(house->is_asked);
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(gap(house)->recovered, 2);
    assert_int_equal(house->events[FROM_SNAPSHOT], 0);
}

/* A power cut may take from the log what it has not got onto the disk. */
static void what_is_not_on_the_disk_yet_is_no_progress(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", nobody);
    assert_asked(house, "sensor.a");
    house->is_unsafe = true;
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485500.0},{\"s\":\"2\",\"a\":{},\"lu\":1795485601.0}]}");
    run_for(house, 400);
    assert_int_equal(house->events[FROM_BACKFILL], 1);
    assert_int_equal(gap(house)->result, GAP_UNFILLED);
    assert_int_equal(gap(house)->recovered, 0);
    house->is_unsafe = false;
    run_for(house, 400);
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(gap(house)->recovered, 1);
}

static void nothing_is_compared_before_home_assistant_has_started_or_all_is_stored(void **state)
{
    struct house *house = *state;
    be_away(house);
    ledger_live(house->ledger, house->now_us);
    backfill_live(house->backfill, house->clock_us, house->now_us);
    assert_asked(house, "get_config");
    answer(house, "{\"state\":\"STARTING\"}");
    run_for(house, 60);
    assert_false(house->is_asked);
    house->is_starting = false; /* homeassistant_started */
    assert_asked(house, "get_states");
    house->is_settled = false;
    answer(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]");
    run_for(house, 60);
    assert_false(house->store_asked || house->is_asked);
    house->is_settled = true;
    answer_store(house, nobody);
    house->is_behind = true;
    run_for(house, 60);
    assert_false(house->is_asked); /* the capture log comes first */
    house->is_behind = false;
    assert_asked(house, "history/");
}

static void in_recovery_mode_nothing_counts_as_removed(void **state)
{
    struct house *house = *state;
    be_away(house);
    ledger_live(house->ledger, house->now_us);
    backfill_live(house->backfill, house->clock_us, house->now_us);
    assert_asked(house, "get_config");
    answer(house, "{\"state\":\"RUNNING\",\"recovery_mode\":true}");
    assert_asked(house, "get_states");
    answer(house, "[" STATE("sun.sun", "up", "01:00:00.000000") "]");
    assert_asked(house, "history/");
    assert_false(house->store_asked);
}

static void the_very_first_states_are_a_snapshot_and_the_days_before_are_offered(void **state)
{
    struct house *house = *state;
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "," STATE("sensor.b", "2", "01:59:00.000000") "]", NULL);
    run_for(house, 10);
    assert_false(house->is_asked);
    assert_int_equal(house->events[FROM_SNAPSHOT], 2);
    assert_int_equal(ledger_gap(house->ledger, 0)->result, GAP_FILLED);
    assert_non_null(strstr(house->said, "POST /api/v1/gaps/backfill"));
    assert_int_equal(ledger_count(house->ledger), 1);
}

static void the_days_before_are_fetched_where_the_user_has_said_so(void **state)
{
    struct house *house = *state;
    close_house(house);
    open_house(house, 2);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", NULL);
    assert_asked(house, "get_states"); /* the request is a run of its own */
    answer(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]");
    answer_store(house, nobody);
    int slices = 0;
    for (; run_for(house, 2), house->is_asked; slices++) {
        assert_non_null(strstr(house->asked, "history/"));
        answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795400000.0}]}");
    }
    assert_true(slices >= 2);
    const struct gap_entry *request = ledger_gap(house->ledger, 1);
    assert_int_equal(request->cause, GAP_REQUESTED);
    assert_int_equal(request->result, GAP_FILLED);
    assert_true(request->end_us - request->start_us == 2 * 86400 * SECOND);
    assert_int_equal(request->recovered, 1); /* told in each slice, but it lies in one */
}

static void without_history_the_gap_stays_and_is_tried_five_times(void **state)
{
    struct house *house = *state;
    be_away(house);
    for (int i = 1; i <= 5; i++) {
        connect_to(house, "[" STATE("sensor.a", "1", "02:00:05.000000") "]", nobody);
        assert_asked(house, "history/");
        refuse(house, "{\"code\":\"unknown_command\",\"message\":\"Unknown command.\"}");
        run_for(house, 60);
        assert_false(house->is_asked); /* not again over this connection */
        assert_int_equal(gap(house)->result, i < 5 ? GAP_UNFILLED : GAP_UNRECOVERABLE);
        assert_int_equal(house->events[FROM_SNAPSHOT], i); /* the state in force is better than nothing */
        assert_non_null(strstr(house->said, "Unknown command."));
        backfill_lost(house->backfill);
    }
}

static void a_later_connection_fills_what_an_earlier_one_could_not(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "02:00:05.000000") "]", nobody);
    assert_asked(house, "history/");
    refuse(house, "{\"code\":\"unknown_command\",\"message\":\"Unknown command.\"}");
    run_for(house, 10);
    lose(house);
    connect_to(house, "[" STATE("sensor.a", "1", "02:00:05.000000") "]", nobody);
    while (run_for(house, 400), house->is_asked)
        answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485605.0}]}");
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(gap(house)->recovered, 1);
}

static void the_one_entity_that_cannot_be_read_does_not_keep_the_others(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "," STATE("sensor.bad", "1", "01:00:00.000000") ","
        STATE("sensor.c", "1", "01:00:00.000000") "," STATE("sensor.d", "1", "01:00:00.000000") "]", nobody);
    for (; run_for(house, 10), house->is_asked;) {
        bool is_bad = strstr(house->asked, "sensor.bad") != NULL;
        if (is_bad && strstr(house->asked, ","))
            answer(house, "{\"sensor.bad\":[{\"s\":5}]}"); /* garbage, or an error */
        else if (is_bad)
            refuse(house, "{\"code\":\"home_assistant_error\",\"message\":\"no such thing\"}");
        else
            answer(house, strstr(house->asked, "sensor.c") ? "{\"sensor.c\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485605.0}]}" : "{}");
        assert_true(house->questions < 30);
    }
    assert_non_null(strstr(house->said, "the history of sensor.bad cannot be read"));
    assert_int_equal(gap(house)->result, GAP_PARTLY);
    assert_int_equal(gap(house)->recovered, 1);
}

/* A week, three days of which are in the ledger as asked for when the process is killed. */
static void a_kill_costs_no_more_than_the_slice(void **state)
{
    struct house *house = *state;
    house->now_us = AT(-8 * 86400);
    ledger_live(house->ledger, house->now_us);
    struct gap_entry first = *ledger_gap(house->ledger, 0);
    first.result = GAP_FILLED;
    ledger_fill(house->ledger, &first);
    ledger_lost(house->ledger, AT(-7 * 86400), GAP_CONNECTION_LOST);
    house->now_us = AT(0);
    static const char *const states = "[" STATE("sensor.a", "1", "01:59:00.000000") "]";
    connect_to(house, states, nobody);
    for (int i = 0; i < 3; i++) {
        assert_asked(house, "history/");
        answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1794880800.5},{\"s\":\"1\",\"a\":{},\"lu\":1795000000.5}]}");
    }
    assert_asked(house, "history/");
    house->is_asked = false;
    close_house(house);
    open_house(house, 0);
    assert_int_equal(gap(house)->filled_us, AT(-4 * 86400));
    assert_int_equal(gap(house)->recovered, 2);
    connect_to(house, states, nobody);
    assert_asked(house, "\"start_time\":\"2026-11-20T01:59:55.000000Z\"");
}

static void a_connection_that_is_lost_with_every_question_is_not_asked_for_ever(void **state)
{
    struct house *house = *state;
    be_away(house);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(gap(house)->result, GAP_UNFILLED);
        ledger_live(house->ledger, house->now_us);
        backfill_live(house->backfill, house->clock_us, house->now_us);
        assert_asked(house, "get_config");
        answer(house, "{\"state\":\"RUNNING\"}");
        assert_asked(house, "get_states");
        answer(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]");
        answer_store(house, nobody);
        assert_asked(house, "history/");
        house->is_asked = false;
        backfill_lost(house->backfill);
    }
    assert_int_equal(gap(house)->result, GAP_UNRECOVERABLE);
}

static void a_full_disk_holds_it_and_loses_nothing(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "02:00:05.000000") "]", nobody);
    assert_asked(house, "history/");
    house->is_refusing = true;
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485605.0}]}");
    run_for(house, 30);
    assert_int_equal(gap(house)->result, GAP_UNFILLED);
    house->is_refusing = false;
    run_for(house, 2);
    assert_int_equal(house->events[FROM_BACKFILL], 1);
    assert_int_equal(gap(house)->result, GAP_FILLED);
}

/* The recorder has forgotten it, though it knows of the gap. */
static void a_time_of_which_history_says_nothing_at_all_is_lost(void **state)
{
    struct house *house = *state;
    const char *field, *why;
    struct slice all = { NULL, 0 };
    be_away(house);
    int64_t number = backfill_request(house->backfill, AT(-600), AT(-500), all, AT(10), &field, &why);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", nobody);
    assert_asked(house, "sensor.a");
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485500.0},{\"s\":\"2\",\"a\":{},\"lu\":1795485601.0}]}");
    assert_asked(house, "sensor.a");
    answer(house, "{}");
    run_for(house, 10);
    assert_int_equal(gap(house)->result, GAP_FILLED);
    assert_int_equal(ledger_find(house->ledger, number)->result, GAP_UNRECOVERABLE);
    assert_int_equal(ledger_find(house->ledger, number)->unrecorded, 0);
}

static void a_request_is_checked_and_one_runs_at_a_time(void **state)
{
    struct house *house = *state;
    const char *field, *why;
    be_away(house);
    struct slice all = { NULL, 0 };
    assert_int_equal(backfill_request(house->backfill, AT(5), AT(5), all, AT(10), &field, &why), -1);
    assert_string_equal(field, "start_time");
    assert_int_equal(backfill_request(house->backfill, AT(5), AT(11), all, AT(10), &field, &why), -1);
    assert_string_equal(field, "end_time");
    assert_int_equal(backfill_request(house->backfill, AT(5), AT(6), slice_of("a b"), AT(10), &field, &why), -1);
    assert_string_equal(field, "entity_id");
    int64_t number = backfill_request(house->backfill, AT(-600), AT(-500), slice_of("sensor.x,sensor.a"), AT(10), &field, &why);
    assert_true(number > 0);
    assert_int_equal(backfill_request(house->backfill, AT(-600), AT(-500), all, AT(10), &field, &why), -2);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "," STATE("sensor.b", "1", "01:00:00.000000") "]", nobody);
    assert_asked(house, "[\"sensor.a\",\"sensor.b\",\"sensor.x\"]"); /* the gap comes first */
    answer(house, "{}");
    assert_asked(house, "[\"sensor.a\",\"sensor.x\"]");
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485050.0}]}");
    run_for(house, 10);
    assert_int_equal(ledger_find(house->ledger, number)->result, GAP_FILLED);
    assert_int_equal(ledger_find(house->ledger, number)->recovered, 1);
    assert_int_equal(house->events[FROM_SNAPSHOT], 0); /* what was only asked for is not removed */
}

static void assert_span(struct coverage *coverage, int64_t start, int64_t end, const char *states, const char *events, const char *removals)
{
    struct coverage_span span;
    assert_true(coverage_next(coverage, &(struct coverage_query){ 0 }, &span));
    assert_int_equal(span.start, start);
    assert_int_equal(span.end, end);
    assert_string_equal(span.states, states);
    assert_string_equal(span.events, events);
    assert_string_equal(span.contexts, events);
    assert_string_equal(span.removals, removals);
}

static void every_moment_since_the_first_start_has_a_label(void **state)
{
    struct house *house = *state;
    be_away(house);
    connect_to(house, "[" STATE("sensor.a", "1", "01:00:00.000000") "]", nobody);
    struct coverage coverage = coverage_of(house->ledger, house->backfill, AT(20), house->clock_us);
    assert_span(&coverage, AT(-3600), AT(0), "live", "live", "live");
    assert_span(&coverage, AT(0), AT(10), "filling", "filling", "filling");
    assert_span(&coverage, AT(10), AT(20), "live", "live", "live");
    assert_false(coverage_next(&coverage, &(struct coverage_query){ 0 }, &(struct coverage_span){ 0 }));
    coverage_free(&coverage);
    assert_asked(house, "history/");
    answer(house, "{\"sensor.a\":[{\"s\":\"1\",\"a\":{},\"lu\":1795485595.0}]}");
    run_for(house, 5);
    ledger_add(house->ledger, AT(8), AT(12), GAP_OVERFLOW, false);
    ledger_lost(house->ledger, AT(15), GAP_CONNECTION_LOST);
    coverage = coverage_of(house->ledger, house->backfill, AT(20), house->clock_us);
    assert_span(&coverage, AT(-3600), AT(0), "live", "live", "live");
    assert_span(&coverage, AT(0), AT(8), "backfilled", "unrecoverable", "backfilled");
    assert_span(&coverage, AT(8), AT(10), "filling", "filling", "filling");
    assert_span(&coverage, AT(10), AT(12), "filling", "filling", "filling");
    assert_span(&coverage, AT(12), AT(15), "live", "live", "live");
    assert_span(&coverage, AT(15), AT(20), "open", "open", "open");
    coverage_free(&coverage);
}

#define IN_A_HOUSE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_HOUSE(a_gap_is_filled_with_what_history_has),
        IN_A_HOUSE(what_the_recorder_has_not_written_yet_is_asked_for_again),
        IN_A_HOUSE(an_entity_that_is_not_recorded_is_named_and_its_state_kept),
        IN_A_HOUSE(an_entity_that_is_gone_is_written_as_removed),
        IN_A_HOUSE(a_removal_that_history_tells_is_not_told_twice),
        IN_A_HOUSE(what_has_come_back_since_is_neither_waited_for_nor_told_as_removed_again),
        IN_A_HOUSE(what_is_not_on_the_disk_yet_is_no_progress),
        IN_A_HOUSE(nothing_is_compared_before_home_assistant_has_started_or_all_is_stored),
        IN_A_HOUSE(in_recovery_mode_nothing_counts_as_removed),
        IN_A_HOUSE(the_very_first_states_are_a_snapshot_and_the_days_before_are_offered),
        IN_A_HOUSE(the_days_before_are_fetched_where_the_user_has_said_so),
        IN_A_HOUSE(without_history_the_gap_stays_and_is_tried_five_times),
        IN_A_HOUSE(a_later_connection_fills_what_an_earlier_one_could_not),
        IN_A_HOUSE(the_one_entity_that_cannot_be_read_does_not_keep_the_others),
        IN_A_HOUSE(a_kill_costs_no_more_than_the_slice),
        IN_A_HOUSE(a_connection_that_is_lost_with_every_question_is_not_asked_for_ever),
        IN_A_HOUSE(a_full_disk_holds_it_and_loses_nothing),
        IN_A_HOUSE(a_request_is_checked_and_one_runs_at_a_time),
        IN_A_HOUSE(a_time_of_which_history_says_nothing_at_all_is_lost),
        IN_A_HOUSE(every_moment_since_the_first_start_has_a_label),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
