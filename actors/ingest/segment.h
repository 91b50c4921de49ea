/* segment.h - one file of the capture log, and the file that remembers how far it reached.
 *
 * Only the log itself (log.h) uses this. A record's header, little-endian: length u32, CRC-32C of what
 * follows u32, received_us i64, session i64, first_id u32, last_id u32, events u32, provenance u8,
 * 1 while Home Assistant was starting u8, zero u16; then the frame's bytes. In a packed piece (piece.h) that
 * checksum is 0. Functions return 0 or -1 with errno set unless said otherwise. */
#ifndef SEGMENT_H
#define SEGMENT_H

#include "capture.h"
#include "piece.h"

/* Whole records, one after the other. heard_us: the last that came over a connection, 0: none. `end` is the
 * offset behind them as if nothing were packed, in_file that in the file: whole pieces only. */
struct segment_span { int64_t records, events, first_us, last_us, heard_us, end, in_file; };
struct segment_place { int64_t at, in_file; };

struct segment {
    int64_t start, bytes;       /* offset in the log; size of the file */
    int64_t end;                /* of what it holds, unpacked; INT64_MAX: an earlier process wrote it, and it has not been read to its end */
    struct segment_span written; /* by this process */
    int64_t published, acked;   /* events */
    int64_t before, events;     /* appended before it since the log was made, and in it */
    int64_t acked_us;           /* when the last acknowledgement came */
    int64_t acked_later_us;     /* a turn of the loop after that; INT64_MAX: not yet */
    int64_t created_us;
    bool is_old;                /* written by an earlier process */
    int64_t safe_bytes;         /* on the disk: synced here, or acknowledged before a sync of the store */
    int64_t unsafe_since_us;    /* what follows them was written then or later */
    int64_t marked_bytes, marked_us; /* these were acknowledged by then: safe with the next sync of the store */
    bool is_named;              /* its directory entry has been synced */
    bool is_told;               /* the tally has it */
    bool is_finished;           /* never written again */
    int write_fd, read_fd;      /* -1: closed */
    char *buffer;               /* what was read last */
    int64_t buffer_at;
    size_t buffer_bytes, buffer_room;
    struct segment_place mark;  /* where the reader was when it fell behind */
    struct segment_place piece, piece_end; /* loaded last: a record, or records packed together */
    bool is_packed;             /* then they are in `plain` */
    char *plain;
};

/* The segment that a directory entry stands for, or NULL if it is none. */
struct segment *segment_find(const char *directory, const char *name);
struct segment *segment_create(const char *directory, int64_t start, int64_t now_us);
bool segment_is_safe(const struct segment *); /* nothing of it can be lost with the power */
void segment_destroy(struct segment **);  /* closes; the file stays */
void segment_unlink(struct segment *, const char *directory);

bool record_is_heard(const struct capture_record *); /* it came over a connection */

/* At most CAPTURE_BATCH records, with one write; packed where that is worth it. */
int segment_append(struct segment *, struct pack *, const struct capture_record *, size_t count);
void segment_mark(struct segment *);      /* what is appended next is read next: from there on */
int segment_sync(struct segment *, const char *directory);
/* The same in two steps: a descriptor for another to sync and close, and what came of it. Its
 * directory is to be synced too until it is named. */
char *segment_path(const struct segment *, const char *directory); /* the caller's */
int segment_sync_fd(const struct segment *, const char *directory);
void segment_synced(struct segment *, int64_t bytes);
void segment_finish(struct segment *);
int segment_cut(struct segment *, const char *directory, const struct segment_span *good);

/* Read the record at an offset (unpacked); -1: there is none that is whole; SEGMENT_END: it is the end. */
enum { SEGMENT_END = 1 };
int segment_read(struct segment *, const char *directory, struct pack *, int64_t at, struct capture_record *);
void segment_forget(struct segment *);    /* give the read buffers back */

/* All whole records, read. */
struct segment_span segment_walk(struct segment *, const char *directory, struct pack *);
struct segment_span segment_all(struct segment *, const char *directory, struct pack *);

enum position { POSITION_OK, POSITION_NONE, POSITION_DAMAGED };
enum position position_read(const char *directory, const struct crc32c *, int64_t *limit);
int position_write(const char *directory, const struct crc32c *, int64_t limit);

#endif
