/* test_delivery.c - the acknowledgement rule, holding, batching, questions, against a bus
 * played by the test. */
#include "fake_bus.h"
#include "actor_state.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>

struct self {
    int64_t seen[2000];          /* places, in the order they came */
    size_t seen_count;
    int verdict;                 /* of the next messages */
    int64_t refuse_place;        /* UNAVAILABLE for this one, once */
    int publishes;               /* so many event_bad for each message */
    int64_t commit_at;           /* at this place: again or release */
    bool is_failing;
    uint32_t missed;             /* LIVE messages that were left out */
    uint64_t acked_first, acked_last;
    size_t poisoned, fired, fired_tags[8];
    char poison_why[64];
    ticket_t ticket;
    int answer_verdict;
    char answer_why[64];
    enum health health;
    int64_t answer_count;
    size_t answer_rows;
};

static void publish_bad(actor_t *actor, int64_t place)
{
    struct event_bad bad = { 0 };
    SET(&bad, bytes, slice_of("x"));
    SET_TEXT(&bad, stage, "test", 4);
    SET_TEXT(&bad, why, "why", 3);
    SET(&bad, place, place);
    SET(&bad, received_at, 1);
    assert_int_equal(publish_event_bad(actor, &bad), 0);
}

static int on_raw(struct self *self, actor_t *actor, const struct event_raw *raw)
{
    self->seen[self->seen_count++] = raw->place;
    if (raw->place == self->refuse_place) {
        self->refuse_place = -1;
        return UNAVAILABLE;
    }
    for (int i = 0; i < self->publishes; i++)
        publish_bad(actor, raw->place);
    if (raw->place == self->commit_at && self->is_failing) {
        self->is_failing = false;
        actor_again(actor, 10);
    } else if (raw->place == self->commit_at) {
        actor_release(actor);
        return OK;
    }
    return self->verdict;
}

static void on_acked(struct self *self, actor_t *actor, const struct contract *topic, uint64_t first, uint64_t last)
{
    (void)actor;
    assert_ptr_equal(topic, &event_bad_contract);
    self->acked_first = first;
    self->acked_last = last;
}

static void on_poison(struct self *self, actor_t *actor, const struct contract *topic, struct slice bytes, const struct fault *fault)
{
    (void)topic, (void)bytes;
    self->poisoned++;
    snprintf(self->poison_why, sizeof self->poison_why, "%s %s", fault->field, fault->why);
    publish_bad(actor, 99);
}

static int on_types(struct self *self, actor_t *actor, const struct limit_query *query, rows_t *rows, struct page *end)
{
    (void)self, (void)actor;
    struct type_row row = { 0 };
    SET_TEXT(&row, event_type, "state_changed", 13);
    for (int64_t i = 0; i < query->limit; i++) {
        SET(&row, count, i);
        if (query->limit == 7)
            row.has_count = false;
        if (row_events_types(rows, &row))
            break;
    }
    SET(end, count, query->limit);
    return OK;
}

static int on_count(struct self *self, actor_t *actor, const struct events_query *query, struct count_reply *reply)
{
    (void)reply;
    if (query->has_device_id)
        return actor_refuse(actor, BAD_REQUEST, "device_id", "makes no sense here");
    self->ticket = actor_ticket(actor);
    return LATER;
}

static const struct handler handlers[] = {
    ON(event_raw, on_raw), ON(event_full, (event_full_fn *)NULL), ANSWER(events_types, on_types), ANSWER(events_count, on_count), { 0 }
};

static enum health tell_health(struct self *self, actor_t *actor, char *why, size_t size)
{
    (void)actor;
    if (self->health != HEALTHY)
        snprintf(why, size, "not feeling well");
    return self->health;
}

static void on_missed(struct self *self, actor_t *actor, const struct contract *topic, uint32_t count)
{
    (void)actor;
    assert_ptr_equal(topic, &event_full_contract);
    self->missed += count;
}

static const struct actor_spec spec = {
    .name = "enrich", .doc = "A test", .state = sizeof(struct self), .handlers = handlers, .acked = on_acked, .poison = on_poison,
    .health = tell_health, .missed = on_missed,
};

struct world { actor_t *actor; struct self *self; bus_t *bus; log_t *log; int log_fd; };

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct suite_config suite = { 0 };
    SET_TEXT(&suite, data, "/nonexistent", 12);
    SET_TEXT(&suite, instance, "1", 1);
    world->log_fd = memfd_create("log", 0);
    world->log = log_new(&(struct log_options){ .actor = "enrich", .level = LOG_LEVEL_DEBUG, .fd = world->log_fd });
    world->actor = actor_new(&spec, &suite, NULL, world->log);
    assert_int_equal(actor_open(world->actor, -1), 0);
    world->self = world->actor->self;
    world->bus = world->actor->bus;
    world->self->refuse_place = world->self->commit_at = -1;
    bus_up(world->bus, true);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    actor_destroy(&world->actor);
    log_destroy(&world->log);
    close(world->log_fd);
    free(world);
    return 0;
}

/* A batch of event_raw with these places. */
static void deliver(struct world *world, int64_t first, int64_t last)
{
    msgpack_sbuffer bytes;
    struct fault fault;
    msgpack_sbuffer_init(&bytes);
    for (int64_t place = first; place <= last; place++) {
        struct event_raw raw = { 0 };
        SET(&raw, event, slice_of("{}"));
        SET(&raw, place, place);
        SET(&raw, received_at, 1);
        SET(&raw, session, 1);
        SET_TEXT(&raw, provenance, "live", 4);
        assert_int_equal(event_raw_encode(&raw, &bytes, &fault), 0);
    }
    bus_deliver(world->bus, "event.raw", bytes.data, bytes.size, (uint32_t)(last - first + 1));
    msgpack_sbuffer_destroy(&bytes);
}

static void turn(struct world *world) { actor_turn(world->actor, 1); }

#define TURN_UNTIL(world, condition)                                                              \
    for (int64_t end_us = (world)->actor->clock_us + 30000000; !(condition); turn(world))         \
        assert_true((world)->actor->clock_us < end_us)

static void acknowledges_what_its_handler_has_finished(void **state)
{
    struct world *world = *state;
    deliver(world, 1, 3);
    assert_int_equal(world->self->seen_count, 3);
    assert_int_equal(world->bus->acked, 3);
    assert_int_equal(world->bus->released, 3);
}

static void acknowledges_only_when_what_the_handler_published_is_acknowledged(void **state)
{
    struct world *world = *state;
    world->self->publishes = 2;
    deliver(world, 1, 3);
    turn(world);
    assert_int_equal(world->bus->said_count, 1);
    assert_int_equal(world->bus->said[0].count, 6);
    assert_true(world->bus->said[0].is_caused);
    assert_int_equal(world->bus->acked, 0);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[0].number);
    assert_int_equal(world->bus->acked, 3);
    assert_int_equal(world->self->acked_first, 1);
    assert_int_equal(world->self->acked_last, 6);
}

static void acknowledges_a_delivery_whose_results_travel_in_several_batches_after_the_last(void **state)
{
    struct world *world = *state;
    world->self->publishes = 200;
    deliver(world, 1, 2);
    turn(world);
    TURN_UNTIL(world, world->bus->said_count == 2);
    assert_int_equal(world->bus->said[0].count, 256);
    assert_int_equal(world->bus->said[1].count, 144);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[1].number);
    assert_int_equal(world->bus->acked, 0);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[0].number);
    assert_int_equal(world->bus->acked, 2);
    assert_int_equal(world->self->acked_last, 256);
}

static void keeps_what_is_held_until_it_is_released(void **state)
{
    struct world *world = *state;
    world->self->verdict = HOLD;
    deliver(world, 1, 3);
    deliver(world, 4, 4);
    turn(world);
    assert_int_equal(world->bus->acked, 0);
    actor_release(world->actor);
    assert_int_equal(world->bus->acked, 4);
}

static void a_handler_may_release_what_was_held_before(void **state)
{
    struct world *world = *state;
    world->self->verdict = HOLD;
    world->self->commit_at = 5;
    deliver(world, 1, 3);
    deliver(world, 4, 6);
    assert_int_equal(world->bus->acked, 3); /* the sixth is still held */
    actor_release(world->actor);
    assert_int_equal(world->bus->acked, 6);
}

static void hands_over_again_in_order_and_nothing_new_before(void **state)
{
    struct world *world = *state;
    static const int64_t expected[] = { 1, 2, 3, 1, 2, 3, 4, 5 };
    world->self->verdict = HOLD;
    world->self->commit_at = 3;
    world->self->is_failing = true;
    deliver(world, 1, 5);
    assert_int_equal(world->self->seen_count, 3);
    assert_int_equal(world->bus->acked, 0);
    TURN_UNTIL(world, world->self->seen_count == 8);
    assert_memory_equal(world->self->seen, expected, sizeof expected);
    actor_release(world->actor);
    assert_int_equal(world->bus->acked, 5);
}

static void failing_again_begins_at_the_first_one_again(void **state)
{
    struct world *world = *state;
    static const int64_t expected[] = { 1, 2, 3, 1, 2, 1, 2, 3 };
    world->self->verdict = HOLD;
    world->self->commit_at = 3;
    world->self->is_failing = true;
    deliver(world, 1, 3);
    world->self->commit_at = 2;
    world->self->is_failing = true;
    TURN_UNTIL(world, world->self->seen_count == 5);
    world->self->commit_at = 3;
    TURN_UNTIL(world, world->self->seen_count == 8);
    assert_memory_equal(world->self->seen, expected, sizeof expected);
    assert_int_equal(world->bus->acked, 3);
}

static void a_message_that_cannot_be_taken_now_comes_again_and_the_order_holds(void **state)
{
    struct world *world = *state;
    static const int64_t expected[] = { 1, 2, 2, 3, 4 };
    world->self->refuse_place = 2;
    deliver(world, 1, 3);
    deliver(world, 4, 4);
    assert_int_equal(world->self->seen_count, 2);
    int64_t began_us = world->actor->clock_us;
    TURN_UNTIL(world, world->self->seen_count == 5);
    assert_true(world->actor->clock_us - began_us >= 240000);
    assert_memory_equal(world->self->seen, expected, sizeof expected);
    assert_int_equal(world->bus->acked, 4);
}

static void a_message_that_does_not_decode_is_poison_and_is_acknowledged_like_any_other(void **state)
{
    struct world *world = *state;
    bus_deliver(world->bus, "event.raw", "\x91\xa1x", 3, 1);
    turn(world);
    assert_int_equal(world->self->poisoned, 1);
    assert_int_equal(world->bus->acked, 0);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[0].number);
    assert_int_equal(world->bus->acked, 1);
}

static void a_batch_that_breaks_off_is_poison_from_there(void **state)
{
    struct world *world = *state;
    bus_deliver(world->bus, "event.raw", "\xc1\xc1\xc1", 3, 5);
    turn(world);
    assert_int_equal(world->self->poisoned, 1);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[0].number);
    assert_int_equal(world->bus->acked, 5);
}

static void a_subject_that_nobody_listens_to_is_counted(void **state)
{
    struct world *world = *state;
    bus_deliver(world->bus, "no.such", "\x80", 1, 1);
    assert_int_equal(world->actor->mismatches, 1);
    assert_int_equal(world->bus->released, 1);
}

static void what_was_left_out_for_a_listener_that_is_too_slow_is_told(void **state)
{
    struct world *world = *state;
    const struct bus_options *to = &world->bus->options;
    to->deliver(to->owner, NULL, "event.full", (struct bus_bytes){ "", 0 }, (struct bus_bytes){ "", 0 }, 0, 7);
    assert_int_equal(world->self->missed, 7);
    to->deliver(to->owner, NULL, "event.full", (struct bus_bytes){ "", 0 }, (struct bus_bytes){ "", 0 }, 0, 0);
    assert_int_equal(world->self->missed, 7);
}

static void after_a_lost_connection_nothing_of_it_is_acknowledged(void **state)
{
    struct world *world = *state;
    world->self->verdict = HOLD;
    deliver(world, 1, 2);
    world->self->verdict = OK;
    world->self->publishes = 1;
    deliver(world, 3, 3);
    turn(world);
    deliver(world, 4, 4); /* still gathering */
    actor_pause(world->actor, &event_raw_contract);
    deliver(world, 5, 6);
    bus_up(world->bus, false);
    actor_release(world->actor);
    assert_int_equal(world->bus->acked, 0);
    assert_int_equal(world->bus->released, 6);
    assert_int_equal(world->actor->incoming_count, 0);
    assert_int_equal(world->actor->flights_count, 0);
    turn(world);
    assert_int_equal(world->bus->said_count, 1);
    assert_int_equal(world->self->seen_count, 4);
}

/* A message that is handed over again while the broker is away: it will come again by itself. */
static void what_is_caused_while_the_connection_is_lost_is_waited_for_by_nobody(void **state)
{
    struct world *world = *state;
    bus_up(world->bus, true);
    world->self->verdict = HOLD;
    world->self->commit_at = 1;
    world->self->is_failing = true;
    deliver(world, 1, 1);
    bus_up(world->bus, false);
    world->self->publishes = 1;
    world->self->commit_at = 0;
    world->self->verdict = OK;
    TURN_UNTIL(world, world->self->seen_count == 2);
    turn(world);
    assert_int_equal(world->actor->flights_count, 0);
    assert_int_equal(world->actor->incoming_count, 0);
    assert_int_equal(world->bus->acked, 0);
}

static void what_it_published_of_its_own_accord_survives_a_lost_connection(void **state)
{
    struct world *world = *state;
    publish_bad(world->actor, 1);
    publish_bad(world->actor, 2);
    turn(world);
    assert_false(world->bus->said[0].is_caused);
    bus_up(world->bus, false);
    bus_up(world->bus, true);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[0].number);
    assert_int_equal(world->self->acked_first, 1);
    assert_int_equal(world->self->acked_last, 2);
}

static void a_paused_topic_waits_and_closes_its_window(void **state)
{
    struct world *world = *state;
    actor_pause(world->actor, &event_raw_contract);
    assert_int_equal(world->bus->window_messages, 0);
    deliver(world, 1, 2);
    turn(world);
    assert_int_equal(world->self->seen_count, 0);
    actor_resume(world->actor, &event_raw_contract, 77, 0);
    assert_int_equal(world->bus->window_messages, 77);
    turn(world);
    assert_int_equal(world->bus->acked, 2);
}

static void sends_at_once_when_nothing_is_in_flight_and_else_gathers_for_5_ms(void **state)
{
    struct world *world = *state;
    publish_bad(world->actor, 1);
    assert_int_equal(world->bus->said_count, 0);
    turn(world);
    assert_int_equal(world->bus->said_count, 1);
    publish_bad(world->actor, 2);
    int64_t began_us = world->actor->clock_us;
    TURN_UNTIL(world, world->bus->said_count == 2);
    assert_true(world->actor->clock_us - began_us >= 4000);
    for (int64_t i = 0; i < 300; i++)
        publish_bad(world->actor, i);
    assert_int_equal(world->bus->said_count, 3);
    assert_int_equal(world->bus->said[2].count, 256);
    assert_int_equal(actor_published(world->actor, &event_bad_contract), 302);
}

static void caused_and_uncaused_messages_travel_in_batches_of_their_own(void **state)
{
    struct world *world = *state;
    publish_bad(world->actor, 1);
    world->self->publishes = 1;
    deliver(world, 2, 2);
    publish_bad(world->actor, 3);
    turn(world);
    TURN_UNTIL(world, world->bus->said_count == 3);
    assert_false(world->bus->said[0].is_caused);
    assert_true(world->bus->said[1].is_caused);
    assert_false(world->bus->said[2].is_caused);
    world->bus->options.acked(world->actor, "event.bad", world->bus->said[2].number);
    assert_int_equal(world->self->acked_first, 3);
}

static void room_counts_what_has_not_been_sent(void **state)
{
    struct world *world = *state;
    world->bus->room = 10;
    publish_bad(world->actor, 1);
    publish_bad(world->actor, 2);
    assert_int_equal(actor_room(world->actor, &event_bad_contract), 8);
}

static void a_latest_topic_is_keyed_by_its_tags(void **state)
{
    static const struct contract latest = { .subject = "test.latest", .in = heartbeat_schema, .policy = LATEST };
    struct world *world = *state;
    struct heartbeat beat = { 0 };
    assert_int_equal(actor_publish(world->actor, &latest, &beat), -1);
    SET_TEXT(&beat, actor, "x", 1);
    SET_TEXT(&beat, instance, "12", 2);
    SET_TEXT(&beat, status, "healthy", 7);
    SET_TEXT(&beat, version, "1", 1);
    SET(&beat, pid, 1);
    SET(&beat, started_at, 1);
    SET(&beat, at, 1);
    SET(&beat, every_ms, 1);
    SET(&beat, cpu_us, 1);
    assert_int_equal(actor_publish(world->actor, &latest, &beat), 0);
    assert_int_equal(world->bus->said_count, 1);
    assert_int_equal(world->bus->said[0].key_size, 5);
    assert_memory_equal(world->bus->said[0].key, "x\x1f" "12\x1f", 5);
}

static void says_what_it_listens_to_and_answers(void **state)
{
    struct world *world = *state;
    assert_string_equal(world->bus->listens, "event.raw/0/enrich/2048 event.full/0//2048 ");
    assert_string_equal(world->bus->answers, "events.types events.count enrich.ping enrich.info enrich.stats enrich.config ");
}

/* --- questions */

static const struct told *ask(struct world *world, const char *service, const char *query, size_t size)
{
    world->bus->options.asked(world->actor, 42, service, 1000, (struct bus_bytes){ query, size });
    return world->bus->told_count ? &world->bus->told[world->bus->told_count - 1] : NULL;
}

static void a_listing_is_its_rows_and_its_end(void **state)
{
    struct world *world = *state;
    const struct told *told = ask(world, "events.types", "\x81\xa5limit\x03", 8);
    struct slice rest = { told->body, told->body_size }, one;
    struct page page;
    struct fault fault;
    size_t rows = 0;
    assert_int_equal(told->verdict, OK);
    while (frame_next(&rest, &one))
        rows++;
    assert_int_equal(rows, 3);
    assert_int_equal(page_decode((struct slice){ told->head, told->head_size }, &page, &fault), 0);
    assert_int_equal(page.count, 3);
}

static void a_row_that_breaks_its_schema_breaks_the_answer(void **state)
{
    const struct told *told = ask(*state, "events.types", "\x81\xa5limit\x07", 8);
    assert_int_equal(told->verdict, BROKEN);
    assert_int_equal(told->body_size, 0);
}

static void a_query_out_of_range_is_refused_by_name(void **state)
{
    const struct told *told = ask(*state, "events.types", "\x81\xa5limit\x00", 8);
    assert_int_equal(told->verdict, UNPROCESSABLE);
    assert_memory_equal(told->head, "\x92\xa5limit", 7);
}

static void a_refusal_carries_its_fault(void **state)
{
    const struct told *told = ask(*state, "events.count", "\x81\xa9" "device_id\xa1x", 13);
    assert_int_equal(told->verdict, BAD_REQUEST);
    assert_memory_equal(told->head, "\x92\xa9" "device_id\xb3makes no sense here", told->head_size);
}

static void a_ticket_is_answered_later(void **state)
{
    struct world *world = *state;
    struct count_reply reply = { 0 };
    assert_null(ask(world, "events.count", "\x80", 1));
    SET(&reply, count, 9);
    assert_int_equal(answer_events_count(world->actor, world->self->ticket, OK, &reply), 0);
    assert_int_equal(world->bus->told[0].ticket, 42);
    assert_int_equal(world->bus->told[0].verdict, OK);
}

static void every_actor_answers_ping_info_stats_and_config(void **state)
{
    static const char *const services[] = { "enrich.ping", "enrich.info", "enrich.stats", "enrich.config" };
    for (size_t i = 0; i < sizeof services / sizeof *services; i++) {
        const struct told *told = ask(*state, services[i], "\x80", 1);
        assert_int_equal(told->verdict, OK);
        assert_int_equal(frame_check((struct slice){ told->body, told->body_size }, 4), 0);
    }
    assert_int_equal(ask(*state, "enrich.other", "\x80", 1)->verdict, NOT_FOUND);
}

static void on_counted(struct self *self, actor_t *actor, int64_t tag, const struct answer *answer, const struct count_reply *reply)
{
    (void)actor;
    assert_int_equal(tag, 5);
    self->fired++;
    self->answer_verdict = answer->verdict;
    self->answer_count = reply ? reply->count : -1;
    snprintf(self->answer_why, sizeof self->answer_why, "%s %s", answer->fault.field, answer->fault.why);
}

static void an_asker_gets_the_reply_or_the_reason(void **state)
{
    struct world *world = *state;
    struct events_query query = { 0 };
    for (int i = 0; i < 4; i++)
        assert_int_equal(ask_events_count(world->actor, &query, 500, on_counted, 5), 0);
    const struct posed *posed = world->bus->posed;
    assert_int_equal(posed[0].deadline_ms, 500);
    struct bus_bytes none = { "", 0 }, reply = { "\x81\xa5" "count\x07", 8 };
    world->bus->options.answered(world->actor, posed[1].number, OK, none, reply);
    assert_int_equal(world->self->answer_verdict, OK);
    assert_int_equal(world->self->answer_count, 7);
    world->bus->options.answered(world->actor, posed[0].number, CONFLICT, (struct bus_bytes){ "\x92\xa1" "f\xa1w", 5 }, none);
    assert_int_equal(world->self->answer_verdict, CONFLICT);
    assert_string_equal(world->self->answer_why, "f w");
    world->bus->options.answered(world->actor, posed[2].number, BUS_NO_CONNECTION, none, none);
    assert_int_equal(world->self->answer_verdict, UNAVAILABLE);
    world->bus->options.answered(world->actor, posed[3].number, OK, none, (struct bus_bytes){ "\xc1", 1 });
    assert_int_equal(world->self->answer_verdict, BROKEN);
    assert_int_equal(world->self->answer_count, -1);
    world->bus->options.answered(world->actor, posed[3].number, OK, none, reply);
    assert_int_equal(world->self->fired, 4);
}

/* --- time */

static void on_timer(struct self *self, actor_t *actor, int64_t tag)
{
    self->fired_tags[self->fired++] = (size_t)tag;
    if (tag == 1)
        actor_after(actor, 0, on_timer, 4);
}

static void timers_fire_in_order_and_a_cancelled_one_never(void **state)
{
    struct world *world = *state;
    static const size_t expected[] = { 1, 2, 4, 3 };
    actor_after(world->actor, 20, on_timer, 3);
    actor_after(world->actor, 1, on_timer, 1);
    actor_after(world->actor, 1, on_timer, 2);
    actor_after(world->actor, 2, on_timer, 5);
    actor_cancel(world->actor, on_timer, 5);
    TURN_UNTIL(world, world->self->fired == 4);
    assert_memory_equal(world->self->fired_tags, expected, sizeof expected);
}

static struct heartbeat last_beat(struct world *world)
{
    struct heartbeat beat;
    struct fault fault;
    assert_int_equal(heartbeat_decode((struct slice){ world->bus->beat, world->bus->beat_size }, &beat, &fault), 0);
    return beat;
}

/* The process lives by real clocks here, so that the two seconds are moved back in its state. */
static void says_how_it_is_every_two_seconds_and_at_once_when_that_changes(void **state)
{
    struct world *world = *state;
    world->actor->is_ready = true;
    deliver(world, 1, 1);
    TURN_UNTIL(world, world->bus->beats > 0 && strcmp(last_beat(world).status, "healthy") == 0);
    size_t beats = world->bus->beats;
    world->self->health = DEGRADED;
    deliver(world, 2, 2);
    int64_t began_us = world->actor->clock_us;
    TURN_UNTIL(world, world->bus->beats > beats);
    assert_string_equal(last_beat(world).status, "degraded");
    assert_string_equal(last_beat(world).why, "not feeling well");
    assert_true(world->actor->said_us - began_us < 1900000); /* its turn would come later */
    beats = world->bus->beats;
    deliver(world, 3, 3);
    TURN_UNTIL(world, world->actor->looked_stirs == world->actor->stirs);
    assert_int_equal(world->bus->beats, beats); /* nothing new */
    world->actor->said_us -= 2000000;
    world->actor->beat_us -= 2000000;
    turn(world);
    assert_int_equal(world->bus->beats, beats + 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(acknowledges_what_its_handler_has_finished),
        TEST(acknowledges_only_when_what_the_handler_published_is_acknowledged),
        TEST(acknowledges_a_delivery_whose_results_travel_in_several_batches_after_the_last),
        TEST(keeps_what_is_held_until_it_is_released),
        TEST(a_handler_may_release_what_was_held_before),
        TEST(hands_over_again_in_order_and_nothing_new_before),
        TEST(failing_again_begins_at_the_first_one_again),
        TEST(a_message_that_cannot_be_taken_now_comes_again_and_the_order_holds),
        TEST(a_message_that_does_not_decode_is_poison_and_is_acknowledged_like_any_other),
        TEST(a_batch_that_breaks_off_is_poison_from_there),
        TEST(a_subject_that_nobody_listens_to_is_counted),
        TEST(what_was_left_out_for_a_listener_that_is_too_slow_is_told),
        TEST(after_a_lost_connection_nothing_of_it_is_acknowledged),
        TEST(what_is_caused_while_the_connection_is_lost_is_waited_for_by_nobody),
        TEST(what_it_published_of_its_own_accord_survives_a_lost_connection),
        TEST(a_paused_topic_waits_and_closes_its_window),
        TEST(sends_at_once_when_nothing_is_in_flight_and_else_gathers_for_5_ms),
        TEST(caused_and_uncaused_messages_travel_in_batches_of_their_own),
        TEST(room_counts_what_has_not_been_sent),
        TEST(a_latest_topic_is_keyed_by_its_tags),
        TEST(says_what_it_listens_to_and_answers),
        TEST(a_listing_is_its_rows_and_its_end),
        TEST(a_row_that_breaks_its_schema_breaks_the_answer),
        TEST(a_query_out_of_range_is_refused_by_name),
        TEST(a_refusal_carries_its_fault),
        TEST(a_ticket_is_answered_later),
        TEST(every_actor_answers_ping_info_stats_and_config),
        TEST(an_asker_gets_the_reply_or_the_reason),
        TEST(timers_fire_in_order_and_a_cancelled_one_never),
        TEST(says_how_it_is_every_two_seconds_and_at_once_when_that_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
