/* devices.c - what each device was seen to take: the steps that its switching on and off explained. */
#include "devices.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double lately = 0.9;       /* what a change counts when the next one comes */
static const double can_be_seen = 0.3;  /* of devices of which nothing is known; whose steps are seen ... */
static const double is_seen = 0.8;      /* ... so often */
static const double by_chance = 0.03;   /* changes of others that have a step beside them */
static const double least_share = 0.01; /* it may be plugged in again */

struct devices { struct device *of[DEVICES_MAX]; size_t count; };

devices_t *devices_new(void)
{
    devices_t *self = calloc(1, sizeof *self);
    assert(self);
    return self;
}

void devices_clear(devices_t *self)
{
    while (self->count > 0)
        free(self->of[--self->count]);
}

void devices_destroy(devices_t **self_p)
{
    if (!*self_p)
        return;
    devices_clear(*self_p);
    free(*self_p);
    *self_p = NULL;
}

size_t devices_count(const devices_t *self)
{
    return self->count;
}

const struct device *devices_at(const devices_t *self, size_t index)
{
    return index < self->count ? self->of[index] : NULL;
}

static struct device *most_silent(devices_t *self)
{
    struct device *found = self->of[0];
    for (size_t i = 1; i < self->count; i++)
        if (self->of[i]->changed_us < found->changed_us)
            found = self->of[i];
    return found;
}

struct device *devices_find(devices_t *self, const char *entity, bool make)
{
    for (size_t i = 0; i < self->count; i++)
        if (strcmp(self->of[i]->entity, entity) == 0)
            return self->of[i];
    if (!make)
        return NULL;
    struct device *device = self->count < DEVICES_MAX ? malloc(sizeof *device) : most_silent(self);
    assert(device);
    if (self->count < DEVICES_MAX)
        self->of[self->count++] = device;
    *device = (struct device){ .changes = 0 };
    snprintf(device->entity, sizeof device->entity, "%s", entity);
    return device;
}

void device_changed(struct device *self, int64_t at_us, bool is_measured)
{
    self->changed_us = at_us;
    if (!is_measured)
        return;
    self->changes++;
    self->lately_changed = self->lately_changed * lately + 1;
    self->lately_explained *= lately;
}

void device_measured(struct device *self, double delta_w, int64_t at_us)
{
    self->explained++;
    self->lately_explained++;
    self->measured_us = at_us;
    self->deltas[self->next] = (float)fabs(delta_w);
    self->next = (self->next + 1) % DELTAS;
    if (self->count < DELTAS)
        self->count++;
}

static int by_size(const void *a, const void *b)
{
    float one = *(const float *)a, other = *(const float *)b;
    return (one > other) - (one < other);
}

static double median(const float *of, size_t count)
{
    float sorted[DELTAS];
    memcpy(sorted, of, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    return ((double)sorted[(count - 1) / 2] + (double)sorted[count / 2]) / 2;
}

double device_watts(const struct device *self)
{
    return self->count ? median(self->deltas, self->count) : 0;
}

double device_spread(const struct device *self)
{
    float away[DELTAS];
    double middle = device_watts(self);
    for (uint32_t i = 0; i < self->count; i++)
        away[i] = (float)fabs((double)self->deltas[i] - middle);
    return self->count ? median(away, self->count) * 1.4826 : 0;
}

double device_share(const struct device *self)
{
    double changed = self ? fmax(self->lately_changed - 1, 0) : 0, explained = self ? fmin(self->lately_explained, changed) : 0;
    double seen = can_be_seen * pow(is_seen, explained) * pow(1 - is_seen, changed - explained);
    double unseen = (1 - can_be_seen) * pow(by_chance, explained) * pow(1 - by_chance, changed - explained);
    double share = seen / (seen + unseen) * (explained + 2 * is_seen) / (changed + 2);
    return fmin(fmax(share, least_share), 0.98);
}
