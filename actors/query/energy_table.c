/* energy_table.c - what everybody used in each of some steps, what it cost and weighed; and what nobody was seen to use. */
#include "energy_table.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A price stands in the series where its slot begins, at least once a day; carbon every few minutes to an hour. Longer ago, its source was silent. */
#define PRICE_HOLDS_US  (25 * HOUR_US)
#define CARBON_HOLDS_US (4 * HOUR_US)

struct making {
    store_t *store;
    struct energy_table *table;
    int64_t from_us, deadline_us;
    size_t count;
    struct quarter *one, *meter, *devices, *unmetered; /* devices, unmetered: while the meter tells of them, and while it does not */
    struct rate *price, *carbon;
    size_t *parents;               /* of each of who: the nearest that there is anything of, else itself */
    uint32_t *meter_told;          /* of how much of each quarter the meter tells, microseconds */
    uint32_t **told;               /* the same of each of who that others are inside of; of the others NULL */
    struct energy_sum *parts;      /* of each step and of who: what those inside tell of themselves */
};

static void *cleared(size_t count, size_t size)
{
    void *items = calloc(count ? count : 1, size);
    assert(items);
    return items;
}

static int64_t clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t length_of(const struct making *m, size_t quarter)
{
    int64_t begin = m->from_us + (int64_t)quarter * QUARTER_US, left = m->table->now_us - begin;
    return left >= QUARTER_US ? QUARTER_US : left > 0 ? left : 0;
}

/* --- rates ------------------------------------------------------------------------------------------------ */

static void set_currency(struct energy_rates *rates, const struct unit_name *unit)
{
    const char *slash = memchr(unit->text, '/', unit->size);
    size_t size = slash ? (size_t)(slash - unit->text) : 0;
    if (size < sizeof rates->currency)
        memcpy(rates->currency, unit->text, size);
}

static enum store_result read_rates(struct making *m)
{
    struct energy_rates *rates = &m->table->rates;
    struct unit_name unit = { .size = 0 };
    int64_t now = m->table->now_us;
    rates->currency[0] = '\0';
    enum store_result result = energy_rates(m->store, slice_of("_electricity.price"), m->from_us, m->count, now, PRICE_HOLDS_US, m->price, &unit,
                                            &rates->has_price);
    if (result != STORE_OK)
        return result;
    if (rates->has_price)
        set_currency(rates, &unit);
    for (size_t i = 0; i < m->count && rates->has_fixed; i++) {
        struct rate *r = &m->price[i];
        *r = (struct rate){ r->value * r->share + rates->fixed * (1.0 - r->share), 1.0 };
    }
    return energy_rates(m->store, slice_of("_carbon.intensity_g_kwh"), m->from_us, m->count, now, CARBON_HOLDS_US, m->carbon, &unit, &rates->has_carbon);
}

/* --- sums -------------------------------------------------------------------------------------------------- */

/* Into `sums`, which lie `apart` from step to step. */
static void add_steps(const struct making *m, const struct quarter *quarters, struct energy_sum *sums, size_t apart)
{
    const struct energy_table *t = m->table;
    for (size_t step = 0, i = 0; step < t->steps; step++)
        for (; i < (size_t)((t->edges[step + 1] - m->from_us) / QUARTER_US); i++)
            energy_add(&sums[step * apart], &quarters[i], &m->price[i], &m->carbon[i], length_of(m, i));
}

static enum energy_kind worse(enum energy_kind a, enum energy_kind b)
{
    return a == ENERGY_NONE ? b : b == ENERGY_NONE ? a : a == ENERGY_POWER ? a : b;
}

/* Of how much of a quarter something is known; what came although nothing was in force is of all of it. */
static int64_t told_of(const struct quarter *q)
{
    return q->covered_us > 0 ? q->covered_us : q->kwh != 0.0 ? QUARTER_US : 0;
}

/* Of what is known of `told_us` the part of so long, evenly. */
static struct quarter part_of(const struct quarter *q, int64_t us, int64_t told_us)
{
    double share = (double)us / (double)told_us;
    return us == told_us ? *q : (struct quarter){ q->kwh * share, fabs(q->kwh) * share, us };
}

static void add_to(struct quarter *to, const struct quarter *q)
{
    to->kwh += q->kwh;
    to->guessed_kwh += q->guessed_kwh;
}

/* All meters together are known where each of them is. */
static void add_to_meter(struct making *m, size_t one)
{
    struct energy_table *t = m->table;
    double sign = energy_sign(t->who->items[one].role);
    for (size_t i = 0; i < m->count; i++) {
        struct quarter *to = &m->meter[i];
        int64_t told = told_of(&m->one[i]);
        to->kwh += sign * m->one[i].kwh;
        to->guessed_kwh += m->one[i].guessed_kwh;
        to->covered_us = !t->has_meter || m->one[i].covered_us < to->covered_us ? m->one[i].covered_us : to->covered_us;
        m->meter_told[i] = told > m->meter_told[i] ? (uint32_t)told : m->meter_told[i];
    }
    t->has_meter = true;
    t->meter_kind = worse(t->meter_kind, t->kinds[one]);
}

static void note_told(struct making *m, size_t one)
{
    bool is_outer = false;
    for (size_t i = 0; i < m->table->who->count; i++)
        is_outer |= i != one && m->parents[i] == one;
    if (!is_outer)
        return;
    m->told[one] = cleared(m->count, sizeof **m->told);
    for (size_t i = 0; i < m->count; i++)
        m->told[one][i] = (uint32_t)told_of(&m->one[i]);
}

/* What those around it tell of in a quarter is a part of theirs, the nearest first. How much of it that is. */
static int64_t give_parts(struct making *m, size_t step, size_t one, size_t quarter, int64_t told_us)
{
    struct energy_table *t = m->table;
    int64_t given_us = 0;
    for (size_t up = one; m->parents[up] != up;) {
        up = m->parents[up];
        int64_t up_us = m->told[up] ? m->told[up][quarter] : 0, until_us = up_us < told_us ? up_us : told_us;
        if (until_us <= given_us)
            continue;
        struct quarter part = part_of(&m->one[quarter], until_us - given_us, told_us);
        energy_add(&m->parts[step * t->who->count + up], &part, &m->price[quarter], &m->carbon[quarter], length_of(m, quarter));
        t->is_rest[up] = true;
        given_us = until_us;
    }
    return given_us;
}

/* What is behind another's meter is no device of the home's beside it, while that one tells of it; and of what is left the
 * home's meter knows as much as it tells of. True: it does of some. */
static bool add_quarter(struct making *m, size_t step, size_t one, size_t quarter)
{
    const struct quarter *q = &m->one[quarter];
    int64_t told_us = told_of(q), given_us = told_us > 0 ? give_parts(m, step, one, quarter, told_us) : 0, until_us = m->meter_told[quarter];
    struct quarter part;
    bool is_metered;
    until_us = until_us < told_us ? until_us : told_us;
    if ((is_metered = until_us > given_us)) {
        part = part_of(q, until_us - given_us, told_us);
        add_to(&m->devices[quarter], &part);
        given_us = until_us;
    }
    if (told_us > given_us) {
        part = part_of(q, told_us - given_us, told_us);
        add_to(&m->unmetered[quarter], &part);
    }
    return is_metered;
}

static void add_device(struct making *m, size_t one)
{
    struct energy_table *t = m->table;
    bool is_metered = false;
    for (size_t step = 0, i = 0; step < t->steps; step++)
        for (; i < (size_t)((t->edges[step + 1] - m->from_us) / QUARTER_US); i++)
            is_metered |= add_quarter(m, step, one, i);
    if (is_metered)
        t->untracked_kind = worse(t->untracked_kind, t->kinds[one]);
}

static enum store_result read_one(struct making *m, size_t one)
{
    struct energy_table *t = m->table;
    const struct energy_one *who = &t->who->items[one];
    bool is_device = who->role == ROLE_DEVICE;
    if (t->kinds[one] == ENERGY_NONE)
        return STORE_OK;
    memset(m->one, 0, m->count * sizeof *m->one);
    enum store_result result = energy_read(m->store, slice_of(who->entity_id), m->from_us, m->count, t->now_us, m->one, &t->kinds[one]);
    if (result != STORE_OK)
        return result;
    add_steps(m, m->one, &t->sums[one], t->who->count);
    if (!is_device)
        add_to_meter(m, one);
    else
        add_device(m, one);
    note_told(m, one);
    return STORE_OK;
}

static void take_parts_off(const struct making *m)
{
    struct energy_table *t = m->table;
    for (size_t i = 0; i < t->steps * t->who->count; i++)
        if (t->is_rest[i % t->who->count])
            energy_less(&t->sums[i], &m->parts[i]);
}

/* Meters come first, then devices from without: who is around it, and what that tells of, is known then. */
static size_t turn_of(const struct making *m, size_t one)
{
    size_t turn = m->table->who->items[one].role == ROLE_DEVICE;
    for (; m->parents[one] != one; one = m->parents[one])
        turn++;
    return turn;
}

static enum store_result read_all(struct making *m)
{
    size_t n = m->table->who->count;
    enum store_result result = STORE_OK;
    bool is_more = true;
    for (size_t turn = 0; is_more && result == STORE_OK; turn++) {
        is_more = false;
        for (size_t i = 0; i < n && result == STORE_OK; i++) {
            is_more |= turn_of(m, i) > turn;
            if (turn_of(m, i) == turn)
                result = clock_us() > m->deadline_us ? STORE_LATE : read_one(m, i);
        }
    }
    return result;
}

static void make_untracked(struct making *m)
{
    struct energy_table *t = m->table;
    for (size_t i = 0; i < m->count; i++) {
        m->devices[i].kwh = m->meter[i].kwh - m->devices[i].kwh;
        m->devices[i].guessed_kwh += m->meter[i].guessed_kwh;
        m->devices[i].covered_us = m->meter[i].covered_us;
    }
    add_steps(m, m->meter, t->meter, 1);
    add_steps(m, m->devices, t->untracked, 1);
    add_steps(m, m->unmetered, t->unmetered, 1);
    t->untracked_kind = worse(t->untracked_kind, t->meter_kind);
}

static enum store_result find_kinds(struct making *m)
{
    struct energy_table *t = m->table;
    const struct energy_one *items = t->who->items;
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < t->who->count && result == STORE_OK; i++)
        if (!t->meters_only || items[i].role != ROLE_DEVICE)
            result = energy_kind_of(m->store, slice_of(items[i].entity_id), &t->kinds[i]);
    for (size_t i = 0; i < t->who->count; i++) {
        size_t up = items[i].parent;
        while (t->kinds[up] == ENERGY_NONE && items[up].parent != up)
            up = items[up].parent;
        m->parents[i] = t->kinds[up] == ENERGY_NONE ? i : up;
    }
    return result;
}

static enum store_result make(struct making *m)
{
    struct energy_table *t = m->table;
    enum store_result result = find_kinds(m);
    if (result == STORE_OK)
        result = read_rates(m);
    if (result == STORE_OK)
        result = read_all(m);
    if (result != STORE_OK)
        return result;
    take_parts_off(m);
    if (t->has_meter)
        make_untracked(m);
    return STORE_OK;
}

enum store_result energy_table_read(store_t *store, struct energy_table *t)
{
    size_t n = t->who->count, count = (size_t)((t->edges[t->steps] - t->edges[0]) / QUARTER_US);
    struct making m = { .store = store, .table = t, .from_us = t->edges[0], .count = count, .deadline_us = clock_us() + READ_MS * INT64_C(1000),
        .one = cleared(count, sizeof(struct quarter)), .meter = cleared(count, sizeof(struct quarter)), .devices = cleared(count, sizeof(struct quarter)),
        .unmetered = cleared(count, sizeof(struct quarter)), .meter_told = cleared(count, sizeof(uint32_t)),
        .price = cleared(count, sizeof(struct rate)), .carbon = cleared(count, sizeof(struct rate)),
        .parents = cleared(n, sizeof(size_t)), .told = cleared(n, sizeof(uint32_t *)), .parts = cleared(n * t->steps, sizeof(struct energy_sum)) };
    t->kinds = cleared(n, sizeof *t->kinds);
    t->is_rest = cleared(n, sizeof *t->is_rest);
    t->sums = cleared(n * t->steps, sizeof *t->sums);
    t->meter = cleared(t->steps, sizeof *t->meter);
    t->untracked = cleared(t->steps, sizeof *t->untracked);
    t->unmetered = cleared(t->steps, sizeof *t->unmetered);
    t->has_meter = false;
    t->meter_kind = t->untracked_kind = ENERGY_NONE;
    enum store_result result = make(&m);
    free(m.one);
    free(m.meter);
    free(m.devices);
    free(m.unmetered);
    free(m.meter_told);
    free(m.price);
    free(m.carbon);
    free(m.parents);
    for (size_t i = 0; i < n; i++)
        free(m.told[i]);
    free(m.told);
    free(m.parts);
    return result;
}

void energy_table_close(struct energy_table *t)
{
    free(t->kinds);
    free(t->is_rest);
    free(t->sums);
    free(t->meter);
    free(t->untracked);
    free(t->unmetered);
    t->kinds = NULL;
    t->is_rest = NULL;
    t->sums = t->meter = t->untracked = t->unmetered = NULL;
}
