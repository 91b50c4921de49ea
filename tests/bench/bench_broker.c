/* bench_broker.c - events a second and processor time per event through the broker, by batch
 * size, against libzmq's own XSUB/XPUB proxy (which acknowledges nothing) in the same run.
 *
 * Publisher, middle and listener are a process each, joined by ipc. An event is 250 bytes. */
#include <assert.h>
#include <czmq.h>
#include <poll.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "broker.h"
#include "bus.h"

enum { EVENT_BYTES = 250, WINDOW = 16384, WINDOW_BYTES = 12 << 20 };

static char directory[] = "/tmp/bench-broker-XXXXXX";
static char front[64], back[64];
static uint8_t payload[256 * EVENT_BYTES];

struct result { double events_per_s, middle_us, publisher_us, listener_us; };

static double cpu_us(const struct rusage *usage)
{
    return (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1e6 +
        (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec);
}

/* --- the broker ------------------------------------------------------------------------ */

static void run_broker(void)
{
    broker_t *broker = broker_new(&(struct broker_options){ .endpoint = front, .silence_ms = 3000,
        .publisher_messages = WINDOW, .publisher_bytes = WINDOW_BYTES, .last_values_bytes = 1 << 20 });
    assert(broker);
    for (;;) {
        int64_t clock_us = zclock_usecs();
        bool has_more = broker_work(broker, clock_us);
        if (!has_more)
            broker_wait(broker, -1, broker_wait_ms(broker, clock_us));
    }
}

struct end { bus_t *bus; size_t acked, heard; };

static void on_connected(void *owner, bool up)
{
    (void)owner, (void)up;
}

static void on_deliver(void *owner, delivery_t *delivery, const char *subject, struct bus_bytes key,
    struct bus_bytes bytes, uint32_t count, uint32_t dropped)
{
    (void)subject, (void)key, (void)bytes, (void)dropped;
    struct end *self = owner;
    self->heard += count;
    bus_ack(self->bus, delivery);
    bus_release(self->bus, &delivery);
}

static void on_acked(void *owner, const char *subject, uint64_t batch)
{
    (void)subject, (void)batch;
    ((struct end *)owner)->acked++;
}

static void on_asked(void *owner, uint64_t ticket, const char *service, int64_t ms, struct bus_bytes query)
{
    (void)owner, (void)ticket, (void)service, (void)ms, (void)query;
}

static void on_answered(void *owner, uint64_t question, int verdict, struct bus_bytes head, struct bus_bytes body)
{
    (void)owner, (void)question, (void)verdict, (void)head, (void)body;
}

static void open_end(struct end *self, const char *name)
{
    self->bus = bus_new(&(struct bus_options){ .endpoint = front, .name = name, .instance = "1", .owner = self,
        .connected = on_connected, .deliver = on_deliver, .acked = on_acked, .asked = on_asked, .answered = on_answered });
    assert(self->bus);
}

static void work(struct end *self)
{
    int64_t clock_us = zclock_usecs();
    if (bus_work(self->bus, clock_us))
        return;
    struct pollfd fd = { .fd = bus_fd(self->bus), .events = POLLIN };
    poll(&fd, 1, bus_wait_ms(self->bus, clock_us));
}

static void publish_by_bus(size_t batch, size_t batches)
{
    struct end self = { 0 };
    open_end(&self, "publisher");
    bus_publishes(self.bus, "event", BUS_LOSSLESS, "listener");
    for (size_t published = 0; self.acked < batches;) {
        while (published < batches && bus_room(self.bus, "event") >= batch) {
            bus_publish(self.bus, "event", (struct bus_bytes){ "", 0 }, (struct bus_bytes){ payload, batch * EVENT_BYTES },
                (uint32_t)batch, false);
            published++;
        }
        work(&self);
    }
    bus_destroy(&self.bus);
}

static void listen_by_bus(size_t batch, size_t batches)
{
    struct end self = { 0 };
    open_end(&self, "listener");
    bus_listens(self.bus, "event", BUS_LOSSLESS, "listener", WINDOW, WINDOW_BYTES);
    while (self.heard < batch * batches)
        work(&self);
    for (int i = 0; i < 3; i++)
        bus_work(self.bus, zclock_usecs());
    bus_destroy(&self.bus);
}

/* --- the proxy ------------------------------------------------------------------------- */

static void *socket_of(void *context, int type, const char *address, bool binds)
{
    void *socket = zmq_socket(context, type);
    int none = 0, linger = 5000;
    zmq_setsockopt(socket, ZMQ_SNDHWM, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    int rc = binds ? zmq_bind(socket, address) : zmq_connect(socket, address);
    assert(rc == 0);
    return socket;
}

static void run_proxy(void)
{
    void *context = zmq_ctx_new();
    zmq_proxy(socket_of(context, ZMQ_XSUB, front, true), socket_of(context, ZMQ_XPUB, back, true), NULL);
}

static void publish_by_proxy(size_t batch, size_t batches)
{
    void *context = zmq_ctx_new(), *socket = socket_of(context, ZMQ_XPUB, front, false);
    char subscription[8];
    zmq_recv(socket, subscription, sizeof subscription, 0);
    for (size_t i = 0; i < batches; i++)
        zmq_send(socket, payload, batch * EVENT_BYTES, 0);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void listen_by_proxy(size_t batch, size_t batches)
{
    (void)batch;
    void *context = zmq_ctx_new(), *socket = socket_of(context, ZMQ_SUB, back, false);
    zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "", 0);
    zmq_msg_t message;
    zmq_msg_init(&message);
    for (size_t i = 0; i < batches; i++)
        zmq_msg_recv(&message, socket, 0);
    zmq_msg_close(&message);
    zmq_close(socket);
    zmq_ctx_term(context);
}

/* --- running --------------------------------------------------------------------------- */

typedef void end_fn(size_t batch, size_t batches);

static pid_t start_middle(void (*run)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        _exit(1);
    }
    return pid;
}

static pid_t start_end(end_fn *run, size_t batch, size_t batches)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(batch, batches);
        _exit(0);
    }
    return pid;
}

static double wait_for(pid_t pid)
{
    struct rusage usage;
    pid_t got = wait4(pid, NULL, 0, &usage);
    assert(got == pid);
    return cpu_us(&usage);
}

static struct result measure(void (*middle)(void), end_fn *publish, end_fn *listen, size_t batch, size_t batches)
{
    double events = (double)(batch * batches);
    pid_t pid = start_middle(middle);
    int64_t began_us = zclock_usecs();
    pid_t listener = start_end(listen, batch, batches), publisher = start_end(publish, batch, batches);
    struct result result;
    result.listener_us = wait_for(listener) / events;
    result.events_per_s = events / ((double)(zclock_usecs() - began_us) / 1e6);
    result.publisher_us = wait_for(publisher) / events;
    kill(pid, SIGKILL);
    result.middle_us = wait_for(pid) / events;
    return result;
}

static void show(const char *what, size_t batch, const struct result *result)
{
    printf("%-7s %6zu %12.0f %10.3f %10.3f %10.3f\n", what, batch, result->events_per_s, result->middle_us,
        result->publisher_us, result->listener_us);
    fflush(stdout);
}

int main(void)
{
    static const size_t batches[] = { 1, 16, 64, 256 };
    if (!mkdtemp(directory))
        return 111;
    snprintf(front, sizeof front, "ipc://%s/front", directory);
    snprintf(back, sizeof back, "ipc://%s/back", directory);
    printf("%-7s %6s %12s %10s %10s %10s\n", "", "batch", "events/s", "middle us", "pub us", "listen us");
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++) {
        size_t batch = batches[i], count = batch == 1 ? 300000 : 4000000 / batch;
        struct result broker = measure(run_broker, publish_by_bus, listen_by_bus, batch, count);
        struct result proxy = measure(run_proxy, publish_by_proxy, listen_by_proxy, batch, count);
        show("broker", batch, &broker);
        show("proxy", batch, &proxy);
        printf("%-7s %6zu %12.2f %10.2f\n", "ratio", batch, broker.events_per_s / proxy.events_per_s,
            broker.middle_us / proxy.middle_us);
    }
    unlink(front + 6);
    unlink(back + 6);
    rmdir(directory);
    return 0;
}
