/* gateway.h - what the gateway's files share: its state, its connections. */
#ifndef GATEWAY_H
#define GATEWAY_H

#include <czmq.h>

#include "actor.h"
#include "http.h"
#include "request.h"
#include "routes.h"

enum {
    CONNECTIONS_MAX = 1024,
    PAGED_MAX = 8,            /* answers of several pages under way: each may have a page waiting */
    PIECE_BYTES = 262144      /* most that is handed to a socket at once */
};

typedef struct connection connection_t;
typedef struct stream stream_t;     /* live.c */
typedef struct export export_t;     /* export.c */
typedef struct paged paged_t;       /* paged.c */
typedef struct watch watch_t;       /* health.c */

/* What moves the bytes: server.c, or a test. */
struct transport {
    void (*flush)(connection_t *);               /* write what connection_output() has, now */
    void (*wake)(connection_t *);                /* ... soon */
    void (*close)(connection_t *);               /* destroy the socket, soon; connection_destroy follows */
    void (*finish)(connection_t *);              /* no more will be written: half-close */
    void (*reading)(connection_t *, bool wanted);
};

struct self {
    struct gateway_config config;
    struct gateway_stats stats;
    actor_t *actor;
    const struct transport *transport;
    connection_t *connections[CONNECTIONS_MAX];  /* by slot */
    size_t open, open_max;                       /* connections; how many there may be */
    uint32_t serial;                             /* of the next connection */
    uint64_t seed, requests;                     /* what request ids are made of */
    json_t *json;
    void *query, *row;                           /* room for one message of any route */
    msgpack_sbuffer body, packed;                /* used again for every reply and question */
    int web_root;                                /* directory, or -1 */
    watch_t *watch;
    zlistx_t *streams;                           /* live.c; borrowed stream_t */
    int exports, paged;                          /* under way */
    int64_t started_us;                          /* monotonic */
    bool stopping;
    struct server *server;
};

/* --- server.c: sockets ----------------------------------------------------------------- */

int server_open(struct self *, actor_t *);       /* 0, 100, 111; has said why */
void server_close(struct self *);
struct lws_context_creation_info;
void server_options(struct lws_context_creation_info *);

/* --- connection.c: one client, from bytes in to bytes out ------------------------------ */

enum state {
    READING,    /* a request, or waiting for one */
    BODY,       /* its head is known */
    ASKED,      /* an actor has been asked */
    STREAMING,  /* an export or an event stream is under way */
    CLOSING,    /* once everything is written, no more requests */
    DRAINING    /* everything is written; waiting for the client to close */
};

struct connection {
    struct self *self;
    actor_t *actor;
    void *socket;
    enum state state;
    unsigned slot;
    uint32_t serial;
    msgpack_sbuffer in, body, out;
    size_t scanned, head_size, written;
    struct head head;            /* of the request at the start of `in` */
    struct chunked chunked;
    const struct route *route;
    char correlation_id[129], request_id[129];
    stream_t *stream;
    export_t *export;
    paged_t *paged;
    int64_t since_us;            /* monotonic: the last progress */
    bool answering;              /* a request's reply is being made */
    bool paused;                 /* reading is off */
    bool continued;              /* 100 Continue has been said */
};

/* NULL: there are too many. */
connection_t *connection_new(struct self *, void *socket);
void connection_destroy(connection_t **);

/* What a client is told for whom there is no room. The caller destroys `to`. */
void connection_refusal(struct self *, msgpack_sbuffer *to);

void connection_take(connection_t *, struct slice bytes);   /* from the client */
struct slice connection_output(const connection_t *);       /* for the client; size 0: nothing now */
void connection_wrote(connection_t *, size_t size);
void connection_tick(connection_t *, int64_t clock_us);     /* time-outs */
bool connection_is_idle(const connection_t *);

/* The request being answered. */
struct slice connection_path(const connection_t *);
struct slice connection_query(const connection_t *);

/* A reply is complete: the next request may come. Whoever was called back flushes. */
void connection_done(connection_t *);
void connection_abort(connection_t *);                      /* close without an end */

/* A tag for questions, and back: NULL if that client is gone or on to something else. */
int64_t connection_tag(const connection_t *);
connection_t *connection_of_tag(struct self *, int64_t tag);

/* --- gateway.c -------------------------------------------------------------------------- */

/* Ask the service of the connection's route; the reply is made by its shape. */
void gateway_serve(connection_t *);
/* Fill a cleared message from the request. 0, or the reply has been made. */
int gateway_read(connection_t *, const struct schema *, void *query);
void gateway_count(struct self *, int status);

/* --- health.c, live.c, export.c, static.c ------------------------------------------------ */

watch_t *watch_new(void);
void watch_destroy(watch_t **);
int health_on_heartbeat(struct self *, actor_t *, const struct heartbeat *);
int health_on_session(struct self *, actor_t *, const struct ingest_session *);
void health_connected(struct self *, bool up);
void health_tick(struct self *);                 /* once a second: ask those that /health is about */

/* One known heartbeat. */
struct beat { char key[80]; struct heartbeat said; char *counters; int64_t heard_us; double cpu_percent; bool has_cpu; };
zhashx_t *watch_beats(watch_t *);                /* of struct beat, by "actor/instance" */
bool beat_is_fresh(const struct beat *, int64_t clock_us);
bool health_broker(const struct self *);

bool live_takes(const char *field);              /* whether streams have this field of events_query */
int live_on_event(struct self *, actor_t *, const struct event_full *);
void live_more(connection_t *);                  /* its output has been written */
void live_tick(struct self *);
void live_destroy(connection_t *);

void export_more(connection_t *);
void export_destroy(connection_t *);

void paged_more(connection_t *);
void paged_destroy(connection_t *);

int static_open(struct self *, actor_t *);
bool static_serve(connection_t *);               /* false: there is no such file */

#endif
