/* descriptors.c - descriptors that an actor listens to itself: a serial line, a socket of its own, a library's. */
#include "actor_state.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { EVENTS = 8 };

struct descriptor { int fd; ready_fn *ready; };

static struct descriptor *find(actor_t *self, int fd)
{
    for (size_t i = 0; i < self->descriptors_count; i++)
        if (self->descriptors[i].fd == fd)
            return &self->descriptors[i];
    return NULL;
}

/* Most actors have none: the epoll of them is made with the first. */
static void begin(actor_t *self)
{
    self->descriptors_fd = epoll_create1(EPOLL_CLOEXEC);
    assert(self->descriptors_fd >= 0);
    actor_watch(self, self->descriptors_fd);
}

void actor_listen(actor_t *self, int fd, uint32_t events, ready_fn *ready)
{
    struct epoll_event event = { .events = events, .data.fd = fd };
    struct descriptor *known = find(self, fd);
    if (self->descriptors_fd < 0)
        begin(self);
    int rc = epoll_ctl(self->descriptors_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event);
    assert(rc == 0);
    if (known) {
        known->ready = ready;
        return;
    }
    self->descriptors = array_room(self->descriptors, self->descriptors_count, &self->descriptors_size, sizeof *self->descriptors);
    self->descriptors[self->descriptors_count++] = (struct descriptor){ fd, ready };
}

void actor_unlisten(actor_t *self, int fd)
{
    struct descriptor *known = find(self, fd);
    if (!known)
        return;
    *known = self->descriptors[--self->descriptors_count];
    epoll_ctl(self->descriptors_fd, EPOLL_CTL_DEL, fd, NULL);
}

/* Each is looked up when its turn comes: one before it may have ended it. */
void descriptors_work(actor_t *self)
{
    struct epoll_event events[EVENTS];
    int count = self->descriptors_count > 0 ? epoll_wait(self->descriptors_fd, events, EVENTS, 0) : 0;
    for (int i = 0; i < count; i++) {
        struct descriptor *known = find(self, events[i].data.fd);
        if (known)
            known->ready(self->self, self, events[i].data.fd, events[i].events);
    }
}

void descriptors_destroy(actor_t *self)
{
    if (self->descriptors_fd >= 0)
        close(self->descriptors_fd);
    free(self->descriptors);
}
