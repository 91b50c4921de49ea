/* database.h - a database of Home Assistant's recorder: opened to be read only, checked, read in order of its ids.
 *
 * Nothing is ever written to it. A reader holds SQLite's shared lock for as long as a page takes,
 * a few milliseconds, and never carries the write-ahead log over. Where nobody has the database
 * open, nothing is made beside it either. `why` is a sentence. */
#ifndef DATABASE_H
#define DATABASE_H

#include "schema.h"

typedef struct database database_t;
typedef struct sqlite3_stmt row_t; /* the row that a page is at; read by recorded.h */

enum table { STATES, EVENTS, STATISTICS, SHORT_TERM, KINDS };
enum { SCHEMA_OLDEST = 39, SCHEMA_NEWEST = 53 };
enum { ROW_BYTES_MAX = 4 * 1024 * 1024 }; /* what is larger, Home Assistant did not write */

/* NULL: it is none that can be imported. */
database_t *database_open(const char *path, size_t cache_bytes, char *why, size_t why_size);
void database_close(database_t **);

int64_t database_schema(const database_t *);       /* the recorder's version */
const char *database_began(const database_t *);    /* when its recorder ran first: which database it is */

/* The lowest and the highest id; `last` lower than `first`: it has no row. 0 or -1, why is set. */
int database_ends(database_t *, enum table, int64_t *first, int64_t *last);
const char *database_why(const database_t *);

/* Before a page: 0; -1: somebody has opened a database that stood still, and now it cannot be read. */
int database_follow(database_t *);

/* The rows after id `after` up to `until`, in order of ids, until page_end. Pages of several
 * kinds see the same moment. */
enum step { STEP_ROW, STEP_END, STEP_LARGE /* the next row is, of id database_large() */, STEP_BUSY, STEP_BROKEN };
enum step page_begin(database_t *, enum table, int64_t after, int64_t until); /* and to the first row */
enum step page_next(database_t *, enum table);
row_t *page_row(database_t *, enum table);
int64_t database_large(const database_t *);
void page_end(database_t *);

#endif
