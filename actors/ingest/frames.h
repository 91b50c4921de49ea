/* frames.h - WebSocket frames (RFC 6455) as a client reads and writes them: no socket, no clock.
 *
 * Bytes go in as they come, cut anywhere; whole messages come out. A frame that lies whole in
 * the bytes given is handed out as a slice of them; anything else is put together in a buffer.
 * Whether a text is UTF-8 is left to the reader of its JSON. */
#ifndef FRAMES_H
#define FRAMES_H

#include "schema.h"

typedef struct frames frames_t;

enum { FRAME_MORE = 0, FRAME_TEXT = 1, FRAME_BINARY = 2, FRAME_CLOSE = 8, FRAME_PING = 9, FRAME_PONG = 10 };
enum { FRAME_HEAD = 14, FRAME_CONTROL = 125 }; /* most bytes of a header; of a control frame's payload */
enum { CLOSE_UNSAID = 1005 };

struct frames_hooks {
    void (*message)(void *owner, struct slice message); /* whole, not empty; it lives until `done` returns */
    void (*done)(void *owner);                          /* with the messages of one call of frames_take() */
    void (*skipped)(void *owner, uint64_t size);        /* a message that is too large is over; none of it was kept */
    void (*ping)(void *owner, struct slice payload);
    void (*closed)(void *owner, int code);              /* the last frame; nothing is read after it */
};

frames_t *frames_new(size_t message_max, const struct frames_hooks *, void *owner);
void frames_destroy(frames_t **);

/* Read what came. 0, or -1 with *why (static text): these are no frames for us, read no more. */
int frames_take(frames_t *, struct slice bytes, const char **why);
void frames_stop(frames_t *); /* also from a hook: nothing is handed out any more */

/* A whole masked frame; `to` has room for FRAME_HEAD + payload.size bytes. Returns its size. */
size_t frames_write(unsigned char *to, int opcode, struct slice payload, const unsigned char key[4]);

#endif
