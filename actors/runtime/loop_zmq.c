/* loop_zmq.c - wait with poll, for actors without sockets of their own. */
#include "loop.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>

struct loop { int fd; };

loop_t *loop_new(actor_t *actor, int fd, loop_fill_fn *fill)
{
    (void)actor, (void)fill;
    loop_t *self = malloc(sizeof *self);
    assert(self);
    self->fd = fd;
    return self;
}

void loop_destroy(loop_t **self_p)
{
    free(*self_p);
    *self_p = NULL;
}

void loop_wait(loop_t *self, int timeout_ms)
{
    poll(&(struct pollfd){ .fd = self->fd, .events = POLLIN }, 1, timeout_ms);
}

struct lws_context *loop_lws(loop_t *self) { return (void)self, NULL; }
