/* main.c - the process: settings, log, lock, life with its supervisor, then the actor. */
#include "actor_state.h"
#include "life.h"
#include "settings.h"

#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPPED_BYTES = 1 << 20, TRIM_BYTES = 2 << 20 };

/* glibc raises its thresholds with the largest block ever freed, up to 32 MiB: one huge message, and
 * what the next ones took is kept for ever. Fixed, a large buffer goes back to the system. */
static void fix_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES);
    mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
}

static log_t *open_log(const struct suite_config *suite, const struct schema *schema, const void *config)
{
    log_t *log = log_new(&(struct log_options){ .actor = actor_spec.name, .instance = suite->instance,
        .level = log_level_of(suite->log_level), .json = strcmp(suite->log_format, "json") == 0, .fd = STDERR_FILENO });
    log_secrets(log, suite_config_schema(), suite);
    if (schema)
        log_secrets(log, schema, config);
    return log;
}

/* With the lock held: no other process of this name and instance works on the data. */
static int run(const struct suite_config *suite, const void *config, log_t *log, char *const arguments[])
{
    int signal_fd = life_signals();
    if (signal_fd < 0) {
        log_write(log, LOG_LEVEL_ERROR, "cannot take signals");
        return EXIT_WORLD;
    }
    actor_t *actor = actor_new(&actor_spec, suite, config, log);
    actor->arguments = arguments;
    int exit_code = actor_run(actor, signal_fd);
    actor_destroy(&actor);
    close(signal_fd);
    return exit_code;
}

static int live(const struct suite_config *suite, const struct schema *schema, const void *config, char *const arguments[])
{
    char why[800];
    log_t *log = open_log(suite, schema, config);
    int exit_code = EXIT_WORLD;
    int lock = life_lock(suite->data, actor_spec.name, suite->instance, why, sizeof why);
    if (lock < 0)
        log_write(log, LOG_LEVEL_ERROR, "%s", why);
    else if (life_follow_supervisor())
        log_write(log, LOG_LEVEL_ERROR, "the supervisor is dead");
    else
        exit_code = run(suite, config, log, arguments);
    if (lock >= 0)
        close(lock);
    log_destroy(&log);
    return exit_code;
}

int main(int argc, char **argv)
{
    const struct schema *schema = actor_spec.config.schema ? actor_spec.config.schema() : NULL;
    struct suite_config *suite = calloc(1, sizeof *suite);
    void *config = schema ? calloc(1, schema->size) : NULL;
    char why[800];
    assert(suite && argc > 0 && (config || !schema));
    umask(077);
    fix_memory();
    struct settings_input input = { .actor = actor_spec.name, .doc = actor_spec.doc, .schema = schema,
        .arguments = argv + 1, .environment = environ };
    int exit_code = 0;
    switch (settings_read(&input, suite, config, why, sizeof why)) {
    case SETTINGS_READY: exit_code = live(suite, schema, config, argv + 1); break;
    case SETTINGS_TOLD:  break;
    case SETTINGS_WRONG: fprintf(stderr, "%s: %s\n", actor_spec.name, why); exit_code = EXIT_SETTINGS; break;
    }
    free(config);
    free(suite);
    return exit_code;
}
