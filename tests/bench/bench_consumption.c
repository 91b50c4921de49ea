/* bench_consumption.c - the table of energy of a year and of 50 devices: made once in DIRECTORY, then asked for in every step. */
#include "energy.h"
#include "probe.h"
#include "rolling.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define START_US INT64_C(1735689600000000) /* 1 January 2025 */
#define END_US   (START_US + 365 * DAY_US)

/* 20 that speak every two minutes, 20 every ten, 10 of which the power alone is told every five, and the meter every minute. */
struct load { const char *kind; int count; int64_t every_us; double watt; };
static const struct load loads[] = {
    { "meter", 1, 60 * SECOND_US, 9000 }, { "often", 20, 120 * SECOND_US, 150 }, { "seldom", 20, 600 * SECOND_US, 150 }, { "power", 10, 300 * SECOND_US, 200 },
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void say(store_t *store, const char *entity, const char *text, const char *unit, const char *attributes, int64_t at)
{
    static int64_t place;
    struct event_full e;
    struct fault fault;
    schema_clear(event_full_schema(), &e);
    SET(&e, event_type, slice_of("state_changed"));
    SET(&e, is_state, true);
    SET(&e, entity_id, slice_of(entity));
    SET(&e, domain, slice_of("sensor"));
    SET(&e, timestamp, at);
    SET(&e, last_updated, at);
    SET(&e, received_at, at);
    SET(&e, place, ++place);
    SET_TEXT(&e, provenance, "live", 4);
    SET(&e, state, slice_of(text));
    SET(&e, unit, slice_of(unit));
    SET(&e, attributes, slice_of(attributes));
    enum store_result result = store_append(store, &e, &fault);
    assert(result == STORE_OK);
}

static void say_load(store_t *store, const struct load *l, int number, int64_t at)
{
    char entity[64], text[40];
    bool is_power = strcmp(l->kind, "power") == 0;
    snprintf(entity, sizeof entity, "sensor.%s_%d_%s", l->kind, number, is_power ? "power" : "energy");
    snprintf(text, sizeof text, "%.4f", is_power ? l->watt + (double)(at / l->every_us % 7) : 100 + l->watt * (double)(at - START_US) / 3.6e12);
    say(store, entity, text, is_power ? "W" : "kWh", is_power ? "{\"device_class\":\"power\"}"
        : "{\"device_class\":\"energy\",\"state_class\":\"total_increasing\"}", at);
}

static void fill(const char *path)
{
    const char *why = "";
    bool is_done = false;
    store_t *store = store_open(&(struct store_options){ .path = path, .writer = true, .cache_bytes = 64 << 20 }, &why);
    assert(store);
    for (int64_t at = START_US; at < END_US; at += 60 * SECOND_US) {
        for (const struct load *l = loads; l < loads + sizeof loads / sizeof *loads; l++)
            for (int i = 0; i < l->count && at % l->every_us == 0; i++)
                say_load(store, l, i, at);
        if (at % HOUR_US == 0) {
            say(store, "_electricity.price", at / HOUR_US % 2 ? "0.31" : "0.29", "EUR/kWh", "{}", at);
            say(store, "_carbon.intensity_g_kwh", "210", "g/kWh", "{}", at);
        }
        if (at % (4 * HOUR_US) == 0)
            assert(store_commit(store) == STORE_OK);
        if (at % (5 * DAY_US) == 0)
            while (store_seal(store, at, 3 * DAY_US) == STORE_OK)
                ;
    }
    assert(store_commit(store) == STORE_OK);
    while (store_seal(store, END_US, 3 * DAY_US) == STORE_OK)
        ;
    while (!is_done && store_roll(store, END_US, &is_done) == STORE_OK)
        ;
    store_close(&store);
}

struct cost { size_t pages, rows; double wall, cpu, longest; };

static struct cost ask(probe_t *probe, int64_t from, const char *step)
{
    struct cost cost = { 0 };
    struct consumption_query q;
    struct consumption_end end;
    schema_clear(consumption_query_schema(), &q);
    SET(&q, from, from);
    SET(&q, to, END_US);
    SET_TEXT(&q, step, step, strlen(step));
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    do {
        double begun = seconds(CLOCK_MONOTONIC);
        if (probe_call(probe, &consumption_devices_contract, &q, &end) != OK) {
            printf("%s: %s\n", step, probe_fault(probe).why);
            return cost;
        }
        double took = seconds(CLOCK_MONOTONIC) - begun;
        cost.longest = took > cost.longest ? took : cost.longest;
        cost.pages++;
        cost.rows += probe_rows(probe);
        SET_TEXT(&q, cursor, end.next_cursor, end.next_cursor_size);
    } while (end.has_next_cursor);
    cost.wall = seconds(CLOCK_MONOTONIC) - wall;
    cost.cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    return cost;
}

int main(int argc, char *argv[])
{
    static const struct { const char *step; int64_t days; } questions[] = {
        { "1mo", 365 }, { "1d", 365 }, { "1h", 365 }, { "15m", 30 }, { "all", 30 }, { "all", 365 }, { "15m", 1 }, { "1mo", 365 },
    };
    char path[4096];
    struct rusage usage;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_consumption DIRECTORY\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/store.db", argv[1]);
    if (access(path, R_OK) != 0)
        fill(path);
    probe_t *probe = probe_new((const char *const[]){ "data", argv[1], "energy_meter", "sensor.meter_0_energy", NULL });
    assert(probe);
    probe_set_now(probe, END_US + HOUR_US);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        struct cost c = ask(probe, END_US - questions[i].days * DAY_US, questions[i].step);
        printf("%3d days by %-4s %7zu rows %4zu pages %8.0f ms %8.0f ms CPU, the longest page %.0f ms\n", (int)questions[i].days, questions[i].step, c.rows,
            c.pages, c.wall * 1e3, c.cpu * 1e3, c.longest * 1e3);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("%ld KB at most\n", usage.ru_maxrss);
    probe_destroy(&probe);
    return 0;
}
