/* upkeep.h - what the sink does besides: rolls up, learns from ingest of which times states are missing, and in which zone the home is. */
#ifndef UPKEEP_H
#define UPKEEP_H

#include "actor.h"
#include "store.h"

typedef struct upkeep upkeep_t;

/* zone: of the settings, "" for none. NULL: it is none, and that has been told. */
upkeep_t *upkeep_new(actor_t *, store_t *, const char *zone);
void upkeep_destroy(upkeep_t **);
void upkeep_session(upkeep_t *, const struct ingest_session *); /* what ingest says of itself */

/* What sink.c does for it. */
upkeep_t *sink_upkeep(struct self *);
bool sink_may_write(struct self *, actor_t *, bool is_pressing); /* no transaction is open; one that is, is committed where it presses */
void sink_joined(struct self *, actor_t *, enum store_result);   /* something has: commit it; or all since the last commit was rolled back */

#endif
