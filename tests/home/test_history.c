/* test_history.c - what the recorder keeps and gives back: as Home Assistant did in the recordings. */
#include "scene.h"

#include "../ingest/recording.h"

#include <math.h>

static void history_answers_what_was(void **state)
{
    struct scene *scene = *state;
    struct world *world = scene->home->world;

    enter_as_admin(scene);
    world_add_plain(world, slice_of("sensor.x"), slice_of("1"), slice_of("{\"a\":1}"));
    struct entity *entity = world_find(world, slice_of("sensor.x"));
    world_set_time(world, NOW + 10 * SECOND_US);
    world_write(world, entity, slice_of("2"), slice_of("{\"a\":1}"), NULL);
    world_set_time(world, NOW + 20 * SECOND_US);
    world_write(world, entity, slice_of("2"), slice_of("{\"a\":2}"), NULL);
    scene->home->now_us = NOW + 21 * SECOND_US;
    char question[300], from[ISO_ROOM];
    size_t size = moment_iso(&world->calendar, from, NOW + 5 * SECOND_US);
    snprintf(question, sizeof question,
        "{\"id\":1,\"type\":\"history/history_during_period\",\"start_time\":\"%.*s\",\"entity_ids\":"
        "[\"sensor.x\",\"sensor.none\"],\"significant_changes_only\":false,\"minimal_response\":false}",
        (int)size, from);
    say(scene, question);
    struct slice rows = read_member(read_member(hear(scene), "result"), "sensor.x"), key, row[4];
    size_t count = 0;
    while (count < 4 && read_next(&rows, &key, &row[count]))
        count++;
    assert_int_equal(count, 3);
    assert_true(slice_is(read_member(row[0], "s"), "\"1\"")); /* what was current at the start */
    assert_true(slice_is(read_member(row[1], "s"), "\"2\""));
    assert_int_equal(read_member(row[1], "lc").size, 0);
    assert_true(slice_is(read_member(row[2], "a"), "{\"a\":2}"));
    assert_true(read_member(row[2], "lc").size > 0);
    say(scene,
        "{\"id\":2,\"type\":\"history/history_during_period\",\"start_time\":\"soon\",\"entity_ids\":[\"sensor.x\"]}");
    assert_heard(scene, "invalid_start_time");
}

static void history_forgets_the_oldest_first(void **state)
{
    struct history *history = history_new(&(struct history_options){.bytes = 4096});
    struct text text = {0};

    (void)state;
    for (int64_t i = 1; i <= 1000; i++) {
        char digits[24];
        snprintf(digits, sizeof digits, "%lld", (long long)i);
        history_add(history, &(struct row){.entity_id = slice_of("sensor.x"),
                                 .state = slice_of(digits),
                                 .attributes = slice_of("{}"),
                                 .updated_us = i * SECOND_US,
                                 .changed_us = i * SECOND_US});
    }
    history_answer(history, &text,
        &(struct question){.entity_ids = slice_of("[\"sensor.x\"]"),
            .end_s = 1e10,
            .now_us = 2000 * SECOND_US,
            .start_state = true,
            .attributes = true});
    struct slice rows = read_member(text_view(&text), "sensor.x"), key, row = {0};
    int64_t last = 0, first = 0;
    struct text word = {0};
    while (read_next(&rows, &key, &row)) {
        assert_true(read_text(read_member(row, "s"), &word));
        int64_t number = strtoll(word.data, NULL, 10);
        first = first ? first : number;
        assert_true(last == 0 || number == last + 1);
        last = number;
    }
    assert_int_equal(last, 1000);
    assert_in_range(first, 900, 960);
    text_free(&word);
    text_free(&text);
    history_destroy(&history);
}

/* --- against the recordings ------------------------------------------------------------------- */

struct check {
    struct history *history;
    struct {
        int64_t id;
        struct text question;
        double given_s; /* of a stream: the newest time it has sent, by its own word */
    } sent[64];
    size_t sent_count, rows, removals, checked;
    bool has_states;
};

static int64_t moment_of(struct slice object, const char *key)
{
    struct text text = {0};
    int64_t us = read_text(read_member(object, key), &text) ? moment_parse(text_view(&text)) : -1;

    text_free(&text);
    return us;
}

static void add_state(struct check *check, struct slice state, struct slice entity_id, int64_t removed_us)
{
    struct text id = {0}, word = {0};

    assert_true(read_text(entity_id, &id));
    read_text(read_member(state, "state"), &word);
    history_add(check->history, &(struct row){.entity_id = text_view(&id),
                                    .state = text_view(&word),
                                    .attributes = read_member(state, "attributes"),
                                    .updated_us = removed_us ? removed_us : moment_of(state, "last_updated"),
                                    .changed_us = removed_us ? removed_us : moment_of(state, "last_changed"),
                                    .gone = removed_us > 0});
    text_free(&id);
    text_free(&word);
}

static int64_t rounded(struct slice object, const char *key)
{
    struct slice raw = read_member(object, key);
    double seconds = raw.size ? strtod(raw.data, NULL) : 0, whole = floor(seconds);

    return (int64_t)whole * SECOND_US + llrint((seconds - whole) * 1e6);
}

/* Times to the microsecond: which float stands for it is the clock's doing. */
static void same_row(struct slice ours, struct slice real)
{
    struct text a = {0}, b = {0};

    bool ours_is = read_text(read_member(ours, "s"), &a), real_is = read_text(read_member(real, "s"), &b);
    bool same = ours_is == real_is && slice_same(text_view(&a), text_view(&b)) &&
        rounded(ours, "lu") == rounded(real, "lu") && rounded(ours, "lc") == rounded(real, "lc");
    if (!same || !slice_same(read_member(ours, "a"), read_member(real, "a")))
        fail_msg("%.*s\ninstead of\n%.*s", (int)ours.size, (const char *)ours.data, (int)real.size,
            (const char *)real.data);
    text_free(&a);
    text_free(&b);
}

static void same_answer(struct check *check, struct slice ours, struct slice real)
{
    struct slice key, rows, our_rest = ours, our_key, our_rows;

    while (read_next(&real, &key, &rows)) {
        struct slice row, our_row, none;
        assert_true(read_next(&our_rest, &our_key, &our_rows));
        assert_true(slice_same(key, our_key));
        while (read_next(&rows, &none, &row)) {
            assert_true(read_next(&our_rows, &none, &our_row));
            same_row(our_row, row);
            check->rows++;
            check->removals += slice_is(read_member(row, "s"), "null");
        }
        assert_false(read_next(&our_rows, &none, &our_row));
    }
    assert_false(read_next(&our_rest, &our_key, &our_rows));
    check->checked++;
}

/* after_s: the question is that of a stream, which has given so much already. */
static void ask_again(struct check *check, struct slice question, double after_s, double end_s, struct slice real)
{
    struct text answer = {0};
    int64_t end_us = moment_of(question, "end_time");
    bool all = slice_is(read_member(question, "significant_changes_only"), "false");

    history_answer(check->history, &answer,
        &(struct question){.entity_ids = read_member(question, "entity_ids"),
            .start_s = after_s > 0 ? after_s : (double)moment_of(question, "start_time") / 1e6,
            .end_s = end_us > 0 ? (double)end_us / 1e6 : end_s,
            .now_us = INT64_MAX,
            .start_state = after_s == 0,
            .attributes = true,
            .significant = !all});
    same_answer(check, text_view(&answer), real);
    text_free(&answer);
}

static void on_result(struct check *check, struct slice message, struct slice result)
{
    int64_t id = 0;

    read_int(read_member(message, "id"), &id);
    for (size_t i = 0; i < check->sent_count; i++) {
        struct slice question = text_view(&check->sent[i].question), key, state;
        if (check->sent[i].id != id)
            continue;
        if (slice_is(read_member(question, "type"), "\"get_states\"")) {
            check->has_states = true;
            while (read_next(&result, &key, &state))
                add_state(check, state, read_member(state, "entity_id"), 0);
        } else if (result.size && *(const char *)result.data == '{') {
            ask_again(check, question, 0, 0, result);
        }
    }
}

/* The first message, and what was committed after it. */
static void on_stream(struct check *check, struct slice message, struct slice event, struct slice states)
{
    double end_s = strtod(read_member(event, "end_time").data, NULL);
    int64_t id = 0;

    read_int(read_member(message, "id"), &id);
    for (size_t i = 0; i < check->sent_count; i++)
        if (check->sent[i].id == id) {
            struct slice question = text_view(&check->sent[i].question);
            ask_again(check, question, check->sent[i].given_s, end_s + 2e-6, states);
            check->sent[i].given_s = end_s;
        }
}

static void on_message(struct check *check, struct slice message)
{
    struct slice event = read_member(message, "event"), data = read_member(event, "data");
    struct slice states = read_member(event, "states"), new_state = read_member(data, "new_state");

    if (slice_is(read_member(message, "type"), "\"result\"")) {
        on_result(check, message, read_member(message, "result"));
    } else if (states.size && read_member(event, "end_time").size) {
        on_stream(check, message, event, states);
    } else if (check->has_states && slice_is(read_member(event, "event_type"), "\"state_changed\"")) {
        bool gone = slice_is(new_state, "null");
        add_state(check, new_state, read_member(data, "entity_id"), gone ? moment_of(event, "time_fired") : 0);
    }
}

static void on_frame(void *owner, bool received, struct slice text)
{
    struct check *check = owner;
    struct slice key, message;
    struct text type = {0};

    if (received && *(const char *)text.data == '[') {
        while (read_next(&text, &key, &message))
            on_message(check, message);
    } else if (received) {
        on_message(check, text);
    } else if (read_text(read_member(text, "type"), &type) && check->sent_count < 64 &&
        (slice_is(text_view(&type), "get_states") || strncmp(type.data, "history/", 8) == 0)) {
        read_int(read_member(text, "id"), &check->sent[check->sent_count].id);
        text_set(&check->sent[check->sent_count++].question, text.data, text.size);
    }
    text_free(&type);
}

static void its_answers_are_those_of_home_assistant(void **state)
{
    static const char *const names[] = {"ha-2024.3.3", "ha-2025.4.4", "ha-2026.2.3"};
    size_t rows = 0, removals = 0, checked = 0;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct check check = {.history = history_new(
            &(struct history_options){.bytes = 16 << 20, .as_2024_3 = strstr(names[i], "2024") != NULL})};
        assert_true(recording_each(names[i], on_frame, &check) > 0);
        for (size_t j = 0; j < check.sent_count; j++)
            text_free(&check.sent[j].question);
        history_destroy(&check.history);
        rows += check.rows;
        removals += check.removals;
        checked += check.checked;
    }
    print_message("%zu answers, %zu rows, %zu of them removals\n", checked, rows, removals);
    assert_int_equal(checked, 9);
    assert_true(rows > 300 && removals > 15);
}

/* --- what is there when ------------------------------------------------------------------------- */

static size_t count_rows(struct history *history, const char *entity_id, int64_t now_us)
{
    struct text text = {0}, ids = {0};
    struct slice key, row, rows;
    size_t count = 0;

    text_printf(&ids, "[\"%s\"]", entity_id);
    history_answer(history, &text,
        &(struct question){.entity_ids = text_view(&ids), .end_s = 1e11, .now_us = now_us, .attributes = true});
    rows = read_member(text_view(&text), entity_id);
    while (read_next(&rows, &key, &row))
        count++;
    text_free(&text);
    text_free(&ids);
    return count;
}

static void a_row_is_there_after_the_commit_and_gone_after_the_purge(void **state)
{
    struct history *history = history_new(
        &(struct history_options){.bytes = 65536, .commit_us = 5 * SECOND_US, .excluded = "light.*,sensor.secret_*"});
    static const char *const ids[] = {"sensor.x", "light.x", "sensor.secret_1"};

    (void)state;
    for (int second = 1; second <= 10; second++)
        for (size_t i = 0; i < 3; i++)
            history_add(history, &(struct row){.entity_id = slice_of(ids[i]),
                                     .state = slice_of("1"),
                                     .attributes = slice_of("{}"),
                                     .updated_us = NOW + second * SECOND_US,
                                     .changed_us = NOW});
    assert_int_equal(count_rows(history, "sensor.x", NOW + 10 * SECOND_US), 5);
    assert_int_equal(count_rows(history, "sensor.x", NOW + 15 * SECOND_US), 10);
    assert_int_equal(count_rows(history, "light.x", NOW + 15 * SECOND_US), 0);
    assert_int_equal(count_rows(history, "sensor.secret_1", NOW + 15 * SECOND_US), 0);
    history_sync(history, NOW + 7 * SECOND_US);
    assert_int_equal(count_rows(history, "sensor.x", NOW), 7);
    history_forget(history, NOW + 4 * SECOND_US);
    assert_int_equal(count_rows(history, "sensor.x", NOW + 15 * SECOND_US), 7);
    history_destroy(&history);
}

static void long_attributes_and_some_keys_are_not_recorded(void **state)
{
    struct history *history = history_new(&(struct history_options){.bytes = 1 << 20});
    struct text text = {0}, long_one = {0};
    static const char *const ids = "[\"light.x\",\"light.y\"]";

    (void)state;
    text_say(&long_one, "{\"a\":\"");
    for (int i = 0; i < 16384; i++)
        text_say(&long_one, "x");
    text_say(&long_one, "\"}");
    const struct row rows[] = {{.entity_id = slice_of("light.x"),
                                   .state = slice_of("on"),
                                   .attributes = slice_of("{\"effect_list\":[1],\"icon\":3,\"supported_features\":0}"),
                                   .updated_us = NOW,
                                   .changed_us = NOW},
        {.entity_id = slice_of("light.y"),
            .state = slice_of("on"),
            .attributes = text_view(&long_one),
            .updated_us = NOW,
            .changed_us = NOW}};
    history_add(history, &rows[0]);
    history_add(history, &rows[1]);
    history_answer(history, &text,
        &(struct question){.entity_ids = slice_of(ids), .end_s = 1e11, .now_us = NOW, .attributes = true});
    assert_non_null(strstr(text.data, "{\"light.x\":[{\"s\":\"on\",\"a\":{\"icon\":3},\"lu\":"));
    assert_non_null(strstr(text.data, "\"light.y\":[{\"s\":\"on\",\"a\":{},\"lu\":"));
    text_free(&text);
    text_free(&long_one);
    history_destroy(&history);
}

static void every_float_is_its_microsecond_again(void **state)
{
    int more = 0;

    (void)state;
    for (int64_t us = NOW; us < NOW + 100000; us++) {
        double seconds = moment_seconds(us), whole = floor(seconds);
        assert_int_equal((int64_t)whole * SECOND_US + llrint((seconds - whole) * 1e6), us);
        more += seconds != (double)us / 1e6;
    }
    assert_true(more > 50000);
}

/* --- history/stream ------------------------------------------------------------------------------ */

static void a_stream_gives_what_was_what_was_late_and_what_comes(void **state)
{
    struct scene *scene = *state;
    struct world *world = scene->home->world;

    scene->home->generating = false;
    history_destroy(&scene->home->history);
    scene->home->history = history_new(&(struct history_options){.bytes = 1 << 20, .commit_us = SECOND_US});
    enter_as_admin(scene);
    world_set_time(world, NOW + 3 * SECOND_US);
    world_add_plain(world, slice_of("sensor.x"), slice_of("1"), slice_of("{}"));
    struct entity *entity = world_find(world, slice_of("sensor.x"));
    world_set_time(world, NOW + 9500000);
    world_write(world, entity, slice_of("2"), slice_of("{}"), NULL);
    home_tick(scene->home, NOW + 10 * SECOND_US);
    char question[300], from[ISO_ROOM];
    size_t size = moment_iso(&world->calendar, from, NOW);
    snprintf(question, sizeof question,
        "{\"id\":1,\"type\":\"history/stream\",\"start_time\":\"%.*s\",\"entity_ids\":[\"sensor.x\"],"
        "\"significant_changes_only\":false,\"minimal_response\":false}",
        (int)size, from);
    say(scene, question);
    assert_heard(scene, "\"success\":true,\"result\":null");
    assert_heard(scene, "\"event\":{\"states\":{\"sensor.x\":[{\"s\":\"1\",\"a\":{},\"lu\":");
    world_set_time(world, NOW + 10100000);
    world_write(world, entity, slice_of("3"), slice_of("{\"supported_features\":1}"), NULL);
    world_write(world, entity, slice_of("4"), slice_of("{}"), NULL);
    home_tick(scene->home, NOW + 10200000);
    struct slice caught = hear(scene);
    assert_true(memmem(caught.data, caught.size, "\"s\":\"2\"", 7) && read_member(read_member(caught, "event"), "end_time").size);
    assert_false(memmem(caught.data, caught.size, "\"s\":\"3\"", 7));
    home_tick(scene->home, NOW + 11 * SECOND_US);
    assert_heard(scene, "{\"id\":1,\"type\":\"event\",\"event\":{\"states\":{\"sensor.x\":[{\"s\":\"3\",\"a\":{\"supported_features\":1},");
    say(scene, "{\"id\":2,\"type\":\"unsubscribe_events\",\"subscription\":1}");
    assert_heard(scene, "\"success\":true");
    assert_null(scene->home->streams);
}

/* --- a restart ------------------------------------------------------------------------------------- */

static void entities_come_up_behind_placeholders_and_history_is_still_there(void **state)
{
    struct scene *scene = *state;
    struct home *home = scene->home;

    home->generating = false;
    struct entity *late = world_find(home->world, slice_of("sensor.living_room_plug_power"));
    struct text before = {0};
    assert_non_null(late);
    text_set(&before, late->state.data, late->state.size);
    world_set_time(home->world, NOW + 1);
    world_write(home->world, late, slice_of("17.5"), text_view(&late->attributes), NULL);
    size_t rows = count_rows(home->history, late->id, INT64_MAX);
    order(scene, "restart 5", true);
    assert_string_equal(home->core_state, "NOT_RUNNING");
    order(scene, "set sensor.y 1", false);
    order(scene, "remove light.living_room_light", true);
    home_tick(home, NOW + 5 * SECOND_US);
    assert_int_equal(home->phase, STARTING);
    assert_int_equal(late->json.size, 0); /* not in get_states yet */
    home_tick(home, NOW + 8 * SECOND_US);
    assert_string_equal(home->core_state, "RUNNING");
    assert_true(slice_is(text_view(&late->state), "unavailable"));
    assert_non_null(memmem(late->attributes.data, late->attributes.size, "\"restored\":true", 15));
    home_tick(home, NOW + 9 * SECOND_US);
    assert_true(slice_is(text_view(&late->state), "17.5"));
    assert_int_equal(count_rows(home->history, late->id, INT64_MAX), rows + 2);
    struct entity *gone = world_find(home->world, slice_of("light.living_room_light"));
    assert_false(gone->present);
    assert_int_equal(gone->json.size, 0);
    text_free(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOME(history_answers_what_was),
        cmocka_unit_test(history_forgets_the_oldest_first),
        cmocka_unit_test(its_answers_are_those_of_home_assistant),
        cmocka_unit_test(a_row_is_there_after_the_commit_and_gone_after_the_purge),
        cmocka_unit_test(long_attributes_and_some_keys_are_not_recorded),
        cmocka_unit_test(every_float_is_its_microsecond_again),
        WITH_HOME(a_stream_gives_what_was_what_was_late_and_what_comes),
        WITH_HOME(entities_come_up_behind_placeholders_and_history_is_still_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
