/* log_open.c - the capture log is found as an earlier process left it, and closed. */
#include "log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int by_start(const void *a, const void *b)
{
    const struct segment *one = a, *other = b;
    return (one->start > other->start) - (one->start < other->start);
}

static int find_segments(struct capture *self)
{
    DIR *directory = opendir(self->directory);
    if (!directory)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct segment *segment = segment_find(self->directory, entry->d_name);
        if (!segment)
            continue;
        if (segment->bytes == 0) {
            segment_unlink(segment, self->directory);
            segment_destroy(&segment);
            continue;
        }
        self->total_bytes += segment->bytes;
        zlistx_insert(self->segments, segment, false); /* in order; zlistx_sort of CZMQ 4.2.1 does not always sort */
    }
    closedir(directory);
    return 0;
}

/* The newest segment may end in the middle of a record: cut it there. */
static void cut_tail(struct capture *self)
{
    struct segment *newest;
    while ((newest = zlistx_last(self->segments)) != NULL) {
        struct segment_span span = segment_walk(newest, self->directory, &self->pack);
        self->torn_bytes += newest->bytes - span.in_file;
        self->total_bytes -= newest->bytes - span.in_file;
        segment_cut(newest, self->directory, &span);
        if (span.records > 0) {
            self->last_received_us = span.last_us;
            self->heard_us = self->torn_bytes > 0 ? span.last_us : span.heard_us; /* what is torn off came later than all that is left */
            return;
        }
        log_drop(self, newest); /* nothing of it could be read */
    }
}

static int64_t log_end(const struct capture *self)
{
    const struct segment *newest = zlistx_last(self->segments);
    return newest ? newest->start + newest->end : 0;
}

/* What the tally says of a segment and of the next tells how much is in it; the newest are counted. */
static void count_segments(struct capture *self)
{
    struct tally tally;
    tally_read(&tally, self->directory, &self->pack.crc);
    self->tally_number = tally.number;
    self->totals.given_up = tally.given_up;
    if (tally.count > 0)
        self->totals.received = tally.rows[tally.count - 1].before;
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments)) {
        const struct tally_row *row = tally_find(&tally, s->start);
        bool is_told = row && row + 1 < tally.rows + tally.count;
        s->before = row ? row->before : self->totals.received;
        s->events = is_told ? row[1].before - row->before : segment_walk(s, self->directory, &self->pack).events;
        if (!is_told)
            self->totals.received = s->before + s->events;
        self->totals.in_flight += s->events;
    }
    tally_free(&tally);
}

/* A new process always begins behind everything that may ever have been used: a power cut
 * can take a tail whose places are in the store already. */
static int64_t first_offset(const struct capture *self, int64_t now_us)
{
    int64_t limit, end = log_end(self);
    switch (position_read(self->directory, &self->pack.crc, &limit)) {
    case POSITION_NONE:
        return end;
    case POSITION_DAMAGED:
        return end > now_us * 256 ? end : now_us * 256; /* far beyond what a log can have reached */
    default:
        return end > limit ? end : limit;
    }
}

/* A full disk may be full of this log: it must be read for there to be room again. What is
 * appended before that is refused, since no place is promised to it. */
static bool is_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

static int prepare(struct capture *self, int64_t now_us)
{
    if (find_segments(self))
        return -1;
    cut_tail(self);
    count_segments(self);
    int64_t start = first_offset(self, now_us);
    if (log_reserve(self, start + 1) && !is_full(errno))
        return -1;
    return log_start(self, start, now_us);
}

capture_t *capture_open(const struct capture_options *options, int64_t now_us, const char **why)
{
    struct capture *self = calloc(1, sizeof *self);
    assert(self);
    self->options = *options;
    self->directory = strdup(options->directory);
    assert(self->directory);
    pack_open(&self->pack);
    self->syncer = syncer_new();
    self->also_fd = -1;
    self->segments = zlistx_new();
    self->removed = zlistx_new();
    zlistx_set_comparator(self->segments, by_start);
    for (size_t topic = 0; topic < CAPTURE_TOPICS; topic++)
        self->ranges[topic] = zlistx_new();
    self->why = "";
    if (prepare(self, now_us)) {
        *why = strerror(errno);
        capture_close(&self);
    }
    return self;
}

static int finish(struct capture *self)
{
    int rc = self->options.sync == CAPTURE_NEVER ? -1 : 0;
    if (self->active && self->active->bytes == 0)
        segment_unlink(self->active, self->directory);
    for (struct segment *s = zlistx_first(self->segments); s && self->options.sync != CAPTURE_NEVER; s = zlistx_next(self->segments)) {
        log_sync_segment(self, s);
        rc |= segment_is_safe(s) ? 0 : -1;
    }
    return rc;
}

int capture_close(capture_t **self_p)
{
    struct capture *self = *self_p;
    if (!self)
        return 0;
    syncer_destroy(&self->syncer);
    if (self->also_fd >= 0)
        close(self->also_fd);
    int rc = finish(self);
    for (struct segment *s; (s = zlistx_detach(self->segments, NULL)) != NULL;)
        segment_destroy(&s);
    zlistx_destroy(&self->segments);
    for (char *path; (path = zlistx_detach(self->removed, NULL)) != NULL; free(path))
        (void)unlink(path);
    zlistx_destroy(&self->removed);
    for (size_t topic = 0; topic < CAPTURE_TOPICS; topic++) {
        for (struct range *r; (r = zlistx_detach(self->ranges[topic], NULL)) != NULL;)
            free(r);
        zlistx_destroy(&self->ranges[topic]);
    }
    pack_close(&self->pack);
    free(self->directory);
    free(self);
    *self_p = NULL;
    return rc;
}
