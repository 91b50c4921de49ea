/* test_broker_services.c - questions: turns, deadlines, owners that go. */
#include "pair.h"

static struct actor *owner(struct pair *pair, const char *instance)
{
    struct actor *self = actor(pair, "query", instance);
    bus_answers(self->bus, "events.find");
    UNTIL(pair, self->ups == 1);
    settle(pair);
    return self;
}

static struct actor *asker(struct pair *pair)
{
    struct actor *self = actor(pair, "gateway", "1");
    UNTIL(pair, self->ups == 1);
    return self;
}

static void several_owners_take_turns(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *one = owner(&pair, "1"), *two = owner(&pair, "2"), *gateway = asker(&pair);
    for (int i = 0; i < 10; i++)
        bus_ask(gateway->bus, "events.find", text("?"), 1000);
    UNTIL(&pair, one->request_count == 5 && two->request_count == 5);
    for (size_t i = 0; i < 5; i++) {
        bus_answer(one->bus, one->requests[i].ticket, 0, text(""), text("one"));
        bus_answer(two->bus, two->requests[i].ticket, 3, text("why"), text(""));
    }
    UNTIL(&pair, gateway->reply_count == 10);
    pair_close(&pair);
}

static void nobody_answers_is_told_at_once(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *gateway = asker(&pair);
    uint64_t question = bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, gateway->reply_count == 1);
    assert_int_equal(gateway->replies[0].verdict, BUS_NO_OWNER);
    assert_int_equal(gateway->replies[0].question, question);
    assert_int_equal(broker_counters(pair.broker)->unowned, 1);
    pair_close(&pair);
}

static void the_deadline_is_kept_and_a_late_answer_dropped(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *query = owner(&pair, "1"), *gateway = asker(&pair);
    bus_ask(gateway->bus, "events.find", text("?"), 2000);
    UNTIL(&pair, query->request_count == 1);
    assert_int_equal(query->requests[0].ms, 2000);
    pass_time(&pair, 1500);
    assert_int_equal(gateway->reply_count, 0);
    pass_time(&pair, 700);
    UNTIL(&pair, gateway->reply_count == 1);
    assert_int_equal(gateway->replies[0].verdict, BUS_TOO_LATE);
    bus_answer(query->bus, query->requests[0].ticket, 0, text(""), text("late"));
    settle(&pair);
    assert_int_equal(gateway->reply_count, 1);
    assert_int_equal(broker_counters(pair.broker)->late, 1);
    pair_close(&pair);
}

static void an_owner_that_goes_is_told_to_those_who_wait(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *query = owner(&pair, "1"), *gateway = asker(&pair);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, query->request_count == 1);
    leave(query);
    UNTIL(&pair, gateway->reply_count == 1);
    assert_int_equal(gateway->replies[0].verdict, BUS_OWNER_GONE);
    pair_close(&pair);
}

static void a_successor_takes_over_the_service(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *old = owner(&pair, "1"), *gateway = asker(&pair);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, old->request_count == 1);
    old->is_stopped = true;
    struct actor *new = owner(&pair, "1");
    UNTIL(&pair, gateway->reply_count == 1);
    assert_int_equal(gateway->replies[0].verdict, BUS_OWNER_GONE);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, new->request_count == 1);
    pair_close(&pair);
}

static void an_asker_that_goes_is_forgotten(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *query = owner(&pair, "1"), *gateway = asker(&pair);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, query->request_count == 1);
    leave(gateway);
    settle(&pair);
    bus_answer(query->bus, query->requests[0].ticket, 0, text(""), text("to whom?"));
    settle(&pair);
    assert_int_equal(broker_counters(pair.broker)->answered, 0);
    assert_int_equal(broker_counters(pair.broker)->refused, 0);
    pair_close(&pair);
}

static void without_a_connection_a_question_fails_and_tickets_are_void(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *query = owner(&pair, "1"), *gateway = asker(&pair);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, query->request_count == 1);
    broker_destroy(&pair.broker);
    UNTIL(&pair, gateway->reply_count == 1 && query->downs == 1);
    assert_int_equal(gateway->replies[0].verdict, BUS_NO_CONNECTION);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, gateway->reply_count == 2);
    assert_int_equal(gateway->replies[1].verdict, BUS_NO_CONNECTION);
    start_broker(&pair);
    UNTIL(&pair, gateway->ups == 2 && query->ups == 2);
    bus_answer(query->bus, query->requests[0].ticket, 0, text(""), text("of old"));
    bus_ask(gateway->bus, "events.find", text("again"), 60000);
    UNTIL(&pair, query->request_count == 2);
    bus_answer(query->bus, query->requests[1].ticket, 0, text(""), text("new"));
    UNTIL(&pair, gateway->reply_count == 3);
    assert_string_equal(gateway->replies[2].body, "new");
    pair_close(&pair);
}

static void a_large_reply_passes_and_a_larger_one_is_refused(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    struct actor *query = owner(&pair, "1"), *gateway = asker(&pair);
    size_t size = (size_t)96 << 20;
    char *large = calloc(1, size + 1);
    assert_non_null(large);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    bus_ask(gateway->bus, "events.find", text("?"), 60000);
    UNTIL(&pair, query->request_count == 2);
    bus_answer(query->bus, query->requests[0].ticket, 0, text(""), (struct bus_bytes){ large, size });
    bus_answer(query->bus, query->requests[1].ticket, 0, text(""), (struct bus_bytes){ large, size + 1 });
    UNTIL(&pair, gateway->reply_count == 2);
    assert_int_equal(gateway->replies[0].size, size);
    assert_int_equal(gateway->replies[1].verdict, BUS_TOO_LARGE);
    free(large);
    pair_close(&pair);
}

static int tell_own(void *owner_, const char *service, struct bus_bytes query, struct broker_reply *reply)
{
    (void)owner_;
    assert_string_equal(service, "broker.stats");
    reply->body_size = query.size;
    reply->body = malloc(query.size);
    assert_non_null(reply->body);
    memcpy(reply->body, query.data, query.size);
    return 7;
}

static void the_broker_answers_for_itself(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    broker_answers(pair.broker, "broker.stats", tell_own);
    struct actor *gateway = asker(&pair);
    bus_ask(gateway->bus, "broker.stats", text("echo"), 1000);
    UNTIL(&pair, gateway->reply_count == 1);
    assert_int_equal(gateway->replies[0].verdict, 7);
    assert_string_equal(gateway->replies[0].body, "echo");
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_owners_take_turns),
        cmocka_unit_test(nobody_answers_is_told_at_once),
        cmocka_unit_test(the_deadline_is_kept_and_a_late_answer_dropped),
        cmocka_unit_test(an_owner_that_goes_is_told_to_those_who_wait),
        cmocka_unit_test(a_successor_takes_over_the_service),
        cmocka_unit_test(an_asker_that_goes_is_forgotten),
        cmocka_unit_test(without_a_connection_a_question_fails_and_tickets_are_void),
        cmocka_unit_test(a_large_reply_passes_and_a_larger_one_is_refused),
        cmocka_unit_test(the_broker_answers_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
