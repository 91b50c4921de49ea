/* meter.h - one power source: its trace cut into steady states, and the steps between them.
 *
 * G. W. Hart, "Nonintrusive appliance load monitoring", Proc. IEEE 80(12), 1992: samples that stay
 * within a tolerance for some time are a steady state, what lies between two of them is a transient,
 * and a step is the difference of two steady states. Here the tolerance follows the noise of the
 * trace, time counts instead of samples (any sampling from a second to minutes), a value that is not
 * said again is in force, and a ramp (sun on a roof) is no step. Times are microseconds, power is watts. */
#ifndef METER_H
#define METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WINDOW = 63, STEADY = 8, OCTAVES = 12, METER_ID = 255 };

struct sample { int64_t at_us; double w; };
struct window { float of[WINDOW]; uint32_t count, next; };  /* the last so many, in any order */
struct samples { struct sample of[STEADY]; uint32_t count; };

/* Steps that nothing was found for, by sign and size, as they would be expected in the next `BACKGROUND_S`. */
enum { BACKGROUND_S = 21600 };
struct background { double of[2][OCTAVES]; int64_t at_us; };

struct meter {
    char entity[METER_ID + 1];
    bool is_whole;             /* the whole home; else a circuit of it */
    struct window changes, intervals;   /* of successive samples: size in W, seconds between them */
    struct sample last;        /* at_us 0: none is in force */
    struct samples steady;     /* the newest of the steady state, oldest first */
    struct samples run;        /* what may become the next one: its first samples; none: it is steady */
    int64_t left_us;           /* when the steady state was last seen */
    struct background background;
};

struct meter_options { double min_delta_w; int64_t transient_us; };

struct step {
    int64_t from_us, to_us;    /* it happened after the one and not after the other */
    double before_w, after_w, noise_w;   /* noise: standard deviation of a sample */
};

/* A sample, or nothing in force any more. In the order of time; what is not newer is left out. True:
 * a step is complete. A sample completes at most one. */
bool meter_sample(struct meter *, const struct meter_options *, struct sample, struct step *);
void meter_break(struct meter *);

/* When a step would be complete without any further sample, since its value is in force; 0: none is under way. */
int64_t meter_due(const struct meter *);
bool meter_pass(struct meter *, const struct meter_options *, int64_t at_us, struct step *);

double meter_noise_w(const struct meter *);    /* standard deviation */
double meter_interval_s(const struct meter *); /* between samples, as a rule; 0: not known yet */
bool meter_is_alive(const struct meter *, int64_t at_us); /* there is a value in force that would have changed */

/* Steps that nothing explains: how many of this size are to be expected in so long, and one more of them. */
double background_expected(const struct background *, double delta_w, int64_t at_us, double seconds);
void background_add(struct background *, double delta_w, int64_t at_us, double weight);

#endif
