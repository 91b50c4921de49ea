/* asked.c - the services of ingest: its state, its gaps and coverage, commands to Home Assistant, frames given back. */
#include "inside.h"
#include "again.h"
#include "coverage.h"
#include "view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void asked_describe(struct self *self, struct ingest_session *to)
{
    if (!self->home) {
        view_unconfigured(to, ledger_session(self->ledger));
        return;
    }
    struct home_view view;
    home_view(self->home, &view);
    view_session(&view, ledger_session(self->ledger), actor_clock_us(self->actor), actor_now_us(self->actor), to);
    view_last_gap(self->ledger, to);
    char text[241];
    backfill_describe(self->backfill, actor_clock_us(self->actor), text, sizeof text);
    if (*text)
        SET_TEXT(to, backfill, text, strlen(text));
}

static int on_status(struct self *self, actor_t *actor, const struct nothing *query, struct ingest_session *reply)
{
    (void)actor, (void)query;
    asked_describe(self, reply);
    return OK;
}

/* Where a list goes on: with the gap of this id. `count`: there is none. */
static size_t find_gap(const struct gap_entry *sorted, size_t count, const char *cursor)
{
    char id[40];
    size_t i = 0;
    for (; i < count; i++) {
        snprintf(id, sizeof id, "gap-%" PRId64, sorted[i].number);
        if (strcmp(id, cursor) == 0)
            break;
    }
    return i;
}

static int on_gaps(struct self *self, actor_t *actor, const struct gaps_query *query, rows_t *rows, struct page *end)
{
    struct gap_entry *sorted = view_sorted(self->ledger);
    size_t count = ledger_count(self->ledger), first = query->has_cursor ? find_gap(sorted, count, query->cursor) : 0;
    int64_t given = 0;
    bool has_room = true;
    if (query->has_cursor && first == count) {
        free(sorted);
        return actor_refuse(actor, UNPROCESSABLE, "cursor", "is none of this list");
    }
    for (size_t i = first; i < count && has_room; i++) {
        const struct gap_entry *entry = &sorted[i];
        if ((query->has_start_time && entry->end_us != 0 && entry->end_us <= query->start_time)
            || (query->has_end_time && entry->start_us >= query->end_time))
            continue;
        struct gap row;
        char *unrecorded = ledger_list(self->ledger, entry->unrecorded);
        struct backfill_view fill;
        backfill_view(self->backfill, entry, actor_clock_us(actor), &fill);
        view_gap(entry, &fill, unrecorded, &row);
        has_room = row_ingest_gaps(rows, &row) == 0;
        if (!has_room)
            SET_TEXT(end, next_cursor, row.id, row.id_size);
        free(unrecorded);
        given += has_room;
    }
    free(sorted);
    SET(end, count, given);
    return OK;
}

static int check_command(struct self *self, actor_t *actor, struct slice command)
{
    static const char *const keys[] = { "id", "type" };
    struct json_value root, values[2];
    const char *why;
    if (json_read(self->json, command, &root, &why) || root.kind != JSON_OBJECT
        || json_pick(self->json, root.raw, keys, 2, values))
        return actor_refuse(actor, UNPROCESSABLE, "command", "must be a JSON object");
    if (values[0].kind != JSON_NOTHING)
        return actor_refuse(actor, BAD_REQUEST, "command", "must not have an id: ingest gives it one");
    if (values[1].kind != JSON_TEXT)
        return actor_refuse(actor, BAD_REQUEST, "command", "must have a type");
    return OK;
}

static struct slice trim(struct slice text)
{
    const char *at = text.data;
    while (text.size > 0 && strchr(" \t\r\n", *at))
        at++, text.size--;
    while (text.size > 0 && strchr(" \t\r\n", at[text.size - 1]))
        text.size--;
    return (struct slice){ at, text.size };
}

static int on_ask(struct self *self, actor_t *actor, const struct ha_command *query, struct ha_result *reply)
{
    (void)reply;
    struct home_view view = { 0 };
    int bad = check_command(self, actor, query->command);
    if (bad)
        return bad;
    if (self->home)
        home_view(self->home, &view);
    if (!self->home || view.state != HOME_LIVE)
        return actor_refuse(actor, UNAVAILABLE, "", "there is no connection to Home Assistant now");
    if (query->has_session && query->session != view.session)
        return actor_refuse(actor, CONFLICT, "session", "is over: another one answers now");
    if (chain_is_flooded(self))
        return actor_refuse(actor, UNAVAILABLE, "", "Home Assistant sends more than is read: nothing is asked of it now");
    ticket_t ticket = actor_ticket(actor);
    if (home_ask(self->home, trim(query->command), (int64_t)ticket, actor_clock_us(actor)))
        return actor_refuse(actor, UNAVAILABLE, "", "too many commands are open");
    return LATER;
}

static int on_again(struct self *self, actor_t *actor, const struct again_query *query, struct again_reply *reply)
{
    struct capture_record record;
    const char *why;
    chain_flush(self); /* what came before is in the log before */
    if (stash_count(self->stash) > 0)
        return actor_refuse(actor, UNAVAILABLE, "", "the capture log cannot be written");
    if (again_cut(self->read_split, query, actor_now_us(actor), &record, &self->read_items, &why))
        return actor_refuse(actor, UNPROCESSABLE, "bytes", why);
    if (chain_take(self, &record, 1, self->read_items.list))
        return actor_refuse(actor, UNAVAILABLE, "", "the capture log cannot be written");
    self->stats.again++;
    self->own += record.events;
    SET(reply, events, record.events);
    return OK;
}

static int on_totals(struct self *self, actor_t *actor, const struct nothing *query, struct ingest_totals *reply)
{
    (void)actor, (void)query;
    struct capture_totals totals = capture_totals(self->capture);
    SET(reply, received, totals.received);
    SET(reply, in_flight, totals.in_flight);
    SET(reply, given_up, totals.given_up);
    SET(reply, own, self->own);
    return OK;
}

static int on_backfill(struct self *self, actor_t *actor, const struct backfill_query *query, struct backfill_reply *reply)
{
    const char *field, *why;
    struct slice ids = { query->entity_id, query->has_entity_id ? query->entity_id_size : 0 };
    int64_t number = backfill_request(self->backfill, query->start_time, query->end_time, ids, actor_now_us(actor), &field, &why);
    if (number < 0)
        return actor_refuse(actor, number == -1 ? UNPROCESSABLE : CONFLICT, field, why);
    snprintf(reply->id, sizeof reply->id, "gap-%" PRId64, number);
    reply->id_size = (uint32_t)strlen(reply->id);
    reply->has_id = true;
    actor_wake(actor, 0);
    return OK;
}

static int on_coverage(struct self *self, actor_t *actor, const struct coverage_query *query, rows_t *rows, struct page *end)
{
    struct coverage coverage = coverage_of(self->ledger, self->backfill, actor_now_us(actor), actor_clock_us(actor));
    struct coverage_span span;
    int64_t given = 0;
    while (coverage_next(&coverage, query, &span) && row_ingest_coverage(rows, &span) == 0)
        given++;
    coverage_free(&coverage);
    SET(end, count, given);
    return OK;
}

static int on_synced(struct self *self, actor_t *actor, const struct store_synced *message)
{
    capture_stored(self->capture, message->at, actor_now_us(actor));
    self->is_store_synced = true;
    return OK;
}

const struct handler asked_handlers[] = {
    ON(store_synced, on_synced),
    ANSWER(ingest_status, on_status),
    ANSWER(ingest_gaps, on_gaps),
    ANSWER(ingest_ask, on_ask),
    ANSWER(ingest_again, on_again),
    ANSWER(ingest_totals, on_totals),
    ANSWER(ingest_backfill, on_backfill),
    ANSWER(ingest_coverage, on_coverage),
    { 0 },
};
