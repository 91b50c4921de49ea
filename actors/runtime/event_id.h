/* event_id.h - the id of an event: made from its identity, and enough to find it again.
 *
 * "<series>-<time>-<rest>" in hexadecimal: 48 bits of the series' hash (entity_id of a state,
 * event_type of any other event), the identity's time in microseconds (last_updated; of a
 * removal and of other events time_fired), 32 bits of the hash of the context and, for other
 * events, of the data. Always EVENT_ID characters. A row that came first without a context
 * (history gives none) keeps the id that it was given then. */
#ifndef EVENT_ID_H
#define EVENT_ID_H

#include "schemas.h"

enum { EVENT_ID = 12 + 1 + 15 + 1 + 8 };

/* Sets e->id from is_state, entity_id or event_type, state, last_updated, timestamp,
 * context_id and data. */
void event_id_set(struct event_full *e);

struct event_key { uint64_t series; int64_t at; uint32_t rest; };
struct event_key event_key(const struct event_full *e);
void event_id_write(const struct event_key *, char to[EVENT_ID]); /* no NUL */
int event_id_read(struct slice text, struct event_key *key);      /* -1 if it is none */

uint64_t series_hash(bool is_state, struct slice name);  /* the 48 bits */

/* Of any bytes, 64 bits; ids and files hold it, so it never changes. */
uint64_t hash_bytes(uint64_t seed, struct slice bytes);
#define HASH_SEED UINT64_C(0x243f6a8885a308d3)

#endif
