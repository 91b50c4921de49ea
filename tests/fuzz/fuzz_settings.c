/* fuzz_settings.c - a configuration file, and settings as an environment and a command line.
 *
 * The first byte chooses: even, the rest is a YAML text; odd, it is lines of key=value, which
 * become variables and arguments. Whatever is accepted must keep to its rows. */
#include "settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct read { struct suite_config suite; struct ingest_config own; char why[700]; };

static void check(const struct read *read, enum settings_result result)
{
    struct fault fault;
    assert(result != SETTINGS_TOLD);
    assert((result == SETTINGS_WRONG) == (*read->why != '\0'));
    if (result == SETTINGS_WRONG)
        return;
    assert(schema_check(ingest_config_schema(), &read->own, &fault) == 0);
    assert(schema_check(suite_config_schema(), &read->suite, &fault) == 0);
    assert(*read->suite.data == '/');
}

/* Cut into lines: those that begin with - are arguments. Help would be printed. */
static void read_lines(struct read *read, char *text)
{
    char *variables[WORDS + 2] = { (char *)(uintptr_t)"HA_INGESTOR_DATA=/nonexistent" }, *arguments[WORDS + 1] = { 0 };
    size_t variables_count = 1, arguments_count = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (strcmp(line, "--help") == 0 || strcmp(line, "-h") == 0 || strcmp(line, "--version") == 0)
            continue;
        if (*line == '-' && arguments_count < WORDS)
            arguments[arguments_count++] = line;
        else if (variables_count < WORDS && !strstr(line, "_FILE=") && strncmp(line, "HA_INGESTOR_CONFIG=", 19) != 0)
            variables[variables_count++] = line;
    }
    check(read, settings_read(&(struct settings_input){ .actor = "ingest", .doc = "", .schema = ingest_config_schema(),
        .arguments = arguments, .environment = variables }, &read->suite, &read->own, read->why, sizeof read->why));
}

static void read_yaml(struct read *read, struct slice text)
{
    static char *const none[] = { NULL };
    check(read, settings_read_yaml(&(struct settings_input){ .actor = "ingest", .doc = "", .schema = ingest_config_schema(),
        .arguments = none, .environment = none }, text, &read->suite, &read->own, read->why, sizeof read->why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct read read;
    if (size == 0 || size > 65536)
        return 0;
    if (*data % 2 == 0) {
        read_yaml(&read, (struct slice){ data + 1, size - 1 });
        return 0;
    }
    char *text = malloc(size);
    assert(text);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    read_lines(&read, text);
    free(text);
    return 0;
}
