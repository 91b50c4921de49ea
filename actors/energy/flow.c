/* flow.c - samples and changes in the order in which they happened, whatever order they came in. */
#include "flow.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A brightness is set, something else of a device: how likely that is a step. */
static const double dimming_share = 0.2, other_share = 0.05;
static const double used_factor = 0.1;  /* a change that has caused a step of this meter already */

enum waits { A_SAMPLE, A_BREAK, A_CHANGE };
struct waiting { int64_t at_us; double w; struct change *change; uint32_t meter; enum waits what; };

struct flow {
    struct flow_options options;
    devices_t *devices;
    bool is_again;
    flow_found_fn *found;
    void *owner;
    struct meter meters[METERS_MAX];
    struct waiting *waiting;
    size_t meters_count, waiting_count, recent_count, pending_count;
    struct change *recent[RECENT_MAX];
    struct pending pending[STEPS_MAX];
    int64_t passed_us;
    struct flow_counts counts;
};

/* --- life ----------------------------------------------------------------------------------------- */

flow_t *flow_new(const struct flow_options *options, devices_t *devices, bool is_again, flow_found_fn *found, void *owner)
{
    flow_t *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->devices = devices;
    self->is_again = is_again;
    self->found = found;
    self->owner = owner;
    self->waiting = malloc(WAITING_MAX * sizeof *self->waiting);
    assert(self->waiting);
    return self;
}

static void drop_waiting(flow_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(self->waiting[i].change);
    self->waiting_count -= count;
    memmove(self->waiting, self->waiting + count, self->waiting_count * sizeof *self->waiting);
}

static void drop_recent(flow_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(self->recent[i]);
    self->recent_count -= count;
    memmove(self->recent, self->recent + count, self->recent_count * sizeof *self->recent);
}

void flow_destroy(flow_t **self_p)
{
    flow_t *self = *self_p;
    if (!self)
        return;
    drop_waiting(self, self->waiting_count);
    drop_recent(self, self->recent_count);
    free(self->waiting);
    free(self);
    *self_p = NULL;
}

void flow_set_options(flow_t *self, const struct flow_options *options)
{
    self->options = *options;
}

int flow_add_meter(flow_t *self, const char *entity, bool is_whole)
{
    if (self->meters_count == METERS_MAX)
        return -1;
    struct meter *meter = &self->meters[self->meters_count];
    meter->is_whole = is_whole;
    snprintf(meter->entity, sizeof meter->entity, "%s", entity);
    return (int)self->meters_count++;
}

int flow_find_meter(const flow_t *self, const char *entity, size_t size)
{
    for (size_t i = 0; i < self->meters_count; i++)
        if (strlen(self->meters[i].entity) == size && memcmp(self->meters[i].entity, entity, size) == 0)
            return (int)i;
    return -1;
}

void flow_start(flow_t *self, int64_t at_us)
{
    self->passed_us = at_us;
}

void flow_forget(flow_t *self)
{
    drop_waiting(self, self->waiting_count);
    drop_recent(self, self->recent_count);
    self->pending_count = 0;
    for (size_t i = 0; i < self->meters_count; i++)
        meter_break(&self->meters[i]);
}

void flow_drop_waiting(flow_t *self)
{
    drop_waiting(self, self->waiting_count);
}

int64_t flow_passed_us(const flow_t *self) { return self->passed_us; }
size_t flow_waiting(const flow_t *self) { return self->waiting_count; }
const struct flow_counts *flow_counts(const flow_t *self) { return &self->counts; }

/* --- what comes ------------------------------------------------------------------------------------- */

/* By time; of the same moment always in the same order, whatever order they came in. */
static int compare(const struct waiting *a, const struct waiting *b)
{
    if (a->at_us != b->at_us)
        return a->at_us < b->at_us ? -1 : 1;
    if (a->what != b->what)
        return (int)a->what - (int)b->what;
    return a->what == A_CHANGE ? strcmp(a->change->entity, b->change->entity) : (int)a->meter - (int)b->meter;
}

/* A change is copied. */
static enum taken put(flow_t *self, struct waiting one)
{
    size_t at = self->waiting_count;
    int order = 1;
    if (one.at_us <= self->passed_us)
        return LATE;
    while (at > 0 && (order = compare(&self->waiting[at - 1], &one)) > 0)
        at--;
    if (at > 0 && order == 0)
        return DOUBLE;
    if (self->waiting_count == WAITING_MAX)
        return FULL;
    if (one.change) {
        struct change *copy = malloc(sizeof *copy);
        assert(copy);
        *copy = *one.change;
        one.change = copy;
    }
    memmove(&self->waiting[at + 1], &self->waiting[at], (self->waiting_count - at) * sizeof one);
    self->waiting[at] = one;
    self->waiting_count++;
    return TAKEN;
}

enum taken flow_sample(flow_t *self, uint32_t meter, struct sample s)
{
    return put(self, (struct waiting){ s.at_us, s.w, NULL, meter, A_SAMPLE });
}

enum taken flow_break(flow_t *self, uint32_t meter, int64_t at_us)
{
    return put(self, (struct waiting){ at_us, 0, NULL, meter, A_BREAK });
}

enum taken flow_change(flow_t *self, const struct change *change)
{
    struct change copy = *change;
    return put(self, (struct waiting){ change->at_us, 0, &copy, 0, A_CHANGE });
}

/* --- changes ------------------------------------------------------------------------------------------ */

static bool is_one_of(const char *word, const char *const list[])
{
    while (*list && strcmp(word, *list) != 0)
        list++;
    return *list != NULL;
}

/* What takes nothing, or next to nothing. A cover takes something only while it moves. */
static bool is_active(const char *state, const char *detail, bool is_action)
{
    static const char *const quiet[] = { "off", "idle", "standby", "paused", "docked", "open", "closed", "stopped", "locked",
        "unlocked", "", NULL };
    if (strcmp(state, "off") == 0)
        return false;
    return !is_one_of(is_action && detail[0] ? detail : state, quiet);
}

static enum direction dimmed(const struct change *c)
{
    char *end, *end_before;
    double now = strtod(c->detail, &end), before = strtod(c->detail_before, &end_before);
    if (end == c->detail || end_before == c->detail_before || *end || *end_before || !(now < before || now > before))
        return EITHER;
    return now > before ? UP : DOWN;
}

/* False: nothing that could be a step. */
static bool judge_change(flow_t *self, struct change *c)
{
    struct device *device = devices_find(self->devices, c->entity, !self->is_again && (c->detail[0] || c->is_text));
    if (device && !self->is_again) {
        memcpy(c->detail_before, device->detail, sizeof c->detail_before);
        memcpy(device->detail, c->detail, sizeof device->detail);
    }
    if (!c->is_text && (!c->detail_before[0] || strcmp(c->detail, c->detail_before) == 0))
        return false;
    bool is_on = is_active(c->state, c->detail, c->is_action), was_on = is_active(c->previous, c->detail_before, c->is_action);
    c->is_switching = is_on != was_on;
    c->direction = c->is_switching ? (is_on ? UP : DOWN) : is_on ? dimmed(c) : EITHER;
    return true;
}

static bool is_measured(const flow_t *self, int64_t at_us)
{
    for (size_t i = 0; i < self->meters_count; i++)
        if (meter_is_alive(&self->meters[i], at_us))
            return true;
    return false;
}

int flow_put_recent(flow_t *self, const struct change *change)
{
    if (self->recent_count == RECENT_MAX) {
        drop_recent(self, 1);
        self->counts.crowded++;
    }
    struct change *copy = malloc(sizeof *copy);
    assert(copy);
    *copy = *change;
    self->recent[self->recent_count++] = copy;
    return 0;
}

static void take_change(flow_t *self, struct change *c)
{
    if (!judge_change(self, c))
        return;
    self->counts.changes++;
    struct device *device = devices_find(self->devices, c->entity, false);
    if (device && !self->is_again)
        device_changed(device, c->at_us, c->is_switching && is_measured(self, c->at_us));
    flow_put_recent(self, c);
}

/* --- steps -------------------------------------------------------------------------------------------- */

static double share_of(const flow_t *self, const struct change *c, uint32_t meter)
{
    const struct device *device = devices_find(self->devices, c->entity, false);
    double share = c->is_switching ? device_share(device) : c->direction != EITHER ? dimming_share : other_share;
    return c->used >> meter & 1 ? share * used_factor : share;
}

static struct candidate candidate_of(const flow_t *self, const struct change *c, uint32_t meter)
{
    const struct device *device = devices_find(self->devices, c->entity, false);
    struct candidate candidate = { .at_us = c->at_us, .direction = c->direction, .share = share_of(self, c, meter) };
    if (c->is_switching && device && device->count > 0) {
        candidate.watts = device_watts(device);
        candidate.times = device->count;
        candidate.spread_w = device_spread(device);
    }
    return candidate;
}

/* One device may be several entities, and say a change more than once: its likeliest counts. */
static bool is_same_device(const struct change *a, const struct change *b)
{
    return strcmp(a->entity, b->entity) == 0 ? a->at_us == b->at_us : a->device_id[0] && strcmp(a->device_id, b->device_id) == 0;
}

static void add_candidate(const flow_t *self, struct found *found, struct change *c, uint32_t meter)
{
    struct candidate candidate = candidate_of(self, c, meter);
    size_t at = found->count;
    for (size_t i = 0; i < found->count; i++)
        if (is_same_device(c, found->change[i]))
            at = i;
    if (at == found->count && found->count == CANDIDATES) {
        at = 0;
        for (size_t i = 1; i < CANDIDATES; i++)
            if (found->candidate[i].share < found->candidate[at].share)
                at = i;
        found->others++;
    }
    if (at < found->count && found->candidate[at].share >= candidate.share)
        return;
    found->candidate[at] = candidate;
    found->change[at] = c;
    found->count += at == found->count;
}

static void learn(flow_t *self, struct found *found, uint32_t meter)
{
    double delta = found->step->after_w - found->step->before_w;
    if (found->judgement.cause < 0) {
        if (!self->is_again)
            background_add(&self->meters[meter].background, delta, found->step->to_us, found->judgement.unexplained);
        return;
    }
    struct change *c = found->change[found->judgement.cause];
    c->used |= UINT32_C(1) << meter;
    struct device *device = devices_find(self->devices, c->entity, self->is_again);
    if (!device || !c->is_switching || c->is_learned || (c->direction == UP) != (delta > 0))
        return;
    c->is_learned = true;
    if (self->is_again)
        device_changed(device, device->changed_us, device->changes <= device->explained);
    device_measured(device, delta, c->at_us);
}

static void decide(flow_t *self, struct pending one)
{
    struct meter *meter = &self->meters[one.meter];
    int64_t from = one.step.from_us - self->options.window_us, to = one.step.to_us + self->options.window_us;
    double delta = one.step.after_w - one.step.before_w;
    struct found found = { .step = &one.step, .meter = meter };
    for (size_t i = 0; i < self->recent_count; i++)
        if (self->recent[i]->at_us >= from && self->recent[i]->at_us <= to)
            add_candidate(self, &found, self->recent[i], one.meter);
    double expected = background_expected(&meter->background, delta, one.step.to_us, (double)(to - from) / 1e6);
    found.judgement = match(found.step, found.candidate, found.count, expected, self->options.window_us, self->options.sure);
    self->counts.steps++;
    if (found.judgement.cause >= 0)
        self->counts.explained++;
    else if (found.judgement.unexplained < 0.5)
        self->counts.shared++;
    else
        self->counts.unexplained++;
    if (self->found(self->owner, &found))
        learn(self, &found, one.meter);
}

int flow_put_pending(flow_t *self, const struct pending *one)
{
    if (self->pending_count == STEPS_MAX || one->meter >= self->meters_count)
        return -1;
    self->pending[self->pending_count++] = *one;
    return 0;
}

static void take_step(flow_t *self, const struct step *step, uint32_t meter)
{
    if (self->pending_count == STEPS_MAX) {
        struct pending first = self->pending[0];
        memmove(self->pending, self->pending + 1, --self->pending_count * sizeof *self->pending);
        decide(self, first);
    }
    self->pending[self->pending_count++] = (struct pending){ *step, meter };
}

/* --- time passes ----------------------------------------------------------------------------------------- */

enum { NOBODY = -1 };

/* The first deadline that is due by then; `which`: a meter, or METERS_MAX + a pending step. */
static int next_due(const flow_t *self, int64_t *at_us)
{
    int which = NOBODY;
    for (size_t i = 0; i < self->meters_count; i++) {
        int64_t due = meter_due(&self->meters[i]);
        if (due && due <= *at_us) {
            which = (int)i;
            *at_us = due;
        }
    }
    for (size_t i = 0; i < self->pending_count; i++) {
        int64_t due = self->pending[i].step.to_us + self->options.window_us + 1;
        if (due <= *at_us) {
            which = METERS_MAX + (int)i;
            *at_us = due;
        }
    }
    return which;
}

static void pass_due(flow_t *self, int which, int64_t at_us)
{
    struct step step;
    if (which < METERS_MAX) {
        if (meter_pass(&self->meters[which], &self->options.meter, at_us, &step))
            take_step(self, &step, (uint32_t)which);
        return;
    }
    size_t at = (size_t)which - METERS_MAX;
    struct pending one = self->pending[at];
    memmove(&self->pending[at], &self->pending[at + 1], (--self->pending_count - at) * sizeof one);
    decide(self, one);
}

static void take(flow_t *self, struct waiting *one)
{
    struct step step;
    struct meter *meter = &self->meters[one->meter];
    switch (one->what) {
    case A_SAMPLE:
        self->counts.samples++;
        if (meter_sample(meter, &self->options.meter, (struct sample){ one->at_us, one->w }, &step))
            take_step(self, &step, one->meter);
        break;
    case A_BREAK:
        meter_break(meter);
        break;
    case A_CHANGE:
        take_change(self, one->change);
        break;
    }
}

/* As long as a step that is not complete yet may ask for them. */
static void forget_old(flow_t *self)
{
    enum { SETTLING_US = 90000000, SAMPLING_US = 180000000 };
    int64_t oldest = self->passed_us - SETTLING_US - SAMPLING_US - self->options.window_us - self->options.meter.transient_us;
    size_t count = 0;
    while (count < self->recent_count && self->recent[count]->at_us < oldest)
        count++;
    drop_recent(self, count);
}

void flow_pass(flow_t *self, int64_t until_us)
{
    size_t done = 0;
    for (;;) {
        int64_t at_us = done < self->waiting_count && self->waiting[done].at_us <= until_us ? self->waiting[done].at_us : until_us;
        bool is_there = done < self->waiting_count && self->waiting[done].at_us <= until_us;
        int which = next_due(self, &at_us);
        if (which != NOBODY)
            pass_due(self, which, at_us);
        else if (is_there)
            take(self, &self->waiting[done++]);
        else
            break;
    }
    drop_waiting(self, done);
    if (until_us > self->passed_us)
        self->passed_us = until_us;
    forget_old(self);
}

/* --- for kept.c ------------------------------------------------------------------------------------------- */

struct meter *flow_meter(flow_t *self, size_t index) { return index < self->meters_count ? &self->meters[index] : NULL; }
struct change *flow_recent(flow_t *self, size_t index) { return index < self->recent_count ? self->recent[index] : NULL; }
struct pending *flow_pending(flow_t *self, size_t index) { return index < self->pending_count ? &self->pending[index] : NULL; }
void flow_put_counts(flow_t *self, const struct flow_counts *counts) { self->counts = *counts; }
