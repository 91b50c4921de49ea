/* bucket.c - what a series did in a stretch of time: samples and gaps go in, finished buckets out. */
#include "bucket.h"

#include "event_id.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEVER INT64_MIN
static const double circle = 360.0, radians = 0.017453292519943295; /* of a degree */

/* The times of states, and their texts, of one bucket. */
struct durations { struct state_time *items; uint64_t *hashes; size_t *offsets, count, room, last; char *texts; size_t texts_size, texts_room; };

/* What is in force from `since` on. */
struct force { bool has_value; int64_t since; double number, sine, cosine; char *text; size_t size, room; uint64_t hash; };

struct bucketer {
    struct bucketer_options o;
    int64_t at, edge;          /* all before `at` is accounted for; the bucket at hand ends at `edge` */
    struct bucket bucket;
    struct force now;
    struct counter counter;
    struct durations durations;
    int64_t *resets;
    size_t reset_room, gap;    /* gap: the first that ends behind `at` */
    char *first_text;
    size_t first_room;
};

/* --- one bucket ---------------------------------------------------------------------------------- */

void bucket_durations(const struct bucket *b, msgpack_sbuffer *to)
{
    char text[NUMBER_TEXT];
    msgpack_sbuffer_write(to, "{", 1);
    for (size_t i = 0; i < b->states + (b->other_us > 0); i++) {
        int64_t us = i < b->states ? b->durations[i].us : b->other_us;
        if (i > 0)
            msgpack_sbuffer_write(to, ",", 1);
        json_write_text(i < b->states ? b->durations[i].state : slice_of("(others)"), to);
        msgpack_sbuffer_write(to, ":", 1);
        msgpack_sbuffer_write(to, text, number_write((double)us / 1e6, text));
    }
    msgpack_sbuffer_write(to, "}", 1);
}

bool bucket_mean(const struct bucket *b, enum series_class class, double *mean)
{
    if (class == CLASS_STATES || b->value_us == 0)
        return false;
    *mean = b->integral / (double)b->value_us;
    if (class == CLASS_ANGLE) {
        *mean = atan2(b->sine, b->cosine) / radians;
        *mean += *mean < 0.0 ? circle : 0.0;
        return true;
    }
    /* A sum of many is a little beside: no mean is beyond what it is made of. */
    *mean = *mean < b->min ? b->min : *mean > b->max ? b->max : *mean;
    return true;
}

void angle_of(double degrees, int64_t us, double *sine, double *cosine)
{
    *sine = sin(degrees * radians) * (double)us;
    *cosine = cos(degrees * radians) * (double)us;
}

static void begin_bucket(bucketer_t *self)
{
    self->bucket = (struct bucket){ .from = self->at, .tier = TIERS };
    self->edge = step_next(&self->o.step, self->at);
    self->durations.count = self->durations.texts_size = 0;
}

static int give(bucketer_t *self, bool is_open)
{
    struct durations *d = &self->durations;
    struct bucket *b = &self->bucket;
    b->to = self->at;
    b->is_open = is_open;
    b->reset_at = self->resets;
    b->has_increase = class_counts(self->o.class) && (b->count > 0 || b->value_us > 0);
    for (size_t i = 0; i < d->count; i++)
        d->items[i].state.data = d->texts + d->offsets[i];
    b->durations = d->items;
    b->states = d->count;
    b->first_state.data = self->first_text;
    return self->o.give(self->o.owner, b);
}

static int go_to(bucketer_t *self, int64_t at)
{
    self->at = at;
    if (at < self->edge)
        return 0;
    int rc = give(self, false);
    if (rc == 0)
        begin_bucket(self);
    return rc;
}

/* --- texts ----------------------------------------------------------------------------------------- */

static void *grown(void *items, size_t *room, size_t needed, size_t size)
{
    if (needed <= *room)
        return items;
    *room = *room * 2 > needed ? *room * 2 : needed < 16 ? 16 : needed;
    items = realloc(items, *room * size);
    assert(items);
    return items;
}

static void keep_text(char **to, size_t *room, struct slice s)
{
    *to = grown(*to, room, s.size + 1, 1);
    if (s.size)
        memcpy(*to, s.data, s.size);
}

static struct state_time *add_state(struct durations *d, struct slice state, uint64_t hash)
{
    if (d->count == d->room) {
        size_t room = d->room ? d->room * 2 : 16;
        d->items = realloc(d->items, room * sizeof *d->items);
        d->hashes = realloc(d->hashes, room * sizeof *d->hashes);
        d->offsets = realloc(d->offsets, room * sizeof *d->offsets);
        assert(d->items && d->hashes && d->offsets);
        d->room = room;
    }
    d->texts = grown(d->texts, &d->texts_room, d->texts_size + state.size + 1, 1);
    if (state.size)
        memcpy(d->texts + d->texts_size, state.data, state.size);
    d->offsets[d->count] = d->texts_size;
    d->texts_size += state.size;
    d->hashes[d->count] = hash;
    d->items[d->count] = (struct state_time){ { NULL, state.size }, 0 };
    return &d->items[d->count++];
}

static bool is_state(const struct durations *d, size_t i, struct slice state, uint64_t hash)
{
    return d->hashes[i] == hash && d->items[i].state.size == state.size
        && (state.size == 0 || memcmp(d->texts + d->offsets[i], state.data, state.size) == 0);
}

static void add_time(bucketer_t *self, struct slice state, uint64_t hash, int64_t us)
{
    struct durations *d = &self->durations;
    for (size_t i = 0; i < d->count; i++)
        if (is_state(d, i, state, hash)) {
            d->items[i].us += us;
            return;
        }
    if (d->count < STATES_MAX)
        add_state(d, state, hash)->us = us;
    else
        self->bucket.other_us += us;
}

/* --- time goes by ------------------------------------------------------------------------------------ */

static struct slice text_of(const struct force *f)
{
    return (struct slice){ f->text, f->size };
}

static void add_value(bucketer_t *self, int64_t us)
{
    struct bucket *b = &self->bucket;
    const struct force *f = &self->now;
    b->value_us += us;
    if (self->o.class == CLASS_STATES) {
        add_time(self, text_of(f), f->hash, us);
        return;
    }
    b->min = b->has_range && b->min <= f->number ? b->min : f->number;
    b->max = b->has_range && b->max >= f->number ? b->max : f->number;
    b->has_range = true;
    b->integral += f->number * (double)us;
    if (self->o.class == CLASS_ANGLE) {
        b->sine += f->sine * (double)us;
        b->cosine += f->cosine * (double)us;
    }
}

static void set_ends(bucketer_t *self, bool has_value)
{
    struct bucket *b = &self->bucket;
    bool is_first = self->at == b->from;
    b->tier = TIER_RAW;
    b->has_last = has_value;
    if (is_first)
        b->has_first = has_value;
    if (!has_value)
        return;
    b->last = self->now.number;
    b->last_state = text_of(&self->now);
    if (is_first) {
        b->first = self->now.number;
        b->first_state = text_of(&self->now);
        if (self->o.class == CLASS_STATES)
            keep_text(&self->first_text, &self->first_room, b->first_state);
    }
}

/* The gap at hand, if the sample in force is from before it; what comes first, its beginning or its end, limits *until. */
static bool in_gap(bucketer_t *self, int64_t *until)
{
    const struct bucketer_options *o = &self->o;
    while (self->gap < o->gap_count && o->gaps[self->gap].to <= self->at)
        self->gap++;
    for (size_t i = self->gap; i < o->gap_count && o->gaps[i].from < *until; i++) {
        const struct span *gap = &o->gaps[i];
        if (self->now.since >= gap->from)
            continue; /* it says how it was after whatever is missing */
        bool is_in = gap->from <= self->at;
        int64_t limit = is_in ? gap->to : gap->from;
        *until = limit < *until ? limit : *until;
        return is_in;
    }
    return false;
}

static int advance(bucketer_t *self, int64_t to)
{
    while (self->at < to) {
        int64_t until = to < self->edge ? to : self->edge;
        bool is_gap = in_gap(self, &until), has_value = !is_gap && self->now.has_value;
        int64_t us = until - self->at;
        set_ends(self, has_value);
        if (has_value)
            add_value(self, us);
        else if (is_gap)
            self->bucket.gap_us += us;
        else
            self->bucket.unavailable_us += us;
        int rc = go_to(self, until);
        if (rc)
            return rc;
    }
    return 0;
}

/* --- in -------------------------------------------------------------------------------------------------- */

double counter_take(struct counter *c, enum series_class class, double number, uint64_t last_reset, bool *is_reset)
{
    double growth = 0.0;
    *is_reset = false;
    if (class == CLASS_INCREASING && number < 0.0)
        return 0.0;
    if (c->has && class == CLASS_TOTAL) {
        *is_reset = last_reset != 0 && (!c->has_reset || last_reset != c->last_reset);
        growth = *is_reset ? number : number - c->previous;
    } else if (c->has) {
        *is_reset = number < 0.9 * c->previous;
        growth = *is_reset ? number : number > c->highest ? number - c->highest : 0.0;
    }
    if (last_reset != 0) {
        c->has_reset = true;
        c->last_reset = last_reset;
    }
    c->highest = c->has && !*is_reset && c->highest > number ? c->highest : number;
    c->previous = number;
    c->has = true;
    return growth;
}

static void count_growth(bucketer_t *self, const struct sample *s, uint64_t last_reset)
{
    struct bucket *b = &self->bucket;
    bool is_reset;
    b->increase += counter_take(&self->counter, self->o.class, s->number, last_reset, &is_reset);
    if (!is_reset)
        return;
    if (b->resets < RESETS_MAX) {
        self->resets = grown(self->resets, &self->reset_room, (size_t)b->resets + 1, sizeof *self->resets);
        self->resets[b->resets] = s->at;
    }
    b->resets++;
}

static void put_in_force(bucketer_t *self, const struct sample *s, bool has_value)
{
    struct force *f = &self->now;
    f->has_value = has_value;
    f->since = s->at;
    if (!has_value)
        return;
    if (self->o.class == CLASS_STATES) {
        keep_text(&f->text, &f->room, s->state);
        f->size = s->state.size;
        f->hash = hash_bytes(HASH_SEED, s->state);
        return;
    }
    f->number = s->number;
    if (self->o.class == CLASS_ANGLE) {
        f->sine = sin(s->number * radians);
        f->cosine = cos(s->number * radians);
    }
}

int bucketer_sample(bucketer_t *self, const struct sample *s, uint64_t last_reset)
{
    bool has_value = s->kind == SAMPLE_NUMBER || (s->kind == SAMPLE_TEXT && self->o.class == CLASS_STATES);
    bool is_within = s->at >= self->at;
    if (s->at >= self->o.end)
        return advance(self, self->o.end);
    int rc = advance(self, s->at);
    if (rc)
        return rc;
    if (is_within && has_value) {
        self->bucket.count++;
        if (class_counts(self->o.class))
            count_growth(self, s, last_reset);
    }
    put_in_force(self, s, has_value);
    return 0;
}

int bucketer_reach(bucketer_t *self, int64_t at)
{
    return advance(self, at < self->o.end ? at : self->o.end);
}

/* --- parts -------------------------------------------------------------------------------------------------- */

static void add_ends(bucketer_t *self, const struct bucket *part)
{
    struct bucket *b = &self->bucket;
    if (self->at == b->from) {
        b->has_first = part->has_first;
        b->first = part->first;
        b->first_state = part->first_state;
        if (part->has_first)
            keep_text(&self->first_text, &self->first_room, part->first_state);
    }
    b->has_last = part->has_last;
    b->last = part->last;
    if (part->has_last && self->o.class == CLASS_STATES) {
        keep_text(&self->now.text, &self->now.room, part->last_state);
        b->last_state = (struct slice){ self->now.text, part->last_state.size };
    }
}

static void add_resets(bucketer_t *self, const struct bucket *part)
{
    struct bucket *b = &self->bucket;
    int64_t known = part->resets < RESETS_MAX ? part->resets : RESETS_MAX;
    for (int64_t i = 0; i < known && b->resets + i < RESETS_MAX; i++) {
        self->resets = grown(self->resets, &self->reset_room, (size_t)(b->resets + i) + 1, sizeof *self->resets);
        self->resets[b->resets + i] = part->reset_at[i];
    }
    b->resets += part->resets;
}

static void add_sums(struct bucket *b, const struct bucket *part)
{
    b->count += part->count;
    b->value_us += part->value_us;
    b->unavailable_us += part->unavailable_us;
    b->gap_us += part->gap_us;
    b->integral += part->integral;
    b->sine += part->sine;
    b->cosine += part->cosine;
    b->increase += part->increase;
    b->other_us += part->other_us;
    if (!part->has_range)
        return;
    b->min = b->has_range && b->min <= part->min ? b->min : part->min;
    b->max = b->has_range && b->max >= part->max ? b->max : part->max;
    b->has_range = true;
}

int bucketer_part(bucketer_t *self, const struct bucket *part)
{
    struct bucket *b = &self->bucket;
    assert(part->from == self->at && part->to <= self->edge && part->to <= self->o.end);
    add_ends(self, part);
    add_resets(self, part);
    add_sums(b, part);
    b->tier = part->tier < b->tier ? part->tier : b->tier;
    for (size_t i = 0; i < part->states; i++)
        add_time(self, part->durations[i].state, hash_bytes(HASH_SEED, part->durations[i].state), part->durations[i].us);
    self->now.has_value = false;
    self->now.since = NEVER;
    return go_to(self, part->to);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

bucketer_t *bucketer_new(const struct bucketer_options *options)
{
    bucketer_t *self = calloc(1, sizeof *self);
    assert(self && options->class != CLASS_AUTO);
    self->o = *options;
    self->at = options->from;
    self->now.since = NEVER;
    begin_bucket(self);
    return self;
}

void bucketer_destroy(bucketer_t **self_p)
{
    bucketer_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    free(self->now.text);
    free(self->durations.items);
    free(self->durations.hashes);
    free(self->durations.offsets);
    free(self->durations.texts);
    free(self->resets);
    free(self->first_text);
    free(self);
}

void bucketer_set_counter(bucketer_t *self, const struct counter *counter)
{
    self->counter = *counter;
}

const struct counter *bucketer_counter(const bucketer_t *self)
{
    return &self->counter;
}

int bucketer_end(bucketer_t *self)
{
    int rc = advance(self, self->o.end);
    return rc == 0 && self->at > self->bucket.from ? give(self, true) : rc;
}

int64_t bucketer_at(const bucketer_t *self)
{
    return self->at;
}
