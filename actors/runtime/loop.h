/* loop.h - who waits: poll (loop_zmq.c), or libwebsockets for actors with sockets of their own
 * (loop_lws.c); chosen at link time. Everything the runtime waits for lies behind one epoll
 * descriptor, which either can watch. */
#ifndef LOOP_H
#define LOOP_H

#include "actor.h"

typedef struct loop loop_t;

/* Watches `fd`. NULL if the sockets could not be made: it has been logged. `fill` says what
 * the actor wants of libwebsockets; it is not called where there is none. */
typedef void loop_fill_fn(actor_t *, struct lws_context_creation_info *);
loop_t *loop_new(actor_t *, int fd, loop_fill_fn *fill);
void loop_destroy(loop_t **self_p);

/* Wait until fd is readable or timeout_ms have passed; 0: only look. Handles sockets. */
void loop_wait(loop_t *, int timeout_ms);
struct lws_context *loop_lws(loop_t *);  /* or NULL */

#endif
