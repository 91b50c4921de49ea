/* server.h - the home's port: HTTP and WebSocket by libwebsockets, and the clock of its loop. */
#ifndef HOME_SERVER_H
#define HOME_SERVER_H

#include "home.h"

struct server;

struct server *server_new(struct home *); /* NULL if the port cannot be had */
int server_port(const struct server *);
void server_run(struct server *, volatile int *stop); /* until *stop */
void server_destroy(struct server **self_p);

#endif
