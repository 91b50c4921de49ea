/* recorded.h - which attributes Home Assistant's recorder keeps, and which domains are special to it.
 *
 * From the source of 2024.3.3, and as the recordings of all three versions show it. */
#ifndef HOME_RECORDED_H
#define HOME_RECORDED_H

#include "text.h"

/* The key with its quotes. `as_2024_3`: a light's colours are kept. */
bool recorded_key(struct slice entity_id, struct slice quoted_key, bool as_2024_3);

/* Domains whose attributes alone make a change significant; that need attributes in any case. */
bool recorded_is_significant(struct slice entity_id);
bool recorded_needs_attributes(struct slice entity_id);

#endif
