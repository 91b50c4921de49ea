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

static bool is_of_connection(enum gap_cause cause)
{
    return cause == GAP_CONNECTION_LOST || cause == GAP_SILENT || cause == GAP_RESTART || cause == GAP_DOWN || cause == GAP_POWER
        || cause == GAP_REFUSED || cause == GAP_FIRST_START;
}

void view_last_gap(const ledger_t *ledger, struct ingest_session *to)
{
    int64_t end_us = 0;
    for (size_t i = 0; i < ledger_count(ledger); i++) {
        const struct gap_entry *gap = ledger_gap(ledger, i);
        if (!is_of_connection(gap->cause) || gap->end_us <= end_us)
            continue;
        end_us = gap->end_us;
        SET(to, gap_start, gap->start_us);
        SET(to, gap_end, gap->end_us);
    }
}

/* What could not be filled so far is what it is, also if it will be tried again. */
const char *view_gap_state(const struct gap_entry *entry, const struct backfill_view *fill)
{
    static const char *const names[] = { [GAP_FILLED] = "filled", [GAP_PARTLY] = "partly_filled",
        [GAP_UNRECOVERABLE] = "unrecoverable" };
    if (entry->end_us == 0)
        return "open";
    if (entry->result != GAP_UNFILLED)
        return names[entry->result];
    return fill->is_waiting ? "filling" : entry->recovered > 0 ? "partly_filled" : "unrecoverable";
}

/* By class, each only where it applies. */
static struct slice lost_json(const struct gap_entry *entry, const struct backfill_view *fill, const char *unrecorded)
{
    static char text[LIST_BYTES + 200];
    bool has_time = entry->end_us > entry->start_us && entry->cause != GAP_REQUESTED;
    bool is_filled = entry->result == GAP_FILLED || (entry->result == GAP_PARTLY && entry->filled_us >= entry->end_us);
    bool is_cut_short = entry->end_us != 0 && !fill->is_waiting && !is_filled;
    size_t size = 0;
    if (fill->rows > 0)
        size += (size_t)snprintf(text + size, sizeof text - size, ",\"contexts\":%" PRId64, fill->rows);
    if (has_time)
        size += (size_t)snprintf(text + size, sizeof text - size, ",\"events\":true%s%s",
            is_filled && entry->is_compared ? "" : ",\"removals\":true", entry->end_us ? ",\"passing_entities\":true" : "");
    if (is_cut_short && entry->end_us > entry->start_us)
        size += (size_t)snprintf(text + size, sizeof text - size, ",\"states\":true");
    if (unrecorded)
        size += (size_t)snprintf(text + size, sizeof text - size, ",\"excluded_entities\":%s", unrecorded);
    size += (size_t)snprintf(text + size, sizeof text - size, "}");
    if (size == 1)
        return slice_of("{}");
    text[0] = '{'; /* in place of the first comma */
    return (struct slice){ text, size };
}

void view_gap(const struct gap_entry *entry, const struct backfill_view *fill, const char *unrecorded, struct gap *to)
{
    static char recovered[48];
    char id[40];
    int length = snprintf(id, sizeof id, "gap-%" PRId64, entry->number);
    const char *cause = gap_cause_name(entry->cause), *state = view_gap_state(entry, fill);
    *to = (struct gap){ 0 };
    SET_TEXT(to, id, id, (size_t)length);
    SET(to, start, entry->start_us);
    if (entry->end_us)
        SET(to, end, entry->end_us);
    SET_TEXT(to, cause, cause, strlen(cause));
    SET_TEXT(to, state, state, strlen(state));
    snprintf(recovered, sizeof recovered, "{\"states\":%" PRId64 "}", fill->rows);
    SET(to, recovered, slice_of(recovered));
    SET(to, unrecoverable, lost_json(entry, fill, unrecorded));
    if (entry->entity_id)
        SET_TEXT(to, entity_id, entry->entity_id, strlen(entry->entity_id));
    if (fill->is_active)
        SET(to, percent, fill->percent);
    if (fill->is_active && fill->remaining_s >= 0)
        SET(to, remaining_s, fill->remaining_s);
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
