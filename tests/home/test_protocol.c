/* test_protocol.c - conversations with the home, without a socket: the outbox is read instead. */
#include "scene.h"

static void a_wrong_token_is_refused_and_the_connection_ends(void **state)
{
    enter(*state, "wrong");
    assert_heard(*state, "{\"type\":\"auth_invalid\",\"message\":\"Invalid access token or password\"}");
    assert_int_equal(((struct scene *)*state)->client->ending, ENDS_AFTER_REST);
    say(*state, "{\"id\":1,\"type\":\"ping\"}");
    assert_int_equal(hear(*state).size, 0);
}

static void commands_before_authentication_are_refused(void **state)
{
    assert_heard(*state, "auth_required");
    say(*state, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(*state, "auth_invalid");
}

static void nobody_may_wait_with_the_token_for_ever(void **state)
{
    struct scene *scene = *state;

    home_tick(scene->home, NOW + AUTH_SECONDS * SECOND_US);
    assert_int_equal(scene->client->ending, STAYS);
    home_tick(scene->home, NOW + (AUTH_SECONDS + 1) * SECOND_US);
    assert_int_equal(scene->client->ending, ENDS_NOW);
}

static void ids_must_increase(void **state)
{
    enter_as_admin(*state);
    say(*state, "{\"id\":5,\"type\":\"ping\"}");
    assert_heard(*state, "{\"id\":5,\"type\":\"pong\"}");
    say(*state, "{\"id\":5,\"type\":\"ping\"}");
    assert_heard(*state, "\"code\":\"id_reuse\"");
    say(*state, "{\"id\":4,\"type\":\"ping\"}");
    assert_heard(*state, "\"code\":\"id_reuse\"");
    say(*state, "{\"id\":6,\"type\":\"make_coffee\"}");
    assert_heard(*state, "\"code\":\"unknown_command\"");
    say(*state, "{\"id\":\"x\"}");
    assert_heard(*state, "\"code\":\"invalid_format\"");
}

static void several_commands_may_come_in_an_array(void **state)
{
    enter_as_admin(*state);
    say(*state, "[{\"id\":1,\"type\":\"ping\"},{\"id\":2,\"type\":\"ping\"}]");
    assert_heard(*state, "\"id\":1");
    assert_heard(*state, "\"id\":2");
}

static void what_happens_reaches_its_subscribers_only(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\",\"event_type\":\"wanted\"}");
    assert_heard(scene, "{\"id\":1,\"type\":\"result\",\"success\":true,\"result\":null}");
    world_fire(scene->home->world, "other", slice_of("{}"), "LOCAL", NULL);
    world_fire(scene->home->world, "wanted", slice_of("{\"n\":1}"), "LOCAL", NULL);
    assert_heard(
        scene, "{\"type\":\"event\",\"event\":{\"event_type\":\"wanted\",\"data\":{\"n\":1},\"origin\":\"LOCAL\"");
    say(scene, "{\"id\":2,\"type\":\"unsubscribe_events\",\"subscription\":1}");
    assert_heard(scene, "\"success\":true");
    world_fire(scene->home->world, "wanted", slice_of("{}"), "LOCAL", NULL);
    assert_int_equal(hear(scene).size, 0);
    say(scene, "{\"id\":3,\"type\":\"unsubscribe_events\",\"subscription\":1}");
    assert_heard(scene, "\"code\":\"not_found\"");
}

static void only_administrators_hear_everything(void **state)
{
    enter(*state, LIMITED);
    assert_heard(*state, "auth_ok");
    say(*state, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(*state, "\"code\":\"unauthorized\"");
    say(*state, "{\"id\":2,\"type\":\"subscribe_events\",\"event_type\":\"zha_event\"}");
    assert_heard(*state, "\"code\":\"unauthorized\"");
    say(*state, "{\"id\":3,\"type\":\"subscribe_events\",\"event_type\":\"state_changed\"}");
    assert_heard(*state, "\"success\":true");
}

static void a_service_acts_within_one_context(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(scene, "\"success\":true");
    struct entity *light = world_find(scene->home->world, slice_of("light.living_room_light"));
    assert_non_null(light);
    say(scene, "{\"id\":2,\"type\":\"call_service\",\"domain\":\"light\",\"service\":\"toggle\",\"target\":{\"entity_"
               "id\":[\"light.living_room_light\"]}}");
    struct text called = {0}, changed = {0};
    struct slice context = read_member(read_member(hear(scene), "event"), "context");
    text_set(&called, context.data, context.size);
    context = read_member(read_member(hear(scene), "event"), "context");
    text_set(&changed, context.data, context.size);
    assert_true(slice_same(text_view(&called), text_view(&changed)));
    context = read_member(read_member(hear(scene), "result"), "context");
    assert_true(slice_same(text_view(&called), context));
    assert_true(read_member(context, "user_id").size == 34);
    text_free(&called);
    text_free(&changed);
    say(scene, "{\"id\":3,\"type\":\"call_service\",\"domain\":\"light\",\"service\":\"explode\"}");
    assert_heard(scene, "Service light.explode not found.");
}

static void entities_come_as_a_snapshot_and_its_differences(void **state)
{
    struct scene *scene = *state;
    struct world *world = scene->home->world;

    enter_as_admin(scene);
    world_add_plain(world, slice_of("sensor.x"), slice_of("1"), slice_of("{\"a\":1,\"b\":2}"));
    say(scene, "{\"id\":1,\"type\":\"subscribe_entities\",\"entity_ids\":[\"sensor.x\"]}");
    assert_heard(scene, "\"success\":true");
    assert_heard(
        scene, "{\"type\":\"event\",\"event\":{\"a\":{\"sensor.x\":{\"s\":\"1\",\"a\":{\"a\":1,\"b\":2},\"c\":\"");
    struct entity *entity = world_find(world, slice_of("sensor.x"));
    world_write(world, entity, slice_of("2"), slice_of("{\"a\":3}"), NULL);
    struct slice change = read_member(read_member(read_member(hear(scene), "event"), "c"), "sensor.x");
    struct slice added = read_member(change, "+");
    assert_true(slice_is(read_member(added, "s"), "\"2\""));
    assert_true(slice_is(read_member(added, "a"), "{\"a\":3}"));
    assert_true(read_member(added, "lc").size > 10);
    assert_true(slice_is(read_member(change, "-"), "{\"a\":[\"b\"]}"));
    world_remove(world, entity);
    assert_heard(scene, "{\"type\":\"event\",\"event\":{\"r\":[\"sensor.x\"]},\"id\":1}");
}

/* --- what waits --------------------------------------------------------------------------------- */

static void messages_are_joined_only_if_the_client_may_be_sent_arrays(void **state)
{
    struct outbox outbox = {0};
    struct text frames = {0};

    (void)state;
    for (int i = 0; i < 3; i++) {
        outbox.event++;
        outbox_put(&outbox, slice_of("{"), slice_of("\"a\":1"), slice_of("}"));
    }
    outbox.event++;
    outbox_put_frame(&outbox, slice_of("[9]"));
    outbox_put(&outbox, slice_of("1"), (struct slice){0}, (struct slice){0});
    assert_int_equal(outbox.pending, 5);
    outbox_frames(&outbox, &frames, 1 << 20, true);
    static const char joined[] = "\x81\x19[{\"a\":1},{\"a\":1},{\"a\":1}]\x81\x03[9]\x81\x01"
                                 "1";
    assert_int_equal(frames.size, sizeof joined - 1);
    assert_memory_equal(frames.data, joined, sizeof joined - 1);
    assert_int_equal(outbox.pending, 0);
    outbox_wrote(&outbox, 26);
    assert_int_equal(outbox.sent_event, 0);
    outbox_wrote(&outbox, 27);
    assert_int_equal(outbox.sent_event, 3);
    outbox_wrote(&outbox, sizeof joined - 1);
    assert_int_equal(outbox.sent_event, 4);
    frames.size = 0;
    outbox_put(&outbox, slice_of("1"), (struct slice){0}, (struct slice){0});
    outbox_put(&outbox, slice_of("2"), (struct slice){0}, (struct slice){0});
    outbox_frames(&outbox, &frames, 1 << 20, false);
    assert_memory_equal(frames.data,
        "\x81\x01"
        "1\x81\x01"
        "2",
        6);
    text_free(&frames);
    outbox_free(&outbox);
}

static void a_slow_client_holds_the_house_or_is_cut_off(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    scene->home->rate = 200000;
    for (int i = 1; i < 200; i++)
        home_tick(scene->home, NOW + i * 10000);
    assert_int_equal(scene->client->ending, STAYS);
    assert_in_range(outbox_bytes(&scene->client->outbox), OUTBOX_BYTES, OUTBOX_BYTES + 100000);
    scene->options.strict = true;
    for (int i = 0; i < 100 && !scene->client->ending; i++)
        home_tick(scene->home, NOW + 2000000 + i * 10000);
    assert_int_equal(scene->client->ending, ENDS_NOW);
    assert_int_equal(scene->home->dropped, 1);
}

static void too_many_for_too_long_is_cut_off_as_well(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    scene->options.strict = true;
    scene->home->generating = false;
    for (int i = 0; i <= PEAK_PENDING; i++)
        world_fire(scene->home->world, "x", slice_of("{}"), "LOCAL", NULL);
    home_tick(scene->home, NOW + SECOND_US);
    home_tick(scene->home, NOW + (PEAK_SECONDS + 1) * SECOND_US);
    assert_int_equal(scene->client->ending, STAYS);
    home_tick(scene->home, NOW + (PEAK_SECONDS + 2) * SECOND_US);
    assert_int_equal(scene->client->ending, ENDS_NOW);
}

/* --- faults ---------------------------------------------------------------------------------------- */


static void an_array_has_as_many_events_as_asked(void **state)
{
    struct scene *scene = *state;
    size_t count = 0;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(scene, "\"success\":true");
    order(scene, "array 300\n", true);
    struct slice frame = hear(scene), key, message;
    while (read_next(&frame, &key, &message))
        count++;
    assert_in_range(count, 300, 304); /* an automation's chain is not cut */
    assert_int_equal(count, scene->home->events);
}

static void an_order_may_end_with_its_line(void **state)
{
    struct scene *scene = *state;

    order(scene, "set sensor.scripted 5\r\n", true);
    order(scene, "set sensor.blank \" 12 \" {\"a\":1} \n", true);
    assert_true(slice_is(text_view(&world_find(scene->home->world, slice_of("sensor.scripted"))->state), "5"));
    assert_true(slice_is(text_view(&world_find(scene->home->world, slice_of("sensor.blank"))->state), " 12 "));
}

static void orders_that_cannot_be_done_say_so(void **state)
{
    static const char *const bad[] = {"", "dance", "rename", "rename sensor.none sensor.x", "move sun.sun kitchen",
        "remove nothing", "add nodot", "fire", "fire x {", "fire x []", "set", "set sensor.x 1 nojson"};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        order(*state, bad[i], false);
}

static void a_restart_closes_waits_and_brings_everything_up_again(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(scene, "\"success\":true");
    scene->home->generating = false;
    order(scene, "restart 5", true);
    assert_heard(scene, "homeassistant_stop");
    assert_heard(scene, "homeassistant_final_write");
    assert_int_equal(scene->client->ending, ENDS_AFTER_REST);
    session_closed(scene->client, "restart");
    home_tick(scene->home, NOW + 4 * SECOND_US);
    assert_int_equal(scene->home->phase, DOWN);
    home_tick(scene->home, NOW + 5 * SECOND_US);
    assert_int_equal(scene->home->phase, STARTING);
    scene->client = session_open(scene->home, NULL);
    scene->at = scene->frames.size = 0;
    enter_as_admin(scene);
    say(scene, "{\"id\":1,\"type\":\"subscribe_events\"}");
    assert_heard(scene, "\"success\":true");
    home_tick(scene->home, NOW + 20 * SECOND_US);
    assert_int_equal(scene->home->phase, RUNNING);
    size_t states = 0, loaded = 0, started = 0;
    for (struct slice frame; (frame = hear(scene)).size;) {
        struct slice event = read_member(frame, "event"), type = read_member(event, "event_type");
        loaded += slice_is(type, "\"component_loaded\"");
        started += slice_is(type, "\"homeassistant_started\"");
        if (slice_is(type, "\"state_changed\"")) {
            assert_true(slice_is(read_member(read_member(event, "data"), "old_state"), "null"));
            states++;
        }
    }
    assert_true(states > 40);
    assert_true(loaded > 10);
    assert_int_equal(started, 1);
}

static void late_registries_come_late_and_events_before_them(void **state)
{
    struct scene *scene = *state;

    enter_as_admin(scene);
    order(scene, "registry-delay 2000", true);
    say(scene, "{\"id\":1,\"type\":\"config/area_registry/list\"}");
    scene->home->generating = false;
    home_tick(scene->home, NOW + SECOND_US);
    assert_int_equal(hear(scene).size, 0);
    home_tick(scene->home, NOW + 2 * SECOND_US);
    assert_heard(scene, "\"area_id\"");
}

static void broken_texts_do_not_break_the_reader(void **state)
{
    static const char *const texts[] = {
        "", "{", "[1,", "{\"a\"", "{\"a\":}", "\"", "\"\\", "{\"a\":1}}", "[[[[", "nul", "{,}", "[1 2]", "{\"a\" 1}"};
    struct slice key, value;
    struct text out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *copy = malloc(strlen(texts[i]) + 1); /* exactly as long: the sanitizer sees a step too far */
        memcpy(copy, texts[i], strlen(texts[i]) + 1);
        struct slice rest = {copy, strlen(texts[i])};
        if (i != 9)
            assert_false(read_valid(rest));
        while (read_next(&rest, &key, &value))
            read_text(value, &out);
        read_member((struct slice){copy, strlen(copy)}, "a");
        free(copy);
    }
    assert_true(read_text(slice_of("\"\\u00e9\\ud83c\\udfe0\\n\\\"\""), &out));
    assert_string_equal(out.data, "é🏠\n\"");
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(a_wrong_token_is_refused_and_the_connection_ends),
        WITH_HOME(commands_before_authentication_are_refused),
        WITH_HOME(nobody_may_wait_with_the_token_for_ever),
        WITH_HOME(ids_must_increase),
        WITH_HOME(several_commands_may_come_in_an_array),
        WITH_HOME(what_happens_reaches_its_subscribers_only),
        WITH_HOME(only_administrators_hear_everything),
        WITH_HOME(a_service_acts_within_one_context),
        WITH_HOME(entities_come_as_a_snapshot_and_its_differences),
        cmocka_unit_test(messages_are_joined_only_if_the_client_may_be_sent_arrays),
        WITH_HOME(a_slow_client_holds_the_house_or_is_cut_off),
        WITH_HOME(too_many_for_too_long_is_cut_off_as_well),
        WITH_HOME(an_array_has_as_many_events_as_asked),
        WITH_HOME(an_order_may_end_with_its_line),
        WITH_HOME(orders_that_cannot_be_done_say_so),
        WITH_HOME(a_restart_closes_waits_and_brings_everything_up_again),
        WITH_HOME(late_registries_come_late_and_events_before_them),
        cmocka_unit_test(broken_texts_do_not_break_the_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
