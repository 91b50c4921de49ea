/* fetch_answer.c - what the program `fetch` says, field by field, however it is cut. */
#include "fetch_answer.h"

#include <string.h>

void fetch_answer_begin(struct fetch_answer *self)
{
    self->body.size = 0;
    *self->etag = *self->modified = *self->error = '\0';
    self->end = (struct fetch_end){ .retry_after_s = -1 };
    self->is_whole = false;
    self->head_size = self->piece_size = 0;
    self->left = 0;
}

/* How large a field may be; 0: nobody says such a field. */
static size_t room_of(unsigned char tag)
{
    switch (tag) {
    case FETCH_BODY:     return FETCH_PIECE;
    case FETCH_ETAG:
    case FETCH_ERROR:    return FETCH_WORDS - 1;
    case FETCH_MODIFIED: return FETCH_DATE - 1;
    case FETCH_END:      return sizeof(struct fetch_end);
    default:             return 0;
    }
}

/* What goes into a header of ours again must not break out of its line. */
static enum fetch_verdict take_words(struct fetch_answer *self, char *to)
{
    for (size_t i = 0; i < self->piece_size; i++)
        if (self->piece[i] < ' ' || self->piece[i] == 0x7f)
            return FETCH_NONSENSE;
    memcpy(to, self->piece, self->piece_size);
    to[self->piece_size] = '\0';
    return FETCH_TAKEN;
}

/* A bool of somebody else's may be any byte; it is read as one. */
static enum fetch_verdict take_end(struct fetch_answer *self)
{
    unsigned char is_final = self->piece[offsetof(struct fetch_end, is_final)];
    unsigned char is_too_large = self->piece[offsetof(struct fetch_end, is_too_large)];
    if (self->piece_size != sizeof self->end || is_final > 1 || is_too_large > 1)
        return FETCH_NONSENSE;
    memcpy(&self->end, self->piece, sizeof self->end);
    self->is_whole = true;
    return self->end.status >= 0 && self->end.status <= 999 && self->end.retry_after_s >= -1 && self->end.retry_after_s <= INT32_MAX
        ? FETCH_TAKEN : FETCH_NONSENSE;
}

static enum fetch_verdict take_field(struct fetch_answer *self)
{
    self->head_size = 0;
    switch (self->head[0]) {
    case FETCH_ETAG:     return take_words(self, self->etag);
    case FETCH_MODIFIED: return take_words(self, self->modified);
    case FETCH_ERROR:    return take_words(self, self->error);
    case FETCH_END:      return take_end(self);
    default:             return FETCH_TAKEN;
    }
}

/* Of the body as much as is there, of anything else until it is whole. */
static enum fetch_verdict take_bytes(struct fetch_answer *self, const unsigned char *bytes, size_t size)
{
    if (self->head[0] == FETCH_BODY) {
        if (size > self->body_max - self->body.size)
            return FETCH_TOO_LARGE;
        msgpack_sbuffer_write(&self->body, (const char *)bytes, size);
    } else {
        memcpy(self->piece + self->piece_size, bytes, size);
        self->piece_size += size;
    }
    self->left -= (uint32_t)size;
    return FETCH_TAKEN;
}

static enum fetch_verdict take_head(struct fetch_answer *self)
{
    memcpy(&self->left, self->head + 1, sizeof self->left);
    self->piece_size = 0;
    return self->left <= room_of(self->head[0]) && room_of(self->head[0]) ? FETCH_TAKEN : FETCH_NONSENSE;
}

enum fetch_verdict fetch_answer_take(struct fetch_answer *self, const void *data, size_t size)
{
    const unsigned char *at = data, *end = at + size;
    enum fetch_verdict verdict = FETCH_TAKEN;
    while (at < end && verdict == FETCH_TAKEN) {
        if (self->is_whole)
            return FETCH_NONSENSE;
        if (self->head_size < FETCH_HEAD) {
            self->head[self->head_size++] = *at++;
            verdict = self->head_size == FETCH_HEAD ? take_head(self) : FETCH_TAKEN;
        } else {
            size_t n = (size_t)(end - at) < self->left ? (size_t)(end - at) : self->left;
            verdict = take_bytes(self, at, n);
            at += n;
        }
        if (verdict == FETCH_TAKEN && self->head_size == FETCH_HEAD && self->left == 0)
            verdict = take_field(self);
    }
    return verdict;
}
