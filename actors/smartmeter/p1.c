/* p1.c - the P1 port of a meter: a serial line or a TCP connection that telegrams come out of by themselves.
 *
 * A line that ends, or is silent for half a minute, is opened anew after 1, 2, 4 ... 60 seconds. */
#include "smartmeter.h"
#include "p1_address.h"
#include "telegram.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

enum { READ_BYTES = 4096, CONNECT_MS = 10000, SILENT_MS = 30000, AGAIN_MS = 1000, AGAIN_MOST_MS = 60000, CLOCK_OFF_S = 300, CLOCK_RIGHT_S = 240 };

struct p1 {
    source_t *source;
    struct p1_address address;
    int fd;                       /* -1: closed, a timer opens it */
    bool is_connecting, is_clock_off;
    int again_ms;
    struct stream stream;
};

static void open_line(struct p1 *);

/* --- trouble -------------------------------------------------------------------------------------- */

static void on_again(struct self *self, actor_t *actor, int64_t tag)
{
    (void)actor, (void)tag;
    if (self->p1 && self->p1->fd < 0)
        open_line(self->p1);
}

static void on_silent(struct self *self, actor_t *actor, int64_t tag);

static void close_line(struct p1 *self)
{
    actor_t *actor = source_actor(self->source);
    actor_cancel(actor, on_silent, 0);
    if (self->fd < 0)
        return;
    actor_unlisten(actor, self->fd);
    close(self->fd);
    self->fd = -1;
    self->is_connecting = false;
    self->stream.size = 0;
}

static void give_up(struct p1 *self, const char *what, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "%.60s%s %s", *self->address.path ? self->address.path : self->address.host, what, why);
    close_line(self);
    source_trouble(self->source, text);
    actor_after(source_actor(self->source), self->again_ms, on_again, 0);
    self->again_ms = self->again_ms * 2 < AGAIN_MOST_MS ? self->again_ms * 2 : AGAIN_MOST_MS;
}

static void on_silent(struct self *self, actor_t *actor, int64_t tag)
{
    struct p1 *p1 = self->p1;
    (void)actor, (void)tag;
    if (!p1 || p1->fd < 0)
        return;
    if (p1->is_connecting)
        give_up(p1, " cannot be connected to:", "no answer in 10 s");
    else if (p1->stream.is_encrypted)
        give_up(p1, ":", "the telegrams are encrypted, which is not supported");
    else
        give_up(p1, ":", "no telegram that can be read in 30 s");
}

/* --- a telegram -------------------------------------------------------------------------------------- */

/* The meter's clock, where it is about right, else ours. */
static int64_t moment_of(struct p1 *self, int64_t meter_us)
{
    int64_t now_us = source_now_us(self->source), off_s = (meter_us - now_us) / 1000000, most_s = self->is_clock_off ? CLOCK_RIGHT_S : CLOCK_OFF_S;
    char text[160];
    if (meter_us < 0)
        return now_us;
    bool is_off = off_s < -most_s || off_s > most_s;
    if (is_off && !self->is_clock_off) {
        snprintf(text, sizeof text, "the meter's clock is off by more than %d minutes: ours is taken", CLOCK_OFF_S / 60);
        source_note(self->source, text);
    } else if (!is_off && self->is_clock_off) {
        source_note(self->source, NULL);
    }
    self->is_clock_off = is_off;
    return is_off ? now_us : meter_us;
}

static void on_telegram(void *owner, struct slice telegram)
{
    struct p1 *self = owner;
    struct smartmeter_reading *reading = source_draft(self->source);
    int64_t meter_us;
    size_t odd;
    struct fault fault;
    char why[160];
    if (telegram_read(telegram, reading, &meter_us, &odd, &fault)) {
        snprintf(why, sizeof why, "%s %s", fault.field, fault.why);
        source_trouble(self->source, why);
        schema_clear(smartmeter_reading_schema(), reading);
        return;
    }
    actor_t *actor = source_actor(self->source);
    source_odd(self->source, odd);
    circuits_clear(&source_self(self->source)->circuits); /* another provider may have had some */
    SET(reading, as_of, moment_of(self, meter_us));
    self->again_ms = AGAIN_MS;
    actor_cancel(actor, on_silent, 0);
    actor_after(actor, SILENT_MS, on_silent, 0);
    meter_push(self->source);
}

/* Seven bits and parity: the eighth is not the meter's, where the line hands it over. */
static void strip(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(bytes[i] & 0x7f);
}

static void on_bytes(struct self *owner, actor_t *actor, int fd, uint32_t events)
{
    struct p1 *self = owner->p1;
    char bytes[READ_BYTES];
    (void)events;
    ssize_t size = read(fd, bytes, sizeof bytes);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        give_up(self, ":", size == 0 ? "the connection has ended" : strerror(errno));
        return;
    }
    if (self->address.is_seven_even && *self->address.path)
        strip(bytes, (size_t)size);
    source_odd(self->source, stream_take(&self->stream, actor_clock_us(actor), (struct slice){ bytes, (size_t)size }, on_telegram, self));
}

/* --- opening ---------------------------------------------------------------------------------------------- */

static void start(struct p1 *self)
{
    actor_t *actor = source_actor(self->source);
    self->is_connecting = false;
    actor_listen(actor, self->fd, EPOLLIN, on_bytes);
    actor_cancel(actor, on_silent, 0);
    actor_after(actor, SILENT_MS, on_silent, 0);
}

static void on_connected(struct self *owner, actor_t *actor, int fd, uint32_t events)
{
    struct p1 *self = owner->p1;
    int error = 0;
    socklen_t size = sizeof error;
    (void)actor, (void)events;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        give_up(self, " cannot be connected to:", strerror(error));
    else
        start(self);
}

static int connect_to(struct p1 *self, const struct addrinfo *to)
{
    self->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (self->fd < 0)
        return -1;
    setsockopt(self->fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int));
    if (connect(self->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS)
        return 0;
    int error = errno;
    close(self->fd);
    self->fd = -1;
    errno = error;
    return -1;
}

/* A name is looked up before we go on: two seconds at the most, and once. */
static void open_tcp(struct p1 *self)
{
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
    setenv("RES_OPTIONS", "timeout:2 attempts:1", 0);
    int rc = getaddrinfo(self->address.host, self->address.port, &hints, &found);
    if (rc) {
        give_up(self, " cannot be found:", gai_strerror(rc));
        return;
    }
    for (const struct addrinfo *to = found; to && self->fd < 0; to = to->ai_next)
        connect_to(self, to);
    freeaddrinfo(found);
    if (self->fd < 0) {
        give_up(self, " cannot be connected to:", strerror(errno));
        return;
    }
    self->is_connecting = true;
    actor_listen(source_actor(self->source), self->fd, EPOLLOUT, on_connected);
    actor_after(source_actor(self->source), CONNECT_MS, on_silent, 0);
}

static int set_line(int fd, const struct p1_address *address)
{
    struct termios line;
    if (tcgetattr(fd, &line))
        return -1;
    cfmakeraw(&line);
    line.c_cflag &= ~(tcflag_t)(CSIZE | PARENB | PARODD | CSTOPB | CRTSCTS);
    line.c_cflag |= (tcflag_t)(address->is_seven_even ? CS7 | PARENB : CS8) | CLOCAL | CREAD;
    line.c_cc[VMIN] = 1;
    line.c_cc[VTIME] = 0;
    speed_t speed = address->baud == 9600 ? B9600 : B115200;
    if (cfsetispeed(&line, speed) || cfsetospeed(&line, speed))
        return -1;
    return tcsetattr(fd, TCSANOW, &line) || tcflush(fd, TCIFLUSH) ? -1 : 0;
}

/* Opening raises RTS, which asks the meter for its data. Two who read one line get half of it each. */
static void open_serial(struct p1 *self)
{
    self->fd = open(self->address.path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (self->fd < 0) {
        give_up(self, " cannot be opened:", strerror(errno));
        return;
    }
    ioctl(self->fd, TIOCEXCL);
    if (set_line(self->fd, &self->address))
        give_up(self, " is no serial line:", strerror(errno));
    else
        start(self);
}

static void open_line(struct p1 *self)
{
    if (*self->address.path)
        open_serial(self);
    else
        open_tcp(self);
}

int p1_listen(source_t *source)
{
    struct self *owner = source_self(source);
    struct p1 *self = calloc(1, sizeof *self);
    const char *why;
    assert(self && !owner->p1);
    self->source = source;
    self->fd = -1;
    self->again_ms = AGAIN_MS;
    p1_address_read(owner->config.p1, owner->config.p1_line, &self->address, &why);
    owner->p1 = self;
    open_line(self);
    return 0;
}

void p1_hush(source_t *source)
{
    struct self *owner = source_self(source);
    if (!owner->p1)
        return;
    close_line(owner->p1);
    actor_cancel(source_actor(source), on_again, 0);
    free(owner->p1);
    owner->p1 = NULL;
}
