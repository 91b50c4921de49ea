/* view.h - the connection and the gaps as others see them. */
#ifndef VIEW_H
#define VIEW_H

#include "backfill.h"
#include "home.h"
#include "ledger.h"
#include "schemas.h"

const char *view_state_name(enum home_state);
void view_unconfigured(struct ingest_session *, int64_t session);

/* `last_session`: the number given out last, where no connection has come so far yet. */
void view_session(const struct home_view *, int64_t last_session, int64_t clock_us, int64_t now_us,
    struct ingest_session *);

/* The last gap of the connection that has ended, as members of the session. */
void view_last_gap(const ledger_t *, struct ingest_session *);

/* `unrecorded`: the JSON array of what history does not know, or NULL. Slices of the row live until the next call. */
void view_gap(const struct gap_entry *, const struct backfill_view *, const char *unrecorded, struct gap *);
const char *view_gap_state(const struct gap_entry *, const struct backfill_view *);

/* All gaps, oldest first; free() it. */
struct gap_entry *view_sorted(const ledger_t *);

#endif
