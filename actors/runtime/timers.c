/* timers.c - what is due when: timers of the actor and its tick. */
#include "actor_state.h"

#include <assert.h>

static int64_t after(const actor_t *self, int ms) { return self->clock_us + (int64_t)(ms > 0 ? ms : 0) * 1000; }

static void find_next(actor_t *self)
{
    self->timers_next_us = -1;
    for (size_t i = 0; i < self->timers_count; i++)
        if (self->timers_next_us < 0 || self->timers[i].at_us < self->timers_next_us)
            self->timers_next_us = self->timers[i].at_us;
}

void actor_after(actor_t *self, int ms, timer_fn *fn, int64_t tag)
{
    struct timer timer = { after(self, ms), self->timers_order++, fn, tag };
    self->timers = array_room(self->timers, self->timers_count, &self->timers_size, sizeof timer);
    self->timers[self->timers_count++] = timer;
    if (self->timers_next_us < 0 || timer.at_us < self->timers_next_us)
        self->timers_next_us = timer.at_us;
}

void actor_cancel(actor_t *self, timer_fn *fn, int64_t tag)
{
    for (size_t i = self->timers_count; i-- > 0;)
        if (self->timers[i].fn == fn && self->timers[i].tag == tag)
            self->timers[i] = self->timers[--self->timers_count];
    find_next(self);
}

void actor_wake(actor_t *self, int ms)
{
    int64_t at_us = after(self, ms);
    if (self->tick_us < 0 || at_us < self->tick_us)
        self->tick_us = at_us;
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

/* The earliest that is due and was set before `order`: what a timer sets waits for the next turn. */
static bool take_due(actor_t *self, uint64_t order, struct timer *due)
{
    size_t best = self->timers_count;
    for (size_t i = 0; i < self->timers_count; i++) {
        const struct timer *timer = &self->timers[i];
        if (timer->at_us <= self->clock_us && timer->order < order &&
            (best == self->timers_count || is_before(timer, &self->timers[best])))
            best = i;
    }
    if (best == self->timers_count)
        return false;
    *due = self->timers[best];
    self->timers[best] = self->timers[--self->timers_count];
    return true;
}

static void tick(actor_t *self)
{
    self->tick_us = -1;
    int ms = self->spec->tick(self->self, self);
    if (ms >= 0)
        actor_wake(self, ms);
}

void timers_fire(actor_t *self)
{
    struct timer due;
    if (self->timers_next_us >= 0 && self->timers_next_us <= self->clock_us) {
        for (uint64_t order = self->timers_order; take_due(self, order, &due);)
            due.fn(self->self, self, due.tag);
        find_next(self);
    }
    if (self->spec->tick && !self->is_stopping && self->tick_us >= 0 && self->tick_us <= self->clock_us)
        tick(self);
}

int64_t timers_due_us(const actor_t *self)
{
    bool has_tick = self->spec->tick && !self->is_stopping && self->tick_us >= 0;
    if (!has_tick)
        return self->timers_next_us;
    return self->timers_next_us >= 0 && self->timers_next_us < self->tick_us ? self->timers_next_us : self->tick_us;
}
