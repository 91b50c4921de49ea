/* view.c - fill ingest_session and gap rows. */
#include "view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = { [HOME_CONNECTING] = "connecting", [HOME_SUBSCRIBING] = "subscribing",
    [HOME_LIVE] = "live", [HOME_WAITING] = "waiting", [HOME_AUTH_REFUSED] = "auth_refused" };

const char *view_state_name(enum home_state state)
{
    return state_names[state];
}

void view_unconfigured(struct ingest_session *to, int64_t session)
{
    *to = (struct ingest_session){ 0 };
    SET_TEXT(to, state, "unconfigured", 12);
    SET(to, session, session);
    SET(to, registry_changes, 0);
}

void view_session(const struct home_view *view, int64_t last_session, int64_t clock_us, int64_t now_us,
    struct ingest_session *to)
{
    const char *state = state_names[view->state];
    bool is_known = view->session > 0;
    *to = (struct ingest_session){ 0 };
    SET_TEXT(to, state, state, strlen(state));
    SET(to, session, is_known ? view->session : last_session);
    SET(to, registry_changes, view->registry_changes);
    SET(to, since, now_us - (clock_us - view->since_us));
    if (view->endpoint)
        SET_TEXT(to, endpoint, view->endpoint->url, strlen(view->endpoint->url));
    if (*view->ha_version)
        SET_TEXT(to, ha_version, view->ha_version, strlen(view->ha_version));
    if (is_known)
        SET(to, all_events, view->all_events);
    if (is_known && !view->all_events)
        SET(to, event_types, slice_of(view->event_types));
    if (view->retry_us)
        SET(to, retry_at, now_us + (view->retry_us - clock_us));
    if (*view->why)
        SET_TEXT(to, why, view->why, strlen(view->why));
}

void view_gap(const struct gap_entry *entry, struct gap *to)
{
    char id[40];
    int length = snprintf(id, sizeof id, "gap-%" PRId64, entry->number);
    const char *cause = gap_cause_name(entry->cause), *state = entry->end_us ? "unrecoverable" : "open";
    *to = (struct gap){ 0 };
    SET_TEXT(to, id, id, (size_t)length);
    SET(to, start, entry->start_us);
    if (entry->end_us)
        SET(to, end, entry->end_us);
    SET_TEXT(to, cause, cause, strlen(cause));
    SET_TEXT(to, state, state, strlen(state));
    SET(to, recovered, slice_of("{\"states\":0}"));
    SET(to, unrecoverable, slice_of(entry->end_us > entry->start_us ? "{\"events\":true}" : "{}"));
}

static int by_start(const void *a, const void *b)
{
    const struct gap_entry *one = a, *other = b;
    if (one->start_us != other->start_us)
        return one->start_us < other->start_us ? -1 : 1;
    return (one->number > other->number) - (one->number < other->number);
}

struct gap_entry *view_sorted(const ledger_t *ledger)
{
    size_t count = ledger_count(ledger);
    struct gap_entry *list = malloc((count + 1) * sizeof *list);
    assert(list);
    for (size_t i = 0; i < count; i++)
        list[i] = *ledger_gap(ledger, i);
    qsort(list, count, sizeof *list, by_start);
    return list;
}
