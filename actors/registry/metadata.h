/* metadata.h - metadata.db: the rows of the registry as they are kept on disk.
 *
 * One table a kind of row, made from its schema. A row that is gone stays as a tombstone
 * (removed_at). Everything here came from Home Assistant and can be had again but for
 * created_at, so a damaged file is moved aside and begun anew. */
#ifndef METADATA_H
#define METADATA_H

#include "schemas.h"

typedef struct metadata metadata_t;
enum table { DEVICES, ENTITIES, AREAS, ENTRIES, TABLES };

struct opened {
    char why[240];    /* why not; or what was wrong with the file that was moved aside */
    char moved[1100]; /* where a damaged file is now, "" if it was sound */
};
metadata_t *metadata_open(const char *path, struct opened *how); /* NULL: it cannot be had */
void metadata_close(metadata_t **self_p);
const char *metadata_why(const metadata_t *);  /* of the last failure */
bool metadata_is_damaged(const metadata_t *);  /* the last failure was one of the file itself */

const struct schema *metadata_schema(enum table);

/* --- one list of Home Assistant's: begin, put each row, end ------------------------------- */

/* `kind` is "area", "floor" or "label" of AREAS, else "". */
int metadata_begin(metadata_t *, enum table, const char *kind);

/* 1: the row is new or has changed, 0: it is as it was, -1: it was not taken. Sets its
 * timestamp and created_at; clears what makes a tombstone. */
int metadata_put(metadata_t *, enum table, void *row, int64_t now_us);

/* A row that was refused but has its key: what was known of it stands. */
void metadata_keep(metadata_t *, enum table, const void *row);

/* Rows of the list that were neither put nor kept become tombstones, each told to `gone`. Then commit. */
typedef void metadata_row_fn(void *owner, enum table, void *row);
int metadata_end(metadata_t *, enum table, const char *kind, int64_t now_us, metadata_row_fn *gone, void *owner);
void metadata_abort(metadata_t *);

/* --- reading ------------------------------------------------------------------------------- */

/* Every row, tombstones included. */
int metadata_each(metadata_t *, enum table, metadata_row_fn *, void *owner);
int64_t metadata_count(metadata_t *, enum table, bool removed);

/* A parameter of a query: an absent one is NULL in SQL. */
struct param { bool has; const char *text; size_t size; int64_t number; };

/* Rows that are there and meet `where` (which knows the table as t and the parameters as ?1
 * ...), by name, then id. The row function returns 0 to go on. *total may be NULL. Of devices
 * ?1 is an integration: entity_count counts that one's, or all if it is absent. 0 or -1. */
typedef int metadata_found_fn(void *owner, const void *row);
int metadata_find(metadata_t *, enum table, const char *where, const struct param params[], size_t count,
    int64_t limit, int64_t offset, int64_t *total, metadata_found_fn *, void *owner);

/* The integration that a config entry sets up; false if it is not known. */
bool metadata_entry_domain(metadata_t *, const char *entry_id, char to[256]);

/* Entities of an integration by domain, most first. 0 or -1. */
typedef void metadata_count_fn(void *owner, const char *domain, int64_t count);
int metadata_platform(metadata_t *, const char *platform, metadata_count_fn *, void *owner, int64_t *devices);

#endif
