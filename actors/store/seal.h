/* seal.h - old rows move into chunks, a little at a time; and back, where one of them is to change. */
#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include "sealed.h"

/* The rows of the chunk that holds this time are hot again. STORE_MISSING: there is none. */
enum store_result seal_open_again(store_t *, int64_t series, int64_t at);
enum store_result seal_open_all(store_t *, int64_t series);
void sealing_close(store_t *);

/* Rows in memory on their way into chunks. Bodies are in one buffer, so they are offsets until stash_finish(). */
struct stash { struct chunk_row *rows; bool *is_hot; size_t count, room; msgpack_sbuffer bodies; };
void stash_clear(struct stash *);
void stash_add(struct stash *, const struct chunk_row *, bool is_hot);
void stash_finish(struct stash *);          /* in order, and whole */
void stash_destroy(struct stash *);
/* These rows become a chunk of the series; its bytes are read back and compared. STORE_BAD: they differ. */
enum store_result stash_write(store_t *, const struct stash *, size_t from, size_t count, int64_t series, bool is_state);
enum store_result chunk_drop(store_t *, const struct chunk_entry *);

#endif
