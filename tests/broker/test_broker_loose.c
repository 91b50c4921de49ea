/* test_broker_loose.c - LATEST and LIVE: last values, and listeners that never hold anybody. */
#include "pair.h"

static struct actor *publisher(struct pair *pair, const char *subject, enum bus_policy policy)
{
    struct actor *self = actor(pair, "weather", "1");
    bus_publishes(self->bus, subject, policy, "");
    UNTIL(pair, self->ups == 1);
    return self;
}

static struct actor *listener(struct pair *pair, const char *subject, enum bus_policy policy, const char *name, size_t messages)
{
    struct actor *self = actor(pair, name, "1");
    bus_listens(self->bus, subject, policy, "", messages, 1 << 20);
    UNTIL(pair, self->ups == 1);
    settle(pair);
    return self;
}

static void value(struct actor *self, const char *key, const char *payload)
{
    bus_publish(self->bus, "place", text(key), text(payload), 1, false);
}

static void assert_heard(const struct actor *self, size_t at, const char *key, const char *payload)
{
    assert_true(at < self->heard_count);
    assert_string_equal(self->heard[at].key, key);
    assert_string_equal(self->heard[at].payload, payload);
}

static void last_values_are_replayed_in_order_of_last_update(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "place", BUS_LATEST);
    value(weather, "a", "1");
    value(weather, "b", "1");
    value(weather, "gone", "1");
    value(weather, "a", "2");
    value(weather, "gone", "");
    value(weather, "mark", "all");
    settle(&pair);
    struct actor *late = listener(&pair, "place", BUS_LATEST, "late", 0);
    UNTIL(&pair, late->heard_count == 3);
    settle(&pair);
    assert_int_equal(late->heard_count, 3);
    assert_heard(late, 0, "b", "1");
    assert_heard(late, 1, "a", "2");
    assert_heard(late, 2, "mark", "all");
    value(weather, "b", "");
    UNTIL(&pair, late->heard_count == 4);
    assert_heard(late, 3, "b", ""); /* told to those who knew it */
    pair_close(&pair);
}

static void a_slow_listener_gets_the_newest_value_of_each_key(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "place", BUS_LATEST);
    struct actor *slow = listener(&pair, "place", BUS_LATEST, "slow", 2);
    slow->is_stopped = true;
    char payload[16];
    for (int i = 1; i <= 100; i++) {
        snprintf(payload, sizeof payload, "%d", i);
        value(weather, i % 2 ? "odd" : "even", payload);
    }
    value(weather, "gone", "1");
    value(weather, "gone", "");
    settle(&pair);
    slow->is_stopped = false;
    UNTIL(&pair, slow->heard_count == 5);
    settle(&pair);
    assert_int_equal(slow->heard_count, 5); /* two under way, then the newest of each */
    assert_heard(slow, 0, "odd", "1");
    assert_heard(slow, 1, "even", "2");
    assert_heard(slow, 2, "odd", "99");
    assert_heard(slow, 3, "even", "100");
    assert_heard(slow, 4, "gone", "");
    pair_close(&pair);
}

static void a_value_that_is_updated_while_it_waits_hides_no_other(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "place", BUS_LATEST);
    struct actor *slow = listener(&pair, "place", BUS_LATEST, "slow", 1);
    slow->is_stopped = true;
    value(weather, "first", "1");
    value(weather, "a", "1");
    value(weather, "b", "1");
    value(weather, "a", "2");
    settle(&pair);
    slow->is_stopped = false;
    UNTIL(&pair, slow->heard_count == 3);
    settle(&pair);
    assert_heard(slow, 1, "b", "1");
    assert_heard(slow, 2, "a", "2");
    pair_close(&pair);
}

static void values_are_said_again_to_a_new_broker(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "place", BUS_LATEST);
    value(weather, "a", "1");
    value(weather, "b", "1");
    value(weather, "a", "2");
    settle(&pair);
    broker_destroy(&pair.broker);
    UNTIL(&pair, weather->downs == 1);
    value(weather, "c", "while away");
    start_broker(&pair);
    UNTIL(&pair, weather->ups == 2);
    struct actor *late = listener(&pair, "place", BUS_LATEST, "late", 0);
    UNTIL(&pair, late->heard_count == 3);
    assert_heard(late, 0, "b", "1");
    assert_heard(late, 1, "a", "2");
    assert_heard(late, 2, "c", "while away");
    pair_close(&pair);
}

static void memory_for_last_values_is_bounded(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "place", BUS_LATEST);
    static char large[300000];
    static const char *const keys[] = { "a", "b", "c", "d" };
    for (size_t i = 0; i < 4; i++)
        bus_publish(weather->bus, "place", text(keys[i]), (struct bus_bytes){ large, sizeof large }, 1, false);
    settle(&pair);
    UNTIL(&pair, broker_counters(pair.broker)->unkept == 1);
    value(weather, "d", "small");
    value(weather, "a", "");
    bus_publish(weather->bus, "place", text("e"), (struct bus_bytes){ large, sizeof large }, 1, false);
    settle(&pair);
    struct actor *late = listener(&pair, "place", BUS_LATEST, "late", 0);
    UNTIL(&pair, late->heard_count == 4);
    assert_string_equal(late->heard[2].payload, "small");
    assert_string_equal(late->heard[3].key, "e");
    pair_close(&pair);
}

static void live_drops_the_oldest_and_says_how_many(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "tick", BUS_LIVE);
    struct actor *slow = listener(&pair, "tick", BUS_LIVE, "slow", 10), *quick = listener(&pair, "tick", BUS_LIVE, "quick", 10);
    slow->is_stopped = true;
    char payload[16];
    for (int i = 1; i <= 50; i++) {
        snprintf(payload, sizeof payload, "%d", i);
        publish(weather, "tick", payload);
        size_t wanted = (size_t)i;
        UNTIL(&pair, quick->heard_count == wanted);
    }
    settle(&pair);
    slow->is_stopped = false;
    UNTIL(&pair, slow->heard_count == 20);
    settle(&pair);
    assert_int_equal(slow->heard_count, 20);
    assert_string_equal(slow->heard[9].payload, "10");   /* was under way */
    assert_string_equal(slow->heard[10].payload, "41");  /* the newest ten waited */
    assert_int_equal(slow->heard[10].dropped, 30);
    assert_int_equal(slow->heard[11].dropped, 0);
    assert_int_equal(broker_counters(pair.broker)->dropped, 30);
    pair_close(&pair);
}

static void a_paused_listener_gets_nothing_and_misses_nothing(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "tick", BUS_LIVE);
    struct actor *page = listener(&pair, "tick", BUS_LIVE, "page", 10);
    publish(weather, "tick", "1");
    UNTIL(&pair, page->heard_count == 1);
    bus_window(page->bus, "tick", 0, 0);
    settle(&pair);
    for (int i = 0; i < 100; i++)
        publish(weather, "tick", "not for it");
    settle(&pair);
    assert_int_equal(page->heard_count, 1);
    bus_window(page->bus, "tick", 10, 0);
    settle(&pair);
    publish(weather, "tick", "2");
    UNTIL(&pair, page->heard_count == 2);
    assert_string_equal(page->heard[1].payload, "2");
    assert_int_equal(page->heard[1].dropped, 0);
    pair_close(&pair);
}

static void a_listener_outside_the_groups_never_holds_the_publisher(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = actor(&pair, "ingest", "1"), *sink = actor(&pair, "sink", "1");
    bus_publishes(ingest->bus, "event.full", BUS_LOSSLESS, "sink");
    bus_listens(sink->bus, "event.full", BUS_LOSSLESS, "sink", 100, 1 << 20);
    sink->acks_at_once = true;
    struct actor *gateway = listener(&pair, "event.full", BUS_LOSSLESS, "gateway", 5);
    struct actor *monitor = listener(&pair, "event.full", BUS_LIVE, "monitor", 500);
    UNTIL(&pair, ingest->ups == 1 && sink->ups == 1);
    gateway->is_stopped = true;
    for (int i = 0; i < 100; i++) {
        publish(ingest, "event.full", "x");
        turn(&pair);
    }
    UNTIL(&pair, ingest->acked_count == 100 && monitor->heard_count == 100);
    assert_null(monitor->heard[0].delivery);
    gateway->is_stopped = false;
    UNTIL(&pair, gateway->heard_count == 10);
    assert_int_equal(gateway->heard[5].dropped, 90);
    pair_close(&pair);
}

/* Ten megabytes are offered to one who never reads; what waits for him stays at his window. */
static void collect(void *owner, const struct broker_queue *queue)
{
    *(struct broker_queue *)owner = *queue;
}

static void a_queue_of_any_policy_tells_how_long_its_oldest_waits(void **state)
{
    (void)state;
    static const enum bus_policy policies[] = { BUS_LIVE, BUS_LATEST };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        struct pair pair;
        struct broker_queue queue;
        pair_open(&pair);
        struct actor *weather = publisher(&pair, "topic", policies[i]);
        struct actor *slow = listener(&pair, "topic", policies[i], "slow", 2);
        broker_each_queue(pair.broker, collect, &queue);
        assert_int_equal(queue.oldest_us, -1);
        slow->is_stopped = true;
        for (int n = 0; n < 3; n++) {
            bus_publish(weather->bus, "topic", text(n == 0 ? "a" : n == 1 ? "b" : "c"), text("x"), 1, false);
            settle(&pair);
        }
        pass_time(&pair, 1500);
        broker_each_queue(pair.broker, collect, &queue);
        assert_int_equal(queue.depth, 1);
        assert_true(queue.oldest_us >= 1500000 && queue.oldest_us < 2000000);
        pair_close(&pair);
    }
}

static void a_stopped_listener_does_not_make_the_broker_grow(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "tick", BUS_LIVE);
    struct actor *slow = listener(&pair, "tick", BUS_LIVE, "slow", 1000000);
    slow->is_stopped = true;
    static char large[100000];
    for (int i = 0; i < 100; i++) {
        bus_publish(weather->bus, "tick", text(""), (struct bus_bytes){ large, sizeof large }, 1, false);
        turn(&pair);
        turn(&pair);
    }
    const struct broker_counters *counters = broker_counters(pair.broker);
    UNTIL(&pair, counters->published == 100);
    assert_true(counters->delivered <= 11);
    assert_true(counters->dropped >= 78);
    pair_close(&pair);
}

static void a_publisher_of_live_does_not_grow_while_the_broker_is_stopped(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *weather = publisher(&pair, "tick", BUS_LIVE);
    struct actor *quick = listener(&pair, "tick", BUS_LIVE, "quick", 1000);
    static char large[1000000];
    for (int i = 0; i < 100; i++) /* nobody turns: the broker is stopped */
        bus_publish(weather->bus, "tick", text(""), (struct bus_bytes){ large, sizeof large }, 1, false);
    const struct broker_counters *counters = broker_counters(pair.broker);
    uint64_t said = 0;
    do {
        said = counters->published;
        settle(&pair);
    } while (counters->published != said);
    publish(weather, "tick", "last");
    UNTIL(&pair, quick->heard_count > 0 && quick->heard[quick->heard_count - 1].size == 4);
    uint32_t dropped = 0;
    for (size_t i = 0; i < quick->heard_count; i++)
        dropped += quick->heard[i].dropped;
    assert_true(quick->heard_count < 15);
    assert_int_equal(quick->heard_count + dropped, 101); /* and each is accounted for */
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_values_are_replayed_in_order_of_last_update),
        cmocka_unit_test(a_slow_listener_gets_the_newest_value_of_each_key),
        cmocka_unit_test(a_value_that_is_updated_while_it_waits_hides_no_other),
        cmocka_unit_test(values_are_said_again_to_a_new_broker),
        cmocka_unit_test(memory_for_last_values_is_bounded),
        cmocka_unit_test(live_drops_the_oldest_and_says_how_many),
        cmocka_unit_test(a_paused_listener_gets_nothing_and_misses_nothing),
        cmocka_unit_test(a_listener_outside_the_groups_never_holds_the_publisher),
        cmocka_unit_test(a_queue_of_any_policy_tells_how_long_its_oldest_waits),
        cmocka_unit_test(a_stopped_listener_does_not_make_the_broker_grow),
        cmocka_unit_test(a_publisher_of_live_does_not_grow_while_the_broker_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
