/* capture.c - frames are appended to the log, and its oldest segment is given up for them where it is full. */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SEGMENT_MOST (INT64_C(1) << 26)
#define SEGMENT_SHARE 16                  /* of a log that has grown, a segment takes no more than one part in so many */

/* The log is full: its oldest segment goes, told and counted unless all of it is stored. */
static void give_up_oldest(struct capture *self)
{
    struct segment *oldest = zlistx_first(self->segments);
    if (!acked_is_all(self, oldest)) {
        struct segment_span all = segment_all(oldest, self->directory, &self->pack);
        struct capture_loss loss = { .overflow = true, .first_us = all.first_us, .last_us = all.last_us,
            .events = all.events, .bytes = oldest->bytes };
        if (cursor_is_past(self, oldest))
            loss.events = 0; /* in the broker's hands */
        else if (self->cursor.segment == oldest)
            loss.events = all.events - self->cursor.passed - (int64_t)self->cursor.done;
        loss.continues = self->lost_end > 0 && self->lost_end == oldest->start;
        self->lost_end = oldest->start + all.end;
        log_give_up(self, loss.events);
        self->options.on_loss(self->options.owner, &loss);
    }
    cursor_move_past(self, oldest);
    log_drop_oldest(self);
}

/* In a long log segments are longer: each costs a file to make, to sync and to remove. */
static int64_t segment_room(const struct capture *self)
{
    int64_t share = self->total_bytes / SEGMENT_SHARE, least = self->options.segment_bytes;
    share = share < SEGMENT_MOST ? share : SEGMENT_MOST;
    return share > least ? share : least;
}

static int make_room(struct capture *self, int64_t bytes, int64_t now_us)
{
    if (self->active->bytes > 0 && self->active->bytes + bytes > segment_room(self) && log_roll(self, now_us))
        return -1;
    while (self->total_bytes > 0 && self->total_bytes + bytes > self->limit_bytes) {
        if (zlistx_first(self->segments) == self->active && log_roll(self, now_us))
            return -1;
        give_up_oldest(self);
    }
    return log_reserve(self, self->active->start + self->active->end + bytes);
}

static int fail(struct capture *self)
{
    self->why = strerror(errno);
    return -1;
}

int capture_append(capture_t *self, struct capture_record *records, size_t count, int64_t now_us)
{
    assert(count > 0 && count <= CAPTURE_BATCH);
    bool at_end = capture_at_end(self);
    int64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += CAPTURE_HEADER + (int64_t)records[i].bytes.size;
    if (make_room(self, bytes, now_us))
        return fail(self);
    struct segment *segment = self->active;
    int64_t at = segment->end, in_file = segment->bytes;
    if (at_end)
        segment_mark(segment);
    if (segment_append(segment, &self->pack, records, count))
        return fail(self);
    if (segment->safe_bytes == in_file)
        segment->unsafe_since_us = now_us;
    if (segment->bytes - in_file < bytes)
        self->packed_us = now_us;
    self->total_bytes += segment->bytes - in_file;
    for (size_t i = 0; i < count; i++) {
        if (records[i].received_us > self->last_received_us) /* one given back keeps its time */
            self->last_received_us = records[i].received_us;
        if (record_is_heard(&records[i]) && records[i].received_us > self->heard_us)
            self->heard_us = records[i].received_us;
    }
    if (at_end) {
        int64_t passed = segment == self->cursor.segment ? self->cursor.passed : 0;
        cursor_move(self, segment, at);
        self->cursor.passed = passed;
    }
    for (size_t i = 0; i < count; i++) {
        segment->events += records[i].events;
        self->totals.received += records[i].events;
        self->totals.in_flight += records[i].events;
        records[i].place = segment->start + at + CAPTURE_HEADER;
        at += CAPTURE_HEADER + (int64_t)records[i].bytes.size;
    }
    if (self->options.sync == CAPTURE_ALWAYS)
        log_sync_segment(self, segment);
    return 0;
}

const char *capture_why(const capture_t *self)
{
    return self->why;
}

const char *capture_unsynced(const capture_t *self)
{
    return self->unsynced;
}

int64_t capture_bytes(const capture_t *self)
{
    return self->total_bytes;
}

int64_t capture_limit(const capture_t *self)
{
    return self->limit_bytes;
}

int64_t capture_end(const capture_t *self)
{
    return self->active->start + self->active->end;
}

int64_t capture_last_heard(const capture_t *self)
{
    return self->heard_us;
}

int64_t capture_torn(const capture_t *self)
{
    return self->torn_bytes;
}

struct capture_totals capture_totals(const capture_t *self)
{
    return self->totals;
}

int64_t capture_oldest(const capture_t *self)
{
    return self->oldest;
}

int64_t capture_waiting(const capture_t *self)
{
    return self->waiting;
}
