/* websocket.c - libwebsockets as a client: dial, put messages together, send what is queued. */
#include "websocket.h"

#include <assert.h>
#include <czmq.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES (128 * 1024)           /* one read, and one RECEIVE callback */
#define KEPT_BYTES    ((size_t)1024 * 1024)  /* of the reassembly buffer, after a huge message */
#define SOCKET_BYTES  (8 * 1024 * 1024)
#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

struct websocket {
    struct websocket_hooks hooks;
    void *owner;
    struct lws *wsi;
    size_t message_max;
    bool is_dialling;   /* inside lws_client_connect_via_info */
    bool is_gone;       /* libwebsockets has done with it */
    bool is_closed;     /* we have */
    zlistx_t *sending;  /* struct outgoing */
    char *buffer;       /* a message that came in parts */
    size_t size, room;
};

struct outgoing { size_t size; unsigned char bytes[]; }; /* LWS_PRE bytes before the text */

static void websocket_free(struct websocket *self)
{
    for (struct outgoing *out; (out = zlistx_detach(self->sending, NULL)) != NULL;) {
        explicit_bzero(out->bytes, LWS_PRE + out->size);
        free(out);
    }
    zlistx_destroy(&self->sending);
    free(self->buffer);
    free(self);
}

/* --- receiving ------------------------------------------------------------------------- */

static int keep(struct websocket *self, const void *in, size_t size)
{
    if (size > self->message_max - self->size)
        return -1;
    if (self->size + size > self->room) {
        self->room = 2 * (self->size + size);
        if (self->room > self->message_max)
            self->room = self->message_max;
        self->buffer = realloc(self->buffer, self->room);
        assert(self->buffer);
    }
    if (size > 0)
        memcpy(self->buffer + self->size, in, size);
    self->size += size;
    return 0;
}

static void give_back(struct websocket *self)
{
    self->size = 0;
    if (self->room <= KEPT_BYTES)
        return;
    free(self->buffer);
    self->buffer = NULL;
    self->room = 0;
}

static int on_receive(struct websocket *self, const void *in, size_t size)
{
    bool is_whole = lws_is_final_fragment(self->wsi) && lws_remaining_packet_payload(self->wsi) == 0;
    if (is_whole && self->size == 0) {
        if (size > 0)
            self->hooks.received(self->owner, (struct slice){ in, size });
        return 0;
    }
    if (keep(self, in, size)) {
        self->is_gone = true;
        lws_set_wsi_user(self->wsi, NULL);
        self->hooks.closed(self->owner, 0, "a message larger than frame_max_bytes");
        websocket_free(self);
        return -1;
    }
    if (!is_whole) {
        self->hooks.heard(self->owner);
        return 0;
    }
    struct slice message = { self->buffer, self->size };
    if (message.size > 0)
        self->hooks.received(self->owner, message);
    give_back(self);
    return 0;
}

/* --- sending --------------------------------------------------------------------------- */

static int on_writeable(struct websocket *self)
{
    struct outgoing *out = zlistx_detach(self->sending, NULL);
    if (!out)
        return 0;
    int written = lws_write(self->wsi, out->bytes + LWS_PRE, out->size, LWS_WRITE_TEXT);
    bool good = written >= (int)out->size;
    explicit_bzero(out->bytes, LWS_PRE + out->size); /* it may have been the token */
    free(out);
    if (zlistx_size(self->sending) > 0)
        lws_callback_on_writable(self->wsi);
    return good ? 0 : -1;
}

void websocket_send(websocket_t *self, struct slice text)
{
    if (text.size == 0)
        return; /* 4.1.6 dies of an empty write on some connections */
    struct outgoing *out = malloc(sizeof *out + LWS_PRE + text.size);
    assert(out);
    out->size = text.size;
    memcpy(out->bytes + LWS_PRE, text.data, text.size);
    zlistx_add_end(self->sending, out);
    if (self->wsi)
        lws_callback_on_writable(self->wsi);
}

/* --- the socket ------------------------------------------------------------------------- */

static long read_number(const char *path, int which)
{
    long numbers[3] = { 0 };
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int got = fscanf(file, "%ld %ld %ld", &numbers[0], &numbers[1], &numbers[2]);
    fclose(file);
    return got > which ? numbers[which] : 0;
}

/* Home Assistant counts on deep TCP buffers. Asking for a size turns the kernel's own growing
 * off, so ask only where that gives more. */
static void deepen(int fd)
{
    long most = read_number("/proc/sys/net/core/rmem_max", 0), grows_to = read_number("/proc/sys/net/ipv4/tcp_rmem", 2);
    int bytes = SOCKET_BYTES;
    if (grows_to < bytes && most > grows_to)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

/* Nothing is called back any more: tell, unless we closed it ourselves, and free. */
static void on_gone(struct websocket *self, int http_status, const char *why)
{
    self->is_gone = true;
    self->wsi = NULL;
    if (self->is_dialling)
        return; /* websocket_open() says so */
    if (!self->is_closed)
        self->hooks.closed(self->owner, http_status, why);
    websocket_free(self);
}

static void on_refused(struct lws *wsi, struct websocket *self, const char *in, size_t size)
{
    char why[200];
    int status = (int)lws_http_client_http_response(wsi);
    if (status > 0 && status != 101)
        snprintf(why, sizeof why, "HTTP %d", status);
    else
        snprintf(why, sizeof why, "%.*s", in ? (int)(size < 150 ? size : 150) : 13, in ? in : "no connection");
    on_gone(self, status == 101 ? 0 : status, why);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    struct websocket *self = user;
    if (!self)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        self->wsi = wsi;
        if (self->is_closed)
            return -1;
        deepen(lws_get_socket_fd(wsi));
        self->hooks.opened(self->owner);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return self->is_closed ? -1 : on_receive(self, in, size);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        if (!self->is_closed)
            self->hooks.heard(self->owner);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return self->is_closed ? -1 : on_writeable(self);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_wsi_user(wsi, NULL);
        on_refused(wsi, self, in, size);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        lws_set_wsi_user(wsi, NULL);
        on_gone(self, 0, "the connection was closed");
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    { .name = "home-assistant", .callback = on_event, .rx_buffer_size = RECEIVE_BYTES },
    { 0 },
};

void websocket_prepare(struct lws_context_creation_info *info, const char *ca_file)
{
    info->protocols = protocols;
    info->options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info->pt_serv_buf_size = RECEIVE_BYTES;
    info->extensions = NULL;
    if (ca_file && *ca_file)
        info->client_ssl_ca_filepath = ca_file;
    else if (access(SYSTEM_CERTIFICATES, R_OK) == 0)
        info->client_ssl_ca_filepath = SYSTEM_CERTIFICATES;
}

websocket_t *websocket_open(struct lws_context *context, const struct endpoint *endpoint, bool verify,
    size_t message_max, const struct websocket_hooks *hooks, void *owner)
{
    struct websocket *self = calloc(1, sizeof *self);
    assert(self);
    self->hooks = *hooks;
    self->owner = owner;
    self->message_max = message_max;
    self->sending = zlistx_new();
    char host[300];
    bool is_ip6 = strchr(endpoint->host, ':') != NULL;
    snprintf(host, sizeof host, "%s%s%s:%d", is_ip6 ? "[" : "", endpoint->host, is_ip6 ? "]" : "", endpoint->port);
    int tls = endpoint->tls ? LCCSCF_USE_SSL : 0;
    if (endpoint->tls && !verify)
        tls |= LCCSCF_ALLOW_SELFSIGNED | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK | LCCSCF_ALLOW_EXPIRED
            | LCCSCF_ALLOW_INSECURE;
    struct lws_client_connect_info info = { .context = context, .address = endpoint->host, .port = endpoint->port,
        .ssl_connection = tls, .path = endpoint->path,
        .vhost = lws_get_vhost_by_name(context, "default"), .host = host, .ietf_version_or_minus_one = -1, .userdata = self,
        .pwsi = &self->wsi, .local_protocol_name = protocols[0].name, .alpn = "http/1.1" };
    self->is_dialling = true;
    struct lws *wsi = lws_client_connect_via_info(&info);
    self->is_dialling = false;
    if (wsi && !self->is_gone)
        return self;
    websocket_free(self);
    return NULL;
}

void websocket_hold(websocket_t *self, bool held)
{
    if (self->wsi)
        (void)lws_rx_flow_control(self->wsi, !held);
}

void websocket_close(websocket_t *self)
{
    self->is_closed = true;
    if (self->wsi && !self->is_gone)
        lws_set_timeout(self->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}
