/* test_random_questions.c - the store answers random questions about random data just as they are worked out by hand.
 *
 * RANDOM_QUESTIONS (200) questions, RANDOM_SEED (1). The data comes in pieces: in order, late, and very late; recording
 * gaps come and change; after each piece the store does its work in the background, and some of the questions are asked. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "by_hand.h"
#include "inside.h"
#include "moment.h"
#include "rolling.h"
#include "samples.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define BEGIN_US INT64_C(1758326400000000) /* 2025-09-20: clocks change within */
#define SPAN_US  (60 * DAY_US)

enum { LIVES = 13, PIECES = 20, BUCKETS = 3000, CELLS = 30 /* of time: a recording gap lies in one of them */ };

struct coming { struct fact fact; size_t life; int64_t arrives; bool is_late; };
struct world {
    uint64_t seed;
    char directory[64], path[96];
    store_t *writer, *reader;
    struct life lives[LIVES];
    struct hole cells[CELLS];   /* to 0: there is none */
    struct holes holes;
    struct coming *coming;
    size_t coming_count, come;
    long asked, questions, buckets, samples, tiers[TIERS], into_sealed; /* rows that came into a time that was sealed already */
    char asking[256];   /* the question at hand, for whoever has to look into it */
};

/* --- chance --------------------------------------------------------------------------------------------- */

static uint64_t chance(struct world *w, uint64_t of)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (w->seed >> 8) % of;
}

/* Between 1 and 2^bits, small ones as often as large ones. */
static int64_t chance_size(struct world *w, unsigned bits)
{
    int64_t top = INT64_C(1) << (1 + chance(w, bits));
    return 1 + (int64_t)chance(w, (uint64_t)top);
}

/* --- the data -------------------------------------------------------------------------------------------- */

/* Of some there is so much that hours, or quarters of them, are worth a rollup. */
static const struct { const char *entity; enum series_class class; const char *state_class, *unit; size_t facts; } kinds[LIVES] = {
    { "sensor.power", CLASS_PLAIN, "measurement", "W", 24000 },
    { "sensor.slow_temperature", CLASS_PLAIN, "measurement", "°C", 200 },
    { "sensor.text_between", CLASS_PLAIN, "measurement", "W", 1500 },
    { "sensor.energy", CLASS_INCREASING, "total_increasing", "kWh", 8000 },
    { "sensor.energy_that_dips", CLASS_INCREASING, "total_increasing", "kWh", 3000 },
    { "sensor.cost", CLASS_TOTAL, "total", "EUR", 1500 },
    { "sensor.cost_since", CLASS_TOTAL, "total", "EUR", 7000 },
    { "sensor.wind_bearing", CLASS_ANGLE, "measurement_angle", "°", 8000 },
    { "binary_sensor.motion", CLASS_STATES, NULL, NULL, 9000 },
    { "select.mode", CLASS_STATES, NULL, NULL, 1500 },
    { "media_player.that_goes", CLASS_STATES, NULL, NULL, 1500 },
    { "sensor.never_heard_of_again", CLASS_PLAIN, "measurement", "W", 1500 },
    { "sensor.of_changing_unit", CLASS_PLAIN, "measurement", "W", 7000 },
};

static void make_number(struct world *w, size_t life, const struct fact *before, struct fact *f)
{
    double last = before && before->is_number ? before->number : 50;
    switch (kinds[life].class) {
    case CLASS_INCREASING:
        f->number = last + (double)chance(w, 200) / 100;
        if (life == 4 && chance(w, 4) == 0)
            f->number = last * (0.8 + (double)chance(w, 25) / 100);
        if (chance(w, 60) == 0)
            f->number = (double)chance(w, 300) / 100 - (chance(w, 10) == 0 ? 2 : 0);
        break;
    case CLASS_TOTAL:
        f->number = last + (double)chance(w, 400) / 100 - 1.5;
        f->last_reset = life == 6 ? 1 + (f->at - BEGIN_US) / (9 * DAY_US) : 0;
        break;
    case CLASS_ANGLE:
        f->number = (double)chance(w, 3600) / 10;
        break;
    default:
        f->number = chance(w, 5) ? last + (double)chance(w, 100) / 10 - 5 : (double)chance(w, 20000) / 10 - 500;
    }
    snprintf(f->state, sizeof f->state, chance(w, 8) ? "%.2f" : "%.3f", f->number);
    f->number = strtod(f->state, NULL);
    f->is_number = true;
    if (life != 12)
        return;
    f->unit = chance(w, 50) ? before && before->unit ? before->unit : "W" : chance(w, 3) == 0 ? "°C" : chance(w, 2) ? "kW" : "W";
    f->is_foreign = strcmp(f->unit, "°C") == 0;
    f->number *= strcmp(f->unit, "kW") == 0 ? 1000 : 1;
}

static void make_fact(struct world *w, size_t life, const struct fact *before, struct fact *f)
{
    static const char *const modes[] = { "off", "eco", "heat", "On", "12", " eco" };
    f->is_removed = chance(w, life == 10 ? 20 : 400) == 0;
    if (f->is_removed)
        return;
    f->unit = kinds[life].unit;
    if (chance(w, 25) == 0) {
        strcpy(f->state, chance(w, 3) == 0 ? "unknown" : chance(w, 20) == 0 ? "" : "unavailable");
    } else if (kinds[life].class != CLASS_STATES && !(life == 2 && chance(w, 10) == 0)) {
        make_number(w, life, before, f);
    } else if (life == 8) {
        strcpy(f->state, before && strcmp(before->state, "on") == 0 && chance(w, 10) ? "off" : "on");
        f->is_text = true;
    } else {
        strcpy(f->state, modes[chance(w, sizeof modes / sizeof *modes)]);
        f->is_number = strcmp(f->state, "12") == 0;
        f->number = f->is_number ? 12 : 0;
        f->is_text = !f->is_number;
    }
}

static int compare_arrival(const void *a, const void *b)
{
    const struct coming *x = a, *y = b;
    return x->arrives != y->arrives ? (x->arrives < y->arrives ? -1 : 1) : x->fact.at != y->fact.at ? (x->fact.at < y->fact.at ? -1 : 1) : x < y ? -1 : 1;
}

static void make_life(struct world *w, size_t life)
{
    size_t count = kinds[life].facts;
    int64_t at = BEGIN_US + (int64_t)chance(w, (uint64_t)DAY_US), span = life == 11 ? SPAN_US / 3 : SPAN_US;
    struct fact before = { 0 };
    for (size_t i = 0; i < count && at < BEGIN_US + span; i++) {
        struct coming *c = &w->coming[w->coming_count++];
        *c = (struct coming){ .life = life, .fact = { .at = at } };
        make_fact(w, life, i ? &before : NULL, &c->fact);
        uint64_t lateness = chance(w, 100);
        c->is_late = lateness >= 90;
        c->arrives = at + (lateness < 90 ? 0 : lateness < 98 ? (int64_t)chance(w, (uint64_t)DAY_US) : (int64_t)chance(w, (uint64_t)SPAN_US));
        before = c->fact;
        int64_t step = span / (int64_t)count;
        uint64_t rhythm = chance(w, 10);
        at += rhythm == 0 ? chance_size(w, 12) : rhythm == 1 ? (int64_t)chance(w, (uint64_t)step * 4) : (int64_t)chance(w, (uint64_t)step * 2);
        at -= rhythm == 2 ? at % QUARTER_US : 0; /* on an edge */
        at += at <= before.at ? 1 : 0;
        at += at <= before.at ? before.at - at + (int64_t)chance(w, 2) : 0; /* at the same time, now and then */
    }
}

static void fill_event(struct world *w, const struct coming *c, struct event_full *e)
{
    static char attributes[160], context[33], since[40];
    const struct fact *f = &c->fact;
    since[0] = '\0';
    if (f->last_reset)
        snprintf(since, sizeof since, ",\"last_reset\":\"period %d\"", (int)f->last_reset);
    snprintf(context, sizeof context, "%016llx%016llx", (unsigned long long)f->order, (unsigned long long)f->at);
    schema_clear(event_full_schema(), e);
    SET(e, event_type, slice_of("state_changed"));
    SET(e, timestamp, f->at);
    SET(e, received_at, c->arrives + 1000);
    SET(e, place, f->order);
    SET_TEXT(e, provenance, "live", 4);
    SET(e, is_state, true);
    SET(e, context_id, slice_of(context));
    SET(e, entity_id, slice_of(kinds[c->life].entity));
    SET(e, domain, name_domain(e->entity_id));
    if (f->is_removed)
        return;
    SET(e, state, slice_of(f->state));
    SET(e, last_updated, f->at);
    SET(e, last_changed, f->at - (int64_t)chance(w, 2));
    if (f->unit)
        SET(e, unit, slice_of(f->unit));
    if (kinds[c->life].state_class)
        snprintf(attributes, sizeof attributes, "{\"state_class\":\"%s\",\"n\":%d%s}", kinds[c->life].state_class, (int)chance(w, 5), since);
    else
        snprintf(attributes, sizeof attributes, "{\"n\":%d}", (int)chance(w, 5));
    SET(e, attributes, slice_of(attributes));
}

static void append(struct world *w, struct coming *c)
{
    struct event_full e;
    struct fault fault = { "", "" };
    c->fact.order = (int64_t)(w->come + 1) * 1000;
    fill_event(w, c, &e);
    w->into_sealed += c->fact.at < w->writer->sealed_until;
    enum store_result result = store_append(w->writer, &e, &fault);
    if (result != STORE_OK)
        fail_msg("a row is not taken: %d %s %s", (int)result, fault.why, store_why(w->writer));
    if (chance(w, 50) == 0)
        assert_int_not_equal(store_append(w->writer, &e, &fault), STORE_OK); /* it comes again */
    life_add(&w->lives[c->life], &c->fact);
    w->come++;
}

/* --- questions ---------------------------------------------------------------------------------------------- */

struct asked { struct world *w; const struct life *life; enum series_class class; struct step step; int64_t next, now; };

static bool is_near(double is, long double should)
{
    double allowed = 1e-9 + fabs((double)should) * 1e-9;
    return fabs(is - (double)should) <= allowed;
}

#define CHECK(w, what, ...) ((what) ? (void)0 : fail_msg("%s\n" #what ": ", (w)->asking, "" __VA_ARGS__))

static void check_mean(struct world *w, const struct bucket *b, const struct by_hand *h, enum series_class class)
{
    double mean = 0;
    long double should = h->value_us ? h->integral / (long double)h->value_us : 0;
    assert_int_equal(bucket_mean(b, class, &mean), class != CLASS_STATES && h->value_us > 0);
    if (class == CLASS_STATES || h->value_us == 0)
        return;
    if (class == CLASS_ANGLE) {
        if (hypotl(h->sine, h->cosine) < 1e-6L * (long double)h->value_us)
            return; /* in no direction */
        should = atan2l(h->sine, h->cosine) * 180 / 3.14159265358979323846L;
        long double apart = fabsl(remainderl((long double)mean - should, 360));
        assert_true(apart < 1e-6L);
        return;
    }
    if (!is_near(mean, should))
        fail_msg("%s: mean %.17g instead of %.17Lg, of %lld", w->asking, mean, should, (long long)h->from);
}

static void check_states(const struct bucket *b, const struct by_hand *h)
{
    assert_int_equal(b->states, h->states);
    for (size_t i = 0; i < h->states; i++) {
        struct slice state = slice_of(h->durations[i].state);
        size_t j = 0;
        while (j < b->states && !slice_equal(b->durations[j].state, state))
            j++;
        assert_true(j < b->states);
        assert_int_equal(b->durations[j].us, h->durations[i].us);
    }
    if (h->first)
        assert_true(slice_equal(b->first_state, slice_of(h->first->state)));
    if (h->last)
        assert_true(slice_equal(b->last_state, slice_of(h->last->state)));
}

static void check_numbers(struct world *w, const struct bucket *b, const struct by_hand *h)
{
    assert_int_equal(b->has_range, h->has_range);
    if (h->has_range && (!is_near(b->min, h->min) || !is_near(b->max, h->max)))
        fail_msg("%s: %g to %g instead of %g to %g", w->asking, b->min, b->max, h->min, h->max);
    if (h->first)
        assert_true(is_near(b->first, h->first->number));
    if (h->last)
        assert_true(is_near(b->last, h->last->number));
}

static void check_growth(struct world *w, const struct bucket *b, const struct by_hand *h)
{
    if (b->has_increase && fabs(b->increase - h->increase) > 1e-6)
        fail_msg("%s: increase %.9g instead of %.9g, from %lld", w->asking, b->increase, h->increase, (long long)h->from);
    if (!b->has_increase)
        assert_true(h->count == 0 && h->value_us == 0);
    assert_int_equal(b->resets, h->resets);
    for (int64_t i = 0; i < h->resets; i++)
        assert_int_equal(b->reset_at[i], h->reset_at[i]);
}

static int on_bucket(void *owner, const struct bucket *b)
{
    struct asked *a = owner;
    static struct by_hand h;
    int64_t to = next_by_hand(&a->step, a->next);
    bucket_by_hand(&h, a->life, a->class, &a->w->holes, a->next, to, a->now);
    if (b->from != h.from || b->to != h.to || b->is_open != h.is_open)
        fail_msg("%s: bucket %lld to %lld%s instead of %lld to %lld%s", a->w->asking, (long long)b->from, (long long)b->to, b->is_open ? " open" : "",
                 (long long)h.from, (long long)h.to, h.is_open ? " open" : "");
    if (b->count != h.count || b->value_us != h.value_us || b->unavailable_us != h.unavailable_us || b->gap_us != h.gap_us)
        fail_msg("%s: from %lld: %lld samples, %lld + %lld + %lld us instead of %lld, %lld + %lld + %lld", a->w->asking, (long long)h.from,
                 (long long)b->count, (long long)b->value_us, (long long)b->unavailable_us, (long long)b->gap_us, (long long)h.count,
                 (long long)h.value_us, (long long)h.unavailable_us, (long long)h.gap_us);
    if (b->has_first != (h.first != NULL) || b->has_last != (h.last != NULL))
        fail_msg("%s: from %lld: first %d, last %d instead of %d, %d", a->w->asking, (long long)h.from, b->has_first, b->has_last, h.first != NULL, h.last != NULL);
    check_mean(a->w, b, &h, a->class);
    if (a->class == CLASS_STATES)
        check_states(b, &h);
    else
        check_numbers(a->w, b, &h);
    if (class_counts(a->class))
        check_growth(a->w, b, &h);
    a->next = to;
    a->w->buckets++;
    a->w->tiers[b->tier < TIERS ? b->tier : TIER_RAW]++;
    return 0;
}

static int64_t series_of(store_t *store, const char *entity)
{
    bool empty;
    assert_int_equal(read_begin(store, &empty), STORE_OK);
    const struct series *series = empty ? NULL : series_by_name(store, true, slice_of(entity));
    int64_t id = series ? series->id : 0;
    read_end(store);
    return id;
}

enum { ZONES = 7 };
static const char *const zones[ZONES] = { "UTC", "Europe/Berlin", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana" };

static struct step a_step(struct world *w, const char **zone_name, zone_t **zone)
{
    static const int64_t fixed[] = { 300, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400 };
    const char *why = "";
    *zone_name = zones[chance(w, ZONES)];
    *zone = zone_open(*zone_name, &why);
    assert_non_null(*zone);
    setenv("TZ", *zone_name, 1);
    tzset();
    switch (chance(w, 5)) {
    case 0:  return (struct step){ .kind = STEP_DAY, .zone = *zone };
    case 1:  return (struct step){ .kind = chance(w, 2) ? STEP_MONTH : STEP_DAY, .zone = *zone };
    case 2:  return (struct step){ .kind = STEP_FIXED, .us = chance_size(w, 42) };
    default: return (struct step){ .kind = STEP_FIXED, .us = fixed[chance(w, sizeof fixed / sizeof *fixed)] * SECOND_US };
    }
}

static int64_t a_time(struct world *w)
{
    return BEGIN_US - DAY_US + (int64_t)chance(w, (uint64_t)(SPAN_US + 4 * DAY_US));
}

static void ask_buckets(struct world *w)
{
    size_t life = chance(w, LIVES);
    const char *zone_name;
    zone_t *zone;
    struct step step = a_step(w, &zone_name, &zone);
    int64_t us = step.kind == STEP_FIXED ? step.us : DAY_US, from = a_time(w), most = us * BUCKETS;
    int64_t length = chance(w, 2) ? chance_size(w, 43) : (int64_t)chance(w, SPAN_US);
    int64_t to = from + (length < most ? length : most), now = chance(w, 4) ? BEGIN_US + 2 * SPAN_US : a_time(w);
    struct asked a = { .w = w, .life = &w->lives[life], .class = kinds[life].class, .step = step, .next = start_by_hand(&step, from), .now = now };
    struct bucket_question q = { .from_us = from, .to_us = to, .now_us = now, .step = step, .class = a.class };
    if (kinds[life].unit) {
        q.has_unit = true;
        q.unit = slice_of(kinds[life].unit);
    }
    snprintf(w->asking, sizeof w->asking, "question %ld: %s, %s of %lld us in %s, from %lld to %lld, now %lld", w->asked, kinds[life].entity,
             step.kind == STEP_DAY ? "days" : step.kind == STEP_MONTH ? "months" : "steps", (long long)us, zone_name, (long long)from, (long long)to, (long long)now);
    int64_t series = series_of(w->reader, kinds[life].entity);
    if (series) {
        assert_int_equal(store_buckets(w->reader, series, &q, on_bucket, &a), STORE_OK);
        if (a.next < to && a.next < now)
            fail_msg("%s: no bucket from %lld on", w->asking, (long long)a.next);
    }
    zone_destroy(&zone);
}

static void check_sample(struct world *w, const struct sample *s, const struct fact *f)
{
    enum sample_kind kind = f->is_removed ? SAMPLE_REMOVED : f->is_number ? SAMPLE_NUMBER : f->is_text ? SAMPLE_TEXT : SAMPLE_NONE;
    if (s->at != f->at || s->kind != kind)
        fail_msg("%s: a sample at %lld of kind %d instead of %lld, %d", w->asking, (long long)s->at, (int)s->kind, (long long)f->at, (int)kind);
    if (!f->is_removed)
        assert_true(slice_equal(s->state, slice_of(f->state)));
    if (f->is_number)
        assert_true(s->number == strtod(f->state, NULL));
}

static void ask_samples(struct world *w)
{
    size_t life = chance(w, LIVES);
    const struct life *l = &w->lives[life];
    bool with_prior = chance(w, 2) != 0, empty;
    int64_t from = chance(w, 3) && l->count ? l->facts[chance(w, l->count)].at + (int64_t)chance(w, 2) : a_time(w), to = from + chance_size(w, 43);
    snprintf(w->asking, sizeof w->asking, "question %ld: samples of %s from %lld to %lld%s", w->asked, l->entity, (long long)from, (long long)to,
             with_prior ? " and the one before" : "");
    int64_t series = series_of(w->reader, l->entity);
    if (!series)
        return;
    assert_int_equal(read_begin(w->reader, &empty), STORE_OK);
    samples_t *samples = samples_open(w->reader, series, from, to, with_prior);
    assert_non_null(samples);
    size_t i = life_before(l, from), end = life_before(l, to);
    i -= with_prior && i > 0;
    struct sample s;
    enum store_result result;
    for (; (result = samples_next(samples, &s)) == STORE_OK; i++) {
        if (i >= end)
            fail_msg("%s: a sample too many, at %lld", w->asking, (long long)s.at);
        check_sample(w, &s, &l->facts[i]);
        w->samples++;
    }
    assert_int_equal(result, STORE_MISSING);
    if (i != end && !(i > end && with_prior))
        fail_msg("%s: %zu samples are missing", w->asking, end - i);
    samples_close(&samples);
    read_end(w->reader);
}

struct house { struct world *w; int64_t at; size_t told; };

static int on_state(void *owner, size_t which, bool in_gap, const struct event_full *e)
{
    struct house *house = owner;
    (void)in_gap;
    assert_int_equal(which, 0);
    for (size_t i = 0; i < LIVES; i++) {
        const struct life *l = &house->w->lives[i];
        if (!slice_equal(e->entity_id, slice_of(l->entity)))
            continue;
        size_t before = life_before(l, house->at + 1);
        if (before == 0)
            fail_msg("%s: %s was not there yet", house->w->asking, l->entity);
        const struct fact *f = &l->facts[before - 1];
        if (e->timestamp != f->at || e->has_state != !f->is_removed || (e->has_state && !slice_equal(e->state, slice_of(f->state))))
            fail_msg("%s: %s is as at %lld instead of %lld", house->w->asking, l->entity, (long long)e->timestamp, (long long)f->at);
        house->told++;
        return 0;
    }
    fail_msg("%s: an entity that there is not", house->w->asking);
    return 1;
}

static void ask_house(struct world *w)
{
    struct house house = { .w = w, .at = a_time(w) };
    int64_t next;
    size_t should = 0;
    snprintf(w->asking, sizeof w->asking, "question %ld: the house at %lld", w->asked, (long long)house.at);
    struct moment_question q = { .at_us = { house.at }, .moments = 1 };
    assert_int_equal(store_moment(w->reader, &q, on_state, &house, &next), STORE_OK);
    for (size_t i = 0; i < LIVES; i++)
        should += life_before(&w->lives[i], house.at + 1) > 0;
    assert_int_equal(next, 0);
    assert_int_equal(house.told, should);
}

static void ask(struct world *w)
{
    w->asked++;
    switch (chance(w, 5)) {
    case 0:  ask_samples(w); break;
    case 1:  ask_house(w); break;
    default: ask_buckets(w);
    }
}

/* --- life --------------------------------------------------------------------------------------------------- */

static store_t *open_store(struct world *w, bool writer)
{
    const char *why = "";
    store_t *store = store_open(&(struct store_options){ .path = w->path, .writer = writer, .cache_bytes = 1 << 20 }, &why);
    if (!store)
        print_message("%s\n", why);
    assert_non_null(store);
    return store;
}

static void change_hole(struct world *w, size_t cell)
{
    int64_t begin = BEGIN_US + (int64_t)cell * (SPAN_US / CELLS), width = SPAN_US / CELLS - SECOND_US;
    const struct life *of = chance(w, 3) ? NULL : &w->lives[chance(w, LIVES)];
    struct hole *hole = &w->cells[cell];
    if (hole->to > 0 && chance(w, 3) == 0) {
        *hole = (struct hole){ 0 };
        return;
    }
    if (hole->to == 0)
        *hole = (struct hole){ .from = begin + (int64_t)chance(w, (uint64_t)width / 2), .of = of && of->count > 0 ? of : NULL };
    hole->to = hole->from + 1 + (chance(w, 4) ? (int64_t)chance(w, (uint64_t)width / 2) : chance_size(w, 30));
    if (cell == CELLS - 1 && chance(w, 2))
        hole->to = MAX_TIME_US; /* it goes on */
}

static void change_holes(struct world *w)
{
    struct gap_said said[CELLS] = { 0 };
    size_t count = 0;
    for (uint64_t changes = chance(w, 5); changes > 0; changes--)
        change_hole(w, chance(w, CELLS));
    w->holes.count = 0;
    for (size_t i = 0; i < CELLS; i++) {
        const struct hole *hole = &w->cells[i];
        if (hole->to == 0)
            continue;
        w->holes.items[w->holes.count++] = *hole;
        said[count] = (struct gap_said){ .from = hole->from, .to = hole->to == MAX_TIME_US ? 0 : hole->to };
        if (hole->of)
            said[count].entity_id = slice_of(hole->of->entity);
        snprintf(said[count++].id, sizeof said->id, "gap-%zu", i);
    }
    enum store_result result = store_set_gaps(w->writer, said, count);
    assert_true(result == STORE_OK || result == STORE_DUPLICATE); /* nothing has changed */
}

/* What the sink does when there is time: all of it, or some of it. */
static void work_in_background(struct world *w)
{
    int64_t now = w->coming[w->come - 1].arrives + (int64_t)chance(w, (uint64_t)DAY_US);
    int64_t hot = (int64_t)chance(w, 10 * (uint64_t)DAY_US);
    uint64_t steps = chance(w, 4) ? 1000000 : chance(w, 30), rolls = chance(w, 4) ? 1000000 : chance(w, 5);
    enum store_result result = STORE_OK;
    while (steps-- > 0 && (result = store_seal(w->writer, now, hot)) == STORE_OK)
        ;
    if (result != STORE_OK && result != STORE_MISSING)
        fail_msg("sealing: %s", store_why(w->writer));
    if (chance(w, 5) == 0)
        assert_int_equal(store_set_zone(w->writer, zones[chance(w, ZONES)]), STORE_OK);
    for (bool is_done = false; rolls-- > 0 && !is_done;)
        if (store_roll(w->writer, now, &is_done) != STORE_OK)
            fail_msg("rolling up: %s", store_why(w->writer));
}

static void random_questions_are_answered_as_by_hand(void **state)
{
    struct world *w = *state;
    size_t piece = w->coming_count / PIECES + 1;
    while (w->come < w->coming_count) {
        for (size_t i = 0; i < piece && w->come < w->coming_count; i++)
            append(w, &w->coming[w->come]);
        change_holes(w);
        assert_int_equal(store_commit(w->writer), STORE_OK);
        work_in_background(w);
        long until = w->questions * (long)w->come / (long)w->coming_count;
        while (w->asked < until)
            ask(w);
    }
    print_message("%ld questions, %ld buckets and %ld samples compared; read from samples %ld, quarters %ld, hours %ld, days %ld\n", w->asked, w->buckets,
                  w->samples, w->tiers[TIER_RAW], w->tiers[TIER_QUARTER], w->tiers[TIER_HOUR], w->tiers[TIER_DAY]);
    print_message("%ld of %zu rows came into a time that was sealed already\n", w->into_sealed, w->come);
    assert_true(w->buckets > w->asked && w->samples > w->asked && w->into_sealed > 200);
}

/* An assertion of the store's has failed: say of what question. */
static const struct world *at_work;
static void on_abort(int number)
{
    (void)number;
    fprintf(stderr, "%s\n", at_work->asking);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    at_work = w;
    signal(SIGABRT, on_abort);
    size_t facts = 0;
    const char *questions = getenv("RANDOM_QUESTIONS"), *seed = getenv("RANDOM_SEED");
    assert_non_null(w);
    w->questions = questions ? atol(questions) : 200;
    w->seed = (seed ? strtoull(seed, NULL, 10) : 1) * UINT64_C(0x9E3779B97F4A7C15);
    print_message("%ld questions, RANDOM_SEED=%s\n", w->questions, seed ? seed : "1");
    strcpy(w->directory, "/tmp/test-random-questions-XXXXXX");
    assert_non_null(mkdtemp(w->directory));
    snprintf(w->path, sizeof w->path, "%s/store.db", w->directory);
    for (size_t i = 0; i < LIVES; i++)
        facts += kinds[i].facts;
    w->coming = calloc(facts, sizeof *w->coming);
    assert_non_null(w->coming);
    for (size_t i = 0; i < LIVES; i++) {
        w->lives[i] = (struct life){ .entity = kinds[i].entity, .class = kinds[i].class };
        make_life(w, i);
    }
    qsort(w->coming, w->coming_count, sizeof *w->coming, compare_arrival);
    w->writer = open_store(w, true);
    w->reader = open_store(w, false);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[128];
    store_close(&w->reader);
    store_close(&w->writer);
    for (size_t i = 0; i < LIVES; i++)
        free(w->lives[i].facts);
    free(w->coming);
    snprintf(command, sizeof command, "rm -rf %s", w->directory);
    free(w);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(random_questions_are_answered_as_by_hand, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
