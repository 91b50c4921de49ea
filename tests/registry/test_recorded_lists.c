/* test_recorded_lists.c - the registries that three versions of Home Assistant really gave. */
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

enum { MOST_COMMANDS = 64 };

struct recording {
    json_t *line, *frame;
    struct { int64_t id; char type[64]; char *result; } commands[MOST_COMMANDS];
    size_t count;
};

static void take_sent(struct recording *r, struct json_value root)
{
    struct slice type;
    int64_t id;
    if (r->count < MOST_COMMANDS && json_int(json_at(r->frame, root.raw, "id"), &id) &&
        json_text(r->frame, json_at(r->frame, root.raw, "type"), &type) && type.size < 64) {
        r->commands[r->count].id = id;
        memcpy(r->commands[r->count++].type, type.data, type.size);
    }
}

static int take_received(void *owner, struct json_value message)
{
    struct recording *r = owner;
    struct json_value result = json_at(r->frame, message.raw, "result");
    int64_t id;
    if (result.kind != JSON_ARRAY || !json_int(json_at(r->frame, message.raw, "id"), &id))
        return 0;
    for (size_t i = 0; i < r->count; i++)
        if (r->commands[i].id == id && !r->commands[i].result)
            r->commands[i].result = strndup(result.raw.data, result.raw.size);
    return 0;
}

static void take_line(struct recording *r, const char *line, size_t size)
{
    struct json_value root;
    struct slice text, direction;
    const char *why;
    assert_int_equal(json_read(r->line, (struct slice){ line, size }, &root, &why), 0);
    if (!json_text(r->line, json_at(r->line, root.raw, "dir"), &direction) ||
        !json_text(r->line, json_at(r->line, root.raw, "text"), &text) || json_read(r->frame, text, &root, &why))
        return;
    if (*(const char *)direction.data == '>' && root.kind == JSON_OBJECT)
        take_sent(r, root);
    else if (root.kind == JSON_ARRAY)
        json_each_item(r->frame, root.raw, take_received, r);
    else if (root.kind == JSON_OBJECT)
        take_received(r, root);
}

static void read_recording(struct recording *r, const char *name)
{
    char command[200], *line = NULL;
    size_t room = 0;
    ssize_t size;
    *r = (struct recording){ .line = json_new(), .frame = json_new() };
    snprintf(command, sizeof command, "gzip -cd ../recorded/%s.jsonl.gz", name);
    FILE *file = popen(command, "r");
    assert_non_null(file);
    while ((size = getline(&line, &room, file)) > 0)
        take_line(r, line, (size_t)size);
    assert_int_equal(pclose(file), 0);
    free(line);
}

static void free_recording(struct recording *r)
{
    for (size_t i = 0; i < r->count; i++)
        free(r->commands[i].result);
    json_destroy(&r->line);
    json_destroy(&r->frame);
}

static const char *result_of(const struct recording *r, struct slice command)
{
    for (size_t i = 0; i < r->count; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"type\":\"%s\"}", r->commands[i].type);
        if (r->commands[i].result && strlen(text) == command.size && !memcmp(text, command.data, command.size))
            return r->commands[i].result;
    }
    if (memmem(command.data, command.size, "get_config", 10))
        return "{}"; /* was not recorded */
    fail_msg("not recorded: %.*s", (int)command.size, (const char *)command.data);
    return NULL;
}

static probe_t *replay(const char *name)
{
    struct recording r;
    read_recording(&r, name);
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_non_null(probe);
    struct ingest_session m = { .has_session = true, .session = 1, .has_registry_changes = true };
    SET_TEXT(&m, state, "live", 4);
    assert_int_equal(probe_deliver(probe, &ingest_session_contract, &m), OK);
    probe_advance(probe, 200);
    const struct ha_command *q;
    while ((q = probe_asked(probe, &ingest_ask_contract))) {
        struct ha_result result = { .has_success = true, .success = true, .has_session = true, .session = 1 };
        SET(&result, result, slice_of(result_of(&r, q->command)));
        assert_int_equal(probe_answer(probe, &ingest_ask_contract, OK, &result), 0);
    }
    free_recording(&r);
    return probe;
}

static void every_recorded_registry_is_taken_whole(void **state)
{
    (void)state;
    static const struct { const char *name; size_t entities, devices, areas; int64_t entries; } cases[] = {
        { "ha-2024.3.3", 69, 48, 3, 6 }, { "ha-2025.4.4", 75, 51, 3, 7 }, { "ha-2026.2.3", 75, 51, 3, 3 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        probe_t *probe = replay(cases[i].name);
        const struct registry_mark *mark = probe_published(probe, &registry_mark_contract, 0);
        assert_true(mark && mark->session == 1 && !mark->partial);
        assert_int_equal(probe_published_count(probe, &registry_entity_contract), cases[i].entities);
        assert_int_equal(probe_published_count(probe, &registry_device_contract), cases[i].devices);
        assert_int_equal(probe_published_count(probe, &registry_area_contract), cases[i].areas);
        assert_false(probe_logged(probe, "was not taken"));
        struct entries_query q;
        struct page end;
        struct fault fault;
        schema_defaults(entries_query_schema(), &q, &fault);
        assert_int_equal(probe_call(probe, &registry_entries_contract, &q, &end), OK);
        assert_int_equal(end.count, cases[i].entries);
        probe_destroy(&probe);
    }
}

static void a_device_has_the_integration_of_its_config_entry(void **state)
{
    (void)state;
    probe_t *probe = replay("ha-2024.3.3"); /* no primary entry yet: the first of the list */
    size_t known = 0, count = probe_published_count(probe, &registry_device_contract);
    for (size_t i = 0; i < count; i++) {
        const struct device_row *row = probe_published(probe, &registry_device_contract, i);
        known += row->has_integration;
        if (!strcmp(row->name, "Sun"))
            assert_string_equal(row->integration, "sun");
    }
    assert_int_equal(known, count);
    probe_destroy(&probe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recorded_registry_is_taken_whole),
        cmocka_unit_test(a_device_has_the_integration_of_its_config_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
