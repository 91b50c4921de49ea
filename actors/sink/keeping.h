/* keeping.h - what the sink does for its store while no batch waits: old rows are sealed, chunks are looked at.
 *
 * A step takes some milliseconds, and then there is none for four times as long. */
#ifndef KEEPING_H
#define KEEPING_H

#include "actor.h"
#include "store.h"

struct keeping {
    int64_t due_us, look_us;        /* on the clock: the next step of sealing, and of looking */
    int64_t verified, verified_at;  /* chunks since the look began; when the last one ended, 0: none has */
    int64_t bad, bad_sets;          /* chunks, and attribute sets, that are damaged */
    int64_t bad_words;              /* snapshots, readings and users that are, as of the last look */
    struct store_bad_word words[LOOKED_BAD]; /* the first of them */
    int64_t found_words;            /* of the look under way */
    enum { AT_CHUNKS, AT_SETS, AT_WORDS } at; /* the look under way: the former are done */
    bool is_asked;                  /* to look at all of them, soon */
    bool is_partly;                 /* the look was under way then: one more follows it */
};

void keeping_open(struct keeping *, store_t *);
/* Nothing may be in the transaction. Returns ms until the next. */
int  keeping_step(struct keeping *, actor_t *, store_t *, const struct sink_config *, struct sink_stats *);
void keeping_ask(struct keeping *);
void keeping_show(const struct keeping *, store_t *, struct store_view *, msgpack_sbuffer *pool);

#endif
