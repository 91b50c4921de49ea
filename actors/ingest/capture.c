/* capture.c - append, read back, acknowledge, sync and unlink the segments of the log. */
#include "capture.h"
#include "segment.h"
#include "syncer.h"
#include "tally.h"

#include <assert.h>
#include <czmq.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES (INT64_C(1) << 36)  /* offsets promised to `position` at a time: it is synced while frames wait */
#define ALWAYS_SEGMENTS 16                /* that the log may have, however full the disk is */
#define ROLL_US (20 * INT64_C(1000000))   /* before the kernel writes old pages back by itself (30 s) */
#define ROLL_UNSYNCED (INT64_C(1) << 20) /* who writes to a file that is being synced waits with it */
#define TELL_US INT64_C(1000000)          /* between two tallies */
#define REST_US (10 * INT64_C(1000000))   /* after a flood */
#define SEGMENT_MOST (INT64_C(1) << 26)
#define SEGMENT_SHARE 16                  /* of a log that has grown, a segment takes no more than one part in so many */

/* Consecutive messages of one topic that came from one segment. */
struct range {
    uint64_t first, last;
    uint64_t acked;
    int64_t mark;            /* of the marks made, the newest before it */
    struct segment *segment; /* NULL: given up since */
};

struct capture {
    struct capture_options options;
    char *directory;
    struct pack pack;
    int64_t packed_us;           /* when something was packed last */
    syncer_t *syncer;
    zlistx_t *segments;          /* oldest first; the last one is written to */
    struct segment *active;
    zlistx_t *ranges[CAPTURE_TOPICS];
    zlistx_t *removed;           /* paths of segments that have gone but for their files */
    int64_t oldest;              /* no file has anything before this place */
    int64_t total_bytes, limit_bytes;
    int64_t reserved;            /* offsets below this may be used */
    int64_t waiting, syncs, marks;
    struct capture_totals totals;
    int64_t tally_number;        /* of the one on the disk */
    bool has_untold;             /* the tally on the disk is an older one */
    int64_t told_us;             /* when the tick wrote it last */
    int64_t stored_us;           /* what the store said last */
    int64_t last_received_us, heard_us, torn_bytes;
    int64_t read_us;             /* received then, of the records read */
    int64_t lost_end;            /* of the loss told last */
    const char *why;
    int also_fd;                 /* to be synced as well; -1: none */
    const char *unsynced;        /* NULL: the last sync succeeded */
    struct {
        struct segment *segment; /* NULL until the first read: then the oldest */
        int64_t at;              /* offset in it */
        int64_t size;            /* of the record there, if known; else 0 */
        uint32_t done, events;   /* of that record */
        int64_t passed;          /* events of the segment's records before it */
    } cursor;
};

static void sync_segment(struct capture *self, struct segment *segment)
{
    self->syncs += !segment_is_safe(segment);
    self->unsynced = segment_sync(segment, self->directory) ? strerror(errno) : NULL;
}

/* --- how many ever ---------------------------------------------------------------------- */

static void tell_tally(struct capture *self)
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

static void drop(struct capture *self, struct segment *segment)
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

static struct segment *after(const struct capture *self, const struct segment *segment)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (s->start > segment->start)
            return s;
    return NULL;
}

/* --- opening --------------------------------------------------------------------------- */

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
        drop(self, newest); /* nothing of it could be read */
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

static int reserve(struct capture *self, int64_t end)
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

static void set_limit(struct capture *self)
{
    int64_t most = free_bytes(self), always = ALWAYS_SEGMENTS * self->options.segment_bytes;
    most = most > always ? most : always;
    self->limit_bytes = most < self->options.max_bytes ? most : self->options.max_bytes;
}

static int start_segment(struct capture *self, int64_t start, int64_t now_us)
{
    struct segment *segment = segment_create(self->directory, start, now_us);
    if (!segment)
        return -1;
    segment->before = self->totals.received;
    zlistx_add_end(self->segments, segment);
    self->active = segment;
    self->has_untold = true;
    set_limit(self);
    return 0;
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
    if (reserve(self, start + 1) && !is_full(errno))
        return -1;
    return start_segment(self, start, now_us);
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
        sync_segment(self, s);
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

/* --- writing --------------------------------------------------------------------------- */

static int roll(struct capture *self, int64_t now_us)
{
    struct segment *full = self->active;
    if (start_segment(self, full->start + full->end, now_us))
        return -1;
    if (self->options.sync == CAPTURE_NEVER)
        full->safe_bytes = full->bytes;
    segment_finish(full);
    return 0;
}

static bool is_past(const struct capture *self, const struct segment *segment)
{
    const struct segment *here = self->cursor.segment;
    return here && (here->start > segment->start || (here == segment && self->cursor.at >= segment->end));
}

static bool is_acked(const struct capture *self, const struct segment *segment)
{
    return is_past(self, segment) && segment->acked == segment->published;
}

static void move_cursor(struct capture *self, struct segment *segment, int64_t at)
{
    self->cursor.segment = segment;
    self->cursor.at = at;
    self->cursor.size = self->cursor.passed = 0;
    self->cursor.done = self->cursor.events = 0;
}

static void move_cursor_past(struct capture *self, const struct segment *segment)
{
    if (self->cursor.segment && self->cursor.segment->start > segment->start)
        return;
    move_cursor(self, after(self, segment), 0);
}

/* They are in no hand any more. */
static void give_up(struct capture *self, int64_t events)
{
    self->totals.in_flight -= events;
    self->totals.given_up += events;
    tell_tally(self);
}

/* After a kill what follows the last segment told is counted: none of those may be missing. */
static void drop_oldest(struct capture *self)
{
    struct segment *oldest = zlistx_first(self->segments), *next = after(self, oldest);
    if (next && !next->is_told)
        tell_tally(self);
    drop(self, oldest);
}

/* The log is full: its oldest segment goes, told and counted unless all of it is stored. */
static void give_up_oldest(struct capture *self)
{
    struct segment *oldest = zlistx_first(self->segments);
    if (!is_acked(self, oldest)) {
        struct segment_span all = segment_all(oldest, self->directory, &self->pack);
        struct capture_loss loss = { .overflow = true, .first_us = all.first_us, .last_us = all.last_us,
            .events = all.events, .bytes = oldest->bytes };
        if (is_past(self, oldest))
            loss.events = 0; /* in the broker's hands */
        else if (self->cursor.segment == oldest)
            loss.events = all.events - self->cursor.passed - (int64_t)self->cursor.done;
        loss.continues = self->lost_end > 0 && self->lost_end == oldest->start;
        self->lost_end = oldest->start + all.end;
        give_up(self, loss.events);
        self->options.on_loss(self->options.owner, &loss);
    }
    move_cursor_past(self, oldest);
    drop_oldest(self);
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
    if (self->active->bytes > 0 && self->active->bytes + bytes > segment_room(self) && roll(self, now_us))
        return -1;
    while (self->total_bytes > 0 && self->total_bytes + bytes > self->limit_bytes) {
        if (zlistx_first(self->segments) == self->active && roll(self, now_us))
            return -1;
        give_up_oldest(self);
    }
    return reserve(self, self->active->start + self->active->end + bytes);
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
        move_cursor(self, segment, at);
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
        sync_segment(self, segment);
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

/* --- the cursor ------------------------------------------------------------------------ */

bool capture_at_end(const capture_t *self)
{
    const struct segment *here = self->cursor.segment;
    if (!here)
        return self->total_bytes == 0;
    if (self->cursor.at < here->end)
        return false;
    return here == self->active || (self->active->bytes == 0 && after(self, here) == self->active);
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
    for (struct segment *next = after(self, segment); next && behind.records == 0; next = after(self, next))
        behind = segment_walk(next, self->directory, &self->pack);
    struct capture_loss loss = { .bytes = segment->bytes - before.in_file,
        .first_us = before.records ? before.last_us : self->read_us,
        .last_us = behind.records ? behind.first_us : self->last_received_us };
    self->total_bytes -= segment->bytes - before.in_file;
    segment_cut(segment, self->directory, &before);
    give_up(self, segment->events - before.events);
    segment->events = before.events;
    self->options.on_loss(self->options.owner, &loss);
}

bool capture_read(capture_t *self, struct capture_record *record)
{
    if (!self->cursor.segment)
        move_cursor(self, zlistx_first(self->segments), 0);
    for (;;) {
        struct segment *here = self->cursor.segment;
        if (self->cursor.at < here->end) {
            int rc = segment_read(here, self->directory, &self->pack, self->cursor.at, record);
            if (rc == 0)
                break;
            if (rc < 0)
                tell_damage(self, here);
        }
        struct segment *next = after(self, here);
        if (!next)
            return false;
        segment_forget(here);
        move_cursor(self, next, 0);
    }
    self->cursor.size = CAPTURE_HEADER + (int64_t)record->bytes.size;
    self->cursor.events = record->events;
    if (record->received_us > self->read_us) /* one given back keeps its time */
        self->read_us = record->received_us;
    record->done = self->cursor.done;
    record->replayed = self->cursor.segment->is_old;
    return true;
}

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

void capture_next(capture_t *self)
{
    assert(self->cursor.segment && self->cursor.size > 0);
    self->cursor.at += self->cursor.size;
    self->cursor.passed += self->cursor.events;
    self->cursor.size = 0;
    self->cursor.done = 0;
}

/* --- acknowledgement, sync, unlinking --------------------------------------------------- */

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

/* The time of a turn of the loop may lie before an acknowledgement that arrived in it: the
 * store must have begun its sync in a later one. What is acknowledged to the last event is
 * marked: one mark at a time, until the store has synced. */
static void stamp(struct capture *self, int64_t now_us)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments)) {
        if (s->acked_later_us == INT64_MAX && s->acked_us < now_us)
            s->acked_later_us = now_us;
        if (s->acked_later_us != INT64_MAX && s->marked_bytes <= s->safe_bytes && s->bytes > s->safe_bytes && is_acked(self, s)) {
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
        stamp(self, now_us);
    return count;
}

static bool is_safe(const struct capture *self, const struct segment *segment)
{
    return is_acked(self, segment)
        && (self->options.sync != CAPTURE_INTERVAL || segment->acked_later_us <= self->stored_us);
}

static void unlink_safe(struct capture *self, int64_t now_us)
{
    struct segment *active = self->active;
    if (active->bytes > 0 && is_safe(self, active) && now_us - active->created_us >= ROLL_US)
        (void)roll(self, now_us); /* no room for a file: later */
    for (struct segment *s; (s = zlistx_first(self->segments)) != self->active && is_safe(self, s);) {
        move_cursor_past(self, s);
        drop_oldest(self);
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
    unlink_safe(self, now_us);
}

/* Nobody knows how old it is once the clock has been set back. */
static bool is_overdue(const struct capture *self, const struct segment *segment, int64_t now_us)
{
    int64_t age_us = now_us - segment->unsafe_since_us;
    return !segment_is_safe(segment) && !is_safe(self, segment) && (age_us < 0 || age_us >= self->options.sync_us);
}

static struct segment *find(const struct capture *self, int64_t start)
{
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (s->start == start)
            return s;
    return NULL;
}

static void take_synced(struct capture *self, const struct sync_job *job)
{
    self->unsynced = NULL;
    for (const struct sync_file *file = job->files; file < job->files + job->count; file++) {
        struct segment *segment = file->path ? NULL : find(self, file->tag); /* NULL: it has gone meanwhile */
        if (file->error)
            self->unsynced = strerror(file->error);
        if (file->error || !segment)
            continue;
        segment_synced(segment, file->bytes);
        segment->unsafe_since_us = job->at_us;
    }
}

static bool add_file(struct capture *self, struct sync_job *job, const struct segment *segment)
{
    int fd = segment_sync_fd(segment, self->directory);
    if (fd < 0) {
        self->unsynced = strerror(errno);
        return false;
    }
    if (!segment->is_named && job->directory_fd < 0 && (job->directory_fd = open(self->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        self->unsynced = strerror(errno);
        close(fd);
        return false;
    }
    job->files[job->count++] = (struct sync_file){ .fd = fd, .tag = segment->start, .bytes = segment->bytes };
    self->syncs++;
    return true;
}

/* What the disk is to do: first whatever makes room. */
static void work_on_disk(struct capture *self, int64_t now_us)
{
    struct sync_job job;
    if (syncer_done(self->syncer, false, &job))
        take_synced(self, &job);
    if (syncer_is_busy(self->syncer))
        return;
    job.at_us = now_us;
    job.directory_fd = -1;
    job.count = 0;
    if (self->also_fd >= 0)
        job.files[job.count++] = (struct sync_file){ .fd = self->also_fd, .tag = -1 };
    self->also_fd = -1;
    if (is_overdue(self, self->active, now_us) && self->active->bytes - self->active->safe_bytes >= ROLL_UNSYNCED)
        (void)roll(self, now_us); /* no room for a file: it is synced while it is written to */
    while (job.count < SYNC_FILES && zlistx_size(self->removed) > 0)
        job.files[job.count++] = (struct sync_file){ .path = zlistx_detach(self->removed, NULL) };
    for (struct segment *s = zlistx_first(self->segments); s && job.count < SYNC_FILES; s = zlistx_next(self->segments))
        if (self->options.sync != CAPTURE_NEVER && is_overdue(self, s, now_us) && !add_file(self, &job, s))
            break;
    if (job.count == 0 || (self->options.sync_aside && syncer_start(self->syncer, &job)))
        return;
    sync_run(&job);
    take_synced(self, &job);
}

void capture_sync_also(capture_t *self, int fd)
{
    if (self->also_fd < 0)
        self->also_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

int64_t capture_safe(const capture_t *self, int64_t now_us)
{
    int64_t safe_us = now_us;
    for (struct segment *s = zlistx_first(self->segments); s; s = zlistx_next(self->segments))
        if (!segment_is_safe(s) && s->unsafe_since_us < safe_us)
            safe_us = s->unsafe_since_us;
    return safe_us;
}

/* A file that is yet to be removed would be read again by the process after a kill. */
static void note_oldest(struct capture *self)
{
    const struct segment *first = zlistx_first(self->segments);
    if (zlistx_size(self->removed) == 0 && !syncer_is_busy(self->syncer))
        self->oldest = first->start;
}

void capture_tick(capture_t *self, int64_t now_us)
{
    if (self->has_untold && (now_us < self->told_us || now_us - self->told_us >= TELL_US)) {
        self->told_us = now_us;
        tell_tally(self);
    }
    stamp(self, now_us);
    unlink_safe(self, now_us);
    set_limit(self);
    if (self->packed_us && (now_us < self->packed_us || now_us - self->packed_us >= REST_US)) {
        self->packed_us = 0;
        pack_rest(&self->pack);
    }
    work_on_disk(self, now_us);
    note_oldest(self);
}

int64_t capture_syncs(const capture_t *self)
{
    return self->syncs;
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
