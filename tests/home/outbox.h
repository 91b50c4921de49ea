/* outbox.h - messages waiting for one client, and the WebSocket frames they become. */
#ifndef HOME_OUTBOX_H
#define HOME_OUTBOX_H

#include "text.h"

struct outbox {
    struct text queue;
    size_t at, pending;
    int64_t event;      /* the newest event put into it, by number: set it before outbox_put() */
    struct text ends;   /* of the frames that were made, and the newest event in each */
    size_t ends_at;
    int64_t sent_event; /* the newest that was written to its end */
};

/* One message of up to three parts. */
void outbox_put(struct outbox *, struct slice begin, struct slice middle, struct slice end);
/* Bytes that go out as a text frame by themselves, never joined with others. */
void outbox_put_frame(struct outbox *, struct slice frame);
size_t outbox_bytes(const struct outbox *);

/* Turn waiting messages into frames, until `frames` holds `limit` bytes: one frame a message,
 * or one JSON array of all that wait if they may be joined. Many frames go out in one write. */
void outbox_frames(struct outbox *, struct text *frames, size_t limit, bool join);
/* Of the frames made last, so many bytes have been written. */
void outbox_wrote(struct outbox *, size_t bytes);
void outbox_free(struct outbox *);

#endif
