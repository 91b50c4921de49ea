/* test_wall.c - which date a known moment has when the wall clock is set. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wall.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define UTC (1000 * DAY)

static void a_clock_that_is_not_set_gives_every_moment_its_date(void **state)
{
    struct wall wall = { 0 };
    (void)state;
    for (int i = 1; i <= 10; i++)
        wall_look(&wall, i * SECOND, UTC + i * SECOND + i * 1000, i * SECOND);
    assert_int_equal(wall_at(&wall, 10 * SECOND), UTC + 10 * SECOND + 10000);
}

static void what_was_known_before_the_clock_jumped_keeps_its_date(void **state)
{
    struct wall wall = { 0 };
    (void)state;
    wall_look(&wall, 1 * SECOND, UTC + 1 * SECOND, 1 * SECOND);
    wall_look(&wall, 2 * SECOND, UTC + 3 * DAY, 1 * SECOND); /* nothing heard since */
    wall_look(&wall, 3 * SECOND, UTC + 7 * DAY, 1 * SECOND); /* and once more */
    assert_int_equal(wall_at(&wall, 1 * SECOND), UTC + 1 * SECOND);
}

static void two_jumps_are_not_one(void **state)
{
    struct wall wall = { 0 };
    (void)state;
    wall_look(&wall, 1 * SECOND, UTC + 1 * SECOND, 1 * SECOND);
    wall_look(&wall, 2 * SECOND, UTC + 1 * DAY + 2 * SECOND, 1900000);
    /* something was heard after the first jump, and nothing after the second */
    wall_look(&wall, 4 * SECOND, UTC + 5 * DAY, 3 * SECOND);
    assert_int_equal(wall_at(&wall, 3 * SECOND), UTC + 1 * DAY + 3 * SECOND);
}

static void once_more_is_known_the_new_clock_holds(void **state)
{
    struct wall wall = { 0 };
    (void)state;
    wall_look(&wall, 1 * SECOND, UTC + 1 * SECOND, 1 * SECOND);
    wall_look(&wall, 2 * SECOND, UTC + 3 * DAY, 1500000); /* known before it was seen: the old date is the safe one */
    assert_int_equal(wall_at(&wall, 1500000), UTC + 1500000);
    wall_look(&wall, 3 * SECOND, UTC + 3 * DAY + SECOND, 3 * SECOND);
    assert_int_equal(wall_at(&wall, 3 * SECOND), UTC + 3 * DAY + SECOND);
}

static void a_clock_that_is_set_back_makes_it_earlier_at_once(void **state)
{
    struct wall wall = { 0 };
    (void)state;
    wall_look(&wall, 1 * SECOND, UTC + 1 * SECOND, 1 * SECOND);
    wall_look(&wall, 2 * SECOND, UTC - 3600 * SECOND, 1 * SECOND);
    assert_int_equal(wall_at(&wall, 1 * SECOND), UTC - 3601 * SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_not_set_gives_every_moment_its_date),
        cmocka_unit_test(what_was_known_before_the_clock_jumped_keeps_its_date),
        cmocka_unit_test(two_jumps_are_not_one),
        cmocka_unit_test(once_more_is_known_the_new_clock_holds),
        cmocka_unit_test(a_clock_that_is_set_back_makes_it_earlier_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
