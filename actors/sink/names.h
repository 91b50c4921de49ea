/* names.h - what the registry says of who has which name, on its way into the store.
 *
 * Rows are kept until they are committed: the registry does not say them twice. What is known
 * already costs a look-up and nothing else. */
#ifndef NAMES_H
#define NAMES_H

#include "store.h"

typedef struct names names_t;

names_t *names_new(store_t *, int64_t clock_us);
void names_destroy(names_t **);

void names_session(names_t *, const struct ingest_session *);
void names_entity(names_t *, const struct entity_row *);

/* ms until there is something to join; -1: there is nothing. The first rows wait a moment for
 * the session, which says when nobody listened. */
int names_wait_ms(const names_t *, int64_t clock_us);

enum store_result names_join(names_t *); /* all that wait, into the transaction: STORE_OK, STORE_TROUBLE */
void names_committed(names_t *);
void names_forget(names_t *); /* the store was rolled back: they wait again */

#endif
