/* off.h - sources that their settings switch off: each leaves a note in the data directory, for it does not run to say so. */
#ifndef OFF_H
#define OFF_H

#include <stdbool.h>
#include <stddef.h>

enum { OFF_WHY = 240 };

/* Of an actor: it is off, and how it is turned on; it is on. 0, or -1 with errno. */
int off_note(const char *data, const char *actor, const char *why);
int off_forget(const char *data, const char *actor);

/* Whether there is a note of it; `why` may be NULL. */
bool off_is(const char *data, const char *actor, char why[OFF_WHY]);

/* Each that has one. */
typedef int off_fn(void *owner, const char *actor, const char *why); /* not 0: enough */
void off_each(const char *data, off_fn *, void *owner);

#endif
