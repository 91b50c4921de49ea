/* test_again.c - frames given back: into the capture log and down the chain as if they had just come. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"
#include "probe.h"

#include <signal.h>
#include <sys/resource.h>

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

static probe_t *start(const struct house *house)
{
    const char *settings[] = { "data", house->data.path, NULL };
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    probe_connected(probe, true);
    probe_advance(probe, 300);
    return probe;
}

static struct ingest_stats stats_of(probe_t *probe)
{
    struct ingest_stats stats;
    memcpy(&stats, (char *)probe_self(probe) + actor_spec.stats.at, sizeof stats);
    return stats;
}

static int give_back(probe_t *probe, const char *frame, int64_t received_at, struct again_reply *reply)
{
    struct again_query query = { 0 };
    SET(&query, bytes, slice_of(frame));
    if (received_at)
        SET(&query, received_at, received_at);
    return probe_call(probe, &ingest_again_contract, &query, reply);
}

static void assert_raw(probe_t *probe, size_t index, const char *event, int64_t received_at)
{
    const struct event_raw *raw = probe_published(probe, &event_raw_contract, index);
    assert_non_null(raw);
    assert_int_equal(raw->event.size, strlen(event));
    assert_memory_equal(raw->event.data, event, raw->event.size);
    assert_string_equal(raw->provenance, "live");
    assert_int_equal(raw->received_at, received_at);
    assert_int_equal(raw->session, 0);
}

/* Ids of no subscription, beyond 32 bits, none at all, no number. */
static const char frame[] = "[{\"type\":\"event\",\"event\":{\"n\":1},\"id\":77},{\"type\":\"result\",\"id\":77},"
    "{\"id\":9007199254740991,\"type\":\"event\",\"event\":{\"n\":2}},{\"type\":\"event\",\"event\":{\"n\":3}},"
    "{\"id\":\"x\",\"type\":\"event\",\"event\":{\"n\":4}}]";

static void assert_all_four(probe_t *probe, int64_t received_at)
{
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 4);
    assert_raw(probe, 0, "{\"n\":1}", received_at);
    assert_raw(probe, 1, "{\"n\":2}", received_at);
    assert_raw(probe, 2, "{\"n\":3}", received_at);
    assert_raw(probe, 3, "{\"n\":4}", received_at);
}

static void every_event_of_a_frame_given_back_goes_down_the_chain_whatever_its_id(void **state)
{
    probe_t *probe = start(*state);
    struct again_reply reply;
    assert_int_equal(give_back(probe, frame, START - 5, &reply), OK);
    assert_int_equal(reply.events, 4);
    assert_all_four(probe, START - 5);
    assert_int_equal(stats_of(probe).received, 4);
    assert_int_equal(stats_of(probe).published, 4);
    assert_int_equal(stats_of(probe).again, 1);
    probe_ack_all(probe);
    assert_int_equal(stats_of(probe).acknowledged, 4);
    probe_destroy(&probe);
}

static void a_frame_given_back_survives_the_process_that_took_it(void **state)
{
    probe_t *probe = start(*state);
    assert_int_equal(give_back(probe, frame, START - 5, NULL), OK);
    probe_destroy(&probe);
    probe = start(*state);
    assert_all_four(probe, START - 5);
    assert_int_equal(stats_of(probe).replayed, 4);
    probe_destroy(&probe);
}

static void a_frame_is_received_now_at_the_latest(void **state)
{
    probe_t *probe = start(*state);
    assert_int_equal(give_back(probe, "{\"type\":\"event\",\"event\":{}}", START + INT64_C(3600000000), NULL), OK);
    assert_int_equal(give_back(probe, "{\"type\":\"event\",\"event\":{}}", 0, NULL), OK);
    assert_raw(probe, 0, "{}", START + 300000);
    assert_raw(probe, 1, "{}", START + 300000);
    assert_int_equal(give_back(probe, "{\"type\":\"event\",\"event\":{}}", 1, NULL), OK);
    assert_int_equal(stats_of(probe).last_event_at, START + 300000); /* an old one is no newer than the last */
    probe_destroy(&probe);
}

static void what_holds_no_event_is_refused_and_not_taken(void **state)
{
    static const char *const frames[] = { "", "{\"type\":\"event\",", "7", "[]", "{\"type\":\"result\",\"id\":1}",
        "{\"type\":\"event\",\"event\":3}", "[1]" };
    probe_t *probe = start(*state);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        assert_int_equal(give_back(probe, frames[i], 0, NULL), UNPROCESSABLE);
        assert_string_equal(probe_fault(probe).field, "bytes");
        assert_true(strlen(probe_fault(probe).why) > 0);
    }
    probe_advance(probe, 1000);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 0);
    assert_int_equal(probe_published_count(probe, &event_bad_contract), 0);
    assert_int_equal(stats_of(probe).capture_bytes, 0);
    probe_destroy(&probe);
}

static void what_stands_beside_an_event_and_is_none_goes_to_the_quarantine(void **state)
{
    probe_t *probe = start(*state);
    struct again_reply reply;
    assert_int_equal(give_back(probe, "[1,{\"type\":\"event\",\"event\":{}}]", 0, &reply), OK);
    assert_int_equal(reply.events, 2);
    assert_int_equal(probe_published_count(probe, &event_bad_contract), 1);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 1);
    assert_int_equal(stats_of(probe).received, 2);
    assert_int_equal(stats_of(probe).quarantined, 1);
    probe_destroy(&probe);
}

static void a_disk_that_does_not_take_it_is_told_and_nothing_goes_down(void **state)
{
    struct rlimit before, limit;
    probe_t *probe = start(*state);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 0;
    setrlimit(RLIMIT_FSIZE, &limit);
    int verdict = give_back(probe, frame, 0, NULL);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(verdict, UNAVAILABLE);
    probe_advance(probe, 1000);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 0);
    assert_int_equal(stats_of(probe).received, 0);
    assert_int_equal(give_back(probe, frame, 0, NULL), OK);
    assert_int_equal(probe_published_count(probe, &event_raw_contract), 4);
    probe_destroy(&probe);
}

int main(void)
{
#define IN_A_HOUSE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_HOUSE(every_event_of_a_frame_given_back_goes_down_the_chain_whatever_its_id),
        IN_A_HOUSE(a_frame_given_back_survives_the_process_that_took_it),
        IN_A_HOUSE(a_frame_is_received_now_at_the_latest),
        IN_A_HOUSE(what_holds_no_event_is_refused_and_not_taken),
        IN_A_HOUSE(what_stands_beside_an_event_and_is_none_goes_to_the_quarantine),
        IN_A_HOUSE(a_disk_that_does_not_take_it_is_told_and_nothing_goes_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
