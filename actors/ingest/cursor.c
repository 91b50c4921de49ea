/* cursor.c - where the reader of the capture log stands. */
#include "log.h"

#include <assert.h>

void cursor_move(struct capture *self, struct segment *segment, int64_t at)
{
    self->cursor.segment = segment;
    self->cursor.at = at;
    self->cursor.size = self->cursor.passed = 0;
    self->cursor.done = self->cursor.events = 0;
}

void cursor_move_past(struct capture *self, const struct segment *segment)
{
    if (self->cursor.segment && self->cursor.segment->start > segment->start)
        return;
    cursor_move(self, log_after(self, segment), 0);
}

bool cursor_is_past(const struct capture *self, const struct segment *segment)
{
    const struct segment *here = self->cursor.segment;
    return here && (here->start > segment->start || (here == segment && self->cursor.at >= segment->end));
}

bool capture_at_end(const capture_t *self)
{
    const struct segment *here = self->cursor.segment;
    if (!here)
        return self->total_bytes == 0;
    if (self->cursor.at < here->end)
        return false;
    return here == self->active || (self->active->bytes == 0 && log_after(self, here) == self->active);
}

bool capture_is_next(capture_t *self, const struct capture_record *record)
{
    const struct segment *here = self->cursor.segment;
    if (!here || here->start + self->cursor.at + CAPTURE_HEADER != record->place || self->cursor.done > 0)
        return false;
    self->cursor.size = CAPTURE_HEADER + (int64_t)record->bytes.size;
    self->cursor.events = record->events;
    return true;
}

static void tell_damage(struct capture *self, struct segment *segment)
{
    struct segment_span before = segment_walk(segment, self->directory, &self->pack);
    struct segment_span behind = { 0 };
    for (struct segment *next = log_after(self, segment); next && behind.records == 0; next = log_after(self, next))
        behind = segment_walk(next, self->directory, &self->pack);
    struct capture_loss loss = { .bytes = segment->bytes - before.in_file,
        .first_us = before.records ? before.last_us : self->read_us,
        .last_us = behind.records ? behind.first_us : self->last_received_us };
    self->total_bytes -= segment->bytes - before.in_file;
    segment_cut(segment, self->directory, &before);
    log_give_up(self, segment->events - before.events);
    segment->events = before.events;
    self->options.on_loss(self->options.owner, &loss);
}

bool capture_read(capture_t *self, struct capture_record *record)
{
    if (!self->cursor.segment)
        cursor_move(self, zlistx_first(self->segments), 0);
    for (;;) {
        struct segment *here = self->cursor.segment;
        if (self->cursor.at < here->end) {
            int rc = segment_read(here, self->directory, &self->pack, self->cursor.at, record);
            if (rc == 0)
                break;
            if (rc < 0)
                tell_damage(self, here);
        }
        struct segment *next = log_after(self, here);
        if (!next)
            return false;
        segment_forget(here);
        cursor_move(self, next, 0);
    }
    self->cursor.size = CAPTURE_HEADER + (int64_t)record->bytes.size;
    self->cursor.events = record->events;
    if (record->received_us > self->read_us) /* one given back keeps its time */
        self->read_us = record->received_us;
    record->done = self->cursor.done;
    record->replayed = self->cursor.segment->is_old;
    return true;
}

void capture_next(capture_t *self)
{
    assert(self->cursor.segment && self->cursor.size > 0);
    self->cursor.at += self->cursor.size;
    self->cursor.passed += self->cursor.events;
    self->cursor.size = 0;
    self->cursor.done = 0;
}
