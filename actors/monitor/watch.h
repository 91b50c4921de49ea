/* watch.h - who is expected, when each was heard last and what it said. */
#ifndef WATCH_H
#define WATCH_H

#include "file.h"

typedef struct watch watch_t;

enum { STARTS = 8 };
struct process {
    char name[72];              /* "enrich/2" */
    char actor[33], status[13], why[241];
    int64_t heard_us;           /* on the clock; of who has not been heard yet, when he began to be expected */
    int64_t said_at, every_ms, started_at;
    int64_t starts_us[STARTS];  /* on the clock, the latest ones; 0: none */
    bool is_heard;
    char *counters;             /* JSON, or NULL */
};

watch_t *watch_new(file_t *, int64_t clock_us);
void watch_destroy(watch_t **);

/* false: it is one that was said before: the broker repeats last values to us. */
bool watch_hear(watch_t *, const struct heartbeat *, int64_t clock_us);
void watch_pardon(watch_t *, int64_t clock_us);   /* nobody could be heard until now */
void watch_forget(watch_t *, const char *name);   /* it is no longer expected */
struct process *watch_first(watch_t *), *watch_next(watch_t *);
size_t watch_count(const watch_t *);
int watch_starts(const struct process *, int64_t since_us);

#endif
