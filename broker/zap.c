/* zap.c - who may connect with CURVE: libzmq asks (ZAP, RFC 27), a directory of certificates
 * (certificates.h) answers. Polled by the broker's own loop, where zauth would want a thread and a context. */
#include "certificates.h"
#include "core.h"

#include <assert.h>

enum { ZAP_FRAMES = 7, KEY_BYTES = 32 };

struct zap {
    void *socket;
    const struct broker_options *options;
};

struct zap *zap_new(void *context, const struct broker_options *options)
{
    struct zap *self = calloc(1, sizeof *self);
    assert(self);
    self->options = options;
    self->socket = zmq_socket(context, ZMQ_REP);
    assert(self->socket);
    int linger = 0;
    zmq_setsockopt(self->socket, ZMQ_LINGER, &linger, sizeof linger);
    int rc = zmq_bind(self->socket, "inproc://zeromq.zap.01");
    assert(rc == 0);
    return self;
}

void zap_destroy(struct zap **self_p)
{
    struct zap *self = *self_p;
    if (!self)
        return;
    zmq_close(self->socket);
    free(self);
    *self_p = NULL;
}

void *zap_socket(struct zap *self)
{
    return self->socket;
}

static void say(void *socket, const void *data, size_t size, bool has_more)
{
    zmq_send(socket, data, size, ZMQ_DONTWAIT | (has_more ? ZMQ_SNDMORE : 0));
}

/* Whoever waits for the one who was refused looks into our log. */
static void note_refused(const struct zap *self, const zmq_msg_t *address, const char *key)
{
    char from[64];
    snprintf(from, sizeof from, "%.*s", (int)part_size(address), (const char *)part_data(address));
    if (self->options->note)
        self->options->note(self->options->owner, "is refused: no certificate in broker.clients has this key", from, key);
}

static bool is_known(struct zap *self, const zmq_msg_t *address, const zmq_msg_t *mechanism, const zmq_msg_t *key)
{
    if (part_size(mechanism) != 5 || memcmp(part_data(mechanism), "CURVE", 5) || part_size(key) != KEY_BYTES)
        return false;
    char text[KEY_TEXT + 1];
    zmq_z85_encode(text, part_data(key), KEY_BYTES);
    if (certificates_have(self->options->clients, text))
        return true;
    note_refused(self, address, text);
    return false;
}

/* version, request id, domain, address, identity, mechanism, key. */
static void answer(struct zap *self, const zmq_msg_t frames[], size_t count)
{
    bool is_welcome = count == ZAP_FRAMES && is_known(self, &frames[3], &frames[5], &frames[6]);
    say(self->socket, "1.0", 3, true);
    say(self->socket, count > 1 ? part_data(&frames[1]) : "", count > 1 ? part_size(&frames[1]) : 0, true);
    say(self->socket, is_welcome ? "200" : "400", 3, true);
    say(self->socket, is_welcome ? "OK" : "No access", is_welcome ? 2 : 9, true);
    say(self->socket, "", 0, true);
    say(self->socket, "", 0, false);
}

void zap_work(struct zap *self)
{
    zmq_msg_t frames[ZAP_FRAMES];
    for (;;) {
        size_t count = 0;
        bool has_more = true;
        while (has_more && count < ZAP_FRAMES) {
            zmq_msg_init(&frames[count]);
            if (zmq_msg_recv(&frames[count], self->socket, ZMQ_DONTWAIT) < 0)
                break;
            has_more = zmq_msg_more(&frames[count++]);
        }
        if (count)
            answer(self, frames, has_more ? 0 : count);
        for (size_t i = 0; i < count; i++)
            zmq_msg_close(&frames[i]);
        if (!count)
            return;
    }
}
