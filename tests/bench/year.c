/* year.c - what a house of 200 entities says in a year. */
#include "year.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Shares are those of a lognormal distribution. */
#define SPREAD 0.817
enum { TITLES = 400, UNAVAILABLE_ONE_IN = 2000, RESET_ONE_IN = 20000 };

struct source { /* one entity's own chance and memory */
    uint64_t seed;
    int64_t next_us, changed_us;
    double interval_us, number;
    unsigned title, volume;
    bool is_on, was_unavailable;
    char state[24];
};

struct year {
    struct year_entity entities[YEAR_ENTITIES];
    struct source sources[YEAR_ENTITIES];
    size_t heap[YEAR_ENTITIES];
    int64_t left, place;
};

static uint64_t chance(struct source *s)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 7;
    return s->seed ^= s->seed << 17;
}

static uint64_t one_of(struct source *s, uint64_t of)
{
    return (chance(s) >> 11) % of;
}

/* 0 < x <= 1 */
static double part(struct source *s)
{
    return (double)((chance(s) >> 11) + 1) / 9007199254740992.0;
}

/* --- the house ---------------------------------------------------------------------------------- */

static enum year_class class_of(size_t rank)
{
    if (rank >= 140 && rank % 5 == 0)
        return YEAR_MEDIA;
    return rank % 4 == 3 ? YEAR_BINARY : rank % 5 == 2 ? YEAR_COUNTER : YEAR_POLLED;
}

static void name_entity(struct year_entity *e, size_t rank)
{
    static const struct { const char *domain, *device_class, *unit, *state_class; } kinds[] = {
        { "sensor", "power", "W", "measurement" }, { "sensor", "temperature", "°C", "measurement" },
        { "sensor", "humidity", "%", "measurement" }, { "sensor", "energy", "kWh", "total_increasing" },
        { "binary_sensor", "motion", NULL, NULL }, { "media_player", "speaker", NULL, NULL },
    };
    static const size_t kind_of[] = { [YEAR_POLLED] = 0, [YEAR_COUNTER] = 3, [YEAR_BINARY] = 4, [YEAR_MEDIA] = 5 };
    e->class = class_of(rank);
    size_t kind = kind_of[e->class] + (e->class == YEAR_POLLED ? rank % 3 : 0);
    e->domain = kinds[kind].domain, e->device_class = kinds[kind].device_class;
    e->unit = kinds[kind].unit, e->state_class = kinds[kind].state_class;
    snprintf(e->id, sizeof e->id, "%s.room_%zu_thing_%zu_%s", e->domain, rank % 17, rank, e->device_class);
    snprintf(e->name, sizeof e->name, "Room %zu thing %zu %s", rank % 17, rank, e->device_class);
    snprintf(e->device, sizeof e->device, "%08zx9abcdef0123456789abcdef0", rank / 3 * 2654435761u % 4294967296u);
    snprintf(e->area, sizeof e->area, "room_%zu", rank % 17);
}

/* How many standard deviations below the mean, for the upper `p` of all: half of what erfc says, by halving. */
static double deviations(double p)
{
    double low = -8, high = 8;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(middle / sqrt(2.0)) > p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool is_earlier(const year_t *year, size_t a, size_t b)
{
    const struct source *x = &year->sources[year->heap[a]], *y = &year->sources[year->heap[b]];
    return x->next_us != y->next_us ? x->next_us < y->next_us : year->heap[a] < year->heap[b];
}

static void sink_down(year_t *year, size_t at)
{
    for (size_t child; (child = 2 * at + 1) < YEAR_ENTITIES; at = child) {
        if (child + 1 < YEAR_ENTITIES && is_earlier(year, child + 1, child))
            child++;
        if (!is_earlier(year, child, at))
            return;
        size_t other = year->heap[at];
        year->heap[at] = year->heap[child];
        year->heap[child] = other;
    }
}

year_t *year_new(int64_t samples, int64_t span_us, uint64_t seed)
{
    year_t *year = calloc(1, sizeof *year);
    double sum = 0;
    assert(year);
    year->left = samples;
    for (size_t i = 0; i < YEAR_ENTITIES; i++) {
        year->entities[i].share = exp(SPREAD * deviations(((double)i + 0.5) / YEAR_ENTITIES));
        sum += year->entities[i].share;
        name_entity(&year->entities[i], i);
    }
    for (size_t i = 0; i < YEAR_ENTITIES; i++) {
        struct source *s = &year->sources[i];
        year->entities[i].share /= sum;
        s->seed = (seed + i + 1) * 0x9E3779B97F4A7C15u;
        s->interval_us = (double)span_us / (year->entities[i].share * (double)samples);
        s->number = year->entities[i].class == YEAR_COUNTER ? 100 : 20;
        s->next_us = YEAR_END_US - span_us + (int64_t)(part(s) * s->interval_us);
        year->heap[i] = i;
    }
    for (size_t i = YEAR_ENTITIES; i-- > 0;)
        sink_down(year, i);
    return year;
}

void year_destroy(year_t **year)
{
    free(*year);
    *year = NULL;
}

const struct year_entity *year_entities(const year_t *year)
{
    return year->entities;
}

/* --- one sample ------------------------------------------------------------------------------------ */

static int64_t until_next(struct source *s, enum year_class class)
{
    double u = part(s);
    switch (class) {
    case YEAR_POLLED:  return (int64_t)(s->interval_us * (0.98 + 0.04 * u));
    case YEAR_COUNTER: return (int64_t)(s->interval_us * (0.8 + 0.4 * u));
    case YEAR_BINARY:  return (int64_t)(s->interval_us * (s->is_on ? 0.2 : 1.8) * -log(u)) + 1;
    case YEAR_MEDIA:   break;
    }
    return (int64_t)(s->interval_us * -log(u)) + 1;
}

static double day_wave(int64_t at_us)
{
    return sin((double)(at_us / 1000000 % 86400) * 2 * 3.14159265358979323846 / 86400);
}

static void make_number(struct source *s, const struct year_entity *e, int64_t at_us, char state[24])
{
    double u = part(s);
    if (e->class == YEAR_COUNTER) {
        s->number = one_of(s, RESET_ONE_IN) == 0 ? 0 : s->number + round(u * 40) / 1000;
        snprintf(state, 24, "%.3f", s->number);
    } else if (e->device_class[0] == 'p') { /* power */
        s->number = one_of(s, 4) ? s->number + (u - 0.5) * 6 : u < 0.5 ? 1.2 : 40 + 1800 * (u - 0.5);
        s->number = fabs(s->number);
        snprintf(state, 24, "%.1f", s->number);
    } else {
        s->number += (u - 0.5) * 0.4 + (20 + 5 * day_wave(at_us) - s->number) * 0.02;
        snprintf(state, 24, "%.1f", s->number);
    }
}

static void make_state(struct source *s, const struct year_entity *e, int64_t at_us, char state[24])
{
    static const char *const plays[] = { "idle", "playing", "paused", "playing" };
    if (one_of(s, UNAVAILABLE_ONE_IN) == 0) {
        strcpy(state, "unavailable");
        return;
    }
    switch (e->class) {
    case YEAR_POLLED:
    case YEAR_COUNTER:
        make_number(s, e, at_us, state);
        return;
    case YEAR_BINARY:
        s->is_on = !s->is_on;
        strcpy(state, s->is_on ? "on" : "off");
        return;
    case YEAR_MEDIA:
        strcpy(state, plays[one_of(s, 4)]);
    }
}

/* A player's set is new three times in ten: then it says where it is in the title. */
static size_t make_player(struct source *s, const struct year_entity *e, char *to, size_t room)
{
    if (one_of(s, 3) == 0)
        s->title = (unsigned)one_of(s, TITLES);
    if (one_of(s, 200) == 0)
        s->volume = (unsigned)one_of(s, 20);
    char position[32] = "0";
    if (one_of(s, 10) < 3)
        snprintf(position, sizeof position, "%u.%06u", (unsigned)one_of(s, 300), (unsigned)one_of(s, 1000000));
    return (size_t)snprintf(to, room,
        "{\"source_list\":[\"TV\",\"Radio\",\"Line in\"],\"volume_level\":0.%02u,\"is_volume_muted\":false,\"media_content_type\":\"music\","
        "\"media_duration\":%u,\"media_position\":%s,\"media_title\":\"Title %u\",\"media_artist\":\"Artist %u\","
        "\"entity_picture\":\"/api/media_player_proxy/%s?cache=%08x\",\"friendly_name\":\"%s\",\"supported_features\":152511}",
        s->volume * 5, 120 + s->title % 240, position, s->title, s->title / 10, e->id, s->title * 2654435761u, e->name);
}

static size_t make_attributes(struct source *s, const struct year_entity *e, size_t rank, char *to, size_t room)
{
    char *at = to;
    if (e->class == YEAR_MEDIA)
        return make_player(s, e, to, room);
    at += snprintf(at, room, "{");
    if (e->state_class)
        at += sprintf(at, "\"state_class\":\"%s\",\"unit_of_measurement\":\"%s\",", e->state_class, e->unit);
    if (rank % 10 == 5)
        at += sprintf(at, "\"linkquality\":%u,", (unsigned)one_of(s, 40) * 3 + 90);
    at += sprintf(at, "\"device_class\":\"%s\",\"friendly_name\":\"%s\"}", e->device_class, e->name);
    return (size_t)(at - to);
}

static void make_context(struct source *s, int64_t at_us, char context[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t ms = (uint64_t)at_us / 1000, low = chance(s), high = chance(s);
    for (int i = 9; i >= 0; i--, ms >>= 5)
        context[i] = digits[ms & 31];
    for (int i = 10; i < 18; i++, low >>= 5)
        context[i] = digits[low & 31];
    for (int i = 18; i < 26; i++, high >>= 5)
        context[i] = digits[high & 31];
    context[26] = '\0';
}

bool year_next(year_t *year, struct year_sample *sample)
{
    if (year->left-- <= 0)
        return false;
    size_t rank = year->heap[0];
    struct source *s = &year->sources[rank];
    const struct year_entity *e = &year->entities[rank];
    sample->entity = e;
    sample->at_us = s->next_us;
    sample->has_old = s->state[0] != '\0';
    memcpy(sample->old_state, s->state, sizeof s->state);
    make_state(s, e, s->next_us, s->state);
    memcpy(sample->state, s->state, sizeof s->state);
    if (strcmp(sample->state, sample->old_state) != 0)
        s->changed_us = s->next_us;
    sample->changed_us = s->changed_us;
    sample->is_number = (e->class == YEAR_POLLED || e->class == YEAR_COUNTER) && s->state[0] != 'u';
    sample->number = sample->is_number ? strtod(s->state, NULL) : 0;
    sample->attributes_size = make_attributes(s, e, rank, sample->attributes, sizeof sample->attributes);
    make_context(s, s->next_us, sample->context);
    sample->received_us = s->next_us + 700 + (int64_t)one_of(s, 2500);
    sample->place = year->place += 700 + (int64_t)sample->attributes_size;
    s->next_us += until_next(s, e->class);
    sink_down(year, 0);
    return true;
}
