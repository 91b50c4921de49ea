/* capture.h - the capture log: every frame with events is here before anyone hears of it.
 *
 * <data>/capture/ holds append-only segments, each named by the global offset of its first
 * byte, counted as if nothing were compressed (%020lld.log), and `position`, a limit below which offsets may have been used. A record
 * is a header of 40 bytes and the WebSocket frame as it came; frames that come together are one
 * writev(2), compressed into one piece (piece.h) where they are many. A *place* is the global offset of a byte in the log: it only grows and is never
 * used twice, also when every segment has been unlinked or a power cut took the tail.
 *
 * A reader's cursor walks the log from its oldest segment; what is published is credited to
 * the segment it stands in, and a segment goes when the cursor is past it, everything in it
 * is acknowledged and (sync interval) the store has synced since. The log takes `max_bytes` at the
 * most, and no more than it leaves free on its disk (but for 16 segments): then its oldest is
 * given up. In a log that has grown, segments are larger: a sixteenth of it, 64 MiB at the most. A record whose checksum is
 * wrong ends its segment: it is cut there and never read. Times are microseconds UTC, given
 * by the caller. */
#ifndef CAPTURE_H
#define CAPTURE_H

#include "schema.h"

typedef struct capture capture_t;

/* Where an event is from: the place in the header of a record; 0 in the logs of before. */
enum provenance { FROM_LIVE, FROM_BACKFILL, FROM_SNAPSHOT, FROM_IMPORT, PROVENANCES };

enum capture_sync { CAPTURE_INTERVAL, CAPTURE_ALWAYS, CAPTURE_NEVER };
enum { CAPTURE_TOPICS = 2, CAPTURE_HEADER = 40 };

/* What is no longer in the log though it was not acknowledged. */
struct capture_loss {
    bool overflow;              /* the log was full; false: the disk gave back something else */
    int64_t first_us, last_us;  /* received times around what is missing; first 0: nothing before it can be read */
    int64_t events;             /* not yet published ones; 0 if unknown */
    int64_t bytes;
    bool continues;             /* it follows directly on the loss told before */
};
typedef void capture_loss_fn(void *owner, const struct capture_loss *);

struct capture_options {
    const char *directory;      /* exists */
    int64_t segment_bytes, max_bytes;
    int64_t (*free_bytes)(void *owner); /* of the disk; NULL: asked of the file system */
    enum capture_sync sync;
    int64_t sync_us;
    bool sync_aside;            /* capture_tick() has a thread sync and does not wait for it */
    capture_loss_fn *on_loss;
    void *owner;
};

struct capture_record {
    int64_t place;              /* of the first byte of `bytes` */
    int64_t received_us;
    int64_t session;
    uint32_t first_id, last_id; /* the subscriptions whose messages are events */
    uint32_t events;            /* how many of them */
    uint32_t done;              /* of these, published before (when read back) */
    bool replayed;              /* written by an earlier process */
    enum provenance provenance;
    bool is_starting;           /* Home Assistant was not running yet */
    struct slice bytes;
};

/* NULL: *why says why (static or of strerror). */
capture_t *capture_open(const struct capture_options *, int64_t now_us, const char **why);
int capture_close(capture_t **); /* 0: all of it is on the disk; -1: it is not (never: nor is what has been unlinked) */

/* Append frames, those that came together with one write; sets their places. 0, or -1 (nothing
 * was written): capture_why(). */
enum { CAPTURE_BATCH = 256 };
int capture_append(capture_t *, struct capture_record *, size_t count, int64_t now_us);
const char *capture_why(const capture_t *);
const char *capture_unsynced(const capture_t *); /* why the last sync failed; NULL: it did not */

/* The cursor. capture_at_end(): it stands behind the last record; capture_is_next(): on this
 * one, so that it may be published from memory. capture_read() reads the record under it (bytes
 * live until the next call); false: there is none. capture_sent() credits one event, published
 * as message `number` of `topic` (0 .. CAPTURE_TOPICS - 1), to the record under the cursor;
 * capture_next() goes on: after capture_read(), or capture_is_next() that was true. */
bool capture_at_end(const capture_t *);
bool capture_is_next(capture_t *, const struct capture_record *);
bool capture_read(capture_t *, struct capture_record *);
void capture_sent(capture_t *, size_t topic, uint64_t number);
void capture_next(capture_t *);

/* A mark behind all that has been published; it is settled when all that is acknowledged. */
int64_t capture_mark(capture_t *);
bool capture_is_settled(const capture_t *, int64_t mark);

/* Messages first .. last of a topic are acknowledged: how many of them were ours. */
int64_t capture_acked(capture_t *, size_t topic, uint64_t first, uint64_t last, int64_t now_us);
/* Everything acknowledged before `at_us` is on the store's disk. */
void capture_stored(capture_t *, int64_t at_us, int64_t now_us);
/* What was received before this is on the disk, in the log or in the store; 0: what an earlier process wrote has not
 * been synced yet, which may take a slow disk longer than a start may. With CAPTURE_NEVER it says nothing. */
int64_t capture_safe(const capture_t *, int64_t now_us);
/* Sync what is due and unlink what may go. Call a few times a second. */
void capture_tick(capture_t *, int64_t now_us);

/* A file of somebody else's is to be synced with what is synced next; its descriptor is duplicated. */
void capture_sync_also(capture_t *, int fd);

int64_t capture_bytes(const capture_t *);
int64_t capture_limit(const capture_t *);  /* at so many its oldest segment is given up */
int64_t capture_syncs(const capture_t *);  /* files synced, each time counted */
int64_t capture_end(const capture_t *);          /* the place after the last byte */
int64_t capture_last_heard(const capture_t *);   /* received time of the newest record that came over a connection; 0: none is known */
int64_t capture_torn(const capture_t *);         /* bytes of a torn tail cut off at open */

/* Since the log was made, across restarts: appended = acknowledged + in flight + given up. After a
 * start all that the log holds is in flight, and what is published of a segment that was given up is
 * so until it is acknowledged. Given up are also events of damaged segments. */
struct capture_totals { int64_t received, in_flight, given_up; };
struct capture_totals capture_totals(const capture_t *);
int64_t capture_oldest(const capture_t *);       /* no event before this place comes again */
int64_t capture_waiting(const capture_t *);      /* published, not acknowledged */

#endif
