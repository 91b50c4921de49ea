/* stash.h - frames in memory that the disk would not take: they wait here, in order. */
#ifndef STASH_H
#define STASH_H

#include "capture.h"

typedef struct stash stash_t;

stash_t *stash_new(void);
void stash_destroy(stash_t **);
void stash_add(stash_t *, const struct capture_record *);          /* copies the bytes */
bool stash_first(const stash_t *, struct capture_record *);        /* the oldest, borrowed; false: none */
void stash_drop_first(stash_t *);
size_t stash_count(const stash_t *);

#endif
