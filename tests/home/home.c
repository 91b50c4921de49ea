/* home.c - the simulated Home Assistant: options, start and stop. */
#include "server.h"
#include "shapes.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile int stop; /* the one thing a signal may touch */

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static const char help[] =
    "home - a simulated Home Assistant\n\n"
    "  --port N            8123; 0: any, printed as 'listening on PORT'\n"
    "  --bind ADDRESS      127.0.0.1\n"
    "  --token TEXT        the administrator's, at least 32 characters\n"
    "  --limited-token T   of a user who is no administrator\n"
    "  --seed N            1: the same seed, the same house\n"
    "  --entities N        110\n"
    "  --rate N            12 events a second on average; up to 200000\n"
    "  --events N          stop generating after so many\n"
    "  --wait-for-client   nothing happens until the first client has subscribed\n"
    "  --strict            cut off slow clients as Home Assistant does; else the house waits for them\n"
    "  --coalesce          arrays of messages for clients that ask for coalesce_messages\n"
    "  --ha-version V      2024.3.3, 2025.4.4 or 2026.2.3: whose shapes\n"
    "  --truth FILE        every event that happened, and to which connections it was sent\n"
    "  --script FILE       lines of 'at SECONDS command' or 'after EVENTS command'\n"
    "  --replay FILE[.gz]  play a recording instead of a house\n"
    "  --history-bytes N   67108864: of states kept for history/history_during_period\n"
    "  --commit-delay S    1: a state is in the history so many seconds after it was written\n"
    "  --keep-seconds S    0: older history is purged; 0: only for want of room\n"
    "  --exclude GLOB,...  entities that the recorder leaves out\n"
    "  --quiet             say nothing but the port\n\n"
    "POST /control/<command> does what a script does: an unknown command lists them.\n";

enum option_name {
    PORT = 1,
    BIND,
    TOKEN,
    LIMITED,
    SEED,
    ENTITIES,
    RATE,
    EVENTS,
    WAIT,
    STRICT,
    COALESCE,
    VERSION,
    TRUTH,
    SCRIPT,
    REPLAY,
    HISTORY,
    COMMIT,
    KEEP,
    EXCLUDE,
    QUIET,
    HELP
};

static const struct option long_options[] = {{"port", required_argument, NULL, PORT},
    {"bind", required_argument, NULL, BIND}, {"token", required_argument, NULL, TOKEN},
    {"limited-token", required_argument, NULL, LIMITED}, {"seed", required_argument, NULL, SEED},
    {"entities", required_argument, NULL, ENTITIES}, {"rate", required_argument, NULL, RATE},
    {"events", required_argument, NULL, EVENTS}, {"wait-for-client", no_argument, NULL, WAIT},
    {"strict", no_argument, NULL, STRICT}, {"coalesce", no_argument, NULL, COALESCE},
    {"ha-version", required_argument, NULL, VERSION}, {"truth", required_argument, NULL, TRUTH},
    {"script", required_argument, NULL, SCRIPT}, {"replay", required_argument, NULL, REPLAY},
    {"history-bytes", required_argument, NULL, HISTORY}, {"commit-delay", required_argument, NULL, COMMIT},
    {"keep-seconds", required_argument, NULL, KEEP}, {"exclude", required_argument, NULL, EXCLUDE}, {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, HELP}, {NULL, 0, NULL, 0}};

static bool number(const char *name, const char *text, double low, double high, double *value)
{
    char *end;

    *value = strtod(text, &end);
    if (end != text && *end == 0 && *value >= low && *value <= high)
        return true;
    fprintf(stderr, "home: --%s must be a number from %.0f to %.0f\n", name, low, high);
    return false;
}

static bool version(const char *text, enum version *value)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(version_names[i], text) == 0) {
            *value = (enum version)i;
            return true;
        }
    fprintf(stderr, "home: --ha-version must be 2024.3.3, 2025.4.4 or 2026.2.3\n");
    return false;
}

static bool set_number(struct options *options, enum option_name name, const char *text)
{
    static const struct {
        const char *name;
        double high;
    } rows[] = {[PORT] = {"port", 65535},
        [SEED] = {"seed", 9e15},
        [ENTITIES] = {"entities", 1e6},
        [RATE] = {"rate", 1e6},
        [EVENTS] = {"events", 9e15},
        [HISTORY] = {"history-bytes", 4e9},
        [COMMIT] = {"commit-delay", 3600},
        [KEEP] = {"keep-seconds", 1e9}};
    double value;

    if (!number(rows[name].name, text, 0, rows[name].high, &value))
        return false;
    switch (name) {
    case PORT: options->port = (int)value; break;
    case SEED: options->seed = (uint64_t)value; break;
    case ENTITIES: options->entities = (size_t)value; break;
    case RATE: options->rate = value; break;
    case EVENTS: options->events = (int64_t)value; break;
    case COMMIT: options->commit_s = value; break;
    case KEEP: options->keep_s = value; break;
    default: options->history_bytes = (size_t)value; break;
    }
    return true;
}

static bool set(struct options *options, enum option_name name, const char *text)
{
    switch (name) {
    case BIND: options->bind = text; return true;
    case TOKEN: options->token = text; return true;
    case LIMITED: options->limited_token = text; return true;
    case WAIT: options->wait_for_client = true; return true;
    case STRICT: options->strict = true; return true;
    case COALESCE: options->coalesce = true; return true;
    case VERSION: return version(text, &options->version);
    case TRUTH: options->truth = text; return true;
    case SCRIPT: options->script = text; return true;
    case REPLAY: options->replay = text; return true;
    case EXCLUDE: options->exclude = text; return true;
    case QUIET: options->quiet = true; return true;
    case HELP: fputs(help, stdout); exit(0);
    default: return set_number(options, name, text);
    }
}

/* 0, or the exit code. */
static int read_options(int argc, char **argv, struct options *options)
{
    int name;

    while ((name = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        if (name == '?' || !set(options, (enum option_name)name, optarg))
            return 100;
    if (optind < argc) {
        fprintf(stderr, "home: %s is no option; see --help\n", argv[optind]);
        return 100;
    }
    if (strlen(options->token) < 32) {
        fprintf(stderr, "home: --token must have at least 32 characters\n");
        return 100;
    }
    return 0;
}

static void announce(const struct options *options, int port)
{
    const char *notify = getenv("NOTIFY_FD");

    printf("listening on %d\n", port);
    if (!options->quiet && !options->replay)
        printf("a house of %zu entities, %.0f events/s, Home Assistant %s\n", options->entities, options->rate,
            version_names[options->version]);
    fflush(stdout);
    if (notify && write(atoi(notify), "\n", 1) < 0)
        perror("home: NOTIFY_FD");
}

int main(int argc, char **argv)
{
    struct options options = {.bind = "127.0.0.1",
        .port = 8123,
        .token = "a-simulated-home-needs-no-secret-token",
        .seed = 1,
        .entities = 110,
        .rate = 12,
        .events = -1,
        .version = HA_2026_2,
        .history_bytes = 64 << 20,
        .commit_s = 1};
    int code = read_options(argc, argv, &options);

    if (code)
        return code;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    struct home *home = home_new(&options, moment_now_us());
    if (!home)
        return 100;
    struct server *server = server_new(home);
    if (server) {
        announce(&options, server_port(server));
        server_run(server, &stop);
    } else {
        fprintf(stderr, "home: cannot listen on %s:%d\n", options.bind, options.port);
        code = 111;
    }
    server_destroy(&server);
    home_destroy(&home);
    return code;
}
