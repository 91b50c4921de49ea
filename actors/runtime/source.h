/* source.h - what every source shares: when its provider is asked, what is kept of the answers.
 *
 * A source is an actor that asks a provider on the internet for a reading, and mostly for a
 * forecast: slots of time [from, to). It says who may be asked, how, and how an answer is read;
 * everything else is here:
 *
 *   source.c         what is known, and what is told of it
 *   source_poll.c    when to ask; refusals, back-off, quotas, logins
 *   source_push.c    providers that are not asked, but speak by themselves
 *   source_kept.c    the last good answer on the disk, so that a restart asks nobody before it is due
 *   source_hours.c   slots out of columns, as Open-Meteo has them
 *   source_series.c  each reading's FIELD members as states of entities of their own: the series
 *   source_ahead.c   ... and those of its slots, as they were forecast a day before
 *   source_leave.c   what is switched off does not stand in its series for ever
 *
 * What cannot be read, or breaks its schema, changes nothing: the last good reading stays, and is
 * told as stale when it is. */
#ifndef SOURCE_H
#define SOURCE_H

#include "actor.h"
#include "pick.h"

typedef struct source source_t;

enum { SLOTS_MAX = 600, SETTINGS_MAX = 10, STEP_REFUSED = -2, STEP_AGAIN = 2 };

/* One request of a poll, and how its answer is read. */
struct step {
    /* Fills in what follows the base address, query, headers. 1: this step is not needed now. STEP_AGAIN: it has done a part by
     * itself, and is called again when the actor has seen to what else there is. */
    int (*ask)(source_t *, struct fetch *, char *path, size_t size);
    /* Into source_draft(), source_slot(); `root` is the answer. 0, or -1 with *fault, or STEP_REFUSED: it is
     * refused, whatever the status says, and not asked again until the settings change. */
    int (*read)(source_t *, struct json_value root, struct fault *);
    bool is_login;     /* asked when source_login_us() has passed, and again after a 401 of another step */
    bool is_repeated;  /* asked again and again, until `ask` says that it is not needed */
    bool may_fail;     /* without it the reading is poorer, not wrong */
    bool is_text;      /* the answer is no JSON: `root` is JSON_NOTHING and holds all of it */
    bool is_local;     /* nobody is asked: read() makes it up from the settings */
    long passing;      /* a refusal's status that may mean "nothing at this time": asked again later */
};

struct provider {
    const char *name, *base, *attribution;
    const char *needs[SETTINGS_MAX]; /* settings without which it cannot be asked */
    bool needs_place;                /* the home's latitude and longitude */
    int every_s, stale_s, timeout_ms; /* unless the settings say otherwise; timeout 0: 10 s */
    int quota;                       /* requests a day; 0: none is known */
    const struct step *steps;        /* ends with one that has no `read` */
    /* Instead of steps, of a provider that speaks by itself: what it says is read into the draft, then source_push().
     * `listen` begins it, and is called again when the settings have changed; 0, or -1: it cannot, and has said why. */
    int (*listen)(source_t *);
    void (*hush)(source_t *);        /* ends it; also called where it has not begun */
};

struct source_spec {
    const struct provider *providers; /* ends with one without a name */
    const struct contract *reading;   /* the topic */
    const struct schema *(*slot)(void); /* NULL: there is no forecast. Its FIELD members become series, a day ahead */
    size_t at;                        /* of the source_t * in struct self */
    const char *chosen[SETTINGS_MAX]; /* settings that choose what is asked for: kept answers to others are of no use */
    /* The source's own settings: 0, or -1 and has said why. Called at the start and whenever they are read again. */
    int (*check)(struct self *, actor_t *);
    /* The reading is the slot in force, and changes where a slot begins without anybody being asked.
     * Overwrites what changes with the slot, as_of and valid_to among it, or says -1: none is in force. *until_us: when to look again; 0: no more. */
    int (*make)(source_t *, const void *slots, size_t count, int64_t now_us, void *reading, int64_t *until_us);
    bool ages_by_answer;              /* stale when the provider has said nothing for so long, whenever the reading began to hold */
    bool slots_overlap;               /* several may begin at the same moment, and may have no length */
    const char *ends[SETTINGS_MAX];   /* FIELD members whose null ends the value before in their series, as `unknown` */
    /* Readings come often: the series hold what has changed, and the copy on the disk is of the last minute. */
    bool is_live;
};
extern const struct source_spec source_spec; /* each source defines exactly one */

/* What actor_spec wants, and the handler of registry.home. The actor's stats are a source_stats.
 * Reading settings again asks the provider again, also one that had refused. */
int source_open(struct self *, actor_t *);
int source_tick(struct self *, actor_t *);
void source_reload(struct self *, actor_t *);
enum health source_health(struct self *, actor_t *, char *why, size_t size);
void source_close(struct self *, actor_t *);
int source_home(struct self *, actor_t *, const struct home_place *);

/* Something else that the reading depends on has changed, such as the home's zone: it is made again. */
void source_again(source_t *);
/* What is known is of no use any more, or was not to be had without that: the provider is asked now. */
void source_ask(source_t *);

/* What is known. A copy with `stale` as of now; the verdict of a service: UNAVAILABLE where nothing is. */
int source_current(source_t *, void *reading);
const void *source_slots(const source_t *, size_t *count); /* in the order of time, without doubles */
typedef int slot_row_fn(rows_t *, const void *slot);
int source_forecast(source_t *, const struct source_query *, rows_t *, slot_row_fn *, struct source_end *);
void source_end_fill(source_t *, struct source_end *); /* provider, as_of, stale ... of what is known */

/* --- for who listens */

/* The draft is a reading: taken and published, and into the series where the last ones went `series_s` ago or longer. 0, or -1:
 * it is none, and that is told. The draft is empty after that. */
int source_push(source_t *, int series_s);
/* What is wrong now, and what is to be tried about it; NULL: nothing any more. */
void source_trouble(source_t *, const char *why);
/* What is odd, and lasts, though readings come: told as `why`, logged once. NULL: it is over. */
void source_note(source_t *, const char *what);

/* The context of a state of a source's own, for who hands one to the capture log itself: a ULID of its moment and of a hash of what it says. */
void source_context(int64_t at_us, int64_t print, char to[27]);

/* --- for `ask` */
actor_t *source_actor(const source_t *);
struct self *source_self(const source_t *);
const char *source_setting(const source_t *, const char *name); /* TEXT; "" where it is not set */
const char *source_latitude(const source_t *), *source_longitude(const source_t *); /* two decimals */
int64_t source_now_us(const source_t *);

/* --- for `read` */
json_t *source_json(const source_t *);
void *source_draft(const source_t *);      /* the reading to be: empty at the first step */
void *source_slot(source_t *);             /* one more, empty; NULL: there are enough */
void *source_slot_at(source_t *, size_t index, bool may_grow); /* NULL: there are not so many, or there are enough */
void source_hours(source_t *, struct json_value columns, const struct pick[], size_t count); /* slots of an hour, from `time` and an array for each pick */
void source_drop_slots(source_t *);        /* those of the draft */
size_t source_draft_slots(const source_t *);
void source_odd(source_t *, size_t count); /* values that were left out */
void source_login(source_t *, int64_t until_us); /* the step that is_login has what it wanted */

/* One answer read into the draft, as a poll does: what the step returns, with *fault. Fuzzers call it as well. */
int source_read(source_t *, const struct step *, struct slice body, struct fault *);
/* The draft, all steps read: 0, or -1 and why it is no reading. */
int source_check(source_t *, struct fault *);
bool source_use(source_t *, const char *provider); /* another one; for tests */

#endif
