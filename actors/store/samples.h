/* samples.h - the states of one series over time, one after the other, oldest first.
 *
 * Inside a read (read_begin .. read_end), or of the writer inside its transaction, where rows
 * that wait are not seen. Times are microseconds UTC. Several series may be open at once. */
#ifndef STORE_SAMPLES_H
#define STORE_SAMPLES_H

#include "store.h"

enum sample_kind { SAMPLE_NUMBER, SAMPLE_TEXT, SAMPLE_NONE /* unavailable, unknown, "" */, SAMPLE_REMOVED };

/* number: in the unit that the snapshot names. state lives until the next call; attributes and
 * snapshot are numbers of words, 0: none. */
struct sample { int64_t at; enum sample_kind kind; double number; struct slice state; int64_t attributes, snapshot; };

typedef struct samples samples_t;

/* All with from <= at < to; of those with the same time the one that arrived last comes last, and is in
 * force. with_prior: before them the newest that is older than `from`, with its own time, also where there
 * is one at `from` itself. NULL: trouble, store_why says which. */
samples_t *samples_open(store_t *, int64_t series, int64_t from_us, int64_t to_us, bool with_prior);
enum store_result samples_next(samples_t *, struct sample *); /* STORE_MISSING: the end */

/* What follows the sample at hand as one: `count` of the same snapshot, of which `changes` say another text than the one before each; the last of
 * them. false: ask for the next one; also where those that follow would have to be looked at one by one. */
struct samples_passed { int64_t count, changes; struct sample last; };
bool samples_pass(samples_t *, struct samples_passed *);
void samples_close(samples_t **);

#endif
