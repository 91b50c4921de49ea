/* truth.h - the home's own record of what happened and to whom it was sent, as NDJSON.
 *
 * An event's `sent_to` are the connections that it was put into the queue of. What of that was
 * written to the socket is said when the connection closes: all up to the `sent_event`-th event
 * of the file, and nothing after it (`unsent` messages waited in the queue). */
#ifndef HOME_TRUTH_H
#define HOME_TRUTH_H

#include "text.h"

struct truth;

struct truth *truth_new(const char *path); /* NULL path: nothing is recorded; NULL if it cannot be written */
void truth_destroy(struct truth **self_p);
void truth_event(struct truth *, int64_t t_us, const int *sent_to, size_t count, struct slice event);
void truth_note(struct truth *, int64_t t_us, const char *format, ...) __attribute__((format(printf, 3, 4)));
void truth_flush(struct truth *);

#endif
