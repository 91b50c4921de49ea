/* test_cheapest.c - the cheapest hours: against all that there are, and as they are asked for. */
#include "probe.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "../upstream/upstream.h"
#include "electricity.h"

static const int64_t begin_us = INT64_C(1767225600000000), hour_us = INT64_C(3600000000), minute_us = INT64_C(60000000);

static void assert_near(double number, double wanted)
{
    if (!(fabs(number - wanted) < 1e-9))
        fail_msg("%.12g is not %.12g", number, wanted);
}

/* --- brute force --------------------------------------------------------------------------------------- */

enum { GRID = 400, CELL_MINUTES = 5 };

static int by_number(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

/* Every window on the grid. NAN: there is none. */
static double best_window(const double *cells, int count, int length, int *from)
{
    double best = NAN;
    for (int i = 0; i + length <= count; i++) {
        double sum = 0;
        for (int k = 0; k < length; k++)
            sum += cells[i + k];
        if (!isnan(sum) && (isnan(best) || sum / length < best - 1e-9)) {
            best = sum / length;
            *from = i;
        }
    }
    return best;
}

static double best_spread(const double *cells, int count, int length)
{
    double known[GRID], sum = 0;
    int n = 0;
    for (int i = 0; i < count; i++)
        if (!isnan(cells[i]))
            known[n++] = cells[i];
    if (n < length)
        return NAN;
    qsort(known, (size_t)n, sizeof *known, by_number);
    for (int i = 0; i < length; i++)
        sum += known[i];
    return sum / length;
}

static uint32_t chance(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Slots of 15, 30 and 60 minutes with holes, and the same as cells of five minutes. */
static size_t make_slots(uint32_t *random, struct electricity_slot *slots, double *cells)
{
    static const int lengths[] = { 3, 6, 12 };
    size_t count = 0;
    int at = 0;
    for (int i = 0; i < GRID; i++)
        cells[i] = NAN;
    while (at + 12 <= GRID) {
        int length = lengths[chance(random) % 3];
        if (chance(random) % 12 == 0) {
            at += length;
            continue;
        }
        double price = ((int)(chance(random) % 21) - 5) / 100.0;
        slots[count++] = (struct electricity_slot){ .has_from = true, .from = at * CELL_MINUTES * minute_us, .has_to = true,
            .to = (at + length) * CELL_MINUTES * minute_us, .has_price = true, .price = price };
        for (int k = 0; k < length; k++)
            cells[at + k] = price;
        at += length;
    }
    return count;
}

static void check_parts(const struct span *parts, size_t count, int64_t from_us, int64_t to_us, int64_t length_us)
{
    int64_t us = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(parts[i].from_us >= from_us && parts[i].to_us <= to_us && parts[i].from_us < parts[i].to_us);
        assert_true(i == 0 || parts[i].from_us >= parts[i - 1].to_us);
        us += parts[i].to_us - parts[i].from_us;
    }
    assert_int_equal(us, length_us);
}

static void nothing_is_cheaper_than_what_is_found(void **state)
{
    (void)state;
    static struct electricity_slot slots[GRID];
    static struct span spans[SLOTS_MAX];
    double cells[GRID];
    uint32_t random = 7;
    size_t found = 0;
    for (int round = 0; round < 2000; round++) {
        size_t count = make_slots(&random, slots, cells);
        int after = (int)(chance(&random) % 100), before = after + 1 + (int)(chance(&random) % (uint32_t)(GRID - after)), length = 1 + (int)(chance(&random) % 60), at = 0;
        int64_t cell_us = CELL_MINUTES * minute_us, from_us = after * cell_us, to_us = before * cell_us;
        double window = best_window(cells + after, before - after, length, &at), spread = best_spread(cells + after, before - after, length);
        size_t n = cheapest_window(spans, spans_cut(slots, count, from_us, to_us, spans), length * cell_us);
        assert_int_equal(n > 0, !isnan(window));
        if (n) {
            check_parts(spans, n, from_us, to_us, length * cell_us);
            assert_int_equal(spans[n - 1].to_us - spans[0].from_us, length * cell_us); /* at one go */
            assert_near(spans_mean(spans, n), window);
            assert_true(spans[0].from_us <= (after + at) * cell_us); /* the earliest of equals */
            found++;
        }
        n = cheapest_spread(spans, spans_cut(slots, count, from_us, to_us, spans), length * cell_us);
        assert_int_equal(n > 0, !isnan(spread));
        if (n) {
            check_parts(spans, n, from_us, to_us, length * cell_us);
            assert_near(spans_mean(spans, n), spread);
        }
    }
    assert_true(found > 500);
}

static void slots_that_overlap_are_counted_once(void **state)
{
    (void)state;
    static struct span spans[SLOTS_MAX];
    const struct electricity_slot slots[] = { { .from = 0, .to = 100, .price = 1 }, { .from = 50, .to = 80, .price = 2 } };
    assert_int_equal(spans_cut(slots, 2, 0, 1000, spans), 2);
    assert_int_equal(spans[0].to_us, 50);
    assert_int_equal(spans_cut(slots, 2, 90, 1000, spans), 0);
}

/* --- as it is asked for ------------------------------------------------------------------------------------ */

static int ask(probe_t *probe, double hours, bool contiguous, int64_t after_us, int64_t before_us, struct electricity_cheapest_end *end)
{
    struct electricity_cheapest_query query = { .has_hours = true, .hours = hours, .has_contiguous = true, .contiguous = contiguous,
        .has_after = after_us > 0, .after = after_us, .has_before = before_us > 0, .before = before_us };
    return probe_call(probe, &electricity_cheapest_contract, &query, end);
}

static void tells_when_to_run_something(void **state)
{
    (void)state;
    const char *const settings[] = { "provider", "awattar", NULL };
    struct electricity_cheapest_end end;
    struct electricity_part part;
    probe_t *probe = probe_new(settings);
    assert_int_equal(ask(probe, 1, true, 0, 0, &end), UNAVAILABLE);
    probe_set_now(probe, begin_us + 30 * minute_us);
    probe_tick(probe);
    answer(probe, "awattar");
    assert_int_equal(ask(probe, 1, true, 0, 0, &end), OK); /* the hour below nothing */
    assert_int_equal(end.from, begin_us + 3 * hour_us);
    assert_near(end.mean_price, -0.0125);
    assert_string_equal(end.currency, "EUR");
    assert_string_equal(end.provider, "awattar");
    assert_true(end.hours == 1 && end.mean_price_known > end.mean_price);
    assert_int_equal(ask(probe, 1.5, false, 0, begin_us + 2 * hour_us, &end), OK); /* all that is left until then, half an hour of it now */
    assert_int_equal(end.count, 2);
    assert_int_equal(probe_row(probe, 0, &part), 0);
    assert_int_equal(part.from, begin_us + 30 * minute_us);
    assert_near(part.price, 0.08531);
    assert_int_equal(end.to, begin_us + 2 * hour_us);
    assert_int_equal(ask(probe, 1.6, false, 0, begin_us + 2 * hour_us, &end), UNPROCESSABLE);
    assert_string_equal(probe_fault(probe).field, "hours");
    assert_int_equal(ask(probe, 1.6, true, 0, begin_us + 2 * hour_us, &end), UNPROCESSABLE);
    assert_int_equal(ask(probe, 1, true, 0, begin_us, &end), BAD_REQUEST);
    assert_string_equal(probe_fault(probe).field, "before");
    assert_int_equal(ask(probe, 1, true, begin_us + 40 * hour_us, 0, &end), OK);
    assert_int_equal(ask(probe, 1, true, begin_us + 60 * hour_us, 0, &end), UNPROCESSABLE);
    probe_destroy(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_cheaper_than_what_is_found),
        cmocka_unit_test(slots_that_overlap_are_counted_once),
        cmocka_unit_test(tells_when_to_run_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
