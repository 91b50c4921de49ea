/* home.h - the simulated Home Assistant: a house, its clients, its faults and the truth about all of it. */
#ifndef HOME_HOME_H
#define HOME_HOME_H

#include "history.h"
#include "outbox.h"
#include "truth.h"
#include "world.h"

struct options {
    const char *bind, *token, *limited_token, *truth, *script, *replay;
    int port;
    uint64_t seed;
    const char *exclude;
    size_t entities, history_bytes;
    double rate, commit_s, keep_s;
    int64_t events; /* -1: without end */
    enum version version;
    bool quiet, strict, coalesce, wait_for_client;
};

enum {
    MAX_PENDING = 4096,
    PEAK_PENDING = 1024,
    PEAK_SECONDS = 10,
    AUTH_SECONDS = 10,
    PING_SECONDS = 55,
    PONG_SECONDS = 27
};
enum { MAX_COMMAND_BYTES = 4 << 20, OUTBOX_BYTES = 1 << 20 };

struct home;

struct subscription {
    int64_t id;
    char *event_type;
    bool entities;
    struct text end, entity_ids;
};

/* What becomes of a connection when what waits is sent, or at once. */
enum ending { STAYS, ENDS_AFTER_REST, ENDS_NOW, ENDS_WITH_RESET };

struct session {
    struct home *home;
    void *socket; /* the server's */
    int number;
    bool authenticated, admin, coalesce, frozen, silent, arraying;
    enum ending ending;
    int64_t opened_us, last_id, peak_since_us, ping_due_us, pong_due_us;
    struct subscription *subscriptions;
    size_t subscription_count;
    struct outbox outbox;
    struct text input, wire, array;
    size_t wire_at;
    double slow_bytes_per_s, slow_allowance;
    int64_t slow_since_us;
};

enum phase { RUNNING, DOWN, STARTING };

/* A reply that is held back: registry-delay. */
struct late {
    int64_t due_us;
    int number;
    struct text message;
    struct late *next;
};

struct home {
    const struct options *options;
    struct world *world;
    struct truth *truth;
    struct history *history;
    struct replay *replay;
    struct script *script;
    struct session **sessions;
    size_t session_count;
    int connections; /* ever */
    int *sent_to;
    size_t sent_room;
    int64_t now_us, began_us, events, dropped, ticked_us;
    size_t pending_peak; /* of any session, ever */
    double rate, due;
    bool generating, had_client, refuse_auth, revoked, quitting;
    bool swallows;              /* says that it fires an event, and does not */
    enum phase phase;
    const char *core_state; /* NOT_RUNNING, STARTING or RUNNING, as get_config says it */
    int64_t down_until_us, cut_until_us, registry_delay_us;
    size_t start_at; /* the next step of the start-up */
    int64_t late_entities_due_us;
    struct late *late;
    struct stream *streams;
    struct text scratch, reply;
    void (*wake)(struct session *); /* there is something to write or to end */
    void (*thaw)(struct session *, bool reads);
};

struct home *home_new(const struct options *, int64_t now_us); /* NULL: an option cannot be met, said on stderr */
void home_destroy(struct home **self_p);
void home_tick(struct home *, int64_t now_us);
bool home_busy(const struct home *); /* wants to be called again soon */
int home_clients(const struct home *);

/* protocol.c: one client's conversation */
struct session *session_open(struct home *, void *socket);
void session_closed(struct session *, const char *why);
void session_receive(struct session *, struct slice text);
void session_end(struct session *, enum ending, const char *why);
void session_send(struct session *, struct slice message);
void session_tick(struct session *);
void session_drop_if_behind(struct session *);

/* commands.c */
void command_run(struct session *, struct slice message);

/* feed.c: events on their way to the subscribers */
void feed_publish(void *home, const struct happening *);
void feed_record(struct home *, const struct entity *, int64_t t_us); /* the recorder's part of it */
bool feed_has_room(const struct home *);
void feed_note_subscription(struct session *, const struct subscription *);

/* startup.c */
void startup_stop(struct home *, int64_t seconds_us);
void startup_tick(struct home *);

/* faults.c: commands of the script and of POST /control/ */
bool fault_run(struct home *, struct slice command, struct text *answer);
struct script *script_new(const char *path); /* NULL: it cannot be read, said on stderr */
void script_destroy(struct script **self_p);
void script_tick(struct home *);

/* replay.c: a recording instead of a world */
struct replay *replay_new(const char *path);
void replay_destroy(struct replay **self_p);
bool replay_answer(struct replay *, const char *type, struct text *result);
void replay_tick(struct home *);
const char *replay_version(const struct replay *);

#endif
