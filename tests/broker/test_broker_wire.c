/* test_broker_wire.c - what makes no sense is counted and refused by the broker. */
#include "pair.h"

#include "core.h"

static void hear(broker_t *broker, const char *id, const struct wire *wire, const char *first, const char *second)
{
    struct letter letter;
    uint8_t header[WIRE_HEADER];
    letter_init(&letter);
    wire_pack(wire, header);
    part_of(&letter.from, id, strlen(id));
    part_of(&letter.header, header, sizeof header);
    if (first)
        part_of(&letter.parts[letter.part_count++], first, strlen(first));
    if (second)
        part_of(&letter.parts[letter.part_count++], second, strlen(second));
    broker_take(broker, &letter, BROKER_ADDRESSES); /* no socket: nothing is sent back */
    letter_clear(&letter);
}

static broker_t *deaf_broker(void)
{
    broker_t *broker = broker_new(&(struct broker_options){ .silence_ms = 3000, .publisher_messages = 100,
        .publisher_bytes = 1000, .last_values_bytes = 100000 });
    assert_non_null(broker);
    broker_work(broker, 1000000);
    hear(broker, "peer", &(struct wire){ .verb = VERB_HELLO, .count = WIRE_VERSION, .number = 5 }, "actor", "1");
    assert_int_equal(broker_counters(broker)->peers, 1);
    return broker;
}

static void the_header_comes_back_as_it_was(void **state)
{
    (void)state;
    struct wire wire = { .verb = VERB_PUBLISH, .flags = 3, .topic = 0x1234, .count = 0x12345678,
        .number = UINT64_C(0x123456789abcdef0), .bytes = 7, .extra = UINT64_MAX };
    struct letter letter;
    uint8_t header[WIRE_HEADER];
    letter_init(&letter);
    wire_pack(&wire, header);
    part_of(&letter.header, header, sizeof header);
    part_of(&letter.parts[letter.part_count++], "x", 1);
    assert_int_equal(letter_read(&letter, SAID_BY_ACTOR), 0);
    assert_int_equal(letter.wire.topic, 0x1234);
    assert_int_equal(letter.wire.count, 0x12345678);
    assert_true(letter.wire.number == wire.number && letter.wire.extra == wire.extra && letter.wire.bytes == 7);
    assert_int_equal(letter_read(&letter, SAID_BY_BROKER), -1);
    letter_clear(&letter);
}

static void letters_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    static const struct { struct wire wire; const char *first, *second; } letters[] = {
        { { .verb = VERB_COUNT }, NULL, NULL },
        { { .verb = 255 }, NULL, NULL },
        { { .verb = VERB_PROBE }, NULL, NULL },
        { { .verb = VERB_WELCOME, .count = 1, .bytes = 1, .extra = 1 }, NULL, NULL },
        { { .verb = VERB_HELLO, .count = WIRE_VERSION }, "name", NULL },
        { { .verb = VERB_HELLO, .count = WIRE_VERSION + 1 }, "name", "1" },
        { { .verb = VERB_HELLO, .count = WIRE_VERSION }, "", "1" },
        { { .verb = VERB_HELLO, .count = WIRE_VERSION }, "na me", "1" },
        { { .verb = VERB_HELLO, .count = WIRE_VERSION }, "na/me", "1" },
        { { .verb = VERB_PUBLISHES, .topic = 1, .flags = 3 }, "subject", "" },
        { { .verb = VERB_PUBLISHES, .topic = WIRE_TOPICS }, "subject", "" },
        { { .verb = VERB_PUBLISHES, .topic = 1 }, "sub\nject", "" },
        { { .verb = VERB_LISTENS, .topic = 1, .count = 1 }, "subject", "group" },
        { { .verb = VERB_LISTENS, .topic = 1, .flags = BUS_LIVE, .count = 1, .bytes = 1 }, "subject", "group" },
        { { .verb = VERB_ANSWERS, .topic = 1 }, "", NULL },
        { { .verb = VERB_WINDOW, .topic = 9, .count = 1, .bytes = 1 }, NULL, NULL },
        { { .verb = VERB_PUBLISH, .topic = 9, .count = 1, .number = 1 }, "payload", NULL },
        { { .verb = VERB_ACK, .topic = 9, .number = 1 }, NULL, NULL },
        { { .verb = VERB_ACK, .topic = 9, .count = 3 }, NULL, NULL },
        { { .verb = VERB_ACK, .topic = 9, .count = UINT32_MAX }, NULL, NULL },
        { { .verb = VERB_TAKEN, .topic = 9, .count = 1 }, NULL, NULL },
        { { .verb = VERB_ASK, .number = 0 }, "service", "query" },
        { { .verb = VERB_ASK, .number = 1 }, "", "query" },
        { { .verb = VERB_PING }, "part", NULL },
    };
    broker_t *broker = deaf_broker();
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++) {
        hear(broker, "peer", &letters[i].wire, letters[i].first, letters[i].second);
        assert_int_equal(broker_counters(broker)->refused, i + 1);
    }
    assert_int_equal(broker_counters(broker)->peers, 1);
    broker_destroy(&broker);
}

static void a_number_is_declared_once(void **state)
{
    (void)state;
    broker_t *broker = deaf_broker();
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "subject", "a,b");
    assert_int_equal(broker_counters(broker)->refused, 0);
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "other", "");
    assert_int_equal(broker_counters(broker)->refused, 1);
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 2, .flags = BUS_LATEST }, "subject", "");
    assert_int_equal(broker_counters(broker)->refused, 2); /* the policy is another */
    hear(broker, "peer", &(struct wire){ .verb = VERB_LISTENS, .topic = 1, .count = 1, .bytes = 1 }, "subject", "a");
    assert_int_equal(broker_counters(broker)->refused, 3);
    broker_destroy(&broker);
}

static void a_stranger_declares_nothing(void **state)
{
    (void)state;
    broker_t *broker = deaf_broker();
    hear(broker, "stranger", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "subject", "a");
    hear(broker, "stranger", &(struct wire){ .verb = VERB_PUBLISH, .topic = 1, .number = 1, .count = 1 }, "x", NULL);
    hear(broker, "stranger", &(struct wire){ .verb = VERB_ASK, .number = 1 }, "service", "query");
    assert_int_equal(broker_counters(broker)->published, 0);
    assert_int_equal(broker_counters(broker)->asked, 0);
    broker_destroy(&broker);
}

static void one_who_left_is_heard_no_more(void **state)
{
    (void)state;
    broker_t *broker = deaf_broker();
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "subject", "a");
    hear(broker, "peer", &(struct wire){ .verb = VERB_BYE }, NULL, NULL);
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISH, .topic = 1, .number = 1, .count = 1 }, "x", NULL);
    assert_int_equal(broker_counters(broker)->published, 0);
    assert_int_equal(broker_counters(broker)->refused, 0);
    assert_int_equal(broker_counters(broker)->peers, 0);
    broker_destroy(&broker);
}

/* Each of five peers declares as much as one may; the last finds no place. */
static void fill_up(broker_t *broker, enum verb verb)
{
    for (int p = 0; p < 5; p++) {
        char id[8], subject[16];
        snprintf(id, sizeof id, "p%d", p);
        hear(broker, id, &(struct wire){ .verb = VERB_HELLO, .count = WIRE_VERSION, .number = 7 }, id, "1");
        for (uint16_t i = 0; i < WIRE_TOPICS; i++) {
            snprintf(subject, sizeof subject, "%d.%d", p, i);
            hear(broker, id, &(struct wire){ .verb = (uint8_t)verb, .topic = i }, subject, verb == VERB_PUBLISHES ? "g" : NULL);
        }
    }
    assert_int_equal(broker_counters(broker)->refused, WIRE_TOPICS);
    for (int p = 0; p < 5; p++) {
        char id[8];
        snprintf(id, sizeof id, "p%d", p);
        hear(broker, id, &(struct wire){ .verb = VERB_BYE }, NULL, NULL);
    }
}

static void places_that_were_taken_up_are_free_when_their_takers_have_gone(void **state)
{
    (void)state;
    static const enum verb verbs[] = { VERB_PUBLISHES, VERB_ANSWERS };
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        broker_t *broker = deaf_broker();
        fill_up(broker, verbs[i]);
        hear(broker, "peer", &(struct wire){ .verb = (uint8_t)verbs[i], .topic = 1 }, "late", i == 0 ? "g" : NULL);
        assert_int_equal(broker_counters(broker)->refused, WIRE_TOPICS);
        broker_destroy(&broker);
    }
}

static void groups_that_were_made_up_are_free_when_their_maker_has_gone(void **state)
{
    (void)state;
    broker_t *broker = deaf_broker();
    hear(broker, "evil", &(struct wire){ .verb = VERB_HELLO, .count = WIRE_VERSION, .number = 7 }, "evil", "1");
    hear(broker, "evil", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "event.raw",
        "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v");
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "event.raw", "sink");
    assert_int_equal(broker_counters(broker)->refused, 1);
    hear(broker, "evil", &(struct wire){ .verb = VERB_BYE }, NULL, NULL);
    hear(broker, "peer", &(struct wire){ .verb = VERB_PUBLISHES, .topic = 1 }, "event.raw", "sink");
    assert_int_equal(broker_counters(broker)->refused, 1);
    broker_destroy(&broker);
}

static void *deaf_socket(void *context, const char *endpoint)
{
    int linger = 0, most = 1;
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(dealer, ZMQ_RCVHWM, &most, sizeof most);
    zmq_connect(dealer, endpoint);
    return dealer;
}

static void who_asks_and_never_reads_is_given_up(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    void *context = zmq_ctx_new(), *dealer = deaf_socket(context, pair.endpoint);
    zmq_msg_t names[2];
    part_of(&names[0], "deaf", 4);
    part_of(&names[1], "1", 1);
    wire_send(dealer, NULL, &(struct wire){ .verb = VERB_HELLO, .count = WIRE_VERSION, .number = 7 }, names, 2);
    UNTIL(&pair, broker_counters(pair.broker)->peers == 1);
    for (int i = 0; i < 100000 && broker_counters(pair.broker)->peers == 1; i++) {
        wire_send(dealer, NULL, &(struct wire){ .verb = VERB_PING }, NULL, 0);
        if (i % 100 == 0)
            turn(&pair);
    }
    UNTIL(&pair, broker_counters(pair.broker)->peers == 0);
    assert_int_equal(broker_counters(pair.broker)->gone, 1);
    zmq_close(dealer);
    zmq_ctx_term(context);
    pair_close(&pair);
}

static void foreign_sockets_do_not_hurt(void **state)
{
    (void)state;
    struct pair pair;
    pair_open(&pair);
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    int linger = 0;
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    zmq_connect(dealer, pair.endpoint);
    for (int i = 0; i < 10; i++) {
        zmq_send(dealer, "", 0, ZMQ_SNDMORE);
        zmq_send(dealer, "rubbish", 7, ZMQ_SNDMORE);
        zmq_send(dealer, "rubbish", 7, ZMQ_SNDMORE);
        zmq_send(dealer, "rubbish", 7, 0);
        zmq_send(dealer, "rubbish", 7, 0);
    }
    UNTIL(&pair, broker_counters(pair.broker)->refused == 20);
    struct actor *good = actor(&pair, "good", "1");
    UNTIL(&pair, good->ups == 1);
    zmq_close(dealer);
    zmq_ctx_term(context);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_comes_back_as_it_was),
        cmocka_unit_test(letters_that_make_no_sense_are_refused),
        cmocka_unit_test(a_number_is_declared_once),
        cmocka_unit_test(a_stranger_declares_nothing),
        cmocka_unit_test(one_who_left_is_heard_no_more),
        cmocka_unit_test(places_that_were_taken_up_are_free_when_their_takers_have_gone),
        cmocka_unit_test(groups_that_were_made_up_are_free_when_their_maker_has_gone),
        cmocka_unit_test(who_asks_and_never_reads_is_given_up),
        cmocka_unit_test(foreign_sockets_do_not_hurt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
