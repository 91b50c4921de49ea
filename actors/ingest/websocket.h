/* websocket.h - one WebSocket client connection. The only place that knows libwebsockets.
 *
 * Libwebsockets dials, waits, reads and writes bytes; its own reader of frames goes byte by
 * byte, so ours stand above it: tls.h, upgrade.h, frames.h. Reading never waits: the messages
 * of one read live until `done` returns. After websocket_close(), which may be called while
 * they live, nothing is reported any more. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "endpoints.h"

typedef struct websocket websocket_t;
struct lws_context;
struct lws_context_creation_info;

struct websocket_hooks {
    void (*opened)(void *owner);
    void (*received)(void *owner, struct slice message); /* whole; it lives until `done` */
    void (*done)(void *owner);                           /* with the messages of this read */
    void (*skipped)(void *owner, uint64_t size);         /* a message larger than message_max is over, and lost */
    void (*heard)(void *owner);                          /* some bytes of one, or a pong */
    void (*behind)(void *owner);                         /* a read was full: more waits */
    void (*closed)(void *owner, int http_status, const char *why); /* the websocket is gone; 0: no HTTP answer */
};

struct websocket_options {
    size_t message_max;
    bool verify;            /* the certificate, where the endpoint has TLS */
    const char *ca_file;    /* NULL: the system's certificates */
};

/* What the context must be made with. */
void websocket_prepare(struct lws_context_creation_info *);

/* Dial. NULL: it failed at once, and *why says why. The strings are copied. */
websocket_t *websocket_open(struct lws_context *, const struct endpoint *, const struct websocket_options *,
    const struct websocket_hooks *, void *owner, const char **why);
void websocket_send(websocket_t *, struct slice text);
void websocket_hold(websocket_t *, bool held);           /* stop reading, and start again */
void websocket_close(websocket_t *);

#endif
