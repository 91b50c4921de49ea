/* test_recorded.c - every event that three versions of Home Assistant really sent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "probe.h"

struct replay {
    probe_t *probe;
    json_t *line, *frame;
    int64_t place;
    size_t events, states, removals, numbers;
};

static const char *const keys[] = { "event_type", "time_fired", "data", "context", "origin" };
static const char *const data_keys[] = { "entity_id", "old_state", "new_state" };
static const char *const state_keys[] = { "state", "attributes", "last_changed", "last_updated", "last_reported" };

static void assert_same_text(json_t *json, struct json_value value, bool has, struct slice ours)
{
    struct slice text;
    if (!json_text(json, value, &text)) {
        assert_false(has);
        return;
    }
    assert_true(has);
    assert_int_equal(ours.size, text.size);
    assert_memory_equal(ours.data, text.data, text.size);
}

static void assert_same_time(json_t *json, struct json_value value, bool has, int64_t ours)
{
    struct slice text;
    int64_t at_us;
    if (!json_text(json, value, &text)) {
        assert_false(has);
        return;
    }
    assert_int_equal(time_read(text, &at_us), 0);
    assert_true(has && ours == at_us);
}

static void assert_same_state(struct replay *r, const struct json_value part[], const struct event_full *e)
{
    struct json_value new_state[5], old_state[5] = { { .kind = JSON_NOTHING } };
    if (part[1].kind == JSON_OBJECT)
        json_pick(r->frame, part[1].raw, state_keys, 5, old_state);
    assert_same_text(r->frame, old_state[0], e->has_old_state, e->old_state);
    assert_same_text(r->frame, part[0], e->has_entity_id, e->entity_id);
    r->states++;
    if (part[2].kind != JSON_OBJECT) {
        assert_false(e->has_state);
        r->removals++;
        return;
    }
    json_pick(r->frame, part[2].raw, state_keys, 5, new_state);
    assert_same_text(r->frame, new_state[0], e->has_state, e->state);
    assert_int_equal(e->attributes.size, new_state[1].raw.size);
    assert_memory_equal(e->attributes.data, new_state[1].raw.data, e->attributes.size);
    assert_same_time(r->frame, new_state[2], e->has_last_changed, e->last_changed);
    assert_same_time(r->frame, new_state[3], e->has_last_updated, e->last_updated);
    assert_same_time(r->frame, new_state[4], e->has_last_reported, e->last_reported);
    r->numbers += e->has_value && ((const char *)e->value.data)[0] <= '9';
}

static void replay_event(struct replay *r, struct json_value event)
{
    struct event_raw raw = { .has_event = true, .event = event.raw, .has_place = true, .place = ++r->place,
        .has_received_at = true, .received_at = 1, .has_session = true, .session = 1 };
    struct json_value part[5], data[3];
    SET_TEXT(&raw, provenance, "live", 4);
    probe_clear(r->probe);
    assert_int_equal(probe_deliver(r->probe, &event_raw_contract, &raw), OK);
    const struct event_full *e = probe_published(r->probe, &event_full_contract, 0);
    if (!e)
        fail_msg("refused: %.*s", (int)event.raw.size, (const char *)event.raw.data);
    json_pick(r->frame, event.raw, keys, 5, part);
    json_pick(r->frame, part[2].raw, data_keys, 3, data);
    assert_same_text(r->frame, part[0], e->has_event_type, e->event_type);
    assert_same_text(r->frame, part[4], e->has_origin, e->origin);
    assert_same_time(r->frame, part[1], true, e->timestamp);
    r->events++;
    if (e->is_state) {
        assert_same_state(r, data, e);
    } else {
        assert_int_equal(e->data.size, part[2].raw.size);
        assert_memory_equal(e->data.data, part[2].raw.data, e->data.size);
    }
}

static int replay_message(void *owner, struct json_value message)
{
    struct replay *r = owner;
    struct json_value event = json_at(r->frame, message.raw, "event");
    if (event.kind == JSON_OBJECT && json_at(r->frame, event.raw, "event_type").kind == JSON_TEXT)
        replay_event(r, event);
    return 0;
}

static void replay_line(struct replay *r, char *line, size_t size)
{
    static const char *const line_keys[] = { "dir", "text" };
    struct json_value root, part[2];
    struct slice text, direction;
    const char *why;
    assert_int_equal(json_read(r->line, (struct slice){ line, size }, &root, &why), 0);
    json_pick(r->line, root.raw, line_keys, 2, part);
    if (!json_text(r->line, part[0], &direction) || memcmp(direction.data, "<", 1) || !json_text(r->line, part[1], &text))
        return;
    if (json_read(r->frame, text, &root, &why))
        return;
    if (root.kind == JSON_ARRAY)
        json_each_item(r->frame, root.raw, replay_message, r);
    else
        replay_message(r, root);
}

static void replay_file(struct replay *r, const char *name)
{
    char command[200], *line = NULL;
    size_t room = 0;
    ssize_t size;
    snprintf(command, sizeof command, "gzip -cd ../recorded/%s.jsonl.gz", name);
    FILE *file = popen(command, "r");
    assert_non_null(file);
    while ((size = getline(&line, &room, file)) > 0)
        replay_line(r, line, (size_t)size);
    assert_int_equal(pclose(file), 0);
    free(line);
}

static void every_recorded_event_comes_out_as_it_was(void **state)
{
    (void)state;
    static const char *const names[] = { "ha-2024.3.3", "ha-2024.3.3-coalesced", "ha-2024.3.3-startup", "ha-2025.4.4",
        "ha-2025.4.4-coalesced", "ha-2025.4.4-startup", "ha-2026.2.3", "ha-2026.2.3-coalesced", "ha-2026.2.3-startup" };
    struct replay r = { .probe = probe_new((const char *const[]){ NULL }), .line = json_new(), .frame = json_new() };
    struct registry_mark mark = { .has_session = true, .session = 1, .has_registry_changes = true, .has_partial = true,
        .has_at = true };
    assert_int_equal(probe_deliver(r.probe, &registry_mark_contract, &mark), OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        replay_file(&r, names[i]);
    print_message("%zu events, %zu of states, %zu removals, %zu numbers\n", r.events, r.states, r.removals, r.numbers);
    assert_true(r.states > 1000 && r.removals > 10 && r.numbers > 100 && r.events > r.states + 300);
    json_destroy(&r.line);
    json_destroy(&r.frame);
    probe_destroy(&r.probe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(every_recorded_event_comes_out_as_it_was) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
