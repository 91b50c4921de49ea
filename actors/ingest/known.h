/* known.h - what the store answers of the entities it knows, for backfill. */
#ifndef KNOWN_H
#define KNOWN_H

#include "actor.h"
#include "backfill.h"

/* Tell backfill of each entity that the store knows, and in which state it was before get_states was answered. */
void known_read(backfill_t *, const struct answer *);

#endif
