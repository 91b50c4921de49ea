/* acked.c - what has been published of the log, what of it is acknowledged, and which segments may go for that. */
#include "log.h"

#include <assert.h>
#include <stdlib.h>

#define ROLL_US (20 * INT64_C(1000000))   /* before the kernel writes old pages back by itself (30 s) */

void capture_sent(capture_t *self, size_t topic, uint64_t number)
{
    struct segment *segment = self->cursor.segment;
    assert(segment && topic < CAPTURE_TOPICS);
    self->cursor.done++;
    segment->published++;
    self->waiting++;
    struct range *last = zlistx_last(self->ranges[topic]);
    if (last && last->segment == segment && last->mark == self->marks && last->last + 1 == number) {
        last->last = number;
        return;
    }
    struct range *range = malloc(sizeof *range);
    assert(range);
    *range = (struct range){ .first = number, .last = number, .mark = self->marks, .segment = segment };
    zlistx_add_end(self->ranges[topic], range);
}

int64_t capture_mark(capture_t *self)
{
    return ++self->marks;
}

bool capture_is_settled(const capture_t *self, int64_t mark)
{
    for (size_t topic = 0; topic < CAPTURE_TOPICS; topic++)
        for (struct range *r = zlistx_first(self->ranges[topic]); r; r = zlistx_next(self->ranges[topic]))
            if (r->mark < mark && r->acked < r->last - r->first + 1)
                return false;
    return true;
}

static void credit(struct range *range, uint64_t first, uint64_t last, int64_t now_us)
{
    uint64_t count = last - first + 1;
    range->acked += count;
    if (range->segment) {
        range->segment->acked += (int64_t)count;
        range->segment->acked_us = now_us;
        range->segment->acked_later_us = INT64_MAX;
    }
}

bool acked_is_all(const struct capture *self, const struct segment *segment)
{
    return cursor_is_past(self, segment) && segment->acked == segment->published;
}

/* The time of a turn of the loop may lie before an acknowledgement that arrived in it: the
 * store must have begun its sync in a later one. What is acknowledged to the last event is
 * marked: one mark at a time, until the store has synced. */
void acked_stamp(struct capture *self, int64_t now_us)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments)) {
        if (s->acked_later_us == INT64_MAX && s->acked_us < now_us)
            s->acked_later_us = now_us;
        if (s->acked_later_us != INT64_MAX && s->marked_bytes <= s->safe_bytes && s->bytes > s->safe_bytes && acked_is_all(self, s)) {
            s->marked_bytes = s->bytes;
            s->marked_us = s->acked_later_us;
        }
    }
}

int64_t capture_acked(capture_t *self, size_t topic, uint64_t first, uint64_t last, int64_t now_us)
{
    assert(topic < CAPTURE_TOPICS && first <= last);
    zlistx_t *ranges = self->ranges[topic];
    int64_t count = 0;
    for (struct range *r = zlistx_first(ranges); r && r->first <= last; r = zlistx_next(ranges)) {
        uint64_t from = first > r->first ? first : r->first, to = last < r->last ? last : r->last;
        if (from > to)
            continue;
        credit(r, from, to, now_us);
        count += (int64_t)(to - from + 1);
        /* The newest range may still grow; it is kept until another follows. */
        if (r->acked == r->last - r->first + 1 && r != zlistx_tail(ranges)) {
            zlistx_detach_cur(ranges);
            free(r);
        }
    }
    self->waiting -= count;
    self->totals.in_flight -= count;
    if (self->options.sync == CAPTURE_NEVER)
        capture_tick(self, now_us);
    else
        acked_stamp(self, now_us);
    return count;
}

bool acked_is_safe(const struct capture *self, const struct segment *segment)
{
    return acked_is_all(self, segment)
        && (self->options.sync != CAPTURE_INTERVAL || segment->acked_later_us <= self->stored_us);
}

void acked_unlink(struct capture *self, int64_t now_us)
{
    struct segment *active = self->active;
    if (active->bytes > 0 && acked_is_safe(self, active) && now_us - active->created_us >= ROLL_US)
        (void)log_roll(self, now_us); /* no room for a file: later */
    for (struct segment *s; (s = zlistx_first(self->segments)) != self->active && acked_is_safe(self, s);) {
        cursor_move_past(self, s);
        log_drop_oldest(self);
    }
}

void capture_stored(capture_t *self, int64_t at_us, int64_t now_us)
{
    if (at_us > self->stored_us)
        self->stored_us = at_us;
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (s->marked_bytes > s->safe_bytes && s->marked_us <= self->stored_us) {
            s->safe_bytes = s->marked_bytes;
            s->unsafe_since_us = s->marked_us;
        }
    acked_unlink(self, now_us);
}
