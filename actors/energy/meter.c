/* meter.c - one power source: its trace cut into steady states, and the steps between them. */
#include "meter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVEL = 4,           /* samples that make a level: few, so that it goes with a slow drift */
    KNOWN = 8,           /* samples before noise is known and steps are told */
    SETTLED = 6,         /* samples that make a steady state (Hart: three; more tell a ramp from a step) ... */
    SETTLED_US = 5000000,/* ... over so long; or what there is, in force for longer than this */
    SLOPED = 3,          /* samples that have a slope */
    HELD_S = 6,
    HELD_MOST_S = 90,
    INTERVAL_MOST_S = 600,
    ALONE_S = 30         /* a silence longer than this, and than some intervals, is a hole */
};
/* Standard errors that a step must be away from none: of the levels, and of the jump between the lines through them. */
static const double sure = 5.0, sure_jump = 3.0;

/* --- what is usual ------------------------------------------------------------------------------- */

static void window_add(struct window *self, double value)
{
    self->of[self->next] = (float)value;
    self->next = (self->next + 1) % WINDOW;
    if (self->count < WINDOW)
        self->count++;
}

static int by_size(const void *a, const void *b)
{
    float one = *(const float *)a, other = *(const float *)b;
    return (one > other) - (one < other);
}

static double window_median(const struct window *self)
{
    float sorted[WINDOW];
    if (self->count == 0)
        return 0;
    memcpy(sorted, self->of, self->count * sizeof *sorted);
    qsort(sorted, self->count, sizeof *sorted, by_size);
    return (double)sorted[self->count / 2];
}

/* Of a normal noise the median of |x[i] - x[i-1]| is 0.954 standard deviations; steps do not move it. */
double meter_noise_w(const struct meter *self)
{
    return window_median(&self->changes) / 0.954;
}

double meter_interval_s(const struct meter *self)
{
    return window_median(&self->intervals);
}

/* A state that does not change is said only once. Readings of ours hardly ever stand still: five intervals of silence are taken to be
 * a hole, before the series say so, and the worst of it is that a step at its end is not told. */
static bool says_changes_only(const struct meter *self)
{
    return self->entity[0] != '_';
}

static double silence_s(const struct meter *self)
{
    if (self->intervals.count < KNOWN)
        return INTERVAL_MOST_S;
    double interval = meter_interval_s(self);
    return interval * 5 > ALONE_S ? interval * 5 : ALONE_S;
}

bool meter_is_alive(const struct meter *self, int64_t at_us)
{
    return self->last.at_us && self->changes.count >= KNOWN
        && (says_changes_only(self) || (double)(at_us - self->last.at_us) / 1e6 <= silence_s(self));
}

/* --- samples -------------------------------------------------------------------------------------- */

static void push(struct samples *self, struct sample s)
{
    if (self->count == STEADY)
        memmove(self->of, self->of + 1, --self->count * sizeof *self->of);
    self->of[self->count++] = s;
}

/* Of a run its first samples count, and its last. */
static void push_run(struct samples *self, struct sample s)
{
    if (self->count == STEADY)
        self->of[STEADY - 1] = s;
    else
        self->of[self->count++] = s;
}

static double level_of(const struct samples *self)
{
    uint32_t n = self->count < LEVEL ? self->count : LEVEL;
    double w = 0;
    for (uint32_t i = self->count - n; i < self->count; i++)
        w += self->of[i].w / n;
    return w;
}

static double tolerance_w(const struct meter *self, const struct meter_options *o)
{
    double noise = meter_noise_w(self) * 3.5, least = o->min_delta_w / 2;
    return noise > least ? noise : least;
}

/* A straight line through samples by least squares: where it is `at`, and the variance of that in those of a sample. */
struct line { double mean_w, n, w, variance; };

static struct line line_of(const struct sample *of, uint32_t count, int64_t at_us)
{
    struct line line = { .n = count };
    double t = 0, tt = 0, tw = 0;
    for (uint32_t i = 0; i < count; i++) {
        t += (double)(of[i].at_us - at_us) / 1e6 / count;
        line.mean_w += of[i].w / count;
    }
    for (uint32_t i = 0; i < count; i++) {
        double away = (double)(of[i].at_us - at_us) / 1e6 - t;
        tt += away * away;
        tw += away * (of[i].w - line.mean_w);
    }
    bool has_slope = count >= SLOPED && tt > 0;
    line.w = line.mean_w - (has_slope ? t * tw / tt : 0);
    line.variance = 1 / line.n + (has_slope ? t * t / tt : 0);
    return line;
}

/* The levels must be apart, and they must be so where one ends and the other begins: else it is a ramp. */
static bool is_step(const struct meter *self, const struct meter_options *o, struct step *step)
{
    double noise = meter_noise_w(self), longest = fmax((double)o->transient_us / 1e6, 2.5 * meter_interval_s(self));
    const struct samples *old = &self->steady, *new = &self->run;
    int64_t middle_us = self->left_us + (new->of[0].at_us - self->left_us) / 2;
    uint32_t before_count = old->count < SETTLED ? old->count : SETTLED, after_count = new->count < SETTLED ? new->count : SETTLED;
    struct line before = line_of(old->of, old->count, middle_us), after = line_of(new->of, new->count, middle_us);
    struct line level = line_of(old->of + old->count - before_count, before_count, middle_us);
    struct line next = line_of(new->of, after_count, middle_us);
    double delta = next.mean_w - level.mean_w, jump = after.w - before.w;
    double least = fmax(o->min_delta_w, sure * noise * sqrt(1 / level.n + 1 / next.n)) * (1 - 1e-9);
    double least_jump = fmax(o->min_delta_w / 2, sure_jump * noise * sqrt(before.variance + after.variance));
    *step = (struct step){ self->left_us, new->of[0].at_us, level.mean_w, next.mean_w, noise };
    return self->changes.count >= KNOWN && (double)(step->to_us - step->from_us) / 1e6 <= longest
        && fabs(delta) >= least && fabs(jump) >= least_jump && delta * jump > 0;
}

/* The run is the steady state now. */
static bool settle(struct meter *self, const struct meter_options *o, struct step *step)
{
    bool found = self->steady.count > 0 && is_step(self, o, step);
    self->steady = self->run;
    self->run.count = 0;
    return found;
}

static bool has_settled(const struct meter *self)
{
    const struct samples *run = &self->run;
    return run->count >= SETTLED && run->of[run->count - 1].at_us - run->of[0].at_us >= SETTLED_US;
}

int64_t meter_due(const struct meter *self)
{
    double held = meter_interval_s(self) * 1.5;
    if (self->run.count == 0)
        return 0;
    held = held < HELD_S ? HELD_S : held > HELD_MOST_S ? HELD_MOST_S : held;
    return self->run.of[0].at_us + (int64_t)(held * 1e6);
}

bool meter_pass(struct meter *self, const struct meter_options *o, int64_t at_us, struct step *step)
{
    int64_t due = meter_due(self);
    return due && due <= at_us && settle(self, o, step);
}

/* The steady state was left: when it was last seen. A value that is said only when it changes was in
 * force until an interval ago at the earliest. */
static int64_t left_at(const struct meter *self, struct sample s)
{
    double back = meter_interval_s(self);
    back = back < 2 ? 2 : back > 60 ? 60 : back;
    int64_t earliest = s.at_us - (int64_t)(back * 1e6);
    return says_changes_only(self) && earliest > self->last.at_us ? earliest : self->last.at_us;
}

static void learn_usual(struct meter *self, struct sample s, double seconds, bool is_hole)
{
    window_add(&self->intervals, seconds < INTERVAL_MOST_S ? seconds : INTERVAL_MOST_S);
    if (is_hole)
        return;
    double interval = meter_interval_s(self);
    int held = says_changes_only(self) && interval > 0 ? (int)fmin(seconds / interval, WINDOW + 1) - 1 : 0;
    while (held-- > 0)
        window_add(&self->changes, 0);
    window_add(&self->changes, fabs(s.w - self->last.w));
}

void meter_break(struct meter *self)
{
    self->last = (struct sample){ 0, 0 };
    self->steady.count = self->run.count = 0;
}

bool meter_sample(struct meter *self, const struct meter_options *o, struct sample s, struct step *step)
{
    bool found = false;
    if (s.at_us <= self->last.at_us)
        return false;
    double seconds = self->last.at_us ? (double)(s.at_us - self->last.at_us) / 1e6 : 0;
    bool is_hole = !says_changes_only(self) && seconds > silence_s(self);
    if (self->last.at_us)
        learn_usual(self, s, seconds, is_hole);
    if (is_hole)
        meter_break(self);
    double tolerance = tolerance_w(self, o);
    if (self->run.count == 0 && self->steady.count > 0 && fabs(s.w - level_of(&self->steady)) <= tolerance) {
        push(&self->steady, s);
    } else {
        if (self->run.count == 0)
            self->left_us = self->last.at_us ? left_at(self, s) : s.at_us;
        if (self->run.count == 0 || fabs(s.w - level_of(&self->run)) > tolerance)
            self->run.count = 0;
        push_run(&self->run, s);
        found = has_settled(self) && settle(self, o, step);
    }
    self->last = s;
    return found;
}

/* --- background ---------------------------------------------------------------------------------------- */

static int octave(double delta_w)
{
    int exponent;
    frexp(fabs(delta_w), &exponent);
    exponent -= 3; /* from 4 W on */
    return exponent < 0 ? 0 : exponent >= OCTAVES ? OCTAVES - 1 : exponent;
}

static double faded(const struct background *self, int64_t at_us)
{
    double seconds = (double)(at_us - self->at_us) / 1e6;
    return self->at_us && seconds > 0 ? exp(-seconds / BACKGROUND_S) : 1;
}

double background_expected(const struct background *self, double delta_w, int64_t at_us, double seconds)
{
    return (self->of[delta_w < 0][octave(delta_w)] * faded(self, at_us) + 1) * seconds / BACKGROUND_S;
}

void background_add(struct background *self, double delta_w, int64_t at_us, double weight)
{
    double factor = faded(self, at_us);
    for (size_t i = 0; i < 2 * OCTAVES; i++)
        self->of[i / OCTAVES][i % OCTAVES] *= factor;
    if (at_us > self->at_us)
        self->at_us = at_us;
    self->of[delta_w < 0][octave(delta_w)] += weight;
}
