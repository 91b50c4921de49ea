/* words.h - what the words of an event say of where somebody is. */
#ifndef WORDS_H
#define WORDS_H

#include "schema.h"

/* `vacation` is a kind of away. */
struct words { bool wfh, home, away, vacation; };

/* More words of each kind, separated by commas; "" or NULL: none. */
struct own_words { const char *wfh, *home, *away, *vacation; };

/* Adds what the text says. Words are found whole and in either case (of the letters A to Z); a
 * space in one stands for spaces and hyphens. Of a long text the first 4 KiB count. */
void words_look(struct words *, struct slice text, const struct own_words *);

/* wfh, home, vacation, away, in this order; NULL: nothing is said. */
const char *words_state(const struct words *);
double words_confidence(const struct words *);

/* What a state says of the home: is somebody there? NULL is away here. */
bool state_is_home(const char *state);

#endif
