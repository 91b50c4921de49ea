/* test_live.c - event streams: filters, resuming, slow clients; health and metrics. */
#include "client.h"

#include "event_id.h"
#include "off.h"

enum { BASE_US = 1000000 };
#define START INT64_C(1767225600000000)

/* Event number n: a second after the one before. */
static void make_event(struct event_full *e, int n, const char *entity)
{
    *e = (struct event_full){ 0 };
    SET(e, event_type, slice_of("state_changed"));
    SET(e, timestamp, START + (int64_t)n * BASE_US);
    SET(e, last_updated, e->timestamp);
    SET_TEXT(e, provenance, "live", 4);
    SET(e, received_at, e->timestamp);
    SET(e, is_state, true);
    SET(e, place, n);
    SET(e, entity_id, slice_of(entity));
    SET(e, domain, slice_of("light"));
    SET(e, state, slice_of("on"));
    SET(e, context_id, slice_of("c"));
    event_id_set(e);
}

static void happen(probe_t *probe, int n, const char *entity)
{
    struct event_full e;
    make_event(&e, n, entity);
    assert_int_equal(probe_deliver(probe, &event_full_contract, &e), OK);
}

static bool has_event(const struct client *client, int n, const char *entity)
{
    struct event_full e;
    char text[160];
    make_event(&e, n, entity);
    snprintf(text, sizeof text, "id: %s\nevent: state_changed\ndata: {", e.id);
    const char *once = strstr(client->received, text);
    if (once && strstr(once + 1, text))
        fail_msg("event %d came twice", n);
    return once != NULL;
}

static void answer_missed(probe_t *probe, int first, int last, const char *cursor)
{
    struct page page = { 0 };
    struct event_full e;
    for (int n = first; n <= last; n++) {
        make_event(&e, n, "light.a");
        probe_add_row(probe, &events_find_contract, &e);
    }
    SET(&page, count, last - first + 1);
    if (cursor)
        SET_TEXT(&page, next_cursor, cursor, strlen(cursor));
    assert_int_equal(probe_answer(probe, &events_find_contract, OK, &page), 0);
}

static void streams_what_fits_the_filter(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *all = client_new(probe), *some = client_new(probe), *none = client_new(probe);
    client_get(all, "/api/v1/events/stream");
    client_get(some, "/api/v1/events/stream?entity_id=light.b,light.c&domain=light");
    client_get(none, "/api/v1/events/stream?area_id=kitchen");
    assert_true(client_has(all, "Content-Type: text/event-stream\r\n"));
    happen(probe, 1, "light.a");
    happen(probe, 2, "light.c");
    assert_true(has_event(all, 1, "light.a") && has_event(all, 2, "light.c"));
    assert_true(!has_event(some, 1, "light.a") && has_event(some, 2, "light.c"));
    assert_true(!has_event(none, 1, "light.a") && !has_event(none, 2, "light.c"));
    client_destroy(&all);
    client_destroy(&some);
    client_destroy(&none);
    probe_destroy(&probe);
}

static void streams_nothing_that_is_imported(void **state)
{
    (void)state;
    struct event_full e;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/stream");
    make_event(&e, 1, "light.a");
    SET_TEXT(&e, provenance, "import", 6);
    assert_int_equal(probe_deliver(probe, &event_full_contract, &e), OK);
    happen(probe, 2, "light.a");
    assert_true(!has_event(client, 1, "light.a") && has_event(client, 2, "light.a"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void streams_what_holds_a_text(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *some = client_new(probe), *none = client_new(probe);
    client_get(some, "/api/v1/events/stream?query=GHT.b");
    client_get(none, "/api/v1/events/stream?query=ght.b&fields=event_type,state");
    happen(probe, 1, "light.a");
    happen(probe, 2, "light.b");
    assert_true(!has_event(some, 1, "light.a") && has_event(some, 2, "light.b"));
    assert_true(!has_event(none, 1, "light.a") && !has_event(none, 2, "light.b"));
    client_destroy(&some);
    client_destroy(&none);
    probe_destroy(&probe);
}

static void refuses_a_stream_with_times_or_pages(void **state)
{
    (void)state;
    static const char *const others[] = { "start_time=1", "end_time=1", "limit=5", "offset=1", "cursor=x", "sort=asc", "query=a&fields=state,x" };
    probe_t *probe = gateway_new(NULL, NULL);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char target[100];
        struct client *client = client_new(probe);
        snprintf(target, sizeof target, "/api/v1/events/stream?%s", others[i]);
        client_get(client, target);
        assert_int_equal(client_status(client), 400);
        client_destroy(&client);
    }
    probe_destroy(&probe);
}

static void listens_only_while_somebody_streams(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    assert_true(probe_paused(probe, &event_full_contract));
    struct client *one = client_new(probe), *two = client_new(probe);
    client_get(one, "/api/v1/events/stream");
    client_get(two, "/api/v1/events/stream");
    assert_false(probe_paused(probe, &event_full_contract));
    client_destroy(&one);
    assert_false(probe_paused(probe, &event_full_contract));
    client_destroy(&two);
    assert_true(probe_paused(probe, &event_full_contract));
    probe_destroy(&probe);
}

static void opens_no_more_streams_than_it_may(void **state)
{
    (void)state;
    probe_t *probe = gateway_new("streams", "1");
    struct client *one = client_new(probe), *two = client_new(probe);
    client_get(one, "/api/v1/events/stream");
    client_get(two, "/api/v1/events/stream");
    assert_int_equal(client_status(one), 200);
    assert_int_equal(client_status(two), 503);
    assert_true(client_has(two, "Retry-After: "));
    client_destroy(&one);
    client_forget(two);
    client_get(two, "/api/v1/events/stream");
    assert_int_equal(client_status(two), 200);
    client_destroy(&two);
    probe_destroy(&probe);
}

static void says_something_every_fifteen_seconds(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/stream");
    client_forget(client);
    probe_advance(probe, 13000);
    assert_int_equal(client->size, 0);
    probe_advance(probe, 3000);
    assert_int_equal(client->received[0], ':');
    probe_advance(probe, 120000);
    assert_false(client->closed);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void drops_the_oldest_of_a_slow_client_and_tells_it(void **state)
{
    (void)state;
    probe_t *probe = gateway_new("stream_bytes", "65536");
    struct client *client = client_new(probe);
    client_get(client, "/api/v1/events/stream");
    client->blocked = true;
    for (int n = 1; n <= 1000; n++)
        happen(probe, n, "light.a");
    client->blocked = false;
    for (int i = 0; i < 3; i++)
        client_wake(client->connection);
    int dropped = 0;
    const char *gap = strstr(client->received, "event: gap\ndata: {\"dropped\":");
    assert_non_null(gap);
    sscanf(gap, "event: gap\ndata: {\"dropped\":%d}", &dropped);
    int got = 0;
    for (int n = 1; n <= 1000; n++)
        got += has_event(client, n, "light.a");
    assert_true(has_event(client, 1000, "light.a"));
    assert_int_equal(got + dropped, 1000);
    assert_int_equal(probe_self(probe)->stats.stream_dropped, dropped);
    client_destroy(&client);
    probe_destroy(&probe);
}

static struct client *resume(probe_t *probe, int last)
{
    struct event_full e;
    char text[300];
    struct client *client = client_new(probe);
    make_event(&e, last, "light.a");
    snprintf(text, sizeof text, "GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: %s\r\n\r\n", e.id);
    client_say(client, text);
    return client;
}

static void resumes_without_a_gap_and_without_a_double(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = resume(probe, 3);
    const struct events_query *query = probe_asked(probe, &events_find_contract);
    assert_non_null(query);
    assert_int_equal(query->start_time, START + 3 * BASE_US);
    assert_string_equal(query->sort, "asc");
    happen(probe, 7, "light.a");              /* live while the store is asked */
    happen(probe, 8, "light.a");
    answer_missed(probe, 3, 5, "next");
    assert_true(!has_event(client, 3, "light.a") && has_event(client, 4, "light.a") && has_event(client, 5, "light.a"));
    query = probe_asked(probe, &events_find_contract);
    assert_string_equal(query->cursor, "next");
    answer_missed(probe, 6, 7, NULL);         /* 8 is not committed yet */
    assert_true(has_event(client, 6, "light.a") && has_event(client, 7, "light.a") && !has_event(client, 8, "light.a"));
    probe_advance(probe, 2000);               /* the last page again, late enough */
    answer_missed(probe, 6, 9, NULL);         /* 9 came by the store first */
    if (probe_asked_count(probe, &events_find_contract)) {
        probe_advance(probe, 2000);
        answer_missed(probe, 6, 9, NULL);
    }
    probe_advance(probe, 2000);
    if (probe_asked_count(probe, &events_find_contract))
        answer_missed(probe, 6, 9, NULL);
    happen(probe, 9, "light.a");
    happen(probe, 10, "light.a");
    for (int n = 4; n <= 10; n++)
        if (!has_event(client, n, "light.a"))
            fail_msg("event %d is missing", n);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void does_not_repeat_the_last_event_when_it_is_stored_late(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = resume(probe, 3);
    struct page page = { 0 };
    SET(&page, count, 0);
    probe_answer(probe, &events_find_contract, OK, &page);
    probe_advance(probe, 2000);
    answer_missed(probe, 3, 4, NULL);
    assert_true(!has_event(client, 3, "light.a") && has_event(client, 4, "light.a"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void a_stream_that_cannot_read_what_it_missed_is_closed(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = resume(probe, 3);
    probe_answer(probe, &events_find_contract, UNAVAILABLE, NULL);
    assert_true(client->closed);
    client_destroy(&client);
    probe_destroy(&probe);
}

/* --- health --- */

static void beat_saying(probe_t *probe, const char *actor, const char *instance, const char *counters, const char *status,
    const char *why)
{
    struct heartbeat h = { 0 };
    SET_TEXT(&h, actor, actor, strlen(actor));
    SET_TEXT(&h, instance, instance, strlen(instance));
    SET_TEXT(&h, status, status, strlen(status));
    if (why)
        SET_TEXT(&h, why, why, strlen(why));
    SET_TEXT(&h, version, "1", 1);
    SET(&h, pid, 7);
    SET(&h, started_at, START);
    SET(&h, at, START);
    SET(&h, every_ms, 1000);
    SET(&h, cpu_us, 1500000);
    SET(&h, rss_bytes, 4096);
    SET(&h, counters, slice_of(counters));
    assert_int_equal(probe_deliver(probe, &actor_heartbeat_contract, &h), OK);
}

static void beat(probe_t *probe, const char *actor, const char *instance, const char *counters)
{
    beat_saying(probe, actor, instance, counters, "healthy", NULL);
}

static void is_unhealthy_while_sink_and_query_do_not_answer(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    beat(probe, "sink", "1", "{}"); /* a heartbeat is not an answer */
    client_get(client, "/health");
    assert_int_equal(client_status(client), 503);
    assert_true(client_has(client, "\"status\":\"unhealthy\""));
    assert_true(client_has(client, "\"sink\":{\"status\":\"unhealthy\",\"why\":\""));
    assert_true(client_has(client, "\"home_assistant\":{\"state\":\"unknown\""));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void asks_again_as_soon_as_one_that_did_not_answer_is_heard_of(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    probe_answer(probe, &sink_ping_contract, NO_OWNER, NULL); /* not there yet */
    probe_answer(probe, &query_ping_contract, OK, &(struct nothing){ 0 });
    beat(probe, "sink", "1", "{}");
    probe_answer(probe, &sink_ping_contract, OK, &(struct nothing){ 0 }); /* no tick has passed */
    client_get(client, "/health");
    assert_int_equal(client_status(client), 200);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void is_unhealthy_when_the_sink_answers_and_says_that_it_cannot_store(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    probe_answer(probe, &sink_ping_contract, OK, &(struct nothing){ 0 });
    probe_answer(probe, &query_ping_contract, OK, &(struct nothing){ 0 });
    beat(probe, "sink", "1", "{}");
    client_get(client, "/health");
    assert_int_equal(client_status(client), 200);
    beat_saying(probe, "sink", "1", "{}", "unhealthy", "the disk is full");
    client_forget(client);
    client_get(client, "/health");
    assert_int_equal(client_status(client), 503);
    assert_true(client_has(client, "\"sink\":{\"status\":\"unhealthy\",\"why\":\"the disk is full\""));
    client_destroy(&client);
    probe_destroy(&probe);
}

static int health_status(struct client *client)
{
    client_forget(client);
    client_get(client, "/health");
    return client_status(client);
}

static void is_well_while_sink_and_query_answer_although_home_assistant_is_away(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    struct ingest_session session = { 0 };
    SET_TEXT(&session, state, "waiting", 7);
    SET(&session, session, 1);
    SET(&session, registry_changes, 0);
    assert_int_equal(health_status(client), 503);
    probe_answer(probe, &sink_ping_contract, OK, &(struct nothing){ 0 });
    assert_int_equal(health_status(client), 503);
    probe_answer(probe, &query_ping_contract, OK, &(struct nothing){ 0 });
    beat(probe, "ingest", "1", "{}");
    probe_deliver(probe, &ingest_session_contract, &session);
    assert_int_equal(health_status(client), 200);
    assert_true(client_has(client, "\"home_assistant\":{\"state\":\"waiting\""));
    assert_true(client_has(client, "\"status\":\"degraded\""));
    probe_advance(probe, 2500);
    assert_int_equal(health_status(client), 200); /* the last word is younger than 3 s */
    probe_advance(probe, 1000);
    assert_int_equal(health_status(client), 503);
    client_destroy(&client);
    probe_destroy(&probe);
}

static void is_unhealthy_as_soon_as_the_broker_is_gone(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    probe_answer(probe, &sink_ping_contract, OK, &(struct nothing){ 0 });
    probe_answer(probe, &query_ping_contract, OK, &(struct nothing){ 0 });
    assert_int_equal(health_status(client), 200);
    probe_connected(probe, false);
    assert_int_equal(health_status(client), 503);
    assert_true(client_has(client, "\"broker\":{\"status\":\"unhealthy\",\"why\":\"not connected\"}"));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void shows_every_counter_and_who_is_up(void **state)
{
    (void)state;
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    beat(probe, "enrich", "1", "{\"received\":12,\"entities\":3}");
    beat(probe, "enrich", "2", "{\"received\":4}");
    beat(probe, "query", "1", "{\"busy_us\":1500000}");
    beat(probe, "sink", "1", "{\"stored\":9,\"last_commit_at\":\"2026-01-01T00:00:00.500000Z\"}");
    client_get(client, "/metrics");
    assert_true(client_has(client, "text/plain; version=0.0.4"));
    assert_true(client_has(client, "# TYPE ha_ingestor_enrich_received_total counter\nha_ingestor_enrich_received_total{instance=\"1\"} 12\n"
        "ha_ingestor_enrich_received_total{instance=\"2\"} 4\n"));
    assert_true(client_has(client, "# TYPE ha_ingestor_enrich_entities gauge\nha_ingestor_enrich_entities{instance=\"1\"} 3\n#"));
    assert_true(client_has(client, "# HELP ha_ingestor_query_busy_seconds_total Time spent on them\n"));
    assert_true(client_has(client, "ha_ingestor_query_busy_seconds_total{instance=\"1\"} 1.5\n"));
    assert_true(client_has(client, "ha_ingestor_sink_last_commit_at_seconds{instance=\"1\"} 1767225600.5\n"));
    assert_true(client_has(client, "ha_ingestor_up{actor=\"sink\",instance=\"1\"} 1\n"));
    assert_true(client_has(client, "ha_ingestor_cpu_seconds_total{actor=\"sink\",instance=\"1\"} 1.500000\n"));
    probe_advance(probe, 5000);
    client_forget(client);
    client_get(client, "/metrics");
    assert_true(client_has(client, "ha_ingestor_up{actor=\"sink\",instance=\"1\"} 0\n"));
    client_forget(client);
    client_get(client, "/api/v1/health");
    assert_int_equal(client_status(client), 200);
    assert_true(client_has(client, "{\"actor\":\"enrich\",\"instance\":\"2\",\"status\":\"silent\""));
    client_destroy(&client);
    probe_destroy(&probe);
}

static void who_is_switched_off_is_neither_stopped_nor_silent(void **state)
{
    (void)state;
    char command[200];
    probe_t *probe = gateway_new(NULL, NULL);
    struct client *client = client_new(probe);
    snprintf(command, sizeof command, "mkdir -p %s/sources", probe_data(probe));
    assert_int_equal(system(command), 0);
    beat(probe, "weather", "1", "{\"polls\":1}");
    assert_int_equal(off_note(probe_data(probe), "weather", "is off"), 0);
    probe_advance(probe, 1000);
    client_get(client, "/api/v1/health");
    assert_true(client_has(client, "{\"actor\":\"weather\"")); /* it beats still */
    probe_advance(probe, 5000);
    client_forget(client);
    client_get(client, "/api/v1/health");
    assert_int_equal(client_status(client), 200);
    assert_false(client_has(client, "weather"));
    client_destroy(&client);
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_what_fits_the_filter),
        cmocka_unit_test(streams_nothing_that_is_imported),
        cmocka_unit_test(streams_what_holds_a_text),
        cmocka_unit_test(refuses_a_stream_with_times_or_pages),
        cmocka_unit_test(listens_only_while_somebody_streams),
        cmocka_unit_test(opens_no_more_streams_than_it_may),
        cmocka_unit_test(says_something_every_fifteen_seconds),
        cmocka_unit_test(drops_the_oldest_of_a_slow_client_and_tells_it),
        cmocka_unit_test(resumes_without_a_gap_and_without_a_double),
        cmocka_unit_test(does_not_repeat_the_last_event_when_it_is_stored_late),
        cmocka_unit_test(a_stream_that_cannot_read_what_it_missed_is_closed),
        cmocka_unit_test(is_unhealthy_while_sink_and_query_do_not_answer),
        cmocka_unit_test(asks_again_as_soon_as_one_that_did_not_answer_is_heard_of),
        cmocka_unit_test(is_unhealthy_when_the_sink_answers_and_says_that_it_cannot_store),
        cmocka_unit_test(is_well_while_sink_and_query_answer_although_home_assistant_is_away),
        cmocka_unit_test(is_unhealthy_as_soon_as_the_broker_is_gone),
        cmocka_unit_test(shows_every_counter_and_who_is_up),
        cmocka_unit_test(who_is_switched_off_is_neither_stopped_nor_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
