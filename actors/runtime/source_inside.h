/* source_inside.h - what the files of a source's runtime share. */
#ifndef SOURCE_INSIDE_H
#define SOURCE_INSIDE_H

#include "source.h"

enum { QUERY_BYTES = 1200 };

/* Rows of one schema, one behind the other. */
struct slots { char *bytes; size_t count, room; };

struct source {
    char *owner;                    /* struct self */
    actor_t *actor;
    const struct provider *provider;
    struct source_config config;
    struct source_stats *stats;
    json_t *json;
    const struct schema *schema, *slot_schema;

    bool has_place;
    double place_latitude, place_longitude;
    char latitude[16], longitude[16];

    void *reading, *draft;          /* the last good one, and the one that is being read */
    bool has_reading;
    struct slots slots, drafts;
    struct slots ahead;             /* what was forecast a day before; not handed to the capture log yet */
    int64_t ahead_until_us;         /* slots that begin before this have been looked at */
    size_t telling;                 /* of `ahead`, the first so many are being handed over */
    void *ahead_told;               /* the last of them that was */
    bool has_ahead_told, is_ending_ahead; /* is_ending_ahead: its end is being handed over */
    int64_t fetched_us;             /* wall clock */

    char query[QUERY_BYTES];        /* what an answer depends on, in words */
    size_t step;                    /* of the poll that is under way */
    bool is_outdated;               /* ... the settings have changed since it began */
    bool is_asking, was_good;       /* was_good: the last poll; only then is a 304 of use */
    bool is_conditional, has_tried_login;
    int64_t login_us;               /* wall clock: until when the login holds */
    int64_t due_us;                 /* wall clock; 0: at once */
    int64_t until_us;               /* wall clock: when the reading is made again of the slots; 0: not */
    int64_t failures;               /* in a row */
    char refused[200], why[200], note[200]; /* "": not */
    int64_t quota_day, quota_used;
    uint64_t random;

    int64_t stored;                 /* fingerprint of the reading whose states the capture log has */
    int64_t storing;                /* ... and of the one that it has been given; 0: none */
    void *told, *to_tell;           /* the reading that the series hold, and what they will when the answer comes */
    bool has_told, is_sure;         /* is_sure: of the last value of each; else of which they hold one */
    bool is_old;                    /* ... it is of the disk: they may hold what came later */
    int64_t end_us;                 /* what they hold ends here, and they have not been told so; 0: when the reading is stale */
    int64_t ended_us;               /* they were said to be unavailable from here on, last */
    bool is_leaving;                /* switched off: it ends when its series have been told */
    int series_s;                   /* of a live source: the least time between what its series say */
    int64_t stored_us, saved_us, said_us; /* on the clock: when that was last done, plus one; 0: not yet */
    char said[16];                  /* the status that was said last */
};

/* source.c */
size_t source_setting_text(const struct source *, const char *name, char *to, size_t size); /* of any kind; "": not set */
struct source *source_of(struct self *);
void source_move(struct source *, const struct home_place *);
void source_take(struct source *);          /* the draft is the reading now */
void source_say(struct source *);           /* counters and source.status */
bool source_is_stale(const struct source *);
const struct provider *source_provider(const char *name); /* NULL: there is none of that name */
void source_forget(struct source *);        /* what is known is of no use any more; the series are told so */
int source_renew(struct source *);          /* what is known as of now; ms until that changes, -1: it does not */
int64_t source_as_of(const void *reading);
int64_t source_time_of(const struct schema *, const void *row, const char *name); /* -1: it has none */
void *slots_at(struct slots *, size_t size, size_t index, bool may_grow);
int64_t source_stale_us(const struct source *);
int64_t source_stale_of(const struct source *, const struct provider *, const void *reading, int64_t fetched_us);

/* source_poll.c */
void poll_later(struct source *, int64_t seconds);

/* source_kept.c */
bool kept_is_other(struct source *);        /* what is asked for is not what it was when this was called last */
void kept_load(struct source *);
void kept_load_told(struct source *);       /* of whatever provider: what the series hold, and nothing else */
void kept_save(struct source *);

/* source_leave.c */
int leave_at_once(struct source *);         /* at the start, switched off: EXIT_OFF, or 0: the series have to be told first */
void leave_begin(struct source *);          /* ... while it runs */
bool leave_may_end(struct source *);        /* ends it when there is nothing left to tell */

/* source_series.c */
void series_tell(struct source *);          /* what they do not hold yet, if it is time, and what they hold no more */
void series_tell_soon(struct source *);     /* what the reading says, also before it is time */
int series_tick(struct source *);           /* series_tell(); ms until there may be more of it; -1: never */
bool series_is_behind(const struct source *); /* they do not say yet what the reading does, and nothing is on its way to them */
int64_t series_end(const struct source *);  /* what they hold ends when the reading is stale, or now */
int64_t series_end_of(const struct source *, const void *reading, int64_t stale_us); /* ... when this one is */
bool series_has(const struct schema *);     /* any FIELD member */
/* Each FIELD member of a row as an event of `frame`, an array that the caller closes: how many. is_over: all are unavailable. */
struct series_row { const struct schema *schema; const void *row; const char *suffix; bool is_over; };
int64_t series_put(const struct source *, const struct series_row *, int64_t at_us, msgpack_sbuffer *frame);

/* source_ahead.c */
void ahead_keep(struct source *);           /* before the forecast is replaced, or said to be of now */
int ahead_store(struct source *);           /* ms until there is more to store; -1: none is known */

#endif
