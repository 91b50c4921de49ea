/* test_rules.c - what rules say: as Home Assistant's recorder where it has a say, and clear about what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rules.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 88172645463325252u;

static size_t chance(size_t of)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed % of);
}

static rules_t *read(const char *json)
{
    struct fault fault = { "", "" };
    rules_t *rules = rules_read(slice_of(json), &fault);
    if (!rules)
        print_message("%s %s in %s\n", fault.field, fault.why, json);
    assert_non_null(rules);
    return rules;
}

static struct event_full a_state(const char *entity_id)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, true);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, entity_id, slice_of(entity_id));
    SET(&e, state, slice_of("1"));
    return e;
}

static struct event_full an_event(const char *type)
{
    struct event_full e;
    schema_clear(event_full_schema(), &e);
    SET(&e, is_state, false);
    SET(&e, event_type, slice_of(type));
    return e;
}

static bool keeps(const char *json, const struct event_full *e)
{
    rules_t *rules = read(json);
    bool kept = !rules_decide(rules, e).is_dropped;
    rules_destroy(&rules);
    return kept;
}

/* --- the recorder's own words, case by case --- */

static const char *const ids[] = { "light.a", "light.b_x", "sensor.a", "sensor.b_x", "switch.c", "switch.d_x" };
static const char *const domains[] = { "light", "sensor", "switch" };
static const char *const globs[] = { "*_x", "light.*", "sensor.?", "*.c" };
enum { IDS = 6, DOMAINS = 3, GLOBS = 4 };

/* Bits: which of the above are included and excluded. */
struct choice { unsigned ids, domains, globs; };

static bool any_glob(unsigned bits, const char *id)
{
    for (size_t i = 0; i < GLOBS; i++)
        if (bits >> i & 1 && fnmatch(globs[i], id, 0) == 0)
            return true;
    return false;
}

static bool recorder_keeps(struct choice in, struct choice out, size_t id)
{
    bool in_id = in.ids >> id & 1, out_id = out.ids >> id & 1;
    bool in_domain = in.domains >> (id / 2) & 1, out_domain = out.domains >> (id / 2) & 1;
    bool in_glob = any_glob(in.globs, ids[id]), out_glob = any_glob(out.globs, ids[id]);
    bool has_in = in.ids || in.domains || in.globs, has_out = out.ids || out.domains || out.globs;
    if (!has_in && !has_out)
        return true;
    if (!has_out)
        return in_id || in_domain || in_glob;
    if (!has_in)
        return !(out_id || out_domain || out_glob);
    if (in.domains || in.globs)
        return in_id || (!out_id && (in_glob || (!out_glob && in_domain)));
    if (out.domains || out.globs)
        return in_id || (!out_id && !out_glob && !out_domain);
    return in_id;
}

static size_t put_rules(char *to, size_t room, const char *action, const char *selector, const char *const names[], size_t count, unsigned bits)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (bits >> i & 1)
            used += (size_t)snprintf(to + used, room - used, "{\"action\":\"%s\",\"%s\":\"%s\"},", action, selector, names[i]);
    return used;
}

static void put_choice(char *to, size_t room, const char *action, struct choice c)
{
    size_t used = strlen(to);
    used += put_rules(to + used, room - used, action, "domain", domains, DOMAINS, c.domains);
    used += put_rules(to + used, room - used, action, "glob", globs, GLOBS, c.globs);
    put_rules(to + used, room - used, action, "entity_id", ids, IDS, c.ids);
}

static void precedence_is_that_of_the_recorder(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char json[4096] = "[";
        struct choice in = { (unsigned)chance(64) & (unsigned)chance(64), (unsigned)chance(8) & (unsigned)chance(8), (unsigned)chance(16) & (unsigned)chance(16) };
        struct choice out = { (unsigned)chance(64) & (unsigned)chance(64), (unsigned)chance(8) & (unsigned)chance(8), (unsigned)chance(16) & (unsigned)chance(16) };
        if (chance(3) == 0)
            in.domains = in.globs = 0;
        if (chance(3) == 0)
            out.domains = out.globs = 0;
        put_choice(json, sizeof json, "exclude", out);
        put_choice(json, sizeof json, "include", in);
        size_t size = strlen(json);
        strcpy(json + size - (size > 1), "]"); /* in the last comma's place */
        rules_t *rules = read(json);
        for (size_t id = 0; id < IDS; id++) {
            struct event_full e = a_state(ids[id]);
            if (rules_decide(rules, &e).is_dropped == recorder_keeps(in, out, id))
                fail_msg("%s: %s", ids[id], json);
        }
        rules_destroy(&rules);
    }
}

/* --- what the recorder does not know --- */

static void the_most_specific_selector_decides(void **state)
{
    (void)state;
    /* In the order of their strength; each fits the event. */
    static const char *const fitting[] = { "\"entity_id\":\"sensor.a\"", "\"glob\":\"sensor.*\"", "\"device_id\":\"d1\"", "\"label\":[\"no\",\"l2\"]",
        "\"area_id\":\"kitchen\"", "\"integration\":\"shelly\"", "\"domain\":\"sensor\"", "\"event_type\":\"state_changed\"" };
    struct event_full e = a_state("sensor.a");
    SET(&e, device_id, slice_of("d1"));
    SET(&e, labels, slice_of("[\"l1\",\"l2\"]"));
    SET(&e, area_id, slice_of("kitchen"));
    SET(&e, integration, slice_of("shelly"));
    for (size_t strong = 0; strong < 8; strong++)
        for (size_t weak = strong; weak < 8; weak++) {
            char json[400];
            snprintf(json, sizeof json, "[{\"action\":\"exclude\",%s},{\"action\":\"include\",%s}]", fitting[strong], fitting[weak]);
            assert_int_equal(keeps(json, &e), strong == weak);
            snprintf(json, sizeof json, "[{\"action\":\"exclude\",%s},{\"action\":\"include\",%s}]", fitting[weak], fitting[strong]);
            assert_true(keeps(json, &e));
        }
}

static void what_nothing_fits_is_kept_unless_something_wider_is_included(void **state)
{
    (void)state;
    struct event_full e = a_state("sensor.a"), type = an_event("call_service");
    assert_true(keeps("[]", &e));
    assert_true(keeps("[{\"action\":\"exclude\",\"area_id\":\"x\"}]", &e));
    assert_false(keeps("[{\"action\":\"include\",\"area_id\":\"x\"}]", &e));
    assert_false(keeps("[{\"action\":\"include\",\"label\":\"x\"},{\"action\":\"exclude\",\"domain\":\"light\"}]", &e));
    assert_true(keeps("[{\"action\":\"include\",\"entity_id\":\"light.a\"},{\"action\":\"exclude\",\"area_id\":\"x\"}]", &e));
    assert_true(keeps("[{\"action\":\"thin\",\"domain\":\"light\",\"interval_s\":60}]", &e));
    assert_true(keeps("[{\"action\":\"include\",\"domain\":\"sensor\"}]", &type)); /* types are a world of their own */
    assert_true(keeps("[{\"action\":\"include\",\"event_type\":\"call_service\"}]", &e));
    assert_false(keeps("[{\"action\":\"include\",\"event_type\":\"x\"}]", &type));
}

static void an_event_that_is_no_state_is_decided_by_its_type_then_by_the_entity_it_speaks_of(void **state)
{
    (void)state;
    struct event_full e = an_event("call_service");
    SET(&e, entity_id, slice_of("light.a"));
    assert_false(keeps("[{\"action\":\"exclude\",\"entity_id\":\"light.a\"}]", &e));
    assert_false(keeps("[{\"action\":\"exclude\",\"domain\":\"light\"}]", &e));
    assert_true(keeps("[{\"action\":\"exclude\",\"entity_id\":\"light.a\"},{\"action\":\"include\",\"event_type\":\"call_service\"}]", &e));
    assert_false(keeps("[{\"action\":\"include\",\"entity_id\":\"light.a\"},{\"action\":\"exclude\",\"event_type\":\"call_service\"}]", &e));
}

static void removals_and_our_own_canary_are_always_kept(void **state)
{
    (void)state;
    struct event_full e = a_state("sensor.a"), canary = an_event("ha_ingestor_canary");
    static const char json[] = "[{\"action\":\"exclude\",\"glob\":\"*\"},{\"action\":\"exclude\",\"event_type\":[\"state_changed\",\"ha_ingestor_canary\"]}]";
    assert_false(keeps(json, &e));
    e.has_state = false;
    assert_true(keeps(json, &e));
    assert_true(keeps(json, &canary));
}

static void the_most_specific_rule_thins(void **state)
{
    (void)state;
    rules_t *rules = read("[{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":60},{\"action\":\"thin\",\"entity_id\":\"sensor.a\",\"interval_s\":0.5,\"deadband\":2},"
        "{\"action\":\"thin\",\"entity_id\":\"sensor.a\",\"interval_s\":7}]");
    struct event_full a = a_state("sensor.a"), b = a_state("sensor.b"), c = a_state("light.c");
    assert_int_equal(rules_decide(rules, &a).thin, 1);
    assert_int_equal(rules_thinning(rules, 1)->interval_us, 500000);
    assert_true(rules_thinning(rules, 1)->deadband == 2.0);
    assert_int_equal(rules_decide(rules, &b).thin, 0);
    assert_int_equal(rules_decide(rules, &c).thin, NO_RULE);
    rules_destroy(&rules);
}

/* --- globs --- */

static void globs_fit_what_the_shell_says(void **state)
{
    (void)state;
    static const char *const atoms[] = { "*", "?", "a", "b", ".", "[ab]", "[!a]", "[a-c]", "[!a-b]", "[", "-", "*a" };
    for (int i = 0; i < 200000; i++) {
        char pattern[64] = "", name[12];
        for (size_t n = chance(5); n > 0; n--)
            strcat(pattern, atoms[chance(sizeof atoms / sizeof *atoms)]);
        size_t size = chance(8);
        for (size_t n = 0; n < size; n++)
            name[n] = "abcd.-["[chance(7)];
        name[size] = '\0';
        bool open = false; /* sets that do not end mean different things to different shells */
        for (const char *p = pattern; *p; p++)
            open |= *p == '[' && (!strchr(p + 2 + (p[1] == '!'), ']') || memchr(p + 1, '[', strcspn(p, "]")));
        if (!open && glob_fits(slice_of(pattern), slice_of(name)) != (fnmatch(pattern, name, FNM_NOESCAPE) == 0))
            fail_msg("'%s' '%s'", pattern, name);
    }
}

static void no_pattern_takes_long(void **state)
{
    (void)state;
    char pattern[256] = "", name[256];
    for (int i = 0; i < 60; i++)
        strcat(pattern, "*a");
    strcat(pattern, "b");
    memset(name, 'a', 255);
    name[255] = '\0';
    for (int i = 0; i < 1000; i++)
        assert_false(glob_fits(slice_of(pattern), slice_of(name)));
}

/* --- the text --- */

static void what_is_wrong_is_named_by_rule_and_field(void **state)
{
    (void)state;
    static const struct { const char *json, *field; } cases[] = {
        { "7", "rules" }, { "[", "rules" }, { "{}", "rules" }, { "[1]", "rules[0]" },
        { "[{\"action\":\"include\"}]", "rules[0]" },
        { "[{\"glob\":\"a\"}]", "rules[0].action" },
        { "[{\"action\":\"drop\",\"glob\":\"a\"}]", "rules[0].action" },
        { "[{\"action\":1,\"glob\":\"a\"}]", "rules[0].action" },
        { "[{\"action\":\"include\",\"glob\":\"a\"},{\"action\":\"include\",\"glob\":1}]", "rules[1].glob" },
        { "[{\"action\":\"include\",\"glob\":[]}]", "rules[0].glob" },
        { "[{\"action\":\"include\",\"glob\":[\"a\",2]}]", "rules[0].glob" },
        { "[{\"action\":\"include\",\"glob\":\"\"}]", "rules[0].glob" },
        { "[{\"action\":\"include\",\"glob\":\"a\\u0000\"}]", "rules[0].glob" },
        { "[{\"action\":\"include\",\"glob\":\"a\",\"domain\":\"b\"}]", "rules[0].domain" },
        { "[{\"action\":\"include\",\"glob\":\"a\",\"glob\":\"b\"}]", "rules[0].glob" },
        { "[{\"action\":\"include\",\"entity\":\"a\"}]", "rules[0].entity" },
        { "[{\"action\":\"include\",\"glob\":\"a\",\"interval_s\":1}]", "rules[0].interval_s" },
        { "[{\"action\":\"exclude\",\"glob\":\"a\",\"deadband\":1}]", "rules[0].deadband" },
        { "[{\"action\":\"thin\",\"glob\":\"a\"}]", "rules[0]" },
        { "[{\"action\":\"thin\",\"glob\":\"a\",\"interval_s\":0}]", "rules[0].interval_s" },
        { "[{\"action\":\"thin\",\"glob\":\"a\",\"interval_s\":86401}]", "rules[0].interval_s" },
        { "[{\"action\":\"thin\",\"glob\":\"a\",\"interval_s\":\"1\"}]", "rules[0].interval_s" },
        { "[{\"action\":\"thin\",\"glob\":\"a\",\"deadband\":-1}]", "rules[0].deadband" },
        { "[{\"action\":\"thin\",\"glob\":\"a\",\"deadband\":1e300}]", "rules[0].deadband" },
        { "[{\"action\":\"thin\",\"event_type\":\"a\",\"deadband\":1}]", "rules[0].event_type" },
        { "[{\"action\":\"exclude\",\"glob\":\"a\",\"note\":7}]", "rules[0].note" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault = { "", "" };
        assert_null(rules_read(slice_of(cases[i].json), &fault));
        assert_string_equal(fault.field, cases[i].field);
        assert_true(strlen(fault.why) > 5);
    }
}

static void more_than_is_allowed_is_refused(void **state)
{
    (void)state;
    struct fault fault;
    size_t room = 2 * RULES_BYTES;
    char *json = malloc(room);
    strcpy(json, "[");
    size_t used = 1;
    for (int i = 0; i < 1001; i++)
        used += (size_t)sprintf(json + used, "%s{\"action\":\"exclude\",\"entity_id\":\"sensor.n%d\"}", i ? "," : "", i);
    strcpy(json + used, "]");
    assert_null(rules_read(slice_of(json), &fault));
    assert_string_equal(fault.field, "rules");
    used = (size_t)sprintf(json, "[{\"action\":\"exclude\",\"entity_id\":[\"a\"");
    for (int i = 0; i < 10000; i++)
        used += (size_t)sprintf(json + used, ",\"a\"");
    strcpy(json + used, "]}]");
    assert_null(rules_read(slice_of(json), &fault));
    assert_string_equal(fault.field, "rules[0].entity_id");
    memset(json, ' ', RULES_BYTES + 1);
    assert_null(rules_read((struct slice){ json, RULES_BYTES + 1 }, &fault));
    assert_string_equal(fault.field, "rules");
    free(json);
}

static void rules_that_are_written_read_as_the_same_rules(void **state)
{
    (void)state;
    static const char json[] = "[{\"action\":\"exclude\",\"glob\":\"sensor.*_\\u00e9\",\"note\":\"a \\\"note\\\"\"},"
        "{\"action\":\"thin\",\"label\":[\"a\",\"b\"],\"interval_s\":0.1,\"deadband\":0.25}]";
    static const char written[] = "[{\"action\":\"exclude\",\"glob\":\"sensor.*_\xc3\xa9\",\"note\":\"a \\\"note\\\"\"},"
        "{\"action\":\"thin\",\"label\":[\"a\",\"b\"],\"interval_s\":0.1,\"deadband\":0.25}]";
    static const struct rule_count counts[2] = { { 3, 0 }, { 0, 4 } };
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    rules_t *rules = read(json);
    rules_write(rules, NULL, &out);
    assert_int_equal(out.size, sizeof written - 1);
    assert_memory_equal(out.data, written, out.size);
    msgpack_sbuffer_clear(&out);
    rules_write(rules, counts, &out); /* as it is shown, and may be sent back */
    msgpack_sbuffer_write(&out, "", 1);
    assert_non_null(strstr(out.data, "\"filtered\":3,\"thinned\":0}"));
    rules_destroy(&rules);
    rules = read(out.data);
    msgpack_sbuffer_clear(&out);
    rules_write(rules, NULL, &out);
    assert_memory_equal(out.data, written, out.size);
    rules_destroy(&rules);
    msgpack_sbuffer_destroy(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precedence_is_that_of_the_recorder),
        cmocka_unit_test(the_most_specific_selector_decides),
        cmocka_unit_test(what_nothing_fits_is_kept_unless_something_wider_is_included),
        cmocka_unit_test(an_event_that_is_no_state_is_decided_by_its_type_then_by_the_entity_it_speaks_of),
        cmocka_unit_test(removals_and_our_own_canary_are_always_kept),
        cmocka_unit_test(the_most_specific_rule_thins),
        cmocka_unit_test(globs_fit_what_the_shell_says),
        cmocka_unit_test(no_pattern_takes_long),
        cmocka_unit_test(what_is_wrong_is_named_by_rule_and_field),
        cmocka_unit_test(more_than_is_allowed_is_refused),
        cmocka_unit_test(rules_that_are_written_read_as_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
