/* bench_year.c - a year of a house into our store, or as lines for its peers; the clock runs only while the store works.
 *
 * bench_year entities SAMPLES                       what there is: id, domain, class, share, one a line
 * bench_year write SAMPLES YEARS STORE COMMIT_ROWS HOT_DAYS EVERY_DAYS
 *     prints JSON: of five parts, rows/s and CPU us a row until they are committed, and CPU us a row of what
 *     the store does in the background: every so many days of the year, all that is due then
 * bench_year lines SAMPLES YEARS LINES text|numbers batches for stdout: their size in eight bytes, then that many bytes */
#include "rolling.h"
#include "year.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PARTS = 5, LINE_BYTES = 320, SEED = 20250101, CACHE_BYTES = 8 << 20 };

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static year_t *open_year(char **arguments)
{
    return year_new(atoll(arguments[2]), (int64_t)(atof(arguments[3]) * YEAR_US), SEED);
}

static int tell_entities(char **arguments)
{
    static const char *const classes[] = { "polled", "counter", "binary", "media" };
    year_t *year = year_new(atoll(arguments[2]), YEAR_US, SEED);
    for (size_t i = 0; i < YEAR_ENTITIES; i++) {
        const struct year_entity *e = year_entities(year) + i;
        printf("%s %s %s %.6f\n", e->id, e->domain, classes[e->class], e->share);
    }
    year_destroy(&year);
    return 0;
}

/* --- ours ---------------------------------------------------------------------------------------- */

struct part { int64_t rows, wall_ns, cpu_ns, longest_ns, seal_cpu_ns, roll_cpu_ns, longest_step_ns; };

static void append_all(store_t *store, const struct event_full *events, size_t count, struct part *part)
{
    struct fault fault;
    int64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < count; i++) {
        enum store_result result = store_append(store, &events[i], &fault);
        if (result != STORE_OK)
            fprintf(stderr, "a row is not taken (%d): %s\n", (int)result, result == STORE_BAD ? fault.why : store_why(store));
        assert(result == STORE_OK);
    }
    part->rows += (int64_t)count;
    part->wall_ns += clock_ns(CLOCK_MONOTONIC) - wall;
    part->cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

static void commit_all(store_t *store, struct part *part)
{
    int64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    enum store_result result = store_commit(store);
    assert(result == STORE_OK);
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    part->wall_ns += wall;
    part->cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    if (wall > part->longest_ns)
        part->longest_ns = wall;
}

/* An actor has a message in its hands, not a batch that no cache holds: a few are made, then the clock runs. The last one's time; -1: there was none. */
static int64_t write_batch(store_t *store, year_t *year, size_t rows, struct part *part, size_t *count)
{
    enum { MADE = 64 };
    static struct year_sample samples[MADE];
    static struct event_full events[MADE];
    int64_t last_us = -1;
    for (*count = 0; *count < rows;) {
        size_t made = 0;
        while (made < MADE && *count + made < rows && year_next(year, &samples[made])) {
            year_event(&samples[made], &events[made]);
            last_us = samples[made++].at_us;
        }
        if (made == 0)
            break;
        append_all(store, events, made, part);
        *count += made;
    }
    if (*count > 0)
        commit_all(store, part);
    return last_us;
}

static int64_t longer(int64_t longest_ns, int64_t begun_ns)
{
    int64_t took = clock_ns(CLOCK_MONOTONIC) - begun_ns;
    return took > longest_ns ? took : longest_ns;
}

/* As the sink does when nobody waits. */
static void work_in_background(store_t *store, int64_t now_us, int64_t hot_us, struct part *part)
{
    int64_t begun = clock_ns(CLOCK_PROCESS_CPUTIME_ID), sealed;
    enum store_result result = STORE_OK;
    for (int64_t step; result == STORE_OK; part->longest_step_ns = longer(part->longest_step_ns, step)) {
        step = clock_ns(CLOCK_MONOTONIC);
        result = store_seal(store, now_us, hot_us);
        if (result == STORE_MISSING)
            result = store_pack(store);
    }
    sealed = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (result == STORE_MISSING)
        result = STORE_OK;
    for (bool is_done = false; result == STORE_OK && !is_done;) {
        int64_t step = clock_ns(CLOCK_MONOTONIC);
        result = store_roll(store, now_us, &is_done);
        part->longest_step_ns = longer(part->longest_step_ns, step);
    }
    if (result != STORE_OK)
        fprintf(stderr, "%s\n", store_why(store));
    assert(result == STORE_OK);
    part->seal_cpu_ns += sealed - begun;
    part->roll_cpu_ns += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - sealed;
}

static void tell_parts(const struct part *parts)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"parts\":[");
    for (size_t i = 0; i < PARTS; i++)
        printf("%s{\"rows\":%lld,\"rows_s\":%.0f,\"cpu_us\":%.3f,\"longest_commit_ms\":%.1f,\"seal_cpu_us\":%.3f,\"roll_cpu_us\":%.3f,\"longest_step_ms\":%.1f}",
               i ? "," : "", (long long)parts[i].rows, (double)parts[i].rows * 1e9 / (double)parts[i].wall_ns,
               (double)parts[i].cpu_ns / 1e3 / (double)parts[i].rows, (double)parts[i].longest_ns / 1e6,
               (double)parts[i].seal_cpu_ns / 1e3 / (double)parts[i].rows,
               (double)parts[i].roll_cpu_ns / 1e3 / (double)parts[i].rows, (double)parts[i].longest_step_ns / 1e6);
    printf("],\"peak_rss_mb\":%.1f}\n", (double)usage.ru_maxrss / 1024);
}

static int write_store(char **arguments)
{
    int64_t samples = atoll(arguments[2]), done = 0;
    int64_t hot_us = (int64_t)(atof(arguments[6]) * 86400e6);
    int64_t every_us = (int64_t)(atof(arguments[7]) * 86400e6), due_us = 0;
    size_t rows = (size_t)atoll(arguments[5]), count;
    const char *why = "";
    struct part parts[PARTS] = { 0 };
    year_t *year = open_year(arguments);
    store_t *store = store_open(&(struct store_options){ .path = arguments[4], .writer = true, .cache_bytes = CACHE_BYTES }, &why);
    if (!store)
        return fprintf(stderr, "%s\n", why), 1;
    do {
        struct part *part = &parts[done * PARTS / samples];
        int64_t now_us = write_batch(store, year, rows, part, &count);
        if (count > 0 && (now_us >= due_us || count < rows)) {
            work_in_background(store, now_us, hot_us, part);
            due_us = now_us + every_us;
        }
        done += (int64_t)count;
    } while (count == rows);
    store_close(&store);
    tell_parts(parts);
    year_destroy(&year);
    return 0;
}

/* --- the peers -------------------------------------------------------------------------------------- */

static int write_lines(char **arguments)
{
    size_t lines = (size_t)atoll(arguments[4]), size = 0, count = 0;
    bool with_text = strcmp(arguments[5], "text") == 0;
    char *batch = malloc(lines * LINE_BYTES + sizeof(uint64_t));
    struct year_sample sample;
    year_t *year = open_year(arguments);
    assert(batch);
    for (bool more = true; more;) {
        more = year_next(year, &sample);
        size_t line = more ? year_line(&sample, with_text, batch + sizeof(uint64_t) + size, LINE_BYTES) : 0;
        size += line;
        count += line > 0;
        if (count < lines && more)
            continue;
        uint64_t head = size;
        memcpy(batch, &head, sizeof head);
        if (fwrite(batch, sizeof head + size, 1, stdout) != 1)
            return 1;
        size = count = 0;
    }
    year_destroy(&year);
    free(batch);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "entities") == 0)
        return tell_entities(argv);
    if (argc == 8 && strcmp(argv[1], "write") == 0)
        return write_store(argv);
    if (argc == 6 && strcmp(argv[1], "lines") == 0)
        return write_lines(argv);
    fprintf(stderr, "bench_year entities SAMPLES | write SAMPLES YEARS STORE COMMIT_ROWS HOT_DAYS EVERY_DAYS | lines SAMPLES YEARS LINES text|numbers\n");
    return 100;
}
