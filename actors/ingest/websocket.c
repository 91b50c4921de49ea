/* websocket.c - one connection: libwebsockets carries the bytes, and here they meet TLS, the upgrade and the frames. */
#include "websocket.h"
#include "frames.h"
#include "tls.h"
#include "upgrade.h"

#include <assert.h>
#include <czmq.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define RECEIVE_BYTES (128 * 1024)           /* one read, and one RECEIVE callback */
#define CIPHER_BYTES (32 * 1024)             /* one write of TLS */
#define SOCKET_BYTES (64 * 1024 * 1024)      /* as the kernel counts; it doubles what is asked for */
#define SOCKET_ASKED_LEAST (4 * 1024 * 1024)
#define WINDOW_SHARE 4                       /* one part in so many of that may be under way */
#define CLOSE_SECONDS 2                      /* for our answer to a close frame to leave */

struct websocket {
    struct websocket_hooks hooks;
    void *owner;
    struct lws *wsi;
    bool is_dialling;   /* inside lws_client_connect_via_info */
    bool is_gone;       /* libwebsockets has done with it */
    bool is_closed;     /* we have */
    bool is_broken;     /* it must be closed now: `status` and `why` say why */
    bool is_open;
    bool has_received;  /* a message, in this read */
    int status;
    char why[200];
    int window;         /* bytes that may be under way; 0: as many as the kernel likes */
    tls_t *tls;         /* NULL: plain */
    char *plain;        /* RECEIVE_BYTES, out of TLS */
    struct endpoint endpoint;
    char key[UPGRADE_KEY];
    char *answer;       /* UPGRADE_ANSWER bytes, until it is open */
    size_t answer_size;
    frames_t *frames;
    zlistx_t *sending;  /* struct outgoing */
    bool has_control;   /* a pong or a close that has not left yet */
    int control_opcode;
    unsigned char control[FRAME_CONTROL];
    size_t control_size;
};

struct outgoing { size_t size; unsigned char bytes[]; }; /* LWS_PRE bytes before what is sent */

static void outgoing_free(struct outgoing *out)
{
    explicit_bzero(out->bytes, LWS_PRE + out->size); /* it may have been the token */
    free(out);
}

static void websocket_free(struct websocket *self)
{
    for (struct outgoing *out; (out = zlistx_detach(self->sending, NULL)) != NULL;)
        outgoing_free(out);
    zlistx_destroy(&self->sending);
    tls_destroy(&self->tls);
    frames_destroy(&self->frames);
    explicit_bzero(&self->endpoint, sizeof self->endpoint);
    free(self->plain);
    free(self->answer);
    free(self);
}

static void break_off(struct websocket *self, int status, const char *why)
{
    if (self->is_broken)
        return;
    self->is_broken = true;
    self->status = status;
    snprintf(self->why, sizeof self->why, "%s", why);
    if (self->frames)
        frames_stop(self->frames);
}

/* --- sending --------------------------------------------------------------------------- */

static void want_to_write(struct websocket *self)
{
    if (self->wsi)
        (void)lws_callback_on_writable(self->wsi);
}

static struct outgoing *outgoing_new(size_t size)
{
    struct outgoing *out = malloc(sizeof *out + LWS_PRE + size);
    assert(out);
    out->size = size;
    return out;
}

static struct outgoing *frame_of(int opcode, struct slice payload)
{
    unsigned char key[4];
    struct outgoing *out = outgoing_new(FRAME_HEAD + payload.size);
    ssize_t got = getrandom(key, sizeof key, 0);
    assert(got == sizeof key);
    out->size = frames_write(out->bytes + LWS_PRE, opcode, payload, key);
    return out;
}

static int write_bytes(struct websocket *self, unsigned char *bytes, size_t size)
{
    return lws_write(self->wsi, bytes, size, LWS_WRITE_RAW) >= (int)size ? 0 : -1;
}

/* What TLS has for the network; one write. */
static int write_cipher(struct websocket *self)
{
    struct outgoing *out = outgoing_new(CIPHER_BYTES);
    size_t size = tls_pull(self->tls, out->bytes + LWS_PRE, CIPHER_BYTES);
    int bad = size > 0 ? write_bytes(self, out->bytes + LWS_PRE, size) : 0;
    free(out);
    if (tls_has_output(self->tls))
        want_to_write(self);
    return bad;
}

static struct outgoing *next_outgoing(struct websocket *self)
{
    if (!self->has_control)
        return zlistx_detach(self->sending, NULL);
    self->has_control = false;
    return frame_of(self->control_opcode, (struct slice){ self->control, self->control_size });
}

static int on_writeable(struct websocket *self)
{
    if (self->tls && tls_has_output(self->tls)) {
        int bad = write_cipher(self);
        want_to_write(self);
        return bad;
    }
    bool is_last = self->has_control && self->control_opcode == FRAME_CLOSE;
    struct outgoing *out = next_outgoing(self);
    if (!out)
        return 0;
    int bad;
    if (self->tls)
        bad = tls_write(self->tls, (struct slice){ out->bytes + LWS_PRE, out->size }) || write_cipher(self) ? -1 : 0;
    else
        bad = write_bytes(self, out->bytes + LWS_PRE, out->size);
    outgoing_free(out);
    if (self->has_control || zlistx_size(self->sending) > 0)
        want_to_write(self);
    return is_last ? -1 : bad;
}

void websocket_send(websocket_t *self, struct slice text)
{
    if (text.size == 0)
        return;
    zlistx_add_end(self->sending, frame_of(FRAME_TEXT, text));
    want_to_write(self);
}

/* Only the newest ping needs an answer (RFC 6455, 5.5.3): what waits stays small. */
static void send_control(struct websocket *self, int opcode, struct slice payload)
{
    if (self->has_control && self->control_opcode == FRAME_CLOSE)
        return;
    self->has_control = true;
    self->control_opcode = opcode;
    self->control_size = payload.size;
    if (payload.size > 0)
        memcpy(self->control, payload.data, payload.size);
    want_to_write(self);
}

/* --- receiving ------------------------------------------------------------------------- */

static void on_message(void *owner, struct slice message)
{
    struct websocket *self = owner;
    self->has_received = true;
    self->hooks.received(self->owner, message);
}

static void on_done(void *owner)
{
    struct websocket *self = owner;
    if (!self->is_closed)
        self->hooks.done(self->owner);
}

static void on_skipped(void *owner, uint64_t size)
{
    struct websocket *self = owner;
    if (!self->is_closed)
        self->hooks.skipped(self->owner, size);
}

static void on_ping(void *owner, struct slice payload)
{
    send_control(owner, FRAME_PONG, payload);
}

static void on_close_frame(void *owner, int code)
{
    struct websocket *self = owner;
    unsigned char said[2] = { (unsigned char)(code >> 8), (unsigned char)code };
    send_control(self, FRAME_CLOSE, (struct slice){ said, code == CLOSE_UNSAID ? 0 : 2 });
    if (code == CLOSE_UNSAID)
        snprintf(self->why, sizeof self->why, "the connection was closed by the other side");
    else
        snprintf(self->why, sizeof self->why, "the connection was closed by the other side, code %d", code);
    lws_set_timeout(self->wsi, PENDING_TIMEOUT_USER_OK, CLOSE_SECONDS);
}

static const struct frames_hooks frames_hooks = { .message = on_message, .done = on_done, .skipped = on_skipped,
    .ping = on_ping, .closed = on_close_frame };

static void take_frames(struct websocket *self, struct slice bytes)
{
    const char *why;
    if (bytes.size == 0)
        return;
    self->has_received = false;
    if (frames_take(self->frames, bytes, &why))
        break_off(self, 0, why);
    else if (!self->has_received && !self->is_closed)
        self->hooks.heard(self->owner);
}

static void be_open(struct websocket *self, size_t header)
{
    char *answer = self->answer;
    self->answer = NULL;
    self->is_open = true;
    self->hooks.opened(self->owner);
    if (!self->is_closed)
        take_frames(self, (struct slice){ answer + header, self->answer_size - header });
    free(answer);
}

static void refuse(struct websocket *self, int status, const char *why)
{
    char text[160];
    if (status > 0 && status != 101)
        snprintf(text, sizeof text, "HTTP %d%s%s", status, why ? ": " : "", why ? why : "");
    else
        snprintf(text, sizeof text, "this is no WebSocket: %s", why);
    break_off(self, status == 101 ? 0 : status, text);
}

static void take_answer(struct websocket *self, struct slice bytes)
{
    size_t room = UPGRADE_ANSWER - self->answer_size, used = bytes.size < room ? bytes.size : room;
    int status;
    const char *why;
    memcpy(self->answer + self->answer_size, bytes.data, used);
    self->answer_size += used;
    int header = upgrade_answer((struct slice){ self->answer, self->answer_size }, self->key, &status, &why);
    if (header < 0)
        refuse(self, status, why);
    if (header <= 0)
        return;
    be_open(self, (size_t)header);
    if (!self->is_closed && !self->is_broken)
        take_frames(self, (struct slice){ (const char *)bytes.data + used, bytes.size - used });
}

static void take_plain(struct websocket *self, struct slice bytes)
{
    if (self->is_open)
        take_frames(self, bytes);
    else
        take_answer(self, bytes);
}

static void ask_for_websocket(struct websocket *self)
{
    unsigned char random[16];
    ssize_t got = getrandom(random, sizeof random, 0);
    assert(got == sizeof random);
    upgrade_key(self->key, random);
    struct outgoing *out = outgoing_new(UPGRADE_REQUEST);
    out->size = upgrade_request((char *)out->bytes + LWS_PRE, &self->endpoint, self->key);
    zlistx_add_end(self->sending, out);
    self->answer = malloc(UPGRADE_ANSWER);
    assert(self->answer);
    want_to_write(self);
}

/* As much as a read gives at once, so that the messages in it are whole more often. */
static ssize_t fill_plain(struct websocket *self)
{
    ssize_t got = 0, more = 0;
    while (got < RECEIVE_BYTES && (more = tls_read(self->tls, self->plain + got, (size_t)(RECEIVE_BYTES - got))) > 0)
        got += more;
    return got > 0 ? got : more;
}

static void take_cipher(struct websocket *self, struct slice bytes)
{
    bool was_open = tls_is_open(self->tls);
    int bad = tls_take(self->tls, bytes);
    if (!bad && !was_open && tls_is_open(self->tls))
        ask_for_websocket(self);
    ssize_t got = 0;
    while (!bad && tls_is_open(self->tls) && !self->is_closed && !self->is_broken && (got = fill_plain(self)) > 0)
        take_plain(self, (struct slice){ self->plain, (size_t)got });
    if (bad || got < 0)
        break_off(self, 0, tls_why(self->tls));
    if (tls_has_output(self->tls))
        (void)write_cipher(self); /* also the alert that says why we go */
}

/* --- the socket ------------------------------------------------------------------------- */

/* 0 where it cannot be read. */
static int most_allowed(void)
{
    int bytes = 0;
    FILE *file = fopen("/proc/sys/net/core/rmem_max", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%d", &bytes) != 1)
        bytes = 0;
    fclose(file);
    return bytes;
}

/* Home Assistant counts on deep TCP buffers. The kernel lets them grow by itself, to what we read in
 * a round trip: too little for the moment in which we do not read. Asking for a size turns that off,
 * so ask only where much is given: to whoever may (CAP_NET_ADMIN), or where the limit is high. A message
 * of a kilobyte takes two and a half of it: where more is let in than that, the kernel packs all that waits
 * together, which takes 50 ms of our time, or throws some away, and is silent for 200 ms. */
static void deepen(struct websocket *self, int fd)
{
    int bytes = SOCKET_BYTES / 2;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) && most_allowed() >= SOCKET_ASKED_LEAST)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    socklen_t size = sizeof bytes;
    if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size) == 0 && bytes >= SOCKET_ASKED_LEAST)
        self->window = bytes / WINDOW_SHARE;
}

/* As long as the room that is left is larger than the window, what comes while we do not read is acknowledged at once, and the
 * whole buffer fills; with a larger window the kernel acknowledges every 40 ms what little the sender has under way by then,
 * and the buffer stays all but empty. Since Linux 6.6 it forgets the window when a segment is larger than those before. */
static void keep_window(const struct websocket *self, int fd)
{
    if (self->window > 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &self->window, sizeof self->window);
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

static int on_connected(struct websocket *self, struct lws *wsi)
{
    self->wsi = wsi;
    if (self->is_closed)
        return -1;
    deepen(self, lws_get_socket_fd(wsi));
    if (self->tls)
        want_to_write(self);
    else
        ask_for_websocket(self);
    return 0;
}

/* -1: it is over, and `self` is gone. */
static int on_receive(struct websocket *self, struct lws *wsi, struct slice bytes)
{
    keep_window(self, lws_get_socket_fd(wsi));
    if (self->is_open && bytes.size >= RECEIVE_BYTES)
        self->hooks.behind(self->owner);
    if (self->tls)
        take_cipher(self, bytes);
    else
        take_plain(self, bytes);
    if (!self->is_broken || self->is_closed)
        return self->is_closed ? -1 : 0;
    lws_set_wsi_user(wsi, NULL);
    on_gone(self, self->status, self->why);
    return -1;
}

static const char *why_closed(const struct websocket *self)
{
    if (self->why[0])
        return self->why;
    return self->is_open ? "the connection was closed" : "the connection was closed before it was a WebSocket";
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t size)
{
    struct websocket *self = user;
    char why[200];
    if (!self)
        return 0;
    switch (reason) {
    case LWS_CALLBACK_RAW_CONNECTED:
        return on_connected(self, wsi);
    case LWS_CALLBACK_RAW_RX:
        return self->is_closed ? -1 : on_receive(self, wsi, (struct slice){ in, size });
    case LWS_CALLBACK_RAW_WRITEABLE:
        return self->is_closed ? -1 : on_writeable(self);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lws_set_wsi_user(wsi, NULL);
        snprintf(why, sizeof why, "%.*s", in ? (int)(size < 150 ? size : 150) : 13, in ? (const char *)in : "no connection");
        on_gone(self, 0, why);
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        lws_set_wsi_user(wsi, NULL);
        on_gone(self, 0, why_closed(self));
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    { .name = "home-assistant", .callback = on_event, .rx_buffer_size = RECEIVE_BYTES },
    { 0 },
};

void websocket_prepare(struct lws_context_creation_info *info)
{
    info->protocols = protocols;
    info->pt_serv_buf_size = RECEIVE_BYTES;
    info->extensions = NULL;
    info->http_proxy_address = "none:0"; /* else it takes one from the environment, which raw connections cannot use */
}

static int dial(struct websocket *self, struct lws_context *context)
{
    struct lws_client_connect_info info = { .context = context, .address = self->endpoint.host,
        .port = self->endpoint.port, .path = "/", .host = self->endpoint.host, .method = "RAW",
        .vhost = lws_get_vhost_by_name(context, "default"), .ietf_version_or_minus_one = -1, .userdata = self,
        .pwsi = &self->wsi, .local_protocol_name = protocols[0].name };
    self->is_dialling = true;
    struct lws *wsi = lws_client_connect_via_info(&info);
    self->is_dialling = false;
    return wsi && !self->is_gone ? 0 : -1;
}

websocket_t *websocket_open(struct lws_context *context, const struct endpoint *endpoint,
    const struct websocket_options *options, const struct websocket_hooks *hooks, void *owner, const char **why)
{
    struct websocket *self = calloc(1, sizeof *self);
    assert(self);
    self->hooks = *hooks;
    self->owner = owner;
    self->endpoint = *endpoint;
    self->sending = zlistx_new();
    self->frames = frames_new(options->message_max, &frames_hooks, self);
    *why = "cannot connect";
    if (endpoint->tls) {
        self->plain = malloc(RECEIVE_BYTES);
        assert(self->plain);
        self->tls = tls_new(endpoint->host, options->ca_file, options->verify, why);
    }
    if ((!endpoint->tls || self->tls) && dial(self, context) == 0)
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
    frames_stop(self->frames);
    if (self->wsi && !self->is_gone)
        lws_set_timeout(self->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}
