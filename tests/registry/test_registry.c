/* test_registry.c - Home Assistant's lists in, rows and marks out; what is kept, answered, survived. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"

enum { ENTRIES, AREAS, FLOORS, LABELS, DEVICES, ENTITIES, LISTS };
static const char *const commands[LISTS] = { "config_entries/get", "config/area_registry/list",
    "config/floor_registry/list", "config/label_registry/list", "config/device_registry/list",
    "config/entity_registry/list" };

/* A home: the six lists, each JSON or NULL for the default. */
static const char *const home[LISTS] = {
    [ENTRIES] = "[{\"entry_id\":\"e1\",\"domain\":\"zha\",\"title\":\"Zigbee\",\"state\":\"loaded\",\"source\":\"user\",\"disabled_by\":null}]",
    [AREAS] = "[{\"area_id\":\"kitchen\",\"name\":\"Kitchen\",\"floor_id\":\"ground\",\"aliases\":[\"cuisine\"],\"labels\":[],\"icon\":null},"
              "{\"area_id\":\"attic\",\"name\":\"Attic\",\"floor_id\":null}]",
    [FLOORS] = "[{\"floor_id\":\"ground\",\"name\":\"Ground\",\"level\":0}]",
    [LABELS] = "[{\"label_id\":\"night\",\"name\":\"Night\",\"color\":\"red\"}]",
    [DEVICES] = "[{\"id\":\"d1\",\"name\":\"Lamp\",\"name_by_user\":\"My lamp\",\"manufacturer\":\"Acme\",\"model\":\"X 1\",\"sw_version\":2,"
                "\"area_id\":\"kitchen\",\"config_entries\":[\"e1\"],\"labels\":[\"night\"]},"
                "{\"id\":\"d2\",\"name\":\"Child\",\"name_by_user\":null,\"parent_device_id\":\"d1\",\"primary_config_entry\":\"e1\"}]",
    [ENTITIES] = "[{\"entity_id\":\"light.lamp\",\"id\":\"r1\",\"unique_id\":\"u1\",\"platform\":\"zha\",\"device_id\":\"d1\",\"area_id\":null,"
                 "\"name\":null,\"original_name\":\"Lamp\",\"entity_category\":null,\"disabled_by\":null,\"hidden_by\":null,\"labels\":[\"night\"],\"config_entry_id\":\"e1\"},"
                 "{\"entity_id\":\"sensor.power\",\"id\":\"r2\",\"unique_id\":17,\"platform\":\"zha\",\"device_id\":\"d1\",\"area_id\":\"attic\","
                 "\"entity_category\":\"diagnostic\",\"disabled_by\":\"user\"},"
                 "{\"entity_id\":\"sensor.child\",\"id\":\"r3\",\"platform\":\"zha\",\"device_id\":\"d2\"},"
                 "{\"entity_id\":\"sun.sun\",\"id\":\"r4\",\"platform\":\"sun\"}]",
};

static void say_session(probe_t *probe, const char *state, int64_t session, int64_t changes)
{
    struct ingest_session m = { .has_session = true, .session = session, .has_registry_changes = true,
        .registry_changes = changes };
    SET_TEXT(&m, state, state, strlen(state));
    assert_int_equal(probe_deliver(probe, &ingest_session_contract, &m), OK);
}

static const char config[] = "{\"latitude\":52.37,\"longitude\":4.89,\"elevation\":2,\"time_zone\":\"Europe/Amsterdam\",\"country\":\"NL\","
    "\"currency\":\"EUR\"}";

/* How many lists are asked for. Where the home is, which is asked behind them, is answered. */
static size_t lists_asked(probe_t *probe)
{
    const struct ha_command *q;
    while ((q = probe_asked(probe, &ingest_ask_contract)) && memmem(q->command.data, q->command.size, "get_config", 10)) {
        struct ha_result result = { .has_success = true, .success = true, .has_session = true, .session = 1 };
        SET(&result, result, slice_of(config));
        assert_int_equal(probe_answer(probe, &ingest_ask_contract, OK, &result), 0);
    }
    return probe_asked_count(probe, &ingest_ask_contract);
}

/* Which list is asked for; fails if none is. */
static int asked(probe_t *probe, int64_t session)
{
    lists_asked(probe);
    const struct ha_command *q = probe_asked(probe, &ingest_ask_contract);
    assert_non_null(q);
    assert_true(q->has_session && q->session == session);
    for (int i = 0; i < LISTS; i++) {
        char command[100];
        snprintf(command, sizeof command, "{\"type\":\"%s\"}", commands[i]);
        if (q->command.size == strlen(command) && !memcmp(q->command.data, command, q->command.size))
            return i;
    }
    fail_msg("asked for %.*s", (int)q->command.size, (const char *)q->command.data);
    return -1;
}

static void answer_list(probe_t *probe, int64_t session, const char *list)
{
    struct ha_result result = { .has_success = true, .success = true, .has_session = true, .session = session };
    SET(&result, result, slice_of(list));
    assert_int_equal(probe_answer(probe, &ingest_ask_contract, OK, &result), 0);
}

static void answer_error(probe_t *probe, int64_t session, const char *error)
{
    struct ha_result result = { .has_success = true, .has_session = true, .session = session };
    SET(&result, error, slice_of(error));
    assert_int_equal(probe_answer(probe, &ingest_ask_contract, OK, &result), 0);
}

/* Answer all six questions. */
static void answer_all(probe_t *probe, int64_t session, const char *const lists[LISTS])
{
    probe_clear(probe);
    for (int i = 0; i < LISTS; i++) {
        int list = asked(probe, session);
        answer_list(probe, session, lists && lists[list] ? lists[list] : home[list]);
    }
    assert_int_equal(lists_asked(probe), 0);
}

static void refresh(probe_t *probe, int64_t session, int64_t changes, const char *const lists[LISTS])
{
    say_session(probe, "live", session, changes);
    probe_advance(probe, 200);
    answer_all(probe, session, lists);
}

static probe_t *open_home(void)
{
    probe_t *probe = probe_new((const char *const[]){ NULL });
    assert_non_null(probe);
    refresh(probe, 1, 0, NULL);
    return probe;
}

static const struct registry_mark *last_mark(probe_t *probe)
{
    size_t count = probe_published_count(probe, &registry_mark_contract);
    return count ? probe_published(probe, &registry_mark_contract, count - 1) : NULL;
}

static const struct entity_row *said_entity(probe_t *probe, const char *entity_id)
{
    const struct entity_row *found = NULL;
    for (size_t i = 0; i < probe_published_count(probe, &registry_entity_contract); i++) {
        const struct entity_row *row = probe_published(probe, &registry_entity_contract, i);
        if (!strcmp(row->entity_id, entity_id))
            found = row;
    }
    return found;
}

static struct entity_row entity(probe_t *probe, const char *entity_id)
{
    struct entity_query q = { .has_entity_id = false };
    struct entity_row row;
    SET_TEXT(&q, entity_id, entity_id, strlen(entity_id));
    assert_int_equal(probe_call(probe, &registry_entity_get_contract, &q, &row), OK);
    return row;
}

static bool has_entity(probe_t *probe, const char *entity_id)
{
    struct entity_query q = { .has_entity_id = false };
    SET_TEXT(&q, entity_id, entity_id, strlen(entity_id));
    return probe_call(probe, &registry_entity_get_contract, &q, NULL) == OK;
}

static struct device_row device(probe_t *probe, const char *device_id)
{
    struct device_query q = { .has_device_id = false };
    struct device_row row;
    SET_TEXT(&q, device_id, device_id, strlen(device_id));
    assert_int_equal(probe_call(probe, &registry_device_get_contract, &q, &row), OK);
    return row;
}

/* --- reading -------------------------------------------------------------------------------- */

static void the_lists_become_rows_and_then_a_mark(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    assert_int_equal(probe_published_count(probe, &registry_device_contract), 2);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 4);
    assert_int_equal(probe_published_count(probe, &registry_area_contract), 4);
    const struct registry_mark *mark = last_mark(probe);
    assert_true(mark && mark->session == 1 && mark->registry_changes == 0 && !mark->partial);
    const struct entity_row *last = probe_published(probe, &registry_entity_contract, 3);
    const struct entity_row *before = probe_published(probe, &registry_entity_contract, 2);
    assert_true(mark->entity_revision == last->revision && last->revision > before->revision);
    struct device_row d = device(probe, "d1");
    assert_string_equal(d.name, "My lamp");
    assert_string_equal(d.sw_version, "2");
    assert_string_equal(d.integration, "zha");
    assert_int_equal(d.entity_count, 2);
    assert_string_equal(device(probe, "d2").integration, "zha");
    struct entity_row e = entity(probe, "sensor.power");
    assert_true(e.disabled && !strcmp(e.unique_id, "17") && !strcmp(e.domain, "sensor"));
    assert_string_equal(e.entity_category, "diagnostic");
    e = entity(probe, "light.lamp");
    assert_string_equal(e.name, "Lamp");
    assert_false(e.disabled || e.has_area_id);
    assert_int_equal(e.labels.size, strlen("[\"night\"]"));
    assert_memory_equal(e.labels.data, "[\"night\"]", e.labels.size);
    probe_destroy(&probe);
}

static void only_what_changed_is_said_again(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    int64_t created_at = entity(probe, "sun.sun").created_at;
    int64_t seen_at = entity(probe, "sun.sun").timestamp;
    probe_advance(probe, 1000);
    const char *lists[LISTS] = { [AREAS] = "[{\"area_id\":\"kitchen\",\"name\":\"Galley\",\"floor_id\":\"ground\",\"aliases\":[\"cuisine\"],"
        "\"labels\":[]},{\"area_id\":\"attic\",\"name\":\"Attic\"}]" };
    refresh(probe, 1, 1, lists);
    assert_int_equal(probe_published_count(probe, &registry_device_contract), 0);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 0);
    assert_int_equal(probe_published_count(probe, &registry_area_contract), 1);
    assert_string_equal(((const struct area_row *)probe_published(probe, &registry_area_contract, 0))->name, "Galley");
    assert_int_equal(last_mark(probe)->registry_changes, 1);
    assert_true(entity(probe, "sun.sun").created_at == created_at);
    assert_true(entity(probe, "sun.sun").timestamp > seen_at);
    probe_destroy(&probe);
}

static void a_move_is_a_changed_row(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    const char *lists[LISTS] = { [DEVICES] = "[{\"id\":\"d1\",\"name\":\"Lamp\",\"area_id\":\"attic\"},{\"id\":\"d2\"}]" };
    refresh(probe, 1, 1, lists);
    assert_string_equal(device(probe, "d1").area_id, "attic");
    assert_false(device(probe, "d2").has_name);
    assert_int_equal(probe_published_count(probe, &registry_device_contract), 2);
    probe_destroy(&probe);
}

static void what_is_gone_becomes_a_tombstone_and_may_come_back(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    int64_t created_at = entity(probe, "sun.sun").created_at;
    const char *lists[LISTS] = { [ENTITIES] = "[{\"entity_id\":\"sun.sun\",\"id\":\"r4\",\"platform\":\"sun\"}]", [DEVICES] = "[]" };
    refresh(probe, 1, 1, lists);
    assert_false(has_entity(probe, "light.lamp"));
    assert_true(has_entity(probe, "sun.sun"));
    const struct entity_row *gone = said_entity(probe, "light.lamp");
    assert_true(gone && gone->has_removed_at && !gone->has_renamed_to && !strcmp(gone->device_id, "d1"));
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 3);
    assert_int_equal(probe_published_count(probe, &registry_device_contract), 2);
    probe_advance(probe, 1000);
    refresh(probe, 1, 2, NULL);
    assert_true(has_entity(probe, "light.lamp"));
    assert_false(said_entity(probe, "light.lamp")->has_removed_at);
    assert_true(entity(probe, "light.lamp").created_at == created_at);
    probe_destroy(&probe);
}

static void a_rename_is_recognised_by_the_registry_id(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    int64_t created_at = entity(probe, "light.lamp").created_at;
    probe_advance(probe, 5000);
    const char *lists[LISTS] = { [ENTITIES] = "[{\"entity_id\":\"light.desk\",\"id\":\"r1\",\"platform\":\"zha\",\"device_id\":\"d1\"},"
        "{\"entity_id\":\"sensor.child\",\"id\":\"r2\",\"platform\":\"zha\"}," /* two have changed places */
        "{\"entity_id\":\"sensor.power\",\"id\":\"r3\",\"platform\":\"zha\"},"
        "{\"entity_id\":\"sun.sun\",\"id\":\"r5\",\"platform\":\"sun\"}]" };       /* another entity of that name */
    refresh(probe, 1, 1, lists);
    const struct entity_row *old = said_entity(probe, "light.lamp");
    assert_true(old && old->has_removed_at);
    assert_string_equal(old->renamed_to, "light.desk");
    assert_true(said_entity(probe, "light.desk")->created_at == created_at);
    assert_true(entity(probe, "sensor.child").created_at == created_at);
    assert_true(entity(probe, "sensor.power").created_at == created_at);
    assert_true(entity(probe, "sun.sun").created_at > created_at);
    assert_false(has_entity(probe, "light.lamp"));
    probe_destroy(&probe);
}

static void a_bad_row_does_not_lose_the_others(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    char long_id[600], list[4000];
    memset(long_id, 'a', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = '\0';
    snprintf(list, sizeof list, "[{\"entity_id\":\"light.good\",\"id\":\"r1\",\"name\":\"%s%s\"},5,null,{},{\"entity_id\":7},"
        "{\"entity_id\":\"light.%s\"},{\"entity_id\":\"nodot\",\"id\":\"r9\"},[],{\"entity_id\":\"light.last\",\"name\":{\"a\":1}}]",
        long_id, long_id, long_id);
    const char *lists[LISTS] = { [ENTITIES] = list, [DEVICES] = "[{\"name\":\"no id\"},{\"id\":\"d1\"}]" };
    refresh(probe, 1, 0, lists);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 2);
    assert_false(entity(probe, "light.good").has_name); /* too long: left out of the row */
    assert_true(has_entity(probe, "light.last"));
    assert_true(has_entity(probe, "light.last"));
    device(probe, "d1");
    assert_true(probe_logged(probe, "nodot"));
    assert_false(last_mark(probe)->partial);
    probe_destroy(&probe);
}

static void a_row_that_has_become_bad_stands_as_it_was(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    const char *lists[LISTS] = { [AREAS] = "[{\"area_id\":\"kitchen\",\"name\":\"Kitchen\"},{\"area_id\":\"attic\",\"name\":\"Attic\"}]" };
    refresh(probe, 1, 1, lists);
    lists[AREAS] = "[{\"area_id\":\"kitchen\",\"name\":{\"bad\":1}},{\"area_id\":5,\"name\":\"no id\"}]";
    refresh(probe, 1, 2, lists);
    const struct area_row *row = NULL;
    for (size_t i = 0; i < probe_published_count(probe, &registry_area_contract); i++) {
        row = probe_published(probe, &registry_area_contract, i);
        assert_string_not_equal(row->area_id, "kitchen");
    }
    assert_true(row && row->has_removed_at); /* the attic is gone */
    probe_destroy(&probe);
}

/* --- when it cannot be read ----------------------------------------------------------------------- */

static void a_list_that_home_assistant_does_not_know_is_empty(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    say_session(probe, "live", 1, 0);
    probe_advance(probe, 200);
    for (int i = 0; i < LISTS; i++) {
        int list = asked(probe, 1);
        if (list == FLOORS || list == LABELS)
            answer_error(probe, 1, "{\"code\":\"unknown_command\",\"message\":\"Unknown command.\"}");
        else
            answer_list(probe, 1, home[list]);
    }
    assert_true(last_mark(probe) && !last_mark(probe)->partial);
    assert_int_equal(probe_published_count(probe, &registry_area_contract), 2);
    probe_destroy(&probe);
}

static void a_list_that_fails_leaves_what_was_known_and_is_tried_again(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    say_session(probe, "live", 2, 0);
    probe_advance(probe, 200);
    for (int i = 0; i < LISTS; i++) {
        int list = asked(probe, 2);
        if (list == DEVICES)
            assert_int_equal(probe_answer_fault(probe, &ingest_ask_contract, TOO_LATE, "", "too late"), 0);
        else
            answer_list(probe, 2, home[list]);
    }
    assert_true(last_mark(probe)->partial && last_mark(probe)->session == 2);
    device(probe, "d1");
    char why[200];
    assert_int_equal(probe_health(probe, why, sizeof why), DEGRADED);
    probe_advance(probe, 6000);
    answer_all(probe, 2, NULL);
    assert_false(last_mark(probe)->partial);
    assert_int_equal(probe_health(probe, why, sizeof why), HEALTHY);
    probe_destroy(&probe);
}

static void a_refused_list_is_not_asked_for_again_and_again(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    say_session(probe, "live", 1, 0);
    probe_advance(probe, 200);
    for (int i = 0; i < LISTS; i++) {
        int list = asked(probe, 1);
        if (list == ENTRIES)
            answer_error(probe, 1, "{\"code\":\"unauthorized\",\"message\":\"Unauthorized\"}");
        else
            answer_list(probe, 1, home[list]);
    }
    assert_true(last_mark(probe)->partial);
    probe_advance(probe, 600000);
    assert_int_equal(lists_asked(probe), 0);
    probe_destroy(&probe);
}

static void what_is_no_list_is_not_taken(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    const char *lists[LISTS] = { [ENTITIES] = "{\"entities\":[]}" };
    refresh(probe, 1, 1, lists);
    assert_true(last_mark(probe)->partial);
    assert_true(has_entity(probe, "light.lamp"));
    probe_destroy(&probe);
}

static void a_connection_lost_ends_the_reading(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    say_session(probe, "live", 2, 0);
    probe_advance(probe, 200);
    asked(probe, 2);
    say_session(probe, "waiting", 2, 0);
    assert_int_equal(probe_answer_fault(probe, &ingest_ask_contract, UNAVAILABLE, "", "not connected"), 0);
    assert_int_equal(lists_asked(probe), 0);
    refresh(probe, 3, 0, NULL);
    assert_true(last_mark(probe)->session == 3 && !last_mark(probe)->partial);
    probe_destroy(&probe);
}

/* --- when to read ----------------------------------------------------------------------------------- */

static void changes_are_gathered_and_none_is_missed(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    say_session(probe, "live", 1, 1);
    probe_advance(probe, 150);
    assert_int_equal(lists_asked(probe), 0);
    say_session(probe, "live", 1, 2);
    probe_advance(probe, 50); /* from the first change, not from the last */
    asked(probe, 1);
    say_session(probe, "live", 1, 3); /* while it is being read */
    answer_all(probe, 1, NULL);
    assert_int_equal(last_mark(probe)->registry_changes, 2);
    probe_advance(probe, 200);
    answer_all(probe, 1, NULL);
    assert_int_equal(last_mark(probe)->registry_changes, 3);
    say_session(probe, "live", 1, 3);
    probe_advance(probe, 10000);
    assert_int_equal(lists_asked(probe), 0);
    probe_destroy(&probe);
}

static void nothing_is_asked_while_home_assistant_is_away(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    say_session(probe, "connecting", 4, 0);
    probe_advance(probe, 5000);
    assert_int_equal(lists_asked(probe), 0);
    assert_null(last_mark(probe));
    probe_advance(probe, 6000);
    const struct registry_mark *mark = last_mark(probe); /* what was captured must not wait for ever */
    assert_true(mark && mark->session == 0 && mark->partial);
    probe_destroy(&probe);
}

/* --- the file --------------------------------------------------------------------------------------- */

static char *new_directory(void)
{
    static char path[] = "/tmp/registry-test-XXXXXX";
    strcpy(path + strlen(path) - 6, "XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}

static size_t remove_directory(const char *path)
{
    size_t damaged = 0;
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[600];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        damaged += strstr(entry->d_name, "metadata.db.damaged-") != NULL;
        if (entry->d_name[0] != '.')
            unlink(name);
    }
    closedir(directory);
    rmdir(path);
    return damaged;
}

static void a_restart_says_at_once_what_was_known(void **state)
{
    (void)state;
    const char *data = new_directory();
    probe_t *probe = probe_new((const char *const[]){ "data", data, NULL });
    refresh(probe, 1, 0, NULL);
    const char *lists[LISTS] = { [ENTITIES] = "[{\"entity_id\":\"light.lamp\",\"id\":\"r1\",\"platform\":\"zha\",\"device_id\":\"d1\"}]" };
    refresh(probe, 1, 1, lists);
    probe_destroy(&probe);
    probe = probe_new((const char *const[]){ "data", data, NULL });
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 4); /* three of them tombstones */
    assert_true(said_entity(probe, "sun.sun")->has_removed_at);
    assert_false(said_entity(probe, "light.lamp")->has_removed_at);
    const struct registry_mark *mark = last_mark(probe);
    assert_true(mark && mark->session == 0 && !mark->partial);
    probe_destroy(&probe);
    assert_int_equal(remove_directory(data), 0);
}

static void overwrite(const char *data, long at, const char *bytes, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/metadata.db", data);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, at, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static void a_damaged_file_is_moved_aside_and_made_anew(void **state)
{
    (void)state;
    static char garbage[4096];
    memset(garbage, 0x5a, sizeof garbage);
    for (int i = 0; i < 2; i++) {
        const char *data = new_directory();
        probe_t *probe = probe_new((const char *const[]){ "data", data, NULL });
        refresh(probe, 1, 0, NULL);
        probe_destroy(&probe);
        overwrite(data, i ? 4096 : 0, garbage, sizeof garbage);
        probe = probe_new((const char *const[]){ "data", data, NULL });
        assert_non_null(probe);
        assert_true(probe_logged(probe, "damaged"));
        assert_null(last_mark(probe));
        refresh(probe, 1, 0, NULL);
        assert_true(has_entity(probe, "light.lamp"));
        probe_destroy(&probe);
        assert_true(remove_directory(data) >= 1);
    }
}

/* --- questions ------------------------------------------------------------------------------------------ */

static void devices_are_listed_by_name_with_their_entities_counted(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct devices_query q;
    struct page end;
    struct device_row row;
    struct fault fault;
    schema_defaults(devices_query_schema(), &q, &fault);
    assert_int_equal(probe_call(probe, &registry_devices_contract, &q, &end), OK);
    assert_true(end.count == 2 && end.limit == 100 && end.total == 2);
    assert_int_equal(probe_row(probe, 0, &row), 0);
    assert_string_equal(row.device_id, "d2"); /* Child, My lamp */
    assert_int_equal(row.entity_count, 1);
    q.limit = 1;
    q.offset = 1;
    assert_int_equal(probe_call(probe, &registry_devices_contract, &q, &end), OK);
    assert_true(end.count == 1 && end.total == 2 && probe_rows(probe) == 1);
    assert_int_equal(probe_row(probe, 0, &row), 0);
    assert_string_equal(row.device_id, "d1");
    schema_defaults(devices_query_schema(), &q, &fault);
    SET_TEXT(&q, manufacturer, "Acme", 4);
    assert_int_equal(probe_call(probe, &registry_devices_contract, &q, &end), OK);
    assert_int_equal(end.count, 1);
    schema_defaults(devices_query_schema(), &q, &fault);
    SET_TEXT(&q, area_id, "kitchen", 7); /* the child is where its parent is */
    assert_int_equal(probe_call(probe, &registry_devices_contract, &q, &end), OK);
    assert_int_equal(end.count, 2);
    SET_TEXT(&q, platform, "sun", 3);
    assert_int_equal(probe_call(probe, &registry_devices_contract, &q, &end), OK);
    assert_int_equal(end.count, 0);
    probe_destroy(&probe);
}

static int64_t count_entities(probe_t *probe, struct entities_query *q)
{
    struct page end;
    assert_int_equal(probe_call(probe, &registry_entities_contract, q, &end), OK);
    assert_int_equal(end.count, probe_rows(probe));
    struct fault fault;
    schema_defaults(entities_query_schema(), q, &fault);
    return end.count;
}

static void entities_are_found_by_domain_platform_device_and_area(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct entities_query q;
    struct fault fault;
    schema_defaults(entities_query_schema(), &q, &fault);
    assert_int_equal(count_entities(probe, &q), 4);
    SET_TEXT(&q, domain, "sensor", 6);
    assert_int_equal(count_entities(probe, &q), 2);
    SET_TEXT(&q, platform, "sun", 3);
    assert_int_equal(count_entities(probe, &q), 1);
    SET_TEXT(&q, device_id, "d1", 2);
    assert_int_equal(count_entities(probe, &q), 2);
    SET_TEXT(&q, area_id, "kitchen", 7); /* the lamp by its device, the child's by its parent */
    assert_int_equal(count_entities(probe, &q), 2);
    SET(&q, disabled, true);
    assert_int_equal(count_entities(probe, &q), 1);
    SET_TEXT(&q, domain, "no'pe", 5);
    assert_int_equal(count_entities(probe, &q), 0);
    probe_destroy(&probe);
}

static void areas_floors_labels_and_entries_are_listed(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct areas_query q;
    struct entries_query e;
    struct page end;
    struct area_row row;
    struct config_entry_row entry;
    struct fault fault;
    schema_defaults(areas_query_schema(), &q, &fault);
    assert_int_equal(probe_call(probe, &registry_areas_contract, &q, &end), OK);
    assert_int_equal(end.count, 2);
    assert_int_equal(probe_row(probe, 1, &row), 0);
    assert_string_equal(row.area_id, "kitchen");
    assert_string_equal(row.floor_id, "ground");
    SET_TEXT(&q, kind, "floor", 5);
    assert_int_equal(probe_call(probe, &registry_areas_contract, &q, &end), OK);
    assert_int_equal(probe_row(probe, 0, &row), 0);
    assert_true(row.has_level && row.level == 0);
    SET_TEXT(&q, kind, "room", 4);
    assert_int_equal(probe_call(probe, &registry_areas_contract, &q, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(probe).field, "kind");
    schema_defaults(entries_query_schema(), &e, &fault);
    assert_int_equal(probe_call(probe, &registry_entries_contract, &e, &end), OK);
    assert_int_equal(probe_row(probe, 0, &entry), 0);
    assert_string_equal(entry.title, "Zigbee");
    probe_destroy(&probe);
}

static void an_integration_is_counted_by_domain(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct platform_query q = { .has_platform = false };
    struct platform_analytics a;
    SET_TEXT(&q, platform, "zha", 3);
    assert_int_equal(probe_call(probe, &registry_analytics_contract, &q, &a), OK);
    assert_true(a.device_count == 2 && a.entity_count == 3);
    static const char breakdown[] = "[{\"domain\":\"sensor\",\"count\":2},{\"domain\":\"light\",\"count\":1}]";
    assert_int_equal(a.entity_breakdown.size, strlen(breakdown));
    assert_memory_equal(a.entity_breakdown.data, breakdown, strlen(breakdown));
    SET_TEXT(&q, platform, "nope", 4);
    assert_int_equal(probe_call(probe, &registry_analytics_contract, &q, &a), OK);
    assert_true(a.device_count == 0 && a.entity_count == 0 && a.entity_breakdown.size == 2);
    probe_destroy(&probe);
}

static void an_unknown_id_is_not_found(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct device_query d = { .has_device_id = false };
    struct entity_query e = { .has_entity_id = false };
    SET_TEXT(&d, device_id, "nonexistent", 11);
    SET_TEXT(&e, entity_id, "nonexistent.entity", 18);
    assert_int_equal(probe_call(probe, &registry_device_get_contract, &d, NULL), NOT_FOUND);
    assert_int_equal(probe_call(probe, &registry_entity_get_contract, &e, NULL), NOT_FOUND);
    probe_destroy(&probe);
}

static void a_listing_ends_when_the_answer_is_full(void **state)
{
    (void)state;
    probe_t *probe = open_home();
    struct entities_query q;
    struct page end;
    struct fault fault;
    schema_defaults(entities_query_schema(), &q, &fault);
    probe_set_rows_room(probe, 300);
    assert_int_equal(probe_call(probe, &registry_entities_contract, &q, &end), OK);
    assert_true(end.count >= 1 && end.count < 4 && end.total == 4 && (size_t)end.count == probe_rows(probe));
    probe_destroy(&probe);
}

/* --- a large house ------------------------------------------------------------------------------------------- */

static char *large_list(size_t count)
{
    size_t room = count * 900 + 16, size = 1;
    char *list = malloc(room);
    assert_non_null(list);
    list[0] = '[';
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(list + size, room - size, "%s{\"area_id\":null,\"categories\":{},\"config_entry_id\":\"e1\","
            "\"created_at\":1795485205.189531,\"device_id\":\"d%zu\",\"disabled_by\":null,\"entity_category\":null,"
            "\"entity_id\":\"sensor.measurement_number_%zu\",\"has_entity_name\":true,\"hidden_by\":null,\"icon\":null,"
            "\"id\":\"%032zx\",\"labels\":[],\"modified_at\":1795485205.409876,\"name\":null,\"options\":{\"conversation\":"
            "{\"should_expose\":false},\"sensor\":{\"suggested_display_precision\":2,\"filler\":\"%0300d\"}},\"original_name\":"
            "\"Measurement %zu\",\"platform\":\"zha\",\"translation_key\":null,\"unique_id\":\"00:11:22:33:44:55-%zu\"}",
            i ? "," : "", i / 10, i, i, 0, i, i);
    list[size++] = ']';
    list[size] = '\0';
    return list;
}

static void ten_thousand_entities_are_taken(void **state)
{
    (void)state;
    char *list = large_list(10000);
    const char *lists[LISTS] = { [ENTITIES] = list };
    probe_t *probe = probe_new((const char *const[]){ NULL });
    refresh(probe, 1, 0, lists);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 10000);
    refresh(probe, 2, 0, lists);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 0);
    refresh(probe, 3, 0, NULL);
    assert_int_equal(probe_published_count(probe, &registry_entity_contract), 10004);
    probe_destroy(&probe);
    free(list);
}

static void says_where_the_home_is(void **state)
{
    (void)state;
    probe_t *probe = probe_new((const char *const[]){ NULL });
    refresh(probe, 1, 0, NULL);
    const struct home_place *place = probe_published(probe, &registry_home_contract, 0);
    assert_non_null(place);
    assert_true(place->latitude == 52.37 && place->longitude == 4.89 && place->elevation_m == 2);
    assert_string_equal(place->time_zone, "Europe/Amsterdam");
    assert_string_equal(place->currency, "EUR");
    probe_destroy(&probe);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lists_become_rows_and_then_a_mark),
        cmocka_unit_test(only_what_changed_is_said_again),
        cmocka_unit_test(a_move_is_a_changed_row),
        cmocka_unit_test(what_is_gone_becomes_a_tombstone_and_may_come_back),
        cmocka_unit_test(a_rename_is_recognised_by_the_registry_id),
        cmocka_unit_test(a_bad_row_does_not_lose_the_others),
        cmocka_unit_test(a_row_that_has_become_bad_stands_as_it_was),
        cmocka_unit_test(a_list_that_home_assistant_does_not_know_is_empty),
        cmocka_unit_test(a_list_that_fails_leaves_what_was_known_and_is_tried_again),
        cmocka_unit_test(a_refused_list_is_not_asked_for_again_and_again),
        cmocka_unit_test(what_is_no_list_is_not_taken),
        cmocka_unit_test(a_connection_lost_ends_the_reading),
        cmocka_unit_test(changes_are_gathered_and_none_is_missed),
        cmocka_unit_test(nothing_is_asked_while_home_assistant_is_away),
        cmocka_unit_test(a_restart_says_at_once_what_was_known),
        cmocka_unit_test(a_damaged_file_is_moved_aside_and_made_anew),
        cmocka_unit_test(devices_are_listed_by_name_with_their_entities_counted),
        cmocka_unit_test(entities_are_found_by_domain_platform_device_and_area),
        cmocka_unit_test(areas_floors_labels_and_entries_are_listed),
        cmocka_unit_test(an_integration_is_counted_by_domain),
        cmocka_unit_test(an_unknown_id_is_not_found),
        cmocka_unit_test(a_listing_ends_when_the_answer_is_full),
        cmocka_unit_test(says_where_the_home_is),
        cmocka_unit_test(ten_thousand_entities_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
