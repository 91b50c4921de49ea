/* loop_lws.c - wait in libwebsockets, for actors with sockets of their own.
 *
 * Debian's libwebsockets 4.1.6 takes no foreign loop, so it is the one who polls: it adopts a
 * dup of our descriptor as a raw file (it closes what it adopts), on a virtual host of ours,
 * and a timer of its own bounds the wait. */
#include "loop.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 512 };

struct loop {
    struct lws_context *context;
    lws_sorted_usec_list_t timeout;
};

/* lws hands nothing of ours to its log function, and has one for the whole process. */
static actor_t *speaker;

static void on_log(int level, const char *line)
{
    int size = (int)strcspn(line, "\n");
    if (speaker && level == LLL_ERR)
        actor_error(speaker, "libwebsockets: %.*s", size, line);
    else if (speaker)
        actor_warn(speaker, "libwebsockets: %.*s", size, line);
}

static int on_readable(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    (void)wsi, (void)reason, (void)user, (void)in, (void)size;
    return 0;  /* waking up is all it is for */
}

static const struct lws_protocols protocols[] = {
    { .name = "runtime", .callback = on_readable },
    { .name = NULL }
};

static int adopt(struct lws_context *context, int fd)
{
    struct lws_context_creation_info info = { .port = CONTEXT_PORT_NO_LISTEN, .vhost_name = "runtime", .protocols = protocols };
    struct lws_vhost *vhost = lws_create_vhost(context, &info);
    int copy = dup(fd);
    if (!vhost || copy < 0)
        return -1;
    lws_sock_file_fd_type file = { .filefd = copy };
    return lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC, file, protocols[0].name, NULL) ? 0 : -1;
}

loop_t *loop_new(actor_t *actor, int fd, loop_fill_fn *fill)
{
    struct lws_context_creation_info info = { .port = CONTEXT_PORT_NO_LISTEN, .fd_limit_per_thread = DESCRIPTORS };
    speaker = actor;
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    fill(actor, &info);
    loop_t *self = calloc(1, sizeof *self);
    assert(self);
    self->context = lws_create_context(&info);
    if (self->context && adopt(self->context, fd) == 0)
        return self;
    actor_error(actor, "cannot open the sockets%s", info.port >= 0 ? ": is the port taken?" : "");
    loop_destroy(&self);
    return NULL;
}

void loop_destroy(loop_t **self_p)
{
    loop_t *self = *self_p;
    if (!self)
        return;
    if (self->context) {
        lws_sul_schedule(self->context, 0, &self->timeout, NULL, LWS_SET_TIMER_USEC_CANCEL);
        lws_context_destroy(self->context);
    }
    speaker = NULL;
    free(self);
    *self_p = NULL;
}

static void on_timeout(lws_sorted_usec_list_t *timeout) { (void)timeout; }

void loop_wait(loop_t *self, int timeout_ms)
{
    if (timeout_ms <= 0) {
        lws_service(self->context, -1);
        return;
    }
    lws_sul_schedule(self->context, 0, &self->timeout, on_timeout, (lws_usec_t)timeout_ms * LWS_US_PER_MS);
    lws_service(self->context, 0);
}

struct lws_context *loop_lws(loop_t *self) { return self->context; }
