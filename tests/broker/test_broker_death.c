/* test_broker_death.c - a broker in a process of its own is killed, at any moment.
 *
 * The process is this program started anew: after a fork alone, locks that libzmq's threads
 * held would stay locked. */
#include "pair.h"

#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

extern char **environ;

static void serve(const struct broker_options *options)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    broker_t *broker = broker_new(options);
    while (broker) {
        int64_t clock_us = zclock_usecs();
        bool has_more = broker_work(broker, clock_us);
        broker_wait(broker, -1, has_more ? 0 : broker_wait_ms(broker, clock_us));
    }
    _exit(1);
}

static pid_t start(struct pair *pair)
{
    char silence_ms[16];
    pid_t pid;
    snprintf(silence_ms, sizeof silence_ms, "%d", (int)pair->options.silence_ms);
    char *arguments[] = { "broker", "serve", pair->endpoint, silence_ms, NULL };
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ), 0);
    return pid;
}

static void kill_it(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The clock is real here: the other process has one of its own. */
static void turn_for_real(struct pair *pair)
{
    pair->clock_us = zclock_usecs();
    struct pollfd fds[MOST_ACTORS];
    bool more = false;
    for (size_t i = 0; i < pair->actor_count; i++) {
        more |= bus_work(pair->actors[i]->bus, pair->clock_us);
        fds[i] = (struct pollfd){ .fd = bus_fd(pair->actors[i]->bus), .events = POLLIN };
    }
    if (!more)
        poll(fds, pair->actor_count, 5);
}

#define UNTIL_REALLY(pair, condition)                                       \
    do {                                                                    \
        int64_t until_us = zclock_usecs() + 60000000;                       \
        while (!(condition) && zclock_usecs() < until_us)                   \
            turn_for_real(pair);                                            \
        assert_true(condition);                                             \
    } while (0)

static void open_without_broker(struct pair *pair)
{
    pair_open(pair);
    broker_destroy(&pair->broker);
}

static void actors_find_a_restarted_broker_within_200_ms(void **state)
{
    (void)state;
    struct pair pair;
    open_without_broker(&pair);
    pid_t pid = start(&pair);
    struct actor *ingest = actor(&pair, "ingest", "1"), *sink = actor(&pair, "sink", "1");
    bus_publishes(ingest->bus, "event.raw", BUS_LOSSLESS, "sink");
    bus_listens(sink->bus, "event.raw", BUS_LOSSLESS, "sink", 100, 1 << 20);
    UNTIL_REALLY(&pair, ingest->ups == 1 && sink->ups == 1);
    int64_t quickest_us = INT64_MAX;
    for (int round = 2; round < 7; round++) {
        kill_it(pid);
        pid = start(&pair);
        int64_t began_us = zclock_usecs();
        UNTIL_REALLY(&pair, ingest->ups == round && sink->ups == round);
        int64_t took_us = zclock_usecs() - began_us;
        quickest_us = took_us < quickest_us ? took_us : quickest_us;
    }
    print_message("quickest recovery: %.0f ms\n", (double)quickest_us / 1000);
    assert_true(quickest_us < 200000); /* of five: the machine may be busy */
    kill_it(pid);
    pair_close(&pair);
}

static void nothing_is_lost_however_often_the_broker_is_killed(void **state)
{
    (void)state;
    enum { BATCHES = 3000, KILLS = 15 };
    static bool seen[BATCHES + 1];
    struct pair pair;
    open_without_broker(&pair);
    pid_t pid = start(&pair);
    struct actor *ingest = actor(&pair, "ingest", "1"), *sink = actor(&pair, "sink", "1");
    bus_publishes(ingest->bus, "event.raw", BUS_LOSSLESS, "sink");
    bus_listens(sink->bus, "event.raw", BUS_LOSSLESS, "sink", 50, 1 << 20);
    sink->acks_at_once = true;
    size_t acked = 0, published = 0, killed_at = 0;
    int64_t until_us = zclock_usecs() + 180000000;
    while (acked < BATCHES && zclock_usecs() < until_us) {
        char payload[16];
        while (published < BATCHES && bus_room(ingest->bus, "event.raw") > 900) {
            snprintf(payload, sizeof payload, "%zu", ++published);
            publish(ingest, "event.raw", payload);
        }
        turn_for_real(&pair);
        for (size_t i = 0; i < sink->heard_count; i++)
            seen[atoi(sink->heard[i].payload)] = true;
        sink->heard_count = 0;
        acked += ingest->acked_count;
        ingest->acked_count = 0;
        if (acked - killed_at > BATCHES / KILLS) {
            killed_at = acked;
            kill_it(pid);
            pid = start(&pair);
        }
    }
    assert_int_equal(acked, BATCHES);
    for (size_t i = 1; i <= BATCHES; i++)
        assert_true(seen[i]);
    assert_int_equal(bus_in_flight(ingest->bus, "event.raw"), 0);
    kill_it(pid);
    pair_close(&pair);
}

static void a_stopped_broker_is_taken_for_dead_and_found_again(void **state)
{
    (void)state;
    struct pair pair;
    open_without_broker(&pair);
    pair.options.silence_ms = 1000;
    pid_t pid = start(&pair);
    struct actor *sink = actor(&pair, "sink", "1");
    UNTIL_REALLY(&pair, sink->ups == 1);
    kill(pid, SIGSTOP);
    UNTIL_REALLY(&pair, sink->downs == 1);
    kill(pid, SIGCONT);
    UNTIL_REALLY(&pair, sink->ups == 2);
    kill_it(pid);
    pair_close(&pair);
}

int main(int argc, char **argv)
{
    struct pair pair = { .options = { 0 } };
    if (argc == 4 && streq(argv[1], "serve")) {
        pair_options(&pair, argv[2]);
        pair.options.silence_ms = atoi(argv[3]);
        serve(&pair.options);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actors_find_a_restarted_broker_within_200_ms),
        cmocka_unit_test(nothing_is_lost_however_often_the_broker_is_killed),
        cmocka_unit_test(a_stopped_broker_is_taken_for_dead_and_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
