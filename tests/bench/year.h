/* year.h - what a house of 200 entities says in a year (or in ten), the same again for the same seed.
 *
 * Polled sensors, counters that are reset now and then, motion and doors, media players with
 * attributes that hardly repeat. The busiest entity has about 3.7 % of all samples, the middle one
 * about 0.37 %: 367,000 and 37,000 of ten million. Times have microseconds, one sample in 2,000 is
 * "unavailable". The oldest comes first, over all entities, as the bus of a real house has it. */
#ifndef YEAR_H
#define YEAR_H

#include "schemas.h"

enum { YEAR_ENTITIES = 200 };
#define YEAR_END_US INT64_C(1767225600000000) /* 2026-01-01T00:00:00Z */
#define YEAR_US     INT64_C(31536000000000)

enum year_class { YEAR_POLLED, YEAR_COUNTER, YEAR_BINARY, YEAR_MEDIA };

struct year_entity {
    char id[56], name[56], device[33], area[16];
    const char *domain, *device_class, *unit, *state_class; /* NULL: none */
    enum year_class class;
    double share;            /* of all samples */
};

/* Whole in itself: a batch of them may be kept. */
struct year_sample {
    const struct year_entity *entity;
    int64_t at_us, changed_us, received_us, place;
    bool has_old, is_number;
    double number;           /* of the state, where it is a number */
    char state[24], old_state[24], context[27], attributes[480];
    size_t attributes_size;
};

typedef struct year year_t;

/* `samples` in all, between YEAR_END_US - span_us and about YEAR_END_US. */
year_t *year_new(int64_t samples, int64_t span_us, uint64_t seed);
void year_destroy(year_t **);
bool year_next(year_t *, struct year_sample *);  /* false: that was all */
const struct year_entity *year_entities(const year_t *); /* YEAR_ENTITIES, the busiest first */

/* As enrich hands it over; its texts are those of the sample. */
void year_event(const struct year_sample *, struct event_full *);
/* One line of InfluxDB's line protocol, times in microseconds; returns its length. Numbers are `value`, all else is
 * `text` if the peer keeps texts, else a line less: 0. */
size_t year_line(const struct year_sample *, bool with_text, char *to, size_t room);

#endif
