/* server.c - the home's port: the only file that knows libwebsockets. */
#include "server.h"
#include "calendars.h"
#include "shapes.h"

#include <assert.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { WRITE_BYTES = 256 << 10, MAX_BODY_BYTES = 1 << 20, FAST_US = 1000, CALM_US = 20000 };

/* The clock is a timerfd: lws' own timers round down to milliseconds and spin until they are due. */
struct server {
    struct lws_context *context;
    struct lws_vhost *host;
    struct home *home;
    int clock;
    bool fast;
};

/* What lws keeps for each connection: a client's session, or a request's path and body. */
struct peer {
    struct session *session;
    struct text path, body;
};

static struct server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static void wake(struct session *session)
{
    lws_callback_on_writable(session->socket);
}

static void thaw(struct session *session, bool reads)
{
    lws_rx_flow_control(session->socket, reads);
}

/* --- HTTP ------------------------------------------------------------------------------------ */

static int reply(struct lws *wsi, unsigned status, const char *type, struct slice body)
{
    size_t room = LWS_PRE + 1024 + body.size;
    unsigned char *buffer = malloc(room), *at = buffer + LWS_PRE, *end = buffer + LWS_PRE + 1024;
    int failed;

    assert(buffer);
    failed =
        lws_add_http_common_headers(wsi, status, type, body.size, &at, end) || lws_finalize_http_header(wsi, &at, end);
    if (!failed) {
        if (body.size)
            memcpy(at, body.data, body.size);
        size_t size = (size_t)(at - (buffer + LWS_PRE)) + body.size;
        failed = lws_write(wsi, buffer + LWS_PRE, size, LWS_WRITE_HTTP_FINAL) < 0;
    }
    free(buffer);
    return failed || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static bool has_token(struct lws *wsi, const struct home *home)
{
    char header[512] = "";

    if (lws_hdr_copy(wsi, header, sizeof header, WSI_TOKEN_HTTP_AUTHORIZATION) <= 0 ||
        strncmp(header, "Bearer ", 7) != 0)
        return false;
    return !home->revoked && strcmp(header + 7, home->options->token) == 0;
}

/* The events of one calendar: it is asked for a span. */
static int reply_events(struct lws *wsi, const char *entity)
{
    struct text body = {0};
    char from[64], to[64];
    const char *start = lws_get_urlarg_by_name(wsi, "start=", from, sizeof from), *end = lws_get_urlarg_by_name(wsi, "end=", to, sizeof to);
    bool done = calendars_events(&body, entity, slice_of(start ? start : ""), slice_of(end ? end : "")) == 0;
    int failed = reply(wsi, done ? 200 : 400, done ? "application/json" : "text/plain", text_view(&body));
    text_free(&body);
    return failed;
}

static int reply_api(struct lws *wsi, struct home *home, const char *path)
{
    struct text body = {0};

    if (home->now_us < home->cut_until_us)
        return -1;
    if (home->phase == DOWN)
        return reply(wsi, 502, "text/plain", slice_of("502: Bad Gateway"));
    if (!has_token(wsi, home))
        return reply(wsi, 401, "text/plain", slice_of("401: Unauthorized"));
    if (strncmp(path, "/api/calendars/", 15) == 0)
        return reply_events(wsi, path + 15);
    if (strcmp(path, "/api/") == 0)
        text_say(&body, "{\"message\":\"API running.\"}");
    else if (strcmp(path, "/api/config") == 0)
        shape_config(home->world, &body, home->core_state);
    else if (strcmp(path, "/api/calendars") == 0)
        calendars_list(&body);
    else if (strcmp(path, "/api/states") == 0)
        shape_states(home->world, &body);
    int failed = body.size ? reply(wsi, 200, "application/json", text_view(&body))
                           : reply(wsi, 404, "text/plain", slice_of("404: Not Found"));
    text_free(&body);
    return failed;
}

static int reply_control(struct lws *wsi, struct home *home, struct peer *peer)
{
    struct text command = {0}, answer = {0};
    static const char prefix[] = "/control/";

    text_say(&command, peer->path.data + sizeof prefix - 1);
    if (peer->body.size) {
        text_say(&command, " ");
        text_slice(&command, text_view(&peer->body));
    }
    text_free(&peer->body); /* with the reply, lws takes `peer` away */
    text_free(&peer->path);
    bool done = fault_run(home, text_view(&command), &answer);
    int failed =
        reply(wsi, done ? 200 : 400, answer.data[0] == '{' ? "application/json" : "text/plain", text_view(&answer));
    text_free(&command);
    text_free(&answer);
    return failed;
}

static int begin_request(struct lws *wsi, struct home *home, struct peer *peer, const char *path)
{
    char length[24] = "";
    bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;

    if (strncmp(path, "/control/", 9) != 0)
        return reply_api(wsi, home, path);
    if (!post)
        return reply(wsi, 405, "text/plain", slice_of("405: POST it\n"));
    peer->body.size = 0;
    text_set(&peer->path, path, strlen(path) + 1);
    lws_hdr_copy(wsi, length, sizeof length, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (length[0] == 0 || strcmp(length, "0") == 0)
        return reply_control(wsi, home, peer);
    return 0; /* the body follows */
}

/* --- WebSocket --------------------------------------------------------------------------------- */

/* How much of the waiting bytes may go now, for a client that was made slow. */
static size_t allowance(struct session *session, size_t wanted)
{
    if (session->slow_bytes_per_s <= 0)
        return wanted;
    int64_t now_us = moment_now_us();
    session->slow_allowance += (double)(now_us - session->slow_since_us) / 1e6 * session->slow_bytes_per_s;
    session->slow_since_us = now_us;
    if (session->slow_allowance > session->slow_bytes_per_s)
        session->slow_allowance = session->slow_bytes_per_s;
    size_t allowed = session->slow_allowance < 1 ? 0 : (size_t)session->slow_allowance;
    if (allowed > wanted)
        allowed = wanted;
    session->slow_allowance -= (double)allowed;
    return allowed;
}

static int write_ping(struct lws *wsi, struct session *session)
{
    unsigned char buffer[LWS_PRE + 4] = {0};

    session->ping_due_us = session->home->now_us + PING_SECONDS * SECOND_US;
    session->pong_due_us = session->home->now_us + PONG_SECONDS * SECOND_US;
    memcpy(buffer + LWS_PRE, "home", 4);
    return lws_write(wsi, buffer + LWS_PRE, 4, LWS_WRITE_PING) < 0 ? -1 : 0;
}

/* Many ready-made frames in one write: LWS_WRITE_RAW passes them on as they are. */
static int write_frames(struct lws *wsi, struct session *session)
{
    struct home *home = session->home;
    struct text *wire = &session->wire;

    if (session->wire_at == wire->size) {
        session->wire_at = wire->size = 0;
        if (wire->room > 4 * OUTBOX_BYTES)
            text_free(wire);
        outbox_frames(&session->outbox, wire, OUTBOX_BYTES, session->coalesce && home->options->coalesce);
    }
    size_t size = wire->size - session->wire_at;
    size = allowance(session, size > WRITE_BYTES ? WRITE_BYTES : size);
    if (size) {
        if (lws_write(wsi, (unsigned char *)wire->data + session->wire_at, size, LWS_WRITE_RAW) < (int)size)
            return -1;
        session->wire_at += size;
        outbox_wrote(&session->outbox, session->wire_at);
    }
    return 0;
}

static bool has_more(const struct session *session)
{
    return session->wire_at < session->wire.size || session->outbox.pending;
}

static void reset(struct lws *wsi)
{
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

    /* Dissolving the association makes the kernel send RST. */
    if (connect(lws_get_socket_fd(wsi), &nowhere, sizeof nowhere) < 0)
        perror("home: abort");
}

static int writable(struct lws *wsi, struct session *session)
{
    if (session->ending == ENDS_WITH_RESET) {
        reset(wsi);
        return -1;
    }
    if (session->ending == ENDS_NOW) {
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    if (session->frozen)
        return 0;
    bool at_boundary = session->wire_at == session->wire.size;
    if (at_boundary && !session->ending && session->home->now_us >= session->ping_due_us && !session->silent)
        return write_ping(wsi, session) || (lws_callback_on_writable(wsi), 0);
    /* as HA's writer: all that waits goes to the socket, until that is full */
    do
        if (write_frames(wsi, session))
            return -1;
    while (has_more(session) && session->slow_bytes_per_s <= 0 && !lws_send_pipe_choked(wsi));
    if (has_more(session)) {
        if (session->slow_bytes_per_s <= 0)
            lws_callback_on_writable(wsi);
    } else if (session->ending == ENDS_AFTER_REST) {
        lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    return 0;
}

static int receive(struct lws *wsi, struct session *session, const void *data, size_t size)
{
    if (lws_is_first_fragment(wsi))
        session->input.size = 0;
    if (session->input.size + size > MAX_COMMAND_BYTES) {
        session_end(session, ENDS_NOW, "message too big");
        return 0;
    }
    if (size)
        text_add(&session->input, data, size);
    if (lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0) {
        session->home->now_us = moment_now_us();
        session_receive(session, text_view(&session->input));
    }
    return 0;
}

/* Only one path is a WebSocket, and only while Home Assistant is there. */
static int confirm_upgrade(struct lws *wsi, const struct home *home)
{
    char path[64] = "";

    lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI);
    if (home->now_us < home->cut_until_us)
        return -1;
    if (home->phase == DOWN)
        return lws_return_http_status(wsi, 502, NULL) ? -1 : 1;
    if (strcmp(path, "/api/websocket") != 0)
        return lws_return_http_status(wsi, 404, NULL) ? -1 : 1;
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct server *self = server_of(wsi);
    struct home *home = self ? self->home : NULL;
    struct peer *peer = user;

    switch (reason) {
    case LWS_CALLBACK_HTTP: return begin_request(wsi, home, peer, in);
    case LWS_CALLBACK_HTTP_BODY:
        if (peer->body.size + len > MAX_BODY_BYTES)
            return -1;
        text_add(&peer->body, in, len);
        return 0;
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return peer->path.size ? reply_control(wsi, home, peer) : 0;
    case LWS_CALLBACK_CLOSED_HTTP:
        if (peer) {
            text_free(&peer->path);
            text_free(&peer->body);
        }
        return 0;
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return confirm_upgrade(wsi, home);
    case LWS_CALLBACK_ESTABLISHED:
        home->now_us = moment_now_us();
        *peer = (struct peer){.session = session_open(home, wsi)};
        return 0;
    case LWS_CALLBACK_RECEIVE: return receive(wsi, peer->session, in, len);
    case LWS_CALLBACK_RECEIVE_PONG: peer->session->pong_due_us = 0; return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return peer->session ? writable(wsi, peer->session) : 0;
    case LWS_CALLBACK_CLOSED:
        if (peer->session)
            session_closed(peer->session, peer->session->ending ? "by the home" : "by the client");
        peer->session = NULL;
        return 0;
    default: return lws_callback_http_dummy(wsi, reason, user, in, len);
    }
}

/* --- the loop ----------------------------------------------------------------------------------- */

static void set_clock(struct server *self, bool fast)
{
    const struct timespec every = {.tv_nsec = (fast ? FAST_US : CALM_US) * 1000L};

    self->fast = fast;
    timerfd_settime(self->clock, 0, &(struct itimerspec){.it_interval = every, .it_value = every}, NULL);
}

static int on_clock(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct server *self = server_of(wsi);
    uint64_t ticks;

    (void)user, (void)in, (void)len;
    if (reason != LWS_CALLBACK_RAW_RX_FILE || read(self->clock, &ticks, sizeof ticks) < 0)
        return 0;
    home_tick(self->home, moment_now_us());
    if (home_busy(self->home) != self->fast)
        set_clock(self, !self->fast);
    return 0;
}

struct server *server_new(struct home *home)
{
    static const struct lws_protocols protocols[] = {{.name = "home-assistant",
                                                         .callback = on_event,
                                                         .per_session_data_size = sizeof(struct peer),
                                                         .rx_buffer_size = 65536,
                                                         .tx_packet_size = WRITE_BYTES},
        {.name = "clock", .callback = on_clock}, {0}};
    struct server *self = calloc(1, sizeof *self);
    struct lws_context_creation_info info = {.port = home->options->port,
        .iface = home->options->bind,
        .protocols = protocols,
        .user = self,
        .gid = -1,
        .uid = -1,
        .max_http_header_data = 16384,
        .timeout_secs = 30,
        .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
            /* with IPv6 an IPv4 address is taken for "any": everybody on the network could connect */
            (strchr(home->options->bind, ':') ? 0 : LWS_SERVER_OPTION_DISABLE_IPV6),
        .vhost_name = "home"};

    assert(self);
    lws_set_log_level(LLL_ERR, NULL);
    self->home = home;
    home->wake = wake;
    home->thaw = thaw;
    self->context = lws_create_context(&info);
    self->host = self->context ? lws_create_vhost(self->context, &info) : NULL;
    self->clock = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    lws_sock_file_fd_type clock = {.filefd = self->clock};
    if (!self->host || !lws_adopt_descriptor_vhost(self->host, LWS_ADOPT_RAW_FILE_DESC, clock, "clock", NULL)) {
        server_destroy(&self);
        return NULL;
    }
    set_clock(self, true);
    return self;
}

int server_port(const struct server *self)
{
    return lws_get_vhost_listen_port(self->host);
}

void server_run(struct server *self, volatile int *stop)
{
    while (!*stop && lws_service(self->context, 0) >= 0)
        ;
}

void server_destroy(struct server **self_p)
{
    if (!*self_p)
        return;
    if ((*self_p)->context)
        lws_context_destroy((*self_p)->context);
    free(*self_p);
    *self_p = NULL;
}
