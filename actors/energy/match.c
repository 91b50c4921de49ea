/* match.c - who may have caused a step: how likely is it each of the devices that changed, two of them, or none. */
#include "match.h"

#include <math.h>

static const double contrary = 0.01;  /* a change seen to do the opposite of what it must */
static const double strange = 0.05;   /* a device that does something else than it did so far, at the least */
static const double decades = 7.6;    /* natural logarithm of 10 kW over 5 W: any size is as likely as its double */
static const double octave = 0.6931;

/* Of a step of any size: the same for each octave. */
static double any_size(double delta_w)
{
    return 1 / (decades * fmax(fabs(delta_w), 1));
}

static double direction_factor(enum direction direction, double delta_w)
{
    if (direction == EITHER)
        return 0.5;
    return (direction == UP) == (delta_w > 0) ? 1 - contrary : contrary;
}

static double normal(double away, double deviation)
{
    return exp(-away * away / (2 * deviation * deviation)) / (deviation * 2.5066);
}

/* How far its steps may be from their median. */
static double deviation_of(const struct candidate *c, const struct step *step)
{
    return sqrt(c->spread_w * c->spread_w + 0.0025 * c->watts * c->watts + 2 * step->noise_w * step->noise_w / 4 + 4);
}

/* How likely the device makes just this step; `rest`: another one has made the rest of it. */
static double size_density(const struct candidate *c, const struct step *step, double delta_w)
{
    double side = direction_factor(c->direction, delta_w), any = any_size(delta_w);
    if (c->watts <= 0)
        return side * any;
    double other = fmax(strange, 1 / (c->times + 1));
    return side * ((1 - other) * normal(fabs(delta_w) - c->watts, deviation_of(c, step)) + other * any);
}

static double signed_watts(const struct candidate *c, double delta_w)
{
    bool is_up = c->direction == EITHER ? delta_w > 0 : c->direction == UP;
    return is_up ? c->watts : -c->watts;
}

static double both_density(const struct candidate *a, const struct candidate *b, const struct step *step)
{
    double delta = step->after_w - step->before_w;
    if (a->watts <= 0 && b->watts > 0)
        return both_density(b, a, step);
    if (a->watts <= 0)
        return direction_factor(a->direction, delta) * direction_factor(b->direction, delta) * any_size(delta);
    double first = signed_watts(a, delta);
    if (b->watts <= 0)
        return size_density(b, step, delta - first) * (fabs(delta - first) > deviation_of(a, step) * 2);
    double second = signed_watts(b, delta);
    return normal(delta - first - second, hypot(deviation_of(a, step), deviation_of(b, step)));
}

/* Seen at the same time, as far as sampling can tell; else less likely with every second between. */
static double nearness(const struct candidate *c, const struct step *step, int64_t window_us)
{
    int64_t away = c->at_us < step->from_us ? step->from_us - c->at_us : c->at_us > step->to_us ? c->at_us - step->to_us : 0;
    return exp(-2.0 * (double)away / (double)(window_us > 0 ? window_us : 1));
}

struct odds { double part[CANDIDATES]; double alone[CANDIDATES], none, all, likeliest; };

static void add_alone(struct odds *odds, const struct step *step, const struct candidate *list, size_t count, const double *chance)
{
    for (size_t i = 0; i < count; i++) {
        double weight = chance[i] / (1 - chance[i]) * size_density(&list[i], step, step->after_w - step->before_w);
        odds->alone[i] = weight;
        odds->part[i] += weight;
        odds->all += weight;
        odds->likeliest = fmax(odds->likeliest, weight);
    }
}

static void add_pairs(struct odds *odds, const struct step *step, const struct candidate *list, size_t count, const double *chance)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            double weight = chance[i] / (1 - chance[i]) * chance[j] / (1 - chance[j]) * both_density(&list[i], &list[j], step);
            odds->part[i] += weight;
            odds->part[j] += weight;
            odds->all += weight;
            odds->likeliest = fmax(odds->likeliest, weight);
        }
}

struct judgement match(const struct step *step, struct candidate *list, size_t count, double expected, int64_t window_us, double sure)
{
    struct odds odds = { .none = expected / (octave * fmax(fabs(step->after_w - step->before_w), 1)) };
    double chance[CANDIDATES];
    struct judgement judgement = { .cause = -1 };
    odds.all = odds.none;
    for (size_t i = 0; i < count; i++)
        chance[i] = fmin(list[i].share * nearness(&list[i], step, window_us), 0.99);
    add_alone(&odds, step, list, count, chance);
    add_pairs(&odds, step, list, count, chance);
    for (size_t i = 0; i < count; i++) {
        list[i].confidence = fmin(odds.part[i] / odds.all, 1);
        if (odds.alone[i] / odds.all >= sure && odds.alone[i] >= odds.likeliest)
            judgement.cause = (int)i;
    }
    judgement.confidence = odds.likeliest / odds.all;
    judgement.unexplained = odds.none / odds.all;
    return judgement;
}
