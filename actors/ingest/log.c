/* log.c - the segments of the capture log: begun, told in the tally, given up and dropped. */
#include "log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define RESERVE_BYTES (INT64_C(1) << 36)  /* offsets promised to `position` at a time: it is synced while frames wait */
#define ALWAYS_SEGMENTS 16                /* that the log may have, however full the disk is */

void log_sync_segment(struct capture *self, struct segment *segment)
{
    self->syncs += !segment_is_safe(segment);
    self->unsynced = segment_sync(segment, self->directory) ? strerror(errno) : NULL;
}

struct segment *log_after(const struct capture *self, const struct segment *segment)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (s->start > segment->start)
            return s;
    return NULL;
}

void log_tell_tally(struct capture *self)
{
    size_t count = zlistx_size(self->segments), i = 0;
    struct tally tally = { .number = self->tally_number + 1, .given_up = self->totals.given_up, .rows = calloc(count + 1, sizeof *tally.rows) };
    assert(tally.rows);
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        tally.rows[i++] = (struct tally_row){ s->start, s->before };
    tally.count = count;
    self->has_untold = tally_write(&tally, self->directory, &self->pack.crc) != 0;
    self->tally_number += !self->has_untold;
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        s->is_told = !self->has_untold;
    tally_free(&tally);
}

void log_drop(struct capture *self, struct segment *segment)
{
    for (size_t topic = 0; topic < CAPTURE_TOPICS; topic++)
        for (struct range *r = zlistx_first(self->ranges[topic]); r; r = zlistx_next(self->ranges[topic]))
            if (r->segment == segment)
                r->segment = NULL;
    self->total_bytes -= segment->bytes;
    if (self->cursor.segment == segment)
        self->cursor.segment = NULL;
    if (self->active == segment)
        self->active = NULL;
    void *handle = zlistx_find(self->segments, segment);
    assert(handle);
    zlistx_detach(self->segments, handle);
    if (self->options.sync_aside)
        zlistx_add_end(self->removed, segment_path(segment, self->directory));
    else
        segment_unlink(segment, self->directory);
    segment_destroy(&segment);
}

int log_reserve(struct capture *self, int64_t end)
{
    if (end <= self->reserved)
        return 0;
    int64_t limit = end + RESERVE_BYTES;
    if (position_write(self->directory, &self->pack.crc, limit))
        return -1;
    self->reserved = limit;
    return 0;
}

static int64_t free_bytes(const struct capture *self)
{
    struct statvfs disk;
    if (self->options.free_bytes)
        return self->options.free_bytes(self->options.owner);
    return statvfs(self->directory, &disk) ? INT64_MAX : (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
}

void log_set_limit(struct capture *self)
{
    int64_t most = free_bytes(self), always = ALWAYS_SEGMENTS * self->options.segment_bytes;
    most = most > always ? most : always;
    self->limit_bytes = most < self->options.max_bytes ? most : self->options.max_bytes;
}

int log_start(struct capture *self, int64_t start, int64_t now_us)
{
    struct segment *segment = segment_create(self->directory, start, now_us);
    if (!segment)
        return -1;
    segment->before = self->totals.received;
    zlistx_add_end(self->segments, segment);
    self->active = segment;
    self->has_untold = true;
    log_set_limit(self);
    return 0;
}

int log_roll(struct capture *self, int64_t now_us)
{
    struct segment *full = self->active;
    if (log_start(self, full->start + full->end, now_us))
        return -1;
    if (self->options.sync == CAPTURE_NEVER)
        full->safe_bytes = full->bytes;
    segment_finish(full);
    return 0;
}

/* They are in no hand any more. */
void log_give_up(struct capture *self, int64_t events)
{
    self->totals.in_flight -= events;
    self->totals.given_up += events;
    log_tell_tally(self);
}

/* After a kill what follows the last segment told is counted: none of those may be missing. */
void log_drop_oldest(struct capture *self)
{
    struct segment *oldest = zlistx_first(self->segments), *next = log_after(self, oldest);
    if (next && !next->is_told)
        log_tell_tally(self);
    log_drop(self, oldest);
}
