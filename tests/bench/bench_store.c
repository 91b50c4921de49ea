/* bench_store.c - how fast a million believable events go into the store, and what they weigh.
 *
 * bench_store [events] [directory] [commit rows] [filter rules] [seconds]: prints rows/s, CPU per
 * row, bytes per row, the longest commit, and how long the usual questions take. The rules fit
 * nothing, so what they cost is the difference; one more thins everything to intervals of so many seconds. */
#include "event_id.h"
#include "filters.h"
#include "store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
    ENTITIES = 300, ATTRIBUTES = 512,
    MADE = 64 /* events at a time, before they are timed: an actor has one in its hands, not a batch that no cache holds */
};

struct home {
    uint64_t seed;
    char names[ENTITIES][64], states[ENTITIES][16], attributes[ATTRIBUTES], context[27];
    int64_t changed[ENTITIES];
};

static uint64_t chance(struct home *home)
{
    home->seed ^= home->seed << 13;
    home->seed ^= home->seed >> 7;
    return home->seed ^= home->seed << 17;
}

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void make_context(struct home *home, int64_t at_us)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)at_us / 1000;
    for (int i = 9; i >= 0; i--, ms >>= 5)
        home->context[i] = digits[ms & 31];
    for (int i = 10; i < 26; i++)
        home->context[i] = digits[chance(home) & 31];
}

/* One entity in three has attributes that take a handful of forms; the others never change. */
static size_t make_attributes(struct home *home, size_t entity)
{
    int size = snprintf(home->attributes, sizeof home->attributes,
        "{\"state_class\":\"measurement\",\"unit_of_measurement\":\"W\",\"device_class\":\"power\",\"icon\":\"mdi:flash\","
        "\"friendly_name\":\"Something that draws power number %zu\",\"options\":[\"a\",\"b\",\"c\"],\"level\":%d}",
        entity, entity % 3 ? 0 : (int)(chance(home) % 40));
    return (size_t)size;
}

static struct slice text(const char *t)
{
    return slice_of(t);
}

static void fill_event(struct home *home, struct event_full *e, int64_t i, int64_t at_us)
{
    static char old[16], device[40];
    size_t entity = (size_t)(chance(home) % ENTITIES);
    schema_clear(event_full_schema(), e);
    memcpy(old, home->states[entity], sizeof old);
    snprintf(home->states[entity], sizeof home->states[entity], "%d.%d", (int)(chance(home) % 3000), (int)(chance(home) % 10));
    make_context(home, at_us);
    snprintf(device, sizeof device, "0123456789abcdef0123456789ab%04zu", entity / 3);
    SET(e, event_type, text("state_changed"));
    SET(e, timestamp, at_us);
    SET(e, origin, text("LOCAL"));
    SET_TEXT(e, provenance, "live", 4);
    SET(e, context_id, ((struct slice){ home->context, 26 }));
    SET(e, received_at, at_us + 1500);
    SET(e, is_state, true);
    SET(e, place, i * 700);
    SET(e, entity_id, text(home->names[entity]));
    SET(e, domain, text("sensor"));
    SET(e, state, text(home->states[entity]));
    if (old[0])
        SET(e, old_state, text(old));
    SET(e, last_updated, at_us);
    SET(e, last_changed, at_us);
    SET(e, last_reported, at_us);
    SET(e, attributes, ((struct slice){ home->attributes, make_attributes(home, entity) }));
    SET(e, changed, true);
    SET(e, duration_in_state_s, (double)(at_us - home->changed[entity]) / 1e6);
    home->changed[entity] = at_us;
    SET(e, device_id, text(device));
    SET(e, area_id, text(entity % 2 ? "kitchen" : "living_room"));
    SET(e, area, text(entity % 2 ? "Kitchen" : "Living room"));
    SET(e, integration, text("shelly"));
    SET(e, device_class, text("power"));
    SET(e, manufacturer, text("Shelly"));
    SET(e, model, text("Plus 1PM"));
    SET(e, sw_version, text("1.4.2"));
    SET(e, labels, text("[]"));
    SET(e, value, e->state);
    SET(e, unit, text("W"));
    SET(e, canonical_value, strtod(home->states[entity], NULL));
    SET(e, canonical_unit, text("W"));
}

static char *keep(struct slice *s, char *at)
{
    memcpy(at, s->data, s->size);
    s->data = at;
    return at + s->size;
}

/* Events are made before they are timed; what the maker will overwrite is copied. */
static void keep_texts(struct event_full *e, char *at)
{
    struct slice *const texts[] = { &e->state, &e->old_state, &e->context_id, &e->attributes, &e->device_id };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i]->size > 0)
            at = keep(texts[i], at);
    e->value = e->state;
}

static int take(void *owner, const struct event_full *e)
{
    *(int64_t *)owner += (int64_t)e->attributes.size;
    return 0;
}

static void ask(const char *path, const char *name, const char *sort, const char *entity, const char *device, int64_t limit)
{
    const char *why = "";
    struct events_query q;
    struct page end;
    struct fault fault;
    int64_t sum = 0;
    store_t *store = store_open(&(struct store_options){ .path = path, .cache_bytes = 4 << 20 }, &why);
    assert(store);
    schema_clear(events_query_schema(), &q);
    SET_TEXT(&q, sort, sort, strlen(sort));
    SET(&q, limit, limit);
    if (entity)
        SET_TEXT(&q, entity_id, entity, strlen(entity));
    if (device)
        SET_TEXT(&q, device_id, device, strlen(device));
    int64_t first = 0, begun;
    for (int round = 0; round < 2; round++) {
        begun = clock_ns(CLOCK_MONOTONIC);
        enum store_result result = store_find(store, &q, take, &sum, &end, &fault);
        assert(result == STORE_OK);
        if (round == 0)
            first = clock_ns(CLOCK_MONOTONIC) - begun;
    }
    printf("%-34s %8.3f ms first, %8.3f ms again, %lld rows\n", name, (double)first / 1e6,
           (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e6, (long long)end.count);
    store_close(&store);
}

static void summarise(const char *path, int64_t from, int64_t to)
{
    const char *why = "";
    struct events_stats stats;
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    store_t *store = store_open(&(struct store_options){ .path = path, .cache_bytes = 4 << 20 }, &why);
    assert(store);
    for (int round = 0; round < 2; round++) {
        int64_t begun = clock_ns(CLOCK_MONOTONIC);
        enum store_result result = store_stats(store, from, to, &stats, &pool);
        assert(result == STORE_OK);
        printf("statistics of %lld events            %8.3f ms\n", (long long)stats.total_events, (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e6);
    }
    store_close(&store);
    msgpack_sbuffer_destroy(&pool);
}

/* So many rules that fit nothing, and a last one, if any. */
static void set_rules(filters_t *filters, int count, const char *last)
{
    struct fault fault;
    msgpack_sbuffer json;
    char one[160];
    msgpack_sbuffer_init(&json);
    msgpack_sbuffer_write(&json, "[", 1);
    for (int i = 0; i < count; i++) {
        int size = snprintf(one, sizeof one, "%s{\"action\":\"exclude\",\"glob\":\"sensor.nothing_%d_*_power\"}", i ? "," : "", i);
        msgpack_sbuffer_write(&json, one, (size_t)size);
    }
    if (last && count > 0)
        msgpack_sbuffer_write(&json, ",", 1);
    if (last)
        msgpack_sbuffer_write(&json, last, strlen(last));
    msgpack_sbuffer_write(&json, "]", 1);
    enum store_result result = filters_set(filters, (struct slice){ json.data, json.size }, 1, &fault);
    assert(result == STORE_OK);
    msgpack_sbuffer_destroy(&json);
}

/* What an event costs that is left out: the decision, and the note that it came. */
static void leave_out(struct home *home, store_t *store, filters_t *filters, int count)
{
    enum { EVENTS = 2000, ROUNDS = 500 };
    struct event_full *events = malloc(EVENTS * sizeof *events);
    char *texts = malloc(EVENTS * 1024);
    struct fault fault;
    int64_t gone;
    assert(events && texts);
    set_rules(filters, count - 1, "{\"action\":\"exclude\",\"domain\":\"sensor\"}");
    for (size_t i = 0; i < EVENTS; i++) {
        fill_event(home, &events[i], (int64_t)i, INT64_C(1767225600000000) + (int64_t)i);
        keep_texts(&events[i], texts + i * 1024);
    }
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (size_t i = 0; i < EVENTS * ROUNDS; i++) {
        events[i % EVENTS].place = (int64_t)i;
        enum store_result result = filters_append(filters, &events[i % EVENTS], &gone, &fault);
        assert(result == STORE_FILTERED);
    }
    enum store_result committed = store_commit(store);
    assert(committed == STORE_OK);
    filters_committed(filters);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("%d rules: %.0f ns CPU for an event that is left out\n", count, (double)cpu / (EVENTS * ROUNDS));
    free(events);
    free(texts);
}

static void preview(const char *path, int64_t now_us)
{
    const char *why = "";
    struct preview_reply reply;
    struct fault fault;
    msgpack_sbuffer pool;
    msgpack_sbuffer_init(&pool);
    store_t *store = store_open(&(struct store_options){ .path = path, .cache_bytes = 4 << 20 }, &why);
    rules_t *rules = rules_read(slice_of("[{\"action\":\"exclude\",\"area_id\":\"kitchen\"},{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":60}]"), &fault);
    assert(store && rules);
    int64_t begun = clock_ns(CLOCK_MONOTONIC);
    enum store_result result = store_preview(store, rules, now_us, &reply, &pool);
    assert(result == STORE_OK);
    printf("preview of %lld events                %8.3f ms, the last %.0f min, %s\n", (long long)reply.events,
           (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e6, (double)(reply.to - reply.from) / 6e7, reply.complete ? "complete" : "cut short");
    rules_destroy(&rules);
    store_close(&store);
    msgpack_sbuffer_destroy(&pool);
}

/* --- writing ------------------------------------------------------------------------------------------ */

struct options { int64_t count, batch; const char *directory, *thin_s; int rules; };
struct figures { int64_t wall, cpu, commit_cpu, commits, longest, thinned; };

/* What is being measured, and what is made for it before the clock runs. */
struct bench {
    struct home *home;
    struct event_full *events;
    char *texts, path[512];
    store_t *store;
    filters_t *filters;
    struct figures figures;
};

#define START_US INT64_C(1767225600000000)

static void append_some(struct bench *b, int64_t at, int64_t count)
{
    struct fault fault;
    int64_t gone;
    for (int64_t i = 0; i < count; i++) {
        fill_event(b->home, &b->events[i], 2000 * 500 + at + i, START_US + (at + i) * 100);
        keep_texts(&b->events[i], b->texts + i * 1024);
    }
    int64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    for (int64_t i = 0; i < count; i++) {
        enum store_result result = filters_append(b->filters, &b->events[i], &gone, &fault);
        assert(result == STORE_OK);
        b->figures.thinned += gone;
    }
    b->figures.wall += clock_ns(CLOCK_MONOTONIC) - wall;
    b->figures.cpu += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

static void commit(struct bench *b)
{
    int64_t wall = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    enum store_result result = filters_join(b->filters) == STORE_OK ? store_commit(b->store) : STORE_TROUBLE;
    assert(result == STORE_OK);
    filters_committed(b->filters);
    wall = clock_ns(CLOCK_MONOTONIC) - wall;
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    b->figures.wall += wall;
    b->figures.cpu += cpu;
    b->figures.commit_cpu += cpu;
    b->figures.commits++;
    b->figures.longest = wall > b->figures.longest ? wall : b->figures.longest;
}

static void write_all(struct bench *b, const struct options *o)
{
    for (int64_t done = 0; done < o->count; done += o->batch) {
        int64_t size = o->count - done < o->batch ? o->count - done : o->batch;
        for (int64_t i = 0; i < size; i += MADE)
            append_some(b, done + i, size - i < MADE ? size - i : MADE);
        commit(b);
    }
}

static void tell(const struct figures *f, int64_t count)
{
    printf("%lld rows, %lld commits: %.0f rows/s, %.2f us wall and %.2f us CPU per row (%.2f in commits), longest commit %.1f ms\n",
           (long long)count, (long long)f->commits, (double)count * 1e9 / (double)f->wall, (double)f->wall / 1e3 / (double)count,
           (double)f->cpu / 1e3 / (double)count, (double)f->commit_cpu / 1e3 / (double)count, (double)f->longest / 1e6);
}

static int open_all(struct bench *b, const struct options *o)
{
    const char *why = "";
    struct fault fault;
    char thin[100];
    b->home = calloc(1, sizeof *b->home);
    b->events = malloc(MADE * sizeof *b->events);
    b->texts = malloc(MADE * 1024);
    assert(b->home && b->events && b->texts);
    b->home->seed = 88172645463325252u;
    for (size_t i = 0; i < ENTITIES; i++)
        snprintf(b->home->names[i], sizeof b->home->names[i], "sensor.room_%zu_socket_%zu_power", i / 7, i);
    snprintf(b->path, sizeof b->path, "%s/bench-store-%d.db", o->directory, (int)clock());
    b->store = store_open(&(struct store_options){ .path = b->path, .writer = true, .cache_bytes = 8 << 20 }, &why);
    if (!b->store)
        return fprintf(stderr, "%s\n", why), -1;
    b->filters = filters_open(b->store, &fault);
    snprintf(thin, sizeof thin, "{\"action\":\"thin\",\"domain\":\"sensor\",\"interval_s\":%s}", o->thin_s ? o->thin_s : "");
    if (o->rules > 0)
        leave_out(b->home, b->store, b->filters, o->rules);
    set_rules(b->filters, o->rules, o->thin_s ? thin : NULL);
    return 0;
}

static void close_store(struct bench *b, int64_t count)
{
    const char *why = "";
    int64_t bytes = store_bytes(b->store);
    size_t in_force = filters_rules(b->filters);
    filters_close(&b->filters);
    store_close(&b->store);
    printf("%zu rules, %lld rows taken back\n", in_force, (long long)b->figures.thinned);
    tell(&b->figures, count);
    b->store = store_open(&(struct store_options){ .path = b->path, .writer = true }, &why);
    printf("%.1f bytes per row (%.1f with the log)\n", (double)store_bytes(b->store) / (double)count, (double)bytes / (double)count);
    store_close(&b->store);
}

static void ask_all(const struct bench *b, int64_t count)
{
    ask(b->path, "newest 100", "desc", NULL, NULL, 100);
    ask(b->path, "oldest 100", "asc", NULL, NULL, 100);
    ask(b->path, "newest 10000", "desc", NULL, NULL, 10000);
    ask(b->path, "newest 100 of an entity", "desc", b->home->names[5], NULL, 100);
    ask(b->path, "newest 1000 of an entity", "desc", b->home->names[5], NULL, 1000);
    ask(b->path, "newest 100 of a device", "desc", NULL, "0123456789abcdef0123456789ab0007", 100);
    ask(b->path, "newest 100 of no device", "desc", NULL, "none", 100);
    summarise(b->path, START_US, START_US + count * 100);
    preview(b->path, START_US + count * 100);
}

static void remove_all(struct bench *b)
{
    static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
    char name[520];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", b->path, ends[i]);
        remove(name);
    }
    free(b->home);
    free(b->events);
    free(b->texts);
}

int main(int argc, char **argv)
{
    struct bench bench = { 0 };
    struct options o = { .count = argc > 1 ? atoll(argv[1]) : 1000000, .directory = argc > 2 ? argv[2] : "/tmp", .batch = argc > 3 ? atoll(argv[3]) : 8192,
        .rules = argc > 4 ? atoi(argv[4]) : 0, .thin_s = argc > 5 ? argv[5] : NULL };
    if (open_all(&bench, &o) != 0)
        return 1;
    write_all(&bench, &o);
    close_store(&bench, o.count);
    ask_all(&bench, o.count);
    remove_all(&bench);
    return 0;
}
