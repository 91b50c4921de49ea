/* server.c - sockets: listens, accepts, and moves bytes. The only file that knows libwebsockets.
 *
 * libwebsockets 4.1.6 waits and moves the bytes (its raw role); the requests are read by
 * http.c, because its own HTTP parser closes the connection without a word on headers such as
 * `X-Auth` (any proper prefix of a name it knows), on heads over 4 KiB and on long targets, and
 * takes two lengths. WebSockets can still be handed to it (lws_adopt_socket_readbuf). */
#include "reply.h"

#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OTHER_DESCRIPTORS = 64 };

struct server { int listener; struct lws_vhost *vhost; struct self *self; };

/* --- the transport --- */

static void ask_for_close(connection_t *c)
{
    if (c->socket)
        lws_set_timeout(c->socket, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void flush(connection_t *c)
{
    struct lws *wsi = c->socket;
    struct slice piece;
    while (wsi && !lws_partial_buffered(wsi) && (piece = connection_output(c)).size) {
        size_t size = piece.size < PIECE_BYTES ? piece.size : PIECE_BYTES;
        if (lws_write(wsi, (unsigned char *)(uintptr_t)piece.data, size, LWS_WRITE_RAW) < 0) {
            ask_for_close(c);
            return;
        }
        connection_wrote(c, size);
    }
    if (wsi && (connection_output(c).size || lws_partial_buffered(wsi)))
        lws_callback_on_writable(wsi);
}

static void wake(connection_t *c)
{
    if (c->socket)
        lws_callback_on_writable(c->socket);
}

static void finish(connection_t *c)
{
    wake(c); /* libwebsockets may still hold a part: see on_writable */
}

static void reading(connection_t *c, bool wanted)
{
    if (c->socket)
        lws_rx_flow_control(c->socket, wanted);
}

static const struct transport sockets = { flush, wake, ask_for_close, finish, reading };

/* --- callbacks --- */

static int on_adopted(struct lws *wsi)
{
    struct server *server = lws_vhost_user(lws_get_vhost(wsi));
    connection_t *c = connection_new(server->self, wsi);
    if (!c)
        return -1;
    lws_set_wsi_user(wsi, c);
    return 0;
}

static int on_writable(struct lws *wsi, connection_t *c)
{
    connection_wrote(c, 0); /* a stream may have more to say */
    flush(c);
    if (c->state == DRAINING && !lws_partial_buffered(wsi))
        shutdown(lws_get_socket_fd(wsi), SHUT_WR); /* so that the reply is not lost with unread input */
    return 0;
}

static int on_connection(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    connection_t *c = user;
    switch (reason) {
    case LWS_CALLBACK_RAW_ADOPT: return on_adopted(wsi);
    case LWS_CALLBACK_RAW_RX:
        if (c)
            connection_take(c, (struct slice){ in, size });
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE: return c ? on_writable(wsi, c) : 0;
    case LWS_CALLBACK_RAW_CLOSE:
        if (c)
            connection_destroy(&c);
        lws_set_wsi_user(wsi, NULL);
        return 0;
    default: return 0;
    }
}

/* Not read: it is told why, and closed. */
static void turn_away(struct server *server, int fd)
{
    msgpack_sbuffer text;
    char unread[4096];
    connection_refusal(server->self, &text);
    ssize_t n = send(fd, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    n = recv(fd, unread, sizeof unread, MSG_DONTWAIT); /* what is left unread would take the reply back */
    (void)n;
    msgpack_sbuffer_destroy(&text);
    close(fd);
}

static void accept_one(struct server *server, int fd)
{
    int on = 1;
    if (server->self->open >= server->self->open_max) {
        turn_away(server, fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    lws_sock_file_fd_type what = { .sockfd = fd };
    lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_SOCKET, what, "connection", NULL); /* closes it on failure */
}

static int on_listener(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    (void)user, (void)in, (void)size;
    if (reason != LWS_CALLBACK_RAW_RX_FILE)
        return 0;
    struct server *server = lws_vhost_user(lws_get_vhost(wsi));
    for (int i = 0; i < 64; i++) {
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        accept_one(server, fd);
    }
    return 0;
}

static const struct lws_protocols protocols[] = {
    { .name = "connection", .callback = on_connection },
    { .name = "listener", .callback = on_listener },
    { .name = NULL },
};

/* --- opening --- */

/* As many descriptors as we may have, up to what all connections need: accept() never lacks one. */
static size_t raise_descriptors(size_t wanted)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
        return wanted;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &limit);
    return getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > wanted ? wanted : (size_t)limit.rlim_cur;
}

void server_options(struct lws_context_creation_info *info)
{
    raise_descriptors(CONNECTIONS_MAX + OTHER_DESCRIPTORS);
    info->pt_serv_buf_size = 16384;
    info->fd_limit_per_thread = CONNECTIONS_MAX + OTHER_DESCRIPTORS;
}

static int refuse_listening(struct self *self, int error)
{
    actor_error(self->actor, "cannot listen on %s port %lld: %s%s", self->config.bind, (long long)self->config.port,
        strerror(error), error == EADDRINUSE ? "; choose another port with GATEWAY_PORT" : "");
    return error == EADDRNOTAVAIL || error == EACCES ? 100 : 111;
}

static int open_listener(struct self *self, const struct addrinfo *address)
{
    int on = 1, fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return refuse_listening(self, errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) || listen(fd, 511)) {
        int error = errno;
        close(fd);
        return refuse_listening(self, error);
    }
    self->server->listener = fd;
    return 0;
}

static int listen_on(struct self *self)
{
    struct addrinfo wanted = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *found;
    char port[16];
    snprintf(port, sizeof port, "%lld", (long long)self->config.port);
    const char *name = !strcmp(self->config.bind, "localhost") ? "127.0.0.1" : self->config.bind;
    if (getaddrinfo(name, port, &wanted, &found)) {
        actor_error(self->actor, "bind: %s is no address", name);
        return 100;
    }
    int result = open_listener(self, found);
    freeaddrinfo(found);
    return result;
}

static int adopt_listener(struct self *self, actor_t *actor)
{
    struct server *server = self->server;
    struct lws_context_creation_info info = { .port = CONTEXT_PORT_NO_LISTEN, .vhost_name = "gateway",
        .protocols = protocols, .user = server };
    server->vhost = lws_create_vhost(actor_lws(actor), &info);
    int fd = dup(server->listener); /* libwebsockets closes the one it is given */
    lws_sock_file_fd_type what = { .filefd = fd };
    if (!server->vhost || fd < 0 || !lws_adopt_descriptor_vhost(server->vhost, LWS_ADOPT_RAW_FILE_DESC, what, "listener", NULL)) {
        actor_error(actor, "cannot wait for connections: %s", strerror(errno));
        return 111;
    }
    return 0;
}

static void say_where(struct self *self, actor_t *actor)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    char host[64], port[16];
    getsockname(self->server->listener, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    bool six = strchr(host, ':') != NULL;
    actor_info(actor, "listening on http://%s%s%s:%s/", six ? "[" : "", host, six ? "]" : "", port);
}

int server_open(struct self *self, actor_t *actor)
{
    self->transport = &sockets;
    self->server = calloc(1, sizeof *self->server);
    assert(self->server);
    *self->server = (struct server){ .listener = -1, .self = self };
    size_t descriptors = raise_descriptors(CONNECTIONS_MAX + OTHER_DESCRIPTORS);
    self->open_max = descriptors > 2 * OTHER_DESCRIPTORS ? descriptors - OTHER_DESCRIPTORS : OTHER_DESCRIPTORS;
    int result = listen_on(self);
    if (result == 0)
        result = adopt_listener(self, actor);
    if (result == 0)
        say_where(self, actor);
    return result;
}

void server_close(struct self *self)
{
    if (!self->server)
        return;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (self->connections[i]) {
            lws_set_wsi_user(self->connections[i]->socket, NULL);
            connection_destroy(&self->connections[i]);
        }
    if (self->server->listener >= 0)
        close(self->server->listener);
    if (self->server->vhost)
        lws_vhost_destroy(self->server->vhost);
    free(self->server);
    self->server = NULL;
}
