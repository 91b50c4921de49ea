/* test_flow.c - a house in which it is known who did it: is it told, is nobody accused who did nothing, is it learnt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kept.h"

#define SECOND INT64_C(1000000)
#define BEGIN (INT64_C(1767225600) * SECOND)

enum { FOUND_MAX = 4000, LAMP = 0, HEATER = 1, LED = 2, TV = 3, LOADS = 4 };
static const char *const names[LOADS] = { "light.lamp", "switch.heater", "light.led", "media_player.tv" };
static const double watts[LOADS] = { 62, 1500, 3, 120 };

struct told_step { char cause[ENTITY_TEXT + 1]; double delta_w, confidence; size_t candidates; int64_t at_us; double part[CANDIDATES]; };

struct house {
    struct kept kept;
    struct flow_options options;
    struct told_step found[FOUND_MAX];
    size_t count;
    int64_t at_us, every_us, next_us;
    uint64_t random;
    double noise_w, base_w;
    bool is_on[LOADS];
};

static double chance(struct house *h)
{
    h->random = h->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (double)(h->random >> 40) / (double)(1 << 24);
}

static double normal(struct house *h)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += chance(h);
    return sum;
}

static bool on_found(void *owner, const struct found *f)
{
    struct house *h = owner;
    assert_true(h->count < FOUND_MAX);
    struct told_step *told = &h->found[h->count++];
    *told = (struct told_step){ .delta_w = f->step->after_w - f->step->before_w, .confidence = f->judgement.confidence,
        .candidates = f->count, .at_us = f->step->to_us };
    for (size_t i = 0; i < f->count; i++)
        told->part[i] = f->candidate[i].confidence;
    if (f->judgement.cause >= 0)
        snprintf(told->cause, sizeof told->cause, "%s", f->change[f->judgement.cause]->entity);
    return true;
}

static void begin(struct house *h)
{
    h->kept.devices = devices_new();
    h->kept.flow = flow_new(&h->options, h->kept.devices, false, on_found, h);
    flow_add_meter(h->kept.flow, "_smartmeter.power_w", true);
}

static struct house *house_new(double every_s, double noise_w)
{
    struct house *h = calloc(1, sizeof *h);
    assert_non_null(h);
    *h = (struct house){ .options = { { 10, 10 * SECOND }, 5 * SECOND, 0.6 }, .at_us = BEGIN, .next_us = BEGIN,
        .every_us = (int64_t)(every_s * 1e6), .random = 11, .noise_w = noise_w, .base_w = 400 };
    begin(h);
    flow_start(h->kept.flow, BEGIN - SECOND);
    return h;
}

static void end(struct house *h)
{
    flow_destroy(&h->kept.flow);
    devices_destroy(&h->kept.devices);
}

static void house_destroy(struct house *h)
{
    end(h);
    free(h);
}

static double power_of(struct house *h)
{
    double w = h->base_w + normal(h) * h->noise_w;
    for (int i = 0; i < LOADS; i++)
        w += h->is_on[i] ? watts[i] : 0;
    return w;
}

/* Time passes, samples come, three seconds later they count. */
static void pass(struct house *h, double seconds)
{
    for (int64_t to_us = h->at_us + (int64_t)(seconds * 1e6); h->next_us <= to_us; h->next_us += h->every_us) {
        flow_sample(h->kept.flow, 0, (struct sample){ h->next_us, power_of(h) });
        flow_pass(h->kept.flow, h->next_us - 3 * SECOND);
    }
    h->at_us += (int64_t)(seconds * 1e6);
}

static void turn(struct house *h, int load)
{
    struct change c = { .at_us = h->at_us + 300000, .is_text = true };
    h->is_on[load] = !h->is_on[load];
    snprintf(c.entity, sizeof c.entity, "%s", names[load]);
    snprintf(c.state, sizeof c.state, "%s", h->is_on[load] ? "on" : "off");
    snprintf(c.previous, sizeof c.previous, "%s", h->is_on[load] ? "off" : "on");
    assert_int_equal(flow_change(h->kept.flow, &c), TAKEN);
}

static size_t accused(const struct house *h, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < h->count; i++)
        count += strcmp(h->found[i].cause, name) == 0;
    return count;
}

static void assert_near(double is, double should, double within)
{
    if (!(fabs(is - should) <= within))
        fail_msg("%g is not %g", is, should);
}

/* --- */

static void a_lamp_is_named_and_what_it_takes_is_learnt(void **state)
{
    (void)state;
    struct house *h = house_new(1, 5);
    pass(h, 60);
    for (int i = 0; i < 14; i++) {
        turn(h, LAMP);
        pass(h, 60 + 20 * chance(h));
    }
    const struct device *lamp = devices_find(h->kept.devices, "light.lamp", false);
    assert_int_equal(h->count, 14);
    assert_int_equal(accused(h, "light.lamp"), 14);
    assert_int_equal(lamp->explained, 14);
    assert_int_equal(lamp->changes, 14);
    assert_near(device_watts(lamp), 62, 4);
    assert_true(device_spread(lamp) < 8 && device_spread(lamp) > 0);
    assert_true(h->found[13].confidence > 0.9 && h->found[0].confidence > 0.6);
    house_destroy(h);
}

static void slow_samples_name_the_lamp_as_well(void **state)
{
    (void)state;
    static const double seconds[] = { 10, 60 };
    for (size_t i = 0; i < 2; i++) {
        struct house *h = house_new(seconds[i], 2);
        pass(h, seconds[i] * 30);
        for (int n = 0; n < 8; n++) {
            turn(h, LAMP);
            pass(h, seconds[i] * 9.4);
        }
        pass(h, seconds[i] * 9.4);
        assert_int_equal(h->count, 8);
        assert_int_equal(accused(h, "light.lamp"), 8);
        house_destroy(h);
    }
}

static void of_two_that_change_in_the_same_second_nobody_is_named(void **state)
{
    (void)state;
    struct house *h = house_new(1, 2);
    pass(h, 60);
    turn(h, LAMP);
    turn(h, TV);
    pass(h, 60);
    assert_int_equal(h->count, 1);
    assert_string_equal(h->found[0].cause, "");
    assert_int_equal(h->found[0].candidates, 2);
    assert_true(h->found[0].part[0] > 0.3 && h->found[0].part[1] > 0.3);
    assert_int_equal(devices_find(h->kept.devices, "light.lamp", false)->explained, 0);
    house_destroy(h);
}

static void once_they_are_known_they_are_told_apart_by_size(void **state)
{
    (void)state;
    struct house *h = house_new(1, 2);
    pass(h, 60);
    for (int i = 0; i < 12; i++) {
        turn(h, i % 2 ? LAMP : TV);
        pass(h, 40);
    }
    size_t lamps = accused(h, "light.lamp");
    turn(h, LAMP);
    turn(h, TV); /* told to, but its plug is out */
    h->base_w -= h->is_on[TV] ? watts[TV] : -watts[TV];
    pass(h, 40);
    assert_int_equal(accused(h, "light.lamp"), lamps + 1);
    turn(h, LAMP); /* both at once: both had their part, neither did it alone */
    turn(h, HEATER);
    pass(h, 40);
    struct told_step *last = &h->found[h->count - 1];
    assert_int_equal(accused(h, "light.lamp"), lamps + 1);
    assert_true(fabs(last->delta_w) > 1400);
    house_destroy(h);
}

/* Twelve hours: a refrigerator cycles, an LED that is too small to be seen is switched often, and a lamp. */
static void nobody_is_accused_of_what_the_refrigerator_does(void **state)
{
    (void)state;
    struct house *h = house_new(1, 3);
    double fridge_s = 0, led_s = 100, lamp_s = 500;
    bool is_cooling = false;
    for (int second = 0; second < 12 * 3600; second++) {
        if (second >= fridge_s) {
            is_cooling = !is_cooling;
            h->base_w += is_cooling ? 85 : -85;
            fridge_s = second + 700 + 300 * chance(h);
        }
        if (second >= led_s) {
            turn(h, LED);
            led_s = second + 60 + 120 * chance(h);
        }
        if (second >= lamp_s) {
            turn(h, LAMP);
            lamp_s = second + 1000 + 600 * chance(h);
        }
        pass(h, 1);
    }
    const struct device *led = devices_find(h->kept.devices, "light.led", false), *lamp = devices_find(h->kept.devices, "light.lamp", false);
    print_message("%zu steps: lamp %zu of %d, led %zu of %d\n", h->count, accused(h, "light.lamp"), (int)lamp->changes, accused(h, "light.led"),
        (int)led->changes);
    assert_true(accused(h, "light.led") * 100 <= (size_t)led->changes);
    assert_true(accused(h, "light.lamp") * 10 >= (size_t)lamp->changes * 9);
    assert_near(device_watts(lamp), 62, 3);
    house_destroy(h);
}

/* Clouds: some hundred watts up and down within seconds, all day long. */
static void nobody_is_accused_of_what_the_sun_does(void **state)
{
    (void)state;
    struct house *h = house_new(1, 3);
    double led_s = 100, cloud_s = 0, target = -1500, sun = -1500;
    for (int second = 0; second < 6 * 3600; second++) {
        if (second >= cloud_s) {
            target = -1500 + 1200 * chance(h);
            cloud_s = second + 20 + 100 * chance(h);
        }
        sun += (target - sun) * 0.15;
        h->base_w = 400 + sun;
        if (second >= led_s) {
            turn(h, LED);
            led_s = second + 60 + 120 * chance(h);
        }
        pass(h, 1);
    }
    const struct device *led = devices_find(h->kept.devices, "light.led", false);
    print_message("%zu steps: led %zu of %d\n", h->count, accused(h, "light.led"), (int)led->changes);
    assert_true(accused(h, "light.led") * 100 <= (size_t)led->changes);
    house_destroy(h);
}

/* --- order and kills */

struct recorded { int64_t passed_us; bool is_change; struct sample sample; struct change change; };

static size_t record(struct recorded *to, struct house *h)
{
    size_t count = 0;
    for (int second = 0; second < 900; second++) {
        int64_t at_us = BEGIN + second * SECOND;
        if (second % 90 == 45) {
            int load = second % 180 == 45 ? LAMP : TV;
            struct recorded *r = &to[count++];
            h->is_on[load] = !h->is_on[load];
            *r = (struct recorded){ .is_change = true, .passed_us = at_us - 5 * SECOND, .change = { .at_us = at_us + 200000, .is_text = true } };
            snprintf(r->change.entity, sizeof r->change.entity, "%s", names[load]);
            snprintf(r->change.state, sizeof r->change.state, "%s", h->is_on[load] ? "on" : "off");
            snprintf(r->change.previous, sizeof r->change.previous, "%s", h->is_on[load] ? "off" : "on");
        }
        to[count++] = (struct recorded){ .sample = { at_us, power_of(h) }, .passed_us = at_us - 5 * SECOND };
    }
    return count;
}

static void say(struct house *h, const struct recorded *r)
{
    if (r->is_change)
        flow_change(h->kept.flow, &r->change);
    else
        flow_sample(h->kept.flow, 0, r->sample);
}

static void assert_same(const struct house *a, const struct house *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_string_equal(a->found[i].cause, b->found[i].cause);
        assert_true(a->found[i].at_us == b->found[i].at_us);
        assert_near(a->found[i].delta_w, b->found[i].delta_w, 0);
    }
}

static void order_and_doubles_change_nothing(void **state)
{
    (void)state;
    struct house *straight = house_new(1, 3), *mixed = house_new(1, 3);
    struct recorded *all = calloc(1000, sizeof *all);
    assert_non_null(all);
    size_t count = record(all, straight);
    for (size_t i = 0; i < count; i++) {
        say(straight, &all[i]);
        size_t other = i / 3 * 3 + 2 - i % 3; /* of each three the last first */
        say(mixed, &all[other < count ? other : i]);
        say(mixed, &all[i > 0 ? i - 1 : 0]);
        flow_pass(straight->kept.flow, all[i].passed_us);
        flow_pass(mixed->kept.flow, all[i].passed_us);
    }
    assert_true(straight->count == 10);
    assert_same(straight, mixed);
    free(all);
    house_destroy(straight);
    house_destroy(mixed);
}

/* A kill: all that is in memory is gone but for what was kept; from there on events come again. */
static void kill_and_start(struct house *h)
{
    msgpack_sbuffer bytes = { 0 };
    kept_encode(&h->kept, &bytes);
    end(h);
    memset(&h->kept, 0, sizeof h->kept);
    begin(h);
    assert_int_equal(kept_decode((struct slice){ bytes.data, bytes.size }, &h->kept), 0);
    msgpack_sbuffer_destroy(&bytes);
}

static void a_kill_at_any_second_neither_loses_a_step_nor_finds_one_twice(void **state)
{
    (void)state;
    struct house *straight = house_new(1, 3), *killed = house_new(1, 3);
    struct recorded *all = calloc(1000, sizeof *all);
    assert_non_null(all);
    size_t count = record(all, straight);
    for (size_t i = 0; i < count; i++) {
        say(straight, &all[i]);
        flow_pass(straight->kept.flow, all[i].passed_us);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i > 10 ? i - 10 : 0; j <= i; j++)
            say(killed, &all[j]); /* what is not in what was kept comes again, and more */
        flow_pass(killed->kept.flow, all[i].passed_us);
        kill_and_start(killed);
    }
    assert_true(straight->count == 10);
    assert_same(straight, killed);
    const struct device *lamp = devices_find(straight->kept.devices, "light.lamp", false), *again = devices_find(killed->kept.devices, "light.lamp", false);
    assert_int_equal(lamp->explained, again->explained);
    assert_int_equal(lamp->changes, again->changes);
    assert_near(device_watts(lamp), device_watts(again), 0);
    assert_int_equal(flow_counts(straight->kept.flow)->steps, flow_counts(killed->kept.flow)->steps);
    free(all);
    house_destroy(straight);
    house_destroy(killed);
}

static void what_is_kept_and_damaged_is_refused_or_left_out(void **state)
{
    (void)state;
    struct house *h = house_new(1, 3);
    pass(h, 60);
    turn(h, LAMP);
    pass(h, 8);
    msgpack_sbuffer bytes = { 0 };
    kept_encode(&h->kept, &bytes);
    for (size_t cut = 0; cut < bytes.size; cut += 7) {
        struct house *other = house_new(1, 3);
        assert_int_equal(kept_decode((struct slice){ bytes.data, cut }, &other->kept), -1);
        house_destroy(other);
    }
    for (size_t at = 0; at < bytes.size; at++) {
        struct house *other = house_new(1, 3);
        bytes.data[at] = (char)(bytes.data[at] ^ 0xff);
        kept_decode((struct slice){ bytes.data, bytes.size }, &other->kept);
        bytes.data[at] = (char)(bytes.data[at] ^ 0xff);
        other->at_us = other->next_us = BEGIN + 100 * SECOND;
        pass(other, 20);
        house_destroy(other);
    }
    msgpack_sbuffer_destroy(&bytes);
    house_destroy(h);
}

static void put_name(char *to, size_t room, size_t number)
{
    memset(to, 'x', room - 1);
    snprintf(to, 20, "light.%04zu", number);
    to[10] = 'x';
}

/* As much as there may be of everything, with the longest names: nothing of it is cut. */
static void all_that_is_known_is_kept_however_much_it_is(void **state)
{
    (void)state;
    struct house *h = house_new(1, 3);
    for (size_t i = 1; i < METERS_MAX; i++) {
        char name[METER_ID + 1] = { 0 };
        put_name(name, sizeof name, i);
        assert_int_equal(flow_add_meter(h->kept.flow, name, false), i);
    }
    for (size_t i = 0; i < RECENT_MAX; i++) {
        struct change c = { .at_us = BEGIN + (int64_t)i };
        put_name(c.entity, sizeof c.entity, i);
        put_name(c.state, sizeof c.state, i);
        put_name(c.previous, sizeof c.previous, i);
        put_name(c.device_id, sizeof c.device_id, i);
        assert_int_equal(flow_put_recent(h->kept.flow, &c), 0);
    }
    for (uint32_t i = 0; i < STEPS_MAX; i++)
        assert_int_equal(flow_put_pending(h->kept.flow, &(struct pending){ { BEGIN, BEGIN + SECOND, 1, 2, 3 }, i % METERS_MAX }), 0);
    for (size_t i = 0; i < DEVICES_MAX; i++) {
        char name[DEVICE_ID + 1] = { 0 };
        put_name(name, sizeof name, i);
        for (int k = 0; k < DELTAS; k++)
            device_measured(devices_find(h->kept.devices, name, true), 60, BEGIN + k);
    }
    kill_and_start(h);
    assert_int_equal(devices_count(h->kept.devices), DEVICES_MAX);
    assert_true(flow_recent(h->kept.flow, RECENT_MAX - 1) && flow_recent(h->kept.flow, RECENT_MAX - 1)->at_us == BEGIN + RECENT_MAX - 1);
    assert_int_equal(flow_recent(h->kept.flow, 0)->at_us, BEGIN);
    assert_non_null(flow_pending(h->kept.flow, 1)); /* those of the meter that is there yet */
    house_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lamp_is_named_and_what_it_takes_is_learnt),
        cmocka_unit_test(slow_samples_name_the_lamp_as_well),
        cmocka_unit_test(of_two_that_change_in_the_same_second_nobody_is_named),
        cmocka_unit_test(once_they_are_known_they_are_told_apart_by_size),
        cmocka_unit_test(nobody_is_accused_of_what_the_refrigerator_does),
        cmocka_unit_test(nobody_is_accused_of_what_the_sun_does),
        cmocka_unit_test(order_and_doubles_change_nothing),
        cmocka_unit_test(a_kill_at_any_second_neither_loses_a_step_nor_finds_one_twice),
        cmocka_unit_test(what_is_kept_and_damaged_is_refused_or_left_out),
        cmocka_unit_test(all_that_is_known_is_kept_however_much_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
