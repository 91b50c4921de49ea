/* lists.h - the lists that Home Assistant gives of its registries, and the rows they become. */
#ifndef LISTS_H
#define LISTS_H

#include "json.h"
#include "metadata.h"

struct list {
    const char *command;  /* the type of the command that asks for it */
    const char *kind;     /* of AREAS: area, floor or label; else "" */
    enum table table;
};

/* In the order they are asked for: a row refers to those of lists before. */
enum { ENTRY_LIST, AREA_LIST, FLOOR_LIST, LABEL_LIST, DEVICE_LIST, ENTITY_LIST, LISTS };
extern const struct list lists[LISTS];

/* Whoever takes the rows of a list. */
struct taker {
    metadata_t *metadata;
    int64_t now_us;
    void *owner;
    metadata_row_fn *changed;  /* a row that is new, changed or gone */
    void (*refused)(void *owner, const char *key, const char *why); /* a row that was not taken */
};

/* Take a whole list over: one transaction, row by row; a row that cannot be taken is told to
 * `refused` and what was known of it stays. An absent `result` is an empty list. 0, or -1:
 * it is no list or the database failed (then nothing was taken), *why says it. */
int list_take(const struct list *, struct slice result, const struct taker *, const char **why);

#endif
