/* log.h - the capture log from inside: what its files (capture.c, cursor.c, acked.c, log*.c) know of each other.
 *
 * They are one thing to everybody else: capture.h. Functions return 0 or -1 with errno set unless said otherwise. */
#ifndef LOG_H
#define LOG_H

#include "capture.h"
#include "segment.h"
#include "syncer.h"
#include "tally.h"

#include <czmq.h>

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

/* log.c: the segments. The tally is written; -1 shows in has_untold. A segment that is dropped is removed aside where there
 * is a thread for it; who gives events up says how many, which the tally then has. */
void log_sync_segment(struct capture *, struct segment *);
void log_tell_tally(struct capture *);
void log_drop(struct capture *, struct segment *);
struct segment *log_after(const struct capture *, const struct segment *);
int log_reserve(struct capture *, int64_t end);
void log_set_limit(struct capture *);
int log_start(struct capture *, int64_t start, int64_t now_us);
int log_roll(struct capture *, int64_t now_us);
void log_give_up(struct capture *, int64_t events);
void log_drop_oldest(struct capture *);

/* cursor.c. Past: all of the segment has been read. */
bool cursor_is_past(const struct capture *, const struct segment *);
void cursor_move(struct capture *, struct segment *, int64_t at);
void cursor_move_past(struct capture *, const struct segment *);

/* acked.c. All: it has been read, and every event of it acknowledged; safe: and the store has synced since, where that counts. */
bool acked_is_all(const struct capture *, const struct segment *);
void acked_stamp(struct capture *, int64_t now_us);
bool acked_is_safe(const struct capture *, const struct segment *);
void acked_unlink(struct capture *, int64_t now_us);

#endif
