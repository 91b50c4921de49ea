/* frames.c - read WebSocket frames, whole ones where they lie, and write masked ones. */
#include "frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_BYTES ((size_t)1024 * 1024) /* of the buffer, after a huge message */
#define SKIP_BYTES (UINT64_C(1) << 30)   /* a message larger than this is not waited for */

/* A message that came in parts. */
struct parts { struct parts *next; size_t room; char bytes[]; };

struct frames {
    struct frames_hooks hooks;
    void *owner;
    size_t message_max;
    bool is_over;
    unsigned char head[FRAME_HEAD]; /* of a frame whose header came in parts */
    size_t head_size;
    bool in_payload;
    int opcode;                     /* of the frame that we are in */
    bool is_final;
    size_t left;                    /* of its payload */
    unsigned char control[FRAME_CONTROL];
    size_t control_size;
    bool has_message;               /* handed out in this call */
    bool in_message;                /* a data frame that was not the last of its message has begun */
    struct parts *parts;            /* of that message, so far; may be NULL */
    size_t size;
    bool is_skipping;               /* that message is too large */
    uint64_t skipped;               /* of it, so far */
    struct parts *whole;            /* handed out in this call */
};

frames_t *frames_new(size_t message_max, const struct frames_hooks *hooks, void *owner)
{
    struct frames *self = calloc(1, sizeof *self);
    assert(self);
    self->message_max = message_max;
    self->hooks = *hooks;
    self->owner = owner;
    return self;
}

void frames_destroy(frames_t **self_p)
{
    struct frames *self = *self_p;
    if (!self)
        return;
    free(self->parts);
    free(self);
    *self_p = NULL;
}

void frames_stop(frames_t *self)
{
    self->is_over = true;
}

/* --- the header ------------------------------------------------------------------------ */

static size_t head_bytes(const unsigned char *head)
{
    size_t code = head[1] & 0x7f;
    return code == 126 ? 4 : code == 127 ? 10 : 2;
}

static uint64_t payload_bytes(const unsigned char *head)
{
    size_t extra = head_bytes(head) - 2;
    uint64_t size = extra ? 0 : head[1] & 0x7f;
    for (size_t i = 0; i < extra; i++)
        size = size << 8 | head[2 + i];
    return size;
}

/* Home Assistant would send it again after every new connection (the answer to a question of ours), so a
 * message that is too large does not cost the connection. */
static void skip(struct frames *self)
{
    if (!self->is_skipping)
        self->skipped = self->size;
    self->is_skipping = true;
    self->size = 0;
    free(self->parts);
    self->parts = NULL;
}

/* Begin the frame with this header. NULL, or what is wrong with it. */
static const char *begin(struct frames *self, const unsigned char *head)
{
    int opcode = head[0] & 0x0f;
    bool is_control = opcode >= FRAME_CLOSE, is_final = head[0] & 0x80;
    uint64_t size = payload_bytes(head);
    if (head[0] & 0x70)
        return "a frame with an extension that was not agreed on";
    if (head[1] & 0x80)
        return "a masked frame from a server";
    if (opcode > FRAME_PONG || (opcode > FRAME_BINARY && opcode < FRAME_CLOSE))
        return "a frame of an unknown kind";
    if (is_control && (!is_final || size > FRAME_CONTROL))
        return "a control frame that is too long or in parts";
    if (!is_control && (opcode == FRAME_MORE) != self->in_message)
        return opcode == FRAME_MORE ? "the rest of a message that never began" : "a message inside of another";
    if (!is_control && size > self->message_max - self->size)
        skip(self);
    if (!is_control && self->is_skipping && size > SKIP_BYTES - self->skipped)
        return "a message larger than a gibibyte";
    self->opcode = opcode;
    self->is_final = is_final;
    self->left = (size_t)size;
    self->control_size = 0;
    self->in_payload = true;
    return NULL;
}

/* How many of the bytes were the header's; *why if it is a bad one. */
static size_t take_head(struct frames *self, const unsigned char *at, size_t size, const char **why)
{
    if (self->head_size == 0 && size >= 2 && size >= head_bytes(at)) {
        *why = begin(self, at);
        return head_bytes(at);
    }
    size_t used = 0;
    while (used < size && (self->head_size < 2 || self->head_size < head_bytes(self->head)))
        self->head[self->head_size++] = at[used++];
    if (self->head_size >= 2 && self->head_size == head_bytes(self->head)) {
        self->head_size = 0;
        *why = begin(self, self->head);
    }
    return used;
}

/* --- the payload ------------------------------------------------------------------------ */

static void keep(struct frames *self, const void *bytes, size_t size)
{
    size_t room = self->parts ? self->parts->room : 0;
    if (!self->parts || self->size + size > room) {
        room = 2 * (self->size + size);
        if (room > self->message_max)
            room = self->message_max;
        self->parts = realloc(self->parts, sizeof *self->parts + room);
        assert(self->parts);
        self->parts->room = room;
    }
    if (size > 0)
        memcpy(self->parts->bytes + self->size, bytes, size);
    self->size += size;
}

static void hand_out(struct frames *self, struct slice message)
{
    if (message.size == 0)
        return;
    self->has_message = true;
    self->hooks.message(self->owner, message);
}

static void end_message(struct frames *self)
{
    struct slice message = { self->parts->bytes, self->size };
    self->in_message = false;
    self->parts->next = self->whole;
    self->whole = self->parts;
    self->parts = NULL;
    self->size = 0;
    hand_out(self, message);
}

/* Nobody reads them any more: keep one for the next message, unless it is huge. */
static void forget_whole(struct frames *self)
{
    for (struct parts *next, *parts = self->whole; parts; parts = next) {
        next = parts->next;
        if (!self->parts && parts->room <= KEPT_BYTES)
            self->parts = parts;
        else
            free(parts);
    }
    self->whole = NULL;
}

static void end_skipping(struct frames *self)
{
    uint64_t size = self->skipped;
    self->in_message = self->is_skipping = false;
    self->skipped = 0;
    self->hooks.skipped(self->owner, size);
}

static const char *end_control(struct frames *self)
{
    const unsigned char *said = self->control;
    if (self->opcode == FRAME_PING)
        self->hooks.ping(self->owner, (struct slice){ said, self->control_size });
    if (self->opcode != FRAME_CLOSE)
        return NULL;
    if (self->control_size == 1)
        return "a close frame with half a code";
    self->is_over = true;
    self->hooks.closed(self->owner, self->control_size ? said[0] << 8 | said[1] : CLOSE_UNSAID);
    return NULL;
}

/* How many of the bytes were the payload's. */
static size_t take_payload(struct frames *self, const unsigned char *at, size_t size, const char **why)
{
    bool is_control = self->opcode >= FRAME_CLOSE;
    size_t used = size < self->left ? size : self->left;
    if (!is_control && self->is_final && !self->in_message && !self->is_skipping && self->size == 0 && used == self->left) {
        self->in_payload = false;
        hand_out(self, (struct slice){ at, used });
        return used;
    }
    if (is_control) {
        memcpy(self->control + self->control_size, at, used);
        self->control_size += used;
    } else if (self->is_skipping) {
        self->skipped += used;
    } else {
        keep(self, at, used);
    }
    self->left -= used;
    if (self->left > 0)
        return used;
    self->in_payload = false;
    if (is_control)
        *why = end_control(self);
    else if (self->is_final && self->is_skipping)
        end_skipping(self);
    else if (self->is_final)
        end_message(self);
    else
        self->in_message = true;
    return used;
}

int frames_take(frames_t *self, struct slice bytes, const char **why)
{
    const unsigned char *at = bytes.data, *end = at + bytes.size;
    *why = NULL;
    while (!self->is_over && !*why && (at < end || (self->in_payload && self->left == 0)))
        at += self->in_payload ? take_payload(self, at, (size_t)(end - at), why)
            : take_head(self, at, (size_t)(end - at), why);
    if (self->has_message)
        self->hooks.done(self->owner);
    self->has_message = false;
    forget_whole(self);
    if (*why)
        self->is_over = true;
    return *why ? -1 : 0;
}

/* --- writing --------------------------------------------------------------------------- */

size_t frames_write(unsigned char *to, int opcode, struct slice payload, const unsigned char key[4])
{
    const unsigned char *from = payload.data;
    size_t extra = payload.size < 126 ? 0 : payload.size <= UINT16_MAX ? 2 : 8, head = 2;
    to[0] = (unsigned char)(0x80 | opcode);
    to[1] = (unsigned char)(0x80 | (extra == 0 ? payload.size : extra == 2 ? 126 : 127));
    for (size_t i = extra; i-- > 0;)
        to[head++] = (unsigned char)((uint64_t)payload.size >> 8 * i);
    memcpy(to + head, key, 4);
    head += 4;
    for (size_t i = 0; i < payload.size; i++)
        to[head + i] = from[i] ^ key[i & 3];
    return head + payload.size;
}
