/* test_settings.c - where settings come from, which source wins, and what an error says. */
#include "settings.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A directory with a config.yaml, an environment and a command line for ingest. */
struct world {
    char data[64], file[96], secret[96];
    struct suite_config suite;
    struct ingest_config own;
    char why[700];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert(world);
    strcpy(world->data, "/tmp/settings-XXXXXX");
    if (!mkdtemp(world->data))
        return -1;
    snprintf(world->file, sizeof world->file, "%s/config.yaml", world->data);
    snprintf(world->secret, sizeof world->secret, "%s/token", world->data);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    unlink(world->file);
    unlink(world->secret);
    rmdir(world->data);
    free(world);
    return 0;
}

static enum settings_result read_with(struct world *world, const char *const environment[], const char *const arguments[])
{
    char data[96], *variables[16] = { data }, *words[16] = { 0 };
    snprintf(data, sizeof data, "HA_INGESTOR_DATA=%s", world->data);
    for (size_t i = 0; environment && environment[i]; i++)
        variables[i + 1] = (char *)(uintptr_t)environment[i];
    for (size_t i = 0; arguments && arguments[i]; i++)
        words[i] = (char *)(uintptr_t)arguments[i];
    return settings_read(&(struct settings_input){ .actor = "ingest", .doc = "A test", .schema = ingest_config_schema(),
        .arguments = words, .environment = variables }, &world->suite, &world->own, world->why, sizeof world->why);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void rows_fall_back(void **state)
{
    struct world *world = *state;
    assert_int_equal(read_with(world, NULL, NULL), SETTINGS_READY);
    assert_int_equal(world->own.ping_ms, 10000);
    assert_true(world->own.tls_verify);
    assert_false(world->own.has_url);
    assert_string_equal(world->suite.log_level, "info");
    assert_string_equal(world->suite.data, world->data);
}

static void the_file_beats_the_fallback_the_environment_the_file_and_the_command_line_all(void **state)
{
    struct world *world = *state;
    write_file(world->file, "ingest:\n  ping_ms: 201\n  retry_min_ms: 202\n  segment_bytes: 70000\nsuite: {sync_ms: 11}\n");
    assert_int_equal(read_with(world, WORDS("INGEST_RETRY_MIN_MS=302", "INGEST_SEGMENT_BYTES=80000"),
        WORDS("--segment_bytes=90000", "--sync-ms", "12")), SETTINGS_READY);
    assert_int_equal(world->own.ping_ms, 201);
    assert_int_equal(world->own.retry_min_ms, 302);
    assert_int_equal(world->own.segment_bytes, 90000);
    assert_int_equal(world->suite.sync_ms, 12);
}

static void options_json_is_understood(void **state)
{
    struct world *world = *state;
    write_file(world->file, "{\"home_assistant_url\": \"http://ha:8123\", \"ha_ingestor_log_level\": \"debug\",\n"
        " \"ingest\": {\"tls_verify\": false, \"ca_file\": null, \"token\": \"\"}, \"weather\": {\"unknown\": [1, {\"a\": 2}]}, \"list\": [1]}");
    assert_int_equal(read_with(world, NULL, NULL), SETTINGS_READY);
    assert_string_equal(world->own.url, "http://ha:8123");
    assert_string_equal(world->suite.log_level, "debug");
    assert_false(world->own.tls_verify);
    assert_false(world->own.has_ca_file);
    assert_false(world->own.has_token);
}

static void the_file_that_is_named_must_be_there(void **state)
{
    struct world *world = *state;
    assert_int_equal(read_with(world, WORDS("HA_INGESTOR_CONFIG=/nonexistent/x.yaml"), NULL), SETTINGS_WRONG);
    assert_string_equal(world->why, "/nonexistent/x.yaml: cannot read it: No such file or directory");
}

static void what_is_empty_counts_as_not_set(void **state)
{
    struct world *world = *state;
    write_file(world->file, "ingest: {ping_ms: 777, url: ''}\n");
    assert_int_equal(read_with(world, WORDS("INGEST_PING_MS=", "HOME_ASSISTANT_TOKEN="), NULL), SETTINGS_READY);
    assert_int_equal(world->own.ping_ms, 777);
    assert_false(world->own.has_url);
    assert_false(world->own.has_token);
}

static void a_secret_may_lie_in_a_file(void **state)
{
    struct world *world = *state;
    char variable[160];
    write_file(world->secret, "s3cr3t\n");
    snprintf(variable, sizeof variable, "HOME_ASSISTANT_TOKEN_FILE=%s", world->secret);
    assert_int_equal(read_with(world, WORDS(variable), NULL), SETTINGS_READY);
    assert_string_equal(world->own.token, "s3cr3t");
    assert_int_equal(read_with(world, WORDS(variable, "HOME_ASSISTANT_TOKEN=x"), NULL), SETTINGS_WRONG);
    assert_non_null(strstr(world->why, "are both set"));
    assert_int_equal(read_with(world, WORDS("HOME_ASSISTANT_TOKEN_FILE=/nonexistent/t"), NULL), SETTINGS_WRONG);
    assert_non_null(strstr(world->why, "cannot read /nonexistent/t"));
}

static void an_error_names_the_key_its_origin_and_the_range(void **state)
{
    struct world *world = *state;
    char expected[200];
    assert_int_equal(read_with(world, WORDS("INGEST_PING_MS=5"), NULL), SETTINGS_WRONG);
    assert_string_equal(world->why, "ingest.ping_ms, from the environment (INGEST_PING_MS): \"5\" is below its range (100 to 600000)");
    assert_int_equal(read_with(world, NULL, WORDS("--ping-ms=x")), SETTINGS_WRONG);
    assert_non_null(strstr(world->why, "ingest.ping_ms, from the command line (--ping-ms): \"x\" "));
    write_file(world->file, "# mine\ningest:\n  tls_verify: perhaps\n");
    assert_int_equal(read_with(world, NULL, NULL), SETTINGS_WRONG);
    snprintf(expected, sizeof expected, "ingest.tls_verify, from the file (%s line 3): \"perhaps\" ", world->file);
    assert_memory_equal(world->why, expected, strlen(expected));
}

static void an_error_never_shows_a_secret(void **state)
{
    struct world *world = *state;
    char variable[700];
    memset(variable, 'k', sizeof variable);
    memcpy(variable, "HOME_ASSISTANT_TOKEN=", 21);
    variable[sizeof variable - 1] = '\0';
    assert_int_equal(read_with(world, WORDS(variable), NULL), SETTINGS_WRONG);
    assert_string_equal(world->why, "ingest.token, from the environment (HOME_ASSISTANT_TOKEN): is too long (at most 512 bytes)");
}

static void a_secret_is_refused_where_others_can_see_it(void **state)
{
    struct world *world = *state;
    assert_int_equal(read_with(world, NULL, WORDS("--token=tell-tale")), SETTINGS_WRONG);
    assert_non_null(strstr(world->why, "ingest.token, from the command line (--token): is a secret"));
    assert_non_null(strstr(world->why, "HOME_ASSISTANT_TOKEN or HOME_ASSISTANT_TOKEN_FILE"));
    assert_null(strstr(world->why, "tell-tale"));
}

static void the_way_to_the_broker_is_checked_and_named(void **state)
{
    static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    static const struct { const char *broker, *keys[3], *why; } rows[] = {
        { "nonsense", { 0 }, "suite.broker (HA_INGESTOR_BROKER): is neither ipc:// nor tcp://" },
        { "ipc://", { 0 }, "suite.broker (HA_INGESTOR_BROKER): has no path" },
        { "tcp://host", { 0 }, "suite.broker (HA_INGESTOR_BROKER): is no tcp://host:port" },
        { "tcp://host:65536", { 0 }, "suite.broker (HA_INGESTOR_BROKER): has no port from 1 to 65535" },
        { "tcp://host:", { 0 }, "suite.broker (HA_INGESTOR_BROKER): has no port from 1 to 65535" },
        { "tcp://[::1]:5570", { 0 }, "" },
        { "tcp://host:1", { key }, "suite.public_key (HA_INGESTOR_PUBLIC_KEY): is missing: suite.broker_key, suite.public_key "
            "and suite.secret_key go together" },
        { "tcp://host:1", { key, key, "short" }, "suite.secret_key (HA_INGESTOR_SECRET_KEY): is no CURVE key: 40 characters of Z85" },
        { "tcp://host:1", { key, key, key }, "" },
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        static const char *const names[] = { "BROKER", "BROKER_KEY", "PUBLIC_KEY", "SECRET_KEY" };
        char variables[4][100];
        for (size_t n = 0; n < 4; n++) {
            const char *value = n == 0 ? rows[i].broker : rows[i].keys[n - 1];
            snprintf(variables[n], sizeof variables[n], "HA_INGESTOR_%s=%s", names[n], value ? value : "");
        }
        assert_int_equal(read_with(world, WORDS(variables[0], variables[1], variables[2], variables[3]), NULL),
            *rows[i].why ? SETTINGS_WRONG : SETTINGS_READY);
        assert_string_equal(world->why, rows[i].why);
    }
}

static void a_key_that_does_not_exist_is_refused(void **state)
{
    struct world *world = *state;
    char expected[200];
    write_file(world->file, "ingest:\n  pingms: 5\n");
    assert_int_equal(read_with(world, NULL, NULL), SETTINGS_WRONG);
    snprintf(expected, sizeof expected, "ingest.pingms, from the file (%s line 2): there is no such setting", world->file);
    assert_string_equal(world->why, expected);
    unlink(world->file);
    assert_int_equal(read_with(world, NULL, WORDS("--pingms=5")), SETTINGS_WRONG);
    assert_string_equal(world->why, "--pingms, from the command line: there is no such setting; see --help");
    assert_int_equal(read_with(world, NULL, WORDS("ping")), SETTINGS_WRONG);
    assert_int_equal(read_with(world, NULL, WORDS("--ping_ms")), SETTINGS_WRONG);
    assert_string_equal(world->why, "--ping_ms, from the command line: has no value");
}

static void a_file_that_is_wrong_is_refused_by_its_line(void **state)
{
    static const struct { const char *text, *why; } rows[] = {
        { "ingest:\n  ping_ms: 300\n  ping_ms: 400\n", "line 3): \"400\" is given twice" },
        { "ingest: {ping_ms: [1]}\n", "is no plain value" },
        { "- a\n- b\n", "line 1: the file is no mapping of sections" },
        { "a: b\n---\nc: d\n", "line 2: a second document begins" },
        { "ingest: {ping_ms: 300\n", "line " },
        { "? [a]\n: b\n", "line 1: a key is no text" },
        { "suite: {log_level: loud}\n", "suite.log_level: \"loud\" is none of: debug info warn error" },
        { "suite: {sync: 'interval never'}\n", "suite.sync" },
        { "suite: {instance: ../x}\n", "suite.instance: \"../x\" may hold letters, digits, - and _ only" },
        { "ingest: {url: \"a\\0b\"}\n", "holds a NUL byte" },
        { "ingest: {url: &a x, ca_file: *a}\n", "is no plain value" },
    };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        write_file(world->file, rows[i].text);
        assert_int_equal(read_with(world, NULL, NULL), SETTINGS_WRONG);
        if (!strstr(world->why, rows[i].why))
            fail_msg("\"%s\" does not say \"%s\"", world->why, rows[i].why);
    }
}

static void an_empty_file_says_nothing(void **state)
{
    static const char *const texts[] = { "", "# only a comment\n", "---\n", "ingest:\n", "ingest: {}\n" };
    struct world *world = *state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file(world->file, texts[i]);
        assert_int_equal(read_with(world, NULL, NULL), SETTINGS_READY);
    }
}

static void the_data_directory_has_a_default_and_becomes_absolute(void **state)
{
    struct world *world = *state;
    char here[500], expected[600], *no_words[] = { NULL };
    struct settings_input input = { .actor = "enrich", .doc = "", .arguments = no_words };
    input.environment = (char *[]){ (char *)(uintptr_t)"XDG_STATE_HOME=/s", (char *)(uintptr_t)"HOME=/h", NULL };
    assert_int_equal(settings_read(&input, &world->suite, NULL, world->why, sizeof world->why), SETTINGS_READY);
    assert_string_equal(world->suite.data, "/s/ha-ingestor");
    input.environment = (char *[]){ (char *)(uintptr_t)"HOME=/h", NULL };
    assert_int_equal(settings_read(&input, &world->suite, NULL, world->why, sizeof world->why), SETTINGS_READY);
    assert_string_equal(world->suite.data, "/h/.local/state/ha-ingestor");
    assert_int_equal(read_with(world, NULL, WORDS("--data=sub/dir//")), SETTINGS_READY);
    assert_non_null(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s/sub/dir", here);
    assert_string_equal(world->suite.data, expected);
}

static void the_endpoint_is_a_socket_in_the_data_directory_if_its_path_is_short_enough(void **state)
{
    char endpoint[ENDPOINT_SIZE], other[ENDPOINT_SIZE];
    struct suite_config suite = { 0 };
    (void)state;
    SET_TEXT(&suite, data, "/d", 2);
    suite_endpoint(&suite, endpoint);
    assert_string_equal(endpoint, "ipc:///d/broker.ipc");
    char path[120];
    memset(path, 'x', sizeof path);
    *path = '/';
    SET_TEXT(&suite, data, path, sizeof path);
    suite_endpoint(&suite, endpoint);
    assert_int_equal(strlen(endpoint), strlen("ipc:///tmp/ha-ingestor-0123456789abcdef.ipc"));
    suite.data[50] = 'y';
    suite_endpoint(&suite, other);
    assert_string_not_equal(endpoint, other);
    SET_TEXT(&suite, broker, "tcp://host:1", 12);
    suite_endpoint(&suite, endpoint);
    assert_string_equal(endpoint, "tcp://host:1");
}

static void help_names_every_setting_and_its_variable(void **state)
{
    (void)state;
    msgpack_sbuffer text;
    msgpack_sbuffer_init(&text);
    settings_help(&(struct settings_input){ .actor = "ingest", .doc = "A test", .schema = ingest_config_schema() }, &text);
    msgpack_sbuffer_write(&text, "", 1);
    for (size_t i = 0; i < ingest_config_schema()->count; i++) {
        char name[100];
        settings_variable("ingest", &ingest_config_schema()->fields[i], name, sizeof name);
        assert_non_null(strstr(text.data, name));
    }
    assert_non_null(strstr(text.data, "HA_INGESTOR_SYNC_MS"));
    assert_non_null(strstr(text.data, "100 to 600000; default 10000"));
    msgpack_sbuffer_destroy(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rows_fall_back),
        TEST(the_file_beats_the_fallback_the_environment_the_file_and_the_command_line_all),
        TEST(options_json_is_understood),
        TEST(the_file_that_is_named_must_be_there),
        TEST(what_is_empty_counts_as_not_set),
        TEST(a_secret_may_lie_in_a_file),
        TEST(an_error_names_the_key_its_origin_and_the_range),
        TEST(an_error_never_shows_a_secret),
        TEST(a_secret_is_refused_where_others_can_see_it),
        TEST(the_way_to_the_broker_is_checked_and_named),
        TEST(a_key_that_does_not_exist_is_refused),
        TEST(a_file_that_is_wrong_is_refused_by_its_line),
        TEST(an_empty_file_says_nothing),
        TEST(the_data_directory_has_a_default_and_becomes_absolute),
        TEST(the_endpoint_is_a_socket_in_the_data_directory_if_its_path_is_short_enough),
        TEST(help_names_every_setting_and_its_variable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
