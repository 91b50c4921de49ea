/* main.c - the broker's process: settings, lock, readiness, loop, stop. */
#include "life.h"
#include "own.h"
#include "settings.h"

#include <czmq.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;

/* --- settings -------------------------------------------------------------------------- */

static bool starts_with(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_private(const char *address)
{
    static const char *const addresses[] = { "ipc://", "tcp://127.", "tcp://[::1]:" };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        if (starts_with(address, addresses[i]))
            return true;
    return false;
}

/* NULL, or what is wrong. */
static const char *fault_of(const struct broker_config *config, const char *endpoint)
{
    bool has_keys = config->has_public_key && config->has_secret_key;
    if (config->has_public_key != config->has_secret_key)
        return "broker.public_key and broker.secret_key go together";
    if (has_keys && (!is_curve_key(config->public_key) || !is_curve_key(config->secret_key)))
        return "broker.public_key or broker.secret_key is no CURVE key: 40 characters of Z85";
    if (has_keys && !config->has_clients)
        return "broker.clients is needed with keys: the directory of those who may connect";
    if (!is_private(endpoint))
        return "suite.broker is no ipc://, tcp://127. or tcp://[::1] address: others come by broker.listen, with CURVE keys";
    if (has_keys && access(config->clients, R_OK | X_OK))
        return "broker.clients is no directory that can be read";
    if (config->has_listen && address_fault(config->listen))
        return "broker.listen is no ipc://path or tcp://host:port";
    if (config->has_listen && !has_keys && !is_private(config->listen))
        return "broker.listen is open to others and needs broker.public_key, broker.secret_key and broker.clients";
    return NULL;
}

/* 0, or the exit code; -1: told what was asked, exit 0. */
static int read_settings(char **argv, struct own *own, char endpoint[ENDPOINT_SIZE])
{
    char why[512] = "";
    const struct settings_input input = { .actor = "broker", .doc = BROKER_DOC,
        .schema = broker_config_schema(), .arguments = argv + 1, .environment = environ };
    enum settings_result result = settings_read(&input, &own->suite, &own->config, why, sizeof why);
    if (result == SETTINGS_TOLD)
        return -1;
    if (result == SETTINGS_READY) {
        suite_endpoint(&own->suite, endpoint);
        const char *fault = fault_of(&own->config, endpoint);
        if (!fault)
            return 0;
        snprintf(why, sizeof why, "%s", fault);
    }
    fprintf(stderr, "broker: %s\n", why);
    return EXIT_SETTINGS;
}

/* --- start ----------------------------------------------------------------------------- */

static void note_peer(void *owner, const char *what, const char *name, const char *instance)
{
    struct own *own = owner;
    log_write(own->log, LOG_LEVEL_INFO, "%s %s %s", name, instance, what);
}

static void make_log(struct own *own)
{
    own->log = log_new(&(struct log_options){ .actor = "broker", .instance = own->suite.instance,
        .level = log_level_of(own->suite.log_level), .json = streq(own->suite.log_format, "json"), .fd = STDERR_FILENO });
    log_secrets(own->log, suite_config_schema(), &own->suite);
    log_secrets(own->log, broker_config_schema(), &own->config);
}

static int open_broker(struct own *own, const char *endpoint)
{
    const struct broker_config *config = &own->config;
    own->broker = broker_new(&(struct broker_options){
        .endpoint = endpoint,
        .listen = config->has_listen ? config->listen : NULL,
        .public_key = config->has_public_key ? config->public_key : NULL,
        .secret_key = config->has_secret_key ? config->secret_key : NULL,
        .clients = config->has_clients ? config->clients : NULL,
        .silence_ms = (int)config->silence_ms,
        .publisher_messages = (size_t)config->publisher_messages,
        .publisher_bytes = (size_t)config->publisher_bytes,
        .last_values_bytes = (size_t)config->last_values_bytes,
        .owner = own,
        .note = note_peer,
    });
    if (!own->broker) {
        int error = errno;
        log_write(own->log, LOG_LEVEL_ERROR, "cannot listen on %s%s%s: %s", endpoint, config->has_listen ? " and " : "",
            config->has_listen ? config->listen : "", zmq_strerror(error));
        return error == EINVAL ? EXIT_SETTINGS : EXIT_WORLD;
    }
    own_answer_services(own);
    return 0;
}

/* --- loop ------------------------------------------------------------------------------ */

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static bool is_asked_to_stop(struct own *own, int signals)
{
    for (int number; (number = life_signal(signals));) {
        if (number != SIGHUP)
            return true;
        log_write(own->log, LOG_LEVEL_INFO, "settings of the broker are read at its start only");
    }
    return false;
}

static void run(struct own *own, int signals)
{
    bool is_signalled = false;
    while (!is_signalled || !is_asked_to_stop(own, signals)) {
        int64_t clock_us = zclock_usecs();
        bool has_more = broker_work(own->broker, clock_us);
        if (clock_us >= own->beat_us)
            own_beat(own, "healthy", clock_us);
        int ms = smaller(broker_wait_ms(own->broker, clock_us), own_wait_ms(own, clock_us));
        is_signalled = broker_wait(own->broker, signals, has_more ? 0 : ms);
    }
    own_beat(own, "stopping", zclock_usecs());
}

/* --- the process ----------------------------------------------------------------------- */

/* libzmq aborts when it accepts a connection and no descriptor is left: have all that we may. */
static void take_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(struct own *own, const char *endpoint, int signals)
{
    char why[700];
    /* One a data directory, whatever its instance is called: a second one would take the socket over. */
    int lock = life_lock(own->suite.data, "broker", "1", why, sizeof why);
    if (lock < 0) {
        log_write(own->log, LOG_LEVEL_ERROR, "%s", why);
        return EXIT_WORLD;
    }
    int rc = open_broker(own, endpoint);
    if (rc == 0) {
        log_write(own->log, LOG_LEVEL_INFO, "listening on %s%s%s", endpoint, own->config.has_listen ? " and " : "",
            own->config.has_listen ? own->config.listen : "");
        life_ready();
        run(own, signals);
        life_stopping();
        log_write(own->log, LOG_LEVEL_INFO, "stops");
    }
    broker_destroy(&own->broker);
    close(lock);
    return rc;
}

int main(int argc, char **argv)
{
    (void)argc;
    struct own *own = calloc(1, sizeof *own);
    char endpoint[ENDPOINT_SIZE];
    assert(own);
    umask(077);
    if (life_follow_supervisor())
        return EXIT_WORLD;
    take_descriptors();
    int signals = life_signals();
    int rc = read_settings(argv, own, endpoint);
    if (rc == 0) {
        own->started_us = zclock_time() * 1000;
        make_log(own);
        rc = serve(own, endpoint, signals);
        log_destroy(&own->log);
    }
    free(own);
    return rc < 0 ? 0 : rc;
}
