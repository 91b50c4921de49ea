/* text.h - a growing run of bytes, and the JSON and times that the home writes into one. */
#ifndef HOME_TEXT_H
#define HOME_TEXT_H

#include "schema.h"

#include <string.h>

struct text {
    char *data;
    size_t size, room;
};

void text_reserve(struct text *, size_t more);
void text_free(struct text *);
void text_printf(struct text *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_int(struct text *, int64_t number);
void text_decimal(struct text *, int64_t scaled, int decimals); /* 2150, 2 -> 21.50; 5, 0 -> 5 */
void text_float(struct text *, double number);                  /* as Python prints it: 21.0, 0.25 */
void text_json(struct text *, struct slice value);              /* quoted and escaped */
void text_json_or_null(struct text *, const char *value);       /* NULL: null */

static inline void text_add(struct text *self, const void *data, size_t size)
{
    if (size == 0)
        return;
    if (self->room - self->size < size)
        text_reserve(self, size);
    memcpy(self->data + self->size, data, size);
    self->size += size;
}

/* A literal's length is known when compiling. */
static inline void text_say(struct text *self, const char *words)
{
    text_add(self, words, strlen(words));
}

static inline void text_slice(struct text *self, struct slice slice)
{
    text_add(self, slice.data, slice.size);
}

static inline void text_set(struct text *self, const void *data, size_t size)
{
    self->size = 0;
    text_add(self, data, size);
}

static inline struct slice text_view(const struct text *self)
{
    return (struct slice){self->data, self->size};
}

static inline bool slice_is(struct slice slice, const char *words)
{
    return slice.size == strlen(words) && memcmp(slice.data, words, slice.size) == 0;
}

static inline bool slice_same(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

#endif
