/* lineage_inside.h - what the files about lineage share. */
#ifndef LINEAGE_INSIDE_H
#define LINEAGE_INSIDE_H

#include "inside.h"
#include "lineage.h"

/* What is noted: `before` passes on to `after` what it stood for (rename, merge), or from then on
 * `after` stands for something else (split by the user, another device). Numbers are in the file. */
enum lineage_kind { LINEAGE_RENAME = 1, LINEAGE_MERGE, LINEAGE_SPLIT, LINEAGE_ANOTHER };
enum lineage_found { FOUND_EVENT = 1, FOUND_REGISTRY, FOUND_BY_HAND };

enum { NAME_BYTES = 1024 };
struct name { size_t size; char text[NAME_BYTES]; };
struct name name_of(struct slice);
struct slice name_slice(const struct name *);

/* The time in which a name stood for one thing. begins, ends: the numbers of what is noted there, 0: nothing
 * that leads on. `passes`: it ended because the name gave way to another one. */
struct tenure { struct name name; int64_t from, to, begins, ends; };

/* A thing's tenures, oldest first. */
struct thing { struct tenure *items; size_t count, room; };
void thing_free(struct thing *);

/* The thing that has the name now (`at` FOREVER_US), or had it at that moment. Inside a read. */
enum store_result thing_of(store_t *, struct slice name, int64_t at, struct thing *);

/* Its tenure that holds the moment, or NULL. */
const struct tenure *thing_at(const struct thing *, int64_t at);

/* The tenures that are the history of a name, each from when a rename took effect; inside a read. STORE_MISSING: there
 * is no series and never was a rename of that name. */
enum store_result lineage_history(store_t *, struct slice name, bool by_role, int64_t at, struct thing *);

/* The nearest moment before `at` at which a name's meaning changed; 0: there is none. */
enum store_result moment_before(store_t *, struct slice name, int64_t at, int64_t *moment);

/* Whether this file has the tables: one that was last written by an older version has not. */
bool lineage_is_there(store_t *);

enum store_result lineage_get(store_t *, int64_t id, struct lineage_row *); /* STORE_MISSING */

int lineage_identity(bool has, const char *identity, bool *by_role, struct fault *); /* -1: unknown */

/* The time of the first state of a span; STORE_MISSING: there is none. A removal is no state. */
enum store_result first_state(store_t *, int64_t series, int64_t from_us, int64_t to_us, int64_t *at);

#endif
