/* test_sockets.c - the real gateway beside the real broker, over the loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000 };

struct suite { char data[200], bin[400]; pid_t broker, gateway; int port, log; };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Start a process of the suite; its standard error can be read from *log. */
static pid_t start(const struct suite *s, const char *name, const char *port, const char *bind, int *log)
{
    char path[500];
    int ends[2];
    snprintf(path, sizeof path, "%s/%s", s->bin, name);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv("HA_INGESTOR_DATA", s->data, 1);
        setenv("GATEWAY_PORT", port, 1);
        setenv("GATEWAY_BIND", bind, 1);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *log = ends[0];
    return pid;
}

/* Read lines until one has `part`; the text after it goes to `rest`. */
static bool wait_for_line(int fd, const char *part, char *rest, size_t size)
{
    char text[65536] = "";
    size_t used = 0;
    int64_t deadline = now_ms() + DEADLINE_MS;
    while (used + 1 < sizeof text && now_ms() < deadline) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, (int)(deadline - now_ms())) <= 0)
            break;
        ssize_t n = read(fd, text + used, sizeof text - used - 1);
        if (n <= 0)
            break;
        used += (size_t)n;
        text[used] = '\0';
        const char *found = strstr(text, part);
        if (found && strchr(found, '\n')) {
            snprintf(rest, size, "%.*s", (int)strcspn(found + strlen(part), "\n"), found + strlen(part));
            return true;
        }
    }
    print_error("%s\n", text);
    return false;
}

static int exit_code(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static bool find_programs(struct suite *s)
{
    char path[500];
    ssize_t n = readlink("/proc/self/exe", s->bin, sizeof s->bin - 1);
    s->bin[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(s->bin, '/');
    if (slash)
        *slash = '\0';
    snprintf(path, sizeof path, "%s/gateway", s->bin);
    bool gateway = access(path, X_OK) == 0;
    snprintf(path, sizeof path, "%s/broker", s->bin);
    return gateway && access(path, X_OK) == 0;
}

static int open_suite(void **state)
{
    static struct suite suite;
    struct suite *s = &suite;
    char rest[200];
    int broker_log;
    if (!find_programs(s)) {
        print_message("skipped: broker and gateway have not been built beside this test\n");
        return 0;
    }
    snprintf(s->data, sizeof s->data, "%s/sockets-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(s->data))
        return -1;
    signal(SIGPIPE, SIG_IGN);
    s->broker = start(s, "broker", "0", "127.0.0.1", &broker_log);
    s->gateway = start(s, "gateway", "0", "127.0.0.1", &s->log);
    if (!wait_for_line(s->log, "listening on http://127.0.0.1:", rest, sizeof rest))
        return -1;
    s->port = atoi(rest);
    *state = s;
    return s->port > 0 ? 0 : -1;
}

static int close_suite(void **state)
{
    struct suite *s = *state;
    char command[300];
    if (!s)
        return 0;
    kill(s->gateway, SIGTERM);
    int gateway = exit_code(s->gateway);
    kill(s->broker, SIGTERM);
    int broker = exit_code(s->broker);
    snprintf(command, sizeof command, "rm -rf '%s'", s->data);
    if (system(command) || gateway || broker)
        print_error("gateway %d, broker %d\n", gateway, broker);
    return gateway || broker;
}

/* --- a client --- */

static int dial(const struct suite *s)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const char *text, size_t size)
{
    while (size) {
        ssize_t n = send(fd, text, size, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* it was closed: the reply tells */
        text += n;
        size -= (size_t)n;
    }
}

/* Read until `part` has come `times` times, or the end. True if it has. */
static bool hear(int fd, const char *part, int times, char *text, size_t size)
{
    size_t used = 0;
    int64_t deadline = now_ms() + DEADLINE_MS;
    for (text[0] = '\0'; now_ms() < deadline && used + 1 < size;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, (int)(deadline - now_ms())) <= 0)
            return false;
        ssize_t n = recv(fd, text + used, size - used - 1, 0);
        if (n <= 0)
            return part == NULL;
        used += (size_t)n;
        text[used] = '\0';
        int seen = 0;
        for (const char *at = text; part && (at = strstr(at, part)) != NULL; at += strlen(part))
            seen++;
        if (part && seen >= times)
            return true;
    }
    return false;
}

/* Say it, and hear everything until the other side closes: the status. */
static int whole(const struct suite *s, const char *request, size_t size, char *text, size_t room)
{
    int fd = dial(s), status = 0;
    say(fd, request, size);
    assert_true(hear(fd, NULL, 0, text, room));
    close(fd);
    sscanf(text, "HTTP/1.1 %d", &status);
    return status;
}

#define SUITE(s) struct suite *s = *state; if (!s) skip()
#define INFO "GET /api/info HTTP/1.1\r\nHost: localhost\r\n"

static void answers_pipelined_requests_on_one_connection(void **state)
{
    SUITE(s);
    static char text[200000];
    int fd = dial(s);
    const char *three = INFO "\r\n" "GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n" INFO "Connection: close\r\n\r\n";
    say(fd, three, strlen(three));
    assert_true(hear(fd, NULL, 0, text, sizeof text));
    close(fd);
    const char *first = strstr(text, "HTTP/1.1 200"), *second = strstr(text, "HTTP/1.1 503");
    assert_true(first && second && strstr(second, "HTTP/1.1 200"));
    assert_non_null(strstr(second, "\"error_code\":\"ACTOR_UNAVAILABLE\""));
}

static void keeps_a_connection_and_takes_bytes_one_by_one(void **state)
{
    SUITE(s);
    static char text[20000];
    int fd = dial(s);
    for (int twice = 0; twice < 2; twice++) {
        const char *request = INFO "\r\n";
        for (size_t i = 0; request[i]; i++)
            say(fd, request + i, 1);
        assert_true(hear(fd, "\"timestamp\":", 2, text, sizeof text));
        assert_non_null(strstr(text, "HTTP/1.1 200 OK\r\n"));
    }
    close(fd);
}

static void takes_the_headers_that_libwebsockets_resets_on(void **state)
{
    SUITE(s);
    static char text[20000];
    const char *request = INFO "X-Auth: 1\r\nX-A: 1\r\nX: 1\r\nA: 1\r\nConnection: close\r\n\r\n";
    assert_int_equal(whole(s, request, strlen(request), text, sizeof text), 200);
}

static void refuses_in_words_what_it_cannot_read(void **state)
{
    SUITE(s);
    static char text[20000], large[60000];
    static const struct { const char *request; int status; } cases[] = {
        { "\x16\x03\x01 hello\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { INFO "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
        { "GET /api/info HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421 },
        { "PUT /api/v1/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405 },
        { "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n", 413 },
        { "POST /api/v1/events/search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n", 422 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int status = whole(s, cases[i].request, strlen(cases[i].request), text, sizeof text);
        if (status != cases[i].status || !strstr(text, "\"success\":false"))
            fail_msg("%d, not %d: %s\n%s", status, cases[i].status, cases[i].request, text);
    }
    int size = snprintf(large, sizeof large, INFO "Cookie: %050000d\r\n\r\n", 0);
    assert_int_equal(whole(s, large, (size_t)size, text, sizeof text), 431);
    size = snprintf(large, sizeof large, "GET /%050000d HTTP/1.1\r\n", 0);
    assert_int_equal(whole(s, large, (size_t)size, text, sizeof text), 414);
    size = snprintf(large, sizeof large, INFO "Cookie: %015000d\r\nConnection: close\r\n\r\n", 0);
    assert_int_equal(whole(s, large, (size_t)size, text, sizeof text), 200);
}

static void sends_a_large_reply_whole(void **state)
{
    SUITE(s);
    static char text[1000000];
    const char *request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    size_t length = 0;
    assert_int_equal(whole(s, request, strlen(request), text, sizeof text), 200);
    assert_int_equal(sscanf(strstr(text, "Content-Length: "), "Content-Length: %zu", &length), 1);
    assert_int_equal(strlen(strstr(text, "\r\n\r\n") + 4), length);
}

static void is_honest_about_who_is_missing(void **state)
{
    SUITE(s);
    static char text[20000];
    const char *request = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_int_equal(whole(s, request, strlen(request), text, sizeof text), 503);
    assert_non_null(strstr(text, "\"sink\":{\"status\":\"unhealthy\""));
}

static void opens_a_stream_at_once(void **state)
{
    SUITE(s);
    static char text[20000];
    int fd = dial(s);
    const char *request = "GET /api/v1/events/stream HTTP/1.1\r\nHost: localhost\r\n\r\n";
    say(fd, request, strlen(request));
    assert_true(hear(fd, "retry: 1000\n\n", 1, text, sizeof text));
    close(fd);
}

static void says_that_the_port_is_taken(void **state)
{
    SUITE(s);
    char port[16], rest[200];
    struct suite second = *s;
    int log;
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(second.data, sizeof second.data, "%.180s/second", s->data);
    pid_t pid = start(&second, "gateway", port, "127.0.0.1", &log);
    assert_true(wait_for_line(log, "Address already in use", rest, sizeof rest));
    assert_int_equal(exit_code(pid), 111);
    close(log);
    pid = start(&second, "gateway", "0", "0.0.0.0", &log);
    assert_true(wait_for_line(log, "no authentication yet", rest, sizeof rest));
    assert_int_equal(exit_code(pid), 100);
    close(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_pipelined_requests_on_one_connection),
        cmocka_unit_test(keeps_a_connection_and_takes_bytes_one_by_one),
        cmocka_unit_test(takes_the_headers_that_libwebsockets_resets_on),
        cmocka_unit_test(refuses_in_words_what_it_cannot_read),
        cmocka_unit_test(sends_a_large_reply_whole),
        cmocka_unit_test(is_honest_about_who_is_missing),
        cmocka_unit_test(opens_a_stream_at_once),
        cmocka_unit_test(says_that_the_port_is_taken),
    };
    return cmocka_run_group_tests(tests, open_suite, close_suite);
}
