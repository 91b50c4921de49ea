/* test_broker_keys.c - CURVE on tcp: who has a certificate gets in, nobody else does. */
#include "pair.h"

struct pair_of_keys { char public[41], secret[41]; };
struct keys { struct pair_of_keys server, client, stranger; char clients[128], listen[64]; };

/* As CZMQ writes them; a key that is only mentioned counts for nothing. */
static void put_certificate(const struct keys *keys)
{
    char path[256];
    snprintf(path, sizeof path, "%s/client.cert", keys->clients);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#   ****  Generated on 2026-01-01 by CZMQ  ****\n\nmetadata\n    public-key = \"%s\"\n# public-key = \"%s\"\ncurve\n"
        "    public-key = \"%s\"\n", keys->stranger.public, keys->stranger.public, keys->client.public);
    assert_int_equal(fclose(file), 0);
}

static void make_keys(struct pair *pair, struct keys *keys)
{
    struct pair_of_keys *const all[] = { &keys->server, &keys->client, &keys->stranger };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_int_equal(zmq_curve_keypair(all[i]->public, all[i]->secret), 0);
    snprintf(keys->clients, sizeof keys->clients, "%s/clients", pair->directory);
    mkdir(keys->clients, 0700);
    put_certificate(keys);
}

static void on_note(void *owner, const char *what, const char *name, const char *instance)
{
    struct pair *pair = owner;
    if (strncmp(what, "is refused", 10) == 0)
        snprintf(pair->refused, sizeof pair->refused, "%s %s", name, instance);
}

static void open_with_keys(struct pair *pair, struct keys *keys)
{
    pair_open(pair);
    broker_destroy(&pair->broker);
    make_keys(pair, keys);
    pair->options.listen = keys->listen;
    pair->options.public_key = keys->server.public;
    pair->options.secret_key = keys->server.secret;
    pair->options.clients = keys->clients;
    pair->options.note = on_note;
    for (int port = 20000 + getpid() % 20000, tries = 0; !pair->broker && tries < 50; port++, tries++) {
        snprintf(keys->listen, sizeof keys->listen, "tcp://127.0.0.1:%d", port);
        pair->broker = broker_new(&pair->options);
    }
    assert_non_null(pair->broker);
}

static void close_with_keys(struct pair *pair, struct keys *keys)
{
    char path[256];
    snprintf(path, sizeof path, "%s/client.cert", keys->clients);
    unlink(path);
    rmdir(keys->clients);
    pair_close(pair);
}

static struct actor *actor_by_tcp(struct pair *pair, const struct keys *keys, const struct pair_of_keys *own, const char *name)
{
    struct bus_options options = { .endpoint = keys->listen, .name = name, .instance = "1" };
    if (own) {
        options.server_key = keys->server.public;
        options.public_key = own->public;
        options.secret_key = own->secret;
    }
    return actor_with(pair, options);
}

static void who_has_a_certificate_gets_in_and_nobody_else(void **state)
{
    (void)state;
    struct pair pair;
    struct keys keys;
    char refused[64];
    open_with_keys(&pair, &keys);
    struct actor *stranger = actor_by_tcp(&pair, &keys, &keys.stranger, "stranger");
    struct actor *plain = actor_by_tcp(&pair, &keys, NULL, "plain");
    struct actor *remote = actor_by_tcp(&pair, &keys, &keys.client, "enrich"), *local = actor(&pair, "ingest", "1");
    bus_publishes(local->bus, "event.raw", BUS_LOSSLESS, "enrich");
    bus_listens(remote->bus, "event.raw", BUS_LOSSLESS, "enrich", 100, 1 << 20);
    remote->acks_at_once = true;
    UNTIL(&pair, remote->ups == 1 && local->ups == 1);
    publish(local, "event.raw", "across");
    UNTIL(&pair, local->acked_count == 1);
    settle(&pair);
    assert_int_equal(stranger->ups, 0);
    assert_int_equal(plain->ups, 0);
    assert_int_equal(broker_counters(pair.broker)->peers, 2);
    snprintf(refused, sizeof refused, "127.0.0.1 %s", keys.stranger.public);
    assert_string_equal(pair.refused, refused); /* the log says whose key to add */
    close_with_keys(&pair, &keys);
}

static void keys_without_a_directory_of_clients_are_refused(void **state)
{
    (void)state;
    struct broker_options options = { .endpoint = "ipc:///tmp/never", .public_key = "x", .secret_key = "y", .silence_ms = 1000 };
    errno = 0;
    assert_null(broker_new(&options));
    assert_int_equal(errno, EINVAL);
}

static void a_wrong_address_or_key_is_told(void **state)
{
    (void)state;
    struct bus_options options = { .endpoint = "nonsense", .name = "a", .instance = "1" };
    assert_null(bus_new(&options));
    options.endpoint = "ipc:///tmp/never";
    options.server_key = options.public_key = options.secret_key = "too short";
    assert_null(bus_new(&options));
    options.server_key = NULL;
    options.name = "";
    assert_null(bus_new(&options));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_a_certificate_gets_in_and_nobody_else),
        cmocka_unit_test(keys_without_a_directory_of_clients_are_refused),
        cmocka_unit_test(a_wrong_address_or_key_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
