/* read.h - pick values out of the small JSON that clients send, without copying. */
#ifndef HOME_READ_H
#define HOME_READ_H

#include "text.h"

/* The whole text is one JSON value (its structure, not every digit of it). */
bool read_valid(struct slice text);

/* The raw value of a member; empty if there is none or `object` is no object. */
struct slice read_member(struct slice object, const char *key);

/* Cut the first item off an array, or the first member off an object (key with quotes): begin
 * with rest = the whole value. False at the end. */
bool read_next(struct slice *rest, struct slice *key, struct slice *value);

bool read_int(struct slice raw, int64_t *number);
/* A string without its quotes and escapes, NUL-terminated; false if it is no string. */
bool read_text(struct slice raw, struct text *out);

#endif
