/* truth.c - the home's own record of what happened and to whom it was sent, as NDJSON. */
#include "truth.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 20 };

struct truth {
    int file;
    struct text buffer;
};

struct truth *truth_new(const char *path)
{
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;

    if (path && file < 0)
        return NULL;
    struct truth *self = calloc(1, sizeof *self);
    assert(self);
    self->file = file;
    return self;
}

/* A truth that cannot be written makes every test lie: better no home at all. */
void truth_flush(struct truth *self)
{
    for (size_t at = 0; at < self->buffer.size;) {
        ssize_t wrote = write(self->file, self->buffer.data + at, self->buffer.size - at);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0) {
            perror("the truth log cannot be written");
            abort();
        }
        at += (size_t)wrote;
    }
    self->buffer.size = 0;
}

void truth_destroy(struct truth **self_p)
{
    struct truth *self = *self_p;

    if (!self)
        return;
    truth_flush(self);
    if (self->file >= 0)
        close(self->file);
    text_free(&self->buffer);
    free(self);
    *self_p = NULL;
}

void truth_event(struct truth *self, int64_t t_us, const int *sent_to, size_t count, struct slice event)
{
    struct text *buffer = &self->buffer;

    if (self->file < 0)
        return;
    text_say(buffer, "{\"t\":");
    text_int(buffer, t_us);
    text_say(buffer, ",\"sent_to\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            text_say(buffer, ",");
        text_int(buffer, sent_to[i]);
    }
    text_say(buffer, "],\"event\":");
    text_slice(buffer, event);
    text_say(buffer, "}\n");
    if (buffer->size >= BUFFER_BYTES)
        truth_flush(self);
}

void truth_note(struct truth *self, int64_t t_us, const char *format, ...)
{
    char note[4096];
    va_list arguments;

    if (self->file < 0)
        return;
    va_start(arguments, format);
    vsnprintf(note, sizeof note, format, arguments);
    va_end(arguments);
    text_printf(&self->buffer, "{\"t\":%lld,%s}\n", (long long)t_us, note);
    truth_flush(self);
}
