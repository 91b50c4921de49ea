/* view.h - the connection and the gaps as others see them. */
#ifndef VIEW_H
#define VIEW_H

#include "home.h"
#include "ledger.h"
#include "schemas.h"

const char *view_state_name(enum home_state);
void view_unconfigured(struct ingest_session *, int64_t session);

/* `last_session`: the number given out last, where no connection has come so far yet. */
void view_session(const struct home_view *, int64_t last_session, int64_t clock_us, int64_t now_us,
    struct ingest_session *);

/* Slices of the row are static. */
void view_gap(const struct gap_entry *, struct gap *);

/* All gaps, oldest first; free() it. */
struct gap_entry *view_sorted(const ledger_t *);

#endif
