/* test_broker_keys.c - CURVE on tcp: who has a certificate gets in, nobody else does. */
#include "pair.h"

struct keys { zcert_t *server, *client, *stranger; char clients[128], listen[64]; };

static void make_keys(struct pair *pair, struct keys *keys)
{
    char path[256];
    keys->server = zcert_new();
    keys->client = zcert_new();
    keys->stranger = zcert_new();
    snprintf(keys->clients, sizeof keys->clients, "%s/clients", pair->directory);
    mkdir(keys->clients, 0700);
    snprintf(path, sizeof path, "%s/client.cert", keys->clients);
    assert_int_equal(zcert_save_public(keys->client, path), 0);
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
    pair->options.public_key = zcert_public_txt(keys->server);
    pair->options.secret_key = zcert_secret_txt(keys->server);
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
    zcert_destroy(&keys->server);
    zcert_destroy(&keys->client);
    zcert_destroy(&keys->stranger);
}

static struct actor *actor_by_tcp(struct pair *pair, const struct keys *keys, zcert_t *cert, const char *name)
{
    struct bus_options options = { .endpoint = keys->listen, .name = name, .instance = "1" };
    if (cert) {
        options.server_key = zcert_public_txt(keys->server);
        options.public_key = zcert_public_txt(cert);
        options.secret_key = zcert_secret_txt(cert);
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
    struct actor *stranger = actor_by_tcp(&pair, &keys, keys.stranger, "stranger");
    struct actor *plain = actor_by_tcp(&pair, &keys, NULL, "plain");
    struct actor *remote = actor_by_tcp(&pair, &keys, keys.client, "enrich"), *local = actor(&pair, "ingest", "1");
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
    snprintf(refused, sizeof refused, "127.0.0.1 %s", zcert_public_txt(keys.stranger));
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
