/* test_broker_lossless.c - batches that are held until acknowledged, whoever dies. */
#include "pair.h"

static struct actor *publisher(struct pair *pair, const char *groups)
{
    struct actor *self = actor(pair, "ingest", "1");
    bus_publishes(self->bus, "event.raw", BUS_LOSSLESS, groups);
    UNTIL(pair, self->ups == 1);
    return self;
}

static struct actor *member(struct pair *pair, const char *group, const char *instance, size_t messages, size_t bytes)
{
    struct actor *self = actor(pair, group, instance);
    bus_listens(self->bus, "event.raw", BUS_LOSSLESS, group, messages, bytes);
    UNTIL(pair, self->ups == 1);
    return self;
}

static void publish_numbers(struct actor *self, int first, int last)
{
    char payload[16];
    for (int i = first; i <= last; i++) {
        snprintf(payload, sizeof payload, "%d", i);
        publish(self, "event.raw", payload);
    }
}

static void assert_numbers(const struct actor *self, int first, int last)
{
    assert_int_equal(self->heard_count, last - first + 1);
    for (int i = first; i <= last; i++)
        assert_int_equal(atoi(self->heard[i - first].payload), i);
}

static void acknowledge_all(struct actor *self)
{
    for (size_t i = 0; i < self->heard_count; i++)
        if (self->heard[i].delivery)
            acknowledge(self, i);
}

static void members_of_a_group_share_and_groups_get_all(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "enrich,mirror");
    struct actor *one = member(&pair, "enrich", "1", 100, 1 << 20), *two = member(&pair, "enrich", "2", 100, 1 << 20);
    struct actor *mirror = member(&pair, "mirror", "1", 100, 1 << 20);
    publish_numbers(ingest, 1, 10);
    UNTIL(&pair, one->heard_count + two->heard_count == 10 && mirror->heard_count == 10);
    assert_int_equal(one->heard_count, 5);
    assert_int_equal(two->heard_count, 5);
    assert_numbers(mirror, 1, 10);
    acknowledge_all(one);
    acknowledge_all(two);
    settle(&pair);
    assert_int_equal(ingest->acked_count, 0); /* the other group has not */
    acknowledge_all(mirror);
    UNTIL(&pair, ingest->acked_count == 10);
    assert_int_equal(bus_in_flight(ingest->bus, "event.raw"), 0);
    pair_close(&pair);
}

static void a_group_that_is_absent_holds_its_messages(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    publish_numbers(ingest, 1, 5);
    settle(&pair);
    assert_int_equal(ingest->acked_count, 0);
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    UNTIL(&pair, sink->heard_count == 5);
    assert_numbers(sink, 1, 5);
    acknowledge_all(sink);
    UNTIL(&pair, ingest->acked_count == 5);
    pair_close(&pair);
}

static void what_a_dead_member_held_goes_to_another_in_order(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "enrich");
    struct actor *one = member(&pair, "enrich", "1", 6, 1 << 20);
    publish_numbers(ingest, 1, 10);
    UNTIL(&pair, one->heard_count == 6);
    acknowledge(one, 1); /* not the first */
    UNTIL(&pair, ingest->acked_count == 1);
    assert_int_equal(ingest->acked[0], 2);
    UNTIL(&pair, one->heard_count == 7);
    one->is_stopped = true;
    struct actor *two = member(&pair, "enrich", "2", 100, 1 << 20);
    pass_time(&pair, 1000);
    assert_int_equal(two->heard_count, 3); /* 8, 9, 10: the rest is still in the other's hands */
    pass_time(&pair, 2500);
    UNTIL(&pair, two->heard_count == 9);
    static const int expected[] = { 8, 9, 10, 1, 3, 4, 5, 6, 7 };
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(atoi(two->heard[i].payload), expected[i]);
    assert_int_equal(broker_counters(pair.broker)->redelivered, 6);
    acknowledge_all(two);
    UNTIL(&pair, ingest->acked_count == 10);
    pair_close(&pair);
}

/* It works on one thing for longer than it may be silent: given again, it would never be done. */
static void a_member_with_a_huge_message_may_be_silent_for_longer(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    size_t size = (size_t)24 << 20;
    char *huge = malloc(size + 1);
    assert_non_null(huge);
    memset(huge, 'x', size);
    huge[size] = '\0';
    publish(ingest, "event.raw", huge);
    free(huge);
    UNTIL(&pair, sink->heard_count == 1);
    sink->is_stopped = true;
    pass_time(&pair, 17000); /* 3 s, and 16 s for 16 MiB more than is usual */
    assert_int_equal(broker_counters(pair.broker)->gone, 0);
    pass_time(&pair, 3000);
    assert_int_equal(broker_counters(pair.broker)->gone, 1);
    pair_close(&pair);
}

static void a_newcomer_of_the_same_name_replaces_at_once(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    struct actor *old = member(&pair, "sink", "1", 100, 1 << 20);
    publish_numbers(ingest, 1, 3);
    UNTIL(&pair, old->heard_count == 3);
    old->is_stopped = true;
    int64_t before_us = pair.clock_us;
    struct actor *new = member(&pair, "sink", "1", 100, 1 << 20);
    UNTIL(&pair, new->heard_count == 3);
    assert_true(pair.clock_us - before_us < 1000000); /* no silence was waited for */
    assert_numbers(new, 1, 3);
    acknowledge_all(new);
    UNTIL(&pair, ingest->acked_count == 3);
    assert_int_equal(broker_counters(pair.broker)->gone, 1);
    pair_close(&pair);
}

static void a_goodbye_gives_back_what_was_not_acknowledged(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "enrich");
    struct actor *one = member(&pair, "enrich", "1", 100, 1 << 20);
    publish_numbers(ingest, 1, 4);
    UNTIL(&pair, one->heard_count == 4);
    acknowledge(one, 0);
    leave(one);
    struct actor *two = member(&pair, "enrich", "2", 100, 1 << 20);
    UNTIL(&pair, two->heard_count == 3 && ingest->acked_count == 1);
    assert_numbers(two, 2, 4);
    pair_close(&pair);
}

static void a_publisher_that_connects_again_is_not_heard_twice(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    publish_numbers(ingest, 1, 5);
    settle(&pair);
    ingest->is_stopped = true; /* long enough to be taken for dead, and to say all again */
    pass_time(&pair, 3500);
    ingest->is_stopped = false;
    UNTIL(&pair, ingest->ups == 2);
    publish_numbers(ingest, 6, 6);
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    UNTIL(&pair, sink->heard_count >= 6);
    settle(&pair);
    assert_numbers(sink, 1, 6);
    acknowledge_all(sink);
    UNTIL(&pair, ingest->acked_count == 6);
    pair_close(&pair);
}

static void what_was_acknowledged_meanwhile_is_told_when_it_is_said_again(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    publish_numbers(ingest, 1, 4);
    UNTIL(&pair, sink->heard_count == 4);
    ingest->is_stopped = true;
    pass_time(&pair, 3500);
    acknowledge(sink, 0);
    acknowledge(sink, 2);
    settle(&pair);
    ingest->is_stopped = false;
    UNTIL(&pair, ingest->ups == 2 && ingest->acked_count == 2);
    assert_int_equal(ingest->acked[0], 1);
    assert_int_equal(ingest->acked[1], 3);
    acknowledge_all(sink);
    UNTIL(&pair, ingest->acked_count == 4);
    settle(&pair);
    assert_int_equal(sink->heard_count, 4);
    pair_close(&pair);
}

static void batches_of_a_dead_publisher_are_delivered_and_its_successor_starts_anew(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *old = publisher(&pair, "sink");
    publish_numbers(old, 1, 3);
    settle(&pair);
    old->is_stopped = true;
    struct actor *new = publisher(&pair, "sink");
    publish_numbers(new, 4, 6);
    settle(&pair);
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    UNTIL(&pair, sink->heard_count == 6);
    assert_numbers(sink, 1, 6);
    acknowledge_all(sink);
    UNTIL(&pair, new->acked_count == 3);
    assert_int_equal(new->acked[2], 3);
    assert_int_equal(old->acked_count, 0);
    pair_close(&pair);
}

static void a_broker_that_is_killed_and_comes_again_loses_nothing(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *sink = member(&pair, "sink", "1", 4, 1 << 20);
    publish_numbers(ingest, 1, 10);
    UNTIL(&pair, sink->heard_count == 4);
    acknowledge(sink, 0);
    UNTIL(&pair, ingest->acked_count == 1 && sink->heard_count == 5);
    broker_destroy(&pair.broker);
    start_broker(&pair);
    size_t before = sink->heard_count;
    UNTIL(&pair, sink->ups == 2 && ingest->ups == 2 && sink->heard_count == before + 4);
    assert_int_equal(sink->downs, 1);
    acknowledge_all(sink); /* those of the old connection are void and disturb nobody */
    for (size_t seen = 0; ingest->acked_count < 10;) {
        UNTIL(&pair, sink->heard_count > seen || ingest->acked_count == 10);
        seen = sink->heard_count;
        acknowledge_all(sink);
    }
    for (int i = 2; i <= 10; i++)
        assert_int_equal(atoi(sink->heard[before + (size_t)i - 2].payload), i);
    settle(&pair);
    assert_int_equal(sink->heard_count, before + 9);
    pair_close(&pair);
}

static void publishing_goes_on_while_the_broker_is_away(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *sink = member(&pair, "sink", "1", 100, 1 << 20);
    broker_destroy(&pair.broker);
    UNTIL(&pair, ingest->downs == 1);
    assert_int_equal(bus_room(ingest->bus, "event.raw"), 0);
    publish_numbers(ingest, 1, 3);
    start_broker(&pair);
    UNTIL(&pair, sink->heard_count == 3);
    assert_numbers(sink, 1, 3);
    pair_close(&pair);
}

static void caused_batches_are_forgotten_with_the_connection(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *enrich = publisher(&pair, "sink");
    bus_publish(enrich->bus, "event.raw", text(""), text("1"), 1, true);
    bus_publish(enrich->bus, "event.raw", text(""), text("2"), 1, false);
    settle(&pair);
    broker_destroy(&pair.broker);
    UNTIL(&pair, enrich->downs == 1);
    assert_int_equal(bus_publish(enrich->bus, "event.raw", text(""), text("3"), 1, true), 3);
    assert_int_equal(bus_in_flight(enrich->bus, "event.raw"), 1);
    start_broker(&pair);
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    UNTIL(&pair, sink->heard_count == 1);
    settle(&pair);
    assert_numbers(sink, 2, 2);
    pair_close(&pair);
}

static void the_window_counts_messages(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *sink = member(&pair, "sink", "1", 10, 1 << 20);
    for (int i = 0; i < 4; i++)
        bus_publish(ingest->bus, "event.raw", text(""), text("x"), 4, false);
    UNTIL(&pair, sink->heard_count == 2);
    settle(&pair);
    assert_int_equal(sink->heard_count, 2); /* 8 of 10; 4 more do not fit */
    assert_int_equal(sink->heard[0].count, 4);
    bus_window(sink->bus, "event.raw", 0, 0);
    acknowledge_all(sink);
    settle(&pair);
    assert_int_equal(sink->heard_count, 2); /* paused */
    bus_window(sink->bus, "event.raw", 4, 1 << 20);
    UNTIL(&pair, sink->heard_count == 3);
    settle(&pair);
    assert_int_equal(sink->heard_count, 3);
    pair_close(&pair);
}

static void the_window_counts_bytes_and_what_exceeds_it_passes_alone(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *sink = member(&pair, "sink", "1", 1000, 100);
    char large[1000];
    memset(large, 'x', sizeof large);
    bus_publish(ingest->bus, "event.raw", text(""), (struct bus_bytes){ large, 60 }, 1, false);
    bus_publish(ingest->bus, "event.raw", text(""), (struct bus_bytes){ large, sizeof large }, 1, false);
    bus_publish(ingest->bus, "event.raw", text(""), (struct bus_bytes){ large, 60 }, 1, false);
    UNTIL(&pair, sink->heard_count == 1);
    settle(&pair);
    assert_int_equal(sink->heard_count, 1);
    acknowledge(sink, 0);
    UNTIL(&pair, sink->heard_count == 2);
    settle(&pair);
    assert_int_equal(sink->heard_count, 2);
    assert_int_equal(sink->heard[1].size, sizeof large);
    acknowledge(sink, 1);
    UNTIL(&pair, sink->heard_count == 3);
    pair_close(&pair);
}

static void a_slow_member_gets_less(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "enrich");
    struct actor *slow = member(&pair, "enrich", "1", 10, 1 << 20), *fast = member(&pair, "enrich", "2", 10, 1 << 20);
    fast->acks_at_once = true;
    for (int i = 0; i < 20; i++) {
        publish_numbers(ingest, i * 5 + 1, i * 5 + 5);
        settle(&pair);
    }
    assert_true(slow->heard_count <= 10);
    assert_int_equal(slow->heard_count + fast->heard_count, 100);
    pair_close(&pair);
}

static void a_publisher_sees_its_window(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink");
    assert_int_equal(bus_room(ingest->bus, "event.raw"), 1000);
    bus_publish(ingest->bus, "event.raw", text(""), text("x"), 256, false);
    assert_int_equal(bus_room(ingest->bus, "event.raw"), 744);
    for (int i = 0; i < 4; i++)
        bus_publish(ingest->bus, "event.raw", text(""), text("x"), 256, false);
    assert_int_equal(bus_room(ingest->bus, "event.raw"), 0);
    settle(&pair);
    assert_int_equal(broker_counters(pair.broker)->overrun, 2);
    struct actor *sink = member(&pair, "sink", "1", 10000, 1 << 20);
    UNTIL(&pair, sink->heard_count == 5); /* kept all the same */
    pair_close(&pair);
}

static void a_group_that_nobody_names_holds_only_while_somebody_is_in_it(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "");
    publish_numbers(ingest, 1, 1);
    UNTIL(&pair, ingest->acked_count == 1);
    struct actor *guest = member(&pair, "guest", "1", 100, 1 << 20);
    publish_numbers(ingest, 2, 3);
    UNTIL(&pair, guest->heard_count == 2);
    settle(&pair);
    assert_int_equal(ingest->acked_count, 1);
    leave(guest);
    UNTIL(&pair, ingest->acked_count == 3);
    assert_int_equal(broker_counters(pair.broker)->dropped, 2);
    pair_close(&pair);
}

static void collect(void *owner, const struct broker_queue *queue)
{
    *(struct broker_queue *)owner = *queue;
}

static void another_publishers_groups_hold_what_that_one_says_alone(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *other = actor(&pair, "other", "1");
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    bus_publishes(other->bus, "event.raw", BUS_LOSSLESS, "sink,nobody");
    UNTIL(&pair, other->ups == 1);
    publish(other, "event.raw", "held");
    publish_numbers(ingest, 1, 3);
    sink->acks_at_once = true;
    UNTIL(&pair, ingest->acked_count == 3 && sink->heard_count == 4);
    settle(&pair);
    assert_int_equal(other->acked_count, 0);
    pair_close(&pair);
}

static void a_group_that_a_successor_names_no_more_is_forgotten(void **state)
{
    (void)state;
    struct pair pair;
    struct broker_queue queue;
    pair_open(&pair);
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    sink->acks_at_once = true;
    leave(publisher(&pair, "old,sink"));
    struct actor *ingest = publisher(&pair, "sink");
    publish_numbers(ingest, 1, 3);
    UNTIL(&pair, ingest->acked_count == 3);
    broker_each_queue(pair.broker, collect, &queue); /* the last one told */
    assert_string_equal(queue.group, "sink");
    pair_close(&pair);
}

static void what_a_forgotten_group_held_of_others_is_settled(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *namer = actor(&pair, "namer", "1");
    bus_publishes(namer->bus, "event.raw", BUS_LOSSLESS, "guest");
    UNTIL(&pair, namer->ups == 1);
    struct actor *guest = member(&pair, "guest", "1", 0, 1 << 20), *ingest = publisher(&pair, "");
    publish_numbers(ingest, 1, 2);
    leave(guest);
    leave(namer);
    settle(&pair);
    assert_int_equal(ingest->acked_count, 0); /* the name may come back */
    namer = actor(&pair, "namer", "1");
    bus_publishes(namer->bus, "event.raw", BUS_LOSSLESS, "");
    UNTIL(&pair, ingest->acked_count == 2);
    pair_close(&pair);
}

static void who_publishes_without_measure_is_sent_away(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *greedy = actor(&pair, "greedy", "1");
    struct actor *sink = member(&pair, "sink", "1", 100, 1 << 20);
    bus_publishes(greedy->bus, "more", BUS_LOSSLESS, "nobody");
    UNTIL(&pair, greedy->ups == 1);
    for (int i = 0; i < 8001; i++)
        publish(greedy, "more", "x");
    UNTIL(&pair, greedy->downs == 1);
    assert_int_equal(broker_counters(pair.broker)->published, 8000); /* eight windows of 1000 */
    publish_numbers(ingest, 1, 3);
    sink->acks_at_once = true;
    UNTIL(&pair, ingest->acked_count == 3);
    pair_close(&pair);
}

static void a_queue_tells_depth_age_and_rate(void **state)
{
    (void)state;
    struct pair pair;
    struct broker_queue queue;
    pair_open(&pair);
    struct actor *ingest = publisher(&pair, "sink"), *sink = member(&pair, "sink", "1", 20, 1 << 20);
    publish_numbers(ingest, 1, 100);
    UNTIL(&pair, sink->heard_count == 20);
    pass_time(&pair, 2000);
    broker_each_queue(pair.broker, collect, &queue);
    assert_string_equal(queue.topic, "event.raw");
    assert_string_equal(queue.group, "sink");
    assert_int_equal(queue.depth, 80);
    assert_int_equal(queue.in_flight, 20);
    assert_int_equal(queue.listeners, 1);
    assert_true(queue.oldest_us >= 2000000 && queue.oldest_us < 2500000);
    assert_true(queue.rate_per_s == 10.0);
    pass_time(&pair, 12000);
    broker_each_queue(pair.broker, collect, &queue);
    assert_true(queue.rate_per_s == 0.0);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_a_group_share_and_groups_get_all),
        cmocka_unit_test(a_group_that_is_absent_holds_its_messages),
        cmocka_unit_test(what_a_dead_member_held_goes_to_another_in_order),
        cmocka_unit_test(a_member_with_a_huge_message_may_be_silent_for_longer),
        cmocka_unit_test(a_newcomer_of_the_same_name_replaces_at_once),
        cmocka_unit_test(a_goodbye_gives_back_what_was_not_acknowledged),
        cmocka_unit_test(a_publisher_that_connects_again_is_not_heard_twice),
        cmocka_unit_test(what_was_acknowledged_meanwhile_is_told_when_it_is_said_again),
        cmocka_unit_test(batches_of_a_dead_publisher_are_delivered_and_its_successor_starts_anew),
        cmocka_unit_test(a_broker_that_is_killed_and_comes_again_loses_nothing),
        cmocka_unit_test(publishing_goes_on_while_the_broker_is_away),
        cmocka_unit_test(caused_batches_are_forgotten_with_the_connection),
        cmocka_unit_test(the_window_counts_messages),
        cmocka_unit_test(the_window_counts_bytes_and_what_exceeds_it_passes_alone),
        cmocka_unit_test(a_slow_member_gets_less),
        cmocka_unit_test(a_publisher_sees_its_window),
        cmocka_unit_test(a_group_that_nobody_names_holds_only_while_somebody_is_in_it),
        cmocka_unit_test(another_publishers_groups_hold_what_that_one_says_alone),
        cmocka_unit_test(a_group_that_a_successor_names_no_more_is_forgotten),
        cmocka_unit_test(what_a_forgotten_group_held_of_others_is_settled),
        cmocka_unit_test(who_publishes_without_measure_is_sent_away),
        cmocka_unit_test(a_queue_tells_depth_age_and_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
