/* test_log.c - one line per event, without secrets, without floods; the lock and the notices of a process. */
#include "life.h"
#include "log.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int64_t now_us; /* the clock of these tests */
static int64_t clock_of_test(void) { return now_us; }

struct world { log_t *log; int fd; char text[20000]; };

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert(world);
    now_us = INT64_C(1767225600000000);
    world->fd = memfd_create("log", 0);
    world->log = log_new(&(struct log_options){ .actor = "ingest", .instance = "1", .level = LOG_LEVEL_INFO, .fd = world->fd,
        .now_us = clock_of_test });
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    log_destroy(&world->log);
    close(world->fd);
    free(world);
    return 0;
}

static const char *written(struct world *world)
{
    ssize_t n = pread(world->fd, world->text, sizeof world->text - 1, 0);
    world->text[n > 0 ? n : 0] = '\0';
    return world->text;
}

static size_t lines(struct world *world)
{
    size_t count = 0;
    for (const char *at = written(world); (at = strchr(at, '\n')); at++)
        count++;
    return count;
}

static void a_line_has_time_level_and_actor(void **state)
{
    struct world *world = *state;
    log_write(world->log, LOG_LEVEL_WARN, "port=%d", 5);
    assert_string_equal(written(world), "2026-01-01T00:00:00.000000Z warn  ingest port=5\n");
}

static void json_lines_are_json(void **state)
{
    struct world *world = *state;
    log_destroy(&world->log);
    world->log = log_new(&(struct log_options){ .actor = "enrich", .instance = "2", .json = true, .fd = world->fd, .now_us = clock_of_test });
    log_write(world->log, LOG_LEVEL_INFO, "a \"quoted\"\nline");
    assert_string_equal(written(world), "{\"time\":\"2026-01-01T00:00:00.000000Z\",\"level\":\"info\",\"actor\":\"enrich.2\","
        "\"message\":\"a \\\"quoted\\\"\\nline\"}\n");
}

static void what_lies_below_the_level_is_left_out(void **state)
{
    struct world *world = *state;
    log_write(world->log, LOG_LEVEL_DEBUG, "quiet");
    assert_int_equal(lines(world), 0);
    log_set_level(world->log, log_level_of("debug"));
    log_write(world->log, LOG_LEVEL_DEBUG, "quiet");
    assert_int_equal(lines(world), 1);
}

static void a_line_stays_a_line(void **state)
{
    struct world *world = *state;
    log_write(world->log, LOG_LEVEL_INFO, "a%sb", "\r\n2026 error forged\x1b[31m");
    assert_int_equal(lines(world), 1);
    assert_non_null(strstr(written(world), "a\\x0d\\x0a2026 error forged\\x1b[31mb"));
}

static void secrets_are_not_shown(void **state)
{
    struct world *world = *state;
    struct ingest_config config = { 0 };
    char token[513];
    memset(token, 'Z', sizeof token);
    token[512] = '\0';
    SET_TEXT(&config, token, "topsecret", 9);
    SET_TEXT(&config, token_2, token, 512);
    SET_TEXT(&config, url, "http://ha", 9);
    log_secrets(world->log, ingest_config_schema(), &config);
    log_write(world->log, LOG_LEVEL_INFO, "url %s token %s and %s", config.url, config.token, config.token);
    assert_non_null(strstr(written(world), "url http://ha token *** and ***\n"));
    log_write(world->log, LOG_LEVEL_INFO, "%2000s%s", "x", token); /* longer than a line may be */
    assert_null(strstr(written(world), "ZZ"));
}

static void a_repeated_warning_is_shown_once_a_minute_with_the_count(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 100; i++, now_us += 1000000)
        log_write(world->log, LOG_LEVEL_WARN, "no reading: %d", i);
    assert_int_equal(lines(world), 2);
    assert_non_null(strstr(written(world), "no reading: 0\n"));
    assert_non_null(strstr(written(world), "no reading: 60 (59 more left out)\n"));
    log_write(world->log, LOG_LEVEL_WARN, "something else");
    assert_int_equal(lines(world), 3);
    log_destroy(&world->log);
    assert_non_null(strstr(written(world), "39 more like this were left out: no reading: %d\n"));
}

/* --- life */

static void a_second_process_of_the_same_name_is_told_who_holds_the_lock(void **state)
{
    (void)state;
    char data[] = "/tmp/life-XXXXXX", why[300], path[100], expected[40];
    assert_non_null(mkdtemp(data));
    int lock = life_lock(data, "sink", "1", why, sizeof why);
    assert_true(lock >= 0);
    assert_int_equal(life_lock(data, "sink", "1", why, sizeof why), -1);
    snprintf(expected, sizeof expected, "pid %ld", (long)getpid());
    assert_non_null(strstr(why, expected));
    int other = life_lock(data, "sink", "2", why, sizeof why);
    assert_true(other >= 0);
    close(lock);
    close(other);
    lock = life_lock(data, "sink", "1", why, sizeof why);
    assert_true(lock >= 0);
    close(lock);
    for (int i = 1; i <= 2; i++) {
        snprintf(path, sizeof path, "%s/run/sink.%d.lock", data, i);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/run", data);
    rmdir(path);
    assert_int_equal(rmdir(data), 0);
}

static void readiness_is_a_newline_and_a_datagram(void **state)
{
    (void)state;
    int ends[2], manager = socket(AF_UNIX, SOCK_DGRAM, 0);
    char fd[12], name[60], got[64] = "";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    assert_int_equal(pipe(ends), 0);
    snprintf(fd, sizeof fd, "%d", ends[1]);
    setenv("NOTIFY_FD", fd, 1);
    snprintf(name, sizeof name, "@ha-ingestor-test-%ld", (long)getpid());
    setenv("NOTIFY_SOCKET", name, 1);
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = '\0';
    assert_int_equal(bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))), 0);
    life_ready();
    assert_int_equal(read(ends[0], got, sizeof got), 1);
    assert_int_equal(*got, '\n');
    assert_int_equal(read(ends[0], got, sizeof got), 0); /* closed */
    assert_int_equal(recv(manager, got, sizeof got, 0), 7);
    assert_memory_equal(got, "READY=1", 7);
    life_stopping();
    assert_int_equal(recv(manager, got, sizeof got, 0), 10);
    unsetenv("NOTIFY_FD");
    unsetenv("NOTIFY_SOCKET");
    close(ends[0]);
    close(manager);
}

static void an_orphan_notices_that_nobody_reads_its_readiness(void **state)
{
    (void)state;
    int ends[2];
    char fd[12];
    assert_int_equal(pipe(ends), 0);
    snprintf(fd, sizeof fd, "%d", ends[1]);
    setenv("NOTIFY_FD", fd, 1);
    close(ends[0]);
    assert_int_equal(life_follow_supervisor(), -1);
    unsetenv("NOTIFY_FD");
    assert_int_equal(life_follow_supervisor(), 0);
    close(ends[1]);
}

static void signals_are_read_from_a_descriptor(void **state)
{
    (void)state;
    int fd = life_signals();
    assert_int_equal(life_signal(fd), 0);
    kill(getpid(), SIGHUP);
    assert_int_equal(life_signal(fd), SIGHUP);
    assert_int_equal(life_signal(fd), 0);
    close(fd);
}

/* The logger stands still: its disk is full, or somebody has stopped the terminal. */
static void a_full_pipe_stops_nobody_and_what_it_did_not_take_is_counted(void **state)
{
    struct world *world = *state;
    static char bytes[128 * 1024];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log_t *log = log_new(&(struct log_options){ .actor = "ingest", .level = LOG_LEVEL_DEBUG, .fd = ends[1], .now_us = clock_of_test });
    assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0); /* others write to it as well */
    for (int i = 0; i < 2000; i++) /* beyond what a pipe holds: this would never end */
        log_write(log, LOG_LEVEL_DEBUG, "a line of some length, number %d of two thousand", i);
    ssize_t size = read(ends[0], bytes, sizeof bytes - 1);
    assert_true(size > 0);
    size_t held = 0;
    for (const char *at = bytes; (at = strchr(at, '\n')); at++)
        held++;
    log_write(log, LOG_LEVEL_INFO, "there is room again");
    size = read(ends[0], bytes, sizeof bytes - 1);
    assert_true(size > 0);
    bytes[size] = '\0';
    snprintf(world->text, sizeof world->text, "2026-01-01T00:00:00.000000Z warn  ingest %zu lines before this could not be written\n"
        "2026-01-01T00:00:00.000000Z info  ingest there is room again\n", 2000 - held);
    assert_string_equal(bytes, world->text);
    log_destroy(&log);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void repeats_of_one_subject_do_not_hide_another(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10; i++)
        for (uint64_t of = 1; of <= 3; of++)
            log_write_of(world->log, LOG_LEVEL_WARN, of, "alert of %d", (int)of);
    assert_int_equal(lines(world), 3);
    assert_non_null(strstr(written(world), "alert of 3\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_has_time_level_and_actor),
        TEST(json_lines_are_json),
        TEST(what_lies_below_the_level_is_left_out),
        TEST(a_line_stays_a_line),
        TEST(secrets_are_not_shown),
        TEST(a_repeated_warning_is_shown_once_a_minute_with_the_count),
        TEST(repeats_of_one_subject_do_not_hide_another),
        TEST(a_full_pipe_stops_nobody_and_what_it_did_not_take_is_counted),
        cmocka_unit_test(a_second_process_of_the_same_name_is_told_who_holds_the_lock),
        cmocka_unit_test(readiness_is_a_newline_and_a_datagram),
        cmocka_unit_test(an_orphan_notices_that_nobody_reads_its_readiness),
        cmocka_unit_test(signals_are_read_from_a_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
