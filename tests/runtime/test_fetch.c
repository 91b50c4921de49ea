/* test_fetch.c - HTTP out against a server of the test's on loopback. */
#include "fake_bus.h"
#include "actor_state.h"
#include "fetch_answer.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

struct self { size_t done; struct fetched last; char body[200], error[200]; bool begins_next; struct fetch next; };

static void on_fetched(struct self *self, actor_t *actor, const struct fetched *fetched)
{
    self->done++;
    self->last = *fetched;
    size_t size = fetched->body.size < sizeof self->body ? fetched->body.size : sizeof self->body - 1;
    if (size)
        memcpy(self->body, fetched->body.data, size);
    self->body[size] = '\0';
    snprintf(self->error, sizeof self->error, "%s", fetched->error ? fetched->error : "");
    if (self->begins_next) {
        self->begins_next = false;
        assert_int_equal(actor_fetch(actor, &self->next), 0);
    }
}

static const struct actor_spec spec = { .name = "weather", .doc = "A test", .state = sizeof(struct self) };

/* The server: one answer after the other, each on a connection of its own. */
struct world {
    actor_t *actor;
    struct self *self;
    log_t *log;
    int log_fd, listener, client;
    char url[64], request[8192];
    size_t request_size, served;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct suite_config suite = { 0 };
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    assert_non_null(world);
    SET_TEXT(&suite, data, "/nonexistent", 12);
    SET_TEXT(&suite, instance, "1", 1);
    world->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(world->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(world->listener, 5), 0);
    getsockname(world->listener, (struct sockaddr *)&address, &size);
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%d/now", ntohs(address.sin_port));
    world->client = -1;
    world->log_fd = memfd_create("log", 0);
    world->log = log_new(&(struct log_options){ .actor = "weather", .level = LOG_LEVEL_DEBUG, .fd = world->log_fd });
    world->actor = actor_new(&spec, &suite, NULL, world->log);
    assert_int_equal(actor_open(world->actor, -1), 0);
    world->self = world->actor->self;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    if (world->actor)
        actor_destroy(&world->actor);
    log_destroy(&world->log);
    close(world->log_fd);
    close(world->listener);
    if (world->client >= 0)
        close(world->client);
    free(world);
    return 0;
}

/* Turns the actor, and answers when a whole request has come. */
static void serve(struct world *world, const char *answer)
{
    actor_turn(world->actor, 1);
    if (world->client < 0) {
        world->client = accept4(world->listener, NULL, NULL, SOCK_NONBLOCK);
        world->request_size = 0;
    }
    if (world->client < 0)
        return;
    ssize_t n = read(world->client, world->request + world->request_size, sizeof world->request - 1 - world->request_size);
    if (n > 0)
        world->request_size += (size_t)n;
    world->request[world->request_size] = '\0';
    if (!strstr(world->request, "\r\n\r\n") || !answer)
        return;
    (void)!write(world->client, answer, strlen(answer));
    close(world->client);
    world->client = -1;
    world->served++;
}

#define SERVE_UNTIL(world, answer, condition)                                                     \
    for (int64_t end_us = (world)->actor->clock_us + 10000000; !(condition); serve(world, answer)) \
        assert_true((world)->actor->clock_us < end_us)

static struct fetch simple(struct world *world) { return (struct fetch){ .url = world->url, .done = on_fetched }; }

static const char ok[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
static const char tagged[] = "HTTP/1.1 200 OK\r\nConnection: close\r\nETag: \"v1\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
    "Content-Length: 5\r\n\r\nhello";
static const char unchanged[] = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
static const char failed[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
static const char busy[] = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
static const char very_busy[] = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n";

static void brings_the_body_and_escapes_the_query(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    fetch.query[0] = (struct pair){ "q", "Oslo & \"Bergen\"" };
    fetch.query[1] = (struct pair){ "appid", "k=1" };
    fetch.headers[0] = (struct pair){ "X-Api-Key", "abc" };
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    assert_int_equal(actor_fetch(world->actor, &fetch), -1);
    SERVE_UNTIL(world, ok, world->self->done);
    assert_int_equal(world->self->last.status, 200);
    assert_string_equal(world->self->body, "hello");
    assert_non_null(strstr(world->request, "GET /now?q=Oslo%20%26%20%22Bergen%22&appid=k%3D1 HTTP/1.1\r\n"));
    assert_non_null(strstr(world->request, "X-Api-Key: abc\r\n"));
}

static void asks_whether_it_has_changed_the_second_time(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, tagged, world->self->done == 1);
    assert_false(world->self->last.not_modified);
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, unchanged, world->self->done == 2);
    assert_non_null(strstr(world->request, "If-None-Match: \"v1\"\r\n"));
    assert_non_null(strstr(world->request, "If-Modified-Since: Thu, 01 Jan 2026 00:00:00 GMT\r\n"));
    assert_true(world->self->last.not_modified);
}

static void tries_again_after_a_server_error_with_growing_delays(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    actor_clock(world->actor);
    int64_t began_us = world->actor->clock_us;
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, failed, world->served == 2);
    SERVE_UNTIL(world, ok, world->self->done);
    assert_int_equal(world->served, 3);
    assert_int_equal(world->self->last.status, 200);
    assert_true(world->actor->clock_us - began_us >= 750000); /* half of 500 and 1000 ms at least */
}

static void waits_as_long_as_it_is_told_to(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, busy, world->served == 1);
    int64_t began_us = world->actor->clock_us;
    SERVE_UNTIL(world, ok, world->self->done);
    assert_true(world->actor->clock_us - began_us >= 990000);
    assert_int_equal(world->self->last.status, 200);
}

static void gives_up_where_the_wait_would_be_too_long(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, very_busy, world->self->done);
    assert_int_equal(world->self->last.status, 429);
    assert_int_equal(world->served, 1);
}

static void refuses_a_body_above_the_limit(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    fetch.body_max = 4;
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, ok, world->self->done);
    assert_string_equal(world->self->error, "the body is too large");
    assert_int_equal(world->served, 1);
}

static void times_out_and_says_so_after_four_attempts(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    fetch.timeout_ms = 20;
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, NULL, world->self->done);
    assert_int_equal(world->self->last.status, 0);
    assert_non_null(strstr(world->self->error, "imeout"));
}

static void a_header_cannot_break_out_of_its_line(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    fetch.headers[0] = (struct pair){ "X-Api-Key", "a\r\nX-Evil: 1" };
    assert_int_equal(actor_fetch(world->actor, &fetch), -1);
    fetch.headers[0] = (struct pair){ "X-Api-Key", "a" };
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, ok, world->self->done);
}

static void posts_a_body_and_follows_nowhere_with_it(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    fetch.body = slice_of("{\"query\":1}");
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", world->self->done);
    assert_int_equal(world->self->last.status, 302);
    assert_int_equal(strncmp(world->request, "POST /now HTTP/1.1\r\n", 20), 0);
    assert_non_null(strstr(world->request, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(world->request, "Content-Length: 11\r\n"));
}

static void done_may_begin_the_next_request(void **state)
{
    struct world *world = *state;
    world->self->begins_next = true;
    world->self->next = simple(world);
    assert_int_equal(actor_fetch(world->actor, &world->self->next), 0);
    SERVE_UNTIL(world, ok, world->self->done == 2);
    assert_string_equal(world->self->body, "hello");
}

static void a_request_under_way_is_dropped_at_the_end(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    serve(world, NULL);
    assert_int_equal(world->self->done, 0);
    actor_destroy(&world->actor);
    assert_true(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* its program, too */
}

/* --- the program that fetches ------------------------------------------------------------------------- */

static bool has_no_child(void) { return waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD; }

/* The program is this script instead; what becomes of a request then. */
static void fetch_by(struct world *world, const char *script, const char *error, int attempts)
{
    char path[] = "/tmp/fetch-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(dprintf(fd, "#!/bin/sh\n%s\n", script), (int)strlen(script) + 11);
    assert_int_equal(fchmod(fd, 0700), 0);
    close(fd);
    world->actor->fetch_program = path;
    struct fetch fetch = simple(world);
    fetch.timeout_ms = 1;
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, ok, world->self->done);
    unlink(path);
    assert_string_equal(world->self->error, error);
    assert_int_equal(world->self->last.attempts, attempts);
    assert_int_equal(world->self->last.status, 0);
    assert_int_equal(world->served, 0);
    assert_true(has_no_child());
}

static void a_program_that_dies_is_tried_again_and_told(void **state)
{
    fetch_by(*state, "kill -SEGV $$", "the program fetch ended without an answer: signal 11", 4);
}

static void a_program_that_says_nonsense_is_killed(void **state)
{
    fetch_by(*state, "echo nonsense; exec sleep 100", "the program fetch says nonsense", 1);
}

static void a_program_that_says_more_than_was_asked_for_is_killed(void **state)
{
    struct world *world = *state; /* 2 MiB of bodies of 64 KiB each */
    fetch_by(world, "while :; do printf 'b\\0\\0\\1\\0'; head -c 65536 /dev/zero; done", "the body is too large", 1);
}

static void a_program_that_hangs_is_killed_and_tried_again(void **state)
{
    struct world *world = *state;
    world->actor->fetch_grace_ms = 100;
    fetch_by(world, "exec sleep 100", "the program fetch hung and was killed", 4);
}

static void a_program_that_is_not_there_is_told_and_used_when_it_is_back(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    char text[1024] = "";
    world->actor->fetch_program = "/nonexistent/fetch";
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, ok, pread(world->log_fd, text, sizeof text - 1, 0) > 0);
    assert_non_null(strstr(text, "the program fetch cannot be started: No such file or directory"));
    world->actor->fetch_program = NULL;
    SERVE_UNTIL(world, ok, world->self->done);
    assert_string_equal(world->self->body, "hello");
    assert_int_equal(world->self->last.attempts, 2);
}

static void the_program_is_told_no_key_by_arguments_or_environment(void **state)
{
    struct world *world = *state;
    struct fetch fetch = simple(world);
    char path[64], text[8192] = "";
    setenv("HOME_ASSISTANT_TOKEN", "secret-key", 1);
    fetch.headers[0] = (struct pair){ "Authorization", "Bearer secret-key" };
    assert_int_equal(actor_fetch(world->actor, &fetch), 0);
    SERVE_UNTIL(world, NULL, world->request_size > 0);
    assert_non_null(strstr(world->request, "Authorization: Bearer secret-key\r\n"));
    int children = open("/proc/thread-self/children", O_RDONLY);
    assert_true(children >= 0 && read(children, text, sizeof text - 1) > 0);
    close(children);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "/proc/%ld/%s", strtol(text, NULL, 10), i ? "environ" : "cmdline");
        char bytes[8192];
        int fd = open(path, O_RDONLY);
        ssize_t n = read(fd, bytes, sizeof bytes);
        close(fd);
        assert_true(n >= 0 && !memmem(bytes, (size_t)n, "secret-key", 10));
    }
    SERVE_UNTIL(world, ok, world->self->done);
    unsetenv("HOME_ASSISTANT_TOKEN");
}

static void an_answer_is_read_however_it_is_cut(void **state)
{
    (void)state;
    struct fetch_end end;
    memset(&end, 0, sizeof end);
    end.status = 200;
    char bytes[64] = "e\2\0\0\0\"vb\5\0\0\0helloe\0\0\0\0r", *at = bytes + 7 + 10 + 5;
    uint32_t size = sizeof end;
    memcpy(at + 1, &size, sizeof size);
    memcpy(at + 5, &end, sizeof end);
    size_t all = (size_t)(at + 5 - bytes) + sizeof end;
    struct fetch_answer answer = { .body_max = 5 };
    for (size_t cut = 1; cut <= all; cut++) {
        fetch_answer_begin(&answer);
        for (size_t from = 0; from < all; from += cut)
            assert_int_equal(fetch_answer_take(&answer, bytes + from, cut < all - from ? cut : all - from), FETCH_TAKEN);
        assert_true(answer.is_whole && answer.end.status == 200 && answer.body.size == 5);
        assert_string_equal(answer.etag, "");
        assert_int_equal(fetch_answer_take(&answer, "e", 1), FETCH_NONSENSE);
    }
    fetch_answer_begin(&answer);
    assert_int_equal(fetch_answer_take(&answer, "e\2\0\0\0a\n", 7), FETCH_NONSENSE);
    fetch_answer_begin(&answer);
    assert_int_equal(fetch_answer_take(&answer, "e\0\1\0\0", 5), FETCH_NONSENSE);
    fetch_answer_begin(&answer);
    assert_int_equal(fetch_answer_take(&answer, "b\6\0\0\0hello!", 11), FETCH_TOO_LARGE);
    msgpack_sbuffer_destroy(&answer.body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(brings_the_body_and_escapes_the_query),
        TEST(asks_whether_it_has_changed_the_second_time),
        TEST(tries_again_after_a_server_error_with_growing_delays),
        TEST(waits_as_long_as_it_is_told_to),
        TEST(gives_up_where_the_wait_would_be_too_long),
        TEST(refuses_a_body_above_the_limit),
        TEST(times_out_and_says_so_after_four_attempts),
        TEST(a_header_cannot_break_out_of_its_line),
        TEST(posts_a_body_and_follows_nowhere_with_it),
        TEST(done_may_begin_the_next_request),
        TEST(a_request_under_way_is_dropped_at_the_end),
        TEST(a_program_that_dies_is_tried_again_and_told),
        TEST(a_program_that_says_nonsense_is_killed),
        TEST(a_program_that_says_more_than_was_asked_for_is_killed),
        TEST(a_program_that_hangs_is_killed_and_tried_again),
        TEST(a_program_that_is_not_there_is_told_and_used_when_it_is_back),
        TEST(the_program_is_told_no_key_by_arguments_or_environment),
        cmocka_unit_test(an_answer_is_read_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
