/* bucket.h - what a series did in a stretch of time: samples and gaps go in, finished buckets come out.
 *
 * Pure: no I/O, no clock. Times are microseconds UTC, a bucket is from <= t < to. A value is in
 * force from its time until the next sample. Nothing is in force before the first sample, after a
 * removal, while a state is unavailable (in a series of numbers: while it is no number), and in a
 * gap until its end or the first sample within. The one before is then in force again: what
 * changed meanwhile would have come with the states that are read when the gap ends.
 *
 * A counter grows from one number to the next, whatever was between; the growth belongs to the
 * bucket of the later one. INCREASING: below 90 % of the number before it has been reset and has
 * grown by all it says; a smaller fall counts nothing until the highest since the reset is passed;
 * a negative number says nothing. TOTAL: the difference, of any sign; where last_reset is another
 * one it has been reset. These are Home Assistant's rules, but for the smaller fall. */
#ifndef STORE_BUCKET_H
#define STORE_BUCKET_H

#include "samples.h"
#include "step.h"

enum series_class {
    CLASS_AUTO,       /* of a question: what the series' newest value says of itself */
    CLASS_PLAIN,      /* numbers */
    CLASS_ANGLE,      /* numbers on a circle of 360: the mean is that of directions */
    CLASS_TOTAL, CLASS_INCREASING, /* counters */
    CLASS_STATES      /* every text is a value, numbers too */
};
static inline bool class_counts(enum series_class c)
{
    return c == CLASS_TOTAL || c == CLASS_INCREASING;
}

enum tier { TIER_RAW, TIER_QUARTER, TIER_HOUR, TIER_DAY, TIERS }; /* what a bucket was made of: samples, or rollups of 15 min, 1 h, 1 d */

/* What a counter knows. */
struct counter { bool has, has_reset; double previous, highest; uint64_t last_reset; /* a hash of its text */ };

enum { STATES_MAX = 1024, RESETS_MAX = 4096 }; /* of one bucket: what is beyond is summed up in other_us, or only counted */
struct state_time { struct slice state; int64_t us; };

struct bucket {
    int64_t from, to;           /* `to` of a bucket that is not over: where what is known ends */
    bool is_open;
    enum tier tier;             /* the finest that was read for it */
    int64_t count;
    int64_t value_us, unavailable_us, gap_us; /* their sum is to - from */
    bool has_first, has_last, has_range, has_increase;
    double first, last, min, max, increase;   /* of CLASS_STATES: not set */
    double integral, sine, cosine;            /* over value_us: of the number; of CLASS_ANGLE */
    int64_t resets;
    const int64_t *reset_at;                  /* of the first RESETS_MAX */
    const struct state_time *durations;       /* CLASS_STATES: in the order of their first appearance */
    size_t states;
    int64_t other_us;                         /* of states beyond STATES_MAX */
    struct slice first_state, last_state;     /* CLASS_STATES */
};
bool bucket_mean(const struct bucket *, enum series_class, double *mean); /* false: no value was in force */
void bucket_durations(const struct bucket *, msgpack_sbuffer *to); /* appends {"state": seconds ...}; what is beyond STATES_MAX is "(others)" */

void angle_of(double degrees, int64_t us, double *sine, double *cosine); /* so long in that direction */

/* The bucket and what it points to die when the function returns; anything but 0 ends it all. */
typedef int bucket_fn(void *owner, const struct bucket *);

struct span { int64_t from, to; };

struct bucketer_options {
    enum series_class class;    /* not CLASS_AUTO */
    struct step step;
    int64_t from, end;          /* `from` is an edge of the step; one of `end` is not needed: the bucket it cuts is open */
    const struct span *gaps;    /* sorted, none touches another; borrowed until the end */
    size_t gap_count;
    bucket_fn *give;
    void *owner;
};
typedef struct bucketer bucketer_t;

bucketer_t *bucketer_new(const struct bucketer_options *);
void bucketer_destroy(bucketer_t **);

/* In the order of time; last_reset is a hash, 0: none. One from before what has been reached says what is in force there
 * and counts for nothing else; of the numbers before, a counter is told. Not 0: what `give` returned. */
int bucketer_sample(bucketer_t *, const struct sample *, uint64_t last_reset);
void bucketer_set_counter(bucketer_t *, const struct counter *);
const struct counter *bucketer_counter(const bucketer_t *);
/* Until here, or to the end, there is no other sample. */
int bucketer_reach(bucketer_t *, int64_t at);
/* What is known already: from where all has been reached, and within one bucket. What is in force behind it the next sample says. */
int bucketer_part(bucketer_t *, const struct bucket *part);
int bucketer_end(bucketer_t *);  /* the last bucket comes out */
int64_t bucketer_at(const bucketer_t *); /* all before is accounted for */

/* The counter alone: what a number adds to it, and whether it was reset. */
double counter_take(struct counter *, enum series_class, double number, uint64_t last_reset, bool *is_reset);

#endif
