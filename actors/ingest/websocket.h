/* websocket.h - one WebSocket client connection. The only place that knows libwebsockets.
 *
 * Fragments are put together, pings answered, certificates verified. Reading never waits:
 * whoever receives a message must be done with it when the call returns. After
 * websocket_close() nothing is reported any more. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "endpoints.h"

typedef struct websocket websocket_t;
struct lws_context;
struct lws_context_creation_info;

struct websocket_hooks {
    void (*opened)(void *owner);
    void (*received)(void *owner, struct slice message); /* whole */
    void (*heard)(void *owner);                          /* some bytes of one, or a pong */
    void (*closed)(void *owner, int http_status, const char *why); /* the websocket is gone; 0: no HTTP answer */
};

/* What the context must be made with. `ca_file` NULL: the system's certificates. */
void websocket_prepare(struct lws_context_creation_info *, const char *ca_file);

/* Dial. NULL: it failed at once. The strings are copied. */
websocket_t *websocket_open(struct lws_context *, const struct endpoint *, bool verify, size_t message_max,
    const struct websocket_hooks *, void *owner);
void websocket_send(websocket_t *, struct slice text);
void websocket_hold(websocket_t *, bool held);           /* stop reading, and start again */
void websocket_close(websocket_t *);

#endif
