/* pick.h - numbers, words and times out of an answer whose author may say anything.
 *
 * A number may come as a number, as text that is one, as null, or not at all; what is out of the
 * row's range counts as not there. Paths as for json_at(). */
#ifndef PICK_H
#define PICK_H

#include "json.h"

bool pick_number(json_t *, struct slice object, const char *path, double *number);
bool pick_text(json_t *, struct slice object, const char *path, char *to, size_t size); /* false: none, or too long */

/* RFC 3339; without a zone it is taken as UTC, without seconds as the full minute; or a number:
 * seconds since the epoch. */
bool pick_time(json_t *, struct slice object, const char *path, int64_t *at_us);
bool time_of_text(struct slice text, int64_t *at_us);
bool time_of_value(json_t *, struct json_value, int64_t *at_us);
bool number_of_value(json_t *, struct json_value, double *number);

/* Members of a message, each from a path: REAL, INT (rounded) and FLAG (not 0). Returns how many
 * were there and could not be taken. */
struct pick { const char *member, *path; double times; }; /* times 0: as it is */
size_t pick_members(json_t *, struct slice object, const struct pick *, size_t count, const struct schema *, void *message);
bool pick_put(const struct schema *, const char *member, double number, void *message); /* false: out of range */

/* An object with an array for every member, all of the same length: `each` is told of every value
 * that is a number. Returns the longest array's length. */
typedef void column_fn(void *owner, size_t index, const char *member, double number);
size_t pick_columns(json_t *, struct slice object, const struct pick *, size_t count, column_fn *each, void *owner);

#endif
