/* test_endpoints.c - URLs as people write them; the pace and order of dialling, with a virtual clock. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "endpoints.h"

#include <string.h>

#define SECOND INT64_C(1000000)

static void every_way_to_write_a_url_leads_to_the_websocket(void **state)
{
    (void)state;
    static const struct { const char *url, *host; int port; const char *path; bool tls; const char *shown; } cases[] = {
        { "http://home:8123", "home", 8123, "/api/websocket", false, "ws://home:8123/api/websocket" },
        { "http://home:8123/", "home", 8123, "/api/websocket", false, "ws://home:8123/api/websocket" },
        { "HTTPS://home.example", "home.example", 443, "/api/websocket", true, "wss://home.example:443/api/websocket" },
        { "http://http.example", "http.example", 80, "/api/websocket", false, "ws://http.example:80/api/websocket" },
        { "ws://home:8123/api/websocket", "home", 8123, "/api/websocket", false, "ws://home:8123/api/websocket" },
        { "wss://home/api/websocket/", "home", 443, "/api/websocket", true, "wss://home:443/api/websocket" },
        { "ws://home:8123/api", "home", 8123, "/api/websocket", false, "ws://home:8123/api/websocket" },
        { "https://proxy/ha/one", "proxy", 443, "/ha/one/api/websocket", true, "wss://proxy:443/ha/one/api/websocket" },
        { "http://supervisor/core", "supervisor", 80, "/core/websocket", false, "ws://supervisor:80/core/websocket" },
        { "http://supervisor/core/api", "supervisor", 80, "/core/websocket", false, "ws://supervisor:80/core/websocket" },
        { "ws://supervisor/core/websocket", "supervisor", 80, "/core/websocket", false, "ws://supervisor:80/core/websocket" },
        { "http://[fd00::1]:8123", "fd00::1", 8123, "/api/websocket", false, "ws://[fd00::1]:8123/api/websocket" },
        { "https://[::1]", "::1", 443, "/api/websocket", true, "wss://[::1]:443/api/websocket" },
        { "http://127.0.0.1:1", "127.0.0.1", 1, "/api/websocket", false, "ws://127.0.0.1:1/api/websocket" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        const char *why = "";
        if (endpoint_read(&e, slice_of(cases[i].url), slice_of("token"), &why))
            fail_msg("%s: %s", cases[i].url, why);
        assert_string_equal(e.host, cases[i].host);
        assert_int_equal(e.port, cases[i].port);
        assert_string_equal(e.path, cases[i].path);
        assert_int_equal(e.tls, cases[i].tls);
        assert_string_equal(e.url, cases[i].shown);
    }
}

static void a_wrong_url_or_token_is_refused_with_a_reason(void **state)
{
    (void)state;
    static const struct { const char *url, *token; } cases[] = {
        { "home:8123", "t" }, { "", "t" }, { "http://", "t" }, { "http://:8123", "t" }, { "http://home:", "t" },
        { "http://home:0", "t" }, { "http://home:65536", "t" }, { "http://home:12x", "t" }, { "ftp://home", "t" },
        { "http://user:secret@home", "t" }, { "http://home/?a=b", "t" }, { "http://home/#x", "t" }, { "http://[::1", "t" },
        { "http://[home]", "t" }, { "http://ho me", "t" }, { "http://home/a b", "t" }, { "http://home", "" },
        { "http://home", "two words" }, { "http://home", "line\n" }, { "http://home", "\"quoted\"" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct endpoint e;
        const char *why = NULL;
        if (endpoint_read(&e, slice_of(cases[i].url), slice_of(cases[i].token), &why) == 0)
            fail_msg("%s / %s was taken", cases[i].url, cases[i].token);
        assert_non_null(why);
        assert_null(strstr(why, "secret"));
    }
    struct endpoint e;
    const char *why;
    char huge[600];
    memset(huge, 'a', sizeof huge);
    assert_int_equal(endpoint_read(&e, slice_of("http://home"), (struct slice){ huge, 513 }, &why), -1);
    assert_int_equal(endpoint_read(&e, slice_of("http://home"), (struct slice){ huge, 512 }, &why), 0);
    memcpy(huge, "http://h/", 9);
    assert_int_equal(endpoint_read(&e, (struct slice){ huge, sizeof huge }, slice_of("t"), &why), -1);
}

static struct plan make_plan(int count)
{
    struct plan plan = { .count = count, .retry_min_us = SECOND, .retry_max_us = 300 * SECOND,
        .auth_retry_us = 900 * SECOND, .better_us = 60 * SECOND };
    plan_start(&plan, 0);
    return plan;
}

static void the_pause_doubles_to_its_limit_and_jitter_stays_inside(void **state)
{
    (void)state;
    static const int64_t base_s[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300 };
    struct plan plan = make_plan(1);
    for (int n = 1; n <= 11; n++) {
        int64_t base = base_s[n - 1] * SECOND, most = base * 11 / 10 > 300 * SECOND ? 300 * SECOND : base * 11 / 10;
        assert_int_equal(plan_delay_us(&plan, n, 0.0), base * 9 / 10);
        assert_true(plan_delay_us(&plan, n, 0.999999) <= most);
        assert_true(plan_delay_us(&plan, n, 0.999999) > most - SECOND);
        assert_true(plan_delay_us(&plan, n, 0.5) > base * 9 / 10);
    }
    assert_int_equal(plan_delay_us(&plan, 0, 0.0), SECOND / 10);
    assert_int_equal(plan_delay_us(&plan, -3, 0.9), SECOND / 10);
    assert_true(plan_delay_us(&plan, 2000000000, 0.999) <= 300 * SECOND);
    plan.retry_min_us = 10000; /* ten milliseconds: still no storm */
    assert_int_equal(plan_delay_us(&plan, 1, 0.0), SECOND / 10);
    plan.retry_min_us = 400 * SECOND;
    assert_int_equal(plan_delay_us(&plan, 1, 0.999) <= 300 * SECOND, 1);
}

static void one_endpoint_is_dialled_at_once_and_then_ever_more_slowly(void **state)
{
    (void)state;
    struct plan plan = make_plan(1);
    int64_t now = 0;
    int64_t waits[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(plan_dial(&plan, now), 0);
        plan_failed(&plan, 0, now, 0.0);
        assert_int_equal(plan_dial(&plan, now), -1);
        assert_int_equal(plan_dial(&plan, plan.due_us - 1), -1);
        waits[i] = plan.due_us - now;
        now = plan.due_us;
    }
    assert_int_equal(waits[0], SECOND * 9 / 10);
    assert_int_equal(waits[3], 8 * SECOND * 9 / 10);
    plan_live(&plan, 0, now);
    plan_lost(&plan, now, 0.0);
    assert_int_equal(plan.due_us - now, SECOND * 9 / 10); /* reset by success */
}

static void each_round_tries_every_endpoint_in_order(void **state)
{
    (void)state;
    struct plan plan = make_plan(3);
    int64_t now = 0;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 3; i++) {
            now = plan.due_us;
            assert_int_equal(plan_dial(&plan, now), i);
            plan_failed(&plan, i, now, 0.0);
            if (i < 2)
                assert_int_equal(plan.due_us - now, SECOND / 10);
        }
        assert_int_equal(plan.due_us - now, (SECOND << round) * 9 / 10);
    }
    plan_live(&plan, 2, now);
    plan_lost(&plan, now, 0.0);
    assert_int_equal(plan_dial(&plan, plan.due_us), 0); /* from the best one again */
}

static void a_refused_token_is_no_storm(void **state)
{
    (void)state;
    struct plan plan = make_plan(1);
    int attempts = 0;
    for (int64_t now = 0; now < 3600 * SECOND; now += SECOND / 20)
        if (plan_dial(&plan, now) == 0) {
            attempts++;
            plan_refused(&plan, 0, now, 0.5);
            assert_true(plan_all_refused(&plan, now));
        }
    assert_int_equal(attempts, 4); /* 0, 15, 30, 45 minutes */
}

static void an_endpoint_that_refused_is_left_out_of_the_rounds(void **state)
{
    (void)state;
    struct plan plan = make_plan(2);
    int refused = 0, failed = 0;
    for (int64_t now = 0; now < 1100 * SECOND; now += SECOND / 20) {
        int endpoint = plan_dial(&plan, now);
        if (endpoint == 0) {
            refused++;
            plan_refused(&plan, 0, now, 0.0);
        } else if (endpoint == 1) {
            failed++;
            plan_failed(&plan, 1, now, 0.0);
        }
        assert_false(plan_all_refused(&plan, now));
    }
    assert_int_equal(refused, 2);
    assert_in_range(failed, 9, 14);
}

static void a_better_endpoint_is_tried_now_and_then(void **state)
{
    (void)state;
    struct plan plan = make_plan(3);
    plan_live(&plan, 0, 0);
    assert_int_equal(plan_better(&plan, 0, 3600 * SECOND), -1);
    plan_live(&plan, 2, 0);
    int tried[3] = { 0 };
    for (int64_t now = 0; now <= 600 * SECOND; now += SECOND / 20) {
        int endpoint = plan_better(&plan, 2, now);
        if (endpoint >= 0) {
            assert_true(endpoint < 2);
            tried[endpoint]++;
        }
    }
    assert_in_range(tried[0], 9, 10);
    assert_in_range(tried[1], 9, 10);
    plan.refused_until_us[0] = plan.refused_until_us[1] = 10000 * SECOND;
    for (int64_t now = 600 * SECOND; now <= 900 * SECOND; now += SECOND)
        assert_int_equal(plan_better(&plan, 2, now), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_write_a_url_leads_to_the_websocket),
        cmocka_unit_test(a_wrong_url_or_token_is_refused_with_a_reason),
        cmocka_unit_test(the_pause_doubles_to_its_limit_and_jitter_stays_inside),
        cmocka_unit_test(one_endpoint_is_dialled_at_once_and_then_ever_more_slowly),
        cmocka_unit_test(each_round_tries_every_endpoint_in_order),
        cmocka_unit_test(a_refused_token_is_no_storm),
        cmocka_unit_test(an_endpoint_that_refused_is_left_out_of_the_rounds),
        cmocka_unit_test(a_better_endpoint_is_tried_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
