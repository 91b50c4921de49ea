/* test_world.c - the house: seeded, strictly ordered, valid JSON, in chains, consistent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "read.h"
#include "shapes.h"

#include <math.h>
#include <stdlib.h>

#define NOON INT64_C(1795431600000000) /* 2026-11-23T11:00:00Z, noon at the home */
#define EVENING (NOON + 7 * HOUR_US)

/* What happened, as it is needed by a test. */
struct seen {
    size_t count, chains, removals, odd;
    int64_t last_us;
    uint64_t hash;
    bool check;
};

static void check_event(struct seen *seen, const struct happening *happening)
{
    struct text iso = {0};

    assert_true(read_valid(happening->json));
    assert_true(happening->t_us > seen->last_us);
    assert_true(read_text(read_member(happening->json, "time_fired"), &iso));
    assert_int_equal(iso.size == 25 ? 0 : iso.size, iso.size == 25 ? 0 : 32);
    assert_int_equal(moment_parse(text_view(&iso)), happening->t_us);
    if (happening->new_json.size) {
        struct text updated = {0};
        assert_true(read_text(read_member(happening->new_json, "last_updated"), &updated));
        assert_true(slice_same(text_view(&updated), text_view(&iso)));
        text_free(&updated);
    }
    text_free(&iso);
}

static void see(void *owner, const struct happening *happening)
{
    struct seen *seen = owner;
    struct slice parent = read_member(read_member(happening->json, "context"), "parent_id");

    if (seen->check)
        check_event(seen, happening);
    seen->count++;
    seen->last_us = happening->t_us;
    seen->removals += happening->entity && !happening->new_json.size;
    seen->odd += happening->entity && strncmp(happening->entity->id, "sensor.odd_", 11) == 0;
    seen->chains += parent.size == ULID_SIZE + 2;
    for (size_t i = 0; i < happening->json.size; i++)
        seen->hash = seen->hash * 31 + ((const unsigned char *)happening->json.data)[i];
}

static struct world *house(uint64_t seed, size_t entities, struct seen *seen, int64_t now_us)
{
    struct world *world = world_new(HA_2026_2, seed, entities, now_us);

    world->owner = seen;
    world->happen = see;
    return world;
}

static void live(struct world *world, int64_t now_us, int steps)
{
    for (int i = 0; i < steps; i++)
        world_step(world, now_us + i * (SECOND_US / 12));
}

static void the_same_seed_makes_the_same_day(void **state)
{
    struct seen seen[3] = {{0}};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct world *world = house(i < 2 ? 7 : 8, 110, &seen[i], EVENING);
        live(world, EVENING, 5000);
        world_destroy(&world);
    }
    assert_true(seen[0].hash == seen[1].hash);
    assert_true(seen[0].hash != seen[2].hash);
}

static void every_event_is_json_with_a_moment_of_its_own(void **state)
{
    struct seen seen = {.check = true};

    (void)state;
    struct world *world = house(1, 110, &seen, EVENING);
    live(world, EVENING, 30000);
    for (int i = 0; i < 5000; i++) /* the clock stands still, then goes back */
        world_step(world, EVENING - (i > 2500 ? HOUR_US : 0));
    assert_true(seen.count > 10000);
    assert_true(seen.removals > 10);
    assert_true(seen.odd > 100);
    assert_true(seen.chains > 10);
    world_destroy(&world);
}

static void the_house_is_as_large_as_asked(void **state)
{
    static const size_t sizes[] = {30, 60, 110, 1000, 20000};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct world *world = world_new(HA_2025_4, 1, sizes[i], NOON);
        assert_in_range(world->count, sizes[i] - 5, sizes[i] + 5);
        for (size_t j = 0; j < world->count; j++) {
            assert_true(world->entities[j]->present);
            assert_true(
                world->count > 200 || world_find(world, slice_of(world->entities[j]->id)) == world->entities[j]);
        }
        world_destroy(&world);
    }
}

static struct entity *find(struct world *world, const char *id)
{
    struct entity *entity = world_find(world, slice_of(id));

    assert_non_null(entity);
    return entity;
}

static void energy_is_power_times_time_and_never_falls(void **state)
{
    struct seen seen = {0};

    (void)state;
    struct world *world = house(3, 60, &seen, NOON);
    struct entity *power = find(world, "sensor.house_power"), *energy = find(world, "sensor.house_energy");
    double wh = 0, before = strtod(energy->state.data, NULL), last = before;
    int64_t then = power->since_us;
    for (int i = 0; i < 40000; i++) {
        int64_t now_us = NOON + i * (SECOND_US / 12);
        double watts = (double)power->value;
        int64_t since = power->since_us;
        world_step(world, now_us);
        if (power->since_us != since)
            wh += watts * (double)(power->since_us - since) / (double)HOUR_US;
        double now = strtod(text_view(&energy->state).data, NULL);
        assert_true(now >= last);
        last = now;
    }
    assert_true(power->since_us > then);
    assert_true(fabs((double)energy->value / 10 - before * 1000 - wh / 10) < wh / 10 * 0.01 + 1);
    world_destroy(&world);
}

static void people_and_the_sun_keep_hours(void **state)
{
    (void)state;
    assert_true(NOON % DAY_US == 11 * HOUR_US);
    struct world *noon = world_new(HA_2026_2, 1, 60, NOON), *night = world_new(HA_2026_2, 1, 60, NOON + 12 * HOUR_US);
    assert_true(slice_is(text_view(&find(noon, "sun.sun")->state), "above_horizon"));
    assert_true(slice_is(text_view(&find(night, "sun.sun")->state), "below_horizon"));
    struct seen day_seen = {0}, night_seen = {0};
    noon->owner = &day_seen, noon->happen = see;
    night->owner = &night_seen, night->happen = see;
    live(noon, NOON + 7 * HOUR_US, 20000);
    live(night, NOON + 14 * HOUR_US, 20000);
    assert_true(day_seen.chains > 3 * night_seen.chains);
    world_destroy(&noon);
    world_destroy(&night);
}

static void equal_states_are_no_event(void **state)
{
    struct seen seen = {.check = true};

    (void)state;
    struct world *world = house(1, 60, &seen, NOON);
    struct entity *entity = find(world, "sensor.house_power");
    assert_true(world_write(world, entity, slice_of("500000"), slice_of("{}"), NULL));
    assert_false(world_write(world, entity, slice_of("500000"), slice_of("{}"), NULL));
    int64_t changed = entity->changed_us;
    assert_true(world_write(world, entity, slice_of("500000"), slice_of("{\"a\":1}"), NULL));
    assert_int_equal(entity->changed_us, changed);
    assert_true(entity->updated_us > changed);
    assert_int_equal(seen.count, 2);
    world_destroy(&world);
}

static void a_rename_is_a_removal_an_update_and_an_addition(void **state)
{
    struct seen seen = {.check = true};

    (void)state;
    struct world *world = house(1, 60, &seen, NOON);
    struct entity *entity = find(world, "sensor.house_power");
    assert_true(world_rename(world, entity, slice_of("sensor.meter")));
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.removals, 1);
    assert_ptr_equal(world_find(world, slice_of("sensor.meter")), entity);
    assert_null(world_find(world, slice_of("sensor.house_power")));
    assert_false(world_rename(world, entity, slice_of("sun.sun")));
    world_destroy(&world);
}

static void names_and_areas_change_with_their_events(void **state)
{
    struct seen seen = {.check = true};

    (void)state;
    struct world *world = house(1, 110, &seen, NOON);
    struct entity *entity = find(world, "light.kitchen_light");
    assert_true(world_name(world, entity, "Say \"hi\""));
    assert_non_null(memmem(entity->attributes.data, entity->attributes.size, "Say \\\"hi\\\"", 10));
    assert_true(world_name(world, entity, NULL));
    assert_non_null(memmem(entity->attributes.data, entity->attributes.size, "Kitchen Light", 13));
    assert_true(world_move(world, entity, slice_of("study")));
    assert_false(world_move(world, entity, slice_of("nowhere")));
    assert_int_equal(seen.count, 5);
    world_destroy(&world);
}

static void each_version_has_its_own_shapes(void **state)
{
    (void)state;
    for (int version = HA_2024_3; version <= HA_2026_2; version++) {
        struct world *world = world_new((enum version)version, 1, 60, NOON);
        struct text text = {0};
        shape_states(world, &text);
        assert_true(read_valid(text_view(&text)));
        assert_int_equal(memmem(text.data, text.size, "last_reported", 13) != NULL, version > HA_2024_3);
        void (*const shapes[])(struct world *, struct text *) = {
            shape_entities, shape_devices, shape_areas, shape_floors, shape_labels, shape_config_entries};
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            text.size = 0;
            shapes[i](world, &text);
            assert_true(read_valid(text_view(&text)));
            assert_int_equal(memmem(text.data, text.size, "created_at", 10) != NULL, version > HA_2024_3);
        }
        text_free(&text);
        world_destroy(&world);
    }
}

static void a_padded_registry_is_as_large_as_asked(void **state)
{
    struct text text = {0};

    (void)state;
    struct world *world = world_new(HA_2026_2, 1, 60, NOON);
    world->padding_bytes = 8000000;
    shape_entities(world, &text);
    assert_in_range(text.size, 8000000, 8002000);
    assert_true(read_valid(text_view(&text)));
    text_free(&text);
    world_destroy(&world);
}

static void times_are_written_as_python_does(void **state)
{
    struct calendar calendar = {.second = -1, .millisecond = -1};
    struct chance chance = {1};
    char iso[ISO_ROOM], ulid[ULID_SIZE + 1];

    (void)state;
    assert_int_equal(moment_iso(&calendar, iso, INT64_C(1795485269254920)), 32);
    assert_memory_equal(iso, "2026-11-24T01:54:29.254920+00:00", 32);
    assert_int_equal(moment_iso(&calendar, iso, INT64_C(1795485269000000)), 25);
    assert_memory_equal(iso, "2026-11-24T01:54:29+00:00", 25);
    moment_ulid(&calendar, &chance, ulid, INT64_C(1795485269254920));
    assert_memory_equal(ulid, "01M85M5Z86", 10);
    assert_int_equal(strlen(ulid), ULID_SIZE);
    assert_int_equal(moment_parse(slice_of("2026-11-24T02:54:29.254920+01:00")), INT64_C(1795485269254920));
    assert_int_equal(moment_parse(slice_of("yesterday")), -1);
}

static void history_floats_round_to_the_microsecond(void **state)
{
    struct chance chance = {5};

    (void)state;
    for (int i = 0; i < 20000; i++) {
        int64_t us = INT64_C(1795485269000000) + chance_below(&chance, 100 * DAY_US);
        struct text text = {0};
        moment_float(&text, us);
        text_add(&text, "", 1);
        double seconds = strtod(text.data, NULL), whole = floor(seconds);
        assert_int_equal((int64_t)whole * SECOND_US + llrint((seconds - whole) * 1e6), us);
        text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_makes_the_same_day),
        cmocka_unit_test(every_event_is_json_with_a_moment_of_its_own),
        cmocka_unit_test(the_house_is_as_large_as_asked),
        cmocka_unit_test(energy_is_power_times_time_and_never_falls),
        cmocka_unit_test(people_and_the_sun_keep_hours),
        cmocka_unit_test(equal_states_are_no_event),
        cmocka_unit_test(a_rename_is_a_removal_an_update_and_an_addition),
        cmocka_unit_test(names_and_areas_change_with_their_events),
        cmocka_unit_test(each_version_has_its_own_shapes),
        cmocka_unit_test(a_padded_registry_is_as_large_as_asked),
        cmocka_unit_test(times_are_written_as_python_does),
        cmocka_unit_test(history_floats_round_to_the_microsecond),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
