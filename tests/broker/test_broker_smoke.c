/* test_broker_smoke.c - one of everything: a batch, a value, a question. */
#include "pair.h"

static void a_batch_a_value_and_a_question_travel(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = actor(&pair, "ingest", "1"), *sink = actor(&pair, "sink", "1");
    bus_publishes(ingest->bus, "event.raw", BUS_LOSSLESS, "sink");
    bus_publishes(ingest->bus, "place", BUS_LATEST, "");
    bus_listens(sink->bus, "event.raw", BUS_LOSSLESS, "sink", 100, 1 << 20);
    bus_listens(sink->bus, "place", BUS_LATEST, "", 0, 0);
    bus_answers(sink->bus, "sink.seal");
    UNTIL(&pair, ingest->ups == 1 && sink->ups == 1);
    assert_int_equal(publish(ingest, "event.raw", "one"), 1);
    bus_publish(ingest->bus, "place", text("k"), text("v"), 1, false);
    UNTIL(&pair, sink->heard_count == 2); /* so what sink has declared is known */
    bus_ask(ingest->bus, "sink.seal", text("now?"), 60000);
    UNTIL(&pair, sink->request_count == 1);
    assert_string_equal(sink->heard[0].payload, "one");
    assert_string_equal(sink->heard[1].key, "k");
    acknowledge(sink, 0);
    bus_answer(sink->bus, sink->requests[0].ticket, 0, text("h"), text("done"));
    UNTIL(&pair, ingest->acked_count == 1 && ingest->reply_count == 1);
    assert_int_equal(ingest->acked[0], 1);
    assert_string_equal(ingest->replies[0].body, "done");
    assert_int_equal(bus_in_flight(ingest->bus, "event.raw"), 0);
    pair_close(&pair);
}

static void a_broker_that_comes_again_is_told_everything(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = actor(&pair, "ingest", "1");
    bus_publishes(ingest->bus, "event.raw", BUS_LOSSLESS, "sink");
    UNTIL(&pair, ingest->ups == 1);
    publish(ingest, "event.raw", "one");
    settle(&pair);
    broker_destroy(&pair.broker);
    start_broker(&pair);
    struct actor *sink = actor(&pair, "sink", "1");
    bus_listens(sink->bus, "event.raw", BUS_LOSSLESS, "sink", 100, 1 << 20);
    UNTIL(&pair, sink->heard_count == 1 && ingest->ups == 2);
    acknowledge(sink, 0);
    UNTIL(&pair, ingest->acked_count == 1);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_a_value_and_a_question_travel),
        cmocka_unit_test(a_broker_that_comes_again_is_told_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
