/* client.h - a client of the gateway without sockets: bytes in, bytes out. */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "gateway.h"
#include "probe.h"

struct client {
    connection_t *connection;
    char *received;      /* NUL-terminated */
    size_t size;
    bool closed, finished, blocked, unread;
};

static inline void client_flush(connection_t *c)
{
    struct client *client = c->socket;
    struct slice piece;
    while (!client->blocked && (piece = connection_output(c)).size) {
        client->received = realloc(client->received, client->size + piece.size + 1);
        assert_non_null(client->received);
        memcpy(client->received + client->size, piece.data, piece.size);
        client->size += piece.size;
        client->received[client->size] = '\0';
        connection_wrote(c, piece.size);
    }
}

static inline void client_wake(connection_t *c)
{
    connection_wrote(c, 0);
    client_flush(c);
}

static inline void client_close(connection_t *c)
{
    ((struct client *)c->socket)->closed = true;
}

static inline void client_finish(connection_t *c)
{
    ((struct client *)c->socket)->finished = true;
}

static inline void client_reading(connection_t *c, bool wanted)
{
    ((struct client *)c->socket)->unread = !wanted;
}

static const struct transport in_memory = { client_flush, client_wake, client_close, client_finish, client_reading };

static inline probe_t *gateway_new(const char *key, const char *value)
{
    const char *settings[] = { key, value, NULL };
    probe_t *probe = probe_new(settings);
    assert_non_null(probe);
    probe_self(probe)->transport = &in_memory;
    probe_connected(probe, true);
    return probe;
}

static inline struct client *client_new(probe_t *probe)
{
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    client->received = calloc(1, 1);
    client->connection = connection_new(probe_self(probe), client);
    assert_non_null(client->connection);
    return client;
}

static inline void client_destroy(struct client **self_p)
{
    connection_destroy(&(*self_p)->connection);
    free((*self_p)->received);
    free(*self_p);
    *self_p = NULL;
}

static inline void client_say(struct client *client, const char *text)
{
    connection_take(client->connection, slice_of(text));
}

static inline void client_forget(struct client *client)
{
    client->size = 0;
    client->received[0] = '\0';
}

/* GET with the headers that every request needs. */
static inline void client_get(struct client *client, const char *target)
{
    char text[9000];
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost:8006\r\n\r\n", target);
    client_say(client, text);
}

static inline int client_status(const struct client *client)
{
    int status = 0;
    return sscanf(client->received, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

static inline bool client_has(const struct client *client, const char *part)
{
    return strstr(client->received, part) != NULL;
}

static inline const char *client_body(const struct client *client)
{
    const char *end = strstr(client->received, "\r\n\r\n");
    return end ? end + 4 : "";
}

/* One request, one whole reply: its status. */
static inline int ask_status(probe_t *probe, const char *request)
{
    struct client *client = client_new(probe);
    client_say(client, request);
    int status = client_status(client);
    client_destroy(&client);
    return status;
}

#define GET_WITH(header) "GET /api/info HTTP/1.1\r\nHost: localhost\r\n" header "\r\n\r\n"

#endif
