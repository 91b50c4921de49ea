/* test_split.c - frames cut into messages: an event told by its two ends is the one that reading it gives. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "split.h"

#define EVENT(data, context) "{\"event_type\":\"state_changed\",\"data\":" data ",\"origin\":\"LOCAL\"," \
    "\"time_fired\":\"2026-01-01T00:00:00+00:00\",\"context\":" context "}"
#define CONTEXT "{\"id\":\"01M85M1HWY3Z7NBG349M7KGRWQ\",\"parent_id\":null,\"user_id\":null}"

static struct items cut(const char *frame)
{
    struct items items = { 0 };
    split_t *split = split_new();
    split_items(split, slice_of(frame), 2, 5, &items);
    split_destroy(&split);
    return items;
}

static void is_one_event(const char *frame, const char *event)
{
    struct items items = cut(frame);
    assert_int_equal(items.count, 1);
    assert_null(items.list[0].why);
    assert_int_equal(items.list[0].bytes.size, strlen(event));
    assert_memory_equal(items.list[0].bytes.data, event, strlen(event));
    items_free(&items);
}

static void an_event_is_the_same_in_whatever_form_it_comes(void **state)
{
    (void)state;
    static const char *const data[] = { "{}", "{\"a\":{\"b\":[1,{\"c\":\"}}\"}]}}",
        "{\"text\":\",\\\"context\\\":{\\\"id\\\":\\\"x\\\"}},\\\"id\\\":7}\"}", "{\"context\":{\"id\":\"inner\"}}" };
    static const struct { const char *before, *after; } forms[] = {
        { "{\"type\":\"event\",\"event\":", ",\"id\":4}" },                    /* as Home Assistant writes it */
        { "{\"id\":4,\"type\":\"event\",\"event\":", "}" },
        { "{\"type\":\"event\",\"event\":", ",\"id\":4 }" },
        { "{\"type\":\"event\",\"event\":", ",\"more\":1,\"id\":4}" },
        { "{\"type\":\"event\",\"event\":", ",\"more\":{\"x\":{\"y\":1}},\"id\":4}" },
        { "{\"type\":\"event\",\"event\":", ",\"context\":{\"id\":\"1\",\"more\":{}},\"id\":4}" },
        { "[{\"type\":\"event\",\"event\":", ",\"id\":4}]" },
    };
    char event[600], frame[700];
    for (size_t i = 0; i < sizeof data / sizeof *data; i++)
        for (size_t j = 0; j < sizeof forms / sizeof *forms; j++) {
            snprintf(event, sizeof event, "%s%s%s", "{\"event_type\":\"x\",\"data\":", data[i], ",\"origin\":\"LOCAL\",\"context\":" CONTEXT "}");
            snprintf(frame, sizeof frame, "%s%s%s", forms[j].before, event, forms[j].after);
            is_one_event(frame, event);
        }
    is_one_event("{\"type\":\"event\",\"event\":" EVENT("{}", "{\"id\":\"a\",\"parent_id\":{\"x\":1}}") ",\"id\":2}",
        EVENT("{}", "{\"id\":\"a\",\"parent_id\":{\"x\":1}}"));
    is_one_event("{\"type\":\"event\",\"event\":{\"event_type\":\"x\",\"context\":" CONTEXT ",\"data\":{\"a\":{}}},\"id\":2}",
        "{\"event_type\":\"x\",\"context\":" CONTEXT ",\"data\":{\"a\":{}}}");
}

static void what_only_looks_like_an_event_is_none(void **state)
{
    (void)state;
    struct items items = cut("{\"type\":\"event\",\"event\":" EVENT("{}", CONTEXT) ",\"id\":6}"); /* another subscription's */
    assert_int_equal(items.count, 0);
    items_free(&items);
    static const char *const broken[] = { "{\"type\":\"event\",\"event\":", "{\"type\":\"event\",\"event\":{\"event_type\":\"",
        "{\"type\":\"event\",\"event\":{\"event_type\":\"x\"}},\"id\":4}", "{\"type\":\"event\",\"event\":{\"event_type\":\"x\"},\"id\":}" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        items = cut(broken[i]);
        assert_int_equal(items.count, 1);
        assert_non_null(items.list[0].why);
        items_free(&items);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_the_same_in_whatever_form_it_comes),
        cmocka_unit_test(what_only_looks_like_an_event_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
