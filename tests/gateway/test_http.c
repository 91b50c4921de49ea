/* test_http.c - the syntax of requests: what is read, what is refused. */
#include "client.h"

static int read_text(const char *text, struct head *h, size_t *size)
{
    size_t scanned = 0;
    const char *why = NULL;
    return head_read(slice_of(text), &scanned, h, size, &why);
}

static int status_of(const char *text)
{
    struct head h;
    size_t size;
    return read_text(text, &h, &size);
}

static void reads_a_head(void **state)
{
    (void)state;
    struct head h;
    size_t size;
    const char *text = "GET /a?b=c HTTP/1.1\r\nhOST: localhost:8006\r\nX-Request-Id: \t one \r\nContent-Length: 3\r\n\r\nabc";
    assert_int_equal(read_text(text, &h, &size), READ_WHOLE);
    assert_int_equal(size, strlen(text) - 3);
    assert_int_equal(h.method, GET);
    assert_true(slice_is(h.target, "/a?b=c"));
    assert_true(slice_is(h.host, "localhost:8006"));
    assert_true(slice_is(h.request_id, "one"));
    assert_true(h.keep_alive && h.has_length && h.length == 3);
}

static void waits_for_the_end_of_a_head_however_it_is_split(void **state)
{
    (void)state;
    const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct head h;
    size_t scanned = 0, size;
    const char *why;
    for (size_t i = 0; i < strlen(text); i++)
        assert_int_equal(head_read((struct slice){ text, i }, &scanned, &h, &size, &why), READ_MORE);
    assert_int_equal(head_read(slice_of(text), &scanned, &h, &size, &why), READ_WHOLE);
}

static void forgives_empty_lines_before_a_request(void **state)
{
    (void)state;
    assert_int_equal(status_of("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), READ_WHOLE);
}

static void refuses_what_could_be_read_in_two_ways(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (status_of(bad[i]) != 400)
            fail_msg("not refused: %s", bad[i]);
}

static void says_which_version_coding_and_size_it_does_not_take(void **state)
{
    (void)state;
    static char text[40000];
    assert_int_equal(status_of("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_int_equal(status_of("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"), 501);
    snprintf(text, sizeof text, "GET /%09000d HTTP/1.1\r\nHost: a\r\n\r\n", 0);
    assert_int_equal(status_of(text), 414);
    snprintf(text, sizeof text, "GET /%020000d", 0);
    assert_int_equal(status_of(text), 414);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nCookie: %017000d\r\n\r\n", 0);
    assert_int_equal(status_of(text), 431);
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nCookie: %015000d\r\n\r\n", 0);
    assert_int_equal(status_of(text), READ_WHOLE);
    size_t at = (size_t)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < HEADERS_MAX; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "X-%d: y\r\n", i);
    snprintf(text + at, sizeof text - at, "\r\n");
    assert_int_equal(status_of(text), 431);
}

static void takes_header_names_that_libwebsockets_resets_on(void **state)
{
    (void)state;
    assert_int_equal(status_of("GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-Auth: 1\r\nX: 1\r\nA: 1\r\nAcc: 1\r\n\r\n"), READ_WHOLE);
}

static void knows_when_a_connection_stays(void **state)
{
    (void)state;
    struct head h;
    size_t size;
    read_text("GET / HTTP/1.0\r\n\r\n", &h, &size);
    assert_false(h.keep_alive);
    read_text("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &h, &size);
    assert_true(h.keep_alive);
    read_text("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, close\r\n\r\n", &h, &size);
    assert_false(h.keep_alive);
}

static void takes_an_absolute_target(void **state)
{
    (void)state;
    struct head h;
    size_t size;
    assert_int_equal(read_text("GET http://localhost:8006/health?x HTTP/1.1\r\nHost: evil\r\n\r\n", &h, &size), READ_WHOLE);
    assert_true(slice_is(h.host, "localhost:8006"));
    assert_true(slice_is(h.target, "/health?x"));
    assert_int_equal(status_of("GET http://localhost HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

/* --- chunks --- */

static int chunks(const char *text, size_t most, size_t step, msgpack_sbuffer *body, size_t *consumed)
{
    struct chunked c = { 0 };
    const char *why;
    size_t from = 0, size = strlen(text);
    int status = READ_MORE;
    for (size_t end = step; status == READ_MORE; end += step) {
        size_t used = 0, there = end < size ? end : size;
        status = chunked_read(&c, (struct slice){ text + from, there - from }, &used, most, body, &why);
        from += used;
        if (end >= size)
            break;
    }
    *consumed = from;
    return status;
}

static void reads_chunks_however_they_are_split(void **state)
{
    (void)state;
    const char *text = "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\nnext";
    for (size_t step = 1; step < strlen(text) + 1; step++) {
        msgpack_sbuffer body = { 0 };
        size_t consumed;
        assert_int_equal(chunks(text, 100, step, &body, &consumed), READ_WHOLE);
        assert_int_equal(body.size, 13);
        assert_memory_equal(body.data, "abc0123456789", 13);
        assert_string_equal(text + consumed, "next");
        msgpack_sbuffer_destroy(&body);
    }
}

static void refuses_chunks_that_are_broken_or_too_large(void **state)
{
    (void)state;
    static const struct { const char *text; int status; } cases[] = {
        { "x\r\n", 400 }, { "\r\n", 400 }, { "3\nabc", 400 }, { "3\r\nabcd\r\n", 400 }, { "-1\r\n", 400 },
        { "65\r\n", 413 }, { "fffffffffffffff\r\n", 413 }, { "ffffffffffffffffff\r\n", 400 },
        { "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n40\r\n", 413 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        msgpack_sbuffer body = { 0 };
        size_t consumed;
        if (chunks(cases[i].text, 100, 1000, &body, &consumed) != cases[i].status)
            fail_msg("not %d: %s", cases[i].status, cases[i].text);
        msgpack_sbuffer_destroy(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_head),
        cmocka_unit_test(waits_for_the_end_of_a_head_however_it_is_split),
        cmocka_unit_test(forgives_empty_lines_before_a_request),
        cmocka_unit_test(refuses_what_could_be_read_in_two_ways),
        cmocka_unit_test(says_which_version_coding_and_size_it_does_not_take),
        cmocka_unit_test(takes_header_names_that_libwebsockets_resets_on),
        cmocka_unit_test(knows_when_a_connection_stays),
        cmocka_unit_test(takes_an_absolute_target),
        cmocka_unit_test(reads_chunks_however_they_are_split),
        cmocka_unit_test(refuses_chunks_that_are_broken_or_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
