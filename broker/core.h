/* core.h - what the files of the broker share: broker.c (sockets, states and verbs), peer.c
 * (who is there), topic.c (who says and hears what), queue.c (LOSSLESS), live.c (LIVE),
 * latest.c (LATEST), service.c (questions). */
#ifndef CORE_H
#define CORE_H

#include <czmq.h>
#include <sys/queue.h>

#include "broker.h"
#include "wire.h"

struct batch;
struct listener;
struct topic_group;

TAILQ_HEAD(peer_list, peer);
TAILQ_HEAD(topic_list, topic);
TAILQ_HEAD(group_list, topic_group);
TAILQ_HEAD(listener_list, listener);
TAILQ_HEAD(publication_list, publication);
TAILQ_HEAD(held_list, held);
TAILQ_HEAD(batch_list, batch);
TAILQ_HEAD(parcel_list, parcel);
TAILQ_HEAD(value_list, value);
TAILQ_HEAD(service_owner_list, service_owner);
TAILQ_HEAD(question_list, question);

/* Messages over the last ten seconds, one bucket a second. */
enum { RATE_SECONDS = 10 };
struct rate { int64_t second; uint64_t bucket[RATE_SECONDS + 1]; };

/* --- peers ----------------------------------------------------------------------------- */

enum peer_state { STRANGE, KNOWN, LEAVING, PEER_STATES };

/* What a peer has declared under one of its numbers; at most one is set. */
struct channel {
    struct publication *publication;
    struct listener *listener;
    struct service_owner *service_owner;
};

struct route { size_t size; size_t address; uint8_t id[256]; }; /* size: of id */

struct peer {
    TAILQ_ENTRY(peer) link, lost_link;
    enum peer_state state;
    bool is_lost;                     /* cannot be reached; swept up after the step */
    struct route route;
    zmq_msg_t id;                     /* the same, as a frame */
    char name[WIRE_NAME + 1], instance[WIRE_NAME + 1];
    char full_name[2 * WIRE_NAME + 2];
    uint64_t incarnation;
    int64_t heard_us, asked_who_us;
    struct channel *channels;
    size_t channel_count;
    size_t open_questions;
};

struct peer *peer_of(broker_t *, const zmq_msg_t *id, size_t address);
bool peer_meet(broker_t *, struct peer *, const struct letter *); /* HELLO; false: malformed */
void peer_leave(broker_t *, struct peer *, const char *why);      /* known -> leaving; gives back what it held */
void peer_dismiss(broker_t *, struct peer *, const char *why);    /* the same, and it is told to begin anew */
void peer_destroy(broker_t *, struct peer *);                     /* leaves first */
struct channel *peer_channel(struct peer *, uint16_t number);     /* made where there is none; NULL: too many */
bool channel_is_free(const struct channel *);

/* --- topics ---------------------------------------------------------------------------- */

/* LOSSLESS batches of one process on one topic. Outlives the process while they are held. */
struct publication {
    TAILQ_ENTRY(publication) link, dirty_link;
    struct topic *topic;
    struct peer *peer;                /* NULL: away */
    uint16_t channel;
    char name[WIRE_NAME + 1], instance[WIRE_NAME + 1];
    uint64_t incarnation;
    bool is_superseded;               /* a newer process has taken the name */
    uint32_t groups;                  /* that it names: their bits */
    uint64_t highest;                 /* number of the newest batch seen */
    struct batch_list batches;        /* held, by number */
    struct batch *resent;             /* where the next batch said again is looked for */
    size_t batch_count, messages, bytes;
    uint64_t acked[WIRE_NUMBERS];     /* not yet said */
    size_t acked_count;
};

struct batch {
    TAILQ_ENTRY(batch) link;          /* of its publication */
    struct publication *publication;
    zmq_msg_t payload;
    uint64_t number, place;           /* place: in the topic's order of arrival */
    uint32_t count;
    size_t bytes;
    int64_t at_us;
    size_t open;                      /* groups that have not acknowledged */
};

/* A batch in one group: waiting, or given to a member. */
struct held {
    TAILQ_ENTRY(held) link;
    struct batch *batch;
    uint64_t number;                  /* of the delivery */
};

struct topic_group {
    TAILQ_ENTRY(topic_group) link;
    struct topic *topic;
    char name[WIRE_NAME + 1];
    uint32_t bit;                     /* of its topic's groups */
    size_t named_by;                  /* publications: it holds what those say also while nobody is there */
    struct listener_list members;
    struct held_list waiting;
    size_t depth, depth_bytes;
    struct rate rate;
};

struct listener {
    TAILQ_ENTRY(listener) link;       /* of its group, or of the topic's */
    struct peer *peer;
    uint16_t channel;
    struct topic *topic;
    struct topic_group *group;              /* NULL: outside of all */
    size_t window_messages, window_bytes;
    size_t in_flight_messages, in_flight_bytes;
    uint64_t last_delivery;
    uint64_t served;                  /* the topic's turn when it was last given something */
    struct held_list given;           /* LOSSLESS: by delivery */
    struct parcel_list parcels;       /* LIVE */
    size_t depth, depth_bytes;
    uint64_t dropped;                 /* ... since the last one delivered */
    struct value *next_value;         /* LATEST: the first not yet given; NULL: up to date */
    uint64_t joined_at;               /* the topic's last_update then */
    int64_t joined_us;
    struct rate rate;
};

struct topic {
    TAILQ_ENTRY(topic) link;
    char subject[WIRE_SUBJECT + 1];
    enum bus_policy policy;
    bool is_declared;                 /* by a publisher, whose word on the policy counts */
    struct group_list groups;
    uint32_t group_bits;              /* in use */
    struct listener_list listeners;   /* outside of the groups */
    struct publication_list publications;
    size_t publication_count;
    uint64_t last_place, turn;
    zhashx_t *by_key;                 /* LATEST */
    struct value_list values, removed;  /* by last update */
    uint64_t last_update;
};

bool topic_publishes(broker_t *, struct peer *, const struct letter *);
bool topic_listens(broker_t *, struct peer *, const struct letter *);
void topic_forget(broker_t *, struct channel *); /* of a peer that leaves */
struct topic *topic_of(broker_t *, const char *subject); /* made where there is none; NULL: too many */
void topic_unname(broker_t *, struct topic *, uint32_t groups); /* one publication names them no more */
void topic_destroy(broker_t *, struct topic *);

void listener_open(struct listener *, const struct wire *); /* its window from now on */
bool listener_has_room(const struct listener *, uint32_t count, size_t bytes);
void listener_gave(struct listener *, uint32_t count, size_t bytes);
void listener_took(struct listener *, uint64_t count, uint64_t bytes);

/* --- LOSSLESS: queue.c ------------------------------------------------------------------ */

bool queue_publish(broker_t *, struct publication *, struct letter *);
bool queue_acknowledge(broker_t *, struct listener *, const struct letter *);
void queue_pump(broker_t *, struct topic_group *);
void queue_take_back(broker_t *, struct listener *);    /* what it held goes to the front again */
void queue_empty(broker_t *, struct topic_group *);     /* a group that nobody names and nobody is in */
void queue_drop(struct topic_group *);                  /* at the end of everything */
void queue_say_acked(broker_t *);
void publication_leave(broker_t *, struct publication *);
void publication_destroy(broker_t *, struct publication *);

/* --- LIVE: live.c ------------------------------------------------------------------------- */

void live_publish(broker_t *, struct topic *, const zmq_msg_t *payload, uint32_t count, uint64_t dropped);
void live_pump(broker_t *, struct listener *);
void live_forget(struct listener *);
int64_t live_oldest_us(const struct listener *);        /* when what waits longest came; INT64_MAX: nothing waits */

/* --- LATEST: latest.c ----------------------------------------------------------------------- */

bool latest_publish(broker_t *, struct topic *, const zmq_msg_t *key, const zmq_msg_t *payload);
void latest_join(struct listener *, int64_t clock_us);
int64_t latest_oldest_us(const struct listener *);      /* as live_oldest_us */
void latest_pump(broker_t *, struct listener *);
void latest_sweep(broker_t *, struct topic *);          /* forget removals that everybody has been told */
size_t latest_depth(const struct listener *, size_t *bytes);
void latest_destroy(broker_t *, struct topic *);

/* --- services: service.c ---------------------------------------------------------------------- */

struct service_owner {
    TAILQ_ENTRY(service_owner) link;
    struct service *service;
    struct peer *peer;
    uint16_t channel;
};

bool service_answers(broker_t *, struct peer *, const struct letter *);
bool service_ask(broker_t *, struct peer *, struct letter *);
bool service_answer(broker_t *, struct peer *, struct letter *);
void service_forget(broker_t *, struct peer *);         /* questions of and for a peer that leaves */
void service_owner_destroy(broker_t *, struct service_owner *);
void service_expire(broker_t *);
int64_t service_deadline_us(const broker_t *);          /* the next one; INT64_MAX / 2: none */
void service_init(broker_t *);
void service_destroy(broker_t *);

/* --- the broker ----------------------------------------------------------------------------- */

struct zap;
struct zap *zap_new(void *context, const struct broker_options *); /* borrowed */
void zap_destroy(struct zap **);
void *zap_socket(struct zap *);
void zap_work(struct zap *);

struct broker {
    struct broker_options options;    /* with strings of our own */
    void *context;
    void *sockets[BROKER_ADDRESSES];
    size_t socket_count;
    struct zap *zap;
    int64_t clock_us, silence_us, quiet_until_us; /* quiet_until: no one is gone before; we were away ourselves */
    int64_t next_sweep_us;
    zhashx_t *by_route, *by_name;
    struct peer_list peers, lost;
    struct peer *recent;
    zhashx_t *topics;
    struct topic_list all_topics;
    TAILQ_HEAD(, publication) dirty;  /* with acknowledgements to say */
    size_t last_values_bytes;
    zhashx_t *services, *questions;
    struct question_list open;        /* by deadline */
    uint64_t last_ticket;
    struct broker_counters counters;
};

/* Send to a peer; the parts are taken. A peer that cannot be reached becomes lost. */
void broker_post(broker_t *, struct peer *, const struct wire *, zmq_msg_t parts[], size_t part_count);
void broker_post_numbers(broker_t *, struct peer *, struct wire, const uint64_t numbers[], size_t count);
void broker_note(broker_t *, const char *what, const struct peer *);

/* For tests and fuzzers: handle one letter as if a peer at `from` had sent it. */
void broker_take(broker_t *, struct letter *, size_t address);

void rate_add(struct rate *, int64_t clock_us, uint64_t count);
double rate_per_s(const struct rate *, int64_t clock_us);

static inline size_t part_size(const zmq_msg_t *part)
{
    return zmq_msg_size((zmq_msg_t *)(uintptr_t)part);
}

static inline const void *part_data(const zmq_msg_t *part)
{
    return zmq_msg_data((zmq_msg_t *)(uintptr_t)part);
}

#endif
