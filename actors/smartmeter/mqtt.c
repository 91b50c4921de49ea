/* mqtt.c - a meter that speaks through an MQTT server; the only file that knows libmosquitto.
 *
 * A message that the server had kept (retained) is passed over: nobody knows how old it is. Values of several
 * topics that come together are one reading.
 *
 * The library takes a message of any size (256 MB), has no bound for it, and version 5 of the protocol, which has one, cannot be
 * connected to without waiting. So what has been read of the connection since the last whole message is counted by the kernel's numbers. */
#include "smartmeter.h"
#include "mapping.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <mosquitto.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { GATHER_MS = 200, BEAT_MS = 1000, CONNECT_BEATS = 15, KEEPALIVE_S = 60, AGAIN_MS = 1000, AGAIN_MOST_MS = 60000, PACKETS = 64, COUNTER_HOLDS_S = 7200 };
enum { MESSAGE_BYTES = 1 << 20, BUFFER_BYTES = 1 << 17 };

struct mqtt {
    source_t *source;
    struct mosquitto *client;
    struct mappings mappings;
    char host[256];
    int port, fd;                 /* -1: not connected */
    bool is_tls, is_up, is_gathering;
    bool is_whole;                /* a message has come to its end since that was asked last */
    uint64_t whole_bytes;         /* read of the connection until then */
    const char *refused;          /* why the server wants no connection; NULL: it does */
    int again_ms, beats;          /* beats: since connecting began */
};

/* --- where the server is ------------------------------------------------------------------------------ */

static const char *read_address(const char *url, char host[256], int *port, bool *is_tls)
{
    *is_tls = strncmp(url, "mqtts://", 8) == 0;
    if (!*is_tls && strncmp(url, "mqtt://", 7) != 0)
        return "is neither mqtt:// nor mqtts://";
    const char *at = url + (*is_tls ? 8 : 7), *end = at + strcspn(at, "/"), *bracket = *at == '[' ? strchr(at, ']') : NULL;
    const char *colon = memchr(bracket ? bracket : at, ':', (size_t)(end - (bracket ? bracket : at)));
    size_t size = (size_t)((colon ? colon : end) - at);
    char *after = NULL;
    *port = *is_tls ? 8883 : 1883;
    if (colon)
        *port = (int)strtol(colon + 1, &after, 10);
    if (size == 0 || size >= 256 || memchr(at, '@', size) || (colon && (after != end || *port < 1 || *port > 65535)))
        return "is not mqtt://host or mqtt://host:port; user and password are settings of their own";
    snprintf(host, 256, "%.*s", (int)(bracket ? size - 2 : size), bracket ? at + 1 : at);
    return NULL;
}

int mqtt_check(struct self *self, actor_t *actor)
{
    struct mappings mappings;
    char host[256], why[300];
    int port;
    bool is_tls;
    const char *wrong = read_address(self->config.mqtt_url, host, &port, &is_tls);
    if (wrong)
        actor_error(actor, "smartmeter.mqtt_url: %s", wrong);
    else if (mappings_read(self->config.mqtt_topics, self->config.has_mqtt_prefix ? self->config.mqtt_prefix : "", &mappings, why, sizeof why))
        actor_error(actor, "smartmeter.mqtt_topics: %s", why);
    else
        return 0;
    return -1;
}

/* --- a reading --------------------------------------------------------------------------------------------- */

static bool is_counter(const struct field *f)
{
    return f->state_class != NULL;
}

static void put_members(struct mqtt *self, struct smartmeter_reading *reading, int64_t now_us)
{
    const struct schema *schema = smartmeter_reading_schema();
    const struct smartmeter_config *config = &source_self(self->source)->config;
    int64_t holds_s = config->has_stale_s ? config->stale_s : 300;
    double value;
    for (const struct field *f = schema->fields; f < schema->fields + schema->count; f++) {
        int64_t since_us = now_us - INT64_C(1000000) * (is_counter(f) && holds_s < COUNTER_HOLDS_S ? COUNTER_HOLDS_S : holds_s);
        if (f->kind == REAL_KIND && mappings_value(&self->mappings, f->name, since_us, &value))
            source_odd(self->source, !pick_put(schema, f->name, value, reading));
    }
}

static void put_circuits(struct mqtt *self, int64_t now_us)
{
    struct circuits *circuits = &source_self(self->source)->circuits;
    double value;
    circuits_clear(circuits);
    for (size_t i = 0; i < self->mappings.count; i++) {
        const char *member = self->mappings.rows[i].member;
        bool is_first = strncmp(member, "circuit:", 8) == 0;
        for (size_t j = 0; j < i && is_first; j++)
            is_first = strcmp(self->mappings.rows[j].member, member) != 0;
        if (is_first)
            circuits_add(circuits, member + 8, NULL, mappings_value(&self->mappings, member, now_us - INT64_C(600000000), &value) ? &value : NULL);
    }
}

static void on_gathered(struct self *owner, actor_t *actor, int64_t tag)
{
    struct mqtt *self = owner->mqtt;
    int64_t now_us = actor_now_us(actor);
    double at_us;
    (void)tag;
    if (!self)
        return;
    struct smartmeter_reading *reading = source_draft(self->source);
    self->is_gathering = false;
    put_members(self, reading, now_us);
    put_circuits(self, now_us);
    SET(reading, as_of, mappings_value(&self->mappings, "as_of", now_us - INT64_C(300000000), &at_us) ? (int64_t)at_us : now_us);
    meter_push(self->source);
}

static void on_message(struct mosquitto *client, void *owner, const struct mosquitto_message *message)
{
    struct mqtt *self = owner;
    actor_t *actor = source_actor(self->source);
    size_t odd;
    (void)client;
    self->is_whole = true;
    if (message->retain)
        return;
    size_t count = mappings_take(&self->mappings, source_json(self->source), message->topic, (struct slice){ message->payload, (size_t)message->payloadlen },
        actor_now_us(actor), &odd);
    source_odd(self->source, odd);
    if (count > 0 && !self->is_gathering) {
        actor_after(actor, GATHER_MS, on_gathered, 0);
        self->is_gathering = true;
    }
}

/* --- the connection --------------------------------------------------------------------------------------------- */

static void connect_now(struct mqtt *);

static void on_again(struct self *owner, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    if (owner->mqtt && owner->mqtt->fd < 0)
        connect_now(owner->mqtt);
}

static void forget(struct mqtt *self)
{
    if (self->fd >= 0)
        actor_unlisten(source_actor(self->source), self->fd);
    self->fd = -1;
    self->is_up = false;
}

static void lose(struct mqtt *self, const char *why)
{
    char text[200];
    if (self->fd >= 0) {
        actor_unlisten(source_actor(self->source), self->fd);
        self->fd = -1;
        mosquitto_disconnect(self->client);
    }
    forget(self);
    snprintf(text, sizeof text, "%.80s: %.110s", self->host, why);
    source_trouble(self->source, text);
    actor_cancel(source_actor(self->source), on_again, 0);
    actor_after(source_actor(self->source), self->again_ms, on_again, 0);
    self->again_ms = self->again_ms * 2 < AGAIN_MOST_MS ? self->again_ms * 2 : AGAIN_MOST_MS;
}

static void on_ready(struct self *owner, actor_t *, int fd, uint32_t events);

/* The library's socket: another one, or none, after anything that it did. */
static void look(struct mqtt *self)
{
    actor_t *actor = source_actor(self->source);
    int fd = mosquitto_socket(self->client);
    if (fd >= 0) {
        self->fd = fd;
        actor_listen(actor, fd, mosquitto_want_write(self->client) ? EPOLLIN | EPOLLOUT : EPOLLIN, on_ready);
    }
}

/* What has been read of the connection, of TLS packed. */
static uint64_t bytes_of(int fd)
{
    struct tcp_info info = { .tcpi_bytes_received = 0 };
    socklen_t size = sizeof info;
    int unread = 0;
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) || ioctl(fd, FIONREAD, &unread))
        return 0;
    uint64_t received = info.tcpi_bytes_received, left = unread > 0 ? (uint64_t)unread : 0;
    return received > left ? received - left : 0;
}

static bool is_too_large(struct mqtt *self)
{
    uint64_t bytes = bytes_of(mosquitto_socket(self->client));
    if (self->is_whole)
        self->whole_bytes = bytes;
    self->is_whole = false;
    return bytes > self->whole_bytes + MESSAGE_BYTES;
}

/* What TLS has unpacked already makes no socket readable: read until it says that there is no more. */
static int read_all(struct mqtt *self)
{
    for (int i = 0; i < PACKETS; i++) {
        errno = 0;
        int rc = mosquitto_loop_read(self->client, 1);
        bool is_empty = errno == EAGAIN;
        if (rc)
            return rc;
        if (is_too_large(self))
            return MOSQ_ERR_OVERSIZE_PACKET;
        if (is_empty)
            return 0;
    }
    return 0;
}

static const char *words_of(const struct mqtt *self, int rc)
{
    return self->refused ? self->refused : rc == MOSQ_ERR_ERRNO ? strerror(errno) : rc == MOSQ_ERR_OVERSIZE_PACKET ? "a message of more than 1 MiB comes in one of smartmeter.mqtt_topics: it is not read"
        : rc ? mosquitto_strerror(rc) : "the connection has ended";
}

static void on_ready(struct self *owner, actor_t *actor, int fd, uint32_t events)
{
    struct mqtt *self = owner->mqtt;
    (void)actor, (void)fd;
    int rc = events & EPOLLOUT ? mosquitto_loop_write(self->client, 1) : 0;
    if (rc == 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        rc = read_all(self);
    if (rc == MOSQ_ERR_OVERSIZE_PACKET)
        self->again_ms = AGAIN_MOST_MS; /* the server may have kept it, and says it again at once */
    if (self->fd >= 0 && (rc || mosquitto_socket(self->client) < 0))
        lose(self, words_of(self, rc));
    else if (self->fd >= 0)
        look(self);
}

static void on_connect(struct mosquitto *client, void *owner, int code)
{
    struct mqtt *self = owner;
    self->refused = code ? mosquitto_connack_string(code) : NULL;
    if (code)
        return; /* the library ends it now */
    for (size_t i = 0; i < self->mappings.count; i++) {
        bool is_first = true;
        for (size_t j = 0; j < i && is_first; j++)
            is_first = strcmp(self->mappings.rows[j].topic, self->mappings.rows[i].topic) != 0;
        if (is_first)
            mosquitto_subscribe(client, NULL, self->mappings.rows[i].topic, 0);
    }
    self->is_up = true;
    self->again_ms = AGAIN_MS;
    source_note(self->source, NULL);
    source_trouble(self->source, NULL);
}

/* Some servers refuse topics that we may not read; others are silent about it. */
static void on_subscribed(struct mosquitto *client, void *owner, int message, int count, const int *granted)
{
    struct mqtt *self = owner;
    (void)client, (void)message;
    for (int i = 0; i < count; i++)
        if (granted[i] >= 0x80)
            source_note(self->source, "the server does not let smartmeter.mqtt_user read one of smartmeter.mqtt_topics");
}

/* Keep-alive, and the end of a connection that does not come about. */
static void on_beat(struct self *owner, actor_t *actor, int64_t tag)
{
    struct mqtt *self = owner->mqtt;
    (void)tag;
    if (!self)
        return;
    actor_after(actor, BEAT_MS, on_beat, 0);
    if (self->fd < 0)
        return;
    int rc = mosquitto_loop_misc(self->client);
    if (rc)
        lose(self, mosquitto_strerror(rc));
    else if (!self->is_up && ++self->beats > CONNECT_BEATS)
        lose(self, "no answer in 15 s");
    else
        look(self);
}

static void connect_now(struct mqtt *self)
{
    self->beats = 0;
    self->whole_bytes = 0;
    self->refused = NULL;
    setenv("RES_OPTIONS", "timeout:2 attempts:1", 0); /* a name is looked up before we go on */
    int rc = mosquitto_connect_async(self->client, self->host, self->port, KEEPALIVE_S);
    if (rc)
        lose(self, rc == MOSQ_ERR_EAI ? "the host cannot be found" : words_of(self, rc));
    else
        look(self);
    if (self->fd >= 0) /* what is read at once is no more than that */
        setsockopt(self->fd, SOL_SOCKET, SO_RCVBUF, &(int){ BUFFER_BYTES }, sizeof(int));
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

/* 0, or -1: it cannot be used, and has been said. */
static int make_client(struct mqtt *self, const struct smartmeter_config *config)
{
    mosquitto_lib_init();
    self->client = mosquitto_new(NULL, true, self);
    assert(self->client);
    mosquitto_connect_callback_set(self->client, on_connect);
    mosquitto_message_callback_set(self->client, on_message);
    mosquitto_subscribe_callback_set(self->client, on_subscribed);
    int rc = config->has_mqtt_user ? mosquitto_username_pw_set(self->client, config->mqtt_user, config->has_mqtt_password ? config->mqtt_password : NULL) : 0;
    if (rc == 0 && self->is_tls)
        rc = mosquitto_tls_set(self->client, config->has_mqtt_ca ? config->mqtt_ca : NULL, config->has_mqtt_ca ? NULL : "/etc/ssl/certs", NULL, NULL, NULL);
    if (rc)
        actor_error(source_actor(self->source), "smartmeter.%s: %s", self->is_tls ? "mqtt_ca" : "mqtt_user", mosquitto_strerror(rc));
    return rc ? -1 : 0;
}

int mqtt_listen(source_t *source)
{
    struct self *owner = source_self(source);
    struct mqtt *self = calloc(1, sizeof *self);
    char why[300];
    assert(self && !owner->mqtt);
    self->source = source;
    self->fd = -1;
    self->again_ms = AGAIN_MS;
    read_address(owner->config.mqtt_url, self->host, &self->port, &self->is_tls);
    mappings_read(owner->config.mqtt_topics, owner->config.has_mqtt_prefix ? owner->config.mqtt_prefix : "", &self->mappings, why, sizeof why);
    owner->mqtt = self;
    if (make_client(self, &owner->config))
        return -1;
    connect_now(self);
    actor_after(source_actor(source), BEAT_MS, on_beat, 0);
    return 0;
}

void mqtt_hush(source_t *source)
{
    struct self *owner = source_self(source);
    actor_t *actor = source_actor(source);
    if (!owner->mqtt)
        return;
    forget(owner->mqtt);
    actor_cancel(actor, on_again, 0);
    actor_cancel(actor, on_beat, 0);
    actor_cancel(actor, on_gathered, 0);
    mosquitto_disconnect(owner->mqtt->client);
    mosquitto_destroy(owner->mqtt->client);
    mosquitto_lib_cleanup();
    free(owner->mqtt);
    owner->mqtt = NULL;
}
