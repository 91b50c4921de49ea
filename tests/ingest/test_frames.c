/* test_frames.c - WebSocket frames cut anywhere, control frames in between, and what must be refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "frames.h"
#include "upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 100000 };

/* What came out, one line each. */
struct heard {
    char text[400000];
    size_t size;
    frames_t *frames;
    bool stop_at_first;
    const char *lowest, *highest;   /* of the bytes given: a slice of them was not copied */
    int in_place;
    struct { const char *at; size_t size; char first; } given[64]; /* in this call: they must still live at its end */
    size_t given_count;
};

static void note(struct heard *heard, const char *what, struct slice bytes)
{
    assert_true(heard->size + bytes.size + 20 < sizeof heard->text);
    heard->size += (size_t)sprintf(heard->text + heard->size, "%s ", what);
    if (bytes.size > 0)
        memcpy(heard->text + heard->size, bytes.data, bytes.size);
    heard->size += bytes.size;
    heard->text[heard->size++] = '\n';
    heard->text[heard->size] = '\0';
}

static void on_message(void *owner, struct slice message)
{
    struct heard *heard = owner;
    const char *at = message.data;
    heard->in_place += at >= heard->lowest && at < heard->highest;
    note(heard, "message", message);
    assert_true(heard->given_count < 64);
    heard->given[heard->given_count].at = at;
    heard->given[heard->given_count].size = message.size;
    heard->given[heard->given_count++].first = *at;
    if (heard->stop_at_first)
        frames_stop(heard->frames);
}

static void on_done(void *owner)
{
    struct heard *heard = owner;
    assert_true(heard->given_count > 0);
    for (size_t i = 0; i < heard->given_count; i++) {
        assert_int_equal(heard->given[i].at[0], heard->given[i].first);
        (void)memchr(heard->given[i].at, '\0', heard->given[i].size); /* ASan looks */
    }
    heard->given_count = 0;
}

static void on_ping(void *owner, struct slice payload)
{
    note(owner, "ping", payload);
}

static void on_closed(void *owner, int code)
{
    char text[12];
    int size = snprintf(text, sizeof text, "%d", code);
    note(owner, "close", (struct slice){ text, (size_t)size });
}

static void on_skipped(void *owner, uint64_t skipped)
{
    char text[24];
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)skipped);
    note(owner, "skipped", (struct slice){ text, (size_t)size });
}

static const struct frames_hooks hooks = { .message = on_message, .done = on_done, .skipped = on_skipped, .ping = on_ping,
    .closed = on_closed };

/* A stream as a server writes it. */
struct stream { unsigned char bytes[400000]; size_t size; };

static void put(struct stream *stream, int first, const void *payload, size_t size)
{
    unsigned char *at = stream->bytes + stream->size;
    size_t head = 2;
    at[0] = (unsigned char)first;
    at[1] = (unsigned char)(size < 126 ? size : size < 65536 ? 126 : 127);
    for (int i = size < 126 ? 0 : size < 65536 ? 2 : 8; i-- > 0;)
        at[head++] = (unsigned char)((uint64_t)size >> 8 * i);
    if (size > 0)
        memcpy(at + head, payload, size);
    stream->size += head + size;
}

static void put_text(struct stream *stream, int first, const char *text)
{
    put(stream, first, text, strlen(text));
}

/* Give the stream in pieces, each an allocation of its own so that ASan sees its ends. */
static const char *give(struct heard *heard, const struct stream *stream, size_t piece)
{
    const char *why = NULL;
    heard->frames = frames_new(MESSAGE_MAX, &hooks, heard);
    for (size_t at = 0; at < stream->size && !why;) {
        size_t size = piece < stream->size - at ? piece : stream->size - at;
        char *copy = malloc(size);
        assert_non_null(copy);
        memcpy(copy, stream->bytes + at, size);
        heard->lowest = copy, heard->highest = copy + size;
        int bad = frames_take(heard->frames, (struct slice){ copy, size }, &why);
        assert_int_equal(bad, why ? -1 : 0);
        assert_int_equal(heard->given_count, 0);
        free(copy);
        at += size;
    }
    frames_destroy(&heard->frames);
    return why;
}

static struct heard *new_heard(void)
{
    struct heard *heard = calloc(1, sizeof *heard);
    assert_non_null(heard);
    return heard;
}

static struct stream *new_stream(void)
{
    struct stream *stream = calloc(1, sizeof *stream);
    assert_non_null(stream);
    return stream;
}

static struct stream *long_stream(void)
{
    struct stream *stream = new_stream();
    char *big = malloc(70000);
    assert_non_null(big);
    memset(big, 'b', 70000);
    put_text(stream, 0x81, "one");
    put_text(stream, 0x81, "");
    put_text(stream, 0x89, "");
    put_text(stream, 0x01, "in ");
    put_text(stream, 0x89, "between");
    put_text(stream, 0x00, "three ");
    put_text(stream, 0x8a, "a pong");
    put_text(stream, 0x00, "");
    put_text(stream, 0x80, "parts");
    put(stream, 0x81, big, 125);
    put(stream, 0x81, big, 126);
    put(stream, 0x82, big, 65535);
    put(stream, 0x81, big, 70000);
    put_text(stream, 0x01, "");
    put_text(stream, 0x80, "empty first");
    put_text(stream, 0x01, "empty last");
    put_text(stream, 0x80, "");
    put(stream, 0x88, "\x03\xe9 going", 8);
    put_text(stream, 0x81, "nobody reads this");
    free(big);
    return stream;
}

static void however_a_stream_is_cut_the_same_comes_out(void **state)
{
    (void)state;
    struct stream *stream = long_stream();
    struct heard *whole = new_heard();
    assert_null(give(whole, stream, stream->size));
    static const char begins[] = "message one\nping \nping between\nmessage in three parts\nmessage bbb";
    assert_memory_equal(whole->text, begins, sizeof begins - 1);
    static const char ends[] = "\nmessage empty first\nmessage empty last\nclose 1001\n";
    assert_string_equal(whole->text + whole->size - (sizeof ends - 1), ends);
    static const size_t pieces[] = { 1, 2, 3, 4, 5, 7, 10, 11, 64, 127, 1000, 65536, 70001 };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct heard *cut = new_heard();
        assert_null(give(cut, stream, pieces[i]));
        assert_int_equal(cut->size, whole->size);
        assert_memory_equal(cut->text, whole->text, whole->size);
        free(cut);
    }
    free(whole);
    free(stream);
}

static void each_single_cut_changes_nothing(void **state)
{
    (void)state;
    struct stream *stream = new_stream();
    char text[300];
    memset(text, 't', sizeof text);
    put_text(stream, 0x01, "a");
    put_text(stream, 0x89, "p");
    put(stream, 0x80, text, sizeof text);
    put_text(stream, 0x81, "c");
    struct heard *whole = new_heard();
    assert_null(give(whole, stream, stream->size));
    for (size_t cut = 1; cut < stream->size; cut++) {
        struct heard *heard = new_heard();
        const char *why;
        heard->frames = frames_new(MESSAGE_MAX, &hooks, heard);
        assert_int_equal(frames_take(heard->frames, (struct slice){ stream->bytes, cut }, &why), 0);
        assert_int_equal(frames_take(heard->frames, (struct slice){ stream->bytes + cut, stream->size - cut }, &why), 0);
        assert_string_equal(heard->text, whole->text);
        frames_destroy(&heard->frames);
        free(heard);
    }
    free(whole);
    free(stream);
}

static void whole_frames_are_not_copied(void **state)
{
    (void)state;
    struct stream *stream = new_stream();
    struct heard *heard = new_heard();
    for (int i = 0; i < 10; i++)
        put_text(stream, 0x81, "a message of its own");
    assert_null(give(heard, stream, stream->size));
    assert_int_equal(heard->in_place, 10);
    free(heard);
    free(stream);
}

static void after_stop_nothing_is_handed_out(void **state)
{
    (void)state;
    struct stream *stream = new_stream();
    struct heard *heard = new_heard();
    heard->stop_at_first = true;
    put_text(stream, 0x81, "first");
    put_text(stream, 0x81, "second");
    put_text(stream, 0x89, "ping");
    assert_null(give(heard, stream, stream->size));
    assert_string_equal(heard->text, "message first\n");
    free(heard);
    free(stream);
}

static void what_came_before_a_bad_frame_is_handed_out(void **state)
{
    (void)state;
    struct stream *stream = new_stream();
    struct heard *heard = new_heard();
    put_text(stream, 0x81, "first");
    put_text(stream, 0x01, "sec");
    put_text(stream, 0x80, "ond");
    put_text(stream, 0xc1, "third");
    put_text(stream, 0x81, "fourth");
    assert_non_null(give(heard, stream, stream->size));
    assert_string_equal(heard->text, "message first\nmessage second\n");
    free(heard);
    free(stream);
}

static void what_is_no_frame_is_refused(void **state)
{
    (void)state;
    static const struct { const char *bytes; size_t size; const char *why; } bad[] = {
        { "\xc1\x01x", 3, "a frame with an extension that was not agreed on" },
        { "\x91\x01x", 3, "a frame with an extension that was not agreed on" },
        { "\x81\x81" "keyx", 7, "a masked frame from a server" },
        { "\x83\x01x", 3, "a frame of an unknown kind" },
        { "\x8b\x01x", 3, "a frame of an unknown kind" },
        { "\x09\x01x", 3, "a control frame that is too long or in parts" },
        { "\x89\x7e\x00\x7e", 4, "a control frame that is too long or in parts" },
        { "\x88\x01x", 3, "a close frame with half a code" },
        { "\x80\x01x", 3, "the rest of a message that never began" },
        { "\x01\x01x\x81\x01x", 6, "a message inside of another" },
        { "\x01\x01x\x80\x7f\x00\x00\x00\x00\x40\x00\x00\x00", 13, "a message larger than a gibibyte" },
        { "\x81\x7f\x00\x00\x00\x00\x40\x00\x00\x01", 10, "a message larger than a gibibyte" },
        { "\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10, "a message larger than a gibibyte" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t piece = 1; piece <= bad[i].size; piece++) {
            struct stream *stream = new_stream();
            struct heard *heard = new_heard();
            memcpy(stream->bytes, bad[i].bytes, bad[i].size);
            stream->size = bad[i].size;
            const char *why = give(heard, stream, piece);
            assert_non_null(why);
            assert_string_equal(why, bad[i].why);
            assert_string_equal(heard->text, "");
            free(heard);
            free(stream);
        }
    }
}

static void a_message_that_is_too_large_is_read_over_and_the_next_one_comes(void **state)
{
    (void)state;
    char *big = calloc(1, MESSAGE_MAX + 1);
    assert_non_null(big);
    static const size_t pieces[] = { 1, 999, 65536, 400000 };
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct stream *stream = new_stream();
        struct heard *heard = new_heard();
        put_text(stream, 0x81, "before");
        put(stream, 0x81, big, MESSAGE_MAX + 1);
        put_text(stream, 0x81, "between");
        put(stream, 0x01, big, 10); /* one whose second part is too much */
        put_text(stream, 0x89, "ping");
        put(stream, 0x00, big, MESSAGE_MAX - 9);
        put(stream, 0x00, big, 5);
        put_text(stream, 0x80, "");
        put_text(stream, 0x01, "aft");
        put_text(stream, 0x80, "er");
        assert_null(give(heard, stream, pieces[i]));
        assert_string_equal(heard->text, "message before\nskipped 100001\nmessage between\nping ping\nskipped 100006\nmessage after\n");
        free(heard);
        free(stream);
    }
    free(big);
}

static void a_message_of_the_largest_size_comes_whole_or_in_parts(void **state)
{
    (void)state;
    char *big = malloc(MESSAGE_MAX);
    assert_non_null(big);
    memset(big, 'x', MESSAGE_MAX);
    struct stream *stream = new_stream();
    struct heard *heard = new_heard();
    put(stream, 0x81, big, MESSAGE_MAX);
    put(stream, 0x01, big, 60000);
    put(stream, 0x80, big, MESSAGE_MAX - 60000);
    assert_null(give(heard, stream, 4096));
    assert_int_equal(heard->size, 2 * (MESSAGE_MAX + strlen("message \n")));
    free(heard);
    free(stream);
    free(big);
}

static void what_is_written_can_be_read_by_a_server(void **state)
{
    (void)state;
    static const unsigned char key[4] = { 0x37, 0xfa, 0x21, 0x3d };
    static const unsigned char hello[] = { 0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58 }; /* RFC 6455, 5.7 */
    unsigned char frame[FRAME_HEAD + 5];
    assert_int_equal(frames_write(frame, FRAME_TEXT, slice_of("Hello"), key), sizeof hello);
    assert_memory_equal(frame, hello, sizeof hello);
    static const struct { size_t size; size_t head; } sizes[] = { { 0, 6 }, { 125, 6 }, { 126, 8 }, { 65535, 8 }, { 65536, 14 } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *text = calloc(1, sizes[i].size + 1);
        unsigned char *to = malloc(FRAME_HEAD + sizes[i].size);
        assert_true(text && to);
        assert_int_equal(frames_write(to, FRAME_BINARY, (struct slice){ text, sizes[i].size }, key),
            sizes[i].head + sizes[i].size);
        for (size_t j = 0; j < sizes[i].size; j++)
            assert_int_equal(to[sizes[i].head + j], key[j % 4]);
        free(to);
        free(text);
    }
}

/* --- the upgrade ------------------------------------------------------------------------ */

static const char key[] = "dGhlIHNhbXBsZSBub25jZQ=="; /* RFC 6455, 1.3 */
#define GOOD "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

static void the_answer_is_found_however_much_of_it_has_come(void **state)
{
    (void)state;
    static const char answer[] = GOOD "\x81\x01x";
    size_t size = sizeof GOOD - 1;
    int status;
    const char *why;
    for (size_t known = 1; known < size; known++)
        assert_int_equal(upgrade_answer((struct slice){ answer, known }, key, &status, &why), 0);
    for (size_t known = size; known < sizeof answer; known++)
        assert_int_equal(upgrade_answer((struct slice){ answer, known }, key, &status, &why), size);
}

static void answers_are_read_as_people_write_them(void **state)
{
    (void)state;
    static const char *const good[] = {
        "HTTP/1.1 101 \r\nconnection: keep-alive, upgrade\r\nUPGRADE:WebSocket\r\nsec-websocket-accept:  s3pPLMBiTxaQ9kYGzzhZRbK+xOo= \r\n\r\n",
        "HTTP/1.1 101\r\nServer: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nDate: a:b\r\n\r\n",
    };
    int status;
    const char *why;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(upgrade_answer(slice_of(good[i]), key, &status, &why), strlen(good[i]));
}

static void bad_answers_are_refused(void **state)
{
    (void)state;
    static const struct { const char *answer; int status; const char *why; } bad[] = {
        { "SSH-2.0-OpenSSH_9.2\r\n", 0, "what answers does not speak HTTP/1.1" },
        { "X", 0, "what answers does not speak HTTP/1.1" },
        { "HTTP/1.1 10\r\n", 0, "what answers does not speak HTTP/1.1" },
        { "HTTP/1.1 1011 x\r\n", 0, "what answers does not speak HTTP/1.1" },
        { "HTTP/1.1 502 Bad Gateway\r\n", 502, NULL },
        { "HTTP/1.0 401 Unauthorized\r\nA: b\r\n\r\nbody", 401, NULL },
        { "HTTP/1.1 200 OK\r\n", 200, NULL },
        { "HTTP/1.1 302 Found\r\n", 302, "it redirects: name the address that it leads to" },
        { "HTTP/1.1 101 x\r\n\r\n", 101, "it does not upgrade to a WebSocket" },
        { "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 101, "it has no Sec-WebSocket-Accept" },
        { "HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            101, "it does not upgrade to a WebSocket" },
        { "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: close\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            101, "it does not upgrade to a WebSocket" },
        { "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            101, "its Sec-WebSocket-Accept is wrong" },
        { "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 101, "it wants an extension or protocol that nobody asked for" },
        { "HTTP/1.1 101 x\r\nno colon\r\n\r\n", 101, "a header line without a colon" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status;
        const char *why;
        assert_int_equal(upgrade_answer(slice_of(bad[i].answer), key, &status, &why), -1);
        assert_int_equal(status, bad[i].status);
        if (bad[i].why)
            assert_string_equal(why, bad[i].why);
        else
            assert_null(why);
    }
}

static void an_answer_without_end_is_refused(void **state)
{
    (void)state;
    char *answer = malloc(UPGRADE_ANSWER);
    assert_non_null(answer);
    memset(answer, 'a', UPGRADE_ANSWER);
    memcpy(answer, "HTTP/1.1 101 x\r\nA: ", 19);
    int status;
    const char *why;
    assert_int_equal(upgrade_answer((struct slice){ answer, UPGRADE_ANSWER - 1 }, key, &status, &why), 0);
    assert_int_equal(upgrade_answer((struct slice){ answer, UPGRADE_ANSWER }, key, &status, &why), -1);
    assert_string_equal(why, "its answer is too long");
    free(answer);
}

static void the_request_names_the_host_the_path_and_the_key(void **state)
{
    (void)state;
    static struct endpoint endpoint = { .host = "fd00::1", .port = 8123, .path = "/api/websocket" };
    char request[UPGRADE_REQUEST], made[UPGRADE_KEY];
    size_t size = upgrade_request(request, &endpoint, key);
    assert_string_equal(request, "GET /api/websocket HTTP/1.1\r\nHost: [fd00::1]:8123\r\nUser-Agent: ha-ingestor\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n");
    assert_int_equal(size, strlen(request));
    upgrade_key(made, (const unsigned char *)"the sample nonce");
    assert_string_equal(made, key);
    memset(endpoint.host, 'h', sizeof endpoint.host - 1);
    memset(endpoint.path, 'p', sizeof endpoint.path - 1);
    (void)upgrade_request(request, &endpoint, key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(however_a_stream_is_cut_the_same_comes_out),
        cmocka_unit_test(each_single_cut_changes_nothing),
        cmocka_unit_test(whole_frames_are_not_copied),
        cmocka_unit_test(after_stop_nothing_is_handed_out),
        cmocka_unit_test(what_came_before_a_bad_frame_is_handed_out),
        cmocka_unit_test(what_is_no_frame_is_refused),
        cmocka_unit_test(a_message_that_is_too_large_is_read_over_and_the_next_one_comes),
        cmocka_unit_test(a_message_of_the_largest_size_comes_whole_or_in_parts),
        cmocka_unit_test(what_is_written_can_be_read_by_a_server),
        cmocka_unit_test(the_answer_is_found_however_much_of_it_has_come),
        cmocka_unit_test(answers_are_read_as_people_write_them),
        cmocka_unit_test(bad_answers_are_refused),
        cmocka_unit_test(an_answer_without_end_is_refused),
        cmocka_unit_test(the_request_names_the_host_the_path_and_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
