/* lineage.h - which series make up the history of an entity.
 *
 * A series is a name's; a device may have had several names, one after the other, and a name may have
 * been several devices'. By default history is the device's. Nothing is ever rewritten for that:
 * lineage is a table of moments at which a name passed on what it stood for, or began to stand for
 * something else. They come from Home Assistant (renames) or from the user (merge, split), and
 * each can be undone. */
#ifndef LINEAGE_H
#define LINEAGE_H

#include "store.h"

#define FOREVER_US INT64_MAX

/* The states of a series with from <= at < to. */
struct lineage_span { int64_t series, from_us, to_us; };

/* Returns 0 to go on. Spans come oldest first and do not overlap. */
typedef int lineage_fn(void *owner, const struct lineage_span *);

/* The spans that are the history of that name: 0 .. FOREVER_US of its one series as a rule. by_role: whoever
 * had the name. STORE_MISSING: no such name. Inside a read or on its own. */
enum store_result store_lineage(store_t *, struct slice entity_id, bool by_role, lineage_fn *, void *owner);

/* The same as rows: with the names, and what each begins with. `identity` other than device and role: STORE_BAD. */
typedef int lineage_span_fn(void *owner, const struct lineage_span_row *);
enum store_result store_lineage_rows(store_t *, const struct lineage_query *, lineage_span_fn *, void *owner, struct page *end, struct fault *);

/* Everything noted, newest first. */
typedef int lineage_row_fn(void *owner, const struct lineage_row *);
enum store_result store_lineage_list(store_t *, const struct lineage_list_query *, lineage_row_fn *, void *owner, struct page *end, struct fault *);

/* --- the writer: what Home Assistant says -----------------------------------------------------
 * Both join the open transaction. STORE_OK: something was noted, STORE_DUPLICATE: nothing was to be. */

/* An event, stored or left out: a live entity_registry_updated tells of a rename or a new entity. */
enum store_result store_note_event(store_t *, const struct event_full *);

/* Whether a state that comes from a history, under the name that its entity has now, is stored already under the name
 * that it had then: same time, same text. Home Assistant tells of the time before a rename so. */
enum store_result store_is_told(store_t *, const struct event_full *, bool *is_told);

/* A row of the registry, when it was read, and the last time before that of which Home Assistant's events are
 * missing (gap 0: none that counts). It tells what happened while nobody listened. */
enum { LINEAGE_EARLY_US = 1000000 }; /* the ledger dates the beginning of a gap so early */
enum store_result store_note_entity(store_t *, const struct entity_row *, int64_t gap_us);

/* --- the writer: what the user says ------------------------------------------------------------
 * Nothing else may be in the transaction; they commit. STORE_BAD: contradicts itself or what is known,
 * STORE_MISSING: no such entity or number, STORE_DUPLICATE: undone already; the fault names the field. */
enum store_result store_merge(store_t *, const struct merge_query *, int64_t now_us, struct lineage_row *, struct fault *);
enum store_result store_split(store_t *, const struct split_query *, int64_t now_us, struct lineage_row *, struct fault *);
enum store_result store_undo(store_t *, int64_t id, int64_t now_us, struct lineage_row *, struct fault *);

#endif
