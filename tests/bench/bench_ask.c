/* bench_ask.c - what questions cost inside a query process: the store's own interface, no message, no JSON.
 *
 * bench_ask STORE CACHE_BYTES: reads questions, one a line (KIND ENTITY FROM_US TO_US); prints microseconds, microseconds of
 * CPU, rows and a sum of what was read of each, one a line; then a line with the memory that it took. Kinds:
 * open: open the store and learn its series; day: the samples of a span with the one in force at its start; hours:
 * the span's buckets of an hour; house: the state of every entity at FROM_US. */
#include "inside.h"
#include "moment.h"
#include "rollup.h"
#include "samples.h"
#include "store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct question { char kind[16], entity[64]; int64_t from, to; };
struct answer { int64_t rows; double sum; };
struct asking { const char *path; size_t cache_bytes; store_t *store; };

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(const store_t *store, enum store_result result)
{
    if (result == STORE_LATE)
        return; /* the time says it */
    if (result != STORE_OK)
        fprintf(stderr, "bench_ask: %d, %s\n", (int)result, store_why(store));
    assert(result == STORE_OK);
}

static void ask_open(struct asking *asking, const struct question *q, struct answer *a)
{
    const char *why = "";
    bool empty;
    (void)q;
    store_close(&asking->store);
    asking->store = store_open(&(struct store_options){ .path = asking->path, .cache_bytes = asking->cache_bytes }, &why);
    if (!asking->store)
        fprintf(stderr, "bench_ask: %s\n", why);
    assert(asking->store);
    must(asking->store, read_begin(asking->store, &empty));
    a->rows = (int64_t)asking->store->series.count;
    read_end(asking->store);
}

static void ask_day(struct asking *asking, const struct question *q, struct answer *a)
{
    store_t *store = asking->store;
    struct sample sample;
    bool empty;
    must(store, read_begin(store, &empty));
    const struct series *series = series_by_name(store, true, slice_of(q->entity));
    assert(!empty && series);
    samples_t *samples = samples_open(store, series->id, q->from, q->to, true);
    assert(samples);
    enum store_result result;
    for (; (result = samples_next(samples, &sample)) == STORE_OK; a->rows++)
        a->sum += sample.kind == SAMPLE_NUMBER ? sample.number : (double)sample.state.size;
    must(store, result == STORE_MISSING ? STORE_OK : result);
    samples_close(&samples);
    read_end(store);
}

static int take_bucket(void *owner, const struct bucket *b)
{
    struct answer *a = owner;
    double mean;
    a->rows++;
    if (bucket_mean(b, CLASS_PLAIN, &mean))
        a->sum += b->min + mean + b->max;
    return 0;
}

static void ask_hours(struct asking *asking, const struct question *q, struct answer *a)
{
    store_t *store = asking->store;
    struct bucket_question question = {
        .from_us = q->from, .to_us = q->to, .now_us = MAX_TIME_US, .step = { .kind = STEP_FIXED, .us = HOUR_US },
    };
    bool empty;
    must(store, read_begin(store, &empty));
    const struct series *series = series_by_name(store, true, slice_of(q->entity));
    assert(!empty && series);
    must(store, store_buckets(store, series->id, &question, take_bucket, a));
    read_end(store);
}

static int take_state(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct answer *a = owner;
    (void)which, (void)in_gap;
    a->rows++;
    a->sum += (double)e->state.size;
    return 0;
}

static void ask_house(struct asking *asking, const struct question *q, struct answer *a)
{
    struct moment_question question = { .at_us = { q->from }, .moments = 1 };
    int64_t next;
    must(asking->store, store_moment(asking->store, &question, take_state, a, &next));
    (void)next;
}

static const struct { const char *name; void (*ask)(struct asking *, const struct question *, struct answer *); } kinds[] = {
    { "open", ask_open },
    { "day", ask_day },
    { "hours", ask_hours },
    { "house", ask_house },
};

int main(int argc, char **argv)
{
    struct question q;
    struct rusage usage;
    if (argc != 3)
        return fprintf(stderr, "bench_ask STORE CACHE_BYTES\n"), 100;
    struct asking asking = { .path = argv[1], .cache_bytes = (size_t)atoll(argv[2]) };
    while (scanf("%15s %63s %ld %ld", q.kind, q.entity, &q.from, &q.to) == 4) {
        struct answer a = { 0 };
        size_t kind = 0;
        while (kind < sizeof kinds / sizeof *kinds && strcmp(kinds[kind].name, q.kind) != 0)
            kind++;
        if (!asking.store && strcmp(q.kind, "open") != 0)
            ask_open(&asking, NULL, &a);
        a = (struct answer){ 0 };
        assert(kind < sizeof kinds / sizeof *kinds);
        int64_t begun = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        kinds[kind].ask(&asking, &q, &a);
        cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        printf("%.1f %.1f %ld %.6f\n", (double)(clock_ns(CLOCK_MONOTONIC) - begun) / 1e3, (double)cpu / 1e3, a.rows, a.sum);
    }
    getrusage(RUSAGE_SELF, &usage);
    printf("memory %.1f\n", (double)usage.ru_maxrss / 1024);
    store_close(&asking.store);
    return 0;
}
