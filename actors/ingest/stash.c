/* stash.c - a queue of copied frames. */
#include "stash.h"

#include <assert.h>
#include <czmq.h>
#include <stdlib.h>
#include <string.h>

struct stash { zlistx_t *frames; };
struct stashed { struct capture_record record; char bytes[]; };

stash_t *stash_new(void)
{
    struct stash *self = calloc(1, sizeof *self);
    assert(self);
    self->frames = zlistx_new();
    return self;
}

void stash_destroy(stash_t **self_p)
{
    struct stash *self = *self_p;
    if (!self)
        return;
    while (stash_count(self) > 0)
        stash_drop_first(self);
    zlistx_destroy(&self->frames);
    free(self);
    *self_p = NULL;
}

void stash_add(stash_t *self, const struct capture_record *record)
{
    struct stashed *frame = malloc(sizeof *frame + record->bytes.size);
    assert(frame);
    frame->record = *record;
    memcpy(frame->bytes, record->bytes.data, record->bytes.size);
    frame->record.bytes.data = frame->bytes;
    zlistx_add_end(self->frames, frame);
}

bool stash_first(const stash_t *self, struct capture_record *record)
{
    const struct stashed *frame = zlistx_head(self->frames);
    if (frame)
        *record = frame->record;
    return frame != NULL;
}

void stash_drop_first(stash_t *self)
{
    free(zlistx_detach(self->frames, NULL));
}

size_t stash_count(const stash_t *self)
{
    return zlistx_size(self->frames);
}
