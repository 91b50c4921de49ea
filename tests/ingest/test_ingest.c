/* test_ingest.c - the actor itself: replay of the capture log, windows, acknowledgement, services, settings. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sched.h>


#include "capture.h"
#include "folder.h"
#include "probe.h"

#define SECOND INT64_C(1000000)
#define START INT64_C(1767225600000000) /* the probe's clock */

struct house { struct folder data, capture, ledger; };

static int set_up(void **state)
{
    struct house *house = calloc(1, sizeof *house);
    folder_make(&house->data);
    snprintf(house->capture.path, sizeof house->capture.path, "%.100s/capture", house->data.path);
    snprintf(house->ledger.path, sizeof house->ledger.path, "%.100s/ingest", house->data.path);
    mkdir(house->capture.path, 0700);
    mkdir(house->ledger.path, 0700);
    *state = house;
    return 0;
}

static int tear_down(void **state)
{
    struct house *house = *state;
    folder_remove(&house->capture);
    folder_remove(&house->ledger);
    folder_remove(&house->data);
    free(house);
    return 0;
}

static void on_loss(void *owner, const struct capture_loss *loss)
{
    (void)owner, (void)loss;
}

/* What an earlier process left behind: frames of `events` events each. */
static void leave_frames(const struct house *house, int frames, int events, int64_t segment_bytes)
{
    const char *why = "";
    struct capture_options options = { .directory = house->capture.path, .segment_bytes = segment_bytes,
        .max_bytes = 1 << 30, .on_loss = on_loss };
    capture_t *log = capture_open(&options, START - 100 * SECOND, &why);
    assert_non_null(log);
    char *text = malloc(4096 + (size_t)events * 80);
    for (int f = 0; f < frames; f++) {
        int at = sprintf(text, "[{\"id\":9,\"type\":\"result\",\"success\":true,\"result\":null}");
        for (int e = 0; e < events; e++)
            at += sprintf(text + at, ",{\"type\":\"event\",\"event\":{\"n\":%d},\"id\":2}", f * events + e);
        sprintf(text + at, "]");
        struct capture_record record = { .received_us = START - 90 * SECOND + f, .session = 4, .first_id = 2, .last_id = 2,
            .events = (uint32_t)events, .bytes = slice_of(text) };
        assert_int_equal(capture_append(log, &record, 1, START - 90 * SECOND), 0);
    }
    free(text);
    capture_close(&log);
}

static probe_t *start(const struct house *house, const char *key, const char *value)
{
    const char *settings[] = { "data", house->data.path, key, value, NULL };
    probe_t *probe = probe_new(settings);
    return probe;
}

static struct ingest_stats stats_of(probe_t *probe)
{
    struct ingest_stats stats;
    memcpy(&stats, (char *)probe_self(probe) + actor_spec.stats.at, sizeof stats);
    return stats;
}

static const struct event_raw *raw(probe_t *probe, size_t index)
{
    return probe_published(probe, &event_raw_contract, index);
}

static void assert_event(const struct event_raw *event, int n)
{
    char expected[32];
    int size = snprintf(expected, sizeof expected, "{\"n\":%d}", n);
    assert_non_null(event);
    assert_int_equal(event->event.size, size);
    assert_memory_equal(event->event.data, expected, (size_t)size);
    assert_string_equal(event->provenance, "live");
    assert_int_equal(event->session, 4);
}

static void what_an_earlier_process_left_is_published_again_in_order(void **state)
{
    struct house *house = *state;
    leave_frames(house, 3, 4, 4096);
    probe_t *probe = start(house, "better_ms", "1000");
    assert_non_null(probe);
    probe_connected(probe, true);
    probe_advance(probe, 500);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 12);
    int64_t place = -1;
    for (size_t i = 0; i < 12; i++) {
        assert_event(raw(probe, i), (int)i);
        assert_int_equal(raw(probe, i)->received_at, START - 90 * SECOND + (int64_t)(i / 4));
        assert_true(raw(probe, i)->place > place);
        place = raw(probe, i)->place;
    }
    assert_int_equal(stats_of(probe).replayed, 12);
    assert_int_equal(stats_of(probe).received, 0);
    probe_ack_all(probe);
    assert_int_equal(stats_of(probe).acknowledged, 12);
    probe_destroy(&probe);
}

static void the_window_paces_what_is_read_back_even_inside_a_frame(void **state)
{
    struct house *house = *state;
    leave_frames(house, 2, 10, 4096);
    probe_t *probe = start(house, "better_ms", "1000");
    probe_set_room(probe, &event_raw_contract, 0);
    probe_advance(probe, 1000);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 0);
    for (size_t n = 0; n < 20;) {
        probe_set_room(probe, &event_raw_contract, 4); /* what the probe says it stays, so two frames give up to eight */
        while (probe_published_count(probe, &event_raw_contract) == n)
            probe_advance(probe, 50);
        probe_set_room(probe, &event_raw_contract, 0);
        size_t now = probe_published_count(probe, &event_raw_contract);
        assert_true(now - n <= 8);
        n = now;
    }
    for (size_t i = 0; i < 20; i++)
        assert_event(raw(probe, i), (int)i);
    probe_destroy(&probe);
}

static void segments_go_once_the_store_has_synced(void **state)
{
    struct house *house = *state;
    leave_frames(house, 5, 10, 256);
    assert_int_equal(folder_count(&house->capture, ".log", NULL), 5);
    probe_t *probe = start(house, "better_ms", "1000");
    probe_advance(probe, 1000);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 50);
    probe_ack(probe, &event_raw_contract, 11, 50);
    probe_advance(probe, 1000);
    struct store_synced synced = { 0 };
    SET(&synced, at, START + 10 * SECOND);
    assert_int_equal(probe_deliver(probe, &store_synced_contract, &synced), OK);
    assert_int_equal(folder_count(&house->capture, ".log", NULL), 6); /* the first one waits */
    probe_ack(probe, &event_raw_contract, 1, 10);
    probe_advance(probe, 1000);
    assert_int_equal(stats_of(probe).capture_bytes, 0);
    for (int turns = 0; folder_count(&house->capture, ".log", NULL) > 1; turns++) { /* a thread removes them */
        assert_true(turns < 100000);
        probe_advance(probe, 250);
        sched_yield();
    }
    probe_destroy(&probe);
}

static void frames_that_cannot_be_read_go_to_the_quarantine(void **state)
{
    struct house *house = *state;
    const char *why = "";
    struct capture_options options = { .directory = house->capture.path, .segment_bytes = 1 << 20, .max_bytes = 1 << 30,
        .on_loss = on_loss };
    capture_t *log = capture_open(&options, START - SECOND, &why);
    static const char *const texts[] = { "{\"type\":\"event\",\"event\":{", "[{\"type\":\"event\",\"event\":7,\"id\":2},"
        "{\"type\":\"event\",\"event\":{\"n\":1},\"id\":2}]" };
    for (size_t i = 0; i < 2; i++) {
        struct capture_record record = { .received_us = START - SECOND, .session = 4, .first_id = 2, .last_id = 2, .events = 1,
            .bytes = slice_of(texts[i]) };
        assert_int_equal(capture_append(log, &record, 1, START - SECOND), 0);
    }
    capture_close(&log);
    probe_t *probe = start(house, "better_ms", "1000");
    probe_advance(probe, 500);
    assert_int_equal(probe_published_count(probe, &event_bad_contract), 2);
    const struct event_bad *bad = probe_published(probe, &event_bad_contract, 0);
    assert_int_equal(bad->bytes.size, strlen(texts[0]));
    assert_memory_equal(bad->bytes.data, texts[0], bad->bytes.size);
    assert_string_equal(bad->stage, "ingest");
    assert_true(bad->why_size > 0);
    bad = probe_published(probe, &event_bad_contract, 1);
    assert_memory_equal(bad->bytes.data, "{\"type\":\"event\",\"event\":7,\"id\":2}", bad->bytes.size);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 1);
    assert_event(raw(probe, 0), 1);
    assert_true(raw(probe, 0)->place > bad->place);
    assert_int_equal(stats_of(probe).quarantined, 2);
    probe_ack_all(probe);
    assert_int_equal(stats_of(probe).acknowledged, 3);
    probe_destroy(&probe);
}

static void without_a_home_it_stays_up_and_says_so(void **state)
{
    struct house *house = *state;
    probe_t *probe = start(house, "better_ms", "1000");
    assert_non_null(probe);
    probe_advance(probe, 1000);
    struct ingest_session session;
    assert_int_equal(probe_call(probe, &ingest_status_contract, &(struct nothing){ 0 }, &session), OK);
    assert_string_equal(session.state, "unconfigured");
    char why[200];
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    assert_non_null(strstr(why, "unconfigured"));
    assert_int_equal(probe_published_count(probe, &ingest_session_contract), 1);
    struct ha_command command = { 0 };
    SET(&command, command, slice_of("{\"type\":\"get_states\"}"));
    assert_int_equal(probe_call(probe, &ingest_ask_contract, &command, NULL), UNAVAILABLE);
    assert_int_equal(probe_stopped(probe), -1);
    probe_destroy(&probe);
}

static void a_command_that_is_none_is_refused_with_the_field(void **state)
{
    struct house *house = *state;
    static const struct { const char *command; int verdict; } cases[] = { { "[1]", UNPROCESSABLE }, { "{\"type\":", UNPROCESSABLE },
        { "{\"type\":\"x\",\"id\":7}", BAD_REQUEST }, { "{}", BAD_REQUEST } };
    probe_t *probe = start(house, "better_ms", "1000");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ha_command command = { 0 };
        SET(&command, command, slice_of(cases[i].command));
        assert_int_equal(probe_call(probe, &ingest_ask_contract, &command, NULL), cases[i].verdict);
        assert_string_equal(probe_fault(probe).field, "command");
    }
    probe_destroy(&probe);
}

static void a_home_that_cannot_be_is_refused_at_start(void **state)
{
    struct house *house = *state;
    static const struct { const char *url, *token; } cases[] = { { "home:8123", "secret-token" }, { "http://home", "" },
        { "http://home", "secret token" }, { "http://u:secret-token@home", "t" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *settings[] = { "data", house->data.path, "url", cases[i].url, "token", cases[i].token, NULL };
        assert_null(probe_new(settings));
        assert_null(strstr(probe_refused(), "secret"));
    }
}

static void the_token_is_in_no_log_line(void **state)
{
    struct house *house = *state;
    const char *settings[] = { "data", house->data.path, "url", "http://127.0.0.1:9", "token", "the-secret-token",
        "log_level", "debug", NULL };
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    for (int i = 0; i < 20; i++)
        probe_advance(probe, 1000);
    assert_true(probe_logged(probe, "127.0.0.1"));
    assert_false(probe_logged(probe, "secret"));
    struct ingest_session session;
    assert_int_equal(probe_call(probe, &ingest_status_contract, &(struct nothing){ 0 }, &session), OK);
    assert_string_equal(session.state, "waiting");
    assert_string_equal(session.endpoint, "ws://127.0.0.1:9/api/websocket");
    assert_true(session.has_retry_at && session.retry_at > START);
    assert_true(session.why_size > 0);
    probe_destroy(&probe);
}

static void gaps_are_listed_oldest_first_and_by_time(void **state)
{
    struct house *house = *state;
    static const char text[] = "1 1767225500000000 1767225500000000 first_start\n"
        "2 1767225550000000 1767225560000000 connection_lost\n3 1767225520000000 1767225530000000 capture_overflow\nend 3\n";
    folder_write(&house->ledger, "gaps", text, strlen(text));
    probe_t *probe = start(house, "better_ms", "1000"); /* and one for the time it was down */
    struct page end;
    struct gap row;
    assert_int_equal(probe_call(probe, &ingest_gaps_contract, &(struct gaps_query){ 0 }, &end), OK);
    assert_int_equal(probe_rows(probe), 4);
    assert_int_equal(end.count, 4);
    static const char *const causes[] = { "first_start", "capture_overflow", "connection_lost", "ingestor_down" };
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(probe_row(probe, i, &row), 0);
        assert_string_equal(row.cause, causes[i]);
        assert_string_equal(row.state, i == 3 ? "open" : "filling"); /* a file of before: nobody has tried to */
        assert_int_equal(row.has_end, i != 3);
    }
    assert_int_equal(row.start, INT64_C(1767225560000000)); /* the end of the last gap: no note was left */
    struct gaps_query query = { 0 };
    SET(&query, start_time, INT64_C(1767225530000000));
    SET(&query, end_time, INT64_C(1767225560000000));
    assert_int_equal(probe_call(probe, &ingest_gaps_contract, &query, &end), OK);
    assert_int_equal(probe_rows(probe), 1);
    assert_int_equal(probe_row(probe, 0, &row), 0);
    assert_string_equal(row.id, "gap-2");
    probe_destroy(&probe);
}

static void more_gaps_than_an_answer_takes_go_on_with_a_cursor(void **state)
{
    struct house *house = *state;
    enum { GAPS = 5000, LINE = 1200 };
    char entity[1001], *text = malloc((size_t)GAPS * LINE);
    size_t size = 0;
    int64_t given = 0;
    memset(entity, 'a', 1000);
    entity[1000] = '\0';
    for (int i = 1; i <= GAPS; i++)
        size += (size_t)snprintf(text + size, LINE, "%d 1767225500000000 1767225500000000 requested filled 0 0 0 0 0 %s\n", i, entity);
    size += (size_t)snprintf(text + size, LINE, "end %d\n", GAPS);
    folder_write(&house->ledger, "gaps", text, size);
    free(text);
    probe_t *probe = start(house, "better_ms", "1000");
    struct gaps_query query = { 0 };
    struct page end;
    int pages = 0;
    do {
        end = (struct page){ 0 };
        assert_int_equal(probe_call(probe, &ingest_gaps_contract, &query, &end), OK);
        given += end.count;
        pages++;
        if (end.has_next_cursor)
            SET_TEXT(&query, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor && pages < 10);
    assert_int_equal(pages, 2);
    assert_true(given == GAPS || given == GAPS + 1); /* one for the time it was down */
    SET_TEXT(&query, cursor, "gap-0", 5);
    assert_int_equal(probe_call(probe, &ingest_gaps_contract, &query, &end), UNPROCESSABLE);
    probe_destroy(&probe);
}

static void a_broken_ledger_is_told(void **state)
{
    struct house *house = *state;
    folder_write(&house->ledger, "gaps", "nonsense", 8);
    probe_t *probe = start(house, "better_ms", "1000");
    assert_non_null(probe);
    assert_true(probe_logged(probe, "gaps.damaged-"));
    probe_destroy(&probe);
}

static void stopping_waits_for_what_is_on_its_way(void **state)
{
    struct house *house = *state;
    leave_frames(house, 1, 3, 4096);
    probe_t *probe = start(house, "better_ms", "1000");
    probe_advance(probe, 500);
    assert_true(probe_drain(probe) > 0);
    probe_ack_all(probe);
    assert_int_equal(probe_drain(probe), 0);
    probe_destroy(&probe);
}

int main(void)
{
#define IN_A_HOUSE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_HOUSE(what_an_earlier_process_left_is_published_again_in_order),
        IN_A_HOUSE(the_window_paces_what_is_read_back_even_inside_a_frame),
        IN_A_HOUSE(segments_go_once_the_store_has_synced),
        IN_A_HOUSE(frames_that_cannot_be_read_go_to_the_quarantine),
        IN_A_HOUSE(without_a_home_it_stays_up_and_says_so),
        IN_A_HOUSE(a_command_that_is_none_is_refused_with_the_field),
        IN_A_HOUSE(a_home_that_cannot_be_is_refused_at_start),
        IN_A_HOUSE(the_token_is_in_no_log_line),
        IN_A_HOUSE(gaps_are_listed_oldest_first_and_by_time),
        IN_A_HOUSE(more_gaps_than_an_answer_takes_go_on_with_a_cursor),
        IN_A_HOUSE(a_broken_ledger_is_told),
        IN_A_HOUSE(stopping_waits_for_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
