/* outbox.c - messages waiting for one client, and the WebSocket frames they become. */
#include "outbox.h"

enum { ALONE = 1, TEXT_FRAME = 0x81, KEEP_BYTES = 4 << 20 };

struct head {
    uint64_t size;
    uint64_t flags;
    int64_t event;
};
struct end {
    size_t at;
    int64_t event;
};

static void put_head(struct outbox *self, size_t size, uint64_t flags)
{
    struct head head = {size, flags, self->event};

    text_add(&self->queue, &head, sizeof head);
    self->pending++;
}

void outbox_put(struct outbox *self, struct slice begin, struct slice middle, struct slice end)
{
    put_head(self, begin.size + middle.size + end.size, 0);
    text_slice(&self->queue, begin);
    text_slice(&self->queue, middle);
    text_slice(&self->queue, end);
}

void outbox_put_frame(struct outbox *self, struct slice frame)
{
    put_head(self, frame.size, ALONE);
    text_slice(&self->queue, frame);
}

size_t outbox_bytes(const struct outbox *self)
{
    return self->queue.size - self->at;
}

static bool next(const struct outbox *self, size_t at, struct head *head)
{
    if (at >= self->queue.size)
        return false;
    memcpy(head, self->queue.data + at, sizeof *head);
    return true;
}

static void frame_header(struct text *frames, uint64_t size)
{
    unsigned char header[10] = {TEXT_FRAME};
    size_t bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;

    header[1] = (unsigned char)(bytes == 0 ? size : bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < bytes; i++)
        header[2 + i] = (unsigned char)(size >> (8 * (bytes - 1 - i)));
    text_add(frames, header, 2 + bytes);
}

/* How many messages from here on may share an array, and how many bytes it has. */
static size_t joinable(const struct outbox *self, uint64_t *bytes)
{
    struct head head;
    size_t count = 0;

    *bytes = 1;
    for (size_t at = self->at; next(self, at, &head) && !(head.flags & ALONE); at += sizeof head + head.size, count++)
        *bytes += head.size + 1;
    return count;
}

static int64_t take(struct outbox *self, struct text *frames)
{
    struct head head;

    next(self, self->at, &head);
    text_add(frames, self->queue.data + self->at + sizeof head, head.size);
    self->at += sizeof head + head.size;
    self->pending--;
    return head.event;
}

static int64_t take_array(struct outbox *self, struct text *frames, size_t count, uint64_t bytes)
{
    frame_header(frames, bytes);
    int64_t event = 0;
    text_say(frames, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_say(frames, ",");
        event = take(self, frames);
    }
    text_say(frames, "]");
    return event;
}

static void tidy(struct outbox *self)
{
    if (self->at == self->queue.size) {
        self->at = self->queue.size = 0;
        if (self->queue.room > KEEP_BYTES)
            text_free(&self->queue);
    } else if (self->at > self->queue.size / 2) {
        memmove(self->queue.data, self->queue.data + self->at, self->queue.size - self->at);
        self->queue.size -= self->at;
        self->at = 0;
    }
}

void outbox_frames(struct outbox *self, struct text *frames, size_t limit, bool join)
{
    struct head head;
    uint64_t bytes;

    self->ends.size = self->ends_at = 0;
    while (frames->size < limit && next(self, self->at, &head)) {
        struct end end = {0};
        size_t count = join ? joinable(self, &bytes) : 0;
        if (count > 1) {
            end.event = take_array(self, frames, count, bytes);
        } else {
            frame_header(frames, head.size);
            end.event = take(self, frames);
        }
        end.at = frames->size;
        text_add(&self->ends, &end, sizeof end);
    }
    tidy(self);
}

void outbox_wrote(struct outbox *self, size_t bytes)
{
    struct end end;

    for (; self->ends_at < self->ends.size; self->ends_at += sizeof end) {
        memcpy(&end, self->ends.data + self->ends_at, sizeof end);
        if (end.at > bytes)
            return;
        self->sent_event = end.event;
    }
}

void outbox_free(struct outbox *self)
{
    text_free(&self->queue);
    text_free(&self->ends);
    *self = (struct outbox){0};
}
