/* file.h - what the parts of metadata.db's keeper share. */
#ifndef FILE_H
#define FILE_H

#include <sqlite3.h>

#include "metadata.h"

enum { SQL_TEXT = 4096, ROW_BYTES = 16384 };

struct metadata {
    sqlite3 *db;
    sqlite3_stmt *find[TABLES], *put[TABLES], *seen;
    int64_t seen_at[TABLES];  /* when the list was last read whole: the timestamp of what is there */
    bool is_damaged;
    union { max_align_t align; char bytes[ROW_BYTES]; } row; /* a row being read */
    char why[240];
};

struct table_info {
    const char *name, *order; /* of the table, and of the column it is listed by */
    const struct schema *(*schema)(void);
};
extern const struct table_info metadata_tables[TABLES];

int file_fail(metadata_t *);  /* notes SQLite's reason; always -1 */
int file_run(metadata_t *, const char *sql);
int file_prepare(metadata_t *, const char *sql, sqlite3_stmt **);

/* SQL text in the making; too long for it is a bug. */
struct sql { char text[SQL_TEXT]; size_t size; };
void sql_add(struct sql *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sql_add_columns(struct sql *, const struct schema *, bool compute); /* of t, in the schema's order */
void sql_add_keys(struct sql *, const struct schema *, bool as_conditions);
bool sql_is_computed(const struct field *);

/* The row under a statement, in self->row; its slices die at the statement's next step. */
void *row_read(metadata_t *, enum table, sqlite3_stmt *);
void *row_find(metadata_t *, enum table, const void *key); /* or NULL; reset the statement after use */
int row_write(metadata_t *, enum table, const void *row);

bool *row_has(const struct field *, void *row);
void *row_member(const struct field *, void *row);
const struct field *row_field(enum table, const char *name);
void row_set_int(enum table, const char *name, void *row, int64_t value);
int row_bind_keys(sqlite3_stmt *, const struct schema *, const void *row); /* how many */

#endif
