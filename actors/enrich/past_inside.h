/* past_inside.h - what both halves of the past know. */
#ifndef PAST_INSIDE_H
#define PAST_INSIDE_H

#include "past.h"
#include "thinned.h"

#define SECOND_US INT64_C(1000000)
#define DAY_US    (86400 * SECOND_US)
#define NEVER     MAX_INT

struct source_kind {
    const char *name;                   /* process; its series are `_name.member` */
    const struct schema *(*schema)(void);
    size_t at, has;                     /* of the object in event_full */
    int64_t lasts_us;                   /* unless its status says otherwise */
    bool is_slots;                      /* a reading ends with its slot, and a new one begins */
    const char *members[4];             /* what is told, if that is not all of its series; NULL at the end */
    bool is_thinned;                    /* to what was in force when the five minutes of the event began */
    const char *always;                 /* a member that each reading has, if no REQUIRED one is a series */
    bool is_kept;                       /* ... and one of long ago, until another one came: a day at most. Where nothing is known its series say `unknown` */
};
extern const struct source_kind source_kinds[SOURCES];

/* A day, UTC, that states of long ago asked for. */
enum { DAYS_MAX = 4 };
struct day { bool is_used, is_whole; int64_t from_us; uint64_t turn; readings_t *of[SOURCES]; bool has[SOURCES]; };

/* A reading out of its series, as far as they have been read. */
struct draft { int64_t as_of_us; void *reading; };

/* What query is being asked for. */
struct loading {
    enum { LOAD_FIRST, LOAD_RECENT, LOAD_DAY } what;
    enum of_source source;
    struct day *day;
    int64_t from_us, to_us;
    struct draft *drafts;
    size_t count, room;
};

struct past {
    actor_t *actor;
    readings_t *recent[SOURCES];
    int64_t lasts_us[SOURCES];
    int64_t first_us[SOURCES];          /* the oldest of all in the store; NEVER: there is none */
    bool has_first[SOURCES], has_recent[SOURCES];
    int64_t begun_us;                   /* readings have been heard since then ... */
    int64_t since_us;                   /* ... and are known since then, where is_loaded */
    bool is_loaded, is_asking, is_given_up, has_waiting;
    struct day days[DAYS_MAX];
    uint64_t turn;
    int64_t thinned_us[SOURCES], newest_us[SOURCES]; /* of what is thinned: the first reading heard since begun_us (NEVER: none), and the last one */
    struct stepped { int64_t step_us; char *text; size_t of_size, size; } stepped[SOURCES]; /* ... as it was joined last */
    struct loading loading;
    int again_ms;                       /* query could not be asked: until the next time */
    msgpack_sbuffer json;
    int64_t unread;
};

/* Ask for what is wanted next, unless something is under way. */
void past_load(struct past *);
void loading_close(struct loading *);

/* What a reading says, as the object that events carry: in past->json. Size 0: nothing. */
struct slice past_write(struct past *, enum of_source, const void *reading);
bool past_tells(enum of_source, const struct field *); /* whether that member is part of it */
void past_forget_day(struct day *);
void past_wait_no_more(struct past *);

#endif
