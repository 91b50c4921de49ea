/* test_json.c - others' JSON is read strictly and handed on unchanged; ours is read by anyone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "schemas.h"
#include "strict_json.h"

static json_t *json;

static int set_up(void **state)
{
    (void)state;
    json = json_new();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_destroy(&json);
    json_destroy(&json); /* of nothing */
    return 0;
}

static struct json_value read_text(const char *text)
{
    struct json_value root;
    const char *why;
    if (json_read(json, slice_of(text), &root, &why))
        fail_msg("refused: %s (%s)", text, why);
    return root;
}

static void assert_slice(struct slice got, const char *expected)
{
    assert_int_equal(got.size, strlen(expected));
    assert_memory_equal(got.data, expected, got.size);
}

static struct json_value pick(struct json_value object, const char *key)
{
    struct json_value found;
    assert_int_equal(json_pick(json, object.raw, &key, 1, &found), 0);
    return found;
}

static const char *const good[] = {
    "0", "-0", "1.5", "1e-7", "-1E+400", "12345678901234567890123456789012", "true", "false", "null", "\"\"",
    " [ ] ", "{ }", "[1,2,[3,{\"a\":[]}]]", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "\"\\u0000\"", "\"a\\\\\"",
    "\"\\\"\"", "\t\r\n1\n", "[\"[\",\"{\",\",\",\":\"]", "{\"\":{\"\":\"\"}}", "\"\x7f\xc3\xa9\xf0\x9f\x98\x80\"",
    "[\"a\" , \"b\"\n]", "\"\\/\\b\\f\\n\\r\\t\\uABcd\"", "[-1,0.0,1E5,1e+5]",
};

static const char *const bad[] = {
    "", " ", "01", "01x", "-", "+1", "1.", ".5", "1e", "1e+", "0x10", "1_000", "--1", "1.2.3", "NaN", "Infinity",
    "-Infinity", "nan", "tru", "truee", "True", "nul", "nulll", "\"", "\"a", "\"a\\\"", "\"\\x\"", "\"\\u12\"",
    "\"\\u12g4\"", "\"\\\"", "\"\n\"", "\"\t\"", "\"\x01\"", "'a'", "a", "[", "]", "{", "}", "[1", "[1,", "[1,]",
    "[,1]", "[1 2]", "[1,,2]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{,}", "{\"a\" 1}", "{a:1}", "{1:1}",
    "{\"a\":1 \"b\":2}", "[}", "{]", "[1}", "{\"a\":1]", "1 2", "{} {}", "[]]", "\"a\"b", "\"a\"\"b\"", "1\"a\"",
    "[1\"a\"]", "[\"a\"1]", "\xef\xbb\xbf{}", "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"",
    "\"\xc3\"", "\"\xe2\x82\"", "\x0c""1", "1\x0c", "[1\x1a""2]", "{\"a\"\x1a""1}", "/**/1", "1//", "[1]\x01", "\\", "\"a\":1",
    ":", ",", "{\"a\"::1}", "{\"a\":\"b\":1}", "[\"a\":1]", "tr\"ue", "{\"a\":1,\"b\"}", "nulltrue", "[true false]",
};

static void what_is_json_is_read_and_what_is_not_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(is_strict_json(good[i], strlen(good[i]), 256));
        read_text(good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct json_value root;
        const char *why = NULL;
        assert_false(is_strict_json(bad[i], strlen(bad[i]), 256));
        if (json_read(json, slice_of(bad[i]), &root, &why) == 0)
            fail_msg("taken: %s", bad[i]);
        assert_non_null(why);
        assert_int_equal(root.kind, JSON_NOTHING);
    }
}

/* Blocks of 64 bytes are what simdjson reads by: a fault is seen wherever it lies in one. */
static void a_fault_is_found_at_any_place(void **state)
{
    (void)state;
    char text[400];
    for (size_t lead = 0; lead < 140; lead++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            struct json_value root;
            const char *why;
            size_t size = strlen(bad[i]);
            memset(text, ' ', sizeof text);
            text[0] = '[';
            memcpy(text + 1 + lead, bad[i], size);
            text[1 + lead + size] = ']';
            char *exact = malloc(size + lead + 2);
            memcpy(exact, text, size + lead + 2);
            bool strict = is_strict_json(exact, size + lead + 2, 256);
            assert_int_equal(json_read(json, (struct slice){ exact, size + lead + 2 }, &root, &why) == 0, strict);
            free(exact);
        }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    static const char text[] = "{\"id\":7,\"type\":\"event\",\"event\":{\"a\":[true,null,-1.5e3,\"\\u00e9\"],\"b\":{}}}";
    for (size_t size = 0; size + 1 < sizeof text; size++) {
        struct json_value root;
        const char *why;
        char *exact = malloc(size + 1);
        memcpy(exact, text, size);
        assert_int_equal(json_read(json, (struct slice){ exact, size }, &root, &why), -1);
        free(exact);
    }
    read_text(text);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    static char text[1000000];
    struct json_value root;
    const char *why;
    for (size_t depth = 255; depth <= 258; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_read(json, (struct slice){ text, 2 * depth }, &root, &why), depth <= 256 ? 0 : -1);
        assert_int_equal(is_strict_json(text, 2 * depth, 256), depth <= 256);
    }
    memset(text, '[', sizeof text);
    assert_int_equal(json_read(json, (struct slice){ text, sizeof text }, &root, &why), -1);
}

static int read_levels(const char *text, size_t levels, struct json_value *root)
{
    const char *why = NULL;
    int rc = json_read_levels(json, slice_of(text), levels, root, &why);
    assert_true(rc == 0 || why);
    return rc;
}

/* What is passed on unread must still end where it ends. */
static void of_deeper_levels_only_the_brackets_are_checked(void **state)
{
    (void)state;
    struct json_value root, part, none;
    const char *event = "event", *a = "a";
    assert_int_equal(read_levels("{\"id\":7,\"event\":{\"a\":[1,{\"b\":\"]}\"}]} ,\"type\":\"event\"}", 1, &root), 0);
    part = pick(root, "event");
    assert_slice(part.raw, "{\"a\":[1,{\"b\":\"]}\"}]}");
    assert_slice(pick(root, "type").raw, "\"event\"");
    assert_int_equal(json_pick(json, part.raw, &a, 1, &none), -1);
    assert_int_equal(read_levels("{\"event\":{\"a\" 01 nonsense,,[}]}", 1, &root), -1);
    assert_int_equal(read_levels("{\"event\":{\"a\" 01 nonsense,,[]}}", 1, &root), 0);
    assert_int_equal(json_pick(json, root.raw, &event, 1, &part), 0);
    assert_slice(part.raw, "{\"a\" 01 nonsense,,[]}");
    static const char *const broken[] = { "{\"e\":{", "{\"e\":{]", "{\"e\":{}", "{\"e\":[[]}", "{\"e\":[}]}", "[{]}", "{\"e\":{}}}", "{\"e\" {}}" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_int_equal(read_levels(broken[i], 1, &root), -1);
    char deep[2 * 256 + 1] = "";
    memset(deep, '[', 256);
    memset(deep + 256, ']', 256);
    assert_int_equal(read_levels(deep, 1, &root), 0);
    char deeper[2 * 257 + 1] = "";
    memset(deeper, '[', 257);
    memset(deeper + 257, ']', 257);
    assert_int_equal(read_levels(deeper, 1, &root), -1);
}

static void members_are_picked_in_any_order(void **state)
{
    (void)state;
    static const char *const keys[] = { "event", "id", "type", "none", "result" };
    struct json_value values[5];
    struct json_value root = read_text("{ \"type\" : \"event\" ,\"x\":[{\"id\":1}], \"event\":{\"id\":[1,{}]}, \"id\":2 , \"id\": 3}");
    assert_int_equal(json_pick(json, root.raw, keys, 5, values), 0);
    assert_int_equal(values[0].kind, JSON_OBJECT);
    assert_slice(values[0].raw, "{\"id\":[1,{}]}");
    assert_int_equal(values[1].kind, JSON_NUMBER);
    assert_slice(values[1].raw, "3"); /* the last of a repeated key */
    assert_slice(values[2].raw, "\"event\"");
    assert_int_equal(values[3].kind, JSON_NOTHING);
    assert_int_equal(values[4].kind, JSON_NOTHING);
    assert_slice(pick(values[0], "id").raw, "[1,{}]"); /* of a slice of the text */
}

static void a_key_is_compared_unescaped(void **state)
{
    (void)state;
    struct json_value root = read_text("{\"\\u0069d\":1,\"a\\u0000b\":2,\"a\":3,\"\\\"\":4}");
    assert_slice(pick(root, "id").raw, "1");
    assert_slice(pick(root, "a").raw, "3"); /* not the one with the NUL */
    assert_slice(pick(root, "\"").raw, "4");
    assert_int_equal(pick(root, "\\u0069d").kind, JSON_NOTHING);
}

static void picking_from_what_is_no_object_is_refused(void **state)
{
    (void)state;
    static const char *const keys[] = { "a" };
    struct json_value value, root = read_text("[1,{\"a\":2}]");
    assert_int_equal(json_pick(json, root.raw, keys, 1, &value), -1);
    assert_int_equal(value.kind, JSON_NOTHING);
    assert_int_equal(json_pick(json, slice_of("{\"a\":1}"), keys, 1, &value), -1); /* another text */
    const char *inside = root.raw.data; /* in the text, but where no object begins: at the comma, in a key */
    assert_int_equal(json_pick(json, (struct slice){ inside + 2, 3 }, keys, 1, &value), -1);
    assert_int_equal(json_pick(json, (struct slice){ inside + 5, 3 }, keys, 1, &value), -1);
    root = read_text("[ {\"a\":2}]");
    assert_int_equal(json_pick(json, (struct slice){ (const char *)root.raw.data + 1, 3 }, keys, 1, &value), -1);
    root = read_text("[1,{\"a\":2}]");
    assert_int_equal(json_pick(json, (struct slice){ NULL, 0 }, keys, 1, &value), -1);
    assert_slice(json_at(json, root.raw, "1.a").raw, "2");
    const char *why;
    assert_int_equal(json_read(json, slice_of("{"), &value, &why), -1);
    assert_int_equal(json_pick(json, root.raw, keys, 1, &value), -1); /* nothing is read */
}

static int collect(void *owner, struct json_value item)
{
    msgpack_sbuffer *all = owner;
    msgpack_sbuffer_write(all, item.raw.data, item.raw.size);
    msgpack_sbuffer_write(all, ";", 1);
    return item.kind == JSON_NULL ? 42 : 0;
}

static int collect_member(void *owner, struct slice key, struct json_value value)
{
    msgpack_sbuffer *all = owner;
    msgpack_sbuffer_write(all, key.data, key.size);
    msgpack_sbuffer_write(all, "=", 1);
    return collect(owner, value);
}

static void items_and_members_are_walked_in_order(void **state)
{
    (void)state;
    msgpack_sbuffer all;
    msgpack_sbuffer_init(&all);
    assert_int_equal(json_each_item(json, read_text("[1 , \"a\",[2,[3]],{\"b\":[]},true]").raw, collect, &all), 0);
    assert_slice((struct slice){ all.data, all.size }, "1;\"a\";[2,[3]];{\"b\":[]};true;");
    msgpack_sbuffer_clear(&all);
    assert_int_equal(json_each_item(json, read_text("[1,null,2]").raw, collect, &all), 42);
    assert_slice((struct slice){ all.data, all.size }, "1;null;");
    msgpack_sbuffer_clear(&all);
    assert_int_equal(json_each_member(json, read_text("{\"a\": 1,\"\\u0062\":{\"c\":2}}").raw, collect_member, &all), 0);
    assert_slice((struct slice){ all.data, all.size }, "a=1;b={\"c\":2};");
    msgpack_sbuffer_clear(&all);
    assert_int_equal(json_each_item(json, read_text("[]").raw, collect, &all), 0);
    assert_int_equal(json_each_member(json, read_text("{}").raw, collect_member, &all), 0);
    assert_int_equal(json_each_item(json, read_text("{}").raw, collect, &all), -1);
    assert_int_equal(json_each_member(json, read_text("[]").raw, collect_member, &all), -1);
    assert_int_equal(all.size, 0);
    msgpack_sbuffer_destroy(&all);
}

static void numbers_are_taken_when_they_fit(void **state)
{
    (void)state;
    static const struct { const char *text; bool is_int; int64_t whole; bool is_real; double real; } cases[] = {
        { "0", true, 0, true, 0 }, { "-0", true, 0, true, 0 }, { "9223372036854775807", true, INT64_MAX, true, 9223372036854775807.0 },
        { "-9223372036854775808", true, INT64_MIN, true, -9223372036854775808.0 },
        { "9223372036854775808", false, 0, true, 9223372036854775808.0 }, { "-9223372036854775809", false, 0, true, -9223372036854775808.0 },
        { "1e-7", false, 0, true, 1e-7 }, { "1.0", false, 0, true, 1 }, { "1e999", false, 0, false, 0 }, { "-1e999", false, 0, false, 0 },
        { "1e-999", false, 0, true, 0 }, { "12345678901234567890123456789012", false, 0, true, 12345678901234567890123456789012.0 },
        { "\"1\"", false, 0, false, 0 }, { "null", false, 0, false, 0 }, { "true", false, 0, false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json_value value = read_text(cases[i].text);
        int64_t whole;
        double real;
        assert_int_equal(json_int(value, &whole), cases[i].is_int);
        assert_int_equal(json_real(value, &real), cases[i].is_real);
        assert_true(!cases[i].is_int || whole == cases[i].whole);
        assert_true(!cases[i].is_real || real == cases[i].real);
    }
}

static void assert_unescaped(const char *text, const char *expected, size_t size)
{
    struct slice got;
    assert_true(json_text(json, read_text(text), &got));
    assert_int_equal(got.size, size);
    assert_memory_equal(got.data, expected, size);
}

static void text_is_unescaped(void **state)
{
    (void)state;
    assert_unescaped("\"\"", "", 0);
    assert_unescaped("\"plain\"", "plain", 5);
    assert_unescaped("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8);
    assert_unescaped("\"\\u0000\"", "\0", 1);
    assert_unescaped("\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac", 5);
    assert_unescaped("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4);
    assert_unescaped("\"\\ud800\"", "\xed\xa0\x80", 3);
    assert_unescaped("\"\\udfff!\"", "\xed\xbf\xbf!", 4);
    assert_unescaped("\"\\ud83dx\\ude00\"", "\xed\xa0\xbdx\xed\xb8\x80", 7);
    assert_unescaped("\"\\ud800\\ud83d\\ude00\"", "\xed\xa0\x80\xf0\x9f\x98\x80", 7);
    assert_unescaped("\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf", 4);
    assert_unescaped("\"\\ud83d\\u0041\"", "\xed\xa0\xbd""A", 4);
    struct slice got;
    assert_false(json_text(json, read_text("1"), &got));
    struct json_value root = read_text("\"plain\"");
    assert_true(json_text(json, root, &got));
    assert_ptr_equal(got.data, (const char *)root.raw.data + 1); /* a slice of the original */
}

static void unescaped_texts_stay_where_they_are(void **state)
{
    (void)state;
    struct json_value root = read_text("[\"\\u0041\",\"\\u0042\"]");
    struct slice first, other;
    assert_true(json_text(json, json_at(json, root.raw, "0"), &first));
    for (int i = 0; i < 1000; i++)
        assert_true(json_text(json, json_at(json, root.raw, "1"), &other));
    assert_slice(first, "A");
    assert_slice(other, "B");
}

static void a_path_leads_to_a_value(void **state)
{
    (void)state;
    struct json_value root = read_text("{\"weather\":[{\"main\":\"Rain\"},[7]],\"a\":{\"0\":1}}");
    assert_slice(json_at(json, root.raw, "weather.0.main").raw, "\"Rain\"");
    assert_slice(json_at(json, root.raw, "weather.1.0").raw, "7");
    assert_slice(json_at(json, root.raw, "a.0").raw, "1");
    static const char *const nowhere[] = { "weather.2", "weather.main", "weather.0.main.x", "b", "weather.-1",
        "weather.99999999999999999999", "weather..main" };
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        assert_int_equal(json_at(json, root.raw, nowhere[i]).kind, JSON_NOTHING);
}

static void large_and_small_texts_take_turns(void **state)
{
    (void)state;
    size_t size = 6 * 1024 * 1024;
    char *text = malloc(size);
    memset(text, '1', size);
    for (size_t i = 0; i < size; i += 2)
        text[i] = ',';
    text[0] = '[';
    text[size - 1] = ']';
    text[size - 2] = '1';
    text[size - 3] = '1'; /* an even size: the last item has more digits */
    for (int i = 0; i < 3; i++) {
        struct json_value root;
        const char *why;
        assert_int_equal(json_read(json, (struct slice){ text, size }, &root, &why), 0);
        assert_int_equal(root.raw.size, size);
        assert_slice(pick(read_text("{\"a\":[1]}"), "a").raw, "[1]");
    }
    free(text);
}

/* --- ours ------------------------------------------------------------------------------- */

static void assert_written(struct slice text, const char *expected)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    json_write_text(text, &out);
    assert_slice((struct slice){ out.data, out.size }, expected);
    assert_true(is_strict_json(out.data, out.size, 1));
    msgpack_sbuffer_destroy(&out);
}

static void text_is_written_so_that_anyone_can_read_it(void **state)
{
    (void)state;
    assert_written((struct slice){ NULL, 0 }, "\"\"");
    assert_written(slice_of("caf\xc3\xa9 \xf0\x9f\x98\x80"), "\"caf\xc3\xa9 \xf0\x9f\x98\x80\"");
    assert_written(slice_of("\"\\/\b\f\n\r\t\x01\x1f\x7f"), "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    assert_written((struct slice){ "a\0b", 3 }, "\"a\\u0000b\"");
    assert_written(slice_of("\xed\xa0\x80"), "\"\\ud800\"");
    assert_written(slice_of("\xed\xbf\xbfx"), "\"\\udfffx\"");
    assert_written(slice_of("\xff""a\xc3"), "\"\xef\xbf\xbd""a\xef\xbf\xbd\"");
    assert_written(slice_of("\xc0\x80\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void lone_surrogates_go_round(void **state)
{
    (void)state;
    static const char *const texts[] = { "\"\\ud800\"", "\"\\udfff\\ud800 x\"", "\"\xf0\x9f\x98\x80\\udc00\"", "\"\\u0000\"" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct slice text;
        assert_true(json_text(json, read_text(texts[i]), &text));
        assert_written(text, texts[i]);
    }
}

static struct event_full an_event(bool is_state)
{
    struct event_full m = { 0 };
    SET_TEXT(&m, id, "abc", 3);
    SET(&m, event_type, slice_of("state_changed"));
    SET(&m, timestamp, 1795485404524490);
    SET_TEXT(&m, provenance, "live", 4);
    SET(&m, received_at, 0);
    SET(&m, is_state, is_state);
    SET(&m, place, 17);
    SET(&m, state, slice_of(""));
    SET(&m, attributes, slice_of("{\"n\":12345678901234567890123,\"e\":1e-7}"));
    SET(&m, value, slice_of("12.50"));
    SET(&m, canonical_value, 12.5);
    SET(&m, data, slice_of("{\"x\":null}"));
    return m;
}

static void written_event(bool is_state, msgpack_sbuffer *out, struct json_value *root)
{
    struct event_full m = an_event(is_state);
    const char *why;
    msgpack_sbuffer_init(out);
    schema_json(event_full_schema(), &m, out);
    assert_true(is_strict_json(out->data, out->size, 256));
    assert_int_equal(json_read(json, (struct slice){ out->data, out->size }, root, &why), 0);
}

static void the_selector_chooses_what_is_written(void **state)
{
    (void)state;
    msgpack_sbuffer out;
    struct json_value root;
    written_event(true, &out, &root);
    assert_slice(pick(root, "state").raw, "\"\"");
    assert_slice(pick(root, "old_state").raw, "null"); /* absent is null */
    assert_slice(pick(root, "timestamp").raw, "\"2026-11-24T01:56:44.524490Z\"");
    assert_slice(pick(root, "attributes").raw, "{\"n\":12345678901234567890123,\"e\":1e-7}");
    assert_slice(pick(root, "value").raw, "12.50");
    assert_slice(pick(root, "canonical_value").raw, "12.5");
    assert_int_equal(pick(root, "data").kind, JSON_NOTHING);
    assert_int_equal(pick(root, "is_state").kind, JSON_NOTHING);
    assert_int_equal(pick(root, "place").kind, JSON_NOTHING); /* INTERNAL */
    msgpack_sbuffer_destroy(&out);
    written_event(false, &out, &root);
    assert_slice(pick(root, "data").raw, "{\"x\":null}");
    assert_int_equal(pick(root, "state").kind, JSON_NOTHING);
    assert_int_equal(pick(root, "meter").kind, JSON_NOTHING);
    assert_slice(pick(root, "entity_id").raw, "null");
    msgpack_sbuffer_destroy(&out);
}

static void assert_json(const struct schema *schema, const void *msg, const char *expected)
{
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    schema_json(schema, msg, &out);
    assert_slice((struct slice){ out.data, out.size }, expected);
    msgpack_sbuffer_destroy(&out);
}

static void sparse_and_secret_rows_keep_quiet(void **state)
{
    (void)state;
    struct page page = { 0 };
    SET(&page, count, 2);
    SET(&page, total, 9);
    assert_json(page_schema(), &page, "{\"count\":2}");
    SET(&page, limit, 100);
    assert_json(page_schema(), &page, "{\"count\":2,\"limit\":100}");
    struct nothing nothing = { 0 };
    assert_json(nothing_schema(), &nothing, "{}");
    struct broker_config config = { 0 };
    SET_TEXT(&config, secret_key, "hunter2", 7);
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    schema_json(broker_config_schema(), &config, &out);
    assert_null(memmem(out.data, out.size, "hunter2", 7));
    assert_non_null(memmem(out.data, out.size, "\"secret_key\":\"***\"", 18));
    msgpack_sbuffer_destroy(&out);
}

static void bytes_are_base64_and_come_back(void **state)
{
    (void)state;
    static const char *const texts[] = { "", "AA==", "AP8=", "AP8B", "AP8BAg==" };
    for (size_t size = 0; size < 5; size++) {
        struct event_bad in = { 0 }, back;
        struct fault fault;
        msgpack_sbuffer out, pool;
        msgpack_sbuffer_init(&out);
        msgpack_sbuffer_init(&pool);
        SET(&in, bytes, ((struct slice){ "\x00\xff\x01\x02", size }));
        SET_TEXT(&in, stage, "enrich", 6);
        SET_TEXT(&in, why, "x", 1);
        SET(&in, received_at, 5);
        schema_json(event_bad_schema(), &in, &out);
        assert_int_equal(schema_from_json(event_bad_schema(), (struct slice){ out.data, out.size }, &back, &pool, &fault), 0);
        assert_int_equal(back.bytes.size, size);
        assert_memory_equal(back.bytes.data, in.bytes.data, size);
        struct json_value root;
        const char *why;
        struct slice text;
        assert_int_equal(json_read(json, (struct slice){ out.data, out.size }, &root, &why), 0);
        assert_true(json_text(json, pick(root, "bytes"), &text));
        assert_slice(text, texts[size]);
        msgpack_sbuffer_destroy(&out);
        msgpack_sbuffer_destroy(&pool);
    }
}

static int from_json(const struct schema *schema, const char *text, void *msg, const char *field)
{
    static msgpack_sbuffer pool; /* reused: what it held is lost */
    struct fault fault = { "", "" };
    int rc = schema_from_json(schema, slice_of(text), msg, &pool, &fault);
    if (rc)
        assert_string_equal(fault.field, field);
    if (!text[0])
        msgpack_sbuffer_destroy(&pool);
    return rc;
}

static void a_message_is_read_from_json(void **state)
{
    (void)state;
    struct devices_query q;
    const struct schema *schema = devices_query_schema();
    assert_int_equal(from_json(schema, "{\"limit\":5000,\"unknown\":[1],\"model\":\"a\\u0000b\",\"area_id\":null}", &q, ""), 0);
    assert_int_equal(q.limit, 1000); /* CLAMP */
    assert_int_equal(q.offset, 0);   /* its fallback */
    assert_true(q.has_model && q.model_size == 3 && !q.has_area_id);
    assert_int_equal(from_json(schema, "{\"offset\":1.5}", &q, "offset"), -1);
    assert_int_equal(from_json(schema, "{\"offset\":\"1\"}", &q, "offset"), -1);
    assert_int_equal(from_json(schema, "{\"offset\":100001}", &q, "offset"), -1);
    assert_int_equal(from_json(schema, "{\"model\":1}", &q, "model"), -1);
    assert_int_equal(from_json(schema, "{\"model\":\"a\",\"model\":\"b\"}", &q, "model"), -1);
    assert_int_equal(from_json(schema, "[]", &q, ""), -1);
    assert_int_equal(from_json(schema, "{", &q, ""), -1);
    struct store_synced synced;
    assert_int_equal(from_json(store_synced_schema(), "{\"at\":\"2026-11-24T02:56:44.52449+01:00\"}", &synced, ""), 0);
    assert_true(synced.at == 1795485404524490);
    assert_int_equal(from_json(store_synced_schema(), "{\"at\":\"2026-11-24\"}", &synced, "at"), -1);
    assert_int_equal(from_json(store_synced_schema(), "{}", &synced, "at"), -1);
    struct page page;
    assert_int_equal(from_json(page_schema(), "{\"count\":1,\"total\":3}", &page, ""), 0);
    assert_false(page.has_total); /* INTERNAL is not for outsiders */
    struct counters counters;
    assert_int_equal(from_json(counters_schema(), "{\"counters\": {\"a\":1e-7} }", &counters, ""), 0);
    assert_slice(counters.counters, "{\"a\":1e-7}");
    assert_int_equal(from_json(page_schema(), "", &page, ""), -1); /* and gives the pool back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_is_read_and_what_is_not_is_refused),
        cmocka_unit_test(a_fault_is_found_at_any_place),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(of_deeper_levels_only_the_brackets_are_checked),
        cmocka_unit_test(members_are_picked_in_any_order),
        cmocka_unit_test(a_key_is_compared_unescaped),
        cmocka_unit_test(picking_from_what_is_no_object_is_refused),
        cmocka_unit_test(items_and_members_are_walked_in_order),
        cmocka_unit_test(numbers_are_taken_when_they_fit),
        cmocka_unit_test(text_is_unescaped),
        cmocka_unit_test(unescaped_texts_stay_where_they_are),
        cmocka_unit_test(a_path_leads_to_a_value),
        cmocka_unit_test(large_and_small_texts_take_turns),
        cmocka_unit_test(text_is_written_so_that_anyone_can_read_it),
        cmocka_unit_test(lone_surrogates_go_round),
        cmocka_unit_test(the_selector_chooses_what_is_written),
        cmocka_unit_test(sparse_and_secret_rows_keep_quiet),
        cmocka_unit_test(bytes_are_base64_and_come_back),
        cmocka_unit_test(a_message_is_read_from_json),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
