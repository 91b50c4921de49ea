/* packed_set.h - an attribute set as its difference to another one that it resembles: docs/store-format.md.
 *
 * Pure. A base is always plain, so reading one takes one more look-up and never a chain. */
#ifndef STORE_PACKED_SET_H
#define STORE_PACKED_SET_H

#include "chunk.h"

enum { SET_BYTES_MAX = 256 * 1024 /* larger ones stay plain, and are no base */ };

/* Appended; an empty base: of none. Neither may be larger than SET_BYTES_MAX. */
void set_pack(struct chunk_tools *, struct slice base, struct slice whole, msgpack_sbuffer *out);
/* -1: it is damaged. Another base may go unnoticed: whoever calls knows the hash of the whole. `out` is cleared before. */
int  set_unpack(struct chunk_tools *, struct slice base, struct slice packed, msgpack_sbuffer *out);

#endif
